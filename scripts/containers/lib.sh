# SPDX-License-Identifier: GPL-2.0
# What the scripts that test an engine share; sourced, in the root of the engines.
# shellcheck shell=bash disable=SC2034 # what tests use

IMAGES=/srv/images
OCI=$IMAGES/oci
SAMPLES=/mnt/rovl/samples/containers
driver=$1
engine=$(basename "$0")
exec 6>&1
shopt -s inherit_errexit

# try NAME..: the functions of these names, in this order: each fails where a command
# of it fails.
try() {
	local log=/tmp/log name status start
	for name in "$@"; do
		start=$SECONDS
		# Not in a condition, in which a command that fails would not end it.
		(set -euxo pipefail; "$name") >"$log" 2>&1 </dev/null
		status=$?
		if ((status == 0)); then
			echo "ok $engine/$name # $((SECONDS - start)) s"
		else
			tail -n 60 "$log" | cut -c1-300 | sed 's/^/# /'
			echo "not ok $engine/$name: $(grep '^+' "$log" | grep -vE '^\++ (true|return .*|diff .*|printf .*)$' | tail -n 1 | cut -c1-200)"
		fi
	done
}

# probe TEXT: answers that must be the same on both drivers, a line each.
probe() { printf '%s\n' "$1" | sed "s/^/probe $engine /" >&6; }

# told TEXT: a figure, for who reads the output.
told() { echo "# $engine: $1" >&6; }

# A command that has to fail.
refused() { if "$@"; then return 1; fi; }

# soon COMMAND..: until it is true, at most five minutes.
soon() {
	local n
	for ((n = 0; n < 600; n++)); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.5
	done
	return 1
}

# same WANTED SEEN
same() {
	[[ $1 == "$2" ]] || {
		diff <(printf '%s\n' "$1") <(printf '%s\n' "$2") || true
		return 1
	}
}

# What a tree is, its times left out: modes, owners, names; sizes, links and content of
# files, numbers of devices, targets of links. The engines' own files differ.
# shellcheck disable=SC2016
TREE='cd "$1" && of() {
	find . -xdev "(" -path ./proc -o -path ./sys -o -path ./dev -o -path "./etc/host*" -o -path ./etc/resolv.conf \
		-o -path ./run/.containerenv ")" -prune -o "$@" -print0 | sort -z
}
of -type d | xargs -0 stat -c "%A %u:%g %n"
of -type f | xargs -0 stat -c "%A %u:%g %s %h %n"
of -type f | xargs -0 md5sum
of ! -type d ! -type f | xargs -0 stat -c "%A %u:%g %t:%T %N"'
