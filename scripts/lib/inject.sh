# SPDX-License-Identifier: GPL-2.0
# Shared by the tiers that make memory and disks fail; sourced after tests.sh.
# shellcheck shell=bash

# run_faults NAME KERNEL VM-OPTION.. -- OPTION..: runs the program $FAULTS with the
# module in $MODULES.  Adds to `passed` and `failed`.
run_faults() {
	local name=$1 kernel=$2 out=$WORK/$1.out status=0 p f
	local vm=()
	shift 2
	while [[ $1 != -- ]]; do
		vm+=("$1")
		shift
	done
	shift
	"$TOP/scripts/vm" --kernel "$kernel" --timeout 3000 "${vm[@]}" --module "$MODULES/rovl.ko" \
		--c-overlay -- "$FAULTS" "$@" >"$out" 2>"$out.err" || status=$?
	sed -i 's/\r$//' "$out"
	sed "/^[0-9]* passed, [0-9]* failed\$/d" "$out"
	cat "$out.err"
	p=$(count '^ok ' "$out") f=$(count '^not ok ' "$out")
	if [[ $(tail -n 1 "$out") != "$p passed, $f failed" ]] || ((status != 0 && f == 0)); then
		printf 'not ok %s: the machine ended with status %d\n' "$name" "$status"
		f=$((f + 1))
	fi
	passed=$((passed + p)) failed=$((failed + f))
}
