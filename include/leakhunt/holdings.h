/*
 * holdings: what a process holds outside of its mappings: descriptors, threads, files in memory, page tables, and the
 * kernel memory of its cgroup.
 */
#ifndef LEAKHUNT_HOLDINGS_H
#define LEAKHUNT_HOLDINGS_H

#include "leakhunt/base.h"

struct lh_process;
struct lh_region_list;

/* A name that ends in BYTES is memory; any other is a count. */
enum lh_holding {
	LH_HOLDING_MAPPINGS,    /* lines of maps: vm.max_map_count limits them */
	LH_HOLDING_THREADS,     /* status, Threads */
	LH_HOLDING_DESCRIPTORS, /* all of them; the next three are parts */
	LH_HOLDING_SOCKETS,
	LH_HOLDING_PIPES,
	LH_HOLDING_HELD_FILES,       /* memfds and deleted files of tmpfs, held open */
	LH_HOLDING_HELD_FILE_BYTES,  /* their pages, except those resident in a mapping of the process */
	LH_HOLDING_SHM_BYTES,        /* System V segments that it created and nobody attached: resident, swapped */
	LH_HOLDING_PAGE_TABLE_BYTES, /* status, VmPTE */
	/* The next three only if the cgroup holds nothing but the process and its family. */
	LH_HOLDING_CGROUP_KERNEL_BYTES, /* slab, kernel stacks, page tables, pipes */
	LH_HOLDING_CGROUP_SOCKET_BYTES, /* buffers of sockets */
	LH_HOLDING_CGROUP_SHARED_BYTES, /* tmpfs, shared memory */
	LH_HOLDING_COUNT,
};

/* "mappings", "threads", ..., "cgroup_shared_bytes": keys of records and of JSON. Static. */
const char *lh_holding_name(enum lh_holding holding);
/* `name` has `length` bytes and need not be terminated. False, with *ret untouched, for an unknown name. */
bool lh_holding_parse(const char *name, size_t length, enum lh_holding *ret);
/* Whether it is memory, in bytes; else it is a count. */
bool lh_holding_is_memory(enum lh_holding holding);

#define LH_HOLDING_UNKNOWN UINT64_MAX
#define LH_HELD_NAME_BYTES 64

struct lh_holdings {
	uint64_t values[LH_HOLDING_COUNT];  /* LH_HOLDING_UNKNOWN if the kernel does not tell */
	char held_name[LH_HELD_NAME_BYTES]; /* of one of the LH_HOLDING_HELD_FILES: "/memfd:clip", raw bytes; "" */
};

/* Reads the holdings of one process repeatedly. Heap-allocated; `process` must outlive it. */
struct lh_holdings_reader;
struct lh_error *lh_holdings_reader_create(const struct lh_process *process,
					   struct lh_holdings_reader **ret) LH_NODISCARD;
void lh_holdings_reader_destroy(struct lh_holdings_reader *reader); /* NULL is legal */

/*
 * `list`: the mappings at the same moment, with usage. Never fails: what cannot be read is LH_HOLDING_UNKNOWN. Each
 * descriptor costs a stat(2) of /proc/PID/fd/N. Above 16,384 descriptors leakhunt examines one of k, which stands for
 * k. Opens files with O_PATH only.
 */
void lh_holdings_read(struct lh_holdings_reader *reader, const struct lh_region_list *list, struct lh_holdings *ret);

#endif
