/*
 * text: growing buffers, UTF-8, and the escaping that makes bytes of a target harmless on a
 * terminal and valid in JSON.
 */
#include "escaped.h"
#include "leakhunt/base.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `extra` bytes and a NUL; false, with `failed` set, when there is none. */
static bool buffer_reserve(struct lh_buffer *buffer, size_t extra)
{
	if (buffer->failed)
		return false;
	size_t with_nul;
	char *grown = NULL;
	if (!__builtin_add_overflow(extra, 1, &with_nul))
		grown = lh_vec_grown(buffer->data, &buffer->capacity, buffer->length, with_nul, 1);
	if (!grown) {
		buffer->failed = true;
		return false;
	}
	buffer->data = grown;
	return true;
}

void lh_buffer_append(struct lh_buffer *buffer, const void *bytes, size_t length)
{
	if (!buffer_reserve(buffer, length))
		return;
	if (length)
		memcpy(buffer->data + buffer->length, bytes, length);
	buffer->length += length;
	buffer->data[buffer->length] = '\0';
}

void lh_buffer_puts(struct lh_buffer *buffer, const char *text)
{
	lh_buffer_append(buffer, text, strlen(text));
}

void lh_buffer_printf(struct lh_buffer *buffer, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	LH_CLEANUP(lh_cleanup_free) char *text = NULL;
	int length = vasprintf(&text, format, list);
	va_end(list);
	if (length < 0) {
		text = NULL;
		buffer->failed = true;
		return;
	}
	lh_buffer_append(buffer, text, (size_t)length);
}

struct lh_error *lh_buffer_status(const struct lh_buffer *buffer)
{
	return buffer->failed ? lh_error_no_memory() : NULL;
}

void lh_buffer_deinit(struct lh_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct lh_buffer){0};
}

/* RFC 3629 section 4: by lead byte, the length, and the range that the second byte may have. */
static size_t utf8_shape(uint8_t lead, uint8_t *ret_second_min, uint8_t *ret_second_max)
{
	*ret_second_min = 0x80;
	*ret_second_max = 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef) {
		if (lead == 0xe0)
			*ret_second_min = 0xa0;
		if (lead == 0xed)
			*ret_second_max = 0x9f;
		return 3;
	}
	if (lead >= 0xf0 && lead <= 0xf4) {
		if (lead == 0xf0)
			*ret_second_min = 0x90;
		if (lead == 0xf4)
			*ret_second_max = 0x8f;
		return 4;
	}
	return 0;
}

size_t lh_utf8_decode(const uint8_t *bytes, size_t length, uint32_t *ret)
{
	if (!length)
		return 0;
	uint8_t second_min, second_max;
	size_t count = utf8_shape(bytes[0], &second_min, &second_max);
	if (!count || count > length)
		return 0;
	uint32_t value = count == 1 ? bytes[0] : bytes[0] & (0x7fu >> count);
	for (size_t i = 1; i < count; i++) {
		uint8_t min = i == 1 ? second_min : 0x80;
		uint8_t max = i == 1 ? second_max : 0xbf;
		if (bytes[i] < min || bytes[i] > max)
			return 0;
		value = value << 6 | (bytes[i] & 0x3f);
	}
	if (ret)
		*ret = value;
	return count;
}

/*
 * Characters that a terminal or a viewer acts on or draws nothing for: controls, bidirectional controls, line
 * separators, interlinear annotations, and all of Default_Ignorable_Code_Point (Unicode 14, DerivedCoreProperties.txt).
 * Ascending.
 */
static const struct {
	uint32_t first;
	uint32_t last;
} harmful[] = {
	{0x0, 0x1f},      {0x7f, 0x9f},       {0xad, 0xad},       {0x34f, 0x34f},     {0x61c, 0x61c},
	{0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},
	{0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
	{0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

bool lh_character_is_harmful(uint32_t character)
{
	if (character >= 0x20 && character < 0x7f)
		return false;
	for (size_t i = 0; i < LH_ARRAY_COUNT(harmful) && harmful[i].first <= character; i++) {
		if (character <= harmful[i].last)
			return true;
	}
	return false;
}

void lh_buffer_escape(struct lh_buffer *buffer, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	while (length) {
		uint32_t character = 0;
		size_t count = lh_utf8_decode(at, length, &character);
		if (count && character == '\\') {
			lh_buffer_append(buffer, "\\\\", 2);
		} else if (count && !lh_character_is_harmful(character)) {
			lh_buffer_append(buffer, at, count);
		} else {
			count = count ? count : 1;
			for (size_t i = 0; i < count; i++)
				lh_buffer_printf(buffer, "\\x%02x", at[i]);
		}
		at += count;
		length -= count;
	}
}

/* The byte of "\\xNN" or "\\\\" at `text`; returns how long the escape is, or 0 when it is none. */
static size_t escape_at(const char *text, size_t length, uint8_t *ret)
{
	if (length >= 2 && text[0] == '\\' && text[1] == '\\') {
		*ret = '\\';
		return 2;
	}
	if (length < 4 || text[0] != '\\' || text[1] != 'x' || !isxdigit((unsigned char)text[2]) ||
	    !isxdigit((unsigned char)text[3]))
		return 0;
	char digits[3] = {text[2], text[3], '\0'};
	*ret = (uint8_t)strtoul(digits, NULL, 16);
	return 4;
}

void lh_buffer_unescape(struct lh_buffer *buffer, const char *text, size_t length)
{
	while (length) {
		uint8_t byte = (uint8_t)*text;
		size_t count = escape_at(text, length, &byte);
		lh_buffer_append(buffer, &byte, 1);
		count = count ? count : 1;
		text += count;
		length -= count;
	}
}
