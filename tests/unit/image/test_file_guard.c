/*
 * test_file_guard: a file that loses its end while it is mapped: its bytes read as zeros, and are counted
 * as lost; a SIGBUS of anybody else still kills.
 */
#include "unit.h"

#include "leakhunt/image.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 10, PAGE = 4096 };

static void make_file(char *path)
{
	char bytes[PAGE];
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	memset(bytes, 'x', sizeof(bytes));
	for (int i = 0; i < PAGES; i++)
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
}

static void what_is_cut_off_reads_as_zeros(void **state)
{
	(void)state;
	char path[] = "/tmp/test_file_guard.XXXXXX", bytes[3 * PAGE];
	struct lh_image *image;
	make_file(path);
	assert_success(lh_image_open_file(path, NULL, &image));
	assert_int_equal(lh_image_loss(image).count, 0);
	assert_int_equal(truncate(path, 6 * PAGE), 0);
	assert_int_equal(lh_image_read(image, 5 * PAGE, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(bytes[0], 'x');
	assert_int_equal(bytes[PAGE], 0);
	assert_int_equal(bytes[3 * PAGE - 1], 0);
	assert_int_equal(lh_image_loss(image).count, 1);
	assert_int_equal(lh_image_loss(image).bytes, 2 * PAGE);
	lh_image_close(image);
	unlink(path);
}

/* Its end status; cmocka's own handler is taken away before the guard's is set. */
static int touch_other_file(const char *guarded, const char *other)
{
	struct lh_image *image;
	signal(SIGBUS, SIG_DFL);
	int fd = open(other, O_RDWR);
	const volatile char *bytes = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	struct lh_error *error = lh_image_open_file(guarded, NULL, &image);
	if (error || bytes == MAP_FAILED || ftruncate(fd, 0) != 0)
		return 0;
	return bytes[PAGE] ? 0 : 1;
}

static void other_mappings_are_not_guarded(void **state)
{
	(void)state;
	char path[] = "/tmp/test_file_guard.XXXXXX", other[] = "/tmp/test_file_guard.XXXXXX";
	make_file(path);
	make_file(other);
	pid_t child = fork();
	if (child == 0)
		_exit(touch_other_file(path, other));
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	/* A sanitizer's handler ends the child in another way, but not in order. */
	assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGBUS : WEXITSTATUS(status) > 1);
	unlink(path);
	unlink(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_cut_off_reads_as_zeros),
		cmocka_unit_test(other_mappings_are_not_guarded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
