# SPDX-License-Identifier: GPL-2.0
# Shared by the tiers that test the virtual machine itself; sourced after
# tests.sh.
# shellcheck shell=bash

# build_fault KERNEL: builds the module of scripts/lib/fault and prints its path.
build_fault() {
	local out=$TOP/build/fault-$1 arch=x86_64
	[[ $1 != uml* ]] || arch=um
	mkdir -p "$out"
	make -s -C "$("$TOP/scripts/kernel" "$1")" M="$TOP/scripts/lib/fault" MO="$out" \
		ARCH="$arch" "${KMAKE_ARGS[@]}" >&2 || return 1
	printf '%s\n' "$out/fault.ko"
}

# expect KERNEL FAULT STATUS [VM-OPTION..]: the machine ends with that status
# when the module does that.  Adds to `passed` and `failed`.
expect() {
	local kernel=$1 kind=$2 want=$3 status=0 out=$WORK/fault-$1-$2.out
	shift 3
	"$TOP/scripts/vm" --kernel "$kernel" --timeout 300 "$@" \
		--module "$FAULT fault=$kind" -- true >"$out" 2>&1 || status=$?
	if ((status == want)); then
		printf 'ok %s: a fault of kind "%s" ends with status %d\n' "$kernel" "$kind" "$want"
		passed=$((passed + 1))
	else
		cat "$out"
		printf 'not ok %s: a fault of kind "%s" ends with status %d, not %d\n' \
			"$kernel" "$kind" "$status" "$want"
		failed=$((failed + 1))
	fi
}
