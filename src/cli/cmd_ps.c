/*
 * cmd_ps: `leakhunt ps`. The memory of all processes, the one that costs most first.
 */
#include "command.h"
#include "leakhunt/scan.h"

/* Passwords are arguments, too. */
static struct lh_error *mask_commands(struct lh_process_table *table)
{
	LH_CLEANUP(lh_cleanup_secret_finder) struct lh_secret_finder *finder = NULL;
	LH_TRY(lh_secret_finder_create(&finder));
	for (size_t i = 0; i < table->processes.count; i++)
		LH_TRY(lh_secret_finder_mask_name(finder, &table->strings, &table->processes.items[i].command));
	return NULL;
}

static struct lh_error *run_ps(const struct lh_arguments *arguments, int *ret_status)
{
	struct lh_process_table table LH_CLEANUP(lh_process_table_deinit) = {0};
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	uint64_t most = 0;
	LH_TRY(lh_arguments_u64(arguments, "most", 1, SIZE_MAX, &most));
	LH_TRY(lh_process_table_read(&table));
	LH_TRY(mask_commands(&table));
	if (lh_arguments_has(arguments, "json"))
		lh_report_ps_json(&table, most, &text);
	else
		lh_report_ps_text(&table, most, lh_terminal_style(), &text);
	LH_TRY(lh_print(&text));
	if (table.unreadable_count)
		*ret_status = LH_EXIT_PARTIAL;
	return NULL;
}

static const struct lh_option options[] = {
	{.name = "most", .letter = 'm', .argument = "N", .summary = "show only the N processes with most USS"},
	{.name = "json", .letter = 'j', .summary = "write JSON"},
	{0},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt ps --most 10", "the ten processes that would free most memory if they ended"},
	{0},
};

const struct lh_command lh_cmd_ps = {
	.name = "ps",
	.summary = "show the memory of all processes, most first",
	.operands = "",
	.description =
		"One row for each process, sorted by USS: what would be freed if it ended. PSS divides shared pages "
		"among those who share them, so that it can be summed; RSS counts them in full for each.\n\n"
		"Processes of others are readable for root only: those that could not be read are counted in the "
		"last line, and the exit code is 1. Kernel threads and zombies have no memory, and are left out.\n\n"
		"Passwords and tokens in command lines are masked with '*', as those in memory are by leakhunt "
		"strings.",
	.options = options,
	.examples = examples,
	.run = run_ps,
};
