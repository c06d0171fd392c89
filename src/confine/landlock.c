/*
 * landlock: which files may still be opened, and how; no network, no signals to others, no ptrace of others
 * (Documentation/userspace-api/landlock.rst). The distribution's linux/landlock.h may be older than the kernel, so the
 * interface is declared here.
 */
#include "confine.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

enum { CREATE_VERSION = 1, RULE_PATH_BENEATH = 1 };

/* By ABI: 1, 2 (REFER), 3 (TRUNCATE), 5 (IOCTL_DEV). */
enum fs_right {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_REFER = 1 << 13,
	FS_TRUNCATE = 1 << 14,
};

enum { FS_RIGHTS_ABI_1 = 13, FS_RIGHTS_ABI_2 = 14, FS_RIGHTS_ABI_3 = 15, FS_RIGHTS_ABI_5 = 16 };

/* Since ABI 4 and 6. */
enum { NET_BIND_TCP = 1 << 0, NET_CONNECT_TCP = 1 << 1 };
enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, SCOPE_SIGNAL = 1 << 1 };

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

int lh_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
	return abi > 0 ? (int)abi : 0;
}

static uint64_t fs_rights(int abi)
{
	int count = abi >= 5   ? FS_RIGHTS_ABI_5
		    : abi >= 3 ? FS_RIGHTS_ABI_3
		    : abi == 2 ? FS_RIGHTS_ABI_2
			       : FS_RIGHTS_ABI_1;
	return (UINT64_C(1) << count) - 1;
}

/* For a file only the rights that files have: the kernel refuses others. */
static void allow_path(int ruleset_fd, const char *path, uint64_t rights)
{
	const uint64_t file_rights = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE;
	struct stat status;
	LH_CLEANUP(lh_cleanup_close) int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0)
		return;
	struct path_beneath_attr rule = {
		.allowed_access = S_ISDIR(status.st_mode) ? rights : rights & file_rights,
		.parent_fd = fd,
	};
	(void)syscall(SYS_landlock_add_rule, ruleset_fd, RULE_PATH_BENEATH, &rule, 0);
}

static void allow_paths(int ruleset_fd, int abi, const struct lh_confine_options *options)
{
	const uint64_t reading = FS_READ_FILE | FS_READ_DIR;
	const uint64_t writing =
		(reading | FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG | FS_REMOVE_FILE) & fs_rights(abi);
	const uint64_t caching = (writing | FS_MAKE_DIR | FS_REMOVE_DIR | FS_REFER) & fs_rights(abi);
	for (size_t i = 0; i < options->read_count; i++)
		allow_path(ruleset_fd, options->read_paths[i], reading);
	if (options->write_folder)
		allow_path(ruleset_fd, options->write_folder, writing);
	if (options->cache_folder)
		allow_path(ruleset_fd, options->cache_folder, caching);
}

void lh_landlock_apply(const struct lh_confine_options *options)
{
	int abi = lh_landlock_abi();
	if (!abi)
		return;
	struct ruleset_attr attributes = {.handled_access_fs = fs_rights(abi)};
	if (abi >= 4)
		attributes.handled_access_net = options->cache_folder ? NET_BIND_TCP : NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= 6)
		attributes.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	LH_CLEANUP(lh_cleanup_close)
	int ruleset_fd = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
	if (ruleset_fd < 0)
		return;
	allow_paths(ruleset_fd, abi, options);
	(void)syscall(SYS_landlock_restrict_self, ruleset_fd, 0);
}
