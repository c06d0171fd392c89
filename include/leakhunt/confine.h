/*
 * confine: gives up, for good, what the analysis of hostile bytes does not need: capabilities, new privileges, files,
 * network, signals, other processes. Call it before the first byte is parsed and before other threads start: existing
 * threads keep their rights.
 *
 * What the kernel does not support is left out; lh_confine_support reports it.
 */
#ifndef LEAKHUNT_CONFINE_H
#define LEAKHUNT_CONFINE_H

#include "leakhunt/base.h"

struct lh_confine_options {
	const char *const *read_paths; /* files, and folders with all below them, that may still be read */
	size_t read_count;
	const char *write_folder; /* files may be created and replaced in this folder; NULL: none */
	const char *cache_folder; /* of debuginfod: folders may be created in it, servers contacted; NULL: neither */
	bool keeps_reading_power; /* keeps CAP_DAC_READ_SEARCH if leakhunt has it: to open files of other users */
};

/* What the kernel and this build support; lh_confine leaves out the rest. */
struct lh_confine_support {
	int landlock_abi; /* landlock(7): 1 files; 4 network, too; 6 signals, too. 0: the kernel has no Landlock */
	bool has_seccomp; /* filters of system calls */
	bool is_off;      /* built with a sanitizer or for coverage: lh_confine does nothing */
};

struct lh_confine_support lh_confine_support(void);

/* Never fails: what cannot be given up is kept. */
void lh_confine(const struct lh_confine_options *options);

/* Call once the inputs are open: gives up the rest, CAP_DAC_READ_SEARCH too. */
void lh_confine_settle(void);

/*
 * Like lh_open_below. If the caller may not read a file (EACCES) and lh_confine kept that capability, a separate
 * process that does nothing else opens it: O_PATH | O_CLOEXEC descriptors, and regular ELF files with O_RDONLY |
 * O_CLOEXEC | O_NONBLOCK | O_NOCTTY; anything else is EACCES. Thread-safe.
 */
int lh_confined_open_below(int root_fd, const char *path, int flags);

#endif
