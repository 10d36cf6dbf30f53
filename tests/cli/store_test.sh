#!/usr/bin/env bash
# store_test.sh - the three verbs of `veetance store` on a store in every state that a person may have it in.
# shellcheck source=tests/cli/lib.sh disable=SC2154 # $work comes from there
. tests/cli/lib.sh

store=$work/store

run store gc --store "$store" --json
expect 0 "a store is made where there is none"
is "nothing goes from an empty one" "$(cat "$work/stdout")" \
    '{"assets":0,"strays":0,"temporary":0,"bytes":0,"dry_run":false}'
run store check --store "$store" --deep
expect 0 "an empty store is sound"

mkdir -p "$store/assets/ab"
printf 'left by a crash' >"$store/assets/ab/ab$(printf '%062d' 1)"
run store check --store "$store" --json
expect 0 "a file that nothing knows is no damage"
is "it is told" "$(sed -n 's/.*"strays":\([0-9]*\).*/\1/p' "$work/stdout")" 1
run store gc --store "$store"
is "it stays within the grace time" "$(find "$store/assets" -type f | wc -l)" 1
run store gc --store "$store" --grace 0 --dry-run
is "a dry run removes nothing" "$(find "$store/assets" -type f | wc -l)" 1
run store gc --store "$store" --grace 0
is "it goes after the grace time" "$(find "$store/assets" -type f | wc -l)" 0

run store backup "$work/copy" --store "$store"
expect 0 "a store is copied"
run store check --store "$work/copy"
expect 0 "the copy opens as a store"
refuse 2 'not empty' store backup "$work/copy" --store "$store"

exec 9>"$store/lock"
flock -n 9
run store gc --store "$store"
expect 0 "gc works beside a process that has the store open"
run store limits --job-days 14 --size 20G --store "$store"
expect 0 "limits can be set beside it"
out_has 'finished jobs *14 days' "and are told"
refuse 2 'takes a size' store limits --size 20% --store "$store"
run store check --store "$store"
expect 0 "looking is possible while a server has it"
exec 9>&-

printf 'this was a database once, but now it is nothing of that kind any more' >"$store/veetance.db"
refuse 1 'not a database' store check --store "$store"
run store gc --store "$store"
expect 0 "a broken database is moved aside"
check "it is kept" test -f "$store/veetance.db.broken-1"
check "and said" grep -q 'broken-1' "$work/stderr"

refuse 2 'limits or backup' store
refuse 2 'not one of' store mend
refuse 2 'needs a folder' store backup
refuse 2 'takes no folder' store gc here
refuse 1 'No such file' store check --store "$work/nowhere"
finish
