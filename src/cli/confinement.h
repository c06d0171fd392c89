/*
 * confinement: gives up the rights that a command no longer needs. Private to cli.
 */
#ifndef LEAKHUNT_CLI_CONFINEMENT_H
#define LEAKHUNT_CLI_CONFINEMENT_H

#include "leakhunt/base.h"

struct lh_process;

/* What a command still has to open after it is confined. All zero: nothing. */
struct lh_confinement {
	LH_VEC(char *) read_paths;
	char *write_folder;
	char *cache_folder;
	bool keeps_reading_power;
};

void lh_confinement_deinit(struct lh_confinement *confinement);

/* A file, or all files below a folder. */
struct lh_error *lh_confinement_add_path(struct lh_confinement *confinement, const char *path) LH_NODISCARD;
/* A dump: the file, the index beside it, and a folder to unpack a compressed one in. */
struct lh_error *lh_confinement_add_image(struct lh_confinement *confinement, const char *path) LH_NODISCARD;
/* A file to be created: its folder. */
struct lh_error *lh_confinement_add_output(struct lh_confinement *confinement, const char *path) LH_NODISCARD;
/* A pinned process: its folder in /proc, for its state. */
struct lh_error *lh_confinement_add_process(struct lh_confinement *confinement,
					    const struct lh_process *process) LH_NODISCARD;
/* Symbols of modules below `root`. With DEBUGINFOD_URLS also the servers, and the folder where their files are kept. */
struct lh_error *lh_confinement_add_symbols(struct lh_confinement *confinement, const char *root) LH_NODISCARD;

/* Confines leakhunt from now on. Call it before there are threads. */
void lh_confinement_apply(const struct lh_confinement *confinement);

/* Which of these restrictions are active here, one per line: for `leakhunt --version --verbose`. */
void lh_confinement_describe(struct lh_buffer *ret);

#endif
