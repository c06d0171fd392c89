#!/usr/bin/env bats
# `leakhunt dump --compress`: a core after `zstd -d`, read as it is by leakhunt, and nothing of it in the pause.

# bats file_tags=long
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
}

# listing FILE: all strings with their addresses; they must not depend on how the file is stored.
listing() {
	"$LEAKHUNT" strings --list -t x -n 5 "$1"
}

@test "zstd unpacks it to a core that gdb and readelf open, and strings reads it directly" {
	start_sample steady --size 8388608
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --region stacks --region all -z --json >receipt 2>err
	jq -e '.path == "dump.bin.zst" and .complete and .compress_ns > 0 and .pause_ns + .compress_ns < .elapsed_ns' receipt
	[ "$(stat -c %a dump.bin.zst)" = 600 ]
	[ "$(stat -c %s dump.bin.zst)" -eq "$(jq .file_bytes receipt)" ]
	zstd -t dump.bin.zst
	zstd -dq dump.bin.zst -o plain.core
	[ "$(stat -c %s plain.core)" -eq "$(jq .unpacked_bytes receipt)" ]
	[ "$(stat -c %s dump.bin.zst)" -lt "$(stat -c %s plain.core)" ]
	readelf -h plain.core | grep -q CORE
	gdb -batch -nx -ex 'info threads' "$SAMPLES/steady" plain.core 2>/dev/null | grep -q Thread
	listing dump.bin.zst >packed.txt
	listing plain.core >plain.txt
	[ -s plain.txt ]
	cmp packed.txt plain.txt
	"$LEAKHUNT" strings dump.bin.zst --json >packed.json
	"$LEAKHUNT" strings plain.core --json >plain.json
	[ "$(jq -S '[.classes, .repeated, .symbols, .conclusion]' packed.json)" = \
		"$(jq -S '[.classes, .repeated, .symbols, .conclusion]' plain.json)" ]
	jq -e '(.classes | length > 0) and (.symbols | length > 0)' packed.json
	assert_sample_unharmed
}

@test "the receipt in the core excludes the time for compression" {
	start_sample steady --size 33554432
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon -z --json -o kept.zst >receipt 2>/dev/null
	zstd -dqc kept.zst | strings -n 20 | grep -q "\"pause_ns\": *$(jq .pause_ns receipt)"
	assert_sample_unharmed
}

@test "a raw dump, compressed: the index beside it gives the addresses" {
	start_sample steady
	"$LEAKHUNT" dump "$SAMPLE_PID" --format raw -z -o kept.zst >/dev/null 2>&1
	zstd -dq kept.zst -o kept.raw
	cp kept.zst.json kept.raw.json
	[ "$(listing kept.zst | md5sum)" = "$(listing kept.raw | md5sum)" ]
	listing kept.zst | grep -q "^ *$(printf '%x' "$(($(truth first_addr) & ~4095))" | cut -c1-8)"
}

@test "one huge frame, as systemd-coredump writes: unpacked into a temporary file, and said" {
	start_sample steady
	"$LEAKHUNT" dump "$SAMPLE_PID" -o plain.core >/dev/null 2>&1
	zstd -q plain.core -o core.zst
	mkdir temporary
	TMPDIR=$PWD/temporary "$LEAKHUNT" strings --list -t x -n 5 core.zst >packed.txt 2>err
	grep -q 'core.zst was unpacked into a temporary file' err
	listing plain.core | cmp - packed.txt
	[ -z "$(ls -A temporary)" ]
	# A disk that is too small is not filled.
	[ "$(id -u)" -eq 0 ] || skip "needs root to mount a tmpfs"
	mount -t tmpfs -o size=1m tmpfs temporary 2>/dev/null || skip "mount is not allowed here"
	status=0
	TMPDIR=$PWD/temporary "$LEAKHUNT" strings core.zst >/dev/null 2>err || status=$?
	umount temporary
	[ "$status" -eq 2 ]
	[ "$(wc -l <err)" -eq 1 ]
	grep -q 'would fill the disk of .*TMPDIR=' err
}

@test "damaged files: one line that says where" {
	start_sample steady --size 4194304
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon -z -o kept.zst >/dev/null 2>&1
	size=$(stat -c %s kept.zst)
	head -c $((size / 2)) kept.zst >cut.zst
	cp kept.zst changed.zst
	printf 'XXXX' | dd of=changed.zst bs=1 seek=$((size / 2)) conv=notrunc status=none
	for file in cut changed; do
		status=0
		"$LEAKHUNT" strings --context $file.zst >/dev/null 2>err || status=$?
		[ "$status" -eq 2 ]
		[ "$(wc -l <err)" -eq 1 ]
		grep -q "$file.zst is damaged: " err
	done
}

@test "the disk never holds both: the peak stays near the uncompressed size" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to mount a tmpfs"
	mkdir disk
	mount -t tmpfs -o size=140m tmpfs disk 2>/dev/null || skip "mount is not allowed here"
	mkfifo in out
	# Random bytes, which do not get smaller.
	python3 -c 'import os, sys; block = os.urandom(96 << 20); print("READY", flush=True); sys.stdin.read()' \
		<in >out 3>&- &
	target=$!
	exec {held}>in {said}<out
	read -r _ <&"$said"
	status=0
	"$LEAKHUNT" dump "$target" --region anon --bare -z -o disk/kept.zst >/dev/null 2>err || status=$?
	exec {held}>&- {said}<&-
	wait "$target"
	bytes=$(stat -c %s disk/kept.zst || true)
	zstd -t disk/kept.zst || status=99
	umount disk
	[ "$status" -eq 0 ] || { cat err >&2; return 1; }
	[ "$bytes" -gt $((90 << 20)) ]
}

@test "texts longer than the pieces in which it is unpacked" {
	start_sample heap_leak
	sample_step 200
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon -z
	zstd -dq dump.bin.zst -o plain.core
	for threads in 1 4; do
		"$LEAKHUNT" strings --threads $threads --json dump.bin.zst | jq -S 'del(.source)' >packed.json
		"$LEAKHUNT" strings --threads $threads --json plain.core | jq -S 'del(.source)' >plain.json
		jq -e '.complete and .totals.scanned_bytes > 8388608' plain.json
		cmp packed.json plain.json
		cmp <("$LEAKHUNT" strings --threads $threads --list -t x dump.bin.zst) \
			<("$LEAKHUNT" strings --threads $threads --list -t x plain.core)
	done
	assert_sample_unharmed
}
