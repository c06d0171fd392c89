/*
 * vdso_slot: finds, judges, writes and clears slots. Input: the target's mappings and the bytes of its vDSO. Output:
 * the address of a free slot. Changes only bytes that were zero or written by a leakhunt.
 */
#include "vdso_slot.h"

#if defined(__x86_64__)

#include "freeze_thread.h"
#include "leakhunt/process.h"
#include "task_status.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SLOT_ALIGNMENT = 16, VDSO_MAX_BYTES = 64 * 1024 };

/* Another leakhunt holds a process for about a millisecond. */
#define LOCK_PATIENCE_NS (2 * LH_NS_PER_S)

struct lh_vdso_slots {
	const struct lh_process *process;
	int memory_fd;
	int lock_fd;
	uint64_t start; /* of the padding: slots follow one another from here */
	uint64_t end;
};

/* ---------------------------------------------------------------- the padding */

static uint64_t larger_end(uint64_t end, uint64_t start, uint64_t length)
{
	uint64_t sum;
	return lh_max_u64(end, lh_add_u64(start, length, &sum) ? sum : UINT64_MAX);
}

/* The end of a table's entries, each of at least `entry_bytes`; UINT64_MAX when it lies outside. */
static uint64_t table_end(size_t length, uint64_t offset, uint64_t count, uint64_t stride, uint64_t entry_bytes)
{
	uint64_t end = larger_end(0, offset, count * stride); /* both of 16 bits */
	return count && (stride < entry_bytes || end > length) ? UINT64_MAX : end;
}

static uint64_t programs_end(const uint8_t *image, size_t length, const Elf64_Ehdr *header)
{
	uint64_t end = table_end(length, header->e_phoff, header->e_phnum, header->e_phentsize, sizeof(Elf64_Phdr));
	for (size_t i = 0; end <= length && i < header->e_phnum; i++) {
		Elf64_Phdr program;
		memcpy(&program, image + header->e_phoff + i * header->e_phentsize, sizeof(program));
		if (program.p_type != PT_LOAD && program.p_type != PT_NOTE && program.p_type != PT_DYNAMIC)
			continue;
		end = larger_end(end, program.p_offset, program.p_filesz);
		end = larger_end(end, program.p_vaddr, program.p_memsz); /* it is linked at 0 */
	}
	return end;
}

static uint64_t sections_end(const uint8_t *image, size_t length, const Elf64_Ehdr *header)
{
	uint64_t end = table_end(length, header->e_shoff, header->e_shnum, header->e_shentsize, sizeof(Elf64_Shdr));
	for (size_t i = 0; end <= length && i < header->e_shnum; i++) {
		Elf64_Shdr section;
		memcpy(&section, image + header->e_shoff + i * header->e_shentsize, sizeof(section));
		if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL)
			end = larger_end(end, section.sh_offset, section.sh_size);
	}
	return end;
}

size_t lh_vdso_padding_start(const uint8_t *image, size_t length)
{
	Elf64_Ehdr header;
	if (length < sizeof(header))
		return length;
	memcpy(&header, image, sizeof(header));
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_machine != EM_X86_64)
		return length;
	uint64_t end = lh_max_u64(sizeof(header), programs_end(image, length, &header));
	end = lh_max_u64(end, sections_end(image, length, &header));
	return end > length - SLOT_ALIGNMENT ? length : lh_align_up(end, SLOT_ALIGNMENT);
}

static const struct lh_region *find_vdso(const struct lh_region_list *regions)
{
	for (size_t i = 0; i < regions->regions.count; i++) {
		const struct lh_region *region = &regions->regions.items[i];
		if (region->kind == LH_REGION_VDSO && strcmp(region->name, "[vdso]") == 0)
			return region;
	}
	return NULL;
}

static struct lh_error *no_padding(const char *why)
{
	return lh_error_create(LH_ERROR_UNSUPPORTED, "system calls cannot be injected: %s", why);
}

static struct lh_error *find_padding(struct lh_vdso_slots *slots, const struct lh_region_list *regions)
{
	const struct lh_region *region = find_vdso(regions);
	if (!region)
		return no_padding("the target has no vDSO");
	uint64_t length = region->end - region->start;
	if (!(region->protection & LH_PROT_EXEC) || length > VDSO_MAX_BYTES)
		return no_padding("the target's vDSO is not as the kernel maps it");
	LH_CLEANUP(lh_cleanup_free) uint8_t *image = malloc(length);
	if (!image)
		return lh_error_no_memory();
	if (pread(slots->memory_fd, image, length, (off_t)region->start) != (ssize_t)length)
		return no_padding("the target's vDSO cannot be read");
	slots->start = region->start + lh_vdso_padding_start(image, length);
	slots->end = region->end;
	if (slots->end - slots->start < LH_SLOT_BYTES)
		return no_padding("this kernel's vDSO has no padding");
	return NULL;
}

/* ---------------------------------------------------------------- one leakhunt at a time */

/*
 * Two leakhunts could borrow two threads and take the same slot. A pidfd's inode is that of the process,
 * in all mounts of /proc and namespaces (pidfs, Linux 6.9). Before that, all threads are stopped for an
 * injection, and a thread has one tracer.
 */
static struct lh_error *lock_process(struct lh_vdso_slots *slots)
{
	static const struct timespec nap = {.tv_nsec = 500000};
	uint64_t deadline_ns = lh_clock_monotonic_ns() + LOCK_PATIENCE_NS;
	slots->lock_fd = (int)syscall(SYS_pidfd_open, lh_process_pid(slots->process), 0);
	while (slots->lock_fd >= 0 && flock(slots->lock_fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		if (lh_clock_monotonic_ns() > deadline_ns)
			return lh_error_create(LH_ERROR_UNSUPPORTED, "another leakhunt injects into process %d",
					       (int)lh_process_pid(slots->process));
		nanosleep(&nap, NULL);
	}
	return NULL;
}

struct lh_error *lh_vdso_slots_open(const struct lh_process *process, const struct lh_region_list *regions,
				    struct lh_vdso_slots **ret)
{
	LH_CLEANUP(lh_cleanup_vdso_slots) struct lh_vdso_slots *slots = calloc(1, sizeof(*slots));
	if (!slots)
		return lh_error_no_memory();
	*slots = (struct lh_vdso_slots){.process = process, .memory_fd = -1, .lock_fd = -1};
	LH_TRY(lh_process_open_file(process, "mem", O_RDWR, &slots->memory_fd));
	LH_TRY(find_padding(slots, regions));
	LH_TRY(lock_process(slots));
	*ret = slots;
	slots = NULL;
	return NULL;
}

void lh_vdso_slots_close(struct lh_vdso_slots *slots)
{
	if (!slots)
		return;
	lh_cleanup_close(&slots->memory_fd);
	lh_cleanup_close(&slots->lock_fd);
	free(slots);
}

void lh_cleanup_vdso_slots(struct lh_vdso_slots **slots)
{
	lh_vdso_slots_close(*slots);
}

const struct lh_process *lh_vdso_slots_process(const struct lh_vdso_slots *slots)
{
	return slots->process;
}

bool lh_vdso_slots_hold(const struct lh_vdso_slots *slots, uint64_t addr)
{
	return addr >= slots->start && addr < slots->end;
}

/* ---------------------------------------------------------------- writing */

/* Word by word: the tracer may where /proc/PID/mem does not write to read-only pages (PROC_MEM_NO_FORCE). */
static bool poke_slot(pid_t tid, uint64_t addr, const uint8_t bytes[LH_SLOT_BYTES])
{
	for (size_t i = 0; i < LH_SLOT_BYTES; i += sizeof(long)) {
		long word;
		memcpy(&word, bytes + i, sizeof(word));
		if (ptrace(PTRACE_POKEDATA, tid, addr + i, word) < 0)
			return false;
	}
	return true;
}

struct lh_error *lh_vdso_slot_write(const struct lh_vdso_slots *slots, pid_t tid, uint64_t addr,
				    const uint8_t bytes[LH_SLOT_BYTES])
{
	if (pwrite(slots->memory_fd, bytes, LH_SLOT_BYTES, (off_t)addr) == LH_SLOT_BYTES || poke_slot(tid, addr, bytes))
		return NULL;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "the vDSO's padding of process %d cannot be written (errno %d)",
			       (int)lh_process_pid(slots->process), errno);
}

/* ---------------------------------------------------------------- which slot */

static bool is_zero_slot(const uint8_t bytes[LH_SLOT_BYTES])
{
	static const uint8_t zeros[LH_SLOT_BYTES];
	return memcmp(bytes, zeros, sizeof(zeros)) == 0;
}

bool lh_slot_is_over(const struct lh_slot_record *record, uint64_t addr, const struct lh_slot_user *users, size_t count,
		     uint64_t caught)
{
	bool is_over = true;
	for (size_t i = 0; i < count; i++) {
		const struct lh_slot_user *user = &users[i];
		if (user->rip >= addr && user->rip < addr + LH_SLOT_BYTES)
			return false;
		if (user->inner_tid == record->inner_tid)
			is_over = (user->rsp == record->rsp && user->rip == record->rip) ||
				  !((record->caught | caught) & ~record->signal_mask);
	}
	return is_over;
}

struct slot_users {
	LH_VEC(struct lh_slot_user) items;
	uint64_t caught;
};

static struct lh_error *list_users(const struct lh_vdso_slots *slots, const struct lh_freeze *freeze,
				   struct slot_users *ret)
{
	size_t next = 0;
	for (pid_t tid; (tid = lh_freeze_stopped_thread(freeze, &next));) {
		struct user_regs_struct registers;
		struct iovec place = {&registers, sizeof(registers)};
		struct lh_task_status status;
		LH_TRY(lh_task_status_read(slots->process, tid, &status));
		if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &place) < 0 || place.iov_len != sizeof(registers))
			return lh_error_create(LH_ERROR_UNSUPPORTED, "cannot read the registers of thread %d",
					       (int)tid);
		registers = lh_slot_resolve(&registers);
		ret->caught = status.caught;
		LH_TRY(lh_vec_push(&ret->items, (struct lh_slot_user){status.inner_tid, registers.rsp, registers.rip}));
	}
	return NULL;
}

static struct lh_error *clear_if_over(const struct lh_vdso_slots *slots, const struct slot_users *users, uint64_t addr,
				      const uint8_t bytes[LH_SLOT_BYTES], bool *ret_is_free)
{
	static const uint8_t zeros[LH_SLOT_BYTES];
	struct lh_slot_record record;
	memcpy(&record, bytes, sizeof(record));
	*ret_is_free = users->items.count && memcmp(record.mark, LH_SLOT_MARK, sizeof(record.mark)) == 0 &&
		       lh_slot_is_over(&record, addr, users->items.items, users->items.count, users->caught);
	return *ret_is_free ? lh_vdso_slot_write(slots, lh_process_pid(slots->process), addr, zeros) : NULL;
}

/* `users` empty: only slots of zeros are free. */
static struct lh_error *search_slots(const struct lh_vdso_slots *slots, const struct slot_users *users,
				     uint64_t *ret_addr)
{
	*ret_addr = 0;
	for (uint64_t addr = slots->start; slots->end - addr >= LH_SLOT_BYTES; addr += LH_SLOT_BYTES) {
		uint8_t bytes[LH_SLOT_BYTES];
		if (pread(slots->memory_fd, bytes, sizeof(bytes), (off_t)addr) != sizeof(bytes))
			break;
		bool is_free = is_zero_slot(bytes);
		if (!is_free)
			LH_TRY(clear_if_over(slots, users, addr, bytes, &is_free));
		if (is_free && !*ret_addr)
			*ret_addr = addr;
	}
	if (*ret_addr)
		return NULL;
	return no_padding("killed leakhunts have left all slots in the vDSO's padding in use");
}

struct lh_error *lh_vdso_slots_find_free(const struct lh_vdso_slots *slots, const struct lh_freeze *freeze,
					 uint64_t *ret_addr)
{
	struct slot_users users = {0};
	struct lh_error *error = NULL;
	if (freeze && lh_freeze_is_whole(freeze))
		error = list_users(slots, freeze, &users);
	if (!error)
		error = search_slots(slots, &users, ret_addr);
	lh_vec_deinit(&users.items);
	return error;
}

#else

struct lh_error *lh_vdso_slots_open(const struct lh_process *process, const struct lh_region_list *regions,
				    struct lh_vdso_slots **ret)
{
	(void)process;
	(void)regions;
	(void)ret;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "system calls are injected on x86_64 only");
}

void lh_vdso_slots_close(struct lh_vdso_slots *slots)
{
	(void)slots;
}

void lh_cleanup_vdso_slots(struct lh_vdso_slots **slots)
{
	(void)slots;
}

#endif
