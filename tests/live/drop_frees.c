/*
 * drop_frees: a missing free, injected into a program without building it: preloaded, it takes the place of the
 * function FUNCTION (of one argument) and drops each DROP_EVERYth call. How many calls it has dropped, and of how
 * many objects, stands as two numbers in the file DROP_FILE, which is mapped; behind them stand the arguments,
 * inverted, so that they are no pointers. Where FUNCTION frees a chain, NEXT is the function that follows it.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT_OF(name) #name
#define NAME_OF(name) TEXT_OF(name)

enum { ARGUMENTS_MAX = 8191 };

static volatile uint64_t *dropped; /* two numbers, then arguments */
static uint64_t every, calls;

static __attribute__((constructor)) void map_count(void)
{
	const char *path = getenv("DROP_FILE"), *count = getenv("DROP_EVERY");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	every = count ? strtoull(count, NULL, 10) : 0;
	if (fd < 0 || ftruncate(fd, (ARGUMENTS_MAX + 2) * sizeof(*dropped)))
		_exit(99);
	void *page = mmap(NULL, (ARGUMENTS_MAX + 2) * sizeof(*dropped), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		_exit(99);
	dropped = page;
}

#ifdef NEXT
static uint64_t count_objects(void *object)
{
	void *(*next)(void *object);
	uint64_t count = 0;
	*(void **)&next = dlsym(RTLD_DEFAULT, NAME_OF(NEXT));
	for (; object; object = next(object))
		count++;
	return count;
}
#else
static uint64_t count_objects(void *object)
{
	(void)object;
	return 1;
}
#endif

long FUNCTION(void *argument);
long FUNCTION(void *argument)
{
	static long (*real)(void *argument);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, NAME_OF(FUNCTION));
	if (argument && every && ++calls % every == 0) {
		dropped[0]++;
		dropped[1] += count_objects(argument);
		if (dropped[0] <= ARGUMENTS_MAX)
			dropped[1 + dropped[0]] = ~(uint64_t)(uintptr_t)argument;
		return 0;
	}
	return real(argument);
}
