/*
 * bare_copy: the minimum cost of a copy: a loop of process_vm_readv(2) over one range of a process, and of write(2) if
 * a file is given. Usage: bare_copy PID START END [FILE], addresses in hexadecimal.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)4 << 20) /* the fastest of 64 KiB to 64 MiB */

static void write_all(int fd, const uint8_t *bytes, size_t count)
{
	while (count) {
		ssize_t written = write(fd, bytes, count);
		if (written <= 0) {
			perror("bare_copy: write");
			exit(2);
		}
		bytes += written;
		count -= (size_t)written;
	}
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: bare_copy PID START END [FILE]\n");
		return 2;
	}
	pid_t pid = (pid_t)atoi(argv[1]);
	uint64_t at = strtoull(argv[2], NULL, 16), end = strtoull(argv[3], NULL, 16);
	int fd = argc > 4 ? open(argv[4], O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
	uint8_t *block =
		mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (block == MAP_FAILED || (argc > 4 && fd < 0)) {
		perror("bare_copy");
		return 2;
	}
	while (at < end) {
		struct iovec local = {block, end - at < BLOCK_BYTES ? end - at : BLOCK_BYTES};
		struct iovec remote = {(void *)(uintptr_t)at, local.iov_len};
		ssize_t count = process_vm_readv(pid, &local, 1, &remote, 1, 0);
		if (count <= 0) {
			perror("bare_copy: process_vm_readv");
			return 2;
		}
		if (fd >= 0)
			write_all(fd, block, (size_t)count);
		at += (uint64_t)count;
	}
	return 0;
}
