/*
 * compare_blocks: compares what leakhunt finds of a heap with what samples/heap_truth wrote. Input: a PID or a dump,
 * and the file. Output: JSON; "missing": live blocks that were not found in use; "invented": places that were freed, or
 * lie inside live blocks, and were found in use; "others": further blocks in use, libc's own; "misfit": found with a
 * size that is not the usable size; "bytes_used": of all blocks in use.
 */
#include "leakhunt/heap.h"
#include "leakhunt/process.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct place {
	uint64_t addr;
	uint64_t usable_bytes; /* 0: freed */
	uint64_t requested_bytes;
};

struct places {
	LH_VEC(struct place) items;
};

static int compare_places(const void *a, const void *b)
{
	return lh_compare_u64(((const struct place *)a)->addr, ((const struct place *)b)->addr);
}

static struct lh_error *read_places(const char *path, struct places *ret)
{
	LH_CLEANUP(lh_cleanup_stream) FILE *file = fopen(path, "re");
	char line[256];
	if (!file)
		return lh_error_create(LH_ERROR_SYSTEM, "cannot open %s", path);
	while (fgets(line, sizeof(line), file)) {
		struct place place = {0};
		char *end = line + 1;
		if (line[0] != 'L' && line[0] != 'F')
			continue;
		place.addr = strtoull(end, &end, 16);
		if (line[0] == 'L') {
			place.usable_bytes = strtoull(end, &end, 10);
			place.requested_bytes = strtoull(end, &end, 10);
		}
		LH_TRY(lh_vec_push(&ret->items, place));
	}
	if (ret->items.count)
		qsort(ret->items.items, ret->items.count, sizeof(*ret->items.items), compare_places);
	return NULL;
}

struct comparison {
	uint64_t live, found, missing, invented, others, misfit, wrong_request;
	uint64_t bytes[LH_CHUNK_STATES], counts[LH_CHUNK_STATES];
	uint64_t first_missing, first_invented, first_misfit;
};

static bool is_at(const struct lh_heap_chunk *chunk, const struct place *place)
{
	return chunk->addr == place->addr;
}

/* The last place at or below the block. */
static const struct place *find_place(const struct places *places, uint64_t addr)
{
	size_t low = lh_vec_count_before(&places->items, item, item->addr <= addr);
	return low ? &places->items.items[low - 1] : NULL;
}

static void compare_live(const struct lh_heap *heap, const struct place *place, struct comparison *ret)
{
	size_t index;
	struct lh_heap_chunk chunk = {0};
	bool is_found = lh_heap_find_chunk(heap, place->addr, &index);
	if (is_found)
		chunk = lh_heap_chunk_at(heap, index);
	ret->live++;
	if (!is_found || chunk.state != LH_CHUNK_USED ||
	    chunk.addr + chunk.size_bytes < place->addr + place->requested_bytes) {
		if (!ret->missing++)
			ret->first_missing = place->addr;
		return;
	}
	ret->found++;
	uint64_t usable_bytes = chunk.addr + chunk.size_bytes - place->addr;
	/* musl calls usable what was asked for; a request that is much smaller is not kept. */
	bool is_kept = chunk.requested_bytes || usable_bytes < place->usable_bytes + 4095;
	if (is_kept && usable_bytes != place->usable_bytes && chunk.requested_bytes != place->usable_bytes &&
	    !ret->misfit++)
		ret->first_misfit = place->addr;
	ret->wrong_request +=
		chunk.requested_bytes && is_at(&chunk, place) && chunk.requested_bytes != place->requested_bytes;
}

static void compare_chunk(const struct places *places, const struct lh_heap_chunk *chunk, struct comparison *ret)
{
	ret->bytes[chunk->state] += chunk->size_bytes;
	ret->counts[chunk->state]++;
	if (chunk->state != LH_CHUNK_USED)
		return;
	const struct place *last = find_place(places, chunk->addr + chunk->size_bytes - 1);
	bool holds_live = false, holds_freed = false;
	for (const struct place *place = last; place && place >= places->items.items && place->addr >= chunk->addr;
	     place--) {
		holds_live |= place->usable_bytes != 0;
		holds_freed |= !place->usable_bytes;
	}
	if (holds_live)
		return;
	const struct place *before = find_place(places, chunk->addr);
	bool is_inside = before && before->usable_bytes && chunk->addr - before->addr < before->usable_bytes;
	if (!holds_freed && !is_inside)
		ret->others++;
	else if (!ret->invented++)
		ret->first_invented = chunk->addr;
}

static void print_allocators(const struct lh_heap *heap)
{
	size_t count;
	const struct lh_heap_allocator *allocators = lh_heap_allocators(heap, &count);
	printf(",\"allocators\":[");
	for (size_t i = 0; i < count; i++)
		printf("%s{\"name\":\"%s\",\"checked\":%" PRIu64 ",\"failed\":%" PRIu64
		       ",\"first_failure\":\"%s\",\"refused\":%s,\"partial\":%s,\"lost_bytes\":%" PRIu64
		       ",\"chunks\":%" PRIu64 ",\"note\":\"%s\"}",
		       i ? "," : "", allocators[i].name, allocators[i].checks.checked, allocators[i].checks.failed,
		       allocators[i].checks.first_failure, allocators[i].is_refused ? "true" : "false",
		       allocators[i].is_partial ? "true" : "false", allocators[i].lost_bytes, allocators[i].chunk_count,
		       allocators[i].note);
	printf("]");
}

static void print_arenas(const struct lh_heap *heap)
{
	size_t count;
	const struct lh_heap_arena *arenas = lh_heap_arenas(heap, &count);
	printf(",\"arenas\":[");
	for (size_t i = 0; i < count; i++)
		printf("%s{\"allocator\":\"%s\",\"role\":\"%s\",\"mapped\":%" PRIu64 ",\"resident\":%" PRIu64
		       ",\"used\":%" PRIu64 ",\"cached\":%" PRIu64 ",\"free\":%" PRIu64 ",\"returnable\":%" PRIu64 "}",
		       i ? "," : "", arenas[i].allocator, arenas[i].role, arenas[i].mapped_bytes,
		       arenas[i].resident_bytes, arenas[i].bytes[LH_CHUNK_USED], arenas[i].bytes[LH_CHUNK_CACHED],
		       arenas[i].bytes[LH_CHUNK_FREE], arenas[i].returnable_bytes);
	printf("]");
}

static void print_comparison(const struct lh_heap *heap, const struct comparison *comparison)
{
	printf("{\"live\":%" PRIu64 ",\"found\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"invented\":%" PRIu64
	       ",\"others\":%" PRIu64 ",\"misfit\":%" PRIu64 ",\"wrong_request\":%" PRIu64,
	       comparison->live, comparison->found, comparison->missing, comparison->invented, comparison->others,
	       comparison->misfit, comparison->wrong_request);
	for (size_t i = 0; i < LH_CHUNK_STATES; i++)
		printf(",\"count_%s\":%" PRIu64 ",\"bytes_%s\":%" PRIu64, lh_chunk_state_name((enum lh_chunk_state)i),
		       comparison->counts[i], lh_chunk_state_name((enum lh_chunk_state)i), comparison->bytes[i]);
	printf(",\"first_missing\":\"%" PRIx64 "\",\"first_invented\":\"%" PRIx64 "\",\"first_misfit\":\"%" PRIx64 "\"",
	       comparison->first_missing, comparison->first_invented, comparison->first_misfit);
	print_allocators(heap);
	print_arenas(heap);
	printf("}\n");
}

static struct lh_error *open_operand(const char *operand, struct lh_process **process, struct lh_image **ret)
{
	char *end;
	long pid = strtol(operand, &end, 10);
	if (*end)
		return lh_image_open_file(operand, NULL, ret);
	LH_TRY(lh_process_open((pid_t)pid, process));
	return lh_image_open_process(*process, ret);
}

static struct lh_error *compare_operand(const char *operand, const char *path, struct lh_process **process)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
	struct places places = {0};
	struct comparison comparison = {0};
	LH_TRY(open_operand(operand, process, &image));
	LH_TRY(lh_heap_walk(image, &heap));
	LH_TRY(read_places(path, &places));
	for (size_t i = 0; i < places.items.count; i++) {
		if (places.items.items[i].usable_bytes)
			compare_live(heap, &places.items.items[i], &comparison);
	}
	for (size_t i = 0; i < lh_heap_chunk_count(heap); i++) {
		struct lh_heap_chunk chunk = lh_heap_chunk_at(heap, i);
		compare_chunk(&places, &chunk, &comparison);
	}
	print_comparison(heap, &comparison);
	lh_vec_deinit(&places.items);
	return NULL;
}

int main(int argc, char **argv)
{
	struct lh_process *process = NULL;
	if (argc != 3) {
		fprintf(stderr, "usage: compare_blocks PID|DUMP TRUTH\n");
		return 2;
	}
	struct lh_error *error = compare_operand(argv[1], argv[2], &process);
	if (error)
		fprintf(stderr, "compare_blocks: %s\n", lh_error_message(error));
	int status = error ? 1 : 0;
	lh_error_destroy(error);
	lh_process_close(process);
	return status;
}
