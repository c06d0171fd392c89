/*
 * capture: the result of a finished copy, as the writers of cores and raw files take it, and what both write alike.
 * Private to dump.
 */
#ifndef LEAKHUNT_DUMP_CAPTURE_H
#define LEAKHUNT_DUMP_CAPTURE_H

#include "dump/plan/layout.h"
#include "leakhunt/format.h"
#include "leakhunt/json.h"

/* What a core says of a process besides its memory; read before the process is stopped. */
struct lh_process_facts {
	struct lh_buffer auxv;      /* /proc/PID/auxv, as it is */
	struct lh_buffer arguments; /* NUL-separated */
	pid_t parent;
	pid_t group;
	pid_t session;
	uid_t uid;
	gid_t gid;
	char state;   /* 'S', 'R', ...; '?' when not known */
	pid_t tracer; /* 0: nobody */
	bool has_seccomp_filter;
};

void lh_process_facts_deinit(struct lh_process_facts *facts);

struct lh_capture {
	const struct lh_process *process;
	const struct lh_dump_options *options;
	const struct lh_process_facts *facts;
	const struct lh_plan *plan;
	const struct lh_layout *held; /* what the file holds: the layout without gaps */
	const struct lh_thread_states *threads;
	const struct lh_receipt *receipt;
};

/* JSON of the notes in format.h; NULL when memory runs out. */
json_t *lh_describe_capture(const struct lh_capture *capture);
struct lh_module_pages;
json_t *lh_describe_regions(const struct lh_capture *capture, const struct lh_module_pages *pages);
json_t *lh_describe_modules(const struct lh_module_list *modules);
json_t *lh_describe_gaps(const struct lh_dump_gaps *gaps);
json_t *lh_describe_threads(const struct lh_thread_states *threads);
json_t *lh_describe_receipt(const struct lh_receipt *receipt);
/* Sets start, end, kind, perms, name, context and, for thread stacks, tid and thread_name; -1 without memory. */
int lh_describe_extent(json_t *object, const struct lh_extent *extent, uint64_t start, uint64_t end);

/* The notes of a core: those of the kernel's cores (core(5)), then leakhunt's own. */
struct lh_error *lh_core_notes_encode(const struct lh_capture *capture, const struct lh_module_pages *pages,
				      struct lh_buffer *ret) LH_NODISCARD;

/* Bytes before the memory: the ELF header's page. */
#define LH_CORE_BASE_OFFSET LH_PAGE_BYTES

/* Writes notes, program headers and at last the ELF header around the memory in `fd`. */
struct lh_error *lh_core_finish(const struct lh_capture *capture, int fd) LH_NODISCARD;
/* Writes the index of a raw dump. */
struct lh_error *lh_raw_index_write(const struct lh_capture *capture, int fd, const char *what) LH_NODISCARD;

#endif
