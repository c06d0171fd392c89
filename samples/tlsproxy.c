/*
 * tlsproxy: a small HTTPS proxy on OpenSSL with a leak as real ones have: it ends TLS, and sends each
 * request to --upstream in plain HTTP (reverse proxy), to the host of an absolute URI, or opens a
 * tunnel for CONNECT (forward proxy). One poll loop in the main thread serves all connections. When
 * the upstream refuses or answers 5xx, the way out closes the sockets but forgets SSL_free(), unless
 * --fixed. Truth: each such connection leaves one SSL with all it holds in the brk heap.
 */
#include "endpoint.h"

#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define BUFFER_BYTES    16384
#define CONNECTIONS_MAX 512

struct buffer {
	size_t start; /* bytes in use: [start, end) */
	size_t end;
	char bytes[BUFFER_BYTES + 1]; /* the last one stays NUL: searches for text end there */
};

enum phase {
	PHASE_HANDSHAKE,
	PHASE_REQUEST,  /* reads the client's request up to its empty line */
	PHASE_UPSTREAM, /* connects, sends the request, reads the status line of the answer */
	PHASE_RELAY,    /* passes bytes on, both ways, until one side ends */
};

/* What a phase came to. */
enum outcome { OUTCOME_WAIT, OUTCOME_GO_ON, OUTCOME_DONE, OUTCOME_BAD_GATEWAY };

struct connection;
typedef enum outcome move(struct connection *connection);

struct connection {
	SSL *ssl;
	int client_fd;
	int upstream_fd; /* -1 until connected */
	short client_events;
	short upstream_events;
	enum phase phase;
	bool upstream_has_ended;
	struct buffer to_upstream;
	struct buffer to_client;
};

static struct endpoint listen_endpoint, upstream_endpoint;
static bool is_fixed;
static const char *certificate_name = "proxy.shop.example";
static int listen_fd;
static SSL_CTX *context;
static struct connection *connections[CONNECTIONS_MAX];
static size_t connection_count;

/* Written by the main thread, read by the one that answers stdin. */
static _Atomic uint64_t accepted_count, leaked_count, ssl_bytes, last_leak_inverted, open_count;
static uint64_t released_bytes, released_count;
static bool is_releasing;

/* ---------------------------------------------------------------- certificate */

static EVP_PKEY *make_key(void)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *generator = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
	if (!generator || EVP_PKEY_keygen_init(generator) <= 0 ||
	    EVP_PKEY_CTX_set_rsa_keygen_bits(generator, 2048) <= 0 || EVP_PKEY_keygen(generator, &key) <= 0)
		sample_die("tlsproxy: cannot make a key");
	EVP_PKEY_CTX_free(generator);
	return key;
}

static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 20260001);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 7L * 24 * 3600);
	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"Shop Example Ltd", -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)certificate_name, -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	if (!X509_sign(certificate, key, EVP_sha256()))
		sample_die("tlsproxy: cannot make a certificate");
	return certificate;
}

/* As if read from a file: a parsed X509 keeps the bytes that it was parsed from, a made one doesn't. */
static X509 *reread_certificate(X509 *made)
{
	unsigned char *der = NULL;
	int length = i2d_X509(made, &der);
	const unsigned char *at = der;
	X509 *parsed = length > 0 ? d2i_X509(NULL, &at, length) : NULL;
	if (!parsed)
		sample_die("tlsproxy: cannot read its certificate");
	OPENSSL_free(der);
	X509_free(made);
	return parsed;
}

/* Sessions aren't kept, so that nothing but the leak grows. */
static SSL_CTX *make_context(void)
{
	EVP_PKEY *key = make_key();
	X509 *certificate = reread_certificate(make_certificate(key));
	SSL_CTX *made = SSL_CTX_new(TLS_server_method());
	if (!made || SSL_CTX_use_certificate(made, certificate) != 1 || SSL_CTX_use_PrivateKey(made, key) != 1)
		sample_die("tlsproxy: cannot make an SSL_CTX");
	SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return made;
}

/* ---------------------------------------------------------------- ends of a connection */

static void forget(struct connection *connection)
{
	close(connection->client_fd);
	if (connection->upstream_fd >= 0)
		close(connection->upstream_fd);
	free(connection);
	open_count--;
}

/* ---------------------------------------------------------------- what an SSL holds */

static void *allocate(size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(bytes);
}

static void *reallocate(void *block, size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return realloc(block, bytes);
}

/* OpenSSL frees all its blocks by this function. mallinfo2 would not do: blocks in tcache count as in use there. */
static void count_and_free(void *block, const char *file, int line)
{
	(void)file;
	(void)line;
	released_bytes += is_releasing ? malloc_usable_size(block) : 0;
	free(block);
}

/* Frees an SSL, and counts the usable bytes of all blocks that go with it: the mean is told. */
static void release(SSL *ssl)
{
	is_releasing = true;
	SSL_free(ssl);
	is_releasing = false;
	released_count++;
	ssl_bytes = released_bytes / released_count;
}

static void finish(struct connection *connection)
{
	SSL_shutdown(connection->ssl);
	release(connection->ssl);
	forget(connection);
}

/* The error path. */
static void refuse(struct connection *connection)
{
	static const char page[] = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n"
				   "Connection: close\r\n\r\nbad gateway\n";
	SSL_write(connection->ssl, page, sizeof(page) - 1);
	SSL_shutdown(connection->ssl);
	if (is_fixed) {
		release(connection->ssl);
	} else {
		last_leak_inverted = ~(uint64_t)(uintptr_t)connection->ssl;
		leaked_count++;
	}
	forget(connection);
}

/* ---------------------------------------------------------------- moving bytes */

static size_t used_bytes(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}

static size_t make_room(struct buffer *buffer)
{
	memmove(buffer->bytes, buffer->bytes + buffer->start, used_bytes(buffer));
	buffer->end -= buffer->start;
	buffer->start = 0;
	return BUFFER_BYTES - buffer->end;
}

/* What an OpenSSL call that did not succeed asks for. */
static enum outcome tls_outcome(struct connection *connection, int result)
{
	switch (SSL_get_error(connection->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		connection->client_events |= POLLIN;
		return OUTCOME_WAIT;
	case SSL_ERROR_WANT_WRITE:
		connection->client_events |= POLLOUT;
		return OUTCOME_WAIT;
	default:
		ERR_clear_error();
		return OUTCOME_DONE;
	}
}

static enum outcome read_client(struct connection *connection)
{
	struct buffer *buffer = &connection->to_upstream;
	size_t room = make_room(buffer);
	if (!room)
		return OUTCOME_WAIT;
	int got = SSL_read(connection->ssl, buffer->bytes + buffer->end, (int)room);
	if (got <= 0)
		return tls_outcome(connection, got);
	buffer->end += (size_t)got;
	return OUTCOME_GO_ON;
}

static enum outcome write_client(struct connection *connection)
{
	struct buffer *buffer = &connection->to_client;
	if (!used_bytes(buffer))
		return OUTCOME_WAIT;
	int put = SSL_write(connection->ssl, buffer->bytes + buffer->start, (int)used_bytes(buffer));
	if (put <= 0)
		return tls_outcome(connection, put);
	buffer->start += (size_t)put;
	return OUTCOME_GO_ON;
}

static enum outcome read_upstream(struct connection *connection)
{
	struct buffer *buffer = &connection->to_client;
	size_t room = make_room(buffer);
	if (!room || connection->upstream_has_ended)
		return OUTCOME_WAIT;
	ssize_t got = read(connection->upstream_fd, buffer->bytes + buffer->end, room);
	if (got > 0) {
		buffer->end += (size_t)got;
		return OUTCOME_GO_ON;
	}
	if (got < 0 && errno == EAGAIN) {
		connection->upstream_events |= POLLIN;
		return OUTCOME_WAIT;
	}
	connection->upstream_has_ended = true;
	return OUTCOME_GO_ON;
}

static enum outcome write_upstream(struct connection *connection)
{
	struct buffer *buffer = &connection->to_upstream;
	if (!used_bytes(buffer))
		return OUTCOME_WAIT;
	ssize_t put = write(connection->upstream_fd, buffer->bytes + buffer->start, used_bytes(buffer));
	if (put > 0) {
		buffer->start += (size_t)put;
		return OUTCOME_GO_ON;
	}
	if (errno != EAGAIN && errno != ENOTCONN)
		return OUTCOME_BAD_GATEWAY;
	connection->upstream_events |= POLLOUT;
	return OUTCOME_WAIT;
}

/* ---------------------------------------------------------------- requests */

/* Where a request goes, and its target as the upstream wants it; false when it can't be understood. */
static bool route(char *line, struct endpoint *ret_endpoint, char **ret_target)
{
	char *target = strchr(line, ' ');
	*ret_endpoint = upstream_endpoint;
	*ret_target = target ? target + 1 : NULL;
	if (!target)
		return false;
	if (strncmp(target + 1, "http://", 7) != 0)
		return true;
	char *host = target + 8, *path = strchr(host, '/');
	if (!path)
		return false;
	*path = '\0';
	bool is_known = endpoint_parse(host, ret_endpoint);
	*path = '/';
	*ret_target = path;
	return is_known;
}

/* Puts the request line with `target` in place of its own; asks the upstream to close afterwards. */
static bool rewrite(struct buffer *buffer, const char *target, size_t line_length, size_t head_length)
{
	char rewritten[BUFFER_BYTES];
	const char *line = buffer->bytes + buffer->start;
	int method_length = (int)strcspn(line, " ");
	int length = snprintf(rewritten, sizeof(rewritten), "%.*s %.*s\r\nConnection: close%.*s", method_length, line,
			      (int)(line + line_length - target), target, (int)(head_length - line_length),
			      line + line_length);
	size_t rest = used_bytes(buffer) - head_length;
	if (length < 0 || (size_t)length + rest > sizeof(rewritten))
		return false;
	memcpy(rewritten + length, line + head_length, rest);
	memcpy(buffer->bytes, rewritten, (size_t)length + rest);
	buffer->start = 0;
	buffer->end = (size_t)length + rest;
	return true;
}

/* CONNECT: what follows its head belongs to the tunnel; the client hears that it stands. */
static bool open_tunnel(struct connection *connection, char *line, size_t head_length)
{
	static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	struct endpoint endpoint;
	char *host = line + strlen("CONNECT ");
	host[strcspn(host, " \r")] = '\0';
	if (!endpoint_parse(host, &endpoint))
		return false;
	connection->upstream_fd = endpoint_connect(&endpoint, SOCK_NONBLOCK);
	connection->to_upstream.start += head_length;
	memcpy(connection->to_client.bytes, established, sizeof(established) - 1);
	connection->to_client.end = sizeof(established) - 1;
	connection->phase = PHASE_RELAY;
	return connection->upstream_fd >= 0;
}

static bool forward(struct connection *connection, char *line, size_t head_length)
{
	struct endpoint endpoint;
	char *target;
	size_t line_length = strcspn(line, "\r");
	if (!route(line, &endpoint, &target) || !rewrite(&connection->to_upstream, target, line_length, head_length))
		return false;
	connection->upstream_fd = endpoint_connect(&endpoint, SOCK_NONBLOCK);
	connection->phase = PHASE_UPSTREAM;
	return connection->upstream_fd >= 0;
}

/* ---------------------------------------------------------------- phases */

static enum outcome handshake(struct connection *connection)
{
	int result = SSL_accept(connection->ssl);
	if (result <= 0)
		return tls_outcome(connection, result);
	connection->phase = PHASE_REQUEST;
	return OUTCOME_GO_ON;
}

static enum outcome take_request(struct connection *connection)
{
	struct buffer *buffer = &connection->to_upstream;
	enum outcome outcome = read_client(connection);
	char *line = buffer->bytes + buffer->start;
	char *end = memmem(line, used_bytes(buffer), "\r\n\r\n", 4);
	if (!end)
		return outcome == OUTCOME_WAIT && used_bytes(buffer) == BUFFER_BYTES ? OUTCOME_DONE : outcome;
	size_t head_length = (size_t)(end + 4 - line);
	bool is_routed = strncmp(line, "CONNECT ", 8) != 0 ? forward(connection, line, head_length)
							   : open_tunnel(connection, line, head_length);
	return is_routed ? OUTCOME_GO_ON : OUTCOME_BAD_GATEWAY;
}

static enum outcome ask_upstream(struct connection *connection)
{
	enum outcome written = write_upstream(connection);
	if (written != OUTCOME_WAIT || connection->upstream_events)
		return written;
	enum outcome read = read_upstream(connection);
	const struct buffer *answer = &connection->to_client;
	const size_t status_bytes = strlen("HTTP/1.1 200");
	if (used_bytes(answer) < status_bytes)
		return connection->upstream_has_ended ? OUTCOME_BAD_GATEWAY : read;
	if (answer->bytes[answer->start + strlen("HTTP/1.1 ")] == '5')
		return OUTCOME_BAD_GATEWAY;
	connection->phase = PHASE_RELAY;
	return OUTCOME_GO_ON;
}

static enum outcome relay(struct connection *connection)
{
	static move *const moves[] = {read_upstream, write_client, read_client, write_upstream};
	bool has_moved = false;
	for (size_t i = 0; i < sizeof(moves) / sizeof(*moves); i++) {
		enum outcome outcome = moves[i](connection);
		if (outcome == OUTCOME_DONE || outcome == OUTCOME_BAD_GATEWAY)
			return OUTCOME_DONE;
		has_moved |= outcome == OUTCOME_GO_ON;
	}
	if (connection->upstream_has_ended && !used_bytes(&connection->to_client))
		return OUTCOME_DONE;
	return has_moved ? OUTCOME_GO_ON : OUTCOME_WAIT;
}

/* Goes as far as it can without waiting; false when the connection has ended and is gone. */
static bool advance(struct connection *connection)
{
	static move *const phases[] = {
		[PHASE_HANDSHAKE] = handshake,
		[PHASE_REQUEST] = take_request,
		[PHASE_UPSTREAM] = ask_upstream,
		[PHASE_RELAY] = relay,
	};
	for (;;) {
		connection->client_events = connection->upstream_events = 0;
		switch (phases[connection->phase](connection)) {
		case OUTCOME_GO_ON:
			continue;
		case OUTCOME_WAIT:
			return true;
		case OUTCOME_DONE:
			finish(connection);
			return false;
		case OUTCOME_BAD_GATEWAY:
			refuse(connection);
			return false;
		}
	}
}

/* ---------------------------------------------------------------- the loop */

static void accept_one(void)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	struct connection *connection = calloc(1, sizeof(*connection));
	SSL *ssl = SSL_new(context);
	if (!connection || !ssl)
		sample_die("tlsproxy: out of memory");
	SSL_set_fd(ssl, fd);
	*connection = (struct connection){.ssl = ssl, .client_fd = fd, .upstream_fd = -1};
	accepted_count++;
	open_count++;
	if (advance(connection))
		connections[connection_count++] = connection;
}

static struct pollfd poll_entry(int fd, short events)
{
	return (struct pollfd){.fd = events ? fd : -1, .events = events};
}

/* Advances each connection that poll reported, and closes the ranks. */
static void serve(const struct pollfd *entries)
{
	size_t kept = 0;
	for (size_t i = 0; i < connection_count; i++) {
		bool is_ready = entries[2 * i].revents || entries[2 * i + 1].revents;
		if (!is_ready || advance(connections[i]))
			connections[kept++] = connections[i];
	}
	connection_count = kept;
}

static void work(struct sample *sample)
{
	static struct pollfd entries[2 * CONNECTIONS_MAX + 1];
	(void)sample;
	for (;;) {
		size_t count = 0;
		for (size_t i = 0; i < connection_count; i++) {
			entries[count++] = poll_entry(connections[i]->client_fd, connections[i]->client_events);
			entries[count++] = poll_entry(connections[i]->upstream_fd, connections[i]->upstream_events);
		}
		entries[count] = poll_entry(listen_fd, connection_count < CONNECTIONS_MAX ? POLLIN : 0);
		if (poll(entries, count + 1, -1) <= 0)
			continue;
		serve(entries);
		if (entries[count].revents)
			accept_one();
	}
}

/* ---------------------------------------------------------------- the sample */

static bool flag(struct sample *sample, const char *name)
{
	if (strcmp(name, "--fixed") != 0)
		return false;
	is_fixed = true;
	sample->condition = "steady";
	sample->region_kind = NULL;
	return true;
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (!strcmp(name, "--listen") || !strcmp(name, "--upstream")) {
		if (!endpoint_parse(value, !strcmp(name, "--listen") ? &listen_endpoint : &upstream_endpoint))
			sample_die("tlsproxy: %s %s: give 127.0.0.1:PORT or unix:PATH", name, value);
	} else if (!strcmp(name, "--name")) {
		certificate_name = value;
	} else {
		return false;
	}
	return true;
}

static void begin(struct sample *sample)
{
	(void)sample;
	if (!CRYPTO_set_mem_functions(allocate, reallocate, count_and_free))
		sample_die("tlsproxy: OpenSSL has allocated before");
	if (!upstream_endpoint.address_bytes)
		sample_die("tlsproxy: --upstream 127.0.0.1:PORT or unix:PATH is missing; `tlsload --serve` can be it");
	context = make_context();
	listen_fd = endpoint_listen(&listen_endpoint, SOCK_NONBLOCK);
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	sample->leaked_blocks = leaked_count;
	sample->leaked_bytes = leaked_count * ssl_bytes;
	sample->last_addr_inverted = last_leak_inverted;
	snprintf(ret, ret_bytes,
		 ",\"port\":%u,\"certificate\":\"%s\",\"is_fixed\":%s,\"connections\":%" PRIu64 ",\"open\":%" PRIu64
		 ",\"leaked\":%" PRIu64 ",\"ssl_bytes\":%" PRIu64,
		 endpoint_port(&listen_endpoint), certificate_name, is_fixed ? "true" : "false", accepted_count,
		 open_count, leaked_count, ssl_bytes);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "tlsproxy",
				.condition = "leak",
				.region_kind = "heap",
				.own_options = "--upstream 127.0.0.1:PORT|unix:PATH [--listen 127.0.0.1:PORT] "
					       "[--name HOST] [--fixed] ",
				.flag = flag,
				.option = option,
				.begin = begin,
				.work = work,
				.describe = describe};
	endpoint_parse("127.0.0.1:0", &listen_endpoint);
	return sample_main(&sample, argc, argv);
}
