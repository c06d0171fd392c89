/*
 * regions_parse: texts of /proc/PID/maps and smaps into regions, line by line, in pieces as they come.
 * Input: hostile text of any kernel since 2.6.32. Output: regions in ascending order; lines that were not
 * understood and regions out of order are counted, never guessed at. Gigabytes of text
 * a second: no allocation a line, and a quick way for lines that look as they did in the mapping before.
 */
#include "pasted_text.h"
#include "regions.h"

#include <stdlib.h>
#include <string.h>

/* A line being taken apart. A failed step leaves `at` NULL, and later steps do nothing. */
struct scan {
	const char *at;
	const char *end;
};

static const int8_t hex_values[256] = {
	['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
	['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

static uint64_t scan_hex(struct scan *scan)
{
	uint64_t value = 0;
	const char *at = scan->at;
	if (!at)
		return 0;
	for (; at < scan->end; at++) {
		int digit = hex_values[(uint8_t)*at] - 1;
		if (digit < 0)
			break;
		value = value << 4 | (uint64_t)digit;
	}
	bool is_number = at > scan->at && at - scan->at <= 16;
	scan->at = is_number ? at : NULL;
	return value;
}

static uint64_t scan_decimal(struct scan *scan)
{
	uint64_t value = 0;
	const char *at = scan->at;
	if (!at)
		return 0;
	for (; at < scan->end && (unsigned)(*at - '0') < 10; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	bool is_number = at > scan->at && at - scan->at <= 20;
	scan->at = is_number ? at : NULL;
	return value;
}

static void scan_byte(struct scan *scan, char byte)
{
	if (!scan->at)
		return;
	scan->at = scan->at < scan->end && *scan->at == byte ? scan->at + 1 : NULL;
}

/* "rw-p": each letter or a dash. */
static void scan_permissions(struct scan *scan, struct lh_region *region)
{
	if (!scan->at || scan->end - scan->at < 4) {
		scan->at = NULL;
		return;
	}
	const char *bits = scan->at;
	bool is_valid = (bits[0] == 'r' || bits[0] == '-') && (bits[1] == 'w' || bits[1] == '-') &&
			(bits[2] == 'x' || bits[2] == '-') && (bits[3] == 's' || bits[3] == 'p');
	region->protection = (uint8_t)((bits[0] == 'r') * LH_PROT_READ | (bits[1] == 'w') * LH_PROT_WRITE |
				       (bits[2] == 'x') * LH_PROT_EXEC);
	region->is_shared = bits[3] == 's';
	scan->at = is_valid ? bits + 4 : NULL;
}

/* "08048000-08056000 r-xp 00000000 03:0c 64593   /usr/sbin/gpm": leaves `at` at the name. */
static bool scan_header(struct scan *scan, struct lh_region *ret)
{
	ret->start = scan_hex(scan);
	scan_byte(scan, '-');
	ret->end = scan_hex(scan);
	scan_byte(scan, ' ');
	scan_permissions(scan, ret);
	scan_byte(scan, ' ');
	ret->file_offset = scan_hex(scan);
	scan_byte(scan, ' ');
	ret->device_major = (uint32_t)scan_hex(scan);
	scan_byte(scan, ':');
	ret->device_minor = (uint32_t)scan_hex(scan);
	scan_byte(scan, ' ');
	ret->inode = scan_decimal(scan);
	if (!scan->at || (scan->at < scan->end && *scan->at != ' '))
		return false;
	while (scan->at < scan->end && *scan->at == ' ')
		scan->at++;
	return ret->start < ret->end && !((ret->start | ret->end) % LH_PAGE_BYTES);
}

/* The kernel writes a newline in a name as "\012", and nothing else escaped (fs/proc/task_mmu.c, seq_path). */
static struct lh_error *unescape_name(struct lh_strings_pool *pool, const char *name, size_t length, const char **ret)
{
	LH_CLEANUP(lh_cleanup_free) char *plain = malloc(length);
	if (!plain)
		return lh_error_no_memory();
	size_t plain_bytes = 0;
	for (size_t i = 0; i < length; i++) {
		bool is_newline = length - i >= 4 && !memcmp(name + i, "\\012", 4);
		plain[plain_bytes++] = name[i];
		if (!is_newline)
			continue;
		plain[plain_bytes - 1] = '\n';
		i += 3;
	}
	return lh_strings_pool_add(pool, plain, plain_bytes, ret);
}

static struct lh_error *set_name(struct lh_region_list *list, const struct scan *scan, struct lh_region *region)
{
	static const char deleted[] = " (deleted)";
	const size_t deleted_bytes = sizeof(deleted) - 1;
	size_t length = (size_t)(scan->end - scan->at);
	region->name = region->thread_name = "";
	if (!length)
		return NULL;
	if (length > deleted_bytes && !memcmp(scan->end - deleted_bytes, deleted, deleted_bytes)) {
		length -= deleted_bytes;
		region->is_deleted = true;
	}
	if (memchr(scan->at, '\\', length))
		return unescape_name(&list->strings, scan->at, length, &region->name);
	return lh_strings_pool_add(&list->strings, scan->at, length, &region->name);
}

static struct lh_region *last_region(struct lh_regions_parser *parser)
{
	struct lh_region_list *list = parser->list;
	return list->regions.count ? &list->regions.items[list->regions.count - 1] : NULL;
}

static void end_region(struct lh_regions_parser *parser)
{
	if (parser->position)
		memcpy(parser->closing_key, parser->key, sizeof(parser->closing_key));
	parser->is_in_region = parser->is_dropping = false;
	parser->position = 0;
}

/*
 * A text that was torn shows a mapping twice, but goes on behind it. Two mappings in a row that lie below the last
 * one are the beginning of another text.
 */
static void drop_region(struct lh_regions_parser *parser, const struct lh_region *region, const struct lh_region *last)
{
	bool is_lower = region->end <= last->start;
	parser->has_restarted |= is_lower && parser->lower_end && region->start >= parser->lower_end;
	parser->lower_end = is_lower ? region->end : 0;
	parser->list->dropped_regions++;
	parser->is_dropping = true;
}

/*
 * The kernel continues each read(2) at the end of the last mapping shown, and shows the mapping there as a whole
 * (fs/proc/task_mmu.c, m_start, Linux 6.18). If a mapping grows or merges with its neighbors in between, it appears
 * again, and covers what was shown of it: what is shown last is complete. False: it covers only a part.
 */
static bool forget_covered(struct lh_region_list *list, const struct lh_region *region)
{
	size_t kept = list->regions.count;
	while (kept && list->regions.items[kept - 1].start >= region->start &&
	       list->regions.items[kept - 1].end <= region->end)
		kept--;
	if (kept && list->regions.items[kept - 1].end > region->start)
		return false;
	list->regions.count = kept;
	return true;
}

static struct lh_error *take_region_header(struct lh_regions_parser *parser, const char *line, size_t length)
{
	struct scan scan = {.at = line, .end = line + length};
	struct lh_region region = {0};
	end_region(parser);
	if (!scan_header(&scan, &region)) {
		parser->list->skipped_lines++;
		return NULL;
	}
	if (scan.end - scan.at == 8 && !memcmp(scan.at, "[rollup]", 8)) {
		parser->has_rollup = parser->is_dropping = true;
		return NULL;
	}
	const struct lh_region *before = last_region(parser);
	bool is_out_of_order = before && region.start < before->end;
	if (is_out_of_order && !(parser->is_live && forget_covered(parser->list, &region))) {
		drop_region(parser, &region, before);
		return NULL;
	}
	parser->lower_end = 0;
	LH_TRY(set_name(parser->list, &scan, &region));
	parser->is_in_region = true;
	return lh_vec_push(&parser->list->regions, region);
}

/* "VmFlags: rd wr mr mw me ac sd": two letters each (proc.rst). */
static void take_vm_flags(struct lh_region *region, const char *at, const char *end)
{
	for (; end - at >= 3; at += 3) {
		if (at[1] == 'h' && at[2] == 't')
			region->is_hugetlb = true;
		else if (at[1] == 'd' && at[2] == 'd')
			region->is_dontdump = true;
		else if ((at[1] == 'i' && at[2] == 'o') || (at[1] == 'p' && at[2] == 'f'))
			region->is_io = true;
		else if (at[1] == 'd' && at[2] == 'c')
			region->is_dontfork = true;
		else if (at[1] == 'w' && at[2] == 'f')
			region->is_wipeonfork = true;
		else if (at[1] == 'u' && (at[2] == 'm' || at[2] == 'w' || at[2] == 'i'))
			region->is_userfault = true;
	}
}

/* Before VmFlags (Linux 3.8), only the page size tells hugetlbfs: 2 MiB or more. */
static bool is_huge_page_size(const char *line, size_t length)
{
	static const char key[] = "KernelPageSize:";
	if (length < sizeof(key) || memcmp(line, key, sizeof(key) - 1) != 0)
		return false;
	struct scan scan = {.at = line + sizeof(key) - 1, .end = line + length};
	while (scan.at < scan.end && *scan.at == ' ')
		scan.at++;
	return scan_decimal(&scan) >= 1024;
}

/* Fields that stand where they stood in the mapping before. Returns the bytes that they took. */
static size_t take_expected_fields(struct lh_regions_parser *parser, const char *text, size_t length)
{
	bool has_place = parser->is_in_region || parser->is_dropping;
	if (!has_place || parser->position >= LH_SMAPS_FIELDS_MAX)
		return 0;
	struct lh_usage *usage = parser->is_in_region ? &last_region(parser)->usage : &parser->dropped_usage;
	size_t count = lh_usage_expected_lines(text, length, parser->guesses + parser->position,
					       LH_SMAPS_FIELDS_MAX - parser->position, usage);
	size_t bytes = count * LH_EXPECTED_LINE_BYTES;
	if (count)
		memcpy(parser->key, text + bytes - LH_EXPECTED_LINE_BYTES, sizeof(parser->key));
	parser->position += (uint32_t)count;
	return bytes;
}

static void take_smaps_field(struct lh_regions_parser *parser, const char *line, size_t length)
{
	static const char flags_key[] = "VmFlags:";
	struct lh_field_guess no_guess = {0};
	struct lh_region *region = parser->is_in_region ? last_region(parser) : NULL;
	struct lh_usage *usage = region ? &region->usage : &parser->dropped_usage;
	if ((!region && !parser->is_dropping) || length < sizeof(parser->key)) {
		parser->list->skipped_lines++;
		return;
	}
	bool has_guess = parser->position < LH_SMAPS_FIELDS_MAX;
	struct lh_field_guess *guess = has_guess ? &parser->guesses[parser->position] : &no_guess;
	parser->position++;
	memcpy(parser->key, line, sizeof(parser->key));
	if (!memcmp(line, flags_key, sizeof(flags_key) - 1)) {
		if (region) {
			region->is_hugetlb = false;
			take_vm_flags(region, line + sizeof(flags_key) - 1, line + length);
		}
		return;
	}
	switch (lh_usage_field_parse(line, length, guess, usage)) {
	case LH_FIELD_TAKEN:
		parser->list->has_usage |= region != NULL;
		break;
	case LH_FIELD_UNKNOWN:
		if (region && line[0] == 'K' && is_huge_page_size(line, length))
			region->is_hugetlb = true;
		break;
	case LH_FIELD_BAD:
		parser->list->skipped_lines++;
		break;
	}
}

/* Addresses are lower-case hex; keys begin with a capital. */
static struct lh_error *take_line(struct lh_regions_parser *parser, const char *line, size_t length)
{
	if (!length)
		return NULL;
	if (*line >= 'A' && *line <= 'Z') {
		take_smaps_field(parser, line, length);
		return NULL;
	}
	return take_region_header(parser, line, length);
}

/* A field without its newline: whole only if it ends as the kernel ends it, with the unit, or a blank after flags. */
static bool is_cut_line(const char *line, size_t length)
{
	bool is_field = *line >= 'A' && *line <= 'Z';
	bool has_unit = length > 3 && !memcmp(line + length - 3, " kB", 3);
	bool is_flags = length > 1 && line[0] == 'V' && line[length - 1] == ' ' && line[length - 2] != ':';
	return is_field && !has_unit && !is_flags;
}

struct lh_error *lh_regions_parser_feed(struct lh_regions_parser *parser, const char *text, size_t length, bool is_last,
					size_t *ret_consumed)
{
	const char *at = text, *end = text + length;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		if (!newline && !is_last)
			break;
		const char *line_end = newline ? newline : end;
		if (!newline && is_cut_line(at, (size_t)(end - at)))
			parser->list->skipped_lines++;
		else
			LH_TRY(take_line(parser, at, (size_t)(line_end - at)));
		at = newline ? newline + 1 : end;
		at += take_expected_fields(parser, at, (size_t)(end - at));
	}
	*ret_consumed = (size_t)(at - text);
	return NULL;
}

/* All mappings of one smaps end with the same field: VmFlags, or what the kernel had before that. */
static bool is_cut_off(const struct lh_regions_parser *parser)
{
	if (!parser->list->has_usage || !(parser->is_in_region || parser->is_dropping))
		return false;
	bool is_first = !parser->closing_key[0];
	return !parser->position || (!is_first && memcmp(parser->key, parser->closing_key, sizeof(parser->key)) != 0);
}

struct lh_error *lh_regions_parser_finish(struct lh_regions_parser *parser, const char *what)
{
	if (is_cut_off(parser))
		parser->list->skipped_lines++;
	if (parser->list->regions.count)
		return NULL;
	if (parser->has_rollup)
		return lh_error_hint(
			lh_error_create(LH_ERROR_FORMAT, "%s is a smaps_rollup: one sum, no mappings", what),
			"save /proc/PID/smaps instead");
	return lh_error_hint(
		lh_error_create(LH_ERROR_FORMAT, "%s has no mapping: it is not a maps or smaps text", what),
		"save one with `cat /proc/PID/smaps`");
}

/* A few lines may be torn; where most are not understood, nothing may be concluded from the rest. */
static struct lh_error *check_understood(const struct lh_regions_parser *parser, const char *what)
{
	enum { SKIPPED_MIN = 8 };
	const struct lh_region_list *list = parser->list;
	if (parser->has_restarted)
		return lh_error_hint(lh_error_create(LH_ERROR_FORMAT,
						     "%s holds the mappings of two processes, or of one twice", what),
				     "save each smaps text in a file of its own");
	if (list->skipped_lines <= 2 * list->regions.count + SKIPPED_MIN)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s has %zu lines that are not of maps or smaps", what,
					     list->skipped_lines),
			     "save one with `cat /proc/PID/smaps`");
}

static struct lh_error *parse_regions_text(const char *text, size_t length, const char *what,
					   struct lh_region_list *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_regions_parser parser = {.list = &list};
	size_t consumed;
	LH_TRY(lh_regions_parser_feed(&parser, text, length, true, &consumed));
	LH_TRY(lh_regions_parser_finish(&parser, what));
	LH_TRY(check_understood(&parser, what));
	lh_regions_set_textual_kinds(&list);
	*ret = list;
	list = (struct lh_region_list){0};
	return NULL;
}

/* Most texts are as the kernel wrote them: only what is not understood as that is restored first. */
struct lh_error *lh_regions_parse(const char *text, size_t length, const char *what, struct lh_region_list *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_buffer restored LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = NULL;
	bool is_changed = false;
	if (!length)
		return lh_error_create(LH_ERROR_FORMAT, "%s is empty", what);
	error = parse_regions_text(text, length, what, &list);
	if (error || list.skipped_lines || lh_pasted_text_detect(text, length))
		LH_TRY(lh_pasted_text_restore(text, length, what, &restored, &is_changed));
	if (is_changed) {
		lh_region_list_deinit(&list);
		return parse_regions_text(restored.data ? restored.data : "", restored.length, what, ret);
	}
	if (error) {
		struct lh_error *result = error;
		error = NULL;
		return result;
	}
	*ret = list;
	list = (struct lh_region_list){0};
	return NULL;
}
