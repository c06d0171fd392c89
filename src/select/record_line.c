/*
 * record_line: parses one line of a record. Input: hostile text. Output: its members, uninterpreted; record_reader
 * interprets them.
 */
#include "leakhunt/limits.h"
#include "record.h"

void lh_record_line_deinit(struct lh_record_line *line)
{
	lh_vec_deinit(&line->entries);
	lh_vec_deinit(&line->gone);
}

/* At most one of "regions" and "changed" may have entries: a line with both is bad. */
static struct lh_error *take_entries(struct lh_json_pull *pull, uint32_t member, struct lh_record_line *line)
{
	if (!lh_json_pull_array(pull))
		return NULL;
	if (line->members & (LH_LINE_REGIONS | LH_LINE_CHANGED))
		line->members |= LH_LINE_BAD;
	line->members |= member;
	for (bool is_first = true; lh_json_pull_item(pull, &is_first);) {
		LH_TRY(lh_vec_reserve(&line->entries, 1));
		lh_record_entry_take(pull, &line->entries.items[line->entries.count++]);
	}
	return NULL;
}

static struct lh_error *take_gone(struct lh_json_pull *pull, struct lh_record_line *line)
{
	if (!lh_json_pull_array(pull))
		return NULL;
	for (bool is_first = true; lh_json_pull_item(pull, &is_first);) {
		uint64_t start;
		if (lh_json_pull_address(pull, &start))
			LH_TRY(lh_vec_push(&line->gone, start));
		else
			line->bad_gone_count++;
	}
	return NULL;
}

static void take_line_number(struct lh_json_pull *pull, uint64_t max, uint64_t *ret, struct lh_record_line *line)
{
	if (!lh_json_pull_u64(pull, ret) || *ret > max)
		line->members |= LH_LINE_BAD;
}

static const struct number_member {
	const char *key;
	size_t offset; /* in struct lh_record_line */
	uint64_t max;
	uint32_t member; /* 0: may be missing */
} numbers[] = {
	{"n", offsetof(struct lh_record_line, number), INT64_MAX, LH_LINE_NUMBER},
	{"time_ns", offsetof(struct lh_record_line, time_ns), INT64_MAX, LH_LINE_TIME},
	{"uptime_ns", offsetof(struct lh_record_line, uptime_ns), INT64_MAX, LH_LINE_UPTIME},
	{"lost", offsetof(struct lh_record_line, lost), LH_RECORD_LOST_MAX, LH_LINE_LOST},
	{"pid", offsetof(struct lh_record_line, pid), INT32_MAX, LH_LINE_PID},
	{"start_ticks", offsetof(struct lh_record_line, start_ticks), INT64_MAX, LH_LINE_START_TICKS},
	{"in_use_bytes", offsetof(struct lh_record_line, use.in_use_bytes), INT64_MAX, LH_LINE_IN_USE},
	{"heap_bytes", offsetof(struct lh_record_line, use.heap_bytes), INT64_MAX, LH_LINE_HEAP},
	{LH_RECORD_KEY, offsetof(struct lh_record_line, format), INT64_MAX, LH_LINE_RECORD},
};

/* Whether it is one of these. */
static bool take_number_member(struct lh_json_pull *pull, struct lh_json_span key, struct lh_record_line *line)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(numbers); i++) {
		const struct number_member *number = &numbers[i];
		if (!lh_json_span_is(key, number->key))
			continue;
		if (line->members & number->member)
			line->members |= LH_LINE_BAD;
		line->members |= number->member;
		take_line_number(pull, number->max, (uint64_t *)(void *)((char *)line + number->offset), line);
		return true;
	}
	return false;
}

static void take_holdings(struct lh_json_pull *pull, struct lh_record_line *line)
{
	struct lh_json_span key;
	enum lh_holding holding;
	for (size_t i = 0; i < LH_HOLDING_COUNT; i++)
		line->holdings.values[i] = LH_HOLDING_UNKNOWN;
	if (!lh_json_pull_object(pull))
		return;
	line->members |= LH_LINE_HOLDINGS;
	for (bool is_first = true; lh_json_pull_member(pull, &is_first, &key);) {
		uint64_t value;
		if (!lh_holding_parse(key.text, key.length, &holding))
			lh_json_pull_skip(pull);
		else if (lh_json_pull_u64(pull, &value))
			line->holdings.values[holding] = value;
	}
}

static void take_ceilings(struct lh_json_pull *pull, struct lh_record_line *line)
{
	struct lh_json_span key;
	enum lh_ceiling ceiling;
	for (size_t i = 0; i < LH_CEILING_COUNT; i++)
		line->ceilings.left[i] = LH_NO_LIMIT;
	if (!lh_json_pull_object(pull))
		return;
	line->members |= LH_LINE_LEFT;
	for (bool is_first = true; lh_json_pull_member(pull, &is_first, &key);) {
		uint64_t value;
		if (!lh_ceiling_parse(key.text, key.length, &ceiling))
			lh_json_pull_skip(pull);
		else if (lh_json_pull_u64(pull, &value))
			line->ceilings.left[ceiling] = value;
	}
}

static void take_receipt(struct lh_json_pull *pull, struct lh_record_line *line)
{
	const struct {
		const char *key;
		uint64_t *value;
	} rows[] = {
		{"reading_count", &line->receipt.reading_count},     {"bounded_count", &line->receipt.bounded_count},
		{"reading_ns", &line->receipt.reading_ns},           {"reading_max_ns", &line->receipt.reading_max_ns},
		{"longest_call_ns", &line->receipt.longest_call_ns},
	};
	struct lh_json_span key;
	line->receipt = (struct lh_sampling_receipt){0};
	if (!lh_json_pull_object(pull))
		return;
	line->members |= LH_LINE_RECEIPT;
	for (bool is_first = true; lh_json_pull_member(pull, &is_first, &key);) {
		size_t i = 0;
		while (i < LH_ARRAY_COUNT(rows) && !lh_json_span_is(key, rows[i].key))
			i++;
		if (i < LH_ARRAY_COUNT(rows))
			lh_json_pull_u64(pull, rows[i].value);
		else
			lh_json_pull_skip(pull);
	}
}

/* Whether it is one of what a process holds, and of what limits it. */
static bool take_line_facts(struct lh_json_pull *pull, struct lh_json_span key, struct lh_record_line *line)
{
	if (lh_json_span_is(key, "holdings"))
		take_holdings(pull, line);
	else if (lh_json_span_is(key, "left"))
		take_ceilings(pull, line);
	else if (lh_json_span_is(key, "receipt"))
		take_receipt(pull, line);
	else if (lh_json_span_is(key, "held_name"))
		line->members |= lh_json_pull_string(pull, &line->held_name) ? LH_LINE_HELD_NAME : 0;
	else
		return false;
	return true;
}

static struct lh_error *take_line_member(struct lh_json_pull *pull, struct lh_json_span key,
					 struct lh_record_line *line)
{
	if (take_number_member(pull, key, line) || take_line_facts(pull, key, line))
		return NULL;
	if (lh_json_span_is(key, "changed"))
		return take_entries(pull, LH_LINE_CHANGED, line);
	if (lh_json_span_is(key, "regions"))
		return take_entries(pull, LH_LINE_REGIONS, line);
	if (lh_json_span_is(key, "gone"))
		return take_gone(pull, line);
	if (lh_json_span_is(key, "counter"))
		line->members |= lh_json_pull_double(pull, &line->counter) ? LH_LINE_COUNTER : 0;
	else if (lh_json_span_is(key, "command"))
		line->members |= lh_json_pull_string(pull, &line->command) ? LH_LINE_COMMAND : 0;
	else
		lh_json_pull_skip(pull);
	return NULL;
}

struct lh_error *lh_record_line_parse(const char *text, size_t length, struct lh_record_line *line, bool *ret_is_object)
{
	struct lh_json_pull pull = {.at = text, .end = text + length};
	struct lh_json_span key;
	struct lh_record_line empty = {.entries = line->entries, .gone = line->gone};
	empty.entries.count = empty.gone.count = 0;
	*line = empty;
	*ret_is_object = lh_json_pull_object(&pull);
	for (bool is_first = true; *ret_is_object && lh_json_pull_member(&pull, &is_first, &key);)
		LH_TRY(take_line_member(&pull, key, line));
	*ret_is_object &= lh_json_pull_is_done(&pull);
	return NULL;
}
