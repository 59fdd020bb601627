# SPDX-License-Identifier: GPL-2.0
# Finds reports of kernel faults in a console log; sourced.
# shellcheck shell=bash

SPLAT='WARNING: |BUG: |kernel BUG at|KASAN: |UBSAN: |Oops|general protection fault|Kernel panic'
SPLAT+='|possible (circular|recursive|irq lock) |suspicious RCU usage|bad unlock balance'
SPLAT+='|inconsistent (lock|\{)|held lock freed|lock held when returning|Invalid wait context'
SPLAT+='|nested lock was not taken|INFO: task .* blocked for|detected (stalls|expedited stalls)'
SPLAT+='|self-detected stall|unreferenced object|list_(add|del) corruption|refcount_t: '
SPLAT+='|sleeping function called|Bad page (state|map)|rust_kernel: panicked|unable to handle'
SPLAT+='|Busy inodes after unmount|still in use \([0-9]+\)|Objects remaining'

# What a healthy boot prints.
BENIGN='WARNING: Spectre'

# ours LOG: the log, without the headlines of KCSAN's reports in which there is no
# function of the module: what the kernel's own code races with itself is not for
# the tests of this one.
ours() {
	awk '
		/BUG: KCSAN: / { head = NR; mine = 0 }
		head && /\[(rovl|overlay)\]/ { mine = 1 }
		head && /==========/ { if (!mine) line[head] = ""; head = 0 }
		{ line[NR] = $0 }
		END { for (n = 1; n <= NR; n++) print line[n] }' "$1"
}

# report_splat LOG: prints the first report with what follows it; true if
# there was one.
report_splat() {
	local line
	# Kernel messages begin with a time; what programs print there does not.
	line=$(ours "$1" | grep -nE "^\[ *[0-9]+\.[0-9]+\].*($SPLAT)" | grep -vE "$BENIGN" | head -n 1 | cut -d: -f1)
	[[ -n $line ]] || return 1
	{
		printf -- '---- kernel fault ----\n'
		# What led to it stands before the headline.
		sed -n "$((line > 12 ? line - 12 : 1)),$((line + 80))p" "$1"
		printf -- '----------------------\n'
	} >&2
}
