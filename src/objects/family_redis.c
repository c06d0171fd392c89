/*
 * family_redis: strings of Redis that lie in their objects, by the pointer from an object to its own inside.
 *
 * Redis 3.0 to 7.4, Valkey 7.2 and 8.0, src/server.h, struct redisObject: {unsigned type:4, encoding:4, lru:24; int
 * refcount; void *ptr@8}. With OBJ_ENCODING_EMBSTR, for strings of up to 44 bytes, ptr is 19 bytes behind the object's
 * start: an sds follows it in the same block, {uint8_t len, alloc; unsigned char flags} and the text with a NUL
 * (src/sds.h, sdshdr8).
 *
 * Self-check: type, encoding, count of references, pointer, lengths, flags and NUL agree, and a block begins there.
 */
#include "families.h"

enum {
	POINTER = 8,
	HEADER = 16,
	TEXT = 19,
	TEXT_MAX_BYTES = 64,
	STRING_IN_OBJECT = 0x80, /* type 0, encoding 8 */
	SDS_TYPE_8 = 1,
	SHARED_REFERENCES = INT32_MAX, /* OBJ_SHARED_REFCOUNT; statics have one less */
};

static const struct lh_word_pattern pointer_to_inside[] = {
	{.is_own_address = true, .offset = TEXT - POINTER},
};

static struct lh_error *take_redis_string(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t addr = view->hit->addr - POINTER, head;
	uint8_t sds[3 + TEXT_MAX_BYTES + 1] = {0};
	if (addr % 8 || !lh_object_may_begin_at(view, addr) || !lh_object_read(view, addr, &head) ||
	    (head & 0xff) != STRING_IN_OBJECT || !(head >> 32) || head >> 32 > SHARED_REFERENCES)
		return NULL;
	size_t got = lh_image_read(view->image, addr + HEADER, sds, sizeof(sds));
	uint8_t text_bytes = sds[0], room_bytes = sds[1], flags = sds[2];
	if (got < 4 || text_bytes > room_bytes || room_bytes > TEXT_MAX_BYTES || flags != SDS_TYPE_8 ||
	    got < 3U + text_bytes + 1U || sds[3 + text_bytes])
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, "string in its object", addr);
	if (!view->has_chunk)
		claim.bytes = lh_align_up((uint64_t)TEXT + room_bytes + 1, 8);
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_redis = {
	.kind = "Redis",
	.patterns = pointer_to_inside,
	.pattern_count = LH_ARRAY_COUNT(pointer_to_inside),
	.take = take_redis_string,
};
