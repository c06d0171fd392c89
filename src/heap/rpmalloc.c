/*
 * rpmalloc: spans of rpmalloc 2.0 (rpmalloc/rpmalloc.c). Input: memory. Output: claims. A span begins at a multiple of
 * 256 MiB, and is that long: pages of one of four sizes, each with blocks of one size. A block of more than 2 MiB has
 * a span to itself, which is as long as it needs. A page's header repeats itself: its class gives the size of its
 * blocks, the sizes give their number, and used + free == given. 1.4 has spans of 64 KiB with other headers, and is not
 * recognized.
 */
#include "rpmalloc.h"

#define SPAN_ALIGNMENT (256 * LH_MIB)
#define HUGE_BYTES_MIN (2 * LH_MIB)
#define HUGE_MASK      (~(16 * LH_MIB - 1))

enum { SPANS_MAX = 65536 };

/* Offsets in a page_t, which a span_t begins with, and in a span_t. */
enum {
	PAGE_BLOCK_BYTES = 4,
	PAGE_CAPACITY = 8,
	PAGE_GIVEN = 12,
	PAGE_USED = 16,
	PAGE_TYPE = 20,
	PAGE_FLAGS = 24,
	PAGE_LOCAL_COUNT = 28,
	PAGE_LOCAL_FREE = 32,
	PAGE_HEAP = 40,
	PAGE_THREAD_FREE = 64,
	SPAN_HEAP = 72,
	SPAN_MASK = 80,
	SPAN_GIVEN = 88,
	SPAN_PAGE_COUNT = 92,
	SPAN_PAGE_BYTES = 96,
	SPAN_TYPE = 100,
	SPAN_MAPPED_BYTES = 112,
};

/* A huge page is always full, and takes the slow path of free. */
enum { HUGE_FLAGS = 1 | 32 };

static const uint32_t page_sizes[LH_RPMALLOC_TYPES] = {64 << 10, 1 << 20, 4 << 20, 16 << 20};

/* The class from which on pages of the next size are used. */
static const uint32_t class_ends[LH_RPMALLOC_TYPES] = {73, 85, 97, LH_RPMALLOC_CLASSES};

/* ---------------------------------------------------------------- pages */

/* 16 bytes apart up to 1024, then four a doubling (global_size_class). */
static uint32_t rpmalloc_class_bytes(uint32_t class)
{
	enum { STEP_BYTES = 16, STEPPED_CLASSES = 64 };
	if (class <= STEPPED_CLASSES)
		return STEP_BYTES * (class ? class : 1);
	uint32_t above = class - STEPPED_CLASSES - 1;
	return STEP_BYTES * (5 + above % 4) << (4 + above / 4);
}

static uint32_t page_type_of_class(uint32_t class)
{
	uint32_t type = 0;
	while (type < LH_RPMALLOC_TYPES && class >= class_ends[type])
		type++;
	return type;
}

bool lh_rpmalloc_parse_page(const uint8_t *bytes, uint64_t page_bytes, struct lh_rpmalloc_page *ret)
{
	uint32_t class = lh_load_u32(bytes, 0), type = page_type_of_class(class);
	*ret = (struct lh_rpmalloc_page){
		.block_bytes = lh_load_u32(bytes, PAGE_BLOCK_BYTES),
		.capacity = lh_load_u32(bytes, PAGE_CAPACITY),
		.given = lh_load_u32(bytes, PAGE_GIVEN),
		.used = lh_load_u32(bytes, PAGE_USED),
		.flags = lh_load_u32(bytes, PAGE_FLAGS),
		.local_count = lh_load_u32(bytes, PAGE_LOCAL_COUNT),
		.local_free = lh_load_u64(bytes, PAGE_LOCAL_FREE),
		.heap = lh_load_u64(bytes, PAGE_HEAP),
		.thread_free = lh_load_u32(bytes, PAGE_THREAD_FREE),
		.thread_count = lh_load_u32(bytes, PAGE_THREAD_FREE + 4),
	};
	return type < LH_RPMALLOC_TYPES && page_sizes[type] == page_bytes && lh_load_u32(bytes, PAGE_TYPE) == type &&
	       ret->block_bytes == rpmalloc_class_bytes(class) &&
	       ret->capacity == (page_bytes - LH_RPMALLOC_HEADER_BYTES) / ret->block_bytes &&
	       ret->given <= ret->capacity && ret->used <= ret->given && ret->given - ret->used == ret->local_count &&
	       ret->thread_count <= ret->used;
}

/* ---------------------------------------------------------------- spans */

/* A mapping that a heap gave back and got again for a smaller block keeps its size. */
static bool is_huge_span(const uint8_t *bytes, const struct lh_rpmalloc_span *span)
{
	return lh_load_u64(bytes, SPAN_MASK) == HUGE_MASK && lh_load_u32(bytes, PAGE_TYPE) == LH_RPMALLOC_TYPES &&
	       (span->flags & HUGE_FLAGS) == HUGE_FLAGS && lh_load_u64(bytes, PAGE_HEAP) == span->heap &&
	       span->page_bytes >= LH_PAGE_BYTES && !(span->page_bytes & (span->page_bytes - 1)) &&
	       span->bytes > HUGE_BYTES_MIN;
}

static bool is_span_of_pages(const uint8_t *bytes, const struct lh_rpmalloc_span *span)
{
	struct lh_rpmalloc_page page;
	return span->page_bytes == page_sizes[span->type] && span->bytes == SPAN_ALIGNMENT &&
	       lh_load_u64(bytes, SPAN_MASK) == ~(span->page_bytes - 1) && span->pages_given &&
	       span->pages_given <= lh_load_u32(bytes, SPAN_PAGE_COUNT) &&
	       lh_rpmalloc_parse_page(bytes, span->page_bytes, &page);
}

static bool parse_rpmalloc_span(const uint8_t *bytes, uint64_t addr, struct lh_rpmalloc_span *ret)
{
	*ret = (struct lh_rpmalloc_span){
		.addr = addr,
		.heap = lh_load_u64(bytes, SPAN_HEAP),
		.page_bytes = lh_load_u32(bytes, SPAN_PAGE_BYTES),
		.pages_given = lh_load_u32(bytes, SPAN_GIVEN),
		.type = lh_load_u32(bytes, SPAN_TYPE),
		.flags = lh_load_u32(bytes, PAGE_FLAGS),
	};
	ret->bytes = lh_load_u32(bytes, SPAN_PAGE_COUNT) * ret->page_bytes;
	return ret->heap && ret->heap % 8 == 0 && lh_load_u64(bytes, SPAN_MAPPED_BYTES) >= ret->bytes &&
	       (ret->type < LH_RPMALLOC_TYPES    ? is_span_of_pages(bytes, ret)
		: ret->type == LH_RPMALLOC_TYPES ? is_huge_span(bytes, ret)
						 : false);
}

/* Reads from the mask on where a span may begin. */
static struct lh_error *peek_masks(const struct lh_heap_memory *memory, struct lh_peeks *ret)
{
	LH_TRY(lh_heap_list_aligned(memory, LH_HEAP_PLAIN, 0, SPAN_ALIGNMENT, SPANS_MAX, ret));
	for (size_t i = 0; i < ret->items.count; i++)
		ret->items.items[i].addr += SPAN_MASK;
	return lh_heap_peek(memory, ret);
}

struct lh_error *lh_rpmalloc_visit_spans(const struct lh_heap_memory *memory, lh_rpmalloc_visitor *visit, void *context)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	LH_TRY(peek_masks(memory, &peeks));
	for (size_t i = 0; i < peeks.items.count; i++) {
		const struct lh_peek *mask = &peeks.items.items[i];
		uint8_t bytes[LH_RPMALLOC_HEADER_BYTES];
		struct lh_rpmalloc_span span;
		/* The mask of the largest pages is the smallest. */
		if (!mask->is_read || mask->words[0] < HUGE_MASK ||
		    memory->read(memory->context, mask->addr - SPAN_MASK, bytes, sizeof(bytes)) != sizeof(bytes) ||
		    !parse_rpmalloc_span(bytes, mask->addr - SPAN_MASK, &span) ||
		    !lh_heap_is_private(memory, span.addr, span.bytes))
			continue;
		LH_TRY(visit(context, &span));
	}
	return NULL;
}

/* ---------------------------------------------------------------- claiming */

struct rpmalloc_claim {
	const struct lh_heap_memory *memory;
	struct lh_owners *owners;
};

/* With the page of its heap: two heaps share one (heap_allocate_new). */
static struct lh_error *claim_rpmalloc_span(void *context, const struct lh_rpmalloc_span *span)
{
	struct rpmalloc_claim *claim = context;
	uint64_t page = lh_align_down(span->heap, LH_PAGE_BYTES), id;
	if (lh_heap_read_words(claim->memory, span->heap + LH_RPMALLOC_HEAP_ID, &id, 1) && (uint32_t)id)
		LH_TRY(lh_heap_claim(claim->memory, page, page + LH_PAGE_BYTES, LH_REGION_RPMALLOC, claim->owners));
	return lh_heap_claim(claim->memory, span->addr, span->addr + span->bytes, LH_REGION_RPMALLOC, claim->owners);
}

struct lh_error *lh_rpmalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct rpmalloc_claim claim = {memory, ret};
	return lh_rpmalloc_visit_spans(memory, claim_rpmalloc_span, &claim);
}
