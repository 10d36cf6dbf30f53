#!/usr/bin/env bash
# Checkpoints in the forms and places that people have them in.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 0; }
export VEETANCE_HOME=$work/home
base=$PWD/tests/parity/models/klein-base
files=tests/cli/checkpoint_files.py

picture() { # MODEL OUT
    run generate -m "$1" -p "a red star" -W 64 -H 64 --steps 2 --seed 1 --max-tokens 32 -o "$2"
    expect 0 "an image of $1"
}
folder_with() { # DIR TRANSFORMER ENCODER: klein-base with other weights
    mkdir -p "$1"
    cp -r "$base/." "$1"
    cp "$2" "$1/transformer/diffusion_pytorch_model.safetensors"
    cp "$3" "$1/text_encoder/model.safetensors"
}
state_of() { # MODEL
    "$program" models show "$1" --json 2>/dev/null | sed -n 's/.*"layout":"[a-z]*","state":"\([a-z]*\)".*/\1/p'
}
part_of() { # MODEL ROLE: the id of its part
    "$program" models show "$1" --json 2>/dev/null | grep -o "\"$2\":{\"id\":\"[^\"]*\"" | sed 's/.*"id":"//; s/"//'
}

# ---- quantised forms: the image of a form is that of its values ------------------------------------------
transformer=$base/transformer/diffusion_pytorch_model.safetensors
encoder=$base/text_encoder/model.safetensors
for form in nvfp4 nvfp4-modelopt mxfp8 int8 int8-modelopt int8-convrot int4-convrot int4-w4a8 int4-awq; do
    python3 $files quantised $form "$transformer" "$work/t.q" "$work/t.v"
    python3 $files quantised $form "$encoder" "$work/e.q" "$work/e.v"
    folder_with "$work/$form" "$work/t.q" "$work/e.q"
    folder_with "$work/$form-values" "$work/t.v" "$work/e.v"
    picture "$work/$form" "$work/$form.png"
    picture "$work/$form-values" "$work/values.png"
    check "$form gives the image of its values" same_image "$work/$form.png" "$work/values.png"
    run inspect "$work/$form/transformer"
    expect 0 "inspect reads $form"
    out_has "serves      flux2-klein/transformer"
    out_has "parameters  302208" # values, not bytes and scales
    check "no problem is listed" [ -z "$(grep problems "$work/stdout")" ]
done
# A plan says what the device holds wider than the files; these are small, and computed in float32.
run plan generate -m "$work/int8-convrot" -p x -W 64 -H 64
out_has "^widened: rotated int8 (transformer) to float32, +0.9 MiB$"
run plan generate -m "$work/nvfp4" -p x -W 64 -H 64 --json
out_has '"component":"transformer"[^}]*"widened":{"from":"NVFP4","to":"float32","bytes":[0-9]*}'
run plan generate -m "$base" -p x -W 64 -H 64
check "nothing is widened of plain types" [ -z "$(grep widened "$work/stdout")" ]
run convert "$work/int8-convrot/transformer" "$work/back.safetensors" --type f32 -q
expect 0 "a rotated int8 file is converted"
folder_with "$work/back" "$work/back.safetensors" "$work/int8-convrot/text_encoder/model.safetensors"
picture "$work/back" "$work/back.png"
check "its values are those of the rotated file" same_image "$work/int8-convrot.png" "$work/back.png"

# ---- several networks in one file ------------------------------------------------------------------------
mkdir -p "$work/one"
python3 $files one-file "$base" "$work/one/all.safetensors"
cp -r "$base/tokenizer" "$work/one/tokenizer"
run models scan "$work/one"
expect 0 "a file with three networks is scanned"
is "it is a model by itself" "$(state_of all)" ready
run models list --json
file=$(stat -c %s "$work/one/all.safetensors")
whole=$(sed -n 's/.*"name":"all","pipeline":"klein","layout":"assembled","state":"ready","bytes":\([0-9]*\).*/\1/p' "$work/stdout")
check "the file counts" [ "$whole" -ge "$file" ]
check "once" [ "$whole" -lt $((file * 2)) ]
run inspect "$work/one/all.safetensors"
out_has "also here   FLUX.2 VAE, Qwen3 text encoder"
# The tiny VAE's groups are only in its config.json, so the folder says which: the weights are all from the one file.
mkdir -p "$work/three"
cat >"$work/three/veetance.json" <<JSON
{"base": "$base", "components": {
  "transformer": {"weights": "$work/one/all.safetensors", "config": "$base/transformer/config.json"},
  "text_encoder": {"weights": "$work/one/all.safetensors", "config": "$base/text_encoder/config.json"},
  "vae": {"weights": "$work/one/all.safetensors", "config": "$base/vae/config.json"}}}
JSON
picture "$work/three" "$work/all.png"
picture "$base" "$work/base.png"
check "it gives the folder's image" same_image "$work/all.png" "$work/base.png"

# ---- components in one folder do not evict each other ------------------------------------------------------
export VEETANCE_HOME=$work/home2
mkdir -p "$work/repos/encoder" "$work/repos/parts"
cp "$encoder" "$base/text_encoder/config.json" "$base/tokenizer/"* "$work/repos/encoder/"
cp "$transformer" "$work/repos/parts/klein-base-x.safetensors"
cp "$base/vae/diffusion_pytorch_model.safetensors" "$work/repos/parts/vae.safetensors"
run models scan "$work/repos"
is "weights beside their tokenizer" "$(state_of klein-base-x)" ready
run models scan "$work/repos"
is "and after a second scan" "$(state_of klein-base-x)" ready

# ---- which of several candidates ---------------------------------------------------------------------------
python3 $files scaled "$encoder" "$work/small.safetensors"
for order in "a b" "b a"; do
    rm -rf "$work/many"
    mkdir -p "$work/many"
    for name in $order; do
        [ "$name" = a ] && cp "$work/small.safetensors" "$work/many/a.safetensors"
        [ "$name" = b ] && cp "$encoder" "$work/many/b.safetensors"
    done
    cp "$transformer" "$work/many/t.safetensors"
    cp "$base/vae/diffusion_pytorch_model.safetensors" "$work/many/v.safetensors"
    cp -r "$base/tokenizer" "$work/many/"
    VEETANCE_HOME=$work/home-${order%% *} run models scan "$work/many"
done
is "the order of a folder's entries makes no difference" \
    "$(VEETANCE_HOME=$work/home-a part_of t text_encoder)" "$(VEETANCE_HOME=$work/home-b part_of t text_encoder)"
rm "$work/many/b.safetensors"
export VEETANCE_HOME=$work/home3
run models scan "$work/many"
first=$(part_of t text_encoder)
cp "$encoder" "$work/many/b.safetensors"
run models scan "$work/many"
check "a better part that comes later is taken" [ "$first" != "$(part_of t text_encoder)" ]
check "and that is said" grep -q "'t' now uses this text_encoder" "$work/stderr"

# ---- settings that a name tells, or a person ------------------------------------------------------------
mv "$work/many/t.safetensors" "$work/many/klein-9b-kv-fp8.safetensors"
run models scan "$work/many"
run models link "$work/many/klein-9b-kv-fp8.safetensors" --as kv --quick
run generate -m kv -p x -W 64 -H 64 --steps 1 --max-tokens 32 -o "$work/kv.png"
check "a KV file runs as KV" grep -q '"reference_cache": true' "$VEETANCE_HOME/linked/kv/veetance.json"
check "and distilled" grep -q '"is_distilled": true' "$VEETANCE_HOME/linked/kv/veetance.json"
run models set kv reference_cache=no
run generate -m kv -p x -W 64 -H 64 --steps 1 --max-tokens 32 -o "$work/kv2.png"
check "a person's word counts" grep -q '"reference_cache": false' "$VEETANCE_HOME/linked/kv/veetance.json"
refuse 2 "cannot be set" models set kv steps=4
refuse 2 "yes or no" models set kv distilled=maybe
refuse 2 "KEY=VALUE" models set kv

# ---- a repository's own single file ----------------------------------------------------------------------
export VEETANCE_HOME=$work/home4
mkdir -p "$work/repo/Klein-Tiny"
cp -r "$base/." "$work/repo/Klein-Tiny/"
cp "$work/int8/transformer/diffusion_pytorch_model.safetensors" "$work/repo/Klein-Tiny/klein-tiny.safetensors"
run models scan "$work/repo"
run models list
is "a single file beside the folder makes no second model" "$(grep -c 'klein .*ready .*[^d]$' "$work/stdout")" 1

# ---- the hub's cache ----------------------------------------------------------------------------------------
hub=$work/hub/models--org--klein-tiny
for revision in old new; do
    mkdir -p "$hub/snapshots/$revision" "$hub/refs"
    cp -r "$base/." "$hub/snapshots/$revision/"
done
printf new >"$hub/refs/main"
rm "$hub/snapshots/new/transformer/diffusion_pytorch_model.safetensors"
ln -s ../../../blobs/gone "$hub/snapshots/new/transformer/diffusion_pytorch_model.safetensors"
export VEETANCE_HOME=$work/home5
run models scan "$work/hub"
is "an older revision that is whole is used" "$(state_of klein-tiny)" ready
check "and that is said" grep -q "revision new is not whole; old is used instead" "$work/stderr"

# ---- what only looks like one of ours, and what is not understood ----------------------------------------
python3 - "$encoder" "$work/odd.safetensors" "$work/renamed.safetensors" <<'PY'
import sys
sys.path.insert(0, "tests/cli")
import checkpoint_files as f
t = f.read(sys.argv[1])
t["visual.blocks.0.attn.qkv.weight"] = ("F32", [3, 1], f.f32([1, 2, 3]))
f.write(sys.argv[2], t)
del t["visual.blocks.0.attn.qkv.weight"]
for k in [k for k in t if k.endswith("q_proj.weight")]:
    dtype, shape, b = t[k]
    t[k] = ("F8_E4M3", shape, bytes(f.to_e4m3(x * 100) for x in f.floats(dtype, b)))
    t[k.replace("weight", "scale")] = ("F32", [], f.f32([0.01]))
f.write(sys.argv[3], t)
PY
# Of the published shapes: headers of a block or two, in sparse files. What each looks like is accepted.
python3 tests/cli/lookalikes.py "$work/like"
for file in "$work"/like/originals/*; do
    run inspect "$file"
    expect 0 "${file##*/} is inspected"
    check "${file##*/} is accepted" grep -q "serves      [a-z]" "$work/stdout"
    check "${file##*/} serves something" [ -z "$(grep "serves      nothing" "$work/stdout")" ]
done
while read -r name says; do
    run inspect "$work/like/impostors/$name"
    out_has "serves      nothing" "$name is told apart"
    check "$name is named: $says" grep -q "$says" "$work/stdout"
done <<'LIKE'
FLUX.2-dev.safetensors is FLUX.2-dev, which has a guidance input
qwen3vl_4b.safetensors is Qwen3-VL,
qwen3vl_4b-hf.safetensors is Qwen3-VL,
Qwen3-VL-4B.gguf is Qwen3-VL,
Qwen3-4B-Instruct-2507.gguf is a later Qwen3 with another rope base
Qwen3-4B-Thinking-2507 is a later Qwen3 with another rope base
Qwen3-Embedding-4B.gguf trained to compare texts
Qwen2.5-7B.safetensors is plain Qwen2.5
Qwen2.5-7B.gguf neither Qwen3 nor Qwen2.5-VL
Qwen2-VL-7B.safetensors is Qwen2-VL
Qwen2-VL-7B.gguf is Qwen2-VL
qwen_image.safetensors is plain Qwen-Image
qwen_image_vae.safetensors the VAE of plain Qwen-Image or Wan
ae-without-bn.safetensors a VAE without the latent statistics
mlx-4bit.safetensors packed into 32-bit words
LIKE
is "every look-alike is listed" "$(find "$work/like/impostors" -mindepth 1 -maxdepth 1 | wc -l)" 15
VEETANCE_HOME=$work/home8 run models scan "$work/like/impostors"
check "a scan takes none of them" grep -q "No models of your own yet" "$work/stdout"
check "nor a part of them" [ -z "$(grep "Not used by any model" "$work/stdout")" ]

export VEETANCE_HOME=$work/home6
run models add "$work/odd.safetensors"
expect 1 "Qwen3-VL is refused"
check "by its name" grep -q "Qwen3-VL" "$work/stderr"
run models add "$work/renamed.safetensors"
expect 1 "a scale of an unknown name is refused"
check "with what works" grep -q "the usual scales" "$work/stderr"
run inspect "$work/renamed.safetensors"
out_has "serves      nothing"

run models advise --budget 4G --json
expect 0 "advice"
out_has '"models":\['
run models advise
expect 0 "advice within what is free"

# ---- the public checkpoints' own headers ------------------------------------------------------------------
if [ -d "${VT_STANDINS:-}" ]; then
    export VEETANCE_HOME=$work/home7
    run models scan "$VT_STANDINS"
    expect 0 "the stand-ins are scanned"
    cp "$work/stdout" "$work/list"
    for name in ae-without-bn FLUX.2-dev qwen3vl_4b_bf16 qwen_image_bf16 mlx-4bit Instruct-2507 qwen_image_vae; do
        check "$name is refused" grep -q "not used.*$name" "$work/stderr"
    done
    check "nothing is missing" [ -z "$(grep -E ' (missing|away|changed|incomplete)' "$work/list")" ]
    run inspect "$VT_STANDINS/ComfyUI/models/text_encoders/qwen_3_8b_fp8mixed.safetensors"
    check "inspect says what Vulkan holds wider" grep -q "on Vulkan  NVFP4, float8 to bfloat16, at most +" "$work/stdout"
    check "and not what the others keep" [ -z "$(grep -e "on the CPU" -e "on NVIDIA" "$work/stdout")" ]
    run plan generate -m flux-2-klein-9b-mxfp8 -p x -W 1024 -H 1024 --device cpu
    out_has "^widened: mxfp8 (transformer) to bfloat16, +"
    while read -r file; do
        run inspect "$file"
        case $file in
        *lora*) out_has "kind        LoRA" "$file" ;;
        *mlx-4bit* | *ae-without-bn*) out_has "serves      nothing" "$file" ;;
        *) expect 0 "$file is inspected" ;;
        esac
    done < <(find "$VT_STANDINS" -name '*.safetensors' -o -name '*.gguf' | grep -v -e '-of-' -e /hfcache/)
    while read -r name pipeline rest; do
        case $pipeline in
        klein) run plan generate -m "$name" -p x -W 1024 -H 1024 --budget 16G ;;
        layered) run plan layers -m "$name" -i "$work/int8.png" -n 4 --resolution 640 --budget 16G ;;
        *) continue ;;
        esac
        expect 0 "$name fits into 16 GB"
    done < <(grep -E ' (klein|layered) +[0-9.]+ [GM]iB  ready' "$work/list")
fi
finish
