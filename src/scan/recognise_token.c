/*
 * recognise_token: tokens that say by their form what they are: JSON Web Tokens (RFC 7519: base64url of
 * "{\"", a payload, a signature), AWS access key ids, tokens of GitHub, GitLab, Slack, Google, Stripe, npm
 * and Vault, by the prefixes that these publish for secret scanners; hashes of crypt(5) and argon2. Secret: counted,
 * masked.
 */
#include "recognise.h"

enum { TOKEN_MAX = 8192, JWT_PAYLOAD_MIN = 8, AWS_BYTES = 20, HASH_MIN = 24 };

enum { JWT, AWS, GITHUB = 3, GITLAB = 5, SLACK, GOOGLE, STRIPE, NPM = 10, VAULT, CRYPT };

static const char *const patterns[] = {
	[JWT] = "eyJ[A-Za-z0-9_-]{8}",
	[AWS] = "AKIA[0-9A-Z]{16}",
	"ASIA[0-9A-Z]{16}",
	[GITHUB] = "gh[pousr]_[A-Za-z0-9]{36}",
	"github_pat_[A-Za-z0-9_]{22}",
	[GITLAB] = "glpat-[A-Za-z0-9_-]{20}",
	[SLACK] = "xox[abeoprs]-[0-9A-Za-z-]{10}",
	[GOOGLE] = "AIza[0-9A-Za-z_-]{35}",
	[STRIPE] = "sk_live_[0-9A-Za-z]{16}",
	"rk_live_[0-9A-Za-z]{16}",
	[NPM] = "npm_[A-Za-z0-9]{36}",
	[VAULT] = "hvs\\.[A-Za-z0-9_-]{24}",
	[CRYPT] = "\\$[1256y]\\$[./A-Za-z0-9=,$]{16}",
	"\\$2[abxy]\\$[0-9]{2}\\$[./A-Za-z0-9]{16}",
	"\\$argon2i",
	NULL,
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

#define BASE64URL (LH_BYTES_WORD | LH_BYTE_DASH)

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

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (lh_before_is(candidate, 1, LH_BYTES_WORD))
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
	if (length < candidate->pattern_bytes || (is_key_id && length != AWS_BYTES) ||
	    (candidate->pattern > CRYPT && length < HASH_MIN))
		return false;
	*ret = (struct lh_match){.length = length, .kind = kind};
	return true;
}

const struct lh_recogniser lh_recognise_token = {
	.name = "token",
	.title = "tokens",
	.is_secret = true,
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate,
	.kinds = kinds,
};
