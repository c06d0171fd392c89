/*
 * map: cells with a power of two of bytes, at multiples of that size. If there are too many, each two neighbors become
 * one. So the map is a function of what was added, whatever stripes the order was cut into.
 */
#include "map.h"

#include <stdlib.h>
#include <string.h>

static struct lh_map_cell *last_cell(struct lh_map *map)
{
	return map->cells.count ? &map->cells.items[map->cells.count - 1] : NULL;
}

static void add_cell(struct lh_map_cell *sum, const struct lh_map_cell *cell)
{
	for (size_t class = 0; class < LH_MAP_CLASSES; class ++)
		sum->bytes[class] += cell->bytes[class];
}

static void widen_cell(struct lh_map *map)
{
	map->cell_bytes *= 2;
	size_t kept = 0;
	for (size_t i = 0; i < map->cells.count; i++) {
		struct lh_map_cell cell = map->cells.items[i];
		cell.start = lh_align_down(cell.start, map->cell_bytes);
		if (kept && map->cells.items[kept - 1].start == cell.start)
			add_cell(&map->cells.items[kept - 1], &cell);
		else
			map->cells.items[kept++] = cell;
	}
	map->cells.count = kept;
}

/* The cell of the address: the last one, or a new one after it. */
static struct lh_error *map_cell_at(struct lh_map *map, uint64_t addr, struct lh_map_cell **ret)
{
	map->cell_bytes = map->cell_bytes ? map->cell_bytes : LH_MAP_CELL_BYTES_MIN;
	struct lh_map_cell *last = last_cell(map);
	if (!last || last->start != lh_align_down(addr, map->cell_bytes)) {
		struct lh_map_cell cell = {.start = lh_align_down(addr, map->cell_bytes)};
		LH_TRY(lh_vec_push(&map->cells, cell));
	}
	while (map->cells.count > LH_MAP_CELLS_MAX && map->cell_bytes < UINT64_MAX / 4)
		widen_cell(map);
	*ret = last_cell(map);
	return NULL;
}

struct lh_error *lh_map_add(struct lh_map *map, uint64_t addr, unsigned class, uint64_t bytes)
{
	struct lh_map_cell *cell;
	LH_TRY(map_cell_at(map, addr, &cell));
	cell->bytes[class] += bytes;
	return NULL;
}

struct lh_error *lh_map_join(struct lh_map *map, const struct lh_map *part)
{
	for (size_t i = 0; i < part->cells.count; i++) {
		struct lh_map_cell *cell;
		LH_TRY(map_cell_at(map, part->cells.items[i].start, &cell));
		add_cell(cell, &part->cells.items[i]);
	}
	return NULL;
}

void lh_map_deinit(struct lh_map *map)
{
	lh_vec_deinit(&map->cells);
}
