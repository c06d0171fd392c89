/*
 * blocking_setup: what samples/blocking_calls needs to put threads into system calls: the list of calls, the threads
 * that run them, and the files, pipes and sockets that make them wait. Any failure during set-up ends the program.
 * Nothing here depends on an observer.
 */
#ifndef LEAKHUNT_BLOCKING_SETUP_H
#define LEAKHUNT_BLOCKING_SETUP_H

#include "sample.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define POINTER(pointer)  ((long)(uintptr_t)(pointer))
#define NOTHING           0L
#define SIGNAL_MASK_BYTES 8L

enum { CALLS_MAX = 100, BUFFER_BYTES = 4096, LATE_MS = 60000, STUCK_MS = 40000 };

struct call {
	const char *name;
	long number;
	long arguments[6];
	bool is_timed;                  /* ends by itself */
	void (*release)(struct call *); /* gives it what it waits for */
	int release_fd;                 /* for release */
	void *shared;                   /* for release */
	_Atomic pid_t tid;
	_Atomic bool has_ended;
	bool is_unasked;
	pthread_t thread;
	long result;
	int error_number;
	uint64_t due_ms; /* when a timed call may end */
	uint64_t ended_ms;
};

static struct call calls[CALLS_MAX];
static size_t call_count;
static int expiry_ms = 2000;

static inline int must(const char *what, int result)
{
	if (result < 0)
		sample_die("blocking_calls: %s: %s", what, strerror(errno));
	return result;
}

/* ---------------------------------------------------------------- memory that lasts */

static inline void *buffer(void)
{
	void *bytes = calloc(1, BUFFER_BYTES);
	if (!bytes)
		sample_die("blocking_calls: no memory");
	return bytes;
}

static inline void *copy_of(const void *bytes, size_t length)
{
	return memcpy(buffer(), bytes, length);
}

static inline const char *name_of(const char *name, const char *suffix)
{
	char *text = buffer();
	snprintf(text, BUFFER_BYTES, "%s%s", name, suffix);
	return text;
}

static inline void *iovec_of(size_t bytes)
{
	const struct iovec vector = {.iov_base = buffer(), .iov_len = bytes};
	return copy_of(&vector, sizeof(vector));
}

/* A struct timespec of its own: some calls write to it. */
static inline void *expiry(void)
{
	const struct timespec interval = {.tv_sec = expiry_ms / 1000, .tv_nsec = expiry_ms % 1000 * 1000000L};
	return copy_of(&interval, sizeof(interval));
}

/* The end of an absolute timeout: for add_timed_absolute. */
static inline void *expiry_after(clockid_t clock)
{
	struct timespec end;
	clock_gettime(clock, &end);
	end.tv_sec += expiry_ms / 1000;
	end.tv_nsec += expiry_ms % 1000 * 1000000L;
	if (end.tv_nsec >= 1000000000L)
		end.tv_sec++, end.tv_nsec -= 1000000000L;
	return copy_of(&end, sizeof(end));
}

/* ---------------------------------------------------------------- the list */

static inline struct call *last_call(void)
{
	return &calls[call_count - 1];
}

static inline struct call *add_call(const char *name, long number, const long arguments[6])
{
	if (call_count == CALLS_MAX)
		sample_die("blocking_calls: more than %d calls", CALLS_MAX);
	struct call *call = &calls[call_count++];
	call->name = name;
	call->number = number;
	memcpy(call->arguments, arguments, sizeof(call->arguments));
	return call;
}

static inline void release_by_writing(struct call *call)
{
	const uint64_t one = 1; /* 8 bytes are what an eventfd takes */
	must("write", (int)write(call->release_fd, &one, sizeof(one)));
}

static inline void release_by_draining(struct call *call)
{
	static char drained[65536];
	fcntl(call->release_fd, F_SETFL, fcntl(call->release_fd, F_GETFL) | O_NONBLOCK);
	while (read(call->release_fd, drained, sizeof(drained)) > 0)
		continue;
}

static inline struct call *release_with(struct call *call, void (*release)(struct call *), int fd)
{
	call->release = release;
	call->release_fd = fd;
	return call;
}

/* due_ms 0: counted from the beginning of the call. */
static inline void set_timed(struct call *call, uint64_t due_ms)
{
	call->is_timed = true;
	call->due_ms = due_ms;
}

#define add(name, number, ...)       add_call(name, number, (const long[6]){__VA_ARGS__})
#define add_timed(name, number, ...) set_timed(add(name, number, __VA_ARGS__), 0)
#define add_timed_absolute(name, number, ...) \
	set_timed(add(name, number, __VA_ARGS__), sample_now_ms() + (uint64_t)expiry_ms)
#define add_written(name, fd, number, ...) (void)release_with(add(name, number, __VA_ARGS__), release_by_writing, fd)
#define add_drained(name, fd, number, ...) (void)release_with(add(name, number, __VA_ARGS__), release_by_draining, fd)

/* ---------------------------------------------------------------- pipes, files, children */

static inline int pipe_reader(int *ret_writer)
{
	int ends[2];
	must("pipe2", pipe2(ends, O_CLOEXEC));
	*ret_writer = ends[1];
	return ends[0];
}

static inline int full_pipe(int *ret_writer)
{
	static const char filling[4096];
	int reader = pipe_reader(ret_writer);
	int bytes = must("F_SETPIPE_SZ", fcntl(*ret_writer, F_SETPIPE_SZ, (int)sizeof(filling)));
	for (int written = 0; written < bytes; written += (int)sizeof(filling))
		must("write", (int)write(*ret_writer, filling, sizeof(filling)));
	return reader;
}

/* Two open file descriptions of one file of one byte. */
static inline int file_opened_twice(int *ret_second)
{
	char path[64];
	int first = must("memfd_create", memfd_create("locked", MFD_CLOEXEC));
	must("write", (int)write(first, "x", 1));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", first);
	*ret_second = must("open", open(path, O_RDWR | O_CLOEXEC));
	return first;
}

/* A child that exits when something is written, or when its parent exits. */
static inline pid_t waiting_child(int *ret_writer)
{
	int reader = pipe_reader(ret_writer);
	pid_t child = must("fork", fork());
	if (child)
		return child;
	char byte;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(read(reader, &byte, 1) == 1 ? 0 : 1);
}

/* ---------------------------------------------------------------- sockets */

static inline void set_patience(int fd, int patience_ms)
{
	const struct timeval patience = {.tv_sec = patience_ms / 1000, .tv_usec = patience_ms % 1000 * 1000L};
	must("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	must("SO_SNDTIMEO", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)));
}

/* patience_ms 0: forever. */
static inline int socket_pair(int patience_ms, int *ret_peer)
{
	int ends[2];
	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	set_patience(ends[0], patience_ms);
	*ret_peer = ends[1];
	return ends[0];
}

static inline int full_socket(int patience_ms, int *ret_peer)
{
	static const char filling[4096];
	int fd = socket_pair(patience_ms, ret_peer);
	while (send(fd, filling, sizeof(filling), MSG_DONTWAIT) > 0)
		continue;
	return fd;
}

static inline int tcp_listener(int patience_ms, struct sockaddr_in *ret_address)
{
	socklen_t length = sizeof(*ret_address);
	int fd = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	*ret_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	must("bind", bind(fd, (struct sockaddr *)ret_address, length));
	must("listen", listen(fd, 1));
	must("getsockname", getsockname(fd, (struct sockaddr *)ret_address, &length));
	set_patience(fd, patience_ms);
	return fd;
}

static inline void release_by_connecting(struct call *call)
{
	int fd = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	must("connect", connect(fd, call->shared, sizeof(struct sockaddr_in)));
}

/* A listener with a full backlog: one connection that waits to be accepted. */
static inline int crowded_listener(struct sockaddr_un *ret_address, socklen_t *ret_length)
{
	socklen_t length = sizeof(*ret_address);
	int fd = must("socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	ret_address->sun_family = AF_UNIX;
	must("bind", bind(fd, (struct sockaddr *)ret_address, sizeof(ret_address->sun_family)));
	must("listen", listen(fd, 0));
	must("getsockname", getsockname(fd, (struct sockaddr *)ret_address, &length));
	int guest = must("socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	must("connect", connect(guest, (struct sockaddr *)ret_address, length));
	*ret_length = length;
	return fd;
}

static inline void release_by_accepting(struct call *call)
{
	must("accept", accept(call->release_fd, NULL, NULL));
}

/* ---------------------------------------------------------------- signals */

static inline void ignore_signal(int signal)
{
	(void)signal;
}

/* SIGUSR1 has a handler, SIGUSR2 is blocked in all threads to come. */
static inline void prepare_signals(void)
{
	struct sigaction action = {.sa_handler = ignore_signal};
	sigset_t blocked;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	must("sigaction", sigaction(SIGUSR1, &action, NULL));
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
}

static inline void release_by_usr1(struct call *call)
{
	pthread_kill(call->thread, SIGUSR1);
}

static inline void release_by_usr2(struct call *call)
{
	pthread_kill(call->thread, SIGUSR2);
}

/* ---------------------------------------------------------------- running */

static inline void *call_run(void *argument)
{
	struct call *call = argument;
	const long *a = call->arguments;
	if (!call->due_ms)
		call->due_ms = sample_now_ms() + (uint64_t)expiry_ms;
	call->tid = (pid_t)syscall(SYS_gettid);
	call->result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	call->error_number = call->result < 0 ? errno : 0;
	call->ended_ms = sample_now_ms();
	call->has_ended = true;
	/* The end of the thread is not tested. */
	for (;;)
		pause();
	return NULL;
}

/* "202 0x7f... 0x0 ...", or "running" (proc_pid_syscall(5)). */
static inline bool call_blocks(const struct call *call)
{
	char path[64], text[32] = "";
	if (!call->tid)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)call->tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	return length > 0 && strtol(text, NULL, 10) == call->number && text[0] != 'r';
}

static inline void calls_start(void)
{
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	for (size_t i = 0; i < call_count; i++) {
		if (pthread_create(&calls[i].thread, &attributes, call_run, &calls[i]))
			sample_die("blocking_calls: cannot start a thread");
	}
	for (size_t i = 0; i < call_count; i++) {
		while (!calls[i].has_ended && !call_blocks(&calls[i]))
			sample_sleep_ms(1);
		if (calls[i].has_ended && !calls[i].is_timed)
			sample_die("blocking_calls: %s does not block: %s", calls[i].name,
				   strerror(calls[i].error_number));
	}
}

static inline void calls_finish(void)
{
	for (size_t i = 0; i < call_count; i++)
		calls[i].is_unasked = calls[i].has_ended && !calls[i].is_timed;
	for (size_t i = 0; i < call_count; i++) {
		if (calls[i].release && !calls[i].has_ended)
			calls[i].release(&calls[i]);
	}
	uint64_t deadline_ms = sample_now_ms() + STUCK_MS;
	for (size_t i = 0; i < call_count; i++) {
		while (!calls[i].has_ended && sample_now_ms() < deadline_ms)
			sample_sleep_ms(1);
	}
}

/* Numbers of processes and descriptors are "some": they differ from run to run. */
static inline void call_report(const struct call *call, FILE *report)
{
	bool is_late = call->is_timed && call->ended_ms > call->due_ms + LATE_MS;
	bool is_early = call->is_timed && call->ended_ms + 2 < call->due_ms;
	fprintf(report, "%s: ", call->name);
	if (!call->has_ended)
		fprintf(report, "stuck");
	else if (call->error_number)
		fprintf(report, "%s", strerrorname_np(call->error_number));
	else if (call->number == SYS_wait4 || call->number == SYS_accept || call->number == SYS_accept4)
		fprintf(report, "%s", call->result > 0 ? "some" : "none");
	else
		fprintf(report, "%ld", call->result);
	fprintf(report, "%s%s%s\n", call->is_unasked ? " unasked" : "", is_early ? " early" : "",
		is_late ? " late" : "");
}

static inline void calls_report(const char *path)
{
	FILE *report = fopen(path, "we");
	if (!report)
		sample_die("blocking_calls: %s: %s", path, strerror(errno));
	for (size_t i = 0; i < call_count; i++)
		call_report(&calls[i], report);
	fclose(report);
}

#endif
