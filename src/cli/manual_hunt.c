/*
 * manual_hunt: sections of leakhunt-hunt(1).
 */
#include "manual.h"

#include <stddef.h>

const struct lh_manual_section lh_manual_hunt[] = {
	{"ANSWERS",
	 "* what grows\n"
	 "The region that grows most, as leakhunt-select(1) judges it: the verdict with its probability, the rate with "
	 "a 95 % "
	 "interval, "
	 "the cause, and the nearest limit.\n\n"
	 "* what it is\n"
	 "What grew between the two dumps: objects by type, texts by template, recognized contents, and "
	 "blocks by size. The first row is the type that owns the others, as far as the table of counterparts tells. "
	 "The "
	 "last line says how much of the growth the comparison accounts for.\n\n"
	 "* why it stays\n"
	 "As far as the evidence goes. not released: the kind of growth itself says so, such as stacks of threads that "
	 "nobody joined. running: stacks of threads that have not ended. in use: the allocator's own structures count "
	 "the "
	 "blocks as not freed. freed: the allocator keeps what the program freed. referenced: CPython and PHP free a "
	 "value "
	 "with its last reference. collector: a runtime with a tracing collector. Then follow the blocks "
	 "that nothing points to any more (leakhunt-leaks(1)), or what holds most of the growth.\n\n"
	 "* what to do\n"
	 "The function that gives back what grows, with the source of this fact, or the tool of the runtime that shows "
	 "more."},
	{"STEPS",
	 "* watch\n"
	 "A leak is firm after 12 samples, the last 3 of which agree. No growth is firm after 30 samples, the "
	 "last 10 of "
	 "which agree. Two thirds of --for is the bound.\n\n"
	 "* dump before, dump after\n"
	 "As `leakhunt dump` does it, of what grows. If the process cannot be stopped, leakhunt copies it while "
	 "it runs, and says so.\n\n"
	 "* wait for growth\n"
	 "What grows in 15 seconds, at least 256 KiB and at most 64 MiB.\n\n"
	 "* compare\n"
	 "As `leakhunt strings before.core after.core` does it."},
	{NULL, NULL},
};
