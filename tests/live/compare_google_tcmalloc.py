"""compare_google_tcmalloc.py LEAKHUNT OPERAND STATS: blocks and samples of Google's tcmalloc, as leakhunt lists them in
a process or a dump, and the totals that tcmalloc's own statistics (MallocExtension::GetStats) had at that time."""

import json
import re
import subprocess
import sys

USED = "Bytes in use by application"
CACHES = ["Bytes in per-CPU cache freelist", "Bytes in Sharded cache freelist",
          "Bytes in transfer cache freelist", "Bytes in thread cache freelists"]
TOLERANCE = 0.001


def read_totals(path):
    totals = {}
    with open(path, errors="replace") as file:
        for line in file:
            row = re.match(r"MALLOC:\s*\+?\s+(\d+) \(.*?\) (.*)", line)
            if row:
                totals.setdefault(row[2].strip(), int(row[1]))
            sampled = re.match(r"MALLOC SAMPLED PROFILES: (\d+) bytes \(current\)", line)
            if sampled:
                totals["sampled"] = int(sampled[1])
    return totals


def run(leakhunt, *arguments):
    done = subprocess.run([leakhunt, "heap", *arguments], capture_output=True, text=True, check=False)
    return done.stdout


def list_bytes(leakhunt, arguments):
    found = {"used": 0, "cached": 0, "free": 0}
    for line in run(leakhunt, "--list", *arguments).splitlines():
        row = re.match(r"0x[0-9a-f]+\s+(\d+)\s+(\w+)\s+Google tcmalloc", line)
        if row:
            found[row[2]] += int(row[1])
    return found


def compare(name, ours, truth):
    print(f"{name}: leakhunt {ours:.0f}, tcmalloc {truth}")
    return abs(ours - truth) <= truth * TOLERANCE + 64


def main():
    leakhunt, operand, path = sys.argv[1:]
    arguments = [operand] if not operand.isdigit() else ["--mode", "stop", operand]
    totals = read_totals(path)
    report = json.loads(run(leakhunt, "--json", *arguments))
    walk = next(row for row in report["allocators"] if row["name"] == "Google tcmalloc")
    print(f"checked {walk['checked']}, failed {walk['failed']}: {walk['first_failure']}")
    found = list_bytes(leakhunt, arguments)
    sampled = sum(stack["estimated_bytes"] for stack in (report["samples"] or {"stacks": []})["stacks"])
    holds = [walk["checked"] > 1000, walk["failed"] * 1000 <= walk["checked"], not walk["refused"],
             compare("in use", found["used"], totals[USED]),
             compare("cached", found["cached"], sum(totals.get(name, 0) for name in CACHES)),
             compare("sampled", sampled, totals["sampled"])]
    sys.exit(not all(holds))


main()
