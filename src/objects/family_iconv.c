/*
 * family_iconv: conversion descriptors of glibc's iconv. Input: words that point right behind themselves.
 *
 * glibc 2.17 to 2.41, iconv/gconv.h, iconv/gconv_int.h: iconv_open returns {size_t __nsteps; struct __gconv_step
 * *__steps; struct __gconv_step_data __data[]}. __gconv_step_data has 48 bytes: {outbuf; outbufend@8; int flags@16,
 * invocation counter, internal use@24; mbstate_t *statep@32, which points to the state@40}. __gconv_step has 104
 * bytes: {handle; module name; int counter@16; char *from_name@24, *to_name@32; four functions; int
 * min_needed_from@72, max_needed_from, min_needed_to, max_needed_to ...}.
 *
 * Self-check: each step has users, and characters of some bytes.
 */
#include "families.h"

#include <stdio.h>
#include <string.h>

enum {
	STATE_POINTER = 48, /* of the first step's data, in the descriptor */
	HEAD_BYTES = 16,
	STEPS_MAX = 16,
	DATA_BYTES = 48,
	STEP_BYTES = 104,
	USERS = 16,
	FROM_NAME = 24,
	TO_NAME = 32,
	CHARACTER_BYTES = 72,
	NAME_MAX_BYTES = 28,
	BUFFER_MAX = 1 << 20,
};

static const struct lh_word_pattern points_behind_itself[] = {
	{.is_own_address = true, .offset = 8},
};

/* {least and most bytes that a character takes to convert from; to}, and who uses the step. */
static bool is_step(const struct lh_object_view *view, uint64_t addr)
{
	enum { USERS_MAX = INT32_MAX, CHARACTER_MAX = 64, NUMBERS = 4 };
	uint32_t users, numbers[NUMBERS];
	if (lh_image_read(view->image, addr + USERS, &users, sizeof(users)) != sizeof(users) || !users ||
	    users > USERS_MAX ||
	    lh_image_read(view->image, addr + CHARACTER_BYTES, numbers, sizeof(numbers)) != sizeof(numbers))
		return false;
	for (size_t i = 0; i < NUMBERS; i++) {
		if (!numbers[i] || numbers[i] > CHARACTER_MAX)
			return false;
	}
	return numbers[0] <= numbers[1] && numbers[2] <= numbers[3];
}

static bool are_steps(const struct lh_object_view *view, uint64_t steps, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (!lh_object_is_pointer(steps) || !is_step(view, steps + i * STEP_BYTES))
			return false;
	}
	return true;
}

/* "ISO-10646/UTF8/" without the slashes at its end. It may lie in gconv-modules.cache, which dumps do not hold. */
static void read_charset(const struct lh_object_view *view, uint64_t place, char ret[NAME_MAX_BYTES + 1])
{
	uint64_t addr;
	bool is_read = lh_image_read(view->image, place, &addr, sizeof(addr)) == sizeof(addr);
	const char *name = is_read ? lh_symbols_read_name(view->symbols, addr, NAME_MAX_BYTES) : NULL;
	snprintf(ret, NAME_MAX_BYTES + 1, "%s", name ? name : "?");
	for (size_t length = strlen(ret); length > 1 && ret[length - 1] == '/'; length--)
		ret[length - 1] = '\0';
}

/* Steps but the last one have a buffer for what the next one reads. */
static uint64_t step_buffer_bytes(const struct lh_object_view *view, uint64_t descriptor, uint64_t steps)
{
	uint64_t bytes = 0;
	for (uint64_t i = 0; i + 1 < steps; i++) {
		uint64_t at = descriptor + HEAD_BYTES + i * DATA_BYTES, buffer, end;
		if (lh_object_read(view, at, &buffer) && lh_object_read(view, at + 8, &end) && buffer && end > buffer &&
		    end - buffer <= BUFFER_MAX)
			bytes += lh_object_buffer_bytes(view, buffer, end - buffer);
	}
	return bytes;
}

static struct lh_error *take_iconv(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t addr = view->hit->addr - STATE_POINTER, count, steps;
	char from[NAME_MAX_BYTES + 1], to[NAME_MAX_BYTES + 1];
	if (!lh_object_may_begin_at(view, addr) || !lh_object_read(view, addr, &count) || !count || count > STEPS_MAX ||
	    (view->has_chunk && view->chunk.size_bytes < HEAD_BYTES + count * DATA_BYTES) ||
	    !lh_object_read(view, addr + 8, &steps) || !are_steps(view, steps, count))
		return NULL;
	read_charset(view, steps + FROM_NAME, from);
	read_charset(view, steps + (count - 1) * STEP_BYTES + TO_NAME, to);
	struct lh_object_claim claim = lh_object_claim_of(view, "iconv_t", addr);
	claim.bytes += step_buffer_bytes(view, addr, count);
	snprintf(claim.detail, sizeof(claim.detail), "%s to %s", from, to);
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_iconv = {
	.kind = "glibc",
	.patterns = points_behind_itself,
	.pattern_count = LH_ARRAY_COUNT(points_behind_itself),
	.take = take_iconv,
};
