#!/usr/bin/env bash
# edit_test.sh - editing: images in, masks, strength, borders, the prompt cache, and what is refused.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh

fast="--device cpu --threads 1 --steps 2 --seed 1"
m="-m micro-klein -p star $fast"
run generate $m -W 64 -H 64 -o "$work/scene.png"
expect 0 "a scene to edit"
run generate $m -W 64 -H 64 --seed 2 -o "$work/other.png"
expect 0 "another one"

# ---- plain edits ------------------------------------------------------------------------------------
run edit $m -i "$work/scene.png" -o "$work/a.png"
expect 0 "an edit"
out_has '  64 x 64  ' "an edit has the first image's size"
run edit $m -i "$work/scene.png" -o "$work/b.png"
check "the same edit gives the same file" cmp -s "$work/a.png" "$work/b.png"
run edit $m -i "$work/scene.png" -i "$work/other.png" -W 96 -H 64 -o "$work/b.png" --trace "$work/t.safetensors"
expect 0 "two references and a size"
out_has '  96 x 64  ' "a size that is asked for"
check "condition tokens of two references" grep -q -a '"condition_latents":{"dtype":"F32","shape":\[1,32,64\]' "$work/t.safetensors"
check "condition ids of two references" grep -q -a '"condition_ids":{"dtype":"I64","shape":\[1,32,4\]' "$work/t.safetensors"
run edit $m -i "$work/scene.png" --strength 0.5 -o "$work/b.png" --json
expect 0 "strength without a mask"
refuse 2 'strength 0 leaves no step of 2' edit $m -i "$work/scene.png" --strength 0 -o "$work/out/a.png"
check "a strength is refused before any work" test -z "$(grep -E 'loading|encoding' "$work/stderr")"
ten=
for _ in 1 2 3 4 5 6 7 8 9 10; do
    ten="$ten -i $work/scene.png"
done
run edit $m $ten -o "$work/b.png" --steps 1
expect 0 "ten images"
refuse 2 'at most 10 images' edit $m $ten -i "$work/other.png" -o "$work/out/a.png"

# ---- images in ------------------------------------------------------------------------------------
printf 'not an image' >"$work/bad.png"
refuse 1 'bad.png' edit $m -i "$work/bad.png" -o "$work/out/a.png"
: >"$work/bad.png"
refuse 1 'bad.png' edit $m -i "$work/bad.png" -o "$work/out/a.png"
head -c 300 "$work/scene.png" >"$work/bad.png"
refuse 1 'bad.png' edit $m -i "$work/bad.png" -o "$work/out/a.png"
refuse 1 'is a folder\|not a regular file\|no regular' edit $m -i "$work" -o "$work/out/a.png"
refuse 1 'No such file' edit $m -i "$work/scene.png" --mask "$work/nowhere.png" -o "$work/out/a.png"
# A PNG that claims 60,000 x 60,000 pixels in its header.
{
    printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0\xe1\x0d\x2d\x1e'
    tail -c +34 "$work/scene.png"
} >"$work/huge.png"
refuse 1 '60000 x 60000\|60000' edit $m -i "$work/huge.png" -o "$work/out/a.png"

if ! have convert || ! have compare; then
    skip "masks and other formats (need ImageMagick)"
    finish
fi
im() {
    convert "$@" 2>"$work/im"
}
# Differing pixels between two images, alpha and all.
differing() {
    compare -metric AE "$1" "$2" null: 2>&1
}

im "$work/scene.png" -quality 90 "$work/scene.jpg"
run edit $m -i "$work/scene.jpg" -o "$work/b.png"
expect 0 "a JPEG"
head -c $(($(wc -c <"$work/scene.jpg") / 2)) "$work/scene.jpg" >"$work/half.jpg"
run edit $m -i "$work/half.jpg" -o "$work/b.png"
is "a JPEG cut in half is refused, or read with a note (exit code 1 or 0)" "$(printf %s $rc | tr 1 0)" 0
err_has 'half.jpg' "a JPEG cut in half is named"
im -size 64x64 xc:red xc:blue -loop 0 "$work/two.webp" && run edit $m -i "$work/two.webp" -o "$work/b.png" &&
    if grep -q -a ANIM "$work/two.webp"; then
        expect 0 "an animated WebP"
        err_has 'note: .*frame' "an animated WebP is said to be one"
        run edit $m -i "$work/two.webp" -o "$work/b.png" -q
        is "notes of images obey --quiet" "$(cat "$work/stderr")" ""
        run edit $m -i "$work/two.webp" -o "$work/b.png" --json -q
        out_has '"notes":\[".*frame' "notes of images are in the JSON"
    else
        skip "an animated WebP (this ImageMagick writes none)"
    fi
im -size 5x3 xc:red "$work/tiny.png"
refuse 2 '5 x 3' edit $m -i "$work/tiny.png" -o "$work/out/a.png"
refuse 2 '5 x 3' edit $m -i "$work/tiny.png" --strength 1 -o "$work/out/a.png"
im -size 1000x70 xc:red "$work/long.png"
refuse 2 '1000 x 70' edit $m -i "$work/long.png" -o "$work/out/a.png"

# ---- masks ------------------------------------------------------------------------------------------
# White: the left half is painted.
im -size 64x64 xc:black -fill white -draw 'rectangle 0,0 31,63' "$work/left.png"
im -size 64x64 xc:black "$work/none.png"
im -size 64x64 xc:white "$work/all.png"
run edit $m -i "$work/scene.png" --mask "$work/left.png" -o "$work/b.png"
expect 0 "a mask"
im "$work/scene.png" -crop 32x64+32+0 +repage "$work/keep0.png"
im "$work/b.png" -crop 32x64+32+0 +repage "$work/keep1.png"
is "what the mask keeps is the same to the bit" "$(differing "$work/keep0.png" "$work/keep1.png")" 0
check "what the mask paints is another image" test "$(differing "$work/scene.png" "$work/b.png")" -gt 500
run edit $m -i "$work/scene.png" --mask "$work/left.png" --feather 8 -o "$work/f.png"
expect 0 "a soft edge"
im "$work/f.png" -crop 32x64+32+0 +repage "$work/keep1.png"
is "what the mask keeps is the same with a soft edge" "$(differing "$work/keep0.png" "$work/keep1.png")" 0
im "$work/f.png" -crop 23x64+0+0 +repage "$work/far0.png"
im "$work/b.png" -crop 23x64+0+0 +repage "$work/far1.png"
is "far from the edge a soft edge changes nothing" "$(differing "$work/far0.png" "$work/far1.png")" 0
check "near the edge it does" test "$(differing "$work/f.png" "$work/b.png")" -gt 100
run edit $m -i "$work/scene.png" -i "$work/other.png" --mask "$work/left.png" -o "$work/r.png"
expect 0 "a mask and a reference"
check "a reference matters" test "$(differing "$work/r.png" "$work/b.png")" -gt 100
run edit $m -i "$work/scene.png" --mask "$work/all.png" --strength 1 -o "$work/all1.png"
expect 0 "everything is painted"
refuse 2 'the mask is empty' edit $m -i "$work/scene.png" --mask "$work/none.png" -o "$work/out/a.png"

im "$work/left.png" -resize 32x32 "$work/small.png"
run edit $m -i "$work/scene.png" --mask "$work/small.png" -o "$work/c.png"
expect 0 "a mask of another size"
err_has 'note: the mask is 32 x 32, the image 64 x 64' "a mask of another size is said to be one"
im -size 64x20 xc:white "$work/flat.png"
refuse 2 'the mask is 64 x 20, the image 64 x 64' edit $m -i "$work/scene.png" --mask "$work/flat.png" -o "$work/out/a.png"

# Transparent where the mask was white: the same image.
im "$work/scene.png" \( "$work/left.png" -negate \) -alpha off -compose CopyOpacity -composite "png32:$work/alpha.png"
run edit $m -i "$work/alpha.png" --mask alpha -o "$work/c.png"
expect 0 "a mask from alpha"
im "$work/alpha.png" -background white -flatten "$work/onwhite.png"
run edit $m -i "$work/onwhite.png" --mask "$work/left.png" -o "$work/d.png"
is "a mask from alpha paints what the same mask as a file paints" "$(differing "$work/d.png" "$work/c.png")" 0
run edit $m -i "$work/alpha.png" --mask alpha --matte none -o "$work/c.png"
is "without a matte, over the colours that lie there" "$(differing "$work/b.png" "$work/c.png")" 0
refuse 2 'the matte is .beige.' edit $m -i "$work/alpha.png" --matte beige -o "$work/out/a.png"

# A mask of strokes on a transparent layer, white or black.
for ink in white black; do
    im -size 64x64 xc:none -fill $ink -draw 'rectangle 0,0 31,63' "png32:$work/strokes.png"
    run edit $m -i "$work/scene.png" --mask "$work/strokes.png" -o "$work/c.png"
    expect 0 "a mask of $ink strokes"
    is "$ink strokes paint what they cover" "$(differing "$work/b.png" "$work/c.png")" 0
done
err_has 'note: the mask has nothing white' "black strokes are said to be read as a mask"

# Alpha outside the mask stays, and so do sides that are no whole tokens.
im "$work/scene.png" -crop 61x59+0+0 +repage -alpha set -channel A -evaluate set 40% +channel "png32:$work/soft.png"
im "$work/left.png" -crop 61x59+0+0 +repage "$work/soft-mask.png"
run edit $m -i "$work/soft.png" -i "$work/other.png" --mask "$work/soft-mask.png" -o "$work/c.png"
expect 0 "a soft image and a mask"
out_has '  61 x 59  ' "the result has the image's size"
im "$work/soft.png" -crop 29x59+32+0 +repage "$work/keep0.png"
im "$work/c.png" -crop 29x59+32+0 +repage "$work/keep1.png"
is "kept parts keep their alpha" "$(differing "$work/keep0.png" "$work/keep1.png")" 0
is "painted parts are opaque" "$(identify -format '%[fx:p{3,3}.a]' "$work/c.png")" 1
im "$work/scene.png" -crop 32x64+32+0 +repage "$work/keep0.png"
refuse 2 'alpha, but it has none' edit $m -i "$work/scene.png" --mask alpha -o "$work/out/a.png"
im -size 64x64 xc:red "png32:$work/opaque.png"
refuse 2 'the mask is empty' edit $m -i "$work/opaque.png" --mask alpha -o "$work/out/a.png"

# ---- borders ----------------------------------------------------------------------------------------
run edit $m -i "$work/scene.png" --extend 16,0,32,16 -o "$work/w.png"
expect 0 "a border"
out_has '  112 x 80  ' "a border adds to the size"
im "$work/w.png" -crop 64x64+16+0 +repage "$work/inner.png"
is "inside the border the image is the same to the bit" "$(differing "$work/scene.png" "$work/inner.png")" 0
run edit $m -i "$work/scene.png" --mask "$work/left.png" --extend 16,0,0,0 -o "$work/w.png"
expect 0 "a border and a mask"
im "$work/w.png" -crop 32x64+48+0 +repage "$work/inner.png"
is "a border leaves alone what the mask keeps" "$(differing "$work/keep0.png" "$work/inner.png")" 0
run edit $m -i "$work/scene.png" --mask "$work/small.png" --extend 16,0,0,0 -o "$work/x.png"
expect 0 "a border and a mask of another size"
im "$work/x.png" -crop 28x64+52+0 +repage "$work/inner.png"
im "$work/scene.png" -crop 28x64+36+0 +repage "$work/inner0.png"
is "a mask of another size stays on its image" "$(differing "$work/inner0.png" "$work/inner.png")" 0
run edit $m -i "$work/scene.png" --extend 10,0,0,0 -o "$work/w.png"
expect 0 "a border that is no whole token"
out_has '  74 x 64  ' "a border that is no whole token"
im "$work/w.png" -crop 64x64+10+0 +repage "$work/inner.png"
is "what is inside it is the same to the bit" "$(differing "$work/scene.png" "$work/inner.png")" 0
run edit $m -i "$work/scene.png" --extend 10,0,0,0 --matte none -o "$work/w.png"
err_has 'note: the image of 74 x 64 is resampled to 64 x 64' "as the reference implementation does it"
refuse 1 'megapixels' edit $m -i "$work/scene.png" --extend 8192,8192,8192,8192 -o "$work/out/a.png"

# ---- contact sheets ---------------------------------------------------------------------------------
run sheet "$work/scene.png" "$work/other.png" "$work/alpha.png" -c 2 --gap 4 -o "$work/sheet.png"
expect 0 "a sheet"
is "a sheet of two columns" "$(identify -format '%wx%h' "$work/sheet.png")" \
    "$(identify -format '%wx%h' "$work/sheet.png" | grep -E '^1[34][0-9]x1[34][0-9]$')"
refuse 2 'name the images' sheet -o "$work/out/s.png"
refuse 1 'nowhere.png' sheet -o "$work/out/s.png" "$work/scene.png" "$work/nowhere.png"
refuse 1 'bad.png' sheet -o "$work/out/s.png" "$work/bad.png"
refuse 1 "there is no folder '$work/nowhere'" sheet -o "$work/nowhere/s.png" "$work/scene.png"
refuse 1 'name the sheet to write with -o' sheet "$work/out/s.png" "$work/scene.png"
mkdir "$work/g"
cp "$work/scene.png" "$work/g/1.png"
cp "$work/other.png" "$work/g/2.png"
before=$(cksum <"$work/g/1.png")
(cd "$work/g" && "$program" sheet ./*.png >"$work/stdout" 2>"$work/stderr")
rc=$?
expect 0 "a sheet of all images here"
is "no image is overwritten" "$(cksum <"$work/g/1.png")" "$before"
check "the sheet has a name of its own" test -s "$work/g/sheet.png"

# What a shell makes of -i *.png.
mkdir "$work/refs"
cp "$work/scene.png" "$work/refs/1.png"
cp "$work/other.png" "$work/refs/2.png"
(cd "$work/refs" && "$program" edit $m -i ./*.png -o "$work/refs.png" >"$work/stdout" 2>"$work/stderr")
rc=$?
expect 0 "several images behind one -i"
run edit $m -i "$work/refs/1.png" -i "$work/refs/2.png" -o "$work/refs2.png"
check "they are references" cmp -s "$work/refs.png" "$work/refs2.png"
refuse 2 'is not expected here' edit $m "$work/scene.png" -o "$work/out/a.png"

# Standard input and pipes.
"$program" edit $m -i - -o "$work/stdin.png" <"$work/scene.png" >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 0 "-i -"
run edit $m -i <(cat "$work/scene.png") -o "$work/pipe.png"
expect 0 "-i <(...)"
run edit $m -i "$work/scene.png" -o "$work/plain.png"
# Their recipes name other files.
is "-i - is the same image" "$(differing "$work/stdin.png" "$work/plain.png")" 0
is "-i <(...), too" "$(differing "$work/pipe.png" "$work/plain.png")" 0
refuse 2 'standard input can be one of' edit $m -i - --mask - -o "$work/out/a.png"

# ---- the prompt cache -------------------------------------------------------------------------------
# cached WHAT YES-OR-NO ARGUMENTS...: whether the text encoder was left alone.
cached() {
    local what=$1 yes=$2 text
    shift 2
    run "$@" --json
    expect 0 "$what"
    text=$(sed -E 's/.*"text":([0-9.]+).*/\1/' "$work/stdout")
    checks=$((checks + 1))
    case $yes:$text in
    yes:0.0000 | yes:0) ;;
    no:0.0000 | no:0) fail "$what: the text encoder was not asked" ;;
    no:*) ;;
    *) fail "$what: the text encoder took $text s" ;;
    esac
}
files_in() {
    find "$1" -type f | wc -l
}
g="generate $m -W 64 -H 64"
cached "no cache" no $g -o "$work/c0.png"
cached "an empty cache" no $g -o "$work/c1.png" --cache "$work/cache"
is "one file for one prompt" "$(files_in "$work/cache")" 1
cached "a hit" yes $g -o "$work/c2.png" --cache "$work/cache"
is "a hit says nothing of text" "$(grep -c 'encoding the prompt' "$work/stderr")" 0
check "the image is the same without a cache" cmp -s "$work/c0.png" "$work/c1.png"
check "the image is the same after a hit" cmp -s "$work/c0.png" "$work/c2.png"
cached "another prompt" no generate $m -W 64 -H 64 -p circle -o "$work/c3.png" --cache "$work/cache"
cached "another length" no $g --max-tokens 41 -o "$work/c3.png" --cache "$work/cache"
is "three files for three embeddings" "$(files_in "$work/cache")" 3
cached "an edit with the prompt of an image" yes edit $m -i "$work/scene.png" -o "$work/c4.png" --cache "$work/cache"
# The same weights under another configuration are another text encoder.
sed -E 's/"rope_theta": [0-9.]+/"rope_theta": 5000.0/' "$models/micro-klein/text_encoder/config.json" >"$work/config.json"
check "the configuration is another one" test -n "$(cmp "$work/config.json" "$models/micro-klein/text_encoder/config.json" 2>&1)"
model theta "{\"base\":\"$models/micro-klein\",\"defaults\":{\"max_tokens\":40},
    \"components\":{\"text_encoder\":{\"weights\":\"$models/micro-klein/text_encoder/model.safetensors\",\"config\":\"$work/config.json\"}}}"
cached "another configuration" no $g -m "$work/theta" -o "$work/c3.png" --cache "$work/cache"
# Broken entries are made again.
rm -rf "$work/cache"
run $g -o "$work/c3.png" --cache "$work/cache"
entry=$(echo "$work/cache"/*)
cp "$entry" "$work/entry"
head -c 1000 "$work/entry" >"$entry"
cached "an entry cut short" no $g -o "$work/c3.png" --cache "$work/cache"
check "an entry cut short is replaced" cmp -s "$entry" "$work/entry"
put "$entry" 0 '\000\000\300\177'
cached "an entry with NaN" no $g -o "$work/c3.png" --cache "$work/cache"
check "an entry with NaN is replaced" cmp -s "$entry" "$work/entry"
check "the image is the same after all that" cmp -s "$work/c0.png" "$work/c3.png"
: >"$work/file"
cached "a cache that cannot be written" no $g -o "$work/c3.png" --cache "$work/file"
finish
