#!/usr/bin/env python3
"""check_odd.py CORE TABLE: whether a core of samples/odd_mappings holds its memory, by the sample's own table.

A line a mapping: NAME START BYTES BASE PERIOD RUN EXPECT. Of each PERIOD pages the first RUN are written; a
page's bytes follow from BASE and its offset alone. Pages of which nothing is known must be absent or zero.
"""
import mmap
import struct
import sys

PAGE = 4096
HASH_MULTIPLIER = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def segments(core):
    header_offset, = struct.unpack_from("<Q", core, 32)
    entry_size, count = struct.unpack_from("<HH", core, 54)
    if count == 0xFFFF:
        section_offset, = struct.unpack_from("<Q", core, 40)
        count, = struct.unpack_from("<I", core, section_offset + 44)
    for i in range(count):
        kind, _, offset, addr, _, file_bytes, _, _ = struct.unpack_from("<IIQQQQQQ", core, header_offset + i * entry_size)
        if kind == 1 and file_bytes:
            yield addr, addr + file_bytes, offset


def page_at(addr):
    word = addr * HASH_MULTIPLIER & MASK
    return struct.pack("<Q", word) * (PAGE // 16) + struct.pack("<Q", word ^ MASK) * (PAGE // 16)


def pages_of(core):
    """Addresses of pages to their places in the file."""
    places = {}
    for start, end, offset in segments(core):
        for page in range(start, end, PAGE):
            places[page] = offset + page - start
    return places


def indices(places, start, count, period, run):
    """Pages that are written, and pages that the core holds."""
    written = {at + page for at in range(0, count, period) for page in range(min(run, count - at))}
    return sorted(written.union((page - start) // PAGE for page in places if start <= page < start + count * PAGE))


def troubles(core, places, start, count, base, period, run, expect):
    zeros = bytes(PAGE)
    for index in indices(places, start, count, period, run):
        place = places.get(start + index * PAGE)
        held = None if place is None else core[place:place + PAGE]
        if expect == "gap":
            wanted = held is None
        elif expect == "zeros":
            wanted = held in (None, zeros)
        elif index % period < run:
            wanted = held == page_at(base + index * PAGE)
        else:
            wanted = held in (None, zeros) or period == 2
        if not wanted:
            yield f"page {index} of {count} is {'absent' if held is None else held[:16].hex()}"


def main():
    with open(sys.argv[1], "rb") as file:
        core = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    places, failed, names = pages_of(core), 0, 0
    with open(sys.argv[2], encoding="ascii") as table:
        for line in table:
            name, start, size, base, period, run, expect = line.split()
            found = list(troubles(core, places, int(start, 16), int(size) // PAGE, int(base, 16), int(period),
                                  int(run), expect))
            names += 1
            if found:
                failed += 1
                print(f"{name} ({expect}): {len(found)} pages, the first: {found[0]}", file=sys.stderr)
    if failed or not names:
        sys.exit(f"{sys.argv[1]}: {failed} of {names} mappings are not as they were written")
    print(names)


if __name__ == "__main__":
    main()
