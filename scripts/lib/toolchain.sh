# SPDX-License-Identifier: GPL-2.0
# The compilers that kernel and module are built with; sourced after common.sh.
# shellcheck shell=bash disable=SC2034

# Debian's own rustc: a rustup toolchain earlier in PATH has no rust-src.
RUSTC=${RUSTC:-/usr/bin/rustc}
RUSTFMT=${RUSTFMT:-/usr/bin/rustfmt}
CLIPPY_DRIVER=${CLIPPY_DRIVER:-/usr/bin/clippy-driver}
LLVM_SUFFIX=${LLVM_SUFFIX:--19}
CLANG=clang$LLVM_SUFFIX
export LIBCLANG_PATH=${LIBCLANG_PATH:-/usr/lib/llvm$LLVM_SUFFIX/lib}

# What Documentation/process/changes.rst of the kernel asks for at least.
RUSTC_MINIMUM=1.85.0
BINDGEN_MINIMUM=0.71.1

at_least() { # MINIMUM VERSION
	[[ -n $2 && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]
}

bindgen_is_new() { # PROGRAM
	local version
	version=$("$1" --version 2>/dev/null) || return 1
	at_least "$BINDGEN_MINIMUM" "${version#bindgen }"
}

check_rustc() {
	local version
	version=$("$RUSTC" --version 2>/dev/null) || die "no Rust compiler at $RUSTC; set RUSTC="
	version=${version#rustc } version=${version%%[ -]*}
	at_least "$RUSTC_MINIMUM" "$version" ||
		die "$RUSTC is $version; the kernel needs $RUSTC_MINIMUM or newer: set RUSTC="
}

if [[ -z ${BINDGEN:-} ]]; then
	BINDGEN=$CACHE/tools/bin/bindgen
	if [[ ! -x $BINDGEN ]] && bindgen_is_new /usr/bin/bindgen; then
		BINDGEN=/usr/bin/bindgen
	fi
fi

KMAKE_ARGS=(LLVM="$LLVM_SUFFIX" RUSTC="$RUSTC" RUSTFMT="$RUSTFMT" BINDGEN="$BINDGEN"
	CLIPPY_DRIVER="$CLIPPY_DRIVER" RUSTDOC=/usr/bin/rustdoc)
if command -v ccache >/dev/null; then
	export CCACHE_DIR=$CACHE/ccache CCACHE_MAXSIZE=4G CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$CACHE
	KMAKE_ARGS+=(CC="ccache $CLANG")
fi
