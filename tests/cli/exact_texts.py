#!/usr/bin/env python3
"""Whether the repeated texts in a summary of leakhunt are those of an exact count made without leakhunt.

  exact_texts.py FOUND.json FILE

FOUND.json: `leakhunt strings --json --show-secrets -n 8 FILE`; FILE is raw, so that texts lie as in the file.
Python decodes and counts. Texts are of well-formed UTF-8: tabs and all characters but controls, private use areas and
noncharacters. Where all of FILE is ASCII, the texts must also be those of GNU strings.
Prints what differs, and exits with 1.
"""

import collections
import json
import re
import subprocess
import sys

MIN_CHARS, EXAMPLE_BYTES = 8, 159
ASTRAL = "".join(f"{chr(plane << 16)}-{chr((plane << 16) + 0xFFFD)}" for plane in range(1, 15))
VISIBLE = f"[\t -~\xa0-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd{ASTRAL}]{{{MIN_CHARS},}}"


def count_utf8(path):
    with open(path, "rb") as file:
        content = file.read().decode("utf-8", errors="surrogateescape")
    counts = collections.Counter(match.group().encode() for match in re.finditer(VISIBLE, content))
    return counts, content.isascii()


def count_by_gnu(path):
    command = ["strings", "-a", "-n", str(MIN_CHARS), path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as strings:
        return collections.Counter(line.rstrip(b"\n") for line in strings.stdout)


def shown(text):
    """The bytes of the text that leakhunt shows: it does not cut within a character."""
    return text[:EXAMPLE_BYTES].decode(errors="ignore").encode()


def unescaped(text):
    escapes = re.compile(rb"\\(?:x([0-9a-f]{2})|\\)")
    return escapes.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"\\", text.encode())


def differences(found, counts):
    sizes = {text: count * len(text) for text, count in counts.items() if count > 1}
    rows = found["repeated"]
    most = sorted(sizes.values(), reverse=True)[: len(rows)]
    if [row["bytes"] for row in rows] != most:
        yield f"bytes of the first rows: {[row['bytes'] for row in rows]}, and exactly {most}"
    truth = collections.Counter((shown(text), counts[text], size) for text, size in sizes.items() if size >= most[-1])
    for row in rows:
        key = (unescaped(row["text"]), row["count"], row["bytes"])
        if not truth[key]:
            yield f"not in the exact count: {key}"
        truth[key] -= 1


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        found = json.load(file)
    counts, is_ascii = count_utf8(sys.argv[2])
    if is_ascii and counts != count_by_gnu(sys.argv[2]):
        sys.exit("GNU strings and Python count different texts")
    totals = found["totals"]
    wrong = list(differences(found, counts))
    if totals["texts"] != sum(counts.values()):
        wrong.append(f"{totals['texts']} texts, and exactly {sum(counts.values())}")
    if abs(totals["distinct_texts"] / len(counts) - 1) > (0.04 if totals["sampled"] else 0):
        wrong.append(f"{totals['distinct_texts']} different texts, and exactly {len(counts)}")
    if len(found["repeated"]) < 20:
        wrong.append(f"{len(found['repeated'])} rows")
    print("sampled:", totals["sampled"], "texts:", totals["texts"], "different:", len(counts), "all ASCII:", is_ascii)
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
