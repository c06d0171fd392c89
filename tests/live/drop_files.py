#!/usr/bin/env python3
"""drop_files.py CORE COPY: copies an ELF core, and renames its note NT_FILE and all notes of the vendor leakhunt, so
that nobody knows them. Prints how many notes were renamed."""
import struct
import sys

PT_NOTE, NT_FILE, NOBODYS = 4, 0x46494C45, 0x7FFF0001


def notes_of(core):
    table, = struct.unpack_from("<Q", core, 32)
    count, = struct.unpack_from("<H", core, 56)
    for i in range(count):
        kind, _, at, _, _, length = struct.unpack_from("<IIQQQQ", core, table + 56 * i)
        end = at + length
        while kind == PT_NOTE and at < end:
            name_bytes, desc_bytes, note = struct.unpack_from("<III", core, at)
            yield at, bytes(core[at + 12:at + 12 + name_bytes]).rstrip(b"\0"), note
            at += 12 + (name_bytes + 3) // 4 * 4 + (desc_bytes + 3) // 4 * 4


core = bytearray(open(sys.argv[1], "rb").read())
renamed = 0
for at, name, note in notes_of(core):
    if name == b"CORE" and note == NT_FILE:
        struct.pack_into("<I", core, at + 8, NOBODYS)
        renamed += 1
    elif name == b"leakhunt":
        core[at + 12] = ord("x")
        renamed += 1
open(sys.argv[2], "wb").write(core)
print(renamed)
