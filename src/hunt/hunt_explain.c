/*
 * hunt_explain: the answers of a hunt. Input: a judged selection, the difference of two dumps, what the allocators say.
 * Output: the rows that account for the growth, why it stays, and the missing function. Never claims more than the
 * evidence shows: what is not known stays unknown.
 */
#include "hunt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Minimum share of the growth between the dumps for a row. */
#define NOTABLE_SHARE 0.02
/* Minimum share of the growth to explain it. */
#define MOST_SHARE 0.5

/* Upper bound of objects that one object owns among those that grew with it, but for parts. */
enum { OWNED_EACH_MAX = 8 };

static int64_t row_growth_bytes(const struct lh_diff_row *row)
{
	return (int64_t)(row->after_bytes - row->before_bytes);
}

static int64_t row_growth_count(const struct lh_diff_row *row)
{
	return (int64_t)(row->after_count - row->before_count);
}

static int64_t used_dump_bytes(const struct lh_summary *summary)
{
	return (int64_t)(summary->scanned_bytes - summary->zero_bytes);
}

static void add_row(struct lh_hunt *hunt, const struct lh_hunt_row *row)
{
	if (hunt->row_count < LH_HUNT_ROWS_MAX)
		hunt->rows[hunt->row_count++] = *row;
}

static struct lh_hunt_row row_of_diff(const struct lh_diff_row *row, enum lh_hunt_row_kind kind)
{
	return (struct lh_hunt_row){
		.kind = kind,
		.family = row->family,
		.name = row->name,
		.detail = row->detail,
		.is_own = row->is_own,
		.count = row_growth_count(row),
		.bytes = row_growth_bytes(row),
		.before_count = row->before_count,
		.after_count = row->after_count,
		.addr = row->after_addr,
	};
}

/* ---------------------------------------------------------------- objects that grew */

/* The place of a type among those of its family in the table of counterparts: owners come first. */
static size_t rank_of(const struct lh_diff_row *row)
{
	size_t count;
	const struct lh_counterpart *all = lh_counterparts(&count),
				    *found = lh_counterpart_of_object(row->family, row->name);
	return found ? (size_t)(found - all) : count;
}

static bool is_same_family(const struct lh_diff_row *a, const struct lh_diff_row *b)
{
	return strcmp(a->family, b->family) == 0;
}

/* Whether `row` may own `other`: of the same family, before it in the table, or a class of the program's own. */
static bool may_own(const struct lh_diff_row *row, const struct lh_diff_row *other)
{
	if (!is_same_family(row, other) || row_growth_count(row) < 2 ||
	    (row_growth_count(row) < row_growth_count(other) / OWNED_EACH_MAX &&
	     !lh_counterpart_is_part(other->family, other->name)))
		return false;
	return rank_of(row) < rank_of(other) || (row->is_own && !other->is_own);
}

/*
 * The object to name: the owner of the type that grew most, by the table of counterparts. In a runtime only objects
 * that its collector has visited, unless `with_young`: young ones come and go.
 */
static const struct lh_diff_row *find_main_object(const struct lh_diff_rows *objects, bool with_young)
{
	const struct lh_diff_row *main = NULL;
	for (size_t i = 0; i < objects->rows.count; i++) {
		const struct lh_diff_row *row = &objects->rows.items[i];
		if (row_growth_bytes(row) <= 0 && row_growth_count(row) <= 0)
			break;
		if ((with_young || !row->is_young) && (!main || may_own(row, main)))
			main = row;
	}
	return main;
}

static int64_t family_growth(const struct lh_diff_rows *objects, const struct lh_diff_row *main)
{
	int64_t sum = 0;
	for (size_t i = 0; i < objects->rows.count; i++) {
		const struct lh_diff_row *row = &objects->rows.items[i];
		if (row == main || may_own(main, row))
			sum += row_growth_bytes(row) > 0 ? row_growth_bytes(row) : 0;
	}
	return sum;
}

static int64_t sum_growth(const struct lh_diff_rows *rows)
{
	int64_t sum = 0;
	for (size_t i = 0; i < rows->rows.count; i++)
		sum += row_growth_bytes(&rows->rows.items[i]) > 0 ? row_growth_bytes(&rows->rows.items[i]) : 0;
	return sum;
}

static bool is_notable(const struct lh_hunt *hunt, int64_t bytes)
{
	return hunt->compared_bytes <= 0 || (double)bytes >= NOTABLE_SHARE * (double)hunt->compared_bytes;
}

static void add_objects(struct lh_hunt *hunt)
{
	const struct lh_diff_rows *objects = &hunt->diff.kinds[LH_DIFF_OBJECTS];
	const struct lh_diff_row *main = find_main_object(objects, false);
	bool with_young = !main || !is_notable(hunt, family_growth(objects, main));
	if (with_young)
		main = find_main_object(objects, true);
	if (!main || !is_notable(hunt, family_growth(objects, main)))
		return;
	struct lh_hunt_row row = row_of_diff(main, LH_HUNT_ROW_OBJECTS);
	add_row(hunt, &row);
	hunt->owned_bytes = family_growth(objects, main);
	for (size_t i = 0; i < objects->rows.count && hunt->row_count < LH_HUNT_ROWS_MAX - 1; i++) {
		const struct lh_diff_row *other = &objects->rows.items[i];
		if (other == main || (other->is_young && !with_young) || !is_notable(hunt, row_growth_bytes(other)) ||
		    row_growth_bytes(other) <= 0)
			continue;
		row = row_of_diff(other, LH_HUNT_ROW_OBJECTS);
		row.is_counted = may_own(main, other);
		add_row(hunt, &row);
	}
}

/* ---------------------------------------------------------------- contents, texts, sizes */

static void add_first(struct lh_hunt *hunt, enum lh_diff_kind kind, enum lh_hunt_row_kind row_kind)
{
	const struct lh_diff_rows *rows = &hunt->diff.kinds[kind];
	if (!rows->rows.count || row_growth_bytes(&rows->rows.items[0]) <= 0 ||
	    !is_notable(hunt, row_growth_bytes(&rows->rows.items[0])))
		return;
	struct lh_hunt_row row = row_of_diff(&rows->rows.items[0], row_kind);
	add_row(hunt, &row);
}

/* Texts are notable if they are many bytes, or as many as the main objects: these were made for them. */
static void add_texts(struct lh_hunt *hunt)
{
	size_t count = hunt->row_count;
	add_first(hunt, LH_DIFF_TEMPLATES, LH_HUNT_ROW_TEXTS);
	if (!count || hunt->row_count > count || hunt->rows[0].count <= 0)
		return;
	const struct lh_diff_row *text = lh_diff_find_text_alike(&hunt->diff, (uint64_t)hunt->rows[0].count);
	if (!text)
		return;
	struct lh_hunt_row row = row_of_diff(text, LH_HUNT_ROW_TEXTS);
	add_row(hunt, &row);
}

/* Bytes of the block size whose count grew most. */
static void add_block_row(struct lh_hunt *hunt, const struct lh_size_table sizes[LH_HUNT_SIDES])
{
	struct lh_hunt_row best = {.kind = LH_HUNT_ROW_BLOCKS, .family = "", .name = "", .detail = ""};
	for (size_t i = 0; sizes[LH_HUNT_AFTER].slots && i < LH_SIZE_SLOTS; i++) {
		const struct lh_size_count *after = &sizes[LH_HUNT_AFTER].slots[i];
		uint64_t before_count = after->count ? lh_size_table_get(&sizes[LH_HUNT_BEFORE], after->size_bytes) : 0;
		int64_t count = (int64_t)(after->count - before_count);
		if (count <= 0 || count * (int64_t)after->size_bytes <= best.bytes)
			continue;
		best.count = count;
		best.bytes = count * (int64_t)after->size_bytes;
		best.before_count = before_count;
		best.after_count = after->count;
		best.each_bytes = after->size_bytes;
	}
	/* A single block counts when it is most of the growth: a pool that doubles. */
	bool is_most = (double)best.bytes >= MOST_SHARE * (double)hunt->compared_bytes;
	if ((best.count > 1 || (best.count && is_most)) && is_notable(hunt, best.bytes))
		add_row(hunt, &best);
}

static double explained_share(const struct lh_hunt *hunt)
{
	double objects = (double)sum_growth(&hunt->diff.kinds[LH_DIFF_OBJECTS]);
	double texts = (double)sum_growth(&hunt->diff.kinds[LH_DIFF_TEMPLATES]);
	double classes = (double)sum_growth(&hunt->diff.kinds[LH_DIFF_CLASSES]);
	if (hunt->compared_bytes <= 0)
		return 0;
	return fmin(1, fmax(objects, fmax(texts, classes)) / (double)hunt->compared_bytes);
}

static void explain_growth(struct lh_hunt *hunt, const struct lh_size_table sizes[LH_HUNT_SIDES])
{
	hunt->compared_bytes =
		used_dump_bytes(&hunt->summaries[LH_HUNT_AFTER]) - used_dump_bytes(&hunt->summaries[LH_HUNT_BEFORE]);
	hunt->zero_bytes =
		(int64_t)(hunt->summaries[LH_HUNT_AFTER].zero_bytes - hunt->summaries[LH_HUNT_BEFORE].zero_bytes);
	add_objects(hunt);
	add_texts(hunt);
	add_first(hunt, LH_DIFF_CLASSES, LH_HUNT_ROW_CONTENT);
	add_block_row(hunt, sizes);
	hunt->explained = explained_share(hunt);
}

/* ---------------------------------------------------------------- a single dump */

static void describe_dump(struct lh_hunt *hunt, const struct lh_summary *summary)
{
	for (size_t i = 0; i < summary->objects.rows.count && i < 2; i++) {
		const struct lh_object_count *object = &summary->objects.rows.items[i];
		add_row(hunt, &(struct lh_hunt_row){
				      .kind = LH_HUNT_ROW_OBJECTS,
				      .family = object->kind,
				      .name = object->name,
				      .detail = object->detail,
				      .is_own = object->is_own,
				      .count = (int64_t)object->count,
				      .bytes = (int64_t)object->bytes,
				      .after_count = object->count,
				      .addr = object->example_addr,
			      });
	}
	if (summary->templates.count && summary->templates.items[0].count > 1) {
		const struct lh_template_count *template = &summary->templates.items[0];
		add_row(hunt, &(struct lh_hunt_row){
				      .kind = LH_HUNT_ROW_TEXTS,
				      .family = "",
				      .name = template->text,
				      .detail = "",
				      .count = (int64_t) template->count,
				      .bytes = (int64_t) template->bytes,
				      .after_count = template->count,
				      .addr = template->example_count ? template->examples[0].addr : 0,
			      });
	}
}

/* ---------------------------------------------------------------- why it stays */

/* Causes that already say what was not done. */
static bool is_not_released(const struct lh_cause *cause)
{
	return lh_counterpart_of_cause(cause->word) != NULL;
}

static enum lh_hunt_why why_by_heap(const struct lh_hunt *hunt)
{
	const struct lh_hunt_heap *before = &hunt->heaps[LH_HUNT_BEFORE], *after = &hunt->heaps[LH_HUNT_AFTER];
	/* Objects count only in blocks that are in use. */
	bool has_objects = hunt->row_count && hunt->rows[0].kind == LH_HUNT_ROW_OBJECTS && hunt->rows[0].count > 0;
	if (hunt->is_comparison && has_objects && (!before->is_known || !after->is_known))
		return LH_HUNT_WHY_IN_USE;
	if (!hunt->is_comparison || !before->is_known || !after->is_known)
		return LH_HUNT_WHY_UNKNOWN;
	double used = (double)after->used_bytes - (double)before->used_bytes;
	double freed = (double)after->free_bytes - (double)before->free_bytes;
	if (used <= 0 && freed <= 0)
		return LH_HUNT_WHY_UNKNOWN;
	/* Blocks that were free come into use: their memory was there before. */
	return used >= MOST_SHARE * (used + freed) ? LH_HUNT_WHY_IN_USE : LH_HUNT_WHY_FREED;
}

static enum lh_hunt_why find_why(const struct lh_hunt *hunt)
{
	if (hunt->held != LH_HOLDING_COUNT)
		return LH_HUNT_WHY_NOT_RELEASED;
	if (!hunt->suspect)
		return hunt->has_selection && !lh_verdict_may_grow(hunt->selection.total.verdict)
			       ? LH_HUNT_WHY_NO_GROWTH
			       : why_by_heap(hunt);
	if (hunt->has_cause && is_not_released(&hunt->cause))
		return LH_HUNT_WHY_NOT_RELEASED;
	if (hunt->has_cause && strcmp(hunt->cause.word, "thread-stacks") == 0)
		return LH_HUNT_WHY_RUNNING;
	switch (hunt->suspect->kind) {
	case LH_REGION_ZEND:
		return LH_HUNT_WHY_REFERENCED;
	case LH_REGION_V8:
	case LH_REGION_GO:
	case LH_REGION_JVM:
		return LH_HUNT_WHY_COLLECTOR;
	default:
		break;
	}
	enum lh_hunt_why why = why_by_heap(hunt);
	bool is_python = hunt->suspect->kind == LH_REGION_PYMALLOC ||
			 (hunt->row_count && strcmp(hunt->rows[0].family, "Python") == 0);
	return is_python && why != LH_HUNT_WHY_FREED ? LH_HUNT_WHY_REFERENCED : why;
}

/* ---------------------------------------------------------------- what to do */

static const char *held_word(enum lh_holding held)
{
	switch (held) {
	case LH_HOLDING_HELD_FILE_BYTES:
		return "held-files";
	case LH_HOLDING_SHM_BYTES:
		return "system-v-shm";
	default:
		return "";
	}
}

static const struct lh_counterpart *find_counterpart(const struct lh_hunt *hunt)
{
	const struct lh_counterpart *found = NULL;
	if (hunt->held != LH_HOLDING_COUNT)
		return lh_counterpart_of_cause(held_word(hunt->held));
	if (hunt->has_cause)
		found = lh_counterpart_of_cause(hunt->cause.word);
	for (size_t i = 0; i < hunt->row_count && !found && hunt->is_comparison; i++) {
		if (hunt->rows[i].kind == LH_HUNT_ROW_OBJECTS)
			found = lh_counterpart_of_object(hunt->rows[i].family, hunt->rows[i].name);
	}
	return found;
}

static void explain_selection(struct lh_hunt *hunt)
{
	hunt->held = LH_HOLDING_COUNT;
	if (!hunt->has_selection)
		return;
	lh_selection_find_causes(&hunt->selection, &hunt->facts);
	hunt->suspect = lh_selection_suspect(&hunt->selection);
	lh_hunt_add_alike(hunt);
	if (!hunt->suspect)
		hunt->held = lh_selection_held_leak(&hunt->selection);
	hunt->has_cause = hunt->suspect && !lh_hunt_has_sums_only(hunt);
	if (hunt->has_cause)
		hunt->cause = hunt->suspect->cause;
	hunt->has_forecast = lh_forecast_end(&hunt->selection, &hunt->forecast);
}

void lh_hunt_explain(struct lh_hunt *hunt, const struct lh_size_table sizes[LH_HUNT_SIDES])
{
	explain_selection(hunt);
	if (hunt->has_diff)
		explain_growth(hunt, sizes);
	else if (hunt->images[LH_HUNT_BEFORE] || hunt->images[LH_HUNT_AFTER])
		describe_dump(hunt, &hunt->summaries[hunt->images[LH_HUNT_BEFORE] ? LH_HUNT_BEFORE : LH_HUNT_AFTER]);
	hunt->why = find_why(hunt);
	hunt->counterpart = find_counterpart(hunt);
	lh_hunt_caution(hunt);
	lh_hunt_advise(hunt);
}
