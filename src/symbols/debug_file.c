/*
 * debug_file: symbols of a stripped module from elsewhere: a separate file below the root (by build id, or by the name
 * in .gnu_debuglink), compressed in the module itself (.gnu_debugdata), or a debuginfod server, if the user has set
 * DEBUGINFOD_URLS. Input: a module, and its file. A file is used only if its build id or checksum matches the module's.
 */
#include "symbol_store.h"

#include <dlfcn.h>
#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* Largest size of an unpacked symbol table: libreoffice's has 5 MB. */
#define DEBUGDATA_MAX_BYTES ((size_t)256 * 1024 * 1024)

static struct lh_error *add_elf(Elf *elf, struct lh_module_table *table, bool *ret_is_found)
{
	*ret_is_found = true;
	return lh_module_table_add_debug(table, elf);
}

/* ---------------------------------------------------------------- by build id */

/* Hexadecimal, with a NUL: at least 2 * LH_BUILD_ID_MAX + 1 bytes. */
static void format_build_id(const struct lh_module *module, char *ret)
{
	for (size_t i = 0; i < module->build_id_bytes; i++)
		snprintf(ret + 2 * i, 3, "%02x", module->build_id[i]);
}

/* Debian and others put .symtab of stripped files here (gdb manual, "Separate Debug Files"). */
static struct lh_error *add_by_build_id(int root_fd, const struct lh_module *module, struct lh_module_table *table,
					bool *ret_is_found)
{
	char id[2 * LH_BUILD_ID_MAX + 1], path[sizeof(id) + 64];
	const char *problem = NULL;
	if (!module->build_id_bytes)
		return NULL;
	format_build_id(module, id);
	snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%.2s/%s.debug", id, id + 2);
	LH_CLEANUP(lh_cleanup_close) int fd = lh_open_module_file(root_fd, path, &problem);
	if (fd < 0)
		return NULL;
	LH_CLEANUP(lh_cleanup_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	return lh_build_id_equals(module, elf) ? add_elf(elf, table, ret_is_found) : NULL;
}

/* ---------------------------------------------------------------- by .gnu_debuglink */

/* The checksum of all of a file, as objcopy --add-gnu-debuglink computes it: CRC-32 of zlib. */
static bool has_checksum(int fd, GElf_Word expected)
{
	uint8_t piece[16384];
	uLong sum = crc32(0, NULL, 0);
	off_t at = 0;
	ssize_t got;
	while ((got = pread(fd, piece, sizeof(piece), at)) > 0) {
		sum = crc32(sum, piece, (uInt)got);
		at += got;
	}
	return got == 0 && sum == expected;
}

/* Debug files have their module's build id. Without build ids the checksum decides. */
static bool is_linked_file(const struct lh_module *module, Elf *elf, int fd, GElf_Word checksum)
{
	const void *id;
	if (module->build_id_bytes && dwelf_elf_gnu_build_id(elf, &id) > 0)
		return lh_build_id_equals(module, elf);
	return has_checksum(fd, checksum);
}

static struct lh_error *add_linked_file(int root_fd, const char *path, const struct lh_module *module,
					GElf_Word checksum, struct lh_module_table *table, bool *ret_is_found)
{
	const char *problem = NULL;
	LH_CLEANUP(lh_cleanup_close) int fd = lh_open_module_file(root_fd, path, &problem);
	if (fd < 0)
		return NULL;
	LH_CLEANUP(lh_cleanup_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf_kind(elf) != ELF_K_ELF || !is_linked_file(module, elf, fd, checksum))
		return NULL;
	return add_elf(elf, table, ret_is_found);
}

/*
 * In gdb's order: beside the module, in .debug beside it, below /usr/lib/debug. A name with a folder in it is invalid.
 */
static struct lh_error *add_by_link(int root_fd, const struct named_module *named, Elf *elf,
				    struct lh_module_table *table, bool *ret_is_found)
{
	static const char *const places[][2] = {{"", "/"}, {"", "/.debug/"}, {"/usr/lib/debug", "/"}};
	GElf_Word checksum;
	const char *name = elf ? dwelf_elf_gnu_debuglink(elf, &checksum) : NULL;
	const char *slash = strrchr(named->path, '/');
	if (!name || !*name || strchr(name, '/') || !slash)
		return NULL;
	for (size_t i = 0; i < LH_ARRAY_COUNT(places) && !*ret_is_found; i++) {
		struct lh_buffer path LH_CLEANUP(lh_buffer_deinit) = {0};
		lh_buffer_printf(&path, "%s%.*s%s%s", places[i][0], (int)(slash - named->path), named->path,
				 places[i][1], name);
		LH_TRY(lh_buffer_status(&path));
		LH_TRY(add_linked_file(root_fd, path.data, named->module, checksum, table, ret_is_found));
	}
	return NULL;
}

/* ---------------------------------------------------------------- .gnu_debugdata */

static Elf_Data *find_debugdata(Elf *elf)
{
	size_t names;
	if (!elf || elf_getshdrstrndx(elf, &names) != 0)
		return NULL;
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
		GElf_Shdr header;
		const char *name = gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
		if (name && strcmp(name, ".gnu_debugdata") == 0 && header.sh_type == SHT_PROGBITS)
			return elf_rawdata(section, NULL);
	}
	return NULL;
}

/* Decompresses an .xz stream into `ret`; false when it is damaged or too long. */
static bool decompress_section(const Elf_Data *data, struct lh_buffer *ret)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	uint8_t piece[65536];
	if (lzma_stream_decoder(&stream, DEBUGDATA_MAX_BYTES, 0) != LZMA_OK)
		return false;
	stream.next_in = data->d_buf;
	stream.avail_in = data->d_size;
	lzma_ret status = LZMA_OK;
	while (status == LZMA_OK && ret->length <= DEBUGDATA_MAX_BYTES && !ret->failed) {
		stream.next_out = piece;
		stream.avail_out = sizeof(piece);
		status = lzma_code(&stream, LZMA_FINISH);
		lh_buffer_append(ret, piece, sizeof(piece) - stream.avail_out);
	}
	lzma_end(&stream);
	return status == LZMA_STREAM_END && !ret->failed && ret->length;
}

/* Fedora's "MiniDebugInfo" (gdb manual): an ELF file with the rest of .symtab. It came with the module's own file. */
static struct lh_error *add_embedded(Elf *elf, struct lh_module_table *table, bool *ret_is_found)
{
	struct lh_buffer bytes LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_module_table identity = {0};
	const char *problem = NULL;
	const Elf_Data *data = find_debugdata(elf);
	if (!data || !data->d_buf || !data->d_size || !decompress_section(data, &bytes))
		return NULL;
	LH_CLEANUP(lh_cleanup_elf) Elf *embedded = elf_memory(bytes.data, bytes.length);
	struct lh_error *error = lh_module_table_read_identity(&identity, embedded, &problem);
	lh_module_table_deinit(&identity);
	if (error || problem)
		return error;
	return add_elf(embedded, table, ret_is_found);
}

/* ---------------------------------------------------------------- debuginfod */

struct debuginfod_client;

/* As libdw does: loads the library, which brings all of libcurl, only when needed (elfutils 0.188, debuginfod.h). */
struct debuginfod {
	void *library;
	struct debuginfod_client *(*begin)(void);
	int (*find_debuginfo)(struct debuginfod_client *client, const unsigned char *build_id, int build_id_len,
			      char **path);
	void (*end)(struct debuginfod_client *client);
};

static bool load_debuginfod(struct debuginfod *ret)
{
#ifdef LEAKHUNT_STATIC /* dlopen from a static program needs the very glibc that it was linked with */
	(void)ret;
	return false;
#else
	ret->library = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!ret->library)
		return false;
	*(void **)&ret->begin = dlsym(ret->library, "debuginfod_begin");
	*(void **)&ret->find_debuginfo = dlsym(ret->library, "debuginfod_find_debuginfo");
	*(void **)&ret->end = dlsym(ret->library, "debuginfod_end");
	return ret->begin && ret->find_debuginfo && ret->end;
#endif
}

/* An open file that libdebuginfod has fetched or cached; -1. Its own timeout is DEBUGINFOD_TIMEOUT, 90 s. */
static int fetch_debug_file(const struct debuginfod *debuginfod, const struct lh_module *module)
{
	struct debuginfod_client *client = debuginfod->begin();
	char *path = NULL;
	int fd = -1;
	if (client)
		fd = debuginfod->find_debuginfo(client, module->build_id, (int)module->build_id_bytes, &path);
	free(path);
	if (client)
		debuginfod->end(client);
	return fd;
}

static struct lh_error *add_from_server(const struct lh_module *module, struct lh_module_table *table,
					bool *ret_is_found)
{
	static struct debuginfod debuginfod; /* kept: libcurl can't be unloaded safely */
	if (!lh_settings()->has_debug_servers || !module->build_id_bytes ||
	    (!debuginfod.library && !load_debuginfod(&debuginfod)))
		return NULL;
	LH_CLEANUP(lh_cleanup_close) int fd = fetch_debug_file(&debuginfod, module);
	if (fd < 0)
		return NULL;
	LH_CLEANUP(lh_cleanup_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	return lh_build_id_equals(module, elf) ? add_elf(elf, table, ret_is_found) : NULL;
}

/* ---------------------------------------------------------------- all places */

/* A module with its own .symtab needs no other. */
static bool has_symbol_table(Elf *elf)
{
	for (Elf_Scn *section = NULL; elf && (section = elf_nextscn(elf, section));) {
		GElf_Shdr header;
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB)
			return true;
	}
	return false;
}

struct lh_error *lh_debug_file_add(int root_fd, const struct named_module *module, Elf *elf,
				   struct lh_module_table *table, bool *ret_is_found)
{
	bool is_found = false;
	if (has_symbol_table(elf))
		return NULL;
	LH_TRY(add_by_build_id(root_fd, module->module, table, &is_found));
	if (!is_found)
		LH_TRY(add_by_link(root_fd, module, elf, table, &is_found));
	if (!is_found)
		LH_TRY(add_embedded(elf, table, &is_found));
	if (!is_found)
		LH_TRY(add_from_server(module->module, table, &is_found));
	*ret_is_found |= is_found;
	return NULL;
}
