/*
 * leak_heap: a heap for benchmarks of `leakhunt leaks`: hash tables with chains and strings, trees, arrays of objects
 * with random references, lists, in random order; one structure in 30 is lost. Arguments: millions of blocks, and
 * instead of this mix "list" (one list of all), "fan" (an array of all, which all point to one) or "bipartite" (a
 * square root of so many, each of which points to each of as many). Prints READY when all is there, then waits for the
 * end of input.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES = 16, BUCKETS = 65536, TREES = 12, ARRAYS = 128, LISTS = 8 };

struct item {
	struct item *next, *other;
	char *text;
	uint64_t key;
};

static struct item **tables[TABLES];
static struct item *trees[TREES], *lists[LISTS];
static struct item **arrays[ARRAYS];
static size_t array_counts[ARRAYS], array_rooms[ARRAYS];
static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void *allocate_zeroed(size_t bytes)
{
	void *block = calloc(1, bytes);
	if (!block)
		exit(2);
	return block;
}

static struct item *make_item(size_t more)
{
	struct item *item = allocate_zeroed(sizeof(*item) + more);
	item->key = next_random();
	return item;
}

static char *make_text(void)
{
	size_t length = 20 + next_random() % 100;
	char *text = allocate_zeroed(length + 1);
	memset(text, 'a' + (int)(length % 26), length);
	return text;
}

static void add_to_table(void)
{
	struct item *item = make_item(next_random() % 64);
	struct item **bucket = &tables[item->key % TABLES][item->key / TABLES % BUCKETS];
	item->text = make_text();
	item->next = *bucket;
	*bucket = item;
}

/* An unbalanced tree of random keys is deep by 2 ln n only. */
static void add_to_tree(void)
{
	struct item *item = make_item(next_random() % 48);
	struct item **at = &trees[item->key % TREES];
	while (*at)
		at = item->key < (*at)->key ? &(*at)->next : &(*at)->other;
	*at = item;
}

static void add_to_array(void)
{
	size_t at = next_random() % ARRAYS;
	struct item *item = make_item(next_random() % 128);
	if (array_counts[at] == array_rooms[at]) {
		array_rooms[at] = array_rooms[at] ? 2 * array_rooms[at] : 64;
		arrays[at] = realloc(arrays[at], array_rooms[at] * sizeof(*arrays[at]));
		if (!arrays[at])
			exit(2);
	}
	if (array_counts[at])
		item->other = arrays[at][next_random() % array_counts[at]];
	arrays[at][array_counts[at]++] = item;
}

static void add_to_list(void)
{
	struct item *item = make_item(next_random() % 32);
	struct item **head = &lists[next_random() % LISTS];
	item->next = *head;
	*head = item;
}

static void lose_one(void)
{
	struct item *item = make_item(next_random() % 64);
	item->text = make_text();
	if (next_random() % 2)
		item->next = make_item(8);
}

/* ---------------------------------------------------------------- extreme shapes */

static void make_one_list(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct item *item = make_item(0);
		item->next = lists[0];
		lists[0] = item;
	}
}

static void make_fan(size_t count)
{
	struct item *shared = make_item(0);
	arrays[0] = allocate_zeroed(count * sizeof(*arrays[0]));
	for (size_t i = 0; i < count; i++) {
		arrays[0][i] = make_item(0);
		arrays[0][i]->next = shared;
	}
}

/* `edges` pointers between two sides. */
static void make_bipartite(size_t edges)
{
	size_t side = 1;
	while (side * side < edges)
		side++;
	struct item **right = allocate_zeroed(side * sizeof(*right));
	arrays[0] = allocate_zeroed(side * sizeof(*arrays[0]));
	for (size_t i = 0; i < side; i++)
		right[i] = make_item(0);
	for (size_t i = 0; i < side; i++) {
		arrays[0][i] = allocate_zeroed(side * sizeof(*right));
		memcpy(arrays[0][i], right, side * sizeof(*right));
	}
	memset(right, 0, side * sizeof(*right));
	free(right);
}

/* ---------------------------------------------------------------- the mix */

static void make_mix(size_t wanted)
{
	for (size_t i = 0; i < TABLES; i++)
		tables[i] = allocate_zeroed(BUCKETS * sizeof(*tables[i]));
	for (size_t i = 0; i < wanted; i++) {
		uint64_t kind = next_random() % 30;
		if (kind == 0)
			lose_one();
		else if (kind < 13)
			add_to_table();
		else if (kind < 18)
			add_to_tree();
		else if (kind < 26)
			add_to_array();
		else
			add_to_list();
	}
}

int main(int argc, char **argv)
{
	double millions = argc > 1 ? strtod(argv[1], NULL) : 1;
	const char *shape = argc > 2 ? argv[2] : "mix";
	size_t wanted = (size_t)(millions * 1e6);
	if (strcmp(shape, "list") == 0)
		make_one_list(wanted);
	else if (strcmp(shape, "fan") == 0)
		make_fan(wanted);
	else if (strcmp(shape, "bipartite") == 0)
		make_bipartite(wanted);
	else
		make_mix((size_t)(millions * 1e6 / 1.4));
	puts("READY");
	fflush(stdout);
	return getchar() == EOF ? 0 : 1;
}
