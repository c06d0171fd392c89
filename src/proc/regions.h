/*
 * regions: the pieces that turn texts of the kernel into regions: a line parser that can be fed in
 * pieces, the fields of smaps, and the two passes that give regions their kinds. Private to proc.
 */
#ifndef LEAKHUNT_PROC_REGIONS_H
#define LEAKHUNT_PROC_REGIONS_H

#include "leakhunt/regions.h"
#include "process.h"

enum { LH_SMAPS_FIELDS_MAX = 64 }; /* lines after a mapping whose order is remembered; Linux 6.18 writes 26 */

/* The key that this line had in the mapping before, and its row in the table. */
struct lh_field_guess {
	uint64_t head[2]; /* first 16 bytes of the line */
	uint8_t index;
	bool is_set;
};

/* The state of parsing a text. Zero-initialize all but `list`. */
struct lh_regions_parser {
	struct lh_region_list *list;
	struct lh_usage dropped_usage; /* where fields of a dropped region go */
	bool is_in_region;             /* fields belong to the last region of the list */
	bool is_dropping;              /* fields belong to a dropped region */
	bool is_live;                  /* /proc is read now: a mapping that covers those before it replaces them */
	bool has_rollup;               /* a "[rollup]" line was seen: this is smaps_rollup */
	bool has_restarted;            /* addresses began anew: a second text */
	uint64_t lower_end;            /* of the region dropped last, when that lies below all others; else 0 */
	uint32_t position;             /* line number within the region, from 0 */
	char key[8];                   /* of the latest field line, cut */
	char closing_key[8];           /* of the line that ended the region before; "" when none did yet */
	struct lh_field_guess guesses[LH_SMAPS_FIELDS_MAX];
};

/*
 * Parses all complete lines, and with `is_last` also the unfinished one at the end. `*ret_consumed` bytes are done;
 * pass the rest again in front of what follows.
 */
struct lh_error *lh_regions_parser_feed(struct lh_regions_parser *parser, const char *text, size_t length, bool is_last,
					size_t *ret_consumed) LH_NODISCARD;

/* Notices a text that ends within its last region. LH_ERROR_FORMAT when there was no mapping. */
struct lh_error *lh_regions_parser_finish(struct lh_regions_parser *parser, const char *what) LH_NODISCARD;

/* One line of smaps or smaps_rollup. LH_FIELD_UNKNOWN is a well-formed line that is not used. */
enum lh_field_status { LH_FIELD_TAKEN, LH_FIELD_UNKNOWN, LH_FIELD_BAD };

/* Writes one counter of `usage` when LH_FIELD_TAKEN, else nothing. Updates `guess` from the line. */
enum lh_field_status lh_usage_field_parse(const char *line, size_t length, struct lh_field_guess *guess,
					  struct lh_usage *usage);

/*
 * The quick way for lines that look as they did in the mapping before: takes those at the front of `text`
 * that have the keys of `guesses`, in order, and the kernel's usual width of LH_EXPECTED_LINE_BYTES. Returns
 * how many; the next one needs a closer look.
 */
enum { LH_EXPECTED_LINE_BYTES = 28 };
size_t lh_usage_expected_lines(const char *text, size_t length, const struct lh_field_guess *guesses,
			       size_t guess_count, struct lh_usage *usage);

/*
 * Reads and parses maps or smaps, again when a change in between tore it, and sets the textual kinds. *hold_ns_max
 * grows to the longest call, which bounds the kernel's hold of the target's mmap_lock.
 */
struct lh_error *lh_regions_read_text(const struct lh_process *process, enum lh_region_detail detail,
				      uint64_t *hold_ns_max, struct lh_region_list *ret) LH_NODISCARD;

/* Sets kinds from addresses, names, permissions and flags alone. `regions` are in order. */
void lh_regions_set_textual_kinds(struct lh_region_list *list);

/* Sets kinds that only the live process tells: thread stacks, and memory that only lies where a bss could. */
struct lh_error *lh_regions_set_live_kinds(const struct lh_process *process, struct lh_region_list *list) LH_NODISCARD;

/* The index of the region that holds `addr`, or regions.count. */
size_t lh_regions_index(const struct lh_region_list *list, uint64_t addr);

/* Whether Go's runtime has its heap there (runtime/malloc.go), which looks like glibc's arenas and holds stacks. */
bool lh_is_go_heap_address(uint64_t addr);

/* The kernel's own sum. LH_ERROR_UNSUPPORTED before Linux 4.14. */
struct lh_error *lh_rollup_read(const struct lh_process *process, struct lh_usage *ret) LH_NODISCARD;

#endif
