/*
 * record: what the reader and the writer of records have in common. Private to select.
 *
 * A record is JSON lines. The first, and each that follows another record appended to it, is a header:
 *   {"leakhunt_record":2,"pid":N,"start_ticks":N,"command":"..."}
 * All others are samples, numbered from 0 after each header. A whole one has "regions"; one that tells
 * only what has changed since the sample before has "changed" (regions that are new, or not as they
 * were; of one whose figures alone have changed, its start and those figures) and "gone" (the start
 * addresses of those that are no more):
 *   {"n":0,"time_ns":N,"uptime_ns":N,"regions":[...]}
 *   {"n":1,"time_ns":N,"uptime_ns":N,"changed":[{"start":"0x...","rss_bytes":N},...],"gone":["0x...",...]}
 * "lost", if there, is how many lines or regions of a sample were not understood when it was taken:
 * that one, and the one after it, are whole.
 * "holdings" and "left" have a number for each thing that was known (lh_holding_name, lh_ceiling_name), "receipt" one
 * for each member of struct lh_sampling_receipt; "held_name" is a string. All of them may be missing.
 * "in_use_bytes" and "heap_bytes" are what the allocators said (struct lh_heap_use); few samples have them.
 * Format 1 had whole samples only, and no numbers.
 */
#ifndef LEAKHUNT_SELECT_RECORD_H
#define LEAKHUNT_SELECT_RECORD_H

#include "leakhunt/json.h"
#include "leakhunt/json_pull.h"
#include "leakhunt/select.h"

#define LH_RECORD_KEY "leakhunt_record"

enum { LH_RECORD_FORMAT = 2 };

/* Limit of "lost". */
#define LH_RECORD_LOST_MAX UINT32_MAX

/* A new reference; NULL without memory. */
json_t *lh_record_region_encode(const struct lh_region *region);

/* The start of a region, and the figures in which `now` differs from `before`. NULL without memory. */
json_t *lh_record_figures_encode(uint64_t start, const struct lh_usage *before, const struct lh_usage *now);

/* An object of "regions" or "changed", parsed from a line. Strings belong to the line. */
struct lh_record_entry {
	struct lh_region region; /* without names */
	uint64_t fields;         /* the fields it has: bits of a table of record_region.c */
	struct lh_json_span name;
	struct lh_json_span thread_name;
	bool is_bad; /* a value does not fit its key */
};

/* The members of a line, uninterpreted. Reused from line to line. */
struct lh_record_line {
	uint32_t members; /* enum lh_line_member bits */
	uint64_t format;
	uint64_t pid;
	uint64_t start_ticks;
	uint64_t number;
	uint64_t time_ns;
	uint64_t uptime_ns;
	uint64_t lost; /* 0 if missing */
	double counter;
	struct lh_heap_use use;
	struct lh_holdings holdings;
	struct lh_ceilings ceilings;
	struct lh_sampling_receipt receipt;
	struct lh_json_span held_name;
	struct lh_json_span command;
	LH_VEC(struct lh_record_entry) entries; /* of "regions" or "changed" */
	LH_VEC(uint64_t) gone;
	size_t bad_gone_count;
};

/* The members that a line has. */
enum lh_line_member {
	LH_LINE_RECORD = 1, /* a header */
	LH_LINE_PID = 2,
	LH_LINE_START_TICKS = 4,
	LH_LINE_COMMAND = 8,
	LH_LINE_NUMBER = 16,
	LH_LINE_TIME = 32,
	LH_LINE_UPTIME = 64,
	LH_LINE_COUNTER = 128,
	LH_LINE_REGIONS = 256,
	LH_LINE_CHANGED = 512,
	LH_LINE_LOST = 1024,
	LH_LINE_HOLDINGS = 4096,
	LH_LINE_LEFT = 8192,
	LH_LINE_RECEIPT = 16384,
	LH_LINE_HELD_NAME = 32768,
	LH_LINE_IN_USE = 65536,
	LH_LINE_HEAP = 131072,
	LH_LINE_BAD = 2048, /* an invalid number, or a member twice */
};

/* *ret_is_object: whether the line is one JSON object; else `line` means nothing. */
struct lh_error *lh_record_line_parse(const char *text, size_t length, struct lh_record_line *line,
				      bool *ret_is_object) LH_NODISCARD;
void lh_record_line_deinit(struct lh_record_line *line);

/* Takes the next value of any kind off the line. */
void lh_record_entry_take(struct lh_json_pull *pull, struct lh_record_entry *ret);

/* Whether it is a whole region, not only figures of a known one. */
bool lh_record_entry_is_region(const struct lh_record_entry *entry);

/* *ret_is_region: whether it is valid; else *ret is untouched. Names go into the pool. */
struct lh_error *lh_record_region_decode(const struct lh_record_entry *entry, struct lh_strings_pool *pool,
					 struct lh_region *ret, bool *ret_is_region) LH_NODISCARD;
/* Sets the figures of the entry; false if one is invalid. */
bool lh_record_figures_decode(const struct lh_record_entry *entry, struct lh_usage *ret);
/* Whether the entry says where it starts. */
bool lh_record_entry_start(const struct lh_record_entry *entry, uint64_t *ret);

bool lh_ceiling_parse(const char *name, size_t length, enum lh_ceiling *ret);

void lh_cleanup_record_writer(struct lh_record_writer **writer);

void lh_cleanup_record_reader(struct lh_record_reader **reader);

#endif
