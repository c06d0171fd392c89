/*
 * compressed: random access to a zstd file by its seek table (Zstandard Seekable Format 0.1.0,
 * contrib/seekable_format of zstd: a skippable frame at the end of the file that lists the sizes of
 * all frames). Input: a hostile file; output: its content, or an error that names the frame. Sizes
 * are checked against the file before anything is allocated by them.
 */
#include "compressed.h"

#include "leakhunt/format.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define FRAME_BYTES_MAX (16 * LH_MIB)
#define CACHE_BYTES     (32 * LH_MIB)

enum { SLOTS_MAX = 8, FRAMES_MAX = 1 << 24, HEADER_BYTES = 8 };

/* Where a frame starts, in the file and in the content. One more entry marks the end of both. */
struct frame_start {
	uint64_t file_offset;
	uint64_t content_offset;
};

struct frame_slot {
	size_t frame; /* number; SIZE_MAX: empty */
	uint64_t last_use;
	uint8_t *bytes;
};

struct lh_frames {
	int fd;
	char *what;
	LH_VEC(struct frame_start) starts;
	const char **damages; /* by frame: why it cannot be decoded, a literal; NULL: not known to be damaged */
	uint64_t packed_max;  /* of all frames */
	uint64_t content_max;
	pthread_mutex_t mutex; /* over all below */
	ZSTD_DCtx *context;
	uint8_t *packed;
	struct frame_slot slots[SLOTS_MAX];
	size_t slot_count;
	uint64_t use_count;
	uint64_t decode_count;
};

bool lh_zstd_is(const uint8_t *bytes, size_t length)
{
	struct lh_cursor cursor = lh_cursor_over(bytes, length);
	uint32_t magic = lh_cursor_le32(&cursor);
	return !cursor.failed &&
	       (magic == ZSTD_MAGICNUMBER || (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START);
}

static bool read_fully(int fd, void *ret, size_t bytes, uint64_t offset)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t count = pread(fd, (uint8_t *)ret + done, bytes - done, (off_t)(offset + done));
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return false;
		done += (size_t)count;
	}
	return true;
}

/* ---------------------------------------------------------------- the seek table */

struct table_place {
	uint64_t offset; /* of the skippable frame: all other frames lie before it */
	uint32_t frame_count;
	size_t entry_bytes;
};

/* From the footer at the end of the file: frame count, descriptor, magic number. */
static bool find_table(int fd, uint64_t file_bytes, struct table_place *ret)
{
	uint8_t footer[LH_SEEK_FOOTER_BYTES], header[HEADER_BYTES];
	if (file_bytes < HEADER_BYTES + sizeof(footer) ||
	    !read_fully(fd, footer, sizeof(footer), file_bytes - sizeof(footer)))
		return false;
	struct lh_cursor cursor = lh_cursor_over(footer, sizeof(footer));
	uint32_t frame_count = lh_cursor_le32(&cursor);
	uint8_t descriptor = lh_cursor_u8(&cursor);
	if (lh_cursor_le32(&cursor) != LH_SEEK_MAGIC || descriptor & LH_SEEK_RESERVED_BITS || frame_count > FRAMES_MAX)
		return false;
	size_t entry_bytes = descriptor & LH_SEEK_CHECKSUM_FLAG ? 12 : 8;
	uint64_t table_bytes = (uint64_t)frame_count * entry_bytes + sizeof(footer);
	if (table_bytes + HEADER_BYTES > file_bytes)
		return false;
	uint64_t offset = file_bytes - table_bytes - HEADER_BYTES;
	if (!read_fully(fd, header, sizeof(header), offset))
		return false;
	cursor = lh_cursor_over(header, sizeof(header));
	if (lh_cursor_le32(&cursor) != LH_SEEK_SKIPPABLE_MAGIC || lh_cursor_le32(&cursor) != table_bytes)
		return false;
	*ret = (struct table_place){offset, frame_count, entry_bytes};
	return true;
}

/* False when a frame is too large to keep. */
static bool add_frame(struct lh_frames *frames, uint32_t packed_bytes, uint32_t content_bytes)
{
	struct frame_start *last = &frames->starts.items[frames->starts.count - 1];
	if (content_bytes > FRAME_BYTES_MAX || packed_bytes > ZSTD_compressBound(FRAME_BYTES_MAX))
		return false;
	frames->packed_max = lh_max_u64(frames->packed_max, packed_bytes);
	frames->content_max = lh_max_u64(frames->content_max, content_bytes);
	last[1] = (struct frame_start){last->file_offset + packed_bytes, last->content_offset + content_bytes};
	frames->starts.count++;
	return true;
}

/* *ret_fits: the frames fill the file up to the table. */
static struct lh_error *read_seek_table(struct lh_frames *frames, int fd, const struct table_place *place,
					bool *ret_fits)
{
	size_t bytes = place->frame_count * place->entry_bytes;
	LH_CLEANUP(lh_cleanup_free) uint8_t *table = malloc(bytes + 1);
	if (!table)
		return lh_error_no_memory();
	LH_TRY(lh_vec_reserve(&frames->starts, place->frame_count + 1));
	frames->starts.items[frames->starts.count++] = (struct frame_start){0, 0};
	*ret_fits = read_fully(fd, table, bytes, place->offset + HEADER_BYTES);
	struct lh_cursor cursor = lh_cursor_over(table, bytes);
	for (uint32_t i = 0; *ret_fits && i < place->frame_count; i++) {
		uint32_t packed_bytes = lh_cursor_le32(&cursor), content_bytes = lh_cursor_le32(&cursor);
		(void)lh_cursor_take(&cursor, place->entry_bytes - 8);
		*ret_fits = add_frame(frames, packed_bytes, content_bytes);
	}
	*ret_fits = *ret_fits && frames->starts.items[frames->starts.count - 1].file_offset == place->offset;
	return NULL;
}

/* ---------------------------------------------------------------- opening */

void lh_frames_close(struct lh_frames *frames)
{
	if (!frames)
		return;
	lh_cleanup_close(&frames->fd);
	lh_vec_deinit(&frames->starts);
	free(frames->damages);
	for (size_t i = 0; i < SLOTS_MAX; i++)
		free(frames->slots[i].bytes);
	free(frames->packed);
	ZSTD_freeDCtx(frames->context);
	pthread_mutex_destroy(&frames->mutex);
	free(frames->what);
	free(frames);
}

static void cleanup_frames(struct lh_frames **frames)
{
	lh_frames_close(*frames);
}

static struct lh_error *allocate_compressed(struct lh_frames *frames)
{
	uint64_t slot_bytes = lh_max_u64(frames->content_max, 1);
	frames->slot_count = lh_max_u64(lh_min_u64(CACHE_BYTES / slot_bytes, SLOTS_MAX), 1);
	frames->context = ZSTD_createDCtx();
	frames->packed = malloc(frames->packed_max + 1);
	frames->damages = calloc(frames->starts.count, sizeof(*frames->damages));
	bool is_complete = frames->context && frames->packed && frames->damages;
	for (size_t i = 0; i < frames->slot_count; i++) {
		frames->slots[i] = (struct frame_slot){.frame = SIZE_MAX, .bytes = malloc(slot_bytes)};
		is_complete = is_complete && frames->slots[i].bytes;
	}
	return is_complete ? NULL : lh_error_no_memory();
}

struct lh_error *lh_frames_open(int *fd, const char *what, uint64_t file_bytes, struct lh_frames **ret)
{
	struct table_place place;
	bool fits = false;
	*ret = NULL;
	if (!find_table(*fd, file_bytes, &place))
		return NULL;
	LH_CLEANUP(cleanup_frames) struct lh_frames *frames = calloc(1, sizeof(*frames));
	if (!frames)
		return lh_error_no_memory();
	frames->fd = -1;
	pthread_mutex_init(&frames->mutex, NULL);
	LH_TRY(read_seek_table(frames, *fd, &place, &fits));
	if (!fits)
		return NULL;
	frames->what = strdup(what);
	if (!frames->what)
		return lh_error_no_memory();
	LH_TRY(allocate_compressed(frames));
	frames->fd = *fd;
	*fd = -1;
	*ret = frames;
	frames = NULL;
	return NULL;
}

uint64_t lh_frames_bytes(const struct lh_frames *frames)
{
	return frames->starts.items[frames->starts.count - 1].content_offset;
}

uint64_t lh_frames_decode_count(const struct lh_frames *frames)
{
	return frames->decode_count;
}

/* ---------------------------------------------------------------- reading */

/* The last frame that starts at or before `offset`: not an empty one, if `offset` lies within. */
static size_t frame_at(const struct lh_frames *frames, uint64_t offset)
{
	size_t low = 0, high = frames->starts.count;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (frames->starts.items[middle].content_offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static struct lh_error *damage_error(const struct lh_frames *frames, size_t frame)
{
	return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s is damaged: frame %zu of %zu: %s", frames->what,
					     frame, frames->starts.count - 1, frames->damages[frame]),
			     "if it was copied, compare its size with the original; `zstd -t` tests it");
}

/* Decodes the frame into `ret`. NULL, or what is wrong with it. */
static const char *decode_frame(struct lh_frames *frames, size_t frame, uint8_t *ret)
{
	const struct frame_start *start = &frames->starts.items[frame];
	size_t packed_bytes = start[1].file_offset - start->file_offset;
	size_t content_bytes = start[1].content_offset - start->content_offset;
	if (!read_fully(frames->fd, frames->packed, packed_bytes, start->file_offset))
		return "it cannot be read";
	size_t got = ZSTD_decompressDCtx(frames->context, ret, content_bytes, frames->packed, packed_bytes);
	if (ZSTD_isError(got))
		return ZSTD_getErrorName(got);
	return got == content_bytes ? NULL : "it is shorter than the seek table says";
}

/*
 * The slot that holds the frame; else the least recently used slot, filled with it. A damaged frame is decoded once: a
 * scan may ask for its bytes millions of times.
 */
static struct lh_error *load_compressed(struct lh_frames *frames, size_t frame, const uint8_t **ret)
{
	struct frame_slot *slot = &frames->slots[0];
	for (size_t i = 0; i < frames->slot_count && slot->frame != frame; i++) {
		struct frame_slot *other = &frames->slots[i];
		if (other->frame == frame || other->last_use < slot->last_use)
			slot = other;
	}
	if (slot->frame != frame) {
		if (frames->damages[frame])
			return damage_error(frames, frame);
		slot->frame = SIZE_MAX;
		frames->decode_count++;
		frames->damages[frame] = decode_frame(frames, frame, slot->bytes);
		if (frames->damages[frame])
			return damage_error(frames, frame);
		slot->frame = frame;
	}
	slot->last_use = ++frames->use_count;
	*ret = slot->bytes;
	return NULL;
}

static struct lh_error *read_locked(struct lh_frames *frames, uint64_t offset, uint8_t *ret, size_t bytes)
{
	while (bytes) {
		size_t frame = frame_at(frames, offset);
		const struct frame_start *start = &frames->starts.items[frame];
		const uint8_t *content;
		LH_TRY(load_compressed(frames, frame, &content));
		size_t here = lh_min_u64(bytes, start[1].content_offset - offset);
		/* NOLINTNEXTLINE(clang-analyzer-core.*): set whenever there is no error */
		memcpy(ret, content + (offset - start->content_offset), here);
		offset += here;
		ret += here;
		bytes -= here;
	}
	return NULL;
}

struct lh_error *lh_frames_read(struct lh_frames *frames, uint64_t offset, void *ret, size_t bytes)
{
	uint64_t total = lh_frames_bytes(frames);
	if (offset > total || total - offset < bytes)
		return lh_error_create(LH_ERROR_FORMAT, "%s holds only %llu bytes", frames->what,
				       (unsigned long long)total);
	pthread_mutex_lock(&frames->mutex);
	struct lh_error *error = read_locked(frames, offset, ret, bytes);
	pthread_mutex_unlock(&frames->mutex);
	return error;
}
