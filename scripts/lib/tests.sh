# SPDX-License-Identifier: GPL-2.0
# Shared by the tiers in scripts/tests; sourced after common.sh.
# shellcheck shell=bash

# Where host programs of the tests are built and outputs are kept.
WORK=$TOP/build/tests
export CARGO_TARGET_DIR=$TOP/build/cargo
mkdir -p "$WORK"

# finish PASSED FAILED: a tier's last line and its status.
finish() {
	printf '%d passed, %d failed\n' "$1" "$2"
	(($2 == 0)) || exit 1
	exit 0
}

count() { grep -cE "$1" "$2" || true; } # PATTERN FILE

# test_program DIRECTORY: builds the crate tests/DIRECTORY and prints the path
# of its program.  It is linked statically, so that it runs in a chroot too.
test_program() {
	(
		exec 9>"$WORK/.suite.lock"
		flock 9
		cd "$TOP/tests/$1"
		RUSTFLAGS='-C target-feature=+crt-static' cargo build --quiet --release --locked \
			--target x86_64-unknown-linux-gnu >&2
	) || return 1
	printf '%s\n' "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release/rovl-$1"
}

# scratch_options SUITE: sets SCRATCH to the options that give a machine every
# layer filesystem.
scratch_options() {
	local tree=$WORK/image-tree
	(
		exec 9>"$WORK/.suite.lock"
		flock 9
		[[ -d $tree && ! $1 -nt $tree ]] || {
			rm -rf "$tree" "$tree.new"
			mkdir "$tree.new"
			"$1" --make-image-tree "$tree.new"
			mv "$tree.new" "$tree"
		}
	) || return 1
	# shellcheck disable=SC2034
	SCRATCH=(--scratch --image "squashfs:$tree@/mnt/scratch/squashfs"
		--image "erofs:$tree@/mnt/scratch/erofs")
}

# run_suite NAME VM-OPTIONS.. -- SUITE-OPTIONS..: runs the suite in a machine,
# its output in $WORK/NAME.out.  Adds to `passed` and `failed`.
run_suite() {
	local name=$1 out=$WORK/$1.out status=0 p f
	local vm=()
	shift
	while [[ $1 != -- ]]; do
		vm+=("$1")
		shift
	done
	shift
	"$TOP/scripts/vm" "${vm[@]}" "${SCRATCH[@]}" -- "$SUITE" "$@" >"$out" 2>"$out.err" || status=$?
	# QEMU's terminal ends lines in its own way.
	sed -i 's/\r$//' "$out"
	p=$(count '^ok ' "$out") f=$(count '^not ok ' "$out")
	grep -v '^ok ' "$out" || true
	cat "$out.err"
	# The suite says how many ran; a machine that died or a kernel that
	# complained is a failure of its own.
	if ((status != 0 && (f == 0 || status >= 97))); then
		printf 'not ok %s: the machine ended with status %d after %d tests\n' "$name" "$status" $((p + f))
		f=$((f + 1))
	elif [[ $(tail -n 1 "$out") != "$p passed, $f failed" ]]; then
		printf 'not ok %s: the suite did not come to its end\n' "$name"
		f=$((f + 1))
	fi
	printf '%s: %d passed, %d failed\n' "$name" "$p" "$f"
	passed=$((passed + p)) failed=$((failed + f))
}

# The Debian of run_debian, made by that program of scripts/lib, the disks of its machine, and
# which directory of that is its /mnt/w.
DEBIAN=tools-root
DEBIAN_DISKS=(--scratch)
DEBIAN_W=/mnt/scratch/ext4

# run_debian NAME SCRIPT VM-OPTIONS.. -- ARGUMENTS..: runs a script of scripts/lib in
# a machine, as root of $DEBIAN.  Adds to `passed` and `failed`.
run_debian() {
	local name=$1 script=/mnt/rovl/scripts/lib/$2 out=$WORK/$1.out status=0 root p f
	local vm=()
	root=$("$TOP/scripts/lib/$DEBIAN") || return 1
	shift 2
	while [[ $1 != -- ]]; do
		vm+=("$1")
		shift
	done
	shift
	"$TOP/scripts/vm" "${vm[@]}" "${DEBIAN_DISKS[@]}" --disk "file:$root:ro@/mnt/debian" \
		-- "$TOP/scripts/lib/enter-root" /mnt/debian "$DEBIAN_W" bash "$script" "$@" >"$out" 2>&1 || status=$?
	cat "$out"
	p=$(count '^ok ' "$out") f=$(count '^not ok ' "$out")
	if ((status != 0)); then
		printf 'not ok %s: the machine ended with status %d\n' "$name" "$status"
		f=$((f + 1))
	fi
	passed=$((passed + p)) failed=$((failed + f))
}

# run_race NAME SECONDS WHAT VM-OPTIONS..: adds to `passed` and `failed`.
run_race() {
	local name=$1 seconds=$2 what=$3 out=$WORK/$1.out status=0 p f
	shift 3
	"$TOP/scripts/vm" "$@" -- "$TOP/scripts/lib/race-run" "$(test_program race)" \
		"$seconds" "$what" >"$out" 2>"$out.err" || status=$?
	cat "$out" "$out.err"
	p=$(count '^ok ' "$out") f=$(count '^not ok ' "$out")
	if ((status != 0 && f == 0)); then
		printf 'not ok %s: the machine ended with status %d\n' "$name" "$status"
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f))
}

# compare_drivers ROVL-OUTPUT C-OUTPUT: what passes on C must pass on rovl,
# but for those in tests/intended-elsewhere.txt, which rovl is meant to fail:
# these must not pass, so that the list stays true.  Prints a line for each
# test and adds to `passed` and `failed`; tests that fail or are skipped on C,
# or are listed, are named, but count as nothing.
compare_drivers() {
	local verdict=$1.verdict
	awk '
		FILENAME == ARGV[1] { if ($0 !~ /^#/ && NF) { name = $1; sub(/^[^ ]+ +/, ""); later[name] = $0 } next }
		{ sub(/:$/, "") }
		/^ok .*# SKIP/ { state = "skip"; sub(/^ok /, ""); sub(/ *# SKIP.*/, "") }
		/^ok / { state = "ok"; sub(/^ok /, "") }
		/^not ok / { state = "fail"; sub(/^not ok /, "") }
		/^skip / { state = "skip"; sub(/^skip /, "") }
		state == "" { next }
		{ result[FILENAME, $0] = state; names[$0] = 1; state = "" }
		END {
			for (name in names) {
				rovl = result[ARGV[2], name]; c = result[ARGV[3], name]
				if (rovl == "") rovl = "missing"
				key = name; gsub(/ /, "", key)
				if (key in later) {
					if (rovl == "ok") print "not ok " name ": passes, but is listed in tests/intended-elsewhere.txt"
					else print "# " name ": " c " on C, not on rovl: " later[key]
					continue
				}
				if (c == "ok" && rovl == "ok") print "ok " name
				else if (c == "ok") print "not ok " name ": " rovl " on rovl, passes on C"
				else if (c == "") print "not ok " name ": did not run on C"
				else print "# " name ": " c " on C, " rovl " on rovl"
			}
		}' "$TOP/tests/intended-elsewhere.txt" "$1" "$2" | sort >"$verdict"
	cat "$verdict"
	passed=$((passed + $(count '^ok ' "$verdict")))
	failed=$((failed + $(count '^not ok ' "$verdict")))
}
