/*
 * test_symbols: names of addresses in real libraries, against what nm and objdump say about them; and
 * files that are missing, replaced, or no ELF at all.
 */
#include "core_builder.h"

#include "leakhunt/process.h"
#include "leakhunt/symbols.h"
#include "symbols/module_table.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gelf.h>
#include <sys/stat.h>

#define LIBC      "/lib/x86_64-linux-gnu/libc.so.6"
#define LIBSSL    "/usr/lib/x86_64-linux-gnu/libssl.so.3"
#define LIBSTDCXX "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"

enum { START = 0x10000000, SPAN = 0x8000000 };

/* An image with one module at START. */
struct library {
	struct core_builder core;
	struct lh_image *image;
	struct lh_symbols *symbols;
};

static void open_library(struct library *library, const char *path, const char *root, const char *more_json)
{
	struct lh_buffer json LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_printf(&json, "[{\"start\":\"0x%x\",\"end\":\"0x%x\",\"path\":\"%s\"%s}]", START, START + SPAN, path,
			 more_json);
	core_begin(&library->core);
	core_add_json(&library->core, 3, json.data);
	core_end(&library->core);
	library->image = core_open(&library->core);
	assert_success(lh_symbols_open(library->image, root, &library->symbols));
}

static void close_library(struct library *library)
{
	lh_symbols_close(library->symbols);
	lh_image_close(library->image);
	core_deinit(&library->core);
}

static const char *only_problem(const struct library *library)
{
	size_t count;
	const struct lh_symbols_problem *problems = lh_symbols_problems(library->symbols, &count);
	assert_int_equal(count, 1);
	return problems[0].reason;
}

static FILE *run(const char *command)
{
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	return pipe;
}

/* ---------------------------------------------------------------- symbol tables */

/* Each exported symbol's first and last byte belong to it, or to another one at the same place. */
static void exported_symbols_are_found(void **state)
{
	(void)state;
	struct library library;
	open_library(&library, LIBC, "", ",\"bias\":\"0x10000000\"");
	/* 42: 0000000000026e50   397 FUNC    GLOBAL DEFAULT   16 name@@VERSION; "TLS" ones have no address. */
	FILE *readelf = run("readelf --dyn-syms -W " LIBC " | awk '$7 ~ /^[0-9]+$/ && $3 != 0 && "
			    "$4 ~ /FUNC|OBJECT/ { sub(/@.*/, \"\", $8); print $2, $3, $8 }'");
	char name[512];
	unsigned long addr;
	long bytes;
	size_t checked = 0, named_so = 0;
	while (fscanf(readelf, "%lx %li %511s", &addr, &bytes, name) == 3) {
		struct lh_symbol symbol;
		assert_true(lh_symbols_find(library.symbols, START + addr, &symbol));
		assert_int_equal(symbol.origin, LH_SYMBOL_TABLE);
		assert_string_equal(symbol.module_name, "libc.so.6");
		assert_int_equal(symbol.addr, START + addr);
		assert_int_equal(symbol.offset, 0);
		named_so += strcmp(symbol.name, name) == 0;
		assert_true(lh_symbols_find(library.symbols, START + addr + (uint64_t)bytes - 1, &symbol));
		assert_int_equal(symbol.origin, LH_SYMBOL_TABLE);
		assert_true(symbol.addr >= START + addr);
		checked++;
	}
	assert_int_equal(pclose(readelf), 0);
	assert_true(checked > 2000);
	/* Aliases share a place: write and __write. One of each group is shown. */
	assert_true(named_so > checked / 2);
	close_library(&library);
}

static void well_known_names_win_over_aliases(void **state)
{
	(void)state;
	struct library library;
	open_library(&library, LIBC, "", ",\"bias\":\"0x10000000\"");
	static const char *const names[] = {"write", "malloc", "read", "environ", "_IO_2_1_stdout_"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(names); i++) {
		char command[256];
		unsigned long addr;
		snprintf(command, sizeof(command),
			 "nm -D --defined-only " LIBC " | grep ' [A-Za-z] %s@' | cut -d' ' -f1", names[i]);
		FILE *nm = run(command);
		assert_int_equal(fscanf(nm, "%lx", &addr), 1);
		assert_int_equal(pclose(nm), 0);
		struct lh_symbol symbol;
		assert_true(lh_symbols_find(library.symbols, START + addr, &symbol));
		assert_string_equal(symbol.name, names[i]);
	}
	close_library(&library);
}

/* Local symbols of a stripped library, from its separate debug file. */
static void separate_debug_files_are_used(void **state)
{
	(void)state;
	char path[256];
	FILE *readelf = run("readelf -n " LIBC " | sed -n 's|.*Build ID: \\(..\\)\\(.*\\)|/usr/lib/debug/.build-id/\\1/"
			    "\\2.debug|p'");
	assert_int_equal(fscanf(readelf, "%255s", path), 1);
	assert_int_equal(pclose(readelf), 0);
	if (access(path, R_OK) != 0)
		skip_because("needs the debug file of libc (Debian: libc6-dbg)");
	char command[512], id[65] = "";
	unsigned long addr;
	snprintf(command, sizeof(command), "nm %s | grep ' [bd] main_arena$' | cut -d' ' -f1", path);
	FILE *nm = run(command);
	assert_int_equal(fscanf(nm, "%lx", &addr), 1);
	assert_int_equal(pclose(nm), 0);
	readelf = run("readelf -n " LIBC " | sed -n 's|.*Build ID: ||p'");
	assert_int_equal(fscanf(readelf, "%64s", id), 1);
	assert_int_equal(pclose(readelf), 0);

	struct library library;
	char json[160];
	snprintf(json, sizeof(json), ",\"bias\":\"0x10000000\",\"build_id\":\"%s\"", id);
	open_library(&library, LIBC, "", json);
	struct lh_symbol symbol;
	assert_true(lh_symbols_find(library.symbols, START + addr + 96, &symbol));
	assert_string_equal(symbol.name, "main_arena");
	assert_int_equal(symbol.offset, 96);
	close_library(&library);
}

/* A vtable pointer points behind the vtable's first two words (Itanium C++ ABI 2.5.2). */
static void vtables_are_demangled(void **state)
{
	(void)state;
	if (access(LIBSTDCXX, R_OK) != 0)
		skip_because("needs libstdc++.so.6");
	struct library library;
	open_library(&library, LIBSTDCXX, "", ",\"bias\":\"0x10000000\"");
	unsigned long addr;
	FILE *nm = run("nm -D --defined-only " LIBSTDCXX " | grep ' V _ZTVSt9bad_alloc@' | cut -d' ' -f1");
	assert_int_equal(fscanf(nm, "%lx", &addr), 1);
	assert_int_equal(pclose(nm), 0);
	struct lh_symbol symbol;
	assert_true(lh_symbols_find(library.symbols, START + addr + 16, &symbol));
	assert_string_equal(symbol.name, "vtable for std::bad_alloc");
	assert_int_equal(symbol.offset, 16);
	close_library(&library);
}

/* Without a bias, the mapping's start is that of the first loaded segment. */
static void bias_follows_from_the_file(void **state)
{
	(void)state;
	struct library library;
	open_library(&library, LIBC, "", "");
	unsigned long addr;
	FILE *nm = run("nm -D --defined-only " LIBC " | grep ' T malloc@' | cut -d' ' -f1");
	assert_int_equal(fscanf(nm, "%lx", &addr), 1);
	assert_int_equal(pclose(nm), 0);
	struct lh_symbol symbol;
	assert_true(lh_symbols_find(library.symbols, START + addr, &symbol));
	assert_string_equal(symbol.name, "malloc");
	close_library(&library);
}

/* ---------------------------------------------------------------- accessors */

/*
 * objdump's disassembly of a function that only returns an address:
 *   0000000000025d10 <TLS_method@@OPENSSL_3.0.0>:
 *      25d10:  lea    0x71849(%rip),%rax        # 97560 <...>
 *      25d17:  ret
 */
static const char accessor_script[] =
	"objdump -d --no-show-raw-insn " LIBSSL " | awk '"
	"/^[0-9a-f]+ <.*>:$/ { name=$2; gsub(/[<>:]|@.*/, \"\", name); n=0; ok=1; target=\"\"; next } "
	"/^$/ { next } "
	"name != \"\" && /^ +[0-9a-f]+:/ { n++; "
	"  if (n==1 && $2==\"endbr64\") n--; "
	"  else if (n==1 && $2==\"lea\" && $3 ~ /\\(%rip\\),%rax$/) { target=$5 } "
	"  else if (n==2 && $2==\"ret\" && target!=\"\") { print target, name; name=\"\" } "
	"  else name=\"\" }'";

static void accessors_name_what_they_return(void **state)
{
	(void)state;
	struct library library;
	open_library(&library, LIBSSL, "", ",\"bias\":\"0x10000000\"");
	FILE *objdump = run(accessor_script);
	char name[256], expected[260];
	unsigned long addr;
	size_t checked = 0;
	bool has_server_method = false;
	while (fscanf(objdump, "%lx %255s", &addr, name) == 2) {
		struct lh_symbol symbol;
		assert_true(lh_symbols_find(library.symbols, START + addr, &symbol));
		if (name[0] == '.' || symbol.origin == LH_SYMBOL_TABLE)
			continue;
		snprintf(expected, sizeof(expected), "%s()", name);
		assert_int_equal(symbol.origin, LH_SYMBOL_ACCESSOR);
		assert_string_equal(symbol.name, expected);
		assert_int_equal(symbol.addr, START + addr);
		has_server_method |= strcmp(name, "TLS_server_method") == 0;
		checked++;
		/* Its size is not known: the next byte is not claimed. */
		assert_true(lh_symbols_find(library.symbols, START + addr + 8, &symbol));
		assert_true(symbol.origin == LH_SYMBOL_SECTION || symbol.origin == LH_SYMBOL_STRING);
		assert_non_null(strchr(symbol.name, symbol.origin == LH_SYMBOL_SECTION ? '+' : '"'));
	}
	assert_int_equal(pclose(objdump), 0);
	assert_true(checked > 0);
	assert_true(has_server_method);
	close_library(&library);
}

/* ---------------------------------------------------------------- places without a name */

static void sections_are_the_next_best(void **state)
{
	(void)state;
	struct library library;
	open_library(&library, LIBSSL, "", ",\"bias\":\"0x10000000\"");
	unsigned long addr;
	FILE *readelf = run("readelf -SW " LIBSSL " | sed -n 's/.* \\.rodata  *PROGBITS  *\\([0-9a-f]*\\).*/\\1/p'");
	assert_int_equal(fscanf(readelf, "%lx", &addr), 1);
	assert_int_equal(pclose(readelf), 0);
	struct lh_symbol symbol;
	assert_true(lh_symbols_find(library.symbols, START + addr + 0x1235, &symbol));
	assert_int_equal(symbol.origin, LH_SYMBOL_SECTION);
	assert_string_equal(symbol.name, ".rodata+0x1235");
	assert_true(lh_symbols_find(library.symbols, START + SPAN - 1, &symbol));
	assert_string_equal(symbol.name, "+0x7ffffff");
	assert_false(lh_symbols_find(library.symbols, START - 1, &symbol));
	assert_false(lh_symbols_find(library.symbols, START + SPAN, &symbol));
	close_library(&library);
}

/* ---------------------------------------------------------------- files that can't be used */

static void replaced_file_is_not_used(void **state)
{
	(void)state;
	struct library library;
	open_library(&library, LIBC, "", ",\"bias\":\"0x10000000\",\"build_id\":\"0011223344\"");
	assert_string_equal(only_problem(&library), "build-id differs");
	struct lh_symbol symbol;
	assert_true(lh_symbols_find(library.symbols, START + 0x30000, &symbol));
	assert_string_equal(symbol.name, "+0x30000");
	close_library(&library);
}

static void unusable_files_are_problems(void **state)
{
	(void)state;
	char folder[] = "/tmp/leakhunt-symbols-XXXXXX";
	assert_non_null(mkdtemp(folder));
	char path[64];
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(path, sizeof(path), "%s/empty", folder);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/link", folder);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	static const struct {
		const char *path, *problem;
	} cases[] = {
		{"/none", "no such file"},
		{"/none/none", "no such file"},
		{"/fifo", "not a regular file"},
		{"/", "not a regular file"},
		{"/empty", "not an ELF file"},
		{"/link", "no such file"},
		{"/../../../../etc/passwd", "no such file"},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(cases); i++) {
		struct library library;
		open_library(&library, cases[i].path, folder, "");
		assert_string_equal(only_problem(&library), cases[i].problem);
		close_library(&library);
	}
	static const char *const files[] = {"fifo", "empty", "link"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		unlink(path);
	}
	rmdir(folder);
}

/* ---------------------------------------------------------------- tables and names */

static void add_entry(struct lh_module_table *table, uint64_t start, uint64_t end, const char *name)
{
	assert_success(
		lh_vec_push(&table->symbols.items,
			    (struct lh_table_entry){.start = start, .end = end, .name = name, .symbol_start = start}));
}

static const char *name_at(struct lh_module_table *table, uint64_t addr)
{
	const struct lh_table_entry *entry = lh_module_table_find_symbol(table, addr);
	return entry ? entry->name : "-";
}

static void the_innermost_symbol_wins(void **state)
{
	(void)state;
	struct lh_module_table table LH_CLEANUP(lh_module_table_deinit) = {0};
	add_entry(&table, 10, 100, "outer");
	add_entry(&table, 20, 30, "inner");
	add_entry(&table, 24, 26, "innermost");
	add_entry(&table, 90, 120, "overlapping");
	add_entry(&table, 10, 12, "first part");
	add_entry(&table, 200, UINT64_MAX, "last");
	assert_success(lh_module_table_finish(&table));
	static const struct {
		uint64_t addr;
		const char *name;
	} expected[] = {{9, "-"},      {10, "first part"}, {12, "outer"},       {20, "inner"},        {24, "innermost"},
			{26, "inner"}, {30, "outer"},      {90, "overlapping"}, {119, "overlapping"}, {120, "-"},
			{200, "last"}};
	for (size_t i = 0; i < LH_ARRAY_COUNT(expected); i++)
		assert_string_equal(name_at(&table, expected[i].addr), expected[i].name);
}

static void assert_demangled(const char *mangled, const char *expected)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_symbol_demangle(mangled, &text);
	assert_string_equal(text.data, expected);
}

static void names_are_demangled(void **state)
{
	(void)state;
	assert_demangled("_ZN3foo3barEi", "foo::bar(int)");
	assert_demangled("_ZTV3Foo", "vtable for Foo");
	assert_demangled("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt");
	assert_demangled("malloc", "malloc");
	assert_demangled("_Z", "_Z");
	assert_demangled("_ZN", "_ZN");
}

/* Each level doubles the text: f(A<A<..>,A<..>>) by substitutions. 60 levels would be 2^60 bytes. */
static void a_demangling_bomb_stays_as_it_is(void **state)
{
	(void)state;
	struct lh_buffer bomb LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_puts(&bomb, "_Z1f1AIiiE");
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	lh_buffer_puts(&bomb, "S_IS0_S0_E");
	for (size_t i = 0; i < 30; i++)
		lh_buffer_printf(&bomb, "S_IS%c_S%c_E", digits[i + 1], digits[i + 1]);
	assert_demangled(bomb.data, bomb.data);
}

/* ---------------------------------------------------------------- memory in place of a file */

/* The file is not there; its headers in memory say that a hole lies between its two segments. */
static void holes_are_not_of_the_module(void **state)
{
	(void)state;
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segments[2];
		uint8_t rest[4096 - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr)];
	} page = {
		.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			   .e_type = ET_DYN,
			   .e_phoff = sizeof(Elf64_Ehdr),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 2},
		.segments = {{.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = 0x1000, .p_memsz = 0x1000},
			     {.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_vaddr = 0x200010, .p_memsz = 0x100}},
	};
	struct library library = {0};
	struct lh_symbol symbol;
	core_begin(&library.core);
	core_add_load(&library.core, START, sizeof(page), &page, sizeof(page), PF_R);
	core_add_json(&library.core, 3,
		      "[{\"start\":\"0x10000000\",\"end\":\"0x10201000\",\"path\":\"/none\",\"bias\":\"0x10000000\"}]");
	core_end(&library.core);
	library.image = core_open(&library.core);
	assert_success(lh_symbols_open(library.image, "/", &library.symbols));
	assert_true(lh_symbols_find(library.symbols, START + 0xfff, &symbol));
	assert_false(lh_symbols_find(library.symbols, START + 0x1000, &symbol));
	assert_false(lh_symbols_find(library.symbols, START + 0x1ff000, &symbol));
	assert_true(lh_symbols_find(library.symbols, START + 0x200000, &symbol));
	assert_true(lh_symbols_is_code(library.symbols, START + 0x10));
	assert_false(lh_symbols_is_code(library.symbols, START + 0x200010));
	close_library(&library);
}

/* It has no file. */
static void the_vdso_is_named_from_memory(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_CLEANUP(lh_cleanup_symbols) struct lh_symbols *symbols = NULL;
	struct lh_symbol symbol;
	void *vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
	assert_non_null(vdso);
	void *function = dlsym(vdso, "__vdso_clock_gettime");
	assert_non_null(function);
	assert_success(lh_process_open(getpid(), &process));
	assert_success(lh_image_open_process(process, &image));
	assert_success(lh_symbols_open(image, "/", &symbols));
	assert_true(lh_symbols_find(symbols, (uintptr_t)function, &symbol));
	assert_non_null(strstr(symbol.name, "clock_gettime")); /* an alias is at the same address */
	dlclose(vdso);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exported_symbols_are_found),    cmocka_unit_test(well_known_names_win_over_aliases),
		cmocka_unit_test(separate_debug_files_are_used), cmocka_unit_test(vtables_are_demangled),
		cmocka_unit_test(bias_follows_from_the_file),    cmocka_unit_test(accessors_name_what_they_return),
		cmocka_unit_test(sections_are_the_next_best),    cmocka_unit_test(replaced_file_is_not_used),
		cmocka_unit_test(unusable_files_are_problems),   cmocka_unit_test(the_innermost_symbol_wins),
		cmocka_unit_test(names_are_demangled),           cmocka_unit_test(a_demangling_bomb_stays_as_it_is),
		cmocka_unit_test(holes_are_not_of_the_module),   cmocka_unit_test(the_vdso_is_named_from_memory),
	};
	elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
