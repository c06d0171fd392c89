/*
 * map: what lies where: cells of equal size, in the order of addresses, with the bytes of each class in
 * them. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_MAP_H
#define LEAKHUNT_SCAN_MAP_H

#include "leakhunt/scan.h"

/* The least size of a cell; cells are larger if there would be more than LH_MAP_CELLS_MAX. */
#define LH_MAP_CELL_BYTES_MIN ((uint64_t)64 * 1024)
#define LH_MAP_CELLS_MAX      2048

/* Adds bytes that lie in one cell and not before bytes added earlier. */
struct lh_error *lh_map_add(struct lh_map *map, uint64_t addr, unsigned class, uint64_t bytes) LH_NODISCARD;
/* Appends another map, which lies at or after this one's last cell. */
struct lh_error *lh_map_join(struct lh_map *map, const struct lh_map *part) LH_NODISCARD;
void lh_map_deinit(struct lh_map *map);

#endif
