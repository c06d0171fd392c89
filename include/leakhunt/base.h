/*
 * base: what every module stands on: errors, cleanup guards, vectors, text buffers, checked
 * arithmetic, a bounded cursor over hostile bytes, parsing and formatting of the units people type,
 * and output files that appear under their name only when they are complete.
 *
 * Nothing here knows of processes, memory images or the command line.
 */
#ifndef LEAKHUNT_BASE_H
#define LEAKHUNT_BASE_H

#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define LH_NODISCARD                         __attribute__((warn_unused_result))
#define LH_NONNULL                           __attribute__((returns_nonnull))
#define LH_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))

/* Runs `function(&variable)` when the variable leaves its scope. */
#define LH_CLEANUP(function) __attribute__((cleanup(function)))

#define LH_ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LH_KIB                ((uint64_t)1024)
#define LH_MIB                (1024 * LH_KIB)
#define LH_GIB                (1024 * LH_MIB)
#define LH_NS_PER_S           ((uint64_t)1000000000)
#define LH_NS_PER_MS          ((uint64_t)1000000)

/* ---------------------------------------------------------------- errors */

/*
 * A failed operation. NULL is success. The receiver owns it: returns or destroys it. Loss (an unreadable page, a
 * mapping that vanished) is never an error: it is data in the result.
 */
struct lh_error;

enum lh_error_code {
	LH_ERROR_USAGE,       /* the caller's input is wrong: an option, an operand, a range */
	LH_ERROR_NO_MEMORY,   /* leakhunt itself ran out of memory */
	LH_ERROR_NO_PROCESS,  /* the process does not exist, or has ended meanwhile */
	LH_ERROR_CHANGED,     /* the pid now runs something else: it called exec */
	LH_ERROR_PERMISSION,  /* the kernel refused */
	LH_ERROR_FORMAT,      /* a file is malformed: truncated, corrupt, of another kind */
	LH_ERROR_EXISTS,      /* the output exists and must not be overwritten */
	LH_ERROR_NO_SPACE,    /* the disk is full or too small */
	LH_ERROR_UNSUPPORTED, /* this kernel or this kind of target cannot do it */
	LH_ERROR_INTERRUPTED, /* Ctrl-C, before there was a result */
	LH_ERROR_SYSTEM,      /* any other system call that failed */
};

/* Never NULL: without memory, a static no-memory error is returned. */
struct lh_error *lh_error_create(enum lh_error_code code, const char *format, ...)
	LH_PRINTF(2, 3) LH_NODISCARD LH_NONNULL;

/*
 * The code follows from `saved_errno` (ESRCH: NO_PROCESS, EPERM/EACCES: PERMISSION, ENOSPC/EDQUOT:
 * NO_SPACE, EEXIST: EXISTS, ENOMEM: NO_MEMORY, else SYSTEM); the message ends ": <strerror>".
 */
struct lh_error *lh_error_from_errno(int saved_errno, const char *format, ...) LH_PRINTF(2, 3) LH_NODISCARD LH_NONNULL;

/* Sets what the user can do about it; replaces an earlier hint. Returns `error`. */
struct lh_error *lh_error_hint(struct lh_error *error, const char *format, ...) LH_PRINTF(2, 3) LH_NODISCARD LH_NONNULL;

/* The static error for a failed allocation; destroying it is harmless. */
struct lh_error *lh_error_no_memory(void) LH_NODISCARD LH_NONNULL;

enum lh_error_code lh_error_code(const struct lh_error *error);
const char *lh_error_message(const struct lh_error *error);   /* one line, never NULL */
const char *lh_error_hint_text(const struct lh_error *error); /* one line, or NULL */
void lh_error_destroy(struct lh_error *error);                /* NULL is legal */

/* Returns the error of `call` from the calling function, if there is one. */
#define LH_TRY(call)                                     \
	do {                                             \
		struct lh_error *lh_try_error_ = (call); \
		if (lh_try_error_)                       \
			return lh_try_error_;            \
	} while (0)

/* ---------------------------------------------------------------- cleanup guards */

void lh_cleanup_free(void *pointer_to_pointer); /* LH_CLEANUP(lh_cleanup_free) char *text */
void lh_cleanup_close(int *fd);                 /* closes an fd that is >= 0 */
void lh_cleanup_dir(DIR **folder);              /* closes one that is not NULL */
void lh_cleanup_stream(FILE **stream);          /* likewise */
void lh_cleanup_error(struct lh_error **error); /* destroys it */

/* ---------------------------------------------------------------- vectors */

/* A growable array. Zero-initialized is empty. Owns `items`: free with lh_vec_deinit. */
#define LH_VEC(type)             \
	struct {                 \
		type *items;     \
		size_t count;    \
		size_t capacity; \
	}

/*
 * Room for `extra` more items of `item_bytes` after the first `count`. Returns the (moved) array and
 * updates `*capacity`, or NULL with everything as it was when memory runs out or the size overflows.
 */
void *lh_vec_grown(void *items, size_t *capacity, size_t count, size_t extra, size_t item_bytes) LH_NODISCARD;

#define lh_vec_reserve(vec, extra)                                                                                  \
	({                                                                                                          \
		void *lh_vec_items_ =                                                                               \
			lh_vec_grown((vec)->items, &(vec)->capacity, (vec)->count, (extra), sizeof(*(vec)->items)); \
		if (lh_vec_items_)                                                                                  \
			(vec)->items = lh_vec_items_;                                                               \
		lh_vec_items_ ? NULL : lh_error_no_memory();                                                        \
	})

/* Appends a copy of the item; evaluates to NULL or an error that must be handled. */
#define lh_vec_push(vec, ...)                                              \
	({                                                                 \
		struct lh_error *lh_vec_error_ = lh_vec_reserve((vec), 1); \
		if (!lh_vec_error_)                                        \
			(vec)->items[(vec)->count++] = (__VA_ARGS__);      \
		lh_vec_error_;                                             \
	})

#define lh_vec_deinit(vec)                          \
	do {                                        \
		free((vec)->items);                 \
		(vec)->items = NULL;                \
		(vec)->count = (vec)->capacity = 0; \
	} while (0)

/* qsort must not be called with NULL, which an empty vector has. */
#define lh_vec_sort(vec, compare)                                                            \
	do {                                                                                 \
		if ((vec)->count)                                                            \
			qsort((vec)->items, (vec)->count, sizeof(*(vec)->items), (compare)); \
	} while (0)

/*
 * How many items at the front of an array satisfy a condition that all later ones do not: a binary search. The
 * condition uses a pointer named `item`: lh_count_before(ranges, count, item, item->end <= addr).
 */
#define lh_count_before(items_, count_, item, condition)                        \
	({                                                                      \
		size_t lh_low_ = 0, lh_high_ = (count_);                        \
		while (lh_low_ < lh_high_) {                                    \
			size_t lh_middle_ = lh_low_ + (lh_high_ - lh_low_) / 2; \
			__auto_type item = &(items_)[lh_middle_];               \
			if (condition)                                          \
				lh_low_ = lh_middle_ + 1;                       \
			else                                                    \
				lh_high_ = lh_middle_;                          \
		}                                                               \
		lh_low_;                                                        \
	})

/* The same for a vector. */
#define lh_vec_count_before(vec, item, condition) lh_count_before((vec)->items, (vec)->count, item, condition)

/* ---------------------------------------------------------------- text buffers */

/*
 * Growing text. Zero-initialized is empty. `data` is NUL-terminated once something was appended. A failed append sets
 * `failed`, and later ones do nothing: writers check once, at the end.
 */
struct lh_buffer {
	char *data;
	size_t length; /* bytes, without the NUL */
	size_t capacity;
	bool failed;
};

void lh_buffer_append(struct lh_buffer *buffer, const void *bytes, size_t length);
void lh_buffer_puts(struct lh_buffer *buffer, const char *text);
void lh_buffer_printf(struct lh_buffer *buffer, const char *format, ...) LH_PRINTF(2, 3);

/*
 * Appends bytes of a target or of a file name so that they are harmless on a terminal and valid in JSON. Printable
 * ASCII and valid UTF-8 pass. Control characters (C0, DEL, C1), bidirectional overrides (U+202A..E, U+2066..9), line
 * separators and invalid bytes become \xNN per byte. A backslash becomes \\. The result is always valid UTF-8.
 */
void lh_buffer_escape(struct lh_buffer *buffer, const void *bytes, size_t length);

/* Whether lh_buffer_escape replaces this character, except for the backslash. */
bool lh_character_is_harmful(uint32_t character);

/* NULL when every append succeeded. */
struct lh_error *lh_buffer_status(const struct lh_buffer *buffer) LH_NODISCARD;
void lh_buffer_deinit(struct lh_buffer *buffer);

/*
 * The length in bytes of the valid UTF-8 sequence at `bytes` (1 to 4), or 0 if there is none: overlong forms,
 * surrogates and values above U+10FFFF are invalid (RFC 3629). `ret` may be NULL.
 */
size_t lh_utf8_decode(const uint8_t *bytes, size_t length, uint32_t *ret);

/* ---------------------------------------------------------------- owned strings */

/* Keeps copies of strings until it is deinitialized; equal neighbors share one copy. */
struct lh_strings_pool {
	LH_VEC(char *) blocks;
	size_t used_bytes; /* in the last block */
	size_t block_bytes;
	const char *last;
};

/* `*ret` is NUL-terminated and lives as long as the pool. `text` need not be terminated. */
struct lh_error *lh_strings_pool_add(struct lh_strings_pool *pool, const char *text, size_t length,
				     const char **ret) LH_NODISCARD;
void lh_strings_pool_deinit(struct lh_strings_pool *pool);

/* ---------------------------------------------------------------- bounded cursor */

/* Reads hostile bytes front to back. A read past `end` yields 0 or NULL and sets `failed` permanently. */
struct lh_cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

struct lh_cursor lh_cursor_over(const void *bytes, size_t length);
size_t lh_cursor_left(const struct lh_cursor *cursor);
const uint8_t *lh_cursor_take(struct lh_cursor *cursor, size_t length); /* the bytes, or NULL */
uint8_t lh_cursor_u8(struct lh_cursor *cursor);
uint16_t lh_cursor_be16(struct lh_cursor *cursor);
uint32_t lh_cursor_be24(struct lh_cursor *cursor);
uint32_t lh_cursor_be32(struct lh_cursor *cursor);
uint32_t lh_cursor_le32(struct lh_cursor *cursor);
uint64_t lh_cursor_le64(struct lh_cursor *cursor);
/* Skips to a multiple of `alignment` (a power of two) counted from `origin`. */
void lh_cursor_align(struct lh_cursor *cursor, const uint8_t *origin, size_t alignment);

/* ---------------------------------------------------------------- checked arithmetic */

/* True, with the result in *ret, if it fits; false on overflow, with *ret untouched. */
bool lh_add_u64(uint64_t a, uint64_t b, uint64_t *ret) LH_NODISCARD;
bool lh_mul_u64(uint64_t a, uint64_t b, uint64_t *ret) LH_NODISCARD;

static inline uint64_t lh_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t lh_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* For qsort and the like: negative, 0 or positive. */
static inline int lh_compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* The smallest page of any Linux target; others are multiples. */
#define LH_PAGE_BYTES ((uint64_t)4096)

/* `alignment` is a power of two. */
static inline uint64_t lh_align_down(uint64_t value, uint64_t alignment)
{
	return value & ~(alignment - 1);
}

/* Numbers in the target's byte order, which is leakhunt's own, at any alignment. */
static inline uint64_t lh_load_u64(const uint8_t *bytes, size_t offset)
{
	uint64_t value;
	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

static inline uint32_t lh_load_u32(const uint8_t *bytes, size_t offset)
{
	uint32_t value;
	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

static inline uint16_t lh_load_u16(const uint8_t *bytes, size_t offset)
{
	uint16_t value;
	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

/* `value` must be at most UINT64_MAX - alignment + 1. */
static inline uint64_t lh_align_up(uint64_t value, uint64_t alignment)
{
	return lh_align_down(value + alignment - 1, alignment);
}

/* A half-open range of target addresses. */
struct lh_range {
	uint64_t start;
	uint64_t end;
};

static inline uint64_t lh_range_bytes(struct lh_range range)
{
	return range.end - range.start;
}

/* Comparators for qsort: two struct lh_range by start; two uint64_t. */
int lh_compare_range_starts(const void *a, const void *b);
int lh_compare_words(const void *a, const void *b);

/*
 * Sorts ranges by their start, and joins those that overlap or are at most `gap_bytes` apart. Returns how many are
 * left, at the beginning of `ranges`. `ranges` may be NULL if `count` is 0.
 */
size_t lh_range_join_all(struct lh_range *ranges, size_t count, uint64_t gap_bytes);

/* ---------------------------------------------------------------- parsing what people type */

/* The whole text must be consumed. Errors are LH_ERROR_USAGE and name the text. */
struct lh_error *lh_parse_u64(const char *text, uint64_t *ret) LH_NODISCARD;          /* decimal or 0x hex */
struct lh_error *lh_parse_address(const char *text, uint64_t *ret) LH_NODISCARD;      /* hex, with or without 0x */
struct lh_error *lh_parse_bytes(const char *text, uint64_t *ret) LH_NODISCARD;        /* 4096, 64K, 10M, 1.5GiB */
struct lh_error *lh_parse_duration(const char *text, uint64_t *ret_ns) LH_NODISCARD;  /* 500ms, 2s, 2, 1.5h, 3d */
struct lh_error *lh_parse_range(const char *text, struct lh_range *ret) LH_NODISCARD; /* 0xA-0xB, A-B in hex */

/* ---------------------------------------------------------------- formatting for people */

#define LH_FORMAT_MAX 32 /* size of `ret` of all these functions, with the NUL */

/* "0 B", "512 B", "12.3 KiB", "4.0 GiB": three significant digits, powers of 1024. Returns `ret`. */
const char *lh_format_bytes(uint64_t bytes, char ret[LH_FORMAT_MAX]);
const char *lh_format_signed_bytes(int64_t bytes, char ret[LH_FORMAT_MAX]); /* "+1.2 MiB", "-4.0 KiB", "0 B" */
const char *lh_format_duration(uint64_t ns, char ret[LH_FORMAT_MAX]);       /* "850 us", "1.4 ms", "12.0 s", "3h 12m" */
const char *lh_format_count(uint64_t count, char ret[LH_FORMAT_MAX]);       /* "1,234,567" */
/* "under 1 %", "84 %", "over 99 %": whole percents, rounded down. `chance` is from 0 to 1. */
const char *lh_format_chance(double chance, char ret[LH_FORMAT_MAX]);

/* ---------------------------------------------------------------- clocks */

uint64_t lh_clock_monotonic_ns(void);   /* CLOCK_MONOTONIC: for durations */
uint64_t lh_clock_thread_cpu_ns(void);  /* CPU time of this thread, user and system */
uint64_t lh_clock_process_cpu_ns(void); /* CPU time of all threads of leakhunt */
uint64_t lh_clock_realtime_ns(void);    /* CLOCK_REALTIME, since 1970: for time stamps */
uint64_t lh_clock_boottime_ns(void);    /* CLOCK_BOOTTIME: goes on while the machine sleeps */

/* CPUs that this process may run on (sched_getaffinity(2)), at least 1. */
unsigned lh_usable_processors(void);

/* ---------------------------------------------------------------- files */

/* st_blocks counts units of this size, whatever the file system's block is (stat(2)). */
#define LH_STAT_BLOCK_BYTES 512

/* Reads a whole regular file or pipe into `*ret`. More than `max_bytes` is LH_ERROR_FORMAT. */
struct lh_error *lh_file_read(const char *path, uint64_t max_bytes, struct lh_buffer *ret) LH_NODISCARD;

/*
 * Opens a path below a root, never beyond it: symbolic links in a target's file system cannot lead out of it
 * (openat2(2), Linux 5.6; older kernels cannot prevent it). Returns a descriptor, which the caller owns, or -1 with
 * errno.
 */
typedef int lh_open_call(int root_fd, const char *path, int flags);
lh_open_call lh_open_below;

/* Reads from `fd` to its end, appending to `*ret`. `what` names it in errors. */
struct lh_error *lh_fd_read_all(int fd, const char *what, uint64_t max_bytes, struct lh_buffer *ret) LH_NODISCARD;

/* Writes all of it at the file position, or at `offset`, retrying short writes and EINTR. */
struct lh_error *lh_fd_write_all(int fd, const char *what, const void *bytes, size_t length) LH_NODISCARD;
struct lh_error *lh_fd_pwrite_all(int fd, const char *what, const void *bytes, size_t length,
				  uint64_t offset) LH_NODISCARD;

/*
 * Opens the file of `fd` again, for writes that bypass the page cache (open(2), O_DIRECT). Offsets, lengths and
 * addresses must be multiples of the file system's block. -1 if the file system does not support it. The caller closes
 * it.
 */
int lh_fd_open_direct(int fd);

/*
 * Like lh_fd_pwrite_all, for a descriptor of lh_fd_open_direct. *ret_is_refused: the file system's block is larger;
 * some of the bytes may have been written.
 */
struct lh_error *lh_fd_pwrite_direct(int fd, const char *what, const void *bytes, size_t length, uint64_t offset,
				     bool *ret_is_refused) LH_NODISCARD;

/*
 * A file with mode 0600 that gets its name only when it is complete. Before, it has no name (O_TMPFILE), or
 * ".NAME.PID.tmp" beside it if the file system does not support that. The final name never shows a half-written file.
 */
struct lh_outfile;

/*
 * LH_ERROR_EXISTS if `path` exists and `replace` is false (checked again at commit, without a race). LH_ERROR_USAGE if
 * it is a directory.
 */
struct lh_error *lh_outfile_create(const char *path, bool replace, struct lh_outfile **ret) LH_NODISCARD;
/* The same, but always with the temporary name: for outputs that take hours and are worth finding after a crash. */
struct lh_error *lh_outfile_create_early(const char *path, bool replace, struct lh_outfile **ret) LH_NODISCARD;
/*
 * Checks whether lh_outfile_create would succeed, without creating anything; same errors. *ret_free_bytes: what an
 * unprivileged writer may still use there.
 */
struct lh_error *lh_outfile_check(const char *path, bool replace, uint64_t *ret_free_bytes) LH_NODISCARD;
/* A file without a name, gone when closed: in the outfile's folder, or in any. The caller owns the fd. */
struct lh_error *lh_outfile_spool(const struct lh_outfile *file, int *ret_fd) LH_NODISCARD;
struct lh_error *lh_unnamed_file(const char *folder, int *ret_fd) LH_NODISCARD;
int lh_outfile_fd(const struct lh_outfile *file);
const char *lh_outfile_path(const struct lh_outfile *file);
/* Bytes that an unprivileged writer may still use on that file system. */
struct lh_error *lh_outfile_free_bytes(const struct lh_outfile *file, uint64_t *ret) LH_NODISCARD;
/* Gives the file its name. It stays open until destroyed. */
struct lh_error *lh_outfile_commit(struct lh_outfile *file) LH_NODISCARD;
/*
 * Gives both files their names, or neither. If the second fails, the file that the first one replaced is restored,
 * except on file systems that cannot exchange two names (renameat2(2), RENAME_EXCHANGE).
 */
struct lh_error *lh_outfile_commit_both(struct lh_outfile *first, struct lh_outfile *second) LH_NODISCARD;
/* Discards everything written unless it was committed. NULL is legal. */
void lh_outfile_destroy(struct lh_outfile *file);
void lh_cleanup_outfile(struct lh_outfile **file);

/* ---------------------------------------------------------------- progress */

/*
 * Called several times a second during a long operation; false asks to stop (LH_ERROR_INTERRUPTED). Counts are bytes,
 * unless the operation says otherwise. It may be called from a separate thread, so that a blocking terminal does not
 * hold up the work.
 */
typedef bool lh_progress(void *context, uint64_t done, uint64_t total);

/* ---------------------------------------------------------------- settings */

/* What the user's environment says. Texts are borrowed and must outlive all use. Only cli reads the environment. */
struct lh_settings {
	const char *temporary_folder; /* TMPDIR; lh_settings never returns an empty one: "/tmp" instead */
	const char *kernel;           /* LEAKHUNT_KERNEL: name of the SIMD kernel to use; NULL: the best */
	bool has_debug_servers;       /* DEBUGINFOD_URLS names servers, which libdebuginfod asks */
};

/* Call before other threads start. */
void lh_settings_set(const struct lh_settings *values);
const struct lh_settings *lh_settings(void);

/* ---------------------------------------------------------------- machine code */

/*
 * Whether the x86-64 function of `bytes` bytes at `addr` only returns an address: [endbr64] lea X(%rip),%rax; ret. An
 * exported function of this kind names the table at X.
 */
bool lh_code_returned_address(const uint8_t *code, size_t bytes, uint64_t addr, uint64_t *ret);

#endif
