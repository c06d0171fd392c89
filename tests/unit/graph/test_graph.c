/*
 * graph: reachability, circles, dominators, on heaps made here block by block. Truth: for small random graphs the
 * definitions themselves, by brute force; for large hostile ones their construction. What is quadratic does not end.
 */
#include "graph/holders.h"
#include "heap/sink.h"

#include "core_builder.h"

enum { STRIDE = 32, USABLE = 24, WORDS = 3, ROOT_WORDS = 512, LARGE = 1000000 };

#define HEAP_ADDR UINT64_C(0x10000000)
#define ROOT_ADDR UINT64_C(0x600000)

/* Blocks of 24 bytes each 32 bytes, as glibc has them: what they hold, and what a page of roots holds. */
struct world {
	uint64_t *words; /* STRIDE / 8 of each block */
	size_t count;
	uint64_t roots[ROOT_WORDS];
	struct core_builder core;
	struct lh_image *image;
	struct lh_heap heap;
	struct lh_graph *graph;
	bool has_no_thread;
	bool has_no_headers; /* each block ends where the next one begins */
	size_t pairs;      /* so many of the last blocks are twice as long: every other one is part of the one before */
	bool has_pymalloc; /* the last block is pymalloc's */
	size_t last_strides;         /* if not 0, the last block takes so many places */
	size_t more_large;           /* and so many before it, too */
	uint64_t signal_frame_bytes; /* AT_MINSIGSTKSZ; 0: there is no auxiliary vector */
};

static uint64_t addr_of(size_t block)
{
	return HEAP_ADDR + block * STRIDE;
}

static void begin_world(struct world *world, size_t count)
{
	*world = (struct world){.count = count};
	world->words = calloc(count, STRIDE);
	assert_non_null(world->words);
}

static void link_block(struct world *world, size_t from, size_t slot, uint64_t word)
{
	world->words[from * (STRIDE / 8) + slot] = word;
}

static void fill_heap(struct world *world)
{
	for (size_t i = 0; i < world->count; i++) {
		bool is_pair = i >= world->count - 2 * world->pairs;
		struct lh_stored_chunk chunk = {.addr = addr_of(i),
						.size_bytes = world->has_no_headers ? STRIDE : USABLE,
						.state = LH_CHUNK_USED};
		size_t left = world->count - i, strides = world->last_strides;
		bool is_large = strides && left % strides == 0 && left / strides <= 1 + world->more_large;
		size_t more = is_large ? strides - 1 : is_pair;
		chunk.size_bytes += more * STRIDE;
		i += more;
		assert_success(lh_vec_push(&world->heap.chunks, chunk));
	}
	static struct lh_range range;
	range = (struct lh_range){HEAP_ADDR, lh_align_up(addr_of(world->count), LH_PAGE_BYTES)};
	struct lh_heap_arena arena = {
		.allocator = "glibc", .role = "main", .kind = LH_REGION_HEAP, .ranges = &range, .range_count = 1};
	assert_success(lh_vec_push(&world->heap.arenas, arena));
	arena.kind = LH_REGION_PYMALLOC;
	assert_success(lh_vec_push(&world->heap.arenas, arena));
	world->heap.chunks.items[world->heap.chunks.count - 1].arena = world->has_pymalloc;
}

static void mark_world(struct world *world)
{
	size_t bytes = lh_align_up(world->count * STRIDE, LH_PAGE_BYTES);
	uint8_t *padded = calloc(1, bytes);
	assert_non_null(padded);
	memcpy(padded, world->words, world->count * STRIDE);
	core_begin(&world->core);
	if (!world->has_no_thread)
		core_add_thread(&world->core, 100, 0x1000);
	const uint64_t vector[] = {AT_MINSIGSTKSZ, world->signal_frame_bytes, AT_NULL, 0};
	if (world->signal_frame_bytes)
		core_add_note(&world->core, "CORE", NT_AUXV, vector, sizeof(vector));
	core_add_load(&world->core, ROOT_ADDR, sizeof(world->roots), world->roots, sizeof(world->roots), PF_R | PF_W);
	core_add_load(&world->core, HEAP_ADDR, bytes, padded, bytes, PF_R | PF_W);
	core_end(&world->core);
	free(padded);
	world->image = core_open(&world->core);
	fill_heap(world);
	assert_success(lh_graph_create(world->image, &world->heap, &world->graph));
}

static void end_world(struct world *world)
{
	lh_graph_destroy(world->graph);
	lh_image_close(world->image);
	core_deinit(&world->core);
	lh_vec_deinit(&world->heap.chunks);
	lh_vec_deinit(&world->heap.arenas);
	free(world->words);
}

static void assert_counts(const struct world *world, uint64_t reachable, uint64_t lost, uint64_t held, uint64_t cycle)
{
	struct lh_graph_totals totals = lh_graph_totals(world->graph);
	assert_int_equal(totals.counts[LH_LEAK_REACHABLE], reachable);
	assert_int_equal(totals.counts[LH_LEAK_LOST], lost);
	assert_int_equal(totals.counts[LH_LEAK_HELD], held);
	assert_int_equal(totals.counts[LH_LEAK_CYCLE], cycle);
}

/* ---------------------------------------------------------------- words */

static void test_words(void **state)
{
	(void)state;
	struct world world;
	begin_world(&world, 12);
	world.roots[0] = addr_of(0);
	world.roots[1] = addr_of(1) + 20;         /* into the middle */
	world.roots[2] = addr_of(2) + USABLE - 8; /* the header of the next block */
	world.roots[3] = addr_of(3) + USABLE;     /* behind it */
	world.roots[4] = addr_of(4) | UINT64_C(0xbeef) << 48;
	world.roots[5] = (addr_of(5) + 8) | UINT64_C(0xbeef) << 48; /* tagged, not to the beginning */
	link_block(&world, 0, 0, addr_of(6));
	link_block(&world, 6, 2, addr_of(0));
	link_block(&world, 7, 0, addr_of(8)); /* lost, and what it holds */
	link_block(&world, 9, 0, addr_of(10));
	link_block(&world, 10, 0, addr_of(9));
	link_block(&world, 11, 1, addr_of(11)); /* holds itself only */
	mark_world(&world);
	static const enum lh_leak_status expected[] = {LH_LEAK_REACHABLE, LH_LEAK_REACHABLE, LH_LEAK_LOST,
						       LH_LEAK_LOST,      LH_LEAK_POSSIBLE,  LH_LEAK_LOST,
						       LH_LEAK_REACHABLE, LH_LEAK_LOST,      LH_LEAK_HELD};
	for (size_t i = 0; i < LH_ARRAY_COUNT(expected); i++)
		assert_int_equal(lh_graph_status(world.graph, i), expected[i]);
	assert_int_equal(lh_graph_status(world.graph, 11), LH_LEAK_LOST);
	assert_counts(&world, 3, 5, 2, 1);
	end_world(&world);
}

/* The end of a text over the lowest bytes of an old pointer. The heap lies where such bytes lead. */
static void test_text_tail(void **state)
{
	(void)state;
	struct world world;
	/* 0x10004141 + 8: block 522 at 0x10004140 + 32 * n is hit by bytes "AA" in the word. */
	begin_world(&world, 1024);
	size_t block = (UINT64_C(0x10004140) - HEAP_ADDR) / STRIDE;
	memcpy(&world.roots[0], "sixteen letters!", 16);
	world.roots[2] = UINT64_C(0x10004141);
	mark_world(&world);
	/* Bytes 0x41 0x41 0x00: text up to a NUL, with 16 letters before it. */
	assert_int_equal(lh_graph_status(world.graph, block), LH_LEAK_LOST);
	end_world(&world);
	begin_world(&world, 1024);
	memcpy(&world.roots[0], "sixteen \x01\x02ters!", 16);
	world.roots[2] = UINT64_C(0x10004141);
	mark_world(&world);
	assert_int_equal(lh_graph_status(world.graph, block), LH_LEAK_REACHABLE);
	end_world(&world);
}

enum { VECTORS = 32 };

static size_t buffer_of(size_t vector)
{
	return 2 * VECTORS + 2 * vector;
}

/* Vectors with a buffer each, behind which a block lies that only the buffer's end leads to. */
static void make_vectors(struct world *world)
{
	begin_world(world, 4 * VECTORS);
	world->has_no_headers = true;
	for (size_t i = 0; i < VECTORS; i++) {
		uint64_t begin = addr_of(buffer_of(i)), end = begin + STRIDE;
		world->roots[2 * i] = addr_of(i);
		world->roots[2 * i + 1] = addr_of(VECTORS + i);
		link_block(world, i, i % 2, begin);
		link_block(world, i, i % 2 + 1, i % 4 < 2 ? begin + 8 : end);
		link_block(world, i, i % 2 + 2, end);
	}
}

static void assert_behind_buffers(const struct world *world, enum lh_leak_status expected)
{
	for (size_t i = 0; i < VECTORS; i++) {
		assert_int_equal(lh_graph_status(world->graph, buffer_of(i)), LH_LEAK_REACHABLE);
		assert_int_equal(lh_graph_status(world->graph, buffer_of(i) + 1), expected);
	}
}

/* The end of a buffer does not keep the next block; when the same field leads elsewhere, too, it may. */
static void test_ends(void **state)
{
	(void)state;
	struct world world;
	make_vectors(&world);
	mark_world(&world);
	assert_behind_buffers(&world, LH_LEAK_LOST);
	end_world(&world);
	make_vectors(&world);
	for (size_t i = 0; i < VECTORS / 2; i++) {
		link_block(&world, VECTORS + i, i % 2, addr_of(buffer_of(i)));
		link_block(&world, VECTORS + i, i % 2 + 1, addr_of(buffer_of(i)) + 8);
		link_block(&world, VECTORS + i, i % 2 + 2, addr_of(0));
	}
	mark_world(&world);
	assert_behind_buffers(&world, LH_LEAK_POSSIBLE);
	end_world(&world);
	/* Two pointers in a row to neighbors are no range. */
	make_vectors(&world);
	link_block(&world, VECTORS, 0, addr_of(buffer_of(0)));
	link_block(&world, VECTORS, 1, addr_of(buffer_of(0) + 1));
	mark_world(&world);
	assert_int_equal(lh_graph_status(world.graph, buffer_of(0) + 1), LH_LEAK_REACHABLE);
	assert_int_equal(lh_graph_status(world.graph, buffer_of(1) + 1), LH_LEAK_LOST);
	end_world(&world);
}

enum { FUNCTIONS = 16, ARGUMENTS = 2 * FUNCTIONS };

/* As many words in one field lead to the last word of a block as to the same distance in larger blocks. */
static void make_functions(struct world *world, size_t large_count)
{
	begin_world(world, 2 * ARGUMENTS);
	world->pairs = FUNCTIONS / 2;
	for (size_t i = 0; i < FUNCTIONS; i++) {
		size_t arguments = i < large_count ? world->count - 2 * (i + 1) : ARGUMENTS + i;
		world->roots[i] = addr_of(i);
		link_block(world, i, 1, addr_of(arguments) + USABLE - 8);
	}
}

/* PHP points behind the first entry of a function's arguments. A link of a free list leads to headers only. */
static void test_tails(void **state)
{
	(void)state;
	struct world world;
	make_functions(&world, FUNCTIONS / 2);
	link_block(&world, ARGUMENTS + FUNCTIONS - 1, 0, addr_of(FUNCTIONS)); /* behind such a block */
	link_block(&world, 0, 0, addr_of(FUNCTIONS + 1) + USABLE - 8);        /* another field */
	world.roots[FUNCTIONS] = addr_of(FUNCTIONS + 2) + USABLE - 8;
	mark_world(&world);
	for (size_t i = FUNCTIONS / 2; i < FUNCTIONS; i++)
		assert_int_equal(lh_graph_status(world.graph, ARGUMENTS + i), LH_LEAK_REACHABLE);
	assert_int_equal(lh_graph_status(world.graph, FUNCTIONS), LH_LEAK_REACHABLE);
	assert_int_equal(lh_graph_status(world.graph, FUNCTIONS + 1), LH_LEAK_LOST);
	assert_int_equal(lh_graph_status(world.graph, FUNCTIONS + 2), LH_LEAK_LOST);
	end_world(&world);
	make_functions(&world, 0);
	mark_world(&world);
	for (size_t i = 0; i < FUNCTIONS; i++)
		assert_int_equal(lh_graph_status(world.graph, ARGUMENTS + i), LH_LEAK_LOST);
	end_world(&world);
}

static uint64_t retained_of(const struct world *world, size_t block)
{
	struct lh_holders holders LH_CLEANUP(lh_holders_deinit) = {0};
	assert_success(lh_holders_init(world->graph, NULL, &holders));
	return holders.retained_count[holders.places[block].number];
}

/* What a world of CPython has in its roots: a type with these flags, and the type of types. */
static uint64_t add_python_type(struct world *world, uint64_t flags)
{
	enum { TYPE_WORD = 100, METATYPE_WORD = 200, FLAGS = 21 };
	world->roots[TYPE_WORD + 1] = ROOT_ADDR + METATYPE_WORD * 8;
	world->roots[TYPE_WORD + FLAGS] = flags;
	world->roots[METATYPE_WORD + 1] = ROOT_ADDR + METATYPE_WORD * 8;
	world->roots[METATYPE_WORD + FLAGS] = UINT64_C(1) << 31;
	return ROOT_ADDR + TYPE_WORD * 8;
}

/* How much block 0 retains if words in room without items or text do not count. */
static uint64_t retained_without_rooms(const struct world *world)
{
	struct lh_holders holders LH_CLEANUP(lh_holders_deinit) = {.skips_collector = true};
	assert_success(lh_holders_init(world->graph, NULL, &holders));
	return holders.retained_count[holders.places[0].number];
}

/* A list's room without items holds nothing. Freed lists and other objects have no such room. */
static void test_list_room(void **state)
{
	(void)state;
	enum { HOLDER, HELD, ITEMS, LIST = ITEMS + 2, COUNT = LIST + 2 };
	static const struct {
		uint64_t references, type_bit, size, allocated, retained;
	} cases[] = {
		{1, 25, 3, 7, 2}, {1, 25, 0, 7, 2}, {1, 25, 5, 7, 2}, {1, 25, 6, 7, 1}, {1, 25, 7, 7, 1},
		{0, 25, 3, 7, 1}, {1, 26, 3, 7, 1}, {1, 25, 8, 7, 1}, {1, 25, 3, 8, 1}, {HEAP_ADDR << 32, 25, 3, 7, 1},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(cases); i++) {
		struct world world;
		begin_world(&world, COUNT);
		world.pairs = 2;
		world.has_pymalloc = true;
		world.roots[0] = addr_of(HOLDER);
		world.roots[1] = addr_of(LIST) + 16;
		link_block(&world, HOLDER, 0, addr_of(HELD));
		link_block(&world, ITEMS, 5, addr_of(HELD));
		link_block(&world, LIST, 2, cases[i].references);
		link_block(&world, LIST, 3, add_python_type(&world, UINT64_C(1) << cases[i].type_bit));
		link_block(&world, LIST, 4, cases[i].size);
		link_block(&world, LIST, 5, addr_of(ITEMS));
		link_block(&world, LIST, 6, cases[i].allocated);
		mark_world(&world);
		assert_int_equal(retained_without_rooms(&world), cases[i].retained);
		assert_int_equal(retained_of(&world, HOLDER), 1);
		end_world(&world);
	}
}

/* Texts of bytes and str hold nothing; what is in front of them may. */
static void test_text_room(void **state)
{
	(void)state;
	enum { HOLDER, HELD, TEXT, STRIDES = 4 };
	static const struct {
		uint64_t references, type_bit, size, word, retained;
	} cases[] = {
		{1, 27, 80, 4, 2}, {1, 27, 80, 14, 2}, {1, 27, 80, 3, 1}, {1, 28, 80, 10, 2},  {1, 28, 80, 9, 1},
		{0, 27, 80, 4, 1}, {1, 27, 120, 4, 1}, {1, 26, 80, 4, 1}, {1, 28, 120, 10, 1},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(cases); i++) {
		struct world world;
		begin_world(&world, TEXT + STRIDES);
		world.last_strides = STRIDES;
		world.has_pymalloc = true;
		world.roots[0] = addr_of(HOLDER);
		world.roots[1] = addr_of(TEXT);
		link_block(&world, HOLDER, 0, addr_of(HELD));
		link_block(&world, TEXT, 0, cases[i].references);
		link_block(&world, TEXT, 1, add_python_type(&world, UINT64_C(1) << cases[i].type_bit));
		link_block(&world, TEXT, 2, cases[i].size);
		link_block(&world, TEXT, cases[i].word, addr_of(HELD));
		mark_world(&world);
		assert_int_equal(retained_without_rooms(&world), cases[i].retained);
		assert_int_equal(retained_of(&world, HOLDER), 1);
		end_world(&world);
	}
}

static void test_doubt(void **state)
{
	(void)state;
	struct world world;
	size_t count;
	begin_world(&world, 3);
	world.roots[0] = addr_of(0);
	world.has_no_thread = true;
	mark_world(&world);
	(void)lh_graph_doubts(world.graph, &count);
	assert_int_equal(count, 1);
	assert_int_equal(lh_graph_status(world.graph, 1), LH_LEAK_POSSIBLE);
	assert_int_equal(lh_graph_totals(world.graph).counts[LH_LEAK_POSSIBLE], 2);
	end_world(&world);
}

/*
 * A machine with AVX-512: AT_MINSIGSTKSZ 3376, so that sysconf(_SC_SIGSTKSZ) is 13504, and malloc gives 13512 bytes or
 * more. One thread has one such stack; a larger block, and a second one of that size, are none.
 */
static void test_signal_stacks(void **state)
{
	(void)state;
	enum { FRAME_BYTES = 3376, STRIDES = (4 * FRAME_BYTES + STRIDE) / STRIDE };
	static const struct {
		uint64_t frame_bytes;
		size_t more_strides, more_large;
		enum lh_leak_status expected;
	} cases[] = {
		{FRAME_BYTES, 0, 0, LH_LEAK_POSSIBLE},
		{0, 0, 0, LH_LEAK_LOST},
		{FRAME_BYTES, 1, 0, LH_LEAK_LOST},
		{FRAME_BYTES, 0, 1, LH_LEAK_LOST},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(cases); i++) {
		struct world world;
		begin_world(&world, 4 * STRIDES);
		world.signal_frame_bytes = cases[i].frame_bytes;
		world.last_strides = STRIDES + cases[i].more_strides;
		world.more_large = cases[i].more_large;
		world.roots[0] = addr_of(0);
		mark_world(&world);
		assert_int_equal(lh_graph_status(world.graph, world.heap.chunks.count - 1), cases[i].expected);
		assert_int_equal(lh_graph_status(world.graph, 1), LH_LEAK_LOST);
		end_world(&world);
	}
}

/* ---------------------------------------------------------------- large, hostile */

static void make_list(struct world *world)
{
	for (size_t i = 0; i + 1 < world->count; i++)
		link_block(world, i, 0, addr_of(i + 1));
}

static void test_long_list(void **state)
{
	(void)state;
	struct world world;
	begin_world(&world, LARGE);
	make_list(&world);
	world.roots[7] = addr_of(0);
	mark_world(&world);
	assert_counts(&world, LARGE, 0, 0, 0);
	assert_int_equal(retained_of(&world, 0), LARGE);
	assert_int_equal(retained_of(&world, LARGE - 3), 3);
	end_world(&world);
	begin_world(&world, LARGE);
	make_list(&world);
	mark_world(&world);
	assert_counts(&world, 0, 1, LARGE - 1, 0);
	assert_int_equal(world.graph->lost.items[0].owned_count, LARGE);
	end_world(&world);
}

static void test_long_ring(void **state)
{
	(void)state;
	struct world world;
	begin_world(&world, LARGE);
	make_list(&world);
	link_block(&world, LARGE - 1, 0, addr_of(0));
	for (size_t i = 0; i < LARGE; i++)
		link_block(&world, i, 1, addr_of((i + LARGE - 1) % LARGE));
	mark_world(&world);
	assert_counts(&world, 0, 0, LARGE - 1, 1);
	assert_int_equal(world.graph->lost.items[0].owned_count, LARGE);
	end_world(&world);
}

/* All to one, and each to the next: what dominates the one is the first alone. */
static void test_fan(void **state)
{
	(void)state;
	struct world world;
	begin_world(&world, LARGE);
	make_list(&world);
	for (size_t i = 0; i + 1 < LARGE; i++)
		link_block(&world, i, 1, addr_of(LARGE - 1));
	world.roots[0] = addr_of(0);
	mark_world(&world);
	assert_counts(&world, LARGE, 0, 0, 0);
	assert_int_equal(retained_of(&world, 1), LARGE - 2);
	assert_int_equal(retained_of(&world, LARGE - 1), 1);
	end_world(&world);
	begin_world(&world, LARGE);
	for (size_t i = 0; i + 1 < LARGE; i++)
		link_block(&world, i, 1, addr_of(LARGE - 1));
	mark_world(&world);
	assert_counts(&world, 0, LARGE - 1, 1, 0);
	end_world(&world);
}

/* Circles of two, each of which leads to the next. */
static void test_chain_of_circles(void **state)
{
	(void)state;
	struct world world;
	begin_world(&world, LARGE);
	for (size_t i = 0; i < LARGE; i += 2) {
		link_block(&world, i, 0, addr_of(i + 1));
		link_block(&world, i + 1, 0, addr_of(i));
		if (i)
			link_block(&world, i, 2, addr_of(i - 2));
	}
	mark_world(&world);
	assert_counts(&world, 0, 0, LARGE - 1, 1);
	assert_true(world.graph->lost.items[0].chunk >= LARGE - 2);
	end_world(&world);
}

/* What libxml2's xmlFreeDoc would free: {children}, then nodes {document, next, previous or parent}. */
static void test_documents(void **state)
{
	(void)state;
	enum { DOCUMENTS = 60, NODES = 6, BLOCKS = NODES + 1 };
	struct world world;
	begin_world(&world, DOCUMENTS * BLOCKS);
	for (size_t i = 0; i < DOCUMENTS; i++) {
		size_t first = i * BLOCKS, document = first + i % BLOCKS, nodes[NODES], count = 0;
		for (size_t block = first; block < first + BLOCKS; block++) {
			if (block != document)
				nodes[count++] = block;
		}
		link_block(&world, document, i % WORDS, addr_of(nodes[i % NODES]));
		for (size_t k = 0; k < NODES; k++) {
			link_block(&world, nodes[k], 0, addr_of(nodes[(k + 1) % NODES]));
			link_block(&world, nodes[k], 1, addr_of(nodes[(k + NODES - 1) % NODES]));
			link_block(&world, nodes[k], 2, addr_of(document));
		}
	}
	mark_world(&world);
	assert_counts(&world, 0, 0, DOCUMENTS * NODES, DOCUMENTS);
	assert_int_equal(world.graph->lost.count, DOCUMENTS);
	for (size_t i = 0; i < DOCUMENTS; i++) {
		assert_int_equal(world.graph->lost.items[i].chunk, i * BLOCKS + i % BLOCKS);
		assert_int_equal(world.graph->lost.items[i].owned_count, BLOCKS);
	}
	end_world(&world);
}

/* ---------------------------------------------------------------- small, by brute force */

enum { SMALL = 40, TRIALS = 300 };

static uint64_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

struct small {
	bool edge[SMALL][SMALL];
	bool is_root[SMALL];
};

/* What roots lead to when `without` is not there; SMALL: all are. */
static void reach_small(const struct small *small, size_t without, bool ret[SMALL])
{
	bool changed = true;
	for (size_t i = 0; i < SMALL; i++)
		ret[i] = small->is_root[i] && i != without;
	while (changed) {
		changed = false;
		for (size_t i = 0; i < SMALL; i++) {
			for (size_t j = 0; ret[i] && j < SMALL; j++) {
				if (!small->edge[i][j] || ret[j] || j == without)
					continue;
				ret[j] = changed = true;
			}
		}
	}
}

static void make_small(struct small *small, struct world *world, uint64_t *random)
{
	*small = (struct small){0};
	begin_world(world, SMALL);
	size_t roots = next_random(random) % 5;
	for (size_t i = 0; i < roots; i++) {
		size_t block = next_random(random) % SMALL;
		small->is_root[block] = true;
		/* On different pages of roots they would be groups of their own: here they are one. */
		world->roots[i] = addr_of(block);
	}
	for (size_t i = 0; i < SMALL; i++) {
		for (size_t slot = 0; slot < WORDS; slot++) {
			if (next_random(random) % 3)
				continue;
			size_t target = next_random(random) % SMALL;
			small->edge[i][target] = true;
			link_block(world, i, slot, addr_of(target));
		}
	}
}

static void check_retained(const struct small *small, const struct world *world)
{
	struct lh_holders holders LH_CLEANUP(lh_holders_deinit) = {0};
	bool all[SMALL], rest[SMALL];
	assert_success(lh_holders_init(world->graph, NULL, &holders));
	reach_small(small, SMALL, all);
	for (size_t i = 0; i < SMALL; i++) {
		assert_int_equal(holders.places[i].number != 0, all[i]);
		if (!all[i])
			continue;
		uint64_t retained = 0;
		reach_small(small, i, rest);
		for (size_t j = 0; j < SMALL; j++)
			retained += all[j] && !rest[j];
		assert_int_equal(holders.retained_count[holders.places[i].number], retained);
		assert_int_equal(holders.retained_bytes[holders.places[i].number], retained * USABLE);
	}
}

/* Each lost block is a head without a lost holder, in a circle, or behind one of both; together they own all. */
static void check_lost(const struct small *small, const struct world *world)
{
	bool all[SMALL];
	uint64_t owned = 0, lost = 0;
	reach_small(small, SMALL, all);
	for (size_t i = 0; i < SMALL; i++) {
		enum lh_leak_status status = lh_graph_status(world->graph, i);
		bool has_lost_holder = false;
		for (size_t j = 0; j < SMALL; j++)
			has_lost_holder |= j != i && !all[j] && small->edge[j][i];
		assert_int_equal(status == LH_LEAK_REACHABLE, all[i]);
		assert_int_equal(status == LH_LEAK_LOST, !all[i] && !has_lost_holder);
		lost += !all[i];
	}
	for (size_t i = 0; i < world->graph->lost.count; i++)
		owned += world->graph->lost.items[i].owned_count;
	assert_int_equal(owned, lost);
}

static void reach_without_group(const struct small *small, const uint16_t *rows, uint16_t row, bool ret[SMALL])
{
	struct small rest = *small;
	for (size_t i = 0; i < SMALL; i++) {
		for (size_t j = 0; j < SMALL; j++)
			rest.edge[i][j] &= rows[i] != row && rows[j] != row;
	}
	reach_small(&rest, SMALL, ret);
}

/* Lost blocks behind a group to which only the group, or such blocks, point: by definition, until nothing changes. */
static size_t count_lost_owned(const struct small *small, const bool all[SMALL], const uint16_t *rows, uint16_t row)
{
	bool is_behind[SMALL], has_changed = true;
	for (size_t i = 0; i < SMALL; i++)
		is_behind[i] = rows[i] == row;
	for (size_t round = 0; round < SMALL; round++) {
		for (size_t i = 0; i < SMALL; i++) {
			for (size_t j = 0; j < SMALL; j++)
				is_behind[j] |= is_behind[i] && small->edge[i][j];
		}
	}
	while (has_changed) {
		has_changed = false;
		for (size_t j = 0; j < SMALL; j++) {
			bool is_shared = false;
			for (size_t i = 0; i < SMALL; i++)
				is_shared |= i != j && small->edge[i][j] && !is_behind[i];
			if (rows[j] != row && !all[j] && is_behind[j] && is_shared) {
				is_behind[j] = false;
				has_changed = true;
			}
		}
	}
	size_t count = 0;
	for (size_t j = 0; j < SMALL; j++)
		count += rows[j] != row && !all[j] && is_behind[j];
	return count;
}

static void check_owned(const struct small *small, const struct world *world, uint64_t *random)
{
	enum { ROWS = 3 };
	uint16_t rows[SMALL];
	struct lh_owned owned[ROWS];
	bool all[SMALL], rest[SMALL];
	reach_small(small, SMALL, all);
	for (size_t i = 0; i < SMALL; i++) {
		uint64_t row = next_random(random) % (2 * ROWS);
		rows[i] = row < ROWS ? (uint16_t)row : UINT16_MAX;
	}
	assert_success(lh_graph_find_owned(world->graph, rows, ROWS, owned));
	for (size_t row = 0; row < ROWS; row++) {
		size_t count = count_lost_owned(small, all, rows, (uint16_t)row);
		reach_without_group(small, rows, (uint16_t)row, rest);
		for (size_t i = 0; i < SMALL; i++)
			count += rows[i] == row || (all[i] && !rest[i]);
		assert_int_equal(owned[row].count, count);
		assert_in_range(owned[row].bytes, count * USABLE, count * STRIDE);
	}
}

static void test_random_graphs(void **state)
{
	(void)state;
	uint64_t random = 88172645463325252u;
	for (size_t trial = 0; trial < TRIALS; trial++) {
		struct small small;
		struct world world;
		make_small(&small, &world, &random);
		mark_world(&world);
		check_retained(&small, &world);
		check_lost(&small, &world);
		check_owned(&small, &world, &random);
		end_world(&world);
	}
}

/* ---------------------------------------------------------------- suppressions */

static void test_suppressions(void **state)
{
	(void)state;
	static const char text[] = "# comment\n\nleak:Session\r\n  leak:^SSL$\nleak:a*c[x]?";
	struct lh_suppressions suppressions = {0};
	assert_success(lh_suppressions_parse(text, strlen(text), &suppressions));
	assert_int_equal(suppressions.patterns.count, 3);
	assert_true(lh_suppressions_match(&suppressions, "my::Session"));
	assert_true(lh_suppressions_match(&suppressions, "SSL"));
	assert_false(lh_suppressions_match(&suppressions, "SSL_CTX"));
	assert_true(lh_suppressions_match(&suppressions, "-abbbc[x]?-"));
	assert_false(lh_suppressions_match(&suppressions, "abbbcx"));
	lh_suppressions_deinit(&suppressions);
	suppressions = (struct lh_suppressions){0};
	struct lh_error *error = lh_suppressions_parse("leak:", 5, &suppressions);
	assert_non_null(error);
	lh_error_destroy(error);
	lh_suppressions_deinit(&suppressions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),         cmocka_unit_test(test_text_tail),
		cmocka_unit_test(test_ends),          cmocka_unit_test(test_tails),
		cmocka_unit_test(test_list_room),     cmocka_unit_test(test_text_room),
		cmocka_unit_test(test_doubt),         cmocka_unit_test(test_signal_stacks),
		cmocka_unit_test(test_long_list),     cmocka_unit_test(test_long_ring),
		cmocka_unit_test(test_fan),           cmocka_unit_test(test_documents),
		cmocka_unit_test(test_random_graphs), cmocka_unit_test(test_chain_of_circles),
		cmocka_unit_test(test_suppressions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
