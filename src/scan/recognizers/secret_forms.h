/*
 * secret_forms: the table of forms that secrets have. A row says where a form begins, the rule that finds the secret
 * behind it, and two examples, which the unit tests check: to add a form is to add a row. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_SECRET_FORMS_H
#define LEAKHUNT_SCAN_SECRET_FORMS_H

#include "scan/recognize/recognize.h"

/* Finds the secret at a candidate of a form: candidate->form is the row. */
typedef bool lh_secret_rule(const struct lh_candidate *candidate, struct lh_match *ret);

struct lh_secret_form {
	const char *pattern; /* fixed length, vectorscan syntax: see lh_recognizer.patterns */
	lh_secret_rule *rule;
	unsigned kind; /* index into the recognizer's kinds */
	/* What is found, a text in which the secret stands between '\1' and '\2'; NULL: no text, tested elsewhere. */
	const char *secret;
	const char *plain;  /* looks alike and is not found; NULL: none */
	unsigned classes;   /* lh_rule_token, lh_rule_after_prefix: what the secret consists of */
	size_t bytes_min;   /* and how many bytes it has at least, behind the pattern */
	const char *option; /* lh_rule_command: letters of options, and a blank when the value may be the next word */
	const char *option_name; /* and what long names end in: "user" of --user and --proxy-user; NULL: none */
	char delimiter;          /* the secret is what follows it in the value; 0: all of the value */
};

/* One for each recognizer that has forms, each with a row without a pattern at the end. */
extern const struct lh_secret_form lh_private_key_forms[];
extern const struct lh_secret_form lh_url_password_forms[];
extern const struct lh_secret_form lh_credential_forms[];
extern const struct lh_secret_form lh_token_forms[];
extern const struct lh_secret_form lh_des_hash_forms[];
extern const struct lh_secret_form lh_password_forms[];
extern const struct lh_secret_form lh_login_forms[];

/* Applies the row's rule. */
bool lh_secret_form_validate(const struct lh_candidate *candidate, struct lh_match *ret);

/* ---------------------------------------------------------------- rules */

/* recognize_private_key.c */
lh_secret_rule lh_rule_key_der, lh_rule_key_pem, lh_rule_key_end, lh_rule_key_body, lh_rule_key_body_long,
	lh_rule_key_lines;

/* recognize_url_password.c: behind "://", or "%3A%2F%2F". */
lh_secret_rule lh_rule_userinfo;

/* recognize_credential.c: the value of a header field; what follows the name of a scheme. */
lh_secret_rule lh_rule_header, lh_rule_bearer, lh_rule_basic;

/* secret_hpack.c: values in a HEADERS frame of HTTP/2; a Huffman code that begins with a scheme. */
lh_secret_rule lh_rule_hpack_frame, lh_rule_hpack_scheme;

/* recognize_token.c */
lh_secret_rule lh_rule_token;        /* the pattern, and bytes_min of `classes` behind it, that follow no word */
lh_secret_rule lh_rule_after_prefix; /* the same, but the pattern is no part of the secret */
lh_secret_rule lh_rule_jwt, lh_rule_aws_key_id, lh_rule_hash, lh_rule_telegram, lh_rule_webhook, lh_rule_signature;

lh_secret_rule lh_rule_des_hash; /* recognize_des_hash.c */

/* recognize_password.c: what a name is given: any word, what looks like a key, base64 of "user:password". */
lh_secret_rule lh_rule_password, lh_rule_pwd, lh_rule_pass, lh_rule_key, lh_rule_crypto_key, lh_rule_secret,
	lh_rule_auth, lh_rule_resp_auth;

/* recognize_login.c */
lh_secret_rule lh_rule_command; /* the value of an option of this command */
lh_secret_rule lh_rule_clause;  /* a quoted string behind an SQL clause */
lh_secret_rule lh_rule_sasl;    /* base64 behind the name of a SASL mechanism */
lh_secret_rule lh_rule_identified, lh_rule_quoted, lh_rule_role_password, lh_rule_imap, lh_rule_pop, lh_rule_netrc,
	lh_rule_pgpass;
lh_secret_rule lh_rule_directive; /* the word behind, or the quoted string */

/* ---------------------------------------------------------------- kinds */

enum {
	LH_CREDENTIAL_AUTHORIZATION,
	LH_CREDENTIAL_COOKIE,
	LH_CREDENTIAL_KEY,
	LH_CREDENTIAL_BEARER,
	LH_CREDENTIAL_BASIC
};

enum {
	LH_TOKEN_JWT,
	LH_TOKEN_AWS,
	LH_TOKEN_GITHUB,
	LH_TOKEN_GITLAB,
	LH_TOKEN_SLACK,
	LH_TOKEN_GOOGLE,
	LH_TOKEN_STRIPE,
	LH_TOKEN_NPM,
	LH_TOKEN_VAULT,
	LH_TOKEN_OPENAI,
	LH_TOKEN_ANTHROPIC,
	LH_TOKEN_SENDGRID,
	LH_TOKEN_HUGGING_FACE,
	LH_TOKEN_DIGITALOCEAN,
	LH_TOKEN_SHOPIFY,
	LH_TOKEN_PYPI,
	LH_TOKEN_DISCORD,
	LH_TOKEN_AGE,
	LH_TOKEN_TELEGRAM,
	LH_TOKEN_SIGNED_URL,
	LH_TOKEN_PEM,
	LH_TOKEN_HASH,
};

enum { LH_PASSWORD_PASSWORD, LH_PASSWORD_KEY };

enum { LH_LOGIN_COMMAND, LH_LOGIN_SQL, LH_LOGIN_MAIL, LH_LOGIN_FILE };

#endif
