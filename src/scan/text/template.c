/*
 * template: reads a text once and finds the values in it. What counts as a value is decided by its form:
 *
 *   GET /api/v2/session/4711?at=2024-05-01T10:00:00Z&id=6f1f8c1e-58a4-4f0c-9b1d-2f6c3a1b9d77
 *           ^           ^^^^    ^^^^^^^^^^^^^^^^^^^^    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
 *   number  2           4711    date                    UUID (RFC 9562)
 *
 * A value that is the same in all texts of a template is no difference: collect_texts.c tells which are.
 */
#include "template.h"
#include "scan/recognize/recognize.h"

#include <string.h>
#include <xxhash.h>

enum { HEX_MIN = 8, TOKEN_MIN = 16, BASE64_MIN = 24 };

/* The text, as far as it is read. */
struct reader {
	const uint8_t *text;
	size_t length;
	size_t token_end; /* of the run of token bytes that was measured last: all places in it share its end */
};

#define TOKEN_BYTES (LH_BYTES_BASE64 | LH_BYTE_DASH | LH_BYTE_UNDERSCORE)

const char *lh_value_placeholder(enum lh_value_kind kind)
{
	static const char *const placeholders[] = {
		[LH_VALUE_NUMBER] = "<n>",    [LH_VALUE_HEX] = "<hex>",      [LH_VALUE_UUID] = "<uuid>",
		[LH_VALUE_DATE] = "<date>",   [LH_VALUE_ADDRESS] = "<addr>", [LH_VALUE_IP] = "<ip>",
		[LH_VALUE_TOKEN] = "<token>",
	};
	return placeholders[kind];
}

static size_t span_of(const struct reader *reader, size_t at, unsigned classes)
{
	size_t end = at;
	while (end < reader->length && lh_byte_is(reader->text[end], classes))
		end++;
	return end - at;
}

/*
 * The bytes that follow a form at `at`: d a digit, x a hexadecimal one, a a letter, all else itself; 0 when they
 * don't follow it.
 */
static size_t follows_shape(const struct reader *reader, size_t at, const char *form)
{
	size_t i = 0;
	for (; form[i]; i++) {
		if (at + i >= reader->length)
			return 0;
		uint8_t byte = reader->text[at + i];
		bool holds = form[i] == 'd'   ? lh_byte_is(byte, LH_BYTE_DIGIT)
			     : form[i] == 'x' ? lh_byte_is(byte, LH_BYTES_HEX)
			     : form[i] == 'a' ? lh_byte_is(byte, LH_BYTES_ALPHA)
					      : byte == (uint8_t)form[i];
		if (!holds)
			return 0;
	}
	return i;
}

static size_t follows_any(const struct reader *reader, size_t at, const char *const *forms)
{
	for (; *forms; forms++) {
		size_t length = follows_shape(reader, at, *forms);
		if (length)
			return length;
	}
	return 0;
}

/* ---------------------------------------------------------------- forms */

/* "10:00:00.123456+02:00" and shorter, after a date or alone. */
static size_t time_length(const struct reader *reader, size_t at)
{
	static const char *const zones[] = {"+dd:dd", "-dd:dd", "+dddd", "-dddd", " +dddd", " -dddd", NULL};
	size_t length = follows_shape(reader, at, "dd:dd:dd");
	if (!length)
		return 0;
	if (at + length < reader->length && (reader->text[at + length] == '.' || reader->text[at + length] == ',')) {
		size_t digits = span_of(reader, at + length + 1, LH_BYTE_DIGIT);
		length += digits ? 1 + digits : 0;
	}
	if (at + length < reader->length && reader->text[at + length] == 'Z')
		return length + 1;
	return length + follows_any(reader, at + length, zones);
}

/* Whether one of the separators follows after `bytes` of a form at `at`. */
static bool is_separated(const struct reader *reader, size_t at, size_t bytes, const char separators[3])
{
	uint8_t byte = reader->length - at > bytes ? reader->text[at + bytes] : 0;
	return byte && memchr(separators, byte, 3);
}

/* ISO 8601, also with slashes; the common log format; RFC 9110 section 5.6.7 without the day's name; a time. */
static size_t date_length(struct reader *reader, size_t at)
{
	static const char *const dates[] = {"dddd-dd-dd", "dddd/dd/dd", "dd/aaa/dddd", "dd aaa dddd", NULL};
	if (!is_separated(reader, at, 4, "-/-") && !is_separated(reader, at, 2, "/ :"))
		return 0;
	size_t length = follows_any(reader, at, dates);
	if (!length)
		return time_length(reader, at);
	if (at + length < reader->length && strchr("T :", reader->text[at + length])) {
		size_t time = time_length(reader, at + length + 1);
		length += time ? 1 + time : 0;
	}
	return length;
}

static size_t uuid_length(struct reader *reader, size_t at)
{
	if (!is_separated(reader, at, 8, "---"))
		return 0;
	return follows_shape(reader, at, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
}

static size_t ip_length(struct reader *reader, size_t at)
{
	size_t end = at;
	for (unsigned part = 0; part < 4; part++) {
		if (part && (end >= reader->length || reader->text[end++] != '.'))
			return 0;
		size_t digits = span_of(reader, end, LH_BYTE_DIGIT);
		if (!digits || digits > 3)
			return 0;
		end += digits;
	}
	return end - at;
}

/* How often the kind of character changes: seldom in words of any language, often in what chance has written. */
static bool looks_random(const uint8_t *text, size_t length)
{
	size_t changes = 0;
	unsigned seen = 0, last = 0;
	for (size_t i = 0; i < length; i++) {
		unsigned kind = lh_byte_is(text[i], LH_BYTE_DIGIT)    ? 1
				: lh_byte_is(text[i], LH_BYTES_LOWER) ? 2
				: lh_byte_is(text[i], LH_BYTES_UPPER) ? 4
								      : 8;
		changes += last && kind != last;
		seen |= kind;
		last = kind;
	}
	return (seen & 1) && (seen & 6) && changes * 3 >= length;
}

static size_t base64_length(struct reader *reader, size_t at)
{
	if (at >= reader->token_end)
		reader->token_end = at + span_of(reader, at, TOKEN_BYTES);
	size_t length = reader->token_end - at;
	if (length < BASE64_MIN || span_of(reader, at, LH_BYTES_HEX) == length /* a word for word_value */ ||
	    !looks_random(reader->text + at, length))
		return 0;
	while (at + length < reader->length && reader->text[at + length] == '=')
		length++;
	return length;
}

/* ---------------------------------------------------------------- words */

static bool is_hex(const uint8_t *word, size_t length)
{
	bool has_digit = false;
	for (size_t i = 0; i < length; i++) {
		if (!lh_byte_is(word[i], LH_BYTES_HEX))
			return false;
		has_digit |= lh_byte_is(word[i], LH_BYTE_DIGIT);
	}
	return has_digit;
}

static bool all_of(const uint8_t *word, size_t length, unsigned classes)
{
	return span_of(&(struct reader){.text = word, .length = length}, 0, classes) == length;
}

/* A whole word of letters and digits that is a value; false when at most its digits are. */
static bool word_value(const uint8_t *word, size_t length, enum lh_value_kind *ret)
{
	if (length > 2 && word[0] == '0' && word[1] == 'x' && all_of(word + 2, length - 2, LH_BYTES_HEX))
		*ret = LH_VALUE_ADDRESS;
	else if (all_of(word, length, LH_BYTE_DIGIT))
		*ret = LH_VALUE_NUMBER;
	else if (length >= HEX_MIN && is_hex(word, length))
		*ret = LH_VALUE_HEX;
	else if (length >= TOKEN_MIN && looks_random(word, length))
		*ret = LH_VALUE_TOKEN;
	else
		return false;
	return true;
}

/* A form that begins with the word at `at` and may go on behind it. */
static size_t form_value(struct reader *reader, size_t at, enum lh_value_kind *ret)
{
	static const struct {
		size_t (*length_of)(struct reader *reader, size_t at);
		enum lh_value_kind kind;
		unsigned first; /* classes of its first byte */
	} forms[] = {
		{uuid_length, LH_VALUE_UUID, LH_BYTES_HEX},
		{date_length, LH_VALUE_DATE, LH_BYTE_DIGIT},
		{ip_length, LH_VALUE_IP, LH_BYTE_DIGIT},
		{base64_length, LH_VALUE_TOKEN, LH_BYTES_ALNUM},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(forms); i++) {
		size_t length = lh_byte_is(reader->text[at], forms[i].first) ? forms[i].length_of(reader, at) : 0;
		bool ends = at + length == reader->length || !lh_byte_is(reader->text[at + length], LH_BYTES_ALNUM);
		if (length && ends) {
			*ret = forms[i].kind;
			return length;
		}
	}
	return 0;
}

/* ---------------------------------------------------------------- the template */

/* The text with its values replaced; a value takes two bytes that no run holds, so there is room. */
struct writer {
	struct lh_template *template;
	uint8_t shape[2 * LH_TEMPLATE_SEEN_BYTES];
	size_t length;
};

static void write_value(struct writer *writer, size_t start, size_t end, enum lh_value_kind kind)
{
	struct lh_template *template = writer->template;
	writer->shape[writer->length++] = 0;
	writer->shape[writer->length++] = (uint8_t)(1 + kind);
	if (template->value_count < LH_TEMPLATE_VALUES_MAX)
		template->values[template->value_count++] = (struct lh_value){(uint16_t)start, (uint16_t)end, kind};
}

static void write_plain(struct writer *writer, const uint8_t *bytes, size_t length)
{
	memcpy(writer->shape + writer->length, bytes, length);
	writer->length += length;
}

/* A word that is no value as a whole: its digits are. */
static void write_word(struct writer *writer, const struct reader *reader, size_t at, size_t end)
{
	while (at < end) {
		size_t letters = lh_min_u64(span_of(reader, at, LH_BYTES_ALPHA), end - at);
		write_plain(writer, reader->text + at, letters);
		at += letters;
		size_t digits = lh_min_u64(span_of(reader, at, LH_BYTE_DIGIT), end - at);
		if (digits)
			write_value(writer, at, at + digits, LH_VALUE_NUMBER);
		at += digits;
	}
}

static size_t next_digit(const struct reader *reader, size_t at)
{
	const uint64_t each = 0x0101010101010101;
	for (uint64_t word; reader->length - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, reader->text + at, sizeof(word));
		word ^= each * '0';
		if ((word - each * 10) & ~word & each * 0x80) /* a byte is less than 10 */
			break;
	}
	while (at < reader->length && !lh_byte_is(reader->text[at], LH_BYTE_DIGIT))
		at++;
	return at;
}

/*
 * Bytes from `at` on, where a word may begin, that hold no value; behind them a word may begin, too. Each value holds a
 * digit, and begins with it or in the run of the characters of base64 around it. Only a UUID can be of letters alone.
 */
static size_t plain_bytes(const struct reader *reader, size_t at, size_t digit)
{
	enum { UUID_BYTES = 36 };
	size_t end = digit;
	while (end < reader->length && end > at && lh_byte_is(reader->text[end - 1], TOKEN_BYTES))
		end--;
	bool may_hold_uuid = end - at >= UUID_BYTES && memchr(reader->text + at, '-', end - at);
	return may_hold_uuid ? 0 : end - at;
}

struct lh_template_start lh_template_begin(const uint8_t *text, size_t length)
{
	struct reader reader = {.text = text, .length = lh_min_u64(length, LH_TEMPLATE_SEEN_BYTES)};
	size_t digit = next_digit(&reader, 0);
	return (struct lh_template_start){digit, plain_bytes(&reader, 0, digit)};
}

/*
 * Every value holds a digit and lies, but for a form's dots, colons and blanks between digits and for padding, in the
 * run of the characters of base64 around one. So the first such run with a digit begins behind the same literal in all
 * texts of a template, and what follows the last one and its padding is the same.
 */
uint64_t lh_template_frame(const uint8_t *text, size_t length, struct lh_template_start start)
{
	struct reader reader = {.text = text, .length = lh_min_u64(length, LH_TEMPLATE_SEEN_BYTES)};
	size_t before = start.plain_bytes, end = reader.length;
	while (end > before && !lh_byte_is(text[end - 1], LH_BYTE_DIGIT))
		end--;
	while (end < reader.length && (text[end] == '=' || lh_byte_is(text[end], TOKEN_BYTES)))
		end++;
	return XXH3_64bits(text, before) ^ XXH3_64bits_withSeed(text + end, reader.length - end, 1);
}

void lh_template_read(const uint8_t *text, size_t length, struct lh_template_start start, struct lh_template *ret)
{
	struct reader reader = {.text = text, .length = lh_min_u64(length, LH_TEMPLATE_SEEN_BYTES)};
	struct writer writer;
	writer.template = ret;
	writer.length = 0;
	ret->value_count = 0;
	size_t digit = start.first_digit;
	write_plain(&writer, text, start.plain_bytes);
	for (size_t at = start.plain_bytes; at < reader.length;) {
		if (at >= digit) {
			digit = next_digit(&reader, at);
			size_t plain = plain_bytes(&reader, at, digit);
			write_plain(&writer, text + at, plain);
			at += plain;
			if (at == reader.length)
				break;
		}
		size_t word = span_of(&reader, at, LH_BYTES_ALNUM);
		enum lh_value_kind kind;
		size_t form = word ? form_value(&reader, at, &kind) : 0;
		if (form || (word && word_value(text + at, word, &kind))) {
			size_t end = at + (form ? form : word);
			write_value(&writer, at, end, kind);
			at = end;
			continue;
		}
		if (word)
			write_word(&writer, &reader, at, at + word);
		else
			write_plain(&writer, text + at, 1);
		at += word ? word : 1;
	}
	ret->hash = XXH3_64bits(writer.shape, writer.length);
}
