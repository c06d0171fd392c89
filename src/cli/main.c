/*
 * main: finds the command, parses its words, runs it, and turns an error into one line on stderr
 * and an exit code.
 */
#include "command.h"
#include "confinement.h"
#include "leakhunt/dump.h"
#include "leakhunt/sweep.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int exit_code_of(const struct lh_error *error)
{
	return lh_error_code(error) == LH_ERROR_USAGE ? LH_EXIT_USAGE : LH_EXIT_FAILED;
}

/* "leakhunt: dump: no process 4711; hint: list them with `leakhunt ps`". Takes `error`. */
static int report_error(const char *command, struct lh_error *error)
{
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_puts(&line, "leakhunt: ");
	if (command)
		lh_buffer_printf(&line, "%s: ", command);
	/* Messages can contain names of files and commands: bytes that somebody else chose. */
	lh_buffer_escape(&line, lh_error_message(error), strlen(lh_error_message(error)));
	const char *hint = lh_error_hint_text(error);
	if (hint) {
		lh_buffer_puts(&line, "; hint: ");
		lh_buffer_escape(&line, hint, strlen(hint));
	}
	fprintf(stderr, "%s\n", line.data ? line.data : "leakhunt: out of memory");
	int code = exit_code_of(error);
	lh_error_destroy(error);
	return code;
}

static struct lh_error *unknown_command(const char *name)
{
	const char *names[32];
	size_t count = 0;
	for (size_t i = 0; lh_commands[i] && count < LH_ARRAY_COUNT(names); i++)
		names[count++] = lh_commands[i]->name;
	const char *nearest = lh_nearest(name, names, count);
	struct lh_error *error = lh_error_create(LH_ERROR_USAGE, "unknown command '%s'", name);
	if (nearest)
		return lh_error_hint(error, "did you mean `leakhunt %s`?", nearest);
	return lh_error_hint(error, "`leakhunt --help` lists the commands");
}

static struct lh_error *print_overview(void)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_help_overview(&text);
	return lh_print(&text);
}

static void describe_machine(struct lh_buffer *ret)
{
	const struct lh_kernel *kernel;
	struct lh_tracker_support trackers = lh_dump_tracker_support();
	struct lh_error *error = lh_kernel_select(&kernel);
	lh_confinement_describe(ret);
	lh_buffer_printf(ret, "scanning kernel: %s\n", error ? lh_error_message(error) : kernel->name);
	lh_buffer_printf(ret, "tracking of writes: %s%s\n",
			 trackers.has_write_protection ? "write protection (userfaultfd)"
			 : trackers.has_soft_dirty     ? "soft-dirty bits"
						       : "not in this kernel",
			 trackers.has_write_protection && trackers.has_soft_dirty ? ", soft-dirty bits" : "");
	lh_error_destroy(error);
}

static struct lh_error *print_version(bool is_verbose)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_puts(&text, "leakhunt " LH_VERSION "\n");
	if (is_verbose)
		describe_machine(&text);
	return lh_print(&text);
}

static bool is_verbose_version(int argc, char **argv)
{
	return argc > 2 && (strcmp(argv[2], "--verbose") == 0 || strcmp(argv[2], "-v") == 0);
}

static struct lh_error *print_command_help(const struct lh_command *command)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_help_command(command, lh_terminal_style().width, &text);
	return lh_print(&text);
}

static struct lh_error *run_command(const struct lh_command *command, int argc, char **argv, int *ret_status)
{
	LH_CLEANUP(lh_cleanup_arguments) struct lh_arguments *arguments = NULL;
	LH_TRY(lh_arguments_parse(command, argc, argv, &arguments));
	if (lh_arguments_wants_help(arguments))
		return print_command_help(command);
	return command->run(arguments, ret_status);
}

/*
 * If a standard stream is closed, the next opened file would get its number. Writing to such a placeholder fails, as it
 * should.
 */
static void reserve_standard_streams(void)
{
	int fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDONLY);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void take_environment(void)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	struct lh_settings settings = {
		.temporary_folder = getenv("TMPDIR"),
		.kernel = getenv("LEAKHUNT_KERNEL"),
		.has_debug_servers = urls && *urls,
	};
	lh_settings_set(&settings);
}

int main(int argc, char **argv)
{
	reserve_standard_streams();
	lh_self_forbid_cores();
	take_environment();
	/* With SIGPIPE ignored, a closed pipe (`| head`) is an EPIPE for lh_print. */
	signal(SIGPIPE, SIG_IGN);
	const char *name = argc > 1 ? argv[1] : NULL;
	struct lh_error *error = NULL;
	int status = LH_EXIT_COMPLETE;
	const struct lh_command *command = NULL;
	if (!name)
		error = lh_error_hint(lh_error_create(LH_ERROR_USAGE, "no command given"),
				      "`leakhunt --help` lists the commands");
	else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		error = print_overview();
	else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		error = print_version(is_verbose_version(argc, argv));
	else if (lh_operand_is_pid(name, &(pid_t){0}))
		/* `leakhunt PID` is `leakhunt hunt PID`: the PID stays an argument. */
		error = run_command(command = lh_command_find("hunt"), argc, argv, &status);
	else if (!(command = lh_command_find(name)))
		error = unknown_command(name);
	else
		error = run_command(command, argc - 1, argv + 1, &status);
	if (error)
		return report_error(command ? command->name : NULL, error);
	return status;
}
