/*
 * probes: bpf(2) and nothing else. Input: places of probes. Output: records of the target's allocations. The shared
 * memory is mapped, so that nothing but reading it and closing descriptors is left to do once probes are set.
 */
#include "probes.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Values of include/uapi/linux/bpf.h of Linux 6.13, which older headers lack. */
enum { TRACE_UPROBE_MULTI = 48, TRACE_UPROBE_SESSION = 57 };

/* struct link_create of union bpf_attr, with its member uprobe_multi (Linux 6.6). */
struct uprobe_link_attributes {
	uint32_t program_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t link_flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t reference_counter_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t flags;
	uint32_t pid;
	uint32_t padding;
};

struct lh_probes {
	struct lh_trace_maps maps;
	int allocation_program, free_program;
	int allocation_link, free_link;
	struct lh_trace_control *control;
	size_t control_bytes;
	uint64_t *consumer; /* page with our position */
	uint8_t *producer;  /* page with the kernel's position, then the ring, twice */
};

/* ---------------------------------------------------------------- bpf(2) */

static int call_bpf(enum bpf_cmd command, void *attributes, size_t bytes)
{
	return (int)syscall(SYS_bpf, command, attributes, bytes);
}

static struct lh_error *refuse_bpf(int saved_errno, const char *what)
{
	if (saved_errno == EPERM || saved_errno == EACCES)
		return lh_error_hint(lh_error_from_errno(saved_errno, "cannot %s", what),
				     "trace needs root, or CAP_BPF and CAP_PERFMON");
	return lh_error_from_errno(saved_errno, "cannot %s", what);
}

static struct lh_error *make_map(enum bpf_map_type type, uint32_t key_bytes, uint32_t value_bytes, uint32_t count,
				 uint32_t flags, int *ret)
{
	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.map_type = type;
	attributes.key_size = key_bytes;
	attributes.value_size = value_bytes;
	attributes.max_entries = count;
	attributes.map_flags = flags;
	memcpy(attributes.map_name, "leakhunt", sizeof("leakhunt"));
	*ret = call_bpf(BPF_MAP_CREATE, &attributes, sizeof(attributes));
	return *ret < 0 ? refuse_bpf(errno, "make a BPF map") : NULL;
}

static struct lh_error *load_program(const struct lh_bpf_code *code, unsigned attach_type, int *ret)
{
	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_KPROBE;
	attributes.expected_attach_type = attach_type;
	attributes.insns = (uintptr_t)code->instructions;
	attributes.insn_cnt = (uint32_t)code->count;
	attributes.license = (uintptr_t) "Dual MIT/GPL";
	memcpy(attributes.prog_name, "leakhunt", sizeof("leakhunt"));
	*ret = call_bpf(BPF_PROG_LOAD, &attributes, sizeof(attributes));
	if (*ret >= 0)
		return NULL;
	if (errno == EINVAL)
		return lh_error_create(LH_ERROR_UNSUPPORTED,
				       "this kernel refuses uprobe sessions (BPF_TRACE_UPROBE_SESSION)");
	return refuse_bpf(errno, "load a BPF program");
}

/* ---------------------------------------------------------------- setting up */

static struct lh_error *make_maps(struct lh_probes *probes)
{
	struct lh_trace_maps *maps = &probes->maps;
	LH_TRY(make_map(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct lh_trace_control), 1, BPF_F_MMAPABLE, &maps->control));
	LH_TRY(make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, LH_TRACE_RING_BYTES, 0, &maps->ring));
	LH_TRY(make_map(BPF_MAP_TYPE_HASH, 8, 32, LH_TRACE_CALLS_MAX, 0, &maps->calls));
	return make_map(BPF_MAP_TYPE_HASH, 8, 8, LH_TRACE_LIVE_MAX, 0, &maps->live);
}

static void *map_shared(int fd, size_t bytes, int protection, off_t offset)
{
	void *memory = mmap(NULL, bytes, protection, MAP_SHARED, fd, offset);
	return memory == MAP_FAILED ? NULL : memory;
}

static size_t ring_view_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE) + 2 * (size_t)LH_TRACE_RING_BYTES;
}

static struct lh_error *map_memory(struct lh_probes *probes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	probes->control_bytes = lh_align_up(sizeof(struct lh_trace_control), page);
	probes->control = map_shared(probes->maps.control, probes->control_bytes, PROT_READ | PROT_WRITE, 0);
	probes->consumer = map_shared(probes->maps.ring, page, PROT_READ | PROT_WRITE, 0);
	probes->producer = map_shared(probes->maps.ring, ring_view_bytes(), PROT_READ, (off_t)page);
	if (!probes->control || !probes->consumer || !probes->producer)
		return lh_error_from_errno(errno, "cannot map the memory of BPF maps");
	return NULL;
}

static void fill_control(struct lh_trace_control *control)
{
	control->mean_bytes = 1;
	control->next_id = 1;
	for (size_t i = 0; i < LH_TRACE_INTERVALS; i++)
		control->intervals[i] = (uint64_t)(-log(((double)i + 0.5) / LH_TRACE_INTERVALS) *
						   (double)(1 << LH_TRACE_INTERVAL_SHIFT));
	for (size_t i = 0; i < LH_TRACE_SLOTS; i++)
		control->slots[i].left_bytes = INT64_MAX;
}

static struct lh_error *load_programs(struct lh_probes *probes)
{
	LH_CLEANUP(lh_cleanup_free) struct lh_bpf_code *allocation = calloc(1, sizeof(*allocation));
	LH_CLEANUP(lh_cleanup_free) struct lh_bpf_code *release = calloc(1, sizeof(*release));
	if (!allocation || !release)
		return lh_error_no_memory();
	LH_TRY(lh_bpf_write_allocation(&probes->maps, allocation));
	LH_TRY(lh_bpf_write_free(&probes->maps, release));
	LH_TRY(load_program(allocation, TRACE_UPROBE_SESSION, &probes->allocation_program));
	return load_program(release, TRACE_UPROBE_MULTI, &probes->free_program);
}

struct lh_error *lh_probes_create(struct lh_probes **ret)
{
	LH_CLEANUP(lh_cleanup_probes) struct lh_probes *probes = calloc(1, sizeof(*probes));
	if (!probes)
		return lh_error_no_memory();
	probes->maps = (struct lh_trace_maps){-1, -1, -1, -1};
	probes->allocation_program = probes->free_program = -1;
	probes->allocation_link = probes->free_link = -1;
	LH_TRY(make_maps(probes));
	LH_TRY(map_memory(probes));
	fill_control(probes->control);
	LH_TRY(load_programs(probes));
	*ret = probes;
	probes = NULL;
	return NULL;
}

static void unmap_memory(void *memory, size_t bytes)
{
	if (memory)
		munmap(memory, bytes);
}

void lh_probes_destroy(struct lh_probes *probes)
{
	if (!probes)
		return;
	lh_probes_detach(probes);
	unmap_memory(probes->control, probes->control_bytes);
	unmap_memory(probes->consumer, (size_t)sysconf(_SC_PAGESIZE));
	unmap_memory(probes->producer, ring_view_bytes());
	int *descriptors[] = {&probes->allocation_program, &probes->free_program, &probes->maps.control,
			      &probes->maps.ring,          &probes->maps.calls,   &probes->maps.live};
	for (size_t i = 0; i < LH_ARRAY_COUNT(descriptors); i++)
		lh_cleanup_close(descriptors[i]);
	free(probes);
}

void lh_cleanup_probes(struct lh_probes **probes)
{
	lh_probes_destroy(*probes);
}

/* ---------------------------------------------------------------- attaching */

static struct lh_error *attach_program(int program, unsigned attach_type, pid_t pid, int file,
				       const struct lh_probe_list *list, int *ret_link)
{
	char path[32];
	struct uprobe_link_attributes attributes = {0};
	LH_CLEANUP(lh_cleanup_free) uint64_t *words = calloc(2 * list->items.count + 1, sizeof(*words));
	if (!words)
		return lh_error_no_memory();
	for (size_t i = 0; i < list->items.count; i++) {
		words[i] = list->items.items[i].file_offset;
		words[list->items.count + i] = list->items.items[i].cookie;
	}
	attributes.program_fd = (uint32_t)program;
	attributes.attach_type = attach_type;
	snprintf(path, sizeof(path), "/dev/fd/%d", file);
	attributes.path = (uintptr_t)path;
	attributes.offsets = (uintptr_t)words;
	attributes.cookies = (uintptr_t)(words + list->items.count);
	attributes.count = (uint32_t)list->items.count;
	attributes.pid = (uint32_t)pid;
	*ret_link = call_bpf(BPF_LINK_CREATE, &attributes, sizeof(attributes));
	return *ret_link < 0 ? refuse_bpf(errno, "set probes in the allocator") : NULL;
}

struct lh_error *lh_probes_attach(struct lh_probes *probes, const struct lh_process *process, int file,
				  const struct lh_probe_list *allocations, const struct lh_probe_list *frees)
{
	pid_t pid = lh_process_pid(process);
	LH_TRY(attach_program(probes->free_program, TRACE_UPROBE_MULTI, pid, file, frees, &probes->free_link));
	return attach_program(probes->allocation_program, TRACE_UPROBE_SESSION, pid, file, allocations,
			      &probes->allocation_link);
}

/* Births end before deaths do. */
void lh_probes_detach(struct lh_probes *probes)
{
	lh_cleanup_close(&probes->allocation_link);
	lh_cleanup_close(&probes->free_link);
	probes->allocation_link = probes->free_link = -1;
}

/* ---------------------------------------------------------------- reading */

struct lh_trace_slot lh_probes_count(const struct lh_probes *probes)
{
	struct lh_trace_slot sum = {0};
	for (size_t i = 0; i < LH_TRACE_SLOTS; i++) {
		const volatile struct lh_trace_slot *slot = &probes->control->slots[i];
		sum.allocation_count += slot->allocation_count;
		sum.allocated_bytes += slot->allocated_bytes;
		sum.free_count += slot->free_count;
		sum.sample_count += slot->sample_count;
		sum.lost_sample_count += slot->lost_sample_count;
		sum.lost_death_count += slot->lost_death_count;
		sum.cost_ns += slot->cost_ns;
	}
	return sum;
}

uint64_t lh_probes_mean_bytes(const struct lh_probes *probes)
{
	return probes->control->mean_bytes;
}

void lh_probes_set_mean_bytes(struct lh_probes *probes, uint64_t mean_bytes)
{
	__atomic_store_n(&probes->control->mean_bytes, mean_bytes, __ATOMIC_RELAXED);
}

/* Each processor begins with a distance of its own, so that the first allocation is no likelier than others. */
void lh_probes_begin(struct lh_probes *probes, uint64_t mean_bytes)
{
	struct lh_trace_control *control = probes->control;
	lh_probes_set_mean_bytes(probes, mean_bytes);
	for (size_t i = 0; i < LH_TRACE_SLOTS; i++) {
		uint64_t interval = control->intervals[i * 2654435761u % LH_TRACE_INTERVALS];
		int64_t left = (int64_t)((interval * mean_bytes) >> LH_TRACE_INTERVAL_SHIFT);
		__atomic_store_n(&control->slots[i].left_bytes, left, __ATOMIC_RELAXED);
	}
}

void lh_probes_pause(struct lh_probes *probes)
{
	for (size_t i = 0; i < LH_TRACE_SLOTS; i++)
		__atomic_store_n(&probes->control->slots[i].left_bytes, INT64_MAX, __ATOMIC_RELAXED);
}

uint64_t lh_probes_next_id(const struct lh_probes *probes)
{
	return __atomic_load_n(&probes->control->next_id, __ATOMIC_RELAXED);
}

void lh_probes_forget(struct lh_probes *probes, uint64_t addr)
{
	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.map_fd = (uint32_t)probes->maps.live;
	attributes.key = (uintptr_t)&addr;
	/* A block that was freed meanwhile is not there any more. */
	(void)call_bpf(BPF_MAP_DELETE_ELEM, &attributes, sizeof(attributes));
}

/*
 * A record has a head of 8 bytes: its length, with bits for "still written" and "discarded" (kernel/bpf/ringbuf.c).
 * The ring is mapped twice in a row: a record that wraps is contiguous.
 */
struct lh_error *lh_probes_read(struct lh_probes *probes, lh_record_visitor *visit, void *context)
{
	const uint8_t *data = probes->producer + sysconf(_SC_PAGESIZE);
	uint64_t at = *probes->consumer;
	uint64_t end = __atomic_load_n((uint64_t *)(void *)probes->producer, __ATOMIC_ACQUIRE);
	while (at < end) {
		const uint8_t *head = data + at % LH_TRACE_RING_BYTES;
		uint32_t length = __atomic_load_n((const uint32_t *)(const void *)head, __ATOMIC_ACQUIRE);
		if (length & BPF_RINGBUF_BUSY_BIT)
			break;
		size_t bytes = length & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		if (!(length & BPF_RINGBUF_DISCARD_BIT))
			LH_TRY(visit(context, (const struct lh_trace_record *)(const void *)(head + 8), bytes));
		at += lh_align_up(bytes + BPF_RINGBUF_HDR_SZ, 8);
		__atomic_store_n(probes->consumer, at, __ATOMIC_RELEASE);
	}
	return NULL;
}
