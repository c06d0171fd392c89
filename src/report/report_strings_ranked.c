/*
 * report_strings_ranked: what fills memory, in one table that fits a screen. Classes and the rest partition the scanned
 * bytes. Texts of a template are subtracted from the texts. Objects, whose bytes are those of their blocks, are
 * subtracted from what is left, as far as that suffices: so no byte counts twice, and the shares add up to 100 %.
 */
#include "report_strings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 12, CANDIDATES_MAX = 256 };

#define ROW_SHARE_MIN 1.0

/* Numbers of objects in one memory are alike within this share: some belong to other things. */
#define COUNTED_ALIKE 0.1

struct ranked_row {
	uint64_t count; /* 0: not counted */
	uint64_t bytes;
	bool is_object;
	bool is_own;        /* of the program's own code */
	bool is_young;      /* not collected yet */
	const char *family; /* a literal, or "" */
	const char *name;   /* raw bytes, as the next two */
	const char *detail;
	const char *example;
};

struct ranking {
	struct ranked_row rows[CANDIDATES_MAX];
	size_t count;
	uint64_t rest_bytes[LH_REST_COUNT]; /* not claimed by any row yet */
};

static void add_ranked(struct ranking *ranking, struct ranked_row row)
{
	if (row.bytes && ranking->count < CANDIDATES_MAX)
		ranking->rows[ranking->count++] = row;
}

static uint64_t claim_bytes(struct ranking *ranking, int rest, uint64_t wanted_bytes)
{
	uint64_t taken_bytes = lh_min_u64(ranking->rest_bytes[rest], wanted_bytes);
	ranking->rest_bytes[rest] -= taken_bytes;
	return taken_bytes;
}

/* Untouched pages of a block read as zeros: zeros are claimed last. */
static uint64_t claim_for_object(struct ranking *ranking, uint64_t wanted_bytes)
{
	static const int order[] = {LH_REST_POINTERS, LH_REST_OTHER, LH_REST_RANDOM, LH_REST_ZERO};
	uint64_t taken_bytes = 0;
	for (size_t i = 0; i < LH_ARRAY_COUNT(order); i++)
		taken_bytes += claim_bytes(ranking, order[i], wanted_bytes - taken_bytes);
	return taken_bytes;
}

static void rank_contents(const struct lh_summary *summary, struct ranking *ret)
{
	for (size_t i = 0; i < summary->classes.count; i++) {
		const struct lh_class_count *class = &summary->classes.items[i];
		add_ranked(ret, (struct ranked_row){.count = class->count,
						    .bytes = class->bytes,
						    .family = "",
						    .name = class->title,
						    .detail = "",
						    .example = class->example_count ? class->examples[0].text : ""});
	}
	for (size_t i = 0; i < summary->templates.count && i < ROWS_MAX; i++) {
		const struct lh_template_count *template = &summary->templates.items[i];
		add_ranked(ret,
			   (struct ranked_row){.count = template->count,
					       .bytes = claim_bytes(ret, LH_REST_TEXT, template->bytes),
					       .family = "texts",
					       .name = template->text,
					       .detail = "",
					       .example = template->example_count ? template->examples[0].text : ""});
	}
	/* The smallest first: large blocks with untouched pages would leave nothing for the others. */
	for (size_t i = lh_min_u64(summary->objects.rows.count, ROWS_MAX); i > 0; i--) {
		const struct lh_object_count *object = &summary->objects.rows.items[i - 1];
		add_ranked(ret, (struct ranked_row){.count = object->count,
						    .bytes = claim_for_object(ret, object->bytes),
						    .is_object = true,
						    .is_own = object->is_own,
						    .is_young = object->is_young,
						    .family = object->kind,
						    .name = object->name,
						    .detail = object->detail,
						    .example = ""});
	}
}

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked_row *left = a, *right = b;
	return left->bytes != right->bytes ? (left->bytes > right->bytes ? -1 : 1) : strcmp(left->name, right->name);
}

static void put_ranked_name(const struct ranked_row *row, struct lh_buffer *ret)
{
	if (*row->family)
		lh_buffer_printf(ret, "%s: ", row->family);
	lh_buffer_escape(ret, row->name, strlen(row->name));
	if (!*row->detail)
		return;
	lh_buffer_puts(ret, " (");
	lh_buffer_escape(ret, row->detail, strlen(row->detail));
	lh_buffer_puts(ret, ")");
}

static void put_ranked_row(struct lh_table *table, const struct lh_summary *summary, const struct ranked_row *row)
{
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	char count[LH_FORMAT_MAX];
	put_ranked_name(row, &name);
	if (*row->example) {
		lh_buffer_puts(&name, "  e.g. ");
		lh_buffer_escape(&name, row->example, strlen(row->example));
	}
	lh_table_row(table, LH_ROW_PLAIN);
	lh_table_cell(table, "%s", lh_format_count(row->count, count));
	lh_table_cell_bytes(table, row->bytes);
	lh_table_cell(table, "%.1f %%", lh_percent(row->bytes, summary->scanned_bytes));
	lh_table_cell_bytes(table, row->count ? row->bytes / row->count : 0);
	lh_table_cell(table, "%s", name.data ? name.data : "");
}

/* Returns the sum of the rows shown. */
static uint64_t put_ranked_table(const struct lh_summary *summary, const struct ranking *ranking, struct lh_style style,
				 struct lh_buffer *ret)
{
	static const struct lh_column columns[] = {{"COUNT", LH_COLUMN_RIGHT},
						   {"BYTES", LH_COLUMN_RIGHT},
						   {"SHARE", LH_COLUMN_RIGHT},
						   {"EACH", LH_COLUMN_RIGHT},
						   {"WHAT", LH_COLUMN_REST}};
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	uint64_t shown_bytes = 0;
	size_t shown = 0;
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	for (; shown < ranking->count && shown < ROWS_MAX; shown++) {
		const struct ranked_row *row = &ranking->rows[shown];
		if (lh_percent(row->bytes, summary->scanned_bytes) < ROW_SHARE_MIN)
			break;
		put_ranked_row(&table, summary, row);
		shown_bytes += row->bytes;
	}
	if (shown) {
		lh_buffer_puts(ret, "\n");
		lh_table_render(&table, style, ret);
	}
	return shown_bytes;
}

void lh_write_companions(const struct lh_companions *found, const char *const *names, struct lh_buffer *ret)
{
	for (uint32_t times = 1; times <= LH_COMPANION_TIMES_MAX; times++) {
		const char *previous = NULL;
		for (size_t i = 0; i < found->count; i++) {
			if (found->times[i] != times)
				continue;
			const char *name = names[found->rows[i]];
			if (previous && strcmp(previous, name) == 0)
				continue;
			if (previous)
				lh_buffer_puts(ret, ", ");
			else if (times == 1)
				lh_buffer_puts(ret, ", with as many ");
			else
				lh_buffer_printf(ret, ", %" PRIu32 " times as many ", times);
			lh_buffer_escape(ret, name, strlen(name));
			previous = name;
		}
	}
}

/* Objects of a type that the collector has not visited are a row of their own: counts them with the others. */
static void unite_ages(const struct ranked_row *rows, size_t index, struct lh_companion_row *sizes)
{
	for (size_t i = 0; i < index; i++) {
		if (sizes[i].is_said || sizes[index].is_said || strcmp(rows[i].family, rows[index].family) != 0 ||
		    strcmp(rows[i].name, rows[index].name) != 0 || rows[i].is_young == rows[index].is_young)
			continue;
		sizes[i].count += sizes[index].count;
		sizes[i].bytes += sizes[index].bytes;
		sizes[index].is_said = true;
	}
}

/* The largest objects, with those of which there are about as many; without objects, the largest row. */
static void put_in_short(const struct lh_summary *summary, const struct ranking *ranking, struct lh_buffer *ret)
{
	struct lh_companion_row sizes[ROWS_MAX];
	struct lh_companions found;
	const char *names[ROWS_MAX];
	char count[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX];
	size_t shown = lh_min_u64(ranking->count, ROWS_MAX);
	for (size_t i = 0; i < shown; i++) {
		const struct ranked_row *row = &ranking->rows[i];
		bool is_worth_it = lh_percent(row->bytes, summary->scanned_bytes) >= ROW_SHARE_MIN;
		sizes[i] = (struct lh_companion_row){.count = row->count,
						     .bytes = row->bytes,
						     .is_own = row->is_own,
						     .is_said = !is_worth_it || (!row->is_object && i > 0)};
		names[i] = row->name;
		unite_ages(ranking->rows, i, sizes);
	}
	if (!shown || !lh_companions_find(sizes, shown, COUNTED_ALIKE, &found))
		return;
	lh_buffer_printf(ret, "in short: %s ", lh_format_count(sizes[found.lead].count, count));
	put_ranked_name(&ranking->rows[found.lead], ret);
	lh_write_companions(&found, names, ret);
	lh_buffer_printf(ret, ": %s, %.1f %%\n", lh_format_bytes(found.bytes, bytes),
			 lh_percent(found.bytes, summary->scanned_bytes));
}

static void put_unexplained(const struct lh_summary *summary, const struct ranking *ranking, uint64_t shown_bytes,
			    struct lh_buffer *ret)
{
	uint64_t left_bytes = summary->scanned_bytes - lh_min_u64(summary->scanned_bytes, shown_bytes);
	char bytes[LH_FORMAT_MAX];
	const char *separator = ": ";
	lh_buffer_printf(ret, "%.1f %% unexplained, %s", lh_percent(left_bytes, summary->scanned_bytes),
			 lh_format_bytes(left_bytes, bytes));
	for (int rest = 0; rest < LH_REST_COUNT; rest++) {
		double share = lh_percent(ranking->rest_bytes[rest], summary->scanned_bytes);
		if (share < ROW_SHARE_MIN)
			continue;
		lh_buffer_printf(ret, "%s%.1f %% %s", separator, share,
				 lh_map_class_title(LH_MAP_REST + (unsigned)rest));
		separator = ", ";
	}
	lh_buffer_puts(ret, "\n");
}

static uint64_t count_secrets(const struct lh_summary *summary)
{
	uint64_t count = 0;
	for (size_t i = 0; i < summary->classes.count; i++)
		count += summary->classes.items[i].is_secret ? summary->classes.items[i].count : 0;
	return count;
}

/* At most three lines. */
static void put_striking(const struct lh_summary *summary, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	const struct lh_repeated *text = summary->repeated.count ? &summary->repeated.items[0] : NULL;
	double share = text ? lh_percent(text->bytes, summary->scanned_bytes) : 0;
	if (text && share >= ROW_SHARE_MIN && !text->is_secret) {
		lh_buffer_printf(ret, "stands out: one text %s times, %.1f %%: ", lh_format_count(text->count, count),
				 share);
		lh_buffer_escape(ret, text->text, strlen(text->text));
		lh_buffer_puts(ret, "\n");
	}
	if (count_secrets(summary))
		lh_buffer_printf(ret, "stands out: %s secrets (keys, passwords, tokens, cookies)\n",
				 lh_format_count(count_secrets(summary), count));
	if (summary->objects.rows.count &&
	    summary->objects.rows.items[0].freed_count > summary->objects.rows.items[0].count)
		lh_buffer_printf(ret,
				 "stands out: more %s were freed than are in use, and their blocks are still there\n",
				 summary->objects.rows.items[0].kind);
}

void lh_write_ranking(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	const struct lh_summary *summary = report->summary;
	struct ranking ranking = {.count = 0};
	memcpy(ranking.rest_bytes, summary->rest_bytes, sizeof(ranking.rest_bytes));
	rank_contents(summary, &ranking);
	if (ranking.count)
		qsort(ranking.rows, ranking.count, sizeof(*ranking.rows), compare_ranked);
	put_in_short(summary, &ranking, ret);
	uint64_t shown_bytes = put_ranked_table(summary, &ranking, style, ret);
	put_unexplained(summary, &ranking, shown_bytes, ret);
	put_striking(summary, ret);
	lh_buffer_puts(ret,
		       "next:       --all prints every block of the summary; `leakhunt strings A B` says what grew\n");
}
