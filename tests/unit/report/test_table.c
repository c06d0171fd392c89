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

static size_t longest_table_line(const char *text)
{
	size_t longest = 0;
	while (*text) {
		size_t bytes = strcspn(text, "\n"), chars = 0;
		for (size_t i = 0; i < bytes; i++)
			chars += ((unsigned char)text[i] & 0xc0) != 0x80;
		longest = chars > longest ? chars : longest;
		text += bytes + 1;
	}
	return longest;
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
		assert_true(longest_table_line(text.data) <= width);
	}
}

/* Where the columns have no room, nothing is lost: the last one stands below, then all are pairs. */
static void test_no_line_is_wider_than_the_terminal(void **state)
{
	(void)state;
	static const struct lh_column kinds[][4] = {
		{{"PID", LH_COLUMN_RIGHT},
		 {"USS", LH_COLUMN_RIGHT},
		 {"RSS", LH_COLUMN_RIGHT},
		 {"WHAT", LH_COLUMN_REST}},
		{{"PID", LH_COLUMN_RIGHT},
		 {"USS", LH_COLUMN_RIGHT},
		 {"RSS", LH_COLUMN_RIGHT},
		 {"WHAT", LH_COLUMN_BELOW}},
		{{"PID", LH_COLUMN_LEFT},
		 {"USS", LH_COLUMN_RIGHT},
		 {"RSS", LH_COLUMN_RIGHT},
		 {"WHAT", LH_COLUMN_RIGHT}},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(kinds); i++) {
		struct lh_table table LH_CLEANUP(lh_table_deinit);
		lh_table_init(&table, kinds[i], 4);
		lh_table_row(&table, LH_ROW_PLAIN);
		lh_table_cell(&table, "1234567");
		lh_table_cell(&table, "123.4 MiB");
		lh_table_cell_escaped(&table, "");
		lh_table_cell(&table, "a-word-that-is-much-wider-than-the-narrowest-terminal and others");
		for (unsigned width = 20; width < 120; width++) {
			struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
			lh_table_render(&table, (struct lh_style){.width = width}, &text);
			assert_success(lh_buffer_status(&text));
			assert_true(longest_table_line(text.data) <= width);
			assert_non_null(strstr(text.data, "1234567"));
			assert_non_null(strstr(text.data, "123.4 MiB"));
		}
	}
}

static void test_rows_become_pairs_where_columns_have_no_room(void **state)
{
	(void)state;
	static const struct lh_column sizes[] = {{"OWNED", LH_COLUMN_RIGHT},
						 {"BLOCKS", LH_COLUMN_RIGHT},
						 {"EACH", LH_COLUMN_RIGHT},
						 {"WHAT", LH_COLUMN_REST}};
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_table_init(&table, sizes, 4);
	lh_table_row(&table, LH_ROW_PLAIN);
	lh_table_cell(&table, "12.5 MiB");
	lh_table_cell(&table, "100");
	lh_table_cell_escaped(&table, "");
	lh_table_cell(&table, "struct session_of_a_client");
	lh_table_render(&table, (struct lh_style){.width = 20}, &text);
	assert_success(lh_buffer_status(&text));
	assert_string_equal(text.data, "OWNED 12.5 MiB\n  BLOCKS 100\n    struct\n    session_of_a_cli\n    ent\n");
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
		cmocka_unit_test(test_no_line_is_wider_than_the_terminal),
		cmocka_unit_test(test_rows_become_pairs_where_columns_have_no_room),
		cmocka_unit_test(test_styles_color_rows_and_end),
		cmocka_unit_test(test_zero_bytes_are_a_dash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
