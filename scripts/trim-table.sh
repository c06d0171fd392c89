#!/usr/bin/env bash
# What `leakhunt heap` predicts that each allocator would give back, and what it then gives back when it is asked to, as a
# Markdown table. The heaps are those of samples/fragmentation, and of small programs of CPython, Go and PHP.
#   trim-table.sh LEAKHUNT SAMPLES [glibc|jemalloc|tcmalloc|mimalloc2|mimalloc3|musl|pymalloc|go|php...]
# $LEAKHUNT_MIMALLOC3: Debian 13's libmimalloc.so.3. Allocators that are not installed have no row. musl and pymalloc give
# back by themselves, and cannot be asked: their prediction is 0.
set -euo pipefail

leakhunt=$(realpath "$1") samples=$(realpath "$2")
shift 2
[ $# -gt 0 ] || set -- glibc jemalloc tcmalloc mimalloc2 mimalloc3 musl pymalloc go php
root=$(realpath "$(dirname "$0")/..")
libraries=/usr/lib/x86_64-linux-gnu
work=$(mktemp -d)
export SAMPLES=$samples BATS_TEST_TMPDIR=$work
# shellcheck source=tests/helpers.bash
. "$root/tests/helpers.bash"
trap 'stop_samples; rm -rf "$work"' EXIT
cd "$work"

# start PRELOAD COMMAND...: a program that is told what to do as samples are.
start() {
	printf '#!/bin/sh\n%sexec %s\n' "${1:+export LD_PRELOAD=$1; }" "$(printf '%q ' "${@:2}")" >program
	chmod +x program
	SAMPLES=. start_sample program
}

predict() {
	"$leakhunt" heap --json "$SAMPLE_PID" >heap.json || [ $? -eq 1 ]
	jq --arg name "$1" '[.arenas[] | select(.allocator == $name) | .returnable_bytes] | add // 0' heap.json
}

# row NAME ALLOCATOR WHAT COMMAND...: predicts, has the command make it give back, and compares.
row() {
	local predicted before freed
	predicted=$(predict "$2")
	before=$(rollup Private_Dirty)
	"${@:4}" >/dev/null 2>&1 || true
	freed=$((before - $(rollup Private_Dirty)))
	awk -v name="$1" -v what="$3" -v predicted="$predicted" -v freed="$freed" -v left="$(predict "$2")" 'BEGIN {
		printf "| %s | %s | %.2f | %.2f | %s | %.2f |\n", name, what, predicted / 1048576, freed / 1048576,
			predicted ? sprintf("%+.1f %%", 100 * (freed - predicted) / predicted) : "-", left / 1048576 }'
	stop_sample
}

# call FUNCTION: of the program, by a debugger. It cannot restore all registers of some processors, and fails after the call.
call() {
	gdb -p "$SAMPLE_PID" -batch -ex "call (void)$1"
}

# preloaded NAME ALLOCATOR LIBRARY WHAT
preloaded() {
	[ -e "$3" ] || return 0
	start "$work/purge.so:$3" "$samples/fragmentation" --steps 28
	row "$1" "$2" "$4" call 'purge_allocator()'
}

measure_glibc() {
	start "" "$samples/fragmentation" --steps 28
	row glibc glibc malloc_trim call 'malloc_trim(0)'
}

measure_jemalloc() {
	preloaded jemalloc jemalloc "$libraries/libjemalloc.so.2" arena.purge
}

measure_tcmalloc() {
	preloaded tcmalloc tcmalloc "$libraries/libtcmalloc_minimal.so.4" ReleaseFreeMemory
}

measure_mimalloc2() {
	preloaded "mimalloc 2" mimalloc "$libraries/libmimalloc.so.2" mi_collect
}

measure_mimalloc3() {
	preloaded "mimalloc 3" mimalloc "${LEAKHUNT_MIMALLOC3:-$libraries/libmimalloc.so.3}" mi_collect
}

measure_musl() {
	command -v musl-gcc >/dev/null || return 0
	musl-gcc -std=gnu11 -O2 -D_GNU_SOURCE -o fragmentation "$root/samples/fragmentation.c"
	start "" ./fragmentation --steps 28
	row musl musl "nothing to ask" true
}

measure_pymalloc() {
	[ -x /usr/bin/python3 ] || return 0
	cat >kept.py <<-'END'
		import json, os, sys
		kept = [{"id": i, "text": "text %d" % i} for i in range(200000)]
		kept = kept[::20]
		print("READY " + json.dumps({"pid": os.getpid()}), flush=True)
		for line in sys.stdin:
		    if line.startswith("quit"):
		        break
		    print("{}", flush=True)
	END
	start "" /usr/bin/python3 kept.py
	row pymalloc pymalloc "nothing to ask" true
}

measure_go() {
	command -v go >/dev/null || return 0
	cp "$root/tests/live/runtimes/sessions.go" .
	GO111MODULE=off GOCACHE=$work/cache GOFLAGS=-mod=mod HOME=$work go build -ldflags "-s -w" -o sessions sessions.go
	start "" ./sessions
	sample_step 20000
	sample_command drop
	sample_step 0
	# Go gives memory back by itself, in the background.
	kill -STOP "$SAMPLE_PID"
	row Go Go FreeOSMemory ask_go
}

ask_go() {
	kill -CONT "$SAMPLE_PID"
	sample_command free
}

measure_php() {
	command -v php >/dev/null || return 0
	start "" php -d memory_limit=-1 "$root/tests/live/runtimes/sessions.php"
	# It gives back chunks of 2 MiB; the words of the question keep one, or leave one.
	sample_step 150000
	sample_command drop
	row zend_mm zend_mm gc_mem_caches sample_command free
}

gcc -O2 -shared -fPIC -o purge.so "$root/tests/live/purge.c"
echo "| allocator | asked by | predicted MiB | freed MiB | difference | predicted after it |"
echo "| --- | --- | --- | --- | --- | --- |"
for name in "$@"; do
	"measure_$name"
done
