#!/usr/bin/env bash
# plan_test.sh - what a run would take, said beforehand; budgets, and runs that keep to both.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh

small=(-m micro-klein -p star --steps 1 -W 64 -H 64 --device cpu --threads 1 --seed 5)

# peak_bytes of the whole: of a plan the first, of a run the device's.
peak() {
    grep -oE '"peak_bytes":[0-9]+' "$work/stdout" | head -n 1 | cut -d: -f2
}

run plan generate "${small[@]}"
expect 0 "a plan"
out_has '^transformer  *f32 ' "a plan has a line for the transformer"
out_has '^resident: peak ' "a plan has a verdict"
check "a plan writes no image" test ! -e out.png

run plan generate "${small[@]}" --json
expect 0 "a plan as JSON"
for key in verdict budget_bytes peak_bytes stages component precision resident_bytes streamed_bytes \
    compute_bytes swap_bytes advice; do
    out_has "\"$key\":" "a plan's JSON has $key"
done
planned=$(peak)
run generate "${small[@]}" -o "$work/whole.png" --json -q
expect 0 "the run"
for key in peak_bytes current_bytes anonymous_bytes mapped_bytes pinned_bytes; do
    out_has "\"$key\":" "a run's JSON has $key"
done
taken=$(peak)
check "the run takes what was planned" test "$taken" -le "$planned"
check "the plan is within 5 % of the run" test $((planned * 100)) -le $((taken * 105))

# ---- budgets ----------------------------------------------------------------------------------------
for percent in 60 40; do
    budget=$((planned * percent / 100))
    run plan generate "${small[@]}" --budget $budget --json
    expect 0 "a plan at $percent %"
    check "the plan at $percent % keeps to it" test "$(peak)" -le $budget
    run generate "${small[@]}" --budget $budget -o "$work/less.png" -q --json
    expect 0 "a run at $percent %"
    check "the run at $percent % keeps to it" test "$(peak)" -le $budget
    check "the image at $percent % is the same" cmp -s "$work/whole.png" "$work/less.png"
done
run plan generate "${small[@]}" --budget 5M
out_has '^streamed: ' "a small budget is streamed"
run plan generate "${small[@]}" --budget 1M
expect 1 "a plan that says no"
out_has '^refused: ' "too small a budget is refused"
out_has 'a budget of .* or more' "a refusal has advice"
refuse 1 'a budget of .* or more' generate "${small[@]}" --budget 1M -o "$work/none.png"
check "a refused run writes nothing" test ! -e "$work/none.png"
refuse 2 'the budget .lots. is not a size' generate "${small[@]}" --budget lots -o "$work/none.png"
run generate "${small[@]}" --budget 50% -o "$work/half.png" -q
expect 0 "a budget in percent"

# ---- placement --------------------------------------------------------------------------------------
run plan generate "${small[@]}" --place text=cpu,transformer=cpu,vae=cpu --json
expect 0 "every component placed"
is "one device is told once" "$(grep -o '"devices":\[[^]]*' "$work/stdout" | grep -o '"name"' | wc -l)" 1
run generate "${small[@]}" --place text=cpu,transformer=cpu,vae=cpu -o "$work/placed.png" -q
expect 0 "a placed run"
check "the placed image is the same" cmp -s "$work/whole.png" "$work/placed.png"
refuse 2 'is not a placement' plan generate "${small[@]}" --place cpu
refuse 2 'is not a placement' plan generate "${small[@]}" --place unet=cpu
refuse 2 'placed twice' plan generate "${small[@]}" --place vae=cpu,vae=cpu
refuse 2 'no device is named' plan generate "${small[@]}" --place text=
refuse 2 "there is no device 'abacus'" plan generate "${small[@]}" --place text=abacus

# ---- other tasks ------------------------------------------------------------------------------------
run plan edit "${small[@]}" -i "$work/whole.png" --json
expect 0 "a plan of an edit"
out_has '"component":"vae_encoder"' "an edit encodes its image"
run plan layers -m micro-layered -i "$work/whole.png" -n 2 --device cpu --threads 1 --json
expect 0 "a plan of layers"
out_has '"component":"modulation"' "layers have modulation tables"
run plan layers -m micro-layered -i "$work/whole.png" -n 1 --device cpu --threads 1 --cfg 1.5 --cfg-normalize
expect 0 "a plan of guidance that keeps lengths"
refuse 2 '--cfg takes a number' plan layers -m micro-layered -i "$work/whole.png" --cfg much
refuse 2 '--guidance takes a number' plan layers -m micro-layered -i "$work/whole.png" --guidance much
refuse 2 'say what to plan' plan
refuse 2 "'dance' is not one of generate, edit, layers" plan dance
run plan --help
expect 0 "help"
out_has '--budget' "help names the budget"
finish
