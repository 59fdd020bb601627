# SPDX-License-Identifier: GPL-2.0
# What apt is configured to use; sourced.
# shellcheck shell=bash

# The first stanza or line of the configured sources that carries Debian's
# main archive: prints its URI.
configured_uri() {
	local f
	for f in /etc/apt/sources.list.d/*.sources; do
		[[ -f $f ]] || continue
		awk 'BEGIN { RS = ""; FS = "\n" }
		     { uri = ""; suites = ""; off = 0
		       for (i = 1; i <= NF; i++) {
		           if ($i ~ /^URIs:/) { sub(/^URIs:[ \t]*/, "", $i); split($i, u, /[ \t]+/); uri = u[1] }
		           if ($i ~ /^Suites:/) suites = $i
		           if ($i ~ /^Enabled:[ \t]*no/) off = 1 }
		       if (uri != "" && !off && suites ~ /(bookworm|trixie)([ \t]|$)/) { print uri; exit } }' "$f"
	done
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[[ -f $f ]] || continue
		sed -nE 's/^deb[ \t]+(\[[^]]*\][ \t]+)?([^ \t]+)[ \t]+(bookworm|trixie)[ \t].*/\2/p' "$f"
	done
}
