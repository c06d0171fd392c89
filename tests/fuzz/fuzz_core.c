/*
 * fuzz_core: any bytes as a file: opened as core, dump or plain bytes; then everything that the image offers is read.
 * Input: one file. It must never read outside of the file, hang, or leak.
 */
#include "image/view.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

struct walk_state {
	uint64_t end; /* of the last block */
	uint64_t sum;
	size_t blocks;
};

static struct lh_error *take_block(void *context, const struct lh_block *block)
{
	struct walk_state *state = context;
	expect(block->addr >= state->end);
	expect(!block->is_continued || block->addr == state->end);
	expect(block->segment->start <= block->addr && block->addr < block->segment->end);
	expect(block->bytes && block->bytes <= block->segment->end - block->addr);
	const uint8_t *first = block->data - block->bytes_before;
	const uint8_t *last = block->data + block->bytes + block->bytes_after - 1;
	state->sum += (uint64_t)*first + *last;
	state->end = block->addr + block->bytes;
	/* A hostile core can have a million segments: some are enough. */
	return ++state->blocks < 10000 ? NULL : lh_error_create(LH_ERROR_INTERRUPTED, "enough");
}

static void look_at_segments(const struct lh_image *image)
{
	size_t count, bytes;
	const struct lh_segment *segments = lh_image_segments(image, &count);
	uint8_t buffer[256];
	for (size_t i = 0; i < count; i++) {
		expect(segments[i].start < segments[i].end);
		expect(!i || segments[i - 1].end <= segments[i].start);
		expect(segments[i].name && segments[i].thread_name);
		expect(lh_image_find(image, segments[i].end - 1) == &segments[i]);
		expect(lh_image_read(image, segments[i].start, buffer, sizeof(buffer)) <= sizeof(buffer));
		const uint8_t *view = lh_image_view(image, segments[i].start, &bytes);
		expect(!view == !bytes);
		expect(!view || memcmp(view, buffer, bytes < sizeof(buffer) ? bytes : sizeof(buffer)) == 0);
	}
}

static void look_at_threads_and_modules(const struct lh_image *image)
{
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(image, &count);
	for (size_t i = 0; i < count; i++) {
		expect(threads[i].name != NULL);
		if (threads[i].registers)
			(void)*(const volatile uint8_t *)&threads[i].registers[threads[i].registers_bytes - 1];
	}
	const struct lh_module_list *modules = lh_image_modules(image);
	for (size_t i = 0; i < modules->modules.count; i++) {
		expect(modules->modules.items[i].path != NULL);
		expect(modules->modules.items[i].build_id_bytes <= LH_BUILD_ID_MAX);
		expect(!i || modules->modules.items[i - 1].start <= modules->modules.items[i].start);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	struct walk_state state = {0};
	lh_error_destroy(lh_image_create(LH_IMAGE_RAW, "fuzz", &image));
	expect(image != NULL);
	image->bytes = data;
	image->file_bytes = size;
	struct lh_error *error = lh_image_parse(image, NULL);
	if (!error) {
		error = lh_image_walk(image, LH_WALK_CONTEXT, take_block, &state);
		expect(lh_image_walk_bytes(image, LH_WALK_CONTEXT) >= lh_image_walk_bytes(image, 0));
		look_at_segments(image);
		look_at_threads_and_modules(image);
	}
	lh_error_destroy(error);
	return 0;
}
