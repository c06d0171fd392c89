/*
 * recognise_names: what can be a host name: labels of RFC 1123 section 2.1 and top-level domains.
 * Used for host names, e-mail addresses; says nothing about whether the name exists.
 */
#include "recognise.h"

#include <ctype.h>
#include <string.h>

enum { LABEL_MAX = 63, NAME_MAX_BYTES = 253 };

/* Common generic ones of the IANA root zone; then reserved for private use: RFC 2606, 6761, 6762, 8375. */
static const char *const generic_domains[] = {
	"academy",     "agency",    "aero",      "app",     "arpa",     "asia",     "biz",     "blog",     "bot",
	"cat",         "center",    "cloud",     "club",    "codes",    "com",      "company", "coop",     "dev",
	"digital",     "edu",       "email",     "expert",  "finance",  "games",    "gov",     "group",    "guru",
	"health",      "host",      "hosting",   "info",    "int",      "jobs",     "life",    "link",     "live",
	"media",       "mil",       "mobi",      "museum",  "name",     "net",      "network", "news",     "ninja",
	"one",         "online",    "org",       "page",    "post",     "pro",      "rocks",   "services", "shop",
	"site",        "software",  "solutions", "space",   "store",    "systems",  "team",    "tech",     "tel",
	"today",       "tools",     "top",       "travel",  "website",  "wiki",     "work",    "works",    "world",
	"xyz",         "zone",      "corp",      "example", "home",     "internal", "invalid", "lan",      "local",
	"localdomain", "localhost", "onion",     "test",    "intranet", "private",
};

static bool equals_lower(const uint8_t *bytes, size_t length, const char *word)
{
	if (strlen(word) != length)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (tolower(bytes[i]) != word[i])
			return false;
	}
	return true;
}

bool lh_tld_is_plausible(const uint8_t *label, size_t length)
{
	if (length == 2)
		return lh_byte_is(label[0], LH_BYTES_ALPHA) && lh_byte_is(label[1], LH_BYTES_ALPHA);
	for (size_t i = 0; i < LH_ARRAY_COUNT(generic_domains); i++) {
		if (equals_lower(label, length, generic_domains[i]))
			return true;
	}
	return length > 4 && equals_lower(label, 4, "xn--");
}

size_t lh_host_labels(const uint8_t *name, size_t length)
{
	size_t labels = 0;
	size_t label_start = 0;
	if (length > NAME_MAX_BYTES)
		return 0;
	for (size_t at = 0; at <= length; at++) {
		if (at < length && name[at] != '.') {
			if (!lh_byte_is(name[at], LH_BYTES_ALNUM | LH_BYTE_DASH))
				return 0;
			continue;
		}
		if (at == label_start || at - label_start > LABEL_MAX || name[label_start] == '-' ||
		    name[at - 1] == '-')
			return 0;
		labels++;
		label_start = at + 1;
	}
	return labels;
}
