/*
 * manual_select: sections of leakhunt-select(1) and leakhunt-watch(1).
 */
#include "manual.h"

#include <stddef.h>

/* clang-format off */
#define VERDICTS \
	"* leak\n" \
	"Grows without a bound: no warm-up, step or rise that ended explains the curve as well.\n\n" \
	"* growing\n" \
	"Rises throughout, in fewer than 10 samples: too few to tell a leak from a warm-up.\n\n" \
	"* plateau\n" \
	"Rose, then stayed or levels off.\n\n" \
	"* step\n" \
	"One jump, no trend since.\n\n" \
	"* sawtooth\n" \
	"Goes up and down; the floor does not rise.\n\n" \
	"* steady\n" \
	"No growth beyond noise.\n\n" \
	"* shrinking\n" \
	"Fell.\n\n" \
	"* undecided\n" \
	"Neither growth nor its end is proven. The reason says how much longer to watch."
/* clang-format on */

const struct lh_manual_section lh_manual_select[] = {
	{"VERDICTS", VERDICTS},
	{"PROBABILITY",
	 "Each verdict carries the probability that growth goes on without a bound. A trend counts only as far as "
	 "every "
	 "adequate explanation of the curve (warm-up, logarithm, one step, growth that stopped) still needs it, on the "
	 "series averaged over its period and on its floor. Samples that resemble their neighbors count for less. A "
	 "logistic model weighs these and eleven plainer statistics. It was trained on histories with known truth. At "
	 "0.2 "
	 "and below nothing leaks (less of few samples); at 0.9 and above (0.8 from 80 samples on) it is a leak.\n\n"
	 "Few samples never say much: a cycle longer than the watch looks as straight as a leak. An even rise of 10 "
	 "samples "
	 "is at 0.75, one of 20 at 0.87, one of 45 at 0.98: only the straightest series of fewer than 23 samples is "
	 "called a leak. What is said not to grow may grow "
	 "slower than resolution_bytes_per_hour of --json.\n\n"
	 "A leak slower than the noise needs a longer watch (`-i 10m -c 100`). A cache that still fills looks like a "
	 "leak "
	 "until it is full."},
	{"EVIDENCE",
	 "What else the verdict on the process rests on. --explain and --json show each with its weight, in the "
	 "logarithm of "
	 "the odds of a leak.\n\n"
	 "* age\nA watch that begins with the process may see its warm-up.\n\n"
	 "* fixed-size\nMost of the growth fills mappings that keep their size, and that will be full within as long a "
	 "watch: then nothing is decided yet.\n\n"
	 "* in-use\nBytes in use by the allocator, at the first sample and a later one. A heap that grows without them "
	 "is "
	 "fragmented, or cached. Up to 512 MiB of private memory are read for this, without stopping the process.\n\n"
	 "* collector\nA heap that is collected may grow to a multiple of what lives in it. Collections that were seen "
	 "speak "
	 "against that.\n\n"
	 "* work\nGrowth that follows the count of --counter where that is uneven."},
	{"WHAT COUNTS", "The process's own memory counts: anonymous pages, also while a fork shares them, and what is "
			"swapped out. Cached "
			"file pages and pages given back with MADV_FREE do not count. A mapping is followed as it "
			"grows, splits, merges and "
			"moves."},
	{"BESIDE THE MAPPINGS", "Some memory is in no mapping. These are rows of their own when they may leak. What "
				"belongs to the cgroup may be "
				"another process's.\n\n"
				"* files in memory, held open and not mapped\n"
				"Memfds and deleted files of tmpfs that the process has open: their pages, without "
				"those that it has mapped.\n\n"
				"* System V segments that nobody has attached\n"
				"Segments that this process made. `ipcs -m` lists them, `ipcrm -m` removes them.\n\n"
				"* page tables\n"
				"VmPTE: the kernel needs 8 bytes per page, and a page per 2 MiB at least.\n\n"
				"* kernel memory, socket buffers, shared memory of its cgroup\n"
				"From memory.stat: what the mappings, and the rows above, do not explain.\n\n"
				"* mappings, threads, descriptors, sockets, pipes\n"
				"Counts. They are no memory, but have limits."},
	{"RUNS OUT", "The first limit that growth meets if it goes on as it is: memory of the cgroup or of the "
		     "machine, RLIMIT_AS, the "
		     "addresses of a 32-bit process, vm.max_map_count, pids.max, kernel.threads-max, RLIMIT_NOFILE, "
		     "-Xmx of Java. A "
		     "record keeps how "
		     "much was left of each, so that --from forecasts, too."},
	{"FAMILIES",
	 "Mappings that are alike and come one by one are one row: stacks of threads whose names have one pattern, "
	 "stacks "
	 "of threads that ended and that nobody joined, what one allocator has, segments and files whose names differ "
	 "in "
	 "numbers (<n>) or are made up and deleted (<name>), and all mappings of a library that is loaded again."},
	{"COST", "The kernel writes a mapping's smaps while it holds the lock that mmap and munmap of the target wait "
		 "for: 5 to 17 ms "
		 "per GiB in small pages. Where one call would take longer than --max-stall, leakhunt reads addresses "
		 "from maps and "
		 "counts pages in short calls (PAGEMAP_SCAN, Linux 6.7; else pagemap). The receipt says how it was "
		 "read, and how long "
		 "the longest call took."},
	{"PASTED TEXTS", "--from also takes texts that went through an editor, a mail or a web page: line ends of "
			 "Windows, UTF-16, quotes, "
			 "tabs, no-break spaces, \"KB\"; and the output of `pmap -x`, `pmap -X` and `pmap -XX`. Two "
			 "processes in one file are "
			 "refused."},
	{"RECORDS",
	 "A record (--save) is JSON lines: a header, then one line per sample, whole or only what changed:\n\n"
	 "  {\"leakhunt_record\":2,\"pid\":N,\"start_ticks\":N,\"command\":\"...\"}\n"
	 "  {\"n\":0,\"time_ns\":N,\"uptime_ns\":N,\"regions\":[{\"start\":...},...]}\n"
	 "  {\"n\":1,\"time_ns\":N,\"uptime_ns\":N,\"changed\":[...],\"gone\":[...]}\n\n"
	 "A region has start, end, perms, kind, inode, offset, device_major, device_minor, name and its figures "
	 "(rss_bytes, "
	 "...). Figures that are 0 are left out. \"holdings\" has what the process held beside "
	 "mappings, \"left\" what was left below its limits, \"receipt\" what reading had cost, in_use_bytes and "
	 "heap_bytes of some samples what the allocators said. \"lost\" counts what "
	 "was not understood when the sample was taken. "
	 "Lines "
	 "that cannot be read, and those that rest on them, are skipped and counted. Records of format 1 are read."},
	{NULL, NULL},
};

const struct lh_manual_section lh_manual_watch[] = {
	{"VERDICTS", VERDICTS},
	{"METRICS", "--metrics keeps OpenMetrics text that everybody may read, replaced as a whole. leakhunt_verdict "
		    "is 1 for the verdict "
		    "of each process, leakhunt_growth_bytes_per_second its rate, leakhunt_limit_seconds the time until "
		    "the nearest limit "
		    "(absent when nothing grows towards one), leakhunt_held_bytes and leakhunt_held what it holds "
		    "beside mappings."},
	{"HOW IT WATCHES", "watch reads the kernel's counters of the process (one small file) every second to every "
			   "minute, and smaps only "
			   "when these counters have moved. --on-leak runs a command with sh and waits for it, once "
			   "the probability of a leak is that of --leak-probability. Only "
			   "one leakhunt writes a "
			   "record. Beyond --save-max every second sample is dropped."},
	{NULL, NULL},
};
