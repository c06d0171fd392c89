/*
 * recognize_elf: ELF headers with their program headers, System V ABI chapter 4: magic, class, byte order, version,
 * zero padding, type 1 to 4, and entry sizes of the class. The rest of the file is classified on its own.
 */
#include "scan/recognize/recognize.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

enum { PROGRAM_HEADERS_MAX = 512 };

static const char *const patterns[] = {"\\x7fELF[\\x01\\x02][\\x01\\x02]\\x01.", NULL};

struct header {
	uint16_t type;
	uint16_t machine;
	uint16_t header_bytes;
	uint16_t entry_bytes;
	uint16_t entries;
	uint64_t entries_at;
	bool is_64;
};

static uint64_t read_value(const uint8_t *bytes, size_t at, size_t width, bool is_big)
{
	uint64_t value = 0;
	for (size_t i = 0; i < width; i++)
		value |= (uint64_t)bytes[at + (is_big ? width - 1 - i : i)] << (8 * i);
	return value;
}

#define FIELD(type, member) read_value(bytes, offsetof(type, member), sizeof(((type *)0)->member), is_big)

static struct header read_64(const uint8_t *bytes, bool is_big)
{
	return (struct header){
		.type = (uint16_t)FIELD(Elf64_Ehdr, e_type),
		.machine = (uint16_t)FIELD(Elf64_Ehdr, e_machine),
		.header_bytes = (uint16_t)FIELD(Elf64_Ehdr, e_ehsize),
		.entry_bytes = (uint16_t)FIELD(Elf64_Ehdr, e_phentsize),
		.entries = (uint16_t)FIELD(Elf64_Ehdr, e_phnum),
		.entries_at = FIELD(Elf64_Ehdr, e_phoff),
		.is_64 = true,
	};
}

static struct header read_32(const uint8_t *bytes, bool is_big)
{
	return (struct header){
		.type = (uint16_t)FIELD(Elf32_Ehdr, e_type),
		.machine = (uint16_t)FIELD(Elf32_Ehdr, e_machine),
		.header_bytes = (uint16_t)FIELD(Elf32_Ehdr, e_ehsize),
		.entry_bytes = (uint16_t)FIELD(Elf32_Ehdr, e_phentsize),
		.entries = (uint16_t)FIELD(Elf32_Ehdr, e_phnum),
		.entries_at = FIELD(Elf32_Ehdr, e_phoff),
	};
}

static bool read_elf_header(const struct lh_candidate *candidate, struct header *ret)
{
	const uint8_t *bytes = candidate->anchor;
	bool is_64 = bytes[EI_CLASS] == ELFCLASS64;
	bool is_big = bytes[EI_DATA] == ELFDATA2MSB;
	size_t header_bytes = is_64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
	size_t entry_bytes = is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	static const uint8_t zeros[EI_NIDENT - EI_PAD];
	if (candidate->bytes_after < header_bytes || memcmp(bytes + EI_PAD, zeros, sizeof(zeros)) != 0)
		return false;
	struct header header = is_64 ? read_64(bytes, is_big) : read_32(bytes, is_big);
	if (header.type < ET_REL || header.type > ET_CORE || header.header_bytes != header_bytes ||
	    (header.entries && header.entry_bytes != entry_bytes) || header.entries > PROGRAM_HEADERS_MAX)
		return false;
	*ret = header;
	return true;
}

static bool validate_elf(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct header header;
	if (!read_elf_header(candidate, &header))
		return false;
	size_t length = header.header_bytes;
	size_t table = (size_t)header.entries * header.entry_bytes;
	if (header.entries_at == length && table <= candidate->bytes_after - length)
		length += table;
	*ret = (struct lh_match){.length = length};
	return true;
}

static void describe_elf(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	static const char *const types[] = {"", "relocatable", "executable", "shared object", "core"};
	(void)match;
	struct header header;
	ret[0] = '\0';
	if (read_elf_header(candidate, &header))
		(void)snprintf(ret, LH_EXAMPLE_MAX, "%s, %u bit, machine %u, %u program headers", types[header.type],
			       header.is_64 ? 64U : 32U, header.machine, header.entries);
}

const struct lh_recognizer lh_recognize_elf = {
	.name = "elf",
	.title = "ELF headers",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_elf,
	.describe = describe_elf,
};
