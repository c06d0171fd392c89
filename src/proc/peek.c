/*
 * peek: memory of a live process without touching absent pages, which a read would fault or swap in. Input: addresses.
 * Output: a few words at each, in a handful of system calls for thousands; or bytes up to the first absent page.
 */
#include "leakhunt/pages.h"
#include "leakhunt/process_memory.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	WINDOW_PAGES = 32,    /* pagemap entries read at once: the kernel walks all of them, 20 ns each (Linux 6.18) */
	WINDOW_PEEKS_MIN = 4, /* fewer cost less by move_pages(2): 0.2 us each, and a read of pagemap 0.9 us */
	BATCH_PLACES = 1024,  /* UIO_MAXIOV */
	PLACE_BYTES = LH_PEEK_WORDS * sizeof(uint64_t),
};

/* Sets is_present of the `peeks`, which lie in the pagemap window that begins at the first. */
static void look_up_window(int pagemap_fd, uint64_t page_bytes, struct lh_peek *peeks, size_t count)
{
	uint64_t entries[WINDOW_PAGES];
	uint64_t first_page = peeks[0].addr / page_bytes;
	uint64_t page_count = peeks[count - 1].addr / page_bytes - first_page + 1;
	ssize_t bytes =
		pread(pagemap_fd, entries, page_count * sizeof(*entries), (off_t)(first_page * sizeof(*entries)));
	uint64_t known_count = bytes > 0 ? (uint64_t)bytes / sizeof(*entries) : 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t page = peeks[i].addr / page_bytes - first_page;
		peeks[i].is_present |= page < known_count && entries[page] >> 63;
	}
}

bool lh_process_find_nodes(const struct lh_process *process, const uint64_t *pages, size_t count, int *ret)
{
	return !syscall(SYS_move_pages, lh_process_memory_tid(process), count, pages, NULL, ret, 0);
}

/* Peeks with too few others in their pagemap window. */
struct lone_peeks {
	const struct lh_process *process;
	int pagemap_fd;
	uint64_t page_bytes;
	struct lh_peek *peeks[BATCH_PLACES];
	uint64_t addrs[BATCH_PLACES];
	size_t count;
	uint64_t rested_ns;
};

/* What move_pages does not tell, such as a page of zeros, pagemap does. */
static void look_up_lone(struct lone_peeks *lone)
{
	int nodes[BATCH_PLACES];
	bool is_told = lh_process_find_nodes(lone->process, lone->addrs, lone->count, nodes);
	for (size_t i = 0; i < lone->count; i++) {
		if (is_told && nodes[i] >= 0)
			lone->peeks[i]->is_present = true;
		else if (!is_told || nodes[i] != -ENOENT)
			look_up_window(lone->pagemap_fd, lone->page_bytes, lone->peeks[i], 1);
	}
	lone->count = 0;
	lh_rest_from_lock(&lone->rested_ns);
}

static void add_lone(struct lone_peeks *lone, struct lh_peek *peek)
{
	lone->peeks[lone->count] = peek;
	lone->addrs[lone->count++] = peek->addr;
	if (lone->count == BATCH_PLACES)
		look_up_lone(lone);
}

/* How many from the first on are in one window of the pagemap, and not known. */
static size_t count_near(const struct lh_peek *peeks, size_t count, uint64_t page_bytes)
{
	size_t near = 1;
	while (near < count && !peeks[near].is_present &&
	       peeks[near].addr / page_bytes - peeks[0].addr / page_bytes < WINDOW_PAGES)
		near++;
	return near;
}

static struct lh_error *find_present_peeks(const struct lh_process *process, struct lh_peek *peeks, size_t count)
{
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	struct lone_peeks lone = {.process = process, .page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};
	size_t i = 0;
	while (i < count && peeks[i].is_present)
		i++;
	if (i == count)
		return NULL;
	LH_TRY(lh_process_open_file(process, "pagemap", O_RDONLY, &fd));
	lone.pagemap_fd = fd;
	lone.rested_ns = lh_clock_monotonic_ns();
	while (i < count) {
		if (peeks[i].is_present) {
			i++;
			continue;
		}
		size_t near = count_near(peeks + i, count - i, lone.page_bytes);
		if (near >= WINDOW_PEEKS_MIN)
			look_up_window(fd, lone.page_bytes, peeks + i, near);
		for (size_t j = i; near < WINDOW_PEEKS_MIN && j < i + near; j++)
			add_lone(&lone, &peeks[j]);
		i += near;
	}
	if (lone.count)
		look_up_lone(&lone);
	return NULL;
}

struct batch {
	struct lh_peek *peeks[BATCH_PLACES];
	struct iovec remote[BATCH_PLACES];
	uint64_t words[BATCH_PLACES][LH_PEEK_WORDS];
	size_t count;
};

static void hand_out_peeks(struct batch *batch, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++) {
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): peeks are set below batch->count */
		memcpy(batch->peeks[i]->words, batch->words[i], PLACE_BYTES);
		batch->peeks[i]->is_read = true;
	}
}

/* An unreadable place ends the call before it: continue behind it. False: leakhunt may not read at all. */
static bool read_batch(const struct lh_process *process, struct batch *batch)
{
	for (size_t first = 0; first < batch->count;) {
		struct iovec local = {.iov_base = batch->words[first], .iov_len = (batch->count - first) * PLACE_BYTES};
		ssize_t bytes = process_vm_readv(lh_process_memory_tid(process), &local, 1, &batch->remote[first],
						 batch->count - first, 0);
		if (bytes < 0 && errno != EFAULT)
			return false;
		size_t done = bytes < 0 ? 0 : (size_t)bytes / PLACE_BYTES;
		hand_out_peeks(batch, first, done);
		first += done + 1;
	}
	batch->count = 0;
	return true;
}

struct lh_error *lh_process_peek(const struct lh_process *process, struct lh_peek *peeks, size_t count)
{
	LH_TRY(find_present_peeks(process, peeks, count));
	LH_CLEANUP(lh_cleanup_free) struct batch *batch = calloc(1, sizeof(*batch));
	if (!batch)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++) {
		if (!peeks[i].is_present)
			continue;
		batch->peeks[batch->count] = &peeks[i];
		batch->remote[batch->count++] =
			(struct iovec){.iov_base = lh_remote_pointer(peeks[i].addr), .iov_len = PLACE_BYTES};
		if (batch->count == BATCH_PLACES && !read_batch(process, batch))
			return NULL;
	}
	read_batch(process, batch);
	return NULL;
}

/* ---------------------------------------------------------------- bytes */

/* The end of what is present from `page` on, at most `end`; `page` when nothing is. */
static uint64_t find_present_end(const struct lh_present_reader *reader, uint64_t page, uint64_t end)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_error *error = lh_pagemap_runs(reader->pagemap, (struct lh_range){page, end}, &runs);
	const struct lh_page_run *first = runs.runs.items;
	bool is_present = !error && runs.runs.count && first->range.start == page && first->state == LH_PAGES_PRESENT;
	lh_error_destroy(error);
	return is_present ? first->range.end : page;
}

size_t lh_present_read(const void *reader, uint64_t addr, void *ret, size_t bytes)
{
	const struct lh_present_reader *present = reader;
	uint64_t end;
	if (!bytes || !lh_add_u64(addr, bytes, &end) || end > UINT64_MAX - UINT64_C(2) * LH_PAGE_BYTES)
		return 0;
	uint64_t present_end =
		find_present_end(present, lh_align_down(addr, LH_PAGE_BYTES), lh_align_up(end, LH_PAGE_BYTES));
	if (present_end <= addr)
		return 0;
	return lh_process_read(present->process, addr, ret, (size_t)(lh_min_u64(end, present_end) - addr));
}
