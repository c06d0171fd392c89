/*
 * json: escaped texts and full 64-bit addresses over jansson, both ways.
 */
#include "leakhunt/json.h"
#include "escaped.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

json_t *lh_json_text(const void *bytes, size_t length)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_escape(&text, bytes, length);
	if (text.failed)
		return NULL;
	return json_stringn(text.data ? text.data : "", text.length);
}

json_t *lh_json_string(const char *text)
{
	return lh_json_text(text, strlen(text));
}

json_t *lh_json_address(uint64_t addr)
{
	return json_sprintf("0x%" PRIx64, addr);
}

json_t *lh_json_u64(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static int append_to_buffer(const char *bytes, size_t length, void *context)
{
	struct lh_buffer *buffer = context;
	lh_buffer_append(buffer, bytes, length);
	return buffer->failed ? -1 : 0;
}

struct lh_error *lh_json_append(json_t *value, bool compact, struct lh_buffer *ret)
{
	size_t flags = JSON_ENCODE_ANY | (compact ? JSON_COMPACT : JSON_INDENT(2));
	int status = value ? json_dump_callback(value, append_to_buffer, ret, flags) : -1;
	json_decref(value);
	lh_buffer_puts(ret, "\n");
	return status < 0 || ret->failed ? lh_error_no_memory() : NULL;
}

static bool parse_address(const json_t *value, uint64_t *ret)
{
	const char *text = json_string_value(value);
	struct lh_error *error = text ? lh_parse_u64(text, ret) : NULL;
	lh_error_destroy(error);
	return text && !error;
}

bool lh_json_get_address(const json_t *object, const char *key, uint64_t *ret)
{
	return parse_address(json_object_get(object, key), ret);
}

bool lh_json_get_u64(const json_t *object, const char *key, uint64_t *ret)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(value);
	return true;
}

bool lh_json_get_bool(const json_t *object, const char *key, bool *ret)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_boolean(value))
		return false;
	*ret = json_is_true(value);
	return true;
}

bool lh_json_get_text(const json_t *object, const char *key, struct lh_buffer *ret)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_string(value))
		return false;
	lh_buffer_unescape(ret, json_string_value(value), json_string_length(value));
	return true;
}

json_t *lh_json_parse(const char *text, size_t length, struct lh_error **ret_error)
{
	json_error_t place;
	json_t *value = json_loadb(text, length, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &place);
	if (!value)
		*ret_error = lh_error_create(LH_ERROR_FORMAT, "bad JSON at line %d, column %d: %s", place.line,
					     place.column, place.text);
	return value;
}

void lh_cleanup_json(json_t **value)
{
	json_decref(*value);
}
