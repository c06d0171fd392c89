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
	 "Each verdict carries the probability that growth goes on without a bound. leakhunt fits harmless "
	 "explanations to the curve: a warm-up, a logarithm, one step, growth that stopped. A trend counts only as "
	 "far as the curve needs it beside each of them. Periodic ups and downs are averaged out first. "
	 "Neighboring samples that resemble each other count for less. A logistic model, trained on histories with "
	 "known truth, weighs the results. The verdict is leak from 0.9 on (with 80 samples or more: from 0.8 on). "
	 "At 0.2 or less the process does not leak; with few samples this limit is lower.\n\n"
	 "Few samples prove little: a cycle longer than the watch looks as straight as a leak. An even rise over "
	 "10 samples has probability 0.75, over 20 samples 0.87, over 45 samples 0.98. With fewer than 23 samples "
	 "only a very straight rise is called a leak. Growth slower than resolution_bytes_per_hour (--json) would "
	 "not show.\n\n"
	 "A leak slower than the noise needs a longer watch (`-i 10m -c 100`). A cache looks like a leak until it "
	 "is full."},
	{"EVIDENCE",
	 "Facts beside the curve that change the verdict on the process. --explain and --json show the weight of "
	 "each. A weight is added to the logarithm of the odds of a leak.\n\n"
	 "* age\n"
	 "A watch that begins with the process may see its warm-up.\n\n"
	 "* fixed-size\n"
	 "Most of the growth fills mappings of constant size that another watch of the same length would see full. "
	 "Until then the verdict is undecided.\n\n"
	 "* in-use\n"
	 "Bytes in use by the program, as the allocator counts them, at the first sample and at a later one. If "
	 "the heap grows and they do not, the heap is fragmented or caches freed blocks. leakhunt reads up to 512 "
	 "MiB of private memory for this, without stopping the process.\n\n"
	 "* collector\n"
	 "A garbage-collected heap may grow to a multiple of its live data before it is collected. Growth that "
	 "goes on across observed collections is more likely a leak.\n\n"
	 "* work\n"
	 "Memory grows in step with the count of --counter, also where the count is uneven."},
	{"WHAT COUNTS", "Only the process's own memory counts: anonymous pages (also those shared with a forked "
			"child) and swapped-out pages. Cached file pages and pages given back with MADV_FREE do not "
			"count. A mapping is followed as it grows, splits, merges and moves."},
	{"BESIDE THE MAPPINGS", "Some memory of a process is in no mapping. It gets rows of its own if it may leak. "
				"Memory charged to the cgroup can belong to another process of that cgroup.\n\n"
				"* files in memory, held open and not mapped\n"
				"Pages of memfds and of deleted tmpfs files that the process has open, except the "
				"pages that it has mapped.\n\n"
				"* System V segments that nobody has attached\n"
				"Segments that this process created. `ipcs -m` lists them, `ipcrm -m` removes them.\n\n"
				"* page tables\n"
				"VmPTE: the kernel needs 8 bytes per page, and at least one page per 2 MiB of used "
				"address space.\n\n"
				"* kernel memory, socket buffers, shared memory of its cgroup\n"
				"From memory.stat: memory that neither the mappings nor the rows above explain.\n\n"
				"* mappings, threads, descriptors, sockets, pipes\n"
				"Counts. They are not memory, but they have limits."},
	{"RUNS OUT", "The limit that the process reaches first if growth continues at this rate: memory of the cgroup "
		     "or of the machine, RLIMIT_AS, the address space of a 32-bit process, vm.max_map_count, "
		     "pids.max, kernel.threads-max, RLIMIT_NOFILE, -Xmx of Java, --max-old-space-size of V8 (node), "
		     "whether given or V8's default. A record stores how much was left of each, so --from can forecast "
		     "too."},
	{"FAMILIES",
	 "Similar mappings that appear one after the other share a row: stacks of threads whose names follow one "
	 "pattern, stacks of ended threads that nobody joined, the mappings of one allocator, segments and files "
	 "whose names differ only in numbers (<n>), deleted temporary files (<name>), and all mappings of a "
	 "library that is loaded again and again."},
	{"COST", "While the kernel writes a mapping's smaps, it holds the mmap lock, and the target's mmap and munmap "
		 "wait: 5 to 17 ms per GiB of small pages. If one call would take longer than --max-stall, leakhunt "
		 "reads addresses from maps instead and counts pages in short calls (PAGEMAP_SCAN, Linux 6.7; else "
		 "pagemap). The receipt says how memory was read and how long the longest call took."},
	{"PASTED TEXTS", "--from also reads smaps texts that were copied through an editor, a mail or a web page "
			 "(Windows line ends, UTF-16, quotes, tabs, no-break spaces, \"KB\"), and the output of `pmap "
			 "-x`, `pmap -X` and `pmap -XX`. A file with two processes is refused."},
	{"RECORDS",
	 "A record (--save) is a file of JSON lines: a header, then one line per sample. A sample's line holds "
	 "either all regions or only the changed ones:\n\n"
	 "  {\"leakhunt_record\":2,\"pid\":N,\"start_ticks\":N,\"command\":\"...\"}\n"
	 "  {\"n\":0,\"time_ns\":N,\"uptime_ns\":N,\"regions\":[{\"start\":...},...]}\n"
	 "  {\"n\":1,\"time_ns\":N,\"uptime_ns\":N,\"changed\":[...],\"gone\":[...]}\n\n"
	 "A region has start, end, perms, kind, inode, offset, device_major, device_minor, name and its figures "
	 "(rss_bytes, ...). Figures that are 0 are left out. \"holdings\": what the process held beside its "
	 "mappings. \"left\": what was left below each limit. \"receipt\": what reading cost. in_use_bytes and "
	 "heap_bytes: what the allocators counted, in some samples. \"lost\": how many lines could not be parsed "
	 "when the sample was taken. A damaged line is skipped and counted, and so are the lines that depend on "
	 "it. leakhunt also reads records of format 1."},
	{NULL, NULL},
};

const struct lh_manual_section lh_manual_watch[] = {
	{"VERDICTS", VERDICTS},
	{"METRICS", "--metrics writes a file in OpenMetrics format that every user can read, and replaces it "
		    "atomically. leakhunt_verdict is 1 for the current verdict of each process. "
		    "leakhunt_growth_bytes_per_second is its rate. leakhunt_limit_seconds is the time until it "
		    "reaches the nearest limit; absent if it grows towards none. leakhunt_held_bytes and "
		    "leakhunt_held are what it holds beside its mappings."},
	{"HOW IT WATCHES", "watch reads the kernel's counters of the process (one small file) once per second to once "
			   "per minute. It reads smaps when these counters have moved, and at every tenth look. "
			   "--on-leak runs its command with sh, and waits for it, when the verdict is leak and the "
			   "probability reaches --leak-probability. Only one leakhunt can write a record at a time. "
			   "When a record reaches --save-max, every second sample is dropped."},
	{NULL, NULL},
};
