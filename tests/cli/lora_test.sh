#!/usr/bin/env bash
# lora_test.sh - LoRA on the command line: files and names of the store, strengths, tags in prompts, recipes, plans,
# and what is refused.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
have python3 || {
    skip "there is no python3 to make LoRA files"
    finish
}
export VEETANCE_HOME=$work/home
make=tests/support/lora_files.py
mkdir "$work/loras"
python3 $make klein "$work/loras/style.safetensors"
python3 $make layered "$work/loras/apart.safetensors"
python3 $make dora "$work/dora.safetensors"

# ---- strengths --------------------------------------------------------------------------------------
quick generate --seed 5 -o "$work/none.png"
quick generate --seed 5 -o "$work/zero.png" --lora "$work/loras/style.safetensors:0"
expect 0 "strength 0"
pixels() {
    python3 - "$1" <<'PY'
import struct, sys, zlib
b, p, z = open(sys.argv[1], "rb").read(), 8, b""
while p < len(b):
    n, = struct.unpack(">I", b[p:p + 4])
    z += b[p + 8:p + 8 + n] if b[p + 4:p + 8] == b"IDAT" else b""
    p += 12 + n
print(zlib.crc32(zlib.decompress(z)))
PY
}
is "strength 0 is none, to the bit" "$(pixels "$work/zero.png")" "$(pixels "$work/none.png")"
quick generate --seed 5 -o "$work/one.png" --lora "$work/loras/style.safetensors"
expect 0 "a file without a strength"
check "a LoRA changes the image" test "$(pixels "$work/one.png")" != "$(pixels "$work/none.png")"
quick generate --seed 5 -o "$work/same.png" --lora "$work/loras/style.safetensors:1"
check "no strength is 1" cmp -s "$work/one.png" "$work/same.png"
quick generate --seed 5 -o "$work/halves.png" --lora "$work/loras/style.safetensors:0.4" \
    --lora "$work/loras/style.safetensors:0.6"
is "the same file twice counts once" "$(pixels "$work/halves.png")" "$(pixels "$work/one.png")"

# ---- the store --------------------------------------------------------------------------------------
run models scan "$work/loras"
expect 0 "a folder of LoRAs is scanned"
err_has 'found .*LoRA of rank 4 for a FLUX.2 of width 128: .*style.safetensors' "base model and rank are told"
err_has 'found .*LoRA of rank 4 for a Qwen-Image of width' "of Qwen-Image, too"
out_has '^For --lora:$' "they are listed"
run models list --json
out_has '"name":"style","base":"a FLUX.2 of width 128","rank":4,"kind":"lora"' "in JSON, too"
run models show style
expect 0 "a LoRA can be shown"
out_has 'LoRA of rank 4' "with what it is"
quick generate --seed 5 -o "$work/named.png" --lora style:1
expect 0 "a name of the store"
is "by name and by path it is the same" "$(pixels "$work/named.png")" "$(pixels "$work/one.png")"
run inspect "$work/loras/style.safetensors"
expect 0 "a LoRA is inspected"
out_has 'kind        LoRA of rank 4 for a FLUX.2 of width 128' "and named"

# ---- prompts and recipes ------------------------------------------------------------------------------
run generate -m micro-klein --device cpu --threads 1 --steps 1 -W 64 -H 64 -p 'star <lora:style:1>' --seed 5 -o "$work/tag.png"
expect 0 "a tag in the prompt"
check "a tag in the prompt is --lora" cmp -s "$work/tag.png" "$work/named.png"
run inspect "$work/tag.png"
out_has 'lora        style, strength 1$' "the recipe names it"
run generate --from "$work/tag.png" --device cpu --threads 1 -o "$work/again.png"
expect 0 "a recipe with a LoRA"
check "a recipe with a LoRA makes the image again" cmp -s "$work/again.png" "$work/tag.png"
run inspect "$work/tag.png" --json
out_has '"loras":\[{"name":"style","strength":1' "in JSON, too"

# ---- plans ------------------------------------------------------------------------------------------
run plan generate -m micro-klein -p star --device cpu --lora style
expect 0 "a plan"
out_has '^lora  *f32' "what a LoRA takes is planned"

# ---- layers -----------------------------------------------------------------------------------------
run layers -m micro-layered -i "$work/none.png" -p star --steps 2 -n 2 --resolution 64 --seed 1 --threads 1 -o "$work/plain"
expect 0 "layers without a LoRA"
run layers -m micro-layered -i "$work/none.png" -p star --steps 2 -n 2 --resolution 64 --seed 1 --threads 1 --lora apart:0 -o "$work/zero"
expect 0 "layers with strength 0"
run layers -m micro-layered -i "$work/none.png" -p star --steps 2 -n 2 --resolution 64 --seed 1 --threads 1 --lora apart -o "$work/changed"
expect 0 "layers with a LoRA"
first() {
    pixels "$(find "$work/$1" -name '*.png' | sort | head -n 1)"
}
is "strength 0 is none, of layers too" "$(first zero)" "$(first plain)"
check "a LoRA changes layers" test "$(first changed)" != "$(first plain)"

# ---- what is refused ----------------------------------------------------------------------------------
refuse 1 "is part of DoRA, which is not supported" generate -m micro-klein -p star -o "$work/out/a.png" -q --lora "$work/dora.safetensors"
refuse 1 "there is no LoRA 'styl'.*did you mean 'style'" generate -m micro-klein -p star -o "$work/out/a.png" --lora styl
refuse 1 "there is no LoRA 'fine'" generate -m micro-klein -p 'a star <lora:fine:0.8>, red' -o "$work/out/a.png"
refuse 2 'strength of --lora is -10 to 10' generate -m micro-klein -p star -o "$work/out/a.png" --lora style:11
refuse 2 'the strength should be a number' generate -m micro-klein -p 'star <lora:style:much>' -o "$work/out/a.png"
refuse 1 "is not for this model" generate -m micro-klein -p star -o "$work/out/a.png" -q --lora apart
refuse 1 "it is no LoRA" generate -m micro-klein -p star -o "$work/out/a.png" -q \
    --lora "$models/micro-klein/vae/diffusion_pytorch_model.safetensors"
printf 'no weights' >"$work/text.safetensors"
refuse 1 "text.safetensors" generate -m micro-klein -p star -o "$work/out/a.png" -q --lora "$work/text.safetensors"
nine=()
for i in 1 2 3 4 5 6 7 8 9; do nine+=(--lora "style:0.$i"); done
refuse 2 'more than 8 times' generate -m micro-klein -p star -o "$work/out/a.png" "${nine[@]}"
run models remove style
expect 0 "a LoRA is forgotten"
refuse 1 "there is no LoRA 'style'" generate -m micro-klein -p star -o "$work/out/a.png" --lora style
check "its file stays" test -f "$work/loras/style.safetensors"
finish
