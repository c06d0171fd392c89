# maps and ps on real processes: every figure against the kernel's own texts, read and summed here without
# leakhunt; kinds and thread names against what the samples say of themselves.
. "$LEAKHUNT_ROOT/tests/helpers.bash"

teardown() {
	stop_samples
}

# smaps_rows FILE KEY...: "START END figure..." for each mapping, figures in bytes.
smaps_rows() {
	python3 - "$@" <<-'EOF_PYTHON'
		import re, sys
		keys, rows = sys.argv[2:], []
		for line in open(sys.argv[1], errors="surrogateescape"):
		    head = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
		    if head:
		        figures = dict.fromkeys(keys, 0)
		        rows.append((int(head[1], 16), int(head[2], 16), figures))
		    else:
		        key, value = line.split(":", 1)
		        if key in figures:
		            figures[key] = int(value.split()[0]) * 1024
		for start, end, figures in rows:
		    print(hex(start), hex(end), *figures.values())
	EOF_PYTHON
}

ALL_KEYS=(Rss Pss Shared_Clean Shared_Dirty Private_Clean Private_Dirty Referenced Anonymous Swap Locked)
ALL_MEMBERS='.rss_bytes, .pss_bytes, .shared_clean_bytes, .shared_dirty_bytes, .private_clean_bytes,
	.private_dirty_bytes, .referenced_bytes, .anonymous_bytes, .swap_bytes, .locked_bytes'

@test "10,000 mappings: all figures of all mappings of a saved smaps" {
	start_sample many_mappings
	cat "/proc/$SAMPLE_PID/smaps" >"$BATS_TEST_TMPDIR/saved"
	smaps_rows "$BATS_TEST_TMPDIR/saved" "${ALL_KEYS[@]}" >"$BATS_TEST_TMPDIR/expected"
	"$LEAKHUNT" maps "$BATS_TEST_TMPDIR/saved" --json |
		jq -r ".regions[] | [.start, .end, $ALL_MEMBERS] | join(\" \")" >"$BATS_TEST_TMPDIR/actual"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/expected")" -gt 10000 ]
	cmp "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/actual"
}

# Pages of libraries are shared with whatever else starts and ends on this machine: what is compared of the
# live process is what nobody else can change.
@test "10,000 mappings: the live process, mapping by mapping" {
	local keys=(Rss Shared_Dirty Private_Dirty Anonymous Swap Locked)
	start_sample many_mappings
	"$LEAKHUNT" maps "$SAMPLE_PID" --json | jq -r '.regions[] | [.start, .end, .rss_bytes, .shared_dirty_bytes,
		.private_dirty_bytes, .anonymous_bytes, .swap_bytes, .locked_bytes] | join(" ")' >"$BATS_TEST_TMPDIR/actual"
	smaps_rows "/proc/$SAMPLE_PID/smaps" "${keys[@]}" >"$BATS_TEST_TMPDIR/expected"
	cmp "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/actual"
	assert_sample_unharmed
}

@test "10,000 mappings: totals equal smaps_rollup" {
	start_sample many_mappings
	"$LEAKHUNT" maps "$SAMPLE_PID" --json >"$BATS_TEST_TMPDIR/json"
	local total pair
	total=$(jq .total "$BATS_TEST_TMPDIR/json")
	for pair in Rss:rss Private_Dirty:private_dirty Anonymous:anonymous Swap:swap Locked:locked; do
		[ "$(rollup "${pair%:*}")" -eq "$(jq ".${pair#*:}_bytes" <<<"$total")" ]
	done
	# Which pages are private or clean depends on who else has the libraries mapped; their sum does not.
	[ "$(jq '.shared_clean_bytes + .private_clean_bytes' <<<"$total")" -eq \
		$(($(rollup Shared_Clean) + $(rollup Private_Clean))) ]
	jq -e '.uss_bytes == .private_clean_bytes + .private_dirty_bytes + .private_hugetlb_bytes' <<<"$total"
	# smaps rounds each mapping's PSS down to a KiB.
	jq -e '([.regions[].pss_bytes] | add) as $sum | .total.pss_bytes >= $sum and
		.total.pss_bytes - $sum <= 1024 * .total.mappings' "$BATS_TEST_TMPDIR/json"
	jq -e '([.regions[].vss_bytes] | add) == .total.vss_bytes' "$BATS_TEST_TMPDIR/json"
}

@test "10,000 mappings: kinds and figures are those that the program made" {
	start_sample many_mappings
	"$LEAKHUNT" maps "$SAMPLE_PID" --json >"$BATS_TEST_TMPDIR/json"
	sum() { # sum KIND MEMBER: over the program's own mappings
		jq --arg kind "$1" --arg first "$(truth first_addr)" --arg last "$(truth last_addr)" \
			"[.regions[] | select(.kind == \$kind and .start >= \$first and .start <= \$last) | .$2] | add // 0" \
			"$BATS_TEST_TMPDIR/json"
	}
	[ "$(sum anon private_dirty_bytes)" -eq "$(truth written_bytes)" ]
	[ "$(sum anon locked_bytes)" -eq "$(truth locked_bytes)" ]
	[ "$(sum shared rss_bytes)" -eq "$(truth shared_bytes)" ]
	[ "$(sum guard vss_bytes)" -eq "$(truth guard_bytes)" ]
	[ "$(sum guard rss_bytes)" -eq 0 ]
}

# bats test_tags=long
@test "each leak of the samples lies in a mapping of the kind that the sample names" {
	local name kind
	for name in heap_leak arena_leak mmap_chunk_leak anon_leak thread_leak; do
		start_sample "$name"
		sample_step 5
		kind=$("$LEAKHUNT" maps "$SAMPLE_PID" --json | python3 -c 'import json, sys
addr = int(sys.argv[1], 16)
for region in json.load(sys.stdin)["regions"]:
    if int(region["start"], 16) <= addr < int(region["end"], 16):
        print(region["kind"])' "$(truth last_addr)")
		if [ "$kind" != "$(truth region_kind)" ]; then
			echo "$name leaks in $(truth region_kind), shown as $kind" >&2
			return 1
		fi
		assert_sample_unharmed
		stop_sample
	done
}

@test "thread stacks carry their threads' names, each thread once" {
	start_sample steady
	"$LEAKHUNT" maps "$SAMPLE_PID" --kind thread-stack --json |
		jq -r '.regions[] | "\(.tid) \(.thread_name)"' | sort >"$BATS_TEST_TMPDIR/actual"
	local folder
	for folder in "/proc/$SAMPLE_PID/task"/*; do
		[ "${folder##*/}" = "$SAMPLE_PID" ] || echo "${folder##*/} $(cat "$folder/comm")"
	done | sort >"$BATS_TEST_TMPDIR/expected"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/expected")" -ge 3 ]
	cmp "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/actual"
}

@test "reading a process makes none of its pages resident" {
	start_sample many_mappings
	local before
	before=$(rollup Rss)
	"$LEAKHUNT" maps "$SAMPLE_PID" >/dev/null
	[ "$(rollup Rss)" -le "$before" ]
	assert_sample_unharmed
}

@test "a process of another user, without the right to: why, and exit 2" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to become somebody else"
	start_sample steady
	cp "$LEAKHUNT" "$BATS_TEST_TMPDIR/leakhunt"
	chmod 755 "$BATS_TEST_TMPDIR/leakhunt"
	# By an fd: the folders above it may be closed to others.
	exec {program}<"$BATS_TEST_TMPDIR/leakhunt"
	local as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "/proc/self/fd/$program")
	run "${as_nobody[@]}" maps "$SAMPLE_PID"
	[ "$status" -eq 2 ]
	[[ $output == *"belongs to uid 0"*"uid 65534"* ]]
	run "${as_nobody[@]}" ps
	exec {program}<&-
	[ "$status" -eq 1 ]
	[[ $output == *"could not be read"* ]]
}

@test "ps: figures of a process are those of its smaps_rollup" {
	start_sample many_mappings
	run "$LEAKHUNT" ps --json
	[ "$status" -le 1 ]
	local row
	row=$(jq -e ".processes[] | select(.pid == $SAMPLE_PID)" <<<"$output")
	[ "$(jq .rss_bytes <<<"$row")" -eq "$(rollup Rss)" ]
	[ "$(jq .private_dirty_bytes <<<"$row")" -eq "$(rollup Private_Dirty)" ]
	[ "$(jq .swap_bytes <<<"$row")" -eq "$(rollup Swap)" ]
	[ "$(jq .uid <<<"$row")" -eq "$(id -u)" ]
	[ "$(jq -r .command <<<"$row")" = "$SAMPLES/many_mappings" ]
}
