/*
 * recognize_sql: SQL statements, ISO/IEC 9075-2: SELECT ... FROM, INSERT INTO, UPDATE ... SET, DELETE
 * FROM, CREATE TABLE; all keywords in capitals or all in small letters, the latter only with the
 * punctuation of SQL, since they are also English words. A statement ends at ';', at an empty line, a
 * quote that stands around it, or where text ends; at most 8 KiB.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

enum { STATEMENT_MAX = 8192 };

enum { SELECT, INSERT, UPDATE, DELETE, CREATE };

static const char *const patterns[] = {
	[SELECT] = "SELECT[ \\x0a\\x0d\\x09]",
	[INSERT] = "INSERT INTO ",
	[UPDATE] = "UPDATE ",
	[DELETE] = "DELETE FROM ",
	[CREATE] = "CREATE T(?:ABLE|EMP.) ",
	"select[ \\x0a\\x0d\\x09]",
	"insert into ",
	"update ",
	"delete from ",
	"create t(?:able|emp.) ",
	NULL,
};

enum { KIND_COUNT = 5 };

static const char *const begins[KIND_COUNT] = {
	[SELECT] = "SELECT",       [INSERT] = "INSERT INTO ", [UPDATE] = "UPDATE ",
	[DELETE] = "DELETE FROM ", [CREATE] = "CREATE T",
};

/* An identifier, plain or quoted (also by MySQL's and SQL Server's quotes), or a placeholder. */
static bool identifier_at(const struct lh_candidate *candidate, size_t offset)
{
	while (lh_after_is(candidate, offset, LH_BYTE_BLANK | LH_BYTE_BREAK))
		offset++;
	return lh_after_is(candidate, offset, LH_BYTES_ALPHA | LH_BYTE_UNDERSCORE) ||
	       lh_after_equals(candidate, offset, "\"") || lh_after_equals(candidate, offset, "`") ||
	       lh_after_equals(candidate, offset, "[") || lh_after_equals(candidate, offset, "(") ||
	       lh_after_equals(candidate, offset, "?") || lh_after_equals(candidate, offset, "$");
}

static bool is_end(const struct lh_candidate *candidate, size_t at, uint8_t quote)
{
	uint8_t byte = candidate->anchor[at];
	if (!lh_byte_is(byte, LH_BYTES_TEXT) || (quote && byte == quote))
		return true;
	return byte == '\n' && lh_after_is(candidate, at + 1, LH_BYTE_BREAK);
}

/* Bytes of the statement, a closing ';' included. */
static size_t statement_bytes(const struct lh_candidate *candidate)
{
	size_t limit = lh_min_u64(STATEMENT_MAX, candidate->bytes_after);
	uint8_t before = candidate->bytes_before ? *(candidate->anchor - 1) : 0;
	uint8_t quote = before == '"' || before == '\'' || before == '`' ? before : 0;
	size_t at = 0;
	while (at < limit && !is_end(candidate, at, quote)) {
		if (candidate->anchor[at++] == ';')
			break;
	}
	*candidate->examined += at;
	while (at && lh_byte_is(candidate->anchor[at - 1], LH_BYTE_BLANK | LH_BYTE_BREAK))
		at--;
	return at;
}

/* Whether the statement contains the keyword with white space around it; *ret: the offset after it. */
static bool find_keyword(const struct lh_candidate *candidate, size_t bytes, const char *keyword, size_t *ret)
{
	size_t at = 1;
	while (lh_find_after(candidate, at, bytes, keyword, &at)) {
		size_t end = at + strlen(keyword);
		if (lh_byte_is(candidate->anchor[at - 1], LH_BYTE_BLANK | LH_BYTE_BREAK | LH_BYTE_URL_REST) &&
		    lh_after_is(candidate, end, LH_BYTE_BLANK | LH_BYTE_BREAK)) {
			*ret = end;
			return true;
		}
		at = end;
	}
	return false;
}

static bool has_any(const struct lh_candidate *candidate, size_t start, size_t end, const char *bytes)
{
	*candidate->examined += end - start;
	for (size_t i = start; i < end; i++) {
		if (candidate->anchor[i] && strchr(bytes, candidate->anchor[i]))
			return true;
	}
	return false;
}

/* The offset of the next word after white space. */
static size_t next_word(const struct lh_candidate *candidate, size_t offset)
{
	return offset + lh_span_after(candidate, offset, STATEMENT_MAX, LH_BYTE_BLANK | LH_BYTE_BREAK);
}

/* A name at `offset` with its quotes; the offset of what comes after it. */
static size_t after_name(const struct lh_candidate *candidate, size_t offset)
{
	size_t start = next_word(candidate, offset);
	size_t at = start;
	while (at < start + STATEMENT_MAX &&
	       (lh_after_is(candidate, at, LH_BYTES_WORD | LH_BYTE_DOT) || lh_after_equals(candidate, at, "`") ||
		lh_after_equals(candidate, at, "\"")))
		at++;
	*candidate->examined += at - offset;
	return next_word(candidate, at);
}

/* "a.b, count(*) as n, *": one word per column, plus "distinct", and "as" with the next word. */
static bool is_column_list(const struct lh_candidate *candidate, size_t start, size_t end)
{
	size_t words = 0;
	for (size_t at = next_word(candidate, start); at < end; at = next_word(candidate, at)) {
		size_t word = lh_span_after(candidate, at, end - at, LH_BYTES_WORD | LH_BYTE_DOT);
		bool is_free = lh_after_equals(candidate, at, "distinct ");
		if (lh_after_equals(candidate, at, "as ") || lh_after_equals(candidate, at, ","))
			words = 0;
		else if (word && !is_free && ++words > 1)
			return false;
		at += word ? word : 1;
	}
	return true;
}

static bool is_select(const struct lh_candidate *candidate, size_t bytes, bool is_lower)
{
	size_t columns = strlen("SELECT");
	size_t table;
	if (!find_keyword(candidate, bytes, is_lower ? "from" : "FROM", &table) || table >= bytes ||
	    !identifier_at(candidate, table))
		return false;
	size_t columns_end = table - strlen("FROM");
	return !is_lower ||
	       (has_any(candidate, columns, columns_end, "*,(") && is_column_list(candidate, columns, columns_end));
}

static bool is_upper_statement(const struct lh_candidate *candidate, unsigned kind, size_t bytes)
{
	size_t head = strlen(begins[kind]);
	size_t columns;
	switch (kind) {
	case UPDATE:
		return find_keyword(candidate, bytes, "SET", &columns) && has_any(candidate, columns, bytes, "=");
	case CREATE:
		return has_any(candidate, head, bytes, "(");
	default:
		return true;
	}
}

/* What follows the table's name distinguishes the statement from English. */
static bool is_lower_statement(const struct lh_candidate *candidate, unsigned kind, size_t bytes)
{
	size_t head = strlen(begins[kind]);
	if (kind == CREATE)
		head += lh_span_after(candidate, head, strlen("able "), LH_BYTES_LOWER | LH_BYTE_BLANK);
	if (kind == CREATE && lh_after_equals(candidate, head, "if not exists "))
		head += strlen("if not exists ");
	size_t after = after_name(candidate, head);
	switch (kind) {
	case INSERT:
		return lh_after_equals(candidate, after, "(") || lh_after_equals(candidate, after, "values");
	case UPDATE:
		return lh_after_equals(candidate, after, "set ") && has_any(candidate, after, bytes, "=");
	case DELETE:
		return after >= bytes || lh_after_equals(candidate, after, ";") ||
		       lh_after_equals(candidate, after, "where ");
	default:
		return lh_after_equals(candidate, after, "(");
	}
}

static bool is_statement(const struct lh_candidate *candidate, size_t bytes, bool is_lower)
{
	unsigned kind = candidate->pattern % KIND_COUNT;
	size_t head = strlen(begins[kind]);
	if (bytes <= head + 1)
		return false;
	if (kind == SELECT)
		return is_select(candidate, bytes, is_lower);
	if (!identifier_at(candidate, head))
		return false;
	return is_lower ? is_lower_statement(candidate, kind, bytes) : is_upper_statement(candidate, kind, bytes);
}

static bool validate_sql(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (lh_before_is(candidate, 1, LH_BYTES_WORD | LH_BYTE_DASH | LH_BYTE_DOT))
		return false;
	size_t bytes = statement_bytes(candidate);
	if (!is_statement(candidate, bytes, candidate->pattern >= KIND_COUNT))
		return false;
	*ret = (struct lh_match){.length = bytes};
	return true;
}

const struct lh_recognizer lh_recognize_sql = {
	.name = "sql",
	.title = "SQL statements",
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate_sql,
};
