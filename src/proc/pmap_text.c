/*
 * pmap_text: rows of a table of pmap (procps-ng, pmap.c) into lines of smaps. Input: hostile text, one line a mapping,
 * a title over each column. Output: a header and a line "Key: N kB" for each column that smaps has. Names are as short
 * as pmap shows them.
 *
 *   Address           Kbytes     RSS   Dirty Mode  Mapping                               pmap -x
 *            Address Perm   Offset Device    Inode  Size   Rss   Pss ... Mapping         pmap -X, -XX
 */
#include "pmap_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 64 };

struct word {
	const char *at;
	size_t bytes;
};

struct pmap_table {
	struct word columns[COLUMNS_MAX];
	size_t count; /* 0: no table yet */
};

/* One row in its parts; "" where the table has no such column. */
struct pmap_row {
	uint64_t start;
	uint64_t kib;
	char permissions[5];
	struct word offset, device, inode, name;
};

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* The next word of [*at, end); empty at the end. */
static struct word take_pmap_word(const char **at, const char *end)
{
	while (*at < end && is_blank(**at))
		(*at)++;
	struct word word = {*at, 0};
	while (*at < end && !is_blank(**at))
		(*at)++;
	word.bytes = (size_t)(*at - word.at);
	return word;
}

static bool word_is(struct word word, const char *text)
{
	return word.bytes == strlen(text) && !memcmp(word.at, text, word.bytes);
}

static bool has_column(const struct pmap_table *table, const char *title)
{
	for (size_t i = 0; i < table->count; i++) {
		if (word_is(table->columns[i], title))
			return true;
	}
	return false;
}

static bool read_titles(const char *at, const char *end, struct pmap_table *ret)
{
	struct pmap_table table = {0};
	for (struct word word; (word = take_pmap_word(&at, end)).bytes && table.count < COLUMNS_MAX;)
		table.columns[table.count++] = word;
	if (table.count < 4 || !word_is(table.columns[0], "Address") ||
	    !word_is(table.columns[table.count - 1], "Mapping"))
		return false;
	*ret = table;
	return true;
}

static bool read_pmap_number(struct word word, int base, uint64_t *ret)
{
	char text[24], *end;
	if (!word.bytes || word.bytes >= sizeof(text) || *word.at == '-' || *word.at == '+')
		return false;
	memcpy(text, word.at, word.bytes);
	text[word.bytes] = '\0';
	*ret = strtoull(text, &end, base);
	return !*end;
}

/* pmap's "rw-s-" is the kernel's "rw-s"; a dash in the fourth place is 'p'. */
static bool read_permissions(struct word word, char ret[5])
{
	if (word.bytes < 4 || word.bytes > 5)
		return false;
	memcpy(ret, word.at, 4);
	ret[3] = ret[3] == 's' ? 's' : 'p';
	ret[4] = '\0';
	return true;
}

/* "[ anon ]" of pmap -x is memory without a name, "[ stack ]" is "[stack]". */
static struct word plain_name(struct word name)
{
	if (word_is(name, "[ anon ]"))
		return (struct word){name.at, 0};
	return word_is(name, "[ stack ]") ? (struct word){"[stack]", 7} : name;
}

static bool is_flag(struct word word)
{
	return word.bytes == 2 && word.at[0] >= 'a' && word.at[0] <= 'z' && word.at[1] >= 'a' && word.at[1] <= 'z';
}

/* "VmFlags" has several words; the first word that is no flag belongs to the name. */
static struct word take_pmap_flags(const char **at, const char *end)
{
	struct word flags = {*at, 0};
	for (const char *next = *at;;) {
		struct word word = take_pmap_word(&next, end);
		if (!is_flag(word))
			break;
		flags.at = flags.bytes ? flags.at : word.at;
		flags.bytes = (size_t)(next - flags.at);
		*at = next;
	}
	return flags;
}

/* "Rss:                  12 kB": as wide as the kernel writes them. */
static void append_pmap_field(struct lh_buffer *ret, struct word title, struct word value)
{
	char key[32];
	if (title.bytes + 2 > sizeof(key))
		return;
	if (word_is(title, "RSS"))
		title = (struct word){"Rss", 3};
	else if (word_is(title, "Dirty"))
		title = (struct word){"Private_Dirty", 13};
	memcpy(key, title.at, title.bytes);
	memcpy(key + title.bytes, ":", 2);
	if (word_is(title, "VmFlags"))
		lh_buffer_printf(ret, "%s %.*s \n", key, (int)value.bytes, value.at);
	else
		lh_buffer_printf(ret, "%-16s%8.*s kB\n", key, (int)value.bytes, value.at);
}

/* Sets what the title names in `row`, or appends it to the fields. */
static bool take_cell(struct word title, struct word value, struct pmap_row *row, struct lh_buffer *fields)
{
	uint64_t number;
	if (word_is(title, "Address"))
		return read_pmap_number(value, 16, &row->start);
	if (word_is(title, "Perm") || word_is(title, "Mode"))
		return read_permissions(value, row->permissions);
	if (word_is(title, "Offset"))
		row->offset = value;
	else if (word_is(title, "Device"))
		row->device = value;
	else if (word_is(title, "Inode"))
		row->inode = value;
	else if (word_is(title, "Size") || word_is(title, "Kbytes"))
		return read_pmap_number(value, 10, &row->kib);
	else if (word_is(title, "VmFlags") || read_pmap_number(value, 10, &number))
		append_pmap_field(fields, title, value);
	else
		return false;
	return true;
}

static bool translate_row(const struct pmap_table *table, const char *at, const char *end, struct lh_buffer *ret)
{
	struct lh_buffer fields LH_CLEANUP(lh_buffer_deinit) = {0};
	struct pmap_row row = {.offset = {"0", 1}, .device = {"00:00", 5}, .inode = {"0", 1}};
	uint64_t bytes, row_end;
	for (size_t i = 0; i + 1 < table->count; i++) {
		struct word title = table->columns[i];
		struct word value = word_is(title, "VmFlags") ? take_pmap_flags(&at, end) : take_pmap_word(&at, end);
		if (!take_cell(title, value, &row, &fields))
			return false;
	}
	while (at < end && is_blank(*at))
		at++;
	while (end > at && is_blank(end[-1]))
		end--;
	row.name = plain_name((struct word){at, (size_t)(end - at)});
	if (!lh_mul_u64(row.kib, LH_KIB, &bytes) || !lh_add_u64(row.start, bytes, &row_end))
		return false;
	lh_buffer_printf(ret, "%08" PRIx64 "-%08" PRIx64 " %s %.*s %.*s %.*s ", row.start, row_end, row.permissions,
			 (int)row.offset.bytes, row.offset.at, (int)row.device.bytes, row.device.at,
			 (int)row.inode.bytes, row.inode.at);
	lh_buffer_append(ret, row.name.at, row.name.bytes);
	lh_buffer_puts(ret, "\n");
	lh_buffer_append(ret, fields.data ? fields.data : "", fields.length);
	return !fields.failed;
}

/* "4711:   /bin/server", a rule of dashes or equal signs, sums: what pmap prints around its rows. */
static bool is_decoration(const char *at, const char *end)
{
	uint64_t number;
	struct word first = take_pmap_word(&at, end);
	if (!first.bytes || word_is(first, "total"))
		return true;
	if (first.bytes > 1 && first.at[first.bytes - 1] == ':')
		return read_pmap_number((struct word){first.at, first.bytes - 1}, 10, &number);
	if (strspn(first.at, "-=") >= first.bytes)
		return true;
	while (end > at && is_blank(end[-1]))
		end--;
	return end - at > 2 && !memcmp(end - 2, "KB", 2);
}

/* "000055d0c0a00000      4K r---- cat" */
static bool is_plain_row(const char *at, const char *end)
{
	uint64_t number;
	char permissions[5];
	struct word address = take_pmap_word(&at, end), size = take_pmap_word(&at, end),
		    mode = take_pmap_word(&at, end);
	return address.bytes >= 8 && read_pmap_number(address, 16, &number) && size.bytes > 1 &&
	       size.at[size.bytes - 1] == 'K' &&
	       read_pmap_number((struct word){size.at, size.bytes - 1}, 10, &number) && mode.bytes == 5 &&
	       read_permissions(mode, permissions);
}

static struct lh_error *refuse_without_usage(const char *what)
{
	return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s is the output of pmap without memory usage", what),
			     "save `pmap -X PID`, or better `cat /proc/PID/smaps`");
}

static struct lh_error *take_titles(const struct pmap_table *titles, const char *what, struct pmap_table *table)
{
	bool has_usage = (has_column(titles, "RSS") && has_column(titles, "Dirty")) ||
			 (has_column(titles, "Rss") && has_column(titles, "Perm"));
	if (!has_usage)
		return refuse_without_usage(what);
	if (table->count)
		return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s holds the mappings of two processes", what),
				     "save the output of pmap for each process in a file of its own");
	*table = *titles;
	return NULL;
}

static struct lh_error *translate_line(const char *at, const char *end, const char *what, struct pmap_table *table,
				       struct lh_buffer *ret)
{
	struct pmap_table titles;
	if (read_titles(at, end, &titles))
		return take_titles(&titles, what, table);
	if (!table->count && is_plain_row(at, end))
		return refuse_without_usage(what);
	if (table->count && (translate_row(table, at, end, ret) || is_decoration(at, end)))
		return NULL;
	lh_buffer_append(ret, at, (size_t)(end - at));
	lh_buffer_puts(ret, "\n");
	return NULL;
}

/* Whether any line is a title row, or a row of plain pmap: most texts have none. */
static bool has_table(const char *text, size_t length)
{
	struct pmap_table titles;
	for (const char *at = text, *end = text + length; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *line_end = newline ? newline : end;
		if (read_titles(at, line_end, &titles) || is_plain_row(at, line_end))
			return true;
		at = newline ? newline + 1 : end;
	}
	return false;
}

/* Before the table: pmap's "PID: command", and words of the sender. */
struct lh_error *lh_pmap_text_translate(const char *text, size_t length, const char *what, struct lh_buffer *ret)
{
	struct pmap_table table = {0};
	if (!has_table(text, length)) {
		lh_buffer_append(ret, text, length);
		return NULL;
	}
	for (const char *at = text, *end = text + length; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *line_end = newline ? newline : end;
		bool is_before = !table.count && is_decoration(at, line_end);
		if (!is_before)
			LH_TRY(translate_line(at, line_end, what, &table, ret));
		at = newline ? newline + 1 : end;
	}
	return NULL;
}
