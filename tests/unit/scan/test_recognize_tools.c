/*
 * Recall on what real tools make at test time: certificates and keys of every kind by the openssl
 * command, files of compressors and databases, and the bytes that real clients and servers (openssl,
 * nginx, redis, curl) send each other, recorded by a relay on the loopback. Each must be found once.
 */
#include "recognize_unit.h"
#include "scan/recognize/recognizer_pass.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/leakhunt-recognize.XXXXXX";

/* Runs a shell command in the folder of this test. */
static void run(const char *command)
{
	char *line = NULL;
	assert_true(asprintf(&line, "cd %s && { %s; } >log 2>&1", folder, command) > 0);
	if (system(line) != 0)
		fail_msg("failed: %s", command);
	free(line);
}

static void load(const char *name, struct lh_buffer *ret)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	assert_success(lh_file_read(path, 1 << 20, ret));
	free(path);
}

/* The file's bytes without the last `cut`, amid random bytes that end where text can't go on. */
static struct lh_recognizer_pass *pass_over_file(const char *name, size_t cut)
{
	enum { BEFORE = 10000, NOISE_BYTES = 20000 };
	LH_CLEANUP(lh_buffer_deinit) struct lh_buffer file = {0};
	LH_CLEANUP(lh_buffer_deinit) struct lh_buffer memory = {0};
	load(name, &file);
	uint64_t random = file.length;
	for (size_t i = 0; i < NOISE_BYTES; i++) {
		uint8_t byte = (uint8_t)unit_random(&random);
		lh_buffer_append(&memory, i == BEFORE || i == BEFORE - 1 ? (const void *)"" : &byte, 1);
		if (i == BEFORE - 1)
			lh_buffer_append(&memory, file.data, file.length - cut);
	}
	return unit_pass_over(memory.data, memory.length, 4096);
}

/* Exactly one match of the class, as long as `bytes`, and nothing of any other class but `besides`. */
static void assert_only(struct lh_recognizer_pass *pass, const char *name, uint64_t bytes)
{
	size_t count;
	const struct lh_class_count *classes = unit_classes(pass, &count);
	for (size_t i = 0; i < count; i++) {
		bool is_it = strcmp(classes[i].name, name) == 0;
		if (classes[i].count != is_it || classes[i].bytes != (is_it ? bytes : 0))
			fail_msg("%lu %s with %lu bytes where one %s of %lu is", classes[i].count, classes[i].name,
				 classes[i].bytes, name, bytes);
	}
}

static uint64_t file_bytes(const char *name)
{
	LH_CLEANUP(lh_buffer_deinit) struct lh_buffer file = {0};
	load(name, &file);
	return file.length;
}

/* ---------------------------------------------------------------- certificates */

struct certificate_case {
	const char *key; /* options of openssl req */
	const char *subject;
	const char *shown;
};

static const struct certificate_case certificates[] = {
	{"-newkey rsa:2048", "/CN=rsa.example.org", "CN=rsa.example.org, issuer CN=rsa.example.org"},
	{"-newkey rsa:4096", "/C=DE/O=Some Company/CN=big.example.org", "CN=big.example.org"},
	{"-newkey ec -pkeyopt ec_paramgen_curve:P-256", "/CN=ec.example.org", "CN=ec.example.org"},
	{"-newkey ec -pkeyopt ec_paramgen_curve:P-521", "/CN=ec521.example.org", "CN=ec521.example.org"},
	{"-newkey ed25519", "/CN=ed.example.org", "CN=ed.example.org"},
};

static void check_certificate(const struct certificate_case *certificate)
{
	char *command = NULL;
	assert_true(asprintf(&command,
			     "openssl req -x509 %s -nodes -keyout key.pem -out cert.pem -days 30 -subj '%s' && "
			     "openssl x509 -in cert.pem -outform DER -out cert.der && "
			     "openssl asn1parse -in cert.pem -strparse 4 -noout -out tbs.der",
			     certificate->key, certificate->subject) > 0);
	run(command);
	free(command);
	struct lh_recognizer_pass *pass = pass_over_file("cert.der", 0);
	assert_only(pass, "x509", file_bytes("cert.der"));
	assert_true(unit_has_example(unit_class(pass, "x509"), certificate->shown));
	lh_recognizer_pass_destroy(pass);
	pass = pass_over_file("tbs.der", 0);
	assert_only(pass, "x509-tbs", file_bytes("tbs.der"));
	assert_true(unit_has_example(unit_class(pass, "x509-tbs"), certificate->shown));
	lh_recognizer_pass_destroy(pass);
	pass = pass_over_file("cert.pem", 1); /* without the last line break */
	assert_only(pass, "pem", file_bytes("cert.pem") - 1);
	assert_true(unit_has_example(unit_class(pass, "pem"), "CERTIFICATE"));
	lh_recognizer_pass_destroy(pass);
	/* Of a certificate that is cut off, the signed part is still there. */
	LH_CLEANUP(lh_buffer_deinit) struct lh_buffer file = {0};
	load("cert.der", &file);
	pass = unit_pass_over(file.data, file.length - 5, file.length);
	assert_only(pass, "x509-tbs", file_bytes("tbs.der"));
	lh_recognizer_pass_destroy(pass);
}

static void test_certificates(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(certificates); i++)
		check_certificate(&certificates[i]);
}

static void test_certificate_of_version_1(void **state)
{
	(void)state;
	/* OpenSSL 3.5 makes version 3 unless asked by an option that 3.0 does not have. */
	run("if openssl req -help 2>&1 | grep -q x509v1; then "
	    "printf '[req]\\ndistinguished_name=name\\n[name]\\n' >v1.cnf; "
	    "openssl req -x509 -x509v1 -config v1.cnf -newkey rsa:2048 -nodes -keyout k1.pem "
	    "-subj /CN=v1.example.org -days 9 -outform DER -out v1.der; else "
	    "openssl req -new -newkey rsa:2048 -nodes -keyout k1.pem -subj /CN=v1.example.org -out r.pem && "
	    "openssl x509 -req -in r.pem -signkey k1.pem -days 9 -outform DER -out v1.der; fi && "
	    "openssl x509 -in v1.der -inform DER -noout -text | grep -q 'Version: 1 ' && "
	    "openssl asn1parse -inform DER -in v1.der -strparse 4 -noout -out v1tbs.der");
	struct lh_recognizer_pass *pass = pass_over_file("v1.der", 0);
	assert_only(pass, "x509", file_bytes("v1.der"));
	lh_recognizer_pass_destroy(pass);
	pass = pass_over_file("v1tbs.der", 0);
	assert_only(pass, "x509-tbs", file_bytes("v1tbs.der"));
	lh_recognizer_pass_destroy(pass);
}

/* ---------------------------------------------------------------- keys */

static const char *const key_commands[] = {
	"openssl genrsa -traditional -out key.pem 2048 && openssl rsa -in key.pem -traditional -outform DER -out "
	"key.der",
	"openssl genpkey -algorithm RSA -out key.pem && openssl pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out "
	"key.der",
	"openssl ecparam -name prime256v1 -genkey -noout -out key.pem && openssl ec -in key.pem -outform DER -out "
	"key.der",
	"openssl ecparam -name secp521r1 -genkey -noout -out key.pem && openssl ec -in key.pem -outform DER -out "
	"key.der",
	"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem && "
	"openssl pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der",
	"openssl genpkey -algorithm ed25519 -out key.pem && "
	"openssl pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der",
	"openssl genpkey -algorithm x25519 -out key.pem && "
	"openssl pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der",
};

static void test_private_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(key_commands); i++) {
		run(key_commands[i]);
		struct lh_recognizer_pass *pass = pass_over_file("key.der", 0);
		assert_only(pass, "private-key", file_bytes("key.der"));
		assert_string_equal(unit_class(pass, "private-key")->examples[0].text, "********");
		lh_recognizer_pass_destroy(pass);
		pass = pass_over_file("key.pem", 1);
		assert_only(pass, "private-key", file_bytes("key.pem") - 1);
		assert_string_equal(unit_class(pass, "private-key")->examples[0].text, "********");
		lh_recognizer_pass_destroy(pass);
	}
}

static void test_encrypted_key(void **state)
{
	(void)state;
	run("openssl genrsa -traditional -aes128 -passout pass:abcd -out enc.pem 2048 && grep -q DEK-Info enc.pem");
	struct lh_recognizer_pass *pass = pass_over_file("enc.pem", 1);
	assert_only(pass, "private-key", file_bytes("enc.pem") - 1);
	lh_recognizer_pass_destroy(pass);
}

/* ---------------------------------------------------------------- files of other tools */

struct file_case {
	const char *command; /* makes the file "out" */
	const char *class;
	const char *shown;
};

static const struct file_case files[] = {
	{"seq 2000 > numbers && gzip -c numbers > out", "gzip", "whole, checksum right, numbers"},
	{"seq 2000 | gzip -1 > out", "gzip", "whole, checksum right"},
	{"python3 -c 'import zlib, sys; sys.stdout.buffer.write(zlib.compress(bytes(range(256)) * 50))' > out", "zlib",
	 "whole, checksum right"},
	{"python3 -c 'import zlib, sys; sys.stdout.buffer.write(zlib.compress(b\"abcabd\" * 50, 9))' > out", "zlib",
	 "whole, checksum right"},
	{"seq 3000 | zstd -q -c > out", "zstd", "whole"},
	{"seq 3000 | zstd -q -19 --no-check -c > out", "zstd", "whole"},
	{"seq 3000 | lz4 -q -c > out", "lz4", "whole"},
	{"seq 3000 | lz4 -q -9 -BX --no-frame-crc -c > out", "lz4", "whole"},
	{"{ printf 'P6\\n32 16\\n255\\n'; head -c 1536 /dev/urandom; } | cjpeg > out", "jpeg", "32 x 16, 3 components"},
	{"{ printf 'P5\\n8 8\\n255\\n'; head -c 64 /dev/urandom; } | cjpeg -progressive > out", "jpeg",
	 "8 x 8, 1 components"},
	{"rm -f out && sqlite3 out 'create table t(a integer primary key, b); insert into t values(1, 2);' && "
	 "head -c 4096 out > first && mv first out",
	 "sqlite", "first page, 4096 bytes, 1 cells"},
	{"rm -f db && sqlite3 db 'create table t(a integer primary key, b text); with recursive n(i) as (select 1 "
	 "union "
	 "all select i + 1 from n where i < 50) insert into t select i, hex(i * 1000) from n;' && tail -c +4097 db > "
	 "out",
	 "sqlite", "table leaf, 4096 bytes, 50 cells"},
	{"rm -f db && sqlite3 db 'pragma page_size = 1024; create table t(a); create index i on t(a); insert into t "
	 "values(1.5), (null), (\"x\");' && tail -c 1024 db > out",
	 "sqlite", "index leaf, 1024 bytes, 3 cells"},
	{"head -c $((64 + 56 * $(readelf -hW /bin/ls | awk '/Number of program headers/ { print $NF }'))) /bin/ls > "
	 "out",
	 "elf", "64 bit"},
};

/* As in memory: SQLite's pages at multiples of 8, nothing else depends on it. */
static void check_file(const struct file_case *file)
{
	run(file->command);
	struct lh_recognizer_pass *pass = pass_over_file("out", 0);
	const struct lh_class_count *class = unit_class(pass, file->class);
	if (class->count != 1 || class->bytes != file_bytes("out") || !unit_has_example(class, file->shown))
		fail_msg("%s: %lu %s with %lu bytes of %lu, shown as '%s'", file->command, class->count, file->class,
			 class->bytes, file_bytes("out"), class->example_count ? class->examples[0].text : "");
	lh_recognizer_pass_destroy(pass);
}

static void test_files_of_tools(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(files); i++)
		check_file(&files[i]);
}

/* ---------------------------------------------------------------- handshakes */

static int listen_on_loopback(uint16_t *ret_port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
	*ret_port = ntohs(name.sin_port);
	return fd;
}

static int connect_to_loopback(uint16_t port)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

/* Starts a shell command in the folder; *ret_output reads what it prints. */
static pid_t start(const char *command, int *ret_output)
{
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		dup2(ends[1], 1);
		int nothing = open("/dev/null", O_WRONLY);
		dup2(nothing, 2);
		if (chdir(folder) == 0)
			execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	*ret_output = ends[0];
	return child;
}

/* "ACCEPT 127.0.0.1:45678" */
static uint16_t accepted_port(int output)
{
	char text[4096] = "";
	size_t length = 0;
	unsigned port = 0;
	while (length < sizeof(text) - 1) {
		ssize_t got = read(output, text + length, 1);
		if (got <= 0)
			break;
		length++;
		const char *line = strstr(text, "ACCEPT ");
		const char *colon = line && text[length - 1] == '\n' ? strrchr(line, ':') : NULL;
		if (colon && sscanf(colon, ":%u", &port) == 1)
			return (uint16_t)port;
	}
	fail_msg("s_server said: %s", text);
	return 0;
}

/* Passes bytes on until both sides have closed; each direction is recorded. */
static void relay(int client, int server, struct lh_buffer ret[2])
{
	struct pollfd ends[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
	while (ends[0].fd >= 0 || ends[1].fd >= 0) {
		assert_true(poll(ends, 2, 60000) > 0);
		for (int side = 0; side < 2; side++) {
			char bytes[65536];
			if (ends[side].fd < 0 || !ends[side].revents)
				continue;
			ssize_t got = read(ends[side].fd, bytes, sizeof(bytes));
			if (got <= 0) {
				(void)shutdown(side ? client : server, SHUT_WR);
				ends[side].fd = -1;
				continue;
			}
			lh_buffer_append(&ret[side], bytes, (size_t)got);
			(void)send(side ? client : server, bytes, (size_t)got, MSG_NOSIGNAL);
		}
	}
}

/* One connection with these options, ended by s_server -rev at the line "CLOSE"; what the client sent, and what the
 * server sent. */
static void record_handshake(const char *version, struct lh_buffer ret[2])
{
	char command[512];
	int output;
	(void)snprintf(command, sizeof(command),
		       "exec openssl s_server -accept 127.0.0.1:0 -naccept 1 -rev -cert cert.pem -key key.pem %s",
		       version);
	pid_t server = start(command, &output);
	uint16_t server_port = accepted_port(output);
	uint16_t port;
	int listener = listen_on_loopback(&port);
	(void)snprintf(command, sizeof(command),
		       "printf 'hello\\nCLOSE\\n' | openssl s_client -ign_eof -connect 127.0.0.1:%u -servername "
		       "shop.example.org %s",
		       port, version);
	int client_output;
	pid_t client = start(command, &client_output);
	int from_client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(from_client >= 0);
	int to_server = connect_to_loopback(server_port);
	/* Nobody may block on a full pipe: the outputs are small. */
	relay(from_client, to_server, ret);
	close(from_client);
	close(to_server);
	close(listener);
	int status;
	assert_int_equal(waitpid(client, &status, 0), client);
	assert_int_equal(waitpid(server, &status, 0), server);
	close(output);
	close(client_output);
}

/* Truth: records of the stream by their headers, and those with a handshake in plain (the first byte says which). */
static size_t count_records(const struct lh_buffer *stream)
{
	struct lh_cursor cursor = lh_cursor_over(stream->data, stream->length);
	size_t count = 0;
	while (lh_cursor_left(&cursor)) {
		(void)lh_cursor_take(&cursor, 3);
		(void)lh_cursor_take(&cursor, lh_cursor_be16(&cursor));
		assert_false(cursor.failed);
		count++;
	}
	return count;
}

static void check_stream(const struct lh_buffer *stream, const char *const *shown)
{
	struct lh_recognizer_pass *pass = unit_pass_over(stream->data, stream->length, stream->length);
	const struct lh_class_count *handshakes = unit_class(pass, "tls-handshake");
	assert_int_equal(handshakes->count + unit_class(pass, "tls-record")->count, count_records(stream));
	size_t count;
	const struct lh_class_count *classes = unit_classes(pass, &count);
	uint64_t bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += classes[i].bytes;
	assert_int_equal(bytes, stream->length);
	for (; *shown; shown++) {
		if (!unit_has_example(handshakes, *shown))
			fail_msg("no example says '%s'", *shown);
	}
	lh_recognizer_pass_destroy(pass);
}

static void check_handshake(const char *version, const char *const *client_shown, const char *const *server_shown)
{
	struct lh_buffer streams[2] = {{0}, {0}};
	run("openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30 -subj "
	    "/CN=shop.example.org");
	record_handshake(version, streams);
	assert_success(lh_buffer_status(&streams[0]));
	check_stream(&streams[0], client_shown);
	check_stream(&streams[1], server_shown);
	lh_buffer_deinit(&streams[0]);
	lh_buffer_deinit(&streams[1]);
}

static void test_handshake_of_tls12(void **state)
{
	(void)state;
	static const char *const client[] = {"ClientHello, server name shop.example.org", "ClientKeyExchange", NULL};
	static const char *const server[] = {"ServerHello", "Certificate", "ServerKeyExchange", "ServerHelloDone",
					     NULL};
	check_handshake("-tls1_2", client, server);
}

static void test_handshake_of_tls13(void **state)
{
	(void)state;
	static const char *const client[] = {"ClientHello, TLS 1.3, server name shop.example.org", NULL};
	static const char *const server[] = {"ServerHello, TLS 1.3", NULL};
	check_handshake("-tls1_3", client, server);
}

/* ---------------------------------------------------------------- servers */

/* A server that listens on the socket "name" in the folder, where only this user can come; connected to. */
static int connect_to_server(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	for (int i = 0; i < 6000; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fd >= 0);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		close(fd);
		assert_int_equal(poll(NULL, 0, 10), 0); /* it begins to listen some time after its start */
	}
	fail_msg("nobody listens on %s", name);
	return -1;
}

/* What a client that is told to connect to 127.0.0.1:$PORT sends, and what the server behind the socket answers. */
static void record_client(const char *client_command, const char *server_socket, struct lh_buffer ret[2])
{
	char command[512];
	uint16_t port;
	int output, status;
	int listener = listen_on_loopback(&port);
	(void)snprintf(command, sizeof(command), "PORT=%u; %s", port, client_command);
	pid_t client = start(command, &output);
	int from_client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(from_client >= 0);
	int to_server = connect_to_server(server_socket);
	relay(from_client, to_server, ret);
	close(from_client);
	close(to_server);
	close(listener);
	assert_int_equal(waitpid(client, &status, 0), client);
	close(output);
	assert_success(lh_buffer_status(&ret[0]));
	assert_success(lh_buffer_status(&ret[1]));
}

static void end_server(pid_t server, int output)
{
	int status;
	assert_int_equal(kill(server, SIGTERM), 0);
	assert_int_equal(waitpid(server, &status, 0), server);
	close(output);
}

/* `count` matches of the class, which take `bytes` of the stream. */
static void assert_stream(const struct lh_buffer *stream, const char *name, size_t count, size_t bytes,
			  const char *shown)
{
	struct lh_recognizer_pass *pass = unit_pass_over(stream->data, stream->length, stream->length);
	const struct lh_class_count *class = unit_class(pass, name);
	if (class->count != count || class->bytes != bytes || !unit_has_example(class, shown))
		fail_msg("%lu %s with %lu bytes where %zu with %zu are, shown as '%s'", class->count, name,
			 class->bytes, count, bytes, class->example_count ? class->examples[0].text : "");
	lh_recognizer_pass_destroy(pass);
}

static void test_redis(void **state)
{
	(void)state;
	struct lh_buffer streams[2] = {{0}, {0}};
	int output;
	pid_t server = start("exec redis-server --port 0 --save '' --unixsocket redis", &output);
	record_client("exec redis-cli -p $PORT RPUSH list alice bob", "redis", streams);
	record_client("exec redis-cli -p $PORT SET 'user:1' '{\"a\": 1}'", "redis", streams);
	record_client("exec redis-cli -p $PORT LRANGE list 0 -1", "redis", streams);
	assert_stream(&streams[0], "resp", 3, streams[0].length, "RPUSH");
	/* ":2", "+OK", and the list. */
	const char *list = memchr(streams[1].data, '*', streams[1].length);
	assert_non_null(list);
	assert_stream(&streams[1], "resp", 1, streams[1].length - (size_t)(list - streams[1].data), "alice");
	lh_buffer_deinit(&streams[0]);
	lh_buffer_deinit(&streams[1]);
	end_server(server, output);
}

static const char nginx_settings[] =
	"daemon off; master_process off; pid pid; error_log error.log; events {} http { access_log off; "
	"client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5; "
	"ssl_certificate cert.pem; ssl_certificate_key key.pem; server { root .; "
	"listen unix:plain; listen unix:h2c http2; listen unix:tls ssl http2; } }";

static pid_t start_nginx(int *ret_output)
{
	char command[1024];
	run("openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 9 -subj "
	    "/CN=shop.example.org && seq 1000 > page.txt && chmod 711 . && chmod 644 page.txt");
	(void)snprintf(command, sizeof(command),
		       "printf '%%s' '%s' > nginx.conf; exec nginx -p $PWD -e error.log -c nginx.conf", nginx_settings);
	return start(command, ret_output);
}

/* Bytes up to the empty line behind the head. */
static size_t head_bytes(const struct lh_buffer *stream)
{
	const char *end = stream->data ? memmem(stream->data, stream->length, "\r\n\r\n", 4) : NULL;
	assert_non_null(end);
	return (size_t)(end - stream->data) + 4;
}

static void test_nginx(void **state)
{
	(void)state;
	int output;
	pid_t server = start_nginx(&output);
	struct lh_buffer streams[2] = {{0}, {0}};
	record_client("exec curl -s http://127.0.0.1:$PORT/page.txt", "plain", streams);
	assert_stream(&streams[0], "http1", 1, streams[0].length, "GET /page.txt HTTP/1.1");
	assert_stream(&streams[1], "http1", 1, head_bytes(&streams[1]), "HTTP/1.1 200 OK");
	lh_buffer_deinit(&streams[0]);
	lh_buffer_deinit(&streams[1]);

	record_client("exec curl -s --http2-prior-knowledge http://127.0.0.1:$PORT/page.txt", "h2c", streams);
	assert_stream(&streams[0], "http2", 1, strlen("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + 9 + 3 * 6,
		      "client preface, SETTINGS of 3");
	assert_stream(&streams[1], "http2", 1, 9 + 3 * 6, "SETTINGS of 3");
	lh_buffer_deinit(&streams[0]);
	lh_buffer_deinit(&streams[1]);

	record_client("exec curl -sk --connect-to ::127.0.0.1:$PORT https://shop.example.org/page.txt", "tls", streams);
	static const char *const client[] = {"ClientHello, TLS 1.3, server name shop.example.org, ALPN h2 http/1.1, ",
					     NULL};
	static const char *const answer[] = {"ServerHello", NULL};
	check_stream(&streams[0], client);
	check_stream(&streams[1], answer);
	lh_buffer_deinit(&streams[0]);
	lh_buffer_deinit(&streams[1]);
	end_server(server, output);
}

/* ---------------------------------------------------------------- buffers of records */

/* A record in OpenSSL's read buffer: offset 3 of a glibc chunk for one record; the same elsewhere is nothing. */
static void test_record_in_its_buffer(void **state)
{
	(void)state;
	enum { CHUNK = 64, SIZE = 0x4150 };
	static uint8_t memory[CHUNK + SIZE];
	uint64_t random = 5;
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)unit_random(&random);
	uint64_t size = SIZE | 1;
	memcpy(memory + CHUNK - 8, &size, sizeof(size));
	memcpy(memory + CHUNK + 3, "\x17\x03\x03\x01\x00", 5);
	struct lh_recognizer_pass *pass = unit_pass_over(memory, sizeof(memory), sizeof(memory));
	assert_only(pass, "tls-record", 5 + 256);
	lh_recognizer_pass_destroy(pass);
	memory[CHUNK - 7] = 0; /* another size */
	pass = unit_pass_over(memory, sizeof(memory), sizeof(memory));
	assert_int_equal(unit_class(pass, "tls-record")->count, 0);
	lh_recognizer_pass_destroy(pass);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	char command[128];
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_certificate_of_version_1),
		cmocka_unit_test(test_private_keys),
		cmocka_unit_test(test_encrypted_key),
		cmocka_unit_test(test_files_of_tools),
		cmocka_unit_test(test_handshake_of_tls12),
		cmocka_unit_test(test_handshake_of_tls13),
		cmocka_unit_test(test_redis),
		cmocka_unit_test(test_nginx),
		cmocka_unit_test(test_record_in_its_buffer),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
