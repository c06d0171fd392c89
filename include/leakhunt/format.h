/*
 * format: what leakhunt writes into a core beyond ELF: the notes of vendor "leakhunt". dump writes them, image reads
 * them; other tools skip notes of unknown vendors (gABI, "Note Section").
 *
 * The core is an ordinary ELF64 ET_CORE. Its parts are in the order in which they become known: ELF header, memory
 * (PT_LOAD data, page-aligned, holes for absent pages), notes, pages of modules' files, program headers. Pages of files
 * are read-only data and tiny functions of modules (LH_NOTE_REGIONS: "context"). They give names where the files are
 * not available; they are read from the files, at most 8 MiB per segment and 32 MiB in all. Where p_memsz exceeds
 * p_filesz, the rest are pages that were not copied because they were absent: zero in private anonymous memory, the
 * file's own bytes where NT_FILE names a file, else (shared memory) unknown. Lost bytes (LH_NOTE_GAPS) are in no
 * PT_LOAD. From 65,535 segments on, e_phnum is PN_XNUM and section header 0 holds the count (gABI, elf(5)).
 *
 * Each note's descriptor is UTF-8 JSON text without NUL. Addresses are strings "0x...", since JSON numbers lose bits
 * above 2^53; names are escaped by lh_buffer_escape.
 */
#ifndef LEAKHUNT_FORMAT_H
#define LEAKHUNT_FORMAT_H

#define LH_NOTE_VENDOR "leakhunt"

enum lh_note_type {
	/*
	 * {"format":1, "pid":N, "command":"...", "time_ns":N, "bare":false,
	 *  "wanted":["heap",...], "receipt":{...}}: what was asked for and what it cost
	 * (the receipt as `dump --json` prints it).
	 */
	LH_NOTE_CAPTURE = 1,
	/*
	 * [{"start":"0x..","end":"0x..","kind":"heap","perms":"rw-p","name":"...","tid":N,
	 *   "thread_name":"...","context":false}, ...]: the extents in the core. A mapping of which a
	 * part was asked for and a part is context has several entries. "context": taken along for
	 * later analysis, not asked for. "from_file":true: pages of a module, read from its file.
	 */
	LH_NOTE_REGIONS = 2,
	/* [{"start","end","bias"?:"0x..","path","build_id":"hex","deleted":bool}, ...] */
	LH_NOTE_MODULES = 3,
	/* [{"start","end","reason":"swapped|unreadable|vanished|..."}, ...]: bytes that were lost */
	LH_NOTE_GAPS = 4,
	/*
	 * [{"tid":N,"name":"...","partial":false}, ...] in the order of the NT_PRSTATUS notes. "partial": of a
	 * thread that was not stopped, only the stack pointer, the program counter and the arguments of the
	 * system call it slept in are known, the other registers are zero; a thread that ran then has no
	 * NT_PRSTATUS and is not listed.
	 */
	LH_NOTE_THREADS = 5,
	/*
	 * {"key":"0x0123456789abcdef"}: `redact` replaced the texts of this core, which may be of another tool. A hash
	 * of the key: cores with equal hashes have equal texts wherever the originals had.
	 */
	LH_NOTE_REDACTION = 6,
};

#define LH_NOTE_FORMAT 1

/* The index beside a raw dump FILE is FILE.json: {"leakhunt_raw":1, "extents":[{"start","end","offset",
 * "kind","perms","name","context"}], "modules":[...], "gaps":[...], "capture":{...}}. */
#define LH_RAW_INDEX_SUFFIX ".json"
#define LH_RAW_INDEX_FORMAT 1

/* ---------------------------------------------------------------- compressed files */

#define LH_SEEK_SKIPPABLE_MAGIC 0x184D2A5EU
#define LH_SEEK_MAGIC           0x8F92EAB1U
#define LH_SEEK_CHECKSUM_FLAG   0x80U
#define LH_SEEK_RESERVED_BITS   0x7cU
#define LH_SEEK_FOOTER_BYTES    9

#endif
