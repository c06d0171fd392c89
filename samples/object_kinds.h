/*
 * object_kinds: shared by samples that lose objects of libraries. Each step creates one of each kind and keeps no
 * pointer to it. Right before, it creates and frees the same number, so that freed objects lie about. Truth: the number
 * of each type, per library.
 */
#ifndef LEAKHUNT_OBJECT_KINDS_H
#define LEAKHUNT_OBJECT_KINDS_H

#include "sample.h"

/* One kind of object: `make` creates one, and frees it again unless it is to be lost. */
struct object_kind {
	const char *library;
	const char *type;           /* as leakhunt calls it */
	const char *detail;         /* the first part of what it says beside the type */
	unsigned each;              /* how many of them a call makes */
	unsigned kept;              /* how many the program made before, and keeps */
	void (*make)(bool is_lost); /* NULL: the one before it makes them */
};

static inline void object_kinds_step(const struct object_kind *kinds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!kinds[i].make)
			continue;
		kinds[i].make(false);
		kinds[i].make(true);
	}
}

/* Writes the member "objects" of a sample's JSON. */
static inline void object_kinds_describe(const struct object_kind *kinds, size_t count, uint64_t steps, char *ret,
					 size_t ret_bytes)
{
	size_t at = (size_t)snprintf(ret, ret_bytes, ",\"objects\":[");
	for (size_t i = 0; i < count && at < ret_bytes; i++)
		at += (size_t)snprintf(ret + at, ret_bytes - at,
				       "%s{\"kind\":\"%s\",\"name\":\"%s\",\"detail\":\"%s\",\"count\":%" PRIu64 "}",
				       i ? "," : "", kinds[i].library, kinds[i].type, kinds[i].detail,
				       steps * kinds[i].each + kinds[i].kept);
	if (at < ret_bytes)
		snprintf(ret + at, ret_bytes - at, "]");
}

#endif
