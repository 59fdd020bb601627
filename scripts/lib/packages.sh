# SPDX-License-Identifier: GPL-2.0
# Which Debian packages each purpose needs; sourced after common.sh.
# shellcheck shell=bash

# packages WHAT: the names for this distribution, one a line.
packages() {
	local codename
	codename=$(. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_CODENAME:-}")
	case $1 in
	module) # kernels and modules
		printf '%s\n' make clang-19 lld-19 llvm-19 libclang-19-dev libelf-dev libc6-dev \
			flex bison bc cpio kmod perl-base xz-utils ca-certificates gcc
		case $codename in
		bookworm)
			printf '%s\n' rustc-web rust-web-src rustfmt-web
			command -v cargo >/dev/null || printf '%s\n' cargo-web
			;;
		trixie)
			printf '%s\n' rustc rust-src rustfmt bindgen
			command -v cargo >/dev/null || printf '%s\n' cargo
			;;
		*) die "this set-up knows Debian 12 and 13, not '${codename:-unknown}': install a kernel's Rust toolchain by hand and build with make KDIR=" ;;
		esac
		;;
	qemu) printf '%s\n' qemu-system-x86 seabios e2fsprogs util-linux ;;
	bench) printf '%s\n' fuse-overlayfs ;;
	demo) printf '%s\n' mmdebstrap apt-utils ;;
	test)
		printf '%s\n' xfsprogs btrfs-progs squashfs-tools erofs-utils dmsetup libcap-dev busybox-static \
			python3 python3-lmdb locales fontconfig fonts-dejavu-core
		;;
	check)
		printf '%s\n' shellcheck
		case $codename in
		bookworm) printf '%s\n' rust-web-clippy ;;
		trixie) printf '%s\n' rust-clippy ;;
		esac
		;;
	esac
}
