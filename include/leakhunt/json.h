/*
 * json: leakhunt's additions to jansson. Part of base; included by what writes or reads JSON. Addresses are strings
 * "0x...", since JSON numbers lose bits above 2^53. Bytes of a target pass lh_buffer_escape, so that they are valid
 * UTF-8 and survive a round trip.
 */
#ifndef LEAKHUNT_JSON_H
#define LEAKHUNT_JSON_H

#include "leakhunt/base.h"

#include <jansson.h>

json_t *lh_json_string(const char *text); /* lh_json_text for a NUL-terminated text */
json_t *lh_json_address(uint64_t addr);
json_t *lh_json_u64(uint64_t value); /* saturates at INT64_MAX */

/* Appends `value` as text: indented by 2, or on one line if `compact`; then a newline. Takes the reference. */
struct lh_error *lh_json_append(json_t *value, bool compact, struct lh_buffer *ret) LH_NODISCARD;

bool lh_json_get_address(const json_t *object, const char *key, uint64_t *ret);
bool lh_json_get_u64(const json_t *object, const char *key, uint64_t *ret);
bool lh_json_get_bool(const json_t *object, const char *key, bool *ret);
/* The raw bytes that lh_json_text escaped, appended to *ret. */
bool lh_json_get_text(const json_t *object, const char *key, struct lh_buffer *ret);

/* Parses hostile text. NULL, with the place in *ret_error, unless it is exactly one JSON value. */
json_t *lh_json_parse(const char *text, size_t length, struct lh_error **ret_error);

void lh_cleanup_json(json_t **value);

#endif
