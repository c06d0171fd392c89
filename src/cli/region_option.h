/*
 * region_option: the words of --region. Private to cli.
 */
#ifndef LEAKHUNT_CLI_REGION_OPTION_H
#define LEAKHUNT_CLI_REGION_OPTION_H

#include "leakhunt/dump.h"

/* Completions of --region. */
#define LH_REGION_WORDS "heap anon stacks private data all"

/* Like lh_want_parse, with the nearest word as a hint. */
struct lh_error *lh_parse_region_word(const char *word, struct lh_want *ret) LH_NODISCARD;

#endif
