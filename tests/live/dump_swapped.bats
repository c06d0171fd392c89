#!/usr/bin/env bats
# Swapped pages: left alone without --swapped, read with it. Needs a machine that allows swapon.

# bats file_tags=long
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	target='' swap=''
	make_swap
	# 16 MiB of pages that say their number, of which all but the first 1024 are pushed out.
	cat >target.py <<-'EOF_PYTHON'
		import ctypes, mmap, sys
		pages = 4096
		memory = mmap.mmap(-1, pages * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
		memory.madvise(mmap.MADV_NOHUGEPAGE)
		for page in range(pages):
		    memory[page * 4096:page * 4096 + 8] = page.to_bytes(8, "little")
		memory.madvise(21, 1024 * 4096)  # MADV_PAGEOUT
		print("READY", ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
		sys.stdin.read()
	EOF_PYTHON
	mkfifo in out
	python3 target.py <in >out 3>&- &
	target=$!
	exec {held}>in {said}<out
	read -r _ address <&"$said"
	range=$(printf '0x%x-0x%x' "$address" $((address + 4096 * 4096)))
	[ "$(swapped)" -gt 4096 ] || skip "the kernel did not swap anything out"
}

teardown() {
	if [ -n "$target" ]; then
		exec {held}>&- {said}<&-
		wait "$target" || true
	fi
	[ -z "$swap" ] || swapoff "$swap"
}

make_swap() {
	[ "$(id -u)" -eq 0 ] || skip "needs root for swapon"
	swap=$PWD/swap
	dd if=/dev/zero of="$swap" bs=1M count=64 status=none
	chmod 600 "$swap"
	if ! mkswap "$swap" >/dev/null 2>&1 || ! swapon "$swap" 2>/dev/null; then
		rm -f "$swap"
		swap=''
		skip "swapon is not allowed here"
	fi
}

# swapped: KiB of the target in swap.
swapped() {
	sed -n 's/^VmSwap:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$target/status"
}

# check_pages FILE: how many of the 4096 pages the core holds, each of which must be right.
check_pages() {
	python3 - "$1" "$address" <<-'EOF_PYTHON'
		import struct, sys
		data, base = open(sys.argv[1], "rb").read(), int(sys.argv[2])
		phoff, = struct.unpack_from("<Q", data, 32)
		phnum, = struct.unpack_from("<H", data, 56)
		held = 0
		for i in range(phnum):
		    kind, _, offset, start, _, size = struct.unpack_from("<IIQQQQ", data, phoff + 56 * i)
		    for at in range(0, size if kind == 1 else 0, 4096):
		        page = (start + at - base) // 4096
		        if 0 <= page < 4096:
		            assert struct.unpack_from("<Q", data, offset + at)[0] == page, page
		            held += 1
		print(held)
	EOF_PYTHON
}

@test "without --swapped: a gap for each, told in the plan, and nothing is swapped in" {
	before=$(swapped)
	for mode in $(dump_modes); do
		run "$LEAKHUNT" dump "$target" --mode "$mode" --region "$range" --bare --dry-run --json
		[ "$status" -eq 1 ]
		planned=$(jq .swapped_bytes <<<"$output")
		status=0
		"$LEAKHUNT" dump "$target" --mode "$mode" --region "$range" --bare --json -o "$mode.core" >receipt 2>/dev/null ||
			status=$?
		[ "$status" -eq 1 ]
		[ "$planned" -eq "$(jq .gap_bytes receipt)" ]
		jq -e 'all(.gaps[]; .reason == "swapped")' receipt
		[ $((planned / 4096 + $(check_pages "$mode.core"))) -eq 4096 ]
	done
	[ "$(swapped)" -eq "$before" ]
}

@test "--swapped in mode stop and live: every page is held and right" {
	for mode in stop live; do
		pushed=$(swapped)
		"$LEAKHUNT" dump "$target" --mode "$mode" --region "$range" --bare --swapped --json -o "$mode.core" >receipt \
			2>/dev/null
		jq -e --arg mode "$mode" '.mode == $mode and .gaps == [] and .complete and .copied_bytes == 4096 * 4096' receipt
		[ "$(check_pages "$mode.core")" -eq 4096 ]
		[ "$mode" = live ] || [ "$(jq .swapped_in_bytes receipt)" -gt $((pushed * 1024 / 2)) ]
	done
	[ "$(jq .swapped_in_bytes receipt)" -eq 0 ] # they have come back, and are there
}

@test "--swapped in mode child: into the child, and the target's stay where they are" {
	pushed=$(swapped)
	"$LEAKHUNT" dump "$target" --mode child --region "$range" --bare --swapped --json -o child.core >receipt 2>/dev/null
	jq -e '.mode == "child" and .gaps == [] and .complete and .copied_bytes == 4096 * 4096' receipt
	[ "$(jq .swapped_in_bytes receipt)" -gt $((pushed * 1024 / 2)) ]
	[ "$(check_pages child.core)" -eq 4096 ]
	[ "$(swapped)" -eq "$pushed" ]
}

@test "--swapped in a snapshot: read after the pause, and right" {
	run "$LEAKHUNT" dump "$target" --region "$range" --bare --swapped --dry-run --json
	[ "$status" -eq 0 ]
	planned=$(jq .swapped_bytes <<<"$output")
	"$LEAKHUNT" dump "$target" --region "$range" --bare --swapped --json -o snapshot.core >receipt 2>/dev/null
	jq -e --argjson planned "$planned" '.mode == "snapshot" and .gaps == [] and .swapped_in_bytes == $planned
		and .copied_bytes == 4096 * 4096 and .resident_delta_bytes >= $planned / 2' receipt
	[ "$(check_pages snapshot.core)" -eq 4096 ]
}
