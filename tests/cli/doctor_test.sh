#!/usr/bin/env bash
# doctor_test.sh - `veetance doctor`: findings with next steps, and the air gap proven on the spot.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
export VEETANCE_HOME=$work/home

run doctor
expect 0 "a machine without models is sound"
for area in processor memory limits devices pin disk models; do
    out_has "^[ !X] $area " "there is a line about $area"
done
out_has 'cpu: .*libggml-cpu' "the backend library is named"
out_has '-> .*veetance models scan' "what to do next is said"

run devices --pin cpu
run models add "$models/micro-klein" --quick
run doctor --json
expect 0 "as JSON"
if have jq; then
    check "the answer is JSON" jq -e . "$work/stdout" >/dev/null
    is "the pin is in it" "$(jq -r .pinned "$work/stdout")" cpu
    is "models are counted" "$(jq -r .models "$work/stdout")" 1
    is "devices have memory" "$(jq -r '.devices[0].total_bytes > 0' "$work/stdout")" true
    is "every finding has its fields" \
        "$(jq -r '[.findings[] | has("area") and has("state") and has("text") and has("next")] | all' "$work/stdout")" true
fi

run doctor --air-gap
expect 0 "the air gap holds"
out_has 'none of them a network client' "the dynamic section was read"
out_has 'libraries: .*libc\.so' "libraries that it is linked with are listed"
out_has 'libraries: .*libggml' "and those that it opens when it needs them"
out_has 'libraries: .*libmicrohttpd' "all of them"
out_has 'socket(AF_INET, SOCK_STREAM): refused' "a socket is refused"
out_has 'connect(192.0.2.1:443): refused' "a connection is refused"
is "nothing went through" "$(grep -c 'went through' "$work/stdout")" 0
run doctor --air-gap --json
if have jq; then
    is "each attempt is refused" "$(jq -r '[.attempts[].refused] | all' "$work/stdout")" true
    is "several ways are tried" "$(jq -r '.attempts | length > 8' "$work/stdout")" true
fi

# What is not as it should be.
sed -i 's/"bytes": [0-9]*/"bytes": 1/' "$VEETANCE_HOME/pin.json"
run doctor
expect 0 "an old pin is no failure"
out_has '^! pin .*has changed' "it is said"
echo '[' >"$VEETANCE_HOME/models.json"
run doctor
expect 1 "a broken model store is a failure"
out_has '^X models ' "it is marked"
refuse 2 'is not expected here' doctor everything
finish
