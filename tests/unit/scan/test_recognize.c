/*
 * The recognizer pass: what each text recognizer takes and refuses, who keeps which bytes, that cutting
 * memory into blocks changes nothing, that random bytes are nothing, and that hostile bytes take linear time.
 */
#include "recognize_unit.h"
#include "scan/recognize/recognizer_pass.h"

#include <stdio.h>
#include <time.h>

struct text_case {
	const char *text;
	const char *class; /* NULL: nothing at all */
	const char *match; /* the bytes that count; NULL: the whole text */
};

static const struct text_case cases[] = {
	{"see https://www.example.org/a?b=c%20d#e, and", "url", "https://www.example.org/a?b=c%20d#e"},
	{"(http://[2001:db8::1]:8080/x)", "url", "http://[2001:db8::1]:8080/x"},
	{"postgresql://app@db.internal:5432/orders", "url", NULL},
	{"file:///etc/passwd is a path", "url", "file:///etc/passwd"},
	{"http://%s/path/of/format", NULL, NULL},
	{"::// //:// ://nothing", NULL, NULL},
	{"mail <jane.doe+x@mail.example.com>.", "email", "jane.doe+x@mail.example.com"},
	{"memcpy@@GLIBC_2.14 and pkg@1.2.3", NULL, NULL},
	{"somebody@localhost is local", NULL, NULL},
	{"connect to api.eu-west-1.example.com now", "hostname", "api.eu-west-1.example.com"},
	{"Host: www.heise.de:443", "hostname", "www.heise.de"},
	{"node7.rack2.internal is up", "hostname", "node7.rack2.internal"},
	{"self.test and obj.app and os.path.sep and System.Net.Mail", NULL, NULL},
	{"/usr/lib/libfoo.so.1.com/x /var/example.com", NULL, NULL},
	{"id=6ba7b810-9dad-11d1-80b4-00c04fd430c8;", "uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
	{"F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6", "uuid", NULL},
	{"6ba7b810-9dad-11d1-80b4-00c04fd430c8f too long", NULL, NULL},
	{"6ba7b810-9dad-91d1-80b4-00c04fd430c8 version 9", NULL, NULL},
	{"6ba7b810-9dad-11d1-70b4-00c04fd430c8 variant 0", NULL, NULL},
	{"GET /index.html HTTP/1.1\r\nAccept: */*\r\nX-A: b\r\n\r\nbody", "http1",
	 "GET /index.html HTTP/1.1\r\nAccept: */*\r\nX-A: b\r\n\r\n"},
	{"HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\n", "http1", NULL},
	{"it speaks HTTP/1.1 to us", NULL, NULL},
	{"format \"%s HTTP/1.1\"", NULL, NULL},
	{"x = {\"a\": [1, 2.5e-3, null, {\"b\": \"\\u00e9\\n\"}]};", "json",
	 "{\"a\": [1, 2.5e-3, null, {\"b\": \"\\u00e9\\n\"}]}"},
	{"[\"alpha\", \"beta\", \"gamma\", 1]", "json", NULL},
	{"{\"a\": 01, \"number\": \"bad\"}", NULL, NULL},
	{"{\"open\": \"and never closed\"", NULL, NULL},
	{"if (x) { \"not json\"; }", NULL, NULL},
	{"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]", NULL, NULL},
	{"q: SELECT id, name FROM users WHERE id = 7;", "sql", "SELECT id, name FROM users WHERE id = 7;"},
	{"INSERT INTO t (a) VALUES (1)", "sql", NULL},
	{"UPDATE t SET a = 1 WHERE b = 2", "sql", NULL},
	{"DELETE FROM sessions WHERE age > 9", "sql", NULL},
	{"CREATE TABLE t (id INTEGER PRIMARY KEY)", "sql", NULL},
	{"\"select a, count(*) as n from t group by a\"", "sql", "select a, count(*) as n from t group by a"},
	{"delete from t where x = 1", "sql", NULL},
	{"please select one of the items, from the list", NULL, NULL},
	{"delete from the cursor to the end; update the set of rows", NULL, NULL},
	{"2024-03-01T12:34:56.789Z INFO started worker", "log-line", NULL},
	{"Mar  1 12:34:56 host sshd[1]: Accepted publickey", "log-line", NULL},
	{"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 12", "log-line", NULL},
	{"2024/03/01 12:34:56 [error] 7#7: *1 open() failed", "log-line", NULL},
	{"2024-03-01T12:34:56", NULL, NULL},
	{"VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIDEzIGxhenkgZG9ncyBhbmQgcnVucyA0MiBtaWxlcy4=", "base64", NULL},
	{"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", NULL, NULL},
	{"/usr/lib/python3/distPackages/Some/Long/Path/To/A/Module/Named/Very/Long/Indeed9", NULL, NULL},
	{"AbstractSingletonProxyFactoryBeanAbstractSingletonProxyFactoryBean12_suffix", NULL, NULL},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2", NULL},
	{"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC "
	 "KEY-----",
	 "pem", NULL},
	{"-----BEGIN PUBLIC KEY-----\nMCow\n-----END PRIVATE KEY-----", NULL, NULL},
	{"write -----BEGIN CERTIFICATE----- first", NULL, NULL},
};

static void check_case(const struct text_case *text)
{
	/* Zeros around it, as between the strings of a heap. */
	char memory[1024] = {0};
	unit_put(memory + 64, sizeof(memory) - 64, text->text);
	struct lh_recognizer_pass *pass = unit_pass_over(memory, sizeof(memory), sizeof(memory));
	size_t count;
	const struct lh_class_count *classes = unit_classes(pass, &count);
	for (size_t i = 0; i < count; i++) {
		bool is_expected = text->class && strcmp(text->class, classes[i].name) == 0;
		size_t bytes = is_expected ? strlen(text->match ? text->match : text->text) : 0;
		if (classes[i].count != is_expected || classes[i].bytes != bytes)
			fail_msg("'%s': %lu of class %s with %lu bytes, %d with %zu expected", text->text,
				 classes[i].count, classes[i].name, classes[i].bytes, is_expected, bytes);
	}
	lh_recognizer_pass_destroy(pass);
}

static void test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(cases); i++)
		check_case(&cases[i]);
}

static void test_example_addresses(void **state)
{
	(void)state;
	static const char memory[] = "xxxxxxxx http://a.example/1 http://b.example/2 http://a.example/1";
	struct lh_recognizer_pass *pass = unit_pass_over(memory, sizeof(memory), sizeof(memory));
	const struct lh_class_count *urls = unit_class(pass, "url");
	assert_int_equal(urls->count, 3);
	assert_int_equal(urls->example_count, 2);
	assert_string_equal(urls->examples[0].text, "http://a.example/1");
	assert_int_equal(urls->examples[0].addr, UNIT_BASE + 9);
	assert_string_equal(urls->examples[1].text, "http://b.example/2");
	lh_recognizer_pass_destroy(pass);
}

/* ---------------------------------------------------------------- who keeps which bytes */

static void test_contained_matches(void **state)
{
	(void)state;
	static const char memory[] = "{\"link\": \"https://joe@www.example.org/\", \"mail\": \"joe@example.org\"}";
	struct lh_recognizer_pass *pass = unit_pass_over(memory, sizeof(memory), sizeof(memory));
	size_t url = strlen("https://joe@www.example.org/");
	size_t mail = strlen("joe@example.org");
	assert_int_equal(unit_class(pass, "url")->bytes, url);
	assert_int_equal(unit_class(pass, "email")->count, 1); /* the one in the URL belongs to the URL */
	assert_int_equal(unit_class(pass, "email")->bytes, mail);
	assert_int_equal(unit_class(pass, "hostname")->count, 0);
	assert_int_equal(unit_class(pass, "json")->count, 1);
	assert_int_equal(unit_class(pass, "json")->bytes, strlen(memory) - url - mail);
	lh_recognizer_pass_destroy(pass);
}

static void test_secrets_are_never_shown(void **state)
{
	(void)state;
	static const char memory[] =
		"{\"user\": \"x\", \"key\": \"-----BEGIN PRIVATE KEY-----\\n"
		"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v_not_really/Y1M+4bqDPZfYvC9bGnMPpPAFB7p8\\n-----END PRIVATE KEY-----\"}";
	static const char cut[] = "-----BEGIN RSA PRIVATE KEY-----\n"
				  "MIIEowIBAAKCAQEAx1hsZ3vY1M4bqDPZfYvC9bGnMPpPAFB7p8MIIEowIBAAKCAQEA\nx1hsZ3vY1M4bqDP";
	char both[1024] = {0};
	unit_put(both, sizeof(both), memory);
	unit_put(both + 512, sizeof(both) - 512, cut);
	struct lh_recognizer_pass *pass = unit_pass_over(both, sizeof(both), sizeof(both));
	const struct lh_class_count *keys = unit_class(pass, "private-key");
	assert_int_equal(keys->count, 2);
	assert_int_equal(keys->example_count, 2);
	assert_string_equal(keys->examples[0].text, "********");
	assert_true(keys->is_secret);
	assert_int_equal(unit_class(pass, "json")->count, 1);
	assert_true(unit_has_example(unit_class(pass, "json"), "\"key\": \"****"));
	assert_false(unit_has_example(unit_class(pass, "json"), "Y1M"));
	size_t count;
	const struct lh_range *secrets = lh_recognizer_pass_secrets(pass, &count);
	assert_int_equal(count, 2);
	assert_int_equal(secrets[0].start, UNIT_BASE + (uint64_t)(strstr(both, "-----BEGIN") - both));
	assert_int_equal(secrets[0].end, UNIT_BASE + strlen(both) - strlen("\"}"));
	assert_int_equal(secrets[1].start, UNIT_BASE + 512);
	assert_int_equal(secrets[1].end, UNIT_BASE + 512 + strlen(cut));
	lh_recognizer_pass_destroy(pass);
}

/* A text in which what is secret stands between '\1' and '\2'. */
struct secret_case {
	const char *text;
	const char *class; /* NULL: nothing is secret */
};

static const struct secret_case secret_cases[] = {
	{"redis://user:\1secret\2@host:6379/0", "url-password"},
	{"amqp://:\1pw\2@host.example", "url-password"},
	{"http://host:8080/path@home", NULL},
	{"http://host:8080", NULL},
	{"http://u:\1pa/s#s?w\2@host/x", "url-password"},
	{"http://[::1]:80/a:b@c", NULL},
	{"http://u:\00112345\2@h", "url-password"},
	{"http://joe@host/a", NULL},
	{"authorization: \1Bearer abc.def.ghi\2", "credential"},
	{"Proxy-Authorization: \1Basic dTpwdw==\2\r\nX: y", "credential"},
	{"Set-Cookie: \1sid=31d4d96e407aad42; Path=/\2\r\n", "credential"},
	{"{\"Cookie\": \"\1a=b; c=d\2\", \"x\": 1}", "credential"},
	{"curl -H 'X-Api-Key: \00112ab34cd\2' http", "credential"},
	{"use Bearer \1mF_9.B5f-4.1JqM987\2 now", "credential"},
	{"the bearer certificates of this", NULL},
	{"Authorization: ${TOKEN}", NULL},
	{"Cookie: %s", NULL},
	{"user=joe&password=\1hunter2\2&next=/", "password"},
	{"{\"password\": \"\1correct horse\2\", \"a\": 2}", "password"},
	{"{'passwd': '\1xyzzy\2', 'b': 1}", "password"},
	{"PGPASSWORD=\1s3cr3t\2 psql -h db", "password"},
	{"Enter the password: please", NULL},
	{"def login(user, password: str):", NULL},
	{"password=%s&other=1", NULL},
	{"db_password: \1hunter2!\2", "password"},
	{"client_secret=\0018c1f0d6be2a94f17b3\2", "password"},
	{"token: identifier of the next word", NULL},
	{"aws_secret_access_key=\1wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\2", "password"},
	{"aws_secret_access_key = \1wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\2\n", "password"},
	{"[client]\nuser = joe\npassword = \1hunter2\2\nhost = x", "password"},
	{"{\"password\" : \"\1correct horse\2\"}", "password"},
	{"SECRET_KEY = '\1django-insecure-x1#yz9(0a)b\2'", "password"},
	{"client_secret=\1CUOoPZiKMetqdTYRVbNspCvr\2&grant_type=x", "password"},
	{"token=HttpSecurityTokenHandlerFactory", NULL},
	{"*2\r\n$4\r\nAUTH\r\n$7\r\n\1hunter2\2\r\n", "password"},
	{"*3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$8\r\n\1hunter2z\2\r\n*1\r\n", "password"},
	{"*2\r\n$4\r\nAUTH\r\n$7\r\n\1hunter2\2\r\n*1\r\n$4\r\nPING\r\n", "password"},
	{"*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$3\r\n\1pw1\2\r\n", "password"},
	{"password        = \1hunter2z\2", "password"},
	{"password\t= \1hunter2z\2", "password"},
	{"{\"password\"  :  \"\1hunter2z\2\"}", "password"},
	{"password:     \"\1hunter2z\2\"", "password"},
	{"'password' => '\1hunter2z\2'", "password"},
	{"password := \"\1hunter2z\2\"", "password"},
	{"if (password == expected)", NULL},
	{"{\\\"password\\\":\\\"\1hunter2z\2\\\"}", "password"},
	{"{\"password\":\"\1abcdefg\\\"hunter2z\2\"}", "password"},
	{"user[password]=\1hunter2z\2&a=b", "password"},
	{"user%5Bpassword%5D=\1hunter2z\2", "password"},
	{"password1=\1hunter2z\2", "password"},
	{"password_confirmation=\1hunter2z\2", "password"},
	{"form-data; name=\"password\"\r\n\r\n\1hunter2z\2\r\n--", "password"},
	{"password=\1%d0%bf%d0%b0hunter2z\2", "password"},
	{"userPassword: \1{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g\2", "password"},
	{"password=\"\1<3hunter2z\2\"", "password"},
	{"password=\"<your password>\"", NULL},
	{"password: {type: String}", NULL},
	{"password=\"\1p\xc3\xa4ssw\xc3\xb6rd99\2\"", "password"},
	{"password=\1a,hunter2z\2", "password"},
	{"password=\1abcd;hunter2z\2", "password"},
	{"Server=db;Password=\1abc1234\2;Database=x", "password"},
	{"User(password=\1hunter2z\2, name='joe')", "password"},
	{"def connect(host, password=None,", NULL},
	{"mysql --password \1hunter2z\2 -h db", "password"},
	{"with --password and --user", NULL},
	{"PWD=/srv/www/app", NULL},
	{"DB_PWD=\1hunter2z\2", "password"},
	{"SECRET_KEY = '\0017^h$8fj(q!w2#e4%r6t&y9u*i0o-p\2'", "password"},
	{"token=get_token_from_environment1(x)", NULL},
	{"{\"env\":\"A=1\\n\1ghp_0123456789abcdefghijABCDEFGHIJ012345\2\"}", "token"},
	{"\"Authorization\" : \"\1Basic dTpwdw==\2\"", "credential"},
	{"{\\\"Authorization\\\": \\\"\1Basic dTpwdw==\2\\\"}", "credential"},
	{"\"x-api-key\" : \"\0012ab34cd\2\"", "credential"},
	{"HTTP cookie: a small text stored by the browser", NULL},
	{"case \"Authorization\": return provider.fetch(request);", NULL},
	{"jwt \1eyJhbGciOiJub25lIn0.eyJzdWIiOiJqb2UifQ.c2lnbmF0dXJl\2;", "token"},
	{"id \1AKIAIOSFODNN7EXAMPLE\2, region", "token"},
	{"MAKIAIOSFODNN7EXAMPLES is none", NULL},
	{"git clone with \1ghp_0123456789abcdefghijABCDEFGHIJ012345\2 in", "token"},
	{"root:\1$6$saltsalt$0123456789abcdefABCDEF./xyz\2:19000:0", "token"},
	{"joe:\1$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW\2:1", "token"},
	{"\1$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b0HWAsxNWGvBYSIpXQ0\2\n", "token"},
	{"$argon2id$v=%lu$m=%lu", NULL},
	{"\1CLIENT_RANDOM 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef "
	 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\2\n",
	 "tls-session"},
};

/* Writes the text without its marks, and what it looks like masked. */
static void split_case(const char *marked, char *ret_text, char *ret_masked)
{
	bool is_secret = false;
	for (; *marked; marked++) {
		if (*marked == '\1' || *marked == '\2') {
			is_secret = *marked == '\1';
			continue;
		}
		*ret_text++ = *marked;
		*ret_masked++ = (char)(is_secret ? '*' : *marked);
	}
	*ret_text = *ret_masked = '\0';
}

static struct lh_recognizer_pass *showing_pass_over(const void *bytes, size_t length)
{
	struct lh_recognizer_pass *pass = NULL;
	assert_success(lh_recognizer_pass_create(true, &pass));
	unit_feed(pass, bytes, length, length);
	return pass;
}

static void check_secret(const struct secret_case *secret)
{
	char memory[1024] = {0};
	char masked[512];
	assert_true(strlen(secret->text) < sizeof(masked));
	split_case(secret->text, memory + 64, masked);
	struct lh_recognizer_pass *pass = unit_pass_over(memory, sizeof(memory), sizeof(memory));
	size_t count;
	const struct lh_range *secrets = lh_recognizer_pass_secrets(pass, &count);
	(void)lh_mask_secrets(secrets, count, UNIT_BASE, memory, sizeof(memory));
	assert_string_equal(memory + 64, masked);
	const struct lh_class_count *classes = unit_classes(pass, &count);
	for (size_t i = 0; i < count; i++) {
		if (classes[i].is_secret &&
		    classes[i].count != (secret->class && strcmp(secret->class, classes[i].name) == 0))
			fail_msg("'%s': %lu %s", secret->text, classes[i].count, classes[i].name);
	}
	lh_recognizer_pass_destroy(pass);
}

static void test_secrets_by_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(secret_cases); i++)
		check_secret(&secret_cases[i]);
}

/* Examples of other classes show what is around a secret, and the secret itself only when asked for. */
static void test_examples_are_masked(void **state)
{
	(void)state;
	static const char memory[] =
		"{\"dsn\": \"mysql://root:hunter2@db.example.org/app\"} 2024-01-01 00:00:00 to "
		"mysql://root:hunter2@db.example.org/app\nGET /?password=hunter2 HTTP/1.1\r\nCookie: a=hunter2\r\n\r\n"
		"u\0s\0e\0 \0p\0a\0s\0s\0w\0o\0r\0d\0=\0h\0u\0n\0t\0e\0r\0002\0";
	struct lh_recognizer_pass *pass = unit_pass_over(memory, sizeof(memory), sizeof(memory));
	size_t count;
	const struct lh_class_count *classes = unit_classes(pass, &count);
	for (size_t i = 0; i < count; i++)
		assert_false(unit_has_example(&classes[i], "hunter2"));
	assert_true(unit_has_example(unit_class(pass, "url"), "mysql://root:*******@db"));
	assert_true(unit_has_example(unit_class(pass, "log-line"), "to mysql://root:*******@db"));
	assert_true(unit_has_example(unit_class(pass, "http1"), "GET /?password=******* HTTP/1.1"));
	assert_true(unit_has_example(unit_class(pass, "utf16"), "use password=*******"));
	assert_true(unit_has_example(unit_class(pass, "url-password"), "********"));
	lh_recognizer_pass_destroy(pass);
	pass = showing_pass_over(memory, sizeof(memory));
	assert_true(unit_has_example(unit_class(pass, "url"), "mysql://root:hunter2@db"));
	assert_true(unit_has_example(unit_class(pass, "url-password"), "hunter2"));
	assert_true(unit_has_example(unit_class(pass, "utf16"), "use password=hunter2"));
	(void)lh_recognizer_pass_secrets(pass, &count);
	assert_int_equal(count, 0);
	lh_recognizer_pass_destroy(pass);
}

/* ---------------------------------------------------------------- cutting */

/* Every case of the table over and over, with random bytes of all lengths between. */
static uint8_t *mixed_memory(size_t length)
{
	uint8_t *memory = malloc(length);
	assert_non_null(memory);
	uint64_t random = 7;
	size_t at = 0;
	while (at < length) {
		const char *text = cases[unit_random(&random) % LH_ARRAY_COUNT(cases)].text;
		size_t noise = unit_random(&random) % 300;
		for (size_t i = 0; i < noise && at < length; i++)
			memory[at++] = (uint8_t)unit_random(&random);
		for (size_t i = 0; text[i] && at < length; i++)
			memory[at++] = (uint8_t)text[i];
	}
	return memory;
}

static void assert_same_classes(struct lh_recognizer_pass *a, struct lh_recognizer_pass *b)
{
	size_t count;
	const struct lh_class_count *x = unit_classes(a, &count);
	const struct lh_class_count *y = unit_classes(b, &count);
	for (size_t i = 0; i < count; i++) {
		if (x[i].count != y[i].count || x[i].bytes != y[i].bytes || x[i].example_count != y[i].example_count)
			fail_msg("%s: %lu with %lu bytes, but %lu with %lu", x[i].name, x[i].count, x[i].bytes,
				 y[i].count, y[i].bytes);
		assert_memory_equal(x[i].examples, y[i].examples, x[i].example_count * sizeof(x[i].examples[0]));
	}
}

static void test_cutting_changes_nothing(void **state)
{
	(void)state;
	enum { LENGTH = 3 << 20 };
	uint8_t *memory = mixed_memory(LENGTH);
	struct lh_recognizer_pass *whole = unit_pass_over(memory, LENGTH, LENGTH);
	assert_true(unit_class(whole, "url")->count > 1000);
	static const size_t cuts[] = {1 << 20, 65536, 4096, 777, 64};
	for (size_t i = 0; i < LH_ARRAY_COUNT(cuts); i++) {
		struct lh_recognizer_pass *cut = unit_pass_over(memory, LENGTH, cuts[i]);
		assert_same_classes(whole, cut);
		lh_recognizer_pass_destroy(cut);
	}
	lh_recognizer_pass_destroy(whole);
	free(memory);
}

static void test_nothing_reaches_over_a_hole(void **state)
{
	(void)state;
	static const char text[] = "http://www.example.org/path";
	struct lh_recognizer_pass *pass = NULL;
	assert_success(lh_recognizer_pass_create(false, &pass));
	struct lh_block block = {.addr = UNIT_BASE, .data = (const uint8_t *)text, .bytes = 12};
	assert_success(lh_recognizer_pass_feed(pass, &block));
	block = (struct lh_block){.addr = UNIT_BASE + 12, .data = (const uint8_t *)text + 12, .bytes = 15};
	assert_success(lh_recognizer_pass_feed(pass, &block));
	assert_int_equal(unit_class(pass, "url")->bytes, 12); /* "http://www.e" */
	assert_int_equal(unit_class(pass, "url")->count, 1);
	lh_recognizer_pass_destroy(pass);
}

/* A walk may leave out blocks (of zeros): a match that reaches over one still counts once. */
static void test_match_over_bytes_not_fed(void **state)
{
	(void)state;
	static const char text[] =
		"http://www.example.org/?first=aaaaaaaaaaaaaaaaaaaaaa&second=http://www.example.com/";
	enum { LENGTH = sizeof(text) - 1, FIRST = 32, SECOND = 48 };
	struct lh_recognizer_pass *pass = NULL;
	assert_success(lh_recognizer_pass_create(false, &pass));
	struct lh_block block = {
		.addr = UNIT_BASE, .data = (const uint8_t *)text, .bytes = FIRST, .bytes_after = LENGTH - FIRST};
	assert_success(lh_recognizer_pass_feed(pass, &block));
	block = (struct lh_block){.addr = UNIT_BASE + SECOND,
				  .data = (const uint8_t *)text + SECOND,
				  .bytes = LENGTH - SECOND,
				  .bytes_before = SECOND};
	assert_success(lh_recognizer_pass_feed(pass, &block));
	assert_int_equal(unit_class(pass, "url")->count, 1);
	assert_int_equal(unit_class(pass, "url")->bytes, LENGTH);
	assert_int_equal(unit_class(pass, "hostname")->count, 0);
	lh_recognizer_pass_destroy(pass);
}

/* ---------------------------------------------------------------- random and hostile bytes */

/* 256 MiB, a quarter at a time: no class has a false positive there. */
static void test_random_bytes_are_nothing(void **state)
{
	(void)state;
	enum { LENGTH = 64 << 20, ROUNDS = 4 };
	uint64_t *memory = malloc(LENGTH);
	assert_non_null(memory);
	uint64_t random = 42;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < LENGTH / sizeof(*memory); i++)
			memory[i] = unit_random(&random);
		struct lh_recognizer_pass *pass = unit_pass_over(memory, LENGTH, LENGTH);
		size_t count;
		const struct lh_class_count *classes = unit_classes(pass, &count);
		for (size_t i = 0; i < count; i++) {
			if (classes[i].count || classes[i].unchecked)
				fail_msg("%lu %s in random bytes (%s)", classes[i].count, classes[i].name,
					 classes[i].example_count ? classes[i].examples[0].text : "");
		}
		lh_recognizer_pass_destroy(pass);
	}
	free(memory);
}

/* Repeated without end, these make naive validators look at the same bytes again and again. */
static const char *const hostile[] = {
	"@",
	"a@b.",
	"{",
	"{\"a\":",
	"[[\"a\",1],",
	"[{\"a\":1},",
	"{\"a\":\"",
	"{\"",
	"http://",
	"http://http:/",
	"a://%41",
	"-----BEGIN PRIVATE KEY-----\n",
	"-----BEGIN A-----MIIC",
	"A",
	"Ab1",
	"0123456789abcdef",
	"a.com",
	"a.",
	"HTTP/1.1 ",
	"GET / HTTP/1.1\r\n",
	"GET GET ",
	"SELECT ",
	"select a,",
	"UPDATE a SET ",
	"-1234-1234-8123-",
	"2024-01-01 00:00:00 ",
	"[01/Jan/2000:00:00:00 +",
	"\x16\x03\x01\x40\x01\x0b",
	"\x17\x03\x03\x40\x01",
	"\x30\x82\x01\x01\x30\x82",
	"\x30\x82\xff\xf0\x02\x01",
	"\x06\x04",
};

static double cpu_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void test_hostile_bytes_take_linear_time(void **state)
{
	(void)state;
	enum { LENGTH_MAX = 4 << 20, SECONDS_MAX = 20 }; /* quadratic in 64 KiB would be minutes */
	size_t length = unit_is_long() ? LENGTH_MAX : LENGTH_MAX / 4;
	char *memory = malloc(length);
	assert_non_null(memory);
	for (size_t i = 0; i < LH_ARRAY_COUNT(hostile); i++) {
		size_t period = strlen(hostile[i]);
		for (size_t at = 0; at < length; at++)
			memory[at] = hostile[i][at % period];
		double start = cpu_seconds();
		struct lh_recognizer_pass *pass = unit_pass_over(memory, length, length);
		size_t count;
		const struct lh_class_count *classes = unit_classes(pass, &count);
		uint64_t bytes = 0;
		for (size_t k = 0; k < count; k++)
			bytes += classes[k].bytes;
		double seconds = cpu_seconds() - start;
		lh_recognizer_pass_destroy(pass);
		assert_true(bytes <= length);
		if (getenv("LEAKHUNT_TEST_VERBOSE"))
			print_message("%-40s %.3f s\n", hostile[i], seconds);
		if (seconds > SECONDS_MAX)
			fail_msg("'%s' took %.1f s", hostile[i], seconds);
	}
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_example_addresses),
		cmocka_unit_test(test_contained_matches),
		cmocka_unit_test(test_secrets_are_never_shown),
		cmocka_unit_test(test_secrets_by_form),
		cmocka_unit_test(test_examples_are_masked),
		cmocka_unit_test(test_cutting_changes_nothing),
		cmocka_unit_test(test_nothing_reaches_over_a_hole),
		cmocka_unit_test(test_match_over_bytes_not_fed),
		cmocka_unit_test(test_random_bytes_are_nothing),
		cmocka_unit_test(test_hostile_bytes_take_linear_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
