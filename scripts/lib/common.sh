# SPDX-License-Identifier: GPL-2.0
# Shared by the scripts in this directory; sourced, not run.
# shellcheck shell=bash disable=SC2034

# The kernel series that is built and tested.  The patch level is what the
# distribution offers at that moment.
KERNEL_SERIES=7.3
BINDGEN_VERSION=0.72.1
PJDFSTEST_VERSION=0.2.2

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${ROVL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rovl}
JOBS=${JOBS:-$(nproc)}

say() { printf '%s\n' "rovl: $*"; }
die() {
	printf '%s\n' "rovl: error: $*" >&2
	exit 1
}

need_disk() { # DIRECTORY GIB
	local free
	mkdir -p "$1" || die "cannot write to $1"
	free=$(df --output=avail -BG "$1" | tail -n 1 | tr -dc 0-9)
	((free >= $2)) || die "only $free GiB free in $1, $2 GiB are needed; ROVL_CACHE= moves the cache to another disk"
}

# step LABEL COMMAND..: runs a long command with its output in a log and says
# how long it took.  The end of the log is shown when it fails.
step() {
	local label=$1 start=$SECONDS log pid
	shift
	log=$CACHE/log/$(printf '%s' "$label" | tr -c 'a-zA-Z0-9_.\n' -).log
	mkdir -p "$CACHE/log"
	say "$label ..."
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		if ((SECONDS > start && (SECONDS - start) % 60 == 0)); then
			say "$label: $(((SECONDS - start) / 60)) min, $(wc -l <"$log") lines of log"
		fi
	done
	if ! wait "$pid"; then
		tail -n 40 "$log" >&2
		die "$label failed; the whole log is $log"
	fi
	say "$label: done in $((SECONDS - start)) s"
}
