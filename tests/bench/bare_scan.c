/*
 * bare_scan: the minimum cost of scanning a mapped file: threads that each take the next 1 MiB read one word of each
 * 64-byte line. Usage: bare_scan FILE THREADS.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { STRIPE_BYTES = 1 << 20, LINE_BYTES = 64, THREADS_MAX = 64 };

static const uint8_t *memory;
static size_t length;
static _Atomic size_t next_at, sum;

static void *scan(void *unused)
{
	(void)unused;
	size_t own_sum = 0;
	for (size_t at; (at = atomic_fetch_add(&next_at, STRIPE_BYTES)) < length;) {
		size_t end = length - at < STRIPE_BYTES ? length & ~(size_t)(LINE_BYTES - 1) : at + STRIPE_BYTES;
		for (; at < end; at += LINE_BYTES)
			own_sum += *(const size_t *)(const void *)(memory + at);
	}
	sum += own_sum;
	return NULL;
}

int main(int argc, char **argv)
{
	int thread_count = argc == 3 ? atoi(argv[2]) : 0;
	if (thread_count < 1 || thread_count > THREADS_MAX) {
		fprintf(stderr, "usage: bare_scan FILE THREADS\n");
		return 2;
	}
	struct stat status;
	int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0) {
		perror("bare_scan");
		return 2;
	}
	length = (size_t)status.st_size;
	memory = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		perror("bare_scan: mmap");
		return 2;
	}
	pthread_t threads[THREADS_MAX];
	for (int i = 0; i < thread_count; i++) {
		if (pthread_create(&threads[i], NULL, scan, NULL)) {
			fprintf(stderr, "bare_scan: no thread\n");
			return 2;
		}
	}
	for (int i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	printf("%zu\n", sum);
	return 0;
}
