/*
 * manual_heap: sections of leakhunt-heap(1).
 */
#include "manual.h"

#include <stddef.h>

const struct lh_manual_section lh_manual_heap[] = {
	{"COLUMNS",
	 "* RESIDENT\n"
	 "Pages of the arena that are in memory.\n\n"
	 "* LIVE, BLOCKS\n"
	 "Usable bytes of the blocks that the program has not freed, and how many there are.\n\n"
	 "* CACHED\n"
	 "Freed blocks in a cache of a thread or CPU, or in a fastbin. The allocator's own statistics count most "
	 "of them as in use.\n\n"
	 "* FREE\n"
	 "Blocks that the allocator can hand out to any thread.\n\n"
	 "* PAGES\n"
	 "Whole resident pages within free blocks.\n\n"
	 "* OVERHEAD\n"
	 "Bytes in no block: headers, tables, remainders.\n\n"
	 "* TRIM\n"
	 "Bytes that the allocator's own trim or purge would give back to the kernel now. For glibc, "
	 "malloc_trim(0): whole pages of free blocks in all arenas, and the top of the main arena. malloc_trim "
	 "empties fastbins, but not the threads' caches."},
	{"VERDICTS",
	 "What resident memory is made of, per allocator, most first; parts below 5 % are omitted. In JSON these are "
	 "`findings`.\n\n"
	 "* is in use (live)\n"
	 "Blocks that the program has not freed. Only two moments show whether they grow.\n\n"
	 "* is free, in whole pages (returnable)\n"
	 "The TRIM column. The line names the call that gives this memory back to the kernel.\n\n"
	 "* is free, but pinned (fragmented)\n"
	 "Free memory on pages that also hold blocks in use. No trim gives it back; later requests reuse it.\n\n"
	 "* is freed, and kept by threads (cached)\n"
	 "The CACHED column.\n\n"
	 "* is free in threads' arenas (arenas)\n"
	 "Free memory in glibc's arenas of threads that malloc_trim does not give back."},
	{"GROUPS",
	 "Every live block is in exactly one row. BY says how leakhunt recognized it:\n\n"
	 "* type\n"
	 "An object begins the block: a class of C++ or Python, or a structure of a library.\n\n"
	 "* pointer\n"
	 "The block's first pointer into a module that has a name, and its offset in the block. Blocks with the "
	 "same function or table at the same place are mostly of one type.\n\n"
	 "* content\n"
	 "Text, by its first bytes, or zeros.\n\n"
	 "* size\n"
	 "Nothing was recognized."},
	{"OWNED",
	 "What freeing the group would free: its blocks, all blocks that only they point to, directly or through "
	 "other blocks, and the allocator's headers. RESIDENT is the part that is in memory. Groups can own each "
	 "other's blocks, so the OWNED column has no meaningful sum. If a global variable leads to a block, "
	 "pointers to it from stacks, registers and unreferenced blocks do not count. For objects of Java and V8, "
	 "OWNED is only their own bytes.\n\n"
	 "leakhunt computes OWNED for the groups that it shows; in heaps of more than a million blocks only with "
	 "--owned."},
	{"PINNED",
	 "An allocator gives back only whole pages. One block in use keeps its page, with all free memory on it. "
	 "The line names the groups whose blocks keep most free memory in this way."},
	{"ALLOCATION SAMPLES",
	 "If jemalloc profiles the process (MALLOC_CONF=prof:true), it keeps the call stack, the requested size and "
	 "the time of each sampled block. leakhunt reads them from memory, so a dump has them too, and nothing is "
	 "traced.\n\n"
	 "SAMPLED counts the sampled blocks in use. BYTES and BLOCKS are jemalloc's own estimates for all blocks of "
	 "the call stack: a sampled block of s bytes stands for 1/(1 - exp(-s/R)) blocks, where R is the mean distance "
	 "2^lg_prof_sample (jemalloc, prof_data.c, prof_unbias_map_init). EACH is the mean requested size. OLDEST is "
	 "the age of the oldest sampled block; \"> 5 s\" in a dump: it was allocated 5 s before the newest one. "
	 "ALLOCATED BY begins with the first caller outside of jemalloc and operator new.\n\n"
	 "A sample counts only if its extent, its counters and its stack point to each other. leakhunt says how many "
	 "call stacks have other counters than blocks: in a dump without the threads' caches, freed blocks in these "
	 "caches count as used.\n\n"
	 "Google's tcmalloc samples in every process, by default one block per 2 MiB, and leakhunt shows these samples "
	 "in the same way. BLOCKS is the weight of a sample divided by its requested size and 1 "
	 "(stack_trace_table.cc)."},
	{"TWO MOMENTS",
	 "MORE and BYTES say by how much a group grew. A block of the later moment is NEW if no block in use of "
	 "that size began at that address before. It is CHANGED if one did, with other bytes: it was written to, "
	 "or freed and handed out again. Otherwise it is UNCHANGED. GONE blocks were in use at the earlier moment "
	 "only. Many NEW and few GONE blocks of one group are what a leak looks like. The collectors of Java and "
	 "V8 move objects; a moved object counts as new and as gone."},
	{"EXACTNESS",
	 "leakhunt finds allocators by their structures, without symbols or debug packages. Every structure is "
	 "checked against itself: sizes against back links, lists against counters, totals against the allocator's "
	 "own. If more than 1 in 1000 checks of an allocator fail, leakhunt refuses that allocator as a whole.\n\n"
	 "If a thread was stopped inside malloc or free, one or two checks can fail. In mode live, pages are of "
	 "different moments, and many checks fail.\n\n"
	 "glibc does not store the requested size. Sizes are usable bytes: the chunk's size minus 8."},
	{NULL, NULL},
};
