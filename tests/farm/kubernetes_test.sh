#!/usr/bin/env bash
# kubernetes_test.sh PROGRAM - packaging/kubernetes against Kubernetes' own types and schemas, and what it runs, run. The
# schemas are installed once, from the lock file beside this script, below ${XDG_CACHE_HOME:-~/.cache}/veetance. Exit
# code 77 (skipped) where that cannot be.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "${1:?usage: kubernetes_test.sh PROGRAM}")
modules=${XDG_CACHE_HOME:-$HOME/.cache}/veetance/farm

skip() {
    printf 'kubernetes_test: skipped: %s\n' "$*" >&2
    exit 77
}

for tool in node npm; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
if ! cmp -s "$here/package-lock.json" "$modules/package-lock.json" || [[ ! -d $modules/node_modules/yaml ]]; then
    mkdir -p "$modules"
    cp "$here/package.json" "$here/package-lock.json" "$modules/"
    (cd "$modules" && npm ci --silent --ignore-scripts --no-audit --no-fund) || skip "npm could not install the schemas"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
VEETANCE_MODELS=${VEETANCE_MODELS:-$PWD/models} node "$here/kubernetes.mjs" "$program" "$modules" "$work"
