/*
 * google_tcmalloc_spans: the runs of pages of Google's tcmalloc. Input: the page map. Output: spans with their size
 * classes, and the sizes of these. Where a descriptor keeps its first page and their number follows from the map: all
 * pages of a span of small objects point to it, of a large one the first (span.h, huge_page_aware_allocator.h).
 */
#include "google_tcmalloc.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_WORDS = LH_PAGE_BYTES / 8 };
enum { SAMPLED_RUNS_MAX = 4096, CLASSES_MIN = 20, CLASS_BYTES_MAX = 1 << 20 };

/* Adjacent pages with the same descriptor and class. */
struct page_run {
	uint64_t first_page;
	uint64_t descriptor;
	uint32_t page_count;
	uint32_t size_class;
};

/* A descriptor, and the run of its pages. */
struct span_probe {
	uint64_t words[LH_GSPAN_WORDS];
	struct page_run run;
};

struct span_search {
	struct lh_gwalk *walk;
	LH_VEC(struct page_run) runs; /* ascending */
	LH_VEC(struct span_probe) probes;
	struct lh_hash_table freed; /* descriptors that are free */
	LH_VEC(uint64_t) starts;    /* pages at which a span begins, as its descriptor says too; ascending */
};

static void deinit_span_search(struct span_search *search)
{
	lh_vec_deinit(&search->runs);
	lh_vec_deinit(&search->probes);
	lh_hash_table_deinit(&search->freed);
	lh_vec_deinit(&search->starts);
}

/* ---------------------------------------------------------------- the map's entries */

static struct lh_error *add_leaf_runs(struct span_search *search, const struct lh_gleaf *leaf, uint8_t *scratch)
{
	struct lh_gwalk *walk = search->walk;
	const struct lh_gshape *shape = &walk->map.shape;
	LH_TRY(lh_gmap_read_leaf(walk->tour->memory, &walk->map, leaf, scratch));
	for (size_t i = 0; i < (size_t)1 << shape->leaf_bits; i++) {
		uint64_t span = lh_gleaf_span(shape, scratch, i), page = leaf->first_page + i;
		uint32_t size_class = lh_gleaf_class(shape, scratch, i);
		struct page_run *last = search->runs.count ? &search->runs.items[search->runs.count - 1] : NULL;
		if (!span)
			continue;
		if (last && last->descriptor == span && last->size_class == size_class &&
		    last->first_page + last->page_count == page) {
			last->page_count++;
			continue;
		}
		if (lh_gmap_is_metadata(walk->tour->memory, span))
			LH_TRY(lh_vec_push(&search->runs, ((struct page_run){page, span, 1, size_class})));
	}
	return NULL;
}

static struct lh_error *list_runs(struct span_search *search)
{
	struct lh_gwalk *walk = search->walk;
	LH_CLEANUP(lh_cleanup_free) uint8_t *leaf = malloc(lh_gshape_leaf_bytes(&walk->map.shape));
	if (!leaf)
		return lh_error_no_memory();
	for (size_t i = 0; i < walk->map.leaves.count; i++)
		LH_TRY(add_leaf_runs(search, &walk->map.leaves.items[i], leaf));
	return NULL;
}

/* ---------------------------------------------------------------- first page and number of pages */

static struct lh_error *read_probes(struct span_search *search)
{
	size_t stride = search->runs.count / SAMPLED_RUNS_MAX + 1;
	for (size_t i = 0; i < search->runs.count; i += stride) {
		struct span_probe probe = {.run = search->runs.items[i]};
		if (lh_heap_words(search->walk->tour, probe.run.descriptor, probe.words, LH_GSPAN_WORDS))
			LH_TRY(lh_vec_push(&search->probes, probe));
	}
	return NULL;
}

/* The word that most often holds the page at which a run begins. */
static bool find_page_word(struct span_search *search)
{
	uint64_t mask = lh_gshape_page_mask(&search->walk->map.shape);
	size_t best = 0;
	for (size_t word = 0; word < LH_GSPAN_WORDS; word++) {
		size_t hits = 0;
		for (size_t i = 0; i < search->probes.count; i++)
			hits += (search->probes.items[i].words[word] & mask) == search->probes.items[i].run.first_page;
		if (hits > best) {
			best = hits;
			search->walk->layout.page_word = (uint8_t)word;
		}
	}
	return best;
}

/* Whether that run begins a span, as far as its descriptor says. */
static bool begins_span(const struct span_search *search, const struct page_run *run)
{
	uint64_t words[LH_GSPAN_WORDS], mask = lh_gshape_page_mask(&search->walk->map.shape);
	uint32_t number;
	return !lh_hash_table_find(&search->freed, run->descriptor, &number) &&
	       lh_heap_words(search->walk->tour, run->descriptor, words, LH_GSPAN_WORDS) &&
	       (words[search->walk->layout.page_word] & mask) == run->first_page;
}

static struct lh_error *list_starts(struct span_search *search)
{
	for (size_t i = 0; i < search->runs.count; i++) {
		if (begins_span(search, &search->runs.items[i]))
			LH_TRY(lh_vec_push(&search->starts, search->runs.items[i].first_page));
	}
	return NULL;
}

/* Whether the number of pages is that of the run, or for one block ends before the next span. */
static bool is_page_count(const struct span_search *search, const struct page_run *run, uint64_t count)
{
	if (run->size_class)
		return count == run->page_count;
	size_t next = lh_vec_count_before(&search->starts, item, *item <= run->first_page);
	uint64_t end = next < search->starts.count ? search->starts.items[next]
						   : lh_gshape_page_mask(&search->walk->map.shape);
	return count && count <= end - run->first_page;
}

static uint64_t take_bits(const uint64_t *words, struct lh_gfield field)
{
	return words[field.word] >> field.shift & (UINT64_MAX >> (64 - field.bits));
}

struct field_match {
	size_t hits, tried;
	double pages; /* of the spans that match */
};

static struct field_match match_field(const struct span_search *search, struct lh_gfield field, bool is_small)
{
	const struct lh_gspan_layout *layout = &search->walk->layout;
	uint64_t mask = lh_gshape_page_mask(&search->walk->map.shape);
	struct field_match match = {0};
	for (size_t i = 0; i < search->probes.count; i++) {
		const struct span_probe *probe = &search->probes.items[i];
		if ((probe->words[layout->page_word] & mask) != probe->run.first_page ||
		    is_small != (probe->run.size_class != 0))
			continue;
		uint64_t count = take_bits(probe->words, field);
		bool is_match = is_page_count(search, &probe->run, count);
		match.tried++;
		match.hits += is_match;
		match.pages += is_match ? (double)count : 0;
	}
	return match;
}

/*
 * Of all bit fields that match most spans, the widest, then the one with most pages. Stale descriptors match less.
 * False: no field matches most of them.
 */
static bool find_count_field(struct span_search *search, bool is_small, struct lh_gfield *ret)
{
	struct field_match best = {0};
	for (uint8_t bits = 64; bits >= 8; bits--) {
		for (unsigned word = 0; word < LH_GSPAN_WORDS; word++) {
			/* A field ends where its word, its half or its quarter does. */
			for (uint8_t end = 64; end >= bits; end -= 16) {
				struct lh_gfield field = {(uint8_t)word, (uint8_t)(end - bits), bits};
				struct field_match match = match_field(search, field, is_small);
				bool is_best =
					match.hits > best.hits ||
					(match.hits == best.hits && bits == ret->bits && match.pages > best.pages);
				if (!is_best)
					continue;
				best = match;
				*ret = field;
			}
		}
	}
	return best.hits && best.hits >= best.tried / 2;
}

static bool find_count_fields(struct span_search *search)
{
	struct lh_gspan_layout *layout = &search->walk->layout;
	if (!find_count_field(search, true, &layout->small_count))
		return false;
	if (!find_count_field(search, false, &layout->large_count))
		layout->large_count = layout->small_count;
	return true;
}

/* ---------------------------------------------------------------- free descriptors */

enum { FREE_LIST_MAX = 1 << 22, FREE_COUNTER_WORDS = 4 };

/*
 * A list of free descriptors is {arena, first, in use, allocated} (metadata_object_allocator.h): its length is the
 * difference of two counters beside it. Links are in the first word.
 */
static uint64_t descriptor_list_length(struct lh_heap_tour *tour, uint64_t addr, uint64_t length_max)
{
	struct lh_list_guard guard = {0};
	uint64_t length = 0;
	while (addr && length <= length_max && !lh_list_returns(&guard, addr)) {
		length++;
		if (!lh_gmap_is_metadata(tour->memory, addr) || !lh_heap_words(tour, addr, &addr, 1))
			return UINT64_MAX;
	}
	return length;
}

static bool is_free_list(struct lh_heap_tour *tour, uint64_t first, const uint64_t *counters)
{
	for (size_t i = 0; i + 1 < FREE_COUNTER_WORDS; i++) {
		uint64_t low = lh_min_u64(counters[i], counters[i + 1]),
			 high = lh_max_u64(counters[i], counters[i + 1]);
		if (high > low && high - low <= FREE_LIST_MAX && high <= UINT32_MAX &&
		    descriptor_list_length(tour, first, high - low) == high - low)
			return true;
	}
	return false;
}

static struct lh_error *search_free_lists(void *context, uint64_t addr, const uint64_t *words, size_t count)
{
	struct span_search *search = context;
	(void)addr;
	for (size_t i = 0; i + FREE_COUNTER_WORDS < count; i++) {
		uint64_t at = words[i];
		if (!at || !lh_gmap_is_metadata(search->walk->tour->memory, at) ||
		    !is_free_list(search->walk->tour, at, &words[i + 1]))
			continue;
		while (at && search->freed.count < FREE_LIST_MAX) {
			LH_TRY(lh_hash_table_put(&search->freed, at, 1));
			if (!lh_heap_words(search->walk->tour, at, &at, 1))
				break;
		}
	}
	return NULL;
}

struct lh_error *lh_gwalk_visit_words(struct lh_heap_tour *tour, struct lh_range range, lh_gword_visitor *visit,
				      void *context)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	uint64_t words[PAGE_WORDS];
	LH_TRY(lh_gmap_find_present(tour->memory, range, &runs));
	for (size_t i = 0; i < runs.runs.count; i++) {
		struct lh_range run = runs.runs.items[i].range;
		for (uint64_t at = run.start; at < run.end; at += LH_PAGE_BYTES) {
			if (lh_heap_words(tour, at, words, PAGE_WORDS))
				LH_TRY(visit(context, at, words, PAGE_WORDS));
		}
	}
	return NULL;
}

/* ---------------------------------------------------------------- sizes of classes */

struct class_search {
	struct lh_gwalk *walk;
	uint32_t best_count;
};

/* Sizes ascend from 8 or 16 to the largest; with partitions, the sequence begins anew (sizemap.h, class_to_size_). */
static uint32_t parse_sizes(const uint32_t *sizes, uint32_t count_max, uint64_t ret[LH_GCLASSES_MAX])
{
	uint32_t count = 1;
	ret[0] = 0;
	for (; count < count_max; count++) {
		uint32_t bytes = sizes[count];
		bool begins_anew = bytes == 0 || bytes == sizes[1];
		if (bytes % 8 || bytes > CLASS_BYTES_MAX || (bytes <= sizes[count - 1] && !begins_anew))
			break;
		if (bytes == 0 && count < CLASSES_MIN)
			break;
		ret[count] = bytes;
	}
	return count;
}

/* Of several tables, the one with most classes that all spans agree with. */
static bool suits_spans(const struct lh_gwalk *walk, const uint64_t *sizes, uint32_t count)
{
	for (size_t i = 0; i < walk->spans.count; i++) {
		const struct lh_gspan *span = &walk->spans.items[i];
		if (span->size_class && (span->size_class >= count || !sizes[span->size_class] ||
					 sizes[span->size_class] > lh_gspan_bytes(walk, span)))
			return false;
	}
	return true;
}

static struct lh_error *search_class_sizes(void *context, uint64_t addr, const uint64_t *words, size_t count)
{
	struct class_search *search = context;
	struct lh_gwalk *walk = search->walk;
	uint32_t sizes[LH_GCLASSES_MAX];
	uint64_t parsed[LH_GCLASSES_MAX];
	const uint32_t *halves = (const uint32_t *)words;
	for (size_t i = 0; i + 2 < count * 2; i++) {
		if (halves[i] || (halves[i + 1] != 8 && halves[i + 1] != 16) || halves[i + 2] <= halves[i + 1] ||
		    halves[i + 2] > 64)
			continue;
		const uint8_t *bytes = lh_heap_bytes(walk->tour, addr + i * 4, sizeof(sizes));
		if (!bytes)
			continue;
		memcpy(sizes, bytes, sizeof(sizes));
		uint32_t found = parse_sizes(sizes, LH_GCLASSES_MAX, parsed);
		if (found < CLASSES_MIN || found <= search->best_count || !suits_spans(walk, parsed, found))
			continue;
		search->best_count = found;
		walk->class_count = found;
		memcpy(walk->class_bytes, parsed, sizeof(parsed));
	}
	return NULL;
}

/* ---------------------------------------------------------------- spans */

/* An entry is stale if the descriptor does not say that a span begins there. */
static bool read_gspan(const struct span_search *search, const struct page_run *run, struct lh_gspan *ret)
{
	const struct lh_gspan_layout *layout = &search->walk->layout;
	uint64_t words[LH_GSPAN_WORDS];
	if (!begins_span(search, run) || !lh_heap_words(search->walk->tour, run->descriptor, words, LH_GSPAN_WORDS))
		return false;
	uint64_t count = take_bits(words, run->size_class ? layout->small_count : layout->large_count);
	if (count > UINT32_MAX || !is_page_count(search, run, count))
		return false;
	*ret = (struct lh_gspan){run->first_page, run->descriptor, (uint32_t)count, run->size_class};
	return true;
}

/* Spans of small objects have no stale entries: their class is cleared when they are freed. */
static struct lh_error *list_spans(struct span_search *search)
{
	struct lh_gwalk *walk = search->walk;
	uint64_t end = 0;
	for (size_t i = 0; i < search->runs.count; i++) {
		const struct page_run *run = &search->runs.items[i];
		struct lh_gspan span;
		if (run->first_page < end)
			continue;
		bool is_span = read_gspan(search, run, &span);
		if (run->size_class)
			lh_heap_check(walk->tour, is_span, run->first_page << walk->map.shape.page_bits,
				      "span: descriptor and page map differ");
		if (!is_span)
			continue;
		end = span.first_page + span.page_count;
		walk->used_class_count =
			span.size_class < walk->used_class_count ? walk->used_class_count : span.size_class + 1;
		LH_TRY(lh_vec_push(&walk->spans, span));
	}
	return NULL;
}

struct lh_error *lh_gwalk_find_spans(struct lh_gwalk *walk)
{
	struct span_search search LH_CLEANUP(deinit_span_search) = {.walk = walk};
	struct class_search classes = {.walk = walk};
	LH_TRY(list_runs(&search));
	LH_TRY(read_probes(&search));
	LH_TRY(lh_gwalk_visit_words(walk->tour, walk->map.data, search_free_lists, &search));
	bool has_pages = find_page_word(&search);
	LH_TRY(list_starts(&search));
	if (!has_pages || !find_count_fields(&search)) {
		walk->refusal = "descriptors and page map do not agree";
		return NULL;
	}
	LH_TRY(list_spans(&search));
	LH_TRY(lh_gwalk_visit_words(walk->tour, walk->map.data, search_class_sizes, &classes));
	if (!walk->class_count)
		walk->refusal = "no table of size classes agrees with the spans";
	return NULL;
}

const struct lh_gspan *lh_gwalk_span_at(const struct lh_gwalk *walk, uint64_t addr)
{
	uint64_t page = addr >> walk->map.shape.page_bits;
	size_t count = lh_vec_count_before(&walk->spans, item, item->first_page <= page);
	const struct lh_gspan *span = count ? &walk->spans.items[count - 1] : NULL;
	return span && page - span->first_page < span->page_count ? span : NULL;
}

bool lh_gwalk_is_object(const struct lh_gwalk *walk, uint64_t addr, uint32_t size_class)
{
	const struct lh_gspan *span = lh_gwalk_span_at(walk, addr);
	if (!span || !size_class || span->size_class != size_class)
		return false;
	uint64_t bytes = walk->class_bytes[size_class], offset = addr - lh_gspan_start(walk, span);
	return bytes && offset % bytes == 0 && offset / bytes < lh_gspan_objects(walk, span);
}
