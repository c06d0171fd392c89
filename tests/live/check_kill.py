#!/usr/bin/env python3
"""check_kill.py LEAKHUNT SAMPLE MODE KILLS [SEED]: kill -9 of leakhunt at random instants of a dump.

Starts SAMPLE (samples/page_writer), measures how long a dump in MODE takes, then KILLS times starts one, kills
it after a random part of that time, and looks at the target from outside and by its own word. Prints one
JSON object, also when it is ended by SIGINT or SIGTERM; exits with 1 when the target was harmed. What a kill
may leave is counted, not judged: files that have not got their name yet, userfaultfds that track nothing,
and calls that ended with EINTR, as they do after any debugger (a kill between the stop of a thread and the
mending of its call).
"""
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 20


class Harm(Exception):
    pass


def read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def until(condition, what):
    """The kernel detaches the tracees of the dead, and closes what they had open, after wait(2) returns."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise Harm(what())
        time.sleep(0.001)


class Target:
    def __init__(self, sample):
        self.process = subprocess.Popen([sample, "--rate", "10000", "--size", "64M"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.pid = self.process.pid
        self.truth = json.loads(self.process.stdout.readline().removeprefix("READY "))
        self.interrupted_calls = 0

    def path(self, name):
        return f"/proc/{self.pid}/{name}"

    def task_troubles(self):
        troubles = []
        for tid in os.listdir(self.path("task")):
            try:
                status = read(self.path(f"task/{tid}/status"))
            except FileNotFoundError:
                continue
            troubles += re.findall(r"^State:\s*[TtZX].*|^TracerPid:\s*[1-9].*", status, re.M)
        return troubles

    def children(self):
        return " ".join(read(self.path(f"task/{tid}/children")) for tid in os.listdir(self.path("task"))).split()

    def tracked_mappings(self):
        return re.findall(r"^VmFlags:.* (?:um|uw|ui)(?: .*)?$", read(self.path("smaps")), re.M)

    def userfaultfds(self):
        links = [os.readlink(self.path(f"fd/{number}")) for number in os.listdir(self.path("fd"))]
        return sum("userfaultfd" in link for link in links)

    def ask(self):
        self.process.stdin.write("check\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or "null")
        if not answer or not (answer["alive"] and answer["checksum_ok"]):
            raise Harm(f"its answer is wrong: {answer}")
        self.interrupted_calls += answer["interrupted_calls"]

    def check(self):
        if self.process.poll() is not None:
            raise Harm(f"it ended with status {self.process.returncode}")
        until(lambda: not self.task_troubles(), lambda: f"threads: {self.task_troubles()}")
        until(lambda: not self.children(), lambda: f"children: {self.children()}")
        until(lambda: not self.tracked_mappings(), lambda: f"mappings: {self.tracked_mappings()}")
        self.ask()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(PATIENCE_S)


def dump(leakhunt, target, mode, path):
    return subprocess.Popen([leakhunt, "dump", str(target.pid), "--region", "anon", "--mode", mode, "--force",
                             "-o", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure_s(leakhunt, target, mode, path):
    durations = []
    for _ in range(3):
        before = time.monotonic()
        if dump(leakhunt, target, mode, path).wait() not in (0, 1):
            sys.exit(f"a dump in mode {mode} fails")
        durations.append(time.monotonic() - before)
    return sorted(durations)[1]


def kill_one(leakhunt, target, mode, path, delay_s):
    """Whether the dump was still going on."""
    victim = dump(leakhunt, target, mode, path)
    time.sleep(delay_s)
    victim.kill()
    return victim.wait() == -signal.SIGKILL


def is_whole_core(path):
    with open(path, "rb") as file:
        head = file.read(18)
    return head[:4] == b"\x7fELF" and head[16:18] == b"\x04\x00"


def leftovers(folder):
    """A file has its own name only when it is complete: its ELF header is written last."""
    unnamed = 0
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith("."):
            unnamed += 1
        elif not is_whole_core(path):
            raise Harm(f"{name} is not complete")
        os.unlink(path)
    return unnamed


def interrupt(number, frame):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, interrupt)
    leakhunt, sample, mode, kills = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    seed = int(sys.argv[5]) if len(sys.argv) > 5 else random.randrange(1 << 32)
    chance = random.Random(seed)
    result = {"mode": mode, "kills": 0, "in_time": 0, "harmed": 0, "seed": seed, "files_left": 0}
    target = Target(sample)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "killed.core")
        result["dump_ms"] = round(1000 * measure_s(leakhunt, target, mode, path), 1)
        leftovers(folder)
        try:
            for _ in range(kills):
                result["kills"] += 1
                delay_s = chance.uniform(0, 1.1 * result["dump_ms"] / 1000)
                result["in_time"] += kill_one(leakhunt, target, mode, path, delay_s)
                target.check()
                result["files_left"] += leftovers(folder)
        except KeyboardInterrupt:
            result["kills"] -= 1
        except Harm as harm:
            result["harmed"], result["harm"] = 1, str(harm)
        result["interrupted_calls"] = target.interrupted_calls
        result["userfaultfds_left"] = target.userfaultfds() if not result["harmed"] else None
    status = target.end()
    result["exit_status"] = status
    print(json.dumps(result))
    sys.exit(1 if result["harmed"] or status else 0)


main()
