#!/usr/bin/env bash
# startup_test.sh - which shared libraries a command opens: what it does not need costs it nothing, and what is missing
# is named by who needs it. Nothing is timed.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
export VEETANCE_HOME=$work/home

# The libraries that the loader brought up for a command, by name.
opened_by() {
    LD_DEBUG=files "$program" "$@" 2>&1 >"$work/stdout" </dev/null | sed -n 's/.*calling init: .*\///p' | sort -u
}
# Of the libraries in a list, those that match.
among() {
    printf '%s\n' "$1" | grep -E "$2" | tr '\n' ' '
}
readonly SERVER='^lib(microhttpd|gnutls|p11-kit|nettle|hogweed)'
readonly STORE='^libsqlite3'
readonly ARCHIVES='^lib(zip|crypto|bz2)\.'
readonly CODECS='^lib(jpeg|webp|webpmux|webpdemux|lcms2|tiff|heif|gif)\.'
readonly ENGINE='^lib(ggml|gomp|stdc\+\+|dnnl|vulkan|cuda)'
# Libraries of ours may come on a machine of another kind, but not one by one and unseen.
readonly TOKENIZERS='^lib(pcre2|utf8proc)'
readonly MOST_AT_START=8

opened=$(opened_by --version)
check "the loader says what it opens" [ -n "$(among "$opened" '^libc\.so')" ]
if [ -n "$(among "$opened" '^lib(asan|tsan)')" ]; then
    echo "not counted in a build with sanitizers: the libraries of --version"
else
    check "--version opens no more than $MOST_AT_START libraries: $opened" \
        [ "$(printf '%s\n' "$opened" | wc -l)" -le "$MOST_AT_START" ]
    is "--version opens no engine" "$(among "$opened" "$ENGINE")" ""
fi
is "--version opens nothing of a server, nor for prompts" \
    "$(among "$opened" "$SERVER|$STORE|$ARCHIVES|$CODECS|$TOKENIZERS")" ""

opened=$(opened_by generate -m micro-klein -p star --steps 1 -W 64 -H 64 --device cpu -o "$work/star.png")
check "an image is made" [ -s "$work/star.png" ]
engine=$(among "$opened" '^libggml\.')
check "by ggml" [ -n "$(among "$opened" '^libggml-cpu')" ]
is "generate opens nothing of a server, nor of other formats" "$(among "$opened" "$SERVER|$STORE|$ARCHIVES|$CODECS")" ""
is "nor what drives cards" "$(among "$opened" '^lib(vulkan|cuda|ggml-(vulkan|rpc))')" ""

opened=$(opened_by inspect "$models/micro-klein")
is "inspect opens no engine" "$(among "$opened" "$ENGINE|$SERVER|$STORE|$ARCHIVES")" ""

opened=$(opened_by store limits)
check "a store opens SQLite" [ -n "$(among "$opened" "$STORE")" ]
is "and nothing else" "$(among "$opened" "$ENGINE|$SERVER|$ARCHIVES")" ""

# A library that cannot be opened: its package is named by the command that needs it; the others run.
mkdir "$work/broken"
for library in $(among "$opened" "$STORE") $engine; do
    printf 'not a library' >"$work/broken/$library"
done
export LD_LIBRARY_PATH=$work/broken
refuse 1 'keeping images, projects and jobs needs libsqlite3.*is the package libsqlite3' store check
refuse 1 'keeping images, projects and jobs needs libsqlite3' serve --listen 127.0.0.1:0 --store "$work/other"
refuse 1 'computing needs libggml.*is the package libggml' generate -m micro-klein -p star -o "$work/out/none.png"
run --version
expect 0 "--version needs none of them"
run inspect "$models/micro-klein"
expect 0 "nor does inspect"
finish
