/*
 * recognise_hostname: host names in text, RFC 1123 section 2.1, lower case or upper case throughout,
 * ending in a domain of the list below. Country codes that are also suffixes of files or members of
 * objects (.py .so .sh .rs .pl .md .cc .in .is .id .to .do .it .me .my .ps ...) are left out; the others
 * need three labels or a first one of four letters, and domains that are words need three labels.
 */
#include "recognise.h"

#include <string.h>

enum { NAME_BYTES_MAX = 253, FIRST_LABEL_MIN = 4 };

enum { COUNTRY_FIRST = 11, WORD_FIRST = 47 };

static const char *const patterns[] = {
	"\\.com",
	"\\.net",
	"\\.org",
	"\\.edu",
	"\\.gov",
	"\\.mil",
	"\\.arpa",
	"\\.biz",
	"\\.io",
	"\\.xyz",
	"\\.localdomain",
	[COUNTRY_FIRST] = "\\.de",
	"\\.uk",
	"\\.fr",
	"\\.nl",
	"\\.jp",
	"\\.cn",
	"\\.ru",
	"\\.br",
	"\\.eu",
	"\\.us",
	"\\.ca",
	"\\.au",
	"\\.ch",
	"\\.se",
	"\\.es",
	"\\.kr",
	"\\.pt",
	"\\.cz",
	"\\.at",
	"\\.be",
	"\\.dk",
	"\\.fi",
	"\\.no",
	"\\.gr",
	"\\.hu",
	"\\.ie",
	"\\.il",
	"\\.mx",
	"\\.nz",
	"\\.tw",
	"\\.ua",
	"\\.za",
	"\\.tr",
	"\\.ar",
	"\\.hk",
	"\\.sg",
	[WORD_FIRST] = "\\.int",
	"\\.app",
	"\\.dev",
	"\\.cloud",
	"\\.online",
	"\\.local",
	"\\.internal",
	"\\.example",
	"\\.test",
	"\\.invalid",
	"\\.lan",
	NULL,
};

/* The pattern is the domain, and a backslash. */
static size_t domain_bytes(const struct lh_candidate *candidate)
{
	return strlen(patterns[candidate->pattern]) - 1;
}

/* "//example.org" and "@example.org" are host names; "/example.org", "\\example.org", "_example.org" are not. */
static bool name_begins(const struct lh_candidate *candidate, size_t before)
{
	if (lh_before_is(candidate, before + 1, LH_BYTE_SLASH))
		return lh_before_is(candidate, before + 2, LH_BYTE_SLASH);
	return !lh_before_is(candidate, before + 1, LH_BYTE_UNDERSCORE | LH_BYTE_PERCENT) &&
	       !(before < candidate->bytes_before && *(candidate->anchor - before - 1) == '\\');
}

/* The name ends after the domain: no further label, no call, no member. */
static bool name_ends(const struct lh_candidate *candidate, size_t end)
{
	if (lh_after_is(candidate, end, LH_BYTES_WORD | LH_BYTE_DASH) || lh_after_equals(candidate, end, "(") ||
	    lh_after_equals(candidate, end, "=") || lh_after_equals(candidate, end, "@"))
		return false;
	return !(lh_after_is(candidate, end, LH_BYTE_DOT) && lh_after_is(candidate, end + 1, LH_BYTES_WORD));
}

/* Names are written in one case: "System.Net" is code. */
static bool is_one_case(const uint8_t *name, size_t length)
{
	bool has_lower = false;
	bool has_upper = false;
	for (size_t i = 0; i < length; i++) {
		has_lower |= lh_byte_is(name[i], LH_BYTES_LOWER);
		has_upper |= lh_byte_is(name[i], LH_BYTES_UPPER);
	}
	return !(has_lower && has_upper);
}

static size_t first_label_bytes(const uint8_t *name)
{
	size_t length = 0;
	while (name[length] != '.')
		length++;
	return length;
}

static bool has_enough_labels(unsigned pattern, const uint8_t *name, size_t length)
{
	size_t labels = lh_host_labels(name, length);
	if (labels != 2)
		return labels > 2;
	return pattern < COUNTRY_FIRST || (pattern < WORD_FIRST && first_label_bytes(name) >= FIRST_LABEL_MIN);
}

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t end = domain_bytes(candidate);
	size_t before = lh_span_before(candidate, NAME_BYTES_MAX + 1, LH_BYTES_HOST);
	if (!before || before > NAME_BYTES_MAX || !name_begins(candidate, before) || !name_ends(candidate, end))
		return false;
	const uint8_t *name = candidate->anchor - before;
	while (before && lh_byte_is(*name, LH_BYTE_DOT | LH_BYTE_DASH)) {
		name++;
		before--;
	}
	if (!is_one_case(name, before + end) || !has_enough_labels(candidate->pattern, name, before + end))
		return false;
	*ret = (struct lh_match){.before = before, .length = before + end};
	return true;
}

const struct lh_recogniser lh_recognise_hostname = {
	.name = "hostname",
	.title = "host names",
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate,
};
