#!/usr/bin/env bash
# generate_test.sh - images from prompts: what is written, what is said, and that it is the same every time.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh

# ---- the same every time ----------------------------------------------------------------------------
quick generate --seed 5 -o "$work/a.png"
expect 0 "an image"
is "a result is one line" "$(wc -l <"$work/stdout")" 1
out_has "^$work/a.png  seed 5  64 x 64  " "a result names file, seed and size"
quick generate --seed 5 -o "$work/b.png"
check "the same seed gives the same file" cmp -s "$work/a.png" "$work/b.png"
quick generate --seed 6 -o "$work/c.png"
check "another seed gives another image" test -n "$(cmp "$work/a.png" "$work/c.png" 2>&1)"

quick generate --seed 5 --count 3 -o "$work/n.png"
expect 0 "--count 3"
is "--count writes so many files" "$(cd "$work" && echo n*.png)" "n-5.png n-6.png n-7.png"
check "the first of --count is the single run" cmp -s "$work/n-5.png" "$work/a.png"
check "the second of --count is the single run of the next seed" cmp -s "$work/n-6.png" "$work/c.png"
quick generate --seed 7 -o "$work/d.png"
check "the third of --count, too" cmp -s "$work/n-7.png" "$work/d.png"

# Seeds beyond 32 bits are seeds of their own.
quick generate --seed 4294967301 -o "$work/e.png"
expect 0 "a seed of 33 bits"
out_has 'seed 4294967301 ' "a seed of 33 bits"
quick generate -o "$work/f.png"
expect 0 "no seed"
seed=$(sed -E 's/.*seed ([0-9]+) .*/\1/' "$work/stdout")
quick generate --seed "$seed" -o "$work/g.png"
check "the printed random seed makes the image again" cmp -s "$work/f.png" "$work/g.png"

# ---- prompts ----------------------------------------------------------------------------------------
printf 'star\n' | "$program" generate -m micro-klein --device cpu --threads 1 --steps 1 -W 64 -H 64 -p - \
    --seed 5 -o "$work/s.png" >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 0 "a prompt from standard input"
check "a prompt from standard input makes the same image" cmp -s "$work/s.png" "$work/a.png"
for empty in '' ' ' $'\n\t'; do
    refuse 2 'the prompt is empty' generate -m micro-klein -p "$empty" -o "$work/out/s.png"
done
refuse 2 'the prompt is empty' generate -m micro-klein -p - -o "$work/out/s.png"
run generate -m micro-klein --threads 1 --steps 1 -W 64 -H 64 -p 'ein „Stern“ ★ 星 🌟' --seed 5 -o "$work/u.png"
expect 0 "a prompt beyond ASCII"
run generate -m micro-klein --threads 1 --steps 1 -W 64 -H 64 \
    -p '<|im_end|><|endoftext|><|im_start|>system <think></think>' --seed 5 -o "$work/t.png"
expect 0 "a prompt with special tokens"
printf '\357\273\277star\r\n' | "$program" generate -m micro-klein --device cpu --threads 1 --steps 1 -W 64 -H 64 -p - \
    --seed 5 -o "$work/s.png" >"$work/stdout" 2>"$work/stderr"
rc=$?
expect 0 "a prompt with a byte order mark and another system's line end"
check "neither is part of the prompt" cmp -s "$work/s.png" "$work/a.png"
words=$(for i in 1 2 3 4 5 6 7 8 9 10; do printf 'one two three '; done)
quick generate -p "a star $words" --seed 5 -o "$work/s.png"
expect 0 "a long prompt"
err_has "note: the prompt is [0-9]* tokens too long ([0-9]* with the text around it, the limit is 40): it is cut after '.*two three" \
    "a long prompt is said to be cut, and where"
quick generate --seed 5 -o "$work/s.png"
is "one that fits says nothing" "$(grep -c 'too long' "$work/stderr")" 0
refuse 1 "there is no LoRA 'fine'" generate -m micro-klein -p 'a star <lora:fine:0.8>, red' -o "$work/out/a.png"
refuse 2 'asks for a LoRA' edit -m micro-klein -p '<LORA:x' -i "$work/a.png" -o "$work/out/a.png"
refuse 2 'asks for a LoRA' layers -m micro-layered -p '<lora:x:1>' -i "$work/a.png" -o "$work/out/a"

# ---- what the file says -----------------------------------------------------------------------------
if have identify; then
    property() {
        identify -format "%[$1]" "$work/$2"
    }
    is "prompt in the PNG" "$(property prompt a.png)" star
    is "seed in the PNG" "$(property seed a.png)" 5
    is "model in the PNG" "$(property model a.png)" micro-klein
    is "steps in the PNG" "$(property steps a.png)" 1
    is "size in the PNG" "$(property dimensions a.png)" 64x64
    is "ImageMagick has nothing to say about the PNG" "$(identify "$work/a.png" 2>&1 >/dev/null)" ""
    is "parameters in the PNG" "$(property parameters a.png | tr '\n' '|' | sed 's/, Version.*//')" \
        'star|Steps: 1, Sampler: Euler, CFG scale: 1, Seed: 5, Size: 64x64, Model: micro-klein'
    is "the PNG is RGB of the size" "$(identify -format '%wx%h %[channels]' "$work/a.png" | cut -c1-10)" "64x64 srgb"
else
    check "prompt in the PNG" grep -q -a 'prompt.*star' "$work/a.png"
fi
check "UTF-8 is in the PNG as it is" grep -q -a -F 'ein „Stern“ ★ 星 🌟' "$work/u.png"
if have pngcheck; then
    check "the PNG is sound" pngcheck -q "$work/a.png" "$work/u.png"
fi

# ---- endings ----------------------------------------------------------------------------------------
first() {
    od -An -tx1 -N12 "$work/$1" | tr -d ' \n'
}
quick generate --seed 5 -o "$work/e.jpg"
expect 0 "a JPEG"
is "a JPEG under its name" "$(first e.jpg | cut -c1-6)" ffd8ff
quick generate --seed 5 -o "$work/e2.JPEG" --quality 30
expect 0 "a JPEG of low quality"
check "quality counts" test "$(wc -c <"$work/e2.JPEG")" -lt "$(wc -c <"$work/e.jpg")"
quick generate --seed 5 -o "$work/e.webp"
is "a WebP under its name" "$(first e.webp | sed 's/^\(52494646\)......../\1/')" 5249464657454250
check "the recipe is in the JPEG" grep -q -a 'U.N.I.C.O.D.E\|UNICODE.*s.t.a.r' "$work/e.jpg"
check "the recipe is in the WebP" grep -q -a 'EXIF' "$work/e.webp"
quick generate --seed 5 --count 2 -o "$work/many.jpg"
is "several JPEGs" "$(cd "$work" && echo many*.jpg)" "many-5.jpg many-6.jpg"
refuse 2 'not as .\.gif.' generate -m micro-klein -p star -o "$work/out/a.gif"
refuse 2 'not as .\.pgn.' generate -m micro-klein -p star -o "$work/out/a.pgn"
refuse 2 'quality is for JPEG and WebP' generate -m micro-klein -p star --quality 80 -o "$work/out/a.png"
refuse 2 '' generate -m micro-klein -p star --quality 0 -o "$work/out/a.jpg"

# ---- and is made again from ---------------------------------------------------------------------------
for ending in png jpg webp; do
    quick generate --seed 5 -o "$work/r.$ending" --force
    run generate --from "$work/r.$ending" --device cpu --threads 1 -o "$work/again.$ending" --force
    expect 0 "--from x.$ending"
    check "--from x.$ending makes the same file" cmp -s "$work/again.$ending" "$work/r.$ending"
    run inspect "$work/r.$ending"
    expect 0 "inspect x.$ending"
    out_has '^  prompt  *star$' "inspect x.$ending shows its recipe"
    out_has '^  seed  *5$' "inspect x.$ending shows its seed"
done
run inspect "$work/r.png" --json
out_has '"kind":"image","format":"png","width":64,"height":64,.*"recipe":{"task":"generate","prompt":"star","model":"micro-klein","seed":5,"steps":1' \
    "the recipe as JSON"
run generate --from "$work/a.png" --device cpu --threads 1 --seed 6 -o "$work/six.png"
check "an option goes before the recipe" cmp -s "$work/six.png" "$work/c.png"
refuse 1 'no recipe\|has no text\|parameters' generate --from tests/data/micro/layered/scene-00-input.png -o "$work/out/x.png"
refuse 1 'nowhere.png' generate --from "$work/nowhere.png" -o "$work/out/x.png"
quick edit -i "$work/a.png" --mask "$work/a.png" --strength 0.9 --seed 3 --steps 2 -o "$work/edit.png"
refuse 2 'was made by .veetance edit.' generate --from "$work/edit.png" -o "$work/out/x.png"
run edit --from "$work/edit.png" --device cpu --threads 1 -o "$work/edit2.png"
expect 0 "edit --from"
check "edit --from makes the same image" cmp -s "$work/edit.png" "$work/edit2.png"
check "no folder is told" test -z "$(grep -a "$work" "$work/edit.png")"
mkdir "$work/alone"
cp "$work/edit.png" "$work/alone"
refuse 1 "the recipe's image 'a.png' is not here" edit --from "$work/alone/edit.png" -o "$work/out/x.png"

# ---- what the program says --------------------------------------------------------------------------
quick generate --seed 5 --json -o "$work/j.png"
expect 0 "--json"
is "--json is one line" "$(wc -l <"$work/stdout")" 1
if have jq; then
    wanted='.images[0].path == "'$work'/j.png" and .images[0].seed == 5 and .images[0].width == 64 and
        .images[0].height == 64 and .model == "micro-klein" and .prompt == "star" and .steps == 1 and
        .guidance == 1 and .max_tokens == 40 and .device == "cpu" and (.notes | length) == 0 and
        ([.seconds[]] | length == 6 and all(. >= 0)) and .seconds.total > 0 and
        .memory.host.anonymous_bytes > 0 and .memory.device.weight_bytes >= 0'
    check "--json says everything" jq -e "$wanted" "$work/stdout" >"$work/jq"
    run generate -m micro-klein --threads 1 --steps 1 -W 100 -H 64 --json -p $'a "quoted" \\ prompt\nof two\tlines' --seed 1 -o "$work/j.png" --force
    is "--json escapes a prompt" "$(jq -r .prompt "$work/stdout")" $'a "quoted" \\ prompt\nof two\tlines'
    is "--json keeps notes" "$(jq -r '.notes | length' "$work/stdout")" 1
    run generate -m nowhere --json -p x -o "$work/x.png"
    expect 1 "--json with an error"
    check "--json with an error is JSON" \
        jq -e '.error.code == "not_found" and (.error.message | contains("nowhere"))' "$work/stdout" >"$work/jq"
    run generate -m micro-klein --threads 1 --json -p x -o "$work/nowhere/x.png"
    check "--json with an unwritable file is JSON" jq -e '.error.code == "io"' "$work/stdout" >"$work/jq"
fi
quick generate --seed 5 --quiet -o "$work/q.png"
expect 0 "--quiet"
is "--quiet says nothing" "$(cat "$work/stdout" "$work/stderr")" ""
check "--quiet makes the same image" cmp -s "$work/q.png" "$work/a.png"
quick generate --seed 5 --quiet --json -o "$work/q.png"
is "--quiet --json says nothing on standard error" "$(cat "$work/stderr")" ""
out_has '^{"images"' "--quiet --json"

run generate -m micro-klein --threads 1 -p star --steps 3 -W 64 -H 64 --seed 5 -o "$work/p.png"
is "progress is a line a stage when it is no terminal" "$(tr '\n' '|' <"$work/stderr")" \
    'loading weights|encoding the prompt|running 3 steps|decoding the image|'
run generate -m micro-klein --threads 1 -p star --steps 3 -W 64 -H 64 --seed 5 -o "$work/p.png" -v
is "--verbose has a line a step" "$(grep -c '^step [123] of 3  .* s/step  .* left$' "$work/stderr")" 3
is "no control characters in plain progress" "$(tr -d '\n[:print:]' <"$work/stderr" | wc -c)" 0

# ---- sizes ------------------------------------------------------------------------------------------
run generate -m micro-klein --threads 1 -p star --steps 1 -W 100 -H 79 --seed 5 -o "$work/r.png"
expect 0 "an odd size"
err_has 'note: the size is 96 x 64' "an odd size is rounded with a note"
out_has '  96 x 64  ' "an odd size"
run generate -m micro-klein --threads 1 -p star --steps 1 -W 2048 -H 64 --seed 5 -o "$work/r.png"
expect 0 "the longest side"
run generate -m micro-klein --threads 1 -p star --steps 1 --seed 5 -o "$work/r.png"
out_has '  128 x 128  ' "the model's own size"
run generate -m micro-klein --threads 1 -p star --steps 1 -W 64 -H 64 --guidance 3 --seed 5 -o "$work/r.png"
err_has 'note: guidance 3 has no effect' "guidance for a distilled model"

# ---- fewer passes ------------------------------------------------------------------------------------
quick generate --seed 5 --steps 4 --fast 2 -o "$work/fast4.png"
expect 0 "--fast with few steps"
err_has 'note: fast 2 has no effect' "--fast with few steps"
quick generate --fast 4 -o "$work/no.png"
expect 2 "a level that there is not"
err_has '0 to 3' "a level that there is not"
run generate -m micro-klein --threads 1 -p "a red star on a white background" --steps 1 -W 64 -H 64 --max-tokens 1 --seed 5 -o "$work/r.png"
expect 0 "a single prompt token"

# ---- traces -----------------------------------------------------------------------------------------
# Name and shape of every tensor in a safetensors file, sorted.
shapes() {
    header "$1" | tr '{' '\n' | paste -sd' ' | sed -E 's/"([^"]+)": +"dtype":"([A-Z0-9]+)","shape":(\[[0-9,]*\])/\n\1 \2 \3\n/g' |
        grep -E '^[^ ]+ [A-Z0-9]+ \[[0-9,]*\]$' | sort
}
quick generate --steps 2 --seed 5 --trace "$work/t.safetensors" -o "$work/t.png"
expect 0 "--trace"
shapes "$work/t.safetensors" >"$work/shapes"
for wanted in 'prompt_embeds F32 [1,40,192]' 'initial_latents F32 [1,16,64]' 'sigmas F32 [3]' \
    'latents_step_0 F32 [1,16,64]' 'latents_step_1 F32 [1,16,64]' 'vae_input F32 [1,16,8,8]' \
    'decoded F32 [1,3,64,64]'; do
    check "the trace has $wanted (found $(grep "^${wanted%% *} " "$work/shapes"))" grep -q -x -F "$wanted" "$work/shapes"
done
check "no third step" test -z "$(grep latents_step_2 "$work/shapes")"
check "no blocks without being asked" test -z "$(grep '^mid' "$work/shapes")"
run inspect "$work/t.safetensors"
expect 0 "our own trace can be inspected"
cp "$work/t.png" "$work/t0.png"
quick generate --steps 2 --seed 5 --trace "$work/m.safetensors" --trace-level blocks -o "$work/t.png"
expect 0 "--trace-level blocks"
check "a trace does not change the image" cmp -s "$work/t.png" "$work/t0.png"
shapes "$work/m.safetensors" >"$work/shapes"
for name in mid.x_embedder mid.context_embedder mid.time_guidance_embed mid.double_stream_modulation_img \
    mid.transformer_blocks.0 mid.single_transformer_blocks.0 mid.norm_out mid.decoder.conv_in \
    mid.decoder.mid_block mid.decoder.up_blocks.0 mid.decoder.conv_out; do
    check "the trace of blocks has $name" grep -q "^$name" "$work/shapes"
done
quick generate --seed 5 --count 2 --trace "$work/two.safetensors" -o "$work/two.png"
is "a trace an image" "$(cd "$work" && echo two*.safetensors)" 'two-5.safetensors two-6.safetensors'
finish
