# Shared by all bats files: starts sample programs, asks them for their ground truth, and looks at
# processes from outside. Source it at the top of a file:
#   . "$LEAKHUNT_ROOT/tests/helpers.bash"
# Samples run as children of the test's own shell: call these functions directly, not through `run`.

# Shell fds of the samples' stdin and stdout, by pid. SAMPLE_PID is the current one: set it back to
# talk to an earlier sample again.
declare -gA SAMPLE_INPUTS=() SAMPLE_OUTPUTS=()
declare -g SAMPLE_PID='' SAMPLE_JSON='' REPLY=''

# start_sample NAME ARGS...: starts $SAMPLES/NAME, waits for its READY; sets SAMPLE_PID, SAMPLE_JSON.
start_sample() {
	local folder line input output
	folder=$(mktemp -d "${BATS_TEST_TMPDIR:-${TMPDIR:-/tmp}}/sample.XXXXXX") || return
	mkfifo "$folder/in" "$folder/out" || return
	"$SAMPLES/$1" "${@:2}" <"$folder/in" >"$folder/out" 3>&- &
	SAMPLE_PID=$!
	exec {input}>"$folder/in" {output}<"$folder/out"
	rm -r "$folder"
	SAMPLE_INPUTS[$SAMPLE_PID]=$input SAMPLE_OUTPUTS[$SAMPLE_PID]=$output
	if ! IFS= read -r -t "${SAMPLE_ANSWER_SECONDS:-60}" -u "$output" line || [[ $line != 'READY {'* ]]; then
		echo "sample $* is not ready; it said: '${line:-}'" >&2
		return 1
	fi
	SAMPLE_JSON=${line#READY }
}

# require_library PATH: skips the test where it is not installed.
require_library() {
	local reason="$1 is not installed"
	[[ $1 != */libmimalloc.so.2* || ! -e ${1%/*}/libmimalloc.so.3 ]] || reason+=": this Debian has mimalloc 3"
	[ -e "$1" ] || skip "$reason"
}

# sample_command TEXT: sends a line, reads the one-line reply into REPLY.
sample_command() {
	echo "$1" >&"${SAMPLE_INPUTS[$SAMPLE_PID]}" || return
	if ! IFS= read -r -t "${SAMPLE_ANSWER_SECONDS:-60}" -u "${SAMPLE_OUTPUTS[$SAMPLE_PID]}" REPLY; then
		echo "sample $SAMPLE_PID did not answer '$1'" >&2
		return 1
	fi
}

# sample_step N: N steps; SAMPLE_JSON is the truth after them.
sample_step() {
	sample_command "step $1" || return
	SAMPLE_JSON=$REPLY
}

# truth MEMBER: a member of the current sample's ground truth; fails when it has none of that name.
truth() {
	jq -er --arg member "$1" 'if has($member) then .[$member] | tostring else error("no \($member)") end' \
		<<<"$SAMPLE_JSON"
}

# even_out RECORD: the record as if each sample had been taken a second after the one before.
even_out() {
	awk '{
		sub(/"time_ns":[0-9]+/, "\"time_ns\":" 1700000000 + NR "000000000")
		sub(/"uptime_ns":[0-9]+/, "\"uptime_ns\":" 1000 + NR "000000000")
	} 1' "$1"
}

# record_stepwise STEPS: `select` of the current sample, 12 samples with STEPS steps between two of them: its JSON in
# `out`, its record in `record`, and that record evened out in `even`. Calls at_sample with the sample's number from 1,
# if there is such a function, before the steps. Again if the machine was so busy that leakhunt did not wait for a step.
record_stepwise() {
	local try
	for try in 1 2 3; do
		if take_stepwise "$1" && [ ! -s err ]; then
			even_out record >even
			return
		fi
		echo "try $try: $(cat err)" >&2
	done
	return 1
}

take_stepwise() {
	local i pid line
	rm -f ticks sampled
	mkfifo ticks sampled
	exec 8<>sampled 9<>ticks
	# The counter is run with each sample: it says that one is being taken, and waits for the steps.
	# shellcheck disable=SC2016 # what others expand
	"$LEAKHUNT" select "$SAMPLE_PID" -i 1ms -n 12 --save record --force --json \
		--counter 'echo >sampled; read -r n <ticks; echo $n' >out 2>err 3>&- &
	pid=$!
	for ((i = 1; i <= 12; i++)); do
		read -r -t 60 -u 8 line || break
		! declare -F at_sample >/dev/null || at_sample "$i"
		sample_step "$1"
		echo "$i" >&9
	done
	exec 8>&- 9>&-
	wait "$pid"
}

# stop_sample: ends the current sample in order and returns its exit status; kills it after 10 s.
stop_sample() {
	local pid=$SAMPLE_PID input=${SAMPLE_INPUTS[$SAMPLE_PID]} output=${SAMPLE_OUTPUTS[$SAMPLE_PID]}
	unset "SAMPLE_INPUTS[$pid]" "SAMPLE_OUTPUTS[$pid]"
	SAMPLE_PID=''
	# A sample that was killed has no reader any more: its SIGPIPE must not end the test.
	(echo quit >&"$input") 2>/dev/null || true
	exec {input}>&-
	if ! wait_until 100 has_ended "$pid"; then
		echo "sample $pid did not quit: killed" >&2
		kill -KILL "$pid"
	fi
	exec {output}<&-
	wait "$pid"
}

# stop_samples: ends all that still run; for teardown.
stop_samples() {
	local pid
	for pid in "${!SAMPLE_INPUTS[@]}"; do
		SAMPLE_PID=$pid
		stop_sample || true
	done
}

# wait_until N_TENTHS COMMAND...: until the command succeeds, asking each tenth of a second.
wait_until() {
	local left=$1
	shift
	until "$@"; do
		((left-- > 0)) || return 1
		sleep 0.1
	done
}

# process_state PID: its state letter (proc(5)); empty when there is none.
process_state() {
	sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null
}

# has_ended PID: gone, or a zombie that its parent has still to wait for.
has_ended() {
	[[ $(process_state "$1") =~ ^[ZX]?$ ]]
}

# assert_not_stopped PID: none of its threads is stopped, traced or dead, and nobody traces it.
assert_not_stopped() {
	has_ended "$1" && { echo "process $1 has ended" >&2; return 1; }
	! grep -EH '^State:[[:space:]]*[TtZX]|^TracerPid:[[:space:]]*[1-9]' "/proc/$1"/task/*/status >&2 2>/dev/null
}

# dump_modes: all words that dump --mode takes, as the program says.
dump_modes() {
	local modes
	modes=$("$LEAKHUNT" completion bash | sed -n "s/.*'dump --mode' .*-W '\([^']*\)'.*/\1/p")
	[ -n "$modes" ] || { echo "completion names no modes of dump" >&2 && return 1; }
	echo "$modes"
}

# tracked_mappings PID: VmFlags of those under a userfaultfd ("um": missing, "uw": write-protect, "ui": minor).
tracked_mappings() {
	grep -E '^VmFlags:.* (um|uw|ui)( |$)' "/proc/$1/smaps"
}

# has_no_tracking PID: no mapping of it is under a userfaultfd.
has_no_tracking() {
	[ -z "$(tracked_mappings "$1")" ]
}

# has_no_children PID
has_no_children() {
	[ -z "$(cat "/proc/$1"/task/*/children 2>/dev/null)" ]
}

# stray_descriptors PID: its userfaultfds, a line each.
stray_descriptors() {
	find "/proc/$1/fd" -lname '*userfaultfd*'
}

# assert_left_alone PID: nobody stops or traces it, and nothing of a dump is left in it.
assert_left_alone() {
	assert_not_stopped "$1" || return
	if ! has_no_tracking "$1" || [ -n "$(stray_descriptors "$1")" ]; then
		echo "process $1 has kept: $(tracked_mappings "$1") $(stray_descriptors "$1")" >&2
		return 1
	fi
}

# assert_sample_unharmed: it runs, nobody traces it, its memory and threads are as they should be,
# and none of its system calls was interrupted since the last `check` (send one after using gdb).
assert_sample_unharmed() {
	assert_not_stopped "$SAMPLE_PID" || return
	sample_command check || return
	if ! jq -e '.alive and .checksum_ok and .interrupted_calls == 0' <<<"$REPLY" >/dev/null; then
		echo "sample $SAMPLE_PID is harmed: $REPLY" >&2
		return 1
	fi
}

# cut_words: what check_cut has to know of the current sample, a page_writer.
cut_words() {
	jq -r '"\(.pages) \(.pages_addr) \(.sequence_addr)"' <<<"$SAMPLE_JSON"
}

# assert_of_one_instant CORE [--discard]: a core of the current sample, whose pages were all read at one instant.
assert_of_one_instant() {
	local words
	read -ra words <<<"$(cut_words)"
	"$SAMPLES/check_cut" "$1" "${words[@]}" "${@:2}"
}

# smaps_at ADDR FIELD [PID]: bytes of a field of the mapping that holds the address, as the kernel says.
smaps_at() {
	python3 - "$1" "$2" "${3:-$SAMPLE_PID}" <<-'EOF_PYTHON'
		import re, sys
		addr, field, holds = int(sys.argv[1], 16), sys.argv[2], False
		for line in open(f"/proc/{sys.argv[3]}/smaps"):
		    head = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
		    if head:
		        holds = int(head[1], 16) <= addr < int(head[2], 16)
		    elif holds and line.startswith(field + ":"):
		        print(int(line.split()[1]) * 1024)
		        sys.exit(0)
		sys.exit(f"no mapping holds {sys.argv[1]}, or it has no {field}")
	EOF_PYTHON
}

# maps_line ADDR [PID]: the line of /proc/PID/maps that holds the address.
maps_line() {
	python3 - "$1" "${2:-$SAMPLE_PID}" <<-'EOF_PYTHON'
		import sys
		for line in open(f"/proc/{sys.argv[2]}/maps"):
		    start, end = (int(part, 16) for part in line.split()[0].split("-"))
		    if start <= int(sys.argv[1], 16) < end:
		        print(line, end="")
		        sys.exit(0)
		sys.exit(f"no mapping holds {sys.argv[1]}")
	EOF_PYTHON
}

# rollup FIELD [PID]: bytes of a field over the whole process.
rollup() {
	awk -v field="$1:" '$1 == field { print $2 * 1024; found = 1 } END { exit !found }' \
		"/proc/${2:-$SAMPLE_PID}/smaps_rollup"
}

# assert_between LOW VALUE HIGH
assert_between() {
	if (($2 < $1 || $2 > $3)); then
		echo "$2 is not between $1 and $3" >&2
		return 1
	fi
}

# leakhunt with the fault points of leakhunt/fault_point.h, which the installed program has not: build_faulty builds it.
# shellcheck disable=SC2034 # tests use it
declare -g faulty=${LEAKHUNT_ROOT:-}/.build/gcc-faults/leakhunt
build_faulty() {
	make -s -C "$LEAKHUNT_ROOT" CC=gcc SAN= WERROR= COVERAGE= FAULTS=1 .build/gcc-faults/leakhunt >/dev/null
}

# The capabilities that Docker leaves a container by default, as setpriv takes them.
DOCKER_RIGHTS=+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot
DOCKER_RIGHTS=$DOCKER_RIGHTS,+mknod,+audit_write,+setfcap
