/*
 * soft_dirty: which pages of a process were written since its soft-dirty bits were cleared. Input: its
 * clear_refs and pagemap. Output: runs of pages. It stops nothing and runs nothing in the target; the
 * bits, of which a process has one set for all who look, are all that it changes.
 */
#include "leakhunt/pages.h"
#include "regions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* admin-guide/mm/pagemap.rst */
#define ENTRY_SOFT_DIRTY (UINT64_C(1) << 55)
#define ENTRY_EXCLUSIVE  (UINT64_C(1) << 56) /* mapped here only (Linux 4.2) */
#define ENTRY_FILE       (UINT64_C(1) << 61) /* of a file; for the huge zero page also (Linux 6.1) */
#define ENTRY_SWAPPED    (UINT64_C(1) << 62)
#define ENTRY_PRESENT    (UINT64_C(1) << 63)
#define ENTRY_FRAME_MASK ((UINT64_C(1) << 55) - 1) /* 0 without CAP_SYS_ADMIN */

#define HUGE_BYTES (2 * LH_MIB)
#define ZERO_BYTES (3 * HUGE_BYTES)

enum { ENTRY_COUNT = 8192 };

/* The kernel's shared pages of zeros. A process keeps the huge one where it is by having it mapped. */
struct zero_pages {
	uint8_t *memory;
	uint64_t small_frame; /* 0: not known */
	uint64_t huge_frame;
};

struct lh_soft_dirty {
	const struct lh_process *process;
	int clear_fd;
	int pagemap_fd;
	uint64_t page_bytes;
	struct zero_pages zero;
	uint64_t entries[ENTRY_COUNT];
};

/* ---------------------------------------------------------------- this kernel */

static uint64_t own_entry(int pagemap_fd, const volatile uint8_t *page, uint64_t page_bytes)
{
	uint64_t entry;
	off_t offset = (off_t)((uintptr_t)page / page_bytes * sizeof(entry));
	return pread(pagemap_fd, &entry, sizeof(entry), offset) == sizeof(entry) ? entry : 0;
}

/*
 * On a page of leakhunt's own: a kernel without CONFIG_MEM_SOFT_DIRTY takes the 4 all the same, and never
 * sets a bit (fs/proc/task_mmu.c; seen on Linux 6.18).
 */
static bool kernel_tracks(int clear_fd, int pagemap_fd, volatile uint8_t *page, uint64_t page_bytes)
{
	*page = 1;
	if (pwrite(clear_fd, "4", 1, 0) != 1)
		return false;
	bool is_cleared = !(own_entry(pagemap_fd, page, page_bytes) & ENTRY_SOFT_DIRTY);
	*page = 2;
	return is_cleared && own_entry(pagemap_fd, page, page_bytes) & ENTRY_SOFT_DIRTY;
}

static uint64_t frame_of(int pagemap_fd, const volatile uint8_t *page, uint64_t page_bytes)
{
	(void)*page;
	return own_entry(pagemap_fd, page, page_bytes) & ENTRY_FRAME_MASK;
}

/* Where huge pages are switched off, the second is a small one: then nothing is known of the huge one. */
static void find_zero_frames(struct zero_pages *zero, int pagemap_fd, uint64_t page_bytes)
{
	uint64_t misaligned = HUGE_BYTES - (uintptr_t)zero->memory % HUGE_BYTES;
	uint8_t *huge = zero->memory + misaligned;
	madvise(huge, HUGE_BYTES, MADV_HUGEPAGE);
	zero->small_frame = frame_of(pagemap_fd, zero->memory + page_bytes, page_bytes);
	zero->huge_frame = frame_of(pagemap_fd, huge, page_bytes);
	if (zero->huge_frame == zero->small_frame)
		zero->huge_frame = 0;
}

/* Of three huge pages' room, the first page is small, and one huge page is aligned. NULL: there is no memory. */
static uint8_t *map_zero_pages(void)
{
	void *memory =
		mmap(NULL, ZERO_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, ZERO_BYTES, MADV_NOHUGEPAGE);
	return memory;
}

static struct lh_error *ask_kernel(struct lh_soft_dirty *soft)
{
	soft->zero.memory = map_zero_pages();
	if (!soft->zero.memory)
		return lh_error_no_memory();
	LH_CLEANUP(lh_cleanup_close) int clear_fd = lh_self_open("clear_refs", O_WRONLY);
	LH_CLEANUP(lh_cleanup_close) int pagemap_fd = lh_self_open("pagemap", O_RDONLY);
	if (clear_fd < 0 || pagemap_fd < 0 || !kernel_tracks(clear_fd, pagemap_fd, soft->zero.memory, soft->page_bytes))
		return lh_error_create(LH_ERROR_UNSUPPORTED, "this kernel lacks CONFIG_MEM_SOFT_DIRTY");
	find_zero_frames(&soft->zero, pagemap_fd, soft->page_bytes);
	return NULL;
}

static struct lh_error *open_files(struct lh_soft_dirty *soft)
{
	LH_TRY(ask_kernel(soft));
	LH_TRY(lh_process_open_file(soft->process, "pagemap", O_RDONLY, &soft->pagemap_fd));
	return lh_process_open_file(soft->process, "clear_refs", O_WRONLY, &soft->clear_fd);
}

struct lh_error *lh_soft_dirty_open(const struct lh_process *process, struct lh_soft_dirty **ret)
{
	struct lh_soft_dirty *soft = malloc(sizeof(*soft));
	if (!soft)
		return lh_error_no_memory();
	soft->process = process;
	soft->clear_fd = soft->pagemap_fd = -1;
	soft->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	soft->zero = (struct zero_pages){0};
	struct lh_error *error = open_files(soft);
	if (error)
		lh_soft_dirty_close(soft);
	else
		*ret = soft;
	return error;
}

void lh_soft_dirty_close(struct lh_soft_dirty *soft)
{
	if (!soft)
		return;
	if (soft->clear_fd >= 0)
		close(soft->clear_fd);
	if (soft->pagemap_fd >= 0)
		close(soft->pagemap_fd);
	if (soft->zero.memory)
		munmap(soft->zero.memory, ZERO_BYTES);
	free(soft);
}

/* ---------------------------------------------------------------- the target */

struct lh_error *lh_soft_dirty_clear(struct lh_soft_dirty *soft)
{
	ssize_t count;
	do
		count = pwrite(soft->clear_fd, "4", 1, 0);
	while (count < 0 && errno == EINTR);
	return count == 1 ? NULL : lh_process_file_error(soft->process, "clear_refs", errno);
}

/* Of a page that is not mapped here only. */
static bool is_zero_page(const struct zero_pages *zero, uint64_t entry)
{
	uint64_t frame = entry & ENTRY_FRAME_MASK;
	if (!frame || !zero->small_frame || !zero->huge_frame)
		return true; /* can't be told apart from one that is shared with a forked child */
	return frame == zero->small_frame ||
	       (frame >= zero->huge_frame && frame < zero->huge_frame + HUGE_BYTES / LH_PAGE_BYTES);
}

/*
 * A page may also come to hold something else without a write: what madvise(MADV_DONTNEED) took away from
 * anonymous memory comes back at a read as a page of zeros, which is not soft-dirty (seen on Linux 5.10, 6.1
 * and 6.12).
 */
static enum lh_page_state dirty_state_of(const struct lh_soft_dirty *soft, bool is_anonymous, uint64_t entry)
{
	if (!(entry & ENTRY_PRESENT))
		return LH_PAGES_SWAPPED;
	if (entry & ENTRY_SOFT_DIRTY)
		return LH_PAGES_WRITTEN;
	return is_anonymous && !(entry & ENTRY_EXCLUSIVE) && is_zero_page(&soft->zero, entry) ? LH_PAGES_WRITTEN
											      : LH_PAGES_PRESENT;
}

static struct lh_error *add_dirty_entries(const struct lh_soft_dirty *soft, bool is_anonymous, uint64_t start,
					  size_t count, struct lh_page_runs *ret)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t entry = soft->entries[i], addr = start + i * soft->page_bytes;
		if (entry & (ENTRY_PRESENT | ENTRY_SWAPPED))
			LH_TRY(lh_page_runs_add(ret, addr, addr + soft->page_bytes,
						dirty_state_of(soft, is_anonymous, entry)));
	}
	return NULL;
}

struct lh_error *lh_soft_dirty_find(struct lh_soft_dirty *soft, struct lh_range range, bool is_anonymous,
				    struct lh_page_runs *ret)
{
	for (uint64_t at = range.start; at < range.end;) {
		uint64_t wanted = lh_min_u64((range.end - at) / soft->page_bytes, ENTRY_COUNT);
		ssize_t bytes = pread(soft->pagemap_fd, soft->entries, wanted * sizeof(uint64_t),
				      (off_t)(at / soft->page_bytes * sizeof(uint64_t)));
		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes < 0)
			return lh_process_file_error(soft->process, "pagemap", errno);
		size_t count = (size_t)bytes / sizeof(uint64_t);
		if (!count) /* the process has ended */
			return NULL;
		LH_TRY(add_dirty_entries(soft, is_anonymous, at, count, ret));
		at += count * soft->page_bytes;
	}
	return NULL;
}
