/*
 * pasted_text: turns a text of mappings that went through an editor, a mail or a web page back into the kernel's form,
 * and columns of pmap into lines of smaps. Input: hostile text. Output: text for regions_parse, which counts what it
 * cannot parse. Omits no line silently except pmap's titles, rules and sums.
 */
#include "pasted_text.h"

#include "pmap_text.h"

#include <string.h>
#include <strings.h>

static const char byte_order_mark[] = "\xef\xbb\xbf";
static const char no_break_space[] = "\xc2\xa0";

struct line {
	const char *at;
	size_t bytes;
};

/* The next line without its newline; false at the end. */
static bool next_line(struct line *rest, struct line *ret)
{
	if (!rest->bytes)
		return false;
	const char *newline = memchr(rest->at, '\n', rest->bytes);
	size_t bytes = newline ? (size_t)(newline - rest->at) : rest->bytes;
	*ret = (struct line){rest->at, bytes};
	rest->at += bytes + (newline != NULL);
	rest->bytes -= bytes + (newline != NULL);
	return true;
}

/* Bytes of the blank that the line begins with: a space, a tab, a no-break space; 0: none. */
static size_t blank_bytes(struct line line)
{
	if (line.bytes && (*line.at == ' ' || *line.at == '\t'))
		return 1;
	return line.bytes >= 2 && !memcmp(line.at, no_break_space, 2) ? 2 : 0;
}

static void advance_column(struct line *line, size_t bytes)
{
	line->at += bytes;
	line->bytes -= bytes;
}

static void skip_pasted_blanks(struct line *line)
{
	for (size_t bytes; (bytes = blank_bytes(*line));)
		advance_column(line, bytes);
}

static void skip_quotes(struct line *line)
{
	skip_pasted_blanks(line);
	while (line->bytes && *line->at == '>') {
		advance_column(line, 1);
		skip_pasted_blanks(line);
	}
}

static bool ends_in_return(struct line line)
{
	return line.bytes && line.at[line.bytes - 1] == '\r';
}

/* ---------------------------------------------------------------- UTF-16 */

enum byte_order { NOT_UTF_16, LITTLE_ENDIAN_16, BIG_ENDIAN_16 };

/* By its mark, or since every second byte of ASCII is 0 (RFC 2781). */
static enum byte_order find_byte_order(const uint8_t *text, size_t length)
{
	if (length < 4)
		return NOT_UTF_16;
	if ((text[0] == 0xff && text[1] == 0xfe) || (text[0] && !text[1] && text[2] && !text[3]))
		return LITTLE_ENDIAN_16;
	if ((text[0] == 0xfe && text[1] == 0xff) || (!text[0] && text[1] && !text[2] && text[3]))
		return BIG_ENDIAN_16;
	return NOT_UTF_16;
}

/* At most one character; half a surrogate becomes U+FFFD. Returns how many units were consumed. */
static size_t append_character(struct lh_buffer *ret, const uint32_t units[2])
{
	bool is_pair = units[0] >> 10 == 0x36 && units[1] >> 10 == 0x37;
	uint32_t code = is_pair                  ? 0x10000 + ((units[0] & 0x3ff) << 10) + (units[1] & 0x3ff)
			: units[0] >> 11 == 0x1b ? 0xfffd
						 : units[0];
	const uint8_t bytes[4] = {(uint8_t)(0xf0 | code >> 18), (uint8_t)(0x80 | (code >> 12 & 0x3f)),
				  (uint8_t)(0x80 | (code >> 6 & 0x3f)), (uint8_t)(0x80 | (code & 0x3f))};
	const uint8_t two = (uint8_t)(0xc0 | code >> 6), three = (uint8_t)(0xe0 | code >> 12), one = (uint8_t)code;
	if (code < 0x80) {
		lh_buffer_append(ret, &one, 1);
	} else if (code < 0x800) {
		lh_buffer_append(ret, &two, 1);
		lh_buffer_append(ret, bytes + 3, 1);
	} else if (code < 0x10000) {
		lh_buffer_append(ret, &three, 1);
		lh_buffer_append(ret, bytes + 2, 2);
	} else {
		lh_buffer_append(ret, bytes, 4);
	}
	return is_pair ? 2 : 1;
}

static uint32_t unit_at(const uint8_t *text, size_t length, size_t at, enum byte_order order)
{
	if (at + 1 >= length)
		return 0;
	return order == LITTLE_ENDIAN_16 ? (uint32_t)(text[at] | text[at + 1] << 8)
					 : (uint32_t)(text[at] << 8 | text[at + 1]);
}

static void decode_utf_16(const uint8_t *text, size_t length, enum byte_order order, struct lh_buffer *ret)
{
	for (size_t at = 0; at + 1 < length;) {
		const uint32_t units[2] = {unit_at(text, length, at, order), unit_at(text, length, at + 2, order)};
		at += 2 * append_character(ret, units);
	}
}

/* ---------------------------------------------------------------- one line */

/* Up to the next blank. */
static struct line take_pasted_word(struct line *line)
{
	struct line word = {line->at, 0};
	while (line->bytes && !blank_bytes(*line)) {
		advance_column(line, 1);
		word.bytes++;
	}
	return word;
}

static bool is_kilobytes(struct line word)
{
	return (word.bytes == 2 && !strncasecmp(word.at, "kB", 2)) ||
	       (word.bytes == 3 && !strncasecmp(word.at, "KiB", 3));
}

/* Words with one blank between them. */
static void append_words(struct lh_buffer *ret, struct line line)
{
	for (bool is_first = true; line.bytes; is_first = false) {
		struct line word = take_pasted_word(&line);
		skip_pasted_blanks(&line);
		lh_buffer_append(ret, " ", is_first ? 0 : 1);
		lh_buffer_append(ret, word.at, word.bytes);
	}
}

/* "VmFlags: rd wr ": the kernel ends them with a blank. */
static void append_flags(struct lh_buffer *ret, struct line line)
{
	bool has_end = line.at[line.bytes - 1] == ' ';
	append_words(ret, line);
	lh_buffer_append(ret, " ", has_end ? 1 : 0);
}

/* "Rss:                  12 kB": key and number as wide as the kernel writes them. */
static void append_field(struct lh_buffer *ret, struct line line)
{
	static const char blanks[] = "                ";
	struct line key = take_pasted_word(&line), number = {0};
	skip_pasted_blanks(&line);
	if (line.bytes && *line.at >= '0' && *line.at <= '9')
		number = take_pasted_word(&line);
	skip_pasted_blanks(&line);
	lh_buffer_append(ret, key.at, key.bytes);
	lh_buffer_append(ret, blanks, key.bytes < 16 ? 16 - key.bytes : 1);
	lh_buffer_append(ret, blanks, number.bytes < 8 ? 8 - number.bytes : 0);
	lh_buffer_append(ret, number.at ? number.at : "", number.bytes);
	lh_buffer_append(ret, " ", line.bytes ? 1 : 0);
	struct line rest = line, unit = take_pasted_word(&rest);
	skip_pasted_blanks(&rest);
	if (is_kilobytes(unit) && !rest.bytes)
		lh_buffer_puts(ret, "kB");
	else
		append_words(ret, line);
}

/* Five words with one blank behind each; the name as it is, which may hold any of these bytes. */
static void append_header(struct lh_buffer *ret, struct line line)
{
	enum { COLUMNS = 5 };
	for (int i = 0; i < COLUMNS && line.bytes; i++) {
		struct line word = take_pasted_word(&line);
		skip_pasted_blanks(&line);
		lh_buffer_append(ret, word.at, word.bytes);
		lh_buffer_puts(ret, " ");
	}
	lh_buffer_append(ret, line.at, line.bytes);
}

static bool is_pasted_header(struct line line)
{
	size_t digits = 0;
	while (digits < line.bytes && strchr("0123456789abcdef", line.at[digits]) && line.at[digits])
		digits++;
	return digits && digits < line.bytes && line.at[digits] == '-';
}

static bool is_field(struct line line)
{
	const char *colon = memchr(line.at, ':', line.bytes);
	return line.bytes && *line.at >= 'A' && *line.at <= 'Z' && colon &&
	       !memchr(line.at, ' ', (size_t)(colon - line.at));
}

static void append_pasted_line(struct lh_buffer *ret, struct line line, bool has_returns)
{
	if (has_returns && ends_in_return(line))
		line.bytes--;
	skip_quotes(&line);
	if (is_pasted_header(line))
		append_header(ret, line);
	else if (!is_field(line))
		append_words(ret, line);
	else if (*line.at == 'V')
		append_flags(ret, line);
	else
		append_field(ret, line);
}

/* ---------------------------------------------------------------- all of it */

bool lh_pasted_text_detect(const char *text, size_t length)
{
	struct line rest = {text, length}, first = {0};
	bool has_line = next_line(&rest, &first) && first.bytes;
	return has_line && (ends_in_return(first) || !is_pasted_header(first));
}

static void restore_lines(const char *text, size_t length, struct lh_buffer *ret)
{
	struct line rest = {text, length}, line, first = {0};
	bool has_mark = length >= 3 && !memcmp(text, byte_order_mark, 3);
	advance_column(&rest, has_mark ? 3 : 0);
	struct line ahead = rest;
	next_line(&ahead, &first);
	while (next_line(&rest, &line)) {
		bool has_newline = line.at + line.bytes < text + length;
		append_pasted_line(ret, line, ends_in_return(first));
		lh_buffer_append(ret, "\n", has_newline ? 1 : 0);
	}
}

struct lh_error *lh_pasted_text_restore(const char *text, size_t length, const char *what, struct lh_buffer *ret,
					bool *ret_is_changed)
{
	struct lh_buffer utf_8 LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer lines LH_CLEANUP(lh_buffer_deinit) = {0};
	enum byte_order order = find_byte_order((const uint8_t *)text, length);
	if (order != NOT_UTF_16)
		decode_utf_16((const uint8_t *)text, length, order, &utf_8);
	LH_TRY(lh_buffer_status(&utf_8));
	restore_lines(utf_8.data ? utf_8.data : text, utf_8.data ? utf_8.length : length, &lines);
	LH_TRY(lh_buffer_status(&lines));
	LH_TRY(lh_pmap_text_translate(lines.data ? lines.data : "", lines.length, what, ret));
	LH_TRY(lh_buffer_status(ret));
	*ret_is_changed = ret->length != length || (length && memcmp(ret->data, text, length) != 0);
	return NULL;
}
