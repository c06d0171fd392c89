/*
 * cmd_ps: `leakhunt ps`: prints the memory of all processes, most first.
 */
#include "command.h"
#include "leakhunt/scan.h"

#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

/* Arguments may be passwords. */
static struct lh_error *mask_commands(struct lh_process_table *table)
{
	LH_CLEANUP(lh_cleanup_secret_finder) struct lh_secret_finder *finder = NULL;
	LH_TRY(lh_secret_finder_create(&finder));
	for (size_t i = 0; i < table->processes.count; i++)
		LH_TRY(lh_secret_finder_mask_name(finder, &table->strings, &table->processes.items[i].command));
	for (size_t i = 0; i < table->unread.count; i++)
		LH_TRY(lh_secret_finder_mask_name(finder, &table->strings, &table->unread.items[i].command));
	return NULL;
}

#define SORT_WORDS "uss pss rss swap pid"

static bool is_wanted(const struct lh_process_usage *process, const struct lh_arguments *arguments)
{
	const char *user = lh_arguments_value(arguments, "user");
	const char *cgroup = lh_arguments_value(arguments, "cgroup");
	const char *name = lh_arguments_operand(arguments, 0);
	return (!user || strcmp(user, process->user) == 0) &&
	       (!cgroup || fnmatch(cgroup, process->cgroup, FNM_LEADING_DIR) == 0) &&
	       (!name || (strstr(process->command, name) && process->pid != getpid()));
}

/* Keeps the processes that the options and operands ask for, and unread ones of which only the PID is known. */
static void filter_processes(struct lh_process_table *table, const struct lh_arguments *arguments)
{
	size_t kept = 0;
	for (size_t i = 0; i < table->processes.count; i++) {
		if (is_wanted(&table->processes.items[i], arguments))
			table->processes.items[kept++] = table->processes.items[i];
	}
	table->processes.count = kept;
	kept = 0;
	for (size_t i = 0; i < table->unread.count; i++) {
		if (!*table->unread.items[i].user || is_wanted(&table->unread.items[i], arguments))
			table->unread.items[kept++] = table->unread.items[i];
	}
	table->unread.count = kept;
}

static struct lh_error *run_ps(const struct lh_arguments *arguments, int *ret_status)
{
	struct lh_process_table table LH_CLEANUP(lh_process_table_deinit) = {0};
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_ps_report report = {.table = &table, .is_total_only = lh_arguments_has(arguments, "total")};
	LH_TRY(lh_arguments_u64(arguments, "top", 1, SIZE_MAX, &report.most));
	LH_TRY(lh_process_table_read(&table));
	filter_processes(&table, arguments);
	LH_TRY(mask_commands(&table));
	lh_ps_sort(&table, lh_arguments_value(arguments, "sort"));
	if (lh_arguments_has(arguments, "json"))
		lh_report_ps_json(&report, &text);
	else
		lh_report_ps_text(&report, lh_terminal_style(), &text);
	LH_TRY(lh_print(&text));
	if (table.unread.count)
		*ret_status = LH_EXIT_PARTIAL;
	return NULL;
}

static const struct lh_option options[] = {
	{.name = "sort",
	 .letter = 's',
	 .argument = "WHAT",
	 .summary = "sort by uss, pss, rss or swap, most first, or by pid (default: uss)",
	 .words = SORT_WORDS},
	{.name = "user",
	 .letter = 'u',
	 .argument = "NAME",
	 .summary = "show only processes of user NAME",
	 .completion = LH_COMPLETE_USER},
	{.name = "cgroup",
	 .argument = "GLOB",
	 .summary = "show only processes whose cgroup matches GLOB, such as '/system.slice/nginx*'"},
	{.name = "total", .letter = 't', .summary = "print the sums only"},
	{.name = "top",
	 .argument = "N",
	 .summary = "show at most N processes (default: all)",
	 .old_name = "most",
	 .old_letter = 'm'},
	{.name = "json", .letter = 'j', .summary = "print JSON instead of text, schema leakhunt/ps/1"},
	{0},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt ps --top 10", "the ten processes that would free most memory if they ended"},
	{"leakhunt ps -t --user www-data nginx", "what all nginx processes of www-data cost together"},
	{0},
};

const struct lh_command lh_cmd_ps = {
	.name = "ps",
	.summary = "show the memory of all processes, most first",
	.operands = "[NAME]",
	.operands_max = 1,
	.description = "Prints one row per process, sorted by USS: the memory that would be freed if the process "
		       "ended. NAME selects processes whose command line contains that text. PSS divides shared "
		       "pages among the processes that share them, so PSS can be summed; RSS counts shared pages in "
		       "full for each process.\n"
		       "\n"
		       "Only root can read processes of other users, and in a container or a sandbox root may be "
		       "refused, too. Below the sums are the processes that were asked for and could not be read, with "
		       "the kernel's reason; the exit status is then 1. Kernel threads and zombies have no memory and "
		       "are not listed.\n"
		       "\n"
		       "Passwords and tokens in command lines are masked with '*', as in `leakhunt strings`.",
	.options = options,
	.examples = examples,
	.run = run_ps,
};
