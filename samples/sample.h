/*
 * sample: what all sample programs share: a target with one known memory condition, that says its
 * own ground truth. It prints "READY {json}", then answers lines on stdin with one JSON line each:
 * "step N" (N steps of its condition), "check" (its memory, threads and calls are as they should
 * be), "quit". End of input ends it. Truth is counted here, never read back from the kernel, and
 * nothing but the condition itself allocates after READY.
 */
#ifndef LEAKHUNT_SAMPLE_H
#define LEAKHUNT_SAMPLE_H

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SAMPLE_PATTERN_BYTES ((size_t)4 << 20)
#define SAMPLE_REPLY_BYTES   4096
#define SAMPLE_NS_PER_MS     ((uint64_t)1000000)

/*
 * A program fills in the upper part and hands it to sample_main; its steps keep the lower part.
 * Bytes are what the program asked for, without an allocator's overhead.
 */
struct sample {
	const char *name;
	const char *condition;                /* "leak", "plateau", "sawtooth", "fragmentation", "steady" */
	const char *region_kind;              /* what it happens in, a word of `leakhunt maps --kind`; NULL: nowhere */
	uint64_t size_bytes;                  /* default of --size: where growth ends, for conditions that end */
	uint64_t step_bytes;                  /* default of --step-bytes: what a step adds */
	uint64_t block_bytes;                 /* default of --block-bytes: size of one block */
	uint64_t steps_max;                   /* steps past it do nothing; 0: no bound */
	void (*begin)(struct sample *sample); /* before READY; NULL: nothing to do */
	void (*step)(struct sample *sample);  /* NULL: steps do nothing */
	/* Runs for ever in the main thread, while another one answers stdin. NULL: nothing to do. */
	void (*work)(struct sample *sample);
	void (*end)(struct sample *sample); /* after "quit"; NULL: nothing to do */
	const char *own_options;            /* what --help says of flags and options of its own; NULL: there are none */
	/* Takes a flag of its own, "--name"; false when it isn't one. NULL: there are none. */
	bool (*flag)(struct sample *sample, const char *name);
	/* Takes an option of its own, "--name value"; false when it isn't one. NULL: there are none. */
	bool (*option)(struct sample *sample, const char *name, const char *value);
	/* Writes further members of its truth, each with a comma before it. NULL: there are none. */
	void (*describe)(struct sample *sample, char *ret, size_t ret_bytes);

	uint64_t steps;
	uint64_t leaked_bytes;
	uint64_t leaked_blocks;
	uint64_t held_bytes;          /* in use, and reachable */
	uint64_t first_addr_inverted; /* ~address of the first and the last block: inverted, so that the */
	uint64_t last_addr_inverted;  /* truth is not itself a reference to leaked memory */
};

static inline _Noreturn __attribute__((format(printf, 1, 2))) void sample_die(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(2);
}

static inline uint64_t sample_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / SAMPLE_NS_PER_MS;
}

static inline void sample_sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000 * SAMPLE_NS_PER_MS)}, NULL);
}

/* ---------------------------------------------------------------- blocks */

/* Fills all of a block and writes "<word> block <number> by <name>" and a NUL at its start. */
static inline void sample_fill(const struct sample *sample, void *block, size_t bytes, const char *word,
			       uint64_t number)
{
	if (!block || block == (void *)-1)
		sample_die("%s: cannot allocate %zu bytes", sample->name, bytes);
	memset(block, 0xa5, bytes);
	snprintf(block, bytes, "%s block %06" PRIu64 " by %s", word, number, sample->name);
}

static inline void sample_note_address(struct sample *sample, const void *block)
{
	sample->last_addr_inverted = ~(uint64_t)(uintptr_t)block;
	if (!sample->first_addr_inverted)
		sample->first_addr_inverted = sample->last_addr_inverted;
}

/* Counts a block as leaked, and fills it: "leaked block 000001 by heap_leak". */
static inline void sample_leak(struct sample *sample, void *block, size_t bytes)
{
	sample_fill(sample, block, bytes, "leaked", ++sample->leaked_blocks);
	sample->leaked_bytes += bytes;
	sample_note_address(sample, block);
}

/* ---------------------------------------------------------------- state that must stay intact */

/*
 * Three threads besides the program's own: two compute a recurrence in their registers and sleep,
 * one waits in epoll_wait, which fails with EINTR after any ptrace stop that was not mended
 * (signal(7), "Interruption of system calls"). The expected state follows from the round count.
 */
struct sample_worker {
	pthread_t thread;
	pthread_mutex_t lock;
	uint64_t rounds;
	uint64_t state;
	_Atomic uint64_t interrupted_calls;
};

#define SAMPLE_COMPUTERS 2
#define SAMPLE_WORKERS   (SAMPLE_COMPUTERS + 1)

static uint8_t sample_pattern[SAMPLE_PATTERN_BYTES];
static struct sample_worker sample_workers[SAMPLE_WORKERS];

/* x -> multiplier * x + increment, mod 2^64 (Knuth, MMIX). */
struct sample_affine {
	uint64_t multiplier;
	uint64_t increment;
};

#define SAMPLE_ROUND ((struct sample_affine){6364136223846793005u, 1442695040888963407u})

static inline struct sample_affine sample_affine_compose(struct sample_affine outer, struct sample_affine inner)
{
	return (struct sample_affine){outer.multiplier * inner.multiplier,
				      outer.multiplier * inner.increment + outer.increment};
}

/* The state after `rounds` rounds from `seed`, in O(log rounds). */
static inline uint64_t sample_expected_state(uint64_t seed, uint64_t rounds)
{
	struct sample_affine total = {1, 0};
	for (struct sample_affine power = SAMPLE_ROUND; rounds; rounds >>= 1) {
		if (rounds & 1)
			total = sample_affine_compose(power, total);
		power = sample_affine_compose(power, power);
	}
	return total.multiplier * seed + total.increment;
}

static inline void sample_worker_publish(struct sample_worker *worker, uint64_t rounds, uint64_t state)
{
	pthread_mutex_lock(&worker->lock);
	worker->rounds = rounds;
	worker->state = state;
	pthread_mutex_unlock(&worker->lock);
}

static inline void *sample_compute(void *argument)
{
	struct sample_worker *worker = argument;
	uint64_t state = worker->state;
	for (uint64_t rounds = 0;;) {
		for (unsigned i = 0; i < 5000; i++, rounds++)
			state = SAMPLE_ROUND.multiplier * state + SAMPLE_ROUND.increment;
		sample_worker_publish(worker, rounds, state);
		if (nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL))
			worker->interrupted_calls++;
	}
	return NULL;
}

static inline void *sample_wait_in_epoll(void *argument)
{
	struct sample_worker *worker = argument;
	uint64_t state = worker->state;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		sample_die("epoll_create1: %s", strerror(errno));
	for (uint64_t rounds = 1;; rounds++) {
		struct epoll_event event;
		if (epoll_wait(fd, &event, 1, 5) < 0)
			worker->interrupted_calls++;
		state = SAMPLE_ROUND.multiplier * state + SAMPLE_ROUND.increment;
		sample_worker_publish(worker, rounds, state);
	}
	return NULL;
}

static inline void sample_workers_start(void)
{
	for (unsigned i = 0; i < SAMPLE_WORKERS; i++) {
		struct sample_worker *worker = &sample_workers[i];
		pthread_mutex_init(&worker->lock, NULL);
		worker->state = i;
		void *(*run)(void *) = i < SAMPLE_COMPUTERS ? sample_compute : sample_wait_in_epoll;
		if (pthread_create(&worker->thread, NULL, run, worker))
			sample_die("cannot start a thread");
		pthread_setname_np(worker->thread, i < SAMPLE_COMPUTERS ? "computer" : "waiter");
	}
}

static inline uint64_t sample_pattern_sum(void)
{
	uint64_t sum = 0xcbf29ce484222325u; /* FNV-1a over 8 bytes at a time */
	for (size_t i = 0; i < SAMPLE_PATTERN_BYTES; i += sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, sample_pattern + i, sizeof(word));
		sum = (sum ^ word) * 0x100000001b3u;
	}
	return sum;
}

static inline uint64_t sample_pattern_fill(void)
{
	uint64_t state = 42;
	for (size_t i = 0; i < SAMPLE_PATTERN_BYTES; i += sizeof(state)) {
		state = SAMPLE_ROUND.multiplier * state + SAMPLE_ROUND.increment;
		memcpy(sample_pattern + i, &state, sizeof(state));
	}
	return sample_pattern_sum();
}

/* Rounds so far; clears *ret_intact when the state is not what that many rounds give. */
static inline uint64_t sample_worker_rounds(unsigned i, bool *ret_intact)
{
	struct sample_worker *worker = &sample_workers[i];
	pthread_mutex_lock(&worker->lock);
	uint64_t rounds = worker->rounds;
	if (worker->state != sample_expected_state(i, rounds))
		*ret_intact = false;
	pthread_mutex_unlock(&worker->lock);
	return rounds;
}

/*
 * Whether every worker goes on: 10,000 naps are given to each for its next round. Not seconds: when the
 * machine itself was held up (a virtual one, say), those are over at once.
 */
static inline bool sample_workers_progress(bool *ret_intact)
{
	enum { NAPS_MAX = 10000 };
	for (unsigned i = 0; i < SAMPLE_WORKERS; i++) {
		uint64_t before = sample_worker_rounds(i, ret_intact);
		unsigned naps = 0;
		while (sample_worker_rounds(i, ret_intact) == before) {
			if (naps++ == NAPS_MAX)
				return false;
			sample_sleep_ms(1);
		}
	}
	return true;
}

/* ---------------------------------------------------------------- protocol */

static inline void sample_write(const char *text)
{
	for (size_t left = strlen(text); left;) {
		ssize_t written = write(STDOUT_FILENO, text, left);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			exit(0); /* nobody listens any more */
		text += written;
		left -= (size_t)written;
	}
}

static inline void sample_print_truth(struct sample *sample, const char *prefix)
{
	char more[SAMPLE_REPLY_BYTES / 2] = "";
	char line[SAMPLE_REPLY_BYTES];
	if (sample->describe)
		sample->describe(sample, more, sizeof(more));
	const char *quote = sample->region_kind ? "\"" : "";
	snprintf(line, sizeof(line),
		 "%s{\"pid\":%d,\"name\":\"%s\",\"condition\":\"%s\",\"region_kind\":%s%s%s,\"steps\":%" PRIu64
		 ",\"step_bytes\":%" PRIu64 ",\"block_bytes\":%" PRIu64 ",\"size_bytes\":%" PRIu64
		 ",\"leaked_bytes\":%" PRIu64 ",\"leaked_blocks\":%" PRIu64 ",\"held_bytes\":%" PRIu64
		 ",\"first_addr\":\"0x%" PRIx64 "\",\"last_addr\":\"0x%" PRIx64 "\"%s}\n",
		 prefix, getpid(), sample->name, sample->condition, quote,
		 sample->region_kind ? sample->region_kind : "null", quote, sample->steps, sample->step_bytes,
		 sample->block_bytes, sample->size_bytes, sample->leaked_bytes, sample->leaked_blocks,
		 sample->held_bytes, sample->first_addr_inverted ? ~sample->first_addr_inverted : 0,
		 sample->last_addr_inverted ? ~sample->last_addr_inverted : 0, more);
	sample_write(line);
}

static inline void sample_print_check(uint64_t pattern_sum)
{
	bool is_intact = sample_pattern_sum() == pattern_sum;
	bool is_alive = sample_workers_progress(&is_intact);
	uint64_t interrupted_calls = 0;
	for (unsigned i = 0; i < SAMPLE_WORKERS; i++)
		interrupted_calls += atomic_exchange(&sample_workers[i].interrupted_calls, 0); /* since last asked */
	char line[SAMPLE_REPLY_BYTES];
	snprintf(line, sizeof(line),
		 "{\"alive\":%s,\"checksum_ok\":%s,\"workers\":%d,\"interrupted_calls\":%" PRIu64 "}\n",
		 is_alive ? "true" : "false", is_intact ? "true" : "false", SAMPLE_WORKERS, interrupted_calls);
	sample_write(line);
}

static inline void sample_steps(struct sample *sample, uint64_t count)
{
	for (uint64_t i = 0; sample->step && i < count && (!sample->steps_max || sample->steps < sample->steps_max);
	     i++) {
		sample->step(sample);
		sample->steps++;
	}
}

/* "4096", "64K", "10M", "1G". */
static inline uint64_t sample_number(const char *name, const char *text)
{
	char *end;
	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	const char *units = "KMG", *unit = *end ? strchr(units, *end) : NULL;
	if (unit)
		value <<= 10 * (unit - units + 1), end++;
	if (errno || end == text || *end || *text == '-')
		sample_die("%s: '%s' is not a number", name, text);
	return value;
}

/* Answers one line; false when it asks to quit. */
static inline bool sample_answer(struct sample *sample, const char *line, uint64_t pattern_sum)
{
	if (!strcmp(line, "quit"))
		return false;
	if (!strcmp(line, "check")) {
		sample_print_check(pattern_sum);
	} else if (!strncmp(line, "step ", 5)) {
		sample_steps(sample, sample_number("step", line + 5));
		sample_print_truth(sample, "");
	} else {
		sample_write("{\"error\":\"commands: step N, check, quit\"}\n");
	}
	return true;
}

/* Reads what stdin has, and answers each complete line; false at its end or at "quit". */
static inline bool sample_read_lines(struct sample *sample, uint64_t pattern_sum)
{
	static char buffer[256];
	static size_t used;
	ssize_t got = read(STDIN_FILENO, buffer + used, sizeof(buffer) - 1 - used);
	if (got <= 0)
		return got < 0 && errno == EINTR;
	used += (size_t)got;
	char *newline;
	while ((newline = memchr(buffer, '\n', used))) {
		*newline = '\0';
		if (!sample_answer(sample, buffer, pattern_sum))
			return false;
		used -= (size_t)(newline + 1 - buffer);
		memmove(buffer, newline + 1, used);
	}
	return used < sizeof(buffer) - 1;
}

struct sample_settings {
	uint64_t auto_ms; /* 0: steps only when told to */
	uint64_t steps;   /* before READY */
	uint64_t pattern_sum;
	struct sample *sample;
};

/* Serves stdin, and steps each auto_ms, until it is told to quit. */
static inline void sample_serve(const struct sample_settings *settings)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t next_ms = sample_now_ms() + settings->auto_ms;
	for (;;) {
		uint64_t now_ms = sample_now_ms();
		if (settings->auto_ms && now_ms >= next_ms) {
			sample_steps(settings->sample, 1);
			next_ms += settings->auto_ms;
			continue;
		}
		int ready = poll(&input, 1, settings->auto_ms ? (int)(next_ms - now_ms) : -1);
		if (ready > 0 && !sample_read_lines(settings->sample, settings->pattern_sum))
			return;
	}
}

/* _exit: the main thread is still at work, so nothing that it uses may be torn down. */
static inline void *sample_serve_beside(void *argument)
{
	sample_serve(argument);
	_exit(0);
}

static inline void sample_work(struct sample_settings *settings)
{
	pthread_t server;
	if (pthread_create(&server, NULL, sample_serve_beside, settings))
		sample_die("cannot start a thread");
	pthread_setname_np(server, "control");
	settings->sample->work(settings->sample);
}

static inline _Noreturn void sample_help(const struct sample *sample)
{
	printf("%s %s[--auto MS] [--steps N] [--size BYTES] [--step-bytes BYTES] [--block-bytes BYTES]\n"
	       "runs until its stdin ends or says \"quit\"; other commands: step N, check\n",
	       sample->name, sample->own_options ? sample->own_options : "");
	exit(0);
}

static inline void sample_options(struct sample *sample, int argc, char **argv, struct sample_settings *ret)
{
	for (int i = 1; i < argc; i += 2) {
		while (i < argc && sample->flag && sample->flag(sample, argv[i]))
			i++;
		if (i == argc)
			break;
		const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (!strcmp(name, "--help"))
			sample_help(sample);
		if (!value)
			sample_die("%s: %s needs a value", sample->name, name);
		if (!strcmp(name, "--auto"))
			ret->auto_ms = sample_number(name, value);
		else if (!strcmp(name, "--steps"))
			ret->steps = sample_number(name, value);
		else if (!strcmp(name, "--size"))
			sample->size_bytes = sample_number(name, value);
		else if (!strcmp(name, "--step-bytes"))
			sample->step_bytes = sample_number(name, value);
		else if (!strcmp(name, "--block-bytes"))
			sample->block_bytes = sample_number(name, value);
		else if (!sample->option || !sample->option(sample, name, value))
			sample_die("%s: unknown option '%s'; see --help", sample->name, name);
	}
	if (sample->block_bytes && sample->block_bytes < 64)
		sample_die("%s: --block-bytes must be at least 64", sample->name);
}

/*
 * Huge pages are off, so that resident bytes follow from the bytes touched: with them always on, the
 * first touch of an aligned range makes 2 MiB resident (admin-guide/mm/transhuge.rst).
 */
static inline int sample_main(struct sample *sample, int argc, char **argv)
{
	struct sample_settings settings = {.sample = sample};
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	sample_options(sample, argc, argv, &settings);
	settings.pattern_sum = sample_pattern_fill();
	sample_workers_start();
	if (sample->begin)
		sample->begin(sample);
	sample_steps(sample, settings.steps);
	sample_print_truth(sample, "READY ");
	if (sample->work)
		sample_work(&settings);
	else
		sample_serve(&settings);
	if (sample->end)
		sample->end(sample);
	return 0;
}

#endif
