/* Tables: alignment, widths of the terminal, styles, and bytes of a target in cells. */
#include "unit.h"

#include "report/table.h"

static const struct lh_column columns[] = {
	{"COUNT", LH_COLUMN_RIGHT},
	{"NAME", LH_COLUMN_LEFT},
	{"WHY", LH_COLUMN_REST},
};

static void fill_rows(struct lh_table *table)
{
	lh_table_init(table, columns, LH_ARRAY_COUNT(columns));
	lh_table_row(table, LH_ROW_PLAIN);
	lh_table_cell(table, "%d", 7);
	lh_table_cell_escaped(table, "a\x1b[31mb");
	lh_table_cell(table, "the first of two reasons");
	lh_table_row(table, LH_ROW_RED);
	lh_table_cell(table, "%d", 12345);
	lh_table_cell_escaped(table, "heap");
	lh_table_cell(table, "%s", "");
}

/* Where a text begins in the line it lies in, in columns. */
static size_t column_of(const char *text, const char *word)
{
	const char *at = strstr(text, word), *line = at;
	assert_non_null(at);
	while (line > text && line[-1] != '\n')
		line--;
	return (size_t)(at - line);
}

static void test_columns_are_aligned(void **state)
{
	(void)state;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	fill_rows(&table);
	lh_table_render(&table, (struct lh_style){0}, &text);
	assert_success(lh_buffer_status(&text));
	/* Right: the last digits stand below each other, and below the title's last letter. */
	assert_int_equal(column_of(text.data, "COUNT") + 4, column_of(text.data, "12345") + 4);
	assert_int_equal(column_of(text.data, "7 "), column_of(text.data, "12345") + 4);
	assert_int_equal(column_of(text.data, "NAME"), column_of(text.data, "heap"));
	assert_int_equal(column_of(text.data, "WHY"), column_of(text.data, "the first"));
	/* No blanks at an end, no color, and no escape sequence of the target. */
	assert_null(strstr(text.data, " \n"));
	assert_null(strchr(text.data, '\x1b'));
}

static void test_the_last_column_is_cut_to_the_width(void **state)
{
	(void)state;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	fill_rows(&table);
	for (unsigned width = 40; width < 60; width++) {
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		lh_table_render(&table, (struct lh_style){.width = width}, &text);
		assert_success(lh_buffer_status(&text));
		for (const char *line = text.data; *line;) {
			size_t bytes = strcspn(line, "\n"), chars = 0;
			for (size_t i = 0; i < bytes; i++)
				chars += ((unsigned char)line[i] & 0xc0) != 0x80;
			assert_true(chars <= width);
			line += bytes + 1;
		}
	}
}

static void test_styles_color_rows_and_end(void **state)
{
	(void)state;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	fill_rows(&table);
	lh_table_render(&table, (struct lh_style){.color = true}, &text);
	assert_success(lh_buffer_status(&text));
	const char *red = strstr(text.data, "\x1b[31m");
	assert_non_null(red);
	assert_non_null(strstr(red, "12345"));
	assert_non_null(strstr(red, "\x1b[0m"));
}

static void test_zero_bytes_are_a_dash(void **state)
{
	(void)state;
	static const struct lh_column sizes[] = {{"SIZE", LH_COLUMN_RIGHT}};
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_table_init(&table, sizes, 1);
	lh_table_row(&table, LH_ROW_PLAIN);
	lh_table_cell_bytes(&table, 0);
	lh_table_row(&table, LH_ROW_PLAIN);
	lh_table_cell_bytes(&table, 3 * LH_MIB);
	lh_table_render(&table, (struct lh_style){0}, &text);
	assert_success(lh_buffer_status(&text));
	assert_string_equal(text.data, "    SIZE\n       -\n3.00 MiB\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_are_aligned),
		cmocka_unit_test(test_the_last_column_is_cut_to_the_width),
		cmocka_unit_test(test_styles_color_rows_and_end),
		cmocka_unit_test(test_zero_bytes_are_a_dash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
