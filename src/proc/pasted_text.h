/*
 * pasted_text: texts of mappings that went through an editor, a mail or a web page. Private to proc.
 */
#ifndef LEAKHUNT_PROC_PASTED_TEXT_H
#define LEAKHUNT_PROC_PASTED_TEXT_H

#include "leakhunt/base.h"

/* Whether the first line shows that the text is not as the kernel wrote it. */
bool lh_pasted_text_detect(const char *text, size_t length);

/*
 * Appends the text as the kernel would write it: UTF-16 and a byte order mark, line ends of Windows, quotes and
 * indentation, tabs and no-break spaces, the unit, and the columns of `pmap -x`, `pmap -X` and `pmap -XX` (procps).
 * *ret_is_changed: the result differs from the text. LH_ERROR_FORMAT for what no usage can be read from; `what` names
 * it.
 */
struct lh_error *lh_pasted_text_restore(const char *text, size_t length, const char *what, struct lh_buffer *ret,
					bool *ret_is_changed) LH_NODISCARD;

#endif
