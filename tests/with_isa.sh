#!/bin/sh
# with_isa.sh ISA PROGRAM...: runs a test as a processor with no more than ISA would (VEETANCE_CPU_ISA). Exit 77,
# which is "skipped", where the processor itself has less.
set -eu
isa=$1
shift
case $isa in
base) needs= ;;
avx2) needs='avx2 fma f16c' ;;
avx2-vnni) needs='avx2 fma f16c avx_vnni' ;;
avx512) needs='avx512f avx512bw avx512dq avx512vl' ;;
avx512-bf16) needs='avx512f avx512bw avx512dq avx512vl avx512_bf16' ;;
*) echo "with_isa.sh: no such set of instructions: $isa" >&2 && exit 2 ;;
esac
for flag in $needs; do
    grep -qw -m 1 "$flag" /proc/cpuinfo || exit 77
done
VEETANCE_CPU_ISA=$isa exec "$@"
