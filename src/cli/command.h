/*
 * command: the rows from which the whole command line follows: parsing, --help, the man page and the shell completions.
 * A command is one const struct in its cmd_*.c.
 */
#ifndef LEAKHUNT_CLI_COMMAND_H
#define LEAKHUNT_CLI_COMMAND_H

#include "leakhunt/base.h"
#include "leakhunt/report.h"

#define LH_VERSION "0.1.0"

/* Exit codes, as leakhunt(1) documents them. */
enum lh_exit {
	LH_EXIT_COMPLETE = 0,
	LH_EXIT_PARTIAL = 1, /* incomplete; missing parts are listed */
	LH_EXIT_FAILED = 2,
	LH_EXIT_LOST = 3,   /* leaks: lost blocks were found */
	LH_EXIT_USAGE = 64, /* EX_USAGE of sysexits.h */
};

/* What shells complete after an option, or for an operand. */
enum lh_completion {
	LH_COMPLETE_NOTHING,
	LH_COMPLETE_FILE,
	LH_COMPLETE_PID,
	LH_COMPLETE_PID_OR_FILE,
	LH_COMPLETE_USER
};

struct lh_option {
	const char *name;     /* long name without dashes */
	char letter;          /* 0: none */
	const char *argument; /* metavariable; NULL: a flag */
	const char *summary;  /* one sentence, lower case, no full stop */
	bool is_repeatable;
	enum lh_completion completion;
	const char *words;    /* "stop live": all words that the option takes, for completion and errors; NULL */
	const char *old_name; /* spellings of 0.1, still accepted; NULL and 0: none */
	char old_letter;
};

struct lh_usage_example {
	const char *command;
	const char *meaning;
};

struct lh_arguments;

struct lh_command {
	const char *name;
	const char *summary;  /* one line */
	const char *operands; /* "PID", "FILE|PID"; "" */
	size_t operands_min;
	size_t operands_max;
	enum lh_completion operand_completion;
	const char *description;                 /* paragraphs separated by blank lines; wrapped on output */
	const struct lh_option *options;         /* the last has a NULL name */
	const struct lh_usage_example *examples; /* the last has a NULL command */
	const struct lh_manual_section *manual;  /* sections of its man page beside all of the above; NULL: none */
	bool is_hidden;                          /* not in the list of commands */
	/* On success sets *ret_status (preset to LH_EXIT_COMPLETE). The caller prints the error. */
	struct lh_error *(*run)(const struct lh_arguments *arguments, int *ret_status);
};

/* All commands, in the order of help; NULL-terminated. */
extern const struct lh_command *const lh_commands[];
const struct lh_command *lh_command_find(const char *name);

/* ---------------------------------------------------------------- parsed arguments */

/* Reads argv[1..] of a command. "--" ends options; "--name=value", "-n5" and "-n 5" are the same. */
struct lh_error *lh_arguments_parse(const struct lh_command *command, int argc, char **argv,
				    struct lh_arguments **ret) LH_NODISCARD;
void lh_arguments_destroy(struct lh_arguments *arguments);
void lh_cleanup_arguments(struct lh_arguments **arguments);

bool lh_arguments_wants_help(const struct lh_arguments *arguments);
bool lh_arguments_has(const struct lh_arguments *arguments, const char *option);
/* The last value given, or NULL. */
const char *lh_arguments_value(const struct lh_arguments *arguments, const char *option);
/* The i-th value of a repeatable option, or NULL past the last. */
const char *lh_arguments_value_at(const struct lh_arguments *arguments, const char *option, size_t i);
size_t lh_arguments_value_count(const struct lh_arguments *arguments, const char *option);
size_t lh_arguments_operand_count(const struct lh_arguments *arguments);
const char *lh_arguments_operand(const struct lh_arguments *arguments, size_t i);

/* Typed values: *ret keeps its default when the option was not given. Errors name the option. */
struct lh_error *lh_arguments_u64(const struct lh_arguments *arguments, const char *option, uint64_t min, uint64_t max,
				  uint64_t *ret) LH_NODISCARD;
struct lh_error *lh_arguments_duration(const struct lh_arguments *arguments, const char *option,
				       uint64_t *ret_ns) LH_NODISCARD;

/* ---------------------------------------------------------------- help, man, completions */

void lh_help_overview(struct lh_buffer *ret);
void lh_help_command(const struct lh_command *command, unsigned width, struct lh_buffer *ret);
/* A manual section as text: terms indented by 2 columns, their meanings behind them. */
void lh_manual_section_text(const struct lh_manual_section *section, unsigned width, struct lh_buffer *ret);
void lh_man_page(struct lh_buffer *ret);                                      /* leakhunt(1) as roff, man(7) */
void lh_man_command(const struct lh_command *command, struct lh_buffer *ret); /* leakhunt-COMMAND(1) */
struct lh_error *lh_completion_script(const char *shell, struct lh_buffer *ret) LH_NODISCARD;

/* The candidate closest to `word` within two edits, or NULL: for "did you mean". */
const char *lh_nearest(const char *word, const char *const *candidates, size_t count);

/* ---------------------------------------------------------------- terminal */

/* Color and width of stdout: plain and unlimited when it is not a terminal; NO_COLOR is honored. */
struct lh_style lh_terminal_style(void);
/* Writes to stdout; a closed pipe is not an error. */
struct lh_error *lh_print(const struct lh_buffer *buffer) LH_NODISCARD;
/* Whether lh_print has met a closed pipe: nobody reads the output. */
bool lh_output_is_closed(void);
/* One line on stderr: "leakhunt: warning: ...", escaped. */
void lh_warn(const char *format, ...) LH_PRINTF(1, 2);

/* A line on stderr that is redrawn; nothing if stderr is not a terminal. */
struct lh_progress_line {
	bool is_shown;
	uint64_t started_ns;
	uint64_t drawn_ns;
};
void lh_progress_begin(struct lh_progress_line *line);
/* "<what> 42% 1.2 GiB of 2.9 GiB, 812 MiB/s, 2 s left"; redraws at most ten times a second. */
void lh_progress_bytes(struct lh_progress_line *line, const char *what, uint64_t done, uint64_t total);
void lh_progress_text(struct lh_progress_line *line, const char *format, ...) LH_PRINTF(2, 3);
void lh_progress_end(struct lh_progress_line *line);

/*
 * After this, SIGINT, SIGTERM and SIGHUP only set a flag, so that a command can end in order: blocking calls return
 * EINTR. A second SIGINT within the same command kills leakhunt the usual way.
 */
void lh_interrupt_install(void);
bool lh_interrupt_requested(void);
/*
 * Ends the program this many seconds after such a signal, whatever it waits for. For commands that may end at any
 * point. 0: cancels this.
 */
void lh_interrupt_grace(unsigned seconds);

/* ---------------------------------------------------------------- operands */

/* What a "PID|FILE" operand names: digits are a pid, anything else is a path ("./1234" for a file of that name). */
bool lh_operand_is_pid(const char *operand, pid_t *ret);
/* Opens an operand that must be a PID. */
struct lh_error *lh_operand_process(const char *operand, struct lh_process **ret) LH_NODISCARD;

#endif
