/*
 * test_image_core: ELF cores, well-formed and hostile, become segments, threads, modules and gaps.
 */
#include "core_builder.h"

#include <sys/auxv.h>

enum { PAGE = 4096 };

static uint8_t page_a[PAGE], page_b[PAGE];

static int fill_pages(void **state)
{
	(void)state;
	memset(page_a, 'a', sizeof(page_a));
	memset(page_b, 'b', sizeof(page_b));
	return 0;
}

static void reads_across_adjoining_segments(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R | PF_W);
	core_add_load(&core, 0x11000, PAGE, page_b, PAGE, PF_R | PF_X);
	core_end(&core);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);

	size_t count;
	const struct lh_segment *segments = lh_image_segments(image, &count);
	assert_int_equal(count, 2);
	assert_int_equal(lh_image_source(image), LH_IMAGE_CORE);
	assert_int_equal(segments[0].protection, LH_PROT_READ | LH_PROT_WRITE);
	assert_int_equal(segments[1].protection, LH_PROT_READ | LH_PROT_EXEC);
	assert_true(lh_image_has_addresses(image));
	lh_image_gaps(image, &count);
	assert_int_equal(count, 0);

	char bytes[8];
	assert_int_equal(lh_image_read(image, 0x11000 - 4, bytes, 8), 8);
	assert_memory_equal(bytes, "aaaabbbb", 8);
	assert_int_equal(lh_image_read(image, 0x12000 - 4, bytes, 8), 4);
	assert_int_equal(lh_image_read(image, 0x9000, bytes, 8), 0);
	assert_null(lh_image_find(image, 0x12000));
	const uint8_t *view = lh_image_view(image, 0x10ff0, &count);
	assert_int_equal(count, 16);
	assert_int_equal(view[15], 'a');
}

static void orders_and_trims_segments(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, 0x20000, 2UL * PAGE, page_b, PAGE, PF_R);
	core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R);
	core_add_load(&core, 0x10800, PAGE, page_b, PAGE, PF_R);
	core_add_load(&core, 0x10900, 0x100, page_b, 0x100, PF_R);
	core_end(&core);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);

	size_t count;
	const struct lh_segment *segments = lh_image_segments(image, &count);
	assert_int_equal(count, 3);
	assert_int_equal(segments[0].end, 0x11000);
	assert_int_equal(segments[1].start, 0x11000);
	assert_int_equal(segments[1].end, 0x11800);
	assert_int_equal(segments[2].start, 0x20000);
	uint8_t byte;
	assert_int_equal(lh_image_read(image, 0x117ff, &byte, 1), 1);
	assert_int_equal(byte, 'b');
	assert_int_equal(lh_image_read(image, 0x21000, &byte, 1), 0);

	const struct lh_gap *gaps = lh_image_gaps(image, &count);
	assert_int_equal(count, 3);
	assert_string_equal(lh_gap_reason_name(gaps[0].reason), "not dumped");
	assert_int_equal(gaps[0].range.start, 0x21000);
	assert_int_equal(gaps[0].range.end, 0x22000);
	assert_string_equal(lh_gap_reason_name(gaps[1].reason), "overlap");
	assert_int_equal(gaps[1].range.start, 0x10800);
	assert_int_equal(gaps[1].range.end, 0x11000);
	assert_int_equal(gaps[2].range.start, 0x10900);
}

/* An overlap loses nothing that the first segment has: bytes there must stay readable. */
static void overlap_does_not_hide_the_first(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R);
	core_add_load(&core, 0x10800, PAGE, page_b, PAGE, PF_R);
	core_end(&core);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
	uint8_t bytes[2 * PAGE];
	assert_int_equal(lh_image_read(image, 0x10000, bytes, sizeof(bytes)), PAGE + 0x800);
	assert_int_equal(bytes[PAGE - 1], 'a');
	assert_int_equal(bytes[PAGE], 'b');
}

/* The same page of the file at `count` addresses. */
static struct lh_error *open_repeated(size_t count, struct core_builder *core, struct lh_image **ret)
{
	core_begin(core);
	core_add_load(core, 0x10000, PAGE, page_a, PAGE, PF_R);
	for (size_t i = 1; i < count; i++) {
		Elf64_Phdr again = core->headers.items[0];
		again.p_vaddr += i * 2 * PAGE;
		core_add_header(core, again);
	}
	core_end(core);
	return open_as_file(core->bytes.data, core->bytes.length, ret);
}

static void the_same_bytes_without_end_are_refused(void **state)
{
	(void)state;
	struct core_builder few LH_CLEANUP(core_deinit);
	struct core_builder many LH_CLEANUP(core_deinit);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	struct lh_image *none = NULL;
	assert_success(open_repeated(10, &few, &image));
	size_t count;
	(void)lh_image_segments(image, &count);
	assert_int_equal(count, 10);
	assert_failure(open_repeated(500, &many, &none), LH_ERROR_FORMAT);
}

static void marks_truncated_data(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R);
	core_end(&core);
	Elf64_Phdr header;
	uint8_t *headers = (uint8_t *)core.bytes.data + core.header.e_phoff;
	memcpy(&header, headers, sizeof(header));
	header.p_filesz = header.p_memsz = 1 << 20;
	memcpy(headers, &header, sizeof(header));
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);

	size_t count;
	const struct lh_gap *gaps = lh_image_gaps(image, &count);
	assert_int_equal(count, 1);
	assert_string_equal(lh_gap_reason_name(gaps[0].reason), "truncated");
	assert_int_equal(gaps[0].range.end, 0x110000);
	uint64_t present = core.bytes.length - sizeof(Elf64_Ehdr);
	assert_int_equal(gaps[0].range.start, 0x10000 + present);
	assert_int_equal(lh_image_walk_bytes(image, 0), present);
}

static void refuses_bad_headers(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R);
	core_end(&core);
	struct lh_image *image = NULL;
	assert_failure(open_as_file(core.bytes.data, core.bytes.length - 1, &image), LH_ERROR_FORMAT);
	assert_failure(open_as_file(core.bytes.data, 40, &image), LH_ERROR_FORMAT);

	Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)core.bytes.data;
	header->e_phentsize = 32;
	assert_failure(open_as_file(core.bytes.data, core.bytes.length, &image), LH_ERROR_FORMAT);
	header->e_phentsize = sizeof(Elf64_Phdr);
	header->e_phoff = UINT64_MAX - 8;
	assert_failure(open_as_file(core.bytes.data, core.bytes.length, &image), LH_ERROR_FORMAT);
	assert_null(image);
}

static void refuses_counts_that_lead_nowhere(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R);
	core_end(&core);
	struct lh_image *image = NULL;
	Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)core.bytes.data;
	header->e_phnum = PN_XNUM;
	assert_failure(open_as_file(core.bytes.data, core.bytes.length, &image), LH_ERROR_FORMAT);
	header->e_shoff = core.bytes.length - 8;
	assert_failure(open_as_file(core.bytes.data, core.bytes.length, &image), LH_ERROR_FORMAT);
	header->e_shoff = 64; /* page_a: sh_info is 0x61616161 */
	assert_failure(open_as_file(core.bytes.data, core.bytes.length, &image), LH_ERROR_FORMAT);
	assert_null(image);
}

static void refuses_other_machines(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R);
	core_end(&core);
	struct lh_image *image = NULL;
	Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)core.bytes.data;
	header->e_ident[EI_CLASS] = ELFCLASS32;
	assert_failure(open_as_file(core.bytes.data, core.bytes.length, &image), LH_ERROR_UNSUPPORTED);
	header->e_ident[EI_CLASS] = ELFCLASS64;
	header->e_ident[EI_DATA] = ELFDATA2MSB;
	header->e_type = ET_CORE << 8;
	assert_failure(open_as_file(core.bytes.data, core.bytes.length, &image), LH_ERROR_UNSUPPORTED);
	header->e_ident[EI_DATA] = 77;
	header->e_type = ET_CORE;
	assert_failure(open_as_file(core.bytes.data, core.bytes.length, &image), LH_ERROR_FORMAT);
	assert_null(image);
}

static void opens_more_segments_than_e_phnum_can_say(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	for (uint64_t i = 0; i < 70000; i++)
		core_add_load(&core, 0x100000 + i * 2 * PAGE, PAGE, page_a, 1, PF_R);
	core_end(&core);
	assert_int_equal(core.header.e_phnum, PN_XNUM);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
	size_t count;
	lh_image_segments(image, &count);
	assert_int_equal(count, 70000);
	assert_int_equal(lh_image_walk_bytes(image, 0), 70000);
}

static void survives_impossible_addresses(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, UINT64_MAX - 10, PAGE, page_a, PAGE, PF_R);
	core_add_load(&core, 0, UINT64_MAX, page_a, PAGE, PF_R);
	core_add_load(&core, 0x10000, 0, page_a, PAGE, PF_R);
	core_add_load(&core, 0x20000, 16, page_b, PAGE, PF_R);
	core_end(&core);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
	size_t count;
	lh_image_segments(image, &count);
	assert_int_equal(count, 1);
	assert_int_equal(lh_image_walk_bytes(image, LH_WALK_CONTEXT), PAGE);
	uint8_t bytes[32];
	assert_int_equal(lh_image_read(image, UINT64_MAX - 4, bytes, 32), 0);
	assert_int_equal(lh_image_read(image, PAGE - 8, bytes, 32), 8);
}

static struct lh_error *add_block(void *context, const struct lh_block *block)
{
	*(uint64_t *)context += block->bytes + block->bytes_after;
	return NULL;
}

static void walks_up_to_the_last_address(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, UINT64_MAX - 12, 12, page_a, 12, PF_R);
	core_end(&core);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
	uint64_t walked = 0;
	assert_success(lh_image_walk(image, 0, add_block, &walked));
	assert_int_equal(walked, 12);
	assert_int_equal(lh_image_walk_bytes(image, 0), 12);
}

/* ---------------------------------------------------------------- notes */

struct file_entry {
	uint64_t start, end, offset_pages;
	const char *path;
};

static void add_file_note(struct core_builder *core, const struct file_entry *entries, uint64_t count, uint64_t claimed)
{
	struct lh_buffer desc LH_CLEANUP(lh_buffer_deinit) = {0};
	uint64_t head[2] = {claimed, PAGE};
	lh_buffer_append(&desc, head, sizeof(head));
	for (uint64_t i = 0; i < count; i++)
		lh_buffer_append(&desc, &entries[i], 24);
	for (uint64_t i = 0; i < count; i++)
		lh_buffer_append(&desc, entries[i].path, strlen(entries[i].path) + 1);
	core_add_note(core, "CORE", NT_FILE, desc.data, desc.length);
}

static void add_auxv(struct core_builder *core, uint64_t program_headers, uint64_t vdso)
{
	Elf64_auxv_t vector[] = {{AT_PHDR, {program_headers}}, {AT_SYSINFO_EHDR, {vdso}}, {AT_NULL, {0}}};
	core_add_note(core, "CORE", NT_AUXV, vector, sizeof(vector));
}

static void add_program(struct core_builder *core)
{
	struct elf_prpsinfo info = {.pr_pid = 77, .pr_fname = "program"};
	static const struct file_entry files[] = {
		{0x400000, 0x401000, 0, "/bin/program"},
		{0x401000, 0x402000, 1, "/bin/program"},
		{0x402000, 0x403000, 2, "/bin/program"},
		{0x7f0000000000, 0x7f0000001000, 0, "/tmp/data (deleted)"},
	};
	core_add_load(core, 0x400000, PAGE, page_a, 0, PF_R);
	core_add_load(core, 0x401000, PAGE, page_a, 0, PF_R | PF_X);
	core_add_load(core, 0x402000, PAGE, page_a, PAGE, PF_R | PF_W);
	core_add_load(core, 0x403000, PAGE, page_a, PAGE, PF_R | PF_W);
	core_add_load(core, 0x1403000, PAGE, page_a, PAGE, PF_R | PF_W);
	core_add_load(core, 0x7f0000000000, PAGE, page_a, PAGE, PF_R);
	core_add_load(core, 0x7f0000010000, PAGE, page_a, PAGE, PF_R | PF_W);
	core_add_load(core, 0x7f0000020000, PAGE, page_a, PAGE, PF_R | PF_W);
	core_add_load(core, 0x7f0000030000, PAGE, page_a, PAGE, PF_R | PF_W);
	core_add_load(core, 0x7f0000040000, PAGE, page_a, PAGE, PF_R | PF_X);
	core_add_thread(core, 78, 0x7f0000020100);
	core_add_thread(core, 77, 0x7f0000030100);
	core_add_note(core, "CORE", NT_PRPSINFO, &info, sizeof(info));
	add_auxv(core, 0x400040, 0x7f0000040000);
	add_file_note(core, files, LH_ARRAY_COUNT(files), LH_ARRAY_COUNT(files));
	core_end(core);
}

static void assert_kind(const struct lh_image *image, uint64_t addr, enum lh_region_kind kind, const char *name)
{
	const struct lh_segment *segment = lh_image_find(image, addr);
	assert_non_null(segment);
	assert_string_equal(lh_region_kind_name(segment->kind), lh_region_kind_name(kind));
	assert_string_equal(segment->name, name);
}

static void understands_the_notes_of_a_kernel_core(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	add_program(&core);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
	assert_int_equal(lh_image_pid(image), 77);
	assert_kind(image, 0x401000, LH_REGION_TEXT, "/bin/program");
	assert_kind(image, 0x402000, LH_REGION_DATA, "/bin/program");
	assert_kind(image, 0x403000, LH_REGION_BSS, "");
	assert_kind(image, 0x1403000, LH_REGION_HEAP, "[heap]");
	assert_kind(image, 0x7f0000000000, LH_REGION_FILE, "/tmp/data");
	assert_kind(image, 0x7f0000010000, LH_REGION_ANON, "");
	assert_kind(image, 0x7f0000020000, LH_REGION_THREAD_STACK, "");
	assert_kind(image, 0x7f0000030000, LH_REGION_MAIN_STACK, "[stack]");
	assert_kind(image, 0x7f0000040000, LH_REGION_VDSO, "[vdso]");

	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(image, &count);
	assert_int_equal(count, 2);
	assert_int_equal(threads[0].tid, 78);
	assert_int_equal(threads[1].stack_pointer, 0x7f0000030100);
	assert_string_equal(threads[1].name, "program");
	assert_int_equal(threads[1].pc, 0x401000);
	assert_int_equal(threads[1].fs_base, 0x7000);
	assert_int_equal(threads[1].registers_bytes, sizeof(struct user_regs_struct));

	const struct lh_module_list *modules = lh_image_modules(image);
	assert_int_equal(modules->modules.items[0].start, 0x400000);
	assert_string_equal(modules->modules.items[0].path, "/bin/program");
	assert_false(modules->modules.items[0].has_bias);
}

static void lying_note_sizes_end_the_notes(void **state)
{
	(void)state;
	static const uint32_t lies[][3] = {{5, UINT32_MAX, NT_AUXV}, {UINT32_MAX, 4, NT_AUXV}, {5, 0, NT_PRSTATUS}};
	for (size_t i = 0; i < LH_ARRAY_COUNT(lies); i++) {
		struct core_builder core LH_CLEANUP(core_deinit);
		core_begin(&core);
		core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R);
		core_add_thread(&core, 5, 0x10010);
		lh_buffer_append(&core.notes, lies[i], 12);
		lh_buffer_append(&core.notes, "CORE\0\0\0\0", 8);
		core_end(&core);
		LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
		size_t count;
		lh_image_threads(image, &count);
		assert_int_equal(count, 1);
	}
}

static void lying_file_count_is_ignored(void **state)
{
	(void)state;
	static const struct file_entry file = {0x10000, 0x11000, 0, "/x"};
	static const uint64_t claims[] = {2, 1000, UINT64_MAX, UINT64_MAX / 24 + 1};
	for (size_t i = 0; i < LH_ARRAY_COUNT(claims); i++) {
		struct core_builder core LH_CLEANUP(core_deinit);
		core_begin(&core);
		core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R);
		add_file_note(&core, &file, 1, claims[i]);
		core_end(&core);
		LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
		assert_string_equal(lh_image_find(image, 0x10000)->name, "");
	}
}

/* ---------------------------------------------------------------- leakhunt's notes */

static void applies_vendor_notes(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R | PF_W);
	core_add_thread(&core, 5, 0x10010);
	core_add_json(&core, 1, "{\"format\":1,\"pid\":4711}");
	core_add_json(&core, 2,
		      "[{\"start\":\"0x10800\",\"end\":\"0x11000\",\"kind\":\"data\",\"perms\":\"r--p\",\"name\":"
		      "\"/a\\\\x1bb\",\"context\":true},"
		      "{\"start\":\"0x10000\",\"end\":\"0x10800\",\"kind\":\"thread-stack\",\"perms\":\"rw-p\","
		      "\"name\":\"\",\"thread_name\":\"worker\",\"context\":false}]");
	core_add_json(&core, 3,
		      "[{\"start\":\"0x20000\",\"end\":\"0x30000\",\"path\":\"/b\",\"build_id\":\"00ff\","
		      "\"deleted\":true},"
		      "{\"start\":\"0x10000\",\"end\":\"0x11000\",\"bias\":\"0x10000\",\"path\":\"/a\",\"build_id\":"
		      "\"xx\",\"deleted\":false}]");
	core_add_json(&core, 4, "[{\"start\":\"0x10400\",\"end\":\"0x10500\",\"reason\":\"swapped\"}]");
	core_add_json(&core, 5, "[{\"tid\":5,\"name\":\"main\"},{\"tid\":6,\"name\":\"other\"}]");
	core_end(&core);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
	assert_int_equal(lh_image_source(image), LH_IMAGE_DUMP);
	assert_int_equal(lh_image_pid(image), 4711);

	size_t count;
	const struct lh_segment *segments = lh_image_segments(image, &count);
	assert_int_equal(count, 2);
	assert_int_equal(segments[0].kind, LH_REGION_THREAD_STACK);
	assert_string_equal(segments[0].thread_name, "worker");
	assert_false(segments[0].is_context);
	assert_int_equal(segments[1].start, 0x10800);
	assert_int_equal(segments[1].protection, LH_PROT_READ);
	assert_string_equal(segments[1].name, "/a\x1b"
					      "b");
	assert_true(segments[1].is_context);

	const struct lh_module_list *modules = lh_image_modules(image);
	assert_int_equal(modules->modules.count, 2);
	assert_string_equal(modules->modules.items[0].path, "/a");
	assert_int_equal(modules->modules.items[0].build_id_bytes, 0);
	assert_true(modules->modules.items[0].has_bias);
	assert_false(modules->modules.items[1].has_bias);
	assert_true(modules->modules.items[1].is_deleted);
	assert_int_equal(modules->modules.items[1].build_id_bytes, 2);
	assert_int_equal(modules->modules.items[1].build_id[1], 0xff);

	const struct lh_image_thread *threads = lh_image_threads(image, &count);
	assert_int_equal(count, 2);
	assert_string_equal(threads[0].name, "main");
	assert_int_equal(threads[0].stack_pointer, 0x10010);
	assert_int_equal(threads[1].tid, 6);
	assert_null(threads[1].registers);

	uint8_t bytes[PAGE];
	assert_int_equal(lh_image_read(image, 0x10000, bytes, PAGE), 0x400);
	assert_int_equal(lh_image_read(image, 0x104ff, bytes, PAGE), 0);
	assert_int_equal(lh_image_read(image, 0x10500, bytes, PAGE), 0xb00);
	assert_int_equal(lh_image_walk_bytes(image, 0), 0x700);
	assert_int_equal(lh_image_walk_bytes(image, LH_WALK_CONTEXT), 0xf00);
}

static void refuses_damaged_vendor_notes(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		uint32_t type;
		enum lh_error_code code;
	} cases[] = {
		{"{\"format\":2}", 1, LH_ERROR_UNSUPPORTED},
		{"[]", 1, LH_ERROR_FORMAT},
		{"{}", 2, LH_ERROR_FORMAT},
		{"[{\"start\":\"0x1", 2, LH_ERROR_FORMAT},
		{"[1]", 2, LH_ERROR_FORMAT},
		{"[{\"start\":\"0x20\",\"end\":\"0x10\"}]", 2, LH_ERROR_FORMAT},
		{"[{\"start\":\"0x1ffffffffffffffff\",\"end\":\"0x10\"}]", 3, LH_ERROR_FORMAT},
		{"[[]]", 4, LH_ERROR_FORMAT},
		{"[{\"name\":\"x\"}]", 5, LH_ERROR_FORMAT},
		{"", 5, LH_ERROR_FORMAT},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(cases); i++) {
		struct core_builder core LH_CLEANUP(core_deinit);
		struct lh_image *image = NULL;
		core_begin(&core);
		core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R);
		core_add_json(&core, cases[i].type, cases[i].json);
		core_end(&core);
		assert_failure(open_as_file(core.bytes.data, core.bytes.length, &image), cases[i].code);
	}
}

/* A sparse file: 70 MiB of zeros as the descriptor of one note. */
static void refuses_a_huge_vendor_note(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core.header.e_phoff = sizeof(Elf64_Ehdr);
	core.header.e_phnum = 1;
	Elf64_Phdr note = {.p_type = PT_NOTE, .p_offset = PAGE, .p_filesz = 70 * LH_MIB};
	uint32_t sizes[3] = {9, (uint32_t)(69 * LH_MIB), 2};
	uint8_t *bytes = mmap(NULL, 80 * LH_MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(bytes != MAP_FAILED);
	memcpy(bytes, &core.header, sizeof(core.header));
	memcpy(bytes + sizeof(core.header), &note, sizeof(note));
	memcpy(bytes + PAGE, sizes, sizeof(sizes));
	memcpy(bytes + PAGE + 12, "leakhunt", 9);
	struct lh_image *image = NULL;
	assert_failure(open_as_file(bytes, 80 * LH_MIB, &image), LH_ERROR_FORMAT);
	munmap(bytes, 80 * LH_MIB);
}

/* ---------------------------------------------------------------- damage */

static struct lh_error *sum_block(void *context, const struct lh_block *block)
{
	uint64_t *sum = context;
	for (size_t i = 0; i < block->bytes + block->bytes_after; i++)
		*sum += block->data[i];
	for (size_t i = 1; i <= block->bytes_before; i++)
		*sum += *(block->data - i);
	return NULL;
}

/* Opens; if that succeeds, everything that the image offers must be readable. */
static void exercise(const void *bytes, size_t length)
{
	struct lh_image *image = NULL;
	struct lh_error *error = open_as_file(bytes, length, &image);
	if (error) {
		assert_true(lh_error_code(error) == LH_ERROR_FORMAT || lh_error_code(error) == LH_ERROR_UNSUPPORTED);
		lh_error_destroy(error);
		return;
	}
	uint64_t sum = 0, walked = 0;
	size_t count;
	assert_success(lh_image_walk(image, LH_WALK_CONTEXT, sum_block, &sum));
	const struct lh_segment *segments = lh_image_segments(image, &count);
	for (size_t i = 0; i < count; i++) {
		assert_true(segments[i].start < segments[i].end);
		assert_true(!i || segments[i - 1].end <= segments[i].start);
		walked += segments[i].file_bytes;
	}
	assert_true(lh_image_walk_bytes(image, LH_WALK_CONTEXT) <= walked);
	lh_image_close(image);
}

static void survives_any_truncation_and_any_flipped_byte(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_json(
		&core, 2,
		"[{\"start\":\"0x400000\",\"end\":\"0x401800\",\"kind\":\"heap\",\"perms\":\"rw-p\",\"name\":\"\"}]");
	add_program(&core);
	size_t length = core.bytes.length;
	size_t after_data = length - core.notes.length - core.headers.count * sizeof(Elf64_Phdr);
	for (size_t cut = 0; cut < length; cut += cut < after_data && cut > 64 ? 509 : 1) {
		char *copy = malloc(cut ? cut : 1);
		assert_non_null(copy);
		memcpy(copy, core.bytes.data, cut);
		exercise(copy, cut);
		free(copy);
	}
	uint64_t random = 7;
	for (size_t at = 0; at < length; at += at == 63 ? after_data - 63 : 1) {
		char original = core.bytes.data[at];
		core.bytes.data[at] = (char)unit_random(&random);
		exercise(core.bytes.data, length);
		core.bytes.data[at] = original;
	}
}

/* ---------------------------------------------------------------- without NT_FILE */

/* A program and a library of a page each, and the dynamic linker's list, as they lie in memory. */
struct linked_page {
	Elf64_Ehdr header;
	Elf64_Phdr segments[3];
	Elf64_Dyn dynamic[2];
	uint64_t debug[2];      /* r_debug: version, first entry */
	uint64_t entries[2][5]; /* link_map: bias, name, dynamic section, next, previous */
	char names[2][32];
	char rest[PAGE - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr) - 2 * sizeof(Elf64_Dyn) - 12 * 8 - 64];
};

enum { PROGRAM_ADDR = 0x10000, LIBRARY_ADDR = 0x20000 };

static uint64_t linked_addr(const struct linked_page *page, const void *part)
{
	return PROGRAM_ADDR + (uint64_t)((const char *)part - (const char *)page);
}

static void fill_linked_page(struct linked_page *page, uint64_t last_next)
{
	const Elf64_Phdr load = {.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = PAGE, .p_memsz = PAGE};
	*page = (struct linked_page){
		.header = {.e_ident = ELFMAG,
			   .e_type = ET_DYN,
			   .e_phoff = sizeof(Elf64_Ehdr),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 3},
		.segments = {{.p_type = PT_PHDR, .p_vaddr = sizeof(Elf64_Ehdr)},
			     {.p_type = PT_DYNAMIC, .p_vaddr = offsetof(struct linked_page, dynamic)},
			     load},
		.names = {"/bin/program", "/lib/library.so"},
	};
	page->header.e_ident[EI_CLASS] = ELFCLASS64;
	page->header.e_ident[EI_DATA] = ELFDATA2LSB;
	page->header.e_ident[EI_VERSION] = EV_CURRENT;
	page->dynamic[0] = (Elf64_Dyn){.d_tag = DT_DEBUG, .d_un.d_ptr = linked_addr(page, page->debug)};
	page->debug[1] = linked_addr(page, page->entries[0]);
	page->entries[0][0] = PROGRAM_ADDR;
	page->entries[0][3] = linked_addr(page, page->entries[1]);
	page->entries[1][0] = LIBRARY_ADDR;
	page->entries[1][1] = linked_addr(page, page->names[1]);
	page->entries[1][3] = last_next;
	page->entries[1][4] = page->debug[1];
}

static void build_linked(struct core_builder *core, const struct linked_page *page, uint64_t header_count)
{
	struct elf_prpsinfo info = {.pr_pid = 77, .pr_fname = "program"};
	Elf64_auxv_t vector[] = {{AT_PHDR, {linked_addr(page, page->segments)}},
				 {AT_PHNUM, {header_count}},
				 {AT_EXECFN, {linked_addr(page, page->names[0])}},
				 {AT_NULL, {0}}};
	core_begin(core);
	core_add_load(core, PROGRAM_ADDR, PAGE, page, PAGE, PF_R);
	core_add_load(core, LIBRARY_ADDR, PAGE, page, PAGE, PF_R);
	core_add_note(core, "CORE", NT_PRPSINFO, &info, sizeof(info));
	core_add_note(core, "CORE", NT_AUXV, vector, sizeof(vector));
	core_end(core);
}

static void assert_linked_modules(const struct lh_image *image)
{
	const struct lh_module_list *modules = lh_image_modules(image);
	assert_int_equal(modules->modules.count, 2);
	assert_string_equal(modules->modules.items[0].path, "/bin/program");
	assert_int_equal(modules->modules.items[0].bias, PROGRAM_ADDR);
	assert_string_equal(modules->modules.items[1].path, "/lib/library.so");
	assert_int_equal(modules->modules.items[1].bias, LIBRARY_ADDR);
}

static void linked_modules_stand_for_the_note_of_files(void **state)
{
	(void)state;
	struct linked_page page;
	struct core_builder core LH_CLEANUP(core_deinit) = {0};
	fill_linked_page(&page, 0);
	build_linked(&core, &page, LH_ARRAY_COUNT(page.segments));
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
	assert_linked_modules(image);
}

/* A list that leads back to its first entry, or to its last, or nowhere. */
static void a_list_of_modules_in_a_circle_ends(void **state)
{
	(void)state;
	struct linked_page page;
	const uint64_t nexts[] = {linked_addr(&page, page.entries[0]), linked_addr(&page, page.entries[1]), 1};
	for (size_t i = 0; i < LH_ARRAY_COUNT(nexts); i++) {
		struct core_builder core LH_CLEANUP(core_deinit) = {0};
		fill_linked_page(&page, nexts[i]);
		build_linked(&core, &page, LH_ARRAY_COUNT(page.segments));
		LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
		assert_linked_modules(image);
	}
}

/* Program headers that would not fit the page are cut, and those beyond memory are none. */
static void lying_counts_of_program_headers_are_cut(void **state)
{
	(void)state;
	struct linked_page page;
	struct core_builder core LH_CLEANUP(core_deinit) = {0};
	fill_linked_page(&page, 0);
	page.header.e_phnum = UINT16_MAX - 1;
	build_linked(&core, &page, UINT64_MAX);
	exercise(core.bytes.data, core.bytes.length);
	struct core_builder empty LH_CLEANUP(core_deinit) = {0};
	build_linked(&empty, &page, 0);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&empty);
	assert_int_equal(lh_image_modules(image)->modules.count, 0);
}

/* ---------------------------------------------------------------- walking */

struct seen_blocks {
	struct lh_block blocks[8];
	size_t count;
};

static struct lh_error *record_block(void *context, const struct lh_block *block)
{
	struct seen_blocks *seen = context;
	assert_true(seen->count < LH_ARRAY_COUNT(seen->blocks));
	seen->blocks[seen->count++] = *block;
	return NULL;
}

static void blocks_continue_each_other(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R); /* goes on in the file and in memory */
	core_add_load(&core, 0x11000, PAGE, page_b, PAGE, PF_R);
	lh_buffer_append(&core.bytes, "gap", 3);
	core_add_load(&core, 0x12000, PAGE, page_a, PAGE, PF_R); /* goes on in memory only */
	core_add_load(&core, 0x20000, PAGE, page_b, PAGE, PF_R); /* goes on in the file only */
	core_end(&core);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
	struct seen_blocks seen = {0};
	assert_success(lh_image_walk(image, 0, record_block, &seen));
	static const struct {
		uint64_t addr;
		size_t before, after;
		uint64_t is_continued;
	} expected[] = {{0x10000, 0, PAGE, 0}, {0x11000, PAGE, 0, 1}, {0x12000, 0, 0, 1}, {0x20000, 0, 0, 0}};
	assert_int_equal(seen.count, LH_ARRAY_COUNT(expected));
	for (size_t i = 0; i < seen.count; i++) {
		assert_int_equal(seen.blocks[i].addr, expected[i].addr);
		assert_int_equal(seen.blocks[i].bytes, PAGE);
		assert_int_equal(seen.blocks[i].bytes_before, expected[i].before);
		assert_int_equal(seen.blocks[i].bytes_after, expected[i].after);
		assert_int_equal(seen.blocks[i].is_continued, expected[i].is_continued);
		assert_int_equal(seen.blocks[i].segment->start, expected[i].addr);
		assert_memory_equal(seen.blocks[i].data, core.bytes.data + seen.blocks[i].file_offset, PAGE);
	}
}

static struct lh_error *stop_walk(void *context, const struct lh_block *block)
{
	(void)block;
	++*(int *)context;
	return lh_error_create(LH_ERROR_INTERRUPTED, "enough");
}

static void an_error_of_the_visitor_stops_the_walk(void **state)
{
	(void)state;
	struct core_builder core LH_CLEANUP(core_deinit);
	core_begin(&core);
	core_add_load(&core, 0x10000, PAGE, page_a, PAGE, PF_R);
	core_add_load(&core, 0x20000, PAGE, page_b, PAGE, PF_R);
	core_end(&core);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = core_open(&core);
	int calls = 0;
	assert_failure(lh_image_walk(image, 0, stop_walk, &calls), LH_ERROR_INTERRUPTED);
	assert_int_equal(calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_across_adjoining_segments),
		cmocka_unit_test(orders_and_trims_segments),
		cmocka_unit_test(overlap_does_not_hide_the_first),
		cmocka_unit_test(the_same_bytes_without_end_are_refused),
		cmocka_unit_test(marks_truncated_data),
		cmocka_unit_test(refuses_bad_headers),
		cmocka_unit_test(refuses_counts_that_lead_nowhere),
		cmocka_unit_test(refuses_other_machines),
		cmocka_unit_test(opens_more_segments_than_e_phnum_can_say),
		cmocka_unit_test(survives_impossible_addresses),
		cmocka_unit_test(walks_up_to_the_last_address),
		cmocka_unit_test(understands_the_notes_of_a_kernel_core),
		cmocka_unit_test(lying_note_sizes_end_the_notes),
		cmocka_unit_test(lying_file_count_is_ignored),
		cmocka_unit_test(applies_vendor_notes),
		cmocka_unit_test(refuses_damaged_vendor_notes),
		cmocka_unit_test(refuses_a_huge_vendor_note),
		cmocka_unit_test(survives_any_truncation_and_any_flipped_byte),
		cmocka_unit_test(linked_modules_stand_for_the_note_of_files),
		cmocka_unit_test(a_list_of_modules_in_a_circle_ends),
		cmocka_unit_test(lying_counts_of_program_headers_are_cut),
		cmocka_unit_test(blocks_continue_each_other),
		cmocka_unit_test(an_error_of_the_visitor_stops_the_walk),
	};
	return cmocka_run_group_tests(tests, fill_pages, NULL);
}
