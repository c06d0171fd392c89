/*
 * heap_walk DUMP: walks all blocks of a dump on one thread, five times, and prints the blocks and the CPU microseconds
 * of the fastest walk. A benchmark of leakhunt's own code.
 */
#include "leakhunt/heap.h"

#include <inttypes.h>

static uint64_t cpu_us(void)
{
	return lh_clock_process_cpu_ns() / 1000;
}

static struct lh_error *measure_walks(struct lh_image *image)
{
	enum { WALKS = 5 };
	uint64_t best_us = UINT64_MAX;
	size_t blocks = 0;
	for (int i = 0; i < WALKS; i++) {
		LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
		uint64_t started_us = cpu_us();
		LH_TRY(lh_heap_walk(image, &heap));
		best_us = lh_min_u64(best_us, cpu_us() - started_us);
		blocks = lh_heap_chunk_count(heap);
	}
	printf("%zu %" PRIu64 "\n", blocks, best_us);
	return NULL;
}

int main(int argc, char **argv)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	if (argc != 2) {
		fprintf(stderr, "usage: heap_walk DUMP\n");
		return 2;
	}
	struct lh_error *error = lh_image_open_file(argv[1], NULL, &image);
	if (!error)
		error = measure_walks(image);
	if (error)
		fprintf(stderr, "heap_walk: %s\n", lh_error_message(error));
	int status = error ? 1 : 0;
	lh_error_destroy(error);
	return status;
}
