/*
 * freeze: stops all threads of a process, reads their registers, and releases them exactly as they were. Linear in the
 * number of threads: a pass interrupts all threads before it waits for any. Never kills, signals, or leaves a thread
 * stopped: if leakhunt dies, the kernel detaches every tracee, which then continues (ptrace(2)). So there is no
 * PTRACE_O_EXITKILL, and interrupted system calls are mended at once.
 */
#include "freeze_thread.h"
#include "leakhunt/fault_point.h"
#include "leakhunt/limits.h"
#include "leakhunt/process.h"
#include "leakhunt/tracee.h"
#include "restart.h"
#include "task_status.h"
#include "thread_state.h"
#include "timed_wait.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long to wait for a thread to stop. A thread in uninterruptible sleep (NFS, vfork) stops only when it wakes. */
#define STOP_PATIENCE_NS (2 * LH_NS_PER_S)
/* How long to wait for such a thread, and others that have not stopped yet, when all threads are released. */
#define STRAGGLER_PATIENCE_NS (60 * LH_NS_PER_S)
/* Of it, how often to look for ended threads among them. */
#define ENDED_LOOK_NS (100 * LH_NS_PER_MS)
enum { SUSPENDING_COUNT = 3 };
/* A process may start threads while it is being stopped, but each pass stops all threads that could. */
enum { PASSES_MAX = 100 };

/* Most threads stop within this time: poll without sleeping until then. */
#define STOP_SOON_NS (50 * (uint64_t)1000)

enum thread_phase {
	THREAD_SEIZED,  /* traced, and running */
	THREAD_ASKED,   /* interrupted */
	THREAD_STOPPED, /* in a ptrace stop */
	THREAD_LET_GO,  /* not traced any more */
	THREAD_LEFT,    /* never stopped: the kernel detaches it when leakhunt ends */
	THREAD_GONE,    /* ended */
};

struct frozen_thread {
	pid_t tid;
	enum thread_phase phase;
	uint64_t asked_ns;       /* right before it was interrupted */
	uint64_t interrupted_ns; /* right after that */
	int signal;              /* in a signal-delivery stop: the signal to deliver when it continues */
	bool is_group_stop;      /* stopped by SIGSTOP or the like, before or meanwhile */
	bool is_mended;
	struct user_regs_struct registers; /* before mending; valid when is_mended */
	struct user_regs_struct rewound;   /* after it; likewise */
	uint64_t wait_end_ns; /* of a call that waits until then (CLOCK_MONOTONIC); 0: as long as it says */
};

struct lh_freeze {
	const struct lh_process *process;
	LH_VEC(struct frozen_thread) threads; /* [0, sorted_count) in ascending tid order */
	size_t sorted_count;
	uint64_t caught; /* signals with a handler, before the first stop */
	uint64_t patience_ns;
	struct lh_timed_waits waits; /* before the first stop */
	struct sigaction suspending[SUSPENDING_COUNT];
	DIR *folder; /* /proc/PID/task */
};

/* What a terminal suspends a program by. */
static const int suspending_signals[SUSPENDING_COUNT] = {SIGTSTP, SIGTTIN, SIGTTOU};

/* Ctrl-Z would leave the target standing still for as long as leakhunt is suspended. SIGSTOP can't be ignored. */
static void ignore_suspending(struct lh_freeze *freeze)
{
	const struct sigaction ignored = {.sa_handler = SIG_IGN};
	for (size_t i = 0; i < SUSPENDING_COUNT; i++)
		sigaction(suspending_signals[i], &ignored, &freeze->suspending[i]);
}

static void heed_suspending(const struct lh_freeze *freeze)
{
	for (size_t i = 0; i < SUSPENDING_COUNT; i++)
		sigaction(suspending_signals[i], &freeze->suspending[i], NULL);
}

static int compare_threads(const void *a, const void *b)
{
	const struct frozen_thread *left = a, *right = b;
	return left->tid < right->tid ? -1 : left->tid > right->tid;
}

static bool is_known_thread(const struct lh_freeze *freeze, pid_t tid)
{
	struct frozen_thread key = {.tid = tid};
	if (!freeze->sorted_count)
		return false;
	return bsearch(&key, freeze->threads.items, freeze->sorted_count, sizeof(key), compare_threads) != NULL;
}

/* ---------------------------------------------------------------- stopping */

/* The letter in "1234 (name) S 1 ..." (proc_pid_stat(5)); 'X' when there is no such thread any more. */
static int state_letter(const struct lh_process *process, pid_t tid)
{
	char name[64];
	snprintf(name, sizeof(name), "task/%d/stat", (int)tid);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_process_read_file(process, name, &text);
	if (error || !text.data)
		return 'X';
	const char *after_name = strrchr(text.data, ')');
	return after_name && after_name[1] == ' ' ? after_name[2] : '?';
}

static bool is_ending(const struct lh_process *process, pid_t tid)
{
	return strchr("ZXx", state_letter(process, tid)) != NULL;
}

/* A thread that was left when it did not stop in time (await_stragglers). */
static bool is_seized_by_us(const struct lh_process *process, pid_t tid)
{
	struct lh_task_status status;
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_task_status_read(process, tid, &status);
	return !error && status.tracer_tid == gettid();
}

static struct lh_error *seize_thread(struct lh_freeze *freeze, pid_t tid)
{
	struct frozen_thread thread = {.tid = tid, .phase = THREAD_SEIZED};
	LH_TRY(lh_vec_reserve(&freeze->threads, 1));
	int saved_errno = ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 ? errno : 0;
	if (saved_errno && !(saved_errno == EPERM && is_seized_by_us(freeze->process, tid))) {
		if (saved_errno != ESRCH && !is_ending(freeze->process, tid))
			return lh_process_explain_refusal(freeze->process,
							  lh_error_from_errno(saved_errno, "cannot stop process %d",
									      (int)lh_process_pid(freeze->process)));
		thread.phase = THREAD_GONE;
	}
	freeze->threads.items[freeze->threads.count++] = thread;
	return NULL;
}

/* PTRACE_SEIZE does not stop a thread: each one runs until here, while others are seized. */
static void interrupt_seized(struct lh_freeze *freeze)
{
	for (size_t i = 0; i < freeze->threads.count; i++) {
		struct frozen_thread *thread = &freeze->threads.items[i];
		if (thread->phase != THREAD_SEIZED)
			continue;
		thread->asked_ns = lh_clock_monotonic_ns();
		lh_timed_waits_look(&freeze->waits, thread->tid);
		thread->phase = ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL) < 0 ? THREAD_GONE : THREAD_ASKED;
		thread->interrupted_ns = lh_clock_monotonic_ns();
	}
}

static struct lh_error *open_task_folder(struct lh_freeze *freeze)
{
	int fd;
	LH_TRY(lh_process_open_file(freeze->process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, &fd));
	freeze->folder = fdopendir(fd);
	if (freeze->folder)
		return NULL;
	int saved_errno = errno;
	close(fd);
	return lh_error_from_errno(saved_errno, "cannot list the threads of process %d",
				   (int)lh_process_pid(freeze->process));
}

/* One pass: interrupts all threads that are new. The main thread is seized last: see is_released_last. */
static struct lh_error *seize_new_threads(struct lh_freeze *freeze)
{
	pid_t main_tid = lh_process_pid(freeze->process);
	rewinddir(freeze->folder);
	for (struct dirent *entry; (entry = readdir(freeze->folder));) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (tid > 0 && tid != main_tid && !is_known_thread(freeze, tid))
			LH_TRY(seize_thread(freeze, tid));
	}
	if (!is_known_thread(freeze, main_tid))
		LH_TRY(seize_thread(freeze, main_tid));
	interrupt_seized(freeze);
	lh_vec_sort(&freeze->threads, compare_threads);
	freeze->sorted_count = freeze->threads.count;
	return NULL;
}

/* PTRACE_O_TRACESYSGOOD: a stop at a system call, which an injected call may leave. */
enum { SYSCALL_STOP = SIGTRAP | 0x80 };

/*
 * After PTRACE_SEIZE a stop is a trap or a group stop (PTRACE_EVENT_STOP; the signal tells them apart), or a
 * signal-delivery stop (no event), whose signal is delivered at the end.
 */
static void note_stop(struct frozen_thread *thread, int stop_code)
{
	int event = stop_code >> 8, signal = stop_code & 0xff;
	thread->phase = THREAD_STOPPED;
	thread->is_group_stop = event == PTRACE_EVENT_STOP && signal != SIGTRAP;
	thread->signal = event || signal == SYSCALL_STOP ? 0 : signal;
}

/*
 * Returns whether the thread has not stopped yet. Looks at the stop without consuming it (WNOWAIT): a signal whose
 * delivery stop was consumed is lost when the tracer is killed (Linux 6.18). Consumes an end, or the thread would stay
 * a zombie.
 */
static bool is_awaited(struct frozen_thread *thread)
{
	if (thread->phase != THREAD_ASKED)
		return false;
	siginfo_t info = {0};
	int status = waitid(P_PID, (id_t)thread->tid, &info, WEXITED | WSTOPPED | __WALL | WNOHANG | WNOWAIT);
	if (status < 0) {
		thread->phase = errno == ECHILD ? THREAD_GONE : thread->phase;
	} else if (info.si_pid == thread->tid && (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED)) {
		note_stop(thread, info.si_status);
	} else if (info.si_pid == thread->tid) {
		thread->phase = THREAD_GONE;
		(void)waitpid(thread->tid, NULL, __WALL | WNOHANG);
	}
	return thread->phase == THREAD_ASKED;
}

static int read_frozen_registers(pid_t tid, struct user_regs_struct *ret)
{
	struct iovec place = {.iov_base = ret, .iov_len = sizeof(*ret)};
	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &place) < 0)
		return -1;
	return place.iov_len == sizeof(*ret) ? 0 : -1; /* fewer: 32-bit code */
}

static int write_registers(pid_t tid, struct user_regs_struct *registers)
{
	struct iovec place = {.iov_base = registers, .iov_len = sizeof(*registers)};
	return (int)ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &place);
}

/*
 * Without leakhunt, too, a call that a SIGSTOP interrupted would have ended with EINTR. Mended as soon as the thread
 * has stopped: if leakhunt is killed before, the program sees the EINTR.
 */
static void mend_call(const struct lh_freeze *freeze, struct frozen_thread *thread)
{
	struct user_regs_struct registers;
	bool is_signalled = thread->signal && (freeze->caught >> (thread->signal - 1) & 1);
	if (read_frozen_registers(thread->tid, &registers) < 0)
		return;
	lh_restart_clear_socket(lh_process_pid(freeze->process), thread->tid, &registers);
	bool is_due = !thread->is_group_stop && !is_signalled &&
		      lh_restart_is_due(freeze->process, thread->tid, &registers, freeze->caught);
	if (!is_due && !lh_restart_is_deadly(freeze->process, thread->tid, &registers))
		return;
	thread->registers = registers;
	thread->rewound = lh_restart_rewound(&registers);
	thread->wait_end_ns =
		lh_timed_wait_end(&freeze->waits, freeze->process, thread->tid, thread->interrupted_ns, &registers);
	if (thread->wait_end_ns)
		lh_timed_wait_shorten(thread->wait_end_ns, &thread->rewound);
	thread->is_mended = write_registers(thread->tid, &thread->rewound) == 0;
}

/* Returns whether the thread has not stopped yet. */
static bool is_on_its_way(const struct lh_freeze *freeze, struct frozen_thread *thread)
{
	bool was_asked = thread->phase == THREAD_ASKED;
	if (is_awaited(thread))
		return true;
	if (was_asked && thread->phase == THREAD_STOPPED)
		mend_call(freeze, thread);
	return false;
}

static struct lh_error *cannot_be_stopped(const struct lh_process *process, pid_t tid)
{
	static const char hint[] = "try again later, or use --mode live, which stops nothing";
	struct lh_freezer freezer;
	int pid = (int)lh_process_pid(process);
	lh_freezer_read(process, &freezer);
	if (freezer.is_frozen)
		return lh_error_hint(
			lh_error_create(LH_ERROR_UNSUPPORTED, "process %d is frozen by cgroup %s", pid, freezer.folder),
			hint);
	const char *why = state_letter(process, tid) == 'D' ? ": it is in uninterruptible sleep" : "";
	return lh_error_hint(
		lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d of process %d does not stop%s", (int)tid, pid, why),
		hint);
}

/* The last thread that has not stopped yet; 0: none. */
static pid_t find_awaited(struct lh_freeze *freeze)
{
	pid_t awaited = 0;
	for (size_t i = 0; i < freeze->threads.count; i++) {
		if (is_on_its_way(freeze, &freeze->threads.items[i]))
			awaited = freeze->threads.items[i].tid;
	}
	return awaited;
}

static struct lh_error *await_stops(struct lh_freeze *freeze)
{
	static const struct timespec nap = {.tv_nsec = 20000};
	uint64_t begun_ns = lh_clock_monotonic_ns();
	for (pid_t awaited; (awaited = find_awaited(freeze));) {
		uint64_t waited_ns = lh_clock_monotonic_ns() - begun_ns;
		if (waited_ns > freeze->patience_ns)
			return cannot_be_stopped(freeze->process, awaited);
		if (waited_ns > STOP_SOON_NS)
			LH_TRY(lh_patience_check());
		if (waited_ns > STOP_SOON_NS)
			nanosleep(&nap, NULL);
	}
	return NULL;
}

static pid_t find_uninterruptible(const struct lh_process *process, const struct lh_task_list *tasks)
{
	for (size_t i = 0; i < tasks->tasks.count; i++) {
		if (state_letter(process, tasks->tasks.items[i].tid) == 'D')
			return tasks->tasks.items[i].tid;
	}
	return 0;
}

/* Before any thread is stopped: all others would wait for the one that cannot be stopped. */
static struct lh_error *await_interruptible(struct lh_freeze *freeze)
{
	static const struct timespec nap = {.tv_nsec = 1000000};
	uint64_t deadline_ns = lh_clock_monotonic_ns() + freeze->patience_ns;
	for (;;) {
		struct lh_task_list tasks LH_CLEANUP(lh_task_list_deinit) = {0};
		LH_TRY(lh_tasks_read(freeze->process, &tasks));
		pid_t tid = find_uninterruptible(freeze->process, &tasks);
		if (!tid) {
			lh_timed_waits_read(freeze->process, &tasks, &freeze->waits);
			return NULL;
		}
		LH_TRY(lh_patience_check());
		if (lh_clock_monotonic_ns() > deadline_ns)
			return cannot_be_stopped(freeze->process, tid);
		nanosleep(&nap, NULL);
	}
}

/*
 * Whether the stopped threads are all threads: /proc/PID/task has 2 links plus one per thread (fs/proc/base.c,
 * proc_task_getattr). Only they could start another. The main thread is counted after its end, too, as long as others
 * live.
 */
static bool all_are_stopped(const struct lh_freeze *freeze)
{
	struct stat status;
	size_t stopped_count = 0;
	for (size_t i = 0; i < freeze->threads.count; i++) {
		const struct frozen_thread *thread = &freeze->threads.items[i];
		bool is_ended_main = thread->phase == THREAD_GONE && thread->tid == lh_process_pid(freeze->process);
		stopped_count += thread->phase == THREAD_STOPPED || is_ended_main;
	}
	return fstat(dirfd(freeze->folder), &status) == 0 && status.st_nlink == stopped_count + 2;
}

/*
 * When ended threads are still counted, two passes in a row must find nothing new: a listing may miss a thread while
 * others end.
 */
static struct lh_error *stop_all(struct lh_freeze *freeze)
{
	size_t quiet_passes = 0;
	LH_TRY(open_task_folder(freeze));
	for (size_t pass = 0; pass < PASSES_MAX && quiet_passes < 2; pass++) {
		size_t count_before = freeze->threads.count;
		LH_TRY(seize_new_threads(freeze));
		lh_fault_point("freeze-asked");
		LH_TRY(await_stops(freeze));
		lh_fault_point("freeze-stopped");
		if (all_are_stopped(freeze))
			return NULL;
		quiet_passes = freeze->threads.count == count_before ? quiet_passes + 1 : 0;
	}
	if (quiet_passes < 2)
		return lh_error_create(LH_ERROR_UNSUPPORTED,
				       "process %d starts threads faster than leakhunt stops them",
				       (int)lh_process_pid(freeze->process));
	return NULL;
}

/* ---------------------------------------------------------------- registers */

static struct lh_error *capture_thread(const struct frozen_thread *thread, struct lh_thread_states *ret)
{
	if (thread->phase != THREAD_STOPPED)
		return NULL;
	struct lh_thread_state state;
	bool is_gone;
	LH_TRY(lh_vec_reserve(&ret->threads, 1));
	LH_TRY(lh_thread_state_capture(thread->tid, thread->signal, &state, &is_gone));
	if (is_gone)
		return NULL;
	if (thread->is_mended)
		lh_thread_state_set_registers(&state, &thread->registers);
	ret->threads.items[ret->threads.count++] = state;
	return NULL;
}

static struct lh_error *capture_all(const struct lh_freeze *freeze, struct lh_thread_states *ret)
{
	pid_t main_tid = lh_process_pid(freeze->process);
	for (int is_main = 1; is_main >= 0; is_main--) {
		for (size_t i = 0; i < freeze->threads.count; i++) {
			const struct frozen_thread *thread = &freeze->threads.items[i];
			if ((thread->tid == main_tid) == is_main)
				LH_TRY(capture_thread(thread, ret));
		}
	}
	return NULL;
}

static struct lh_error *freeze_all(struct lh_freeze *freeze)
{
	LH_TRY(await_interruptible(freeze));
	lh_fault_point("freeze-checked");
	LH_TRY(stop_all(freeze));
	return lh_process_check(freeze->process);
}

/* NULL without memory. */
static struct lh_freeze *create_freeze(const struct lh_process *process, uint64_t patience_ns)
{
	struct lh_freeze *freeze = calloc(1, sizeof(*freeze));
	if (!freeze)
		return NULL;
	freeze->process = process;
	freeze->patience_ns = patience_ns;
	freeze->caught = lh_restart_caught_signals(process);
	ignore_suspending(freeze);
	return freeze;
}

struct lh_error *lh_freeze_begin(const struct lh_process *process, struct lh_thread_states *ret_states,
				 struct lh_freeze **ret)
{
	LH_CLEANUP(lh_cleanup_freeze) struct lh_freeze *freeze = create_freeze(process, STOP_PATIENCE_NS);
	if (!freeze)
		return lh_error_no_memory();
	LH_TRY(freeze_all(freeze));
	struct lh_thread_states states = {0};
	struct lh_error *error = capture_all(freeze, &states);
	if (error) {
		lh_thread_states_deinit(&states);
		return error;
	}
	*ret_states = states;
	*ret = freeze;
	freeze = NULL;
	return NULL;
}

struct lh_error *lh_freeze_begin_brief(const struct lh_process *process, uint64_t patience_ns, struct lh_freeze **ret)
{
	LH_CLEANUP(lh_cleanup_freeze) struct lh_freeze *freeze = create_freeze(process, patience_ns);
	if (!freeze)
		return lh_error_no_memory();
	LH_TRY(freeze_all(freeze));
	if (!all_are_stopped(freeze))
		return lh_error_create(LH_ERROR_UNSUPPORTED, "not all threads of process %d can be stopped",
				       (int)lh_process_pid(process));
	*ret = freeze;
	freeze = NULL;
	return NULL;
}

static struct lh_error *freeze_one(struct lh_freeze *freeze, pid_t tid)
{
	if (state_letter(freeze->process, tid) == 'D')
		return cannot_be_stopped(freeze->process, tid);
	lh_timed_waits_read_one(freeze->process, tid, &freeze->waits);
	LH_TRY(seize_thread(freeze, tid));
	interrupt_seized(freeze);
	LH_TRY(await_stops(freeze));
	LH_TRY(lh_process_check(freeze->process));
	if (freeze->threads.items[0].phase != THREAD_STOPPED)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d ended", (int)tid);
	return NULL;
}

struct lh_error *lh_freeze_begin_thread(const struct lh_process *process, pid_t tid, struct lh_freeze **ret)
{
	LH_CLEANUP(lh_cleanup_freeze) struct lh_freeze *freeze = create_freeze(process, STOP_PATIENCE_NS);
	if (!freeze)
		return lh_error_no_memory();
	LH_TRY(freeze_one(freeze, tid));
	*ret = freeze;
	freeze = NULL;
	return NULL;
}

void lh_freeze_deliver(struct lh_freeze *freeze, pid_t tid, int signal)
{
	for (size_t i = 0; i < freeze->threads.count; i++) {
		if (freeze->threads.items[i].tid == tid && !freeze->threads.items[i].signal)
			freeze->threads.items[i].signal = signal;
	}
}

bool lh_freeze_is_whole(const struct lh_freeze *freeze)
{
	return freeze->folder && all_are_stopped(freeze);
}

pid_t lh_freeze_stopped_thread(const struct lh_freeze *freeze, size_t *next)
{
	while (*next < freeze->threads.count) {
		const struct frozen_thread *thread = &freeze->threads.items[(*next)++];
		if (thread->phase == THREAD_STOPPED)
			return thread->tid;
	}
	return 0;
}

pid_t lh_freeze_usable_thread(const struct lh_freeze *freeze, size_t *next)
{
	while (*next < freeze->threads.count) {
		const struct frozen_thread *thread = &freeze->threads.items[(*next)++];
		if (thread->phase == THREAD_STOPPED && !thread->signal)
			return thread->tid;
	}
	return 0;
}

/* ---------------------------------------------------------------- letting go */

/*
 * A signal with a handler arrived during the stop: the call ends with EINTR, as it would have. Otherwise the stop
 * itself has taken a part of what the call waits for.
 */
static void mend_at_last(struct frozen_thread *thread, uint64_t caught)
{
	struct user_regs_struct now;
	if (lh_restart_signal_waits(thread->tid, caught)) {
		thread->is_mended = write_registers(thread->tid, &thread->registers) != 0;
	} else if (thread->wait_end_ns && read_frozen_registers(thread->tid, &now) == 0 &&
		   now.rip == thread->rewound.rip) {
		lh_timed_wait_shorten(thread->wait_end_ns, &thread->rewound);
		(void)write_registers(thread->tid, &thread->rewound);
	}
}

/* A thread that was interrupted, or took over another's tid by exec, can only be released from a stop. */
static void let_go(struct frozen_thread *thread, uint64_t caught)
{
	if (thread->phase == THREAD_GONE)
		return;
	if (thread->is_mended)
		mend_at_last(thread, caught);
	if (thread->phase == THREAD_STOPPED && !ptrace(PTRACE_DETACH, thread->tid, NULL, (uintptr_t)thread->signal)) {
		thread->phase = THREAD_LET_GO;
	} else if (thread->phase != THREAD_ASKED) {
		(void)ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL);
		thread->phase = THREAD_ASKED;
	}
}

/* Whether any thread has still to stop or end. */
static bool let_stragglers_go(struct lh_freeze *freeze, bool looks_for_ended)
{
	bool are_left = false;
	for (size_t i = 0; i < freeze->threads.count; i++) {
		struct frozen_thread *thread = &freeze->threads.items[i];
		if (thread->phase != THREAD_ASKED)
			continue;
		if (!is_on_its_way(freeze, thread))
			let_go(thread, freeze->caught);
		else if (looks_for_ended && is_ending(freeze->process, thread->tid))
			thread->phase = THREAD_LEFT;
		are_left |= thread->phase == THREAD_ASKED;
	}
	return are_left;
}

/*
 * The others run meanwhile. A thread that stays traced would stand still from its stop until leakhunt ends, and its
 * call would fail then: so leakhunt waits for each, on a busy machine and in uninterruptible sleep (vfork), too. The
 * kernel detaches the rest when leakhunt ends: a first thread that ended before the others, what sleeps for longer, and
 * all of them after Ctrl-C.
 */
static void await_stragglers(struct lh_freeze *freeze)
{
	static const struct timespec nap = {.tv_nsec = 20000};
	uint64_t begun_ns = lh_clock_monotonic_ns(), looked_ns = begun_ns;
	for (bool looks_for_ended = false; let_stragglers_go(freeze, looks_for_ended);) {
		struct lh_error *interrupted LH_CLEANUP(lh_cleanup_error) = lh_patience_check();
		uint64_t now_ns = lh_clock_monotonic_ns();
		if (interrupted || now_ns - begun_ns > STRAGGLER_PATIENCE_NS)
			return;
		looks_for_ended = now_ns - looked_ns > ENDED_LOOK_NS;
		if (looks_for_ended)
			looked_ns = now_ns;
		nanosleep(&nap, NULL);
	}
}

static uint64_t caught_if_mended(const struct lh_freeze *freeze)
{
	for (size_t i = 0; i < freeze->threads.count; i++) {
		if (freeze->threads.items[i].is_mended)
			return lh_restart_caught_signals(freeze->process);
	}
	return 0;
}

/*
 * A signal that the process ignores by default is queued while its receiver is traced, and wakes a thread that is not
 * traced (sig_ignored and complete_signal, kernel/signal.c), whose epoll_wait fails with EINTR. The receiver is the
 * main thread, or of SIGCHLD the one that has forked: neither may still be traced when threads in such calls run again.
 */
static bool is_released_last(const struct lh_freeze *freeze, const struct frozen_thread *thread)
{
	return thread->is_mended && thread->tid != lh_process_pid(freeze->process);
}

/* Those that are released last, or the others. Returns the longest time that one of them stood still. */
static uint64_t let_some_go(struct lh_freeze *freeze, bool are_last, uint64_t caught)
{
	uint64_t pause_ns = 0;
	for (size_t i = 0; i < freeze->threads.count; i++) {
		struct frozen_thread *thread = &freeze->threads.items[i];
		if (is_released_last(freeze, thread) != are_last)
			continue;
		let_go(thread, caught);
		lh_fault_point("freeze-let-one-go");
		if (thread->phase != THREAD_GONE && thread->asked_ns)
			pause_ns = lh_max_u64(pause_ns, lh_clock_monotonic_ns() - thread->asked_ns);
	}
	return pause_ns;
}

struct lh_freeze_cost lh_freeze_end(struct lh_freeze *freeze)
{
	struct lh_freeze_cost cost = {0};
	if (!freeze)
		return cost;
	uint64_t caught = caught_if_mended(freeze);
	cost.pause_ns = let_some_go(freeze, false, caught);
	cost.pause_ns = lh_max_u64(cost.pause_ns, let_some_go(freeze, true, caught));
	await_stragglers(freeze);
	for (size_t i = 0; i < freeze->threads.count; i++)
		cost.mended_count += freeze->threads.items[i].is_mended;
	if (freeze->folder)
		closedir(freeze->folder);
	heed_suspending(freeze);
	lh_timed_waits_deinit(&freeze->waits);
	lh_vec_deinit(&freeze->threads);
	free(freeze);
	return cost;
}

void lh_freeze_cost_add(struct lh_freeze_cost *cost, struct lh_freeze_cost stop)
{
	cost->pause_ns = lh_max_u64(cost->pause_ns, stop.pause_ns);
	cost->mended_count += stop.mended_count;
}

void lh_cleanup_freeze(struct lh_freeze **freeze)
{
	lh_freeze_end(*freeze);
}
