/*
 * process_table: all processes of the machine with their memory usage.
 */
#ifndef LEAKHUNT_PROCESS_TABLE_H
#define LEAKHUNT_PROCESS_TABLE_H

#include "leakhunt/regions.h"

struct lh_process_usage {
	pid_t pid;
	uid_t uid;
	struct lh_usage usage;
	const char *user;    /* the effective user's name, or the number if it has no name */
	const char *command; /* the command line, arguments separated by blanks, cut off at 4 KiB, or [comm]; raw */
	const char *cgroup;  /* of v2, else of v1's memory controller: "/system.slice/nginx.service"; "" if unknown */
	const char *unread;  /* why `usage` could not be read, "Permission denied"; NULL: it was read */
};

/* Zero-initialized is empty. Owns its strings. */
struct lh_process_table {
	LH_VEC(struct lh_process_usage) processes; /* most USS first */
	LH_VEC(struct lh_process_usage) unread;    /* no permission; `usage` is 0 */
	struct lh_strings_pool strings;
	size_t vanished_count; /* ended while the table was read */
	size_t kernel_count;   /* kernel threads and zombies, which have no memory */
};

/* Reads every process of /proc. Processes that cannot be read are kept apart; they are not an error. */
struct lh_error *lh_process_table_read(struct lh_process_table *ret) LH_NODISCARD;
void lh_process_table_deinit(struct lh_process_table *table);

#endif
