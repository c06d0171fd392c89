/*
 * confinement: gives up the powers that a command no longer needs. Private to cli.
 */
#ifndef LEAKHUNT_CLI_CONFINEMENT_H
#define LEAKHUNT_CLI_CONFINEMENT_H

#include "leakhunt/base.h"

struct lh_process;

/* What a command still has to open after it is confined. Zero-initialized: nothing. */
struct lh_confinement {
	LH_VEC(char *) read_paths;
	char *write_folder;
	char *cache_folder;
	bool keeps_reading_power;
};

void lh_confinement_deinit(struct lh_confinement *confinement);

/* A file, or all files below a folder. */
struct lh_error *lh_confinement_add_path(struct lh_confinement *confinement, const char *path) LH_NODISCARD;
/* A dump: the file, the index beside it, and room to unpack it when it is compressed. */
struct lh_error *lh_confinement_add_image(struct lh_confinement *confinement, const char *path) LH_NODISCARD;
/* A file that is to be made: its folder. */
struct lh_error *lh_confinement_add_output(struct lh_confinement *confinement, const char *path) LH_NODISCARD;
/* A pinned process: its folder in /proc, for its state. */
struct lh_error *lh_confinement_add_process(struct lh_confinement *confinement,
					    const struct lh_process *process) LH_NODISCARD;
/* Symbols of modules below `root`; with DEBUGINFOD_URLS also servers, and the folder where their answers are kept. */
struct lh_error *lh_confinement_add_symbols(struct lh_confinement *confinement, const char *root) LH_NODISCARD;

/* From now on. Before there are threads. */
void lh_confinement_apply(const struct lh_confinement *confinement);

/* What of all this is active here, a line each: for `leakhunt --version --verbose`. */
void lh_confinement_describe(struct lh_buffer *ret);

#endif
