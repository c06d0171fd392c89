/*
 * report_trace_pprof: call stacks as a pprof profile, a gzip-compressed protocol buffer (github.com/google/pprof,
 * proto/profile.proto), which `go tool pprof`, speedscope and Pyroscope open. Field numbers are those of profile.proto.
 */
#include "leakhunt/hash_table.h"
#include "trace_frames.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zlib.h>

enum wire_type { WIRE_VARINT = 0, WIRE_BYTES = 2 };

enum profile_field {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING = 6,
	PROFILE_DURATION_NS = 10,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD = 12,
	PROFILE_DEFAULT_SAMPLE_TYPE = 14,
};

static const struct {
	const char *type, *unit;
} value_types[] = {
	{"alloc_objects", "count"}, {"alloc_space", "bytes"},           {"inuse_objects", "count"},
	{"inuse_space", "bytes"},   {"leaked_per_hour_space", "bytes"},
};

/* An id is an index + 1. */
struct profile_writer {
	const struct lh_trace_report *report;
	struct lh_buffer *out;
	LH_VEC(const char *) strings;
	struct lh_hash_table by_string;   /* index of a string, by its hash */
	struct lh_hash_table by_function; /* id of a function, by the indexes of its name and file */
	struct lh_hash_table by_location; /* id of a location, by its address */
	struct lh_hash_table by_mapping;  /* id of a mapping, by its start */
	uint32_t function_count, location_count, mapping_count;
};

static void deinit_profile_writer(struct profile_writer *writer)
{
	lh_vec_deinit(&writer->strings);
	lh_hash_table_deinit(&writer->by_string);
	lh_hash_table_deinit(&writer->by_function);
	lh_hash_table_deinit(&writer->by_location);
	lh_hash_table_deinit(&writer->by_mapping);
}

/* ---------------------------------------------------------------- encoding */

static void put_varint(uint64_t value, struct lh_buffer *ret)
{
	for (; value >= 0x80; value >>= 7)
		lh_buffer_append(ret, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
	lh_buffer_append(ret, &(uint8_t){(uint8_t)value}, 1);
}

static void put_varint_field(unsigned field, uint64_t value, struct lh_buffer *ret)
{
	put_varint(field << 3 | WIRE_VARINT, ret);
	put_varint(value, ret);
}

static void put_field_bytes(unsigned field, const void *bytes, size_t length, struct lh_buffer *ret)
{
	put_varint(field << 3 | WIRE_BYTES, ret);
	put_varint(length, ret);
	lh_buffer_append(ret, bytes, length);
}

static struct lh_error *put_message(unsigned field, const struct lh_buffer *message, struct lh_buffer *ret)
{
	LH_TRY(lh_buffer_status(message));
	put_field_bytes(field, message->data, message->length, ret);
	return NULL;
}

/* ---------------------------------------------------------------- tables */

static struct lh_error *find_text_index(struct profile_writer *writer, const char *text, uint32_t *ret)
{
	uint64_t key = XXH3_64bits(text, strlen(text));
	for (; lh_hash_table_find(&writer->by_string, key, ret); key = lh_hash_table_next_key(key)) {
		if (strcmp(writer->strings.items[*ret], text) == 0)
			return NULL;
	}
	*ret = (uint32_t)writer->strings.count;
	LH_TRY(lh_hash_table_put(&writer->by_string, key, *ret));
	return lh_vec_push(&writer->strings, text);
}

static struct lh_error *find_mapping_id(struct profile_writer *writer, const struct lh_module *module, uint32_t *ret)
{
	struct lh_buffer message LH_CLEANUP(lh_buffer_deinit) = {0};
	uint32_t path;
	*ret = 0;
	if (!module || lh_hash_table_find(&writer->by_mapping, module->start, ret))
		return NULL;
	*ret = ++writer->mapping_count;
	LH_TRY(lh_hash_table_put(&writer->by_mapping, module->start, *ret));
	LH_TRY(find_text_index(writer, module->path, &path));
	put_varint_field(1, *ret, &message);
	put_varint_field(2, module->start, &message);
	put_varint_field(3, module->end, &message);
	put_varint_field(5, path, &message);
	put_varint_field(7, 1, &message);
	return put_message(PROFILE_MAPPING, &message, writer->out);
}

static struct lh_error *find_function_id(struct profile_writer *writer, const char *name, const char *file,
					 uint32_t *ret)
{
	struct lh_buffer message LH_CLEANUP(lh_buffer_deinit) = {0};
	uint32_t name_index, file_index;
	LH_TRY(find_text_index(writer, name, &name_index));
	LH_TRY(find_text_index(writer, file, &file_index));
	uint64_t key = (uint64_t)name_index << 32 | file_index;
	if (lh_hash_table_find(&writer->by_function, key, ret))
		return NULL;
	*ret = ++writer->function_count;
	LH_TRY(lh_hash_table_put(&writer->by_function, key, *ret));
	put_varint_field(1, *ret, &message);
	put_varint_field(2, name_index, &message);
	put_varint_field(3, name_index, &message);
	put_varint_field(4, file_index, &message);
	return put_message(PROFILE_FUNCTION, &message, writer->out);
}

/* An address without a name has no line: viewers then show the address and its mapping. */
static struct lh_error *find_location_id(struct profile_writer *writer, uint64_t addr, uint32_t *ret)
{
	struct lh_buffer message LH_CLEANUP(lh_buffer_deinit) = {0}, line LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_symbol symbol = {0};
	uint32_t mapping, function;
	if (lh_hash_table_find(&writer->by_location, addr, ret))
		return NULL;
	*ret = ++writer->location_count;
	LH_TRY(lh_hash_table_put(&writer->by_location, addr, *ret));
	bool is_found = lh_symbols_find(writer->report->symbols, addr, &symbol);
	LH_TRY(find_mapping_id(writer, is_found ? symbol.module : NULL, &mapping));
	put_varint_field(1, *ret, &message);
	if (mapping)
		put_varint_field(2, mapping, &message);
	put_varint_field(3, addr, &message);
	if (is_found && symbol.origin == LH_SYMBOL_TABLE) {
		LH_TRY(find_function_id(writer, symbol.name, symbol.module_name, &function));
		put_varint_field(1, function, &line);
		LH_TRY(put_message(4, &line, &message));
	}
	return put_message(PROFILE_LOCATION, &message, writer->out);
}

/* ---------------------------------------------------------------- the profile */

static struct lh_error *put_value_type(struct profile_writer *writer, unsigned field, const char *type,
				       const char *unit)
{
	struct lh_buffer message LH_CLEANUP(lh_buffer_deinit) = {0};
	uint32_t index;
	LH_TRY(find_text_index(writer, type, &index));
	put_varint_field(1, index, &message);
	LH_TRY(find_text_index(writer, unit, &index));
	put_varint_field(2, index, &message);
	return put_message(field, &message, writer->out);
}

static struct lh_error *put_sample(struct profile_writer *writer, const struct lh_trace_site *site)
{
	struct lh_buffer message LH_CLEANUP(lh_buffer_deinit) = {0}, ids LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer values LH_CLEANUP(lh_buffer_deinit) = {0};
	const struct lh_site_estimate *estimate = &site->estimate;
	const uint64_t *frames = lh_trace_frames_of(writer->report->trace, site);
	double leaked = estimate->verdict == LH_SITE_LEAKING ? 3600 * estimate->leak_bytes_per_s : 0;
	const double numbers[LH_ARRAY_COUNT(value_types)] = {estimate->allocated_count, estimate->allocated_bytes,
							     estimate->live_count, estimate->live_bytes, leaked};
	for (size_t i = 0; i < site->frame_count; i++) {
		uint32_t id;
		LH_TRY(find_location_id(writer, frames[i], &id));
		put_varint(id, &ids);
	}
	for (size_t i = 0; i < LH_ARRAY_COUNT(numbers); i++)
		put_varint(numbers[i] > 0 ? (uint64_t)(numbers[i] + 0.5) : 0, &values);
	LH_TRY(put_message(1, &ids, &message));
	LH_TRY(put_message(2, &values, &message));
	return put_message(PROFILE_SAMPLE, &message, writer->out);
}

static struct lh_error *put_profile(struct profile_writer *writer)
{
	const struct lh_trace *trace = writer->report->trace;
	bool is_leaking = trace->sites.count && trace->sites.items[0].estimate.verdict == LH_SITE_LEAKING;
	uint32_t index;
	LH_TRY(find_text_index(writer, "", &index));
	for (size_t i = 0; i < LH_ARRAY_COUNT(value_types); i++)
		LH_TRY(put_value_type(writer, PROFILE_SAMPLE_TYPE, value_types[i].type, value_types[i].unit));
	for (size_t i = 0; i < trace->sites.count; i++)
		LH_TRY(put_sample(writer, &trace->sites.items[i]));
	put_varint_field(PROFILE_DURATION_NS, trace->duration_ns, writer->out);
	LH_TRY(put_value_type(writer, PROFILE_PERIOD_TYPE, "space", "bytes"));
	put_varint_field(PROFILE_PERIOD, trace->mean_bytes, writer->out);
	LH_TRY(find_text_index(writer, is_leaking ? "leaked_per_hour_space" : "inuse_space", &index));
	put_varint_field(PROFILE_DEFAULT_SAMPLE_TYPE, index, writer->out);
	for (size_t i = 0; i < writer->strings.count; i++)
		put_field_bytes(PROFILE_STRING, writer->strings.items[i], strlen(writer->strings.items[i]),
				writer->out);
	return lh_buffer_status(writer->out);
}

static struct lh_error *compress_profile(const struct lh_buffer *profile, struct lh_buffer *ret)
{
	enum { GZIP_WINDOW_BITS = 15 + 16 };
	z_stream stream = {0};
	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return lh_error_no_memory();
	size_t most = deflateBound(&stream, profile->length);
	LH_CLEANUP(lh_cleanup_free) uint8_t *bytes = malloc(most);
	stream.next_in = (Bytef *)profile->data;
	stream.avail_in = (uInt)profile->length;
	stream.next_out = bytes;
	stream.avail_out = (uInt)most;
	bool is_done = bytes && profile->length <= UINT32_MAX && most <= UINT32_MAX &&
		       deflate(&stream, Z_FINISH) == Z_STREAM_END;
	deflateEnd(&stream);
	if (!is_done)
		return lh_error_no_memory();
	lh_buffer_append(ret, bytes, most - stream.avail_out);
	return lh_buffer_status(ret);
}

struct lh_error *lh_report_trace_pprof(const struct lh_trace_report *report, struct lh_buffer *ret)
{
	struct lh_buffer profile LH_CLEANUP(lh_buffer_deinit) = {0};
	struct profile_writer writer LH_CLEANUP(deinit_profile_writer) = {.report = report, .out = &profile};
	LH_TRY(put_profile(&writer));
	return compress_profile(&profile, ret);
}
