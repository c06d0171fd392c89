/*
 * runtime_facts: what is known of a program besides its mappings: its allocator, from its memory and files, and its
 * runtimes, from the names in a selection. Stops nothing and never fails: what cannot be read is unknown.
 */
#include "leakhunt/hunt.h"

#include "leakhunt/symbols.h"

#include <string.h>

static struct lh_error *find_allocator(const struct lh_process *process, enum lh_allocator *ret)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_TRY(lh_image_open_process(process, &image));
	return lh_allocator_find(image, lh_image_root(image), ret);
}

enum lh_allocator lh_allocator_of(const struct lh_process *process)
{
	enum lh_allocator allocator = LH_ALLOCATOR_UNKNOWN;
	lh_error_destroy(find_allocator(process, &allocator));
	return allocator;
}

struct lh_runtime_facts lh_runtime_facts_make(const struct lh_selection *selection, enum lh_allocator allocator)
{
	struct lh_runtime_facts facts;
	lh_runtime_facts_gather(selection, &facts);
	if (allocator != LH_ALLOCATOR_UNKNOWN)
		facts.allocator = allocator;
	return facts;
}

bool lh_hunt_has_sums_only(const struct lh_hunt *hunt)
{
	const struct lh_selection *selection = &hunt->selection;
	return hunt->has_selection && selection->growths.count == 1 &&
	       strcmp(selection->growths.items[0].name, LH_SUM_REGION_NAME) == 0;
}
