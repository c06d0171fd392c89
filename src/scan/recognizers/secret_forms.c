/*
 * secret_forms: the table. To add a form, add its row; the unit test checks both of its examples. Then look at what the
 * form finds in texts without secrets, such as /usr/include.
 *
 * Prefer patterns that are only names: with what must follow them there are many times as many, and vectorscan becomes
 * half as fast. Rare patterns cost nothing.
 */
#include "secret_forms.h"

#define ALNUM     LH_BYTES_ALNUM
#define BASE64    LH_BYTES_BASE64
#define BASE64URL (LH_BYTES_WORD | LH_BYTE_DASH)
#define HASH      (LH_BYTES_TOKEN | LH_BYTE_URL_REST)
#define UPPER     (LH_BYTE_DIGIT | LH_BYTES_UPPER)
#define DOTTED    (BASE64URL | LH_BYTE_DOT)

bool lh_secret_form_validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	return candidate->form->rule(candidate, ret);
}

/* A form whose examples are not text. */
#define BINARY(begins, rule_name, kind_of)                                          \
	{                                                                           \
		.pattern = (begins), .rule = lh_rule_##rule_name, .kind = (kind_of) \
	}
/*
 * The pattern, the rule, the kind it counts as, an example with the masked part between \1 and \2, and an example that
 * must not match.
 */
#define FORM(begins, rule_name, kind_of, found, not_found)                                              \
	{                                                                                               \
		.pattern = (begins), .rule = lh_rule_##rule_name, .kind = (kind_of), .secret = (found), \
		.plain = (not_found)                                                                    \
	}
/* At least this many bytes of these classes must follow. */
#define TOKEN(begins, rule_name, kind_of, bytes, of_classes, found, not_found)                          \
	{                                                                                               \
		.pattern = (begins), .rule = lh_rule_##rule_name, .kind = (kind_of), .secret = (found), \
		.plain = (not_found), .classes = (of_classes), .bytes_min = (bytes)                     \
	}
/* Letters of options, ends of long options, and what precedes the secret in the value. */
#define COMMAND(name, letters, long_name, behind, found, not_found)                                          \
	{                                                                                                    \
		.pattern = (name), .rule = lh_rule_command, .kind = LH_LOGIN_COMMAND, .secret = (found),     \
		.plain = (not_found), .option = (letters), .option_name = (long_name), .delimiter = (behind) \
	}
#define FORMS_END               \
	{                       \
		.pattern = NULL \
	}

/* ---------------------------------------------------------------- private keys */

/* DER, of which the examples would be no text, is tested with openssl's: tests/unit/scan/test_recognize_tools.c. */
const struct lh_secret_form lh_private_key_forms[] = {
	BINARY("\\x30[\\x2e-\\x7f]\\x02\\x01[\\x00\\x01]", key_der, 0),
	BINARY("\\x30\\x81.\\x02\\x01[\\x00\\x01]", key_der, 0),
	BINARY("\\x30\\x82..\\x02\\x01[\\x00\\x01]", key_der, 0),
	FORM("-----BEGIN ", key_pem, 0,
	     "\1-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----\2\n",
	     "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"),
	FORM("-----END ", key_end, 0,
	     "\1GQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4n\n-----END RSA PRIVATE KEY-----\2",
	     "GQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4n\n-----END CERTIFICATE-----"),
	/* How the base64 of the DER above begins: RSA and PKCS#8; ECPrivateKey P-256, P-384; PKCS#8 EC, Ed25519. */
	FORM("[AQgw]IBA[AD]", key_body_long, 0,
	     "\1MIIEowIBAAKCAQEAx1hsZ3vY1M4bqDPZfYvC9bGnMPpPAFB7p8MIIEowIBAAKCAQEA\nx1hsZ3vY1M4\2",
	     "MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJRTES"),
	FORM("MHcCAQEE", key_body, 0, "\1MHcCAQEEIIe0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4noAoGCCqG\2",
	     "MHcCAQEEIIe0 is short"),
	FORM("MIGkAgEBBD", key_body, 0,
	     "\1MIGkAgEBBDIe0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4noAoGCCqG\2",
	     "MIGkAgEBBDIe0 is short"),
	FORM("MIGHAgEAMB", key_body, 0,
	     "\1MIGHAgEAMBIe0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4noAoGCCqG\2",
	     "MIGHAgEAMBIe0 is short"),
	FORM("MC4CAQAwBQYDK2Vw", key_body, 0,
	     "\1MC4CAQAwBQYDK2VwBCIEIJ1hsZ3vGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4nGQDVhTvJ\2",
	     "MC4CAQAwBQYDK2VwBCI is short"),
	FORM("Private-Lines: ", key_lines, 0, "Private-Lines: 1\1\nGQDVhTvJ9Z0lHl4nGQDVhTvJ9Z0lHl4n\n\2Private-MAC: 01",
	     "Private-Lines: how many there are"),
	FORMS_END,
};

/* ---------------------------------------------------------------- passwords in URLs */

const struct lh_secret_form lh_url_password_forms[] = {
	FORM("://", userinfo, 0, "redis://user:\1secret\2@host:6379/0", "http://host:8080/path@home"),
	FORM("(?i)%3a%2f%2f", userinfo, 0, "next=https%3A%2F%2Fjoe%3A\1hunter2z\2%40host%2Fpath&a=b",
	     "next=https%3A%2F%2Fhost%3A8080%2Fjoe%40home&a=b"),
	FORMS_END,
};

/* ---------------------------------------------------------------- credentials of HTTP */

const struct lh_secret_form lh_credential_forms[] = {
	FORM("(?i)authorization", header, LH_CREDENTIAL_AUTHORIZATION, "authorization: \1Bearer abc.def.ghi\2",
	     "Authorization: see below"),
	FORM("(?i)cookie", header, LH_CREDENTIAL_COOKIE, "Set-Cookie: \1sid=31d4d96e407aad42; Path=/\2\r\n",
	     "HTTP cookie: a small text stored by the browser"),
	FORM("(?i)x-api-key", header, LH_CREDENTIAL_KEY, "X-Api-Key: \00112ab34cd\2", "X-Api-Key: yours"),
	FORM("(?i)x-auth-token", header, LH_CREDENTIAL_KEY, "X-Auth-Token: \00112ab34cd\2", "X-Auth-Token: yours"),
	FORM("[Bb]earer ", bearer, LH_CREDENTIAL_BEARER, "use Bearer \1mF_9.B5f-4.1JqM987\2 now",
	     "the bearer certificates of this"),
	FORM("[Bb]asic ", basic, LH_CREDENTIAL_BASIC, "Basic \1QWxhZGRpbjpvcGVuIHNlc2FtZQ==\2",
	     "the basic directives of this"),
	/* From the type of a HEADERS frame on: tested in tests/unit/scan/test_secret_forms.c. */
	BINARY("\\x01[\\x04\\x05\\x0c\\x0d\\x24\\x25\\x2c\\x2d]\\x00\\x00", hpack_frame, LH_CREDENTIAL_COOKIE),
	/* "Bearer " and "Basic " in the Huffman code of RFC 7541, appendix B. */
	BINARY("\\xba\\x51\\xd8\\x5b\\x14", hpack_scheme, LH_CREDENTIAL_BEARER),
	BINARY("\\xba\\x34\\x18\\x8a", hpack_scheme, LH_CREDENTIAL_BASIC),
	FORMS_END,
};

/* ---------------------------------------------------------------- tokens */

/* Prefixes alone: vectorscan takes ten times as long to compile what must follow them. */
const struct lh_secret_form lh_token_forms[] = {
	TOKEN("eyJ", jwt, LH_TOKEN_JWT, 8, BASE64URL, "jwt \1eyJhbGciOiJub25lIn0.eyJzdWIiOiJqb2UifQ.c2lnbmF0dXJl\2;",
	      "eyJhbGciOiJub25lIn0 alone"),
	TOKEN("AKIA", aws_key_id, LH_TOKEN_AWS, 16, UPPER, "id \1AKIAIOSFODNN7EXAMPLE\2, region",
	      "MAKIAIOSFODNN7EXAMPLES is none"),
	TOKEN("ASIA", aws_key_id, LH_TOKEN_AWS, 16, UPPER, "id \1ASIAIOSFODNN7EXAMPLE\2, region", "ASIAPACIFIC"),
	TOKEN("gh[pousr]_", token, LH_TOKEN_GITHUB, 36, ALNUM, "with \1ghp_0123456789abcdefghijABCDEFGHIJ012345\2 in",
	      "ghp_0123456789"),
	TOKEN("github_pat_", token, LH_TOKEN_GITHUB, 22, LH_BYTES_WORD,
	      "\1github_pat_11ABCDEFG0123456789abc_defghijk\2", "github_pat_token"),
	TOKEN("glpat-", token, LH_TOKEN_GITLAB, 20, BASE64URL, "\1glpat-0123456789abcdefghij\2", "glpat-..."),
	TOKEN("xox[abeoprs]-", token, LH_TOKEN_SLACK, 10, ALNUM | LH_BYTE_DASH, "\1xoxb-0123456789-abcdef\2",
	      "xoxb-token"),
	TOKEN("hooks\\.slack\\.com/services/", after_prefix, LH_TOKEN_SLACK, 20, BASE64,
	      "https://hooks.slack.com/services/\1T01234567/B01234567/abcdefghijklmnopqrstuvwx\2",
	      "https://hooks.slack.com/services/..."),
	TOKEN("AIza", token, LH_TOKEN_GOOGLE, 35, BASE64URL, "key=\1AIzaSyA-0123456789abcdefghijklmnopqrstu\2",
	      "AIzawa"),
	TOKEN("sk_live_", token, LH_TOKEN_STRIPE, 16, ALNUM, "\1sk_live_0123456789abcdefABCD\2", "sk_live_key"),
	TOKEN("rk_live_", token, LH_TOKEN_STRIPE, 16, ALNUM, "\1rk_live_0123456789abcdefABCD\2", "rk_live_key"),
	TOKEN("whsec_", token, LH_TOKEN_STRIPE, 24, BASE64, "\1whsec_0123456789abcdefABCDefgh01234567\2",
	      "whsec_signature"),
	TOKEN("npm_", token, LH_TOKEN_NPM, 36, ALNUM, "\1npm_0123456789abcdefghijABCDEFGHIJ012345\2",
	      "npm_config_registry"),
	TOKEN("hvs\\.", token, LH_TOKEN_VAULT, 24, BASE64URL, "\1hvs.CAESIJ0123456789abcdefghijABCDEFGH\2",
	      "hvs.token"),
	TOKEN("sk-proj-", token, LH_TOKEN_OPENAI, 20, BASE64URL, "\1sk-proj-0123456789abcdefghij_ABCDEFGHIJ-T3BlbkFJ\2",
	      "sk-proj-name"),
	TOKEN("sk-ant-", token, LH_TOKEN_ANTHROPIC, 20, BASE64URL,
	      "\1sk-ant-api03-0123456789abcdefghij_ABCDEFGHIJ-AA\2", "sk-ant-name"),
	TOKEN("SG\\.", token, LH_TOKEN_SENDGRID, 60, DOTTED,
	      "\1SG.0123456789abcdefABCDef.0123456789abcdefghijklmnopqrstuvwxyzABCDEFG\2", "MSG.SG.name.of.a.thing"),
	TOKEN("sk-", token, LH_TOKEN_OPENAI, 48, ALNUM, "\1sk-0123456789abcdefghijT3BlbkFJ0123456789ABCDEFGHIJ01\2",
	      "disk-0123456789, task-name"),
	TOKEN("hf_", token, LH_TOKEN_HUGGING_FACE, 34, ALNUM, "\1hf_0123456789abcdefghijABCDEFGHIJ0123\2",
	      "hf_hub_download"),
	TOKEN("dop_v1_", token, LH_TOKEN_DIGITALOCEAN, 64, ALNUM,
	      "\1dop_v1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\2", "dop_v1_token"),
	TOKEN("shpat_", token, LH_TOKEN_SHOPIFY, 32, ALNUM, "\1shpat_0123456789abcdef0123456789abcdef\2",
	      "shpat_token"),
	TOKEN("pypi-AgE", token, LH_TOKEN_PYPI, 50, BASE64URL,
	      "\1pypi-AgEIcHlwaS5vcmcCJDAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm\2", "pypi-AgE..."),
	TOKEN("discord\\.com/api/webhooks/", webhook, LH_TOKEN_DISCORD, 60, BASE64URL,
	      "https://discord.com/api/webhooks/123456789012345678/"
	      "\1abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_abcd\2",
	      "https://discord.com/api/webhooks/{id}/{token}"),
	TOKEN("AGE-SECRET-KEY-1", token, LH_TOKEN_AGE, 40, UPPER,
	      "\1AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQQPZRY9X8GF2TVDW0S3JN54K\2", "AGE-SECRET-KEY-1..."),
	TOKEN(":AA[E-H]", telegram, LH_TOKEN_TELEGRAM, 0, 0,
	      "/bot123456789:\1AAF0123456789abcdefghij-ABCDEFGHIJ_\2/getMe", "00:11:22:33:44:AA:BB"),
	TOKEN("sig=", signature, LH_TOKEN_SIGNED_URL, 40, 0,
	      "?sv=2022-11-02&sp=r&sig=\1Zx0123456789abcdefABCDEF%2B0123456789%2FabcABCDE%3D\2&x=y", "msig=1, sig=0"),
	TOKEN("X-Amz-Signature=", signature, LH_TOKEN_SIGNED_URL, 40, 0,
	      "&X-Amz-Signature=\0010123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\2",
	      "X-Amz-Signature=<hex>"),
	TOKEN("X-Goog-Signature=", signature, LH_TOKEN_SIGNED_URL, 40, 0,
	      "&X-Goog-Signature=\0010123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\2",
	      "X-Goog-Signature=<hex>"),
	TOKEN("\\$[1256y]\\$", hash, LH_TOKEN_HASH, 16, ALNUM | LH_BYTE_DOT | LH_BYTE_SLASH | LH_BYTE_URL_REST,
	      "root:\1$6$saltsalt$0123456789abcdefABCDEF./xyz\2:19000:0", "costs $1$ or $2$"),
	TOKEN("\\$2[abxy]\\$", hash, LH_TOKEN_HASH, 19, ALNUM | LH_BYTE_DOT | LH_BYTE_SLASH | LH_BYTE_URL_REST,
	      "joe:\1$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW\2:1", "$2a$%02d$"),
	TOKEN("\\$argon2i", hash, LH_TOKEN_HASH, 16, HASH,
	      "\1$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b0HWAsxNWGvBYSIpXQ0\2\n",
	      "$argon2id$v=%lu$m=%lu"),
	TOKEN("\\$apr1\\$", hash, LH_TOKEN_HASH, 24, ALNUM | LH_BYTE_DOT | LH_BYTE_SLASH | LH_BYTE_URL_REST,
	      "joe:\1$apr1$Zx0123Ab$0123456789abcdefABCDE.\2\n", "$apr1$ and a salt"),
	TOKEN("\\{SHA\\}", after_prefix, LH_TOKEN_HASH, 27, BASE64, "joe:{SHA}\1W6ph5Mm5Pz8GgiULbPgzG37mj9g\2=\n",
	      "{SHA}digest"),
	TOKEN("\\{SSHA\\}", after_prefix, LH_TOKEN_HASH, 32, BASE64,
	      "joe:{SSHA}\1W6ph5Mm5Pz8GgiULbPgzG37mj9gW6ph5Mm5\2\n", "{SSHA}digest"),
	TOKEN("SCRAM-SHA-256\\$", after_prefix, LH_TOKEN_HASH, 32, HASH,
	      "SCRAM-SHA-256$\0014096:c2FsdHNhbHQ=$W6ph5Mm5Pz8GgiULbPgzG37mj9g=:Z3h1dHNhbHRzYWx0\2\"",
	      "SCRAM-SHA-256$<iterations>"),
	TOKEN("pbkdf2_sha256\\$", after_prefix, LH_TOKEN_HASH, 32, HASH,
	      "pbkdf2_sha256$\001600000$c2FsdHNhbHRzYWx0$W6ph5Mm5Pz8GgiULbPgzG37mj9gW6ph5Mm5Pz8Ggi=\2\n",
	      "pbkdf2_sha256$<iterations>"),
	/* A private key in PEM, of which this is base64: Kubernetes' Secrets and kubeconfig. */
	TOKEN("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS", token, LH_TOKEN_PEM, 32, BASE64,
	      "tls.key: \1LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3QlFZREsyVndCQ0lFSU\2\n",
	      "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0t"),
	TOKEN("LS0tLS1CRUdJTiBSU0EgUFJJVkFUR", token, LH_TOKEN_PEM, 32, BASE64,
	      "tls.key: \1LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFb3dJQkFBS0NBUUVBeD\2\n",
	      "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVkt"),
	TOKEN("LS0tLS1CRUdJTiBFQyBQUklWQVRFI", token, LH_TOKEN_PEM, 32, BASE64,
	      "tls.key: \1LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0tCk1IY0NBUUVFSUllMGxIbDRuR1\2\n",
	      "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0t"),
	TOKEN("LS0tLS1CRUdJTiBPUEVOU1NIIFBSSV", token, LH_TOKEN_PEM, 32, BASE64,
	      "id: \1LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0KYjNCbGJuTnphQzFyWl\2\n",
	      "LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUg"),
	FORMS_END,
};

/* Found by lh_recognize_des_hash.find: a pattern without a literal would slow down the search for all others. */
const struct lh_secret_form lh_des_hash_forms[] = {
	FORM(":[./0-9A-Za-z]{12}[.26AEIMQUYcgkosw]", des_hash, 0, "joe:\1rlHJZJAhkjSpA\2\n", "Asia:Yekaterinburg"),
	FORMS_END,
};

/* ---------------------------------------------------------------- passwords and keys by name */

const struct lh_secret_form lh_password_forms[] = {
	FORM("\\$4\\x0d\\x0a(?i)AUTH\\x0d\\x0a\\$", resp_auth, LH_PASSWORD_PASSWORD,
	     "*2\r\n$4\r\nAUTH\r\n$7\r\n\1hunter2\2\r\n", "*1\r\n$4\r\nAUTH\r\n"),
	FORM("(?i)password", password, LH_PASSWORD_PASSWORD, "user=joe&password=\1hunter2\2&next=/",
	     "Enter the password: please"),
	FORM("(?i)passwd", password, LH_PASSWORD_PASSWORD, "<passwd>\1hunter2z\2</passwd>",
	     "<passwd>${db.passwd}</passwd>"),
	FORM("(?i)password", password, LH_PASSWORD_PASSWORD, "<input name=\"password\" value=\"\1hunter2\2\">",
	     "<label for=\"inputPassword4\">Password</label>"),
	FORM("(?i)password", password, LH_PASSWORD_PASSWORD, "password: !vault \1hunter2z\2\n",
	     "password: !include secrets\n"),
	FORM("(?i)passwort", password, LH_PASSWORD_PASSWORD, "\"passwort\": \"\1hunter2\2\"", "Das Passwort: bitte"),
	FORM("(?i)kennwort", password, LH_PASSWORD_PASSWORD, "kennwort=\1hunter2\2", "Das Kennwort: bitte"),
	FORM("(?i)mot_de_passe", password, LH_PASSWORD_PASSWORD, "mot_de_passe=\1hunter2\2", "mot_de_passe: lequel"),
	FORM("(?i)passphrase", password, LH_PASSWORD_PASSWORD, "{\"passphrase\": \"\1correct horse\2\"}",
	     "passphrase: none"),
	FORM("(?i)pwd", pwd, LH_PASSWORD_PASSWORD, "DB_PWD=\1hunter2!\2", "PWD=/srv/www/app"),
	FORM("(?i)pass=", pass, LH_PASSWORD_PASSWORD, "SMTP_PASS=\1hunter2\2", "BYPASS=enabled, first_pass = true"),
	FORM("(?i)pass=", pass, LH_PASSWORD_PASSWORD, "SSHPASS=\1hunter2\2", "TRESPASS=hunter2"),
	FORM("(?i)pass=", pass, LH_PASSWORD_PASSWORD, "DBPASS=\1hunter2\2", "COMPASS=hunter2"),
	FORM("(?i)pass:", pass, LH_PASSWORD_PASSWORD, "smtp_pass: \1hunter2z\2\n", "tests that pass: every one"),
	FORM("(?i)pass:", pass, LH_PASSWORD_PASSWORD, "smtppass: \1hunter2z\2\n", "PASS: i386 nops 2\n"),
	FORM("(?i)pass ", pass, LH_PASSWORD_PASSWORD, "smtp_pass = \1hunter2z\2\n", "render_pass = create_pass(1);"),
	FORM("(?i)pass>", pass, LH_PASSWORD_PASSWORD, "<pass>\1hunter2z\2</pass>", "List<Pass> list; a->pass>b"),
	FORM("(?i)pass\"", pass, LH_PASSWORD_PASSWORD, "{\"pass\": \"\1hunter2z\2\"}", "{\"pass\": true, \"fail\": 0}"),
	FORM("(?i)pass'", pass, LH_PASSWORD_PASSWORD, "{'pass': '\1hunter2z\2'}", "the 'pass' statement"),
	FORM("(?i)pass\"", pass, LH_PASSWORD_PASSWORD, "{\"dbpass\" : \"\1hunter2z\2\"}", "ok ? \"PASS\" : \"FAIL\";"),
	FORM("(?i)pass'", pass, LH_PASSWORD_PASSWORD, "{'Smtp:Pass': '\1hunter2z\2'}",
	     "'Test2::Event::Pass' => '1.302190',"),
	FORM("(?i)pass\\\\", pass, LH_PASSWORD_PASSWORD, "{\\\"pass\\\": \\\"\1hunter2z\2\\\"}", "pass\\n"),
	FORM("(?i)secret", secret, LH_PASSWORD_KEY, "secret_key_base: \0010123456789abcdef0123456789abcdef01234567\2",
	     "secret: it is one"),
	FORM("(?i)token", key, LH_PASSWORD_KEY, "token=\00145ghiukldjahdnhzdauz\2",
	     "token: identifier of the next word"),
	FORM("(?i)apikey", key, LH_PASSWORD_KEY, "apikey=\00145ghiukldjahdnhzdauz\2", "apikey=none"),
	FORM("(?i)api[_-]key", key, LH_PASSWORD_KEY, "api_key=\00145ghiukldjahdnhzdauz\2", "api_key=none"),
	FORM("(?i)accesskey", key, LH_PASSWORD_KEY, "SharedAccessKey=\00145ghiukldjahdnhzdauz=\2;x=y", "accesskey=s"),
	FORM("(?i)access[_-]key", key, LH_PASSWORD_KEY,
	     "aws_secret_access_key = \1wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\2\n", "access_key = none"),
	FORM("(?i)accountkey", key, LH_PASSWORD_KEY,
	     "AccountName=a;AccountKey=\1Zx0123456789abcdefABCDEFGH+/==\2;EndpointSuffix=core", "AccountKey=none"),
	FORM("(?i)encryption[_-]key", crypto_key, LH_PASSWORD_KEY, "encryption_key=\00145ghiukldjahdnhzdauz\2",
	     "encryption_key=NULL"),
	FORM("(?i)encryptionkey", crypto_key, LH_PASSWORD_KEY, "\"encryptionKey\": \"\00145ghiukldjahdnhzdauz\2\"",
	     "encryptionKey=NULL"),
	FORM("(?i)signing[_-]key", crypto_key, LH_PASSWORD_KEY, "signing-key: \00145ghiukldjahdnhzdauz\2",
	     "signing_key = load_signing_key(path)"),
	FORM("(?i)signingkey", crypto_key, LH_PASSWORD_KEY, "\"signingKey\": \"\00145ghiukldjahdnhzdauz\2\"",
	     "signingKey=NULL"),
	FORM("(?i)private[_-]key", crypto_key, LH_PASSWORD_KEY,
	     "private_key=\1Zx0123456789abcdefABCDEFGH+/0123456789=\2", "private_key = EVP_PKEY_new(a1)"),
	FORM("(?i)privatekey", crypto_key, LH_PASSWORD_KEY,
	     "PrivateKey = \1yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\2\n", "PrivateKey = NULL"),
	FORM("(?i)presharedkey", crypto_key, LH_PASSWORD_KEY,
	     "PresharedKey = \1yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\2\n", "PresharedKey = NULL"),
	FORM("(?i)key-data", crypto_key, LH_PASSWORD_KEY,
	     "client-key-data: \1LS0tLS1CRUdJTiBFTkNSWVBURUQgUFJJVkFURSBLRVkt\2\n", "client-key-data: none"),
	FORM("(?i)sessionid", key, LH_PASSWORD_KEY, "JSESSIONID=\0010123456789abcdef0123456789ABCDEF\2",
	     "sessionid=none"),
	FORM("(?i)session[_-]id", key, LH_PASSWORD_KEY, "session_id=\0010123456789abcdef0123\2", "session_id=7"),
	FORM("(?i)sessid", key, LH_PASSWORD_KEY, "PHPSESSID=\00145ghiukldjahdnhzdauzabcd1\2", "PHPSESSID=none"),
	FORM("(?i)_session", key, LH_PASSWORD_KEY, "laravel_session=\1eyJpdiI6IjBBQUFBQUFBQUFBIn0\2; path=/",
	     "my_session=none"),
	FORM("(?i)connect\\.sid", key, LH_PASSWORD_KEY, "connect.sid=\1s%3Ahk2QzLr0123456789abcdefABCDEFGH.x\2",
	     "connect.sid=none"),
	FORM("auth\"", auth, LH_PASSWORD_PASSWORD, "\"auth\": \"\1am9lOmh1bnRlcjI=\2\"", "\"auth\": \"Og==\""),
	FORM("auth\\\\", auth, LH_PASSWORD_PASSWORD, "\\\"auth\\\":\\\"\1am9lOmh1bnRlcjI=\2\\\"",
	     "\\\"auth\\\": \\\"basic\\\""),
	FORMS_END,
};

/* ---------------------------------------------------------------- where people and programs log in */

const struct lh_secret_form lh_login_forms[] = {
	COMMAND("mysql", "p", NULL, 0, "mysqldump -u root -p\1hunter2\2 shop", "mysql -u root -p shop"),
	COMMAND("mariadb", "p", NULL, 0, "mariadb -p'\1hunter2\2' shop", "mariadb -p shop"),
	COMMAND("curl", "uU ", "user", ':', "curl -su joe:\1hunter2\2 http", "curl -u joe http"),
	COMMAND("sshpass", "p ", NULL, 0, "sshpass -p \1hunter2\2 ssh host", "sshpass -e ssh host"),
	COMMAND("redis-cli", "a ", NULL, 0, "redis-cli -h host -a \1hunter2\2 ping", "redis-cli -h host"),
	COMMAND("docker login", "p ", NULL, 0, "docker login -u joe -p \1hunter2\2 host", "docker login -u joe"),
	COMMAND("mongo", "p ", NULL, 0, "mongosh -u joe -p \1hunter2\2", "mongosh -u joe"),
	COMMAND("ldap", "w ", NULL, 0, "ldapsearch -x -D cn=admin -w \1hunter2\2 -b dc", "ldapsearch -x -W"),
	COMMAND("smbclient", "U ", "user", '%', "smbclient -U joe%\1hunter2\2 //host/x", "smbclient -U joe //host/x"),
	FORM("(?i)identified ", identified, LH_LOGIN_SQL,
	     "CREATE USER joe IDENTIFIED WITH caching_sha2_password BY '\1hunter2\2'", "identified with a number"),
	FORM("(?i)identified ", identified, LH_LOGIN_SQL, "create user joe identified by \1hunter2\2;",
	     "a user joe is identified by number"),
	FORM("(?i)with password", clause, LH_LOGIN_SQL, "CREATE ROLE joe WITH PASSWORD '\1hunter2\2'",
	     "log in with password or key"),
	FORM("(?i)encrypted password", clause, LH_LOGIN_SQL, "ALTER ROLE joe ENCRYPTED PASSWORD '\1hunter2\2'",
	     "an encrypted password is better"),
	FORM("(?i) password ['\"]", role_password, LH_LOGIN_SQL, "ALTER USER joe PASSWORD '\1hunter2\2'",
	     "the wrong password 'hunter2'"),
	FORM("(?i) password ['\"]", role_password, LH_LOGIN_SQL,
	     "CREATE ROLE joe WITH LOGIN SUPERUSER PASSWORD '\1hunter2\2'", "every user has a password 'hunter2'"),
	FORM("PASSWORD\\(['\"]", quoted, LH_LOGIN_SQL, "SET PASSWORD FOR joe = PASSWORD('\1hunter2\2')",
	     "IS_PASSWORD(text)"),
	FORM("(?i)auth plain ", sasl, LH_LOGIN_MAIL, "AUTH PLAIN \1AGpvZQBodW50ZXIy\2\r\n", "AUTH PLAIN LOGIN"),
	FORM("(?i)auth login ", sasl, LH_LOGIN_MAIL, "AUTH LOGIN \1am9lQGhvc3Q5\2\r\n", "AUTH LOGIN PLAIN"),
	FORM("(?i)auth xoauth2 ", sasl, LH_LOGIN_MAIL, "AUTH XOAUTH2 \1dXNlcj1qb2UBYXV0aD1CZWFyZXIgYQEB\2\r\n",
	     "AUTH XOAUTH2 PLAIN"),
	FORM("(?i)authenticate plain ", sasl, LH_LOGIN_MAIL, "a1 AUTHENTICATE PLAIN \1AGpvZQBodW50ZXIy\2\r\n",
	     "authenticate plain users"),
	FORM("(?i) login ", imap, LH_LOGIN_MAIL, "a1 LOGIN joe \1hunter2\2\r\n", "step 1 login as joe"),
	FORM("PASS ", pop, LH_LOGIN_MAIL, "USER joe\r\nPASS \1hunter2\2\r\n", "PASS test_of_all\n"),
	FORM("PASS ", pop, LH_LOGIN_MAIL, "USER joe\nPASS \1hunter2\2\n", "USER_joe\nPASS test_of_all\n"),
	FORM("machine ", netrc, LH_LOGIN_FILE, "machine host.example\n\tlogin joe\n\tpassword \1hunter2\2\n",
	     "machine login and password of it"),
	FORM("default login ", netrc, LH_LOGIN_FILE, "default login joe password \1hunter2\2\n",
	     "the default login of a password file"),
	FORM(":5432:", pgpass, LH_LOGIN_FILE, "db.example:5432:shop:joe:\1hunter2\2\n", "http://host:5432/a:b:c:d"),
	FORM(":5433:", pgpass, LH_LOGIN_FILE, "db.example:5433:shop:joe:\1hunter2\2\n", "127.0.0.1:5433:5432"),
	FORM(":6432:", pgpass, LH_LOGIN_FILE, "db.example:6432:shop:joe:\1hunter2\2\n", "127.0.0.1:6432:5432"),
	FORM(":\\*:\\*:", pgpass, LH_LOGIN_FILE, "*:*:*:joe:\1hunter2\2\n", "10:*:20"),
	FORM("requirepass ", directive, LH_LOGIN_FILE, "requirepass \1hunter2\2\n",
	     "# requirepass foobared is an example"),
	FORM("masterauth ", directive, LH_LOGIN_FILE, "masterauth \1hunter2\2\n", "the masterauth directive"),
	FORMS_END,
};
