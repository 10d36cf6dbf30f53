#!/usr/bin/env bash
# mask_test.sh - masks made and shaped, edits of the part around one, and edits without their tint and shift.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh

if ! have convert || ! have compare; then
    skip "masks (need ImageMagick)"
    finish
fi
im() {
    convert "$@" 2>"$work/im"
}
differing() {
    compare -metric AE "$1" "$2" null: 2>&1
}

# ---- making them ------------------------------------------------------------------------------------
im -size 60x40 xc:'#00b140' -fill '#202020' -draw 'rectangle 20,10 39,29' "$work/green.png"
im -size 60x40 xc:white -fill black -draw 'rectangle 20,10 39,29' "$work/ground.png"
im "$work/ground.png" -negate "$work/figure.png"
run mask "$work/green.png" --colour '#00b140' --tolerance 0 -o "$work/m.png"
expect 0 "a mask of a colour"
out_has '60 x 40  83.3 % painted' "how much of it is painted"
is "that colour is painted" "$(differing "$work/m.png" "$work/ground.png")" 0
is "a mask is grey" "$(identify -format '%[channels]' "$work/m.png" | cut -c 1-4)" gray
run mask "$work/green.png" --colour '#10a150' -o "$work/m.png"
is "and what is near it" "$(differing "$work/m.png" "$work/ground.png")" 0
run mask "$work/green.png" --colour '#10a150' --tolerance 8 -o "$work/m.png"
err_has 'note: the mask is empty' "nothing has the colour"
run mask "$work/green.png" --threshold 80 --invert -o "$work/m.png"
is "what is dark, turned round" "$(differing "$work/m.png" "$work/figure.png")" 0
im "$work/green.png" \( "$work/figure.png" \) -alpha off -compose CopyOpacity -composite "png32:$work/cut.png"
run mask "$work/cut.png" --alpha -o "$work/m.png"
is "a mask of alpha" "$(differing "$work/m.png" "$work/ground.png")" 0
refuse 2 'alpha, but it has none' mask "$work/green.png" --alpha -o "$work/out/a.png"
im -size 60x40 xc:white \( "$work/figure.png" \) -alpha off -compose CopyOpacity -composite "png32:$work/white.png"
run mask "$work/white.png" --threshold 128 -o "$work/m.png"
is "white under alpha 0 is not light" "$(differing "$work/m.png" "$work/figure.png")" 0
run mask "$work/figure.png" --json -o "$work/m.png"
expect 0 "a mask of a mask"
out_has '"width":60,"height":40,"painted":0.166667' "JSON"
is "a mask of a mask" "$(differing "$work/m.png" "$work/figure.png")" 0
im -size 60x40 xc:black -fill white -draw 'rectangle 24,14 35,25' "$work/inner.png"
run mask "$work/figure.png" --grow -4 -o "$work/m.png"
is "a mask is shrunk" "$(differing "$work/m.png" "$work/inner.png")" 0
run mask "$work/figure.png" --feather 4 -o "$work/m.png"
is "a soft edge is half at the edge" "$(identify -format '%[fx:round(255*(p{20,20}+p{19,20}))]' "$work/m.png")" 255
is "and reaches no further" "$(identify -format '%[fx:p{15,20}] %[fx:p{24,20}]' "$work/m.png")" "0 1"
run mask "$work/green.png" --threshold 80 -o - -q
is "a mask on standard output" "$(head -c 4 "$work/stdout" | tail -c 3)" PNG

# ---- edits ------------------------------------------------------------------------------------------
m="-m micro-klein -p star --device cpu --threads 1 --steps 2 --seed 1"
im -size 200x150 plasma:red-blue -seed 3 -depth 8 "$work/large.png"
im -size 200x150 xc:black -fill white -draw 'rectangle 150,100 199,120' "$work/part.png"
run edit $m -i "$work/large.png" --mask "$work/part.png" --crop-to-mask --crop-padding 16 -o "$work/a.png"
expect 0 "the part around a mask"
err_has 'note: the part of 66 x 53 around the mask is painted at 143 x 115' "the part is said"
out_has '  200 x 150  ' "the result is the whole"
im "$work/large.png" -fill black -draw 'rectangle 150,100 199,120' "$work/keep0.png"
im "$work/a.png" -fill black -draw 'rectangle 150,100 199,120' "$work/keep1.png"
is "outside the mask every pixel stays" "$(differing "$work/keep0.png" "$work/keep1.png")" 0
check "inside it is another image" test "$(differing "$work/large.png" "$work/a.png")" -gt 700
run edit $m -i "$work/large.png" --mask "$work/part.png" --crop-to-mask -W 64 -H 64 -o "$work/b.png"
err_has 'is painted at 6[0-9] x 6[0-9]' "a size is that of the part"
run edit --device cpu --threads 1 --from "$work/a.png" -i "$work/large.png" --mask "$work/part.png" -o "$work/b.png"
expect 0 "a recipe with a mask is run again"
is "and gives the same image" "$(differing "$work/a.png" "$work/b.png")" 0
run inspect "$work/a.png"
out_has 'cropped     to the mask and 16 pixels around it' "the recipe says so"
check "in Automatic1111's words" grep -qa 'Inpaint area: Only masked, Masked area padding: 16' "$work/a.png"
refuse 2 'crop_to_mask keeps every pixel' edit $m -i "$work/large.png" --mask "$work/part.png" --crop-to-mask --matte none -o "$work/out/a.png"
refuse 2 'the mask is empty after it is shrunk by 40' edit $m -i "$work/large.png" --mask "$work/part.png" --mask-grow -40 -o "$work/out/a.png"
im "$work/part.png" -negate "$work/other-part.png"
run edit $m -i "$work/large.png" --mask "$work/other-part.png" --mask-invert --crop-to-mask --crop-padding 16 -o "$work/b.png"
is "a mask turned round" "$(differing "$work/a.png" "$work/b.png")" 0
run edit $m -i "$work/large.png" --mask "$work/part.png" --crop-to-mask --crop-padding 0 --feather 9 -o "$work/b.png"
im "$work/large.png" -crop 50x1+150+100 +repage "$work/edge0.png"
im "$work/b.png" -crop 50x1+150+100 +repage "$work/edge1.png"
check "a soft edge begins at what is kept, without padding, too" test \
    "$(compare -metric PAE "$work/edge0.png" "$work/edge1.png" null: 2>&1 | cut -d ' ' -f 1 | cut -d . -f 1)" -le 6682
run plan edit $m -i "$work/large.png" --mask "$work/part.png" --crop-to-mask -W 512 -H 512 --json
expect 0 "a plan"
large=$(grep -o '"peak_bytes":[0-9]*' "$work/stdout" | head -n 1 | cut -d : -f 2)
run plan edit $m -i "$work/large.png" --mask "$work/part.png" --crop-to-mask --json
small=$(grep -o '"peak_bytes":[0-9]*' "$work/stdout" | head -n 1 | cut -d : -f 2)
check "a plan knows the size of the part" test "$large" -gt "$small"

run edit $m -i "$work/large.png" --mask "$work/part.png" --match-colours --register -o "$work/c.png"
expect 0 "an edit without its tint and shift"
im "$work/c.png" -fill black -draw 'rectangle 150,100 199,120' "$work/keep1.png"
is "outside the mask every pixel stays, too" "$(differing "$work/keep0.png" "$work/keep1.png")" 0
im -size 200x150 xc:white "$work/all.png"
run edit $m -i "$work/large.png" --mask "$work/all.png" --match-colours --register -o "$work/c.png"
err_has 'note: match_colours has no effect: next to nothing is kept' "nothing tells of a tint"
err_has 'note: register has no effect' "nothing tells of a shift"

# ---- two grounds --------------------------------------------------------------------------------------
run generate -m micro-klein -p "a big red circle on a white background" --seed 1 --device cpu --transparent -o "$work/t.png"
expect 0 "a subject with alpha"
is "its ground is seen through" "$(identify -format '%[fx:p{4,4}.a] %[fx:p{64,64}.a>0.98]' "$work/t.png")" "0 1"
run inspect "$work/t.png"
out_has 'alpha       from two grounds' "the recipe says so"
refuse 2 'transparent makes a whole image' edit $m -i "$work/large.png" --mask "$work/part.png" --transparent -o "$work/out/a.png"
finish
