/*
 * pmap_text: the output of pmap (procps) as lines of smaps. Private to proc.
 */
#ifndef LEAKHUNT_PROC_PMAP_TEXT_H
#define LEAKHUNT_PROC_PMAP_TEXT_H

#include "leakhunt/base.h"

/*
 * Appends `text`, with the rows of a table of `pmap -x`, `-X` or `-XX` in it as a mapping and its fields each.
 * LH_ERROR_FORMAT for the output of pmap without usage (no option, or -d), and for two tables in one text.
 */
struct lh_error *lh_pmap_text_translate(const char *text, size_t length, const char *what,
					struct lh_buffer *ret) LH_NODISCARD;

#endif
