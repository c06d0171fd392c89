/*
 * check_cut CORE PAGES PAGES_ADDR SEQUENCE_ADDR [--discard]: whether a core of samples/page_writer is of one instant.
 *
 * From the core alone: the word at SEQUENCE_ADDR is S, the number of the last finished write. Page i must hold
 * the largest number up to S that belongs to it, all three of its words; but the page of write S + 1, which
 * may be half done. With --discard, as the sample's option: each second write leaves zeros, or no page at all.
 * Prints S; or a line for each wrong page, and exits with 1. It shares no code with leakhunt.
 */
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES       ((uint64_t)4096)
#define PAGE_MULTIPLIER  ((uint64_t)40503)
#define CHECK_MULTIPLIER ((uint64_t)0x9e3779b97f4a7c15)

enum { WORDS = 3, LINES_MAX = 10 };

static const size_t word_at[WORDS] = {0, 256, 511};

struct core {
	const uint8_t *bytes;
	uint64_t size;
	const Elf64_Phdr *segments;
	uint64_t segment_count;
};

struct cut {
	struct core core;
	uint64_t page_count;
	uint64_t pages_addr;
	bool discards;
	uint64_t last; /* S */
};

static const void *part(const struct core *core, uint64_t offset, uint64_t bytes)
{
	if (offset > core->size || bytes > core->size - offset)
		errx(1, "the core ends before %" PRIu64 " + %" PRIu64, offset, bytes);
	return core->bytes + offset;
}

static struct core open_core(const char *path)
{
	struct core core = {0};
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0)
		err(1, "%s", path);
	core.size = (uint64_t)status.st_size;
	core.bytes = mmap(NULL, core.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (core.bytes == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	const Elf64_Ehdr *header = part(&core, 0, sizeof(*header));
	core.segment_count = header->e_phnum;
	if (header->e_phnum == PN_XNUM)
		core.segment_count = ((const Elf64_Shdr *)part(&core, header->e_shoff, sizeof(Elf64_Shdr)))->sh_info;
	core.segments = part(&core, header->e_phoff, core.segment_count * sizeof(Elf64_Phdr));
	return core;
}

/* NULL: the core does not hold it. */
static const uint64_t *page_at(const struct core *core, uint64_t addr)
{
	for (uint64_t i = 0; i < core->segment_count; i++) {
		const Elf64_Phdr *segment = &core->segments[i];
		if (segment->p_type == PT_LOAD && addr >= segment->p_vaddr &&
		    addr - segment->p_vaddr < segment->p_filesz)
			return part(core, segment->p_offset + (addr - segment->p_vaddr), PAGE_BYTES);
	}
	return NULL;
}

static void words_of(const struct cut *cut, uint64_t number, uint64_t ret[WORDS])
{
	bool is_discarded = cut->discards && number / cut->page_count % 2;
	ret[0] = is_discarded ? 0 : number;
	ret[1] = is_discarded ? 0 : number * CHECK_MULTIPLIER;
	ret[2] = is_discarded ? 0 : ~number;
}

/* Of the page to which this write, the last up to S, went. Each word of a half done one may be of either. */
static bool is_right(const struct cut *cut, uint64_t number, const uint64_t *page)
{
	uint64_t expected[WORDS], next[WORDS];
	bool may_be_half_done = number + cut->page_count == cut->last + 1;
	words_of(cut, number, expected);
	words_of(cut, number + cut->page_count, next);
	if (!page && !cut->discards)
		return false;
	for (size_t i = 0; i < WORDS; i++) {
		uint64_t seen = page ? page[word_at[i]] : 0;
		if (seen != expected[i] && !(may_be_half_done && seen == next[i]))
			return false;
	}
	return true;
}

static uint64_t count_wrong(const struct cut *cut)
{
	uint64_t wrong_count = 0;
	for (uint64_t number = cut->last - cut->page_count + 1; number <= cut->last; number++) {
		uint64_t index = number * PAGE_MULTIPLIER % cut->page_count;
		const uint64_t *page = page_at(&cut->core, cut->pages_addr + index * PAGE_BYTES);
		if (is_right(cut, number, page))
			continue;
		if (wrong_count++ >= LINES_MAX)
			continue;
		if (page)
			fprintf(stderr, "page %" PRIu64 " holds write %" PRIu64 ", not %" PRIu64 ", of %" PRIu64 "\n",
				index, page[0], number, cut->last);
		else
			fprintf(stderr, "page %" PRIu64 " is not in the core\n", index);
	}
	return wrong_count;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		errx(64, "usage: check_cut CORE PAGES PAGES_ADDR SEQUENCE_ADDR [--discard]");
	struct cut cut = {.core = open_core(argv[1]),
			  .page_count = strtoull(argv[2], NULL, 0),
			  .pages_addr = strtoull(argv[3], NULL, 0),
			  .discards = argc > 5 && strcmp(argv[5], "--discard") == 0};
	const uint64_t *sequence = page_at(&cut.core, strtoull(argv[4], NULL, 0));
	if (!sequence || !cut.page_count || *sequence < cut.page_count)
		errx(1, "%s: no number of the last write", argv[1]);
	cut.last = *sequence;
	uint64_t wrong_count = count_wrong(&cut);
	if (wrong_count)
		errx(1, "%s: %" PRIu64 " of %" PRIu64 " pages are not of the instant of write %" PRIu64, argv[1],
		     wrong_count, cut.page_count, cut.last);
	printf("%" PRIu64 "\n", cut.last);
	return 0;
}
