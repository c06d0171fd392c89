#!/usr/bin/env bats
# Blocks of allocators, compared with a program that knows its own, and with the allocator's own totals.

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

LIBRARIES=/usr/lib/x86_64-linux-gnu
# Debian 13's; $LEAKHUNT_MIMALLOC3 names it elsewhere.
MIMALLOC3=${LEAKHUNT_MIMALLOC3:-$LIBRARIES/libmimalloc.so.3}
# Debian 14's; $LEAKHUNT_RPMALLOC names it elsewhere.
RPMALLOC=${LEAKHUNT_RPMALLOC:-$LIBRARIES/librpmalloc.so.1}

setup() {
	TRUTH=$BATS_TEST_TMPDIR/truth
	DUMP=$BATS_TEST_TMPDIR/dump
}

teardown() {
	stop_samples
}

# start_truth LIBRARY ARGS...: a churned heap under that allocator.
start_truth() {
	[ -z "$1" ] || require_library "$1"
	export LD_PRELOAD=$1
	start_sample heap_truth --file "$TRUTH" "${@:2}"
	unset LD_PRELOAD
}

start_musl_truth() {
	command -v musl-gcc >/dev/null || skip "musl-gcc is not installed"
	musl-gcc -std=gnu11 -O2 -D_GNU_SOURCE -o "$BATS_TEST_TMPDIR/heap_truth" "$LEAKHUNT_ROOT/samples/heap_truth.c"
	SAMPLES=$BATS_TEST_TMPDIR start_sample heap_truth --file "$TRUTH" "$@"
}

# compare OPERAND ALLOCATOR [OWN]: sets COMPARED. Two blocks may be libc's in places that the sample freed; the allocator
# itself may have OWN blocks.
compare() {
	COMPARED=$(timeout 60 "$SAMPLES/compare_blocks" "$1" "$TRUTH")
	echo "$COMPARED"
	[ "$(jq .live <<<"$COMPARED")" -gt 1000 ]
	[ "$(jq .missing <<<"$COMPARED")" -eq 0 ]
	[ "$(jq .invented <<<"$COMPARED")" -le $((2 + ${3:-0})) ]
	[ "$(jq .others <<<"$COMPARED")" -le $((40 + ${3:-0})) ]
	[ "$(jq .misfit <<<"$COMPARED")" -eq 0 ]
	[ "$(jq .wrong_request <<<"$COMPARED")" -eq 0 ]
	jq -e --arg name "$2" '.allocators[] | select(.name == $name) | .checked > 100 and .failed == 0 and
		(.partial | not)' <<<"$COMPARED"
}

# compare_live_and_dump ALLOCATOR [OWN]
compare_live_and_dump() {
	compare "$SAMPLE_PID" "$@"
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$DUMP"
	compare "$DUMP" "$@"
}

total() {
	sed -n "s/^T $1 //p" "$TRUTH"
}

@test "jemalloc: every block, and what mallctl says" {
	start_truth "$LIBRARIES/libjemalloc.so.2" --threads 6 --exits 2 --slots 4000 --operations 40000 --seed 101
	compare_live_and_dump jemalloc
	# Beside blocks, jemalloc counts the stacks of caches: 28 KiB for each of the five threads that are left.
	[ "$(total stats.allocated)" -eq $(($(jq '.bytes_used + .bytes_cached' <<<"$COMPARED") + 5 * 28672)) ]
}

# A sampled block has pages of its own. The profiler allocates its counters and stacks like blocks.
@test "jemalloc, profiling: every block, and what was asked for" {
	export MALLOC_CONF=prof:true,lg_prof_sample:16
	start_truth "$LIBRARIES/libjemalloc.so.2" --threads 6 --exits 2 --slots 4000 --operations 40000 --seed 107
	unset MALLOC_CONF
	compare_live_and_dump jemalloc 60
}

@test "tcmalloc: every block, and what MallocExtension says" {
	start_truth "$LIBRARIES/libtcmalloc_minimal.so.4" --threads 6 --exits 2 --slots 4000 --operations 40000 --seed 102
	compare_live_and_dump tcmalloc
	[ "$(total generic.current_allocated_bytes)" -eq "$(jq .bytes_used <<<"$COMPARED")" ]
	local cached
	cached=$(($(total tcmalloc.transfer_cache_free_bytes) + $(total tcmalloc.current_total_thread_cache_bytes)))
	[ "$cached" -eq "$(jq .bytes_cached <<<"$COMPARED")" ]
}

@test "mimalloc: every block" {
	start_truth "$LIBRARIES/libmimalloc.so.2.0" --threads 6 --exits 2 --slots 4000 --operations 40000 --seed 103
	compare_live_and_dump mimalloc
}

# posix_memalign of 3.0.1 gives overlapping blocks.
@test "mimalloc 3: every block" {
	start_truth "$MIMALLOC3" --threads 6 --exits 2 --slots 4000 --operations 40000 --seed 103 --aligned 0
	compare_live_and_dump mimalloc
}

@test "rpmalloc: every block" {
	start_truth "$RPMALLOC" --threads 6 --exits 2 --slots 4000 --operations 40000 --seed 107
	compare_live_and_dump rpmalloc
	[ "$(jq .invented <<<"$COMPARED")" -eq 0 ]
	"$LEAKHUNT" maps --json "$SAMPLE_PID" | jq -e 'any(.regions[]; .kind == "rpmalloc")'
}

# scudo_library: the one of the newest clang.
scudo_library() {
	local libraries=(/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.scudo_standalone-x86_64.so)
	echo "${libraries[-1]}"
}

# But up to 16 blocks of its sampling, in pages of their own (GWP-ASan).
@test "Scudo: every block, with the size that was asked for" {
	export SCUDO_OPTIONS=GWP_ASAN_Enabled=false
	start_truth "$(scudo_library)" --threads 6 --exits 2 --slots 4000 --operations 40000 --seed 105
	compare_live_and_dump Scudo
}

# shellcheck disable=SC2030
@test "musl: every block, with the size that was asked for, and no other" {
	start_musl_truth --threads 6 --exits 2 --slots 4000 --operations 40000 --seed 104
	compare_live_and_dump musl
	[ "$(jq .others <<<"$COMPARED")" -eq 0 ]
	[ "$(jq .invented <<<"$COMPARED")" -eq 0 ]
}

# $LEAKHUNT_OLDMALLOC: libc.so of a musl that was configured --with-malloc=oldmalloc, as scripts/heap-truth.sh builds it.
# shellcheck disable=SC2030
@test "musl's old malloc: every block, and no other" {
	[ -n "${LEAKHUNT_OLDMALLOC-}" ] || skip "LEAKHUNT_OLDMALLOC names no musl"
	command -v musl-gcc >/dev/null || skip "musl-gcc is not installed"
	musl-gcc -std=gnu11 -O2 -D_GNU_SOURCE -Wl,--dynamic-linker="$LEAKHUNT_OLDMALLOC" \
		-o "$BATS_TEST_TMPDIR/heap_truth" "$LEAKHUNT_ROOT/samples/heap_truth.c"
	SAMPLES=$BATS_TEST_TMPDIR start_sample heap_truth --file "$TRUTH" \
		--threads 6 --exits 2 --slots 4000 --operations 40000 --seed 106
	compare_live_and_dump musl
	[ "$(jq .others <<<"$COMPARED")" -eq 0 ]
	[ "$(jq .invented <<<"$COMPARED")" -eq 0 ]
}

# damage FILE SEED: overwrites 4000 words, most with other words of the file: pointers that lead elsewhere.
damage() {
	python3 - "$1" "$2" <<-'EOF'
		import os, random, sys
		random.seed(int(sys.argv[2]))
		words = os.path.getsize(sys.argv[1]) // 8
		with open(sys.argv[1], 'r+b') as file:
		    for _ in range(4000):
		        file.seek(random.randrange(1024, words) * 8)
		        word = file.read(8) if random.random() < 0.8 else random.randbytes(8)
		        file.seek(random.randrange(8192, words) * 8)
		        file.write(word)
	EOF
}

# A damaged heap gives what is left of it or is refused; a walk always ends.
survive_damage() {
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$DUMP"
	local seed
	for seed in 1 2 3 4 5 6; do
		cp --sparse=always "$DUMP" "$DUMP.damaged"
		damage "$DUMP.damaged" "$seed"
		run timeout 60 "$SAMPLES/compare_blocks" "$DUMP.damaged" "$TRUTH"
		# shellcheck disable=SC2031 # of this function's own run
		echo "$seed: $status $output"
		# shellcheck disable=SC2031
		[ "$status" -eq 0 ] || [[ $status -eq 1 && $output == compare_blocks:* ]]
	done
}

# assert_gives_back LIBRARY ALLOCATOR: a purge frees what `heap` said it would, within 5 percent, and then no more.
assert_gives_back() {
	require_library "$1"
	command -v gdb >/dev/null || skip "gdb is not installed"
	gcc -O2 -shared -fPIC -o "$BATS_TEST_TMPDIR/purge.so" "$LEAKHUNT_ROOT/tests/live/purge.c"
	export LD_PRELOAD=$BATS_TEST_TMPDIR/purge.so:$1
	start_sample fragmentation --steps 28
	unset LD_PRELOAD
	filter="[.arenas[] | select(.allocator == \"$2\") | .returnable_bytes] | add"
	predicted=$("$LEAKHUNT" heap --json "$SAMPLE_PID" | jq "$filter")
	before=$(rollup Private_Dirty)
	gdb -p "$SAMPLE_PID" -batch -ex 'call (void)purge_allocator()' >/dev/null 2>&1 || true
	after=$(rollup Private_Dirty)
	[ "$predicted" -gt 1000000 ]
	assert_between $((predicted * 95 / 100)) $((before - after)) $((predicted * 105 / 100))
	[ "$("$LEAKHUNT" heap --json "$SAMPLE_PID" | jq "$filter")" -lt $((predicted / 20)) ]
}

@test "jemalloc: a purge gives back what was predicted" {
	assert_gives_back "$LIBRARIES/libjemalloc.so.2" jemalloc
}

@test "tcmalloc: ReleaseFreeMemory gives back what was predicted" {
	assert_gives_back "$LIBRARIES/libtcmalloc_minimal.so.4" tcmalloc
}

@test "mimalloc: mi_collect gives back what was predicted" {
	assert_gives_back "$LIBRARIES/libmimalloc.so.2" mimalloc
}

@test "mimalloc 3: mi_collect gives back what was predicted" {
	assert_gives_back "$MIMALLOC3" mimalloc
}

# bats test_tags=long
@test "damaged dumps of jemalloc" {
	start_truth "$LIBRARIES/libjemalloc.so.2" --threads 2 --slots 2000 --operations 10000
	survive_damage
}

# bats test_tags=long
@test "damaged dumps of tcmalloc" {
	start_truth "$LIBRARIES/libtcmalloc_minimal.so.4" --threads 2 --slots 2000 --operations 10000
	survive_damage
}

# bats test_tags=long
@test "damaged dumps of mimalloc" {
	start_truth "$LIBRARIES/libmimalloc.so.2.0" --threads 2 --slots 2000 --operations 10000
	survive_damage
}

# bats test_tags=long
@test "damaged dumps of mimalloc 3" {
	start_truth "$MIMALLOC3" --threads 2 --slots 2000 --operations 10000 --aligned 0
	survive_damage
}

# bats test_tags=long
@test "damaged dumps of rpmalloc" {
	start_truth "$RPMALLOC" --threads 2 --slots 2000 --operations 10000
	survive_damage
}

# bats test_tags=long
@test "damaged dumps of Scudo" {
	start_truth "$(scudo_library)" --threads 2 --slots 2000 --operations 10000
	survive_damage
}

# bats test_tags=long
@test "damaged dumps of musl" {
	start_musl_truth --threads 2 --slots 2000 --operations 10000
	survive_damage
}
