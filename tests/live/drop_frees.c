/*
 * drop_frees: a missing free, injected into a program without building it: preloaded, it takes the place of the
 * function FUNCTION (of one argument) and drops each DROP_EVERYth call. How many it has dropped stands as a number in
 * the file DROP_FILE, which is mapped.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT_OF(name) #name
#define NAME_OF(name) TEXT_OF(name)

static volatile uint64_t *dropped;
static uint64_t every, calls;

static __attribute__((constructor)) void map_count(void)
{
	const char *path = getenv("DROP_FILE"), *count = getenv("DROP_EVERY");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	every = count ? strtoull(count, NULL, 10) : 0;
	if (fd < 0 || ftruncate(fd, 4096))
		_exit(99);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		_exit(99);
	dropped = page;
}

long FUNCTION(void *argument);
long FUNCTION(void *argument)
{
	static long (*real)(void *argument);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, NAME_OF(FUNCTION));
	if (argument && every && ++calls % every == 0) {
		++*dropped;
		return 0;
	}
	return real(argument);
}
