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
#include <sys/uio.h>
#include <unistd.h>

enum {
	WINDOW_PAGES = 32,   /* pagemap entries read at once: the kernel walks all of them, 20 ns each (Linux 6.18) */
	BATCH_PLACES = 1024, /* UIO_MAXIOV */
	PLACE_BYTES = LH_PEEK_WORDS * sizeof(uint64_t),
};

/* Sets is_present of the `peeks` in the pagemap window that begins at the first. Returns how many. */
static size_t look_up_window(int pagemap_fd, uint64_t page_bytes, struct lh_peek *peeks, size_t count)
{
	uint64_t entries[WINDOW_PAGES];
	uint64_t first_page = peeks[0].addr / page_bytes;
	size_t covered = 0;
	while (covered < count && peeks[covered].addr / page_bytes - first_page < WINDOW_PAGES)
		covered++;
	uint64_t page_count = peeks[covered - 1].addr / page_bytes - first_page + 1;
	ssize_t bytes =
		pread(pagemap_fd, entries, page_count * sizeof(*entries), (off_t)(first_page * sizeof(*entries)));
	uint64_t known_count = bytes > 0 ? (uint64_t)bytes / sizeof(*entries) : 0;
	for (size_t i = 0; i < covered; i++) {
		uint64_t page = peeks[i].addr / page_bytes - first_page;
		peeks[i].is_present |= page < known_count && entries[page] >> 63;
	}
	return covered;
}

static struct lh_error *find_present_peeks(const struct lh_process *process, struct lh_peek *peeks, size_t count)
{
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	for (size_t i = 0; i < count;) {
		if (peeks[i].is_present) {
			i++;
			continue;
		}
		if (fd < 0)
			LH_TRY(lh_process_open_file(process, "pagemap", O_RDONLY, &fd));
		i += look_up_window(fd, page_bytes, peeks + i, count - i);
	}
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

static bool page_is_present(const struct lh_present_reader *reader, uint64_t page)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_range range = {.start = page, .end = page + LH_PAGE_BYTES};
	struct lh_error *error = lh_pagemap_runs(reader->pagemap, range, &runs);
	bool is_present = !error && runs.runs.count && runs.runs.items[0].state == LH_PAGES_PRESENT;
	lh_error_destroy(error);
	return is_present;
}

size_t lh_present_read(const void *reader, uint64_t addr, void *ret, size_t bytes)
{
	const struct lh_present_reader *present = reader;
	uint8_t *out = ret;
	size_t done = 0;
	while (done < bytes && addr <= UINT64_MAX - UINT64_C(2) * LH_PAGE_BYTES) {
		uint64_t page = lh_align_down(addr, LH_PAGE_BYTES);
		size_t piece = (size_t)lh_min_u64(bytes - done, page + LH_PAGE_BYTES - addr);
		if (!page_is_present(present, page))
			break;
		size_t got = lh_process_read(present->process, addr, out + done, piece);
		done += got;
		if (got < piece)
			break;
		addr += piece;
	}
	return done;
}
