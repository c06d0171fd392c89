#!/usr/bin/env python3
"""check_cut.py CORE PAGES PAGES_ADDR SEQUENCE_ADDR [--discard]: whether a core of samples/page_writer is of one instant.

From the core alone: the word at SEQUENCE_ADDR is S, the number of the last finished write. Page i must hold
the largest number up to S that belongs to it, all three of its words; but the page of write S + 1, which
may be half done. With --discard, as the sample's option: each second write leaves zeros, or no page at all.
"""
import struct
import sys

PAGE = 4096
PAGE_MULTIPLIER = 40503
CHECK_MULTIPLIER = 0x9E3779B97F4A7C15
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


def words_of(number, pages, discards):
    if discards and number // pages % 2:
        return [0, 0, 0]
    return [number, number * CHECK_MULTIPLIER & MASK, ~number & MASK]


def main():
    discards = sys.argv[5:] == ["--discard"]
    path, pages, pages_addr, sequence_addr = sys.argv[1], *(int(word, 0) for word in sys.argv[2:5])
    with open(path, "rb") as file:
        core = file.read()
    offsets = {}
    for start, end, offset in segments(core):
        for page in range(max(start, pages_addr), min(end, sequence_addr + PAGE), PAGE):
            offsets[page] = offset + page - start
    last, = struct.unpack_from("<Q", core, offsets[sequence_addr])
    wrong = []
    for number in range(last - pages + 1, last + 1):
        index = number * PAGE_MULTIPLIER % pages
        offset = offsets.get(pages_addr + index * PAGE)
        if offset is None and not discards:
            wrong.append(f"page {index} is not in the core")
            continue
        seen = [struct.unpack_from("<Q", core, offset + word * 8)[0] if offset else 0 for word in (0, 256, 511)]
        expected = [words_of(n, pages, discards) for n in (number, number + pages)]
        half_done = number + pages == last + 1 and all(word in pair for word, pair in zip(seen, zip(*expected)))
        if seen != expected[0] and not half_done:
            wrong.append(f"page {index} holds write {seen[0]}, not {number}, of {last}")
    for line in wrong[:10]:
        print(line, file=sys.stderr)
    if wrong:
        sys.exit(f"{path}: {len(wrong)} of {pages} pages are not of the instant of write {last}")
    print(last)


if __name__ == "__main__":
    main()
