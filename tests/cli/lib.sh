#!/usr/bin/env bash
# lib.sh - what the command line tests share. Sourced with the program's path as argument; runs from the
# repository's root. Needs nothing but coreutils, sed, grep and awk; ImageMagick, pngcheck and jq are used where
# they are installed.
#
#     . tests/cli/lib.sh
#     run generate -m micro-klein ...      # fills $rc, $work/stdout, $work/stderr
#     expect 0 "an image is made"
#     refuse 2 'takes a whole number' generate --steps x
#     finish
set -u
program=$(realpath "${1:?path of the veetance program}")
export VEETANCE_MODELS=${VEETANCE_MODELS:-$PWD/models}
export LC_ALL=C
# A sanitizer's finding must not look like an ordinary failure.
export ASAN_OPTIONS=exitcode=99 LSAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=exitcode=99
export models=$VEETANCE_MODELS
work=$(mktemp -d "${TMPDIR:-/tmp}/veetance-cli.XXXXXX")
trap 'cleanup' EXIT
failures=0
checks=0
rc=0

# Tests that mount something replace this and call remove_work.
remove_work() {
    rm -rf -- "$work"
}
cleanup() {
    remove_work
}

# The test's own line that a check came from.
caller_line() {
    local i=${#BASH_LINENO[@]}
    echo "${BASH_LINENO[$((i - 2))]}"
}

fail() {
    failures=$((failures + 1))
    printf 'FAILED (line %s): %s\n' "$(caller_line)" "$*"
    printf '  exit code %s; standard error: %s\n' "$rc" "$(tail -n 3 "$work/stderr" 2>/dev/null | tr '\n' '|')"
}

# check WHAT COMMAND...: the command should succeed.
check() {
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$what"
}

is() {
    checks=$((checks + 1))
    [ "$2" = "$3" ] || fail "$1: expected '$3', found '$2'"
}

run() {
    "$program" "$@" >"$work/stdout" 2>"$work/stderr" </dev/null
    rc=$?
}

expect() {
    checks=$((checks + 1))
    [ "$rc" = "$1" ] || fail "$2: exit code $1 was expected"
}

err_has() {
    checks=$((checks + 1))
    grep -q -e "$1" "$work/stderr" || fail "$2: standard error lacks '$1'"
}

out_has() {
    checks=$((checks + 1))
    grep -q -e "$1" "$work/stdout" || fail "$2: standard output lacks '$1'"
}

# What a command says besides progress and notes.
sentences() {
    grep -c -v -E '^(step [0-9]|running [0-9]|encoding |loading |converting |decoding |image [0-9]|veetance: (note|warning): )' "$work/stderr"
}

# refuse CODE PATTERN ARGUMENTS...: ends with that exit code and one sentence, prints no result, and leaves
# nothing in $work/out (bad usage may say in a second line where help is).
refuse() {
    local code=$1 pattern=$2 most=1
    shift 2
    rm -rf -- "$work/out"
    mkdir -p "$work/out"
    run "$@"
    expect "$code" "$*"
    err_has "$pattern" "$*"
    grep -q 'explains its options$' "$work/stderr" && most=2
    checks=$((checks + 3))
    [ "$(sentences)" -le "$most" ] || fail "$*: more than one sentence"
    [ ! -s "$work/stdout" ] || fail "$*: something is on standard output"
    [ -z "$(ls -A "$work/out" 2>/dev/null)" ] || fail "$*: a file was left: $(ls -A "$work/out")"
}

# psnr A B: of two images by ImageMagick's compare, in whole decibels; 200 when no pixel differs, which its
# versions say as "inf" or as "0 (0)".
psnr() {
    if [ "$(compare -metric AE "$1" "$2" null: 2>&1 | sed 's/[. ].*//')" = 0 ]; then
        echo 200
    else
        compare -metric PSNR "$1" "$2" null: 2>&1 | sed 's/[. ].*//'
    fi
}

have() {
    command -v "$1" >/dev/null 2>&1
}

skip() {
    printf 'skipped: %s\n' "$*"
}

# A small and quick image on one thread; further arguments follow.
quick() {
    local command=$1
    shift
    run "$command" -m micro-klein --device cpu --threads 1 --steps 1 -W 64 -H 64 -p star "$@"
}

# ---- checkpoints to break ---------------------------------------------------------------------------

# 64 bits, little-endian.
le64() {
    local n=$1 i
    for i in 1 2 3 4 5 6 7 8; do
        # shellcheck disable=SC2059
        printf "\\x$(printf %02x $((n & 255)))"
        n=$((n >> 8))
    done
}

header_bytes() {
    od -An -tu8 -N8 "$1" | tr -d ' '
}

header() {
    tail -c +9 "$1" | head -c "$(header_bytes "$1")"
}

# rewrite_header FILE OUT SED-SCRIPT: another header before the same payload.
rewrite_header() {
    local text
    text=$(header "$1" | sed -E "$3")
    {
        le64 ${#text}
        printf %s "$text"
        tail -c +$((9 + $(header_bytes "$1"))) "$1"
    } >"$2"
}

# Where in the file a tensor's first byte lies.
tensor_at() {
    local begin
    begin=$(header "$1" | sed -E "s/.*\"${2//./\\.}\":\{[^}]*\"data_offsets\":\[([0-9]+),.*/\1/")
    echo $((8 + $(header_bytes "$1") + begin))
}

# put FILE OFFSET ESCAPED-BYTES
put() {
    # shellcheck disable=SC2059
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# model NAME JSON: a folder with that veetance.json; its path is $work/NAME.
model() {
    mkdir -p "$work/$1"
    printf '%s\n' "$2" >"$work/$1/veetance.json"
}

# same_image A.png B.png: the same pixels, whatever their text chunks say; both as this program writes PNGs.
same_image() {
    cmp -s <(pixels "$1") <(pixels "$2")
}
pixels() {
    python3 - "$1" <<'PY'
import struct, sys, zlib
b, at, packed = open(sys.argv[1], "rb").read(), 8, b""
while at < len(b):
    n, kind = struct.unpack(">I4s", b[at:at + 8])
    packed += b[at + 8:at + 8 + n] if kind == b"IDAT" else b""
    at += 12 + n
sys.stdout.buffer.write(zlib.decompress(packed))
PY
}

finish() {
    if [ "$failures" -gt 0 ]; then
        echo "$failures of $checks checks failed"
        exit 1
    fi
    echo "$checks checks passed"
    exit 0
}
