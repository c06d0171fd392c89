/*
 * owned_regions: mappings of a live process with the kinds of their owners. Private to cli.
 */
#ifndef LEAKHUNT_CLI_OWNED_REGIONS_H
#define LEAKHUNT_CLI_OWNED_REGIONS_H

#include "leakhunt/image.h"

/* lh_regions_read, and kinds by what allocators own. */
struct lh_error *lh_regions_read_owned(const struct lh_process *process, enum lh_region_detail detail,
				       struct lh_region_list *ret) LH_NODISCARD;

/* Kinds of a list that was just read. Where owners can't be found, it keeps what /proc tells. */
void lh_regions_ask_owners(const struct lh_process *process, struct lh_region_list *list);

/* Kinds of an image's segments, likewise; live or of a file. Raw bytes without addresses have no owners. */
void lh_image_ask_owners(struct lh_image *image);

#endif
