/*
 * manual_hunt: sections of leakhunt-hunt(1).
 */
#include "manual.h"

#include <stddef.h>

const struct lh_manual_section lh_manual_hunt[] = {
	{"ANSWERS",
	 "* what grows\n"
	 "What the process grows by, in its mappings and beside them, as leakhunt-select(1) judges it: the verdict "
	 "with its probability, and the rate with a 95 % interval. Below that, the region that leakhunt dumps, its "
	 "share of the growth, and its cause; then when memory runs out at the rate of the process. A headline says "
	 "\"leaks\" if the verdict is firm and the interval is above 0, else \"may grow\".\n\n"
	 "* what it is\n"
	 "What grew between the two dumps: objects by type, texts by template, recognized contents, and blocks by "
	 "size. If leakhunt knows which function makes a type and which one frees it, the type that owns the "
	 "others comes first. The last line says how much of the growth the rows account for.\n\n"
	 "* why it stays\n"
	 "One of the reasons under WHY IT STAYS. Then either the lost blocks, which nothing points to any more "
	 "(leakhunt-leaks(1)), or the blocks that hold most of the growth, or, if no block does, the root that most of "
	 "it can be reached from.\n\n"
	 "* what to do\n"
	 "The function that frees what grows, and the manual that says so; or the runtime's own tool that shows "
	 "more."},
	{"WHY IT STAYS",
	 "The word in brackets is the one that --json prints.\n\n"
	 "* never given back (not-released)\n"
	 "The kernel lists what was not given back, such as stacks of threads that nobody joined.\n\n"
	 "* these threads have not ended (running)\n"
	 "What grows are stacks of running threads.\n\n"
	 "* nobody has freed it (in-use)\n"
	 "The allocator counts the blocks as not freed.\n\n"
	 "* it was freed (freed)\n"
	 "The program freed the blocks, and the allocator keeps them.\n\n"
	 "* still referenced (referenced)\n"
	 "CPython and PHP free a value when its last reference goes, so there are references, or a cycle of them.\n\n"
	 "* its collector has not freed it (collector)\n"
	 "A garbage collector decides. leakhunt cannot tell whether the objects are reachable.\n\n"
	 "* not known (unknown)\n"
	 "The evidence does not say."},
	{"STEPS",
	 "* watch\n"
	 "Samples the process until the verdict is firm, for at most two thirds of --for. A leak is firm after 12 "
	 "samples if the last 3 verdicts agree. No growth is firm after 30 samples if the last 10 verdicts agree.\n\n"
	 "* dump before, dump after\n"
	 "Dumps what grows, like `leakhunt dump`. If the process cannot be stopped, leakhunt copies it while it "
	 "runs, and says so.\n\n"
	 "* wait for growth\n"
	 "Waits until the process has grown by what it grows in 15 seconds: at least 256 KiB, at most 64 MiB. If --for "
	 "ends before that, leakhunt dumps again all the same, unless samples of at least 15 seconds show less than "
	 "64 KiB of growth.\n\n"
	 "* compare\n"
	 "Compares both dumps, like `leakhunt strings before.core after.core`. `leakhunt hunt --record FILE` "
	 "compares the dumps that lie beside the record, too."},
	{"FILES", "All lie in the folder of -o, by default COMMAND.PID.TIME, mode 0700:\n\n"
		  "* record.jsonl\n"
		  "The samples. `leakhunt select --from` and `leakhunt hunt --record` judge them again.\n\n"
		  "* before.core, after.core\n"
		  "The dumps, mode 0600. They are removed at the end if --no-keep is given.\n\n"
		  "* report.json, report.html\n"
		  "The answer, for programs and as a page that works offline."},
	{NULL, NULL},
};
