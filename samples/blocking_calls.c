/*
 * blocking_calls: one thread per blocking system call, some without and some with a timeout. READY says that all
 * threads are in their calls. "step 1" gives each what it waits for, waits for all timeouts, and writes one line per
 * call to --report: its result or error, whether it returned before it was released ("unasked"), before its timeout
 * ("early"), or not at all ("stuck").
 */
#include "blocking_setup.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

/* Calls and structures that Debian 12's headers lack. */
#define NR_EPOLL_PWAIT2 441
#define NR_FUTEX_WAITV  449

static const char *report_path = "/dev/null";

/* ---------------------------------------------------------------- time */

static void add_sleeps(void)
{
	add_timed("nanosleep", SYS_nanosleep, POINTER(expiry()), NOTHING);
	add_timed("clock_nanosleep", SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, POINTER(expiry()), NOTHING);
	add_timed_absolute("clock_nanosleep absolute", SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME,
			   POINTER(expiry_after(CLOCK_MONOTONIC)), NOTHING);
}

static void release_futex(struct call *call)
{
	uint32_t *word = call->shared;
	__atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void release_pi_futex(struct call *call)
{
	syscall(SYS_futex, call->shared, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
}

static void add_futexes(void)
{
	const uint32_t zero = 0, owner = (uint32_t)getpid();
	uint32_t *word = copy_of(&zero, sizeof(zero)), *lock = copy_of(&owner, sizeof(owner));
	add("futex", SYS_futex, POINTER(word), FUTEX_WAIT, 0, NOTHING)->release = release_futex;
	last_call()->shared = word;
	add_timed("futex timeout", SYS_futex, POINTER(copy_of(&zero, sizeof(zero))), FUTEX_WAIT, 0, POINTER(expiry()));
	add_timed_absolute("futex absolute", SYS_futex, POINTER(copy_of(&zero, sizeof(zero))), FUTEX_WAIT_BITSET, 0,
			   POINTER(expiry_after(CLOCK_MONOTONIC)), NOTHING, FUTEX_BITSET_MATCH_ANY);
	add("futex lock_pi", SYS_futex, POINTER(lock), FUTEX_LOCK_PI)->release = release_pi_futex;
	last_call()->shared = lock;
	/* struct futex_waitv: value, address, flags (FUTEX2_SIZE_U32). */
	uint32_t *many = copy_of(&zero, sizeof(zero));
	const uint64_t waiters[3] = {0, (uint64_t)(uintptr_t)many, 2};
	add("futex_waitv", NR_FUTEX_WAITV, POINTER(copy_of(waiters, sizeof(waiters))), 1)->release = release_futex;
	last_call()->shared = many;
}

/* ---------------------------------------------------------------- readiness */

static void *poll_of(int fd)
{
	const struct pollfd poll = {.fd = fd, .events = POLLIN};
	return copy_of(&poll, sizeof(poll));
}

static void add_polls(void)
{
	int writer;
	int fd = pipe_reader(&writer);
	add_written("poll", writer, SYS_poll, POINTER(poll_of(fd)), 1, -1);
	add_written("ppoll", writer, SYS_ppoll, POINTER(poll_of(fd)), 1, NOTHING, NOTHING, SIGNAL_MASK_BYTES);
	int silent = pipe_reader(&writer);
	add_timed("poll timeout", SYS_poll, POINTER(poll_of(silent)), 1, expiry_ms);
	add_timed("ppoll timeout", SYS_ppoll, POINTER(poll_of(silent)), 1, POINTER(expiry()), NOTHING,
		  SIGNAL_MASK_BYTES);
}

static void *set_of(int fd)
{
	fd_set set;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	return copy_of(&set, sizeof(set));
}

static void add_selects(void)
{
	const struct timeval interval = {.tv_sec = expiry_ms / 1000, .tv_usec = expiry_ms % 1000 * 1000L};
	int writer;
	int fd = pipe_reader(&writer);
	add_written("select", writer, SYS_select, fd + 1, POINTER(set_of(fd)));
	add_written("pselect", writer, SYS_pselect6, fd + 1, POINTER(set_of(fd)));
	int silent = pipe_reader(&writer);
	add_timed("select timeout", SYS_select, silent + 1, POINTER(set_of(silent)), NOTHING, NOTHING,
		  POINTER(copy_of(&interval, sizeof(interval))));
	add_timed("pselect timeout", SYS_pselect6, silent + 1, POINTER(set_of(silent)), NOTHING, NOTHING,
		  POINTER(expiry()));
}

static int epoll_of(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = must("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
	must("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	return epoll;
}

static void add_epolls(void)
{
	int writer;
	int fd = pipe_reader(&writer);
	add_written("epoll_wait", writer, SYS_epoll_wait, epoll_of(fd), POINTER(buffer()), 1, -1);
	add_written("epoll_pwait", writer, SYS_epoll_pwait, epoll_of(fd), POINTER(buffer()), 1, -1);
	add_written("epoll_pwait2", writer, NR_EPOLL_PWAIT2, epoll_of(fd), POINTER(buffer()), 1);
	int silent = pipe_reader(&writer);
	add_timed("epoll_wait timeout", SYS_epoll_wait, epoll_of(silent), POINTER(buffer()), 1, expiry_ms);
	add_timed("epoll_pwait timeout", SYS_epoll_pwait, epoll_of(silent), POINTER(buffer()), 1, expiry_ms);
	add_timed("epoll_pwait2 timeout", NR_EPOLL_PWAIT2, epoll_of(silent), POINTER(buffer()), 1, POINTER(expiry()));
}

/* ---------------------------------------------------------------- pipes */

static void add_pipes(void)
{
	int writer, out, full;
	int fd = pipe_reader(&writer);
	add_written("read pipe", writer, SYS_read, fd, POINTER(buffer()), 1);
	fd = pipe_reader(&writer);
	add_written("readv pipe", writer, SYS_readv, fd, POINTER(iovec_of(1)), 1);
	fd = pipe_reader(&writer);
	(void)pipe_reader(&out);
	add_written("splice", writer, SYS_splice, fd, NOTHING, out, NOTHING, 1);
	fd = pipe_reader(&writer);
	add_written("tee", writer, SYS_tee, fd, out, 1);
	fd = full_pipe(&full);
	add_drained("write pipe", fd, SYS_write, full, POINTER(buffer()), 1);
	fd = full_pipe(&full);
	add_drained("writev pipe", fd, SYS_writev, full, POINTER(iovec_of(1)), 1);
}

static void add_event_files(void)
{
	const struct itimerspec once = {.it_value = *(struct timespec *)expiry_after(CLOCK_MONOTONIC)};
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR2);
	int event = must("eventfd", eventfd(0, EFD_CLOEXEC));
	add_written("read eventfd", event, SYS_read, event, POINTER(buffer()), 8);
	add("read signalfd", SYS_read, must("signalfd", signalfd(-1, &signals, SFD_CLOEXEC)), POINTER(buffer()), 128)
		->release = release_by_usr2;
	int timer = must("timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	must("timerfd_settime", timerfd_settime(timer, TFD_TIMER_ABSTIME, &once, NULL));
	add_timed_absolute("read timerfd", SYS_read, timer, POINTER(buffer()), 8);
}

/* ---------------------------------------------------------------- sockets */

static void *message_of(size_t bytes)
{
	const struct mmsghdr message = {.msg_hdr = {.msg_iov = iovec_of(bytes), .msg_iovlen = 1}};
	return copy_of(&message, sizeof(message));
}

/* Names as "recvmsg", "recvmsg SO_RCVTIMEO" (with time to spare), "recvmsg timeout" (ends by it). */
static void add_receivers(const char *suffix, int patience_ms)
{
	int peer;
	int fd = socket_pair(patience_ms, &peer);
	add_written(name_of("read socket", suffix), peer, SYS_read, fd, POINTER(buffer()), 1);
	fd = socket_pair(patience_ms, &peer);
	add_written(name_of("recvfrom", suffix), peer, SYS_recvfrom, fd, POINTER(buffer()), 1);
	fd = socket_pair(patience_ms, &peer);
	add_written(name_of("recvmsg", suffix), peer, SYS_recvmsg, fd, POINTER(message_of(1)));
	fd = socket_pair(patience_ms, &peer);
	add_written(name_of("recvmmsg", suffix), peer, SYS_recvmmsg, fd, POINTER(message_of(1)), 1);
	struct sockaddr_in *address = buffer();
	fd = tcp_listener(patience_ms, address);
	add(name_of("accept", suffix), SYS_accept, fd)->release = release_by_connecting;
	last_call()->shared = address;
	address = buffer();
	fd = tcp_listener(patience_ms, address);
	add(name_of("accept4", suffix), SYS_accept4, fd, NOTHING, NOTHING, SOCK_CLOEXEC)->release =
		release_by_connecting;
	last_call()->shared = address;
}

static void add_senders(const char *suffix, int patience_ms)
{
	int peer;
	int fd = full_socket(patience_ms, &peer);
	add_drained(name_of("write socket", suffix), peer, SYS_write, fd, POINTER(buffer()), 1);
	fd = full_socket(patience_ms, &peer);
	add_drained(name_of("sendto", suffix), peer, SYS_sendto, fd, POINTER(buffer()), 1, MSG_NOSIGNAL);
	fd = full_socket(patience_ms, &peer);
	add_drained(name_of("sendmsg", suffix), peer, SYS_sendmsg, fd, POINTER(message_of(1)), MSG_NOSIGNAL);
	struct sockaddr_un *address = buffer();
	socklen_t length;
	int listener = crowded_listener(address, &length);
	fd = must("socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	set_patience(fd, patience_ms);
	add(name_of("connect", suffix), SYS_connect, fd, POINTER(address), (long)length)->release =
		release_by_accepting;
	last_call()->release_fd = listener;
}

static void add_socket_timeouts(void)
{
	int peer;
	int fd = socket_pair(expiry_ms, &peer);
	add_timed("recvfrom timeout", SYS_recvfrom, fd, POINTER(buffer()), 1);
	fd = socket_pair(expiry_ms, &peer);
	add_timed("read socket timeout", SYS_read, fd, POINTER(buffer()), 1);
	fd = tcp_listener(expiry_ms, buffer());
	add_timed("accept timeout", SYS_accept, fd);
	fd = full_socket(expiry_ms, &peer);
	add_timed("sendto timeout", SYS_sendto, fd, POINTER(buffer()), 1, MSG_NOSIGNAL);
}

static void add_sockets(void)
{
	enum { LONG_PATIENCE_MS = 600000 };
	add_receivers("", 0);
	add_receivers(" SO_RCVTIMEO", LONG_PATIENCE_MS);
	add_senders("", 0);
	add_senders(" SO_SNDTIMEO", LONG_PATIENCE_MS);
	add_socket_timeouts();
}

/* ---------------------------------------------------------------- children, locks */

static void add_children(void)
{
	int writers[2];
	pid_t first = waiting_child(&writers[0]), second = waiting_child(&writers[1]);
	add_written("wait4", writers[0], SYS_wait4, first, POINTER(buffer()));
	add_written("waitid", writers[1], SYS_waitid, P_PID, second, POINTER(buffer()), WEXITED);
}

static void release_flock(struct call *call)
{
	flock(call->release_fd, LOCK_UN);
}

static void release_file_lock(struct call *call)
{
	struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
	fcntl(call->release_fd, F_OFD_SETLK, &lock);
}

/* A lock of an open file description stands in the way of one of its own process, too (fcntl(2)). */
static void add_file_lock(const char *name, int command)
{
	const struct flock wanted = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct flock held = wanted;
	int second;
	int first = file_opened_twice(&second);
	must("F_OFD_SETLK", fcntl(first, F_OFD_SETLK, &held));
	add(name, SYS_fcntl, second, command, POINTER(copy_of(&wanted, sizeof(wanted))))->release = release_file_lock;
	last_call()->release_fd = first;
}

static void add_locks(void)
{
	int second;
	int first = file_opened_twice(&second);
	must("flock", flock(first, LOCK_EX));
	add("flock", SYS_flock, second, LOCK_EX)->release = release_flock;
	last_call()->release_fd = first;
	add_file_lock("fcntl F_SETLKW", F_SETLKW);
	add_file_lock("fcntl F_OFD_SETLKW", F_OFD_SETLKW);
}

/* ---------------------------------------------------------------- System V, message queues */

static int semaphores = -1, empty_queue = -1, full_queue = -1;

static void release_semaphore(struct call *call)
{
	struct sembuf up = {.sem_num = (unsigned short)call->release_fd, .sem_op = 1};
	must("semop", semop(semaphores, &up, 1));
}

static void add_semaphores(void)
{
	enum { WOKEN, WOKEN_TIMED, EXPIRING, COUNT };
	struct timespec patience = {.tv_sec = 600};
	semaphores = must("semget", semget(IPC_PRIVATE, COUNT, 0600));
	for (int i = 0; i < COUNT; i++)
		must("semctl", semctl(semaphores, i, SETVAL, 0));
	struct sembuf down[COUNT] = {{WOKEN, -1, 0}, {WOKEN_TIMED, -1, 0}, {EXPIRING, -1, 0}};
	add("semop", SYS_semop, semaphores, POINTER(copy_of(&down[WOKEN], sizeof(*down))), 1)->release =
		release_semaphore;
	last_call()->release_fd = WOKEN;
	add("semtimedop", SYS_semtimedop, semaphores, POINTER(copy_of(&down[WOKEN_TIMED], sizeof(*down))), 1,
	    POINTER(copy_of(&patience, sizeof(patience))))
		->release = release_semaphore;
	last_call()->release_fd = WOKEN_TIMED;
	add_timed("semtimedop timeout", SYS_semtimedop, semaphores, POINTER(copy_of(&down[EXPIRING], sizeof(*down))), 1,
		  POINTER(expiry()));
}

enum { QUEUED_BYTES = 1024 };

static void release_by_sending(struct call *call)
{
	struct msgbuf *message = call->shared;
	must("msgsnd", msgsnd(empty_queue, message, 1, 0));
}

static void release_by_taking(struct call *call)
{
	must("msgrcv", (int)msgrcv(full_queue, call->shared, QUEUED_BYTES, 0, 0));
}

static void add_queues(void)
{
	struct msgbuf *message = buffer();
	message->mtype = 1;
	empty_queue = must("msgget", msgget(IPC_PRIVATE, 0600));
	full_queue = must("msgget", msgget(IPC_PRIVATE, 0600));
	while (msgsnd(full_queue, message, QUEUED_BYTES, IPC_NOWAIT) == 0)
		continue;
	add("msgrcv", SYS_msgrcv, empty_queue, POINTER(buffer()), QUEUED_BYTES)->release = release_by_sending;
	last_call()->shared = message;
	add("msgsnd", SYS_msgsnd, full_queue, POINTER(message), QUEUED_BYTES)->release = release_by_taking;
	last_call()->shared = buffer();
}

static void release_by_posting(struct call *call)
{
	must("mq_send", mq_send(call->release_fd, "x", 1, 0));
}

static void add_posix_queues(void)
{
	enum { MESSAGE_BYTES = 64 };
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = MESSAGE_BYTES};
	mqd_t queues[2];
	for (size_t i = 0; i < 2; i++) {
		queues[i] = must("mq_open",
				 mq_open("/leakhunt-blocking-calls", O_CREAT | O_EXCL | O_RDWR, 0600, &attributes));
		mq_unlink("/leakhunt-blocking-calls");
	}
	add("mq_timedreceive", SYS_mq_timedreceive, queues[0], POINTER(buffer()), MESSAGE_BYTES)->release =
		release_by_posting;
	last_call()->release_fd = queues[0];
	add_timed_absolute("mq_timedreceive timeout", SYS_mq_timedreceive, queues[1], POINTER(buffer()), MESSAGE_BYTES,
			   NOTHING, POINTER(expiry_after(CLOCK_REALTIME)));
}

/* ---------------------------------------------------------------- signals, asynchronous input */

static void add_signals(void)
{
	const uint64_t nothing = 0, usr2 = UINT64_C(1) << (SIGUSR2 - 1);
	add("pause", SYS_pause)->release = release_by_usr1;
	add("sigsuspend", SYS_rt_sigsuspend, POINTER(copy_of(&nothing, sizeof(nothing))), SIGNAL_MASK_BYTES)->release =
		release_by_usr1;
	add("sigtimedwait", SYS_rt_sigtimedwait, POINTER(copy_of(&usr2, sizeof(usr2))), POINTER(buffer()), NOTHING,
	    SIGNAL_MASK_BYTES)
		->release = release_by_usr2;
	add_timed("sigtimedwait timeout", SYS_rt_sigtimedwait, POINTER(copy_of(&usr2, sizeof(usr2))), POINTER(buffer()),
		  POINTER(expiry()), SIGNAL_MASK_BYTES);
}

static void release_by_completing(struct call *call)
{
	static char byte;
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)call->release_fd,
		.aio_buf = (uint64_t)(uintptr_t)&byte,
		.aio_nbytes = 1,
	};
	struct iocb *requests[] = {&request};
	must("io_submit", (int)syscall(SYS_io_submit, call->arguments[0], 1, requests));
}

static void add_asynchronous_input(void)
{
	aio_context_t contexts[2] = {0, 0};
	int second;
	for (size_t i = 0; i < 2; i++)
		must("io_setup", (int)syscall(SYS_io_setup, 1, &contexts[i]));
	add("io_getevents", SYS_io_getevents, (long)contexts[0], 1, 1, POINTER(buffer()))->release =
		release_by_completing;
	last_call()->release_fd = file_opened_twice(&second);
	add_timed("io_getevents timeout", SYS_io_getevents, (long)contexts[1], 1, 1, POINTER(buffer()),
		  POINTER(expiry()));
}

/* ---------------------------------------------------------------- the sample */

/* Names of System V objects and message queues are this process's own: nothing stays if it is killed. */
static void begin(struct sample *sample)
{
	(void)sample;
	(void)unshare(CLONE_NEWIPC);
	prepare_signals();
	add_children();
	add_sleeps();
	add_futexes();
	add_polls();
	add_selects();
	add_epolls();
	add_pipes();
	add_event_files();
	add_sockets();
	add_locks();
	add_semaphores();
	add_queues();
	add_posix_queues();
	add_signals();
	add_asynchronous_input();
	calls_start();
}

static void step(struct sample *sample)
{
	(void)sample;
	calls_finish();
	calls_report(report_path);
}

static void end(struct sample *sample)
{
	(void)sample;
	semctl(semaphores, 0, IPC_RMID);
	msgctl(empty_queue, IPC_RMID, NULL);
	msgctl(full_queue, IPC_RMID, NULL);
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (!strcmp(name, "--report"))
		report_path = value;
	else if (!strcmp(name, "--expiry-ms"))
		expiry_ms = (int)sample_number(name, value);
	else
		return false;
	return true;
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	snprintf(ret, ret_bytes, ",\"calls\":%zu", call_count);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "blocking_calls",
				.condition = "steady",
				.steps_max = 1,
				.begin = begin,
				.step = step,
				.end = end,
				.option = option,
				.describe = describe};
	return sample_main(&sample, argc, argv);
}
