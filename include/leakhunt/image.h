/*
 * image: one view of any memory. A live process, a leakhunt dump, a core of gcore, the kernel or systemd-coredump, a
 * raw file, and a byte array all become ordered segments, modules, threads and `read`. The modules above it (symbols,
 * sweep, heap, objects, graph, scan) know only this view.
 *
 * Only image turns a target address into local bytes. Files are hostile: every offset and count is checked. It never
 * writes to what it opens.
 */
#ifndef LEAKHUNT_IMAGE_H
#define LEAKHUNT_IMAGE_H

#include "leakhunt/gap.h"
#include "leakhunt/modules.h"
#include "leakhunt/owner.h"
#include "leakhunt/pages.h"
#include "leakhunt/regions.h"

enum lh_image_source {
	LH_IMAGE_DUMP,    /* an ELF core with notes of vendor "leakhunt" */
	LH_IMAGE_CORE,    /* any other ELF core */
	LH_IMAGE_RAW,     /* any other file: addresses are file offsets unless an index or base gives them */
	LH_IMAGE_PROCESS, /* a live process */
	LH_IMAGE_BYTES,   /* a byte array: tests and fuzzers */
};

const char *lh_image_source_name(enum lh_image_source source); /* "leakhunt dump", "core", "raw file", ... */

#define LH_NO_OFFSET UINT64_MAX

/* One address range with one protection, kind and name. Strings belong to the image. */
struct lh_segment {
	uint64_t start;
	uint64_t end;
	uint64_t file_offset; /* of `start`; LH_NO_OFFSET if the bytes are not in a file */
	uint64_t file_bytes;  /* bytes that the file holds, from the start; the rest is a gap */
	uint8_t protection;
	bool is_context;     /* added for later analysis, not requested */
	bool is_ended_stack; /* stack of a thread that has ended, of kind LH_REGION_ANON */
	enum lh_region_kind kind;
	const char *name;        /* path or [name]; "" when anonymous or unknown */
	const char *thread_name; /* "" when not known */
};

struct lh_image;

struct lh_image_options {
	uint64_t raw_base; /* the address of the first byte of a raw file that has no index */
	bool raw;          /* take the file as plain bytes even if it is a core: GNU strings' view */
};

/* Whether the file begins like one compressed with zstd; false if it cannot be read. */
bool lh_image_file_is_compressed(const char *path);

/*
 * Opens a regular file and detects its format. An empty file is an image of 0 bytes. A core whose program headers reach
 * past the end of the file opens with gaps ("truncated"); a core with invalid headers is LH_ERROR_FORMAT, and so are
 * directories, fifos and devices.
 *
 * A file compressed with zstd is read as its contents (except with `raw`): if it has a seek table, as dumps have, frame
 * by frame as needed; otherwise it is unpacked into a temporary file first. A damaged one is LH_ERROR_FORMAT.
 *
 * `options` may be NULL.
 */
struct lh_error *lh_image_open_file(const char *path, const struct lh_image_options *options,
				    struct lh_image **ret) LH_NODISCARD;
/* The same for an open file, which may have no name yet; not for a compressed one. `name` is for messages. */
struct lh_error *lh_image_open_descriptor(int fd, const char *name, struct lh_image **ret) LH_NODISCARD;
/*
 * A live view: bytes may change between two reads. The process must outlive it. Swapped pages are gaps. Segments are
 * the readable regions. By default a walk visits private anonymous memory of every kind (heap, arenas, chunks, stacks,
 * anon); the rest is context.
 */
struct lh_error *lh_image_open_process(const struct lh_process *process, struct lh_image **ret) LH_NODISCARD;
/*
 * From now on exactly the bytes in `wanted` (ascending, disjoint, page-aligned) count as requested; the rest is
 * context. For a live process only: segments of a file have offsets, which this does not cut. Invalidates pointers to
 * segments.
 */
struct lh_error *lh_image_narrow(struct lh_image *image, const struct lh_range *wanted, size_t count) LH_NODISCARD;
void lh_image_close(struct lh_image *image);
void lh_cleanup_image(struct lh_image **image);

enum lh_image_source lh_image_source(const struct lh_image *image);
const char *lh_image_path(const struct lh_image *image);    /* file name, or "pid N" */
pid_t lh_image_pid(const struct lh_image *image);           /* 0 when unknown */
bool lh_image_has_addresses(const struct lh_image *image);  /* false: "addresses" are file offsets */
uint64_t lh_image_file_bytes(const struct lh_image *image); /* size of the file; 0 when live */

const struct lh_segment *lh_image_segments(const struct lh_image *image, size_t *ret_count); /* ascending */
/* Gives segments of private anonymous memory the kind of the owner that has most of them. */
void lh_image_take_owners(struct lh_image *image, const struct lh_owners *owners);
const struct lh_module_list *lh_image_modules(const struct lh_image *image);
/*
 * For people: a file's name without its folders; for the program, the name that it was called by where that is another:
 * "redis-server" of /usr/bin/redis-check-rdb. Raw bytes; belongs to the image or to the module.
 */
const char *lh_image_module_name(const struct lh_image *image, const struct lh_module *module);
/*
 * Lost bytes as far as known, ascending (for a live process: what the latest walk missed). "not dumped" are bytes that
 * the file's own headers omit, as cores do with unmodified text. Reason "overlap" comes last: readable, but several
 * program headers claim these addresses.
 */
const struct lh_gap *lh_image_gaps(const struct lh_image *image, size_t *ret_count);

/*
 * What is missing unexpectedly: the gaps except "not dumped" and "overlap", and, last, what was cut off a file while it
 * was read, which reads as zeros in whole pages.
 */
struct lh_loss {
	size_t count;
	uint64_t bytes;
	enum lh_gap_reason reason; /* of the first one; meaningless if there is none */
};
struct lh_loss lh_image_loss(const struct lh_image *image);
const struct lh_segment *lh_image_find(const struct lh_image *image, uint64_t addr); /* or NULL */
/* General registers of a thread, as in NT_PRSTATUS. */
struct lh_image_thread {
	pid_t tid;
	const char *name;       /* "" when unknown */
	uint64_t stack_pointer; /* 0 when unknown */
	uint64_t pc;
	uint64_t fs_base;         /* x86_64: the thread control block */
	const uint8_t *registers; /* struct user_regs_struct, or NULL; belongs to the image */
	size_t registers_bytes;
};
const struct lh_image_thread *lh_image_threads(const struct lh_image *image, size_t *ret_count);

/* What a leakhunt dump says about how it was made; zeros for all other images. */
struct lh_image_capture {
	const char *mode; /* "snapshot", "live"; NULL: not known */
	/* Resident memory of the process that was not requested. */
	uint64_t left_out_bytes[LH_REGION_KIND_COUNT];
};
const struct lh_image_capture *lh_image_capture(const struct lh_image *image);
/* The module of the program itself, by AT_PHDR; NULL: not known. */
const struct lh_module *lh_image_program(const struct lh_image *image);
/* What the kernel needs of a stack to deliver a signal (AT_MINSIGSTKSZ, Linux 5.14 on x86_64); 0: not known. */
uint64_t lh_image_signal_frame_bytes(const struct lh_image *image);

/* For a core made by `redact`: a hash of its key, the same for all cores with that key. 0: any other core. */
uint64_t lh_image_redaction_key(const struct lh_image *image);

/* Prefix for opening module paths: "" for files, "/proc/PID/root" when live. */
const char *lh_image_root(const struct lh_image *image);
/*
 * Opens the very file that a live process has mapped as `module`, even if it was removed or replaced. The caller closes
 * it. -1 if there is none, and for all other images.
 */
int lh_image_open_module(const struct lh_image *image, const struct lh_module *module);
/* Size of the temporary file into which a compressed file had to be unpacked; else 0. */
uint64_t lh_image_unpacked_bytes(const struct lh_image *image);

/* Copies bytes at `addr`, across adjoining segments; returns how many before the first gap. */
size_t lh_image_read(const struct lh_image *image, uint64_t addr, void *ret, size_t bytes);

/*
 * The bytes at `addr` without copying, up to the end of the segment's file bytes, valid until the image is closed. NULL
 * (and *ret_bytes 0) in a gap, or if the image is live or read frame by frame.
 */
const uint8_t *lh_image_view(const struct lh_image *image, uint64_t addr, size_t *ret_bytes);

/*
 * Appends the present parts of `range`, ascending: resident pages of a live process, bytes that a file holds. Pages
 * that a dump omits because they were never touched, or given back, are not present.
 */
struct lh_error *lh_image_find_present(const struct lh_image *image, struct lh_range range,
				       struct lh_page_runs *ret) LH_NODISCARD;

/* ---------------------------------------------------------------- walking all bytes */

/*
 * A piece of memory for scanners. The piece owns data[0, bytes). data[-bytes_before, 0) and data[bytes, bytes +
 * bytes_after) are readable, too, for matches that straddle pieces. `is_continued`: the previous block owned the byte
 * before `addr`.
 */
struct lh_block {
	uint64_t addr;
	uint64_t file_offset; /* LH_NO_OFFSET when live */
	const uint8_t *data;
	size_t bytes;
	size_t bytes_before;
	size_t bytes_after;
	bool is_continued;
	bool is_brief; /* freed when its stripe is done (sweep.h): keep no pointer into it */
	const struct lh_segment *segment;
};

enum lh_walk_flags {
	LH_WALK_CONTEXT = 1, /* context segments, too */
};

/* How far a match may look beyond its block if memory goes on there. */
#define LH_BLOCK_OVERLAP ((size_t)64 * 1024)

/*
 * Visits all present bytes in ascending address order. Skips holes of a sparse file and absent pages; adjoining
 * segments continue each other. Files give mapped blocks. Live processes and compressed files give blocks of at most 4
 * MiB + overlap that are freed after the visit. `visit` returns an error to stop the walk.
 */
typedef struct lh_error *lh_block_visitor(void *context, const struct lh_block *block);
struct lh_error *lh_image_walk(struct lh_image *image, unsigned flags, lh_block_visitor *visit,
			       void *context) LH_NODISCARD;
/* Whether blocks of a walk stay valid until the image is closed: mapped files and bytes. */
bool lh_image_blocks_stay(const struct lh_image *image);
/*
 * Drops the pages that lie wholly within a block, or within a part of one, from the mapping of the file (madvise(2),
 * MADV_DONTNEED); reading them again brings them back. Threads that finish parts share the work that munmap(2) would do
 * alone at the end, and page tables stay small. Thread-safe. Does nothing for images that are not mapped: bytes, live
 * processes, compressed files.
 */
void lh_image_let_go(const struct lh_image *image, const struct lh_block *block);
/* How many bytes a walk will visit: an upper bound for a live process. */
uint64_t lh_image_walk_bytes(const struct lh_image *image, unsigned flags);

#endif
