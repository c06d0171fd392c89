/*
 * endpoint: where the sample services listen and connect: "127.0.0.1:PORT" (port 0: any free one) or
 * "unix:PATH". Loopback only: nothing outside of this machine can reach a sample.
 */
#ifndef LEAKHUNT_ENDPOINT_H
#define LEAKHUNT_ENDPOINT_H

#include "sample.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

struct endpoint {
	union {
		struct sockaddr any;
		struct sockaddr_in ip;
		struct sockaddr_un local;
	} address;
	socklen_t address_bytes;
};

static inline bool endpoint_parse_unix(const char *path, struct endpoint *ret)
{
	if (strlen(path) >= sizeof(ret->address.local.sun_path))
		return false;
	ret->address.local.sun_family = AF_UNIX;
	strcpy(ret->address.local.sun_path, path);
	ret->address_bytes = sizeof(ret->address.local);
	return true;
}

/* False unless it is "localhost:PORT", "127.0.0.1:PORT" or "unix:PATH". */
static inline bool endpoint_parse(const char *text, struct endpoint *ret)
{
	*ret = (struct endpoint){0};
	if (!strncmp(text, "unix:", 5))
		return endpoint_parse_unix(text + 5, ret);
	const char *colon = strrchr(text, ':');
	size_t host_length = colon ? (size_t)(colon - text) : 0;
	if (!(host_length == 9 && (!memcmp(text, "localhost", 9) || !memcmp(text, "127.0.0.1", 9))))
		return false;
	char *end;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end || port > 65535)
		return false;
	ret->address.ip.sin_family = AF_INET;
	ret->address.ip.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ret->address.ip.sin_port = htons((uint16_t)port);
	ret->address_bytes = sizeof(ret->address.ip);
	return true;
}

static inline int endpoint_socket(const struct endpoint *endpoint, int flags)
{
	int one = 1;
	int fd = socket(endpoint->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd >= 0 && endpoint->address.any.sa_family == AF_INET)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* The listening socket; `endpoint` then holds its port. Dies on failure. */
static inline int endpoint_listen(struct endpoint *endpoint, int flags)
{
	int one = 1;
	int fd = endpoint_socket(endpoint, flags);
	if (endpoint->address.any.sa_family == AF_UNIX)
		unlink(endpoint->address.local.sun_path);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, &endpoint->address.any, endpoint->address_bytes) || listen(fd, 128) ||
	    getsockname(fd, &endpoint->address.any, &endpoint->address_bytes))
		sample_die("cannot listen: %s", strerror(errno));
	return fd;
}

/* A connected (with SOCK_NONBLOCK: perhaps still connecting) socket, or -1. */
static inline int endpoint_connect(const struct endpoint *endpoint, int flags)
{
	int fd = endpoint_socket(endpoint, flags);
	if (fd >= 0 && connect(fd, &endpoint->address.any, endpoint->address_bytes) && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline unsigned endpoint_port(const struct endpoint *endpoint)
{
	return endpoint->address.any.sa_family == AF_INET ? ntohs(endpoint->address.ip.sin_port) : 0;
}

#endif
