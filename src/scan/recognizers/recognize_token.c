/*
 * recognize_token: tokens that say by their form what they are: JSON Web Tokens (RFC 7519: base64url of
 * "{\"", a payload, a signature), AWS access key ids, tokens of GitHub, GitLab, Slack, Google, Stripe, npm
 * and Vault, by the prefixes that these publish for secret scanners; hashes of crypt(5) and argon2. Secret: counted,
 * masked.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

enum { TOKEN_MAX = 8192, JWT_PAYLOAD_MIN = 8, AWS_BYTES = 20 };

enum { JWT, AWS, GITHUB = 3, GITLAB = 5, SLACK, GOOGLE, STRIPE, NPM = 10, VAULT, CRYPT };

/* Prefixes alone: vectorscan takes ten times as long to compile what must follow them. */
static const char *const patterns[] = {
	[JWT] = "eyJ",
	[AWS] = "AKIA",
	"ASIA",
	[GITHUB] = "gh[pousr]_",
	"github_pat_",
	[GITLAB] = "glpat-",
	[SLACK] = "xox[abeoprs]-",
	[GOOGLE] = "AIza",
	[STRIPE] = "sk_live_",
	"rk_live_",
	[NPM] = "npm_",
	[VAULT] = "hvs\\.",
	[CRYPT] = "\\$[1256y]\\$",
	"\\$2[abxy]\\$",
	"\\$argon2i",
	NULL,
};

#define BASE64URL (LH_BYTES_WORD | LH_BYTE_DASH)

/* What must follow the prefix at least. */
static const struct {
	size_t bytes;
	unsigned classes;
} rests[] = {
	[JWT] = {8, BASE64URL},
	[AWS] = {16, LH_BYTE_DIGIT | LH_BYTES_UPPER},
	{16, LH_BYTE_DIGIT | LH_BYTES_UPPER},
	[GITHUB] = {36, LH_BYTES_ALNUM},
	{22, LH_BYTES_WORD},
	[GITLAB] = {20, BASE64URL},
	[SLACK] = {10, LH_BYTES_ALNUM | LH_BYTE_DASH},
	[GOOGLE] = {35, BASE64URL},
	[STRIPE] = {16, LH_BYTES_ALNUM},
	{16, LH_BYTES_ALNUM},
	[NPM] = {36, LH_BYTES_ALNUM},
	[VAULT] = {24, BASE64URL},
	[CRYPT] = {16, LH_BYTES_ALNUM | LH_BYTE_DOT | LH_BYTE_SLASH | LH_BYTE_URL_REST},
	{19, LH_BYTES_ALNUM | LH_BYTE_DOT | LH_BYTE_SLASH | LH_BYTE_URL_REST},
	{16, LH_BYTES_TOKEN | LH_BYTE_URL_REST},
};

static const char *const kinds[] = {"JSON Web Tokens", "AWS key ids", "GitHub", "GitLab",       "Slack", "Google",
				    "Stripe",          "npm",         "Vault",  "crypt hashes", NULL};

static unsigned kind_of(unsigned pattern)
{
	static const unsigned first[] = {JWT, AWS, GITHUB, GITLAB, SLACK, GOOGLE, STRIPE, NPM, VAULT, CRYPT};
	unsigned kind = 0;
	while (kind + 1 < LH_ARRAY_COUNT(first) && pattern >= first[kind + 1])
		kind++;
	return kind;
}

static bool has_rest(const struct lh_candidate *candidate)
{
	size_t least = rests[candidate->pattern].bytes;
	return lh_span_after(candidate, candidate->pattern_bytes, least, rests[candidate->pattern].classes) == least;
}

/* header '.' payload '.' signature; the last may be missing or cut off. */
static size_t jwt_bytes(const struct lh_candidate *candidate)
{
	size_t header = lh_span_after(candidate, 0, TOKEN_MAX, BASE64URL);
	size_t payload = lh_span_after(candidate, header + 1, TOKEN_MAX, BASE64URL);
	if (!lh_after_is(candidate, header, LH_BYTE_DOT) || payload < JWT_PAYLOAD_MIN)
		return 0;
	size_t end = header + 1 + payload;
	return lh_after_is(candidate, end, LH_BYTE_DOT)
		       ? end + 1 + lh_span_after(candidate, end + 1, TOKEN_MAX, BASE64URL)
		       : end;
}

/* In "first\\nghp_..." the 'n' belongs to a line break, as JSON writes it. */
static bool follows_word(const struct lh_candidate *candidate)
{
	if (!lh_before_is(candidate, 1, LH_BYTES_WORD))
		return false;
	bool is_escape = candidate->bytes_before > 1 && *(candidate->anchor - 2) == '\\' &&
			 strchr("nrt", *(candidate->anchor - 1));
	return !is_escape;
}

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (follows_word(candidate) || !has_rest(candidate))
		return false;
	unsigned kind = kind_of(candidate->pattern);
	size_t length = candidate->pattern >= CRYPT
				? lh_span_after(candidate, 0, TOKEN_MAX, LH_BYTES_TOKEN | LH_BYTE_URL_REST)
				: lh_span_after(candidate, 0, TOKEN_MAX, BASE64URL);
	if (candidate->pattern >= CRYPT)
		length = lh_span_until(candidate, 0, length, ":;'()[]@#?!&*~");
	if (candidate->pattern == JWT)
		length = jwt_bytes(candidate);
	bool is_key_id = candidate->pattern == AWS || candidate->pattern == AWS + 1;
	size_t least = candidate->pattern_bytes + rests[candidate->pattern].bytes;
	if (length < least || (is_key_id && length != AWS_BYTES))
		return false;
	*ret = (struct lh_match){.length = length, .kind = kind};
	return true;
}

const struct lh_recognizer lh_recognize_token = {
	.name = "token",
	.title = "tokens",
	.is_secret = true,
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate,
	.kinds = kinds,
};
