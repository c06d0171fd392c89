/*
 * beside_mappings: leaks things that no mapping shows, or that are not memory. --what selects one, and each step leaks
 * one of it: memfd (written, not mapped), half-mapped (a memfd, half of it mapped and touched), tmpfs (a file of
 * /dev/shm without a name), shm (a System V segment that nobody has attached), page-tables (pages read far apart),
 * descriptor (of /dev/null), pipe. Truth: bytes and number.
 */
#include "sample.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>

#define TABLE_SPAN       ((size_t)2 << 20) /* what one page of the lowest page table covers */
#define TABLE_BYTES      ((size_t)4096)
#define TABLE_STEPS_MAX  20000
#define SHM_SEGMENTS_MAX 2000

static const char *what = "memfd";
static char *sparse;
static int segments[SHM_SEGMENTS_MAX];

static void write_all(int fd, size_t bytes)
{
	char block[4096];
	memset(block, 0x5a, sizeof(block));
	for (size_t left = bytes; left; left -= left < sizeof(block) ? left : sizeof(block)) {
		if (write(fd, block, left < sizeof(block) ? left : sizeof(block)) < 0)
			sample_die("beside_mappings: cannot write: %s", strerror(errno));
	}
}

static void count(struct sample *sample, int fd, size_t bytes)
{
	if (fd < 0)
		sample_die("beside_mappings: no more %s: %s", what, strerror(errno));
	sample->leaked_blocks++;
	sample->leaked_bytes += bytes;
}

static void step_memfd(struct sample *sample, bool is_half_mapped)
{
	size_t half = sample->step_bytes / 2;
	int fd = memfd_create("request-body", MFD_CLOEXEC);
	count(sample, fd, sample->step_bytes);
	write_all(fd, sample->step_bytes);
	if (!is_half_mapped)
		return;
	char *mapping = mmap(NULL, half, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapping == MAP_FAILED)
		sample_die("beside_mappings: cannot map");
	memset(mapping, 1, half);
}

static void step_tmpfs(struct sample *sample)
{
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	count(sample, fd, sample->step_bytes);
	write_all(fd, sample->step_bytes);
}

static void step_shm(struct sample *sample)
{
	if (sample->steps >= SHM_SEGMENTS_MAX)
		return;
	int id = shmget(IPC_PRIVATE, sample->step_bytes, IPC_CREAT | 0600);
	count(sample, id, sample->step_bytes);
	segments[sample->leaked_blocks - 1] = id;
	void *segment = shmat(id, NULL, 0);
	if (segment == (void *)-1) /* NOLINT(performance-no-int-to-ptr) */
		sample_die("beside_mappings: cannot attach: %s", strerror(errno));
	memset(segment, 1, sample->step_bytes);
	shmdt(segment);
}

/* A page that is only read is the kernel's zero page: it takes a page-table entry, but no memory. */
static void step_page_tables(struct sample *sample)
{
	for (size_t i = 0; i < sample->step_bytes / TABLE_BYTES && sample->leaked_blocks < TABLE_STEPS_MAX; i++)
		count(sample, *(volatile char *)(sparse + sample->leaked_blocks * TABLE_SPAN), TABLE_BYTES);
}

static void step_pipe(struct sample *sample)
{
	int fds[2] = {-1, -1};
	count(sample, pipe(fds), 0);
}

static void step(struct sample *sample)
{
	if (!strcmp(what, "memfd") || !strcmp(what, "half-mapped"))
		step_memfd(sample, what[0] == 'h');
	else if (!strcmp(what, "tmpfs"))
		step_tmpfs(sample);
	else if (!strcmp(what, "shm"))
		step_shm(sample);
	else if (!strcmp(what, "page-tables"))
		step_page_tables(sample);
	else if (!strcmp(what, "pipe"))
		step_pipe(sample);
	else
		count(sample, open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
}

static void begin(struct sample *sample)
{
	struct rlimit limit = {sample->size_bytes, sample->size_bytes};
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		sample_die("beside_mappings: cannot set RLIMIT_NOFILE");
	if (strcmp(what, "page-tables") != 0)
		return;
	sparse = mmap(NULL, TABLE_STEPS_MAX * TABLE_SPAN, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (sparse == MAP_FAILED)
		sample_die("beside_mappings: cannot map");
}

/* A segment outlives its process. */
static void end(struct sample *sample)
{
	for (uint64_t i = 0; !strcmp(what, "shm") && i < sample->leaked_blocks; i++)
		shmctl(segments[i], IPC_RMID, NULL);
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (strcmp(name, "--what") != 0)
		return false;
	what = value;
	return true;
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	snprintf(ret, ret_bytes, ",\"what\":\"%s\",\"descriptor_limit\":%" PRIu64, what, sample->size_bytes);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "beside_mappings",
				.condition = "leak",
				.size_bytes = 1000,
				.step_bytes = 128 << 10,
				.begin = begin,
				.step = step,
				.end = end,
				.option = option,
				.describe = describe};
	return sample_main(&sample, argc, argv);
}
