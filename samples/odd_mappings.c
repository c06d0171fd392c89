/*
 * odd_mappings: memory of each kind that a copier may stumble over. A written page says where it is: its
 * first half repeats the hash of an address, its second half the inverse. Truth: a table in --table, a line
 * a mapping ("NAME START BYTES BASE PERIOD RUN EXPECT", see struct odd); by "step", whether all of it is
 * as it was written, and the faults that its own userfaultfd has seen.
 */
#include "sample.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

/* linux/mman.h of Linux 6.13, asm/unistd.h of 6.10. */
#define ADVICE_GUARD_INSTALL 102
#define NR_MSEAL             462

#define PAGE_BYTES      ((size_t)4096)
#define HASH_MULTIPLIER ((uint64_t)0x9e3779b97f4a7c15)

enum { ODD_MAX = 48 };

enum expectation {
	EXPECT_BYTES, /* written pages are in a dump, the others not, or as zeros */
	EXPECT_ZEROS, /* pages that were only read */
	EXPECT_GAP,   /* asked for, but lost */
};

/*
 * Of each `period` pages the first `run` are written. A page holds the hash of `base` plus its offset: its own address,
 * or that of another mapping of the same memory.
 */
struct odd {
	const char *name;
	char *start;
	size_t bytes;
	char *base;
	size_t period;
	size_t run;
	enum expectation expectation;
	bool is_hidden; /* from the sample itself: it may not read there */
};

static struct odd odds[ODD_MAX];
static size_t odd_count;
static const char *table_path = "/dev/null", *folder = "/tmp";
static int own_userfault = -1;
static bool is_unwatched; /* --unwatched: no userfaultfd of its own */

/* ---------------------------------------------------------------- pages that say where they are */

static void write_page(char *page, const char *base)
{
	uint64_t word = (uint64_t)(uintptr_t)base * HASH_MULTIPLIER, *words = (uint64_t *)(void *)page;
	for (size_t i = 0; i < PAGE_BYTES / sizeof(word); i++)
		words[i] = i < PAGE_BYTES / sizeof(word) / 2 ? word : ~word;
}

static bool holds_page(const char *page, const char *base)
{
	static uint64_t expected[PAGE_BYTES / sizeof(uint64_t)];
	write_page((char *)expected, base);
	return memcmp(page, expected, PAGE_BYTES) == 0;
}

static bool is_written(const struct odd *odd, size_t at)
{
	return at / PAGE_BYTES % odd->period < odd->run;
}

static void fill(const struct odd *odd)
{
	for (size_t at = 0; at < odd->bytes; at += PAGE_BYTES) {
		if (is_written(odd, at))
			write_page(odd->start + at, odd->base + at);
	}
}

static bool is_intact(const struct odd *odd)
{
	if (odd->expectation != EXPECT_BYTES || odd->is_hidden)
		return true;
	for (size_t at = 0; at < odd->bytes; at += PAGE_BYTES) {
		if (is_written(odd, at) && !holds_page(odd->start + at, odd->base + at))
			return false;
	}
	return true;
}

/* ---------------------------------------------------------------- the table */

static void must(const char *what, bool is_done)
{
	if (!is_done)
		sample_die("odd_mappings: %s: %s", what, strerror(errno));
}

static struct odd *note(const char *name, void *start, size_t bytes)
{
	must(name, start && start != MAP_FAILED && odd_count < ODD_MAX);
	odds[odd_count] =
		(struct odd){.name = name, .start = start, .bytes = bytes, .base = start, .period = 1, .run = 1};
	return &odds[odd_count++];
}

static void *map(size_t bytes, int flags, int fd)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
}

/* A mapping that is written before anything else happens to it. */
static struct odd *written(const char *name, size_t bytes, int flags, int fd)
{
	struct odd *odd = note(name, map(bytes, flags, fd), bytes);
	fill(odd);
	return odd;
}

static struct odd *anonymous(const char *name, size_t pages)
{
	/* A page without access on each side: mappings of one kind would merge. */
	char *place = mmap(NULL, (pages + 2) * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(name, place != MAP_FAILED);
	must(name, mprotect(place + PAGE_BYTES, pages * PAGE_BYTES, PROT_READ | PROT_WRITE) == 0);
	struct odd *odd = note(name, place + PAGE_BYTES, pages * PAGE_BYTES);
	fill(odd);
	return odd;
}

static void advise(const struct odd *odd, int advice)
{
	must(odd->name, madvise(odd->start, odd->bytes, advice) == 0);
}

static void write_table(void)
{
	static const char *const words[] = {"bytes", "zeros", "gap"};
	FILE *table = fopen(table_path, "we");
	must(table_path, table != NULL);
	for (size_t i = 0; i < odd_count; i++) {
		const struct odd *odd = &odds[i];
		fprintf(table, "%s %p %zu %p %zu %zu %s\n", odd->name, (void *)odd->start, odd->bytes,
			(void *)odd->base, odd->period, odd->run, words[odd->expectation]);
	}
	fclose(table);
}

/* ---------------------------------------------------------------- kinds of memory */

static void map_anonymous(void)
{
	must("mlock", mlock(anonymous("locked", 64)->start, 64 * PAGE_BYTES) == 0);
	advise(anonymous("dontfork", 64), MADV_DONTFORK);
	advise(anonymous("wipeonfork", 64), MADV_WIPEONFORK);
	advise(anonymous("dontdump", 64), MADV_DONTDUMP);
	struct odd *odd = anonymous("readonly", 64);
	must("mprotect", mprotect(odd->start, odd->bytes, PROT_READ) == 0);
	odd = anonymous("no_access", 64);
	odd->is_hidden = true;
	must("mprotect", mprotect(odd->start, odd->bytes, PROT_NONE) == 0);
	odd = anonymous("write_only", 64);
	odd->is_hidden = true;
	must("mprotect", mprotect(odd->start, odd->bytes, PROT_WRITE) == 0);
	odd = anonymous("dropped", 64);
	advise(odd, MADV_DONTNEED);
	odd->run = 0;
	odd = anonymous("sealed", 64);
	(void)syscall(NR_MSEAL, odd->start, odd->bytes, 0);
	written("growsdown", 64 * PAGE_BYTES, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);
	odd = note("zero_page", map(64 * PAGE_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1), 64 * PAGE_BYTES);
	odd->expectation = EXPECT_ZEROS;
	for (size_t at = 0; at < odd->bytes; at += PAGE_BYTES)
		(void)*(volatile char *)(odd->start + at);
}

/* Every fourth page becomes a guard (Linux 6.13); on older kernels it stays written. */
static void map_guards(void)
{
	struct odd *odd = anonymous("guards", 64);
	for (size_t at = 3 * PAGE_BYTES; at < odd->bytes; at += 4 * PAGE_BYTES) {
		if (madvise(odd->start + at, PAGE_BYTES, ADVICE_GUARD_INSTALL) == 0)
			odd->period = 4, odd->run = 3;
	}
}

static int file_of(const char *name, size_t bytes)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(path, fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	return fd;
}

/* A second, private mapping: its odd pages are its own, the even ones the file's. */
static void map_privately(const char *own, const char *others, const struct odd *file, int fd)
{
	char *start = map(file->bytes, MAP_PRIVATE, fd);
	struct odd *odd = note(others, start, file->bytes);
	odd->base = file->start;
	odd->period = 2;
	odd = note(own, start + PAGE_BYTES, file->bytes - PAGE_BYTES);
	odd->period = 2;
	fill(odd);
	/* Pages of the file are present once they were read. */
	for (size_t at = 0; at < file->bytes; at += PAGE_BYTES)
		(void)*(volatile char *)(start + at);
}

static void map_files(void)
{
	size_t bytes = 64 * PAGE_BYTES;
	int fd = file_of("shared.file", bytes);
	struct odd *shared = written("file_shared", bytes, MAP_SHARED, fd);
	map_privately("file_private_own", "file_private_files", shared, fd);
	fd = file_of("deleted.file", bytes);
	written("file_deleted", bytes, MAP_SHARED, fd);
	char path[4096];
	snprintf(path, sizeof(path), "%s/deleted.file", folder);
	must("unlink", unlink(path) == 0);
	/* After the end of its file a mapping has no pages (SIGBUS). */
	fd = file_of("truncated.file", bytes);
	struct odd *odd = written("file_truncated", bytes, MAP_SHARED, fd);
	must("ftruncate", ftruncate(fd, (off_t)bytes / 2) == 0);
	odd->period = odd->bytes / PAGE_BYTES;
	odd->run = odd->period / 2;
}

static void map_shared(void)
{
	size_t bytes = 64 * PAGE_BYTES;
	written("shared_anonymous", bytes, MAP_SHARED | MAP_ANONYMOUS, -1);
	int fd = memfd_create("odd", MFD_CLOEXEC);
	must("memfd_create", fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	struct odd *shared = written("memfd_shared", bytes, MAP_SHARED, fd);
	map_privately("memfd_private_own", "memfd_private_files", shared, fd);
	int segment = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
	fill(note("system_v", shmat(segment, NULL, 0), bytes));
	shmctl(segment, IPC_RMID, NULL);
}

static void map_huge(void)
{
	const size_t huge_bytes = (size_t)2 << 20;
	char *place = map(3 * huge_bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	must("huge page", place != MAP_FAILED);
	place += huge_bytes - (uintptr_t)place % huge_bytes;
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	madvise(place, huge_bytes, MADV_HUGEPAGE);
	fill(note("transparent_huge", place, huge_bytes));
	/* If none are reserved, there are none. */
	place = map(2 * huge_bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	if (place != MAP_FAILED)
		fill(note("hugetlb_private", place, 2 * huge_bytes));
	place = map(2 * huge_bytes, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	if (place != MAP_FAILED)
		fill(note("hugetlb_shared", place, 2 * huge_bytes));
}

/* Memory that the kernel itself cannot reach (memfd_secret(2)); often disabled. */
static void map_secret(void)
{
	size_t bytes = 16 * PAGE_BYTES;
	int fd = (int)syscall(SYS_memfd_secret, 0);
	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		return;
	void *place = map(bytes, MAP_SHARED, fd);
	if (place == MAP_FAILED)
		return;
	struct odd *odd = note("secret", place, bytes);
	fill(odd);
	odd->expectation = EXPECT_GAP;
}

/* Half of its pages are missing, and whoever touches them waits forever: nobody answers. */
static void map_watched(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	own_userfault = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (own_userfault < 0 || ioctl(own_userfault, UFFDIO_API, &api) < 0)
		return;
	struct odd *odd = anonymous("watched", 64);
	odd->period = odd->bytes / PAGE_BYTES;
	odd->run = odd->period / 2;
	must("watched", madvise(odd->start + odd->bytes / 2, odd->bytes / 2, MADV_DONTNEED) == 0);
	struct uffdio_register request = {
		.range = {.start = (uintptr_t)odd->start, .len = odd->bytes},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	must("watched", ioctl(own_userfault, UFFDIO_REGISTER, &request) == 0);
}

/* 100 MiB, whatever is reserved. */
static void map_sparse(uint64_t sparse_bytes)
{
	char *place = map(sparse_bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	struct odd *odd = note("sparse", place, sparse_bytes);
	odd->period = sparse_bytes / 100 / PAGE_BYTES;
	odd->run = ((size_t)1 << 20) / PAGE_BYTES;
	for (size_t at = 0; at < odd->bytes; at += odd->period * PAGE_BYTES) {
		for (size_t page = 0; page < odd->run && at + page * PAGE_BYTES < odd->bytes; page++)
			write_page(place + at + page * PAGE_BYTES, place + at + page * PAGE_BYTES);
	}
}

/* ---------------------------------------------------------------- the sample */

static void begin(struct sample *sample)
{
	map_sparse(sample->size_bytes);
	map_anonymous();
	map_guards();
	map_files();
	map_shared();
	map_huge();
	map_secret();
	if (!is_unwatched)
		map_watched();
	write_table();
}

static bool flag(struct sample *sample, const char *name)
{
	(void)sample;
	is_unwatched |= !strcmp(name, "--unwatched");
	return !strcmp(name, "--unwatched");
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (!strcmp(name, "--table"))
		table_path = value;
	else if (!strcmp(name, "--folder"))
		folder = value;
	else
		return false;
	return true;
}

/* Reading the sparse mapping would make zero pages resident: only written pages are checked. */
static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	const char *changed = "";
	for (size_t i = 0; i < odd_count; i++)
		changed = is_intact(&odds[i]) ? changed : odds[i].name;
	struct pollfd faults = {.fd = own_userfault, .events = POLLIN};
	snprintf(ret, ret_bytes, ",\"mappings\":%zu,\"changed\":\"%s\",\"own_faults\":%d", odd_count, changed,
		 own_userfault >= 0 ? poll(&faults, 1, 0) : 0);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "odd_mappings",
				.condition = "steady",
				.size_bytes = UINT64_C(20) << 30,
				.begin = begin,
				.flag = flag,
				.option = option,
				.describe = describe};
	return sample_main(&sample, argc, argv);
}
