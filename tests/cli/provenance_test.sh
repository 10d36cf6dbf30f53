#!/usr/bin/env bash
# provenance_test.sh - what files say of where they came from: read by our own commands, by an XML parser, and by exiftool
# where it is installed.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh
packets=$PWD/tests/cli/packets.py
cd "$work" || exit 1
fast="--device cpu --threads 1 --steps 1"
# Everything that could break out of XML, and a carriage return, which XML would change.
prompt=$'a star ]]> <b>&amp;</rdf:RDF> "\'\r\n\tund ★\x01'
seen=$'a star ]]> <b>&amp;</rdf:RDF> "\'\r\n\tund ★\xef\xbf\xbd'
generated=trainedAlgorithmicMedia
edited=compositeWithTrainedAlgorithmicMedia

# says FILE SOURCE [PROMPT]: the packets of a file, by a parser of XML and by ours. Without a source there are none.
says() {
    is "the packets of $1" "$(python3 "$packets" "$1" "${3-}")" "$2"
    if have exiftool && [ -n "$2" ]; then
        is "exiftool on $1" "$(exiftool -s3 -XMP-iptcExt:DigitalSourceType "$1")" "http://cv.iptc.org/newscodes/digitalsourcetype/$2"
    fi
}
# What our own commands read: the source, and a prompt's first words.
tells() {
    run inspect "$1"
    expect 0 "inspect $1"
    out_has "source  *$2\$" "inspect says where $1 came from"
    out_has 'prompt  *a star' "inspect finds the recipe of $1"
}

for kind in png jpg webp; do
    run generate -m micro-klein $fast -W 64 -H 64 --seed 3 -p "$prompt" -o "star.$kind"
    expect 0 "a star as $kind"
    says "star.$kind" $generated "$seen"
    tells "star.$kind" $generated
    run generate $fast --from "star.$kind" -o "again.$kind"
    expect 0 "the recipe of a $kind runs again"
    run generate -m micro-klein $fast -W 64 -H 64 --seed 3 -p star --no-metadata -o "mute.$kind"
    expect 0 "a $kind that says nothing"
    says "mute.$kind" ""
    run inspect "mute.$kind"
    out_has 'no recipe' "there is no recipe in a mute $kind"
    is "no word of the prompt or the program is in a $kind" "$(grep -c -a -i -e veetance -e 'star' "mute.$kind")" 0
done

run edit -m micro-klein $fast -i star.png --seed 1 -p "a star, blue" -o blue.png
expect 0 "an edit"
says blue.png $edited "a star, blue"
tells blue.png $edited

# ---- layers -----------------------------------------------------------------------------------------------
run layers -m micro-layered --device cpu --threads 1 --steps 2 --resolution 64 --keep-empty -n 2 -i star.png -p "a star, red" -o parts --format psd,ora,pptx,zip
expect 0 "layers"
for file in parts/composite.png parts/layer_0.png parts/stack.psd; do
    says $file $edited "a star, red"
    tells $file $edited
done
run layers --device cpu --threads 1 --from parts/stack.psd -i star.png -o again
expect 0 "the recipe of a PSD runs again"
check "to the same layers" cmp -s parts/layer_0.png again/layer_0.png
for kind in psd ora zip; do
    run layers trim parts/stack.$kind -o "trimmed-$kind"
    says "trimmed-$kind/layer_0.png" $edited "a star, red"
    run layers flatten parts/stack.$kind -o "flat-$kind.jpg"
    says "flat-$kind.jpg" $edited "a star, red"
done
run layers export parts -o mute.psd --no-metadata
expect 0 "an export that says nothing"
says mute.psd ""
run layers -m micro-layered --device cpu --threads 1 --steps 2 --resolution 64 --keep-empty -n 2 -i star.png -p star --no-metadata -o silent --format psd
expect 0 "layers that say nothing"
for file in silent/composite.png silent/layer_0.png silent/stack.psd; do
    says $file ""
done
run layers split parts --layer 0 -m micro-layered --device cpu --threads 1 --steps 2 --resolution 64 --keep-empty -n 2 -o finer.psd
expect 0 "a layer is taken apart"
says finer.psd $edited

# A photo is none of a model's work, whatever tool it goes through.
run layers import mute.png -o photo
expect 0 "an image becomes a stack"
says photo/composite.png ""
run mask star.png --threshold 128 -o mask.png
expect 0 "a mask"
says mask.png ""

# ---- long prompts -----------------------------------------------------------------------------------------
long=$(printf 'owl %.0s' $(seq 25000))
for kind in png jpg webp; do
    printf '%s' "$long" | "$program" generate -m micro-klein $fast -W 64 -H 64 --seed 3 -p - -o "long.$kind" >"$work/stdout" 2>"$work/stderr"
    rc=$?
    expect 0 "a prompt of 100 kB in a $kind"
    is "the packet is cut in a $kind" "$(python3 "$packets" --cut "long.$kind")" "$generated cut"
    run inspect "long.$kind"
    out_has '^  seed  *3$' "the numbers of a $kind stay"
done

finish
