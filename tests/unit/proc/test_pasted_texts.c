/*
 * test_pasted_texts: texts of mappings as editors, mails and pmap make them, and what must stay as it is.
 */
#include "unit.h"

#include "leakhunt/regions.h"

#include <stdio.h>

static void parse(const char *text, struct lh_region_list *ret)
{
	assert_success(lh_regions_parse(text, strlen(text), "test", ret));
}

static const char *const same_texts[] = {
	"1000-3000 rw-p 00000000 00:00 0 [heap]\nRss: 8 kB\nPrivate_Dirty: 4 kB\n",
	"1000-3000 rw-p 00000000 00:00 0 [heap]\r\nRss:\t8 kB\r\nPrivate_Dirty:\t4 kB\r\n",
	"1000-3000\trw-p\t00000000\t00:00\t0\t\t[heap]\nRss:\t8\tKB\nPrivate_Dirty:\t4\tKiB\n",
	"> 1000-3000 rw-p 00000000 00:00 0 [heap]\n> Rss: 8 kB\n>\n> Private_Dirty: 4 kB\n",
	"    1000-3000 rw-p 00000000 00:00 0 [heap]\n    Rss: 8 kb\n    Private_Dirty: 4 kb",
	"\xef\xbb\xbf"
	"1000-3000 rw-p 00000000 00:00 0 [heap]\nRss: 8 kB\nPrivate_Dirty: 4 kB\n",
	"1000-3000\xc2\xa0rw-p\xc2\xa0"
	"00000000\xc2\xa0"
	"00:00\xc2\xa0"
	"0\xc2\xa0\xc2\xa0[heap]\n"
	"Rss:\xc2\xa0\xc2\xa0"
	"8\xc2\xa0kB\nPrivate_Dirty:\xc2\xa0"
	"4\xc2\xa0kB\n",
	"7:   server\n         Address Perm   Offset Device Inode Size Rss Private_Dirty Mapping\n"
	"            1000 rw-p 00000000  00:00     0    8   8             4 [heap]\n"
	"                                            ==== === =============\n"
	"                                               8   8             4 KB\n",
};

static void test_same_in_all_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(same_texts); i++) {
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		parse(same_texts[i], &list);
		assert_int_equal(list.regions.count, 1);
		const struct lh_region *region = &list.regions.items[0];
		assert_true(region->start == 0x1000 && region->end == 0x3000);
		assert_string_equal(region->name, "[heap]");
		assert_int_equal(region->kind, LH_REGION_HEAP);
		assert_int_equal(region->usage.rss_bytes, 8192);
		assert_int_equal(region->usage.private_dirty_bytes, 4096);
		assert_int_equal(list.skipped_lines, 0);
	}
}

/* Both byte orders, with a character of two, of three and of four bytes in a name. */
static void test_utf_16(void **state)
{
	(void)state;
	static const uint16_t name[] = {'/', 0xe9, 0x65e5, 0xd83d, 0xde00, '\n'};
	static const char ascii[] = "1000-3000 rw-p 00000000 08:01 5 ";
	for (int shift = 0; shift <= 8; shift += 8) {
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		char text[256];
		size_t length = 0;
		for (size_t i = 0; i + 1 < sizeof(ascii); i++) {
			text[length + (shift ? 1 : 0)] = ascii[i];
			text[length + (shift ? 0 : 1)] = '\0';
			length += 2;
		}
		for (size_t i = 0; i < LH_ARRAY_COUNT(name); i++) {
			text[length++] = (char)(uint8_t)(name[i] >> shift);
			text[length++] = (char)(uint8_t)(name[i] >> (8 - shift));
		}
		assert_success(lh_regions_parse(text, length, "test", &list));
		assert_string_equal(list.regions.items[0].name, "/\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80");
	}
}

/* What a name holds is its own: two blanks, a tab, a carriage return where the other lines have none. */
static void test_names_stay(void **state)
{
	(void)state;
	static const char text[] = "1000-2000 r--p 00000000 08:01 5    /a  b\tc\r\n"
				   "2000-3000 r--p 00000000 08:01 6    /plain\nbad line\n";
	static const char spoilt[] = "1000-2000 r--p 00000000 08:01 5    /plain\n"
				     "2000-3000 r--p 00000000 08:01 6    /a  b\tc\r\nbad line\n";
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_region_list other LH_CLEANUP(lh_region_list_deinit) = {0};
	parse(text, &list);
	assert_string_equal(list.regions.items[0].name, "/a  b\tc");
	parse(spoilt, &other);
	assert_string_equal(other.regions.items[1].name, "/a  b\tc\r");
	assert_int_equal(other.skipped_lines, 1);
}

static void test_pmap_x(void **state)
{
	(void)state;
	static const char text[] =
		"7:   server\nAddress           Kbytes     RSS   Dirty Mode  Mapping\n"
		"0000000000001000       8       8       4 rw---   [ anon ]\n"
		"0000000000004000       4       4       4 rw-s- zero (deleted)\n"
		"ffffffffff600000       4       0       0 --x--   [ anon ]\n"
		"---------------- ------- ------- ------- \ntotal kB              16      12       8\n";
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	parse(text, &list);
	assert_int_equal(list.regions.count, 3);
	assert_int_equal(list.skipped_lines, 0);
	assert_int_equal(list.regions.items[0].kind, LH_REGION_ANON);
	assert_int_equal(list.regions.items[0].usage.private_dirty_bytes, 4096);
	assert_true(list.regions.items[1].is_shared && list.regions.items[1].is_deleted);
	assert_true(list.regions.items[2].start == 0xffffffffff600000u);
}

static void test_refused_by_name(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"7:   server\n0000000000001000      8K rw---   [ anon ]\n total                8K\n",
		 "output of pmap without memory usage"},
		{"Address           Kbytes Mode  Offset           Device    Mapping\n", "without memory usage"},
		{"Address Kbytes RSS Dirty Mode Mapping\n1000 4 4 4 rw--- a\n"
		 "Address Kbytes RSS Dirty Mode Mapping\n1000 4 4 4 rw--- a\n",
		 "mappings of two processes"},
		{"5000-6000 rw-p 00000000 00:00 0\nRss: 4 kB\n7000-8000 rw-p 00000000 00:00 0\nRss: 4 kB\n"
		 "1000-2000 rw-p 00000000 00:00 0\nRss: 4 kB\n2000-3000 rw-p 00000000 00:00 0\nRss: 4 kB\n",
		 "mappings of two processes"},
		{"1000-2000 rw-p 00000000 00:00 0\nRss: 1 MB\nPss: 1 MB\nSwap: 1 MB\nLocked: 1 MB\nKSM: 1 MB\n"
		 "Anonymous: 1 MB\nLazyFree: 1 MB\nReferenced: 1 MB\nPrivate_Clean: 1 MB\nPrivate_Dirty: 1 MB\n"
		 "Shared_Clean: 1 MB\n",
		 "that are not of maps or smaps"},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(rows); i++) {
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		struct lh_error *error = lh_regions_parse(rows[i].text, strlen(rows[i].text), "test", &list);
		assert_non_null(error);
		assert_int_equal(lh_error_code(error), LH_ERROR_FORMAT);
		if (!strstr(lh_error_message(error), rows[i].message))
			fail_msg("%s", lh_error_message(error));
		lh_error_destroy(error);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_in_all_forms), cmocka_unit_test(test_utf_16),
		cmocka_unit_test(test_names_stay),        cmocka_unit_test(test_pmap_x),
		cmocka_unit_test(test_refused_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
