# leakhunt: memory-leak forensics on live Linux processes. `make help` prints the lines marked by ##.

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
              $(if $(COVERAGE),--coverage) $(if $(FAULTS),-DLEAKHUNT_FAULTS) $(if $(SAN)$(COVERAGE),-DLEAKHUNT_UNCONFINED) \
              $(if $(STATIC),-DLEAKHUNT_STATIC) -ffile-prefix-map=$(CURDIR)=. $(CPPFLAGS) $(CFLAGS)
all_ldflags := $(if $(STATIC),-static) $(if $(SAN),-fsanitize=$(SAN)) $(if $(COVERAGE),--coverage) $(LDFLAGS)
libs := -ldw -lelf -ljansson -lcrypto -lseccomp -lhs -lpcre2-8 -lxxhash -liberty -llzma -lz -lzstd \
        $(if $(STATIC),-lbz2 -lstdc++) -lm -lpthread

all_src  := $(sort $(shell find src -name '*.c'))
cli_src  := $(filter src/cli/%,$(all_src))
lib_src  := $(filter-out $(cli_src),$(all_src))
unit_src := $(sort $(wildcard tests/unit/test_*.c tests/unit/*/test_*.c))
fuzz_src := $(sort $(wildcard tests/fuzz/fuzz_*.c))
# cxx_main.c is a part of cxx_objects, which is made twice: dynamic and static, both stripped.
# library_objects.c needs the libraries whose objects it loses (group check of deps.sh).
sample_packages := gio-2.0 libcurl expat gnutls libxml-2.0 libpcre2-8 sqlite3 zlib libcrypto
library_sample  := $(shell pkg-config --exists $(sample_packages) 2>/dev/null && echo .build/samples/library_objects)
# tls_objects.c does, too; Mbed TLS 2 has no .pc file.
tls_packages := nss nspr wolfssl
tls_sample   := $(if $(wildcard /usr/include/mbedtls/ssl.h),$(shell pkg-config --exists $(tls_packages) 2>/dev/null && echo .build/samples/tls_objects))
samp_src := $(sort $(filter-out samples/cxx_main.c samples/library_objects.c samples/tls_objects.c,$(wildcard samples/*.c)))
bench_src := $(sort $(wildcard tests/bench/*.c))

source_obj := $(lib_src:%.c=$(build)/%.o)
lib_obj  := $(source_obj) $(build)/generated/report_assets.o $(build)/generated/stored_patterns.o
cli_obj  := $(cli_src:%.c=$(build)/%.o)
# tests/unit/MODULE/test_x.c becomes unit/test_x: names of files are unique.
units    := $(addprefix $(build)/unit/,$(basename $(notdir $(unit_src))))
vpath test_%.c $(sort $(dir $(unit_src)))
# Those of cli are linked with its objects, but main's.
cli_units := $(addprefix $(build)/unit/,$(basename $(notdir $(wildcard tests/unit/cli/test_*.c))))
cli_parts := $(filter-out $(build)/src/cli/main.o,$(cli_obj))
replays  := $(fuzz_src:tests/fuzz/%.c=$(build)/replay/%)
fuzzers  := $(fuzz_src:tests/fuzz/%.c=$(build)/fuzz/%)
# Samples and bench programs are targets, not leakhunt: always built plainly.
samples  := $(samp_src:samples/%.c=.build/samples/%) .build/samples/cxx_objects .build/samples/cxx_objects_static \
            .build/samples/path_load .build/samples/freed_objects .build/samples/vector_objects .build/samples/leak_truth_cxx .build/samples/containers .build/samples/python_leak .build/samples/check_cut $(library_sample) $(tls_sample) \
            .build/samples/compare_blocks
benches  := $(bench_src:tests/bench/%.c=.build/bench/%)

lib      := $(build)/libleakhunt.a
program  := $(build)/leakhunt

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) '$(2)')

.PHONY: all deps demo check check-run check-live check-live-run check-kill check-kernels bench bench-pause \
        bench-strings lint format fuzz install \
        uninstall clean help samples

all: $(program) .build/leakhunt ## build leakhunt into .build/leakhunt (default)

# The program of the last plain build, under a name that does not depend on the compiler.
.build/leakhunt: $(program)
	$(Q)ln -sfn $(config)/leakhunt $@

$(program): $(cli_obj) $(lib)
	$(call say,LD,$@)
	$(Q)$(CC) $(all_cflags) $(all_ldflags) -o $@ $^ $(libs)

$(lib): $(lib_obj)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Say which command helps when headers of libraries are missing, in place of a screen of errors.
headers := elfutils/libdw.h libelf.h jansson.h openssl/sha.h hs/hs.h pcre2.h xxhash.h libiberty/demangle.h zstd.h lzma.h zlib.h
.build/libraries:
	$(Q)mkdir -p $(@D); for header in $(headers); do echo "#include <$$header>"; done | \
		$(CC) -DPCRE2_CODE_UNIT_WIDTH=8 -E - >/dev/null 2>$@.log && mv $@.log $@ || { head -n 1 $@.log >&2; \
		echo 'make: a library is missing; `make deps-build` installs what building needs' >&2; exit 1; }

$(build)/%.o: %.c $(build)/flags | .build/libraries
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) -MMD -MP -c -o $@ $<

# The style and the script of report.html, with their hashes.
$(build)/generated/report_assets.c: scripts/embed-report.sh src/report/report.css src/report/report.js
	$(call say,EMBED,$@)
	$(Q)mkdir -p $(@D) && $^ >$@.new && mv $@.new $@

$(build)/generated/report_assets.o: $(build)/generated/report_assets.c $(build)/flags
	$(call say,CC,$<)
	$(Q)$(CC) $(all_cflags) -Isrc/report -MMD -MP -c -o $@ $<

# What compiling the recognizers' patterns gives. Only the objects that hold patterns are a reason to make it again.
pattern_obj := $(filter $(build)/src/scan/recognize%,$(source_obj))
$(build)/store_patterns: scripts/store_patterns.c $(pattern_obj) | $(source_obj) $(build)/generated/report_assets.o
	$(call say,LD,$@)
	$(Q)$(CC) $(all_cflags) $(all_ldflags) -o $@ $< $(source_obj) $(build)/generated/report_assets.o $(libs)

$(build)/generated/stored_patterns.c: $(build)/store_patterns
	$(call say,STORE,$@)
	$(Q)mkdir -p $(@D) && $< >$@.new && mv $@.new $@

$(build)/generated/stored_patterns.o: $(build)/generated/stored_patterns.c $(build)/flags
	$(call say,CC,$<)
	$(Q)$(CC) $(all_cflags) -MMD -MP -c -o $@ $<

# Objects are made anew when the flags change.
$(build)/flags: FORCE
	$(Q)mkdir -p $(@D); echo '$(CC) $(all_cflags)' | cmp -s - $@ || echo '$(CC) $(all_cflags)' > $@
.PHONY: FORCE
FORCE:

$(build)/unit/test_%: test_%.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) -Itests/unit -MMD -MP $(all_ldflags) -o $@ $(filter %.c %.o,$^) $(lib) -lcmocka $(libs)

$(cli_units): $(cli_parts)

$(build)/replay/%: tests/fuzz/%.c tests/fuzz/replay.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) $(all_ldflags) -o $@ $< tests/fuzz/replay.c $(lib) $(libs)

$(build)/fuzz/%: tests/fuzz/%.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) -fsanitize=fuzzer $(all_ldflags) -o $@ $< $(lib) $(libs)

.build/samples/%: samples/%.c samples/sample.h samples/self_check.h samples/blocking_setup.h
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

.build/samples/path_load .build/samples/freed_objects .build/samples/vector_objects .build/samples/leak_truth_cxx: .build/samples/%: samples/%.cc
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CXX) -Wall -Wextra -O2 -o $@ $< -lpthread

.build/samples/containers: samples/containers.cc
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CXX) -Wall -Wextra -O2 -g -o $@ $<

.build/samples/library_objects: samples/library_objects.c samples/object_kinds.h samples/sample.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE $(warnings) -O2 -g \
		$(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(sample_packages))) \
		-o $@ $< $(shell pkg-config --libs $(sample_packages)) -ljansson -lpthread

.build/samples/tls_objects: samples/tls_objects.c samples/object_kinds.h samples/sample.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE $(warnings) -O2 -g \
		$(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(tls_packages))) \
		-o $@ $< $(shell pkg-config --libs $(tls_packages)) -lmbedtls -lmbedx509 -lmbedcrypto -ljansson -lpthread

# Beside the sample whose cores it checks.
.build/samples/check_cut: tests/live/check_cut.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE $(warnings) -O2 -g -o $@ $<

# Walks with leakhunt's own code.
.build/bench/heap_walk: tests/bench/heap_walk.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) $(all_ldflags) -o $@ $< $(lib) $(libs)

# Finds owners with leakhunt's own code.
.build/bench/owner_search: tests/bench/owner_search.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) $(all_ldflags) -o $@ $< $(lib) $(libs)

# Makes a seed of fuzz_heap of a dump.
.build/bench/heap_seed: tests/fuzz/heap_seed.c tests/fuzz/heap_seed.h $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) $(all_ldflags) -o $@ $< $(lib) $(libs)

# Compares what leakhunt's own code finds with a sample's truth.
.build/samples/compare_blocks: tests/live/compare_blocks.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) $(all_ldflags) -o $@ $< $(lib) $(libs)

.build/samples/python_leak: samples/python_leak.py
	$(Q)mkdir -p $(@D) && install -m 0755 $< $@

.build/bench/%: tests/bench/%.c tests/bench/pulse.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE $(warnings) -O2 -g -Iinclude -o $@ $< -lpthread

# Writes what leakhunt reads, with leakhunt's own code.
.build/bench/day_record: tests/bench/day_record.c $(lib)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(all_cflags) $(all_ldflags) -o $@ $< $(lib) $(libs)

samples: $(samples) ## build the samples, small programs with one memory condition each

deps: ## install every Debian package that building, testing and linting need
	$(Q)scripts/deps.sh install

deps-build: ## install only what building needs
	$(Q)scripts/deps.sh ensure build
.PHONY: deps-build

# Large, and not a part of deps: without it tests/live/report_page.bats is skipped.
deps-browser: ## install Chromium, and what tests drive it with from npm into .build/browser: 500 MB
	$(Q)scripts/deps.sh ensure browser
	$(Q)command -v npm >/dev/null || { echo 'make: there is no npm; install it, from Debian or nodejs.org' >&2; exit 1; }
	$(Q)mkdir -p .build/browser && cp tests/browser/package.json .build/browser/
	$(Q)npm install --prefix .build/browser --no-fund --no-audit --ignore-scripts --no-package-lock
.PHONY: deps-browser

# Install what is missing first; what is there already costs one dpkg query.
demo: ## find a real TLS leak in a running proxy, in under two minutes
	$(Q)scripts/deps.sh ensure build demo
	$(Q)$(MAKE) --no-print-directory all samples
	$(Q)scripts/demo.sh .build/leakhunt .build/samples

check: ## run the tests: unit, replayed fuzz seeds, command line, live processes
	$(Q)scripts/deps.sh ensure build demo check
	$(Q)$(MAKE) --no-print-directory check-run

check-run: $(program) $(units) $(replays) $(samples)
	$(Q)scripts/check.sh $(build) .build/samples short unit replay cli live

check-long: ## run the long tests: matrices, kills at each step, hostile targets, big cores
	$(Q)scripts/deps.sh ensure build demo check
	$(Q)$(MAKE) --no-print-directory check-long-run

check-long-run: $(program) $(units) $(samples)
	$(Q)scripts/check.sh $(build) .build/samples long unit cli live
.PHONY: check-long check-long-run

# COVERED='unit replay cli live': all suites of the short tier take a while.
COVERED ?= unit replay cli
coverage: ## run tests (COVERED=unit replay cli) and print which share of each module's lines they ran
	$(Q)scripts/deps.sh ensure build demo check
	$(Q)$(MAKE) --no-print-directory CC=gcc COVERAGE=1 coverage-run

coverage-run: $(program) $(units) $(replays) $(samples)
	$(Q)find $(build) -name '*.gcda' -delete
	$(Q)scripts/check.sh $(build) .build/samples short $(COVERED); status=$$?; scripts/coverage.sh $(build) && exit $$status
.PHONY: coverage coverage-run

check-live: ## run only the tests on live processes
	$(Q)scripts/deps.sh ensure build demo check
	$(Q)$(MAKE) --no-print-directory check-live-run

check-live-run: $(program) $(samples)
	$(Q)scripts/check.sh $(build) .build/samples all live

# What check does 20 times a mode.
KILLS ?= 1000
check-kill: all samples ## kill -9 leakhunt at KILLS=1000 random instants of a dump, in each mode
	$(Q)scripts/check_kill.sh .build/leakhunt .build/samples/page_writer $(KILLS)

# DUMPS, KILLS, MODES, TARGETS, SEED: see scripts/check-harm.sh.
check-harm: ## dump self-checking targets and strangers' servers, DUMPS=200 KILLS=3000 MODES= TARGETS=: nothing may break
	$(Q)scripts/deps.sh ensure build check harm
	$(Q)$(MAKE) --no-print-directory all samples
	$(Q)$(MAKE) --no-print-directory CC=gcc SAN= WERROR= COVERAGE= FAULTS=1 .build/gcc-faults/leakhunt
	$(Q)scripts/check-harm.sh .build/leakhunt .build/gcc-faults/leakhunt .build/samples .build/harm
.PHONY: check-harm

bench: all samples $(benches) ## measure speed and pause beside GNU strings, gdb and gcore
	$(Q)scripts/bench.sh .build/leakhunt .build/samples .build/bench

# STRINGS='--mib 256 --parts "list-4 summary"': see scripts/bench-strings.sh.
bench-strings: all $(benches) ## measure scanning beside GNU strings, eu-strings and ripgrep, on a core of 2 GB
	$(Q)scripts/deps.sh ensure bench
	$(Q)scripts/bench-strings.sh $(STRINGS) .build/leakhunt .build/bench

# PAUSE='--sizes 1024 --modes "snapshot gcore"': see scripts/bench-pause.sh.
bench-pause: all $(benches) ## measure how long a dump stops its target, felt from inside, beside gcore and gdb
	$(Q)scripts/bench-pause.sh $(PAUSE) .build/leakhunt .build/bench

# HEAP='--mib 1024': see scripts/bench-heap.sh.
bench-heap: all .build/bench/heap_walk .build/bench/heap_churn ## measure the walk of a heap, and its groups, beside gdb with Python
	$(Q)scripts/bench-heap.sh $(HEAP) .build/leakhunt .build/bench
.PHONY: bench-heap

# SELECT='--mib 1024 --runs 3': see scripts/bench-select.sh.
bench-select: all samples $(benches) ## measure what a sample costs and how long it stalls the target, beside pmap and smem
	$(Q)scripts/deps.sh ensure bench
	$(Q)scripts/bench-select.sh $(SELECT) .build/leakhunt .build/samples .build/bench
.PHONY: bench-select

# LEAKS='--blocks 13400000': see scripts/bench-leaks.sh.
bench-leaks: all $(benches) ## measure marking and dominators of `leakhunt leaks` on cores of 1 and 2 GB, lists, fans
	$(Q)scripts/bench-leaks.sh $(LEAKS) .build/leakhunt .build/bench
.PHONY: bench-leaks

check-leaks: all samples ## print what `leakhunt leaks` finds beside LeakSanitizer and valgrind, and of missing frees in servers
	$(Q)scripts/leak-truth.sh .build/leakhunt .build/samples
	$(Q)scripts/missing-frees.sh .build/leakhunt s_server nginx redis python curl
.PHONY: check-leaks

# SUITES='trixie sid': see scripts/heap-truth.sh.
check-heap-truth: all samples ## print how many blocks are found under each allocator of SUITES='bookworm trixie sid' of Debian
	$(Q)scripts/heap-truth.sh .build/leakhunt .build/samples .build/heap-truth $(SUITES)
.PHONY: check-heap-truth

check-explained: all ## print how much of the memory of redis, nginx, postgres, node and others under load `leakhunt heap` explains
	$(Q)scripts/explained-table.sh .build/leakhunt
.PHONY: check-explained

check-trim: all samples ## print what each allocator gives back beside what `leakhunt heap` predicted
	$(Q)scripts/trim-table.sh .build/leakhunt .build/samples
.PHONY: check-trim

# KERNELS=suite/package...: on which, see scripts/kernel-matrix.sh.
check-kernels: ## test dumps on the kernels of three Debian releases, emulated (KERNELS=suite/package)
	$(Q)scripts/deps.sh ensure build check kernels
	$(Q)$(MAKE) --no-print-directory all samples $(build)/unit/test_dirty_trackers
	$(Q)$(MAKE) --no-print-directory FAULTS=1 .build/$(config)-faults/leakhunt
	$(Q)scripts/kernel-matrix.sh $(build) .build/$(config)-faults .build/samples $(KERNELS)

# The matrices of confusions of histories made up, and of real processes.
check-select: $(build)/unit/test_select_scenarios $(build)/unit/test_select_records $(build)/unit/test_select_series $(build)/unit/test_select_families ## print how often select's verdicts are right, on made-up and on recorded histories
	$(Q)$(build)/unit/test_select_scenarios
	$(Q)$(build)/unit/test_select_records
	$(Q)LEAKHUNT_TIER=all $(build)/unit/test_select_series
	$(Q)LEAKHUNT_TIER=all $(build)/unit/test_select_families
.PHONY: check-select

# One file without shared libraries, for any x86_64 Linux from 3.10 on. Names of users come from /etc/passwd
# alone, and there is no debuginfod: glibc loads both as shared libraries.
static: ## build .build/leakhunt-static: one file, no shared libraries
	$(Q)scripts/deps.sh ensure build
	$(Q)$(MAKE) --no-print-directory STATIC=1 .build/leakhunt-static

.build/leakhunt-static: $(program)
	$(Q)$(if $(STATIC),strip -o $@ $<,echo 'use: make static' >&2; exit 2)

# leakhunt_VERSION_amd64.deb and leakhunt-VERSION-1.x86_64.rpm in .build/; the same tree gives the same bytes.
package: ## make a .deb and a .rpm in .build/
	$(Q)scripts/deps.sh ensure build package
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/package.sh .build
.PHONY: static package

# ROOTS="FOLDER...": root file systems of other distributions, see scripts/check-static.sh.
check-static: ## run the static program in an empty root, in one of musl, and in ROOTS="FOLDER...", as root
	$(Q)scripts/deps.sh ensure build static
	$(Q)$(MAKE) --no-print-directory static samples
	$(Q)scripts/check-static.sh .build/leakhunt-static .build/samples $(ROOTS)
.PHONY: check-static

# BARE="bookworm FOLDER": see scripts/check-bare.sh.
BARE ?= trixie .build/bare
check-bare: ## run make demo check on a bare Debian in a chroot (BARE="trixie .build/bare"), as root
	$(Q)scripts/check-bare.sh $(BARE)
.PHONY: check-bare

lint: ## check layers, format, clang-tidy, cppcheck, shellcheck
	$(Q)scripts/deps.sh ensure build check lint
	$(Q)scripts/lint.sh

format: ## run clang-format over all sources
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')

# libFuzzer needs clang: make fuzz CC=clang is implied. FUZZ_SECONDS a target.
FUZZ_SECONDS ?= 60
fuzz: ## run libFuzzer on every target, FUZZ_SECONDS=60 each
	$(Q)scripts/deps.sh ensure build check lint
	$(Q)$(MAKE) --no-print-directory fuzzers CC=clang SAN=fuzzer-no-link,address,undefined
	$(Q)scripts/fuzz.sh .build/clang-fuzzer-no-link-address-undefined/fuzz $(FUZZ_SECONDS)
.PHONY: fuzzers
fuzzers: $(fuzzers)

install: all ## install into PREFIX=/usr/local, below DESTDIR
	install -D -m 0755 $(program) '$(DESTDIR)$(bindir)/leakhunt'
	install -d '$(DESTDIR)$(mandir)' '$(DESTDIR)$(bashdir)' '$(DESTDIR)$(zshdir)' '$(DESTDIR)$(fishdir)'
	install -D -m 0644 scripts/prometheus-rules.yml '$(DESTDIR)$(prefix)/share/doc/leakhunt/prometheus-rules.yml'
	$(program) man > '$(DESTDIR)$(mandir)/leakhunt.1'
	for command in $$($(program) --help | sed -n '/^commands:/,/^$$/s/^  \([a-z]*\) .*/\1/p'); do \
		$(program) man $$command > '$(DESTDIR)$(mandir)'/leakhunt-$$command.1; done
	$(program) completion bash > '$(DESTDIR)$(bashdir)/leakhunt'
	$(program) completion zsh > '$(DESTDIR)$(zshdir)/_leakhunt'
	$(program) completion fish > '$(DESTDIR)$(fishdir)/leakhunt.fish'

uninstall: ## remove what install installed
	rm -f '$(DESTDIR)$(prefix)/share/doc/leakhunt/prometheus-rules.yml'
	rm -f '$(DESTDIR)$(bindir)/leakhunt' '$(DESTDIR)$(mandir)'/leakhunt.1 '$(DESTDIR)$(mandir)'/leakhunt-*.1 '$(DESTDIR)$(bashdir)/leakhunt' \
	      '$(DESTDIR)$(zshdir)/_leakhunt' '$(DESTDIR)$(fishdir)/leakhunt.fish'

clean: ## remove .build
	rm -rf .build

help: ## show this list
	@awk -F ': .*## |:## ' '/^[a-z-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'variables: CC=clang  SAN=address,undefined  WERROR=1  STATIC=1  FAULTS=1  V=1'

-include $(lib_obj:.o=.d) $(cli_obj:.o=.d) $(units:=.d)
