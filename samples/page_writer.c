/*
 * page_writer: writes pages in a known order, as fast as it can or --rate times a second, and numbers
 * the writes: write number s goes to page (s * 40503) mod N, and only then does the word at `sequence_addr`
 * become s. So any copy of one instant shows by itself whether it is one: a page holds the last number
 * up to that word's that belongs to it. With --discard 1, each second write to a page gives it back to the
 * kernel and reads it, so that it holds zeros without having been written. Truth: nothing grows.
 */
#include "sample.h"

#include <stdatomic.h>
#include <sys/mman.h>

#define PAGE_BYTES       ((uint64_t)4096)
#define PAGE_MULTIPLIER  ((uint64_t)40503) /* odd: all pages are met when N is a power of 2 */
#define CHECK_MULTIPLIER ((uint64_t)0x9e3779b97f4a7c15)
#define PAGE_WORDS       (PAGE_BYTES / sizeof(uint64_t))
/* A writer that was held up for longer, by a loaded machine, does not catch up. */
#define LATE_MS_MAX ((uint64_t)1000)

static uint64_t *pages;
static _Atomic uint64_t *sequence; /* in a page of its own */
static uint64_t page_count, rate_per_s, discards;

static void discard_page(uint64_t *page)
{
	if (madvise(page, PAGE_BYTES, MADV_DONTNEED) < 0 || *(volatile uint64_t *)page)
		sample_die("page_writer: a page given back is no page of zeros");
}

static void write_page(uint64_t number)
{
	uint64_t *page = pages + number * PAGE_MULTIPLIER % page_count * PAGE_WORDS;
	if (discards && number / page_count % 2) {
		discard_page(page);
	} else {
		page[0] = number;
		page[PAGE_WORDS / 2] = number * CHECK_MULTIPLIER;
		page[PAGE_WORDS - 1] = ~number;
	}
	atomic_store_explicit(sequence, number, memory_order_release);
}

static void begin(struct sample *sample)
{
	page_count = 1;
	while (2 * page_count * PAGE_BYTES <= sample->size_bytes)
		page_count *= 2;
	pages = mmap(NULL, (page_count + 1) * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		sample_die("page_writer: cannot map %" PRIu64 " pages", page_count);
	sequence = (_Atomic uint64_t *)(void *)(pages + page_count * PAGE_WORDS);
	for (uint64_t number = 1; number <= page_count; number++)
		write_page(number);
	sample->held_bytes = page_count * PAGE_BYTES;
	sample_note_address(sample, pages);
}

static _Noreturn void work(struct sample *sample)
{
	(void)sample;
	uint64_t started_ms = sample_now_ms(), first = atomic_load(sequence);
	for (uint64_t number = first + 1;; number++) {
		write_page(number);
		if (!rate_per_s)
			continue;
		uint64_t due_ms = started_ms + (number - first) * 1000 / rate_per_s, now_ms = sample_now_ms();
		if (now_ms > due_ms + LATE_MS_MAX)
			started_ms += now_ms - due_ms;
		/* Ten milliseconds' worth at a time. */
		while (due_ms > sample_now_ms() + 10)
			sample_sleep_ms(1);
	}
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (strcmp(name, "--rate") == 0)
		rate_per_s = sample_number(name, value);
	else if (strcmp(name, "--discard") == 0)
		discards = sample_number(name, value);
	else
		return false;
	return true;
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	snprintf(ret, ret_bytes,
		 ",\"pages\":%" PRIu64 ",\"pages_addr\":\"0x%" PRIxPTR "\",\"sequence_addr\":\"0x%" PRIxPTR "\"",
		 page_count, (uintptr_t)pages, (uintptr_t)sequence);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "page_writer",
				.condition = "steady",
				.size_bytes = 64 << 20,
				.begin = begin,
				.work = work,
				.option = option,
				.describe = describe};
	return sample_main(&sample, argc, argv);
}
