#!/usr/bin/env python3
"""trace-truth.py LEAKHUNT SAMPLES [--runs N] [--rate N] [--decoy-ms N] [--for TIME] [--budget PERCENT] [--costs]

Traces samples/trace_truth.c, which knows which of its functions leaks and how fast, N times (default: 20). Prints a
line per run and the sums: in how many the leaking function alone was named, and in how many the 95 % interval held the
truth. --costs adds what leakhunt, bcc-like probes (bpftrace), heaptrack --pid and valgrind take from the same load:
percent of a processor in the target (user and system time of the kernel's accounting) and in the tool, per run of 5 s.
Needs root. Tools that are not installed are left out.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")
COST_SECONDS = 5


class Load:
    """trace_truth, running; as a context it ends with it."""

    def __init__(self, samples, options, prefix=()):
        command = [*prefix, f"{samples}/trace_truth", *options]
        self.child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.pid = self.child.pid
        line = self.child.stdout.readline()
        if not line.startswith("READY "):
            sys.exit(f"trace_truth is not ready: {line!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()

    def truth(self):
        self.child.stdin.write("step 0\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def run_once(arguments):
    options = ["--rate", str(arguments.rate), "--decoy-ms", str(arguments.decoy_ms), "--forks"]
    with Load(arguments.samples, options) as load:
        before = load.truth()
        traced = subprocess.run(
            [arguments.leakhunt, "trace", str(load.pid), "--json", "--top", "1000", "--for", arguments.time]
            + ["--budget", arguments.budget],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        after = load.truth()
    if traced.returncode not in (0, 1, 3):
        return {"names": [f"({traced.stderr.strip().splitlines()[-1]})"], "is_right": False, "holds": False}
    found = json.loads(traced.stdout)
    leaking = [site for site in found["sites"] if site["verdict"] == "leaking"]
    names = sorted(
        {next((f["name"] for f in site["frames"] if f["module"] == "trace_truth"), "?") or "?" for site in leaking}
    )
    seconds = (after["age_ms"] - before["age_ms"]) / 1000
    rate = (after["leaked_bytes"] - before["leaked_bytes"]) / seconds
    low = sum(site["leak_low_bytes_per_s"] for site in leaking)
    high = sum(site["leak_high_bytes_per_s"] for site in leaking)
    return {
        "names": names,
        "is_right": names == [after["site"]],
        "rate": rate,
        "low": low,
        "high": high,
        "holds": low <= rate <= high,
        "allocations_per_s": found["allocations"] / (found["duration_ns"] / 1e9),
        "cost": 100 * found["target_cost"],
        "own": 100 * found["own_cost"],
        "damaged": after["damaged_blocks"],
        "samples": found["samples"],
    }


def run_truth(arguments):
    right = held = false_names = 0
    print("RUN  ALLOCATIONS/S  SAMPLES  LEAKS B/S   FOUND, 95 %            HOLDS  COST %  OWN %  NAMED")
    for number in range(1, arguments.runs + 1):
        run = run_once(arguments)
        right += run["is_right"]
        held += run["holds"]
        false_names += any(name != "allocate_and_lose" for name in run["names"])
        if "rate" in run:
            print(
                f"{number:3}  {run['allocations_per_s']:13.0f}  {run['samples']:7}  {run['rate']:9.0f}   "
                f"{run['low']:9.0f} - {run['high']:9.0f}  {'yes' if run['holds'] else 'no':>5}  {run['cost']:6.1f}  "
                f"{run['own']:5.1f}  {' '.join(run['names']) or '-'}"
                + (f"  DAMAGED {run['damaged']}" if run["damaged"] else "")
            )
        else:
            print(f"{number:3}  {' '.join(run['names'])}")
        sys.stdout.flush()
    print(f"right function alone: {right} of {arguments.runs}; false names: {false_names}; interval holds: {held}")


BCC_LIKE = """
uprobe:LIBC:malloc { @size[tid] = arg0; }
uretprobe:LIBC:malloc /@size[tid]/ { @bytes[retval] = @size[tid]; @stacks[retval] = ustack(30); delete(@size[tid]); }
uprobe:LIBC:free { delete(@bytes[arg0]); delete(@stacks[arg0]); }
END { clear(@size); clear(@bytes); clear(@stacks); }
"""


def libc_of(pid):
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        if "libc.so" in line or "libc-" in line:
            return line.split()[-1]
    sys.exit("no libc")


def measure(name, arguments, start_tool, prefix=(), library=""):
    """
    Percent of a processor in the target and in the tool; allocations per second that the target reached. `library`:
    what the tool loads into the target.
    """
    with Load(arguments.samples, ["--rate", str(arguments.rate)], prefix) as load:
        tool = start_tool(load.pid)
        time.sleep(3)
        truth, cpu, at = load.truth(), cpu_seconds(load.pid), time.monotonic()
        tool_cpu = cpu_seconds(tool.pid) if tool else 0
        is_attached = not library or library in pathlib.Path(f"/proc/{load.pid}/maps").read_text()
        time.sleep(COST_SECONDS)
        seconds = time.monotonic() - at
        target = (cpu_seconds(load.pid) - cpu) / seconds
        own = (cpu_seconds(tool.pid) - tool_cpu) / seconds if tool and tool.poll() is None else 0
        reached = (load.truth()["leaked_blocks"] - truth["leaked_blocks"]) * 100 * 5 / seconds
        if tool and tool.poll() is None:
            os.killpg(tool.pid, signal.SIGINT)
            try:
                tool.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(tool.pid, signal.SIGKILL)
                tool.wait()
        is_alive = load.child.poll() is None
    if not is_attached:
        print(f"{name:30}  did not attach")
        return
    print(f"{name:30}  {100 * target:8.1f}  {100 * own:6.1f}  {reached:13.0f}  {'yes' if is_alive else 'no'}")
    sys.stdout.flush()


def run_costs(arguments):
    folder = tempfile.mkdtemp()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "start_new_session": True}

    def leakhunt(pid):
        return subprocess.Popen(
            [arguments.leakhunt, "trace", str(pid), "--for", "60s", "--budget", arguments.budget], **quiet
        )

    def bpftrace(pid):
        program = BCC_LIKE.replace("LIBC", libc_of(pid))
        environment = {**os.environ, "BPFTRACE_MAP_KEYS_MAX": "1000000"}
        return subprocess.Popen(["bpftrace", "-p", str(pid), "-e", program], env=environment, **quiet)

    def heaptrack(pid):
        return subprocess.Popen(["heaptrack", "--pid", str(pid)], stdin=subprocess.DEVNULL, **quiet)

    print(f"\nat {arguments.rate} allocations per second wanted:")
    print("TOOL                            TARGET %  TOOL %  ALLOCATIONS/S  TARGET LIVES")
    measure("none", arguments, lambda pid: None)
    measure(f"leakhunt trace --budget {arguments.budget}", arguments, leakhunt)
    if shutil.which("bpftrace"):
        measure("bpftrace, as bcc's memleak", arguments, bpftrace)
    if shutil.which("heaptrack"):
        measure("heaptrack --pid", arguments, heaptrack, library="heaptrack")
    if shutil.which("valgrind"):
        measure("valgrind (from the start)", arguments, lambda pid: None, ["valgrind", "-q"])
    shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("leakhunt", type=os.path.realpath)
    parser.add_argument("samples", type=os.path.realpath)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rate", type=int, default=200000)
    parser.add_argument("--decoy-ms", type=int, default=5000)
    parser.add_argument("--for", dest="time", default="14s")
    parser.add_argument("--budget", default="100%")
    parser.add_argument("--costs", action="store_true")
    arguments = parser.parse_args()
    if arguments.runs:
        run_truth(arguments)
    if arguments.costs:
        run_costs(arguments)


if __name__ == "__main__":
    main()
