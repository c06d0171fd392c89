/*
 * redact: copies a core without its texts. Memory keeps its layout, pointers and sizes, so that heap and leaks find the
 * same blocks. A keyed hash of the same length replaces every text and every other value.
 */
#ifndef LEAKHUNT_REDACT_H
#define LEAKHUNT_REDACT_H

#include "leakhunt/base.h"

#define LH_REDACT_KEY_BYTES 16

/* What happened to the bytes of memory in the core. All but memory_bytes add up to memory_bytes. */
struct lh_redaction {
	uint64_t memory_bytes;
	uint64_t module_bytes;  /* read-only memory of programs and libraries, unchanged */
	uint64_t zero_bytes;    /* words that were zero */
	uint64_t pointer_bytes; /* words with an address of mapped memory, also as glibc mangles them in free lists */
	uint64_t number_bytes;  /* words with small numbers, such as sizes and counts */
	uint64_t name_bytes;    /* of types, and of modules */
	uint64_t replaced_bytes;
	uint64_t note_count;    /* registers, command line, names of threads and files: all are rewritten */
	uint64_t blocks_before; /* blocks of the heap, before and after; then their bytes in use */
	uint64_t blocks_after;
	uint64_t used_bytes_before;
	uint64_t used_bytes_after;
	bool is_marked;    /* a note names the key (LH_NOTE_REDACTION); false: the core has no notes */
	bool is_same_heap; /* allocators, arenas and all blocks are the same */
};

/* Makes a key from any number of bytes. */
void lh_redact_key_of(const uint8_t *bytes, size_t length, uint8_t ret[LH_REDACT_KEY_BYTES]);

/* Replaces a text by small letters: the same ones for equal texts under the same key. */
void lh_replace_text(const uint8_t key[LH_REDACT_KEY_BYTES], uint8_t *text, size_t length);

/*
 * Writes a redacted copy of the ELF core `path` into `out`, without committing it. With one key, equal texts become
 * equal texts. LH_ERROR_UNSUPPORTED: a compressed or raw dump, or not a 64-bit core.
 */
struct lh_error *lh_redact_core(const char *path, const uint8_t key[LH_REDACT_KEY_BYTES], struct lh_outfile *out,
				struct lh_redaction *ret) LH_NODISCARD;

#endif
