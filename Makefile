# leakhunt: memory-leak forensics on live Linux processes. `make help` lists the targets.

CC      ?= cc
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
DESTDIR ?=
SAN     ?=
V       ?=

prefix  := $(PREFIX)
bindir  := $(prefix)/bin
mandir  := $(prefix)/share/man/man1
bashdir := $(prefix)/share/bash-completion/completions
zshdir  := $(prefix)/share/zsh/site-functions
fishdir := $(prefix)/share/fish/vendor_completions.d

# make's own default for CC is "cc"; name the compiler that it really is, for the folder of objects.
ifeq ($(origin CC),default)
CC := gcc
endif

comma  := ,
empty  :=
space  := $(empty) $(empty)
config := $(notdir $(firstword $(CC)))$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(WERROR),-werror)$(if $(COVERAGE),-coverage)$(if $(FAULTS),-faults)$(if $(STATIC),-static)
build  := .build/$(config)

warnings := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual \
            -Wwrite-strings -Wvla -Wundef -Wformat=2
all_cflags := -std=gnu11 -D_GNU_SOURCE -Iinclude -Isrc $(warnings) $(if $(WERROR),-Werror) \
              $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer) \
              $(if $(COVERAGE),--coverage) $(if $(FAULTS),-DLEAKHUNT_FAULTS) \
              $(if $(STATIC),-DLEAKHUNT_STATIC) -ffile-prefix-map=$(CURDIR)=. $(CPPFLAGS) $(CFLAGS)
all_ldflags := $(if $(STATIC),-static) $(if $(SAN),-fsanitize=$(SAN)) $(if $(COVERAGE),--coverage) $(LDFLAGS)
libs := -ldw -lelf -ljansson -lcrypto -lhs -lpcre2-8 -lxxhash -liberty -llzma -lz -lzstd \
        $(if $(STATIC),-lbz2 -lstdc++) -lm -lpthread

all_src  := $(sort $(shell find src -name '*.c'))
cli_src  := $(filter src/cli/%,$(all_src))
lib_src  := $(filter-out $(cli_src),$(all_src))
unit_src := $(sort $(wildcard tests/unit/test_*.c))
fuzz_src := $(sort $(wildcard tests/fuzz/fuzz_*.c))
# cxx_main.c is a part of cxx_objects, which is made twice: dynamic and static, both stripped.
samp_src := $(sort $(filter-out samples/cxx_main.c,$(wildcard samples/*.c)))
bench_src := $(sort $(wildcard tests/bench/*.c))

lib_obj  := $(lib_src:%.c=$(build)/%.o)
cli_obj  := $(cli_src:%.c=$(build)/%.o)
units    := $(unit_src:tests/unit/%.c=$(build)/unit/%)
replays  := $(fuzz_src:tests/fuzz/%.c=$(build)/replay/%)
fuzzers  := $(fuzz_src:tests/fuzz/%.c=$(build)/fuzz/%)
# Samples and bench programs are targets, not leakhunt: always built plainly.
samples  := $(samp_src:samples/%.c=.build/samples/%) .build/samples/cxx_objects .build/samples/cxx_objects_static \
            .build/samples/python_leak .build/samples/check_cut
benches  := $(bench_src:tests/bench/%.c=.build/bench/%)

lib      := $(build)/libleakhunt.a
program  := $(build)/leakhunt

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) '$(2)')

.PHONY: all deps demo check check-run check-live check-live-run check-kill check-kernels bench bench-pause \
        bench-strings lint format fuzz install \
        uninstall clean help samples

all: $(program) .build/leakhunt

# The program of the last plain build, under a name that does not depend on the compiler.
.build/leakhunt: $(program)
	$(Q)ln -sfn $(config)/leakhunt $@

$(program): $(cli_obj) $(lib)
	$(call say,LD,$@)
	$(Q)$(CC) $(all_cflags) $(all_ldflags) -o $@ $^ $(libs)

$(lib): $(lib_obj)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(build)/%.o: %.c $(build)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) -MMD -MP -c -o $@ $<

# Objects are made anew when the flags change.
$(build)/flags: FORCE
	$(Q)mkdir -p $(@D); echo '$(CC) $(all_cflags)' | cmp -s - $@ || echo '$(CC) $(all_cflags)' > $@
.PHONY: FORCE
FORCE:

$(build)/unit/%: tests/unit/%.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) -Itests/unit -MMD -MP $(all_ldflags) -o $@ $< $(lib) -lcmocka $(libs)

$(build)/replay/%: tests/fuzz/%.c tests/fuzz/replay.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) $(all_ldflags) -o $@ $< tests/fuzz/replay.c $(lib) $(libs)

$(build)/fuzz/%: tests/fuzz/%.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) -fsanitize=fuzzer $(all_ldflags) -o $@ $< $(lib) $(libs)

.build/samples/%: samples/%.c samples/sample.h samples/blocking_setup.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE $(warnings) -O2 -g -o $@ $< -ljansson -lssl -lcrypto -lpthread

.build/samples/cxx_main.o: samples/cxx_main.c samples/sample.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE $(warnings) -O2 -c -o $@ $<

.build/samples/cxx_objects: samples/cxx_objects.cc .build/samples/cxx_main.o
	$(call say,CXX,$<)
	$(Q)$(CXX) -Wall -Wextra -O2 -s -o $@ $^ -lpthread

.build/samples/cxx_objects_static: samples/cxx_objects.cc .build/samples/cxx_main.o
	$(call say,CXX,$<)
	$(Q)$(CXX) -Wall -Wextra -O2 -s -static -o $@ $^ -lpthread

# Beside the sample whose cores it checks.
.build/samples/check_cut: tests/live/check_cut.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE $(warnings) -O2 -g -o $@ $<

.build/samples/python_leak: samples/python_leak.py
	$(Q)mkdir -p $(@D) && install -m 0755 $< $@

.build/bench/%: tests/bench/%.c tests/bench/pulse.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE $(warnings) -O2 -g -Iinclude -o $@ $< -lpthread

# Writes what leakhunt reads, with leakhunt's own code.
.build/bench/day_record: tests/bench/day_record.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) $(all_ldflags) -o $@ $< $(lib) $(libs)

samples: $(samples)

deps:
	$(Q)scripts/deps.sh install

deps-build:
	$(Q)scripts/deps.sh ensure build
.PHONY: deps-build

# Install what is missing first; what is there already costs one dpkg query.
demo:
	$(Q)scripts/deps.sh ensure build demo
	$(Q)$(MAKE) --no-print-directory all samples
	$(Q)scripts/demo.sh .build/leakhunt .build/samples

check:
	$(Q)scripts/deps.sh ensure build demo check
	$(Q)$(MAKE) --no-print-directory check-run

check-run: $(program) $(units) $(replays) $(samples)
	$(Q)scripts/check.sh $(build) .build/samples unit replay cli live

check-live:
	$(Q)scripts/deps.sh ensure build demo check
	$(Q)$(MAKE) --no-print-directory check-live-run

check-live-run: $(program) $(samples)
	$(Q)scripts/check.sh $(build) .build/samples live

# What check does 20 times a mode.
KILLS ?= 1000
check-kill: all samples
	$(Q)scripts/check_kill.sh .build/leakhunt .build/samples/page_writer $(KILLS)

bench: all samples $(benches)
	$(Q)scripts/bench.sh .build/leakhunt .build/samples .build/bench

# STRINGS='--mib 256 --parts "list-4 summary"': see scripts/bench-strings.sh.
bench-strings: all $(benches)
	$(Q)scripts/deps.sh ensure bench
	$(Q)scripts/bench-strings.sh $(STRINGS) .build/leakhunt .build/bench

# PAUSE='--sizes 1024 --modes "snapshot gcore"': see scripts/bench-pause.sh.
bench-pause: all $(benches)
	$(Q)scripts/bench-pause.sh $(PAUSE) .build/leakhunt .build/bench

# SELECT='--mib 1024 --runs 3': see scripts/bench-select.sh.
bench-select: all samples $(benches)
	$(Q)scripts/deps.sh ensure bench
	$(Q)scripts/bench-select.sh $(SELECT) .build/leakhunt .build/samples .build/bench
.PHONY: bench-select

# KERNELS=suite/package...: on which, see scripts/kernel-matrix.sh.
check-kernels:
	$(Q)scripts/deps.sh ensure build check kernels
	$(Q)$(MAKE) --no-print-directory all samples $(build)/unit/test_dirty_trackers
	$(Q)$(MAKE) --no-print-directory FAULTS=1 .build/$(config)-faults/leakhunt
	$(Q)scripts/kernel-matrix.sh $(build) .build/$(config)-faults .build/samples $(KERNELS)

# The matrices of confusions of histories made up, and of real processes.
check-select: $(build)/unit/test_select_scenarios $(build)/unit/test_select_records
	$(Q)$(build)/unit/test_select_scenarios
	$(Q)$(build)/unit/test_select_records
.PHONY: check-select

# One file without shared libraries, for any x86_64 Linux from 3.10 on. Names of users come from /etc/passwd
# alone, and there is no debuginfod: glibc loads both as shared libraries.
static:
	$(Q)scripts/deps.sh ensure build
	$(Q)$(MAKE) --no-print-directory STATIC=1 .build/leakhunt-static

.build/leakhunt-static: $(program)
	$(Q)$(if $(STATIC),strip -o $@ $<,echo 'use: make static' >&2; exit 2)

# leakhunt_VERSION_amd64.deb and leakhunt-VERSION-1.x86_64.rpm in .build/; the same tree gives the same bytes.
package:
	$(Q)scripts/deps.sh ensure build package
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/package.sh .build
.PHONY: static package

lint:
	$(Q)scripts/deps.sh ensure build check lint
	$(Q)scripts/lint.sh

format:
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')

# libFuzzer needs clang: make fuzz CC=clang is implied. FUZZ_SECONDS a target.
FUZZ_SECONDS ?= 60
fuzz:
	$(Q)scripts/deps.sh ensure build check lint
	$(Q)$(MAKE) --no-print-directory fuzzers CC=clang SAN=fuzzer-no-link,address,undefined
	$(Q)scripts/fuzz.sh .build/clang-fuzzer-no-link-address-undefined/fuzz $(FUZZ_SECONDS)
.PHONY: fuzzers
fuzzers: $(fuzzers)

install: all
	install -D -m 0755 $(program) '$(DESTDIR)$(bindir)/leakhunt'
	install -d '$(DESTDIR)$(mandir)' '$(DESTDIR)$(bashdir)' '$(DESTDIR)$(zshdir)' '$(DESTDIR)$(fishdir)'
	$(program) man > '$(DESTDIR)$(mandir)/leakhunt.1'
	$(program) completion bash > '$(DESTDIR)$(bashdir)/leakhunt'
	$(program) completion zsh > '$(DESTDIR)$(zshdir)/_leakhunt'
	$(program) completion fish > '$(DESTDIR)$(fishdir)/leakhunt.fish'

uninstall:
	rm -f '$(DESTDIR)$(bindir)/leakhunt' '$(DESTDIR)$(mandir)/leakhunt.1' '$(DESTDIR)$(bashdir)/leakhunt' \
	      '$(DESTDIR)$(zshdir)/_leakhunt' '$(DESTDIR)$(fishdir)/leakhunt.fish'

clean:
	rm -rf .build

help:
	@echo 'make              build leakhunt into .build/leakhunt'
	@echo 'make deps         install every Debian package that building, testing and linting need'
	@echo 'make demo         find a real TLS leak in a running proxy, in under two minutes'
	@echo 'make check        all tests: unit, replayed fuzz seeds, command line, live processes'
	@echo 'make check-live   only the tests on live processes'
	@echo 'make check-kill   kill -9 leakhunt at KILLS=1000 random instants of a dump, in each mode'
	@echo 'make check-kernels  on the kernels of three Debian releases, emulated (KERNELS=suite/package)'
	@echo 'make check-select  how often the verdicts of select are right, by histories made up and recorded'
	@echo 'make bench        speed and pause, side by side with GNU strings, gdb and gcore'
	@echo 'make bench-strings  speed of scanning beside GNU strings, eu-strings and ripgrep, on a core of 2 GB'
	@echo 'make bench-pause  how long a dump holds up its target, felt from inside, beside gcore and gdb'
	@echo 'make bench-select  what a sample costs, and how long it holds up the target, beside pmap and smem'
	@echo 'make lint         layers, format, clang-tidy, cppcheck, shellcheck'
	@echo 'make format       clang-format over all sources'
	@echo 'make fuzz         libFuzzer on every target, FUZZ_SECONDS=60 each'
	@echo 'make install      into PREFIX=/usr/local, below DESTDIR; make uninstall takes it away'
	@echo 'make clean        remove .build'
	@echo 'variables: CC=clang  SAN=address,undefined  WERROR=1  V=1'

-include $(lib_obj:.o=.d) $(cli_obj:.o=.d) $(units:=.d)
