#!/usr/bin/env bash
# usage_test.sh - what the program says about itself, and how it refuses a command line.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh

run
expect 2 "no arguments"
err_has '^Usage: veetance COMMAND' "no arguments"
is "nothing on standard output without arguments" "$(wc -c <"$work/stdout")" 0

run --version
expect 0 "--version"
is "--version" "$(cat "$work/stdout")" "$(grep -E '^veetance [0-9]+\.[0-9]+\.[0-9]+$' "$work/stdout")"
start=$(date +%s%N)
"$program" --version >/dev/null
printf 'veetance --version took %s ms\n' $((($(date +%s%N) - start) / 1000000))

for form in help --help -h; do
    run "$form"
    expect 0 "$form"
    out_has '^  generate ' "$form"
done

# Every command that the overview lists has a summary, a usage line and an example.
run help
commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' "$work/stdout" | grep -v '^help$')
check "the overview lists commands" test "$(printf '%s\n' $commands | wc -l)" -ge 4
for c in $commands; do
    run "$c" --help
    expect 0 "$c --help"
    out_has "^Usage: veetance $c" "$c --help"
    out_has '^Examples:' "$c --help"
    is "$c --help says nothing on standard error" "$(cat "$work/stderr")" ""
    cp "$work/stdout" "$work/help"
    run help "$c"
    expect 0 "help $c"
    check "help $c is $c --help" cmp -s "$work/help" "$work/stdout"
    run "$c" --frobnicate
    expect 2 "$c with an unknown option"
    err_has "there is no option --frobnicate" "$c with an unknown option"
done

refuse 2 "there is no command 'paint'" paint
refuse 2 "there is no command 'genrate'; did you mean 'generate'?" genrate
refuse 2 "there is no command 'hlep'; did you mean 'help'?" hlep
refuse 2 'there is no option --stpes; did you mean --steps?' generate --stpes 3
refuse 2 'there is no option --hlep; did you mean --help?' generate --hlep
refuse 2 "takes one of default, int8, fp8, auto, not 'inti8'; did you mean 'int8'?" generate --compute inti8
refuse 2 "not 'q8'; did you mean 'q8_0'?" convert a b --type q8
refuse 2 "takes one of gguf, safetensors, not 'safetensor'; did you mean 'safetensors'?" convert a b --format safetensor
refuse 2 "takes one of no, yes" models add x --distilled maybe
refuse 2 "'lst' is not one of list, .*; did you mean 'list'?" models lst
refuse 2 "did you mean 'check'?" store chek
refuse 2 "did you mean 'edit'?" plan edt -m x
refuse 2 "did you mean 'flatten'?" layers flaten x

# Values of options out of a closed set, too.
p="-m micro-klein -p star"
refuse 2 "there is no device 'vulcan'.*; did you mean 'vulkan'?" generate $p --device vulcan
refuse 2 "did you mean 'cuda'?" serve --device cudda
refuse 2 "did you mean 'cpu'?" worker --listen 127.0.0.1:1 --device cp
refuse 2 "did you mean 'vulkan'?" bench --device vulkn
refuse 2 "did you mean 'vulkan'?" caption -m micro-layered -i x --device vulkam
refuse 2 "did you mean 'vulkan'?" generate $p --place text=vulcan
refuse 2 "did you mean 'text'?" generate $p --place txt=cpu
refuse 2 "not 'q8'; did you mean 'q8_0'?" generate $p --weights q8
refuse 2 "did you mean 'q5_k'?" layers -m micro-layered -i x --weights q5k
refuse 2 "did you mean 'en'?" caption -m micro-layered -i x --language em
refuse 2 "did you mean 'white'?" edit $p -i x --matte whit
refuse 2 "'pds' is no format.*; did you mean 'psd'?" layers -m micro-layered -i x --format png,pds
refuse 2 "not as '.pgn'; did you mean 'png'?" generate $p -o "$work/out/a.pgn"
refuse 2 "not as '.jgp'; did you mean 'jpg'?" sheet a.png -o "$work/out/a.jgp"
refuse 2 "did you mean 'webp'?" layers flatten x -o "$work/out/a.wepb"
refuse 2 "did you mean 'psd'? A folder of that name is 'a.pds/'" layers merge x 0 1 -o a.pds
refuse 2 "did you mean 'budget'?" settings set buget 8G
refuse 2 "did you mean 'vulkan'?" settings set device vulcan
refuse 2 "did you mean 'klein-4b'?" bench --synthetic klein4b

# Help of a task, a tool: its own options under its own name.
for words in "plan edit" "plan layers" "layers split" "layers flatten"; do
    run $words --help
    expect 0 "$words --help"
    out_has "^Usage: veetance $words" "$words --help"
    cp "$work/stdout" "$work/help"
    run help $words
    check "help $words is $words --help" cmp -s "$work/help" "$work/stdout"
done
run plan edit --help
out_has '--strength' "plan edit --help shows the options of edit"
refuse 2 'veetance plan edit: there is no option --frobnicate' plan edit --frobnicate

# With --json bad usage is JSON, too, whatever the command.
for words in "genrate" "generate --stpes" "generate" "layers" "models lst" "store" "plan" "plan edit" "caption" "inspect" \
    "convert" "bench --size x" "doctor x" "devices x" "layers flatten"; do
    run $words --json
    expect 2 "$words --json"
    out_has '^{"error":{"code":"argument","message":"[^"]' "$words --json"
    is "$words --json: one line" "$(wc -l <"$work/stdout")" 1
done
refuse 2 "there is no command 'paint'" help paint
refuse 2 "there is no command '--frobnicate'" --frobnicate

g="generate -m micro-klein -p star -o $work/out/a.png"
refuse 2 'no model is named' generate -p star
refuse 2 'no prompt is given' generate -m micro-klein
refuse 2 'needs a value' generate -m
refuse 2 'needs a value' $g --steps
refuse 2 'takes no value' $g --json=1
refuse 2 'is not expected here' $g star
refuse 2 'there is no option -x' $g -x
for value in 0 -1 1001 x 4.5 '' ' 4' 4x 99999999999999999999; do
    refuse 2 '--steps takes a whole number from 1 to 1000' $g --steps "$value"
done
for side in -W -H --width --height; do
    for value in 0 63 2049 -64 wide; do
        refuse 2 'whole number from 64 to 2048' $g $side "$value"
    done
done
for value in -1 x 9223372036854775807 18446744073709551616; do
    refuse 2 '--seed takes a whole number' $g --seed "$value"
done
for value in nan inf -1 101 x 1,5; do
    refuse 2 '--guidance takes a number from 0 to 100' $g --guidance "$value"
done
refuse 2 '--count takes a whole number from 1 to 1000' $g --count 0
refuse 2 '--count takes a whole number' $g --count 1001
refuse 2 '--max-tokens takes a whole number' $g --max-tokens 0
refuse 2 '--threads takes a whole number' $g --threads 0
refuse 2 '--trace-level takes one of steps, blocks' $g --trace "$work/out/t" --trace-level all
refuse 2 '--trace-level needs --trace' $g --trace-level blocks
refuse 2 "there is no device 'toaster'" $g --device toaster

e="edit -m micro-klein -p star -o $work/out/a.png"
refuse 2 'no image is given' $e
for value in '' 1 1,2,3 1,2,3,4,5 '1,2,3,' a,b,c,d -1,0,0,1 0,0,0,0 9999,0,0,0 '1, 2,3,4' 99999999999999999999,0,0,0; do
    refuse 2 '--extend takes left,top,right,bottom' $e -i a.png --extend "$value"
done
refuse 2 '--strength takes a number from 0 to 1' $e -i a.png --strength 1.1
refuse 2 '--strength takes a number from 0 to 1' $e -i a.png --strength nan
refuse 2 '--feather takes a whole number' $e -i a.png --feather -1
refuse 2 '--mask-grow takes a whole number from -1024 to 1024' $e -i a.png --mask-grow 99999999999
refuse 2 '--mask-feather takes a whole number from 0 to 512' $e -i a.png --mask-feather -1
refuse 2 '--crop-padding takes a whole number from 0 to 1024' $e -i a.png --crop-padding x

refuse 2 '--transparent makes an image with alpha' generate -m micro-klein -p star --transparent -o "$work/out/a.jpg"

refuse 2 'name the image to make a mask of' mask -o "$work/out/a.png"
refuse 2 'one image is made a mask of' mask a.png b.png
refuse 2 'both say what is painted' mask a.png --alpha --threshold 3
refuse 2 'both say what is painted' mask a.png --colour black --alpha
refuse 2 "the colour is 'octarine'" mask a.png --colour octarine
refuse 2 '--tolerance is for --colour' mask a.png --tolerance 3
refuse 2 '--threshold takes a whole number from 0 to 255' mask a.png --threshold 256
refuse 2 '--grow takes a whole number from -1024 to 1024' mask a.png --grow 1025
refuse 1 'No such file' mask "$work/nowhere.png" -o "$work/out/a.png"
refuse 2 'at most 10 images' $e -i a -i b -i c -i d -i e -i f -i g -i h -i i -i j -i k
refuse 1 'No such file' $e -i "$work/nowhere.png"

refuse 2 'name a file or folder' inspect
refuse 2 'one path at a time' inspect a b
refuse 1 'No such file\|not there\|neither\|cannot' inspect "$work/nowhere"
refuse 2 'is not expected here' devices cpu

run devices --json
expect 0 "devices --json"
out_has '"name":"cpu"' "devices --json"
if have jq; then
    check "devices --json is JSON" jq -e '.devices | length > 0' "$work/stdout" >"$work/jq"
fi
run devices
expect 0 "devices"
out_has '^cpu' "devices"

# Results that cannot be written are failures.
if [ -e /dev/full ]; then
    for c in --version help 'help generate' 'devices --json' "inspect $models/micro-klein/vae"; do
        "$program" $c >/dev/full 2>"$work/stderr"
        rc=$?
        expect 1 "$c with a full standard output"
        err_has 'cannot write to standard output' "$c with a full standard output"
    done
fi
finish
