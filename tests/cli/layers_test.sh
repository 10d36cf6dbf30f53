#!/usr/bin/env bash
# layers_test.sh - images taken apart: the folder, its exports, the tools, and what is refused.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh

scene=tests/data/micro/layered/scene-00-input.png
fast="--device cpu --threads 1 --steps 2 --resolution 64 --seed 1"
m="-m micro-layered $fast"
captioner="-m micro-layered --device cpu --threads 1"

# What a stack looks like, by its manifest.
layer_count() {
    grep -c '"file"' "$1/layers.json"
}

# ---- taking apart -----------------------------------------------------------------------------------
run layers -m micro-layered --device cpu -i "$scene" -n 3 --seed 3000 -o "$work/a" --format psd,ora,pptx,zip
expect 0 "an image is taken apart"
for f in layer_0.png layer_1.png layer_2.png composite.png layers.json stack.psd stack.ora stack.pptx stack.zip; do
    check "$f is there" test -s "$work/a/$f"
done
is "files in the folder" "$(find "$work/a" -type f | wc -l)" 9
is "layers in layers.json" "$(layer_count "$work/a")" 3
check "the bottom layer is the background" grep -q '"name": "background"' "$work/a/layers.json"
out_has 'seed 3000' "the seed is told"
out_has 'recomposed against the source: [23][0-9]\.' "the source is matched"
out_has "model's own composite: [0-9.]* dB" "the model's composite is compared"
out_has 'prompt: an icon scene' "the model's own prompt is used"
out_has 'modulation: tables of [0-9.]* MB in place of [0-9.]* MB of weights' "the tables are told"
err_has 'running 10 steps' "progress is shown"
is "the folder is as open as others" "$(stat -c %a "$work/a")" "$(mkdir "$work/plain" && stat -c %a "$work/plain")"

run layers $m -i "$scene" -n 2 -o "$work/b" --json -q --keep-empty
expect 0 "a quick one"
is "quiet" "$(cat "$work/stderr")" ""
cp "$work/stdout" "$work/b.json"
out_has '"recomposed":{"source":{"psnr_db":' "PSNR is in the JSON"
out_has '"seed":1,"steps":2,"guidance":1,"resolution":64' "what was used is in the JSON"
out_has '"working_width":64,"working_height":64' "the working size is in the JSON"
if have jq; then
    check "the report is JSON" jq -e '.layers | length == 2' "$work/b.json"
    check "tables are counted" jq -e ".memory.host | .table_bytes > 0 and .table_weight_bytes > .table_bytes" "$work/b.json"
fi
run layers $m -i "$scene" -n 2 -o "$work/c" -q --keep-empty --no-modulation-tables --guidance 1
expect 0 "without tables"
check "the same seed gives the same layer, tables or not" cmp -s "$work/b/layer_1.png" "$work/c/layer_1.png"
check "and the same manifest" cmp -s "$work/b/layers.json" "$work/c/layers.json"
run layers $m -i "$scene" -n 1 -o "$work/full" -q --keep-empty --full-size --trace "$work/t.safetensors"
expect 0 "full size"
check "layers have the image's size" grep -q '"width": 128' "$work/full/layers.json"
check "the trace has its tensors" grep -q -a '"latents_step_0"' "$work/t.safetensors"
# An empty prompt asks for a caption. The small model's words are noise, which is told and never used.
run layers $m -i "$scene" -n 1 -o "$work/cap" --keep-empty -p '' --json -q --guidance 1.5 --cfg-normalize --negative-prompt bad
expect 1 "a caption without sense"
out_has '"code":"numeric"' "it is a failure"
err_has "the model's caption has control characters" "it says what is wrong"
run caption $captioner -i "$scene"
expect 1 "caption with a model that talks noise"
is "noise is no result" "$(cat "$work/stdout")" ""
run caption $captioner -i "$scene" -i "$scene" --max-new-tokens 2 -q
expect 0 "two images"
is "two images have two captions" "$(grep -c "^$scene: " "$work/stdout")" 2
run caption $captioner -i "$scene" "$scene" --max-new-tokens 2 -q --json
expect 0 "two images as JSON"
out_has '^{"captions":\[{"caption":.*},{"caption":.*}\]}$' "a list of two"
"$program" caption $captioner -i - --max-new-tokens 2 -q <"$scene" >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 0 "an image from standard input"
refuse 1 'cannot open' caption $captioner -i "$scene" -i "$work/nowhere.png"

# ---- a folder that is there --------------------------------------------------------------------------
mkdir -p "$work/mine"
printf 'keep' >"$work/mine/notes.txt"
run layers import "$work/a/stack.psd" -o "$work/mine"
expect 0 "into a folder with files of others"
is "a person's file is left alone" "$(cat "$work/mine/notes.txt")" keep
run layers merge "$work/mine" 0 1 2 -o "$work/mine"
expect 0 "over itself"
is "layers after merging" "$(layer_count "$work/mine")" 1
err_has 'note: the stack that was in .* is replaced; 2 files of it are removed' "what goes is told"
is "nothing of the earlier stack stays" "$(cd "$work/mine" && echo *)" "composite.png layer_0.png layers.json notes.txt"
run layers export "$work/a" --format png,psd,ora -o "$work/mine"
expect 0 "a larger stack with exports"
run layers import "$work/a/stack.psd" -o "$work/mine"
is "exports of an earlier stack go, too" "$(cd "$work/mine" && echo *)" \
    "composite.png layer_0.png layer_1.png layer_2.png layers.json notes.txt"

# ---- tools -------------------------------------------------------------------------------------------
for kind in psd ora zip; do
    run layers import "$work/a/stack.$kind" -o "$work/from_$kind"
    expect 0 "import of a $kind"
    check "$kind keeps the manifest" cmp -s "$work/a/layers.json" "$work/from_$kind/layers.json"
    check "$kind keeps the pixels" cmp -s "$work/a/layer_1.png" "$work/from_$kind/layer_1.png"
done
run layers flatten "$work/a/stack.ora" -o "$work/flat.png"
expect 0 "flatten"
if have compare; then
    is "the flattened stack is the composite" "$(compare -metric AE "$work/flat.png" "$work/a/composite.png" null: 2>&1)" 0
fi
run layers export "$work/a" -o "$work/one.psd"
expect 0 "export by the ending"
check "the same PSD" cmp -s "$work/one.psd" "$work/a/stack.psd"
run layers export "$work/a" --format ora,zip -o "$work/several" --json
expect 0 "export of several formats"
check "both are there" test -s "$work/several/stack.ora" -a -s "$work/several/stack.zip"
run layers clean "$work/a" -o "$work/clean" --low 20 --high 230
expect 0 "clean"
run layers trim "$work/clean" -o "$work/trimmed"
expect 0 "trim"
check "trimmed layers are smaller" grep -q '"width": [1-9][0-9],*$' "$work/trimmed/layers.json"
run layers flatten "$work/clean" -o "$work/flat1.png"
run layers flatten "$work/trimmed" -o "$work/flat2.png"
check "and stay in their places" cmp -s "$work/flat1.png" "$work/flat2.png"
run layers split "$work/trimmed" --layer 1 $m -n 2 --keep-empty -o "$work/split"
expect 0 "split"
is "layers after splitting" "$(layer_count "$work/split")" 4
is "the parts have the layer's place and size" \
    "$(grep -E '"(x|y|width|height)"' "$work/split/layers.json" | sed -n '7,14p')" \
    "$(for i in 1 2; do grep -E '"(x|y|width|height)"' "$work/trimmed/layers.json" | sed -n '7,10p'; done)"

# ---- what the ending says ----------------------------------------------------------------------------
run layers $m -i "$scene" -n 2 -o "$work/direct.psd"
expect 0 "layers -o x.psd"
is "layers -o x.psd is a PSD" "$(head -c 4 "$work/direct.psd")" 8BPS
run layers export "$work/a" -o "$work/A.PSD"
is "in capitals, too" "$(head -c 4 "$work/A.PSD")" 8BPS
run layers export "$work/a" --format ora -o "$work/no-ending"
expect 0 "one format makes a file whatever its name"
is "it is what was asked for" "$(head -c 2 "$work/no-ending")" PK
run layers flatten "$work/a" -o "$work/flat.jpg"
expect 0 "flatten -o x.jpg"
is "it is a JPEG" "$(head -c 3 "$work/flat.jpg" | od -An -tx1)" ' ff d8 ff'
"$program" layers flatten "$work/a" -o - 2>"$work/stderr" | cmp -s - "$work/flat.png" || fail "flatten -o -"
"$program" layers export "$work/a" --format psd -o - 2>"$work/stderr" | cmp -s - "$work/one.psd" || fail "export -o -"
run layers export "$work/a" -o "$work/one.psd"
err_has 'one.psd. was there and is replaced' "a file that is replaced is told"
for ending in xcf png jpg tiff kra svg; do
    refuse 2 "not as .$ending" layers $m -i "$scene" -n 2 -o "$work/out/x.$ending"
    check "it is refused before any work" test -z "$(grep -E 'loading|encoding' "$work/stderr")"
    refuse 2 "not as .$ending" layers export "$work/a" -o "$work/out/x.$ending"
    refuse 2 "not as .$ending" layers merge "$work/a" 0 1 -o "$work/out/x.$ending"
    refuse 2 "not as .$ending" layers split "$work/a" --layer 1 $m -n 2 -o "$work/out/x.$ending"
    refuse 2 "not as .$ending" layers import "$work/a/stack.psd" -o "$work/out/x.$ending"
done
refuse 2 "images are written as" layers flatten "$work/a" -o "$work/out/x.psd"
refuse 2 'import makes a folder' layers import "$work/a/stack.psd" -o "$work/out/x.ora"
refuse 2 'asks for others' layers export "$work/a" --format ora -o "$work/out/x.psd"
refuse 2 'asks for others' layers $m -i "$scene" -n 2 --format psd,ora -o "$work/out/x.psd"
refuse 2 'a folder cannot go to standard output' layers export "$work/a" -o -
mkdir "$work/v1.png"
run layers import "$work/a/stack.psd" -o "$work/v1.png"
expect 0 "a folder that is there may be called anything"
run layers import "$work/a/stack.psd" -o "$work/v1.2"
expect 0 "a folder's name may have a dot"

# A folder of our own name is numbered on.
mkdir "$work/own"
for wanted in layers layers-2; do
    (cd "$work/own" && VEETANCE_MODELS=$models "$program" layers $m -i "$OLDPWD/$scene" -n 2 -q >"$work/stdout" 2>"$work/stderr")
    rc=$?
    expect 0 "layers without -o"
    check "$wanted is there" test -s "$work/own/$wanted/layers.json"
done

# ---- recipes -----------------------------------------------------------------------------------------
mkdir "$work/again"
cp "$scene" "$work/again/scene.png"
run layers $m -i "$work/again/scene.png" -n 2 --keep-empty --full-size -o "$work/again/first"
expect 0 "layers to be made again"
run inspect "$work/again/first/composite.png"
expect 0 "the composite's recipe"
out_has '^  task  *layers$' "it names the task"
out_has '^  image 1  *scene.png$' "it names the image, not its folder"
cp "$work/again/first/composite.png" "$work/again/recipe.png"
run layers --from "$work/again/recipe.png" --device cpu --threads 1 -o "$work/again/second"
expect 0 "layers --from"
for file in layer_0.png layer_1.png composite.png layers.json; do
    check "layers --from makes the same $file" cmp -s "$work/again/first/$file" "$work/again/second/$file"
done
refuse 1 "the recipe's image 'scene.png' is not here" layers --from "$work/again/first/composite.png" -o "$work/out/x"
quick generate --seed 1 -o "$work/star.png"
refuse 2 'was not made by .veetance layers.' layers --from "$work/star.png" -o "$work/out/x"

# ---- doubtful results --------------------------------------------------------------------------------
noise="-m tests/parity/models/layered-b $fast -p x"
run layers $noise -i "$scene" -n 3 -o "$work/doubt" --strict --json
expect 3 "a poor result under --strict"
out_has '"warnings":\[{"code":"[a-z_]*","detail":"' "the reasons are in the JSON"
out_has '"doubtful":true' "it is doubtful"
check "the result is there all the same" test -s "$work/doubt/layers.json"
run layers $noise -i "$scene" -n 3 -o "$work/doubt"
expect 0 "without --strict it is no failure"
out_has '^  doubtful: ' "but it is told"
run layers -m micro-layered --device cpu -i "$scene" -n 3 --seed 3000 -o "$work/sound" --strict --json
expect 0 "a good result under --strict"
out_has '"warnings":\[\],"doubtful":false' "it is not doubtful"
run layers split "$work/a" --layer 1 $noise -n 3 -o "$work/doubt2" --strict --json
expect 3 "split under --strict"
out_has '"doubtful":true' "split tells it, too"

# ---- refused -----------------------------------------------------------------------------------------
o="-o $work/out/x"
refuse 2 'from 1 to 10' layers $m -i "$scene" -n 0 $o
refuse 2 'from 1 to 10' layers $m -i "$scene" -n 11 $o
refuse 2 'multiple of 32' layers $m -i "$scene" -n 2 --resolution 100 $o
refuse 2 'is no format' layers $m -i "$scene" -n 2 --format gif $o
refuse 2 'takes one of en, zh' layers $m -i "$scene" -n 2 --language de $o
refuse 2 'no image is given' layers $m -n 2 $o
refuse 2 'no model is named' layers -i "$scene" -n 2 $o
: >"$work/nothing.png"
refuse 1 'nothing.png.*empty' layers $m -i "$work/nothing.png" -n 2 $o
{
    printf 'BM' && printf '\266\076\000\000\000\000\000\000\066\000\000\000'
    printf '\050\000\000\000\001\000\000\000\240\017\000\000\001\000\030\000'
    head -c 16024 /dev/zero
} >"$work/strip.bmp"
refuse 2 '1 x 4000' layers $m -i "$work/strip.bmp" -n 2 $o
refuse 2 'Qwen-Image-Layered' layers -m micro-klein -i "$scene" -n 2 $o
:>"$work/a-file"
refuse 1 'no folder' layers $m -i "$scene" -n 2 -o "$work/a-file"
refuse 1 "there is no folder '$work/nowhere'" layers $m -i "$scene" -n 2 -o "$work/nowhere/x"
layered=$models/micro-layered
model gguf "{\"pipeline\":\"layered\",\"base\":\"$layered\",\"components\":{\"transformer\":\"$PWD/tests/parity/single/klein-transformer-Q5_0.gguf\"}}"
refuse 1 'klein-transformer-Q5_0.gguf.* is a FLUX.2 transformer.*Qwen-Image' layers -m "$work/gguf" -i "$scene" -n 2 $fast $o
model vae "{\"pipeline\":\"layered\",\"base\":\"$layered\",\"components\":{\"vae\":\"$models/micro-klein/vae\"}}"
refuse 1 'vae' layers -m "$work/vae" -i "$scene" -n 2 $fast $o
mkdir -p "$work/blind"
rewrite_header "$layered/text_encoder/model.safetensors" "$work/blind/model.safetensors" 's/"(model\.)?visual\./"gone.visual./g'
cp "$layered/text_encoder/config.json" "$work/blind"
model eyes "{\"pipeline\":\"layered\",\"base\":\"$layered\",\"components\":{\"text_encoder\":\"$work/blind\"}}"
refuse 1 '-p' layers -m "$work/eyes" -i "$scene" -n 2 $fast -p '' $o
run layers -m "$work/eyes" -i "$scene" -n 1 $fast -p scene --keep-empty -o "$work/sightless"
expect 0 "a prompt does without the vision tower"
refuse 2 'no layer 7' layers merge "$work/a" 0 7 $o
refuse 2 'at least two' layers merge "$work/a" 0 0 $o
refuse 2 'no layer has' layers split "$work/a" --layer nobody $m -n 2 $o
refuse 1 'OpenRaster' layers import "$work/a/stack.pptx" $o
refuse 2 'should be below' layers clean "$work/a" --low 200 --high 100 $o

# ---- stopped -----------------------------------------------------------------------------------------
mkdir -p "$work/stop"
"$program" layers -v -m micro-layered --device cpu --steps 200 -i "$scene" -n 4 -o "$work/stop/x" >/dev/null 2>"$work/stderr" &
pid=$!
for _ in $(seq 100); do
    grep -q 'step [1-9]' "$work/stderr" && break
    sleep 0.1
done
kill -INT $pid
wait $pid
rc=$?
expect 130 "Ctrl-C"
is "nothing is left of a stopped run" "$(ls -A "$work/stop")" ""
is "no temporary folder is left" "$(find "$work" -name '.layers-*' -o -name 'a.??????' -type d)" ""

for tool in split merge flatten export import trim clean; do
    run layers $tool --help
    expect 0 "help of $tool"
    out_has 'Examples:' "examples of $tool"
done
finish
