# shellcheck shell=bash
# shellcheck disable=SC2154 # root, leakhunt, bench: see below
# Shared by the bench scripts: times, tables, targets to dump and the tools that dump them. Source it with
#   root      the folder of the sources
#   leakhunt  the program
#   bench     the folder of the built bench programs
# set; it sets `work`, a new folder in $TMPDIR (/tmp) that is removed at the end.

die() {
	echo "bench: $*" >&2
	exit 2
}

for tool in gdb gcore strings jq python3; do
	command -v "$tool" >/dev/null || die "$tool is missing: run make deps"
done

work=$(mktemp -d "${TMPDIR:-/tmp}/leakhunt-bench.XXXXXX")
export TMPDIR=$work
# shellcheck source=tests/helpers.bash
. "$root/tests/helpers.bash"
trap 'stop_samples; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# need_mib N: fails unless the disk has that much free space.
need_mib() {
	local free_mib
	free_mib=$(df --output=avail -BM "$work" | tail -n 1 | tr -dc 0-9)
	[ "$free_mib" -gt "$1" ] || die "$work has $free_mib MiB free, $1 are needed; set TMPDIR"
}

# machine: one line that says what the figures were measured on.
machine() {
	echo "$(nproc) CPUs ($(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)), Linux $(uname -r), load $(cut -d " " -f 1 /proc/loadavg) at the start"
}

now_us() {
	local now=$EPOCHREALTIME
	echo "${now/[.,]/}"
}

# The median of the numbers on stdin.
median() {
	sort -n | awk '{ values[NR] = $1 } END { print values[int((NR + 1) / 2)] }'
}

# measured_runs RUNS ENOUGH_S COMMAND...: a line for each run, and one alone if it takes ENOUGH_S or more: time in us,
# CPU time in us (user and system), and the most anonymous memory in KiB.
measured_runs() {
	python3 - "$@" <<-'END'
		import os, re, subprocess, sys, threading, time
		null = open(os.devnull, "wb")

		def watch(pid, found):
		    while not found["ended"].wait(0.002):
		        try:
		            own = re.search(r"RssAnon:\s+(\d+)", open(f"/proc/{pid}/status").read())
		            found["own_kib"] = max(found["own_kib"], int(own[1]) if own else 0)
		        except OSError:
		            pass

		def run():
		    found = {"ended": threading.Event(), "own_kib": 0}
		    started = time.monotonic()
		    child = subprocess.Popen(sys.argv[3:], stdout=null)
		    watcher = threading.Thread(target=watch, args=(child.pid, found))
		    watcher.start()
		    pid, status, usage = os.wait4(child.pid, 0)
		    elapsed = time.monotonic() - started
		    found["ended"].set()
		    watcher.join()
		    if os.waitstatus_to_exitcode(status) not in (0, 1):
		        sys.exit(f"{sys.argv[3:]} failed")
		    print(int(elapsed * 1e6), int((usage.ru_utime + usage.ru_stime) * 1e6), found["own_kib"])
		    return elapsed

		if run() < float(sys.argv[2]):
		    for _ in range(int(sys.argv[1]) - 1):
		        run()
	END
}

# row CELL...: a row of a Markdown table.
row() {
	printf '|'
	printf ' %s |' "$@"
	printf '\n'
}

# ratio A B: the quotient, to about three digits.
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { q = a / b; printf q < 10 ? "%.2f" : q < 100 ? "%.1f" : "%.0f", q }'
}

# start_heartbeat ARGS...: the target of tests/bench/heartbeat.c.
start_heartbeat() {
	local samples=${SAMPLES:-}
	SAMPLES=$bench start_sample heartbeat "$@" || die "the target does not start"
	SAMPLES=$samples
}

# ---------------------------------------------------------------- dumping [start, end) of the target to $work/dump*

dump_with_gdb() {
	gdb -batch -nx -p "$SAMPLE_PID" -ex "dump binary memory $work/dump $(truth start) $(truth end)"
}

dump_with_gcore() {
	gcore -o "$work/dump" "$SAMPLE_PID"
}

# dump_with_leakhunt MODE OPTION...
dump_with_leakhunt() {
	"$leakhunt" dump "$SAMPLE_PID" --mode "$1" --region "$(truth start)-$(truth end)" --bare -o "$work/dump" "${@:2}"
}

# assert_dump_is_whole NAME EACH: the file holds each EACH-th page of the target's memory, byte for byte. Without
# this a tool that copies less than it was asked for would look fast. The target does not write to those pages.
assert_dump_is_whole() {
	python3 - "$SAMPLE_PID" "$(truth start)" "$(truth end)" "$2" "$work"/dump* <<-'EOF_PYTHON' || die "$1: its file is not the target's memory"
		import struct, sys
		pid, start, end, each, path = sys.argv[1], int(sys.argv[2], 16), int(sys.argv[3], 16), int(sys.argv[4]), sys.argv[5]
		dump = open(path, "rb")
		head = dump.read(64)
		loads = [(start, end - start, 0)]  # gdb's dump memory: plain bytes
		if head[:4] == b"\x7fELF":
		    offset, = struct.unpack_from("<Q", head, 32)
		    size, count = struct.unpack_from("<HH", head, 54)
		    dump.seek(offset)
		    headers = [struct.unpack_from("<IIQQQQQQ", dump.read(size)) for _ in range(count)]
		    loads = sorted((h[3], h[5], h[2]) for h in headers if h[0] == 1)
		memory, at, block = open(f"/proc/{pid}/mem", "rb"), start, 4096 if each > 1 else 1 << 22
		for address, held, offset in loads:
		    while address <= at < min(end, address + held):
		        step = min(block, end - at, address + held - at)
		        dump.seek(offset + at - address)
		        memory.seek(at)
		        if dump.read(step) != memory.read(step):
		            sys.exit(f"{path}: other bytes than the target near {at:#x}")
		        at += step if each == 1 else each * 4096
		if at < end:
		    sys.exit(f"{path}: ends at {at:#x}, not at {end:#x}")
	EOF_PYTHON
}
