/*
 * family_curl: easy and multi handles of libcurl, by the number that they begin with.
 *
 * libcurl 7.10 to 8.10, lib/urldata.h, lib/multihandle.h: struct Curl_easy begins with CURLEASY_MAGIC_NUMBER
 * 0xc0dedbad, struct Curl_multi with CURL_MULTI_HANDLE 0x000bab1e; curl_easy_cleanup() sets it to 0.
 *
 * Self-check: an easy handle has the functions that read and write for it (fread and fwrite unless others are set) as
 * neighbors of their streams; a multi handle has lists of handles.
 */
#include "families.h"

enum {
	EASY_BYTES_MIN = 2000,
	EASY_BYTES_MAX = 16384,
	EASY_SEARCHED = 4096,
	CODE_POINTERS_MIN = 2,
	MULTI_BYTES_MIN = 128,
	MULTI_SEARCHED = 24,
};

static const struct lh_word_pattern magic_numbers[] = {
	{.first = 0xc0dedbad, .last = 0xc0dedbad, .high_max = UINT32_MAX},
	{.first = 0x000bab1e, .last = 0x000bab1e, .high_max = UINT32_MAX},
};

enum { PATTERN_EASY, PATTERN_MULTI };

/* How many of the words in [addr + 8, + bytes) point to code. */
static size_t count_code_pointers(const struct lh_object_view *view, uint64_t addr, uint64_t bytes)
{
	size_t found = 0;
	for (uint64_t at = addr + 8; at < addr + bytes && found < CODE_POINTERS_MIN; at += 8) {
		uint64_t word;
		if (!lh_object_read(view, at, &word))
			break;
		found += word && lh_symbols_is_code(view->symbols, word);
	}
	return found;
}

static bool is_easy(const struct lh_object_view *view)
{
	bool is_size = !view->has_chunk ||
		       (view->chunk.size_bytes >= EASY_BYTES_MIN && view->chunk.size_bytes <= EASY_BYTES_MAX);
	return is_size && count_code_pointers(view, view->hit->addr, EASY_SEARCHED) >= CODE_POINTERS_MIN;
}

/* {magic; first and last handle, or their list ...}: at least one of the next words is a pointer, none a number. */
static bool is_multi(const struct lh_object_view *view)
{
	bool is_size = !view->has_chunk || view->chunk.size_bytes >= MULTI_BYTES_MIN;
	for (int64_t at = 8; is_size && at <= MULTI_SEARCHED; at += 8) {
		uint64_t word;
		if (!lh_object_word(view, at, &word) || !lh_object_is_pointer_or_null(word))
			return false;
	}
	return is_size && view->has_chunk;
}

static struct lh_error *take_handle(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	bool is_easy_magic = view->pattern == PATTERN_EASY;
	if (view->hit->addr % 16 || !lh_object_may_begin_at(view, view->hit->addr) ||
	    !(is_easy_magic ? is_easy(view) : is_multi(view)))
		return NULL;
	struct lh_object_claim claim =
		lh_object_claim_of(view, is_easy_magic ? "CURL easy handle" : "CURL multi handle", view->hit->addr);
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_curl = {
	.kind = "libcurl",
	.patterns = magic_numbers,
	.pattern_count = LH_ARRAY_COUNT(magic_numbers),
	.take = take_handle,
};
