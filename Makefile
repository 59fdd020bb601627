# SPDX-License-Identifier: GPL-2.0
# What a person types; what the kernel's build reads is in Kbuild.

# A kernel build tree to build against; without it the test kernel of the
# cache, which is built when it is missing.
KDIR ?=
MODULE_KERNEL := $(or $(KDIR),release)
MODULE_SETUP := $(if $(KDIR),tools,module)

.DEFAULT_GOAL := all
.PHONY: all demo shell test test-containers bench check install clean distclean help

all:
	@scripts/setup $(MODULE_SETUP)
	@scripts/build "$(MODULE_KERNEL)"

demo shell:
	@scripts/setup demo
	@scripts/demo/run $(if $(filter shell,$@),--shell)

test:
	@scripts/run-tests

bench:
	@scripts/setup bench
	@scripts/bench $(if $(OPS),--ops "$(OPS)") $(if $(ON),--on "$(ON)") $(if $(LAYERS),--layers "$(LAYERS)") \
		$(if $(MODULE),--module "$(MODULE)") $(if $(QUICK),--quick)

test-containers:
	@scripts/setup test-tools release
	@scripts/containers/run
	@scripts/containers/switch

check:
	@scripts/setup check
	@scripts/check

install:
	@test -n "$(KDIR)" || { \
		echo "rovl: error: say which kernel to install for: make install KDIR=/lib/modules/\$$(uname -r)/build" >&2; \
		exit 1; }
	@scripts/install "$(KDIR)"

clean:
	rm -rf build

distclean:
	@scripts/distclean

help:
	@echo 'Targets:'
	@echo '  all        the modules overlay.ko and rovl.ko (default)'
	@echo '  demo       a real root filesystem on rovl in a virtual machine, explained'
	@echo '  shell      the same machine, with a shell for you'
	@echo '  test       every test; the oracle is C overlayfs'
	@echo '  bench      what operations cost, in instructions: see scripts/bench --help'
	@echo '  test-containers  podman, buildah, containerd and docker on both drivers'
	@echo '  check      formatting, lints, licences, and where "unsafe" stands'
	@echo '  install    into updates/ of the kernel of KDIR=, then depmod'
	@echo '  clean      remove what was built here; the cache stays'
	@echo '  distclean  name what else could be removed; CONFIRM=yes removes it'
	@echo
	@echo 'Variables:'
	@echo '  KDIR=DIR             full build tree of a kernel with CONFIG_RUST'
	@echo '  INSTALL_MOD_PATH=DIR root of the system to install into'
	@echo '  RUSTC=FILE           the compiler that the kernel of KDIR was built with'
	@echo '  OPS= ON= LAYERS= MODULE= QUICK=1'
	@echo '                       what `make bench` is to measure; without, all of it'
	@echo '  ROVL_CACHE=DIR       kernels and tools (~/.cache/rovl)'
	@echo
	@echo 'scripts/vm --help tells how to run anything in a test machine,'
	@echo 'scripts/run-tests --help how to run a part of the tests.'
