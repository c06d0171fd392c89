/*
 * growing_blocks: blocks of four sizes that differ in what happens to them from step to step: one size is never
 * touched, one is written to, one grows in number, and some blocks of one are freed. Truth: the number of each.
 */
#include "sample.h"

enum { KEPT_BLOCKS = 1000, WRITTEN_BLOCKS = 300, NEW_PER_STEP = 200, GONE_PER_STEP = 50, DROPPED_BLOCKS = 1000 };
/* Usable sizes in glibc: 16 n + 8 bytes. */
enum { KEPT_BYTES = 504, WRITTEN_BYTES = 600, NEW_BYTES = 712, DROPPED_BYTES = 808 };
enum { STEPS_MAX = DROPPED_BLOCKS / GONE_PER_STEP, NEW_BLOCKS = STEPS_MAX * NEW_PER_STEP };

static uint8_t *kept[KEPT_BLOCKS], *written[WRITTEN_BLOCKS], *added[NEW_BLOCKS], *dropped[DROPPED_BLOCKS];

/* Bytes that are neither text nor zeros. */
static uint8_t *allocate(size_t bytes)
{
	uint8_t *block = malloc(bytes);
	if (!block)
		sample_die("growing_blocks: cannot allocate %zu bytes", bytes);
	return memset(block, 0x81, bytes);
}

static void begin(struct sample *sample)
{
	for (size_t i = 0; i < KEPT_BLOCKS; i++)
		kept[i] = allocate(KEPT_BYTES);
	for (size_t i = 0; i < WRITTEN_BLOCKS; i++)
		written[i] = allocate(WRITTEN_BYTES);
	for (size_t i = 0; i < DROPPED_BLOCKS; i++)
		dropped[i] = allocate(DROPPED_BYTES);
	sample->held_bytes = (uint64_t)KEPT_BLOCKS * KEPT_BYTES + (uint64_t)WRITTEN_BLOCKS * WRITTEN_BYTES +
			     (uint64_t)DROPPED_BLOCKS * DROPPED_BYTES;
}

static void step(struct sample *sample)
{
	size_t number = sample->steps;
	for (size_t i = 0; i < WRITTEN_BLOCKS; i++)
		written[i][WRITTEN_BYTES - 1]++;
	for (size_t i = 0; i < NEW_PER_STEP; i++)
		added[number * NEW_PER_STEP + i] = allocate(NEW_BYTES);
	for (size_t i = 0; i < GONE_PER_STEP; i++) {
		free(dropped[number * GONE_PER_STEP + i]);
		dropped[number * GONE_PER_STEP + i] = NULL;
	}
	sample->held_bytes += (uint64_t)NEW_PER_STEP * NEW_BYTES - (uint64_t)GONE_PER_STEP * DROPPED_BYTES;
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	snprintf(ret, ret_bytes,
		 ",\"blocks\":{\"%d B\":%d,\"%d B\":%d,\"%d B\":%" PRIu64 ",\"%d B\":%" PRIu64
		 "},\"new_per_step\":%d,\"gone_per_step\":%d",
		 KEPT_BYTES, KEPT_BLOCKS, WRITTEN_BYTES, WRITTEN_BLOCKS, NEW_BYTES, sample->steps * NEW_PER_STEP,
		 DROPPED_BYTES, DROPPED_BLOCKS - sample->steps * GONE_PER_STEP, NEW_PER_STEP, GONE_PER_STEP);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "growing_blocks",
				.condition = "leak",
				.region_kind = "heap",
				.steps_max = STEPS_MAX,
				.begin = begin,
				.step = step,
				.describe = describe};
	return sample_main(&sample, argc, argv);
}
