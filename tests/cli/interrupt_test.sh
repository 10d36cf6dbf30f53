#!/usr/bin/env bash
# interrupt_test.sh - Ctrl-C: exit code 130 within a step, nothing half written.
# shellcheck source=tests/cli/lib.sh disable=SC2086 # lists of arguments are split on purpose
. tests/cli/lib.sh

# interrupt SIGNAL AFTER ARGUMENTS...: starts the program, waits until standard error has AFTER, sends the signal.
# Job control gives the program the default action for the signal back.
interrupt() {
    local signal=$1 after=$2 pid i
    shift 2
    rm -rf -- "$work/out"
    mkdir -p "$work/out"
    : >"$work/stderr"
    set -m
    "$program" "$@" >"$work/stdout" 2>"$work/stderr" </dev/null &
    pid=$!
    set +m
    for i in $(seq 600); do
        grep -q -e "$after" "$work/stderr" && break
        sleep 0.05
    done
    steps=$(grep -c '^step' "$work/stderr")
    kill -s "$signal" "$pid"
    wait "$pid"
    rc=$?
    expect 130 "$signal after '$after'"
    is "nothing half done is left after $signal after '$after'" "$(ls -A "$work/out")" "${kept:-}"
    is "no result after $signal after '$after'" "$(grep -v -e '^{"error"' -e "${kept:-^\$}" "$work/stdout")" ""
}

long="generate -v -m micro-klein -p star --device cpu --threads 1 -W 128 -H 128 --steps 1000 --seed 1"
for signal in INT TERM; do
    interrupt $signal '^step 2 of' $long -o "$work/out/a.png" --trace "$work/out/t.safetensors"
    done_steps=$(grep -c '^step' "$work/stderr")
    check "it stops within a step or two ($steps when asked, $done_steps at the end)" test "$done_steps" -le $((steps + 3))
done
interrupt INT '^loading' $long -o "$work/out/a.png"
interrupt INT '^encoding' $long -o "$work/out/a.png"
# Between the images of a request: those that are done stay.
count=(generate -v -m micro-klein -p star --device cpu --threads 1 --steps 200 -W 64 -H 64 --count 3 --seed 7)
kept=a-7.png
interrupt INT '^image 2 of 3: step 1 of' "${count[@]}" -o "$work/out/a.png"
err_has 'stopped.*; 1 of 3 images are written' "it says what is written"
kept=
quick generate --seed 1 -o "$work/scene.png"
interrupt INT '^step 1 of' edit -v -m micro-klein -p star -i "$work/scene.png" --mask "$work/scene.png" --steps 1000 \
    --strength 1 --device cpu --threads 1 -o "$work/out/a.png"

# As JSON, so that a caller can tell it from a failure.
interrupt INT '^step 1 of' $long -o "$work/out/a.png" --json
out_has '"code":"cancelled"' "SIGINT with --json"

# A reader that goes away is a failure to write, not a death by signal.
"$program" inspect "$models/micro-klein/transformer" --json 2>"$work/stderr" | head -c 1 >/dev/null
is "a closed pipe ends with exit code 1 or 0" "$(printf %s "${PIPESTATUS[0]}" | tr 1 0)" 0
finish
