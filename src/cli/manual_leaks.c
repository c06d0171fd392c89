/*
 * manual_leaks: sections of leakhunt-leaks(1).
 */
#include "manual.h"

#include <stddef.h>

const struct lh_manual_section lh_manual_leaks[] = {
	{"STATUS",
	 "* lost\nNo word of the program points to the block. LeakSanitizer calls it a direct leak, valgrind "
	 "definitely "
	 "lost.\n\n"
	 "* held\nOnly lost blocks point to it: it is counted with the block that owns it. LeakSanitizer: indirect "
	 "leak; valgrind: indirectly lost.\n\n"
	 "* cycle\nLost blocks that point to each other in a circle. One of them stands for all.\n\n"
	 "* possible\nNo plain pointer leads to the block, but a word with a tag in its upper 16 bits does, or one "
	 "that is "
	 "mangled with glibc's pointer guard, or one that may be the end of the block before; or memory is missing, so "
	 "that nobody can tell.\n\n"
	 "* reachable\nAll other blocks. A container that only grows is reachable."},
	{"ROOTS",
	 "General registers of all threads; their stacks from 128 bytes below the stack pointer on; thread-local "
	 "storage; "
	 "data and bss of all modules; other writable memory, also shared memory and memfds. Not roots: memory of "
	 "allocators that is in no block, "
	 "blocks that were freed or lie in caches, stacks below the stack pointer, stacks of threads that have "
	 "ended, malloc's own state.\n\n"
	 "Shared memory of more than 4 GiB in all is not copied: then nothing is called lost. The "
	 "same holds for a dump without it: use dump --region private --region shared --region memfd.\n\n"
	 "Memory of V8, Go, the JVM and PHP is root as a whole. V8, Go and the JVM can hold pointers in forms that "
	 "do not show, so nothing is called lost in their processes."},
	{"EXACTNESS",
	 "Every word counts as a pointer, whatever its type: a number or a stale word that equals an address hides a "
	 "leak. Two kinds of stale words are known and do not count: links of glibc's bins to the header of the next "
	 "block, and old pointers whose lowest bytes the end of a text overwrote. Where no header lies between blocks, "
	 "the end of a full std::vector is the address of the next block: in a field that holds such ends alone, "
	 "beside "
	 "the vector's begin, it is no pointer to the next block.\n\n"
	 "A program that keeps pointers in another form, such as xor-linked lists or offsets, or in files or other "
	 "processes only, has blocks that are in use and seem lost. At fewer than about 100 blocks look at "
	 "some of them with `leakhunt explain`."},
	{"SUPPRESSIONS", "A line \"leak:PATTERN\" hides groups whose type, text or symbol has PATTERN in it. * stands "
			 "for any text, ^ binds "
			 "to the beginning, $ to the end; # begins a comment."},
	{NULL, NULL},
};
