#!/usr/bin/env bash
# hostile_test.sh - broken checkpoints, folders, disks and prompts: one sentence and exit code 1 or 2, no
# image, no crash.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh

real=$models/micro-klein
tf=$real/transformer/diffusion_pytorch_model.safetensors
te=$real/text_encoder/model.safetensors
va=$real/vae/diffusion_pytorch_model.safetensors
args="-p star --device cpu --threads 1 --steps 1 -W 64 -H 64 --seed 1 -o $work/out/a.png"

# with COMPONENT FILE CODE PATTERN: the micro model with another file for that component.
with() {
    rm -rf "$work/m"
    model m "{\"name\":\"m\",\"base\":\"$real\",\"components\":{\"$1\":\"$2\"}}"
    refuse "$3" "$4" generate -m "$work/m" $args
}

# ---- safetensors ------------------------------------------------------------------------------------
bad=$work/bad.safetensors
: >"$bad"
with transformer "$bad" 1 'bad.safetensors'
printf 'ab' >"$bad"
with transformer "$bad" 1 'bad.safetensors'
for n in 8 9 100 5000; do
    head -c "$n" "$tf" >"$bad"
    with transformer "$bad" 1 'bad.safetensors'
done
for cut in 1 100 1000000; do
    head -c -"$cut" "$tf" >"$bad"
    with transformer "$bad" 1 'bad.safetensors'
done
for n in 0 1 7 4152569 1099511627776 9223372036854775807 -1; do
    { le64 "$n" && tail -c +9 "$tf"; } >"$bad"
    with transformer "$bad" 1 'bad.safetensors'
done

name=x_embedder.weight
# edit_header SED-SCRIPT PATTERN: the transformer with another header.
edit_header() {
    rewrite_header "$tf" "$bad" "$1"
    check "the header is another one after $1" test -n "$(cmp "$tf" "$bad" 2>&1)"
    with transformer "$bad" 1 "$2"
}
entry="(\"${name//./\\.}\":\{[^}]*)"
edit_header 's/^\{/[/' 'bad.safetensors'
edit_header 's/^/{"a":{"dtype":"F32",/' 'bad.safetensors'
edit_header "s/$entry\"shape\":\[[0-9]+,/\1\"shape\":[0,/" "$name"
edit_header "s/$entry\"shape\":\[[0-9]+,/\1\"shape\":[-4,/" "$name"
edit_header "s/$entry\"shape\":\[[0-9]+,/\1\"shape\":[1.5,/" "$name"
edit_header "s/$entry\"shape\":\[[0-9]+,/\1\"shape\":[9223372036854775807,/" "$name"
edit_header "s/$entry\"shape\":\[[0-9]+,/\1\"shape\":[4294967296,4294967296,/" "$name"
edit_header "s/$entry\"shape\":\[[0-9]+,/\1\"shape\":[1,1,1,1,1,1,1,1,1,/" "$name"
edit_header "s/$entry\"shape\":\[[^]]*\]/\1\"shape\":\"big\"/" "$name"
edit_header "s/$entry\"dtype\":\"[A-Z0-9]*\"/\1\"dtype\":\"F33\"/" 'F33'
edit_header "s/$entry\"dtype\":\"[A-Z0-9]*\"/\1\"dtype\":\"I64\"/" "$name"
edit_header "s/$entry\"data_offsets\":\[([0-9]+),/\1\"data_offsets\":[1\2,/" "$name"
edit_header "s/$entry\"data_offsets\":\[[^]]*\]/\1\"data_offsets\":[0,0]/" "$name"
edit_header "s/$entry\"data_offsets\":\[[^]]*\]/\1\"data_offsets\":[18446744073709551615,8]/" "$name"
edit_header "s/\"${name//./\\.}\"/\"x_embedder.wei\\\\u0000ght\"/" 'bad.safetensors\|x_embedder'
edit_header "s/\"${name//./\\.}\"/\"y_embedder.weight\"/" 'not a network that this program knows'
edit_header 's/"proj_out.weight"/"proj_in.weight"/' 'proj_'
# A second tensor over the bytes of the first.
edit_header "s/$entry\}/\1},\"twin\":\{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]\}/" 'bad.safetensors'
# Nested deeper than anybody means.
{
    deep="{\"a\":$(printf '[%.0s' $(seq 200000))"
    le64 ${#deep}
    printf %s "$deep"
} >"$bad"
with transformer "$bad" 1 'nested deeper'
with transformer "$real/MODEL_CARD.md" 1 'MODEL_CARD.md'
with transformer "$real/model_index.json" 1 'model_index.json'
with transformer /dev/zero 2 '/dev/zero'
mkfifo "$work/pipe"
with transformer "$work/pipe" 2 'pipe'
with transformer "$te" 1 'transformer'
with vae "$te" 1 'VAE\|vae'
with text_encoder "$va" 1 'text encoder'

# ---- shards -----------------------------------------------------------------------------------------
mkdir "$work/shards"
cp "$real/transformer/config.json" "$work/shards"
first=$(header "$tf" | grep -o '"[a-z_]*\.[a-z_.0-9]*":{' | head -n 1 | tr -d '":{')
printf '{"metadata":{},"weight_map":{"%s":"part-2.safetensors"}}' "$first" \
    >"$work/shards/diffusion_pytorch_model.safetensors.index.json"
with transformer "$work/shards" 1 'part-2.safetensors'
printf '{"weight_map":{"%s":"../../../etc/passwd"}}' "$first" \
    >"$work/shards/diffusion_pytorch_model.safetensors.index.json"
with transformer "$work/shards" 1 'passwd'
printf '{"weight_map":[]}' >"$work/shards/diffusion_pytorch_model.safetensors.index.json"
with transformer "$work/shards" 1 'weight_map'
cp "$tf" "$work/shards/part-1.safetensors"
printf '{"weight_map":{"not.there":"part-1.safetensors"}}' \
    >"$work/shards/diffusion_pytorch_model.safetensors.index.json"
with transformer "$work/shards" 1 'not.there\|index.json'

# ---- configurations ---------------------------------------------------------------------------------
# config COMPONENT SED-SCRIPT PATTERN: the component's own file with another config.json.
config() {
    local file=$tf
    [ "$1" = vae ] && file=$va
    [ "$1" = text_encoder ] && file=$te
    sed -E "$2" "$real/$1/config.json" >"$work/config.json"
    check "the configuration is another one after $2" test -n "$(cmp "$real/$1/config.json" "$work/config.json" 2>&1)"
    model m "{\"base\":\"$real\",\"components\":{\"$1\":{\"weights\":\"$file\",\"config\":\"$work/config.json\"}}}"
    refuse 1 "$3" generate -m "$work/m" $args
}
config transformer 's/"num_attention_heads": 4/"num_attention_heads": 5/' '5\|160'
config transformer 's/"num_layers": 2/"num_layers": 3/' 'transformer_blocks\|layers'
config transformer 's/"num_layers": 2/"num_layers": -1/' 'num_layers'
config transformer 's/"num_layers": 2/"num_layers": 2000000000/' 'num_layers\|layers'
config transformer 's/"in_channels": 64/"in_channels": 96/' '96'
config transformer 's/"joint_attention_dim": 192/"joint_attention_dim": 191/' '191'
config transformer 's/"attention_head_dim": 32/"attention_head_dim": 0/' 'attention_head_dim'
config transformer 's/"attention_head_dim": 32/"attention_head_dim": "32"/' 'attention_head_dim'
config transformer 's/"mlp_ratio": 3.0/"mlp_ratio": 1e30/' 'mlp_ratio'
config transformer 's/\}$//' 'not valid JSON'
config transformer 's/^\{/[{/' 'not valid JSON'
config text_encoder 's/"hidden_size": 64/"hidden_size": 80/' '80'
config text_encoder 's/"num_hidden_layers": [0-9]+/"num_hidden_layers": 3/' 'layers'
config text_encoder 's/"head_dim": 32/"head_dim": 31/' 'head_dim\|31'
config text_encoder 's/"vocab_size": [0-9]+/"vocab_size": 100/' '100\|vocab'
config vae 's/"latent_channels": [0-9]+/"latent_channels": 5/' '10\|5'
config vae 's/"norm_num_groups": [0-9]+/"norm_num_groups": 7/' 'group'
config vae 's/"norm_num_groups": [0-9]+/"norm_num_groups": 0/' 'group'

# ---- weights that hold no numbers -------------------------------------------------------------------
# nan COMPONENT FILE TENSOR ESCAPED-BYTES
nan() {
    local at
    cp "$2" "$work/nan.safetensors"
    chmod u+w "$work/nan.safetensors"
    at=$(tensor_at "$2" "$3")
    put "$work/nan.safetensors" "$at" "$4"
    with "$1" "$work/nan.safetensors" 1 "$3"
}
dtype_nan() {
    header "$1" | grep -q -F "\"$2\":{\"dtype\":\"F32\"" && printf '%s' '\000\000'
    printf '%s' '\300\177'
}
for t in x_embedder.weight transformer_blocks.0.attn.to_q.weight single_transformer_blocks.3.attn.to_out.weight \
    proj_out.weight; do
    nan transformer "$tf" $t "$(dtype_nan "$tf" $t)"
done
nan text_encoder "$te" model.layers.3.mlp.down_proj.weight "$(dtype_nan "$te" model.layers.3.mlp.down_proj.weight)"
for t in decoder.conv_in.weight decoder.conv_norm_out.weight bn.running_var; do
    nan vae "$va" $t "$(dtype_nan "$va" $t)"
done
cp "$real/../micro-klein/vae/diffusion_pytorch_model.safetensors" "$work/nan.safetensors"
put "$work/nan.safetensors" "$(tensor_at "$va" encoder.conv_in.weight)" "$(dtype_nan "$va" encoder.conv_in.weight)"
model m "{\"base\":\"$real\",\"components\":{\"vae\":\"$work/nan.safetensors\"}}"
run generate -m micro-klein $args -o "$work/scene.png"
refuse 1 'encoder.conv_in.weight' edit -m "$work/m" $args -i "$work/scene.png"

# ---- folders ----------------------------------------------------------------------------------------
for part in transformer text_encoder vae tokenizer; do
    rm -rf "$work/m"
    mkdir "$work/m"
    for other in transformer text_encoder vae tokenizer scheduler model_index.json veetance.json; do
        [ "$other" = "$part" ] || ln -s "$real/$other" "$work/m/$other"
    done
    refuse 1 "has no $part" generate -m "$work/m" $args
    mkdir "$work/m/$part"
    refuse 1 "$part" generate -m "$work/m" $args
    rmdir "$work/m/$part"
    ln -s "$work/nowhere" "$work/m/$part"
    refuse 1 "$part" generate -m "$work/m" $args
done
rm -rf "$work/m"
mkdir "$work/m"
refuse 1 'has no transformer' generate -m "$work/m" $args
for text in '{"model":' '[]' '' '{"model":{"type":"BPE","vocab":{},"merges":[]}}'; do
    printf '%s' "$text" >"$work/tokenizer.json"
    with tokenizer "$work/tokenizer.json" 1 'tokenizer'
done
mkdir "$work/scheduler"
for text in '{' '[]' '{"num_train_timesteps":"many"}' '{"shift":-1}' '{"time_shift_type":"odd"}' '{"use_karras_sigmas":true}'; do
    rm -rf "$work/m"
    mkdir -p "$work/m/scheduler"
    printf '%s' "$text" >"$work/m/scheduler/scheduler_config.json"
    for other in transformer text_encoder vae tokenizer model_index.json; do
        ln -s "$real/$other" "$work/m/$other"
    done
    refuse 1 'scheduler_config.json' generate -m "$work/m" $args
done

refuse 1 "there is no model 'nowhere'" generate -m nowhere $args
refuse 1 "there is no model" generate -m ../models/micro-klein-of-another-world $args
refuse 1 "there is no model" generate -m micro-klein/../micro-layered $args
refuse 1 'has no transformer' generate -m .. $args
refuse 2 'is a file' generate -m "$tf" $args
refuse 2 'no model is named' generate -m '' $args
refuse 1 "there is no model" generate -m "$(printf 'm%.0s' $(seq 5000))" $args
refuse 2 'veetance layers' generate -m micro-layered $args
refuse 2 'veetance layers' edit -m micro-layered $args -i "$work/scene.png"

# The text encoder of another model.
with text_encoder "$models/micro-layered/text_encoder" 1 'text encoder'

# ---- prompts ----------------------------------------------------------------------------------------
refuse 2 'not valid UTF-8 (at byte 4)' generate -m micro-klein $args -p $'star\xff\xfe'
refuse 2 'not valid UTF-8' generate -m micro-klein $args -p $'\xed\xa0\x80'
head -c 1000000 /dev/zero | tr '\0' 'a' | sed 's/aaaaaaa/a star /g' >"$work/prompt"
"$program" generate -m micro-klein --device cpu --threads 1 --steps 1 -W 64 -H 64 -p - --seed 1 -o "$work/long.png" \
    <"$work/prompt" >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 0 "a prompt of a megabyte"
head -c 5000000 /dev/zero | tr '\0' 'a' >"$work/prompt"
"$program" generate -m micro-klein --steps 1 -p - -o "$work/out/a.png" <"$work/prompt" >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 1 "a prompt of five megabytes"
err_has 'gives more than' "a prompt of five megabytes"
printf 'a\0b' | "$program" generate -m micro-klein --steps 1 -p - -o "$work/out/a.png" >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 2 "a prompt with a zero byte"
err_has 'zero byte' "a prompt with a zero byte"

"$program" generate $args -m micro-klein -p - -o "$work/out/a.png" <"$work" >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 1 "a folder as standard input"
err_has "cannot read 'standard input'" "a folder as standard input"
"$program" generate $args -m micro-klein -p - -o "$work/out/a.png" <&- >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 1 "a closed standard input"

# ---- where the image goes -------------------------------------------------------------------------
refuse 1 "there is no folder '$work/nowhere'" generate -m micro-klein $args -o "$work/nowhere/a.png"
refuse 1 'is a folder' generate -m micro-klein $args --trace "$work"
refuse 1 'is no folder' generate -m micro-klein $args -o "$tf/a.png"
run generate -m micro-klein $args -o /dev/null
expect 0 "/dev/null takes an image"
check "/dev/null is what it was" test -c /dev/null
check "a device is still a device" test -c /dev/null
refuse 2 'names no file' generate -m micro-klein $args -o ''
refuse 2 'too long' generate -m micro-klein $args -o "$(printf 'd/%.0s' $(seq 3000))"
refuse 2 'too long' generate -m micro-klein $args -o "$(printf 'd/%.0s' $(seq 3000))a.png"
refuse 1 'File name too long' generate -m micro-klein $args -o "$work/out/$(printf 'd%.0s' $(seq 300))"
refuse 1 'there is no folder' generate -m micro-klein $args --trace "$work/nowhere/t.safetensors"
if [ "$(id -u)" != 0 ]; then
    mkdir -m 555 "$work/locked"
    refuse 1 'Permission denied' generate -m micro-klein $args -o "$work/locked/a.png"
else
    skip "a folder without permission (root may write everywhere)"
fi
mkdir "$work/small"
# shellcheck disable=SC2317 # the trap of lib.sh calls it
cleanup() {
    umount "$work/small" 2>/dev/null
    remove_work
}
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=16k none "$work/small" 2>/dev/null; then
    head -c 12000 /dev/zero >"$work/small/filler"
    refuse 1 'No space left' generate -m micro-klein $args -o "$work/small/a.png"
    is "nothing is left on a full disk" "$(ls -A "$work/small")" filler
    refuse 1 'No space left' generate -m micro-klein $args --trace "$work/small/t.safetensors"
    is "no half trace is left on a full disk" "$(ls -A "$work/small")" filler
    umount "$work/small"
else
    skip "a full disk (needs a mount)"
fi
finish
