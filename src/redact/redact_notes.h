/*
 * redact_notes: the notes of a core without what they tell of the process's data. Private to redact.
 */
#ifndef LEAKHUNT_REDACT_REDACT_NOTES_H
#define LEAKHUNT_REDACT_REDACT_NOTES_H

#include "redact_words.h"

/* The notes of one PT_NOTE segment, in place. LH_ERROR_FORMAT: they do not end where the segment does. */
struct lh_error *lh_redact_notes(struct lh_redactor *redactor, uint8_t *bytes, size_t length) LH_NODISCARD;

/* A whole note of 12 + 12 + 28 bytes, by which a redacted core and its key are known (LH_NOTE_REDACTION). */
enum { LH_REDACT_MARK_BYTES = 52 };
void lh_redact_make_mark(const struct lh_redactor *redactor, uint8_t ret[LH_REDACT_MARK_BYTES]);

#endif
