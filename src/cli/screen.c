/*
 * screen: the terminal while a command has all of it. Control sequences are those of ECMA-48 and of xterm (1049: the
 * alternate screen; 25: the cursor; 7: lines wrap), which all terminals of today know.
 */
#include "screen.h"

#include "command.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct {
	bool is_on;
	bool has_keys; /* standard input is a terminal, whose settings are saved */
	bool wants_quit;
	struct termios saved;
} screen;

static volatile sig_atomic_t was_resized;

static void note_resize(int number)
{
	(void)number;
	was_resized = 1;
}

static void put_screen(const char *text)
{
	lh_error_destroy(lh_fd_write_all(STDOUT_FILENO, "standard output", text, strlen(text)));
}

/* Keys come one by one, and are not shown; Ctrl-C stays a signal. */
static void take_keys(void)
{
	struct termios raw;
	screen.has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen.saved) == 0;
	if (!screen.has_keys)
		return;
	raw = screen.saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void lh_screen_begin(void)
{
	struct sigaction action = {.sa_handler = note_resize};
	const char *term = getenv("TERM");
	if (screen.is_on || !isatty(STDOUT_FILENO) || (term && strcmp(term, "dumb") == 0))
		return;
	screen.is_on = true;
	sigaction(SIGWINCH, &action, NULL);
	take_keys();
	put_screen("\033[?1049h\033[?25l\033[?7l");
}

void lh_screen_end(void)
{
	if (!screen.is_on)
		return;
	put_screen("\033[?7h\033[?25h\033[?1049l");
	if (screen.has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &screen.saved);
	screen.is_on = screen.has_keys = false;
}

bool lh_screen_is_on(void)
{
	return screen.is_on;
}

struct lh_screen_size lh_screen_size(void)
{
	struct winsize window = {0};
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
	return (struct lh_screen_size){
		.columns = window.ws_col ? window.ws_col : 80,
		.rows = window.ws_row > 1 ? window.ws_row - 1u : 23,
	};
}

struct lh_error *lh_screen_show(const struct lh_buffer *text, const char *status)
{
	struct lh_buffer out LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_screen_size size = lh_screen_size();
	const char *at = text->data ? text->data : "";
	LH_TRY(lh_buffer_status(text));
	lh_buffer_puts(&out, "\033[H\033[J"); /* cursor home, erase below */
	for (size_t row = 0; row < size.rows && *at; row++) {
		size_t length = strcspn(at, "\n");
		lh_buffer_append(&out, at, length);
		lh_buffer_puts(&out, "\n");
		at += length + (at[length] == '\n');
	}
	lh_buffer_printf(&out, "\033[0m\033[%zu;1H\033[7m%-*.*s\033[0m", size.rows + 1, (int)size.columns,
			 (int)size.columns, status);
	return lh_print(&out);
}

static void read_keys(void)
{
	char keys[64];
	ssize_t count = read(STDIN_FILENO, keys, sizeof(keys));
	for (ssize_t i = 0; i < count; i++)
		screen.wants_quit |= keys[i] == 'q' || keys[i] == 'Q';
	/* A terminal that is gone is always ready, and has nothing. */
	if (count <= 0)
		screen.has_keys = false;
}

void lh_screen_wait(uint64_t deadline_ns)
{
	uint64_t now_ns = lh_clock_monotonic_ns();
	uint64_t left_ns = deadline_ns > now_ns ? lh_min_u64(deadline_ns - now_ns, LH_NS_PER_S / 4) : 0;
	struct pollfd input = {.fd = screen.has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	struct timespec timeout = {.tv_nsec = (long)left_ns};
	if (ppoll(&input, 1, &timeout, NULL) > 0)
		read_keys();
}

bool lh_screen_quit_requested(void)
{
	return screen.wants_quit;
}

bool lh_screen_take_resize(void)
{
	bool result = was_resized;
	was_resized = 0;
	return result;
}
