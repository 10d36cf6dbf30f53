#!/usr/bin/env bash
# air_gap_test.sh - the program talks to no one: what it is linked with, and what whole jobs ask the kernel for.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh

# ---- the program's own file ---------------------------------------------------------------------------

# The libraries of the dynamic section, and of theirs in turn.
if have readelf; then
    needed=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    check "the dynamic section can be read" [ -n "$needed" ]
    for client in libcurl libssl libgnutls libcrypto libnghttp libssh libneon libsoup libzmq librdmacm; do
        case $needed in
        *"$client"*) fail "the program is linked with $client" ;;
        esac
    done
    checks=$((checks + 1))
    resolver=$(readelf --dyn-syms -W "$program" | grep -E ' UND (getaddrinfo|gethostbyname|res_query)' || true)
    is "no name is ever looked up" "$resolver" ""
else
    skip "no readelf: the dynamic section was not read"
fi

# ---- whole jobs ---------------------------------------------------------------------------------------

# A sanitizer's leak check stops threads with ptrace, which strace holds already.
traced() {
    local log=$1
    shift
    ASAN_OPTIONS=exitcode=99:detect_leaks=0 strace -f -o "$log" -e trace=network,io_uring_setup \
        "$program" "$@" >"$work/stdout" 2>"$work/stderr" </dev/null
    rc=$?
}

# Sockets of another family than AF_UNIX that the job asked for, whether it got them or not.
foreign() {
    grep -E 'socket(pair)?\(|io_uring_setup\(' "$1" | grep -v -E '\((AF_UNIX|AF_LOCAL),' || true
}

if ! have strace || ! strace -o /dev/null true 2>/dev/null; then
    skip "strace may not trace here: the jobs' system calls were not watched"
    finish
fi

traced "$work/generate.log" generate -m micro-klein --device cpu --threads 1 --steps 1 -W 64 -H 64 \
    -p star -o "$work/star.png"
expect 0 "a traced job makes its image"
check "the image is there" [ -s "$work/star.png" ]
is "generate asks for no socket" "$(foreign "$work/generate.log")" ""

traced "$work/layers.log" layers -i "$work/star.png" -m micro-layered --device cpu --threads 1 \
    -n 2 --steps 2 -p star --resolution 64 -o "$work/star"
expect 0 "a traced job takes the image apart"
is "layers asks for no socket" "$(foreign "$work/layers.log")" ""

# The server: the one socket is the one that listens, though a job runs and is asked for over it.
ask() {
    python3 - "$1" <<'PYTHON'
import json, sys, urllib.request
body = {"model": "micro-klein", "prompt": "star", "steps": 1, "width": 64, "height": 64}
request = urllib.request.Request(sys.argv[1] + "v1/generate?wait=true", json.dumps(body).encode(),
                                 {"Content-Type": "application/json"})
answer = json.load(urllib.request.urlopen(request, timeout=120))
print(len(answer.get("images", [])), "image")
PYTHON
}

# await_address FILE: the server's first line.
await_address() {
    local i
    for i in $(seq 300); do
        [ -s "$1" ] && break
        sleep 0.1
    done
    head -n 1 "$1"
}

if "$program" help serve >/dev/null 2>&1 && have python3; then
    ASAN_OPTIONS=exitcode=99:detect_leaks=0 strace -f -o "$work/serve.log" -e trace=network,io_uring_setup \
        "$program" serve --listen 127.0.0.1:0 --store "$work/store" --device cpu --threads 1 \
        >"$work/address" 2>"$work/stderr" </dev/null &
    server=$!
    is "the server does a job" "$(ask "$(await_address "$work/address")" 2>&1)" "1 image"
    # The first line of the trace is the server itself; strace would not pass the signal on.
    kill -TERM "$(head -n 1 "$work/serve.log" | cut -d' ' -f1)"
    wait "$server"
    is "serve asks for one socket" "$(foreign "$work/serve.log" | wc -l)" 1
    is "and connects to none" "$(grep -c 'connect(.*AF_INET' "$work/serve.log")" 0

    # A socket that a service manager opened, in a process that has no network of its own.
    bare=()
    unshare -rn true 2>/dev/null && bare=(unshare -rn)
    cat >"$work/activate.py" <<'PYTHON'
import os, socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(16)
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execvp(sys.argv[1], sys.argv[1:])
PYTHON
    python3 "$work/activate.py" "${bare[@]}" "$program" serve --store "$work/store2" --device cpu --threads 1 \
        >"$work/address2" 2>"$work/stderr" </dev/null &
    server=$!
    address=$(await_address "$work/address2")
    is "the given socket's address is named" "$(echo "$address" | grep -c '^http://127.0.0.1:[1-9]')" 1
    is "a server without network does a job" "$(ask "$address" 2>&1)" "1 image"
    kill -TERM "$server"
    wait "$server"
    [ ${#bare[@]} -gt 0 ] || skip "no network namespace can be made here: the server had the machine's"
else
    skip "no python3: the server was not watched"
fi

# What is refused is refused to anything the process loads: the filter is in place before the model is opened.
strace -f -o "$work/order.log" -e trace=seccomp,openat,prctl "$program" inspect "$models/micro-klein" \
    >/dev/null 2>&1
filter=$(grep -n 'seccomp(SECCOMP_SET_MODE_FILTER' "$work/order.log" | head -n 1 | cut -d: -f1)
model=$(grep -n 'openat.*micro-klein' "$work/order.log" | head -n 1 | cut -d: -f1)
check "the filter is set" [ -n "$filter" ]
check "the model is opened" [ -n "$model" ]
check "the filter comes before the model" [ "${filter:-0}" -lt "${model:-0}" ]

finish
