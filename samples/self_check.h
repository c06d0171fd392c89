/*
 * self_check: shared by targets that check themselves. Each checker is a thread that repeats something a dump
 * must not disturb, and counts what went wrong. The program prints "READY {json}", then answers lines on stdin
 * with one JSON line each: "check" (the counts so far, after every checker has finished another round) and
 * "quit". End of input ends it.
 *
 * Counts: wrong (a value, a checksum, a descriptor or a mask that is not what it must be), failed (a system call
 * that must succeed and did not), interrupted (a system call that returned EINTR without a signal of the
 * program's own), stuck (checkers that finish no round).
 */
#ifndef LEAKHUNT_SELF_CHECK_H
#define LEAKHUNT_SELF_CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define CHECKERS_MAX 10100
/* The control descriptors leave the low numbers to the program. */
#define CHECKER_CONTROL_FD 900

struct checker {
	void (*run)(struct checker *checker); /* repeats for ever, and ends each round with checker_round */
	void *argument;
	unsigned index; /* among the checkers */
	_Atomic uint64_t rounds;
};

static struct checker checkers[CHECKERS_MAX];
static unsigned checker_count;
static _Atomic uint64_t checker_wrong, checker_failed, checker_interrupted;
static _Atomic bool checker_has_trouble;
static char checker_first_trouble[256]; /* complete before has_trouble is read: "check" comes later */
static volatile const void *checker_victim;

static inline _Noreturn __attribute__((format(printf, 1, 2))) void checker_die(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(2);
}

/* Keeps the first trouble's text. Texts hold no quotes or backslashes. */
static inline __attribute__((format(printf, 1, 0))) void checker_note(const char *format, va_list arguments)
{
	if (!atomic_exchange(&checker_has_trouble, true))
		vsnprintf(checker_first_trouble, sizeof(checker_first_trouble), format, arguments);
}

static inline __attribute__((format(printf, 1, 2))) void checker_report_wrong(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	checker_wrong++;
	checker_note(format, arguments);
	va_end(arguments);
}

static inline __attribute__((format(printf, 1, 2))) void checker_report_failed(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	checker_failed++;
	checker_note(format, arguments);
	va_end(arguments);
}

/* Counts a call that returned -1 with errno; returns whether it succeeded. */
static inline bool checker_call(const char *name, long result)
{
	if (result != -1)
		return true;
	if (errno == EINTR)
		checker_interrupted++;
	else
		checker_report_failed("%s: errno %d", name, errno);
	return false;
}

static inline void checker_round(struct checker *checker)
{
	checker->rounds++;
}

static inline void checker_sleep_us(long us)
{
	/* Not usleep: a sleep that returns early is a failed call. */
	checker_call("nanosleep",
		     nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL));
}

static inline uint64_t checker_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---------------------------------------------------------------- checkers */

static inline void *checker_thread(void *argument)
{
	struct checker *checker = argument;
	checker->run(checker);
	return NULL;
}

/* Attributes may be NULL. */
static inline struct checker *checker_start(void (*run)(struct checker *checker), void *argument,
					    const pthread_attr_t *attributes)
{
	if (checker_count == CHECKERS_MAX) {
		errno = E2BIG;
		checker_die("cannot start another checker");
	}
	struct checker *checker = &checkers[checker_count];
	*checker = (struct checker){.run = run, .argument = argument, .index = checker_count};
	pthread_t thread;
	if ((errno = pthread_create(&thread, attributes, checker_thread, checker)))
		checker_die("cannot start checker %u", checker_count);
	checker_count++;
	return checker;
}

static inline void *checker_map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		checker_die("cannot map %zu bytes", bytes);
	return memory;
}

/* Words that one thread writes all the time, and that nobody else may change. */
struct checker_words {
	volatile uint64_t *words;
	size_t count; /* at most CHECKER_WORDS_MAX */
	const char *name;
};

#define CHECKER_WORDS_MAX 512

static inline void checker_compare_words(const struct checker_words *watched, uint64_t *mine, uint64_t next)
{
	for (size_t i = 0; i < watched->count; i++) {
		uint64_t found = watched->words[i];
		if (found != mine[i])
			checker_report_wrong("%s: word %zu of %zu is %" PRIx64 ", not %" PRIx64, watched->name, i,
					     watched->count, found, mine[i]);
		watched->words[i] = mine[i] = next;
	}
}

static inline void checker_own_words(struct checker *checker)
{
	const struct checker_words *watched = checker->argument;
	uint64_t mine[CHECKER_WORDS_MAX];
	for (size_t i = 0; i < watched->count; i++)
		mine[i] = watched->words[i];
	for (uint64_t next = 1;; next++) {
		checker_compare_words(watched, mine, next);
		checker_round(checker);
		/* Some 100 us of work, then a pause, so that a machine with two CPUs has time for others. */
		if (next % 256 == 0)
			checker_sleep_us(50);
	}
}

static inline void checker_watch_words(void *words, size_t bytes, const char *name)
{
	struct checker_words *watched = malloc(sizeof(*watched));
	if (!watched)
		checker_die("no memory");
	*watched = (struct checker_words){words, bytes / sizeof(uint64_t), name};
	if (!checker_victim)
		checker_victim = words;
	checker_start(checker_own_words, watched, NULL);
}

/* Fills memory with a byte; checker_holds says whether all of it still is that byte. */
static inline bool checker_holds(const volatile unsigned char *bytes, size_t count, unsigned char value)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] != value) {
			checker_report_wrong("byte %zu of %zu is %x, not %x", i, count, bytes[i], value);
			return false;
		}
	}
	return true;
}

/* ---------------------------------------------------------------- control */

/* Checkers that do not finish another round within 30 s of naps. */
static inline unsigned checker_count_stuck(void)
{
	enum { NAPS_MAX = 30000 };
	static uint64_t before[CHECKERS_MAX];
	unsigned stuck = 0, naps = 0;
	for (unsigned i = 0; i < checker_count; i++)
		before[i] = checkers[i].rounds;
	for (unsigned i = 0; i < checker_count; i++) {
		while (checkers[i].rounds == before[i] && naps++ < NAPS_MAX)
			checker_sleep_us(1000);
		stuck += checkers[i].rounds == before[i];
	}
	return stuck;
}

static inline void checker_write(const char *text)
{
	for (size_t left = strlen(text); left;) {
		ssize_t written = write(CHECKER_CONTROL_FD + 1, text, left);
		if (written < 0 && errno == EINTR) {
			checker_interrupted++;
			continue;
		}
		if (written <= 0)
			_exit(0); /* nobody listens any more */
		text += written;
		left -= (size_t)written;
	}
}

static inline void checker_answer(void)
{
	char line[1024];
	unsigned stuck = checker_count_stuck();
	uint64_t rounds = 0;
	for (unsigned i = 0; i < CHECKERS_MAX; i++)
		rounds += checkers[i].rounds;
	snprintf(line, sizeof(line),
		 "{\"rounds\":%" PRIu64 ",\"stuck\":%u,\"wrong\":%" PRIu64 ",\"failed\":%" PRIu64
		 ",\"interrupted\":%" PRIu64 ",\"first\":\"%s\"}\n",
		 rounds, stuck, checker_wrong, checker_failed, checker_interrupted,
		 checker_has_trouble ? checker_first_trouble : "");
	checker_write(line);
}

/* Reads and answers one line; ends the program at "quit" and at the end of input. */
static inline void checker_serve_line(void)
{
	char byte = 0, line[64];
	size_t used = 0;
	while (byte != '\n') {
		ssize_t got = read(CHECKER_CONTROL_FD, &byte, 1);
		if (got < 0 && errno == EINTR) {
			checker_interrupted++;
			continue;
		}
		if (got <= 0)
			_exit(0);
		line[used++ % sizeof(line)] = byte;
	}
	if (used == 5 && !memcmp(line, "quit", 4))
		_exit(0);
	checker_answer();
}

/* Called first: moves the control descriptors away from the low numbers. Only 0, 1 and 2 stay open below them. */
static inline void checker_begin(void)
{
	signal(SIGPIPE, SIG_IGN);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup3(STDIN_FILENO, CHECKER_CONTROL_FD, O_CLOEXEC) < 0 ||
	    dup3(STDOUT_FILENO, CHECKER_CONTROL_FD + 1, O_CLOEXEC) < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0)
		checker_die("cannot move descriptors");
	syscall(SYS_close_range, 3, CHECKER_CONTROL_FD - 1, 0); /* inherited ones, and `null` */
}

static inline _Noreturn void checker_serve_lines(void)
{
	for (;;)
		checker_serve_line();
}

static inline void checker_print_ready(const char *name)
{
	char line[256];
	snprintf(line, sizeof(line), "READY {\"pid\":%d,\"name\":\"%s\",\"victim\":\"0x%" PRIxPTR "\"}\n", getpid(),
		 name, (uintptr_t)checker_victim);
	checker_write(line);
}

/* Serves stdin until it is told to quit. */
static inline _Noreturn void checker_serve(const char *name)
{
	checker_print_ready(name);
	checker_serve_lines();
}

/* The same on a stack in .bss, as a coroutine's: the main thread is no easier to borrow than the others. */
static inline _Noreturn void checker_serve_on_coroutine(const char *name)
{
	static char stack[1 << 17];
	static ucontext_t coroutine, back;
	checker_print_ready(name);
	if (getcontext(&coroutine))
		checker_die("getcontext");
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = sizeof(stack);
	coroutine.uc_link = NULL;
	makecontext(&coroutine, checker_serve_lines, 0);
	swapcontext(&back, &coroutine);
	abort();
}

#endif
