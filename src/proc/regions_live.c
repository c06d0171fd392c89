/*
 * regions_live: kinds that a text cannot tell. Input: a live process and its regions with textual kinds. Output: thread
 * stacks with their threads' names, and memory that only looks like a bss. Without permission the textual kind stays.
 */
#include "leakhunt/tasks.h"
#include "modules.h"
#include "regions.h"
#include "tasks.h"

#include <stdlib.h>
#include <string.h>

/* "This region is that thread's stack", says its stack pointer or its control block. */
struct claim {
	size_t region_index;
	pid_t tid;
	bool is_certain; /* the thread's control block is in the region, too */
	const char *name;
};

struct claims {
	LH_VEC(struct claim) items;
};

static void claims_deinit(struct claims *claims)
{
	lh_vec_deinit(&claims->items);
}

/*
 * The kernel merges a stack with anonymous memory mapped right above it (seen on Linux 6.18 with
 * MADV_NOHUGEPAGE). What is many times larger than any usual stack is called by what most of it is.
 */
#define STACK_BYTES_MAX (64 * LH_MIB)

static bool can_be_stack(const struct lh_region_list *list, size_t index)
{
	if (index == list->regions.count)
		return false;
	const struct lh_region *region = &list->regions.items[index];
	if (region->kind == LH_REGION_THREAD_STACK)
		return true;
	return region->kind == LH_REGION_ANON && region->end - region->start <= STACK_BYTES_MAX &&
	       !lh_is_go_heap_address(region->start);
}

static bool has_guard_below(const struct lh_region_list *list, size_t index)
{
	const struct lh_region *region = &list->regions.items[index];
	return index && region[-1].kind == LH_REGION_GUARD && region[-1].end == region->start;
}

/*
 * By stack pointer. When it is unknown (the thread runs) or points to a coroutine's stack in some heap: by control
 * block, which pthread_create puts on top of the stack that it maps above a guard.
 */
static bool find_claim(const struct lh_region_list *list, const struct lh_task *task, struct claim *ret)
{
	uint64_t block = lh_task_control_block(task->tid);
	size_t by_block = block ? lh_regions_index(list, block) : list->regions.count;
	size_t by_pointer = task->stack_pointer ? lh_regions_index(list, task->stack_pointer) : list->regions.count;
	bool is_by_pointer = can_be_stack(list, by_pointer);
	if (!is_by_pointer && !(can_be_stack(list, by_block) && has_guard_below(list, by_block)))
		return false;
	size_t index = is_by_pointer ? by_pointer : by_block;
	*ret = (struct claim){
		.region_index = index, .tid = task->tid, .name = task->name, .is_certain = index == by_block};
	return true;
}

static struct lh_error *collect_claims(const struct lh_region_list *list, const struct lh_task_list *tasks,
				       pid_t main_tid, struct claims *ret)
{
	for (size_t i = 0; i < tasks->tasks.count; i++) {
		const struct lh_task *task = &tasks->tasks.items[i];
		struct claim claim;
		if (task->tid != main_tid && find_claim(list, task, &claim))
			LH_TRY(lh_vec_push(&ret->items, claim));
	}
	return NULL;
}

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	if (x->region_index != y->region_index)
		return x->region_index < y->region_index ? -1 : 1;
	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static struct lh_error *grant_kind(struct lh_region_list *list, const struct claim *claim)
{
	struct lh_region *region = &list->regions.items[claim->region_index];
	region->kind = LH_REGION_THREAD_STACK;
	region->tid = claim->tid;
	return lh_strings_pool_add(&list->strings, claim->name, strlen(claim->name), &region->thread_name);
}

/*
 * A region that several threads' pointers lie in is a runtime's pool of small stacks, unless their control
 * blocks lie there too: then it is stacks without guards, merged by the kernel; the first one names it.
 */
static struct lh_error *settle_claims(struct lh_region_list *list, const struct claims *claims)
{
	const struct claim *items = claims->items.items;
	for (size_t first = 0, end; first < claims->items.count; first = end) {
		bool is_certain = true;
		for (end = first; end < claims->items.count && items[end].region_index == items[first].region_index;
		     end++)
			is_certain &= items[end].is_certain;
		if (end - first == 1 || is_certain)
			LH_TRY(grant_kind(list, &items[first]));
	}
	return NULL;
}

static struct lh_error *set_stack_kinds(const struct lh_process *process, struct lh_region_list *list)
{
	struct lh_task_list tasks LH_CLEANUP(lh_task_list_deinit) = {0};
	struct claims claims LH_CLEANUP(claims_deinit) = {0};
	LH_TRY(lh_tasks_read(process, &tasks));
	LH_TRY(collect_claims(list, &tasks, process->identity.pid, &claims));
	lh_vec_sort(&claims.items, compare_claims);
	return settle_claims(list, &claims);
}

/* lh_memory_reader: within one page, and only when that is present. */
static size_t read_present_page(const void *context, uint64_t addr, void *ret, size_t bytes)
{
	const struct lh_process *process = context;
	struct lh_peek peek = {.addr = lh_align_down(addr, LH_PAGE_BYTES)};
	if (addr - peek.addr + bytes > LH_PAGE_BYTES)
		return 0;
	struct lh_error *error = lh_process_peek(process, &peek, 1);
	bool is_readable = !error && peek.is_read;
	lh_error_destroy(error);
	return is_readable ? lh_process_read(process, addr, ret, bytes) : 0;
}

/* ---------------------------------------------------------------- stacks of threads that have ended */

/* Of as many mappings of one size, all are looked at; of more, that many, and the others are taken to be like them. */
enum { ENDED_STACKS_READ = 64 };

#define ENDED_STACK_MIN_BYTES (16 * LH_KIB)

static bool may_be_ended_stack(const struct lh_region_list *list, size_t index)
{
	const struct lh_region *region = &list->regions.items[index];
	uint64_t bytes = region->end - region->start;
	return region->kind == LH_REGION_ANON && region->protection == (LH_PROT_READ | LH_PROT_WRITE) &&
	       bytes >= ENDED_STACK_MIN_BYTES && bytes <= STACK_BYTES_MAX && has_guard_below(list, index) &&
	       !lh_is_go_heap_address(region->start);
}

/*
 * glibc puts struct pthread on top of a stack that it maps, 64-aligned; its words 0 and 2 are its own address (nptl,
 * allocatestack.c; tcbhead_t of sysdeps/x86_64/nptl/tls.h). It stays there until the thread is joined.
 */
static bool has_control_block(const struct lh_process *process, const struct lh_region *region)
{
	enum { WORDS = LH_PAGE_BYTES / sizeof(uint64_t), STEP = 64 / sizeof(uint64_t) };
	uint64_t words[WORDS], page = region->end - LH_PAGE_BYTES;
	if (read_present_page(process, page, words, sizeof(words)) != sizeof(words))
		return false;
	for (size_t i = 0; i + 2 < WORDS; i += STEP) {
		uint64_t addr = page + i * sizeof(uint64_t);
		if (words[i] == addr && words[i + 2] == addr)
			return true;
	}
	return false;
}

struct stack_size {
	uint64_t bytes;
	size_t read_count;  /* how many of them were looked at, */
	size_t ended_count; /* and are what they seem */
};

/* Few sizes are in use at a time; those beyond the table are not looked at. */
struct stack_sizes {
	struct stack_size items[16];
	size_t count;
};

static struct stack_size *find_stack_size(struct stack_sizes *sizes, uint64_t bytes)
{
	for (size_t i = 0; i < sizes->count; i++) {
		if (sizes->items[i].bytes == bytes)
			return &sizes->items[i];
	}
	if (sizes->count == LH_ARRAY_COUNT(sizes->items))
		return NULL;
	sizes->items[sizes->count] = (struct stack_size){.bytes = bytes};
	return &sizes->items[sizes->count++];
}

static void set_ended_stacks(const struct lh_process *process, struct lh_region_list *list)
{
	struct stack_sizes sizes = {0};
	for (size_t i = 0; i < list->regions.count; i++) {
		struct lh_region *region = &list->regions.items[i];
		struct stack_size *size =
			may_be_ended_stack(list, i) ? find_stack_size(&sizes, region->end - region->start) : NULL;
		if (!size)
			continue;
		if (size->read_count == ENDED_STACKS_READ) {
			region->is_ended_stack = size->ended_count == ENDED_STACKS_READ;
			continue;
		}
		region->is_ended_stack = has_control_block(process, region);
		size->read_count++;
		size->ended_count += region->is_ended_stack;
	}
}

/* ---------------------------------------------------------------- memory right behind a module */

/* Where the module whose last file mapping is at `index` ends by its program headers; 0 when they can't be read. */
static uint64_t module_end(const struct lh_process *process, const struct lh_region_list *list, size_t index)
{
	const struct lh_region *items = list->regions.items;
	size_t first = index;
	while (first && items[first].file_offset && items[first - 1].inode == items[index].inode)
		first--;
	struct lh_module module = {.start = items[first].start};
	uint64_t end;
	return !items[first].file_offset && lh_module_probe_span(&module, read_present_page, process, &end) ? end : 0;
}

/*
 * What the process maps may come to lie right behind a module, and merges with its bss. It is called by what
 * most of it is: the program headers say how much of it the module has.
 */
static void correct_bss_kinds(const struct lh_process *process, struct lh_region_list *list)
{
	for (size_t i = 1; i < list->regions.count; i++) {
		struct lh_region *region = &list->regions.items[i];
		uint64_t end = region->kind == LH_REGION_BSS ? module_end(process, list, i - 1) : 0;
		uint64_t bss_bytes = end > region->start ? end - region->start : 0;
		if (end && region->end > end && region->end - region->start - bss_bytes > bss_bytes)
			region->kind = LH_REGION_ANON;
	}
}

struct lh_error *lh_regions_set_live_kinds(const struct lh_process *process, struct lh_region_list *list)
{
	correct_bss_kinds(process, list);
	LH_TRY(set_stack_kinds(process, list));
	set_ended_stacks(process, list);
	return NULL;
}
