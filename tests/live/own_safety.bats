#!/usr/bin/env bats
# leakhunt itself: its memory goes into no core, whatever it was doing; and while it reads what others wrote, it has no
# power but that of reading.
# shellcheck disable=SC2016 # what others expand

# bats file_tags=long
. "$LEAKHUNT_ROOT/tests/helpers.bash"

bats_require_minimum_version 1.5.0

setup_file() {
	build_faulty
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	core_pattern=''
}

teardown() {
	[ -z "$core_pattern" ] || printf '%s' "$core_pattern" >/proc/sys/kernel/core_pattern
	[ ! -e stopped ] || kill -KILL "$(cat stopped)" 2>/dev/null || true
	stop_samples
}

# All cores of the machine go to this folder until teardown.
gather_cores() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	mkdir cores
	core_pattern=$(cat /proc/sys/kernel/core_pattern)
	printf '%s/cores/core.%%e.%%p' "$PWD" >/proc/sys/kernel/core_pattern
	ulimit -c unlimited
	bash -c 'kill -SEGV $$' 2>/dev/null || true
	ls cores/core.bash.* >/dev/null # cores are written here, of others
	rm cores/core.bash.*
}

# A core of a leakhunt that crashes in a child by %e: leakhunt, leakhunt-guard, or a thread's name.
assert_no_core() {
	[ -z "$(ls cores)" ] || { echo "after $1: $(ls cores)" >&2; return 1; }
}

fault_points() {
	grep -rhoE 'lh_fault_point\("[a-z-]+"\)' "$LEAKHUNT_ROOT/src" | cut -d'"' -f2
}

# crashes COMMAND...: 139 is a SIGSEGV; anything but that and an ordinary end is an error.
crashes() {
	local status=0
	LEAKHUNT_FAULT_CRASHES=1 "$faulty" "$@" >out 2>&1 || status=$?
	[ "$status" -eq 139 ] || [ "$status" -le 2 ] || { echo "$*: status $status: $(cat out)" >&2; return 2; }
	[ "$status" -eq 139 ]
}

@test "a crash at any step of a dump leaves no core" {
	gather_cores
	start_sample page_writer --rate 5000 --size 4M
	crashed=0
	for point in $(fault_points); do
		for mode in $(dump_modes); do
			LEAKHUNT_FAULT=$point crashes dump "$SAMPLE_PID" --region anon --mode "$mode" --force -o x.core || continue
			assert_no_core "$point in mode $mode"
			crashed=$((crashed + 1))
			# A crash may leave one of the target's few slots in use.
			stop_samples
			start_sample page_writer --rate 5000 --size 4M
			break
		done
	done
	echo "crashed at $crashed steps"
	[ "$crashed" -ge 20 ]
}

@test "a crash at any step of an analysis leaves no core" {
	gather_cores
	start_sample page_writer --rate 100 --size 4M
	"$faulty" dump "$SAMPLE_PID" -o whole.core >/dev/null 2>&1
	for point in analysis-parsing analysis-scanning analysis-symbols; do
		LEAKHUNT_FAULT=$point crashes strings whole.core
		assert_no_core "$point"
	done
	LEAKHUNT_FAULT=analysis-scanning crashes strings "$SAMPLE_PID"
	assert_no_core "strings PID"
}

@test "nor does a crash leave one in a pipe, as systemd-coredump and apport read them" {
	gather_cores
	printf '#!/bin/sh\ncat >"%s/cores/piped.$1.$2"\n' "$PWD" >reader
	chmod +x reader
	printf '|%s/reader %%e %%p' "$PWD" >/proc/sys/kernel/core_pattern
	bash -c 'kill -SEGV $$' 2>/dev/null || true
	wait_until 100 [ -s "$(echo cores/piped.bash.*)" ]
	rm cores/*
	LEAKHUNT_FAULT=analysis-scanning crashes strings /bin/sh
	# A later crash's core is there: so would leakhunt's be.
	bash -c 'kill -SEGV $$' 2>/dev/null || true
	wait_until 100 eval '[ -n "$(ls cores)" ]'
	[ "$(echo cores/*)" = "$(echo cores/*.bash.*)" ]
}

# stop_at POINT COMMAND...: sets STOPPED, the pid of a leakhunt that stands still there.
stop_at() {
	"$LEAKHUNT" --version --verbose | grep -q 'confinement: off' && skip "not confined in this build"
	LEAKHUNT_FAULT_STOPS=1 LEAKHUNT_FAULT=$1 "$faulty" "${@:2}" >out 2>&1 3>&- &
	STOPPED=$!
	echo "$STOPPED" >stopped
	wait_until 100 is_stopped "$STOPPED" || { echo "$*: $(cat out)" >&2; return 1; }
}

is_stopped() {
	[ "$(process_state "$1")" = T ]
}

end_stopped() {
	kill -KILL "$STOPPED"
	wait "$STOPPED" || true
	rm stopped
}

# assert_powerless CAPABILITIES: all threads, each with the last four digits of this mask. 4: CAP_DAC_READ_SEARCH.
assert_powerless() {
	local task
	for task in "/proc/$STOPPED"/task/*/status; do
		grep -qx "NoNewPrivs:	1" "$task" || return
		grep -qx "Seccomp:	2" "$task" || return
		grep -qE "^CapPrm:	0{12}($1)\$" "$task" || { grep Cap "$task" >&2; return 1; }
		grep -qE "^CapEff:	0{12}($1)\$" "$task" || return
		grep -qE "^CapBnd:	0{12}000[0246]\$" "$task" || return # cannot be lowered twice; useless without exec
		grep -qx "CapInh:	0000000000000000" "$task" || return
		grep -qx "CapAmb:	0000000000000000" "$task" || return
	done
}

@test "hostile bytes are parsed and scanned without capabilities, new privileges and other calls" {
	start_sample page_writer --rate 100 --size 4M
	"$faulty" dump "$SAMPLE_PID" -o whole.core >/dev/null 2>&1
	"$faulty" dump "$SAMPLE_PID" --compress -o whole.zst >/dev/null 2>&1
	for words in "whole.core" "--list whole.core" "whole.zst" "$SAMPLE_PID" "--list $SAMPLE_PID" "whole.core whole.core"; do
		read -ra words <<<"$words"
		stop_at analysis-scanning strings "${words[@]}"
		assert_powerless 0000
		end_stopped
	done
	stop_at analysis-parsing strings --list whole.core
	assert_powerless '0000|0004'
	end_stopped
}

@test "an ordinary user: the same, and dumps of own processes work" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	chmod 755 "$BATS_TEST_TMPDIR" && install -d -o nobody mine
	cp "$SAMPLES/page_writer" "$LEAKHUNT" mine/
	export ASAN_OPTIONS=detect_leaks=0
	# shellcheck disable=SC2016 # expanded by the inner shell
	run -0 setpriv --reuid nobody --clear-groups --inh-caps=-all bash -c '
		cd mine || exit
		mkfifo in out
		./page_writer --rate 100 --size 4M <in >out &
		pid=$!
		exec 3>in 4<out
		read -r -u 4 ready || exit
		for mode in snapshot child stop; do
			./leakhunt dump $pid --region anon --mode $mode --force -o x.core || exit
			./leakhunt strings x.core >/dev/null || exit
		done
		./leakhunt strings $pid >/dev/null || exit
		./leakhunt select $pid -n 2 -i 50ms >/dev/null || exit
		kill $pid'
}

@test "confinement keeps files readable: those of other users, and in their folders" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	install -d -o nobody -m 700 theirs
	printf 'a text in a file of somebody else\0' >theirs/memory
	zstd -q theirs/memory
	cp "$LEAKHUNT_ROOT/tests/records/python-leak.jsonl" theirs/
	chown nobody theirs/* && chmod 600 theirs/*
	run -0 "$LEAKHUNT" strings --list theirs/memory
	[ "$output" = "a text in a file of somebody else" ]
	TMPDIR=$PWD/theirs run -0 --separate-stderr "$LEAKHUNT" strings --list theirs/memory.zst
	[ "$output" = "a text in a file of somebody else" ]
	run -0 "$LEAKHUNT" select --from theirs/python-leak.jsonl --svg theirs/picture.svg
	[ -s theirs/picture.svg ]
}

@test "modules in folders of others are read after all powers are gone" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	install -d -o nobody -m 700 theirs
	install -o nobody -m 700 "$SAMPLES/cxx_objects" theirs/
	SAMPLES=$PWD/theirs start_sample cxx_objects
	"$LEAKHUNT" dump "$SAMPLE_PID" --region heap --bare -o heap.core >/dev/null 2>&1
	"$LEAKHUNT" strings --json heap.core >summary
	jq -e '.unnamed_modules | all(.path | endswith("/cxx_objects") | not)' summary
	chmod 755 . && chown daemon heap.core && cp "$LEAKHUNT" leakhunt
	ASAN_OPTIONS=detect_leaks=0 setpriv --reuid daemon --clear-groups --inh-caps=-all ./leakhunt strings --json heap.core >summary
	jq -e '.unnamed_modules | any((.path | endswith("/cxx_objects")) and .reason == "permission denied")' summary
}

@test "--version --verbose lists the active restrictions" {
	run -0 "$LEAKHUNT" --version --verbose
	[[ ${lines[0]} == "leakhunt "* ]]
	[[ $output == *"own core dumps: never written"* ]]
	[[ $output == *"tracking of writes: "* && $output == *"scanning kernel: "* ]]
	[[ $output == *"confinement: off"* || $output == *"Landlock: "*"seccomp: "* ]]
	[ "$("$LEAKHUNT" --version | wc -l)" -eq 1 ]
}
