/*
 * family_cxx: objects of C++ without type information. Input: the blocks that strings and containers own
 * (cxx_storage.c). Classes are counted in objects.c.
 */
#include "cxx_storage.h"
#include "families.h"

static struct lh_error *claim_owned(void *context, const char *name, size_t block, uint64_t count)
{
	const struct lh_family_end *end = context;
	struct lh_chunk chunk = lh_object_chunk_at(end->heap, block);
	struct lh_object_claim claim = {
		.name = name,
		.addr = chunk.memory_addr,
		.count = count,
		.bytes = count * chunk.size_bytes,
	};
	return lh_object_sink_add(end->sink, &claim);
}

static struct lh_error *claim_cxx_storage(const struct lh_family_end *end)
{
	struct lh_family_end own = *end;
	return end->cxx_storage ? lh_cxx_storage_visit(end->cxx_storage, claim_owned, &own) : NULL;
}

const struct lh_object_family lh_family_cxx = {
	.kind = "C++",
	.finish = claim_cxx_storage,
};
