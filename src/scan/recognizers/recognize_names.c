/*
 * recognize_names: what can be a host name: labels of RFC 1123 section 2.1 and top-level domains.
 * Used for host names, e-mail addresses; says nothing about whether the name exists.
 */
#include "scan/recognize/recognize.h"

#include <ctype.h>
#include <string.h>

enum { LABEL_MAX = 63, NAME_MAX_BYTES = 253 };

/* By length: common generic ones of the IANA root zone, and those for private use: RFC 2606, 6761, 6762, 8375. */
static const char *const generic_domains[][32] = {
	[3] = {"app", "biz", "bot", "cat", "com", "dev", "edu", "gov", "int", "lan", "mil", "net", "one", "org", "pro",
	       "tel", "top", "xyz"},
	[4] = {"aero", "arpa", "asia", "blog", "club", "coop", "corp", "guru", "home", "host",
	       "info", "jobs", "life", "link", "live", "mobi", "name", "news", "page", "post",
	       "shop", "site", "team", "tech", "test", "wiki", "work", "zone"},
	[5] = {"cloud", "codes", "email", "games", "group", "local", "media", "ninja", "onion", "rocks", "space",
	       "store", "today", "tools", "works", "world"},
	[6] = {"agency", "center", "expert", "health", "museum", "online", "travel"},
	[7] = {"academy", "company", "digital", "example", "finance", "hosting", "invalid", "network", "private",
	       "systems", "website"},
	[8] = {"internal", "intranet", "services", "software"},
	[9] = {"localhost", "solutions"},
	[11] = {"localdomain"},
};

static bool equals_lower(const uint8_t *bytes, size_t length, const char *word)
{
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
	if (length > 4 && equals_lower(label, 4, "xn--"))
		return true;
	if (length >= LH_ARRAY_COUNT(generic_domains))
		return false;
	for (const char *const *word = generic_domains[length]; *word; word++) {
		if (equals_lower(label, length, *word))
			return true;
	}
	return false;
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
