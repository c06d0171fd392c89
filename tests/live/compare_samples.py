"""compare_samples PROFILE HEAP.json TRUTH.json: whether `leakhunt heap --json` has the call stacks, counts and bytes of
the heap profile that jemalloc wrote itself, and the truth of samples/profiled.

A profile holds for each stack the count and bytes that let jeprof arrive at jemalloc's estimates (prof_data.c,
prof_do_unbias); with prof_unbias:false, what was sampled."""
import json
import math
import re
import sys

CLOCK_TICK_NS = 10_000_000  # CLOCK_MONOTONIC_COARSE, HZ=100


def read_profile(path):
    lines = open(path).read().split("\nMAPPED_LIBRARIES")[0].splitlines()
    rate = int(lines[0].removeprefix("heap_v2/"))
    stacks, stack = {}, None
    for line in lines[1:]:
        if line.startswith("@"):
            stack = tuple(int(word, 16) for word in line.split()[1:])
        total = re.match(r"  t\*: (\d+): (\d+) ", line)
        if total and stack:
            stacks[stack] = int(total[1]), int(total[2])
    return rate, stacks


def before_jeprof(stack, rate):
    count, size = stack["estimated_blocks"], stack["estimated_bytes"]
    seen = 1 - math.exp(-size / count / rate)
    return math.floor(count * seen + 0.5), math.floor(size * seen + 0.5)


def caller(stack):
    return next((frame["name"] for frame in stack["frames"] if (frame["name"] or "").startswith("allocate_")), None)


def check(holds, *what):
    if not holds:
        sys.exit("compare_samples: " + " ".join(map(str, what)))


def compare_with_profile(profile, samples, is_unbiased):
    rate, expected = read_profile(profile)
    found = {tuple(int(f["addr"], 16) + 1 for f in s["frames"]): s for s in samples["stacks"]}
    check(set(found) == set(expected), "other stacks:", set(found) ^ set(expected))
    for frames, stack in found.items():
        figures = (
            before_jeprof(stack, rate) if is_unbiased else (stack["sampled_blocks"], stack["sampled_bytes"])
        )
        check(figures == expected[frames], "figures", figures, "profile", expected[frames], stack)
    check(len(found) >= 4, "only", len(found), "stacks")
    check(sum(s["sampled_blocks"] for s in found.values()) == samples["sampled_blocks"], "sum of sampled blocks")
    check(samples["rejected_blocks"] == 0, "rejected", samples["rejected_blocks"])


# The estimates of some hundred samples are within a third; a block of 24 times the rate is always sampled. A dump of the
# heap alone may lack the threads' caches: then freed blocks in them count as used, but not in the counters.
def compare_with_truth(heap, truth):
    samples = heap["samples"]
    has_caches = not any("no thread cache" in allocator["note"] for allocator in heap["allocators"])
    for name, site in truth["sites"].items():
        stacks = [s for s in samples["stacks"] if caller(s) == name]
        check(stacks, name, "is missing")
        check(not has_caches or all(s["consistent"] for s in stacks), name, "is inconsistent")
        blocks = sum(s["estimated_blocks"] for s in stacks)
        check(abs(blocks - site["blocks"]) < site["blocks"] / 3, name, blocks, site)
        each = site["bytes"] // site["blocks"]
        check(all(s["requested_bytes"] == each * s["sampled_blocks"] for s in stacks), name, "requested", stacks)
        for stack in stacks:
            time = stack["oldest_time_ns"]
            check(truth["first_ns"] - CLOCK_TICK_NS <= time <= truth["last_ns"], name, "time", time, truth)
    lost = [s for s in samples["stacks"] if caller(s) == "allocate_and_lose"]
    site = truth["sites"]["allocate_and_lose"]
    check(sum(s["sampled_blocks"] for s in lost) == site["blocks"], "lost", lost)
    check(sum(s["requested_bytes"] for s in lost) == site["bytes"], "lost", lost)
    check(caller(samples["stacks"][0]) == "allocate_and_lose", "not the most bytes first")


def main():
    heap = json.load(open(sys.argv[2]))
    compare_with_profile(sys.argv[1], heap["samples"], "--raw" not in sys.argv)
    compare_with_truth(heap, json.loads(sys.argv[3]))


main()
