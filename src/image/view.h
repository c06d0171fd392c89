/*
 * view: what the parts of image share: the image itself, and the steps that an opener is made of.
 * Private to src/image and to tests that open bytes as if they were a file.
 */
#ifndef LEAKHUNT_IMAGE_VIEW_H
#define LEAKHUNT_IMAGE_VIEW_H

#include "compressed.h"
#include "leakhunt/image.h"

struct lh_image {
	enum lh_image_source source;
	char *path;
	char *root;
	pid_t pid;
	bool has_addresses;
	LH_VEC(struct lh_segment) segments; /* ascending, disjoint */
	LH_VEC(struct lh_gap) gaps;         /* once open: lost bytes, ascending and disjoint; then overlaps */
	LH_VEC(struct lh_gap) overlaps;     /* found while opening: readable, but a second header says lost */
	size_t lost_count;                  /* how many gaps are of lost bytes, which no read may cross */
	LH_VEC(struct lh_image_thread) threads;
	struct lh_image_capture capture;
	uint64_t redaction_key; /* lh_image_redaction_key */
	struct lh_module_list modules;
	uint64_t program_addr;       /* AT_PHDR: lies in the program's module; 0 when unknown */
	uint64_t signal_frame_bytes; /* lh_image_signal_frame_bytes */
	char called[64];             /* the name that the program was called by; "" when unknown */
	struct lh_strings_pool strings;

	/* Files and bytes: all of it, mapped or lent. */
	const uint8_t *bytes;
	uint64_t file_bytes;
	void *mapping; /* of file_bytes; NULL when they are lent */
	int guard;     /* of the mapping; -1 when there is none */
	int fd;        /* for finding holes; -1 when there is no file */

	/* Instead of `bytes`, for a compressed file that is read frame by frame. */
	struct lh_frames *frames;
	uint8_t *notes;          /* the notes of such a file; owned */
	uint64_t unpacked_bytes; /* compressed, and unpacked into a temporary file: `bytes` are those */

	/* Live only. */
	const struct lh_process *process;
	struct lh_pagemap *pagemap;
	struct lh_region_list regions;
};

/* From comm and the first argument, NUL-terminated. */
void lh_image_note_called(struct lh_image *image, const char *command, const char *arguments);

/* An empty image. `path` is copied. */
struct lh_error *lh_image_create(enum lh_image_source source, const char *path, struct lh_image **ret) LH_NODISCARD;

/*
 * Detects what `bytes` are (a core, a dump, plain bytes) and fills the image, whose `bytes`, `file_bytes` and `fd` are
 * set. `options` may be NULL.
 */
struct lh_error *lh_image_parse(struct lh_image *image, const struct lh_image_options *options) LH_NODISCARD;

/* Copies bytes of the file, mapped or compressed. False when they do not all lie in it, or are damaged. */
bool lh_image_file_read(const struct lh_image *image, uint64_t offset, void *ret, size_t bytes) LH_NODISCARD;

/* ---------------------------------------------------------------- segments */

/* A segment as a file's headers claim it: `claimed_bytes` from its start should be in the file. */
struct lh_load {
	struct lh_segment segment; /* file_bytes not yet set */
	uint64_t claimed_bytes;
};

struct lh_loads {
	LH_VEC(struct lh_load) loads;
};

void lh_loads_deinit(struct lh_loads *loads);

/*
 * Turns claims into segments: sorted, the later of two overlapping ones trimmed, cut to what the file holds; the rest
 * becomes a gap. Reorders `loads`.
 */
struct lh_error *lh_image_add_loads(struct lh_image *image, struct lh_loads *loads) LH_NODISCARD;

/* Appends a gap; extends the last one if it adjoins for the same reason. Empty ranges are ignored. */
struct lh_error *lh_image_add_gap(struct lh_image *image, uint64_t start, uint64_t end,
				  enum lh_gap_reason reason) LH_NODISCARD;
/* Sorts the gaps, ascending and disjoint, with the overlaps after them. From now on reads respect them. */
struct lh_error *lh_image_order_gaps(struct lh_image *image) LH_NODISCARD;

/* What a note says about an address range. Strings belong to the image. */
struct lh_annotation {
	uint64_t start;
	uint64_t end;
	uint64_t file_offset; /* LH_NO_OFFSET: not said */
	uint8_t protection;
	bool has_protection;
	bool is_context;
	bool is_ended_stack;
	enum lh_region_kind kind;
	const char *name;
	const char *thread_name;
};

struct lh_annotations {
	LH_VEC(struct lh_annotation) items;
};

void lh_annotations_deinit(struct lh_annotations *annotations);

/* Applies them to the segments, which are cut at their borders. Reorders, and drops overlapping ones. */
struct lh_error *lh_image_annotate(struct lh_image *image, struct lh_annotations *annotations) LH_NODISCARD;

/* ---------------------------------------------------------------- present bytes of a file image */

/*
 * The next present bytes of `segment` at or after `*addr`: neither in a gap nor deep in a hole of the
 * sparse file. False when there are none; else the piece, with its end in *ret_end.
 */
bool lh_image_next_present(const struct lh_image *image, const struct lh_segment *segment, uint64_t *addr,
			   uint64_t *ret_end);

/* How many bytes before `addr` (at most `limit`) adjoin it in address and in the file, without gap. */
size_t lh_image_bytes_before(const struct lh_image *image, uint64_t addr, size_t limit);
size_t lh_image_bytes_from(const struct lh_image *image, uint64_t addr, size_t limit);

/* ---------------------------------------------------------------- the kinds of file */

/* Whether the bytes start as an ELF core of any class and byte order. */
bool lh_core_is(const uint8_t *bytes, uint64_t length);
struct lh_error *lh_core_parse(struct lh_image *image) LH_NODISCARD;

/* The text of an index beside a raw file. False, without an error, when it is no index of ours. */
struct lh_error *lh_raw_index_parse(struct lh_image *image, const char *text, size_t length,
				    bool *ret_is_index) LH_NODISCARD;

/* ---------------------------------------------------------------- live */

size_t lh_live_read(const struct lh_image *image, uint64_t addr, void *ret, size_t bytes);
struct lh_error *lh_live_walk(struct lh_image *image, unsigned flags, lh_block_visitor *visit,
			      void *context) LH_NODISCARD;
uint64_t lh_live_walk_bytes(const struct lh_image *image, unsigned flags);

/* lh_memory_reader over an image. */
size_t lh_image_reader(const void *image, uint64_t addr, void *ret, size_t bytes);

static inline bool lh_segment_is_walked(const struct lh_segment *segment, unsigned flags)
{
	return !segment->is_context || (flags & LH_WALK_CONTEXT);
}

/* `bytes` must outlive the image. */
struct lh_error *lh_image_open_bytes(const void *bytes, size_t length, uint64_t base,
				     struct lh_image **ret) LH_NODISCARD;

#endif
