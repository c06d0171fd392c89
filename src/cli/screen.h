/*
 * screen: the terminal while a command has all of it: the alternate screen, a status line, keys, and changes of size.
 * There is one of it; off unless standard output is a terminal. Private to cli.
 */
#ifndef LEAKHUNT_CLI_SCREEN_H
#define LEAKHUNT_CLI_SCREEN_H

#include "leakhunt/base.h"

/* Takes the terminal; nothing when standard output is none. lh_screen_end gives it back as it was; twice is harmless.
 */
void lh_screen_begin(void);
void lh_screen_end(void);
bool lh_screen_is_on(void);

struct lh_screen_size {
	size_t columns;
	size_t rows; /* without the status line */
};
struct lh_screen_size lh_screen_size(void);

/* Shows as many lines of the text as there is room for, and `status` below. */
struct lh_error *lh_screen_show(const struct lh_buffer *text, const char *status) LH_NODISCARD;

/* Until `deadline_ns` of the monotonic clock, a key, or a change of size; a quarter of a second at most. */
void lh_screen_wait(uint64_t deadline_ns);
bool lh_screen_quit_requested(void); /* "q" was typed */
bool lh_screen_take_resize(void);    /* whether the size has changed since it was last asked */

#endif
