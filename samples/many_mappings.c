/*
 * many_mappings: holds --block-bytes * (--size / --block-bytes) of address space in --size / --block-bytes mappings,
 * each different from its neighbors, and does nothing. Truth: their number, and how much of them is written, locked,
 * shared and without access.
 */
#include "sample.h"

#include <sys/mman.h>

static uint64_t written_bytes, locked_bytes, shared_bytes, guard_bytes;

/* Every eighth one is shared, every fourth without access; the others are written to in their first page. */
static void make_mapping(struct sample *sample, char *place, uint64_t number)
{
	size_t bytes = sample->block_bytes;
	int sharing = number % 8 == 7 ? MAP_SHARED : MAP_PRIVATE;
	int protection = number % 4 == 1 ? PROT_NONE : PROT_READ | PROT_WRITE;
	/* Two neighbors of one kind would merge: every other one may also be executed. */
	if (protection && number % 2)
		protection |= PROT_EXEC;
	if (mmap(place, bytes, protection, sharing | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != place)
		sample_die("many_mappings: mapping %" PRIu64 ": %s", number, strerror(errno));
	if (!protection) {
		guard_bytes += bytes;
		return;
	}
	place[0] = 1;
	if (sharing == MAP_SHARED) {
		shared_bytes += 4096;
		return;
	}
	written_bytes += 4096;
	if (number % 512 == 0 && mlock(place, 4096) == 0)
		locked_bytes += 4096;
}

static void begin(struct sample *sample)
{
	uint64_t count = sample->size_bytes / sample->block_bytes;
	char *place = mmap(NULL, sample->size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (place == MAP_FAILED)
		sample_die("many_mappings: cannot reserve %" PRIu64 " bytes", sample->size_bytes);
	for (uint64_t i = 0; i < count; i++)
		make_mapping(sample, place + i * sample->block_bytes, i);
	sample_note_address(sample, place);
	sample_note_address(sample, place + (count - 1) * sample->block_bytes);
	sample->held_bytes = written_bytes + shared_bytes;
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	snprintf(ret, ret_bytes,
		 ",\"mappings\":%" PRIu64 ",\"written_bytes\":%" PRIu64 ",\"locked_bytes\":%" PRIu64
		 ",\"shared_bytes\":%" PRIu64 ",\"guard_bytes\":%" PRIu64,
		 sample->size_bytes / sample->block_bytes, written_bytes, locked_bytes, shared_bytes, guard_bytes);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "many_mappings",
				.condition = "steady",
				.size_bytes = UINT64_C(10000) * 8192,
				.block_bytes = 8192,
				.begin = begin,
				.describe = describe};
	return sample_main(&sample, argc, argv);
}
