/*
 * object_rules: how objects of C libraries are told by the static tables that they point to. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_OBJECT_RULES_H
#define LEAKHUNT_SCAN_OBJECT_RULES_H

#include "heap/chunks.h"
#include "sweep/hits.h"

#define LH_OBJECT_DETAIL_MAX 64

/* A word that points to a table, and what is around it. */
struct lh_object_view {
	struct lh_image *image;
	struct lh_symbols *symbols;
	const struct lh_hit *hit;
	uint64_t table_addr;    /* what the word holds */
	const char *table_name; /* accessor, or string in quotes, by which the table is known */
	bool has_chunk;
	struct lh_chunk chunk;
};

/* The word `offset` bytes from the one that was hit; false when it can't be read. */
bool lh_object_word(const struct lh_object_view *view, int64_t offset, uint64_t *ret);

struct lh_object_rule {
	const char *name; /* of the type */
	/* Patterns (fnmatch) of the accessor functions of the tables, NULL-terminated; NULL: tables that bear a string.
	 */
	const char *const *accessors;
	/* Whether the word belongs to an object of this type; fills `ret` with what is special to it, or "". */
	bool (*is_object)(const struct lh_object_view *view, char ret[LH_OBJECT_DETAIL_MAX]);
	bool has_buffers; /* of records, which are chunks of their own */
};

/* The chunk of the record buffer that the words `offset` bytes into the object's chunk describe, if they do. */
bool lh_object_record_buffer(const struct lh_object_view *view, uint64_t offset, struct lh_chunk *ret);

/* The first that applies wins. Ended by a NULL name. */
extern const struct lh_object_rule lh_object_rules[];

bool lh_object_rule_fits_accessor(const struct lh_object_rule *rule, const char *accessor);

#endif
