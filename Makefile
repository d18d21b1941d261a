# Every target says what it does: `make help`.
PREFIX ?= /usr/local
DESTDIR ?=
SECONDS ?= 60
MUNTIN ?= .build/release/muntin

bindir = $(PREFIX)/bin
libexecdir = $(PREFIX)/libexec
descriptordir = $(PREFIX)/share/qemu/vhost-user
fill_in = sed -e 's|@bindir@|$(bindir)|' -e 's|@libexecdir@|$(libexecdir)|'

export SWIFT_BACKTRACE = enable=no

.PHONY: help build test demo demo-vm bench fmt check install fuzz clean

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 12

build: ## installs what building needs, and builds .build/release/muntin, muntin-guest and libmuntin
	Scripts/install-packages build
	Scripts/build

test: ## runs every test, with real virtual machines
	Scripts/test

demo: ## shows two virtual machines on one display
	Scripts/demo

demo-vm: ## shows two virtual machines on the screen of a third one
	Scripts/demo-vm

bench: ## measures Muntin beside QEMU's own vhost-user-gpu, and a network between guests
	Scripts/bench

fmt: ## formats the sources in place
	swift format -i -r -p Package.swift Sources Tests Examples

check: ## formatting, and warnings as errors
	Scripts/check

install: ## installs to PREFIX (/usr/local), below DESTDIR if that is set; build first
	@for program in $(MUNTIN) $(MUNTIN)-guest; do \
		test -x $$program || { echo "$$program is missing: run make build first" >&2; exit 1; }; done
	install -D -s -m 755 $(MUNTIN) $(DESTDIR)$(bindir)/muntin
	install -D -s -m 755 $(MUNTIN)-guest $(DESTDIR)$(bindir)/muntin-guest
	mkdir -p $(DESTDIR)$(libexecdir) $(DESTDIR)$(descriptordir)
	$(fill_in) Packaging/muntin-gpu.in >$(DESTDIR)$(libexecdir)/muntin-gpu
	chmod 755 $(DESTDIR)$(libexecdir)/muntin-gpu
	$(fill_in) Packaging/60-muntin-gpu.json.in >$(DESTDIR)$(descriptordir)/60-muntin-gpu.json
	$(MAKE) -C Library install PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)

fuzz: ## runs every fuzz target for SECONDS each (60 unless set)
	Scripts/fuzz $(SECONDS)

clean: ## removes what was built and prepared
	rm -rf .build .build-* .cache demo.png demo-vm.png
