#!/usr/bin/env bash
# models_test.sh - `veetance models`, and -m with the names of the store.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
export VEETANCE_HOME=$work/home

run models
expect 0 "an empty store can be listed"
out_has 'No models of your own yet' "it says what to do"
out_has '^micro-klein .* ready  embedded$' "the embedded models are listed"
run models show micro-layered
expect 0 "an embedded model can be shown"
out_has '^  text_encoder ' "with its parts"
run models show micro-klien
expect 1 "a name that is nearly right"
err_has "did you mean 'micro-klein'?" "the near name is told"
refuse 2 'was not added' models remove micro-klein
refuse 1 'is that of an embedded model' models add "$models/micro-layered" --as micro-klein --quiet
for command in "generate -p star" "plan generate -p star" "bench --size 64" "caption -i a.png" "layers -i a.png" \
    "plan layers -i a.png"; do
    # shellcheck disable=SC2086 # a command and its arguments
    run $command -m micro-kein
    expect 1 "$command with an unknown model"
    err_has "no model 'micro-kein'.*did you mean 'micro-klein'?" "$command names the near one"
done

# ComfyUI's tree: three files that fit, no tokenizer yet.
comfy=$work/comfy
mkdir -p "$comfy"/{diffusion_models,text_encoders,vae,loras}
cp "$models/micro-klein/transformer/diffusion_pytorch_model.safetensors" "$comfy/diffusion_models/star.safetensors"
cp "$models/micro-klein/text_encoder/model.safetensors" "$comfy/text_encoders/q.safetensors"
cp "$models/micro-klein/vae/diffusion_pytorch_model.safetensors" "$comfy/vae/v.safetensors"
printf '\2\0\0\0\0\0\0\0{}' >"$comfy/loras/broken.safetensors"
run models scan "$comfy"
expect 0 "ComfyUI's tree is scanned"
out_has '^star .*incomplete (no tokenizer)' "the model lacks a tokenizer"
err_has 'not used .*broken.safetensors' "what is of no use is named"
refuse 1 "has no tokenizer" generate -m star -p star -o "$work/out/x.png"
run generate -m star -p star -o "$work/out/x.png" --json
out_has '"code":"not_found"' "with --json the refusal is JSON"

# A folder of links to another drive, as ComfyUI is often set up; and processes that add at the same time.
mkdir -p "$work/linked"
ln -s "$comfy/diffusion_models" "$comfy/vae" "$work/linked/"
ln -s "$work/linked" "$work/linked/circle"
VEETANCE_HOME=$work/home2 run models scan "$work/linked"
expect 0 "links to folders are followed, a circle ends"
out_has '^star ' "what lies behind a link is found"
for i in 1 2 3 4 5 6 7 8; do
    VEETANCE_HOME=$work/home3 "$program" models add "$models/micro-klein" --as "p$i" --quiet >"$work/p$i" 2>&1 &
done
wait
is "no model is lost when eight processes add" \
    "$(VEETANCE_HOME=$work/home3 "$program" models list | grep -c '^p[1-8] ')" 8

# A model folder lends what is missing; equal components are one.
run models add "$models/micro-klein" --as own
expect 0 "a model folder is added"
run models list --json
expect 0 "the list as JSON"
if have jq; then
    is "both models are ready" "$(jq -r '[.models[].state] | unique | join(",")' "$work/stdout")" ready
    is "the text encoder is shared" \
        "$(jq -r '.models[] | select(.name == "star") | .parts.text_encoder.users' "$work/stdout")" 2
    is "files are pinned by sha256" \
        "$(jq -r '.models[] | select(.name == "own") | .parts.vae.sha256[0]' "$work/stdout")" \
        "$(sha256sum "$models/micro-klein/vae/diffusion_pytorch_model.safetensors" | cut -d' ' -f1)"
fi
check "nothing was copied" [ "$(du -sk "$VEETANCE_HOME" | cut -f1)" -lt 100 ]
for name in star own; do
    run generate -m $name --device cpu --threads 1 --steps 1 -W 64 -H 64 -p star --seed 3 \
        -o "$work/$name.png" --max-tokens 40 --guidance 1
    expect 0 "-m $name makes an image"
done
run generate --model=own --device cpu --threads 1 --steps 1 -W 64 -H 64 -p -m -o "$work/eq.png"
expect 0 "--model=NAME works, and a prompt may be -m"
is "both are the same image" "$(tail -c 3000 "$work/star.png" | cksum)" \
    "$(tail -c 3000 "$work/own.png" | cksum)"
# Every command knows every name.
run plan generate -m star -p star -W 64 -H 64
expect 0 "plan -m NAME"
run plan generate --model=own -p star -W 64 -H 64
expect 0 "plan --model=NAME"
for name in star own micro-klein; do
    run inspect $name
    expect 0 "inspect $name"
    out_has 'Qwen3' "inspect $name shows its text encoder"
    run inspect $name --json
    expect 0 "inspect $name --json"
    if have jq; then
        check "it is JSON" jq -e '.components | length >= 3' "$work/stdout" >"$work/jq"
    fi
    run convert $name "$work/converted-$name" --type q8_0
    expect 0 "convert $name"
done
run bench -m star --size 64 --steps 1
expect 0 "bench -m NAME"
refuse 1 "did you mean 'star'?" inspect stra
refuse 1 "did you mean 'star'?" convert stra "$work/out/x"

# A name of the store that an embedded model has, too, is used, and not unnoticed.
cp "$VEETANCE_HOME/models.json" "$work/models.json"
sed -i 's/"name": "own"/"name": "micro-layered"/' "$VEETANCE_HOME/models.json"
run plan generate -m micro-layered -p star -W 64 -H 64
expect 0 "the store's name goes first"
err_has "note: 'micro-layered' is your own model at .*, not the embedded one" "and it says so"
cp "$work/models.json" "$VEETANCE_HOME/models.json"

# The hub's cache: the folder, its name, the repository's name.
hub=$work/cache/hub/models--some--tiny
mkdir -p "$hub/snapshots/0123abc" "$hub/refs"
printf 0123abc >"$hub/refs/main"
cp -r "$models"/micro-klein/* "$hub/snapshots/0123abc"
for name in "$hub" models--some--tiny some/tiny; do
    HF_HOME=$work/cache run plan generate -m "$name" -p star -W 64 -H 64
    expect 0 "-m $name"
done

run models show star
out_has 'shared by 2 models' "show names what is shared"
out_has 'sha256 ' "show names hashes"

# A file under a name of its own; the layered pipeline.
run models link "$models/micro-layered/transformer-Q5_0.gguf" --as small
expect 0 "a single file is linked"
run models add "$models/micro-layered" --quick
expect 0 "the rest of its parts come from a folder"
run layers -m small -i "$work/star.png" -n 2 --steps 2 -p star --resolution 64 --device cpu --threads 1 \
    -o "$work/layers"
expect 0 "the linked file takes an image apart"

# A text encoder in GGUF brings its tokenizer along.
if have python3; then
    mkdir "$work/gguf"
    run convert "$models/micro-klein/text_encoder" "$work/bare.gguf" --naming gguf
    expect 0 "the text encoder as GGUF"
    check "a tokenizer is written into it" python3 tests/cli/add_tokenizer.py "$work/bare.gguf" \
        "$models/micro-klein/tokenizer/tokenizer.json" "$work/gguf/encoder.gguf"
    cat >"$work/gguf/veetance.json" <<END
{"base": "$work/based", "pipeline": "klein", "components": {"text_encoder": "encoder.gguf"}}
END
    mkdir "$work/based"
    cp -r "$models"/micro-klein/{model_index.json,scheduler,transformer,vae} "$work/based"
    run models add "$work/gguf" --as gguf
    expect 0 "a model with such an encoder is added"
    run models show gguf
    out_has '^gguf: .*ready' "it needs no tokenizer"
    out_has "$work/gguf/encoder.gguf" "its encoder is the GGUF file"
    for name in gguf own "$work/gguf"; do
        run generate -m "$name" --device cpu --threads 1 --steps 1 -W 64 -H 64 --seed 3 --max-tokens 40 \
            --guidance 1 -p "a red star, and a naïve 图" -o "$work/t-$(basename "$(dirname "$name")")-$(basename "$name").png"
        expect 0 "-m $name makes an image"
    done
    is "all tokenizers say the same" \
        "$(for each in "$work"/t-*.png; do tail -c 3000 "$each" | cksum; done | sort -u | wc -l)" 1
fi

# Lost, found, damaged.
mkdir "$work/elsewhere"
mv "$comfy/diffusion_models/star.safetensors" "$work/elsewhere/other-name"
run models list
expect 0 "a moved file is no failure"
run models scan "$work/elsewhere"
run models verify
expect 0 "everything is sound"
run models list
out_has '^star .*ready' "the moved file was found"
printf 'x' | dd of="$work/elsewhere/other-name" bs=1 seek=200000 conv=notrunc status=none
run models verify
expect 1 "a damaged file is found"
err_has 'BROKEN' "and named"
rm -rf "$comfy" "$work/elsewhere"
run models list
expect 0 "the list works without the files"
out_has '^own .*ready' "what lies elsewhere goes on working"

# A drive in a drawer.
run models link "$models/micro-layered/transformer" --as gone
sed -i 's|"path": "[^"]*/micro-layered/transformer"|"path": "/nonexistent/usb/t"|;s|"volume": "[^"]*"|"volume": "/nonexistent/usb"|' \
    "$VEETANCE_HOME/models.json"
run models list
out_has '^gone .*away' "a drive that is not there makes its models away"
refuse 1 'connect the drive' layers -m gone -i "$work/own.png" -n 2 -o "$work/out/l"

run models remove own
expect 0 "a model is forgotten"
check "its files are not" [ -s "$models/micro-klein/vae/config.json" ]
refuse 1 "has no 'own'" models remove own
refuse 1 "has no 'own'" models show own
refuse 1 'no file or folder' models add "$work/nonexistent"
refuse 1 'no model folder' models add "$work/layers"
refuse 2 'is no folder' models scan "$work/own.png"
refuse 2 'needs --as NAME' models link "$work/own.png"
refuse 2 'needs a path' models add
refuse 2 'is not one of' models frobnicate
refuse 2 'takes one of no, yes' models add x --distilled maybe
echo '{' >"$VEETANCE_HOME/models.json"
refuse 1 'models.json' models list
refuse 1 'models.json' generate -m own -p star -o "$work/out/x.png"
finish
