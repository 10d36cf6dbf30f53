#!/usr/bin/env bash
# gpu.sh - what the engine does on a real graphics card, as one table.
#
#   bench/gpu.sh pack FILE.tar.xz            programs, libraries and backends of this machine, to be taken along
#   bench/gpu.sh run DEVICE OUT [PROGRAMS]   on the machine with the card: checks, measures, writes OUT/
#   bench/gpu.sh beside OUT [PROGRAMS]       only this: an NVIDIA card's times beside PyTorch's, in one table
#
# For pack: GGML_BACKENDS, a folder with more backends of the same ggml version; LIBRARIES, a folder with libraries to be
# taken instead of this machine's, or besides.
#
# DEVICE is what --device takes (vulkan, cuda). With cuda, PyTorch and diffusers (see gpu_peer.py) run beside us where there are. PROGRAMS is a folder where FILE was unpacked; without it the
# build in build/ is used. OUT gets table.txt, the JSON of every run and the pictures. Needs 45 GB of disk for
# the synthetic models (BENCH_CACHE, default OUT/models), which are removed again one by one.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" | tee -a "$out/table.txt"; }

# ---- packing -----------------------------------------------------------------------------------

# Opened by name at run time by libraries, so that no program lists them. What our programs open so stands in them as text.
readonly LOADED=(libdnnl.so.3.6 libvulkan.so.1 libEGL.so.1 libGLX.so.0 libGLdispatch.so.0 libOpenGL.so.0
    libGL.so.1 libX11.so.6 libXext.so.6 libxcb.so.1 libXau.so.6 libXdmcp.so.6 libbsd.so.0 libmd.so.0)
readonly PROGRAMS=(veetance tests/parity_{networks,klein,qwen_image,qwen_vl,layered})

library_path() { ldconfig -p | awk -v n="$1" '$1 == n && !seen++ { print $NF }'; }

opened_by() { { grep -aoh 'lib[A-Za-z0-9_-]*[.]so[.][.0-9]*' "$@" || true; } | sort -u; }

libraries_of() { { ldd "$@" 2>/dev/null || true; } | awk '$3 ~ /^\// { print $3 }' | sort -u; }

pack() {
    local file=$1 build=${BUILD:-build} dir lib name backends
    dir=$(mktemp -d)
    mkdir -p "$dir/bin" "$dir/lib" "$dir/ggml"
    for name in "${PROGRAMS[@]}"; do
        [[ -x $build/$name ]] || continue
        strip -o "$dir/bin/${name##*/}" "$build/$name"
    done
    backends=$(dirname "$(readlink -f "$(library_path libggml.so.0)")")/ggml/backends0
    cp "$backends"/libggml-vulkan.so "$backends"/libggml-cpu-{x64,haswell,icelake,sapphirerapids,zen4}.so "$dir/ggml/"
    {
        libraries_of "$dir"/bin/* "$dir"/ggml/*
        for name in "${LOADED[@]}" $(opened_by "$dir"/bin/*); do
            lib=$(library_path "$name")
            if [[ -n $lib ]]; then
                printf '%s\n' "$lib"
                libraries_of "$lib"
            fi
        done
    } | sort -u | while read -r lib; do cp -L "$lib" "$dir/lib/"; done
    cp -L "$(ldd "$build/veetance" | awk '/ld-linux/ { print $1 }')" "$dir/lib/"
    if [[ -n ${LIBRARIES:-} ]]; then cp -L "$LIBRARIES"/*.so* "$dir/lib/"; fi
    if [[ -n ${GGML_BACKENDS:-} ]]; then cp -L "$GGML_BACKENDS"/libggml-*.so "$dir/ggml/"; fi
    tar -C "$dir" -c . | xz -T0 -6 >"$file"
    rm -rf "$dir"
    ls -l "$file"
}

# ---- running -----------------------------------------------------------------------------------

# Our own libraries first, then the driver's.
setup() {
    local driver
    driver=$(ldconfig -p | awk '/libGLX_nvidia\.so\.0|libcuda\.so\.1/ { print $NF }' | xargs -r -n1 dirname | sort -u |
        paste -sd:)
    if [[ -n $programs ]]; then
        launch=("$programs/lib/ld-linux-x86-64.so.2" --library-path
            "$programs/lib:$driver:/usr/local/nvidia/lib64:${CUDA_LIBRARIES:-/usr/local/cuda/lib64}")
        bin=$programs/bin
        export VEETANCE_GGML_DIR=$programs/ggml VT_REFERENCE_DIR=$PWD/tests/parity
    else
        launch=()
        bin=build
    fi
    export VEETANCE_MODELS=$PWD/models VT_TEST_DEVICE=$device
    local icd
    for icd in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/nvidia/share/vulkan/icd.d; do
        [[ -f $icd/nvidia_icd.json ]] && export VK_DRIVER_FILES=$icd/nvidia_icd.json
    done
    export __EGL_VENDOR_LIBRARY_FILENAMES=${__EGL_VENDOR_LIBRARY_FILENAMES:-/usr/local/nvidia/share/glvnd/egl_vendor.d/10_nvidia.json}
}

program() {
    local name=$1
    shift
    [[ -n $programs ]] || [[ -x $bin/$name ]] || name=tests/$name
    "${launch[@]}" "$bin/$name" "$@"
}

# A value of a JSON file: a path of keys, "a.b".
value() {
    python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."):
    v = v[int(k)] if isinstance(v, list) else v[k]
print(v)' "$1" "$2" 2>/dev/null || echo '?'
}

gib() { awk -v b="$1" 'BEGIN { printf "%.2f", b / 1073741824 }'; }

# The driver's own count of the card's memory while a command runs, in MiB.
watch_memory() {
    command -v nvidia-smi >/dev/null || return 0
    exec nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 100 >"$1" 2>/dev/null
}

most() { sort -n "$1" 2>/dev/null | tail -n 1; }

check_parity() {
    local test rc
    say "" "reference cases (tolerances are the CPU's), $1:"
    for test in parity_networks parity_klein parity_qwen_image; do
        rc=0
        VT_PARITY_VERBOSE=1 program "$test" >"$out/$test.log" 2>&1 || rc=$?
        say "  $test: exit $rc, worst relative $(sed -nE 's/.*rel rms ([0-9.e+-]+).*/\1/p' "$out/$test.log" |
            awk '$1 > m { m = $1 } END { print m + 0 }')"
    done
}

# The largest difference of two pictures' samples.
difference() {
    python3 - "$@" <<'END'
import sys
try:
    from PIL import Image
    import numpy as np
    a, b = (np.asarray(Image.open(p).convert("RGB"), dtype=int) for p in sys.argv[1:])
    print(int(abs(a - b).max()), "of 255")
except ImportError:
    print("not measured (no PIL)")
END
}

# micro-klein here and on the CPU, and streamed under a small budget.
check_micro() {
    local common=(generate -m micro-klein -p "a red star on a white background" --seed 1 -q --json)
    program veetance "${common[@]}" --device cpu -o "$out/micro-cpu.png" >"$out/micro-cpu.json"
    program veetance "${common[@]}" --device "$device" -o "$out/micro-gpu.png" >"$out/micro-gpu.json"
    say "" "micro-klein: largest difference from the CPU $(difference "$out/micro-cpu.png" "$out/micro-gpu.png")"
    [[ $device != cuda* ]] || return 0 # a card's context alone takes more than so small a budget
    program veetance "${common[@]}" --device "$device" --budget 6M -o "$out/micro-streamed.png" >"$out/micro-streamed.json"
    say "streamed from resident $(difference "$out/micro-gpu.png" "$out/micro-streamed.png")"
}

# one NAME MODEL SIDE BUDGET [WORD]: a picture in 4 steps, twice (the first compiles shaders), and a row of the table.
one() {
    local name=$1 model=$2 side=$3 budget=$4 word=${5:-} json plan rate watcher
    json=$out/$name-$side-$budget$word.json
    plan=$out/$name-$side-$budget$word.plan.json
    local common=(-m "$model" -p "a lighthouse" -W "$side" -H "$side" --steps 4 --seed 1 --count 2
        --device "$device" --budget "$budget")
    program veetance plan generate "${common[@]}" --json >"$plan" 2>"$plan.log" || true
    watch_memory "$json.memory" &
    watcher=$!
    program veetance generate "${common[@]}" -q -v --json -o "$out/$name-$side-$budget$word.png" >"$json" 2>"$json.log" || true
    kill $watcher 2>/dev/null || true
    rate=$(python3 - "$json" "$plan" <<'END'
import json, sys
run, plan = (json.load(open(p)) for p in sys.argv[1:])
s, m = run["seconds"], run["memory"]
g = 1 << 30
print(f'{s["total"]:8.2f} {s["load"]:7.2f} {s["text"]:7.2f} {s["steps"] / 8:8.3f} {s["decode"] / 2:8.3f} '
      f'{plan["verdict"]:>9} {plan["peak_bytes"] / g:8.2f} {m["device"]["peak_bytes"] / g:8.2f} '
      f'{plan["swap_bytes"] / g:8.2f} {m["host"]["pinned_bytes"] / g:7.2f}')
END
    ) || rate="failed: $(tail -n 1 "$json.log" | cut -c1-160)"
    say "$(printf '%-9s %5s %7s %s  driver %s MiB%s' "$name" "$side" "$budget" "$rate" "$(most "$json.memory")" "$word")"
    sed -n 's/.*debug: streaming: /          streaming: /p' "$json.log" | while read -r line; do say "          $line"; done
}

# Makes the synthetic model by having the bench write it; its own table goes along.
synthetic() {
    local name=$1 sizes=$2
    program veetance bench --synthetic "$name" --cache "$cache" --size "$sizes" --steps 4 --device "$device" --json \
        >"$out/bench-$name.json" 2>"$out/bench-$name.log" || say "bench $name failed: $(tail -n 1 "$out/bench-$name.log")"
    say "$name: the transformer comes onto the card at" \
        "$(value "$out/bench-$name.json" swap.bytes_per_second | awk '{ printf "%.1f GB/s", $1 / 1e9 }')"
}

# The same model by 8-bit products: eight MODEL SIZES [ARCH]
eight() {
    local name=$1 sizes=$2 arch=${3:-} compute
    for compute in int8 fp8; do
        [[ -z $arch || $compute == int8 ]] || continue
        VEETANCE_CUDA_ARCH=$arch program veetance bench --synthetic "$name" --cache "$cache" --size "$sizes" --steps 4 \
            --device "$device" --compute $compute --json >"$out/bench-$name-$compute${arch:+-sm$arch}.json" \
            2>"$out/bench-$name-$compute.log" || say "$name, $compute: $(tail -n 1 "$out/bench-$name-$compute.log")"
    done
}

# What kinds of operations a step's time goes to: each node on its own, and by the backend's own stopwatch.
profile() {
    local name=$1
    program veetance bench --synthetic "$name" --cache "$cache" --size 1024 --steps 2 --device "$device" --profile \
        >"$out/profile-$name.txt" 2>"$out/profile-$name.log" || say "profile failed: $(tail -n 1 "$out/profile-$name.log")"
    [[ $device != vulkan* ]] || GGML_VK_PERF_LOGGER=1 program veetance bench --synthetic "$name" --cache "$cache" \
        --size 1024 --steps 1 --device "$device" >"$out/perf-$name.txt" 2>&1 || true
}

# What the vendor's own library does with the transformer's shapes on this card.
vendor_matmul() {
    python3 - <<'END' 2>/dev/null || echo "vendor's library: not measured (no PyTorch)"
import time, torch
for m in (1536, 4608):
    for dtype in (torch.bfloat16, torch.float16):
        a = torch.randn(m, 3072, device="cuda", dtype=dtype)
        b = torch.randn(18432, 3072, device="cuda", dtype=dtype)
        for _ in range(5): a @ b.T
        torch.cuda.synchronize(); t = time.time()
        for _ in range(50): a @ b.T
        torch.cuda.synchronize(); t = (time.time() - t) / 50
        print(f"vendor's library, {m} x 3072 x 18432 {str(dtype)[6:]}: {2 * m * 3072 * 18432 / t / 1e12:.0f} TFLOP/s")
h = torch.empty(1 << 30, dtype=torch.uint8).pin_memory(); d = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
d.copy_(h); torch.cuda.synchronize(); t = time.time()
for _ in range(4): d.copy_(h, non_blocking=True)
torch.cuda.synchronize(); print(f"plain copy from page-locked memory: {4 * (1 << 30) / (time.time() - t) / 1e9:.1f} GB/s")
END
}

# Seconds of a process that makes so many images of 1024 x 1024 in 4 steps.
seconds_of_images() {
    local from
    from=$(date +%s.%N)
    program veetance generate -m "$cache/klein-4b" -p "a lighthouse" -W 1024 -H 1024 --steps 4 --seed 1 --count "$1" \
        --device "$device" -q -o "$out/warm.png" >>"$out/warm.log" 2>&1 || return 1
    awk -v a="$from" -v b="$(date +%s.%N)" 'BEGIN { print b - a }'
}

# Of klein-4B, which lies in the cache: with the kernels of every card, and from the prompt to the PNG. A second image costs
# what a prompt costs but for its text, which is kept.
more_of_4b() {
    VEETANCE_CUDA_ARCH=80 program veetance bench --synthetic klein-4b --cache "$cache" --size 1024 --steps 4 --device "$device" \
        --json >"$out/bench-klein-4b-sm80.json" 2>"$out/bench-klein-4b-sm80.log" || true
    seconds_of_images 1 >/dev/null || return 0
    seconds_of_images 1 >"$out/one.txt"
    seconds_of_images 5 >"$out/five.txt"
}

# SKIP_PEERS=1: ours alone.
peers() {
    [[ ${SKIP_PEERS:-} != 1 ]] || return 0
    python3 bench/gpu_peer.py --json "$out/$1.json" "${@:2}" >"$out/$1.log" 2>&1 ||
        say "PyTorch's counterpart: $(grep -v '^Loading' "$out/$1.log" | tail -n 1 | cut -c1-200)"
}

# Ours beside PyTorch's and diffusers', in milliseconds, with ratios.
joined_table() {
    say "" "$(python3 - "$out" <<'END'
import json, os, sys
def load(name):
    path = os.path.join(sys.argv[1], name)
    try:
        return json.load(open(path))
    except (OSError, ValueError):
        return {}
ours = {}
for file, model, word, decodes in (
        ("klein-4b", "klein-4b", "", True), ("klein-4b-int8", "klein-4b", ", int8", False), ("klein-4b-fp8", "klein-4b", ", fp8", False),
        ("klein-4b-sm80", "klein-4b", ", kernels of sm_80", True), ("klein-4b-int8-sm80", "klein-4b", ", int8 of sm_80", False),
        ("klein-9b", "klein-9b", "", False), ("klein-9b-int8", "klein-9b", ", int8", False), ("klein-9b-fp8", "klein-9b", ", fp8", False)):
    j = load(f"bench-{file}.json")
    for p in j.get("pictures", []):
        ours[f"{model} step {p['width']}{word}"] = p["step"]["seconds"] * 1e3
        if decodes:
            ours[f"decode {p['width']}{word}"] = p["decode"]["seconds"] * 1e3
    if file == "klein-4b" and j:
        ours["text 512"] = j["text"]["seconds"] * 1e3
for compute in ("int8", "fp8"):
    j = load(f"bench-qwen-layered-{compute}.json")
    if j:
        ours[f"layered pass 640 x 4, {compute}"] = j["step"]["seconds"] * 1e3
j = load("bench-qwen-layered.json")
if j:
    ours["layered pass 640 x 4"] = j["step"]["seconds"] * 1e3
    ours["layered: modulation tables"] = j["weights"]["table_seconds"] * 1e3
    ours["layered: weights onto the card"] = j["weights"]["load_seconds"] * 1e3
one, five = load("one.txt"), load("five.txt")
if one and five:
    ours["prompt to PNG 1024, warm"] = (five - one) / 4 * 1e3 + ours.get("text 512", 0)
    ours["prompt to PNG 1024, process"] = one * 1e3
peer = {**load("peer.json"), **load("peer-prompt.json")}
print(f"{'milliseconds':36} {'ours':>8} {'diffusers':>10} {'ratio':>6}")
for name, ms in ours.items():
    theirs = f"{peer[name]:10.1f} {ms / peer[name]:6.2f}" if name in peer else f"{'-':>10} {'-':>6}"
    print(f"{name:36} {ms:8.1f} {theirs}")
END
    )"
}

layered() {
    program veetance bench --synthetic qwen-layered --cache "$cache" --size 640 --steps 3 --device "$device" --json \
        >"$out/bench-qwen-layered.json" 2>"$out/bench-qwen-layered.log" || true
    eight qwen-layered 640
    rm -rf "${cache:?}/qwen-layered"
}

begin() {
    device=$1
    out=$2
    programs=${3:-}
    cache=${BENCH_CACHE:-$out/models}
    mkdir -p "$out" "$cache"
    : >"$out/table.txt"
    setup
    say "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || true), device $device"
}

beside() {
    begin cuda "$@"
    synthetic klein-4b 512,1024,2048
    eight klein-4b 512,1024
    eight klein-4b 1024 80
    more_of_4b
    peers peer-prompt --model "$cache/klein-4b" prompt
    rm -rf "${cache:?}/klein-4b"
    if [[ ${SKIP_9B:-} != 1 ]]; then
        synthetic klein-9b 1024
        eight klein-9b 1024
    fi
    rm -rf "${cache:?}/klein-9b"
    layered
    peers peer klein-4b klein-9b decode text layered
    joined_table
}

run() {
    begin "$@"
    program veetance devices 2>&1 | tee -a "$out/table.txt"
    say "$(vendor_matmul)"
    check_micro || say "micro-klein failed"
    check_parity "as users run it"
    NVIDIA_TF32_OVERRIDE=0 GGML_VK_DISABLE_COOPMAT=1 GGML_VK_DISABLE_COOPMAT2=1 GGML_VK_DISABLE_F16=1 \
        check_parity "float32 throughout"
    say "" "$(printf '%-9s %5s %7s %8s %7s %7s %8s %8s %9s %8s %8s %8s %7s' model side budget 'total s' 'load s' 'text s' \
        's/step' 'decode s' plan 'plan GiB' 'peak GiB' 'swap GiB' 'pinned')"
    synthetic klein-4b 512,1024 # the first run of a machine compiles
    synthetic klein-4b 512,1024,2048
    for side in 512 1024; do one klein-4b "$cache/klein-4b" $side 64G; done
    one klein-4b "$cache/klein-4b" 1024 8G
    profile klein-4b
    GGML_VK_DISABLE_FUSION=1 one klein-4b "$cache/klein-4b" 1024 64G -unfused
    if [[ $device == cuda* ]]; then
        more_of_4b
        peers peer-prompt --model "$cache/klein-4b" prompt
    fi
    [[ ${KEEP_4B:-} == 1 ]] || rm -rf "${cache:?}/klein-4b"
    if [[ ${SKIP_9B:-} != 1 ]]; then
        synthetic klein-9b 512,1024
        for budget in 64G 16G 8G; do one klein-9b "$cache/klein-9b" 1024 $budget; done
        say "klein-9b under 16G and under 8G: largest difference from the resident run" \
            "$(difference "$out"/klein-9b-1024-{64G,16G}-1.png), $(difference "$out"/klein-9b-1024-{64G,8G}-1.png)"
        rm -rf "${cache:?}/klein-9b"
    fi
    [[ $device == cuda* ]] || return 0
    layered
    peers peer klein-4b klein-9b decode text layered
    joined_table
}

case ${1:-} in
pack) pack "${2:?where to}" ;;
run) run "${2:?device}" "${3:?results folder}" "${4:-}" ;;
beside) beside "${2:?results folder}" "${3:-}" ;;
*)
    sed -n '2,15s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
