#!/usr/bin/env bash
# packaging_test.sh - what is installed: manual pages and completions for every command, and a program that finds its
# models from where it is installed.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
unset VEETANCE_MODELS
export VEETANCE_HOME=$work/home

fetch=$(dirname "$program")/veetance-fetch
for each in "$program" "$fetch"; do
    [ -x "$each" ] || continue
    name=$(basename "$each")
    check "$name describes itself" packaging/describe "$each" "$work/described"
    commands=$("$each" help | awk '/^Commands:$/ { l = 1; next } l && /^$/ { exit } l && $1 != "help" { print $1 }')
    check "$name has commands" [ -n "$commands" ]
    for command in $commands; do
        check "$name $command has a page" [ -s "$work/described/man1/$name-$command.1" ]
        check "bash knows $name $command" grep -q "^    $command) " "$work/described/bash/$name"
        check "zsh knows $name $command" grep -q "^    $command)" "$work/described/zsh/_$name"
        check "fish knows $name $command" grep -q -- "-a $command -d" "$work/described/fish/$name.fish"
    done
    check "bash reads the completion of $name" bash -n "$work/described/bash/$name"
done
check "options are in the page" grep -q 'trace\\-level' "$work/described/man1/veetance-generate.1"
if have man && have groff; then
    is "man has no complaints" \
        "$(for page in "$work"/described/man1/*.1; do man --warnings -l "$page" 2>&1 >/dev/null; done)" ""
fi
if have zsh; then
    check "zsh reads it" zsh -n "$work/described/zsh/_veetance"
fi
if have fish; then
    check "fish reads it" fish --no-execute "$work/described/fish/veetance.fish"
fi

# Completion in bash itself.
complete_in_bash() {
    # shellcheck disable=SC2016 # the inner shell expands them
    bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _veetance; echo "${COMPREPLY[*]}"' \
        complete "$work/described/bash/veetance" "$@"
}
is "commands are completed" "$(complete_in_bash veetance doc)" doctor
is "options are completed" "$(complete_in_bash veetance doctor --a)" --air-gap
is "devices are completed" "$(complete_in_bash veetance generate --device vu)" vulkan
is "subcommands are completed" "$(complete_in_bash veetance layers spl)" split
is "those of models" "$(complete_in_bash veetance models sc)" scan
is "the tasks of plan" "$(complete_in_bash veetance plan "")" "generate edit layers"
is "a tool's own options" "$(complete_in_bash veetance layers split --lay)" "--layer --layers"
is "a task's options" "$(complete_in_bash veetance plan edit --str)" --strength
is "an option's values" "$(complete_in_bash veetance generate --compute "")" "default int8 fp8 auto"
is "those of a switch of many commands" "$(complete_in_bash veetance generate --weights iq4_n)" iq4_nl
is "they are those that convert knows" "$(complete_in_bash veetance layers --weights "")" "$(complete_in_bash veetance convert --type "")"
is "colours" "$(complete_in_bash veetance edit --matte w)" white
is "a list goes on behind its comma" "$(complete_in_bash veetance layers --format psd,o)" psd,ora
is "components" "$(complete_in_bash veetance generate --place tr)" transformer=
is "behind an equals sign" "$(complete_in_bash veetance generate --compute = in)" int8
is "and right at it" "$(complete_in_bash veetance generate --compute =)" "default int8 fp8 auto"
is "a component's device" "$(complete_in_bash veetance generate --place text = vu)" vulkan
is "commands of help" "$(complete_in_bash veetance help pl)" plan
is "new options" "$(complete_in_bash veetance layers flatten x --fo)" --force
is "a setting's values" "$(complete_in_bash veetance settings set device vu)" vulkan
is "what a model may be told" "$(complete_in_bash veetance models set x ref | tr ' ' '\n' | head -n 1)" reference_cache=yes
is "values by the short option" "$(complete_in_bash veetance convert -t q4)" "q4_k q4_1 q4_0"
is "values of the same option in another command" "$(complete_in_bash veetance convert --format g)" gguf
PATH=$(dirname "$program"):$PATH
export PATH VEETANCE_MODELS=$PWD/models
is "names of models" "$(complete_in_bash veetance generate -m micro-k | tr ' ' '\n' | sort -u)" micro-klein
is "names for a default of serve" "$(complete_in_bash veetance serve --layers-model micro-l)" micro-layered
is "names for a setting" "$(complete_in_bash veetance settings set layers_model micro-l)" micro-layered
is "names of devices" "$(complete_in_bash veetance devices --pin cp)" cpu
is "names for models show" "$(complete_in_bash veetance models show micro-l)" micro-layered
is "keys of settings" "$(complete_in_bash veetance settings set bud)" budget
unset VEETANCE_MODELS
check "a tool has a page" [ -s "$work/described/man1/veetance-layers-split.1" ]
check "subcommands are in the page" grep -q 'SH SUBCOMMANDS' "$work/described/man1/veetance-models.1"

# oneDNN is asked for by the name that it has without its development files.
if have readelf && dnnl=$(ldconfig -p | awk '$1 ~ /^libdnnl[.]so/ && !seen++ { print $NF }') && [ -n "$dnnl" ]; then
    check "oneDNN is known by its own name" grep -aqF "$(readelf -d "$dnnl" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')" "$program"
fi

# Installed under a prefix, with nothing but the folder's own files.
build=$(dirname "$program")
if [ -f "$build/cmake_install.cmake" ] && have cmake; then
    env DESTDIR="$work/root" cmake --install "$build" --prefix /usr >"$work/stdout" 2>"$work/stderr"
    rc=$?
    expect 0 "it can be installed"
    for file in bin/veetance share/man/man1/veetance.1 share/veetance/models/catalogue.json \
        share/bash-completion/completions/veetance share/zsh/vendor-completions/_veetance \
        share/fish/vendor_completions.d/veetance.fish lib/systemd/user/veetance.service \
        lib/systemd/user/veetance.socket; do
        check "$file is installed" [ -s "$work/root/usr/$file" ]
    done
    check "the unit names the program" grep -qx 'ExecStart=/usr/bin/veetance serve' \
        "$work/root/usr/lib/systemd/user/veetance.service"
    program=$work/root/usr/bin/veetance
    quick generate -o "$work/star.png"
    expect 0 "the installed program finds its models"
fi
finish
