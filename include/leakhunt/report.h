/*
 * report: one result struct in, text or JSON out. It judges nothing and opens nothing. All bytes of a target pass
 * lh_buffer_escape. JSON keys carry their units; addresses are strings "0x...".
 */
#ifndef LEAKHUNT_REPORT_H
#define LEAKHUNT_REPORT_H

#include "leakhunt/allocation_samples.h"
#include "leakhunt/dump.h"
#include "leakhunt/graph.h"
#include "leakhunt/heap.h"
#include "leakhunt/process_table.h"
#include "leakhunt/redact.h"
#include "leakhunt/regions.h"
#include "leakhunt/scan.h"
#include "leakhunt/select.h"
#include "leakhunt/trace.h"

/* How text output looks. */
struct lh_style {
	bool color;
	unsigned width; /* columns; 0: unlimited */
};

enum lh_maps_sort { LH_SORT_ADDRESS, LH_SORT_VSS, LH_SORT_RSS, LH_SORT_PSS, LH_SORT_USS, LH_SORT_SWAP };
bool lh_maps_sort_parse(const char *word, enum lh_maps_sort *ret);

struct lh_maps_report {
	pid_t pid;           /* 0: from a file */
	const char *command; /* "" when unknown */
	const struct lh_region_list *list;
	uint32_t kinds; /* bits 1 << kind of the rows to show */
	enum lh_maps_sort sort;
	bool is_by_kind; /* one row per kind instead of one per mapping; address order then means most USS first */
};
void lh_report_maps_text(const struct lh_maps_report *report, struct lh_style style, struct lh_buffer *ret);
void lh_report_maps_json(const struct lh_maps_report *report, struct lh_buffer *ret);

struct lh_ps_report {
	const struct lh_process_table *table; /* in the order of the rows */
	uint64_t most;                        /* rows to show; 0: all */
	bool is_total_only;
};
void lh_report_ps_text(const struct lh_ps_report *report, struct lh_style style, struct lh_buffer *ret);
void lh_report_ps_json(const struct lh_ps_report *report, struct lh_buffer *ret);

/* Sorts by "pss", "rss" or "swap", most first, or by "pid"; any other word and NULL: by USS, as the table is read. */
void lh_ps_sort(struct lh_process_table *table, const char *word);

struct lh_select_report {
	const struct lh_selection *selection;
	const struct lh_forecast *forecast; /* NULL: no limit is near, or limits are unknown */
	const struct lh_runtime_facts *facts;
	const char *command;    /* comm, raw bytes; "" when unknown */
	size_t most;            /* rows to show; 0: all that changed */
	const char *saved_path; /* a record that `dump --suspects` can name; NULL */
	bool is_complete;       /* false: fewer samples than requested, or parts of them could not be parsed */
	bool shows_evidence;    /* also list what the verdict rests on, one line each; text only */
};
void lh_report_select_text(const struct lh_select_report *report, struct lh_style style, struct lh_buffer *ret);
/*
 * Schema "leakhunt/select/2": pid (null: unknown), command, allocator, complete, samples, span_ns, moments_s[],
 * process{...}, regions[{...}], holdings[{name (lh_holding_name), text, unit ("bytes" or "count"), first, last, growth,
 * rate_per_hour, rate_low_per_hour, rate_high_per_hour, verdict, reason, suspect, series[]}], held_name, left{one for
 * each lh_ceiling_name}, forecast{what, limit (lh_ceiling_name), left_bytes (null: it is a count), left_count (null: it
 * is in bytes), seconds, earliest_s, latest_s (null: perhaps never)} (null:
 * none), next_command (null: nothing to dump), unchanged_mappings, receipt{readings, bounded_readings (in short calls
 * instead of smaps), reading_ns, reading_max_ns, longest_call_ns}, evidence[{kind (lh_evidence_name), weight, text}] of
 * the process's verdict. Process and region: mappings, private_first_bytes, private_last_bytes, growth_bytes,
 * mapped_first_bytes, mapped_last_bytes, huge_growth_bytes, measure ("used" or "mapped": what the rest is about),
 * rate_bytes_per_hour, rate_low_bytes_per_hour, rate_high_bytes_per_hour, probability, resolution_bytes_per_hour,
 * growth_start_s, plateau_start_s, bytes_per_count (null: not known), verdict, reason, watch_more_ns, suspect,
 * series_bytes[one a moment]. A region also: start, end, cause (one word), cause_text, ranges[{start, end}], size_bytes
 * (mapped), kind, name, thread_name. private: lh_region_used_bytes.
 */
void lh_report_select_json(const struct lh_select_report *report, struct lh_buffer *ret);

/* One process that is watched. */
struct lh_watched {
	pid_t pid;
	const char *command; /* raw bytes */
	const struct lh_selection *selection;
	bool has_forecast;
	struct lh_forecast forecast; /* valid when has_forecast */
};
/* OpenMetrics text with all of them. */
void lh_report_metrics(const struct lh_watched *watched, size_t count, struct lh_buffer *ret);
/*
 * Schema "leakhunt/watch/1": processes[{pid, command, samples, span_ns, forecast, and the fields of `process` in
 * leakhunt/select/2}].
 */
void lh_report_watched_json(const struct lh_watched *watched, size_t count, struct lh_buffer *ret);

struct lh_chart_size {
	size_t width;  /* columns, the axis included */
	size_t height; /* lines */
	bool is_plain; /* ASCII only */
};
/* Appends `size.height` lines: the series (one value per moment of the selection) over time. */
struct lh_error *lh_report_chart(const struct lh_selection *selection, const uint64_t *series,
				 struct lh_chart_size size, struct lh_buffer *ret) LH_NODISCARD;

/* Appends a line below the chart: how long ago its left end was, and "now" at its right end. */
void lh_report_chart_axis(const struct lh_selection *selection, struct lh_chart_size size, struct lh_buffer *ret);

/* A picture, SVG 1.1: a panel for the process, and one for each of the first regions that changed. */
void lh_report_select_svg(const struct lh_select_report *report, struct lh_buffer *ret);

struct lh_comparison_report {
	const struct lh_comparison *comparison;
	const struct lh_selection *before;
	const struct lh_selection *after;
};
void lh_report_comparison_text(const struct lh_comparison_report *report, struct lh_buffer *ret);
/*
 * Schema "leakhunt/comparison/1": change, confidence, before_bytes_per_hour, after_bytes_per_hour,
 * difference_low_bytes_per_hour, difference_high_bytes_per_hour, resolution_bytes_per_hour, watch_more_ns, reason,
 * before{samples, span_ns, verdict, reason}, after{...}.
 */
void lh_report_comparison_json(const struct lh_comparison_report *report, struct lh_buffer *ret);

/*
 * Schema "leakhunt/dump-plan/1": pid, command, path, mode, mode_reason, expected_pause_ns, threads, wanted_bytes,
 * context_bytes, swapped_bytes, gap_bytes, disk_needed_bytes, disk_free_bytes, modes[{mode, works, reason,
 * expected_pause_ns}], extents[{start, end, kind, name, thread_name, context, present_bytes, swapped_bytes,
 * device}].
 */
void lh_report_preview_json(const struct lh_preview *preview, struct lh_buffer *ret);
void lh_report_preview_text(const struct lh_preview *preview, struct lh_style style, struct lh_buffer *ret);
void lh_report_receipt_text(const struct lh_receipt *receipt, struct lh_style style, struct lh_buffer *ret);

struct lh_hunt;
/*
 * Replaces texts of the target in a concluded hunt by keyed hashes of the same length, so that all of its reports can
 * be sent to others: texts and templates, details of values, names of threads and of files that are no modules. Types,
 * modules, the command, sizes and addresses stay. Errors: no memory; the hunt is then partly redacted.
 */
struct lh_error *lh_report_redact_hunt(struct lh_hunt *hunt, const uint8_t key[LH_REDACT_KEY_BYTES]) LH_NODISCARD;
/* Fits one screen. */
void lh_report_hunt_text(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret);
/*
 * Schema "leakhunt/hunt/1": complete, pid, command, folder, record, before, after (paths; null: none), grows{region,
 * cause, cause_text, verdict, probability, growth_bytes, rate_bytes_per_hour, rate_low_bytes_per_hour,
 * rate_high_bytes_per_hour, samples, reason, held (lh_holding_name; null: none), forecast (as of leakhunt/select/2)}
 * (null: no samples), is{compared (false: rows say what there is most of), growth_bytes (of the dumps, without zero
 * pages), zero_growth_bytes, explained (0 to 1), owned_bytes, rows[{kind ("objects", "content", "texts", "blocks"),
 * family, name, detail, count, bytes, before_count, after_count, each_bytes, addr}]}, why{word (lh_hunt_why_name),
 * before and after {used_blocks, used_bytes, free_bytes} (null: not known), lost{blocks, confirmed, bytes,
 * growth_bytes} (null: not known), holder{root, shape, elements, growth_bytes} (null: none), doubt}, next{text, source,
 * acquire, release (null: none is known)}, confidence[{question (lh_hunt_question_name), level (0 to 4), word,
 * reason}], fills[{owner, bytes, growth_bytes, types[{family, prefix, name, detail, count (null: not counted), bytes,
 * growth_bytes, addr}]}], steps[{step, outcome, reason, elapsed_ns}], receipt{longest_pause_ns, max_pause_ns, pauses,
 * longest_call_ns, elapsed_ns, disk_bytes, copied_bytes}.
 */
void lh_report_hunt_json(const struct lh_hunt *hunt, struct lh_buffer *ret);
/*
 * A self-contained HTML page for people, with its style and script; complete without the script. About 100 KB, at most
 * 400: longer tables and strips are cut, with a remark.
 */
void lh_report_hunt_html(const struct lh_hunt *hunt, struct lh_buffer *ret);

struct lh_strings_report {
	const struct lh_image *image;
	const struct lh_summary *summary;
	size_t min_chars;
	size_t top;
	bool is_short; /* text: one table that fits a screen, instead of all blocks */
};
void lh_report_strings_text(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret);
void lh_report_strings_json(const struct lh_strings_report *report, struct lh_buffer *ret);

struct lh_heap_report {
	const struct lh_image *image;
	const struct lh_heap *heap;
	const struct lh_heap_findings *findings;
	const struct lh_heap_groups *groups;
	const struct lh_receipt *receipt; /* of the snapshot; NULL: the image is a file */
	struct lh_symbols *symbols;       /* of the image: for samples */
	uint64_t monotonic_ns;            /* CLOCK_MONOTONIC at the instant of the image; 0: unknown */
	uint64_t realtime_ns;             /* CLOCK_REALTIME then; 0: unknown */
	size_t top;                       /* rows of arenas, groups and call stacks to show */
};
void lh_report_heap_text(const struct lh_heap_report *report, struct lh_style style, struct lh_buffer *ret);
/*
 * Schema "leakhunt/heap/1": path, pid (null: unknown), complete, totals{FIGURES}, allocators[{name, refused, partial,
 * lost_bytes, checked, failed, first_failure, note, blocks}], arenas[{allocator, role, kind, addr, FIGURES}],
 * findings[{kind, allocator, bytes, arenas}], groups[{basis (lh_group_basis_name), kind, name, detail, count, bytes,
 * owned_count, owned_bytes, owned_resident_bytes (null: not found), pinned_bytes, example_addr}], sizes[{size_max_bytes
 * (null: no bound), FIGURES by state}], samples (null: the allocator has sampled nothing) {allocator, sampled_blocks,
 * rejected_blocks (no valid stack), stacks[{estimated_bytes, estimated_blocks (the allocator's estimates for all blocks
 * of the stack), sampled_blocks, sampled_bytes, requested_bytes, oldest_time_ns, oldest_age_ns, age_exact (false: at
 * least so old), consistent (counters and blocks agree), frames[FRAME of leakhunt/trace/1]}]}, receipt (null: a file)
 * as `dump --json` has it. FIGURES: mapped_bytes, resident_bytes, used_resident_bytes, used_bytes, used_blocks,
 * cached_..., free_..., overhead_bytes, free_page_bytes, free_resident_bytes, returnable_bytes.
 */
void lh_report_heap_json(const struct lh_heap_report *report, struct lh_buffer *ret);

struct lh_heap_growth_report {
	const struct lh_image *before_image, *after_image;
	const struct lh_heap *before, *after;
	const struct lh_heap_growth *growth;
	const struct lh_receipt *receipts[2]; /* of the snapshots; NULL: the images are files */
	size_t top;                           /* rows to show */
};
void lh_report_heap_growth_text(const struct lh_heap_growth_report *report, struct lh_style style,
				struct lh_buffer *ret);
/*
 * Schema "leakhunt/heap-diff/1": complete, before and after: {path, totals (as of leakhunt/heap/1), receipt}, blocks:
 * {new, changed, kept, gone: {count, bytes}}, groups[{basis, kind, name, detail, before_count, after_count,
 * growth_count, before_bytes, after_bytes, growth_bytes, new_..., changed_..., kept_..., gone_... (count, bytes),
 * addr}].
 */
void lh_report_heap_growth_json(const struct lh_heap_growth_report *report, struct lh_buffer *ret);

struct lh_leaks_report {
	const struct lh_image *image;
	const struct lh_heap *heap;
	const struct lh_graph *graph;
	const struct lh_leaks *leaks;
	const struct lh_holder_list *holders;
	const struct lh_receipt *receipt; /* of the (last) snapshot; NULL: the image is a file */
	bool is_confirmed;                /* two moments were compared */
	size_t top;                       /* rows of groups to show */
};
void lh_report_leaks_text(const struct lh_leaks_report *report, struct lh_style style, struct lh_buffer *ret);
/*
 * Schema "leakhunt/leaks/1": path, pid (null: unknown), doubts[text], compared, lost{blocks, owned_blocks, owned_bytes,
 * confirmed_blocks}, possible{blocks, bytes}, suppressed{blocks, bytes}, groups[{status (lh_leak_status_name),
 * lsan, valgrind, basis, kind, name, detail, size_bytes, blocks, bytes, held_blocks, owned_blocks, owned_bytes,
 * confirmed_blocks, example_addr, suppressed}], graph{blocks and bytes by status, threads, root_bytes by kind,
 * mark_cpu_ns, memory_bytes}, receipt (null: a file) as `dump --json` has it.
 */
void lh_report_leaks_json(const struct lh_leaks_report *report, struct lh_buffer *ret);

/* What is known about one address. */
struct lh_explain_report {
	const struct lh_image *image;
	const struct lh_heap *heap;
	uint64_t addr;
	const struct lh_segment *segment; /* NULL: not mapped, or not in the dump */
	bool has_chunk;
	struct lh_heap_chunk chunk;        /* the chunk that contains it */
	const struct lh_heap_group *group; /* of the chunk, with its one block; NULL: not in use */
	const struct lh_graph *graph;      /* NULL: not in use */
	size_t chunk_index;
	const struct lh_block_holding *holding; /* NULL: not in use */
	const char *symbol;                     /* the symbol at the address in a module; NULL */
	uint64_t content_addr;
	const uint8_t *content; /* from the block's beginning, or from the address */
	size_t content_bytes;
	bool shows_text;
};
void lh_report_explain_text(const struct lh_explain_report *report, struct lh_buffer *ret);
/*
 * Schema "leakhunt/explain/1": addr, mapping{start, end, kind, name} (null), symbol (null), block{addr, bytes,
 * requested_bytes (null: not known), state, offset, allocator, arena, arena_role, group{basis, kind, name, detail}
 * (null), status (lh_leak_status_name; null), root (null: not reachable), path[{addr, offset}], retained_blocks,
 * retained_bytes} (null), content_addr, content_hex (null without --show-secrets).
 */
void lh_report_explain_json(const struct lh_explain_report *report, struct lh_buffer *ret);

struct lh_diff_report {
	const struct lh_image *before_image;
	const struct lh_image *after_image;
	const struct lh_summary *before;
	const struct lh_summary *after;
	const struct lh_diff *diff;
	size_t top;    /* rows of each kind to show */
	bool is_short; /* text: one table of all kinds that fits a screen */
};
void lh_report_diff_text(const struct lh_diff_report *report, struct lh_style style, struct lh_buffer *ret);
/*
 * Schema "leakhunt/strings-diff/1": complete, before and after {path, kind, scanned_bytes, zero_bytes}, objects,
 * classes, templates, texts, symbols: each [{name, detail, before_count, after_count, growth_count, before_bytes,
 * after_bytes, growth_bytes, addr}], the most grown first; addr is null when there is none any more.
 */
void lh_report_diff_json(const struct lh_diff_report *report, struct lh_buffer *ret);

struct lh_trace_report {
	const struct lh_trace *trace;
	struct lh_symbols *symbols;
	pid_t pid;
	const char *command;
	size_t top; /* stacks to show */
};
/*
 * "python3's pymalloc hands out 63 % of its memory without malloc". False, with nothing written, if `allocator` hands
 * out at least nine tenths of the memory, or its owner is unknown.
 */
bool lh_report_trace_unseen(const char *command, const struct lh_trace_memory *memory, enum lh_allocator allocator,
			    struct lh_buffer *ret);
void lh_report_trace_text(const struct lh_trace_report *report, struct lh_style style, struct lh_buffer *ret);
/*
 * Schema "leakhunt/trace/1": pid, command, complete, allocator, end ("time", "interrupted", "budget", "ended",
 * "samples"), duration_ns, allocations, allocated_bytes, frees, samples, incomplete_stacks, lost_samples, lost_deaths,
 * unseen_deaths, grown_bytes (null: not known), unseen_part (of the private memory: not malloc's),
 * method (lh_trace_method_name), probed_ns (in bursts less than
 * duration_ns: counts are of that time, the bytes of sites projected on all of it), unseen[{kind, bytes}] (LH_REGION
 * words), mean_bytes, target_cost, own_cost, budget (parts of one processor), common[FRAME] (of all leaking stacks,
 * innermost first), sites[{verdict (lh_site_verdict_name), complete, samples, allocated_bytes, allocated_blocks,
 * live_bytes, live_blocks, live_samples, freed_samples, survivors, min_age_ns, median_life_ns, longest_life_ns,
 * oldest_live_ns, leak_bytes_per_s, leak_low_bytes_per_s, leak_high_bytes_per_s, frames[FRAME]}]. FRAME: {addr, module,
 * name, offset}, module and name null when not known.
 */
void lh_report_trace_json(const struct lh_trace_report *report, struct lh_buffer *ret);

/*
 * All stacks as a gzip-compressed pprof profile. Values: alloc_objects, alloc_space, inuse_objects, inuse_space,
 * leaked_per_hour_space (for stacks called leaking). Names belong to report->symbols.
 */
struct lh_error *lh_report_trace_pprof(const struct lh_trace_report *report, struct lh_buffer *ret) LH_NODISCARD;

enum lh_folded_weight { LH_FOLDED_LEAK, LH_FOLDED_LIVE, LH_FOLDED_ALLOCATED };
/*
 * One line per stack, in the format of flame graph programs: "main;make_session;malloc 81920", outermost first.
 * Weights: bytes per hour of leaking stacks; live bytes; allocated bytes.
 */
void lh_report_trace_folded(const struct lh_trace_report *report, enum lh_folded_weight weight, struct lh_buffer *ret);

/* What `leakhunt redact` wrote to `path`. */
void lh_report_redact_text(const struct lh_redaction *redaction, const char *path, struct lh_buffer *ret);
/*
 * Schema "leakhunt/redact/1": path, memory_bytes and its parts {module, zero, pointer, number, name, replaced}_bytes,
 * notes, blocks_before, blocks_after, same_heap.
 */
void lh_report_redact_json(const struct lh_redaction *redaction, const char *path, struct lh_buffer *ret);

#endif
