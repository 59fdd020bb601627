# SPDX-License-Identifier: GPL-2.0
# Makes images of Debian 13 for the machines to run programs of, which are newer
# than those of Debian 12; sourced after common.sh.
# shellcheck shell=bash

# shellcheck source=scripts/lib/apt.sh
. "$TOP/scripts/lib/apt.sh"

# bootstrap_debian DESTINATION MMDEBSTRAP-OPTION..: a minimal system, a directory or
# a .tar by its name.
bootstrap_debian() {
	local destination=$1 uri
	shift
	uri=$(configured_uri | head -n 1)
	[[ -n $uri ]] || die "no Debian 12 or 13 archive among apt's sources"
	mmdebstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
		--aptopt='Acquire::Retries "3"' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		"$@" trixie "$destination" "deb $uri trixie main"
}

# cached_image NAME FORMAT LABEL KEY-FILE..: prints the path of the image NAME. The first
# time `fill_root DIRECTORY` makes it, which is a function of the caller; it is
# made anew when one of the files has changed.
cached_image() {
	local dir=$CACHE/$1 format=$2 label=$3 image
	shift 3
	image=$dir/$(cat "$@" "${BASH_SOURCE[0]}" | sha256sum | cut -c1-12).$format
	if [[ ! -f $image ]]; then
		mkdir -p "$dir"
		exec 9>"$dir/lock"
		flock 9
	fi
	if [[ ! -f $image ]]; then
		need_disk "$dir" 4
		step "$label (once)" make_image "$dir" "$image" >&2
	fi
	printf '%s\n' "$image"
}

make_image() { # DIRECTORY IMAGE
	rm -rf --one-file-system "$1/root" "$2.new"
	fill_root "$1/root"
	case $2 in
	*.squashfs) mksquashfs "$1/root" "$2.new" -quiet -no-progress -comp gzip -Xcompression-level 1 ;;
	# Not compressed: programs of it are started again and again by an emulated CPU.
	*.erofs) mkfs.erofs "$2.new" "$1/root" >/dev/null ;;
	esac
	rm -rf --one-file-system "$1/root"
	# Images of earlier versions are of no use any more.
	find "$1" -maxdepth 1 -name "*.${2##*.}" -delete
	mv "$2.new" "$2"
}
