/*
 * cmd_maps: `leakhunt maps PID|FILE`: prints the regions of a process or of a saved smaps text, by kinds that an
 * engineer knows.
 */
#include "command.h"
#include "confinement.h"
#include "leakhunt/heap.h"

#include <inttypes.h>
#include <string.h>

#define SAVED_BYTES_MAX (4 * LH_GIB)
#define SORT_WORDS      "address vss rss pss uss swap"
#define KIND_WORDS                                                                                                 \
	"heap arena mmap-chunk stack thread-stack anon text rodata data bss file shared memfd hugetlb vdso guard " \
	"jemalloc tcmalloc google-tcmalloc mimalloc musl pymalloc v8-heap go-heap java-heap zend-mm scudo rpmalloc"

static struct lh_error *parse_kinds(const struct lh_arguments *arguments, uint32_t *ret)
{
	size_t count = lh_arguments_value_count(arguments, "kind");
	uint32_t kinds = count ? 0 : UINT32_MAX;
	for (size_t i = 0; i < count; i++) {
		enum lh_region_kind kind;
		const char *word = lh_arguments_value_at(arguments, "kind", i);
		if (!lh_region_kind_parse(word, &kind))
			return lh_error_create(LH_ERROR_USAGE, "unknown kind '%s'", word);
		kinds |= 1u << kind;
	}
	*ret = kinds;
	return NULL;
}

static struct lh_error *parse_sort(const struct lh_arguments *arguments, enum lh_maps_sort *ret)
{
	const char *word = lh_arguments_value(arguments, "sort");
	if (word && !lh_maps_sort_parse(word, ret))
		return lh_error_create(LH_ERROR_USAGE, "cannot sort by '%s'", word);
	return NULL;
}

static struct lh_error *read_saved(const char *path, struct lh_region_list *ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_file_read(path, SAVED_BYTES_MAX, &text));
	/* No other file will be opened. */
	lh_confinement_apply(&(struct lh_confinement){0});
	return lh_regions_parse(text.data ? text.data : "", text.length, path, ret);
}

static struct lh_error *write_report(const struct lh_maps_report *report, bool is_json)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (is_json)
		lh_report_maps_json(report, &text);
	else
		lh_report_maps_text(report, lh_terminal_style(), &text);
	return lh_print(&text);
}

static void warn_of_map_loss(const struct lh_region_list *list, const char *what, int *ret_status)
{
	if (!list->skipped_lines && !list->dropped_regions)
		return;
	lh_warn("%s: %zu lines were missing or not understood, %zu mappings out of order were left out", what,
		list->skipped_lines, list->dropped_regions);
	*ret_status = LH_EXIT_PARTIAL;
}

static struct lh_error *run_maps(const struct lh_arguments *arguments, int *ret_status)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	const char *operand = lh_arguments_operand(arguments, 0);
	struct lh_maps_report report = {.command = "", .list = &list, .sort = LH_SORT_ADDRESS};
	LH_TRY(parse_kinds(arguments, &report.kinds));
	LH_TRY(parse_sort(arguments, &report.sort));
	report.is_by_kind = lh_arguments_has(arguments, "by");
	if (lh_operand_is_pid(operand, &report.pid)) {
		LH_TRY(lh_operand_process(operand, &process));
		LH_TRY(lh_regions_read_owned(process, LH_REGIONS_SMAPS, &list));
		lh_regions_take_exact_pss(process, &list);
		report.command = lh_process_command(process);
	} else {
		LH_TRY(read_saved(operand, &list));
	}
	LH_TRY(write_report(&report, lh_arguments_has(arguments, "json")));
	warn_of_map_loss(&list, operand, ret_status);
	return NULL;
}

static const struct lh_option options[] = {
	{.name = "sort",
	 .letter = 's',
	 .argument = "WHAT",
	 .summary = "sort by address, or by vss, rss, pss, uss or swap, most first (default: address)",
	 .words = SORT_WORDS},
	{.name = "kind",
	 .letter = 'k',
	 .argument = "KIND",
	 .summary = "show only mappings of this kind",
	 .is_repeatable = true,
	 .words = KIND_WORDS},
	{.name = "by",
	 .argument = "WHAT",
	 .summary = "print one row per kind instead of one per mapping",
	 .words = "kind"},
	{.name = "json", .letter = 'j', .summary = "print JSON instead of text, schema leakhunt/maps/1"},
	{0},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt maps 1234", "all mappings of process 1234, by address"},
	{"leakhunt maps 1234 --sort uss --kind heap --kind arena", "glibc's heaps, the one that costs most first"},
	{"leakhunt maps 1234 --by kind", "what each kind of memory costs"},
	{"cat /proc/1234/smaps > a.smaps; leakhunt maps a.smaps", "the same from a saved text"},
	{0},
};

const struct lh_command lh_cmd_maps = {
	.name = "maps",
	.summary = "show what each mapping of a process is, and the memory it costs",
	.operands = "PID|FILE",
	.operands_min = 1,
	.operands_max = 1,
	.operand_completion = LH_COMPLETE_PID_OR_FILE,
	.description = "Prints one row per mapping, and their sum. VSS: address space. RSS: resident memory. PSS: "
		       "RSS with shared pages divided among the processes that share them. USS: what would be freed "
		       "if the process ended. ANON: pages without a file behind them.\n"
		       "\n"
		       "Kinds: heap (brk), arena and mmap-chunk (the other memory of glibc's malloc), jemalloc, "
		       "tcmalloc (gperftools), google-tcmalloc, mimalloc, musl, pymalloc (CPython), v8-heap, "
		       "go-heap, java-heap, zend-mm (PHP), scudo (LLVM), rpmalloc, stack, thread-stack (with the "
		       "thread's name), anon, text, rodata, data, bss, file, shared, memfd, hugetlb, vdso, guard.\n"
		       "\n"
		       "FILE is a saved copy of /proc/PID/smaps, or of maps, which has no sizes of memory. In a "
		       "saved text, thread-stack, arena, mmap-chunk and memory of other allocators look like anon.\n"
		       "\n"
		       "maps never stops the process. The kernel holds the process's mmap lock while it walks its "
		       "page tables.",
	.options = options,
	.examples = examples,
	.run = run_maps,
};
