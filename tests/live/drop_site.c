/*
 * drop_site: a missing free at one place of a program, without building it: preloaded, it takes the place of free, and
 * drops each DROP_EVERYth call that returns to DROP_SITE ("MODULE+0xOFFSET"). The file DROP_FILE is mapped, and holds
 * what happened: places that call free, with counts, and the addresses of blocks whose free was dropped, inverted, so
 * that they are no pointers. Without DROP_SITE it only counts.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLACES = 4096, NAME_BYTES = 48, DROPPED_MAX = 200000 };

struct place {
	uint64_t return_addr;
	uint64_t calls;
	char name[NAME_BYTES]; /* "MODULE+0xOFFSET" */
};

struct book {
	uint64_t dropped_count;
	struct place places[PLACES];
	uint64_t dropped_inverted[DROPPED_MAX];
};

static struct book *book;
static char site[NAME_BYTES]; /* a copy: programs write over their environment */
static uint64_t every, site_calls;
static void (*real_free)(void *block);
static __thread bool is_inside;

static __attribute__((constructor)) void open_book(void)
{
	const char *path = getenv("DROP_FILE"), *count = getenv("DROP_EVERY");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
	const char *wanted = getenv("DROP_SITE");
	snprintf(site, sizeof(site), "%s", wanted ? wanted : "");
	every = count ? strtoull(count, NULL, 10) : 0;
	if (fd < 0 || ftruncate(fd, sizeof(*book)))
		_exit(99);
	void *mapped = mmap(NULL, sizeof(*book), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped == MAP_FAILED)
		_exit(99);
	book = mapped;
}

/* The book is shared: after a fork parent and child write into the same file. */
static struct place *find_place(uint64_t return_addr)
{
	for (size_t tries = 0, at = return_addr % PLACES; tries < 16; tries++, at = (at + 1) % PLACES) {
		struct place *place = &book->places[at];
		if (place->return_addr == return_addr)
			return place;
		if (place->return_addr)
			continue;
		Dl_info info;
		place->return_addr = return_addr;
		if (dladdr((void *)(uintptr_t)return_addr, &info) && info.dli_fname) {
			const char *slash = strrchr(info.dli_fname, '/');
			const char *name = slash ? slash + 1 : info.dli_fname;
			/* Of the program it is argv[0], which may have more in it by now. */
			snprintf(place->name, sizeof(place->name), "%.*s+0x%llx", (int)strcspn(name, " "), name,
				 (unsigned long long)(return_addr - (uintptr_t)info.dli_fbase));
		}
		return place;
	}
	return NULL;
}

/* Whether this call is one of those to be dropped. */
static bool drops_call(uint64_t return_addr, void *block)
{
	struct place *place = find_place(return_addr);
	if (!place)
		return false;
	__atomic_add_fetch(&place->calls, 1, __ATOMIC_RELAXED);
	if (!*site || !every || strcmp(place->name, site) != 0 ||
	    __atomic_add_fetch(&site_calls, 1, __ATOMIC_RELAXED) % every)
		return false;
	uint64_t number = __atomic_fetch_add(&book->dropped_count, 1, __ATOMIC_RELAXED);
	if (number < DROPPED_MAX)
		book->dropped_inverted[number] = ~(uint64_t)(uintptr_t)block;
	return true;
}

void free(void *block)
{
	if (!real_free && !is_inside) {
		is_inside = true;
		*(void **)&real_free = dlsym(RTLD_NEXT, "free");
		is_inside = false;
	}
	if (!real_free || !block)
		return;
	if (book && !is_inside) {
		is_inside = true;
		bool is_dropped = drops_call((uint64_t)(uintptr_t)__builtin_return_address(0), block);
		is_inside = false;
		if (is_dropped)
			return;
	}
	real_free(block);
}
