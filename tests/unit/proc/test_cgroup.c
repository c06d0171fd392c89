/*
 * test_cgroup: limits of cgroups, on recorded trees of both versions and on a real cgroup where one can be
 * made; memory of the machine against sysinfo(2).
 */
#include "unit.h"

#include "leakhunt/limits.h"
#include "leakhunt/process.h"
#include "proc/process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOUNT_V2     "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_MEMORY "34 24 0:28 / /cg/memory rw,nosuid shared:14 - cgroup cgroup rw,memory\n"
#define MOUNT_PIDS   "35 24 0:29 / /cg/pids rw,nosuid - cgroup cgroup rw,pids\n"

static char root[64];

static int make_root(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/test_cgroup.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status, (void)type, (void)place;
	return remove(path);
}

static int remove_root(void **state)
{
	(void)state;
	return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes `text` into a file below the root, and makes its folders. */
static void put(const char *path, const char *text)
{
	char full[PATH_MAX];
	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	FILE *file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_v2_tightest_ancestor(void **state)
{
	(void)state;
	struct lh_cgroup_limits limits LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
	put("/sys/fs/cgroup/cgroup.procs", "1\n");
	put("/sys/fs/cgroup/pod/memory.max", "1000000\n");
	put("/sys/fs/cgroup/pod/memory.current", "900000\n");
	put("/sys/fs/cgroup/pod/memory.stat", "anon 650000\nfile 250000\ninactive_file 40000\nactive_file 10000\n");
	put("/sys/fs/cgroup/pod/memory.high", "max\n");
	put("/sys/fs/cgroup/pod/pids.max", "max\n");
	put("/sys/fs/cgroup/pod/pids.current", "70\n");
	put("/sys/fs/cgroup/pod/app/memory.max", "800000\n");
	put("/sys/fs/cgroup/pod/app/memory.current", "500000\n");
	put("/sys/fs/cgroup/pod/app/memory.high", "700000\n");
	put("/sys/fs/cgroup/pod/app/memory.swap.max", "4096\n");
	put("/sys/fs/cgroup/pod/app/memory.swap.current", "1096\n");
	put("/sys/fs/cgroup/pod/app/pids.max", "64\n");
	put("/sys/fs/cgroup/pod/app/pids.current", "60\n");
	assert_success(lh_cgroup_read_at(root, "0::/pod/app\n", MOUNT_V2, &limits));
	/* 800000 - 500000 = 300000 are left in app, but only 1000000 - (900000 - 50000) = 150000 in pod. */
	assert_string_equal(limits.memory.cgroup, "/pod");
	assert_int_equal(limits.memory.limit, 1000000);
	assert_int_equal(limits.memory.used, 900000);
	assert_int_equal(limits.memory.reclaimable_bytes, 50000);
	assert_int_equal(lh_limit_left(&limits.memory), 150000);
	assert_string_equal(limits.memory_throttle.cgroup, "/pod/app");
	assert_int_equal(lh_limit_left(&limits.memory_throttle), 200000);
	assert_int_equal(lh_limit_left(&limits.swap), 3000);
	assert_true(limits.memory_and_swap.limit == LH_NO_LIMIT);
	assert_string_equal(limits.tasks.cgroup, "/pod/app");
	assert_int_equal(lh_limit_left(&limits.tasks), 4);
}

static void test_v1_each_controller_in_its_hierarchy(void **state)
{
	(void)state;
	struct lh_cgroup_limits limits LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
	put("/cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("/cg/memory/memory.usage_in_bytes", "5000000\n");
	put("/cg/memory/a/memory.limit_in_bytes", "2000000\n");
	put("/cg/memory/a/memory.usage_in_bytes", "2100000\n");
	put("/cg/memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 300000\ntotal_active_file 0\n");
	put("/cg/memory/a/memory.use_hierarchy", "1\n");
	put("/cg/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
	put("/cg/memory/a/b/memory.usage_in_bytes", "1700000\n");
	put("/cg/memory/a/b/memory.memsw.limit_in_bytes", "3000000\n");
	put("/cg/memory/a/b/memory.memsw.usage_in_bytes", "1800000\n");
	put("/cg/pids/x/pids.max", "10\n");
	put("/cg/pids/x/pids.current", "12\n");
	const char *cgroup = "5:pids:/x\n4:cpu,memory:/a/b\n1:name=systemd:/memory\n0::/elsewhere\n";
	assert_success(lh_cgroup_read_at(root, cgroup, MOUNT_V2 MOUNT_MEMORY MOUNT_PIDS, &limits));
	assert_string_equal(limits.memory.cgroup, "/a");
	assert_int_equal(lh_limit_left(&limits.memory), 2000000 - (2100000 - 300000));
	assert_string_equal(limits.memory_and_swap.cgroup, "/a/b");
	assert_int_equal(lh_limit_left(&limits.memory_and_swap), 1200000);
	assert_int_equal(lh_limit_left(&limits.tasks), 0);
	assert_true(limits.swap.limit == LH_NO_LIMIT);
	/* An ancestor that does not count its descendants does not bind them. */
	lh_cgroup_limits_deinit(&limits);
	put("/cg/memory/a/memory.use_hierarchy", "0\n");
	assert_success(lh_cgroup_read_at(root, cgroup, MOUNT_V2 MOUNT_MEMORY MOUNT_PIDS, &limits));
	assert_true(limits.memory.limit == LH_NO_LIMIT);
	assert_true(lh_limit_left(&limits.memory) == LH_NO_LIMIT);
	assert_int_equal(limits.memory.used, 1700000);
}

/* A container sees its own cgroup as the root of what is mounted; a mount point may hold a blank. */
static void test_mounted_from_its_own_cgroup(void **state)
{
	(void)state;
	struct lh_cgroup_limits limits LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
	const char *mount = "34 24 0:28 /docker/12ab /my\\040cg rw - cgroup2 cgroup rw\n";
	put("/my cg/memory.max", "5000\n");
	put("/my cg/memory.current", "1000\n");
	put("/my cg/sub/memory.max", "max\n");
	assert_success(lh_cgroup_read_at(root, "0::/docker/12ab/sub\n", mount, &limits));
	assert_int_equal(lh_limit_left(&limits.memory), 4000);
	assert_string_equal(limits.memory.cgroup, "/docker/12ab");
	lh_cgroup_limits_deinit(&limits);
	assert_success(lh_cgroup_read_at(root, "0::/docker/12ab\n", mount, &limits));
	assert_int_equal(lh_limit_left(&limits.memory), 4000);
	static const char *const outside[] = {"0::/docker/12abc\n", "0::/docker\n", "0::/../12ab\n",
					      "0::/docker/12ab/../../x\n", "0::/docker/12ab (deleted)\n"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(outside); i++) {
		lh_cgroup_limits_deinit(&limits);
		assert_success(lh_cgroup_read_at(root, outside[i], mount, &limits));
		assert_true(limits.memory.limit == LH_NO_LIMIT);
		assert_int_equal(limits.memory.used, 0);
	}
}

static void test_texts_that_make_no_sense(void **state)
{
	(void)state;
	static const char *const cgroups[] = {
		"", "\n", "0", "0:", "0::", "0::x", "::::", "4:memory", "memory:/\n\n:::/a"};
	static const char *const mounts[] = {"",
					     "-",
					     "1 2 3 4",
					     "34 24 0:28 / /x rw - cgroup2",
					     "- - - - - - - - -",
					     "34 24 0:28 \\057 \\000 rw - cgroup2 cgroup rw",
					     MOUNT_V2};
	static const char *const numbers[] = {"", "many\n", "-5\n", "99999999999999999999999\n", "12 34\n"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(cgroups); i++) {
		for (size_t j = 0; j < LH_ARRAY_COUNT(mounts); j++) {
			struct lh_cgroup_limits limits LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
			assert_success(lh_cgroup_read_at(root, cgroups[i], mounts[j], &limits));
			assert_true(limits.memory.limit == LH_NO_LIMIT);
		}
	}
	for (size_t i = 0; i < LH_ARRAY_COUNT(numbers); i++) {
		struct lh_cgroup_limits limits LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
		put("/sys/fs/cgroup/odd/memory.max", numbers[i]);
		assert_success(lh_cgroup_read_at(root, "0::/odd\n", MOUNT_V2, &limits));
		assert_true(limits.memory.limit == LH_NO_LIMIT);
	}
}

/* ---------------------------------------------------------------- the real thing */

/* Where this machine lets us make a cgroup with a limit, with the files of that version; else skipped. */
struct real_cgroup {
	char folder[128];
	const char *limit_file;
};

static bool write_file(const char *folder, const char *name, const char *text)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return is_written;
}

static bool make_cgroup(struct real_cgroup *ret)
{
	static const char *const hierarchies[][2] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
						     {"/sys/fs/cgroup", "memory.max"}};
	for (size_t i = 0; i < LH_ARRAY_COUNT(hierarchies); i++) {
		struct real_cgroup cgroup = {.limit_file = hierarchies[i][1]};
		snprintf(cgroup.folder, sizeof(cgroup.folder), "%s/leakhunt-test-%d", hierarchies[i][0], (int)getpid());
		if (mkdir(cgroup.folder, 0755) == 0) {
			*ret = cgroup;
			if (write_file(cgroup.folder, cgroup.limit_file, "67108864"))
				return true;
			rmdir(cgroup.folder);
		}
	}
	return false;
}

static void test_real_cgroup(void **state)
{
	(void)state;
	struct real_cgroup cgroup;
	if (!make_cgroup(&cgroup)) {
		skip_because("no cgroup with a memory limit can be made here");
	}
	int go[2];
	char pid_text[32], byte = 0;
	assert_int_equal(pipe(go), 0);
	pid_t pid = fork();
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &byte, 1) < 0);
	}
	snprintf(pid_text, sizeof(pid_text), "%d", (int)pid);
	bool has_moved = write_file(cgroup.folder, "cgroup.procs", pid_text);
	struct lh_cgroup_limits limits = {0};
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	struct lh_error *error = lh_process_open(pid, &process);
	if (!error)
		error = lh_cgroup_read(process, &limits);
	close(go[1]);
	close(go[0]);
	waitpid(pid, NULL, 0);
	rmdir(cgroup.folder);
	assert_success(error);
	assert_true(has_moved);
	assert_int_equal(limits.memory.limit, 67108864);
	assert_true(limits.memory.used < limits.memory.limit);
	assert_string_equal(limits.memory.cgroup, strrchr(cgroup.folder, '/'));
	lh_cgroup_limits_deinit(&limits);
}

static void test_own(void **state)
{
	(void)state;
	struct lh_cgroup_limits limits LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
	assert_success(lh_cgroup_read_own(&limits));
	assert_true(lh_limit_left(&limits.memory) > 0);
}

static void test_system_memory(void **state)
{
	(void)state;
	struct sysinfo info;
	struct lh_system_memory memory;
	assert_int_equal(sysinfo(&info), 0);
	assert_success(lh_system_memory_read(&memory));
	assert_int_equal(memory.total_bytes, (uint64_t)info.totalram * info.mem_unit);
	assert_int_equal(memory.swap_total_bytes, (uint64_t)info.totalswap * info.mem_unit);
	assert_true(memory.available_bytes > 0 && memory.available_bytes <= memory.total_bytes);
	assert_true(memory.overcommit_mode <= 2);
	lh_system_memory_parse("MemTotal:  16 kB\nCommitLimit: 8 kB\nCommitted_AS: 18446744073709551615 kB\n", &memory);
	assert_int_equal(memory.total_bytes, 16384);
	assert_int_equal(memory.commit_limit_bytes, 8192);
	assert_int_equal(memory.committed_bytes, 0);
	assert_int_equal(memory.available_bytes, 0);
}

/* ---------------------------------------------------------------- freezers */

#define MOUNT_FREEZER "36 24 0:30 / /cg/freezer rw,nosuid - cgroup cgroup rw,freezer\n"

static void test_freezer_v2(void **state)
{
	(void)state;
	struct lh_freezer freezer;
	char expected[PATH_MAX];
	put("/sys/fs/cgroup/above/cgroup.freeze", "0\n");
	put("/sys/fs/cgroup/above/cgroup.events", "populated 1\nfrozen 0\n");
	put("/sys/fs/cgroup/above/own/cgroup.freeze", "0\n");
	put("/sys/fs/cgroup/above/own/cgroup.events", "populated 1\nfrozen 0\n");
	lh_freezer_read_at(root, "0::/above/own\n", MOUNT_V2, &freezer);
	assert_false(freezer.is_frozen);
	put("/sys/fs/cgroup/above/cgroup.freeze", "1\n");
	put("/sys/fs/cgroup/above/own/cgroup.events", "populated 1\nfrozen 1\n");
	lh_freezer_read_at(root, "0::/above/own\n", MOUNT_V2, &freezer);
	assert_true(freezer.is_frozen);
	assert_false(freezer.is_v1);
	snprintf(expected, sizeof(expected), "%s/sys/fs/cgroup/above", root);
	assert_string_equal(freezer.folder, expected);
	/* On its way: some of its threads stand still already. */
	put("/sys/fs/cgroup/above/own/cgroup.freeze", "1\n");
	put("/sys/fs/cgroup/above/own/cgroup.events", "populated 1\nfrozen 0\n");
	lh_freezer_read_at(root, "0::/above/own\n", MOUNT_V2, &freezer);
	assert_true(freezer.is_frozen);
	snprintf(expected, sizeof(expected), "%s/sys/fs/cgroup/above/own", root);
	assert_string_equal(freezer.folder, expected);
	/* Outside of what is mounted, or not there at all. */
	lh_freezer_read_at(root, "0::/../other\n", MOUNT_V2, &freezer);
	assert_false(freezer.is_frozen);
	lh_freezer_read_at(root, "", "", &freezer);
	assert_false(freezer.is_frozen);
}

/* Beside a v2 hierarchy that has no say over it, and beside one that has. */
static void test_freezer_v1(void **state)
{
	(void)state;
	struct lh_freezer freezer;
	char expected[PATH_MAX];
	put("/cg/freezer/a/freezer.state", "FREEZING\n");
	put("/cg/freezer/a/freezer.self_freezing", "1\n");
	put("/sys/fs/cgroup/free/cgroup.events", "populated 1\nfrozen 0\n");
	lh_freezer_read_at(root, "7:freezer:/a\n0::/free\n", MOUNT_FREEZER MOUNT_V2, &freezer);
	assert_true(freezer.is_frozen && freezer.is_v1);
	snprintf(expected, sizeof(expected), "%s/cg/freezer/a", root);
	assert_string_equal(freezer.folder, expected);
	put("/cg/freezer/a/freezer.state", "THAWED\n");
	lh_freezer_read_at(root, "7:freezer:/a\n0::/free\n", MOUNT_FREEZER MOUNT_V2, &freezer);
	assert_false(freezer.is_frozen);
	put("/sys/fs/cgroup/free/cgroup.events", "populated 1\nfrozen 1\n");
	lh_freezer_read_at(root, "7:freezer:/a\n0::/free\n", MOUNT_FREEZER MOUNT_V2, &freezer);
	assert_true(freezer.is_frozen && !freezer.is_v1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_v2_tightest_ancestor, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_v1_each_controller_in_its_hierarchy, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_mounted_from_its_own_cgroup, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_texts_that_make_no_sense, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_freezer_v2, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_freezer_v1, make_root, remove_root),
		cmocka_unit_test(test_real_cgroup),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_system_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
