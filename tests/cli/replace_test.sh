#!/usr/bin/env bash
# replace_test.sh - one rule for what is there already, whichever command writes: a file or a stack that -o names is
# replaced with a note, without one under --force, and a person at a terminal is asked; names of our own are numbered on.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh
export VEETANCE_HOME=$work/home
scene=$PWD/tests/data/micro/layered/scene-00-input.png
cd "$work" || exit 1

fast="--device cpu --threads 1 --steps 1"
generate="generate -m micro-klein -p star $fast -W 64 -H 64"
layers="-m micro-layered --device cpu --threads 1 --steps 2 --resolution 64 --keep-empty -n 2"
quick generate -o star.png
run layers $layers -i "$scene" -o stack --format psd
expect 0 "a stack to work on"

# The commands, and what they write: "NAME ENDING ARGUMENTS"; without an ending a folder.
all="generate .png $generate
edit .webp edit -m micro-klein -p star $fast -i star.png
sheet .jpg sheet star.png
flatten .png layers flatten stack
layers .psd layers $layers -i $scene
layers-folder - layers $layers -i $scene
split .ora layers split stack --layer 1 $layers
merge .zip layers merge stack 0 1
merge-folder - layers merge stack 0 1
export .psd layers export stack
import - layers import stack/stack.psd
trim .ora layers trim stack
clean - layers clean stack"

# What identifies a result: its bytes, or those of a folder's manifest.
mark() {
    if [ -d "$1" ]; then
        find "$1" -name layers.json -newer stamp
    else
        find "$1" -newer stamp
    fi
}

ask() {
    printf '%s\n' "$1" | script -qec "'$program' $2" /dev/null >"$work/stdout" 2>"$work/stderr"
}

while read -r name ending arguments; do
    [ "$ending" = - ] && ending=
    out=$name$ending
    run $arguments -o "$out"
    expect 0 "$name"
    is "$name: a new one needs no words" "$(grep -c replaced "$work/stderr")" 0
    check "$name is there" test -e "$out"
    touch -d '1 hour ago' "$out" "$out"/* 2>/dev/null
    touch -d '1 minute ago' stamp
    run $arguments -o "$out" --json
    expect 0 "$name again"
    err_has 'note: .* replaced' "$name: what is replaced is told"
    out_has '"replaced":true' "$name: in JSON, too"
    is "$name is the new one" "$(mark "$out" | wc -l)" 1
    run $arguments -o "$out" --force
    expect 0 "$name --force"
    is "$name: --force needs no words" "$(grep -c replaced "$work/stderr")" 0
    is "$name: nothing is beside it" "$(find . -maxdepth 1 -name "$name-2*")" ""
    have script || continue
    touch -d '1 hour ago' "$out" "$out"/* 2>/dev/null
    ask n "$arguments -o $out"
    out_has "'$out' exists. Replace it?" "$name: a person is asked"
    is "$name: no keeps it" "$(mark "$out")" ""
    check "$name: and numbers on" test -e "$name-2$ending"
    ask y "$arguments -o $out"
    is "$name: yes replaces it" "$(mark "$out" | wc -l)" 1
    is "$name: and says no more" "$(grep -c 'note: .* replaced' "$work/stdout")" 0
done <<<"$all"

# ---- a folder that -o names --------------------------------------------------------------------------
ln -s there link
mkdir there
while read -r made arguments; do
    first=${made%%.*} ending=.${made#*.}
    for target in new/sub/ there there/ link; do
        run $arguments -o $target
        expect 0 "$arguments -o $target"
    done
    check "$arguments: a missing folder is made for $made" test -s "new/sub/$made"
    for wanted in "$made" "$first-2$ending" "$first-3$ending"; do
        check "$arguments -o FOLDER writes there/$wanted" test -s "there/$wanted"
    done
    out_has "^link/$first-3$ending  " "$arguments says where"
    run $arguments -o there --force
    expect 0 "$arguments -o FOLDER --force"
    check "$arguments --force makes no further file" test ! -e "there/$first-4$ending"
done <<<"out.png $generate --seed 1
sheet.png sheet star.png
flat.png layers flatten stack
stack.ora layers export stack --format ora"
is "nothing but that is there" "$(cd there && echo *)" \
    "flat-2.png flat-3.png flat.png out-2.png out-3.png out.png sheet-2.png sheet-3.png sheet.png stack-2.ora stack-3.ora stack.ora"
run edit -m micro-klein -p star $fast -i star.png -o edited/
check "edit -o FOLDER/" test -s edited/out.png
run $generate --seed 5 --count 2 -o several/
is "several in a folder" "$(echo several/*)" "several/out-5.png several/out-6.png"
run $generate --seed 5 --count 2 -o several/
is "and again" "$(echo several/*)" \
    "several/out-5-2.png several/out-5.png several/out-6-2.png several/out-6.png"
VEETANCE_NAME='{prompt}-{seed}' VEETANCE_OUTPUT_FOLDER=$work/elsewhere run $generate --seed 5 -o named/
check "by the template, in the folder of -o" test -s named/star-5.png
check "not in that of the settings" test ! -e elsewhere
run layers export stack --format psd,ora -o both/
is "an export has what was asked for" "$(echo both/*)" "both/stack.ora both/stack.psd"
run layers merge stack 0 1 -o deep.psd/
check "with a slash any name is a folder" test -s deep.psd/layers.json
refuse 1 'is not a folder' $generate -o star.png/
refuse 1 'is no folder' layers trim stack -o star.png/

# A stack does not silently replace what somebody else called by the same name.
mkdir mine
echo own >mine/composite.png
run layers import stack/stack.psd -o mine
err_has 'note: the stack that was in mine is replaced' "a composite.png that was there is told"

# Names that only differ by the seed are ours.
run $generate --seed 5 --count 2 -o n.png
run $generate --seed 5 --count 2 -o n.png
is "the seeds' names are numbered on" "$(echo n-*)" "n-5-2.png n-5.png n-6-2.png n-6.png"

# ---- streams -----------------------------------------------------------------------------------------
# The line about the result must not end up in it.
run layers export stack -o kept.psd
for target in - /dev/stdout /dev/fd/1; do
    "$program" layers export stack --format psd -o $target 2>"$work/stderr" | cat >piped.psd
    check "export -o $target has nothing but the file" cmp -s piped.psd kept.psd
    "$program" layers $layers -i "$scene" --seed 1 --format ora -o $target 2>"$work/stderr" | cat >piped.ora
    err_has 'layers of' "layers -o $target tells it elsewhere"
    run layers import piped.ora -o "from-$(basename $target)"
    expect 0 "layers -o $target has nothing but the file"
    "$program" sheet star.png -o $target 2>"$work/stderr" | cat >piped.png
    err_has '1 image$' "sheet -o $target tells it elsewhere"
    run inspect piped.png
    expect 0 "sheet -o $target"
    for words in "sheet star.png" "layers flatten stack" "layers export stack --format psd" "$generate"; do
        run $words -o $target --json
        expect 2 "$words -o $target --json"
        err_has 'both want standard output' "$words -o $target --json"
    done
done
for words in "sheet star.png" "layers flatten stack" "layers export stack --format psd"; do
    run $words -o /dev/null --json
    expect 0 "$words -o /dev/null --json"
    out_has '"path":"/dev/null"' "$words -o /dev/null --json"
done
finish
