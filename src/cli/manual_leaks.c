/*
 * manual_leaks: sections of leakhunt-leaks(1).
 */
#include "manual.h"

#include <stddef.h>

const struct lh_manual_section lh_manual_leaks[] = {
	{"STATUS",
	 "* lost\n"
	 "No pointer in the program leads to the block. LeakSanitizer: direct leak; valgrind: definitely lost.\n\n"
	 "* held\n"
	 "Only lost blocks point to the block. It is counted with the lost block that owns it. LeakSanitizer: "
	 "indirect leak; valgrind: indirectly lost.\n\n"
	 "* cycle\n"
	 "Lost blocks that point to each other in a circle. One of them is listed for all: the one to which most "
	 "pointers of the circle lead.\n\n"
	 "* possible\n"
	 "Perhaps lost. No plain pointer leads to the block, but a word does that may be a pointer: one with a tag "
	 "in its upper 16 bits, one mangled with glibc's pointer guard, or one that may be the end of the previous "
	 "block. Or memory is missing from the dump, and a pointer could be there. Or the block is as large as an "
	 "alternate signal stack (sysconf(_SC_SIGSTKSZ)), and there are at most as many of these as threads: only "
	 "the kernel points to such stacks, and /proc does not show them.\n\n"
	 "* reachable\n"
	 "All other blocks, also those of a container that only grows."},
	{"ROOTS",
	 "leakhunt looks for pointers in: general registers of all threads; their stacks from 128 bytes below the "
	 "stack pointer upward; thread-local storage; data and bss of all modules; other writable memory, also "
	 "shared memory and memfds. It does not look in: allocator memory outside blocks, freed and cached blocks, "
	 "stacks below the stack pointer, stacks of ended threads, malloc's own state.\n\n"
	 "If a process has more than 4 GiB of shared memory, leakhunt does not copy it and calls no block lost. "
	 "The same holds for a dump without shared memory; add it with `leakhunt dump --region private --region "
	 "shared --region memfd`.\n\n"
	 "All memory of V8, Go, the JVM and PHP counts as roots. V8, Go and the JVM can store pointers in forms "
	 "that leakhunt does not recognize, so no block of their processes is called lost."},
	{"EXACTNESS",
	 "leakhunt does not know types: every word that equals an address counts as a pointer. A number or a stale "
	 "word can therefore hide a leak. Two kinds of stale words do not count: links of glibc's bins to the "
	 "header of the next block, and old pointers whose lowest bytes the end of a text overwrote. A field that "
	 "leads as far into larger blocks, too, is no such link: PHP points behind the first of a function's "
	 "arguments. With "
	 "allocators that put no header between blocks, the end pointer of a full std::vector equals the address "
	 "of the next block. Such an end pointer does not count if it lies beside the vector's begin and its field "
	 "holds only such ends.\n\n"
	 "Blocks seem lost although they are in use if the program stores pointers in another form (xor-linked "
	 "lists, offsets), or only in files or other processes. If fewer than about 100 blocks are lost, check "
	 "some of them with `leakhunt explain`."},
	{"SUPPRESSIONS", "A line \"leak:PATTERN\" hides groups whose type, text or symbol contains PATTERN. * matches "
			 "any text, ^ the beginning, $ the end. # begins a comment."},
	{NULL, NULL},
};
