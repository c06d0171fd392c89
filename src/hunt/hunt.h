/*
 * hunt: what the files of this folder share. Private to hunt.
 */
#ifndef LEAKHUNT_HUNT_HUNT_H
#define LEAKHUNT_HUNT_HUNT_H

#include "leakhunt/hunt.h"

/* Creates the folder, mode 0700, under an unused name. *ret is the caller's. */
struct lh_error *lh_hunt_folder_create(const struct lh_process *process, const char *path, char **ret) LH_NODISCARD;

/* "FOLDER/NAME"; the caller's. */
struct lh_error *lh_hunt_path(const char *folder, const char *name, char **ret) LH_NODISCARD;

/* A verdict of a leak is firm with this many samples, if they are consecutive ones of one process. */
enum { LH_LEAK_SAMPLES_MIN = 12 };

void lh_hunt_step_note(struct lh_hunt *hunt, enum lh_hunt_step step, enum lh_hunt_outcome outcome, const char *format,
		       ...) LH_PRINTF(4, 5);
/* Takes `error`. */
void lh_hunt_step_fail(struct lh_hunt *hunt, enum lh_hunt_step step, struct lh_error *error);

/* Opens and sums up what dumps there are. */
struct lh_error *lh_hunt_compare(struct lh_hunt *hunt, const struct lh_hunt_options *options) LH_NODISCARD;

/* Blocks of one size. */
struct lh_size_count {
	uint64_t size_bytes;
	uint64_t count;
};

/* Sizes of used blocks. Counts at most this many different sizes, and ignores the rest. */
enum { LH_SIZE_SLOTS = 16384 };

struct lh_size_table {
	struct lh_size_count *slots; /* LH_SIZE_SLOTS; count 0: free */
	size_t used;
};

/* Fills hunt->reach from both dumps. */
struct lh_error *lh_hunt_find_reach(struct lh_hunt *hunt) LH_NODISCARD;

/* Counts and groups blocks of a side's image. `sizes` belongs to the caller: free(sizes->slots). */
struct lh_error *lh_hunt_heap_count(struct lh_hunt *hunt, enum lh_hunt_side side,
				    struct lh_size_table *ret_sizes) LH_NODISCARD;
uint64_t lh_size_table_get(const struct lh_size_table *table, uint64_t size_bytes);

/* Rows, reason and counterpart from what was found. */
void lh_hunt_explain(struct lh_hunt *hunt, const struct lh_size_table sizes[LH_HUNT_SIDES]);

/* What fills private memory: owners from the last sample, blocks of walked heaps from the last dump. */
struct lh_error *lh_hunt_fill_owners(struct lh_hunt *hunt) LH_NODISCARD;
void lh_hunt_owners_deinit(struct lh_hunt_owners *owners);

/* How sure the answers are. */
void lh_hunt_weigh(struct lh_hunt *hunt);

/* Adds up what grows as the suspect does, and what the whole process grows by. */
void lh_hunt_add_alike(struct lh_hunt *hunt);

/* Says what a verdict of growth cannot tell apart, from all the other answers. */
void lh_hunt_caution(struct lh_hunt *hunt);

/* Says what to do next, from all the other answers. */
void lh_hunt_advise(struct lh_hunt *hunt);

/* NULL: none is known. */
const struct lh_counterpart *lh_counterpart_of_object(const char *family, const char *name);
const struct lh_counterpart *lh_counterpart_of_cause(const char *word);
bool lh_counterpart_is_part(const char *family, const char *name);
/* All rows; within a family, types that own others come before these. */
const struct lh_counterpart *lh_counterparts(size_t *ret_count);

#endif
