#!/usr/bin/env bash
# pin_test.sh - `devices --pin`: what a start loads afterwards, and what happens when the pin no longer holds.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
export VEETANCE_HOME=$work/home
unset VEETANCE_GGML_DIR

quick generate -o "$work/before.png"
expect 0 "an image without a pin"

run devices --pin cpu --json
expect 0 "the CPU is pinned"
out_has '"pinned":"cpu"' "the answer names the device"
out_has '"gflops":[1-9]' "the answer has a measured speed"
check "the pin is a file" [ -s "$VEETANCE_HOME/pin.json" ]
library=$(sed -n 's/.*"path": "\(.*\)".*/\1/p' "$VEETANCE_HOME/pin.json")
check "it names a library" [ -s "$library" ]
run devices
out_has '(pinned)$' "the list marks the device"

# Exactly that library, and no folder listed, whether the CPU is named or the choice is left open.
if have strace && strace -o /dev/null true 2>/dev/null; then
    for device in cpu auto; do
        ASAN_OPTIONS=exitcode=99:detect_leaks=0 strace -f -o "$work/trace" -e trace=openat,getdents64 \
            "$program" generate -m micro-klein --device $device --threads 1 --steps 1 -W 64 -H 64 -p star \
            -o "$work/pinned.png" >/dev/null 2>&1
        is "--device $device lists no backends" "$(grep -c 'ggml.*O_DIRECTORY' "$work/trace")" 0
        is "--device $device loads one backend" \
            "$(grep -o '/[^"]*libggml-[a-z0-9-]*\.so"' "$work/trace" | sort -u | grep -c -v base)" 1
    done
else
    skip "strace may not trace here: loading was not watched"
fi
quick generate -o "$work/after.png" --seed 7 --verbose
err_has 'boot: pinned library loaded in' "--verbose tells the stages"
err_has 'boot: device found in' "--verbose tells the stages"

# What all threads of process $1 have computed so far, in milliseconds; the first number is nanoseconds on a processor.
cpu_ms() {
    cat "/proc/$1/task/"*/schedstat | awk '{ ns += $1 } END { printf "%d", ns / 1000000 }'
}

# The server is there at once. What it computed until then counts, not the clock: the machine may be busy with
# something else.
best=999999 least=999999
for i in $(seq 16); do
    begin=$(date +%s%N)
    exec 3< <(exec "$program" serve --listen 127.0.0.1:0 --store "$work/store" --device cpu --verbose \
        2>"$work/stderr" </dev/null)
    server=$!
    read -r address <&3
    took=$((($(date +%s%N) - begin) / 1000000)) cpu=$(cpu_ms "$server")
    kill -TERM "$server"
    wait "$server" 2>/dev/null
    exec 3<&-
    check "start $i says where it listens" [ -n "$address" ]
    [ "$took" -ge "$best" ] || best=$took
    [ "$cpu" -ge "$least" ] || least=$cpu
done
err_has 'boot: ready for requests after' "--verbose tells the server's stages"
echo "veetance serve took $best ms, $least ms of them computing"
if grep -q __asan_init "$program" || grep -q __tsan_init "$program"; then
    skip "a sanitizer's build: 50 ms are not asked for"
else
    check "the server is ready with less than 50 ms of computing" [ "$least" -lt 50 ]
fi

# The same bytes with another date hold; other bytes, another name or rubbish do not, and are mended.
for script in 's/"mtime_ns": [0-9]*/"mtime_ns": 1/;s/"sha256": "./"sha256": "x/' \
    's/"bytes": [0-9]*/"bytes": 1/' 's/"path": ".*"/"path": "\/gone\/libggml-cpu.so"/' 's/{/[/'; do
    sed -i "$script" "$VEETANCE_HOME/pin.json"
    quick generate -o "$work/mended.png"
    expect 0 "an image with an invalid pin ($script)"
    err_has 'searching for devices again' "the invalid pin is reported ($script)"
    err_has "pinned again: 'cpu'" "it is made again ($script)"
    quick generate -o "$work/mended.png" --verbose
    err_has 'boot: pinned library loaded' "and holds ($script)"
done
sed -i 's/"mtime_ns": [0-9]*/"mtime_ns": 1/' "$VEETANCE_HOME/pin.json"
quick generate -o "$work/touched.png"
is "a library with another date is no news" "$(grep -c pin "$work/stderr")" 0

# A device that is gone.
sed -i 's/"device": "cpu"/"device": "vulkan7"/;s/"cpu_library"/"library"/' "$VEETANCE_HOME/pin.json"
quick generate --device auto -o "$work/gone.png"
expect 0 "an image though the pinned device is gone"
err_has "pinned device 'vulkan7' is not there" "the loss is said"

refuse 1 "there is no device 'nonesuch'" devices --pin nonesuch
refuse 2 'is not expected here' devices nonesuch
refuse 2 'exclude each other' devices --pin --unpin
run devices --unpin
expect 0 "nothing is pinned any more"
check "the file is gone" [ ! -e "$VEETANCE_HOME/pin.json" ]
finish
