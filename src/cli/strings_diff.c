/*
 * strings_diff: sums up two memories, and prints what the later one has more. Input: the command line of `leakhunt
 * strings`. Output: report's text or JSON.
 */
#include "strings_diff.h"

#include "confinement.h"
#include "leakhunt/confine.h"
#include "leakhunt/heap.h"
#include "still_image.h"

/* Rows kept per memory: what is rare in one can be frequent in the other. */
enum { KEPT_ROWS = 10000 };

/* One of the two memories. */
struct side {
	struct lh_process *process;
	struct lh_image *image;
	struct lh_summary summary;
};

static void cleanup_side(struct side *side)
{
	lh_summary_deinit(&side->summary);
	lh_image_close(side->image);
	lh_process_close(side->process);
}

static void cleanup_diff_progress(struct lh_progress_line *line)
{
	lh_progress_end(line);
}

static bool show_diff_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	lh_progress_bytes(context, "scanning", done_bytes, total_bytes);
	return !lh_interrupt_requested();
}

bool lh_strings_diff_is_wanted(const struct lh_arguments *arguments)
{
	return lh_arguments_operand_count(arguments) == 2 || lh_arguments_has(arguments, "against");
}

static struct lh_error *refuse_diff_contradictions(const struct lh_arguments *arguments)
{
	if (lh_arguments_has(arguments, "list"))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--list prints the strings of one memory"),
				     "leave out --list, or the second file");
	if (lh_arguments_has(arguments, "grep"))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--grep prints strings of one memory"),
				     "use --match to compare only the texts that match, or leave out the second file");
	if (lh_arguments_operand_count(arguments) == 2 && lh_arguments_has(arguments, "against"))
		return lh_error_hint(
			lh_error_create(LH_ERROR_USAGE, "too many operands: two dumps or processes can be compared"),
			"leave out --against, or the second file");
	return NULL;
}

static bool takes_files_raw(const struct lh_arguments *arguments)
{
	return lh_arguments_has(arguments, "raw") || lh_arguments_has(arguments, "offsets");
}

/* Opens a process; adds to `confinement` what has to be opened later. */
static struct lh_error *prepare_side(const struct lh_arguments *arguments, const char *operand,
				     struct lh_confinement *confinement, struct side *ret)
{
	const char *sysroot = lh_arguments_value(arguments, "sysroot");
	pid_t pid;
	if (!lh_operand_is_pid(operand, &pid)) {
		LH_TRY(lh_confinement_add_image(confinement, operand));
		return lh_confinement_add_symbols(confinement, sysroot ? sysroot : "");
	}
	if (takes_files_raw(arguments))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "a live process has addresses, not file offsets"),
				     "leave out --offsets and --raw, or name a file");
	LH_TRY(lh_operand_process(operand, &ret->process));
	LH_TRY(lh_process_pin(ret->process));
	LH_TRY(lh_image_open_process(ret->process, &ret->image));
	LH_TRY(lh_confinement_add_process(confinement, ret->process));
	return lh_confinement_add_symbols(confinement, sysroot ? sysroot : lh_image_root(ret->image));
}

static struct lh_error *open_file_side(const struct lh_arguments *arguments, const char *operand, struct side *ret)
{
	if (ret->image)
		return NULL;
	return lh_image_open_file(operand, &(struct lh_image_options){.raw = takes_files_raw(arguments)}, &ret->image);
}

/* Opens processes while leakhunt still may; then files, with the right to open only those. */
static struct lh_error *open_sides(const struct lh_arguments *arguments, struct side *before, struct side *after)
{
	struct lh_confinement confinement LH_CLEANUP(lh_confinement_deinit) = {0};
	const char *against = lh_arguments_value(arguments, "against");
	const char *before_operand = against ? against : lh_arguments_operand(arguments, 0);
	const char *after_operand = lh_arguments_operand(arguments, against ? 0 : 1);
	LH_TRY(prepare_side(arguments, before_operand, &confinement, before));
	LH_TRY(prepare_side(arguments, after_operand, &confinement, after));
	lh_confinement_apply(&confinement);
	LH_TRY(open_file_side(arguments, before_operand, before));
	LH_TRY(open_file_side(arguments, after_operand, after));
	lh_warn_of_redaction(before->image, after->image);
	lh_image_ask_owners(before->image);
	lh_image_ask_owners(after->image);
	/* Modules and symbols are opened during the scan. */
	lh_confine_settle();
	return NULL;
}

static struct lh_error *sum_up_diff(const struct lh_summary_options *options, struct side *ret)
{
	struct lh_progress_line progress LH_CLEANUP(cleanup_diff_progress);
	lh_progress_begin(&progress);
	struct lh_summary_options own = *options;
	own.top = KEPT_ROWS;
	own.keeps_single = true;
	own.wants_live_texts = true;
	own.progress = show_diff_progress;
	own.progress_context = &progress;
	return lh_summarize(ret->image, &own, &ret->summary);
}

static bool is_partial(const struct side *side)
{
	return lh_image_loss(side->image).count || side->summary.is_interrupted || side->summary.match_loss.count;
}

static struct lh_error *print_diff(const struct lh_arguments *arguments, size_t top, const struct side *before,
				   const struct side *after)
{
	struct lh_diff diff LH_CLEANUP(lh_diff_deinit) = {0};
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_diff_summaries(&before->summary, &after->summary, &diff));
	struct lh_diff_report report = {
		.before_image = before->image,
		.after_image = after->image,
		.before = &before->summary,
		.after = &after->summary,
		.diff = &diff,
		.top = top,
		.is_short = !lh_arguments_has(arguments, "all") && !lh_arguments_has(arguments, "top"),
	};
	if (lh_arguments_has(arguments, "json"))
		lh_report_diff_json(&report, &text);
	else
		lh_report_diff_text(&report, lh_terminal_style(), &text);
	return lh_print(&text);
}

struct lh_error *lh_strings_diff_run(const struct lh_arguments *arguments, const struct lh_summary_options *options,
				     int *ret_status)
{
	LH_CLEANUP(cleanup_side) struct side before = {0};
	LH_CLEANUP(cleanup_side) struct side after = {0};
	LH_TRY(refuse_diff_contradictions(arguments));
	LH_TRY(open_sides(arguments, &before, &after));
	LH_TRY(sum_up_diff(options, &before));
	if (!lh_interrupt_requested())
		LH_TRY(sum_up_diff(options, &after));
	else
		after.summary.is_interrupted = true;
	*ret_status = is_partial(&before) || is_partial(&after) ? LH_EXIT_PARTIAL : LH_EXIT_COMPLETE;
	return print_diff(arguments, options->top, &before, &after);
}
