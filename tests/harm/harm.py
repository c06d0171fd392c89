#!/usr/bin/env python3
"""harm.py --leakhunt PATH --samples DIR [OPTION]...: does a dump harm targets that check themselves?

Starts each target, dumps it --dumps times in each mode, and kills leakhunt --kills times in each mode (over all
targets together), half of them at random instants and half at named steps (--faults: a build with FAULTS=1).
Targets count what went wrong and say so when asked: this program only adds up. Prints a table, a line for each
target and mode, and writes all results with their seeds to --report as JSON. Exits with 1 on any harm.

A call of the target's that returned EINTR is excused only where leakhunt was killed, and shown apart.
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import targets

PATIENCE_S = 30
DUMP_SECONDS_MAX = 120
RESTARTS_MAX = 5


class Harm(Exception):
    """The target is dead, stopped, or keeps something of a dump."""


def read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def read_tasks(pid, name):
    """(tid, text) of a file of each thread. Threads that end meanwhile are left out."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            yield tid, read(f"/proc/{pid}/task/{tid}/{name}")
        except (FileNotFoundError, ProcessLookupError):
            pass


def traced_threads(pid):
    return [f"{tid}: {found}" for tid, text in read_tasks(pid, "status")
            for found in re.findall(r"^State:\s*[tT].*|^TracerPid:\s*[1-9].*", text, re.M)]


def tracked_mappings(pid):
    return re.findall(r"^VmFlags:.* (?:um|uw|ui)(?: .*)?$", read(f"/proc/{pid}/smaps"), re.M)


def await_none(find, what):
    """The kernel detaches the tracees of the dead, and closes what they had open, after wait(2) returns."""
    deadline = time.monotonic() + PATIENCE_S
    while found := find():
        if time.monotonic() > deadline:
            raise Harm(f"{what}: {found[:3]}")
        time.sleep(0.001)


class Row:
    """Counts of one target in one mode, with dumps or with kills."""

    def __init__(self, target, mode, action, seed):
        self.target, self.mode, self.action, self.seed = target, mode, action, seed
        self.count = self.in_time = self.refused = self.other_mode = 0
        self.wrong = self.failed = self.interrupted = self.stuck = self.dead = 0
        self.modes, self.reasons, self.firsts, self.points = {}, {}, [], {}
        self.seconds = 0.0

    def add_counts(self, counts, before):
        for name in ("wrong", "failed", "interrupted"):
            setattr(self, name, getattr(self, name) + counts[name] - before[name])
        self.stuck += counts["stuck"]
        if counts["first"] and not before["first"]:
            self.note(counts["first"])

    def note(self, text):
        if len(self.firsts) < 10:
            self.firsts.append(f"at {self.action} {self.count}: {text}")

    def is_harmed(self):
        excused = self.action == "kills"
        return bool(self.wrong or self.failed or self.stuck or self.dead or (self.interrupted and not excused))

    def is_empty(self):
        """A row in which no dump succeeded shows nothing."""
        return self.action == "dumps" and self.refused == self.count


class Trial:
    """A running target, and what is done to it."""

    def __init__(self, options, target_class, mode, action, seed):
        self.options, self.target_class, self.mode = options, target_class, mode
        self.row = Row(target_class.name, mode, action, seed)
        self.chance = random.Random(seed)
        self.folder = tempfile.mkdtemp(prefix="harm.", dir=options.folder)
        self.target = None
        self.start()

    def start(self):
        self.target = self.target_class(self.options, os.path.join(self.folder, "target"))
        self.target.start()
        self.before = self.target.check()

    def stop(self):
        self.target.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, program, pid, mode):
        regions = self.chance.choice(self.target_class.regions)
        words = [word for region in regions.split() for word in ("--region", region)]
        # A busy machine makes pauses long; a dump that is refused for it would show nothing.
        slow = ["--on-slow", "stop"] if mode == "snapshot" else []
        return [program, "dump", str(pid), *words, "--mode", mode, *slow, "--force", "--json",
                "-o", os.path.join(self.folder, "dump.core")]

    def run_dump(self):
        pid = self.chance.choice(self.target.pids())
        done = subprocess.run(self.command(self.options.leakhunt, pid, self.mode), capture_output=True, text=True,
                              timeout=DUMP_SECONDS_MAX, check=False)
        self.row.count += 1
        if done.returncode not in (0, 1):
            self.row.refused += 1
            lines = [line for line in (done.stdout + done.stderr).splitlines() if "warning:" not in line]
            reason = f"status {done.returncode}: {re.sub(r'[0-9]{2,}', 'N', lines[-1] if lines else '')}"
            self.row.reasons[reason] = self.row.reasons.get(reason, 0) + 1
            return
        try:
            used = json.loads(done.stdout)["mode"]
        except (ValueError, KeyError):
            used = "?"
        self.row.modes[used] = self.row.modes.get(used, 0) + 1
        self.row.other_mode += used != self.mode

    def measure_s(self):
        durations = []
        for _ in range(3):
            before = time.monotonic()
            pid = self.chance.choice(self.target.pids())
            subprocess.run(self.command(self.options.leakhunt, pid, self.mode), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=DUMP_SECONDS_MAX, check=False)
            durations.append(time.monotonic() - before)
        return sorted(durations)[1]

    def kill_at_random(self, dump_s):
        pid = self.chance.choice(self.target.pids())
        victim = subprocess.Popen(self.command(self.options.leakhunt, pid, self.mode), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        time.sleep(self.chance.uniform(0, 1.1 * dump_s))
        victim.kill()
        self.row.count += 1
        if victim.wait() == -signal.SIGKILL:
            self.row.in_time += 1
            self.row.points["random"] = self.row.points.get("random", 0) + 1

    def kill_at_point(self, point):
        """Whether leakhunt came by there."""
        pid = self.chance.choice(self.target.pids())
        done = subprocess.run(self.command(self.options.faults, pid, self.mode), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=dict(os.environ, LEAKHUNT_FAULT=point),
                              timeout=DUMP_SECONDS_MAX, check=False)
        if done.returncode not in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return False
        self.row.count += 1
        self.row.in_time += 1
        self.row.points[point] = self.row.points.get(point, 0) + 1
        return True

    def look(self):
        """From outside, after each dump or kill."""
        dead = self.target.find_dead()
        if dead:
            raise Harm(f"dead: {dead}")
        for pid in self.target.pids():
            try:
                await_none(lambda pid=pid: traced_threads(pid), f"process {pid}: threads")
                if self.row.action == "kills":
                    await_none(lambda pid=pid: tracked_mappings(pid), f"process {pid}: mappings")
            except (FileNotFoundError, ProcessLookupError):
                pass # a process that ends by itself: find_dead judges

    def ask(self):
        counts = self.target.check()
        self.row.add_counts(counts, self.before)
        if counts["stuck"]:
            raise Harm(f"{counts['stuck']} of its threads make no progress; first: {counts['first']}")
        self.before = counts

    def guarded(self, step):
        """Runs a step; on harm the target is started anew. False: too many died."""
        try:
            step()
            return True
        except (Harm, targets.Gone) as harm:
            self.row.dead += 1
            self.row.note(str(harm))
            self.target.stop()
            if self.row.dead > RESTARTS_MAX:
                return False
            self.start()
            return True

    def clean(self):
        for name in os.listdir(self.folder):
            if name != "target":
                os.unlink(os.path.join(self.folder, name))

    def dump_all(self, count, check_each):
        for number in range(1, count + 1):
            def step(number=number):
                self.run_dump()
                self.look()
                if number % check_each == 0 or number == count:
                    self.ask()
            if not self.guarded(step):
                break
            self.clean()

    def find_reached_points(self, points):
        """None: too many died."""
        found = []
        for point in points:
            reached = False
            def step(point=point):
                nonlocal reached
                reached = self.kill_at_point(point)
                self.look()
                self.ask()
            if not self.guarded(step):
                return None
            if reached:
                found.append(point)
            self.clean()
        return found

    def kill_all(self, count, points, check_each):
        dump_s = self.measure_s()
        points = self.find_reached_points(points) if self.options.faults else []
        if points is None:
            return
        for number in range(self.row.count, count):
            def step(number=number):
                if points and number % 2:
                    self.kill_at_point(points[number // 2 % len(points)])
                else:
                    self.kill_at_random(dump_s)
                self.look()
                if number % check_each == 0 or number == count - 1:
                    self.ask()
            if not self.guarded(step):
                break
            self.clean()


def run_trial(options, target_class, mode, action):
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    started = time.monotonic()
    trial = Trial(options, target_class, mode, action, seed)
    try:
        if action == "dumps":
            trial.dump_all(options.dumps, options.check_each)
        else:
            trial.kill_all(options.kills_here, options.points, options.check_each)
    finally:
        trial.stop()
    trial.row.seconds = round(time.monotonic() - started, 1)
    return trial.row


COLUMNS = ("target", "mode", "action", "count", "in time", "refused", "other mode", "wrong", "failed", "EINTR", "stuck",
           "dead", "seconds", "verdict")
FORMAT = "{:<17} {:<8} {:<5} {:>5} {:>7} {:>7} {:>10} {:>6} {:>6} {:>5} {:>5} {:>4} {:>7} {}"


def print_row(row):
    verdict = "HARM" if row.is_harmed() else "nothing dumped" if row.is_empty() else "ok"
    print(FORMAT.format(row.target, row.mode, row.action, row.count, row.in_time if row.action == "kills" else "-",
                        row.refused, row.other_mode, row.wrong, row.failed, row.interrupted, row.stuck, row.dead,
                        row.seconds, verdict), flush=True)
    for first in row.firsts:
        print(f"    {first}", flush=True)
    for reason, count in row.reasons.items():
        print(f"    refused {count} times: {reason}", flush=True)


def find_points(root):
    found = set()
    for folder, _, files in os.walk(os.path.join(root, "src")):
        for name in files:
            if name.endswith(".c"):
                found.update(re.findall(r'lh_fault_point\("([a-z-]+)"\)', read(os.path.join(folder, name))))
    return sorted(point for point in found if not point.startswith("soft-"))


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leakhunt", required=True)
    parser.add_argument("--faults", help="leakhunt built with FAULTS=1: kills at named steps, too")
    parser.add_argument("--samples", required=True)
    parser.add_argument("--built", help="folder of the programs that check-harm.sh compiles")
    parser.add_argument("--dumps", type=int, default=200, help="per target and mode; 0: none")
    parser.add_argument("--kills", type=int, default=3000, help="per mode, over all targets; 0: none")
    parser.add_argument("--modes", default="snapshot child stop live")
    parser.add_argument("--targets", default="own strangers", help="names, or the groups own, strangers")
    parser.add_argument("--check-each", type=int, default=10, help="dumps or kills between two questions")
    parser.add_argument("--seed", type=int, help="of all trials; default: a random one for each")
    parser.add_argument("--report", help="file for the results as JSON")
    options = parser.parse_args()
    for name in ("leakhunt", "faults", "samples", "built", "report"):
        if getattr(options, name):
            setattr(options, name, os.path.abspath(getattr(options, name)))
    options.root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return options


def main():
    options = parse_options()
    options.points = find_points(options.root)
    chosen = targets.choose(options.targets)
    modes = options.modes.split()
    options.kills_here = -(-options.kills // len(chosen))
    rows = []
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    print(FORMAT.format(*COLUMNS), flush=True)
    with tempfile.TemporaryDirectory(prefix="leakhunt-harm.", dir=memory) as options.folder:
        os.chmod(options.folder, 0o755) # postgres runs as another user
        for target_class in chosen:
            missing = target_class.find_missing(options)
            if missing:
                print(f"{target_class.name:<17} skipped: {missing}", flush=True)
                rows.append({"target": target_class.name, "skipped": missing})
                continue
            for mode in modes:
                for action in ("dumps", "kills"):
                    if getattr(options, action) == 0:
                        continue
                    row = run_trial(options, target_class, mode, action)
                    print_row(row)
                    rows.append(vars(row) | {"harmed": row.is_harmed(), "empty": row.is_empty()})
                    if options.report:
                        with open(options.report, "w", encoding="ascii") as file:
                            json.dump(rows, file, indent=1)
    harmed = sum(row.get("harmed", False) for row in rows)
    empty = sum(row.get("empty", False) for row in rows)
    skipped = sum("skipped" in row for row in rows)
    print(f"{len(rows) - skipped} rows: {harmed} with harm, {empty} without a dump; {skipped} targets skipped")
    sys.exit(1 if harmed or empty or len(rows) == skipped else 0)


def end(_number, _frame):
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, end)
main()
