#!/usr/bin/env bash
# What Veetance does today, with the models that come with it: images in demo/.
# A subcommand that the program does not have yet is named and left out.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly OUT=demo
readonly VEETANCE=${VEETANCE:-build/veetance}
readonly KLEIN=micro-klein LAYERED=micro-layered
readonly PROMPTS=(
    'a big red circle on a white background'
    'a blue star on a yellow background'
    'a green square to the left of a pink heart on white'
    'a yellow moon above a purple ring on a black background'
    'a large orange hexagon on a blue to black gradient background'
    'a small white diamond in the top left corner on a red background'
)
# Scenes that the layered model never saw, and how many layers each has.
readonly SCENES=(scene-00:3 scene-01:4 scene-05:4)
readonly EDITS=(
    'make the circle green'
    'change the background to yellow'
)

say() { printf 'demo: %s\n' "$*"; }

# Whether the program's own help lists the subcommand.
has() { grep -qE "^ *(veetance +)?$1( |\$)" <<<"$HELP"; }

require() {
    has "$1" && return
    say "this build has no \"veetance $1\": left out"
    return 1
}

generate() {
    local i=0 prompt
    require generate || return 0
    for prompt in "${PROMPTS[@]}"; do
        i=$((i + 1))
        say "generate: $prompt"
        "$VEETANCE" generate -m "$KLEIN" -p "$prompt" --seed "$i" --quiet -o "$OUT/generate_$i.png"
        IMAGES+=("$OUT/generate_$i.png")
    done
}

edit() {
    local i=0 prompt
    require edit || return 0
    [[ -f $OUT/generate_1.png ]] || return 0
    for prompt in "${EDITS[@]}"; do
        i=$((i + 1))
        say "edit $OUT/generate_1.png: $prompt"
        "$VEETANCE" edit -m "$KLEIN" -i "$OUT/generate_1.png" -p "$prompt" --seed "$i" --quiet \
            -o "$OUT/edit_$i.png"
        IMAGES+=("$OUT/edit_$i.png")
    done
}

# One row: the image, its layers from the bottom up, and what they make together.
explode() {
    local image=$1 dir=$2
    "$VEETANCE" sheet "$image" "$dir"/layer_*.png "$dir/composite.png" -c 8 -q -o "$dir-exploded.png"
    EXPLODED+=("$dir-exploded.png")
}

# take_apart PICTURE LAYERS FOLDER
take_apart() {
    say "layers of $1: $3"
    rm -f "$3"/layer_*.png
    "$VEETANCE" layers -m "$LAYERED" -i "$1" -n "$2" --seed 1 --format psd,ora,pptx --quiet -o "$3"
    if has sheet; then explode "$1" "$3"; fi
}

layers() {
    local scene i=0
    require layers || return 0
    for scene in "${SCENES[@]}"; do
        i=$((i + 1))
        take_apart "tests/data/micro/layered/${scene%:*}-input.png" "${scene#*:}" "$OUT/layers_$i"
    done
    if [[ -f $OUT/generate_3.png ]]; then
        take_apart "$OUT/generate_3.png" 3 "$OUT/layers_of_generate_3"
    fi
    [[ ${#EXPLODED[@]} -gt 0 ]] || return 0
    "$VEETANCE" sheet "${EXPLODED[@]}" -c 1 -q -o "$OUT/layers.png"
    say "all layers on one sheet: $OUT/layers.png"
}

sheet() {
    [[ ${#IMAGES[@]} -gt 0 ]] || return 0
    require sheet || return 0
    "$VEETANCE" sheet "${IMAGES[@]}" -q -o "$OUT/sheet.png"
    say "all on one sheet: $OUT/sheet.png"
}

mkdir -p "$OUT"
export VEETANCE_MODELS=${VEETANCE_MODELS:-$PWD/models}
HELP=$("$VEETANCE" help)
IMAGES=()
EXPLODED=()
generate
edit
layers
sheet
say "${#IMAGES[@]} images in $PWD/$OUT"
