/*
 * module_file: opens the files of modules below a root, never beyond it, and compares their build ids with those of
 * the mapped modules. A hostile core can name any path.
 */
#include "symbol_store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static lh_open_call *open_below = lh_open_below;

void lh_symbols_open_files_by(lh_open_call *open_file)
{
	open_below = open_file;
}

int lh_open_modules_root(const char *root)
{
	return open(*root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void lh_cleanup_elf(Elf **elf)
{
	elf_end(*elf);
}

/* An open regular file below the root; -1, with *ret_problem set to a literal, when there is none. */
static int open_regular_below(int root_fd, const char *path, int flags, const char **ret_problem)
{
	struct stat status;
	int fd = open_below(root_fd, path, flags);
	if (fd < 0) {
		bool is_missing = errno == ENOENT || errno == ENOTDIR;
		*ret_problem = is_missing ? "no such file" : errno == EACCES ? "permission denied" : "can't be opened";
		return -1;
	}
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		return fd;
	close(fd);
	*ret_problem = "not a regular file";
	return -1;
}

/*
 * Checked before it is opened: a hostile core can name a device, and opening one can have side effects (watchdog,
 * tape).
 */
int lh_open_module_file(int root_fd, const char *path, const char **ret_problem)
{
	LH_CLEANUP(lh_cleanup_close) int place = open_regular_below(root_fd, path, O_PATH | O_CLOEXEC, ret_problem);
	if (place < 0)
		return -1;
	return open_regular_below(root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, ret_problem);
}

bool lh_build_id_differs(const struct lh_module *module, const struct lh_module_table *table)
{
	return module->build_id_bytes && table->build_id_bytes &&
	       (module->build_id_bytes != table->build_id_bytes ||
		memcmp(module->build_id, table->build_id, table->build_id_bytes) != 0);
}

static void deinit_table(struct lh_module_table *table)
{
	lh_module_table_deinit(table);
}

bool lh_build_id_equals(const struct lh_module *module, Elf *elf)
{
	struct lh_module_table table LH_CLEANUP(deinit_table) = {0};
	const char *problem = NULL;
	struct lh_error *error = lh_module_table_read_identity(&table, elf, &problem);
	bool is_read = !error && !problem;
	lh_error_destroy(error);
	return is_read && table.build_id_bytes && module->build_id_bytes && !lh_build_id_differs(module, &table);
}

bool lh_is_file_of(const struct lh_module *module, Elf *elf)
{
	GElf_Ehdr header;
	return elf && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header) &&
	       header.e_ident[EI_CLASS] == ELFCLASS64 && (!module->build_id_bytes || lh_build_id_equals(module, elf));
}
