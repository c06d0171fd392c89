/*
 * recognize_hostname: host names in text, RFC 1123 section 2.1, lower case or upper case throughout,
 * ending in a domain of the list below. Country codes that are also suffixes of files or members of
 * objects (.py .so .sh .rs .pl .md .cc .in .is .id .to .do .it .me .my .ps ...) are left out; the others
 * need three labels or a first one of four letters, and domains that are words need three labels.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

enum { NAME_BYTES_MAX = 253, FIRST_LABEL_MIN = 4, DOMAIN_MAX = 11 };

enum domain_kind { GENERIC, COUNTRY, WORD };

/* By length; ends with NULL. Country codes are below. */
static const struct {
	const char *generic[9];
	const char *words[5];
} domains[DOMAIN_MAX + 1] = {
	[2] = {.generic = {"io"}},
	[3] = {.generic = {"com", "net", "org", "edu", "gov", "mil", "biz", "xyz"},
	       .words = {"int", "app", "dev", "lan"}},
	[4] = {.generic = {"arpa"}, .words = {"test"}},
	[5] = {.words = {"cloud", "local"}},
	[6] = {.words = {"online"}},
	[7] = {.words = {"example", "invalid"}},
	[8] = {.words = {"internal"}},
	[11] = {.generic = {"localdomain"}},
};

/* The dot and the first two letters of the domains. */
static const char *const patterns[] = {
	"\\.(?:a[prtu]|b[eir]|c[ahlnoz]|d[ek]|e[dsux]|f[ir]|g[or]|h[ku]|i[elno]|jp|kr|l[ao]|m[ix]|n[eloz]|o[nr]|pt|ru|"
	"s[eg]|t[erw]|u[aks]|xy|za)",
	NULL,
};

#define LETTER(letter) (UINT32_C(1) << ((letter) - 'a'))

/* By the first letter: possible second letters. */
static const uint32_t second_letters[26] = {
	['a' - 'a'] = LETTER('p') | LETTER('r') | LETTER('t') | LETTER('u'),
	['b' - 'a'] = LETTER('e') | LETTER('i') | LETTER('r'),
	['c' - 'a'] = LETTER('a') | LETTER('h') | LETTER('l') | LETTER('n') | LETTER('o') | LETTER('z'),
	['d' - 'a'] = LETTER('e') | LETTER('k'),
	['e' - 'a'] = LETTER('d') | LETTER('s') | LETTER('u') | LETTER('x'),
	['f' - 'a'] = LETTER('i') | LETTER('r'),
	['g' - 'a'] = LETTER('o') | LETTER('r'),
	['h' - 'a'] = LETTER('k') | LETTER('u'),
	['i' - 'a'] = LETTER('e') | LETTER('l') | LETTER('n') | LETTER('o'),
	['j' - 'a'] = LETTER('p'),
	['k' - 'a'] = LETTER('r'),
	['l' - 'a'] = LETTER('a') | LETTER('o'),
	['m' - 'a'] = LETTER('i') | LETTER('x'),
	['n' - 'a'] = LETTER('e') | LETTER('l') | LETTER('o') | LETTER('z'),
	['o' - 'a'] = LETTER('n') | LETTER('r'),
	['p' - 'a'] = LETTER('t'),
	['r' - 'a'] = LETTER('u'),
	['s' - 'a'] = LETTER('e') | LETTER('g'),
	['t' - 'a'] = LETTER('e') | LETTER('r') | LETTER('w'),
	['u' - 'a'] = LETTER('a') | LETTER('k') | LETTER('s'),
	['x' - 'a'] = LETTER('y'),
	['z' - 'a'] = LETTER('a'),
};

/* Country codes (ISO 3166-1), likewise. */
static const uint32_t country_letters[26] = {
	['a' - 'a'] = LETTER('r') | LETTER('t') | LETTER('u'),
	['b' - 'a'] = LETTER('e') | LETTER('r'),
	['c' - 'a'] = LETTER('a') | LETTER('h') | LETTER('n') | LETTER('z'),
	['d' - 'a'] = LETTER('e') | LETTER('k'),
	['e' - 'a'] = LETTER('s') | LETTER('u'),
	['f' - 'a'] = LETTER('i') | LETTER('r'),
	['g' - 'a'] = LETTER('r'),
	['h' - 'a'] = LETTER('k') | LETTER('u'),
	['i' - 'a'] = LETTER('e') | LETTER('l'),
	['j' - 'a'] = LETTER('p'),
	['k' - 'a'] = LETTER('r'),
	['m' - 'a'] = LETTER('x'),
	['n' - 'a'] = LETTER('l') | LETTER('o') | LETTER('z'),
	['p' - 'a'] = LETTER('t'),
	['r' - 'a'] = LETTER('u'),
	['s' - 'a'] = LETTER('e') | LETTER('g'),
	['t' - 'a'] = LETTER('r') | LETTER('w'),
	['u' - 'a'] = LETTER('a') | LETTER('k') | LETTER('s'),
	['z' - 'a'] = LETTER('a'),
};

static bool has_letters(const uint32_t table[26], const uint8_t *label)
{
	unsigned first = label[0] - (unsigned)'a', second = label[1] - (unsigned)'a';
	return first < 26 && second < 26 && table[first] >> second & 1;
}

static void find_hostname(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
			  uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES])
{
	uint64_t dots[LH_FIND_LINES];
	kernel->range_masks(data, line_count, '.', '.', dots);
	for (size_t k = 0; k < line_count; k++) {
		const uint8_t *line = data + k * LH_LINE_BYTES;
		ret_anchors[0][k] = 0;
		for (uint64_t rest = dots[k]; rest; rest &= rest - 1)
			ret_anchors[0][k] |=
				has_letters(second_letters, line + __builtin_ctzll(rest) + 1) ? rest & -rest : 0;
	}
}

static bool is_one_of(const char *const *names, const uint8_t *label, size_t length)
{
	while (*names && memcmp(*names, label, length) != 0)
		names++;
	return *names;
}

/* The domain after the dot, in small letters; false if it is not in the list. */
static bool take_domain(const struct lh_candidate *candidate, enum domain_kind *ret_kind, size_t *ret_bytes)
{
	const uint8_t *label = candidate->anchor + 1;
	size_t length = lh_span_after(candidate, 1, DOMAIN_MAX + 1, LH_BYTES_LOWER);
	if (length < 2 || length > DOMAIN_MAX)
		return false;
	*ret_bytes = 1 + length;
	if (length == 2 && has_letters(country_letters, label))
		*ret_kind = COUNTRY;
	else if (is_one_of(domains[length].generic, label, length))
		*ret_kind = GENERIC;
	else if (is_one_of(domains[length].words, label, length))
		*ret_kind = WORD;
	else
		return false;
	return true;
}

/* "//example.org" and "@example.org" are host names; "/example.org", "\\example.org", "_example.org" are not. */
static bool name_begins(const struct lh_candidate *candidate, size_t before)
{
	if (lh_before_is(candidate, before + 1, LH_BYTE_SLASH))
		return lh_before_is(candidate, before + 2, LH_BYTE_SLASH);
	return !lh_before_is(candidate, before + 1, LH_BYTE_UNDERSCORE | LH_BYTE_PERCENT) &&
	       !(before < candidate->bytes_before && *(candidate->anchor - before - 1) == '\\');
}

/* Whether the name ends after the domain: no further label, call, or member. */
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

static bool has_enough_labels(enum domain_kind kind, const uint8_t *name, size_t length)
{
	size_t labels = lh_host_labels(name, length);
	if (labels != 2)
		return labels > 2;
	return kind == GENERIC || (kind == COUNTRY && first_label_bytes(name) >= FIRST_LABEL_MIN);
}

static bool validate_hostname(const struct lh_candidate *candidate, struct lh_match *ret)
{
	enum domain_kind kind;
	size_t end;
	if (!take_domain(candidate, &kind, &end) || !name_ends(candidate, end))
		return false;
	size_t before = lh_span_before(candidate, NAME_BYTES_MAX + 1, LH_BYTES_HOST);
	if (!before || before > NAME_BYTES_MAX || !name_begins(candidate, before))
		return false;
	const uint8_t *name = candidate->anchor - before;
	while (before && lh_byte_is(*name, LH_BYTE_DOT | LH_BYTE_DASH)) {
		name++;
		before--;
	}
	if (!is_one_case(name, before + end) || !has_enough_labels(kind, name, before + end))
		return false;
	*ret = (struct lh_match){.before = before, .length = before + end};
	return true;
}

const struct lh_recognizer lh_recognize_hostname = {
	.name = "hostname",
	.title = "host names",
	.set = LH_PATTERNS_OWN_TEXT,
	.patterns = patterns,
	.find = find_hostname,
	.validate = validate_hostname,
};
