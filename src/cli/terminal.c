/*
 * terminal: what commands share about stdout, stderr and signals: style, progress lines, warnings, and an orderly end
 * on Ctrl-C.
 */
#include "command.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct lh_style lh_terminal_style(void)
{
	struct lh_style style = {0};
	if (!isatty(STDOUT_FILENO))
		return style;
	const char *no_color = getenv("NO_COLOR"); /* https://no-color.org */
	const char *term = getenv("TERM");
	style.color = !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
	struct winsize size;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
		style.width = size.ws_col;
	return style;
}

static bool is_output_closed;

bool lh_output_is_closed(void)
{
	return is_output_closed;
}

struct lh_error *lh_print(const struct lh_buffer *buffer)
{
	LH_TRY(lh_buffer_status(buffer));
	struct lh_error *error = lh_fd_write_all(STDOUT_FILENO, "standard output", buffer->data, buffer->length);
	if (error && errno == EPIPE) {
		is_output_closed = true;
		lh_error_destroy(error);
		return NULL;
	}
	return error;
}

/* Warnings contain names of files and commands: bytes that somebody else chose. */
void lh_warn(const char *format, ...)
{
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_CLEANUP(lh_cleanup_free) char *text = NULL;
	va_list list;
	va_start(list, format);
	int length = vasprintf(&text, format, list);
	va_end(list);
	if (length < 0) {
		text = NULL;
		return;
	}
	lh_buffer_escape(&line, text, (size_t)length);
	if (!line.failed && line.data)
		fprintf(stderr, "leakhunt: warning: %s\n", line.data);
}

void lh_progress_begin(struct lh_progress_line *line)
{
	*line = (struct lh_progress_line){
		.is_shown = isatty(STDERR_FILENO),
		.started_ns = lh_clock_monotonic_ns(),
	};
}

/* "\r...\033[K" redraws in place; at most ten times a second. */
static bool is_due(struct lh_progress_line *line)
{
	uint64_t now_ns = lh_clock_monotonic_ns();
	if (!line->is_shown || now_ns - line->drawn_ns < LH_NS_PER_S / 10)
		return false;
	line->drawn_ns = now_ns;
	return true;
}

/* At most as wide as the terminal: a longer line would wrap and could not be redrawn. */
LH_PRINTF(1, 0) static void draw_line(const char *format, va_list list)
{
	char text[512];
	struct winsize size = {0};
	int length = vsnprintf(text, sizeof(text), format, list);
	if (length < 0)
		return;
	int room = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : INT_MAX;
	int shown = (int)lh_min_u64(lh_min_u64((uint64_t)length, sizeof(text) - 1), (uint64_t)room);
	while (shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80) /* not within a character */
		shown--;
	fprintf(stderr, "\r%.*s\033[K", shown, text);
	fflush(stderr);
}

static LH_PRINTF(1, 2) void draw_text(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	draw_line(format, list);
	va_end(list);
}

void lh_progress_bytes(struct lh_progress_line *line, const char *what, uint64_t done, uint64_t total)
{
	if (!is_due(line) || !total)
		return;
	double seconds = (double)(line->drawn_ns - line->started_ns) / 1e9;
	double rate = seconds > 0 ? (double)done / seconds : 0;
	double left_s = rate > 0 && done < total ? (double)(total - done) / rate : 0;
	char done_text[LH_FORMAT_MAX], total_text[LH_FORMAT_MAX], rate_text[LH_FORMAT_MAX], left_text[LH_FORMAT_MAX];
	draw_text("%s %3.0f%%  %s of %s, %s/s, %s left", what, 100.0 * (double)done / (double)total,
		  lh_format_bytes(done, done_text), lh_format_bytes(total, total_text),
		  lh_format_bytes((uint64_t)rate, rate_text), lh_format_duration((uint64_t)(left_s * 1e9), left_text));
}

void lh_progress_text(struct lh_progress_line *line, const char *format, ...)
{
	if (!is_due(line))
		return;
	va_list list;
	va_start(list, format);
	draw_line(format, list);
	va_end(list);
}

void lh_progress_end(struct lh_progress_line *line)
{
	if (line->is_shown && line->drawn_ns)
		fputs("\r\033[K", stderr);
	line->is_shown = false;
}

static volatile sig_atomic_t interrupt_requested, grace_seconds;

static void note_interrupt(int number)
{
	(void)number;
	interrupt_requested = 1;
	if (grace_seconds)
		alarm((unsigned)grace_seconds);
}

static void end_at_once(int number)
{
	static const char text[] =
		"\n"
		"leakhunt: interrupted while the kernel kept it waiting: ended at once, nothing was written\n";
	(void)number;
	ssize_t count = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)count;
	_exit(LH_EXIT_FAILED);
}

void lh_interrupt_install(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	/* Without SA_RESTART, sleeping calls return. With SA_RESETHAND, a second Ctrl-C kills at once. */
	struct sigaction action = {.sa_handler = note_interrupt, .sa_flags = (int)SA_RESETHAND};
	for (size_t i = 0; i < LH_ARRAY_COUNT(signals); i++) {
		struct sigaction old;
		sigaction(signals[i], NULL, &old);
		if (old.sa_handler != SIG_IGN) /* nohup stays nohup */
			sigaction(signals[i], &action, NULL);
	}
}

void lh_interrupt_grace(unsigned seconds)
{
	struct sigaction action = {.sa_handler = seconds ? end_at_once : SIG_DFL};
	if (!seconds)
		alarm(0);
	grace_seconds = (sig_atomic_t)seconds;
	sigaction(SIGALRM, &action, NULL);
}

bool lh_interrupt_requested(void)
{
	return interrupt_requested;
}
