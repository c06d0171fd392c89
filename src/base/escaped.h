/*
 * escaped: bytes of a target as text, and back. Private to base and its tests.
 */
#ifndef LEAKHUNT_BASE_ESCAPED_H
#define LEAKHUNT_BASE_ESCAPED_H

#include "leakhunt/base.h"
#include "leakhunt/json.h"

/* Appends the raw bytes that lh_buffer_escape was given; text that it did not write passes as it is. */
void lh_buffer_unescape(struct lh_buffer *buffer, const char *text, size_t length);

/* New references; NULL when memory runs out (jansson's json_object_set_new then fails in turn). */
json_t *lh_json_text(const void *bytes, size_t length);

#endif
