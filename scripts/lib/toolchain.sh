# SPDX-License-Identifier: GPL-2.0
# The compilers that kernel and module are built with; sourced after common.sh.
# shellcheck shell=bash disable=SC2034

# Debian's own rustc: a rustup toolchain earlier in PATH has no rust-src.
RUSTC=${RUSTC:-/usr/bin/rustc}
RUSTFMT=${RUSTFMT:-/usr/bin/rustfmt}
CLIPPY_DRIVER=${CLIPPY_DRIVER:-/usr/bin/clippy-driver}
LLVM_SUFFIX=${LLVM_SUFFIX:--19}
CLANG=clang$LLVM_SUFFIX
BINDGEN=${BINDGEN:-$CACHE/tools/bin/bindgen}
export LIBCLANG_PATH=${LIBCLANG_PATH:-/usr/lib/llvm$LLVM_SUFFIX/lib}

KMAKE_ARGS=(LLVM="$LLVM_SUFFIX" RUSTC="$RUSTC" RUSTFMT="$RUSTFMT" BINDGEN="$BINDGEN"
	CLIPPY_DRIVER="$CLIPPY_DRIVER" RUSTDOC=/usr/bin/rustdoc)
if command -v ccache >/dev/null; then
	export CCACHE_DIR=$CACHE/ccache CCACHE_MAXSIZE=4G CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$CACHE
	KMAKE_ARGS+=(CC="ccache $CLANG")
fi

need_disk() { # DIRECTORY GIB
	local free
	mkdir -p "$1"
	free=$(df --output=avail -BG "$1" | tail -n 1 | tr -dc 0-9)
	((free >= $2)) || die "only $free GiB free in $1, $2 GiB are needed; set ROVL_CACHE= to a larger disk"
}
