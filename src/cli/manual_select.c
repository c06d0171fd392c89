/*
 * manual_select: sections of leakhunt-select(1) and leakhunt-watch(1).
 */
#include "manual.h"

#include <stddef.h>

/* clang-format off */
#define VERDICTS \
	"* leak\n" \
	"Grows without a bound, as far as its curve tells: no warm-up, step or rise that ended explains it as well.\n\n" \
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
	"The evidence suffices for neither. The reason says how much longer to watch."
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
	 "and below nothing leaks; at 0.9 and above (0.8 from 80 samples on) it is a leak.\n\n"
	 "A leak slower than the noise needs a longer watch (`-i 10m -n 100`). A cache that still fills looks like a "
	 "leak "
	 "until it is full."},
	{"WHAT COUNTS", "The process's own memory counts: anonymous pages, also while a fork shares them, and what is "
			"swapped out. Cached "
			"file pages and pages given back with MADV_FREE do not count. A mapping is followed as it "
			"grows, splits, merges and "
			"moves."},
	{"COST", "The kernel writes a mapping's smaps while it holds the lock that mmap and munmap of the target wait "
		 "for: 5 to 17 ms "
		 "per GiB in small pages. Where one call would take longer than --max-stall, leakhunt reads addresses "
		 "from maps and "
		 "counts pages in short calls (PAGEMAP_SCAN, Linux 6.7; else pagemap). The receipt says how it was "
		 "read, and how long "
		 "the longest call took."},
	{"RECORDS",
	 "A record (--save) is JSON lines: a header, then one line per sample, whole or only what changed:\n\n"
	 "  {\"leakhunt_record\":2,\"pid\":N,\"start_ticks\":N,\"command\":\"...\"}\n"
	 "  {\"n\":0,\"time_ns\":N,\"uptime_ns\":N,\"regions\":[{\"start\":...},...]}\n"
	 "  {\"n\":1,\"time_ns\":N,\"uptime_ns\":N,\"changed\":[...],\"gone\":[...]}\n\n"
	 "A region has start, end, perms, kind, inode, offset, device_major, device_minor, name and its figures "
	 "(rss_bytes, "
	 "...). Figures that are 0 are left out. \"lost\" counts what was not understood when the sample was taken. "
	 "Lines "
	 "that cannot be read, and those that rest on them, are skipped and counted. Records of format 1 are read."},
	{NULL, NULL},
};

const struct lh_manual_section lh_manual_watch[] = {
	{"VERDICTS", VERDICTS},
	{"HOW IT WATCHES", "watch reads the kernel's counters of the process (one small file) every second to every "
			   "minute, and smaps only "
			   "when these counters have moved. --on-leak runs a command with sh and waits for it. Only "
			   "one leakhunt writes a "
			   "record. Beyond --save-max every second sample is dropped."},
	{NULL, NULL},
};
