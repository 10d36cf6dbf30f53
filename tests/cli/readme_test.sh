#!/usr/bin/env bash
# readme_test.sh - every command that README.md shows is run, on the small models under the names that it uses.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
export VEETANCE_HOME=$work/home HOME=$work/user
readme=$PWD/README.md
mnt=$work/mnt/models
mkdir -p "$HOME" "$mnt" "$work/here"
for name in FLUX.2-klein-4B FLUX.2-klein-9B; do
    cp -r "$models/micro-klein" "$mnt/$name"
done
cp "$models/micro-klein/vae/diffusion_pytorch_model.safetensors" "$work/here/some-checkpoint.safetensors"
# What veetance-fetch would have put there.
mkdir -p "$VEETANCE_HOME/models"
for name in klein-4b klein-9b; do
    cp -r "$models/micro-klein" "$VEETANCE_HOME/models/$name"
done

# The command line of a line of the README as this test runs it: paths of this machine, and a large image planned.
adapt() {
    local line=$1
    line=${line%%  #*}
    line=${line#"${line%%[! ]*}"}
    line=${line%"${line##*[! ]}"}
    line=${line//\/mnt\/models/$mnt}
    line=${line//\~\//$HOME/}
    [[ $line == *"generate "*" -W 1024"* && $line != *" plan "* ]] && line=${line/generate /plan generate }
    printf '%s\n' "$line"
}

count=0
cd "$work/here" || exit 1
while IFS= read -r line; do
    line=$(adapt "$line")
    count=$((count + 1))
    case $line in
    "build/veetance-fetch get "*)
        name=${line##* }
        check "$name can be fetched" grep -q "\"$name\"" "$models/catalogue.json"
        continue
        ;;
    "build/veetance "*) ;;
    *)
        fail "the README has a command that this test does not know: $line"
        continue
        ;;
    esac
    words=()
    eval "words=(${line#build/veetance })"
    run "${words[@]}"
    case $line in
    *" doctor"*) is "$line answers (exit code 1 or 0)" "$(printf %s $rc | tr 1 0)" 0 ;;
    *) expect 0 "$line" ;;
    esac
done < <(grep -E '^    build/' "$readme")
check "the README shows commands (found $count)" test "$count" -ge 12
for file in star.png green.png star-layers/layers.json star-layers/stack.psd star-layers/stack.ora; do
    check "$file was made" test -s "$file"
done
check "convert wrote the model" test -s "$HOME/klein-9b-q8/veetance.json" -o -s "$HOME/klein-9b-q8/model_index.json"
finish
