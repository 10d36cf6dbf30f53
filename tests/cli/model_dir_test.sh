#!/usr/bin/env bash
# model_dir_test.sh - veetance.json: components that lie elsewhere, a base, defaults; and what is wrong in it.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh

real=$models/micro-klein
args="-p star --device cpu --threads 1 --steps 1 -W 64 -H 64 --seed 1"
run generate -m micro-klein $args -o "$work/a.png"
expect 0 "the model by its name"

# same WHAT ARGUMENTS...: the run makes the very image that the embedded model makes (its text chunks name
# another model, so pixels are compared).
same() {
    local what=$1
    shift
    run generate "$@" $args -o "$work/b.png"
    expect 0 "$what"
    if have compare; then
        checks=$((checks + 1))
        [ "$(compare -metric AE "$work/a.png" "$work/b.png" null: 2>&1)" = 0 ] || fail "$what: other pixels"
    fi
}
same "the model by its path" -m "$real"
same "the model by a path with a slash at its end" -m "$real/"
same "the model through a link" -m "$(ln -s "$real" "$work/link" && echo "$work/link")"

mkdir "$work/plain"
for part in transformer text_encoder vae tokenizer scheduler model_index.json; do
    ln -s "$real/$part" "$work/plain/$part"
done
same "a diffusers folder without veetance.json" -m "$work/plain" --max-tokens 40
run generate -m "$work/plain" -p star --steps 1 --device cpu --threads 1 -W 64 -H 64 --json -o "$work/b.png"
out_has '"max_tokens":512' "without veetance.json the defaults are the reference's"
out_has '"model":"plain"' "without a name the folder's name counts"

model base "{\"name\":\"my model\",\"base\":\"$real\",\"defaults\":{\"max_tokens\":40,\"width\":96,\"height\":64,\"steps\":2}}"
same "a base" -m "$work/base"
run generate -m "$work/base" -p star --device cpu --threads 1 --seed 1 --json -o "$work/b.png"
out_has '"width":96,"height":64' "defaults: size"
out_has '"steps":2' "defaults: steps"
out_has '"model":"my model"' "the name"

mkdir "$work/else"
cp "$real/transformer/diffusion_pytorch_model.safetensors" "$work/else/klein.safetensors"
defaults='"defaults":{"max_tokens":40}'
model m1 "{\"base\":\"$real\",\"components\":{\"transformer\":\"../else/klein.safetensors\"},$defaults}"
same "a transformer elsewhere, its path relative to veetance.json" -m "$work/m1"
model m2 "{\"base\":\"$real\",\"components\":{\"transformer\":\"$work/else/klein.safetensors\"},$defaults}"
same "a transformer elsewhere by an absolute path" -m "$work/m2"
model m3 "{\"pipeline\":\"klein\",\"is_distilled\":true,\"components\":{
    \"transformer\":{\"weights\":\"../else/klein.safetensors\",\"config\":\"$real/transformer/config.json\"},
    \"text_encoder\":\"$real/text_encoder\",\"vae\":\"$real/vae\",\"tokenizer\":\"$real/tokenizer\"},$defaults}"
same "every component named, no base" -m "$work/m3"
(cd "$work" && exec env VEETANCE_MODELS="$models" "$program" generate -m m1 $args -o b.png >/dev/null 2>&1)
rc=$?
expect 0 "a model folder relative to where we are"

# The embedded model's name means the embedded model only where no folder of that name is.
run inspect "$real"
expect 0 "inspect a model"
mkdir "$work/own"
ln -s "$work/base" "$work/own/mine"
VEETANCE_MODELS=$work/own run generate -m mine $args -o "$work/b.png"
expect 0 "VEETANCE_MODELS names another shelf"

# broken JSON PATTERN: that veetance.json is refused.
broken() {
    rm -rf "$work/m"
    model m "$1"
    refuse 1 "$2" generate -m "$work/m" $args -o "$work/out/a.png"
}
broken '' 'veetance.json'
broken '{' 'not valid JSON'
broken '[]' 'veetance.json'
broken '"micro-klein"' 'veetance.json'
broken "$(printf '[%.0s' $(seq 100))" 'nested deeper'
broken '{"base":7}' "'base' should be a string"
broken '{"base":"nowhere"}' 'nowhere.* is not a folder'
broken '{"base":"a\u0000b"}' 'zero byte'
broken "{\"base\":\"$real\",\"components\":[]}" 'components'
broken "{\"base\":\"$real\",\"components\":{\"transformer\":7}}" "component 'transformer'"
broken "{\"base\":\"$real\",\"components\":{\"transformer\":\"nowhere.safetensors\"}}" 'nowhere.safetensors.* is not there'
broken "{\"base\":\"$real\",\"components\":{\"transformer\":{\"weights\":7}}}" "'weights' should be a string"
broken "{\"base\":\"$real\",\"components\":{\"transformer\":{\"config\":\"nowhere.json\"}}}" 'nowhere.json'
broken "{\"base\":\"$real\",\"components\":{\"transformer\":\"$(printf 'd/%.0s' $(seq 3000))\"}}" 'too long'
broken "{\"base\":\"$real\",\"defaults\":7}" 'defaults'
broken "{\"base\":\"$real\",\"defaults\":{\"width\":16384}}" "'width' is 16384"
broken "{\"base\":\"$real\",\"defaults\":{\"steps\":0}}" "'steps' is 0"
broken "{\"base\":\"$real\",\"defaults\":{\"steps\":\"4\"}}" "'steps' should be an integer"
broken "{\"base\":\"$real\",\"defaults\":{\"guidance\":-1}}" "'guidance' is -1"
broken "{\"base\":\"$real\",\"pipeline\":\"sdxl\"}" "'sdxl'"
broken "{\"base\":\"$real\",\"is_distilled\":1}" "'is_distilled' should be true or false"
broken '{"name":"empty"}' 'has no transformer'
head -c 5000000 /dev/zero | tr '\0' ' ' >"$work/m/veetance.json"
refuse 1 'veetance.json' generate -m "$work/m" $args -o "$work/out/a.png"

# A Qwen3 of another width for this transformer: sound on its own, refused with both widths.
wide=$work/wide
mkdir "$wide"
tf=$real/transformer/diffusion_pytorch_model.safetensors
begin=$(header "$tf" | sed -E 's/.*"context_embedder\.weight":\{"dtype":"[A-Z0-9]*","shape":\[[0-9]+,([0-9]+)\].*/\1/')
is "the micro transformer takes three times 64" "$begin" 192
# Half as many rows of twice the width are as many bytes: a transformer for an encoder of width 128.
rewrite_header "$tf" "$wide/t.safetensors" 's/("context_embedder\.weight":\{"dtype":"[A-Z0-9]*","shape":\[)128,192\]/\1128,96]/
    s/("context_embedder\.weight":\{[^}]*"data_offsets":\[)([0-9]+),[0-9]+\]/\1\2,HALF]/'
at=$(header "$tf" | sed -E 's/.*"context_embedder\.weight":\{[^}]*"data_offsets":\[([0-9]+),([0-9]+)\].*/\1 \2/')
half=$((${at% *} + (${at#* } - ${at% *}) / 2))
rewrite_header "$wide/t.safetensors" "$wide/u.safetensors" "s/HALF/$half/"
sed -E 's/"joint_attention_dim": 192/"joint_attention_dim": 96/' "$real/transformer/config.json" >"$wide/config.json"
broken "{\"base\":\"$real\",\"components\":{\"transformer\":{\"weights\":\"$wide/u.safetensors\",\"config\":\"$wide/config.json\"}}}" \
    "width is 64 .*the transformer needs 32 .*different models"
finish
