/*
 * error: the object behind every failed operation. Made here, handed up unchanged, printed by cli
 * only. Making one never fails: without memory it is the static no-memory error.
 */
#include "leakhunt/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lh_error {
	enum lh_error_code code;
	char *message;
	char *hint; /* or NULL */
};

static char no_memory_text[] = "out of memory";

static struct lh_error no_memory = {
	.code = LH_ERROR_NO_MEMORY,
	.message = no_memory_text,
};

struct lh_error *lh_error_no_memory(void)
{
	return &no_memory;
}

static struct lh_error *error_with_message(enum lh_error_code code, char *message)
{
	if (!message)
		return &no_memory;
	struct lh_error *error = malloc(sizeof(*error));
	if (!error) {
		free(message);
		return &no_memory;
	}
	*error = (struct lh_error){.code = code, .message = message};
	return error;
}

LH_PRINTF(1, 0) static char *format_message(const char *format, va_list list)
{
	char *message = NULL;
	if (vasprintf(&message, format, list) < 0)
		return NULL;
	return message;
}

struct lh_error *lh_error_create(enum lh_error_code code, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	char *message = format_message(format, list);
	va_end(list);
	return error_with_message(code, message);
}

static enum lh_error_code code_of_errno(int number)
{
	switch (number) {
	case ESRCH:
		return LH_ERROR_NO_PROCESS;
	case EPERM:
	case EACCES:
		return LH_ERROR_PERMISSION;
	case ENOSPC:
	case EDQUOT:
		return LH_ERROR_NO_SPACE;
	case EEXIST:
		return LH_ERROR_EXISTS;
	case ENOMEM:
		return LH_ERROR_NO_MEMORY;
	default:
		return LH_ERROR_SYSTEM;
	}
}

struct lh_error *lh_error_from_errno(int saved_errno, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	LH_CLEANUP(lh_cleanup_free) char *prefix = format_message(format, list);
	va_end(list);
	char *message = NULL;
	if (!prefix || asprintf(&message, "%s: %s", prefix, strerror(saved_errno)) < 0)
		return &no_memory;
	struct lh_error *error = error_with_message(code_of_errno(saved_errno), message);
	return saved_errno == EMFILE ? lh_error_hint(error, "allow more open files: ulimit -n") : error;
}

struct lh_error *lh_error_hint(struct lh_error *error, const char *format, ...)
{
	if (error == &no_memory)
		return error;
	va_list list;
	va_start(list, format);
	char *hint = format_message(format, list);
	va_end(list);
	free(error->hint);
	error->hint = hint;
	return error;
}

enum lh_error_code lh_error_code(const struct lh_error *error)
{
	return error->code;
}

const char *lh_error_message(const struct lh_error *error)
{
	return error->message;
}

const char *lh_error_hint_text(const struct lh_error *error)
{
	return error->hint;
}

void lh_error_destroy(struct lh_error *error)
{
	if (!error || error == &no_memory)
		return;
	free(error->message);
	free(error->hint);
	free(error);
}

void lh_cleanup_error(struct lh_error **error)
{
	lh_error_destroy(*error);
}
