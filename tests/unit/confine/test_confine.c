/*
 * test_confine: what a confined process can still do, tried in children: one that analyzes files, one that also asks
 * debuginfod servers, one that writes an output file. Each attempt must succeed before the confinement, and fail (or
 * not) after it.
 */
#include "unit.h"

#include "leakhunt/confine.h"
#include "leakhunt/process.h"
#include "proc/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], readable[96], secret[96];
static pid_t victim; /* another process of the same user */
static uint16_t port;

/* ---------------------------------------------------------------- attempts: whether they succeed */

static bool opens(const char *path, int flags)
{
	int fd = open(path, flags, 0600);
	return fd >= 0 && close(fd) == 0;
}

static bool try_read_allowed(void)
{
	return opens(readable, O_RDONLY);
}

static bool try_read_other(void)
{
	return opens(secret, O_RDONLY);
}

static bool try_write(void)
{
	return opens(readable, O_WRONLY);
}

static bool try_create(void)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/new", folder);
	return opens(path, O_WRONLY | O_CREAT);
}

static bool try_unlink(void)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/doomed", folder);
	return unlink(path) == 0;
}

static bool try_connect(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static bool try_signal(void)
{
	return kill(victim, SIGCONT) == 0;
}

static bool try_ptrace(void)
{
	if (ptrace(PTRACE_SEIZE, victim, NULL, NULL) != 0)
		return false;
	return ptrace(PTRACE_DETACH, victim, NULL, NULL) == 0 || errno == ESRCH;
}

static bool try_read_memory(void)
{
	char byte;
	struct iovec local = {&byte, 1}, remote = {folder, 1}; /* a fork has it at the same address */
	return process_vm_readv(victim, &local, 1, &remote, 1, 0) == 1;
}

/* In a child: on success it is another program, which ends with 0. */
static bool try_execute(void)
{
	int status;
	pid_t child = fork();
	if (child < 0)
		return false;
	if (child == 0) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Without a fork before it: only to be tried last. */
static bool try_execute_here(void)
{
	execl("/bin/true", "true", NULL);
	return false;
}

static bool try_new_privileges(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

static bool try_executable_memory(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory != MAP_FAILED && munmap(memory, 4096) == 0;
}

static void *run_nothing(void *context)
{
	return context;
}

static bool try_thread(void)
{
	pthread_t thread;
	return pthread_create(&thread, NULL, run_nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

static bool try_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	return syscall(SYS_capget, &header, data) != 0 || data[0].permitted || data[1].permitted || data[0].effective ||
	       data[1].effective;
}

/* ---------------------------------------------------------------- the table */

/* By profile, whether the attempt must succeed. */
static const struct attempt {
	const char *name;
	bool (*try)(void);
	bool for_files;
	bool for_servers;
	bool for_output;
	bool needs_landlock;
} attempts[] = {
	{"read a file that was named", try_read_allowed, true, true, true, false},
	{"read another file", try_read_other, false, false, false, true},
	{"open for writing", try_write, false, false, true, false},
	{"create a file", try_create, false, false, true, false},
	{"unlink a file", try_unlink, false, false, true, false},
	{"connect", try_connect, false, true, false, false},
	{"signal another process", try_signal, false, false, false, false},
	{"trace another process", try_ptrace, false, false, false, false},
	{"read another process's memory", try_read_memory, false, false, false, false},
	{"execute a program in a child", try_execute, false, false, false, false},
	{"keep the way to new privileges", try_new_privileges, false, false, false, false},
	{"map code", try_executable_memory, false, true, false, false},
	{"start a thread", try_thread, true, true, true, false},
	{"hold a capability", try_capability, false, false, false, false},
	{"execute a program", try_execute_here, false, false, false, false},
};

static bool expects_success(const struct attempt *attempt, const struct lh_confine_options *options)
{
	return options->cache_folder   ? attempt->for_servers
	       : options->write_folder ? attempt->for_output
				       : attempt->for_files;
}

/* In the child: 0, or 1 + the number of the first attempt that went otherwise. An execution that succeeds ends with 0:
 * the pipe tells it apart, which only the end of this function writes to.
 */
static int run_attempts(const struct lh_confine_options *options)
{
	lh_confine(options);
	lh_confine_settle();
	for (size_t i = 0; i < LH_ARRAY_COUNT(attempts); i++) {
		const struct attempt *attempt = &attempts[i];
		if (attempt->needs_landlock && !lh_confine_support().landlock_abi)
			continue;
		if (attempt->try() != expects_success(attempt, options))
			return 1 + (int)i;
	}
	return 0;
}

static void assert_confined(const struct lh_confine_options *options)
{
	int pipe_fds[2], status;
	uint8_t result = UINT8_MAX;
	if (lh_confine_support().is_off || !lh_confine_support().has_seccomp)
		skip_because("confinement is off, or the kernel lacks seccomp");
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid_t child = fork();
	if (child == 0) {
		result = (uint8_t)run_attempts(options);
		_exit(write(pipe_fds[1], &result, 1) == 1 ? 0 : 1);
	}
	close(pipe_fds[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(read(pipe_fds[0], &result, 1), 1);
	close(pipe_fds[0]);
	if (result)
		fail_msg("went otherwise than it should: %s", attempts[result - 1].name);
}

/* ---------------------------------------------------------------- the tests */

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static int make_world(void **state)
{
	(void)state;
	char doomed[96];
	snprintf(folder, sizeof(folder), "/tmp/test_confine.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(readable, sizeof(readable), "%s/readable", folder);
	snprintf(doomed, sizeof(doomed), "%s/doomed", folder);
	snprintf(secret, sizeof(secret), "%s.secret", folder);
	make_file(readable);
	make_file(doomed);
	make_file(secret);
	struct sockaddr_in address = {.sin_family = AF_INET};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	port = ntohs(address.sin_port);
	victim = fork();
	if (victim == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return 0;
}

static int unmake_world(void **state)
{
	(void)state;
	static const char *const names[] = {"readable", "doomed", "new"};
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	for (size_t i = 0; i < LH_ARRAY_COUNT(names); i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	unlink(secret);
	return rmdir(folder);
}

/* Else none of the attempts would prove anything. */
static void test_everything_works_before(void **state)
{
	(void)state;
	for (size_t i = 0; i + 1 < LH_ARRAY_COUNT(attempts); i++) {
		bool needs_root = attempts[i].try == try_capability;
		if (!needs_root || geteuid() == 0)
			if (!attempts[i].try())
				fail_msg("does not work even unconfined: %s", attempts[i].name);
	}
	char doomed[96];
	snprintf(doomed, sizeof(doomed), "%s/doomed", folder);
	make_file(doomed);
}

static void test_files_only(void **state)
{
	(void)state;
	const char *paths[] = {readable};
	assert_confined(
		&(struct lh_confine_options){.read_paths = paths, .read_count = 1, .keeps_reading_power = true});
}

static void test_servers(void **state)
{
	(void)state;
	char cache[128];
	const char *paths[] = {readable};
	snprintf(cache, sizeof(cache), "%s/cache", folder);
	assert_int_equal(mkdir(cache, 0700), 0);
	if (lh_confine_support().landlock_abi)
		assert_confined(
			&(struct lh_confine_options){.read_paths = paths, .read_count = 1, .cache_folder = cache});
	rmdir(cache);
}

static void test_output(void **state)
{
	(void)state;
	const char *paths[] = {readable};
	if (lh_confine_support().landlock_abi)
		assert_confined(
			&(struct lh_confine_options){.read_paths = paths, .read_count = 1, .write_folder = folder});
}

/* Files of somebody else, which none but the opener may read. */
static void make_file_of_nobody(const char *name, const char *bytes, size_t length)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0);
	assert_int_equal(write(fd, bytes, length), length);
	assert_int_equal(fchown(fd, 65534, 65534), 0);
	close(fd);
}

static bool asks_in_vain(int root_fd, const char *path, int flags)
{
	int fd = lh_confined_open_below(root_fd, path, flags);
	return fd < 0 && errno == EACCES;
}

/* In the child: 0, or which attempt went otherwise. */
static int ask_for_files(void)
{
	const int reading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	const char *paths[] = {folder};
	char magic[4] = "";
	lh_confine(&(struct lh_confine_options){.read_paths = paths, .read_count = 1, .keeps_reading_power = true});
	lh_confine_settle();
	int root_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return 1;
	int fd = lh_confined_open_below(root_fd, "module", reading);
	if (fd < 0 || read(fd, magic, sizeof(magic)) != sizeof(magic) || memcmp(magic, "\177ELF", sizeof(magic)) != 0)
		return 2;
	if (!asks_in_vain(root_fd, "shadow", reading))
		return 3;
	return asks_in_vain(root_fd, "module", O_RDWR | O_CLOEXEC) ? 0 : 4;
}

static void test_modules_of_others(void **state)
{
	(void)state;
	static const char *const names[] = {"module", "shadow"};
	int status;
	if (geteuid() != 0 || lh_confine_support().is_off)
		skip_because("needs root, and confinement");
	make_file_of_nobody("module", "\177ELF\2\1\1", 7);
	make_file_of_nobody("shadow", "root:*:", 7);
	pid_t child = fork();
	if (child == 0)
		_exit(ask_for_files());
	assert_int_equal(waitpid(child, &status, 0), child);
	for (size_t i = 0; i < LH_ARRAY_COUNT(names); i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	assert_int_equal(status, 0);
}

/* In a child: the test itself stays as it is. */
static void test_no_core(void **state)
{
	(void)state;
	int status;
	pid_t child = fork();
	if (child == 0) {
		struct rlimit limit;
		struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
		(void)setrlimit(RLIMIT_CORE, &unlimited);
		lh_self_forbid_cores();
		getrlimit(RLIMIT_CORE, &limit);
		bool is_forbidden = lh_self_is_undumpable() && limit.rlim_cur <= 1;
		int fd = lh_self_open("pagemap", O_RDONLY);
		_exit(is_forbidden && fd >= 0 && lh_self_is_undumpable() ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_works_before),
		cmocka_unit_test(test_files_only),
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_modules_of_others),
		cmocka_unit_test(test_no_core),
	};
	return cmocka_run_group_tests(tests, make_world, unmake_world);
}
