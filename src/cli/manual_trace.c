/*
 * manual_trace: sections of leakhunt-trace(1).
 */
#include "manual.h"

#include <stddef.h>

const struct lh_manual_section lh_manual_trace[] = {
	{"VERDICTS",
	 "A block older than A is a survivor. A is 1.5 times the longest life of a freed block of the same call "
	 "stack, or of call stacks with the same 4 innermost calls; at least 0.3 of the time traced.\n\n"
	 "* leaking\n"
	 "There are at least 4 survivors, and some from each third of the time in which survivors could be "
	 "allocated. The rate is their bytes divided by that time, with its 95 % interval.\n\n"
	 "* frees after TIME\n"
	 "Blocks are freed, after TIME in the median.\n\n"
	 "* not yet freed, oldest TIME\n"
	 "Too few or too young to tell. Trace longer.\n\n"
	 "* grew, then stopped\n"
	 "There are survivors, but no recent ones: a table or cache has been filled.\n\n"
	 "* outlives the trace, no growth\n"
	 "There are survivors, but neither the memory of the process nor its number of blocks grows that fast: as "
	 "many older blocks are freed, and blocks live longer than the trace. Trace longer.\n\n"
	 "* under 1 % of the growth\n"
	 "There are survivors, but the process grows a hundred times faster: another call stack leaks, or memory "
	 "that is not malloc's.\n\n"
	 "* frees not all seen\n"
	 "The allocator handed out an address again that no probe had seen freed. This call stack is never called "
	 "leaking.\n\n"
	 "Blocks that live longer than the trace look leaked: trace for longer than the program's requests and "
	 "sessions last. A leak shows once 4 sampled blocks have outlived the longest normal life. \"no leak found\" "
	 "covers only the call stacks that could be judged. Call stacks traced for too short a time are counted "
	 "beside it, with the --for that they need."},
	{"SAMPLING",
	 "A block of s bytes is sampled with probability 1 - e^(-s/R). leakhunt chooses R by the rate of "
	 "allocation and the budget. All printed bytes and rates are estimates for all blocks, not sums over the "
	 "samples. Large blocks are sampled more often than small ones, so a leak of few small blocks takes "
	 "longest to show.\n\n"
	 "realloc counts as a free and an allocation. Blocks that the process allocated before the trace are not "
	 "seen, nor is memory from mmap, nor another allocator in the same process. Modules that are loaded during "
	 "the trace have no names."},
	{"BURSTS",
	 "When a process allocates too often for the budget, leakhunt sets the probes for 6 ms at a time, as often "
	 "as the budget allows. ALLOCATED is projected from these bursts to the whole time. The process is slower "
	 "during bursts, so ALLOCATED is a little too low. leakhunt follows a block only within its burst: no call "
	 "stack is called leaking, and the exit code is 1.\n\n"
	 "Between bursts the process runs without any probe. Stacks are unwound after the last burst."},
	{"COST",
	 "Each call of malloc or free takes about 0.75 us longer (Linux 6.18, virtual machine): 1.5 us a pair. At "
	 "1 % that is some 6,000 pairs per second. leakhunt probes an instruction that the kernel emulates. In a "
	 "function without one, the kernel single-steps an instruction, which takes 30 us; this counts toward the "
	 "budget.\n\n"
	 "Figures for the process are computed from counted calls and these costs; those for leakhunt are "
	 "measured. Symbols are loaded before the trace begins and are not counted.\n\n"
	 "Children that the process forks meanwhile inherit the probes until they call exec. They are not counted, "
	 "but each of their allocations takes a few us longer."},
	{"WHAT STAYS",
	 "The kernel maps one page, [uprobes], into the process at the first sampled allocation. It stays until "
	 "the process ends or calls exec. The probed code is the file's page again."},
	{NULL, NULL},
};
