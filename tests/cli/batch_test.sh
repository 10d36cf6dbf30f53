#!/usr/bin/env bash
# batch_test.sh - many runs with one model: files of rows, images, grids, names, --resume, what fails.
# shellcheck source=tests/cli/lib.sh disable=SC2086,SC2016 # lists of arguments are split on purpose; {n} is ours
. tests/cli/lib.sh
cd "$work" || exit 1
unset VEETANCE_NAME VEETANCE_OUTPUT_FOLDER
export VEETANCE_HOME=$work/home
# The files of a folder, a blank behind each.
names() {
    (cd "$1" && printf '%s ' *)
}
small="-m micro-klein --device cpu --threads 1 -W 64 -H 64 --steps 1"

# ---- rows of text -----------------------------------------------------------------------------------
printf '\xef\xbb\xbfa red star\r\n\n  a blue circle  \n' >two.txt
run generate $small --prompts two.txt --seed 3 -o made/
expect 0 "prompts of a file"
is "each has its name" "$(ls made)" "$(printf '1-a-red-star.png\n2-a-blue-circle.png')"
run generate $small -p "a red star" --seed 3 -o alone.png
check "an image is that of a run of its own" cmp -s alone.png made/1-a-red-star.png
run generate $small --prompts two.txt --seed 3 -o made/
expect 1 "what is there is not touched"
err_has '2 of 2 results are' "it is told"
sum=$(cat made/* | cksum)
run generate $small --prompts two.txt --seed 3 -o made/ --resume --json
expect 0 "all is there"
is "both are skipped" "$(grep -c '"status":"skipped"' stdout)" 2
is "and are as they were" "$(cat made/* | cksum)" "$sum"
: >made/2-a-blue-circle.png
run generate $small --prompts two.txt --seed 3 -o made/ --resume
expect 0 "what is not whole is made again"
err_has '1 of 2 made, 1 there already' "it is summed up"
is "as it was" "$(cat made/* | cksum)" "$sum"
run generate $small --prompts two.txt --seed 4 -o made/ --resume --json
expect 1 "another recipe's image is kept"
is "it is a failure of each" "$(grep -c '"status":"failed".*"error":{"code"' stdout)" 2
is "and nothing was touched" "$(cat made/* | cksum)" "$sum"
run generate $small --prompts two.txt --seed 4 -o made/ --resume --force
expect 0 "--force makes it anew"
check "with the new seed" [ "$(cat made/* | cksum)" != "$sum" ]
printf 'a red star\n' | "$program" generate $small --prompts - -o 'piped/{prompt}-{seed}.jpg' --seed 9 >stdout 2>stderr
rc=$?
expect 0 "rows of standard input"
check "a template with an ending" [ -s piped/a-red-star-9.jpg ]

# ---- rows of JSON -----------------------------------------------------------------------------------
cat >rows.jsonl <<'ROWS'
{"prompt": "a red star", "seed": 5, "steps": 2, "output": "own.png"}
{"prompt": "a red star", "seed": 7, "count": 2, "max_tokens": 20, "transparent": false, "width": null}
ROWS
run generate $small --prompts rows.jsonl -o '{n}-{seed}.png' --json
expect 0 "options of rows"
is "a line for each image" "$(grep -c '"status":"made"' stdout)" 3
check "a name of its own" [ -s own.png ]
check "a count becomes items with the next seeds" [ -s 2-7.png -a -s 3-8.png ]
if have jq; then
    is "each line is JSON" "$(jq -r '[.n, .line, .images[0].seed, .steps] | join(" ")' stdout)" "$(printf '1 1 5 2\n2 2 7 1\n3 2 8 1')"
fi
cat >failing.jsonl <<'ROWS'
{"image": "own.png"}
{"image": "missing.png"}
{"image": ["own.png", "2-7.png"]}
ROWS
run edit $small -p "make it green" --prompts failing.jsonl --seed 1 -o 'edits/{n}-{source}.png' --json
expect 1 "one failed"
is "the others are made" "$(ls edits)" "$(printf '1-own.png\n3-own.png')"
check "its line says so" grep -q '^{"n":2,"line":2,"status":"failed".*missing.png' stdout
err_has 'failing.jsonl:2: .*missing.png' "and so does standard error"
rm -r edits
run edit $small -p "make it green" --prompts failing.jsonl --seed 1 -o 'edits/{n}-{source}.png' --stop-on-error
expect 1 "it stops"
is "what came before stays" "$(ls edits)" "1-own.png"
err_has '1 of 3 made, 1 failed, 1 left' "what is left is told"

# ---- rows that cannot be ----------------------------------------------------------------------------
bad() {
    printf '%s\n' '{"prompt": "a"}' "$1" >bad.jsonl
    run generate $small --prompts bad.jsonl -o bad/
    expect 2 "$1"
    err_has "^veetance: bad.jsonl:2: .*$2" "$1"
    is "$1: nothing is made" "$(ls bad 2>/dev/null)" ""
}
bad '{"promt": "a"}' "no option 'promt'; did you mean 'prompt'"
bad '{"prompt": "a", "steps": "x"}' "whole number from 1 to 1000, not 'x'"
bad '{"prompt": "a", "steps": 1.5}' "whole number"
bad '{"prompt": "a", "steps": 5000}' "whole number from 1 to 1000"
bad '{"prompt": "a", "steps": {}}' "takes a text or a number"
bad '{"prompt": "a", "transparent": 1}' "true or false"
bad '{"prompt": "a\u0000b"}' "takes a text"
bad '{"prompt": ""}' "the prompt is empty"
bad '{"prompt": "a", "device": "cpu"}' "for the whole batch"
bad '{"prompt": "a", "prompts": "x"}' "for the whole batch"
bad '{"prompt": "a", "model": "nothing"}' "there is no model 'nothing'"
bad '{"prompt": "a", "output": "x.gif"}' "gif"
bad '{"prompt": "a"' "not valid JSON"
bad '["a"]' "a row is an object"
bad 'a' "not valid JSON"
for i in $(seq 30); do echo "{\"prompt\": \"a\", \"steps\": $((i + 2000))}"; done >many.jsonl
run generate $small --prompts many.jsonl -o bad/ --json
expect 2 "many bad rows"
is "not all are told" "$(grep -c '^veetance: ' stderr)" 21
is "JSON has the first" "$(cat stdout)" '{"error":{"code":"argument","message":"many.jsonl:1: --steps takes a whole number from 1 to 1000, not '"'2001'"'"}}'
head -c 5000 /dev/urandom >noise
run generate $small --prompts noise -o bad/
check "noise is refused" [ $rc = 1 -o $rc = 2 ]
: >empty
refuse 2 "has no rows" generate $small --prompts empty
refuse 1 "cannot open" generate $small --prompts nowhere
refuse 2 "for several runs" generate $small -p star --resume
refuse 2 "would be read once" generate $small -p - --prompts two.txt
refuse 2 "there is no option" caption --prompts two.txt

# ---- names ------------------------------------------------------------------------------------------
run generate $small --prompts two.txt -o same.png
expect 2 "one name for two"
err_has "two.txt:3: 'same.png' is the name of the result of two.txt:1, too" "both are named"
refuse 2 "{nn}' is none of" generate $small --prompts two.txt -o '{nn}.png'
refuse 2 "and '-' is none" generate $small --prompts two.txt -o -
refuse 2 "needs a seed" generate $small --prompts two.txt -o '{seed}.png' --resume
refuse 2 "are others when" generate $small --prompts two.txt -o '{n}-{time}.png' --resume
refuse 2 "too long" generate $small --prompts two.txt -o "$(printf '%0300d' 1){n}.png"
run generate $small --prompts two.txt -o '{seed}.png'
expect 0 "seeds are drawn for names"
run generate $small -p "$(printf 'long %.0s' $(seq 100))" --grid seed=1 -o 'cut/{prompt}.png'
check "a prompt in a name is short" [ "$(names cut | wc -c)" -lt 60 ]

# ---- grids ------------------------------------------------------------------------------------------
run generate $small -p "a red star" --grid seed=1..5..2,steps=1:2 -o 'grid/{n}-{seed}.png'
expect 0 "a grid"
is "every pair is there" "$(names grid)" "1-1.png 2-1.png 3-3.png 4-3.png 5-5.png 6-5.png "
refuse 2 "no range" generate $small -p star --grid seed=4..1
refuse 2 "no range" generate $small -p star --grid seed=a..b
refuse 2 "no option 'sed'" generate $small -p star --grid sed=1..4
refuse 2 "names no option" generate $small -p star --grid seed
refuse 2 "is empty" generate $small -p star --grid seed=1::2
refuse 2 "one option or two" generate $small -p star --grid seed=1,steps=1,width=64
refuse 2 "is there twice" generate $small -p star --grid seed=1,seed=2
refuse 2 "has no values" generate $small -p star --grid transparent=1
refuse 1 "at most 1000 values" generate $small -p star --grid seed=1..9223372036854775807
refuse 1 "10000 runs" generate $small -p star --grid seed=1..200,steps=1..200

# ---- sheets -----------------------------------------------------------------------------------------
run generate $small --prompts two.txt --grid seed=1:2,steps=1..3 -o sheet/ --sheet sheet.png
expect 0 "a sheet"
err_has "the sheet is 'sheet.png'" "it is told"
run inspect sheet.png --json
out_has '"width":[0-9]*' "an image"
run generate $small -p "a red star" --grid seed=1:2 -o once/ --sheet sheet.png
expect 1 "a sheet that is there"
err_has "'sheet.png' is there already" "is kept"
check "and nothing is made" [ ! -e once ]
run generate $small -p "a red star" --grid seed=1:2 -o once/ --sheet sheet.png --resume
expect 0 "but a batch that goes on makes it anew"
run sheet once/*.png --column-labels one,two --row-labels star -o labelled.png
expect 0 "labels of one's own"
run sheet once/*.png -o plain.png
check "change the sheet" [ "$(cksum <labelled.png)" != "$(cksum <plain.png)" ]
refuse 2 "has 3 for 2 columns" sheet once/1-a-red-star.png once/2-a-red-star.png --column-labels a,b,c
refuse 2 "has 1 for 2 rows" sheet once/1-a-red-star.png once/2-a-red-star.png -c 1 --row-labels a
refuse 2 "lays a --grid out" generate $small --prompts two.txt --sheet x.png -o "$work/out/"
refuse 2 "at most 256" generate $small -p star --grid seed=1..257 --sheet x.png -o "$work/out/"
refuse 2 "one image a cell" generate $small -p star --count 2 --grid steps=1:2 --sheet x.png -o "$work/out/"
refuse 2 "gif" generate $small -p star --grid steps=1:2 --sheet x.gif -o "$work/out/"
refuse 2 "is none" generate $small -p star --grid steps=1:2 --sheet - -o "$work/out/"

# ---- images -----------------------------------------------------------------------------------------
run edit $small -p "make it green" --each grid/1-1.png grid/3-3.png --seed 2 -o 'each/{source}.png'
expect 0 "each image"
is "named after it" "$(names each)" "1-1.png 3-3.png "
run edit $small -p "make it green" -i grid/1-1.png --seed 2 -o each.png
check "as a run of its own" cmp -s each.png each/1-1.png
run edit $small -p "make it green" --each grid/1-1.png -i grid/3-3.png --seed 2 -o 'with/{source}.png'
run edit $small -p "make it green" -i grid/1-1.png -i grid/3-3.png --seed 2 -o with.png
check "images for all are references" cmp -s with.png with/1-1.png
layered="-m micro-layered --device cpu --threads 1 -n 2 --steps 2 --resolution 64 --seed 1"
run layers $layered --each grid/1-1.png grid/3-3.png -o 'apart/{source}'
expect 0 "layers of each image"
check "a folder each" [ -s apart/1-1/layers.json -a -s apart/3-3/layers.json ]
rm apart/3-3/layers.json
run layers $layered --each grid/1-1.png grid/3-3.png -o 'apart/{source}' --resume --json
expect 0 "a folder that is not whole"
is "is made again" "$(grep -c '"status":"made"' stdout)" 1
check "whole" [ -s apart/3-3/layers.json ]
run layers $layered --each grid/1-1.png -o 'apart/{source}.psd'
check "a document each" [ -s apart/1-1.psd ]

# ---- plans and stopping -----------------------------------------------------------------------------
run plan generate $small --prompts two.txt --grid width=64:128 -o never/
expect 0 "a batch is planned"
out_has '^4 runs, .* number 2 takes most' "how many, and the largest"
check "and nothing is made" [ ! -e never ]
run plan generate $small --prompts two.txt --json
out_has '^{"items":2,"largest":1,"plan":{' "as JSON"
for i in $(seq 200); do echo "star $i"; done >long.txt
set -m
"$program" generate $small --steps 30 --prompts long.txt -o stopped/ >stdout 2>stderr </dev/null &
pid=$!
set +m
for _ in $(seq 600); do
    grep -q '^run 3 of 200' stderr && break
    sleep 0.05
done
kill -INT $pid
wait $pid
rc=$?
expect 130 "Ctrl-C"
err_has 'left; --resume goes on' "what is left"
check "what was made is whole" [ "$(find stopped -size 0 | wc -l)" = 0 -a "$(grep -c seed stdout)" = "$(find stopped -name '*.png' | wc -l)" ]
finish
