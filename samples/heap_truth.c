/*
 * heap_truth: a churning program that knows each block it holds. Before READY, --threads threads allocate, resize and
 * free blocks of 1 B to 64 MB, of --seed, their own and each other's; then all sleep, with their caches filled. Truth:
 * --file has a line a block, "L ADDR USABLE REQUESTED" of the live ones, "F ADDR" of places freed and not given out
 * again, and the allocator's own totals as far as it has any. --aligned 0: without posix_memalign, which gives
 * overlapping blocks in mimalloc 3.0.1, as Debian 13 has it (for an alignment of 256).
 */
#include "sample.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>

enum { THREADS_MAX = 64, PHASES = 4 };

#define BIG_BYTES_MAX ((uint64_t)256 << 20) /* what blocks of more than 1 MiB hold together */

struct block {
	uint8_t *addr;
	size_t bytes;
};

/* Tables are mapped, not allocated: they are not in the heap that they describe. */
struct table {
	struct block *blocks;
	uintptr_t *freed; /* addresses in the order of their frees */
	size_t freed_count;
	uint64_t random;
};

static struct {
	uint64_t seed, threads, slots, operations, exits, aligned_percent;
	const char *file;
	struct table tables[THREADS_MAX];
	pthread_barrier_t barrier;
	_Atomic uint64_t big_bytes;
	uint64_t live_count, live_bytes;
} truth = {.seed = 1, .threads = 4, .slots = 20000, .operations = 200000, .aligned_percent = 4};

static uint64_t next_random(struct table *table)
{
	table->random ^= table->random << 13;
	table->random ^= table->random >> 7;
	table->random ^= table->random << 17;
	return table->random;
}

/* Mostly small, as programs do, some large, few huge. */
static size_t choose_bytes(struct table *table)
{
	uint64_t random = next_random(table), kind = random % 1000, value = random >> 16;
	if (kind < 700)
		return 1 + value % 256;
	if (kind < 930)
		return 1 + value % 4096;
	if (kind < 990)
		return 1 + value % (64 << 10);
	if (kind < 997)
		return 1 + value % (1 << 20);
	return 1 + value % (64 << 20);
}

static bool is_big(size_t bytes)
{
	return bytes > 1 << 20;
}

/* Marks both ends, so that a block handed out twice is detected. */
static void mark_block(const struct block *block)
{
	uint8_t mark = (uint8_t)((uintptr_t)block->addr >> 4);
	block->addr[0] = mark;
	block->addr[block->bytes - 1] = mark;
}

static void check_block(const struct block *block)
{
	uint8_t mark = (uint8_t)((uintptr_t)block->addr >> 4);
	if (block->addr[block->bytes - 1] != mark || block->addr[0] != mark)
		sample_die("heap_truth: block %p changed", (void *)block->addr);
}

static void *allocate(struct table *table, size_t bytes)
{
	static const size_t alignments[] = {32, 64, 256, 4096, 65536};
	uint64_t random = next_random(table) % 100;
	void *addr = NULL;
	if (random < truth.aligned_percent)
		return posix_memalign(&addr, alignments[next_random(table) % 5], bytes) ? NULL : addr;
	return random < 20 ? calloc(1, bytes) : malloc(bytes);
}

static void fill_slot(struct table *table, struct block *block)
{
	size_t bytes = choose_bytes(table);
	if (is_big(bytes) && atomic_fetch_add(&truth.big_bytes, bytes) + bytes > BIG_BYTES_MAX) {
		atomic_fetch_sub(&truth.big_bytes, bytes);
		bytes = 1 + bytes % 4096;
	}
	*block = (struct block){allocate(table, bytes), bytes};
	if (!block->addr)
		sample_die("heap_truth: no memory");
	mark_block(block);
}

static void note_freed(struct table *table, const uint8_t *addr)
{
	table->freed[table->freed_count++] = (uintptr_t)addr;
}

static void empty_slot(struct table *table, struct block *block)
{
	check_block(block);
	note_freed(table, block->addr);
	if (is_big(block->bytes))
		atomic_fetch_sub(&truth.big_bytes, block->bytes);
	free(block->addr);
	*block = (struct block){0};
}

static void resize_slot(struct table *table, struct block *block)
{
	size_t bytes = choose_bytes(table);
	if (is_big(bytes) || is_big(block->bytes))
		return;
	check_block(block);
	note_freed(table, block->addr);
	uint8_t *addr = realloc(block->addr, bytes);
	if (!addr)
		sample_die("heap_truth: no memory");
	*block = (struct block){addr, bytes};
	mark_block(block);
}

/* Each phase uses another thread's table: one thread frees what another allocated. */
static void churn(struct table *table, struct table *other)
{
	table->random =
		truth.seed * 0x9e3779b97f4a7c15u + (uint64_t)(other - truth.tables) * 77 + 1 + table->freed_count;
	for (uint64_t i = 0; i < truth.operations / PHASES; i++) {
		struct block *block = &other->blocks[next_random(table) % truth.slots];
		if (!block->addr)
			fill_slot(table, block);
		else if (next_random(table) % 8)
			empty_slot(table, block);
		else
			resize_slot(table, block);
	}
}

/* Threads that end leave their caches to others; the rest sleep. */
static void *run_thread(void *argument)
{
	size_t index = (size_t)((struct table *)argument - truth.tables);
	for (size_t phase = 0; phase < PHASES; phase++) {
		pthread_barrier_wait(&truth.barrier);
		churn(&truth.tables[index], &truth.tables[(index + phase) % truth.threads]);
	}
	pthread_barrier_wait(&truth.barrier);
	while (index >= truth.exits)
		pause();
	return NULL;
}

static void *map_table(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (table == MAP_FAILED)
		sample_die("heap_truth: no memory for tables");
	return table;
}

/* ---------------------------------------------------------------- what is written */

static int compare_words(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
	return (x > y) - (x < y);
}

/* Lists are sorted in mapped memory, and written without a stream: nothing allocates here. */
struct writer {
	int fd;
	size_t used;
	char text[1 << 16];
};

static struct writer writer;

static __attribute__((format(printf, 1, 2))) void write_line(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	writer.used += (size_t)vsnprintf(writer.text + writer.used, 256, format, arguments);
	va_end(arguments);
	if (writer.used > sizeof(writer.text) - 512) {
		if (write(writer.fd, writer.text, writer.used) != (ssize_t)writer.used)
			sample_die("heap_truth: cannot write");
		writer.used = 0;
	}
}

/* In musl, malloc_usable_size returns the requested size. */
static size_t write_live_blocks(uintptr_t *ret)
{
	size_t count = 0;
	for (size_t i = 0; i < truth.threads * truth.slots; i++) {
		const struct block *block = &truth.tables[i / truth.slots].blocks[i % truth.slots];
		if (!block->addr)
			continue;
		check_block(block);
		write_line("L %lx %zu %zu\n", (unsigned long)block->addr, malloc_usable_size(block->addr),
			   block->bytes);
		ret[count++] = (uintptr_t)block->addr;
		truth.live_bytes += block->bytes;
	}
	qsort(ret, count, sizeof(*ret), compare_words);
	return count;
}

static void write_freed_places(uintptr_t *freed, size_t freed_count, const uintptr_t *live, size_t live_count)
{
	qsort(freed, freed_count, sizeof(*freed), compare_words);
	for (size_t i = 0, at = 0; i < freed_count; i++) {
		while (at < live_count && live[at] < freed[i])
			at++;
		if ((!i || freed[i] != freed[i - 1]) && (at == live_count || live[at] != freed[i]))
			write_line("F %lx\n", (unsigned long)freed[i]);
	}
}

typedef int mallctl_call(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);
typedef int numeric_property_call(const char *name, size_t *ret);

static void *find_symbol(const char *name)
{
#ifdef __GLIBC__
	void *symbol = dlsym(RTLD_DEFAULT, name);
	/* Its error message is in a block until dlerror is called a second time. */
	dlerror();
	dlerror();
	return symbol;
#else
	(void)name;
	return NULL;
#endif
}

static void write_jemalloc_totals(mallctl_call *mallctl)
{
	static const char *const names[] = {"stats.allocated", "stats.active", "stats.resident", "stats.retained"};
	uint64_t epoch = 1;
	size_t bytes = sizeof(epoch);
	mallctl("epoch", &epoch, &bytes, &epoch, bytes);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t value = 0;
		bytes = sizeof(value);
		if (!mallctl(names[i], &value, &bytes, NULL, 0))
			write_line("T %s %zu\n", names[i], value);
	}
}

static void write_tcmalloc_totals(numeric_property_call *get)
{
	static const char *const names[] = {
		"generic.current_allocated_bytes",
		"generic.heap_size",
		"tcmalloc.pageheap_free_bytes",
		"tcmalloc.pageheap_unmapped_bytes",
		"tcmalloc.central_cache_free_bytes",
		"tcmalloc.transfer_cache_free_bytes",
		"tcmalloc.current_total_thread_cache_bytes",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t value;
		if (get(names[i], &value))
			write_line("T %s %zu\n", names[i], value);
	}
}

/* mallinfo(3): all arenas together. The size of free blocks includes the 8 bytes that malloc keeps of each. */
static void write_glibc_totals(void)
{
#ifdef __GLIBC__
	struct mallinfo2 info = mallinfo2();
	write_line("T glibc.system %zu\n", info.arena);
	write_line("T glibc.free %zu\n", info.fordblks);
	write_line("T glibc.free_blocks %zu\n", info.ordblks);
	write_line("T glibc.fast %zu\n", info.fsmblks);
	write_line("T glibc.fast_blocks %zu\n", info.smblks);
	write_line("T glibc.mapped %zu\n", info.hblkhd);
	write_line("T glibc.mapped_blocks %zu\n", info.hblks);
#endif
}

static void write_totals(void)
{
	void *mallctl = find_symbol("mallctl"), *property = find_symbol("MallocExtension_GetNumericProperty");
	if (mallctl)
		write_jemalloc_totals((mallctl_call *)mallctl);
	if (property)
		write_tcmalloc_totals((numeric_property_call *)property);
	write_glibc_totals();
}

static void write_truth(void)
{
	size_t places = truth.threads * truth.operations + 1, freed_count = 0;
	uintptr_t *freed = map_table(places * sizeof(*freed));
	uintptr_t *live = map_table((truth.threads * truth.slots + 1) * sizeof(*live));
	writer.fd = open(truth.file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (writer.fd < 0)
		sample_die("heap_truth: cannot open %s", truth.file);
	for (size_t i = 0; i < truth.threads; i++) {
		for (size_t j = 0; j < truth.tables[i].freed_count; j++)
			freed[freed_count++] = truth.tables[i].freed[j];
	}
	truth.live_count = write_live_blocks(live);
	write_freed_places(freed, freed_count, live, truth.live_count);
	write_totals();
	if (write(writer.fd, writer.text, writer.used) != (ssize_t)writer.used)
		sample_die("heap_truth: cannot write %s", truth.file);
	close(writer.fd);
	munmap(freed, places * sizeof(*freed));
	munmap(live, (truth.threads * truth.slots + 1) * sizeof(*live));
}

/* ---------------------------------------------------------------- the sample */

static void begin(struct sample *sample)
{
	static char output[BUFSIZ];
	pthread_t threads[THREADS_MAX];
	/* What libc allocates for output and symbols must come before the first free. */
	setvbuf(stdout, output, _IOFBF, sizeof(output));
	find_symbol("mallctl");
	pthread_barrier_init(&truth.barrier, NULL, (unsigned)truth.threads + 1);
	for (size_t i = 0; i < truth.threads; i++) {
		truth.tables[i].blocks = map_table(truth.slots * sizeof(struct block));
		truth.tables[i].freed = map_table((truth.operations + PHASES) * sizeof(uintptr_t));
		if (pthread_create(&threads[i], NULL, run_thread, &truth.tables[i]))
			sample_die("heap_truth: no thread");
	}
	for (size_t i = 0; i < PHASES + 1; i++)
		pthread_barrier_wait(&truth.barrier);
	for (size_t i = 0; i < truth.exits; i++)
		pthread_join(threads[i], NULL);
	write_truth();
	sample->held_bytes = truth.live_bytes;
}

static bool take_option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	const struct {
		const char *name;
		uint64_t *value;
		uint64_t max;
	} numbers[] = {
		{"--seed", &truth.seed, UINT32_MAX},    {"--threads", &truth.threads, THREADS_MAX},
		{"--slots", &truth.slots, 1 << 24},     {"--operations", &truth.operations, 1 << 26},
		{"--exits", &truth.exits, THREADS_MAX}, {"--aligned", &truth.aligned_percent, 20},
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (strcmp(name, numbers[i].name) != 0)
			continue;
		*numbers[i].value = strtoull(value, NULL, 10);
		return *numbers[i].value <= numbers[i].max;
	}
	if (strcmp(name, "--file") != 0)
		return false;
	truth.file = value;
	return true;
}

static void describe_truth(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	snprintf(ret, ret_bytes, ",\"blocks\":%" PRIu64 ",\"block_bytes_held\":%" PRIu64, truth.live_count,
		 truth.live_bytes);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "heap_truth",
				.condition = "steady",
				.begin = begin,
				.option = take_option,
				.describe = describe_truth};
	truth.file = "/dev/null";
	return sample_main(&sample, argc, argv);
}
