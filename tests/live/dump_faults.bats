#!/usr/bin/env bats
# leakhunt dies at each named step, and at random instants: the target does not notice, and nothing of it is left.

# bats file_tags=long
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup_file() {
	build_faulty
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	[ ! -e disk.mounted ] || umount disk
	stop_samples
}

# Those of mode child have their own test (dump_child.bats).
fault_points() {
	grep -rhoE 'lh_fault_point\("[a-z-]+"\)' "$LEAKHUNT_ROOT/src" | cut -d'"' -f2 | grep -vE '^(child|analysis)-'
}

assert_target_is_well() {
	wait_until 100 assert_not_stopped "$SAMPLE_PID" 2>/dev/null || assert_not_stopped "$SAMPLE_PID"
	wait_until 100 has_no_tracking "$SAMPLE_PID"
	wait_until 100 has_no_children "$SAMPLE_PID"
	sample_command check
	jq -e '.alive and .checksum_ok' <<<"$REPLY" >/dev/null
}

# dies_at POINT MODE: a dump that dies there leaves the target well; 1: it does not come by there; 2: harm.
dies_at() {
	local status=0
	LEAKHUNT_FAULT=$1 "$faulty" dump "$SAMPLE_PID" --region anon --mode "$2" --force -o killed.core >out 2>&1 || status=$?
	[ "$status" -ne 0 ] || return 1
	[ "$status" -eq 137 ] || { echo "$1, mode $2: status $status: $(cat out)" >&2; return 2; }
	assert_target_is_well || { echo "after $1, mode $2" >&2; return 2; }
	[ ! -e killed.core ] || return 2
	rm -f .killed.core.*.tmp
	[ -z "$(stray_descriptors "$SAMPLE_PID")" ] || return 2
}

@test "killed at each named step, in every mode" {
	start_sample page_writer --rate 20000 --size 16M
	[ "$(fault_points | wc -l)" -ge 20 ]
	for point in $(fault_points); do
		case $point in
		tracker-dropping) continue ;; # below: it takes more memory
		tracker-userfaultfd-made) continue ;; # before Linux 6.9
		borrow-all-stopped) continue ;; # no slot free
		remote-call-left) continue ;; # before Linux 6.9; and by the guard of mode child: dump_child.bats
		soft-*) continue ;;           # this kernel may have no soft-dirty bits: see tests/kernels/guest.sh
		esac
		reached=''
		for mode in $(dump_modes); do
			status=0
			dies_at "$point" "$mode" || status=$?
			[ "$status" -le 1 ]
			[ "$status" -eq 1 ] || reached+=" $mode"
			rm -f killed.core
		done
		[ -n "$reached" ] || { echo "no mode comes by $point" >&2; return 1; }
	done
	"$faulty" dump "$SAMPLE_PID" --region anon -o whole.core >/dev/null 2>&1
	assert_of_one_instant whole.core
}

@test "killed while tracking ends in a stop of its own, and the next snapshot is whole" {
	start_sample page_writer --rate 20000 --size 256M
	# Where a stop takes too long, on a busy machine, tracking ends without one.
	for _ in {1..30}; do
		status=0
		dies_at tracker-dropping snapshot || status=$?
		[ "$status" -eq 1 ] || break
		rm -f killed.core
	done
	[ "$status" -eq 0 ]
	"$faulty" dump "$SAMPLE_PID" --region anon --force -o killed.core >/dev/null 2>&1
	# No page has kept its mark: the first pass of the next snapshot takes all.
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --json -o whole.core >receipt 2>/dev/null
	jq -e '.passes[0].bytes >= 268435456' receipt
	assert_of_one_instant whole.core
	assert_sample_unharmed
}

# `make check-kill` does the same a thousand times a mode.
@test "killed at random instants, in every mode" {
	for mode in $(dump_modes); do
		"$LEAKHUNT_ROOT/tests/live/check_kill.py" "$LEAKHUNT" "$SAMPLES/page_writer" "$mode" 20 || {
			echo "mode $mode" >&2
			return 1
		}
	done
}

dumper_is_stopped() {
	[ "$(process_state "$dumper")" = T ]
}

# held_until_ended PID: it stops at a named step, time and again, and is always let go on.
held_until_ended() {
	until has_ended "$1"; do
		kill -CONT "$1" 2>/dev/null || true # ended meanwhile
		sleep 0.01
	done
}

# check_private CORE ADDR: of 64 pages, those that were given back are the file's again, or not there.
check_private() {
	python3 - "$1" "$2" <<-'EOF_PYTHON'
		import struct, sys
		data, base = open(sys.argv[1], "rb").read(), int(sys.argv[2], 16)
		offset, = struct.unpack_from("<Q", data, 32)
		count, = struct.unpack_from("<H", data, 56)
		held = {}
		for i in range(count):
		    kind, _, at, start, _, size = struct.unpack_from("<IIQQQQ", data, offset + 56 * i)
		    for page in range(0, size if kind == 1 else 0, 4096):
		        held[(start + page - base) // 4096] = data[at + page:at + page + 1]
		wrong = [(page, held.get(page)) for page in range(16) if page in held]
		wrong += [(page, held.get(page)) for page in range(16, 64) if held.get(page) != (b"F" if page < 32 else b"P")]
		sys.exit(f"wrong: {wrong}" if wrong else 0)
	EOF_PYTHON
}

# dump_giving_back POINT: the target has changed pages of a file; while the dump is held at POINT, it gives half of
# them back, reads some of these, and maps something.
dump_giving_back() {
	cat >target.py <<-'EOF_PYTHON'
		import ctypes, mmap, sys
		with open("mapped", "wb+") as file:
		    file.write(b"F" * (64 * 4096))
		    file.flush()
		    memory = mmap.mmap(file.fileno(), 64 * 4096, flags=mmap.MAP_PRIVATE)
		memory.madvise(mmap.MADV_NOHUGEPAGE)
		memory[:] = b"P" * (64 * 4096)
		print("READY", hex(ctypes.addressof(ctypes.c_char.from_buffer(memory))), flush=True)
		sys.stdin.readline()
		memory.madvise(mmap.MADV_DONTNEED, 0, 32 * 4096)
		read = {memory[page * 4096] for page in range(16, 32)}
		more = mmap.mmap(-1, 4096, prot=mmap.PROT_READ)
		print("GIVEN BACK" if read == {ord("F")} else "KEPT", flush=True)
		sys.stdin.read()
	EOF_PYTHON
	mkfifo input output
	python3 target.py <input >output 3>&- &
	target=$!
	exec {held}>input {said}<output
	read -r -u "$said" _ address
	LEAKHUNT_FAULT=$1 LEAKHUNT_FAULT_STOPS=1 "$faulty" dump "$target" --region anon \
		--region "$(printf '0x%x-0x%x' "$address" $((address + 64 * 4096)))" --json -o private.core >receipt 2>err 3>&- &
	dumper=$!
	wait_until 300 dumper_is_stopped
	echo go >&"$held"
	read -r -u "$said" line
	[ "$line" = "GIVEN BACK" ]
	held_until_ended "$dumper"
	wait "$dumper"
	exec {held}>&- {said}<&-
	wait "$target"
}

@test "pages of a file that the target has changed and gives back while it is copied" {
	dump_giving_back snapshot-pass-copied
	jq -e '.mode == "snapshot" and .complete and .gaps == []' receipt
	check_private private.core "$address"
}

@test "the same between the last look and the stop, which has to plan anew" {
	dump_giving_back snapshot-judged
	jq -e '.mode == "snapshot" and .complete and .gaps == []' receipt
	check_private private.core "$address"
}

# The number of the target's last write.
last_write() {
	dd if="/proc/$SAMPLE_PID/mem" bs=8 skip=$(($(truth sequence_addr) / 8)) count=1 2>/dev/null | od -A n -t u8 | tr -d ' '
}

has_written_all_since() {
	[ "$(last_write)" -ge $(($1 + $(truth pages))) ]
}

# dump_held_up TIMES: between its last look and its stop, so often, until all 16 MiB are written: more than has room.
dump_held_up() {
	local held
	start_sample page_writer --rate 2000 --size 16M
	LEAKHUNT_FAULT=snapshot-judged LEAKHUNT_FAULT_STOPS=1 \
		"$faulty" dump "$SAMPLE_PID" --region anon --json -o held.core >receipt 2>err 3>&- &
	dumper=$!
	for ((held = 0; held < $1; held++)); do
		wait_until 300 dumper_is_stopped
		wait_until 300 has_written_all_since "$(last_write)"
		kill -CONT "$dumper"
	done
	while kill -0 "$dumper" 2>/dev/null; do
		! dumper_is_stopped || kill -CONT "$dumper"
	done
	wait "$dumper"
	jq -e --argjson times "$1" '.mode == "snapshot" and .complete and .stops_given_up >= $times' receipt
	assert_of_one_instant held.core
	assert_sample_unharmed
}

@test "a stop that finds more than was thought lets the target go, and passes go on" {
	dump_held_up 1
	jq -e '.final_bytes < 8388608' receipt
	[ ! -s err ] || ! grep -q 'max-pause' err
}

@test "when every stop finds more than has room, room is made for it" {
	dump_held_up 5
}

@test "a disk with room for the dump and little more: later passes take none of it" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to mount a tmpfs"
	cat >target.py <<-'EOF_PYTHON'
		import mmap, sys
		MIB = 1 << 20
		memory = mmap.mmap(-1, 160 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
		memory.write(b"a" * (160 * MIB))
		print("READY", flush=True)
		sys.stdin.readline()
		memory[:120 * MIB] = b"b" * (120 * MIB)
		more = mmap.mmap(-1, 60 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
		more.write(b"c" * (60 * MIB))
		print("WRITTEN", flush=True)
		sys.stdin.read()
	EOF_PYTHON
	mkfifo input output
	python3 target.py <input >output 3>&- &
	target=$!
	exec {held}>input {said}<output
	read -r -u "$said" line
	needed=$("$faulty" dump "$target" --region anon --dry-run --json | jq .disk_needed_bytes)
	mkdir disk
	mount -t tmpfs -o "size=$((needed + (200 << 20)))" tmpfs disk || skip "mount is not allowed here"
	touch disk.mounted
	LEAKHUNT_FAULT=snapshot-pass-copied LEAKHUNT_FAULT_STOPS=1 \
		"$faulty" dump "$target" --region anon --json -o disk/core >receipt 2>err 3>&- &
	dumper=$!
	wait_until 300 dumper_is_stopped
	echo go >&"$held"
	read -r -u "$said" line
	held_until_ended "$dumper"
	status=0
	wait "$dumper" || status=$?
	exec {held}>&- {said}<&-
	wait "$target"
	cat err >&2
	[ "$status" -eq 0 ]
	jq -e '.mode == "snapshot" and .complete and (.passes | length) >= 2' receipt
}
