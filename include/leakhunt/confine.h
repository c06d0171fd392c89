/*
 * confine: gives up, for good, what the analysis of hostile bytes does not need: capabilities, new privileges,
 * files, network, signals, other processes. Called before the first byte is parsed and before there are threads:
 * threads that exist already keep their powers.
 *
 * What a kernel lacks is left out; lh_confine_support tells what there is.
 */
#ifndef LEAKHUNT_CONFINE_H
#define LEAKHUNT_CONFINE_H

#include "leakhunt/base.h"

struct lh_confine_options {
	const char *const *read_paths; /* files, and folders with all below, that may still be opened for reading */
	size_t read_count;
	const char *write_folder; /* a folder in which files may be made and replaced; NULL: none */
	const char
		*cache_folder; /* of debuginfod: folders may be made below, too, and servers be asked; NULL: neither */
	bool keeps_reading_power; /* CAP_DAC_READ_SEARCH, if it is there: to open files of other users */
};

/* What kernel and build allow; what any of these lacks is not active in lh_confine either. */
struct lh_confine_support {
	int landlock_abi; /* landlock(7): 1 files; 4 network, too; 6 signals, too. 0: the kernel has no Landlock */
	bool has_seccomp; /* filters of system calls */
	bool is_off;      /* built with a sanitizer or for coverage: lh_confine does nothing */
};

struct lh_confine_support lh_confine_support(void);

/* Never fails: what cannot be given up is kept. */
void lh_confine(const struct lh_confine_options *options);

/* Once the inputs are open: gives up the rest, CAP_DAC_READ_SEARCH too. */
void lh_confine_settle(void);

/*
 * As lh_open_below, and where the caller may not read (EACCES) and lh_confine was told to keep that power: through a
 * process that does nothing but open files. By it come O_PATH | O_CLOEXEC descriptors, and regular ELF files for
 * O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY; EACCES otherwise. For several threads.
 */
int lh_confined_open_below(int root_fd, const char *path, int flags);

#endif
