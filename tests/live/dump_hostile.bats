#!/usr/bin/env bats
# Targets that make a dump hard, in every mode: odd memory, many threads, filters, namespaces, signals, and
# threads that cannot be stopped. The bytes are theirs, and they go on as if nothing had happened.

# bats file_tags=long
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	reserved_pages=''
}

teardown() {
	stop_samples
	[ -z "${target:-}" ] || kill -KILL "$target" 2>/dev/null || true
	[ -z "$reserved_pages" ] || echo "$reserved_pages" >/proc/sys/vm/nr_hugepages
}

# dump_each COMMAND...: a dump in each mode, into MODE.core and MODE.json; after each, COMMAND must succeed.
dump_each() {
	local mode status options
	for mode in $(dump_modes); do
		status=0 options=()
		# However long: 60,000 mappings are planned anew in the pause.
		[ "$mode" != snapshot ] || options=(--on-slow stop)
		"$LEAKHUNT" dump "${target:-$SAMPLE_PID}" --region "${region:-anon}" --mode "$mode" "${options[@]}" --json \
			-o "$mode.core" >"$mode.json" 2>"$mode.err" || status=$?
		[ "$status" -le 1 ] || { echo "mode $mode: status $status: $(cat "$mode.err")" >&2; return 1; }
		assert_sample_unharmed || return
		"$@" "$mode" || { echo "after mode $mode" >&2; return 1; }
		rm "$mode.core"
	done
}

# truth_holds FILTER: of what the sample says now.
truth_holds() {
	sample_step 1
	jq -e "$1" <<<"$SAMPLE_JSON" >/dev/null || { echo "not $1: $SAMPLE_JSON" >&2; return 1; }
}

is_all_there() {
	"$LEAKHUNT_ROOT/tests/live/check_odd.py" "$1.core" table || return
	truth_holds '.changed == "" and .own_faults == 0' || return
	# What it watches itself is still watched by it, and nothing else is.
	[ "$(tracked_mappings "$SAMPLE_PID")" = "$(cat tracking)" ] || return
	# Lost is only what the kernel itself can't read; pages are called swapped only where there is swap.
	jq -e '[.gaps[].reason] | all(. == "unreadable")' "$1.json" >/dev/null || return
	assert_between $((100 << 20)) "$(jq .disk_bytes "$1.json")" $((200 << 20))
	assert_between -65536 "$(jq .resident_delta_bytes "$1.json")" 65536
}

@test "memory of every kind: 20 GiB reserved, files, shared, huge, guarded, sealed, watched" {
	start_sample odd_mappings --table table --folder "$PWD"
	tracked_mappings "$SAMPLE_PID" >tracking || true
	# Watched by a userfaultfd of its own, unless it may have none.
	[ "$(grep -c '^watched' table)" -eq "$(wc -l <tracking)" ]
	[ "$(wc -l <table)" -ge 20 ]
	region=all dump_each is_all_there
	# The check can fail: one page of another place.
	sed 's/^\(locked 0x[0-9a-f]* [0-9]*\) 0x[0-9a-f]*/\1 0x1000/' table >wrong
	"$LEAKHUNT" dump "$SAMPLE_PID" --region all -o again.core >/dev/null 2>&1 || [ $? -eq 1 ]
	run "$LEAKHUNT_ROOT/tests/live/check_odd.py" again.core wrong
	[ "$status" -eq 1 ]
	[[ $output == *"locked (bytes): 64 pages"* ]]
}

@test "pages that nobody may read any more, one by one among others, and changed ones of a file" {
	cat >closed_pages.c <<-'END'
		#define _GNU_SOURCE
		#include <fcntl.h>
		#include <stdio.h>
		#include <sys/mman.h>
		#include <unistd.h>
		int main(void)
		{
			enum { PAGES = 64, PAGE = 4096 };
			const int rights[] = {PROT_NONE, PROT_WRITE, PROT_READ, PROT_EXEC};
			char *memory[2];
			int file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
			if (ftruncate(file, PAGES * PAGE))
				return 1;
			memory[0] = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			memory[1] = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
			for (int i = 0; i < PAGES; i++) {
				for (int kind = 0; kind < 2; kind++) {
					sprintf(memory[kind] + i * PAGE, "closed page %d of %s", i, kind ? "file" : "none");
					mprotect(memory[kind] + i * PAGE, PAGE, rights[i % 4]);
				}
			}
			puts("ready");
			fflush(stdout);
			pause();
		}
	END
	gcc -O1 -o closed_pages closed_pages.c
	mkfifo said
	./closed_pages >said 3>&- &
	target=$!
	read -r _ <said
	for mode in $(dump_modes); do
		"$LEAKHUNT" dump "$target" --region all --mode "$mode" --json -o "$mode.core" | jq -e .complete
		"$LEAKHUNT" strings --list "$mode.core" >texts
		[ "$(grep -Eo 'closed page [0-9]+ of (none|file)' texts | sort -u | wc -l)" -eq 128 ]
		assert_left_alone "$target"
	done
}

@test "memory that a forked child lacks: MADV_DONTFORK, MADV_WIPEONFORK" {
	start_sample odd_mappings --table table --folder "$PWD" --size 200M --unwatched
	is_held() {
		"$LEAKHUNT_ROOT/tests/live/check_odd.py" "$1.core" table || return
		jq -e --arg mode "$1" '.mode == $mode' "$1.json" >/dev/null || return
		assert_left_alone "$SAMPLE_PID"
	}
	region=all dump_each is_held
}

has_huge_pages() {
	[ "$(awk '$1 == "HugePages_Free:" { print $2 }' /proc/meminfo)" -ge "$1" ]
}

are_huge_there() {
	"$LEAKHUNT_ROOT/tests/live/check_odd.py" "$1.core" table || return
	[ "$(tracked_mappings "$SAMPLE_PID")" = "$(cat tracking)" ]
}

@test "memory of hugetlbfs" {
	before=$(cat /proc/sys/vm/nr_hugepages)
	if ! has_huge_pages 4; then
		[ -w /proc/sys/vm/nr_hugepages ] || skip "huge pages can't be reserved here"
		reserved_pages=$before
		echo $((before + 4)) >/proc/sys/vm/nr_hugepages
		has_huge_pages 4 || skip "the kernel finds no 4 huge pages to reserve"
	fi
	start_sample odd_mappings --table table --folder "$PWD" --size 200M
	tracked_mappings "$SAMPLE_PID" >tracking || true
	grep -q '^hugetlb_private' table
	grep -q '^hugetlb_shared' table
	region=all dump_each are_huge_there
}

@test "60,000 mappings, in every mode" {
	start_sample many_mappings --size 491520000 --block-bytes 8192
	has_all_segments() {
		[ "$(eu-readelf -lW "$1.core" | grep -c ' LOAD ')" -ge 30000 ] || return
		jq -e --arg mode "$1" '.mode == $mode and .complete' "$1.json" >/dev/null || return
		assert_left_alone "$SAMPLE_PID"
	}
	region=all dump_each has_all_segments
}

has_spawned() {
	local before
	truth_holds '.broken_waits == 0 and .all_ran' || return
	before=$(truth spawned)
	wait_until 100 truth_holds ".spawned > $before" 2>/dev/null || return
	[ "$1" = live ] || jq -e '.threads >= 1000' "$1.json" >/dev/null || return
	assert_left_alone "$SAMPLE_PID"
}

@test "1,000 threads that wait, and four that spawn others" {
	start_sample many_threads --threads 1000 --spawners 4
	dump_each has_spawned
}

@test "signals a thousand times a second, timers and queued ones: none lost, none out of order" {
	start_sample signal_storm
	is_calm() {
		truth_holds '.lost_expirations == 0 and .lost_queued == 0 and .disorder == 0 and
			.broken_waits == 0 and .wrong_results == 0 and .received > 0'
	}
	for _ in 1 2 3; do
		dump_each is_calm
	done
	# Nor when leakhunt is killed.
	for mode in $(dump_modes); do
		for _ in 1 2 3 4 5; do
			"$LEAKHUNT" dump "$SAMPLE_PID" --region all --mode "$mode" --force -o killed.core >/dev/null 2>&1 3>&- &
			victim=$!
			sleep "0.0$((RANDOM % 90 + 10))"
			kill -KILL "$victim" 2>/dev/null || true
			wait "$victim" 2>/dev/null || true
		done
		wait_until 100 assert_not_stopped "$SAMPLE_PID" 2>/dev/null
		truth_holds '.lost_expirations == 0 and .lost_queued == 0 and .disorder == 0 and .wrong_results == 0'
	done
}

@test "seccomp filters: Docker's, one that kills for clone and userfaultfd, one that kills for all but a few" {
	for profile in docker killer strict; do
		start_sample filtered --profile "$profile"
		left_alone() {
			assert_left_alone "$SAMPLE_PID"
		}
		for _ in 1 2 3; do
			dump_each left_alone
		done
		case $profile in
		killer | strict) jq -e '.mode != "snapshot" or (.mode_reason | contains("soft"))' snapshot.json ;;
		esac
		stop_sample
	done
}

@test "in a pid, mount and user namespace of its own" {
	unshare --user --map-root-user --pid --mount --fork true 2>/dev/null || skip "namespaces can't be made here"
	programs=$SAMPLES
	SAMPLES=/usr/bin start_sample unshare --user --map-root-user --pid --mount --fork --kill-child \
		"$programs/page_writer" --rate 10000 --size 16M
	target=$(cat "/proc/$SAMPLE_PID/task/$SAMPLE_PID/children")
	target=${target% }
	# It knows itself by another number.
	[ "$(truth pid)" -ne "$target" ]
	is_of_one_instant() {
		assert_left_alone "$target" || return
		jq -e --argjson pid "$target" '.pid == $pid and .complete' "$1.json" >/dev/null || return
		[ "$1" = live ] || assert_of_one_instant "$1.core"
	}
	dump_each is_of_one_instant
}

@test "a thread that can't be stopped: said so, and the others do not wait for it" {
	start_sample vfork_waiter
	for mode in snapshot stop; do
		run "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode "$mode" -o "$mode.core"
		[ "$status" -eq 2 ]
		[ "${#lines[@]}" -eq 1 ]
		[[ $output == *"uninterruptible sleep"*"--mode live"* ]]
		[ -z "$(compgen -G "*$mode.core*")" ]
		assert_sample_unharmed
		assert_left_alone "$SAMPLE_PID"
	done
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode live -o live.core >/dev/null 2>&1
	assert_sample_unharmed
	truth_holds '.child_status == 42'
	# It came back: now it can be stopped.
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode stop -o stop.core >/dev/null 2>&1
	assert_sample_unharmed
}
