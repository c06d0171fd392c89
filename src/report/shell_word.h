/*
 * shell_word: words of commands that a person may paste into a shell. Private to report.
 */
#ifndef LEAKHUNT_REPORT_SHELL_WORD_H
#define LEAKHUNT_REPORT_SHELL_WORD_H

#include "leakhunt/base.h"

/* Appends `word` for sh: quotes all but the plainest words. */
void lh_shell_word(struct lh_buffer *ret, const char *word);

#endif
