/*
 * recognize_unit: feeds byte arrays to a recognizer pass, cut into blocks as a walk would cut them,
 * and looks up what was counted.
 */
#ifndef LEAKHUNT_TESTS_RECOGNIZE_UNIT_H
#define LEAKHUNT_TESTS_RECOGNIZE_UNIT_H

#include "unit.h"

#include "leakhunt/scan.h"
#include "scan/recognize/recognizer_pass.h"

#include <stdio.h>

#define UNIT_BASE ((uint64_t)0x7f0000000000)

static inline void unit_feed(struct lh_recognizer_pass *pass, const void *bytes, size_t length, size_t block_bytes)
{
	for (size_t at = 0; at < length; at += block_bytes) {
		size_t left = length - at;
		size_t here = left < block_bytes ? left : block_bytes;
		struct lh_block block = {
			.addr = UNIT_BASE + at,
			.file_offset = LH_NO_OFFSET,
			.data = (const uint8_t *)bytes + at,
			.bytes = here,
			.bytes_before = at < LH_BLOCK_OVERLAP ? at : LH_BLOCK_OVERLAP,
			.bytes_after = left - here < LH_BLOCK_OVERLAP ? left - here : LH_BLOCK_OVERLAP,
			.is_continued = at > 0,
		};
		assert_success(lh_recognizer_pass_feed(pass, &block));
	}
}

/* Copies a text with its NUL into `room` bytes. */
static inline void unit_put(char *ret, size_t room, const char *text)
{
	int length = snprintf(ret, room, "%s", text);
	assert_true(length >= 0 && (size_t)length < room);
}

/* A pass that has seen the bytes; the caller destroys it. */
static inline struct lh_recognizer_pass *unit_pass_over(const void *bytes, size_t length, size_t block_bytes)
{
	struct lh_recognizer_pass *pass = NULL;
	assert_success(lh_recognizer_pass_create(false, &pass));
	unit_feed(pass, bytes, length, block_bytes);
	return pass;
}

/* All classes, with nothing left to settle. */
static inline const struct lh_class_count *unit_classes(struct lh_recognizer_pass *pass, size_t *ret_count)
{
	assert_success(lh_recognizer_pass_settle(pass));
	return lh_recognizer_pass_classes(pass, ret_count);
}

static inline const struct lh_class_count *unit_class(struct lh_recognizer_pass *pass, const char *name)
{
	size_t count;
	const struct lh_class_count *classes = unit_classes(pass, &count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(classes[i].name, name) == 0)
			return &classes[i];
	}
	fail_msg("no class %s", name);
	return NULL;
}

static inline bool unit_has_example(const struct lh_class_count *class, const char *part)
{
	for (size_t i = 0; i < class->example_count; i++) {
		if (strstr(class->examples[i].text, part))
			return true;
	}
	return false;
}

#endif
