/*
 * layout: where in the output file each page lies. A page keeps its place, so that pages can be
 * written in any order, and again. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_LAYOUT_H
#define LEAKHUNT_DUMP_LAYOUT_H

#include "leakhunt/dump.h"

/*
 * A stretch of one extent. Its first `file_bytes` lie in the file at `file_offset` (absent pages
 * among them are holes); the rest, to `end`, are absent pages that take no place in the file.
 */
struct lh_piece {
	uint64_t start;
	uint64_t end;
	uint64_t file_bytes;
	uint64_t file_offset; /* page-aligned if the base is */
	const struct lh_extent *extent;
};

struct lh_layout {
	LH_VEC(struct lh_piece) pieces; /* ascending, disjoint */
	uint64_t end_offset;            /* behind the last piece in the file */
};

/* Pieces of all extents, the first at `base_offset`. They point into the plan. */
struct lh_error *lh_layout_create(const struct lh_plan *plan, uint64_t base_offset, struct lh_layout *ret) LH_NODISCARD;
void lh_layout_deinit(struct lh_layout *layout);

/*
 * Places: a layout without extents that only says where in the file pages lie. It grows as a
 * running target's pages come, and never moves one.
 */
struct lh_error *lh_places_create(const struct lh_layout *layout, struct lh_layout *ret) LH_NODISCARD;
/* Gives a place to each present page that has none. */
struct lh_error *lh_places_add(struct lh_layout *places, const struct lh_page_runs *runs) LH_NODISCARD;
/* The layout of a plan whose present pages all have places. */
struct lh_error *lh_layout_create_placed(const struct lh_plan *plan, const struct lh_layout *places,
					 struct lh_layout *ret) LH_NODISCARD;

/* The piece that holds `addr`, or NULL. */
const struct lh_piece *lh_layout_find(const struct lh_layout *layout, uint64_t addr);

/* Appends to ret the pieces without the gaps (normalized): what the file really holds. */
struct lh_error *lh_layout_without_gaps(const struct lh_layout *layout, const struct lh_dump_gaps *gaps,
					struct lh_layout *ret) LH_NODISCARD;

#endif
