/*
 * recognize_token: tokens with a recognizable form: prefixes that services publish for secret scanners, JSON Web Tokens
 * (RFC 7519), AWS access key ids, tokens of Telegram bots, signatures of URLs (Azure SAS, AWS, Google), and password
 * hashes: crypt(5), argon2, htpasswd. Secret: counted, masked. The forms are in secret_forms.c.
 */
#include "secret_forms.h"

#include <string.h>

enum { TOKEN_MAX = 8192, JWT_PAYLOAD_MIN = 8, AWS_BYTES = 20 };

#define BASE64URL (LH_BYTES_WORD | LH_BYTE_DASH)

/* In "first\\nghp_..." the 'n' belongs to a line break, as JSON writes it. */
static bool follows_word(const struct lh_candidate *candidate)
{
	if (!lh_before_is(candidate, 1, LH_BYTES_WORD))
		return false;
	bool is_escape = candidate->bytes_before > 1 && *(candidate->anchor - 2) == '\\' &&
			 strchr("nrt", *(candidate->anchor - 1));
	return !is_escape;
}

/* Whether the pattern is followed by at least the form's minimum, and not preceded by a word. */
static bool has_form(const struct lh_candidate *candidate)
{
	const struct lh_secret_form *form = candidate->form;
	return !follows_word(candidate) &&
	       lh_span_after(candidate, candidate->pattern_bytes, form->bytes_min, form->classes) == form->bytes_min;
}

static bool match_from(const struct lh_candidate *candidate, size_t start, size_t end, struct lh_match *ret)
{
	*ret = (struct lh_match){.skipped = start, .length = end - start, .kind = candidate->form->kind};
	return end > start;
}

bool lh_rule_token(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t prefix = candidate->pattern_bytes;
	return has_form(candidate) &&
	       match_from(candidate, 0,
			  prefix + lh_span_after(candidate, prefix, TOKEN_MAX, BASE64URL | candidate->form->classes),
			  ret);
}

bool lh_rule_after_prefix(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t start = candidate->pattern_bytes;
	return has_form(candidate) &&
	       match_from(candidate, start,
			  start + lh_span_after(candidate, start, TOKEN_MAX, candidate->form->classes), ret);
}

/* header '.' payload '.' signature; the last may be missing or cut off. */
bool lh_rule_jwt(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (!has_form(candidate))
		return false;
	size_t header = lh_span_after(candidate, 0, TOKEN_MAX, BASE64URL);
	size_t payload = lh_span_after(candidate, header + 1, TOKEN_MAX, BASE64URL);
	if (!lh_after_is(candidate, header, LH_BYTE_DOT) || payload < JWT_PAYLOAD_MIN)
		return false;
	size_t end = header + 1 + payload;
	if (lh_after_is(candidate, end, LH_BYTE_DOT))
		end += 1 + lh_span_after(candidate, end + 1, TOKEN_MAX, BASE64URL);
	return match_from(candidate, 0, end, ret);
}

bool lh_rule_aws_key_id(const struct lh_candidate *candidate, struct lh_match *ret)
{
	return has_form(candidate) && lh_span_after(candidate, 0, AWS_BYTES + 1, BASE64URL) == AWS_BYTES &&
	       match_from(candidate, 0, AWS_BYTES, ret);
}

/* A salt and a hash, between '$'. */
bool lh_rule_hash(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (!has_form(candidate))
		return false;
	size_t length = lh_span_after(candidate, 0, TOKEN_MAX, LH_BYTES_TOKEN | LH_BYTE_URL_REST);
	length =
		candidate->pattern_bytes + lh_span_until(candidate, candidate->pattern_bytes, length, ":;'()[]@#?!&*~");
	return length >= candidate->pattern_bytes + candidate->form->bytes_min && match_from(candidate, 0, length, ret);
}

/* A number, which is public, a slash, and the token. */
bool lh_rule_webhook(const struct lh_candidate *candidate, struct lh_match *ret)
{
	enum { DIGITS_MAX = 24 };
	size_t slash = candidate->pattern_bytes;
	slash += lh_span_after(candidate, slash, DIGITS_MAX, LH_BYTE_DIGIT);
	size_t length = lh_span_after(candidate, slash + 1, TOKEN_MAX, candidate->form->classes);
	return lh_after_equals(candidate, slash, "/") && length >= candidate->form->bytes_min &&
	       match_from(candidate, slash + 1, slash + 1 + length, ret);
}

/* "123456789:AA" and 33 characters: the number is the bot's, which is public. */
bool lh_rule_telegram(const struct lh_candidate *candidate, struct lh_match *ret)
{
	enum { DIGITS_MIN = 8, DIGITS_MAX = 10, KEY_BYTES = 35 };
	size_t colon = lh_span_after(candidate, 0, DIGITS_MAX, LH_BYTE_DIGIT);
	size_t digits = colon + lh_span_before(candidate, DIGITS_MAX + 1, LH_BYTE_DIGIT);
	size_t key = colon + 1;
	return digits >= DIGITS_MIN && digits <= DIGITS_MAX &&
	       lh_span_after(candidate, key, KEY_BYTES + 1, BASE64URL) == KEY_BYTES &&
	       match_from(candidate, key, key + KEY_BYTES, ret);
}

/* The value of a parameter of a URL: base64, whose '+', '/' and '=' may be escaped, or hexadecimal. */
bool lh_rule_signature(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t start = candidate->pattern_bytes;
	size_t length = lh_span_after(candidate, start, TOKEN_MAX,
				      LH_BYTES_BASE64 | LH_BYTE_PERCENT | LH_BYTE_DASH | LH_BYTE_UNDERSCORE);
	bool is_parameter = !lh_before_is(candidate, 1, LH_BYTES_WORD | LH_BYTE_DASH | LH_BYTE_DOT);
	bool is_mixed = lh_span_after(candidate, start, length, LH_BYTES_ALPHA) < length;
	return is_parameter && is_mixed && length >= candidate->form->bytes_min &&
	       match_from(candidate, start, start + length, ret);
}

static const char *const kinds[] = {
	[LH_TOKEN_JWT] = "JSON Web Tokens",
	[LH_TOKEN_AWS] = "AWS key ids",
	[LH_TOKEN_GITHUB] = "GitHub",
	[LH_TOKEN_GITLAB] = "GitLab",
	[LH_TOKEN_SLACK] = "Slack",
	[LH_TOKEN_GOOGLE] = "Google",
	[LH_TOKEN_STRIPE] = "Stripe",
	[LH_TOKEN_NPM] = "npm",
	[LH_TOKEN_VAULT] = "Vault",
	[LH_TOKEN_OPENAI] = "OpenAI",
	[LH_TOKEN_ANTHROPIC] = "Anthropic",
	[LH_TOKEN_SENDGRID] = "SendGrid",
	[LH_TOKEN_HUGGING_FACE] = "Hugging Face",
	[LH_TOKEN_DIGITALOCEAN] = "DigitalOcean",
	[LH_TOKEN_SHOPIFY] = "Shopify",
	[LH_TOKEN_PYPI] = "PyPI",
	[LH_TOKEN_DISCORD] = "Discord",
	[LH_TOKEN_AGE] = "age keys",
	[LH_TOKEN_TELEGRAM] = "Telegram",
	[LH_TOKEN_SIGNED_URL] = "signed URLs",
	[LH_TOKEN_PEM] = "keys in base64",
	[LH_TOKEN_HASH] = "password hashes",
	NULL,
};

const struct lh_recognizer lh_recognize_token = {
	.name = "token",
	.title = "tokens",
	.is_secret = true,
	.set = LH_PATTERNS_WORDS,
	.forms = lh_token_forms,
	.validate = lh_secret_form_validate,
	.kinds = kinds,
};
