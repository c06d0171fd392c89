#!/usr/bin/env bats
# Targets that check themselves are dumped, and leakhunt is killed meanwhile: none may notice. `make check-harm` does
# it 200 times in each mode, and on servers of others.

. "$LEAKHUNT_ROOT/tests/helpers.bash"

# harm WORD...: reports of all rows go to the file report.
harm() {
	"$LEAKHUNT_ROOT/tests/harm/harm.py" --samples "$SAMPLES" --report "$BATS_TEST_TMPDIR/report" "$@" >&2
}

short_targets='slab_stacks alternate_stack coroutines small_stacks reopen_zero close_range full_table mapping_mover
child_waiter slow_vfork fork_maker signal_keeper rseq_counter registers_calls registers_spin io_uring
registered_ring userfault_user datagram_reader forking_main python3'

# bats test_tags=tiers
@test "dumps harm no target, in any mode" {
	local dumps=3
	[ "$LEAKHUNT_TIER" != short ] || dumps=1
	harm --leakhunt "$LEAKHUNT" --dumps "$dumps" --check-each "$dumps" --kills 0 --targets "$short_targets"
}

# bats test_tags=long
@test "a killed leakhunt harms no target" {
	build_faulty
	harm --leakhunt "$LEAKHUNT" --faults "$faulty" --dumps 0 --kills 80 \
		--modes 'snapshot child' --targets 'slab_stacks signal_keeper registers_calls child_waiter slow_vfork'
}

# fake_leakhunt SCRIPT: a leakhunt that does this to the process $2 in place of a dump.
fake_leakhunt() {
	printf '#!/bin/sh\n%s\necho {\\"mode\\":\\"live\\"}\n' "$1" >"$BATS_TEST_TMPDIR/fake"
	chmod +x "$BATS_TEST_TMPDIR/fake"
}

# assert_harm_is_seen TARGET MEMBER: harm.py fails, and counts it there.
assert_harm_is_seen() {
	! harm --leakhunt "$BATS_TEST_TMPDIR/fake" --dumps 1 --kills 0 --modes live --targets "$1"
	jq -e --arg member "$2" '.[0][$member] > 0' "$BATS_TEST_TMPDIR/report"
}

@test "harm is seen: a dead target, a wrong word, an interrupted call" {
	fake_leakhunt "kill -KILL \"\$2\""
	assert_harm_is_seen reopen_zero dead
	# The words below the first stack in the slab: their address is in the sample's READY line, and in no file.
	cat >"$BATS_TEST_TMPDIR/overwrite.py" <<-'EOF_PYTHON'
		import re, sys
		for line in open(f"/proc/{sys.argv[1]}/maps"):
		    start, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
		    if rights == "rw-p" and int(end, 16) - int(start, 16) >= 4 * (16384 + 4096) and "/" not in line and "[" not in line:
		        with open(f"/proc/{sys.argv[1]}/mem", "rb+", buffering=0) as memory:
		            for at in range(int(start, 16), int(end, 16), 4096):
		                memory.seek(at)
		                word = memory.read(8)
		                if 0 < int.from_bytes(word, "little") < 1 << 40:
		                    memory.seek(at)
		                    memory.write(bytes(8))
	EOF_PYTHON
	fake_leakhunt "python3 $BATS_TEST_TMPDIR/overwrite.py \"\$2\""
	assert_harm_is_seen slab_stacks wrong
	fake_leakhunt "gdb -p \"\$2\" -batch >/dev/null 2>&1"
	assert_harm_is_seen small_stacks interrupted
}
