# SPDX-License-Identifier: GPL-2.0
# A virtual machine with the container engines; sourced after common.sh.
# shellcheck shell=bash

# machine DRIVER DISK VM-OPTION.. -- COMMAND..: runs the command in the root of the engines
# with rovl as overlay.ko, or the kernel's own. DISK is a specification of scripts/vm: what is
# /mnt/w there.
machine() {
	local driver=$1 disk=$2 modules root
	local options=()
	shift 2
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	shift
	case $driver in
	rovl)
		modules=$("$TOP/scripts/build" release)
		options+=(--module "$modules/overlay.ko")
		;;
	c) options+=(--c-overlay) ;;
	*) die "the driver is rovl or c, not '$driver'" ;;
	esac
	root=$("$TOP/scripts/containers/root")
	"$TOP/scripts/vm" --kernel release --timeout 1800 --memory 3G \
		--disk "file:$root:ro@/mnt/engines" --disk "$disk@/mnt/disk" "${options[@]}" \
		-- "$TOP/scripts/lib/enter-root" /mnt/engines /mnt/disk "$@"
}

# tested DRIVER OUT DISK VM-OPTION.. -- TEST..: runs tests of this directory, their output in
# OUT too. Adds to `passed` and `failed`.
tested() {
	local driver=$1 out=$2 disk=$3 status=0 p f
	local options=()
	shift 3
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	shift
	machine "$driver" "$disk" "${options[@]}" -- /mnt/rovl/scripts/containers/guest "$driver" "$@" 2>&1 |
		stdbuf -oL tr -d '\r' | tee "$out" | sed -uE "s/^(ok|not ok) /&$driver\//" || status=$?
	p=$(count '^ok ' "$out") f=$(count '^not ok ' "$out")
	if ((status != 0 || p + f == 0)); then
		printf 'not ok %s: the machine ended with status %d\n' "$driver" "$status"
		f=$((f + 1))
	fi
	passed=$((passed + p)) failed=$((failed + f))
}
