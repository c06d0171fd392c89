/*
 * mapping_mover: changes its mappings all the time: a buffer that mremap grows in place and shrinks, mprotect
 * over parts of it, madvise, munmap of a part and mapping it again, brk, and mappings that merge with their
 * neighbors. Each call must succeed, and memory must hold what was written.
 */
#include "self_check.h"

#define PAGE ((size_t)4096)
#define MIB  ((size_t)1 << 20)

/* The first and the last byte of each step's growth are numbered. */
static void grow_buffer(struct checker *checker)
{
	size_t bytes = MIB;
	unsigned char *buffer = checker_map(bytes);
	memset(buffer, 7, bytes);
	for (size_t i = 0;; i++) {
		size_t more = bytes + (i % 64 + 1) * 16 * PAGE;
		unsigned char *moved = mremap(buffer, bytes, more, MREMAP_MAYMOVE);
		if (checker_call("mremap to grow", moved == MAP_FAILED ? -1 : 0)) {
			checker_holds(moved, 1, 7);
			checker_holds(moved + bytes - 1, 1, 7);
			memset(moved + bytes, 7, more - bytes);
			buffer = moved;
			bytes = more;
		}
		if (bytes > 16 * MIB &&
		    checker_call("mremap to shrink", mremap(buffer, bytes, MIB, 0) == MAP_FAILED ? -1 : 0))
			bytes = MIB;
		checker_call("mprotect", mprotect(buffer, PAGE, PROT_READ));
		checker_call("mprotect", mprotect(buffer, PAGE, PROT_READ | PROT_WRITE));
		checker_round(checker);
		checker_sleep_us(100);
	}
}

/* A reserve without access that becomes usable part by part, as an arena's heap does. */
static void grow_reserve(struct checker *checker)
{
	const size_t reserved = 16 * MIB, step = 33 * PAGE;
	for (;;) {
		unsigned char *reserve =
			mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (!checker_call("mmap", reserve == MAP_FAILED ? -1 : 0))
			continue;
		size_t usable = 0;
		for (; usable + step <= reserved; usable += step) {
			if (!checker_call("mprotect to grow", mprotect(reserve + usable, step, PROT_READ | PROT_WRITE)))
				break;
			memset(reserve + usable, 3, PAGE);
			checker_sleep_us(50);
		}
		for (size_t at = 0; at < usable; at += step)
			checker_holds(reserve + at, PAGE, 3);
		checker_call("madvise", madvise(reserve, usable, MADV_DONTNEED));
		checker_holds(reserve, PAGE, 0);
		/* Across any seams. */
		unsigned char *moved = mremap(reserve, usable, 2 * usable, MREMAP_MAYMOVE);
		if (checker_call("mremap to move", moved == MAP_FAILED ? -1 : 0)) {
			checker_call("munmap", munmap(moved, 2 * usable));
			checker_call("munmap", munmap(reserve + usable, reserved - usable));
		} else {
			checker_call("munmap", munmap(reserve, reserved));
		}
		checker_round(checker);
	}
}

/* Holes are cut into a mapping and filled again: the pieces merge. */
static void cut_and_fill(struct checker *checker)
{
	const size_t bytes = 4 * MIB;
	unsigned char *memory = checker_map(bytes);
	memset(memory, 5, bytes);
	for (size_t i = 0;; i++) {
		unsigned char *hole = memory + (1 + i * 37 % (bytes / PAGE - 4)) * PAGE;
		if (checker_call("munmap", munmap(hole, 2 * PAGE)) &&
		    checker_call("mmap", mmap(hole, 2 * PAGE, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED
						 ? -1
						 : 0)) {
			checker_holds(hole, PAGE, 0);
			memset(hole, 5, 2 * PAGE);
		}
		checker_holds(hole - PAGE, 4 * PAGE, 5);
		checker_call("mprotect", mprotect(hole, PAGE, PROT_READ));
		checker_call("mprotect", mprotect(hole, PAGE, PROT_READ | PROT_WRITE));
		checker_round(checker);
		checker_sleep_us(100);
	}
}

static void move_break(struct checker *checker)
{
	for (size_t i = 1;; i++) {
		size_t bytes = (i % 16 + 1) * 16 * PAGE;
		unsigned char *old = sbrk((intptr_t)bytes);
		if (checker_call("sbrk", (intptr_t)old)) {
			memset(old, 9, bytes);
			checker_sleep_us(200);
			checker_holds(old, bytes, 9);
			checker_call("sbrk", (intptr_t)sbrk(-(intptr_t)bytes));
		}
		checker_round(checker);
	}
}

int main(void)
{
	/* glibc's malloc takes its first break now: later it would take what move_break uses. */
	static void *volatile taken;
	taken = malloc(1);
	free(taken);
	checker_begin();
	checker_start(grow_buffer, NULL, NULL);
	checker_start(grow_reserve, NULL, NULL);
	checker_start(cut_and_fill, NULL, NULL);
	checker_start(move_break, NULL, NULL);
	checker_serve("mapping_mover");
}
