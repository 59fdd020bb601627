# SPDX-License-Identifier: GPL-2.0
# How scripts/vm starts QEMU; sourced by it.
# shellcheck shell=bash disable=SC2034,SC2054,SC2154

# KVM is used when a machine with it boots; the answer holds until the host
# boots anew.
kvm_works() {
	local answer
	[[ -w /dev/kvm ]] || return 1
	answer=$CACHE/kvm-$(cat /proc/sys/kernel/random/boot_id)
	if [[ ! -f $answer ]]; then
		if "$TOP/scripts/vm" --vmlinux "$vmlinux" --accel kvm --smp 1 --timeout 20 \
			-- true >/dev/null 2>&1; then
			echo yes >"$answer"
		else
			echo no >"$answer"
		fi
	fi
	[[ $(cat "$answer") == yes ]]
}

vm_argv() {
	local i ninep=version=9p2000.L,trans=virtio,msize=262144
	if [[ -n $icount ]]; then
		accel=tcg smp=1
	elif [[ -z $accel ]]; then
		accel=tcg
		! kvm_works || accel=kvm
	fi
	argv=(qemu-system-x86_64 -M pc -m "$memory" -smp "$smp" -nodefaults -no-user-config
		-display none -no-reboot -kernel "$vmlinux"
		-global PIIX4_PM.acpi-root-pci-hotplug=off
		-global PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off)
	case $accel in
	kvm) argv+=(-accel kvm -cpu host) ;;
	tcg) if [[ -n $icount ]]; then
		# A "rep movsb" counts an instruction a byte; without these two the kernel
		# copies words.
		argv+=(-accel tcg,thread=single -cpu max,-erms,-fsrm -icount "shift=0,sleep=off")
	else
		argv+=(-accel "tcg,thread=multi" -cpu max)
	fi ;;
	*) quit 125 "unknown accelerator '$accel': kvm or tcg" ;;
	esac
	argv+=(-chardev "file,id=console,path=$run/console.log,append=on" -serial chardev:console
		-device virtio-serial-pci
		-chardev stdio,id=terminal,signal=off -device virtconsole,chardev=terminal)
	argv+=(-fsdev "local,id=root,path=/,security_model=passthrough,readonly=on,multidevs=remap"
		-device "virtio-9p-pci,fsdev=root,mount_tag=rovlroot"
		-fsdev "local,id=run,path=$run,security_model=none,multidevs=remap"
		-device "virtio-9p-pci,fsdev=run,mount_tag=rovlrun")
	for i in "${!tags[@]}"; do
		argv+=(-fsdev "local,id=share$i,path=${tag_dirs[i]},security_model=passthrough,multidevs=remap"
			-device "virtio-9p-pci,fsdev=share$i,mount_tag=share$i")
	done
	for i in "${!blocks[@]}"; do
		if [[ ${blocks[i]} == *:ro ]]; then
			argv+=(-drive "file=${blocks[i]%:ro},format=raw,if=virtio,readonly=on")
		else
			argv+=(-drive "file=${blocks[i]},format=raw,if=virtio,cache=unsafe,discard=unmap")
		fi
	done
	# ACPI's interpreter takes half of the emulated debug kernel's boot: the
	# machine's table is kept short, and interrupts are routed by the MP table.
	# 256 old terminals are not wanted either.  Emulation on a busy host is
	# slow, which is no stall.
	local quick="acpi=noirq pty.legacy_count=0 rcupdate.rcu_cpu_stall_timeout=180"
	if [[ $accel == tcg && -z $icount ]]; then
		# There too a TSC was once calibrated sixty times too slow, and
		# guest time ran away.
		quick+=" tsc=unstable clocksource=hpet"
	fi
	argv+=(-append "console=ttyS0 root=rovlroot rootfstype=9p rootflags=$ninep,cache=loose $quick $init")
}
