/*
 * leak_truth: a program that knows what it has lost. Before READY it makes --count structures of random kinds, in
 * random order of --seed: lists, trees, rings, arrays, blocks held by their middle, by threads, keys and TLS; it loses
 * some of each. With --shared 1 some are held by words in shared memory and in a memfd alone. Truth: --file has a line
 * a block, "L ADDR USABLE" of lost ones (heads and what they hold), "R ADDR USABLE" of those that it can still reach.
 * All that is on the way there lies in mapped memory that is gone before READY.
 */
#include "sample.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>

enum { THREADS = 4, LINKS = 6 };

/* The beginning of all blocks: links to others, or NULL. */
struct node {
	struct node *links[LINKS];
	uint64_t serial;
};

struct entry {
	uint64_t addr_inverted;
	uint64_t usable;
	uint64_t is_lost;
};

/* Mapped, and unmapped before READY. */
static struct {
	struct entry *entries;
	size_t count, capacity;
	uint64_t random;
} book;

static struct {
	uint64_t seed, count;
	uint64_t aligned_percent; /* of blocks from posix_memalign */
	bool has_shared;
	const char *file;
} wish = {.seed = 1, .count = 1000, .aligned_percent = 5, .file = "/dev/null"};

/* Roots of everything that stays: a table in the heap that a pointer in data leads to. */
static void **kept;
static size_t kept_count;

static pthread_barrier_t barrier;
static pthread_key_t key;
static __thread struct node *volatile local_block; /* volatile: it is never read */
static uint64_t lost_count, lost_bytes, reachable_count;

static uint64_t next_random(void)
{
	book.random ^= book.random << 13;
	book.random ^= book.random >> 7;
	book.random ^= book.random << 17;
	return book.random;
}

static void note_block(void *block, bool is_lost)
{
	uint64_t usable = malloc_usable_size(block);
	if (book.count == book.capacity)
		sample_die("leak_truth: the book is full");
	book.entries[book.count++] = (struct entry){~(uint64_t)(uintptr_t)block, usable, is_lost};
	lost_count += is_lost;
	lost_bytes += is_lost ? usable : 0;
	reachable_count += !is_lost;
}

/* From the smallest size that holds a node up to 4 KiB, rarely up to 1 MiB. */
static size_t choose_bytes(void)
{
	uint64_t random = next_random();
	size_t more = random % 100 < 80     ? random >> 8 & 127
		      : random % 1000 < 998 ? random >> 8 & 4095
					    : random >> 8 & 0xfffff;
	return sizeof(struct node) + more;
}

static struct node *make_node(bool is_lost)
{
	static uint64_t serial;
	size_t bytes = choose_bytes();
	void *block = NULL;
	if (next_random() % 100 < wish.aligned_percent) {
		if (posix_memalign(&block, UINT64_C(32) << next_random() % 8, bytes))
			block = NULL;
	} else {
		block = malloc(bytes);
	}
	/* Resized blocks leave free blocks with old pointers behind. */
	void *resized = block && next_random() % 10 == 0 ? realloc(block, bytes + 500) : block;
	if (!resized)
		sample_die("leak_truth: no memory");
	struct node *node = resized;
	/* All of it: earlier contents are not the program's pointers. */
	memset(node, 0, malloc_usable_size(node));
	node->serial = ++serial;
	note_block(node, is_lost);
	return node;
}

/* ---------------------------------------------------------------- structures: each returns what leads to all of it */

static struct node *make_list(bool is_lost, size_t length)
{
	struct node *head = NULL;
	for (size_t i = 0; i < length; i++) {
		struct node *node = make_node(is_lost);
		node->links[0] = head;
		head = node;
	}
	return head;
}

static struct node *make_tree(bool is_lost)
{
	enum { NODES = 15 };
	struct node *nodes[NODES];
	for (size_t i = 0; i < NODES; i++) {
		nodes[i] = make_node(is_lost);
		if (i) {
			nodes[(i - 1) / 2]->links[1 + (i - 1) % 2] = nodes[i];
			nodes[i]->links[0] = nodes[(i - 1) / 2]; /* to the parent */
		}
	}
	return nodes[0];
}

static struct node *make_ring(bool is_lost, bool is_double)
{
	struct node *last = make_node(is_lost), *first = last;
	for (size_t i = next_random() % 6; i > 0; i--) {
		struct node *node = make_node(is_lost);
		node->links[0] = first;
		first->links[1] = is_double ? node : NULL;
		first = node;
	}
	last->links[0] = first;
	first->links[1] = is_double ? last : NULL;
	return first;
}

static struct node *make_array(bool is_lost)
{
	size_t count = 8 + next_random() % 64;
	void **array = calloc(count, sizeof(*array));
	if (!array)
		sample_die("leak_truth: no memory");
	note_block(array, is_lost);
	for (size_t i = 0; i < count; i++)
		array[i] = make_node(is_lost);
	return (struct node *)array;
}

/* All members are lost with the array that held them: the array is freed and keeps their addresses. */
static struct node *free_holder(void)
{
	size_t count = 4 + next_random() % 8;
	void **array = malloc(count * sizeof(*array));
	if (!array)
		sample_die("leak_truth: no memory");
	for (size_t i = 0; i < count; i++)
		array[i] = make_node(true);
	free(array);
	return NULL;
}

/* Only a pointer into its middle leads to it. Its first word leads to another one. */
static struct node *make_middle(bool is_lost)
{
	struct node *inner = make_node(is_lost);
	struct node *holder = make_node(is_lost);
	inner->links[0] = make_node(is_lost);
	holder->links[3] = (void *)((char *)inner + 24);
	return holder;
}

/* A lost block that points to a live one does not make that one lost. */
static struct node *make_pointing(bool is_lost)
{
	struct node *node = make_node(is_lost);
	node->links[5] = kept_count ? kept[next_random() % kept_count] : NULL;
	return node;
}

static struct node *make_mapped(bool is_lost)
{
	char *block = calloc(1, 300000);
	if (!block)
		sample_die("leak_truth: no memory");
	note_block(block, is_lost);
	((struct node *)(void *)block)->links[0] = make_node(is_lost);
	return (struct node *)(void *)block;
}

static struct node *make_structure(bool is_lost)
{
	switch (next_random() % 10) {
	case 0:
		return make_list(is_lost, 1 + next_random() % 40);
	case 1:
		return make_tree(is_lost);
	case 2:
		return make_ring(is_lost, false);
	case 3:
		return make_ring(is_lost, true);
	case 4:
		return make_array(is_lost);
	case 5:
		return is_lost ? free_holder() : make_list(false, 3);
	case 6:
		return make_middle(is_lost);
	case 7:
		return make_pointing(is_lost);
	case 8:
		return next_random() % 20 ? make_node(is_lost) : make_mapped(is_lost);
	default:
		return make_node(is_lost);
	}
}

/* Overwrites what calls left below this frame. */
static __attribute__((noinline)) void clear_stack(void)
{
	volatile char dead[32768];
	for (size_t i = 0; i < sizeof(dead); i++)
		dead[i] = 0;
}

/* ---------------------------------------------------------------- threads */

/* A living thread holds one block in TLS, one by a key, one on its stack. A thread that ended has lost them. */
static __attribute__((noinline)) void hold_in_thread(bool is_lost)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock);
	local_block = make_list(is_lost, 5);
	pthread_setspecific(key, make_list(is_lost, 5));
	pthread_mutex_unlock(&lock);
}

static void *run_ended(void *argument)
{
	hold_in_thread(true);
	clear_stack();
	return argument;
}

static void *run_alive(void *argument)
{
	struct node *volatile on_stack;
	hold_in_thread(false);
	on_stack = argument;
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	return on_stack;
}

static void start_threads(void)
{
	pthread_t thread;
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	pthread_key_create(&key, NULL);
	for (size_t i = 0; i < THREADS; i++) {
		if (pthread_create(&thread, NULL, run_ended, NULL) || pthread_join(thread, NULL))
			sample_die("leak_truth: no thread");
	}
	for (size_t i = 0; i < THREADS; i++) {
		if (pthread_create(&thread, NULL, run_alive, make_node(false)))
			sample_die("leak_truth: no thread");
	}
	pthread_barrier_wait(&barrier);
}

/* ---------------------------------------------------------------- the sample */

static __attribute__((noinline)) void make_all(void)
{
	for (uint64_t i = 0; i < wish.count; i++) {
		bool is_lost = next_random() % 3 == 0;
		struct node *node = make_structure(is_lost);
		if (!is_lost)
			kept[kept_count++] = node;
	}
}

static void hold_in_mapping(int fd, int flags)
{
	struct node *volatile *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);
	if (words == MAP_FAILED)
		sample_die("leak_truth: no shared memory");
	words[1] = make_list(false, 20);
	words[7] = make_tree(false);
}

static __attribute__((noinline)) void hold_in_shared_memory(void)
{
	int fd = memfd_create("leak_truth", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 4096))
		sample_die("leak_truth: no memfd");
	hold_in_mapping(fd, 0);
	close(fd);
	hold_in_mapping(-1, MAP_ANONYMOUS);
}

static void put_text(int fd, const char *text, size_t length)
{
	if (write(fd, text, length) != (ssize_t)length)
		sample_die("leak_truth: cannot write %s", wish.file);
}

static void write_book(void)
{
	static char text[1 << 16];
	size_t length = 0;
	int fd = open(wish.file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (size_t i = 0; i < book.count; i++) {
		const struct entry *entry = &book.entries[i];
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%c 0x%" PRIx64 " %" PRIu64 "\n",
					   entry->is_lost ? 'L' : 'R', ~entry->addr_inverted, entry->usable);
		if (length > sizeof(text) - 100) {
			put_text(fd, text, length);
			length = 0;
		}
	}
	put_text(fd, text, length);
	close(fd);
	memset(text, 0, sizeof(text));
	memset(book.entries, 0, book.capacity * sizeof(*book.entries));
	munmap(book.entries, book.capacity * sizeof(*book.entries));
	book.entries = NULL;
}

static void begin(struct sample *sample)
{
	(void)sample;
	book.capacity = wish.count * 80 + 10000;
	book.random = wish.seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	book.entries = mmap(NULL, book.capacity * sizeof(*book.entries), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	kept = calloc(wish.count + 1, sizeof(*kept));
	if (book.entries == MAP_FAILED || !kept)
		sample_die("leak_truth: no memory");
	make_all();
	if (wish.has_shared)
		hold_in_shared_memory();
	start_threads();
	clear_stack();
	write_book();
	clear_stack();
	sample->leaked_blocks = lost_count;
	sample->leaked_bytes = lost_bytes;
}

static bool take_option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (strcmp(name, "--seed") == 0)
		wish.seed = strtoull(value, NULL, 10);
	else if (strcmp(name, "--count") == 0)
		wish.count = strtoull(value, NULL, 10);
	else if (strcmp(name, "--aligned") == 0)
		wish.aligned_percent = strtoull(value, NULL, 10);
	else if (strcmp(name, "--shared") == 0)
		wish.has_shared = strtoull(value, NULL, 10);
	else if (strcmp(name, "--file") == 0)
		wish.file = value;
	else
		return false;
	return wish.count <= 1 << 24;
}

static void describe_truth(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	snprintf(ret, ret_bytes, ",\"reachable_blocks\":%" PRIu64, reachable_count);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "leak_truth",
				.condition = "leak",
				.begin = begin,
				.option = take_option,
				.describe = describe_truth};
	return sample_main(&sample, argc, argv);
}
