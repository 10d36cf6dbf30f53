#!/usr/bin/env bash
# worker_test.sh - a network that runs on another machine. Two network namespaces are the two machines where they
# are permitted, else both ends are this one.
# shellcheck source=tests/cli/lib.sh disable=SC2119,SC2120,SC2317 # functions that others call, with arguments
. tests/cli/lib.sh
# ggml's client keeps what it knows of a server until the process ends.
export ASAN_OPTIONS=exitcode=99:detect_leaks=0

here=vt-here-$$ there=vt-there-$$
worker=0
at_home=() away=()
address=127.0.0.1:$((20000 + $$ % 20000))

cleanup() {
    [ "$worker" -eq 0 ] || kill -KILL "$worker" 2>/dev/null
    ip netns del "$here" 2>/dev/null
    ip netns del "$there" 2>/dev/null
    remove_work
}

two_machines() {
    have ip && ip netns add "$here" 2>/dev/null && ip netns add "$there" 2>/dev/null &&
        ip link add vth$$ netns "$here" type veth peer name vtt$$ netns "$there" 2>/dev/null &&
        ip -n "$here" addr add 10.211.7.1/24 dev vth$$ && ip -n "$there" addr add 10.211.7.2/24 dev vtt$$ &&
        ip -n "$here" link set vth$$ up && ip -n "$there" link set vtt$$ up
} >/dev/null 2>&1

if two_machines && ip netns exec "$here" true 2>/dev/null; then
    at_home=(ip netns exec "$here")
    away=(ip netns exec "$there")
    address=10.211.7.2:50052
else
    skip "network namespaces are not permitted: both ends are this machine"
fi

listens() {
    "${away[@]}" cat /proc/net/tcp | grep -q "$(printf ':%04X' "${address##*:}") 00000000:0000 0A"
}

# start ARGUMENTS...: a worker, until it listens.
start() {
    local i
    "${away[@]}" "$program" worker --listen "$address" --device cpu --threads 1 "$@" >"$work/worker" 2>&1 </dev/null &
    worker=$!
    for i in $(seq 200); do
        listens && return 0
        kill -0 "$worker" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

stop() {
    kill -"$1" "$worker"
    wait "$worker" 2>/dev/null
    worker_rc=$?
    worker=0
    for i in $(seq 100); do # its child goes with it, a moment later
        listens || break
        sleep 0.05
    done
}

# As run, on this side.
remote() {
    "${at_home[@]}" "$program" "$@" >"$work/stdout" 2>"$work/stderr" </dev/null
    rc=$?
}

refuse 2 'name the address' worker
refuse 2 'no address' worker --listen 50052
refuse 2 'no address' worker --listen host:70000
run generate -m micro-klein -p x --rpc here -o "$work/out.png"
expect 2 "no address"
err_has 'no address' "no address"

if ! start; then
    if grep -q 'not installed' "$work/worker"; then
        worker=0
        skip "ggml's RPC backend is not installed"
        finish
    fi
    fail "the worker does not start: $(tail -n 2 "$work/worker" | tr '\n' '|')"
    finish
fi
prompt="a red star on a white background"
run generate -m micro-klein -p "$prompt" --seed 1 --device cpu --threads 1 -o "$work/local.png"
for i in 1 2; do
    remote generate -m micro-klein -p "$prompt" --seed 1 --rpc "$address" -o "$work/remote.png" --json
    expect 0 "run $i on the worker"
    out_has '"device":"rpc' "run $i says where it ran"
done
err_has 'keeps the network open' "the log says that the air gap is open"
if have compare; then
    db=$(psnr "$work/local.png" "$work/remote.png")
    echo "the worker's image: $db dB from this machine's"
    check "the same image as here" test "$db" -ge 40
fi
# A worker is a device like others, however it is written; and blocks flow to it, too.
remote generate -m micro-klein -p "$prompt" --seed 1 --device "RPC:$address" --budget 4M -W 64 -H 64 -o "$work/flow.png"
expect 0 "streaming to a worker named by --device"
remote generate -m micro-klein -p "$prompt" --seed 1 --rpc "$address" -W 64 -H 64 -o "$work/whole.png"
expect 0 "the same without streaming"
check "the same image with streaming" cmp -s "$work/flow.png" "$work/whole.png"
remote generate -m micro-klein -p x --place text=RPC:127.0.0.1:1 -o "$work/out.png"
expect 1 "a worker that is not there"
err_has '127.0.0.1:1 is gone, or is no worker\|no worker answers' "a worker that is not there"
remote layers -m micro-layered -i "$work/local.png" -n 2 --steps 2 -p star --rpc "$address" -o "$work/layers"
expect 0 "layers on the worker"

# Components side by side: the text encoder there, everything else here.
remote generate -m micro-klein -p "$prompt" --seed 1 --device cpu --threads 1 --place "text=rpc:$address" \
    -o "$work/placed.png" --json
expect 0 "the text encoder on the worker"
out_has '"device":"cpu' "the transformer is here"
out_has '"devices":\[{"name":"cpu.*{"name":"rpc' "memory is told for both devices"
err_has 'keeps the network open' "a placed worker opens the air gap, and the log says so"
if have compare; then
    db=$(psnr "$work/local.png" "$work/placed.png")
    check "the same image with a placed text encoder" test "$db" -ge 40
fi
remote plan generate -m micro-klein -p "$prompt" --device cpu --place "text=rpc:$address" --json
expect 0 "a plan over two devices"
out_has '"component":"text_encoder","precision":"[a-z0-9]*","device":"rpc' "the text encoder is planned there"
out_has '"component":"transformer","precision":"[a-z0-9]*","device":"cpu' "the transformer is planned here"
remote layers -m micro-layered -i "$work/local.png" -n 2 --steps 2 -p star --rpc "$address" --place vae=cpu,text=cpu \
    -o "$work/placed-layers" --json
expect 0 "layers with their transformer on the worker"
remote caption -m micro-layered -i "$work/local.png" --max-new-tokens 2 --place "text=rpc:$address" --json
expect 0 "a caption on the worker"
out_has '"name":"rpc' "a caption says where it ran"

# A worker that dies in the middle: one clear sentence, nothing half written, and the next run works.
mkdir -p "$work/out"
"${at_home[@]}" "$program" generate -v -m micro-klein -p star --steps 1000 --rpc "$address" -o "$work/out/x.png" \
    >"$work/stdout" 2>"$work/stderr" </dev/null &
client=$!
for i in $(seq 200); do
    grep -q '^step 3 of' "$work/stderr" && break
    sleep 0.05
done
stop KILL
wait "$client"
rc=$?
expect 1 "a worker that dies"
err_has 'is gone' "a worker that dies"
is "nothing is left" "$(ls -A "$work/out")" ""
remote generate -m micro-klein -p star --rpc "$address" -o "$work/out/x.png"
expect 1 "no worker"
err_has 'gone, or is no worker\|no worker answers' "no worker"

# A budget is held; who asks for more ends its own run only: ggml's server refuses, or ends and is started anew.
check "the worker starts again" start --budget 8M
sleep 1
remote generate -m micro-klein -p star --rpc "$address" -o "$work/out/x.png"
expect 1 "more than the worker's budget"
for i in $(seq 100); do
    listens && break
    sleep 0.05
done
check "the worker goes on" listens
stop TERM
is "SIGTERM ends a worker" "$worker_rc" 130
start
remote generate -m micro-klein -p "$prompt" --seed 1 --rpc "$address" -o "$work/again.png"
expect 0 "the next run works"
stop INT
finish
