/*
 * recognize_inflate: how far a deflate stream in memory goes, for the rows gzip, zlib and png: zlib's own inflate
 * decodes it and checks the sums at the end. The decoded bytes are discarded, and their number is bounded by that of
 * the input, so that small bombs cost little.
 */
#include "scan/recognize/recognize.h"

#define ZLIB_CONST /* next_in is only read */
#include <zlib.h>

enum {
	OUTPUT_BYTES = 16384,
	PRODUCED_MIN = 64,
	TORN_PRODUCED_MIN = 4096, /* of a stream that turns invalid: chance decodes fewer bytes */
	TORN_CONSUMED_MIN = 256,
	PRODUCED_MAX = 4 << 20,
	SET_UP_COST = 1024, /* cost of a stream that fails at once, in examined bytes */
	PRODUCED_PER_COST = 16,
};

/* Decodes until the end, an error, or the limit; returns what inflate said last. */
static int inflate_all(z_stream *stream)
{
	uint8_t output[OUTPUT_BYTES];
	int status = Z_OK;
	while (status == Z_OK && stream->total_out < PRODUCED_MAX) {
		stream->next_out = output;
		stream->avail_out = sizeof(output);
		status = inflate(stream, Z_NO_FLUSH);
	}
	return status;
}

/* Plain text can look like a stream by chance: "x^2 + ..." has a valid header. */
static bool is_text(const struct lh_candidate *candidate, size_t bytes)
{
	enum { LOOK_BYTES = 32 };
	return lh_span_after(candidate, 0, LOOK_BYTES, LH_BYTES_TEXT) >= lh_min_u64(bytes, LOOK_BYTES);
}

bool lh_inflate_match(const struct lh_candidate *candidate, enum lh_inflate_format format, struct lh_match *ret)
{
	z_stream stream = {
		.next_in = candidate->anchor,
		.avail_in = (unsigned)candidate->bytes_after, /* at most LH_BLOCK_OVERLAP */
	};
	if (inflateInit2(&stream, format == LH_INFLATE_GZIP ? MAX_WBITS + 16 : MAX_WBITS) != Z_OK)
		return false;
	int status = inflate_all(&stream);
	size_t consumed = stream.total_in;
	size_t produced = stream.total_out;
	(void)inflateEnd(&stream);
	*candidate->examined += SET_UP_COST + consumed + produced / PRODUCED_PER_COST;
	/* Z_BUF_ERROR: memory ends, or 64 KiB are used up, before the stream ends. */
	bool is_cut = status == Z_OK || status == Z_BUF_ERROR;
	bool is_torn = status == Z_DATA_ERROR && produced >= TORN_PRODUCED_MIN && consumed >= TORN_CONSUMED_MIN;
	if (produced < PRODUCED_MIN || (status != Z_STREAM_END && !is_torn && !is_cut) ||
	    (status != Z_STREAM_END && is_text(candidate, consumed)))
		return false;
	*ret = (struct lh_match){
		.length = consumed,
		.kind = status == Z_STREAM_END ? LH_INFLATED_WHOLE : LH_INFLATED_PART,
	};
	return true;
}

const char *const lh_inflated_kinds[] = {
	[LH_INFLATED_WHOLE] = "whole, checksum right",
	[LH_INFLATED_PART] = "a beginning",
	NULL,
};
