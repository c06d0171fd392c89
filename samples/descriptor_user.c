/*
 * descriptor_user WAY: uses descriptors in ways that detect a foreign one.
 *   reopen   closes 0 and opens again, as daemons do: the number must be 0
 *   closer   closes all from 3 on (close_range), opens files again, and checks that each stays the same file
 *   full     opens until RLIMIT_NOFILE: the same number must fit each time
 */
#include "self_check.h"

#include <sys/resource.h>
#include <sys/stat.h>

#define FILES 4

static void reopen_zero(struct checker *checker)
{
	for (unsigned i = 0;; i++) {
		close(0);
		int fd = open("/dev/null", O_RDONLY);
		if (fd != 0) {
			checker_report_wrong("open gave %d, not 0", fd);
			if (fd > 0)
				close(fd);
			open("/dev/null", O_RDONLY);
		}
		checker_round(checker);
		if (i % 64 == 0)
			checker_sleep_us(50);
	}
}

static void check_files(const ino_t *inodes)
{
	for (int i = 0; i < FILES; i++) {
		struct stat found;
		if (checker_call("fstat", fstat(3 + i, &found)) && found.st_ino != inodes[i])
			checker_report_wrong("descriptor %d is another file", 3 + i);
	}
}

static void close_and_reopen(struct checker *checker)
{
	for (unsigned round = 0;; round++) {
		ino_t inodes[FILES] = {0};
		checker_call("close_range", syscall(SYS_close_range, 3, CHECKER_CONTROL_FD - 1, 0));
		for (int i = 0; i < FILES; i++) {
			struct stat made;
			int fd = memfd_create("closer", MFD_CLOEXEC);
			if (checker_call("memfd_create", fd) && fd != 3 + i)
				checker_report_wrong("memfd_create gave %d, not %d", fd, 3 + i);
			if (checker_call("fstat", fstat(fd, &made)))
				inodes[i] = made.st_ino;
		}
		for (int i = 0; i < 20; i++)
			check_files(inodes);
		if (round % 8 == 0)
			checker_sleep_us(100);
		check_files(inodes);
		checker_round(checker);
	}
}

static void fill_table(struct checker *checker)
{
	const int expected = 64 - 3;
	if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64}))
		checker_die("setrlimit");
	for (;;) {
		int count = 0, fd, highest = 2;
		while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
			count++;
			if (fd != highest + 1)
				checker_report_wrong("open gave %d, not %d", fd, highest + 1);
			highest = fd;
		}
		if (errno != EMFILE)
			checker_report_failed("open: errno %d, not EMFILE", errno);
		if (count != expected)
			checker_report_wrong("%d descriptors fit, not %d", count, expected);
		checker_sleep_us(200); /* full, as a server under load is */
		close(10);
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) != 10)
			checker_report_wrong("the number just closed is taken");
		for (fd = 3; fd < 64; fd++)
			checker_call("close", close(fd));
		checker_round(checker);
		checker_sleep_us(50);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct checker *checker);
	} ways[] = {{"reopen", reopen_zero}, {"closer", close_and_reopen}, {"full", fill_table}};
	checker_begin();
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (argc == 2 && !strcmp(argv[1], ways[i].name)) {
			checker_start(ways[i].run, NULL, NULL);
			checker_serve("descriptor_user");
		}
	}
	fputs("usage: descriptor_user reopen|closer|full\n", stderr);
	return 64;
}
