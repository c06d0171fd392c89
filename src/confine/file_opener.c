/*
 * file_opener: a process of leakhunt's own that opens files for the one that parses hostile bytes. Only it keeps
 * CAP_DAC_READ_SEARCH. It parses nothing, and the same Landlock rules confine it. Input: requests, perhaps hostile.
 * Output: read-only descriptors of regular files that begin as ELF does, and O_PATH descriptors, which do not allow
 * reading.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH_FLAGS    (O_PATH | O_CLOEXEC)
#define READING_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

struct request {
	int32_t flags;
	char path[PATH_MAX]; /* ends with a NUL */
};

/* One request at a time. -1: there is no opener. */
static int opener_fd = -1;
static pthread_mutex_t opener_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---------------------------------------------------------------- messages */

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* `sent_fd` of -1: none goes along. */
static bool send_message(int socket_fd, void *bytes, size_t length, int sent_fd)
{
	union control control = {0};
	struct iovec part = {.iov_base = bytes, .iov_len = length};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (sent_fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		*header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(header), &sent_fd, sizeof(int));
	}
	ssize_t sent;
	while ((sent = sendmsg(socket_fd, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	return sent == (ssize_t)length;
}

/* *ret_fd: the caller's, or -1. False at the end of the other side. */
static bool receive_message(int socket_fd, void *bytes, size_t length, int *ret_fd)
{
	union control control = {0};
	struct iovec part = {.iov_base = bytes, .iov_len = length};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	ssize_t received;
	*ret_fd = -1;
	while ((received = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	const struct cmsghdr *header = received > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
	return received == (ssize_t)length;
}

/* ---------------------------------------------------------------- the opener */

static bool is_elf(int fd)
{
	struct stat status;
	char magic[4];
	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	       pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) && !memcmp(magic, "\177ELF", sizeof(magic));
}

/* A descriptor, or -1 and errno. */
static int open_requested(int root_fd, struct request *request)
{
	request->path[sizeof(request->path) - 1] = '\0';
	if (root_fd < 0 || (request->flags != PATH_FLAGS && request->flags != READING_FLAGS)) {
		errno = EACCES;
		return -1;
	}
	int fd = lh_open_below(root_fd, request->path, request->flags);
	if (fd < 0 || request->flags == PATH_FLAGS || is_elf(fd))
		return fd;
	close(fd);
	errno = EACCES;
	return -1;
}

/* Until the other side ends. Ctrl-C is for the requesting side. */
static _Noreturn void serve_requests(int socket_fd)
{
	static struct request request;
	int root_fd;
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (socket_fd > 0)
		(void)syscall(SYS_close_range, 0, socket_fd - 1, 0);
	(void)syscall(SYS_close_range, socket_fd + 1, ~0u, 0);
	lh_capabilities_drop(UINT64_C(1) << CAP_DAC_READ_SEARCH);
	while (receive_message(socket_fd, &request, sizeof(request), &root_fd)) {
		int fd = open_requested(root_fd, &request);
		int32_t status = fd < 0 ? errno : 0;
		bool is_sent = send_message(socket_fd, &status, sizeof(status), fd);
		lh_cleanup_close(&fd);
		lh_cleanup_close(&root_fd);
		if (!is_sent)
			break;
	}
	_exit(0);
}

void lh_file_opener_start(void)
{
	int sockets[2];
	if (opener_fd >= 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
		return;
	pid_t pid = fork();
	if (!pid) {
		close(sockets[0]);
		serve_requests(sockets[1]);
	}
	close(sockets[1]);
	if (pid < 0)
		close(sockets[0]);
	else
		opener_fd = sockets[0];
}

/* ---------------------------------------------------------------- those that ask */

static int ask_opener(int root_fd, const char *path, int flags)
{
	static struct request request;
	int32_t status = EACCES;
	int fd = -1;
	size_t length = strlen(path);
	if (length >= sizeof(request.path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	pthread_mutex_lock(&opener_lock);
	request.flags = flags;
	memcpy(request.path, path, length + 1);
	if (!send_message(opener_fd, &request, sizeof(request), root_fd) ||
	    !receive_message(opener_fd, &status, sizeof(status), &fd))
		status = EACCES;
	pthread_mutex_unlock(&opener_lock);
	errno = status;
	return fd;
}

int lh_confined_open_below(int root_fd, const char *path, int flags)
{
	int fd = lh_open_below(root_fd, path, flags);
	return fd >= 0 || errno != EACCES || opener_fd < 0 ? fd : ask_opener(root_fd, path, flags);
}
