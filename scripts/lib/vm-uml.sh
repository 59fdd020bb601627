# SPDX-License-Identifier: GPL-2.0
# How scripts/vm starts a user-mode kernel; sourced by it.
# shellcheck shell=bash disable=SC2034,SC2054,SC2154

vm_argv() {
	local i seccomp=on
	# With KASAN the first process dies at its first instruction by seccomp.  Without, faults beyond
	# the end of a mapped file are SIGSEGV in place of SIGBUS.
	! grep -qs '^CONFIG_KASAN=y' "${vmlinux%/*}/.config" || seccomp=off
	[[ -z $icount ]] || quit 125 "--icount needs a QEMU kernel"
	# What the kernel itself prints goes to standard error.
	# shellcheck disable=SC2016
	argv=(sh -c 'exec "$@" 3<&0 4>&1 </dev/null >&2' sh "$vmlinux" "mem=$memory"
		rootfstype=hostfs rootflags=/ "seccomp=$seccomp" con=null "con0=fd:3,fd:4" ssl=null
		ssl0=null,fd:2 console=ttyS0 "uml_dir=$run/uml")
	for i in "${!blocks[@]}"; do
		if [[ ${blocks[i]} == *:ro ]]; then
			argv+=("ubd${i}r=${blocks[i]%:ro}")
		else
			argv+=("ubd$i=${blocks[i]}")
		fi
	done
	read -ra init <<<"$init"
	argv+=("${init[@]}")
}
