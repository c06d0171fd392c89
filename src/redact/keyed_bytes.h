/*
 * keyed_bytes: bytes that stand for others: the same for the same ones under the same key. Private to redact.
 */
#ifndef LEAKHUNT_REDACT_KEYED_BYTES_H
#define LEAKHUNT_REDACT_KEYED_BYTES_H

#include "leakhunt/redact.h"

/* SipHash-2-4 (Aumasson and Bernstein 2012): nobody without the key can tell what was hashed, or try guesses. */
uint64_t lh_keyed_hash(const uint8_t key[LH_REDACT_KEY_BYTES], const uint8_t *bytes, size_t length, uint64_t number);
/* Replaces up to 8 bytes: zeros stay, printable bytes become letters, the others others of their kind. */
void lh_replace_bytes(const uint8_t key[LH_REDACT_KEY_BYTES], uint8_t *bytes, size_t length);

#endif
