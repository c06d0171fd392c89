/*
 * name_pattern: the common pattern of names that differ in numbers, or are made up at random. Input and output: texts.
 */
#include "name_pattern.h"

#include <string.h>

static const char digits[] = "0123456789";

void lh_name_pattern(const char *name, struct lh_buffer *ret)
{
	while (*name) {
		size_t plain = strcspn(name, digits), number = strspn(name + plain, digits);
		lh_buffer_append(ret, name, plain);
		lh_buffer_puts(ret, number ? "<n>" : "");
		name += plain + number;
	}
}

void lh_name_folder_pattern(const char *name, struct lh_buffer *ret)
{
	const char *slash = strrchr(name, '/');
	const char *file = slash ? slash + 1 : name;
	const char *extension = strrchr(file, '.');
	lh_buffer_append(ret, name, (size_t)(file - name));
	lh_buffer_puts(ret, "<name>");
	if (extension && extension != file)
		lh_name_pattern(extension, ret);
}

/* Linux keeps 15 bytes of a name (TASK_COMM_LEN): mostly a number at the end is cut off. */
void lh_thread_name_pattern(const char *name, struct lh_buffer *ret)
{
	static const char number[] = "<n>";
	lh_name_pattern(name, ret);
	while (ret->length > 1 && !ret->failed) {
		size_t kept = ret->length - (sizeof(number) - 1);
		if (ret->length > sizeof(number) && !strcmp(ret->data + kept, number))
			ret->length = kept;
		else if (strchr("-_:#/ ", ret->data[ret->length - 1]))
			ret->length--;
		else
			break;
		ret->data[ret->length] = '\0';
	}
}
