#!/usr/bin/env python3
"""A process whose memory is mostly of one kind, for scripts/bench-strings.sh to make a core of.

  bench_contents.py texts|python|letters MIB

texts: the text files of this system (/usr/include, /usr/share, /usr/lib/python3, /usr/lib/python3.11), one behind another.
python: objects of a Python program: dictionaries, strings, numbers, tuples, as a cache of records holds them.
letters: runs of 1 MiB of one letter each.
Prints READY and its pid, and ends with its standard input.
"""

import mmap
import os
import random
import sys

TEXT_FOLDERS = ["/usr/include", "/usr/share", "/usr/lib/python3", "/usr/lib/python3.11"]


def text_files():
    for folder in TEXT_FOLDERS:
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(parent, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield path


def fill_texts(memory):
    for path in text_files():
        with open(path, "rb") as file:
            content = file.read(8 << 20)
        if b"\0" in content[:4096]:
            continue
        room = len(memory) - memory.tell()
        memory.write(content[:room])
        if len(content) >= room:
            return
    sys.exit("too few text files on this system")


def fill_letters(memory, mib):
    for i in range(mib):
        memory.write(bytes([ord("a") + i % 26]) * (1 << 20))


def resident_mib():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE >> 20


def make_records(mib):
    chance = random.Random(1)
    words = [f"{a}{b}" for a in ("user", "order", "item", "page", "host") for b in ("name", "_id", "state", "time")]
    records = []
    while resident_mib() < mib:
        for _ in range(10000):
            number = len(records)
            records.append({
                "id": number,
                "key": f"session:{number:08x}:{chance.getrandbits(64):016x}",
                "user": f"user{number % 5000}@example.com",
                "path": f"/api/v2/{chance.choice(words)}/{number % 1000}",
                "scores": (chance.random(), chance.random(), number * 1.5),
                "tags": [chance.choice(words), f"tag-{number % 97}"],
            })
    return records


def main():
    kind, mib = sys.argv[1], int(sys.argv[2])
    if kind == "python":
        held = make_records(mib)
    else:
        held = mmap.mmap(-1, mib << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if kind == "texts":
            fill_texts(held)
        else:
            fill_letters(held, mib)
    print("READY", os.getpid(), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
