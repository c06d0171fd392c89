/*
 * test_called: the name of a program that was called by another name than its file's, and all cases where the file's
 * name stays.
 */
#include "unit.h"

#include "image/view.h"

#define PROGRAM_ADDR UINT64_C(0x400000)

struct called_case {
	const char *path;
	const char *command;
	const char *arguments;
	const char *name;
};

static const struct called_case called_cases[] = {
	{"/usr/bin/redis-check-rdb", "redis-server", "/usr/bin/redis-server 127.0.0.1:6379", "redis-server"},
	{"/bin/busybox", "httpd", "httpd", "httpd"},
	/* comm is cut. */
	{"/opt/multi", "a-very-long-nam", "./a-very-long-name-of-a-program --daemon", "a-very-long-name-of-a-program"},
	/* The same name in a longer form. */
	{"/usr/bin/python3.11", "python3", "python3", "python3.11"},
	{"/usr/bin/node", "nodejs", "nodejs", "node"},
	/* A script, a login shell, a title that says something else, no title. */
	{"/usr/bin/python3.11", "server.py", "/usr/bin/python3", "python3.11"},
	{"/usr/bin/bash", "sh", "-sh", "bash"},
	{"/usr/lib/postgresql/15/bin/postgres", "postgres", "postgres: writer", "postgres"},
	{"/usr/bin/redis-check-rdb", "redis-server", "redis-server-other", "redis-check-rdb"},
	{"/usr/bin/redis-check-rdb", "redis-server", "", "redis-check-rdb"},
	{"/usr/bin/redis-check-rdb", "", "/", "redis-check-rdb"},
};

static void test_programs_have_the_name_they_were_called_by(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(called_cases); i++) {
		LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
		const struct called_case *row = &called_cases[i];
		struct lh_module program = {.start = PROGRAM_ADDR, .end = PROGRAM_ADDR + 0x1000, .path = row->path};
		struct lh_module library = {.start = 0x7f0000000000, .end = 0x7f0000001000, .path = "/lib/libc.so.6"};
		assert_success(lh_image_create(LH_IMAGE_CORE, "core", &image));
		image->program_addr = PROGRAM_ADDR + 0x40;
		lh_image_note_called(image, row->command, row->arguments);
		assert_string_equal(lh_image_module_name(image, &program), row->name);
		assert_string_equal(lh_image_module_name(image, &library), "libc.so.6");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs_have_the_name_they_were_called_by),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
