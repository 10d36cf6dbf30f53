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
