/*
 * unwind: libdwfl's unwinder over a stack that was copied. Input: registers and bytes of a target, files of modules
 * (both hostile). Output: addresses. libdwfl reads no process here: all memory comes from the copy.
 */
#include "leakhunt/unwind.h"

#include "symbol_store.h"

#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As libdwfl knows the one thread of a copy. */
enum { THREAD_ID = 1 };

enum { DWARF_REGISTERS = 17 }; /* System V ABI x86_64, figure 3.36: the last one is the return address */

struct lh_unwinder {
	Dwfl *dwfl;
	bool is_attached;
	const struct lh_image *image;   /* only while modules are reported */
	const struct lh_module *module; /* the one that is being reported */
	int root_fd;
	const struct lh_stack_copy *copy; /* only during a walk */
	uint64_t *addrs;
	size_t count, most;
};

/* ---------------------------------------------------------------- modules */

static void destroy_unwinder(struct lh_unwinder **unwinder)
{
	lh_unwinder_destroy(*unwinder);
}

static int refuse_debug_file(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, const char *file,
			     const char *link, GElf_Word crc, char **ret)
{
	(void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)ret;
	return -1;
}

/* Read, not mapped: a file that is cut off meanwhile must not raise SIGBUS. Takes `fd`. */
static Elf *read_module_elf(const struct lh_module *module, int fd, bool is_mapped, int *ret_fd)
{
	Elf *elf = fd >= 0 ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
	bool is_replaced = !module->build_id_bytes && module->is_deleted && !is_mapped;
	*ret_fd = fd;
	if (lh_is_file_of(module, elf) && !is_replaced)
		return elf;
	elf_end(elf);
	lh_cleanup_close(&fd);
	return NULL;
}

/* Called by dwfl_module_getelf of report_modules; libdwfl closes what it gets. */
static int find_module_elf(Dwfl_Module *dwfl_module, void **data, const char *name, Dwarf_Addr base, char **ret_name,
			   Elf **ret_elf)
{
	struct lh_unwinder *unwinder = *data;
	const struct lh_module *module = unwinder->module;
	const char *problem;
	int fd = -1;
	(void)dwfl_module, (void)name, (void)base, (void)ret_name;
	*ret_elf = read_module_elf(module, lh_open_module_file(unwinder->root_fd, module->path, &problem), false, &fd);
	if (!*ret_elf)
		*ret_elf = read_module_elf(module, lh_image_open_module(unwinder->image, module), true, &fd);
	return *ret_elf ? fd : -1;
}

static const Dwfl_Callbacks module_callbacks = {
	.find_elf = find_module_elf,
	.find_debuginfo = refuse_debug_file,
};

static void report_modules(struct lh_unwinder *unwinder)
{
	const struct lh_module_list *list = lh_image_modules(unwinder->image);
	dwfl_report_begin(unwinder->dwfl);
	for (size_t i = 0; i < list->modules.count; i++) {
		const struct lh_module *module = &list->modules.items[i];
		void **data;
		GElf_Addr bias;
		Dwfl_Module *reported = dwfl_report_module(unwinder->dwfl, module->path, module->start, module->end);
		if (!reported)
			continue;
		(void)dwfl_module_info(reported, &data, NULL, NULL, NULL, NULL, NULL, NULL);
		*data = unwinder;
		unwinder->module = module;
		(void)dwfl_module_getelf(reported, &bias);
	}
	(void)dwfl_report_end(unwinder->dwfl, NULL, NULL);
}

/* ---------------------------------------------------------------- the copied thread */

static pid_t next_copied_thread(Dwfl *dwfl, void *context, void **ret_thread)
{
	(void)dwfl;
	if (*ret_thread)
		return 0;
	*ret_thread = context;
	return THREAD_ID;
}

static bool get_copied_thread(Dwfl *dwfl, pid_t tid, void *context, void **ret_thread)
{
	(void)dwfl;
	*ret_thread = context;
	return tid == THREAD_ID;
}

static bool read_copied_word(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *ret, void *context)
{
	const struct lh_unwinder *unwinder = context;
	const struct lh_stack_copy *copy = unwinder->copy;
	uint64_t offset = addr - copy->registers.rsp;
	(void)dwfl;
	if (addr < copy->registers.rsp || copy->byte_count < sizeof(*ret) || offset > copy->byte_count - sizeof(*ret))
		return false;
	*ret = lh_load_u64(copy->bytes, offset);
	return true;
}

static bool set_copied_registers(Dwfl_Thread *thread, void *context)
{
	const struct lh_unwinder *unwinder = context;
	const struct user_regs_struct *from = &unwinder->copy->registers;
	const Dwarf_Word registers[DWARF_REGISTERS] = {
		from->rax, from->rdx, from->rcx, from->rbx, from->rsi, from->rdi, from->rbp, from->rsp, from->r8,
		from->r9,  from->r10, from->r11, from->r12, from->r13, from->r14, from->r15, from->rip,
	};
	return dwfl_thread_state_registers(thread, 0, DWARF_REGISTERS, registers);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_copied_thread,
	.get_thread = get_copied_thread,
	.memory_read = read_copied_word,
	.set_initial_registers = set_copied_registers,
};

static int take_unwound_frame(Dwfl_Frame *frame, void *context)
{
	struct lh_unwinder *unwinder = context;
	Dwarf_Addr addr;
	bool is_activation;
	if (!dwfl_frame_pc(frame, &addr, &is_activation) || !addr)
		return DWARF_CB_ABORT;
	if (unwinder->count == unwinder->most)
		return DWARF_CB_ABORT;
	unwinder->addrs[unwinder->count++] = is_activation ? addr : addr - 1;
	return DWARF_CB_OK;
}

size_t lh_unwinder_walk(struct lh_unwinder *unwinder, const struct lh_stack_copy *copy, uint64_t *ret, size_t most,
			bool *ret_is_complete)
{
	unwinder->copy = copy;
	unwinder->addrs = ret;
	unwinder->most = most;
	unwinder->count = 0;
	*ret_is_complete = unwinder->is_attached && dwfl_getthread_frames(unwinder->dwfl, THREAD_ID, take_unwound_frame,
									  unwinder) == DWARF_CB_OK;
	return unwinder->count;
}

/* ---------------------------------------------------------------- opening */

struct lh_error *lh_unwinder_create(const struct lh_image *image, struct lh_unwinder **ret)
{
	LH_CLEANUP(destroy_unwinder) struct lh_unwinder *unwinder = calloc(1, sizeof(*unwinder));
	if (!unwinder)
		return lh_error_no_memory();
	elf_version(EV_CURRENT);
	unwinder->image = image;
	unwinder->root_fd = lh_open_modules_root(lh_image_root(image));
	unwinder->dwfl = dwfl_begin(&module_callbacks);
	if (!unwinder->dwfl)
		return lh_error_no_memory();
	report_modules(unwinder);
	unwinder->is_attached = dwfl_attach_state(unwinder->dwfl, NULL, THREAD_ID, &thread_callbacks, unwinder);
	unwinder->image = NULL;
	unwinder->module = NULL;
	*ret = unwinder;
	unwinder = NULL;
	return NULL;
}

void lh_unwinder_destroy(struct lh_unwinder *unwinder)
{
	if (!unwinder)
		return;
	if (unwinder->dwfl)
		dwfl_end(unwinder->dwfl);
	lh_cleanup_close(&unwinder->root_fd);
	free(unwinder);
}
