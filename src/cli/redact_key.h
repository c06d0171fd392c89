/*
 * redact_key: the key of commands that redact. Private to cli.
 */
#ifndef LEAKHUNT_CLI_REDACT_KEY_H
#define LEAKHUNT_CLI_REDACT_KEY_H

#include "leakhunt/redact.h"

/* Reads a file of at least LH_REDACT_KEY_BYTES bytes; NULL makes a random key that is not kept. */
struct lh_error *lh_redact_key_read(const char *path, uint8_t ret[LH_REDACT_KEY_BYTES]) LH_NODISCARD;

#endif
