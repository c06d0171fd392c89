/*
 * manual_heap: sections of leakhunt-heap(1).
 */
#include "manual.h"

#include <stddef.h>

const struct lh_manual_section lh_manual_heap[] = {
	{"COLUMNS",
	 "* RESIDENT\nPages of the arena that are in memory.\n\n"
	 "* LIVE, BLOCKS\nUsable bytes of the blocks that the program has not freed, and how many there are.\n\n"
	 "* CACHED\nBlocks that were freed, and lie in a thread's or CPU's cache or in a fastbin. The allocator's own "
	 "statistics count most of them as in use.\n\n"
	 "* FREE\nBlocks that the allocator can hand out.\n\n"
	 "* PAGES\nWhole pages within free blocks that are still resident.\n\n"
	 "* OVERHEAD\nWhat lies in no block: headers, tables, remainders.\n\n"
	 "* TRIM\nBytes that the allocator's own trim or purge would give back to the kernel now. Of glibc that is "
	 "malloc_trim(0): whole pages of free blocks in all arenas, and the top of the main arena. It empties "
	 "fastbins, but no thread's cache."},
	{"GROUPS",
	 "Every live block is in one row. BY says how it was told:\n\n"
	 "* type\nAn object begins the block: a class of C++ or Python, or a structure of a library.\n\n"
	 "* pointer\nThe block's first pointer into a module that has a name, and its offset in the block. Blocks "
	 "with the same function or table at the same place are mostly of one type.\n\n"
	 "* content\nText, by its first bytes, or zeros.\n\n"
	 "* size\nNothing was recognized."},
	{"OWNED",
	 "What would be free if the blocks of the group were: they themselves, all that only they point to, directly "
	 "or "
	 "through other blocks, and the allocator's headers. RESIDENT is the part that is in memory. Groups may own "
	 "each "
	 "other's blocks, so OWNED does not add up. Pointers from stacks, registers and blocks that nothing points to "
	 "do "
	 "not count where a variable leads to a block as well. Objects of Java and V8 have only their own bytes.\n\n"
	 "It is found for the groups that are shown, in heaps of more than a million blocks only with --owned."},
	{"PINNED",
	 "An allocator gives back whole pages at least. A page with one block in use stays, with all that is free on "
	 "it. "
	 "The line names the groups whose blocks keep most of such free memory, each by its share of the page."},
	{"TWO MOMENTS",
	 "MORE and BYTES say by how much a group grew. Its blocks at the later moment are NEW (no block in use of "
	 "that size began at that address before), CHANGED (one did, with other bytes: it was written to, or freed and "
	 "handed out again) or UNCHANGED. GONE are those of the earlier moment that are not in use any more. Many "
	 "NEW and few GONE blocks of one group are what a leak looks like. The collectors of Java and V8 move "
	 "objects: those that moved count as new and gone."},
	{"EXACTNESS",
	 "leakhunt finds allocators by their structures, without symbols or debug packages. Every structure is "
	 "checked against itself: sizes against back links, lists against counters, totals against the "
	 "allocator's own. An allocator of which more than 1 in 1000 checks fail is refused as a whole.\n\n"
	 "A thread that is stopped within malloc or free can leave a check or two that fail. In mode live pages "
	 "are of different moments, and many checks fail.\n\n"
	 "glibc does not keep how much was asked for: sizes are usable bytes, 8 less than the chunk."},
	{NULL, NULL},
};
