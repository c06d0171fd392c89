/*
 * ring_user [registered]: io_uring(7) without liburing: timeouts, reads and writes of a file, and reads of a pipe that
 * the kernel's worker threads run (IOSQE_ASYNC), which show as threads of this process that nobody can trace. Each
 * request must complete once, with its result and its bytes. "registered": reads into a registered buffer alone, which
 * the kernel writes through a pin; the victim of READY is a struct registered, whose numbers tell what a core must
 * hold.
 */
#include "self_check.h"

#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <sys/uio.h>

#define ENTRIES     8
#define BLOCK_BYTES 4096

struct ring {
	int fd;
	_Atomic unsigned *sq_tail, *cq_head, *cq_tail;
	unsigned *sq_array, sq_mask, cq_mask;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *completions;
};

static void *map_ring(int fd, size_t bytes, uint64_t offset)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)offset);
	if (memory == MAP_FAILED)
		checker_die("cannot map a ring");
	return memory;
}

static struct ring make_ring(void)
{
	struct io_uring_params params = {0};
	struct ring ring = {.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &params)};
	if (ring.fd < 0)
		checker_die("io_uring_setup");
	char *sq = map_ring(ring.fd, params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	char *cq = map_ring(ring.fd, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe),
			    IORING_OFF_CQ_RING);
	ring.entries = map_ring(ring.fd, params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	ring.sq_tail = (void *)(sq + params.sq_off.tail);
	ring.sq_array = (void *)(sq + params.sq_off.array);
	ring.sq_mask = *(unsigned *)(void *)(sq + params.sq_off.ring_mask);
	ring.cq_head = (void *)(cq + params.cq_off.head);
	ring.cq_tail = (void *)(cq + params.cq_off.tail);
	ring.cq_mask = *(unsigned *)(void *)(cq + params.cq_off.ring_mask);
	ring.completions = (void *)(cq + params.cq_off.cqes);
	return ring;
}

static void add_request(struct ring *ring, const struct io_uring_sqe *request)
{
	unsigned tail = *ring->sq_tail, slot = tail & ring->sq_mask;
	ring->entries[slot] = *request;
	ring->sq_array[slot] = slot;
	atomic_store_explicit(ring->sq_tail, tail + 1, memory_order_release);
}

/* Submits `submitted` requests and waits for as many completions; the results by user_data. */
static void submit_and_wait(struct ring *ring, unsigned submitted, int *results)
{
	unsigned left = submitted, seen = 0;
	while (seen < submitted) {
		long done = syscall(SYS_io_uring_enter, ring->fd, left, 1, IORING_ENTER_GETEVENTS, NULL, 0);
		if (checker_call("io_uring_enter", done))
			left -= (unsigned)done;
		unsigned head = *ring->cq_head, tail = atomic_load_explicit(ring->cq_tail, memory_order_acquire);
		for (; head != tail; head++, seen++) {
			const struct io_uring_cqe *completion = &ring->completions[head & ring->cq_mask];
			if (completion->user_data >= submitted)
				checker_report_wrong("completion of request %llu", completion->user_data);
			else
				results[completion->user_data] = completion->res;
		}
		atomic_store_explicit(ring->cq_head, head, memory_order_release);
	}
}

static void expect_result(const char *name, int found, int expected)
{
	if (found == -EINTR)
		checker_interrupted++;
	else if (found != expected)
		checker_report_failed("%s: result %d, not %d", name, found, expected);
}

static void write_and_read(struct checker *checker)
{
	static unsigned char written[BLOCK_BYTES], found[BLOCK_BYTES];
	struct ring ring = make_ring();
	struct __kernel_timespec nap = {.tv_nsec = 1000000};
	int fd = memfd_create("ring", MFD_CLOEXEC);
	for (unsigned char value = 1;; value++) {
		int results[2] = {0};
		memset(written, value, sizeof(written));
		add_request(&ring, &(struct io_uring_sqe){.opcode = IORING_OP_WRITE,
							  .fd = fd,
							  .addr = (uintptr_t)written,
							  .len = BLOCK_BYTES,
							  .user_data = 0});
		add_request(&ring, &(struct io_uring_sqe){.opcode = IORING_OP_TIMEOUT,
							  .fd = -1,
							  .addr = (uintptr_t)&nap,
							  .len = 1,
							  .user_data = 1});
		submit_and_wait(&ring, 2, results);
		expect_result("write", results[0], BLOCK_BYTES);
		expect_result("timeout", results[1], -ETIME);
		add_request(&ring, &(struct io_uring_sqe){.opcode = IORING_OP_READ,
							  .flags = IOSQE_ASYNC,
							  .fd = fd,
							  .addr = (uintptr_t)found,
							  .len = BLOCK_BYTES});
		submit_and_wait(&ring, 1, results);
		expect_result("read", results[0], BLOCK_BYTES);
		checker_holds(found, BLOCK_BYTES, value);
		checker_round(checker);
	}
}

static int fed_pipe[2];

static void read_pipe_by_worker(struct checker *checker)
{
	struct ring ring = make_ring();
	for (uint32_t expected = 1;; expected++) {
		uint32_t number = 0;
		int result = 0;
		add_request(&ring, &(struct io_uring_sqe){.opcode = IORING_OP_READ,
							  .flags = IOSQE_ASYNC,
							  .fd = fed_pipe[0],
							  .addr = (uintptr_t)&number,
							  .len = sizeof(number)});
		submit_and_wait(&ring, 1, &result);
		expect_result("read of a pipe", result, sizeof(number));
		if (number != expected)
			checker_report_wrong("the pipe gave %u, not %u", number, expected);
		checker_round(checker);
	}
}

static void feed_numbers(struct checker *checker)
{
	for (uint32_t number = 1;; number++) {
		checker_sleep_us(1500);
		checker_call("write", write(fed_pipe[1], &number, sizeof(number)));
		checker_round(checker);
	}
}

enum { REGISTERED_PAGES = 256 };

static struct registered {
	uint64_t buffer; /* address of REGISTERED_PAGES pages, which begin with a number each */
	uint64_t pages;
	/* The numbers of all pages are this one, or the next while a read is in progress. */
	_Atomic uint64_t number;
} registered = {.pages = REGISTERED_PAGES};

static void write_numbers(int fd, uint64_t number)
{
	for (size_t i = 0; i < REGISTERED_PAGES; i++)
		checker_call("pwrite", pwrite(fd, &number, sizeof(number), (off_t)(i * BLOCK_BYTES)));
}

static void read_registered(struct checker *checker)
{
	size_t bytes = (size_t)REGISTERED_PAGES * BLOCK_BYTES;
	unsigned char *buffer = checker->argument;
	struct ring ring = make_ring();
	struct iovec whole = {buffer, bytes};
	int fd = memfd_create("source", MFD_CLOEXEC);
	checker_call("ftruncate", ftruncate(fd, (off_t)bytes));
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &whole, 1))
		checker_die("IORING_REGISTER_BUFFERS");
	for (uint64_t number = 1;; number++) {
		int result = 0;
		write_numbers(fd, number);
		add_request(&ring, &(struct io_uring_sqe){.opcode = IORING_OP_READ_FIXED,
							  .fd = fd,
							  .addr = (uintptr_t)buffer,
							  .len = (unsigned)bytes});
		submit_and_wait(&ring, 1, &result);
		expect_result("read", result, (int)bytes);
		for (size_t i = 0; i < REGISTERED_PAGES; i++) {
			uint64_t found;
			memcpy(&found, buffer + i * BLOCK_BYTES, sizeof(found));
			if (found != number)
				checker_report_wrong("page %zu has number %" PRIu64 ", not %" PRIu64, i, found, number);
		}
		registered.number = number;
		checker_round(checker);
	}
}

static _Noreturn void serve_registered(void)
{
	unsigned char *buffer = checker_map((size_t)REGISTERED_PAGES * BLOCK_BYTES);
	registered.buffer = (uintptr_t)buffer;
	checker_victim = &registered;
	struct checker *checker = checker_start(read_registered, buffer, NULL);
	while (!checker->rounds)
		checker_sleep_us(100);
	checker_serve("ring_user");
}

int main(int argc, char **argv)
{
	checker_begin();
	if (argc > 1 && !strcmp(argv[1], "registered"))
		serve_registered();
	if (pipe(fed_pipe))
		checker_die("pipe");
	checker_start(write_and_read, NULL, NULL);
	checker_start(read_pipe_by_worker, NULL, NULL);
	checker_start(feed_numbers, NULL, NULL);
	checker_serve("ring_user");
}
