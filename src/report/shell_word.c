/*
 * shell_word: quotes words for sh, so that a printed command can be pasted.
 */
#include "shell_word.h"

#include <string.h>

void lh_shell_word(struct lh_buffer *ret, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-+:@%";
	if (word[0] && word[0] != '-' && !word[strspn(word, plain)]) {
		lh_buffer_puts(ret, word);
		return;
	}
	lh_buffer_puts(ret, word[0] == '-' ? "./'" : "'");
	for (; *word; word++)
		lh_buffer_append(ret, *word == '\'' ? "'\\''" : word, *word == '\'' ? 4 : 1);
	lh_buffer_puts(ret, "'");
}
