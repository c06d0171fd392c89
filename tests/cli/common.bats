# What all commands that look at a process or a file have in common: bad operands end with the
# documented exit code and one line on stderr that says what, which and why; and whatever a command
# does, the process goes on as before.
. "$LEAKHUNT_ROOT/tests/helpers.bash"

NOT_A_PROCESS=999999999 # above PID_MAX_LIMIT, 4194304 (proc_sys_kernel(5))

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	HELPER_PID='' NOBODYS_FOLDER=''
}

teardown() {
	if [ -n "$HELPER_PID" ]; then
		kill -KILL "$HELPER_PID" 2>/dev/null || true
		wait "$HELPER_PID" 2>/dev/null || true
	fi
	if [ -n "$NOBODYS_FOLDER" ]; then rm -rf "$NOBODYS_FOLDER"; fi
	stop_samples
}

# on_process PID: fills COMMAND_LINES with every command that takes a process.
on_process() {
	COMMAND_LINES=("maps $1" "select $1 --samples 2 --interval 10ms" "strings $1" "strings --list $1")
	local mode
	for mode in stop live; do
		COMMAND_LINES+=("dump $1 --region heap --mode $mode -o dump.bin")
	done
}

# on_file PATH: every command that takes a file.
on_file() {
	COMMAND_LINES=("maps $1" "select --from $1 --from $1" "strings $1" "strings --list $1")
}

# fails_well STATUS PATTERN ARGS...: ends so, in 20 s, with one line on stderr that matches and nothing else.
fails_well() {
	local wanted=$1 pattern=$2 status=0
	shift 2
	timeout 20 "$LEAKHUNT" "$@" >out 2>err </dev/null 3>&- || status=$?
	if [[ ! $status =~ ^($wanted)$ ]] || [ -s out ] || [ "$(wc -l <err)" -ne 1 ] || ! grep -qE "$pattern" err; then
		echo "leakhunt $*: exit code $status instead of $wanted, or not one line like '$pattern' on stderr:"
		cat out err
		return 1
	fi
}

# all_fail_well STATUS PATTERN: each of COMMAND_LINES does, and none leaves a file.
all_fail_well() {
	local line words
	for line in "${COMMAND_LINES[@]}"; do
		read -ra words <<<"$line"
		fails_well "$1" "$2" "${words[@]}" || return
		if [ -e dump.bin ] || compgen -G '.dump.bin*' >/dev/null; then
			echo "leakhunt $line left a file"
			return 1
		fi
	done
}

# kernel_thread: the pid of one, or nothing; PF_KTHREAD is 0x00200000 in field 9 of stat (include/linux/sched.h).
kernel_thread() {
	awk '{ rest = $0; sub(/^.*\) /, "", rest); split(rest, fields, " ")
	       if (int(fields[7] / 2097152) % 2) { print $1; exit } }' /proc/[0-9]*/stat 2>/dev/null || true # awk fails where a process ended
}

@test "no such process" {
	on_process "$NOT_A_PROCESS"
	all_fail_well 2 "$NOT_A_PROCESS"
}

@test "a number that is no process id" {
	on_process 0
	all_fail_well 64 "'0'"
	on_process 99999999999999999999
	all_fail_well '2|64' 99999999999999999999
}

@test "a kernel thread" {
	local pid
	pid=$(kernel_thread)
	[ -n "$pid" ] || skip "no kernel thread is visible here"
	on_process "$pid"
	all_fail_well 2 "$pid .*kernel thread"
}

@test "a zombie" {
	python3 -c 'import os, signal
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print(pid, flush=True)
signal.pause()' </dev/null >zombie 3>&- &
	HELPER_PID=$!
	wait_until 100 test -s zombie
	on_process "$(cat zombie)"
	all_fail_well 2 "$(cat zombie) .*zombie"
}

@test "a process of another user: says which permission is missing" {
	[ "$(id -u)" -eq 0 ] || skip "needs root, to become nobody"
	local folder line
	folder=$(mktemp -d "/tmp/leakhunt-nobody.XXXXXX")
	NOBODYS_FOLDER=$folder
	install -m 0755 "$LEAKHUNT" "$folder/leakhunt"
	chmod 0777 "$folder"
	start_sample heap_leak
	on_process "$SAMPLE_PID"
	cd "$folder"
	for line in "${COMMAND_LINES[@]}"; do
		local words status=0
		read -ra words <<<"$line"
		setpriv --reuid 65534 --regid 65534 --clear-groups "$folder/leakhunt" "${words[@]}" \
			>"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" </dev/null 3>&- || status=$?
		echo "leakhunt $line: $status: $(cat "$BATS_TEST_TMPDIR/err")"
		[ "$status" -eq 2 ]
		[ "$(wc -l <"$BATS_TEST_TMPDIR/err")" -eq 1 ]
		grep -qE "(process )?$SAMPLE_PID.*hint: .*(root|CAP_SYS_PTRACE)" "$BATS_TEST_TMPDIR/err"
		[ "$(find "$folder" -mindepth 1 | wc -l)" -eq 1 ]
	done
	cd "$BATS_TEST_TMPDIR"
	assert_sample_unharmed
}

@test "no command changes the process that it reads" {
	local line words
	start_sample heap_leak --steps 20
	on_process "$SAMPLE_PID"
	for line in "${COMMAND_LINES[@]}"; do
		local status=0
		read -ra words <<<"$line"
		"$LEAKHUNT" "${words[@]}" >out 2>err </dev/null 3>&- || status=$?
		echo "leakhunt $line: $status: $(cat err)"
		[ "$status" -eq 0 ]
		assert_sample_unharmed
		rm -f dump.bin
	done
}

@test "missing files, folders, and unreadable files" {
	on_file missing.smaps
	all_fail_well 2 'missing.smaps.*No such file'
	mkdir folder
	on_file folder
	all_fail_well '2|64' folder
}

@test "a fifo without a writer does not hang a command" {
	mkfifo pipe
	on_file pipe
	all_fail_well '2|64' pipe
}

@test "an empty file and random bytes are refused as mappings" {
	: >empty
	head -c 100000 /dev/urandom >random
	fails_well 2 empty maps empty
	fails_well 2 empty select --from empty --from empty
	fails_well 2 random maps random
	fails_well 2 random select --from random --from random
}

@test "a name with control characters is escaped in errors" {
	on_file $'no\e[31mfile'
	all_fail_well 2 '\\x1b\[31m'
}
