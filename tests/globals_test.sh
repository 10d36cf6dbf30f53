#!/bin/sh
# globals_test.sh DOCUMENT LIBRARY...: every object file with variables that can change is named, with its folder, in
# the document's section "Mutable globals". Constants that only have to be relocated are no variables.
set -eu
document=$1
shift
command -v objdump >/dev/null || exit 77
section=$(sed -n '/^## Mutable globals/,/^## [^M]/p' "$document")
[ -n "$section" ] || { echo "$document has no section \"Mutable globals\"" && exit 1; }

# Prints "file.c variable" of a library.
variables() {
    objdump -t "$1" | awk '
        /file format/ { file = $1; sub(/\.o:$/, "", file) }
        (/ \.bss/ || / \.data[ \t]/ || / \.data\.rel\.local[ \t]/ || / \.t(bss|data)/) && $NF !~ /^\./ {
            print file, $NF
        }' | sort -u
}

status=0
for library; do
    variables "$library" >"${TMPDIR:-/tmp}/globals.$$"
    while read -r file variable; do
        case $section in
        *"/$file\`"*) ;;
        *) echo "$file (${library##*/}): '$variable' can change and is not in $document" && status=1 ;;
        esac
    done <"${TMPDIR:-/tmp}/globals.$$"
done
rm -f "${TMPDIR:-/tmp}/globals.$$"
exit "$status"
