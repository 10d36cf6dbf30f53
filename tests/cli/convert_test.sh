#!/usr/bin/env bash
# convert_test.sh - `convert`, and `--weights` of the commands that run networks.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh

export VEETANCE_HOME=$work/home
transformer=$models/micro-klein/transformer
prompt="a red star on a white background"

picture() {
    local model=$1 out=$2
    shift 2
    run generate -m "$model" -p "$prompt" --device cpu --threads 1 --seed 1 -q -o "$out" "$@"
    expect 0 "an image of $model"
}

# ---- one network ------------------------------------------------------------------------------------

run convert "$transformer" "$work/a.gguf" --type q5_0
expect 0 "safetensors to GGUF"
out_has "57 tensors, 32 quantised" "safetensors to GGUF"
run inspect "$work/a.gguf"
out_has "serves      flux2-klein/transformer" "the result is a transformer"
out_has "general.architecture = flux" "the result says what it is"

run convert "$transformer" "$work/b.gguf" --type bf16 --json
expect 0 "bf16 GGUF as JSON"
out_has '"type":"BF16"' "JSON"
check "nothing is said beside the JSON" test ! -s "$work/stderr"
if have jq; then
    is "JSON counts the bytes" "$(jq .bytes "$work/stdout")" "$(stat -c %s "$work/b.gguf")"
fi
run convert "$work/b.gguf" "$work/b.safetensors" --type bf16 -q
expect 0 "back again"
check "quiet is quiet" test ! -s "$work/stdout" -a ! -s "$work/stderr"
run convert "$transformer" "$work/c.safetensors" --naming comfy
run convert "$work/c.safetensors" "$work/d.safetensors" --threads 1
check "another naming and back is the same file" cmp -s "$work/b.safetensors" "$work/d.safetensors"
run inspect "$work/c.safetensors"
out_has "naming      bfl" "the model maker's names"

# Shards, as large models come.
if have python3; then
    mkdir "$work/shards"
    python3 - "$transformer/diffusion_pytorch_model.safetensors" "$work/shards" <<'PY'
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8:8 + n])
header.pop("__metadata__", None)
names, where = sorted(header), {}
for i in range(3):
    part, data = {}, b""
    for name in names[i::3]:
        t = dict(header[name])
        a, b = t["data_offsets"]
        t["data_offsets"] = [len(data), len(data) + b - a]
        data += raw[8 + n + a:8 + n + b]
        part[name] = t
        where[name] = f"x-0000{i + 1}-of-00003.safetensors"
    h = json.dumps(part).encode()
    open(f"{sys.argv[2]}/x-0000{i + 1}-of-00003.safetensors", "wb").write(struct.pack("<Q", len(h)) + h + data)
json.dump({"weight_map": where}, open(f"{sys.argv[2]}/x.safetensors.index.json", "w"))
PY
    run convert "$work/shards" "$work/joined.safetensors"
    check "shards become one file" cmp -s "$work/joined.safetensors" "$work/b.safetensors"
fi

# ---- refusals ---------------------------------------------------------------------------------------

refuse 2 'there already' convert "$transformer" "$work/a.gguf"
refuse 2 'name what to convert' convert "$transformer"
refuse 2 'one path too many' convert a b c
refuse 2 'q9_0' convert a b --type q9_0
refuse 2 'q5_0' convert a b --type iq1_s
refuse 2 "not 'nobody'" convert "$transformer" "$work/out/x.gguf" --naming nobody
refuse 2 'ends neither' convert "$transformer" "$work/out/x.bin"
refuse 2 'cannot hold' convert "$transformer" "$work/out/x.safetensors" --type q8_0
refuse 2 'safetensors' convert "$work/a.gguf" "$work/out/x.safetensors"
refuse 1 'no folder' convert "$transformer" "$work/out/none/x.gguf"
refuse 1 'there is no model' convert "$work/nothing" "$work/out/x"
refuse 1 'neither a safetensors' convert tests/cli/lib.sh "$work/out/x.gguf"
refuse 2 'not empty' convert micro-klein "$work"
refuse 2 'becomes a folder' convert micro-klein "$work/a.gguf"
run convert "$transformer" "$work/a.gguf" --type q4_0 --force
expect 0 "--force replaces"
run convert "$work/a.gguf" "$work/a2.gguf" --type q8_0
err_has 'was quantised before' "quantising twice is told"

head -c 1000000 "$work/b.gguf" >"$work/cut.gguf"
refuse 1 'cut.gguf' convert "$work/cut.gguf" "$work/out/x.gguf"

# ---- a whole model ----------------------------------------------------------------------------------

picture micro-klein "$work/original.png"
# What was measured, less a few decibels: another compiler's arithmetic differs in the last place.
while read -r type least; do
    run convert micro-klein "$work/klein-$type" --type "$type"
    expect 0 "a whole model as $type"
    picture "$work/klein-$type" "$work/$type.png"
    if have compare; then
        db=$(psnr "$work/$type.png" "$work/original.png")
        echo "$type: $db dB from the original"
        check "$type: $db dB, $least are expected" test "$db" -ge "$least"
    fi
done <<'END'
bf16 100
f16 90
f32 100
q8_0 50
q6_k 46
q5_1 40
q5_0 40
q4_k 38
q4_0 35
END
run inspect "$work/klein-q5_0"
out_has "pipeline    Flux2KleinPipeline" "the folder is a pipeline"
is "the VAE is not quantised" "$(ls "$work/klein-q5_0/vae")" "config.json
diffusion_pytorch_model.safetensors"

run convert micro-layered "$work/layered" --type q8_0
expect 0 "a layered model"
picture micro-klein "$work/scene.png" -W 64 -H 64 --steps 1
run layers -m "$work/layered" -i "$work/scene.png" -n 2 --steps 2 -p star --device cpu --threads 1 -o "$work/layers"
expect 0 "the converted layered model runs"

# ---- --weights --------------------------------------------------------------------------------------

picture micro-klein "$work/w1.png" --weights q5_0
check "the same as the converted model" cmp -s <(convert "$work/w1.png" rgb:- 2>/dev/null) \
    <(convert "$work/q5_0.png" rgb:- 2>/dev/null)
is "two copies are kept" "$(find "$VEETANCE_HOME/cache/weights" -name '*.gguf' | wc -l)" 2
run generate -m micro-klein -p "$prompt" --device cpu --threads 1 --seed 1 -o "$work/w2.png" --weights q5_0
expect 0 "the second run"
checks=$((checks + 1))
! grep -q converting "$work/stderr" || fail "the second run converts again"
check "the same image" cmp -s "$work/w1.png" "$work/w2.png"
refuse 2 'not .q9' generate -m micro-klein -p x -o "$work/out/x.png" --weights q9

cp -r "$models/micro-klein" "$work/changing"
picture "$work/changing" "$work/w3.png" -W 64 -H 64 --steps 1 --weights q5_0
is "a model has its own copies" "$(find "$VEETANCE_HOME/cache/weights" -name '*.gguf' | wc -l)" 4
find "$work/changing" -name '*.safetensors' -exec touch -d '2001-02-03' {} +
run generate -m "$work/changing" -p x --device cpu --threads 1 -W 64 -H 64 --steps 1 -o "$work/w4.png" --weights q5_0
expect 0 "a changed model"
err_has 'removed .*: what it was made of has changed' "a changed model"
is "copies of what has changed are gone" "$(find "$VEETANCE_HOME/cache/weights" -name '*.gguf' | wc -l)" 4
mv "$work/changing" "$work/elsewhere"
run layers -m micro-layered -i "$work/scene.png" -n 2 --steps 2 -p star --device cpu --threads 1 --weights q8_0 -o "$work/layers2"
expect 0 "layers --weights"
err_has 'converting the text encoder to q8_0' "layers --weights"
refuse 2 'not .q9' layers -m micro-layered -i "$work/scene.png" --weights q9 -o "$work/out/x"
run caption -m micro-layered -i "$work/scene.png" --device cpu --threads 1 --weights q8_0 --max-new-tokens 4
expect 0 "caption --weights"
checks=$((checks + 1))
! grep -q converting "$work/stderr" || fail "caption makes the copy again that layers made"

# ---- Ctrl-C -----------------------------------------------------------------------------------------

# A network large enough to be interrupted: the text encoder's embeddings, grown on the fly, as one big tensor.
if have python3; then
    mkdir -p "$work/out"
    python3 - "$models/micro-klein/transformer/diffusion_pytorch_model.safetensors" "$work/large.safetensors" <<'PY'
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8:8 + n])
end = len(raw) - 8 - n
rows = 262144
for i in range(2, 8):
    header[f"transformer_blocks.{i}.attn.to_q.weight"] = {
        "dtype": "BF16", "shape": [rows, 256], "data_offsets": [end, end + rows * 512]}
    end += rows * 512
h = json.dumps(header).encode()
with open(sys.argv[2], "wb") as f:
    f.write(struct.pack("<Q", len(h)) + h + raw[8 + n:])
    f.truncate(8 + len(h) + end)
PY
    for signal in INT TERM; do
        rm -rf "$work/out"
        mkdir -p "$work/out"
        set -m
        "$program" convert "$work/large.safetensors" "$work/out/x.gguf" --type q2_k --threads 1 \
            >"$work/stdout" 2>"$work/stderr" </dev/null &
        pid=$!
        set +m
        sleep 0.5
        kill -s $signal "$pid"
        wait "$pid"
        rc=$?
        expect 130 "SIG$signal"
        is "nothing is left after SIG$signal" "$(ls -A "$work/out")" ""
        err_has 'was not written' "SIG$signal"
    done
    # The file has no name before it is whole: even a kill leaves nothing.
    "$program" convert "$work/large.safetensors" "$work/out/x.gguf" --type q2_k --threads 1 >/dev/null 2>&1 &
    pid=$!
    sleep 0.5
    kill -s KILL "$pid"
    wait "$pid" 2>/dev/null
    is "nothing is left after SIGKILL" "$(ls -A "$work/out")" ""
fi
finish
