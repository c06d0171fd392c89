/*
 * family_sds: the strings of Redis, Valkey and hiredis that are blocks of their own, by shape. Input: all blocks of a
 * program that has other objects of Redis, or the library hiredis.
 *
 * Redis 3.2 to 7.4, Valkey 7.2 and 8.0, hiredis 0.14 to 1.2, src/sds.h: a string is {[length; room;] uint8_t flags;
 * text; NUL}. Flags are the type: 1 to 4 with lengths of 1, 2, 4 and 8 bytes. Type 0, without lengths, has its length
 * in the upper bits of the flags.
 *
 * Self-check: the lengths agree with the block and the NUL. Of type 0, the text has no NUL of its own. Other texts do
 * not begin with zeros: a number with zeros behind it looks the same.
 */
#include "families.h"

#include <string.h>

enum { TYPE_MASK = 7, TYPE_MAX = 4, TYPE_SHIFT = 3, SHORT_MAX = 31, HEAD_MAX = 17 };

/* The usable bytes of a block: sizes of glibc count what malloc keeps in front of it. */
struct sds_block {
	struct lh_image *image;
	uint64_t addr;
	uint64_t bytes;
};

/* malloc gives up to a quarter more than it is asked for: classes of jemalloc; glibc at most 23 bytes. */
static bool fits_sds(const struct sds_block *block, uint64_t wanted)
{
	enum { SLACK_MAX = 23 };
	return wanted <= block->bytes && block->bytes - wanted <= SLACK_MAX + wanted / 4;
}

static bool ends_text(const struct sds_block *block, uint64_t at)
{
	uint8_t end;
	return lh_image_read(block->image, block->addr + at, &end, 1) == 1 && !end;
}

static bool is_short_sds(const struct sds_block *block, const uint8_t *head, size_t got)
{
	size_t length = head[0] >> TYPE_SHIFT;
	return !(head[0] & TYPE_MASK) && length && got > length + 1 && fits_sds(block, length + 2) &&
	       !memchr(head + 1, 0, length) && !head[1 + length];
}

static bool begins_with_nuls(const uint8_t *text, uint64_t length)
{
	static const uint8_t zeros[8];
	return length >= sizeof(zeros) && memcmp(text, zeros, sizeof(zeros)) == 0;
}

static bool is_sized_sds(const struct sds_block *block, const uint8_t *head, size_t got, unsigned type)
{
	size_t width = (size_t)1 << (type - 1);
	uint64_t length = 0, room = 0;
	if (got < 2 * width + 1 || (head[2 * width] & TYPE_MASK) != type || head[2 * width] > TYPE_MASK)
		return false;
	memcpy(&length, head, width);
	memcpy(&room, head + width, width);
	if (begins_with_nuls(head + 2 * width + 1, length))
		return false;
	return length <= room && room && room < block->bytes && fits_sds(block, room + 2 * width + 2) &&
	       ends_text(block, 2 * width + 1 + length);
}

static bool is_sds(const struct sds_block *block)
{
	uint8_t head[SHORT_MAX + 2] = {0};
	_Static_assert(sizeof(head) >= HEAD_MAX + 8, "the longest head, and what its text begins with");
	size_t got = lh_image_read(block->image, block->addr, head, lh_min_u64(sizeof(head), block->bytes));
	if (got < 2)
		return false;
	for (unsigned type = 1; type <= TYPE_MAX; type++) {
		if (is_sized_sds(block, head, got, type))
			return true;
	}
	return is_short_sds(block, head, got);
}

static bool has_sds(const struct lh_family_end *end)
{
	const struct lh_module_list *list = lh_image_modules(end->image);
	for (size_t i = 0; i < list->modules.count; i++) {
		const char *path = list->modules.items[i].path, *slash = strrchr(path, '/');
		if (strncmp(slash ? slash + 1 : path, "libhiredis", strlen("libhiredis")) == 0)
			return true;
	}
	return lh_object_sink_count(end->sink, "Redis", "string in its object") > 0;
}

static struct lh_error *find_sds(const struct lh_family_end *end)
{
	size_t count = 0;
	const struct lh_stored_chunk *chunks = end->heap ? lh_heap_stored_chunks(end->heap, &count) : NULL;
	if (!count || !has_sds(end))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const struct lh_heap_type *type;
		struct sds_block block = {end->image, chunks[i].addr, chunks[i].size_bytes};
		if (chunks[i].state != LH_CHUNK_USED || lh_heap_chunk_type(end->heap, i, &type) || !is_sds(&block))
			continue;
		struct lh_chunk chunk = lh_object_chunk_at(end->heap, i);
		struct lh_object_claim claim = {.name = "sds", .addr = chunk.memory_addr, .bytes = chunk.size_bytes};
		LH_TRY(lh_object_sink_add(end->sink, &claim));
	}
	return NULL;
}

const struct lh_object_family lh_family_sds = {
	.kind = "Redis",
	.finish = find_sds,
};
