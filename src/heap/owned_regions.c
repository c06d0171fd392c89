/*
 * owned_regions: combines what proc reads and what heap finds. Input: a live process. Output: its mappings, with kinds
 * by owner.
 */
#include "walker.h"

static void set_owned_kinds(const struct lh_process *process, struct lh_region_list *list)
{
	struct lh_owners owners LH_CLEANUP(lh_owners_deinit) = {0};
	struct lh_error *error = lh_heap_find_owners(process, list, &owners);
	if (!error)
		lh_regions_take_owners(list, &owners);
	lh_error_destroy(error);
}

struct lh_error *lh_regions_read_owned(const struct lh_process *process, enum lh_region_detail detail,
				       struct lh_region_list *ret)
{
	LH_TRY(lh_regions_read(process, detail, ret));
	set_owned_kinds(process, ret);
	return NULL;
}

void lh_image_ask_owners(struct lh_image *image)
{
	struct lh_owners owners LH_CLEANUP(lh_owners_deinit) = {0};
	struct lh_error *error = lh_image_has_addresses(image) ? lh_heap_find_owners_in_image(image, &owners) : NULL;
	if (!error)
		lh_image_take_owners(image, &owners);
	lh_error_destroy(error);
}
