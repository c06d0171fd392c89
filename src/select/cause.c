/*
 * cause: the origin of growing memory: malloc's heap, one of its arenas, a big allocation, threads, a runtime's own
 * heap, shared memory, files. Input: a growth, and facts about the program. Output: a word and a sentence. If two
 * origins are possible, the sentence says so.
 */
#include "leakhunt/select.h"

#include <stdio.h>
#include <string.h>

/* runtime/malloc.go: the first arenas of Go lie from 0x00c000000000 on. */
#define GO_HEAP_START UINT64_C(0xc000000000)
#define GO_HEAP_END   UINT64_C(0xd000000000)

/* Objects/obmalloc.c: ARENA_SIZE is 256 KiB up to CPython 3.9, 1 MiB since. */
#define PYTHON_ARENA_BYTES (256 * LH_KIB)

static bool text_begins_with(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool is_go_heap(const struct lh_growth *growth)
{
	return growth->kind == LH_REGION_ANON && growth->start >= GO_HEAP_START && growth->start < GO_HEAP_END;
}

static void gather_from_name(const char *name, struct lh_runtime_facts *facts)
{
	static const struct {
		const char *prefix;
		enum lh_allocator allocator;
	} libraries[] = {
		{"libjemalloc", LH_ALLOCATOR_JEMALLOC}, {"libtcmalloc", LH_ALLOCATOR_TCMALLOC},
		{"libmimalloc", LH_ALLOCATOR_MIMALLOC}, {"librpmalloc", LH_ALLOCATOR_RPMALLOC},
		{"ld-musl-", LH_ALLOCATOR_MUSL},        {"libc.musl-", LH_ALLOCATOR_MUSL},
	};
	facts->has_python |= text_begins_with(name, "libpython") || text_begins_with(name, "python3");
	facts->has_v8 |= text_begins_with(name, "libnode") || !strcmp(name, "node") || !strcmp(name, "nodejs");
	facts->has_jvm |= text_begins_with(name, "libjvm.so");
	for (size_t i = 0; i < LH_ARRAY_COUNT(libraries); i++) {
		if (text_begins_with(name, libraries[i].prefix))
			facts->allocator = libraries[i].allocator;
	}
	if ((text_begins_with(name, "libc.so.6") || text_begins_with(name, "libc-2.")) && !facts->allocator)
		facts->allocator = LH_ALLOCATOR_GLIBC;
}

void lh_runtime_facts_gather(const struct lh_selection *selection, struct lh_runtime_facts *ret)
{
	*ret = (struct lh_runtime_facts){0};
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		gather_from_name(file_name(growth->name), ret);
		ret->has_go |= is_go_heap(growth);
	}
}

/* ---------------------------------------------------------------- anonymous memory */

static bool is_of_python_arenas(const struct lh_growth *growth)
{
	for (size_t i = 0; i < growth->ranges.count; i++) {
		if (lh_range_bytes(growth->ranges.items[i]) % PYTHON_ARENA_BYTES)
			return false;
	}
	return growth->ranges.count > 0;
}

static bool has_other_malloc(const struct lh_runtime_facts *facts)
{
	return facts->allocator > LH_ALLOCATOR_GLIBC;
}

#define SAY(cause, its_word, ...)                                            \
	do {                                                                 \
		(cause)->word = (its_word);                                  \
		snprintf((cause)->text, sizeof((cause)->text), __VA_ARGS__); \
	} while (0)

static void classify_anonymous(const struct lh_growth *growth, const struct lh_runtime_facts *facts,
			       struct lh_cause *ret)
{
	if (growth->ended_stack_count > growth->region_count / 2)
		SAY(ret, "ended-threads",
		    "stacks of %zu threads that have ended, and that nobody has joined (pthread_join) or detached",
		    growth->ended_stack_count);
	else if (text_begins_with(growth->name, "[anon:"))
		SAY(ret, "named-mmap", "memory that the program mapped and named %.80s (prctl PR_SET_VMA_ANON_NAME)",
		    growth->name);
	else if (has_other_malloc(facts))
		SAY(ret, "malloc-pages",
		    "most likely memory of %s, the malloc of this process, which maps all that it gives out",
		    lh_allocator_name(facts->allocator));
	else if (facts->has_python && !facts->has_owners && is_of_python_arenas(growth))
		SAY(ret, "python-pools",
		    "most likely pools of CPython: objects of at most 512 bytes; they are given back "
		    "by whole arenas only");
	else if (facts->has_jvm)
		SAY(ret, "jvm-heap",
		    "most likely memory of the Java virtual machine: its heap, metaspace or compiled code");
	else if (facts->has_v8)
		SAY(ret, "v8-heap", "most likely memory of V8: JavaScript objects, buffers, or code compiled for them");
	else if (growth->region_count > 1 && growth->guarded_count > growth->region_count / 2)
		SAY(ret, "guarded-stacks",
		    "%zu mappings with a guard right below: stacks of threads, running or ended and never joined, or "
		    "of fibers",
		    growth->guarded_count);
	else
		SAY(ret, "anonymous-mmap",
		    "mapped by the program or a library itself: no allocator that leakhunt knows owns it");
}

/* ---------------------------------------------------------------- by kind */

/* Names that java.util.concurrent.Executors gives, within the kernel's 15 bytes. */
static bool is_java_pool(const struct lh_growth *growth, const struct lh_runtime_facts *facts)
{
	return facts->has_jvm && text_begins_with(growth->thread_name, "pool-");
}

static void classify_threads(const struct lh_growth *growth, const struct lh_runtime_facts *facts, struct lh_cause *ret)
{
	const char *name = growth->thread_name;
	if (growth->ended_stack_count > growth->region_count / 2)
		SAY(ret, "ended-threads",
		    "stacks of %zu threads that have ended, and that nobody has joined (pthread_join) or detached",
		    growth->ended_stack_count);
	else if (growth->region_count > 1 && is_java_pool(growth, facts))
		SAY(ret, "java-thread-pools",
		    "stacks of %zu threads \"%.40s\" of Java's executors: pools that are made and never shut down",
		    growth->region_count, name);
	else if (growth->region_count > 1 && name[0])
		SAY(ret, "thread-stacks", "stacks of %zu threads named \"%.40s\": threads that do not end",
		    growth->region_count, name);
	else if (growth->region_count > 1)
		SAY(ret, "thread-stacks", "stacks of %zu threads of various names: threads that do not end",
		    growth->region_count);
	else
		SAY(ret, "thread-stack", "the stack of thread \"%s\": deep calls, or big arrays on it",
		    name[0] ? name : "?");
}

static const char *deleted_words(const struct lh_growth *growth)
{
	return growth->is_deleted ? ", deleted since" : "";
}

static void classify_file(const struct lh_growth *growth, struct lh_cause *ret)
{
	const char *name = file_name(growth->name);
	if (growth->region_count > 1)
		SAY(ret, "file-mapped-again", "%zu mappings of \"%.80s\"%s: mapped again and again, and not unmapped",
		    growth->region_count, name, deleted_words(growth));
	else
		SAY(ret, "file", "own copies of pages of \"%.100s\": they are written to", name);
}

static void classify_shared(const struct lh_growth *growth, struct lh_cause *ret)
{
	if (growth->region_count > 1)
		SAY(ret, "shared-memory-again",
		    "%zu segments of shared memory%s%.80s%s: mapped one by one, and not unmapped", growth->region_count,
		    growth->name[0] ? " " : "", growth->name, deleted_words(growth));
	else
		SAY(ret, "shared-memory", "shared memory%s%.100s: it is there until all have let go of it",
		    growth->name[0] ? " " : "", growth->name);
}

/* Mappings of a program or library; all mappings of a library that is loaded again and again make one growth. */
static void classify_module(const struct lh_growth *growth, struct lh_cause *ret)
{
	if (growth->text_count > 1)
		SAY(ret, "library-loaded-again", "a library loaded %zu times as \"%.80s\"%s: dlopen without dlclose",
		    growth->text_count, growth->name, deleted_words(growth));
	else if (growth->region_count > 1 && growth->name[0])
		SAY(ret, "library-loaded", "the mappings of \"%.100s\", loaded while leakhunt watched",
		    file_name(growth->name));
	else if (growth->kind == LH_REGION_DATA || growth->kind == LH_REGION_BSS)
		SAY(ret, "static-data", "variables of a program or library, written for the first time");
	else
		classify_file(growth, ret);
}

static void classify_heap(const struct lh_runtime_facts *facts, struct lh_cause *ret)
{
	if (facts->allocator == LH_ALLOCATOR_GLIBC)
		SAY(ret, "brk-heap",
		    "malloc's main heap, grown by brk: allocations below 128 KiB, or up to 32 MiB once such have been "
		    "freed");
	else if (has_other_malloc(facts))
		SAY(ret, "brk-heap", "memory grown by brk; %s, the malloc of this process, may use it",
		    lh_allocator_name(facts->allocator));
	else
		SAY(ret, "brk-heap", "memory grown by brk: most likely malloc's main heap");
}

static void classify_growth(const struct lh_growth *growth, const struct lh_runtime_facts *facts, struct lh_cause *ret)
{
	switch (growth->kind) {
	case LH_REGION_HEAP:
		classify_heap(facts, ret);
		break;
	case LH_REGION_JEMALLOC:
	case LH_REGION_TCMALLOC:
	case LH_REGION_GOOGLE_TCMALLOC:
	case LH_REGION_MIMALLOC:
	case LH_REGION_MUSL:
	case LH_REGION_SCUDO:
	case LH_REGION_RPMALLOC:
		SAY(ret, "malloc-pages", "memory of %s, a malloc that maps all that it gives out",
		    lh_region_kind_name(growth->kind));
		break;
	case LH_REGION_PYMALLOC:
		SAY(ret, "python-pools",
		    "pools of CPython: objects of at most 512 bytes; they are given back by whole arenas only");
		break;
	case LH_REGION_V8:
		SAY(ret, "v8-heap", "the heap of V8, JavaScript objects, or code compiled for them");
		break;
	case LH_REGION_GO:
		SAY(ret, "go-heap", "the heap of Go's runtime: goroutines or what they hold");
		break;
	case LH_REGION_JVM:
		SAY(ret, "jvm-heap", "the heap of the Java virtual machine: Java objects");
		break;
	case LH_REGION_ZEND:
		SAY(ret, "zend-mm", "the heap of PHP (zend_mm): values of the running script");
		break;
	case LH_REGION_ARENA:
		SAY(ret, "arena", "malloc's heap for threads other than the first (an arena of glibc)");
		break;
	case LH_REGION_MMAP_CHUNK:
		SAY(ret, "big-allocations", "allocations that malloc maps one by one: 128 KiB or more each");
		break;
	case LH_REGION_THREAD_STACK:
		classify_threads(growth, facts, ret);
		break;
	case LH_REGION_MAIN_STACK:
		SAY(ret, "main-stack", "the stack of the main thread: deep calls, or big arrays on it");
		break;
	case LH_REGION_SHARED:
	case LH_REGION_MEMFD:
		classify_shared(growth, ret);
		break;
	case LH_REGION_HUGETLB:
		SAY(ret, "hugetlb", "memory of reserved huge pages (hugetlbfs)");
		break;
	case LH_REGION_DATA:
	case LH_REGION_BSS:
	case LH_REGION_TEXT:
	case LH_REGION_RODATA:
		classify_module(growth, ret);
		break;
	case LH_REGION_FILE:
		classify_file(growth, ret);
		break;
	default:
		classify_anonymous(growth, facts, ret);
	}
}

void lh_selection_find_causes(struct lh_selection *selection, const struct lh_runtime_facts *facts)
{
	for (size_t i = 0; i < selection->growths.count; i++)
		classify_growth(&selection->growths.items[i], facts, &selection->growths.items[i].cause);
}
