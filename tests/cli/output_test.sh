#!/usr/bin/env bash
# output_test.sh - where images go: names, folders, standard output, links, and that nothing is lost without a word.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
export VEETANCE_HOME=$work/home
cd "$work" || exit 1

# ---- names of our own -------------------------------------------------------------------------------
mkdir own
cd own || exit 1
for wanted in out.png out-2.png out-3.png; do
    quick generate
    expect 0 "without -o"
    out_has "^$wanted  " "it is numbered on"
done
is "nothing was overwritten" "$(cksum ./*.png | cut -d' ' -f1 | sort -u | wc -l)" 3
quick generate --force
out_has '^out.png  ' "--force replaces it"
cd ..

# ---- a file that -o names ---------------------------------------------------------------------------
quick generate --seed 1 -o a.png
is "a new file needs no words" "$(grep -c note "$work/stderr")" 0
first=$(cksum <a.png)
quick generate --seed 2 -o a.png
expect 0 "without a terminal a named file is replaced"
err_has "note: 'a.png' was there and is replaced" "and it is said"
check "it is the new image" test "$(cksum <a.png)" != "$first"
quick generate --seed 1 -o a.png --json
out_has '"replaced":true' "JSON says it, too"
quick generate --seed 2 -o a.png --force
is "--force needs no words" "$(grep -c note "$work/stderr")" 0
if have script; then
    ask() {
        printf '%s\n' "$1" | script -qec "'$program' generate -m micro-klein --device cpu --threads 1 --steps 1 \
            -W 64 -H 64 -p star --seed $2 -o a.png" /dev/null >"$work/stdout" 2>"$work/stderr"
    }
    before=$(cksum <a.png)
    ask n 3
    out_has "'a.png' exists. Replace it?" "a person is asked"
    is "no keeps it" "$(cksum <a.png)" "$before"
    check "and numbers on" test -s a-2.png
    ask y 3
    check "yes replaces it" cmp -s a.png a-2.png
fi

# ---- several -----------------------------------------------------------------------------------------
quick generate --seed 5 --count 2 -o n.png
is "the seed is in the name" "$(echo n-*.png)" "n-5.png n-6.png"
is "an image a line" "$(wc -l <"$work/stdout")" 2
refuse 2 'takes one image, not 2' generate -m micro-klein -p star --count 2 -o -

# ---- streams -----------------------------------------------------------------------------------------
quick generate --seed 1 -o b.png
for target in - /dev/stdout /dev/fd/1; do
    "$program" generate -m micro-klein --device cpu --threads 1 --steps 1 -W 64 -H 64 -p star --seed 1 -o $target \
        2>"$work/stderr" | cat >piped.png
    check "-o $target is standard output" cmp -s piped.png b.png
done
quick generate --seed 1 -o >(cat >through.png)
expect 0 "-o >(...)"
for _ in $(seq 50); do
    cmp -s through.png b.png && break
    sleep 0.1
done
check "-o >(...) gets the image" cmp -s through.png b.png
quick generate -o /dev/null
expect 0 "-o /dev/null"
check "/dev/null is still a device" test -c /dev/null
run generate -m micro-klein -p star -o - --json
expect 2 "-o - with --json"
err_has 'both want standard output' "-o - with --json"
if have script; then
    script -qec "'$program' generate -m micro-klein -p star -o -" /dev/null >"$work/stdout" 2>&1 </dev/null
    out_has 'would go to the terminal' "no image is written to a terminal"
fi

# ---- links and permissions ---------------------------------------------------------------------------
mkdir target
quick generate --seed 1 -o target/real.png
chmod 640 target/real.png
ln -s target/real.png link.png
quick generate --seed 2 -o link.png --force
expect 0 "-o LINK"
check "the link stays" test -L link.png
is "the file behind it keeps its permissions" "$(stat -c %a target/real.png)" 640
quick generate --seed 2 -o b.png --force
check "and has the new image" cmp -s target/real.png b.png

# ---- folders that are not there ----------------------------------------------------------------------
refuse 1 "cannot write '.*': there is no folder '$work/out/no'" generate -m micro-klein -p star -o "$work/out/no/such/x.png"
refuse 1 "there is no folder '$work/out/no'" generate -m micro-klein -p star -o "$work/out/x.png" --trace "$work/out/no/t"
refuse 1 "'.*b.png' is no folder" generate -m micro-klein -p star -o "$work/b.png/x.png"
refuse 1 'is a folder' generate -m micro-klein -p star -o "$work/out/x.png" --trace "$work/target"
refuse 2 'names no file' generate -m micro-klein -p star -o ''

# ---- settings ----------------------------------------------------------------------------------------
run settings
expect 0 "settings"
out_has '^device  *auto  *built in' "what is built in is told"
run settings set modle klein
expect 2 "an unknown key"
err_has "'modle' is no setting.*did you mean 'model'?" "the near key is told"
run settings set model micro-klein
expect 0 "settings set"
out_has '^model  *micro-klein  *file' "the file's values are told"
is "the file is for its owner" "$(stat -c %a "$VEETANCE_HOME")" 700
run settings set output-folder "$work/pics"
run settings set name '{date}/{prompt}-{seed}'
expect 0 "a template"
run generate --device cpu --threads 1 --steps 1 -W 64 -H 64 -p 'A red star, "on" white/blue!' --seed 3
expect 0 "without -m and -o"
check "the folder is made and the name filled in" test -s "$work/pics/$(date +%Y-%m-%d)/A-red-star-on-white-blue-3.png"
VEETANCE_NAME=plain run generate --device cpu --threads 1 --steps 1 -W 64 -H 64 -p star --seed 3
check "a variable goes before the file" test -s "$work/pics/plain.png"
VEETANCE_MODEL=nowhere run generate -m micro-klein --device cpu --threads 1 --steps 1 -W 64 -H 64 -p star -o flag.png
expect 0 "a flag goes before a variable"
VEETANCE_MODEL=nowhere run settings
out_has '^model  *nowhere  *VEETANCE_MODEL' "the variable is named"
run settings --json
if have jq; then
    check "settings as JSON" jq -e '.settings.model == {value: "micro-klein", source: "file", variable: "VEETANCE_MODEL"} and
        .settings.budget.value == null' "$work/stdout" >"$work/jq"
fi
run settings unset model
run generate -p star
expect 2 "without a model"
refuse 2 'no model is named' generate -p star
refuse 2 "'{dte}' is none of" settings set name '{dte}'
refuse 2 'is no name below' settings set name ../x
refuse 2 'should begin with /' settings set output_folder pics
refuse 2 'the budget .lots. is not a size' settings set budget lots
refuse 2 'named with --rpc' settings set device rpc:host:1
refuse 2 'takes a key and a value' settings set model
refuse 2 'takes a key' settings unset
refuse 2 'is not one of show, set, unset' settings frobnicate
run settings set budget 80%
expect 0 "a budget in per cent"
run plan generate -m micro-klein -p star -W 64 -H 64
expect 0 "the budget of the settings is used"
printf '{"modle": "x", "device": "cpu"}' >"$VEETANCE_HOME/settings.json"
run settings
expect 0 "an unknown key in the file is no failure"
err_has "'modle' is no setting; did you mean 'model'?" "but it is told"
run settings set model micro-klein
check "other keys stay" grep -q modle "$VEETANCE_HOME/settings.json"
printf '[' >"$VEETANCE_HOME/settings.json"
refuse 1 'settings.json' settings
refuse 1 'settings.json' generate -m micro-klein -p star -o "$work/out/x.png"
printf '{"model": 3.5}' >"$VEETANCE_HOME/settings.json"
refuse 1 "'model' should be a text" settings
unset VEETANCE_HOME
mkdir -p config/veetance
printf '{"model": "micro-klein"}' >config/veetance/settings.json
XDG_CONFIG_HOME=$work/config run settings
out_has "file: $work/config/veetance/settings.json" "XDG_CONFIG_HOME"
finish
