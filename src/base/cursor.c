/*
 * cursor: reads hostile bytes front to back and never past their end. Used for everything that a
 * dump, an ELF file or target memory says about its own lengths.
 */
#include "leakhunt/base.h"

struct lh_cursor lh_cursor_over(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	return (struct lh_cursor){.at = at, .end = at ? at + length : at};
}

size_t lh_cursor_left(const struct lh_cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}

const uint8_t *lh_cursor_take(struct lh_cursor *cursor, size_t length)
{
	if (cursor->failed || length > lh_cursor_left(cursor)) {
		cursor->failed = true;
		return NULL;
	}
	const uint8_t *taken = cursor->at;
	cursor->at += length;
	return taken;
}

static uint64_t take_big_endian(struct lh_cursor *cursor, size_t length)
{
	const uint8_t *bytes = lh_cursor_take(cursor, length);
	uint64_t value = 0;
	for (size_t i = 0; bytes && i < length; i++)
		value = value << 8 | bytes[i];
	return value;
}

static uint64_t take_little_endian(struct lh_cursor *cursor, size_t length)
{
	const uint8_t *bytes = lh_cursor_take(cursor, length);
	uint64_t value = 0;
	for (size_t i = 0; bytes && i < length; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

uint8_t lh_cursor_u8(struct lh_cursor *cursor)
{
	return (uint8_t)take_big_endian(cursor, 1);
}

uint16_t lh_cursor_be16(struct lh_cursor *cursor)
{
	return (uint16_t)take_big_endian(cursor, 2);
}

uint32_t lh_cursor_be24(struct lh_cursor *cursor)
{
	return (uint32_t)take_big_endian(cursor, 3);
}

uint32_t lh_cursor_be32(struct lh_cursor *cursor)
{
	return (uint32_t)take_big_endian(cursor, 4);
}

uint32_t lh_cursor_le32(struct lh_cursor *cursor)
{
	return (uint32_t)take_little_endian(cursor, 4);
}

uint64_t lh_cursor_le64(struct lh_cursor *cursor)
{
	return take_little_endian(cursor, 8);
}

void lh_cursor_align(struct lh_cursor *cursor, const uint8_t *origin, size_t alignment)
{
	size_t misaligned = (size_t)(cursor->at - origin) & (alignment - 1);
	if (misaligned)
		(void)lh_cursor_take(cursor, alignment - misaligned);
}
