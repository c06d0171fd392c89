/*
 * method_tables: recognizes an unnamed table of function pointers by a named one that is nearly the
 * same. A library keeps variants of one table (OpenSSL: one for each protocol version and side), of
 * which accessor functions name only some. Input: the relocations of a file, which say what each word of
 * its read-only data will point to; nothing of the target is read.
 */
#include "module_table.h"

#include <gelf.h>
#include <stdlib.h>

enum {
	TABLE_WORDS = 28,          /* OpenSSL 3.0 SSL_METHOD: 28 words; the largest kind of table there is */
	COMPARABLE_WORDS_MIN = 16, /* of them relocated in both tables */
	SIMILAR_PERCENT = 80,
	SECTIONS_MAX = 4, /* a file has .rela.dyn and .rela.plt; hostile ones could list the same bytes over and over */
};

/*
 * What the relocation sets its word to, as far as the file itself says so: an address in it, or a symbol
 * that it defines (another file may define it, too, and come first: then image memory says so).
 */
static bool relocated_value(const GElf_Rela *relocation, const GElf_Sym *symbol, uint64_t *ret)
{
	*ret = (uint64_t)relocation->r_addend;
	if (GELF_R_TYPE(relocation->r_info) == R_X86_64_RELATIVE)
		return true;
	if (GELF_R_TYPE(relocation->r_info) != R_X86_64_64 || !symbol || symbol->st_shndx == SHN_UNDEF)
		return false;
	*ret += symbol->st_value;
	return true;
}

struct lh_error *lh_method_tables_add_word(struct lh_module_table *table, const GElf_Rela *relocation,
					   const GElf_Sym *symbol)
{
	struct lh_relocated_word word = {.addr = relocation->r_offset};
	return relocated_value(relocation, symbol, &word.value) ? lh_vec_push(&table->words, word) : NULL;
}

static struct lh_error *add_section_words(struct lh_module_table *table, Elf *elf, Elf_Scn *section,
					  const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	Elf_Scn *symbol_section = elf_getscn(elf, header->sh_link);
	Elf_Data *symbols = symbol_section ? elf_getdata(symbol_section, NULL) : NULL;
	size_t count = data && header->sh_entsize ? data->d_size / header->sh_entsize : 0;
	if (symbols && symbols->d_type != ELF_T_SYM)
		symbols = NULL;
	for (size_t i = 0; i < count && i < INT32_MAX; i++) {
		GElf_Rela relocation;
		GElf_Sym symbol;
		if (!gelf_getrela(data, (int)i, &relocation))
			continue;
		uint64_t index = GELF_R_SYM(relocation.r_info);
		bool has_symbol = symbols && index <= INT32_MAX && gelf_getsym(symbols, (int)index, &symbol);
		LH_TRY(lh_method_tables_add_word(table, &relocation, has_symbol ? &symbol : NULL));
	}
	return NULL;
}

struct lh_error *lh_method_tables_add(struct lh_module_table *table, Elf *elf)
{
	size_t count = 0;
	for (Elf_Scn *section = NULL; count < SECTIONS_MAX && (section = elf_nextscn(elf, section));) {
		GElf_Shdr header;
		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_RELA || !(header.sh_flags & SHF_ALLOC))
			continue;
		LH_TRY(add_section_words(table, elf, section, &header));
		count++;
	}
	return NULL;
}

static int compare_words(const void *a, const void *b)
{
	const struct lh_relocated_word *left = a, *right = b;
	return (left->addr > right->addr) - (left->addr < right->addr);
}

void lh_method_tables_finish(struct lh_module_table *table)
{
	lh_vec_sort(&table->words, compare_words);
}

/* The words of the table at `addr`; 0 where there is no relocation. Returns how many have one. */
static size_t read_table(const struct lh_module_table *table, uint64_t addr, uint64_t ret[TABLE_WORDS])
{
	size_t next = lh_vec_count_before(&table->words, item, item->addr < addr), found = 0;
	for (size_t i = 0; i < TABLE_WORDS; i++)
		ret[i] = 0;
	for (; next < table->words.count; next++) {
		uint64_t distance = table->words.items[next].addr - addr;
		if (distance >= (uint64_t)TABLE_WORDS * 8)
			break;
		if (distance % 8 == 0 && !ret[distance / 8]) {
			ret[distance / 8] = table->words.items[next].value;
			found++;
		}
	}
	return found;
}

/* How many words are equal; 0 when too few can be compared or too few of them are. */
static size_t table_similarity(const uint64_t a[TABLE_WORDS], const uint64_t b[TABLE_WORDS])
{
	size_t comparable = 0, equal = 0;
	for (size_t i = 0; i < TABLE_WORDS; i++) {
		comparable += a[i] && b[i];
		equal += a[i] && a[i] == b[i];
	}
	bool is_similar = comparable >= COMPARABLE_WORDS_MIN && equal * 100 >= comparable * SIMILAR_PERCENT;
	return is_similar ? equal : 0;
}

const struct lh_table_entry *lh_method_tables_find(const struct lh_module_table *table, uint64_t addr)
{
	uint64_t words[TABLE_WORDS], named[TABLE_WORDS];
	if (addr % 8 || read_table(table, addr, words) < COMPARABLE_WORDS_MIN)
		return NULL;
	const struct lh_table_entry *best = NULL;
	size_t best_equal = 0;
	for (size_t i = 0; i < table->accessors.items.count; i++) {
		const struct lh_table_entry *entry = &table->accessors.items.items[i];
		size_t equal = read_table(table, entry->start, named) ? table_similarity(words, named) : 0;
		if (equal > best_equal) {
			best = entry;
			best_equal = equal;
		}
	}
	return best;
}
