#!/usr/bin/env bash
# array_test.sh PROGRAM - packaging/slurm/veetance-array as Slurm and Kubernetes run it: the elements of an array, on the
# micro model.
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
unset SLURM_ARRAY_TASK_ID JOB_COMPLETION_INDEX COUNT
readonly script=packaging/slurm/veetance-array
readonly options=(-m micro-klein --steps 2 -W 64 -H 64 --device cpu)
export VEETANCE=$program
# shellcheck disable=SC2016 # as it stands in the file
printf 'a red star\n--a dash and "quotes" $HOME\n\na blue square' >"$work/prompts.txt"

# element NAME=NUMBER: one element of the array.
element() {
    env "$1" "$script" "$work/prompts.txt" "$work/images" "${options[@]}" >"$work/stdout" 2>"$work/stderr" </dev/null
    rc=$?
}

element SLURM_ARRAY_TASK_ID=1
expect 0 "the first line"
element JOB_COMPLETION_INDEX=1
expect 0 "Kubernetes' second pod, whose prompt looks like an option"
element SLURM_ARRAY_TASK_ID=4
expect 0 "the last line, which has no end"
is "an image a line" "$(cd "$work/images" && echo *)" "00001.png 00002.png 00004.png"

directly() {
    "$program" generate -p "$1" --seed "$2" "${options[@]}" -o "$work/direct.png" --force >/dev/null 2>&1
}
directly 'a red star' 1
check "it is what the command line makes" cmp -s "$work/images/00001.png" "$work/direct.png"
# shellcheck disable=SC2016
directly '--a dash and "quotes" $HOME' 2
check "the second, too" cmp -s "$work/images/00002.png" "$work/direct.png"

before=$(stat -c %Y.%i "$work/images/00001.png")
element SLURM_ARRAY_TASK_ID=1
expect 0 "an element that runs again"
out_has 'is there already' "an element that runs again"
is "the image is the same file" "$(stat -c %Y.%i "$work/images/00001.png")" "$before"

rm "$work/images/00002.png"
touch "$work/images/00002-step-1.png" # of a run that was stopped
element SLURM_ARRAY_TASK_ID=2
check "what lies beside an image is none" cmp -s "$work/images/00002.png" "$work/direct.png"
rm "$work/images/00002-step-1.png"

export COUNT=2
element SLURM_ARRAY_TASK_ID=4
expect 0 "two images of a line, of which one is there"
is "their seeds are nobody else's" "$(cd "$work/images" && echo 00004-*)" "00004-7.png 00004-8.png"
element SLURM_ARRAY_TASK_ID=4
out_has 'is there already' "both are there"
COUNT=many
element SLURM_ARRAY_TASK_ID=4
expect 2 "no count"
rm "$work"/images/00004-*
unset COUNT

element SLURM_ARRAY_TASK_ID=3
expect 2 "an empty line"
err_has 'line 3 of .* is empty' "an empty line"
element SLURM_ARRAY_TASK_ID=5
expect 2 "a line that is not there"
element SLURM_ARRAY_TASK_ID='1p;1e id'
expect 2 "no number"
err_has 'is no number of a line' "no number"
element NOTHING=1
expect 2 "no array job"
err_has 'submit it as an array job' "no array job"
is "nothing else was made" "$(cd "$work/images" && echo *)" "00001.png 00002.png 00004.png"
finish
