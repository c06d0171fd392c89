/*
 * freeze: a child whose threads sleep in many system calls is frozen and let go again and again, and
 * none of them notices; signals that arrive meanwhile do what they would have done.
 */
#include "leakhunt/dump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shared by the child's threads and the test. */
struct board {
	atomic_int entered;
	atomic_int returned; /* calls that came back, which none should */
	atomic_int returned_errno;
	atomic_int returned_call;
	atomic_int handled; /* signals */
};

static struct board *board;

static int socket_with_timeout(void)
{
	int ends[2];
	struct timeval timeout = {.tv_sec = 600};
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) ||
	    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)))
		_exit(1);
	return ends[0];
}

static long call_epoll_wait(void)
{
	struct epoll_event event;
	return epoll_wait(epoll_create1(0), &event, 1, 600000);
}

static long call_epoll_pwait(void)
{
	struct epoll_event event;
	return epoll_pwait(epoll_create1(0), &event, 1, -1, NULL);
}

static long call_recv_with_timeout(void)
{
	char byte;
	return recv(socket_with_timeout(), &byte, 1, 0);
}

static long call_read_with_timeout(void)
{
	char byte;
	return read(socket_with_timeout(), &byte, 1);
}

static long call_recvmsg_with_timeout(void)
{
	struct msghdr message = {0};
	return recvmsg(socket_with_timeout(), &message, 0);
}

static long call_sigtimedwait(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	struct timespec timeout = {.tv_sec = 600};
	return sigtimedwait(&set, NULL, &timeout);
}

static int semaphore_id;

static long call_semop(void)
{
	struct sembuf take = {.sem_op = -1};
	return semop(semaphore_id, &take, 1);
}

static long call_semtimedop(void)
{
	struct sembuf take = {.sem_op = -1};
	struct timespec timeout = {.tv_sec = 600};
	return semtimedop(semaphore_id, &take, 1, &timeout);
}

static long call_poll(void)
{
	return poll(NULL, 0, 600000);
}

static long call_nanosleep(void)
{
	struct timespec duration = {.tv_sec = 600};
	return nanosleep(&duration, NULL);
}

static long call_futex(void)
{
	static sem_t never;
	struct timespec deadline;
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 600;
	return sem_timedwait(&never, &deadline);
}

static long call_pause(void)
{
	return pause();
}

static long call_pipe_read(void)
{
	int ends[2];
	char byte;
	return pipe(ends) ? 0 : read(ends[0], &byte, 1);
}

static long (*const calls[])(void) = {
	call_epoll_wait,
	call_epoll_pwait,
	call_recv_with_timeout,
	call_read_with_timeout,
	call_recvmsg_with_timeout,
	call_sigtimedwait,
	call_semop,
	call_semtimedop,
	call_poll,
	call_nanosleep,
	call_futex,
	call_pause,
	call_pipe_read,
};

static void *run_call(void *argument)
{
	intptr_t i = (intptr_t)argument;
	atomic_fetch_add(&board->entered, 1);
	long result = calls[i]();
	atomic_store(&board->returned_errno, result < 0 ? errno : 0);
	atomic_store(&board->returned_call, (int)i);
	atomic_fetch_add(&board->returned, 1);
	return NULL;
}

static void count_signal(int signal)
{
	(void)signal;
	atomic_fetch_add(&board->handled, 1);
}

static void child_main(size_t first, size_t count)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct sigaction action = {.sa_handler = count_signal};
	sigaction(SIGUSR1, &action, NULL);
	pthread_t thread;
	for (size_t i = first + 1; i < first + count; i++)
		pthread_create(&thread, NULL, run_call, (void *)(intptr_t)i);
	run_call((void *)(intptr_t)first);
	for (;;)
		pause();
}

static bool all_sleep(const struct lh_process *process, size_t count)
{
	struct lh_task_list tasks = {0};
	assert_null(lh_tasks_read(process, &tasks));
	size_t sleeping = 0;
	for (size_t i = 0; i < tasks.tasks.count; i++) {
		char name[64];
		struct lh_buffer text = {0};
		snprintf(name, sizeof(name), "task/%d/syscall", (int)tasks.tasks.items[i].tid);
		struct lh_error *error = lh_process_read_file(process, name, &text);
		sleeping += !error && text.data && strncmp(text.data, "running", 7) != 0;
		lh_error_destroy(error);
		lh_buffer_deinit(&text);
	}
	lh_task_list_deinit(&tasks);
	return sleeping == count && atomic_load(&board->entered) == (int)count;
}

struct target {
	pid_t pid;
	struct lh_process *process;
};

/* A child whose threads sleep in calls[first, first + count), the first of them in its main thread. */
static struct target start_target(size_t first, size_t count)
{
	memset(board, 0, sizeof(*board));
	struct target target = {.pid = fork()};
	if (!target.pid)
		child_main(first, count);
	assert_true(target.pid > 0);
	assert_null(lh_process_open(target.pid, &target.process));
	while (!all_sleep(target.process, count))
		usleep(1000);
	return target;
}

static void end_target(struct target *target)
{
	lh_process_close(target->process);
	kill(target->pid, SIGKILL);
	waitpid(target->pid, NULL, 0);
}

static size_t freeze_once(const struct lh_process *process, size_t thread_count)
{
	struct lh_freeze *freeze = NULL;
	struct lh_thread_states states = {0};
	assert_null(lh_freeze_begin(process, &states, &freeze));
	assert_int_equal(states.threads.count, thread_count);
	assert_int_equal(states.threads.items[0].tid, lh_process_pid(process));
	for (size_t i = 0; i < states.threads.count; i++) {
		const struct lh_thread_state *thread = &states.threads.items[i];
		assert_true(thread->stack_pointer > 0 && !thread->is_partial);
		assert_int_equal(thread->prstatus_bytes, sizeof(struct elf_prstatus));
		assert_int_equal(((const struct elf_prstatus *)(const void *)thread->prstatus)->pr_pid, thread->tid);
		assert_non_null(thread->fpregset);
	}
	lh_thread_states_deinit(&states);
	struct lh_freeze_cost cost = lh_freeze_end(freeze);
	assert_true(cost.pause_ns > 0);
	return cost.mended_count;
}

static void no_call_notices(void **state)
{
	(void)state;
	size_t count = LH_ARRAY_COUNT(calls);
	struct target target = start_target(0, count);
	size_t mended = 0;
	for (size_t round = 0; round < 20; round++) {
		mended += freeze_once(target.process, count);
		while (!all_sleep(target.process, count) && !atomic_load(&board->returned))
			usleep(1000);
		if (atomic_load(&board->returned))
			fail_msg("call %d returned with errno %d", atomic_load(&board->returned_call),
				 atomic_load(&board->returned_errno));
	}
	/* At least epoll_wait, epoll_pwait, semop and sigtimedwait need it, each time. */
	assert_true(mended >= 20 * 4);
	end_target(&target);
}

/* Each alone, in the main thread. */
static void no_call_of_a_single_thread_notices(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(calls); i++) {
		struct target target = start_target(i, 1);
		freeze_once(target.process, 1);
		freeze_once(target.process, 1);
		while (!all_sleep(target.process, 1) && !atomic_load(&board->returned))
			usleep(1000);
		assert_int_equal(atomic_load(&board->returned), 0);
		end_target(&target);
	}
}

static void a_handled_signal_that_arrives_meanwhile_interrupts_the_call(void **state)
{
	(void)state;
	struct target target = start_target(0, 1); /* epoll_wait */
	struct lh_freeze *freeze = NULL;
	struct lh_thread_states states = {0};
	assert_null(lh_freeze_begin(target.process, &states, &freeze));
	assert_int_equal(kill(target.pid, SIGUSR1), 0);
	struct lh_freeze_cost cost = lh_freeze_end(freeze);
	assert_int_equal(cost.mended_count, 0);
	while (!atomic_load(&board->returned))
		usleep(1000);
	assert_int_equal(atomic_load(&board->handled), 1);
	assert_int_equal(atomic_load(&board->returned_errno), EINTR);
	lh_thread_states_deinit(&states);
	end_target(&target);
}

static void an_ignored_signal_that_arrives_meanwhile_does_not(void **state)
{
	(void)state;
	struct target target = start_target(0, 1); /* epoll_wait */
	struct lh_freeze *freeze = NULL;
	struct lh_thread_states states = {0};
	assert_null(lh_freeze_begin(target.process, &states, &freeze));
	assert_int_equal(kill(target.pid, SIGWINCH), 0); /* default: ignored */
	struct lh_freeze_cost cost = lh_freeze_end(freeze);
	assert_int_equal(cost.mended_count, 1);
	while (!all_sleep(target.process, 1) && !atomic_load(&board->returned))
		usleep(1000);
	assert_int_equal(atomic_load(&board->returned), 0);
	lh_thread_states_deinit(&states);
	end_target(&target);
}

static void a_process_killed_while_frozen_is_no_trouble(void **state)
{
	(void)state;
	struct target target = start_target(0, LH_ARRAY_COUNT(calls));
	struct lh_freeze *freeze = NULL;
	struct lh_thread_states states = {0};
	assert_null(lh_freeze_begin(target.process, &states, &freeze));
	assert_int_equal(kill(target.pid, SIGKILL), 0);
	lh_freeze_end(freeze);
	lh_thread_states_deinit(&states);
	/* Its tracer, which is its parent here, has waited for it. */
	assert_int_equal(waitpid(target.pid, NULL, 0), -1);
	assert_int_equal(errno, ECHILD);
	struct lh_error *error = lh_freeze_begin(target.process, &states, &freeze);
	assert_non_null(error);
	assert_int_equal(lh_error_code(error), LH_ERROR_NO_PROCESS);
	lh_error_destroy(error);
	lh_process_close(target.process);
}

/* ---------------------------------------------------------------- killed */

static pid_t start_signal_counter(void)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGRTMIN, &action, NULL);
	atomic_store(&board->entered, 1);
	for (;;)
		pause();
}

/* Dies with the target frozen, as leakhunt does of kill -9. */
static pid_t start_dying_freezer(const struct lh_process *process)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	struct lh_thread_states states = {0};
	struct lh_freeze *freeze = NULL;
	struct lh_error *error = lh_freeze_begin(process, &states, &freeze);
	raise(error ? SIGABRT : SIGKILL);
	_exit(1);
}

/* Real-time signals queue, so that each one that was sent has to be handled once (signal(7)). */
static void no_signal_is_lost_when_the_freezer_is_killed(void **state)
{
	enum { ROUNDS = 150, SIGNALS = 20, WAIT_MAX_MS = 20000 };
	(void)state;
	int sent = 0, status;
	atomic_store(&board->handled, 0);
	atomic_store(&board->entered, 0);
	pid_t pid = start_signal_counter();
	while (!atomic_load(&board->entered))
		sched_yield();
	struct lh_process *process = NULL;
	assert_null(lh_process_open(pid, &process));
	for (int round = 0; round < ROUNDS; round++) {
		pid_t freezer = start_dying_freezer(process);
		for (int i = 0; i < SIGNALS; i++)
			sent += kill(pid, SIGRTMIN) == 0;
		assert_int_equal(waitpid(freezer, &status, 0), freezer);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	uint64_t deadline_ns = lh_clock_monotonic_ns() + WAIT_MAX_MS * LH_NS_PER_MS;
	while (atomic_load(&board->handled) < sent && lh_clock_monotonic_ns() < deadline_ns)
		sched_yield();
	assert_int_equal(atomic_load(&board->handled), sent);
	lh_process_close(process);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static int set_up(void **state)
{
	(void)state;
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	semaphore_id = semget(IPC_PRIVATE, 1, 0600);
	return board == MAP_FAILED || semaphore_id < 0;
}

static int tear_down(void **state)
{
	(void)state;
	semctl(semaphore_id, 0, IPC_RMID);
	return munmap(board, sizeof(*board));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_call_notices),
		cmocka_unit_test(no_call_of_a_single_thread_notices),
		cmocka_unit_test(a_handled_signal_that_arrives_meanwhile_interrupts_the_call),
		cmocka_unit_test(an_ignored_signal_that_arrives_meanwhile_does_not),
		cmocka_unit_test(a_process_killed_while_frozen_is_no_trouble),
		cmocka_unit_test(no_signal_is_lost_when_the_freezer_is_killed),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
