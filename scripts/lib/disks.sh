# SPDX-License-Identifier: GPL-2.0
# Makes disk images from the descriptions that scripts/vm takes; sourced.
# shellcheck shell=bash

# disk_type SPEC: the filesystem on it, or "raw".
disk_type() {
	case $1 in
	image-*) printf '%s\n' "${1#image-}" | cut -d: -f1 ;;
	file:*) printf 'auto\n' ;;
	*) printf '%s\n' "${1%%:*}" ;;
	esac
}

# quietly COMMAND..: its output only if it fails.
quietly() {
	local output
	output=$("$@" 2>&1 </dev/null) || {
		printf '%s\n' "$output" >&2
		return 1
	}
}

# make_disk FILE SPEC: prints the path of the image, with ":ro" if it may not
# be written.
make_disk() {
	local file=$1 kind=${2%%:*} rest=${2#*:} size
	local options=()
	case $kind in
	file)
		realpath -e "${rest%:ro}" | tr -d '\n'
		[[ $rest != *:ro ]] || printf ':ro'
		printf '\n'
		return
		;;
	image-squashfs)
		quietly mksquashfs "$rest" "$file" -comp gzip -no-progress || return 1
		printf '%s:ro\n' "$file"
		return
		;;
	image-erofs)
		quietly mkfs.erofs "$file" "$rest" || return 1
		printf '%s:ro\n' "$file"
		return
		;;
	esac
	size=${rest%%,*}
	if [[ $rest == *,* ]]; then
		read -ra options <<<"$(tr , ' ' <<<"${rest#*,}")"
	fi
	truncate -s "$size" "$file" || return 1
	case $kind in
	raw) ;;
	ext4) quietly mkfs.ext4 -q -F "${options[@]}" "$file" ;;
	xfs) quietly mkfs.xfs -q -f "${options[@]}" "$file" ;;
	btrfs) quietly mkfs.btrfs -q -f "${options[@]}" "$file" ;;
	*) die "unknown kind of disk '$kind'" ;;
	esac || return 1
	printf '%s\n' "$file"
}
