/*
 * path_load: threads that leak records through whatever malloc the program has, by size: small ones, ones of some KiB,
 * and ones that glibc maps. Each record is an object of one class. Truth, as lines "NS COUNT BYTES" on stdout:
 * CLOCK_REALTIME, records so far, and what malloc_usable_size says of them. Arguments: threads, microseconds between
 * two records of one.
 */
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <thread>
#include <time.h>
#include <unistd.h>

static std::atomic<uint64_t> record_count{0}, record_bytes{0};

struct OrderRecord {
	virtual ~OrderRecord() = default;
	uint64_t number = 0;
	char *body = nullptr;
};

static size_t body_bytes(uint64_t number)
{
	if (number % 64 == 0)
		return 200000;
	return number % 8 == 0 ? 9000 : 600;
}

static void leak_record()
{
	uint64_t number = record_count++;
	size_t bytes = body_bytes(number);
	auto *record = new OrderRecord;
	record->number = number;
	record->body = static_cast<char *>(malloc(bytes));
	memset(record->body, 1, malloc_usable_size(record->body));
	snprintf(record->body, bytes, "order-%llu;customer=ACME;state=open", static_cast<unsigned long long>(number));
	record_bytes += malloc_usable_size(record) + malloc_usable_size(record->body);
	/* Some freed blocks stay in the allocator's caches, as in real programs. */
	free(memset(malloc(bytes), 1, bytes));
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 4, pause_us = argc > 2 ? atoi(argv[2]) : 4000;
	for (int i = 0; i < threads; i++)
		std::thread([pause_us] {
			for (;; usleep(static_cast<useconds_t>(pause_us)))
				leak_record();
		}).detach();
	for (;; usleep(50000)) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		printf("%lld %llu %llu\n", now.tv_sec * 1000000000LL + now.tv_nsec,
		       static_cast<unsigned long long>(record_count), static_cast<unsigned long long>(record_bytes));
		fflush(stdout);
	}
}
