/*
 * fragmentation: a heap that grows although next to nothing is in use. Seven generations, each of
 * STEPS_PER_GENERATION steps that allocate --step-bytes in blocks of one size; a generation ends by
 * shrinking every other block to a small record and freeing the rest. The records stand between
 * holes that are too small for the next generation's blocks, more than twice as large, so the heap
 * must grow again; the records at its top keep it from shrinking (cf. Robson, JACM 18 (1971)).
 * After the last generation steps reuse the holes: steady. Truth: held_bytes are reachable, nothing
 * is leaked; "[heap]" holds about generations * STEPS_PER_GENERATION * step_bytes, mostly free.
 */
#include "sample.h"

#define GENERATIONS          ((uint64_t)7)
#define STEPS_PER_GENERATION ((uint64_t)4)
#define GROWING_STEPS        (GENERATIONS * STEPS_PER_GENERATION)
#define FIRST_BLOCK_BYTES    1536 /* freed blocks up to 1032 bytes stay in a tcache, and never merge */
#define RECORD_BYTES         64
#define CHURN_BYTES          1400
#define CHURN_BLOCKS         64

static uint8_t **records; /* all that stay in use */
static uint64_t record_count, record_capacity;
static uint64_t generation_start; /* index of its first block among the records */

static uint64_t block_bytes_of(uint64_t generation)
{
	uint64_t bytes = FIRST_BLOCK_BYTES;
	for (uint64_t i = 0; i < generation; i++)
		bytes = 2 * bytes + 256;
	return bytes;
}

static void begin(struct sample *sample)
{
	for (uint64_t i = 0; i < GENERATIONS; i++)
		record_capacity += STEPS_PER_GENERATION * (sample->step_bytes / block_bytes_of(i) + 1);
	records = calloc(record_capacity, sizeof(*records));
	if (!records)
		sample_die("fragmentation: cannot allocate %" PRIu64 " records", record_capacity);
}

static void fill(struct sample *sample, uint64_t bytes)
{
	for (uint64_t done = 0; done < sample->step_bytes; done += bytes) {
		uint8_t *block = malloc(bytes);
		sample_fill(sample, block, bytes, "mixed", record_count);
		sample_note_address(sample, block);
		records[record_count++] = block;
		sample->held_bytes += bytes;
	}
}

/* The last block becomes a record whatever its turn, so that the heap's top can't be given back. */
static void punch_holes(struct sample *sample, uint64_t bytes)
{
	uint64_t kept = generation_start;
	for (uint64_t i = generation_start; i < record_count; i++) {
		sample->held_bytes -= bytes;
		if (i % 2 == 0 && i + 1 < record_count) {
			free(records[i]);
			continue;
		}
		records[kept] = realloc(records[i], RECORD_BYTES);
		sample_fill(sample, records[kept], RECORD_BYTES, "record", kept);
		sample_note_address(sample, records[kept++]);
		sample->held_bytes += RECORD_BYTES;
	}
	record_count = generation_start = kept;
}

static void churn(struct sample *sample)
{
	void *blocks[CHURN_BLOCKS];
	for (unsigned i = 0; i < CHURN_BLOCKS; i++) {
		blocks[i] = malloc(CHURN_BYTES);
		sample_fill(sample, blocks[i], CHURN_BYTES, "passing", i);
	}
	for (unsigned i = 0; i < CHURN_BLOCKS; i++)
		free(blocks[i]);
}

static void step(struct sample *sample)
{
	if (sample->steps >= GROWING_STEPS) {
		churn(sample);
		return;
	}
	uint64_t bytes = block_bytes_of(sample->steps / STEPS_PER_GENERATION);
	fill(sample, bytes);
	if (sample->steps % STEPS_PER_GENERATION == STEPS_PER_GENERATION - 1)
		punch_holes(sample, bytes);
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	snprintf(ret, ret_bytes, ",\"growing_steps\":%" PRIu64 ",\"is_growing\":%s", GROWING_STEPS,
		 sample->steps < GROWING_STEPS ? "true" : "false");
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "fragmentation",
				.condition = "fragmentation",
				.region_kind = "heap",
				.step_bytes = 512 << 10,
				.begin = begin,
				.step = step,
				.describe = describe};
	return sample_main(&sample, argc, argv);
}
