#!/usr/bin/env bats
# Processes and views of /proc that are unlike most: no main thread, hidepid, subset=pid, no /proc at all.
# shellcheck disable=SC2016 # what others expand

. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	[ -z "${target:-}" ] || kill -KILL "$target" 2>/dev/null || true
	stop_samples
}

# Two threads that count in memory of their own, and check it; the main one ends.
start_leaderless() {
	cat >leaderless.c <<-'EOF_C'
		#include <pthread.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		#include <unistd.h>
		static void *work(void *context)
		{
			char *block = malloc(3 << 20);
			memset(block, 'z', 3 << 20);
			strcpy(block, "a text of the thread that goes on");
			for (long i = 1;; i++) {
				block[(3 << 20) - 1] = 'a' + i % 26;
				if (i % 500 == 0 && context)
					puts("right"), fflush(stdout);
				if (block[1 << 20] != 'z')
					abort();
				usleep(1000);
			}
		}
		int main(void)
		{
			pthread_t thread;
			pthread_create(&thread, NULL, work, "speaks");
			pthread_create(&thread, NULL, work, NULL);
			pthread_exit(NULL);
		}
	EOF_C
	gcc -O1 -o leaderless leaderless.c -lpthread
	mkfifo out
	./leaderless >out 3>&- &
	target=$!
	exec {output}<out
	read -r -t 60 -u "$output" line
	[ "$line" = right ]
	[ "$(process_state "$target")" = Z ]
}

@test "the main thread has ended: maps, ps, select, and a dump in each mode" {
	start_leaderless
	"$LEAKHUNT" maps "$target" | grep -q leaderless
	"$LEAKHUNT" ps | grep -q "^ *$target "
	run "$LEAKHUNT" select "$target" --samples 3 --interval 100ms
	[[ $output == *"$target"* && $status -le 1 ]]
	for mode in $(dump_modes); do
		run "$LEAKHUNT" dump "$target" --region all --mode "$mode" --force --json -o cut.core
		[ "$status" -le 1 ]
		"$LEAKHUNT" strings --list -n 30 cut.core >texts
		grep -q 'a text of the thread that goes on' texts
	done
	wait_until 50 has_no_tracking "$target"
	exec {output}<out
	read -r -t 60 -u "$output" line
	[ "$line" = right ]
}

@test "the main thread has ended, then the others" {
	start_leaderless
	run "$LEAKHUNT" dump "$target" --mode live --region all --json -o cut.core
	[ "$status" -le 1 ]
	kill -KILL "$target"
	wait_until 100 has_ended "$target"
	run "$LEAKHUNT" dump "$target" -o late.core
	[ "$status" -eq 2 ]
	[[ $output == *"process $target"* ]]
	target=
}

# in_proc OPTIONS COMMAND...: with a /proc of its own, in a mount namespace.
in_proc() {
	local options=$1
	shift
	unshare --mount sh -c 'mount -t proc -o "$0" proc /proc && exec "$@"' "$options" "$@"
}

needs_mounts() {
	[ "$(id -u)" -eq 0 ] || skip "only root can mount /proc"
	unshare --mount mount -t proc -o "$1" proc /proc 2>/dev/null || skip "cannot mount /proc with $1 here"
}

@test "hidepid=2: root sees all, a user his own, and of others one true sentence" {
	needs_mounts hidepid=2
	command -v setpriv >/dev/null || skip "no setpriv"
	start_sample steady
	in_proc hidepid=2 "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --json -o root.core | jq -e '.complete'
	run in_proc hidepid=2 setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$LEAKHUNT" maps "$SAMPLE_PID"
	[ "$status" -eq 2 ]
	[[ $output == *"process $SAMPLE_PID is hidden from this user"*hidepid* ]]
	assert_sample_unharmed
}

@test "subset=pid: /proc without meminfo and sys" {
	needs_mounts subset=pid
	start_sample steady
	for mode in $(dump_modes); do
		in_proc subset=pid "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode "$mode" --force --json -o cut.core |
			jq -e --arg mode "$mode" '.complete and .mode == $mode'
	done
	in_proc subset=pid "$LEAKHUNT" maps "$SAMPLE_PID" | grep -q steady
	assert_sample_unharmed
}

@test "no /proc at all is said, for each command" {
	[ "$(id -u)" -eq 0 ] || skip "only root can hide /proc"
	! grep -q __asan_init "$LEAKHUNT" || skip "AddressSanitizer needs /proc itself"
	unshare --mount mount -t tmpfs tmpfs /proc 2>/dev/null || skip "cannot mount over /proc here"
	start_sample steady
	for words in "ps" "maps $SAMPLE_PID" "dump $SAMPLE_PID -o no.core" "select $SAMPLE_PID --samples 2"; do
		# shellcheck disable=SC2086
		run unshare --mount sh -c 'mount -t tmpfs tmpfs /proc && exec "$@"' - "$LEAKHUNT" $words
		[ "$status" -eq 2 ]
		[[ $output == *"/proc is not mounted"* ]]
	done
	[ ! -e no.core ]
}
