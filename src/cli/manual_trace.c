/*
 * manual_trace: sections of leakhunt-trace(1).
 */
#include "manual.h"

#include <stddef.h>

const struct lh_manual_section lh_manual_trace[] = {
	{"VERDICTS",
	 "A is the age at which a block counts as a survivor: 1.5 times the longest life of a freed block of the same "
	 "call stack, or of stacks whose 4 innermost calls are the same, and at least 0.3 of the time traced.\n\n"
	 "* leaking\nAt least 4 sampled blocks are older than A, and each third of the time in which survivors could "
	 "be "
	 "allocated has some of them. The rate is their bytes divided by that time, with its 95 % interval.\n\n"
	 "* frees after TIME\nBlocks are freed; TIME is the median.\n\n"
	 "* not yet freed, oldest TIME\nToo few or too young to tell. Trace longer.\n\n"
	 "* grew, then stopped\nSurvivors, but no recent ones: a table or cache that was filled.\n\n"
	 "* outlives the trace, no growth\nSurvivors at a rate that neither the memory of the process nor its number "
	 "of "
	 "blocks has grown by: older blocks are freed, the trace is shorter than their lives.\n\n"
	 "* under 1 % of the growth\nSurvivors, but the process grows a hundred times faster: what grows is "
	 "elsewhere.\n\n"
	 "* frees not all seen\nThe allocator handed out an address again that no probe had seen freed. Nothing of "
	 "this "
	 "call stack is called leaking.\n\n"
	 "Blocks that live longer than the trace look leaked: trace for longer than requests and sessions of the "
	 "program last. A leak shows after the longest normal life plus about 4 sampled blocks. \"no leak found\" "
	 "speaks of "
	 "what could be judged: call stacks that were watched too shortly are counted beside it, with a longer --for."},
	{"SAMPLING",
	 "A block of s bytes is sampled with probability 1 - e^(-s/R). R follows from the rate of allocation and the "
	 "budget. All bytes and rates are estimates of all blocks, not of the sampled ones. Large blocks are sampled "
	 "more "
	 "often than small ones, so a leak of few small blocks takes longest to show.\n\n"
	 "realloc counts as a free and an allocation. Blocks that the process allocated before the trace are not seen, "
	 "nor is memory from mmap, nor another allocator in the same process. Modules that are loaded during the trace "
	 "have no names."},
	{"BURSTS",
	 "When a process allocates too often for the budget, probes are in for 6 ms at a time, as often as the budget "
	 "allows. ALLOCATED is projected from these bursts on the whole time. A busy process is slower while probes "
	 "are in, so it allocates more than "
	 "this. Of lives only those are known that end "
	 "within their burst. What lives longer is not followed, so nothing is called leaking, and the exit code is "
	 "1.\n\nBetween bursts the process runs without any probe. Stacks are unwound after the last one."},
	{"COST",
	 "Each call of malloc or free takes about 0.75 us longer (Linux 6.18, virtual machine): 1.5 us a pair. At 1 % "
	 "that is some 6,000 pairs per second. The probed instruction is chosen so that the kernel emulates it; where "
	 "a "
	 "function has none, the kernel single-steps it at 30 us, which counts toward the budget.\n\n"
	 "Figures for the process are computed from counted calls and these costs; those for leakhunt are measured. "
	 "Symbols are loaded before the trace begins and are not counted.\n\n"
	 "Children that the process forks meanwhile inherit the probes until they call exec, and are not counted: each "
	 "of their allocations takes a few us longer."},
	{"WHAT STAYS",
	 "The kernel maps one page, [uprobes], into the process at the first sampled allocation. It stays until "
	 "the process ends or calls exec. The probed page of code is again the one of the file."},
	{NULL, NULL},
};
