#!/usr/bin/env bash
# preview_test.sh - early guesses while an image is made: in a file, a file a step, and drawn on a terminal.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh

# Three steps, so that there is more than one guess.
guess() {
    run generate -m micro-klein --device cpu --threads 1 --steps 3 -W 64 -H 64 -p star --seed 5 "$@"
}
names() {
    (cd "$1" && echo *)
}

# ---- files ------------------------------------------------------------------------------------------
mkdir "$work/a"
guess -o "$work/a/plain.png"
guess -o "$work/a/star.png" --preview "$work/a/now.png" --save-steps
expect 0 "previews in a file and a file a step"
is "a file a step lies beside the result" "$(names "$work/a")" \
    "now.png plain.png star-step-1.png star-step-2.png star-step-3.png star.png"
check "previews change nothing of the result" cmp -s "$work/a/plain.png" "$work/a/star.png"
check "the file has the newest" cmp -s "$work/a/now.png" "$work/a/star-step-3.png"
check "the steps differ" test -n "$(cmp "$work/a/star-step-1.png" "$work/a/star-step-2.png" 2>&1)"
if have identify; then
    is "a preview has an eighth of the size" "$(identify -format '%wx%h' "$work/a/now.png")" 8x8
fi
guess -o "$work/a/star.png" --save-steps
is "steps that are there are numbered on" "$(cd "$work/a" && echo star-step-1*)" \
    "star-step-1-2.png star-step-1.png"
guess -f -o "$work/a/star.png" --save-steps
check "--force replaces them" test ! -e "$work/a/star-step-1-3.png"
guess -o "$work/a/star.png" --preview "$work/a/now.webp"
check "a preview is of the kind that its name says" grep -q WEBP "$work/a/now.webp"

mkdir "$work/n"
guess --count 2 -o "$work/n/s.png" --save-steps --quiet
is "each image of several has its steps" "$(names "$work/n")" \
    "s-5-step-1.png s-5-step-2.png s-5-step-3.png s-5.png s-6-step-1.png s-6-step-2.png s-6-step-3.png s-6.png"

mkdir "$work/t"
guess --count 2 -o "$work/t/s.png" --transparent --save-steps --quiet
is "those of two grounds are told apart" "$(names "$work/t" | tr ' ' '\n' | grep -v 'step-[23]')" \
    "s-5-part-2-step-1.png
s-5-part-3-step-1.png
s-5-step-1.png
s-5.png
s-6-part-2-step-1.png
s-6-part-3-step-1.png
s-6-step-1.png
s-6.png"

mkdir "$work/l"
run layers -m micro-layered --device cpu --threads 1 --steps 2 -n 2 -p star -i "$work/a/star.png" -o "$work/l/parts" \
    --save-steps --preview "$work/l/sheet.png"
expect 0 "previews of layers"
is "steps of layers lie beside their folder" "$(names "$work/l")" "parts parts-step-1.png parts-step-2.png sheet.png"
run layers -m micro-layered --device cpu --threads 1 --steps 2 -n 2 -p star -i "$work/a/star.png" -o "$work/l/x.psd" \
    --save-steps
check "and beside a document" test -s "$work/l/x-step-2.png"

# What cannot be kept is refused before the work.
guess -o "$work/b.png" --preview "$work/a/now.gif"
expect 2 "an ending that is not written"
err_has "\.gif" "an ending that is not written is named"
refuse 1 "there is no folder" generate -m micro-klein -p star -o "$work/out/x.png" --preview "$work/none/now.png"
refuse 2 "needs a result with a name" generate -m micro-klein -p star -o - --save-steps
refuse 2 "standard error is none" generate -m micro-klein -p star -o "$work/out/x.png" --preview kitty
refuse 2 "standard error is none" generate -m micro-klein -p star -o "$work/out/x.png" --preview sixel

# ---- terminals --------------------------------------------------------------------------------------
on_terminal() {
    TERM=xterm script -qec "'$program' generate -m micro-klein --device cpu --threads 1 --steps 3 -W 64 -H 64 \
        -p star --seed 5 -f -o '$work/t.png' --preview $*" /dev/null >"$work/stdout" 2>"$work/stderr" </dev/null
    rc=$?
}
# How often a text is in what the terminal got.
count() {
    grep -aoF -e "$1" "$work/stdout" | wc -l
}
if have script; then
    on_terminal kitty
    expect 0 "drawn for kitty"
    is "kitty draws one a step" "$(count $'\033_Ga=T,f=24,s=256,v=256,')" 3
    check "kitty's drawing changes nothing of the result" cmp -s "$work/t.png" "$work/a/plain.png"
    on_terminal sixel
    expect 0 "drawn in sixels"
    is "sixels are drawn once a step" "$(count $'\033P0;1;0q"1;1;256;256')" 3
    is "each but the first goes back up" "$(count $'\r\033[13A')" 2
    on_terminal sixel --count 2
    is "each result has a place of its own, above its line" "$(count $'\r\033[13A')" 4
else
    skip "terminals: there is no script(1)"
fi
finish
