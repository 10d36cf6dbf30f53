#!/usr/bin/env bash
# everyday_test.sh - every command with what people really give it: pipes, odd names, full disks, folders that may not be
# written, JSON, terminals, Ctrl-C.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh
export VEETANCE_HOME=$work/home
vae=$PWD/models/micro-klein/vae
cd "$work" || exit 1
fast="--device cpu --threads 1 --steps 1 -W 64 -H 64"
layers="layers -m micro-layered --device cpu --threads 1 --steps 2 --resolution 64 --keep-empty -n 2"
quick generate --seed 1 -o star.png
run $layers -i star.png -o stack --format psd,ora,zip
expect 0 "a stack to work on"

# ---- what comes through a pipe -----------------------------------------------------------------------
run inspect star.png
cp "$work/stdout" want
for from in "/dev/stdin" "-"; do
    "$program" inspect $from <star.png >"$work/stdout" 2>"$work/stderr"
    rc=$?
    expect 0 "inspect $from"
    check "inspect $from tells the same" cmp -s <(tail -n +2 want) <(tail -n +2 "$work/stdout")
done
run inspect <(cat star.png)
expect 0 "inspect <(...)"
out_has 'prompt  *star' "inspect <(...) finds the recipe"
run inspect <(cat stack/stack.psd)
expect 0 "inspect <(...) of a PSD"
out_has 'layers  *psd, 64 x 64, 2 layers' "inspect <(...) knows its layers"
run inspect <(cat stack/stack.ora)
expect 1 "inspect <(...) of what is no image"
err_has 'is no image; checkpoints are read from files alone' "inspect <(...) says why"
run layers flatten stack -o want.png
for kind in psd ora zip; do
    run layers flatten <(cat stack/stack.$kind) -o flat.png --force
    expect 0 "layers flatten <(...) of a $kind"
    check "a $kind through a pipe is the same" cmp -s want.png flat.png
done
"$program" layers import - -o imported <stack/stack.ora >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 0 "layers import -"
check "it is the same stack" cmp -s stack/layers.json imported/layers.json
run layers flatten stack/layers.json -o flat.png --force
expect 0 "the manifest stands for its folder"
(cd stack && "$program" layers flatten layers.json -o ../flat.png --force) >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 0 "the manifest of this folder"
printf 'nonsense' >nonsense
run layers flatten <(cat nonsense) -o flat.png
expect 1 "a pipe of nonsense"
run sheet -o sheet.png - -
expect 2 "standard input twice"
err_has 'standard input is one image, and is named 2 times' "standard input twice"
"$program" generate --from - $fast -o again.png <star.png >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 0 "generate --from -"
"$program" edit --from - $fast <star.png >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 2 "edit --from - of what was generated"
run edit -m micro-klein -p x $fast -i <(cat star.png) --mask <(cat star.png) -o edited.png
expect 0 "edit with an image and a mask through pipes"
run layers flatten "" -o x.png
expect 1 "an empty name"
run inspect ""
expect 2 "an empty name for inspect"
err_has 'name a file or folder' "an empty name for inspect"

# ---- names -------------------------------------------------------------------------------------------
for name in 'a b' 'ünïcödé 猫' -dash "quo'te\"" $'new\nline' '*?[x]' '%s%n' '~' "\$(x)"; do
    run generate -m micro-klein -p star $fast -o "$name.png" -q
    expect 0 "generate -o '$name.png'"
    run edit -m micro-klein -p star $fast -i "$name.png" -o "$name.png" --force -q
    expect 0 "edit -i '$name.png'"
    run sheet -o "$name.jpg" -q -- "$name.png"
    expect 0 "sheet -- '$name.png'"
    run inspect --json -- "$name.png"
    expect 0 "inspect -- '$name.png'"
    if have jq; then
        is "JSON has the name as it is" "$(jq -r .path "$work/stdout")" "$name.png"
    fi
    run layers export stack -o "$name.psd" -q
    expect 0 "export -o '$name.psd'"
    run layers import -o "$name" -q -- "$name.psd"
    expect 0 "import -- '$name.psd'"
    run layers trim -q -o "$name" -f -- "$name"
    expect 0 "trim -- '$name'"
    run convert -q -- "$vae" "$name.gguf"
    expect 0 "convert to '$name.gguf'"
    check "all of them are there" test -s "./$name.png" -a -s "./$name.jpg" -a -s "./$name.psd" -a -s "./$name/layers.json" -a -s "./$name.gguf"
done

# ---- a full disk -------------------------------------------------------------------------------------
if [ -c /dev/full ]; then
    for words in "generate -m micro-klein -p star $fast" "sheet star.png" "layers flatten stack" "$layers -i star.png --format ora" \
        "layers export stack --format psd" "layers export stack --format pptx" "layers export stack --format zip"; do
        run $words -o /dev/full
        expect 1 "$words -o /dev/full"
        err_has 'No space left on device' "$words -o /dev/full"
        is "$words -o /dev/full has no result" "$(cat "$work/stdout")" ""
    done
    check "/dev/full is still a device" test -c /dev/full
    for words in "devices" "models list" "settings --json" "inspect star.png" "store limits" "plan generate -m micro-klein -p x" \
        "sheet star.png -o s.png" "sheet star.png -o s.png --json" "layers trim stack -o trimmed" "doctor"; do
        "$program" $words >/dev/full 2>"$work/stderr"
        rc=$?
        expect 1 "$words >/dev/full"
        err_has 'cannot write to standard output' "$words >/dev/full"
    done
fi

# ---- a folder that may not be written ----------------------------------------------------------------
# Root may write everywhere, but for what the kernel holds.
locked=/proc/self
[ "$(id -u)" = 0 ] || { mkdir locked && chmod 555 locked && locked=$work/locked; }
for words in "generate -m micro-klein -p star $fast" "sheet star.png" "layers flatten stack"; do
    for target in $locked/x.png $locked/ $locked/new/; do
        refuse 1 "cannot \(write\|make the folder\) '$locked" $words -o $target
        check "it is refused before any work" test -z "$(grep -E 'loading|encoding' "$work/stderr")"
    done
done
for words in "layers trim stack" "$layers -i star.png" "layers export stack"; do
    refuse 1 "cannot write '$locked" $words -o $locked/x
    refuse 1 "cannot write '$locked" $words -o $locked/x.psd
done
refuse 1 "$locked" convert $vae $locked/x.gguf

# ---- convert -----------------------------------------------------------------------------------------
refuse 2 "ends neither in .gguf nor in .safetensors; did you mean 'gguf'?" convert $vae "$work/out/x.guff"

# ---- JSON of failures --------------------------------------------------------------------------------
while read -r code words; do
    run $words --json
    [ "$rc" != 0 ] || fail "$words --json: a failure was expected"
    out_has "^{\"error\":{\"code\":\"$code\",\"message\":\"[^\"]" "$words --json"
    is "$words --json: one line" "$(wc -l <"$work/stdout")" 1
    is "$words --json: one sentence beside it" "$(sentences)" 1
done <<<"not_found generate -m nowhere -p x
not_found edit -m micro-klein -p x -i nowhere.png
not_found caption -m micro-layered -i nowhere.png
not_found inspect nowhere
not_found convert nowhere x.gguf
not_found sheet nowhere.png
not_found layers flatten nowhere -o x.png
argument layers merge stack 0 9 -o x
argument layers split stack --layer 9 -m micro-layered -o x
not_found models show nowhere
argument models set micro-klein distilled=yes
argument models remove micro-klein
not_found store check --store nowhere
device devices --pin toaster
argument settings set budget lots
not_found bench -m nowhere
not_found plan generate -m nowhere -p x"

# ---- terminals ---------------------------------------------------------------------------------------
if have script; then
    in_terminal() {
        TERM=$1 script -qec "$2" /dev/null >"$work/stdout" 2>"$work/stderr" </dev/null
        rc=$?
    }
    escape=$(printf '\033')
    for c in "help" "generate --help" "devices" "doctor" "models list" "settings" "inspect star.png"; do
        NO_COLOR=1 in_terminal xterm-256color "'$program' $c"
        is "$c has no colours" "$(grep -c "$escape" "$work/stdout")" 0
    done
    in_terminal xterm-256color "'$program' generate -m micro-klein -p star $fast -o t.png --force"
    expect 0 "progress on a terminal"
    check "the line is drawn anew" grep -q "$escape\[K.*step 1 of 1" "$work/stdout"
    is "there is nothing but that" "$(grep -o "$escape\[[0-9;]*[A-Za-z]" "$work/stdout" | sort -u)" "${escape}[K"
    in_terminal dumb "'$program' generate -m micro-klein -p star $fast -o t.png --force"
    is "a terminal that cannot gets lines" "$(grep -c "$escape" "$work/stdout")" 0
    out_has 'running 1 step' "a terminal that cannot gets lines"
fi

# ---- Ctrl-C ------------------------------------------------------------------------------------------
# While an image is waited for on standard input.
mkfifo held
exec 9<>held
set -m
"$program" $layers -i - -o waiting <&9 >"$work/stdout" 2>"$work/stderr" &
pid=$!
set +m
for _ in $(seq 200); do
    grep -q '^State:.S' "/proc/$pid/status" && break
    sleep 0.05
done
kill -INT $pid
for _ in $(seq 200); do
    kill -0 $pid 2>/dev/null || break
    sleep 0.05
done
check "Ctrl-C ends waiting for an image" test ! -d "/proc/$pid"
kill -KILL $pid 2>/dev/null
wait $pid
rc=$?
exec 9>&-
expect 130 "Ctrl-C while an image is waited for"
finish
