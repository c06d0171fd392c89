/*
 * called: by which name a program was called, where its file has another: redis-server is a link to redis-check-rdb,
 * and busybox is all of its applets. Input: what the kernel notes of the process. Output: names of modules for people.
 */
#include "view.h"

#include <string.h>

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

static bool is_prefix(const char *prefix, const char *text)
{
	return strncmp(prefix, text, strlen(prefix)) == 0;
}

/*
 * comm is the name of the file that exec was given, cut behind 15 bytes (fs/exec.c, begin_new_exec), and both comm and
 * arguments can be rewritten: the first argument confirms it. A longer form of the same name is left as it is
 * (python3.11), and so is the name of an interpreter, whose script has another first argument.
 */
void lh_image_note_called(struct lh_image *image, const char *command, const char *arguments)
{
	char first[sizeof(image->called)];
	size_t length = strcspn(arguments, " ");
	const char *begin = arguments + length;
	while (begin > arguments && begin[-1] != '/')
		begin--;
	length -= (size_t)(begin - arguments);
	if (!length || length >= sizeof(first))
		return;
	memcpy(first, begin, length);
	first[length] = '\0';
	enum { COMM_LENGTH = 15 };
	bool is_confirmed = strlen(command) == COMM_LENGTH ? is_prefix(command, first) : strcmp(command, first) == 0;
	if (is_confirmed)
		memcpy(image->called, first, length + 1);
}

const char *lh_image_module_name(const struct lh_image *image, const struct lh_module *module)
{
	const char *name = base_name(module->path);
	bool is_program = image->program_addr >= module->start && image->program_addr < module->end;
	if (!is_program || !*image->called || is_prefix(image->called, name) || is_prefix(name, image->called))
		return name;
	return image->called;
}
