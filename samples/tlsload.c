/*
 * tlsload: drives tlsproxy over loopback: --rate requests a second over TLS, each with a host name
 * (SNI) of a small shop, --errors percent of them for a part of the shop whose backend is down. With
 * --serve it is the upstream as well: a thread that answers in plain HTTP, with JSON or with 502. It
 * stops by itself after --seconds or --requests, or at SIGTERM, and prints its counts as JSON.
 */
#include "endpoint.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#define CLIENTS           2
#define TIMEOUT_S         10
#define FAILURES_IN_A_ROW 50
#define FAILING_PATH      "/v1/payments/"

struct load {
	struct endpoint proxy;
	struct endpoint upstream; /* address_bytes 0: somebody else's */
	uint64_t rate;            /* requests a second */
	uint64_t errors_percent;
	uint64_t requests_max;
	uint64_t seconds_max;
	uint64_t deadline_ms;
	SSL_CTX *context;
	_Atomic uint64_t started_count, ok_count, bad_gateway_count, failed_count, failed_in_a_row;
};

static struct load load = {.rate = 50, .errors_percent = 30, .requests_max = UINT64_MAX, .seconds_max = 60};
static _Atomic bool is_asked_to_stop;

/* Not const: OpenSSL's SNI macro casts const away. */
static char hosts[][24] = {"api.shop.example", "img.shop.example", "login.shop.example", "cdn.shop.example",
			   "mail.shop.example"};

/* ---------------------------------------------------------------- upstream */

static void answer(int fd, const char *request)
{
	char body[256], reply[512];
	const char *path = strchr(request, ' ');
	bool is_down = path && !strncmp(path + 1, FAILING_PATH, strlen(FAILING_PATH));
	unsigned long number = 0;
	if (path)
		sscanf(path, " /v1/orders/%lu", &number);
	int body_length =
		is_down ? snprintf(body, sizeof(body), "{\"error\":\"payment backend is down\"}\n")
			: snprintf(body, sizeof(body),
				   "{\"order\":%lu,\"status\":\"shipped\",\"customer\":\"c%lu@mail.example\"}\n",
				   number, number % 100);
	int length = snprintf(reply, sizeof(reply),
			      "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
			      "Connection: close\r\n\r\n%s",
			      is_down ? "502 Bad Gateway" : "200 OK", body_length, body);
	for (int sent = 0, put; sent < length; sent += put)
		if ((put = (int)write(fd, reply + sent, (size_t)(length - sent))) <= 0)
			return;
}

static void *serve_upstream(void *argument)
{
	int listen_fd = *(int *)argument;
	for (;;) {
		char request[4096];
		size_t used = 0;
		ssize_t got;
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		while (fd >= 0 && used < sizeof(request) - 1 &&
		       (got = read(fd, request + used, sizeof(request) - 1 - used)) > 0) {
			used += (size_t)got;
			request[used] = '\0';
			if (strstr(request, "\r\n\r\n")) {
				answer(fd, request);
				break;
			}
		}
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void start_upstream(void)
{
	static int listen_fd;
	pthread_t thread;
	listen_fd = endpoint_listen(&load.upstream, 0);
	if (pthread_create(&thread, NULL, serve_upstream, &listen_fd))
		sample_die("tlsload: cannot start a thread");
}

/* ---------------------------------------------------------------- clients */

/* Of the first n requests, floor(n * percent / 100) fail: spread evenly. */
static bool is_failing(uint64_t number)
{
	return (number + 1) * load.errors_percent / 100 > number * load.errors_percent / 100;
}

/* The status code of the answer, or 0. */
static int exchange(SSL *ssl, uint64_t number, const char *host)
{
	char request[512], answered[4096];
	int length = snprintf(request, sizeof(request),
			      "GET %s%06" PRIu64 " HTTP/1.1\r\nHost: %s\r\nUser-Agent: tlsload/1.0\r\n"
			      "Accept: application/json\r\nX-Request-Id: %08" PRIx64 "\r\n\r\n",
			      is_failing(number) ? FAILING_PATH : "/v1/orders/", number, host, number * 2654435761u);
	if (SSL_connect(ssl) != 1 || SSL_write(ssl, request, length) != length)
		return 0;
	int used = 0, got;
	while (used < (int)sizeof(answered) - 1 &&
	       (got = SSL_read(ssl, answered + used, (int)sizeof(answered) - 1 - used)) > 0)
		used += got;
	answered[used] = '\0';
	int status = 0;
	return sscanf(answered, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

static int request(uint64_t number)
{
	struct timeval timeout = {.tv_sec = TIMEOUT_S};
	char *host = hosts[number % (sizeof(hosts) / sizeof(*hosts))];
	int fd = endpoint_connect(&load.proxy, 0);
	if (fd < 0)
		return 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	SSL *ssl = SSL_new(load.context);
	int status = 0;
	if (ssl && SSL_set_fd(ssl, fd) && SSL_set_tlsext_host_name(ssl, host)) {
		status = exchange(ssl, number, host);
		SSL_shutdown(ssl);
	}
	ERR_clear_error();
	SSL_free(ssl);
	close(fd);
	return status;
}

static void count(int status)
{
	_Atomic uint64_t *counter = status == 200   ? &load.ok_count
				    : status == 502 ? &load.bad_gateway_count
						    : &load.failed_count;
	++*counter;
	load.failed_in_a_row = status ? 0 : load.failed_in_a_row + 1;
}

static bool is_over(void)
{
	return is_asked_to_stop || sample_now_ms() >= load.deadline_ms || load.failed_in_a_row >= FAILURES_IN_A_ROW;
}

/* Request number n is due n / rate seconds after the start; one that is late goes out at once. */
static void *drive(void *argument)
{
	uint64_t started_ms = *(const uint64_t *)argument;
	uint64_t number;
	while (!is_over() && (number = load.started_count++) < load.requests_max) {
		uint64_t due_ms = started_ms + number * 1000 / load.rate;
		for (uint64_t now_ms; (now_ms = sample_now_ms()) < due_ms && !is_over();)
			sample_sleep_ms(due_ms - now_ms < 50 ? (unsigned)(due_ms - now_ms) : 50);
		if (!is_over())
			count(request(number));
	}
	return NULL;
}

static void run_clients(void)
{
	pthread_t clients[CLIENTS];
	uint64_t started_ms = sample_now_ms();
	load.deadline_ms = started_ms + load.seconds_max * 1000;
	for (unsigned i = 0; i < CLIENTS; i++)
		if (pthread_create(&clients[i], NULL, drive, &started_ms))
			sample_die("tlsload: cannot start a thread");
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_join(clients[i], NULL);
}

/* ---------------------------------------------------------------- command line */

static void stop(int signal_number)
{
	(void)signal_number;
	is_asked_to_stop = true;
}

static void take_option(const char *name, const char *value)
{
	bool is_good = true;
	if (!strcmp(name, "--proxy"))
		is_good = endpoint_parse(value, &load.proxy);
	else if (!strcmp(name, "--serve"))
		is_good = endpoint_parse(value, &load.upstream);
	else if (!strcmp(name, "--rate"))
		is_good = (load.rate = sample_number(name, value)) > 0;
	else if (!strcmp(name, "--errors"))
		is_good = (load.errors_percent = sample_number(name, value)) <= 100;
	else if (!strcmp(name, "--requests"))
		load.requests_max = sample_number(name, value);
	else if (!strcmp(name, "--seconds"))
		load.seconds_max = sample_number(name, value);
	else
		sample_die("tlsload: unknown option '%s'; options: --proxy 127.0.0.1:PORT, --serve 127.0.0.1:PORT or "
			   "unix:PATH, --rate N, --errors PERCENT, --requests N, --seconds N",
			   name);
	if (!is_good)
		sample_die("tlsload: %s cannot be '%s'", name, value);
}

static void print_counts(const char *prefix)
{
	char line[512];
	snprintf(line, sizeof(line),
		 "%s{\"pid\":%d,\"name\":\"tlsload\",\"serve_port\":%u,\"ok\":%" PRIu64 ",\"bad_gateway\":%" PRIu64
		 ",\"failed\":%" PRIu64 "}\n",
		 prefix, getpid(), endpoint_port(&load.upstream), load.ok_count, load.bad_gateway_count,
		 load.failed_count);
	sample_write(line);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, stop);
	for (int i = 1; i < argc; i += 2)
		take_option(argv[i], i + 1 < argc ? argv[i + 1] : "");
	if (!load.proxy.address_bytes)
		sample_die("tlsload: --proxy 127.0.0.1:PORT is missing: tlsproxy says its port");
	load.context = SSL_CTX_new(TLS_client_method());
	if (!load.context)
		sample_die("tlsload: cannot make an SSL_CTX");
	if (load.upstream.address_bytes)
		start_upstream();
	print_counts("READY ");
	run_clients();
	if (load.upstream.address.any.sa_family == AF_UNIX)
		unlink(load.upstream.address.local.sun_path);
	print_counts("");
	return load.ok_count && !load.failed_count ? 0 : 1;
}
