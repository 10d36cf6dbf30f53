#!/usr/bin/env bash
# Opens the PSD that we write with programs that nobody here wrote, ImageMagick and ag-psd, and reads
# PSDs that they write: layer names, order, offsets, sizes, opacity, blend modes, visibility, pixels.
#
#   tests/interop/psd_interop.sh UNIT_IMAGE_LAYERS
#
# UNIT_IMAGE_LAYERS is the unit test of that name, which writes and reads the files. ag-psd is installed
# once, from the lock file beside this script, below ${XDG_CACHE_HOME:-~/.cache}/veetance. Exit code 77
# (skipped) where a tool is missing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
readonly here
readonly unit=${1:?usage: psd_interop.sh UNIT_IMAGE_LAYERS}
readonly modules=${XDG_CACHE_HOME:-$HOME/.cache}/veetance/interop

skip() {
    printf 'psd_interop: skipped: %s\n' "$*" >&2
    exit 77
}

die() {
    printf 'psd_interop: %s\n' "$*" >&2
    exit 1
}

# The real one: a stand-in of the same name may come first in PATH.
magick() {
    command -p convert "$@"
}

for tool in convert identify node npm; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done

if ! cmp -s "$here/package-lock.json" "$modules/package-lock.json" || [[ ! -d $modules/node_modules/ag-psd ]]; then
    mkdir -p "$modules"
    cp "$here/package.json" "$here/package-lock.json" "$modules/"
    (cd "$modules" && npm ci --silent --ignore-scripts --no-audit --no-fund) || skip "npm could not install ag-psd"
fi

work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

# ---- ours, opened by others ------------------------------------------------------------------------

VT_INTEROP_OUT=$work "$unit" >"$work/unit.log" 2>&1 || {
    cat "$work/unit.log" >&2
    die "the unit test could not write the files"
}

# The images of a set as raw RGBA, for programs that read no PNG.
raw_set() {
    local png
    for png in "$1"/*.png; do
        magick "$png" -depth 8 "rgba:${png%.png}.rgba"
    done
}

raw_set "$work/sample.png"
cp "$here"/*.mjs "$modules/"
node "$modules/read_ours.mjs" "$work/sample.psd" "$work/sample.png"

# ImageMagick shows the flattened image first, then the layers from the bottom.
identify -format '%w %h %X %Y %[compose]\n' "$work/sample.psd" >"$work/identify"
node "$modules/expect_identify.mjs" "$work/sample.png" >"$work/expected"
diff -u "$work/expected" "$work/identify" || die "ImageMagick sees other layers"
magick "$work/sample.psd[0]" -depth 8 "rgba:$work/flat.rgba"
cmp "$work/flat.rgba" "$work/sample.png/composite.rgba" || die "ImageMagick sees another composite"
layers=$(($(wc -l <"$work/expected") - 1))
for ((i = 0; i < layers; i++)); do
    magick "$work/sample.psd[$((i + 1))]" -depth 8 "rgba:$work/layer.rgba"
    node "$modules/compare_faded.mjs" "$work/layer.rgba" "$work/sample.png" "$i"
done

# ---- theirs, opened by us --------------------------------------------------------------------------

node "$modules/write_theirs.mjs" "$work"
magick -size 9x5 gradient:red-blue -depth 8 "$work/flat.psd"
VT_INTEROP_IN=$work "$unit" >"$work/unit.log" 2>&1 || {
    cat "$work/unit.log" >&2
    die "a PSD of another program could not be read"
}
raw_set "$work/groups.psd.png"
raw_set "$work/zip.psd.png"
raw_set "$work/flat.psd.png"
magick "$work/flat.psd[0]" -depth 8 "rgba:$work/flat.rgba"
cmp "$work/flat.rgba" "$work/flat.psd.png/layer_0.rgba" || die "a flat PSD of ImageMagick reads otherwise"
node "$modules/check_theirs.mjs" "$work/groups.psd.png"
node "$modules/check_theirs.mjs" "$work/zip.psd.png"
echo "psd_interop: ImageMagick and ag-psd agree with us on $layers layers"
