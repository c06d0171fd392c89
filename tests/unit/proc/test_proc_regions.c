/*
 * test_proc_regions: texts of maps and smaps, as several kernels write them and as nobody should.
 */
#include "unit.h"

#include "leakhunt/regions.h"
#include "proc/regions.h"

#include <stdio.h>

/* Linux 2.6.32 (RHEL 6): neither Anonymous-era fields nor VmFlags. */
static const char smaps_2_6_32[] =
	"00400000-0040b000 r-xp 00000000 fd:00 1703957                            /bin/cat\n"
	"Size:                 44 kB\n"
	"Rss:                  32 kB\n"
	"Pss:                  16 kB\n"
	"Shared_Clean:         32 kB\n"
	"Shared_Dirty:          0 kB\n"
	"Private_Clean:         0 kB\n"
	"Private_Dirty:         0 kB\n"
	"Referenced:           32 kB\n"
	"Swap:                  0 kB\n"
	"KernelPageSize:        4 kB\n"
	"MMUPageSize:           4 kB\n"
	"01c5d000-01c7e000 rw-p 00000000 00:00 0                                  [heap]\n"
	"Size:                132 kB\n"
	"Rss:                  12 kB\n"
	"Pss:                  12 kB\n"
	"Shared_Clean:          0 kB\n"
	"Shared_Dirty:          0 kB\n"
	"Private_Clean:         4 kB\n"
	"Private_Dirty:         8 kB\n"
	"Referenced:           12 kB\n"
	"Swap:                 20 kB\n"
	"KernelPageSize:        4 kB\n"
	"MMUPageSize:           4 kB\n"
	"2aaaaac00000-2aaaaae00000 rw-p 00000000 00:0d 35421                      /mnt/huge/x\n"
	"Size:               2048 kB\n"
	"Rss:                   0 kB\n"
	"Pss:                   0 kB\n"
	"Shared_Clean:          0 kB\n"
	"Shared_Dirty:          0 kB\n"
	"Private_Clean:         0 kB\n"
	"Private_Dirty:         0 kB\n"
	"Referenced:            0 kB\n"
	"Swap:                  0 kB\n"
	"KernelPageSize:     2048 kB\n"
	"MMUPageSize:        2048 kB\n"
	"7fff9f1ff000-7fff9f214000 rw-p 00000000 00:00 0                          [stack]\n"
	"Size:                 84 kB\n"
	"Rss:                   8 kB\n"
	"Pss:                   8 kB\n"
	"Shared_Clean:          0 kB\n"
	"Shared_Dirty:          0 kB\n"
	"Private_Clean:         0 kB\n"
	"Private_Dirty:         8 kB\n"
	"Referenced:            8 kB\n"
	"Swap:                  0 kB\n"
	"KernelPageSize:        4 kB\n"
	"MMUPageSize:           4 kB\n";

/* Linux 4.4, "[stack:TID]" and a mapping of more than 8 digits of kB. */
static const char smaps_4_4[] =
	"7f0000000000-7f3000000000 rw-p 00000000 00:00 0 \n"
	"Size:           201326592 kB\n"
	"Rss:            201326592 kB\n"
	"Pss:            201326592 kB\n"
	"Private_Clean:         0 kB\n"
	"Private_Dirty: 201326592 kB\n"
	"Anonymous:     201326592 kB\n"
	"AnonHugePages: 201326592 kB\n"
	"Shared_Hugetlb:        0 kB\n"
	"Private_Hugetlb:       0 kB\n"
	"Swap:                  0 kB\n"
	"SwapPss:               0 kB\n"
	"Locked:                4 kB\n"
	"VmFlags: rd wr mr mw me dd \n"
	"7f4a10021000-7f4a10821000 rw-p 00000000 00:00 0                          [stack:4711]\n"
	"Size:               8192 kB\n"
	"Rss:                   8 kB\n"
	"Pss:                   8 kB\n"
	"Private_Clean:         0 kB\n"
	"Private_Dirty:         8 kB\n"
	"Anonymous:             8 kB\n"
	"AnonHugePages:         0 kB\n"
	"Shared_Hugetlb:        0 kB\n"
	"Private_Hugetlb:       0 kB\n"
	"Swap:                  0 kB\n"
	"SwapPss:               0 kB\n"
	"Locked:                0 kB\n"
	"VmFlags: rd wr mr mw me ac \n";

/* Linux 6.18; the fields of one mapping. */
#define FIELDS_6_18(rss, private_dirty, anonymous, hugetlb, flags) \
	"Size:               2048 kB\n"                            \
	"KernelPageSize:        4 kB\n"                            \
	"MMUPageSize:           4 kB\n"                            \
	"Rss:              " rss " kB\n"                           \
	"Pss:              " rss " kB\n"                           \
	"Pss_Dirty:        " private_dirty " kB\n"                 \
	"Shared_Clean:          0 kB\n"                            \
	"Shared_Dirty:          0 kB\n"                            \
	"Private_Clean:         4 kB\n"                            \
	"Private_Dirty:    " private_dirty " kB\n"                 \
	"Referenced:            0 kB\n"                            \
	"Anonymous:        " anonymous " kB\n"                     \
	"KSM:                   0 kB\n"                            \
	"LazyFree:              0 kB\n"                            \
	"AnonHugePages:         0 kB\n"                            \
	"ShmemPmdMapped:        0 kB\n"                            \
	"FilePmdMapped:         0 kB\n"                            \
	"Shared_Hugetlb:        0 kB\n"                            \
	"Private_Hugetlb:  " hugetlb " kB\n"                       \
	"Swap:                  0 kB\n"                            \
	"SwapPss:               0 kB\n"                            \
	"Locked:                0 kB\n"                            \
	"THPeligible:           0\n"                               \
	"ProtectionKey:         0\n"                               \
	"VmFlags: " flags "\n"

static void parse(const char *text, struct lh_region_list *ret)
{
	assert_success(lh_regions_parse(text, strlen(text), "test", ret));
}

static void assert_kinds(const char *text, const enum lh_region_kind *kinds, size_t count)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	parse(text, &list);
	assert_int_equal(list.skipped_lines, 0);
	assert_int_equal(list.dropped_regions, 0);
	assert_int_equal(list.regions.count, count);
	for (size_t i = 0; i < count; i++)
		if (list.regions.items[i].kind != kinds[i])
			fail_msg("mapping %zu is %s, not %s", i, lh_region_kind_name(list.regions.items[i].kind),
				 lh_region_kind_name(kinds[i]));
}

#define ASSERT_KINDS(text, ...)                                               \
	do {                                                                  \
		static const enum lh_region_kind expected_[] = {__VA_ARGS__}; \
		assert_kinds((text), expected_, LH_ARRAY_COUNT(expected_));   \
	} while (0)

static void test_2_6_32(void **state)
{
	(void)state;
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	parse(smaps_2_6_32, &list);
	assert_int_equal(list.regions.count, 4);
	assert_true(list.has_usage);
	assert_int_equal(list.skipped_lines, 0);
	const struct lh_region *text = &list.regions.items[0], *heap = &list.regions.items[1];
	assert_true(text->start == 0x400000 && text->end == 0x40b000);
	assert_string_equal(text->name, "/bin/cat");
	assert_int_equal(text->protection, LH_PROT_READ | LH_PROT_EXEC);
	assert_int_equal(text->inode, 1703957);
	assert_int_equal(text->device_major, 0xfd);
	assert_int_equal(text->kind, LH_REGION_TEXT);
	assert_int_equal(heap->kind, LH_REGION_HEAP);
	assert_int_equal(heap->usage.rss_bytes, 12 * 1024);
	assert_int_equal(lh_usage_uss(&heap->usage), 12 * 1024);
	assert_int_equal(heap->usage.swap_bytes, 20 * 1024);
	assert_int_equal(list.regions.items[2].kind, LH_REGION_HUGETLB);
	assert_int_equal(list.regions.items[3].kind, LH_REGION_MAIN_STACK);
}

static void test_4_4(void **state)
{
	(void)state;
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	parse(smaps_4_4, &list);
	assert_int_equal(list.regions.count, 2);
	assert_int_equal(list.skipped_lines, 0);
	const struct lh_region *big = &list.regions.items[0], *stack = &list.regions.items[1];
	assert_true(big->usage.private_dirty_bytes == 201326592ull * 1024);
	assert_true(big->usage.locked_bytes == 4096);
	assert_true(big->is_dontdump);
	assert_false(stack->is_dontdump);
	assert_int_equal(stack->kind, LH_REGION_THREAD_STACK);
	assert_int_equal(stack->tid, 4711);
	assert_int_equal(stack->usage.private_dirty_bytes, 8192);
}

static void test_6_18(void **state)
{
	(void)state;
	static const char text[] = "7f0000000000-7f0000200000 rw-p 00000000 00:00 0 \n" FIELDS_6_18(
		"  2048", "  2044", "  2044", "     0",
		"rd wr mr mw me ac ") "7f0000200000-7f0000400000 rw-p 00000000 00:0f 77  /anon_hugepage "
				      "(deleted)\n" FIELDS_6_18("     0", "     0", "     0", "  2048",
								"rd wr mr mw me de ht ") "7f0000400000-"
											 "7f0000600000 rw-s "
											 "00000000 00:06 9   "
											 "/dev/dri/"
											 "card0"
											 "\n" FIELDS_6_18("  "
													  "  "
													  " "
													  "0",
													  "  "
													  "  "
													  " "
													  "0",
													  "  "
													  "  "
													  " "
													  "0",
													  "  "
													  "  "
													  " "
													  "0",
													  "rd"
													  " w"
													  "r "
													  "sh"
													  " m"
													  "r "
													  "mw"
													  " m"
													  "e "
													  "io"
													  " p"
													  "f "
													  "dd"
													  " ");
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	parse(text, &list);
	assert_int_equal(list.regions.count, 3);
	assert_int_equal(list.skipped_lines, 0);
	const struct lh_region *items = list.regions.items;
	assert_int_equal(items[0].usage.private_dirty_bytes, 2044 * 1024);
	assert_int_equal(items[0].usage.private_clean_bytes, 4096);
	assert_int_equal(items[0].usage.anonymous_bytes, 2044 * 1024);
	assert_false(items[0].is_hugetlb);
	assert_true(items[1].is_hugetlb && items[1].is_deleted);
	assert_int_equal(items[1].kind, LH_REGION_HUGETLB);
	assert_int_equal(lh_usage_uss(&items[1].usage), 2052 * 1024);
	assert_true(items[2].is_io && items[2].is_dontdump && items[2].is_shared);
	struct lh_usage total;
	uint64_t vss_bytes;
	lh_regions_total(&list, &total, &vss_bytes);
	assert_int_equal(vss_bytes, 3 * 2048 * 1024);
	assert_int_equal(total.rss_bytes, 2048 * 1024);
	assert_int_equal(total.private_hugetlb_bytes, 2048 * 1024);
}

static void test_names(void **state)
{
	(void)state;
	static const char text[] = "1000-2000 r--p 00000000 08:01 1 /tmp/a b\n"
				   "2000-3000 r--p 00000000 08:01 2 /tmp/new\\012line (deleted)\n"
				   "3000-4000 r--p 00000000 08:01 3 /tmp/back\\slash\n"
				   "4000-5000 r--p 00000000 08:01 4 /tmp/trailing \n"
				   "5000-6000 rw-p 00000000 00:00 0\n"
				   "6000-7000 rw-p 00000000 00:00 0                          [anon:my pool]\n";
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	parse(text, &list);
	assert_int_equal(list.regions.count, 6);
	assert_int_equal(list.skipped_lines, 0);
	assert_false(list.has_usage);
	assert_string_equal(list.regions.items[0].name, "/tmp/a b");
	assert_string_equal(list.regions.items[1].name, "/tmp/new\nline");
	assert_true(list.regions.items[1].is_deleted);
	assert_string_equal(list.regions.items[2].name, "/tmp/back\\slash");
	assert_string_equal(list.regions.items[3].name, "/tmp/trailing ");
	assert_string_equal(list.regions.items[4].name, "");
	assert_string_equal(list.regions.items[5].name, "[anon:my pool]");
	assert_int_equal(list.regions.items[5].kind, LH_REGION_ANON);
}

static void test_module_kinds(void **state)
{
	(void)state;
	/* A library with RELRO, its bss, and a data file that has no text. */
	ASSERT_KINDS("7f1c6f75d000-7f1c6f783000 r--p 00000000 fe:00 332835 /usr/lib/libc.so.6\n"
		     "7f1c6f783000-7f1c6f8d9000 r-xp 00026000 fe:00 332835 /usr/lib/libc.so.6\n"
		     "7f1c6f8d9000-7f1c6f92c000 r--p 0017c000 fe:00 332835 /usr/lib/libc.so.6\n"
		     "7f1c6f92c000-7f1c6f930000 r--p 001cf000 fe:00 332835 /usr/lib/libc.so.6\n"
		     "7f1c6f930000-7f1c6f932000 rw-p 001d3000 fe:00 332835 /usr/lib/libc.so.6\n"
		     "7f1c6f932000-7f1c6f93f000 rw-p 00000000 00:00 0 \n"
		     "7f1c6f93f000-7f1c6f940000 r--p 00000000 fe:00 320473 /usr/lib/locale/LC_ADDRESS\n"
		     "7f1c6f940000-7f1c6f941000 rw-p 00000000 00:00 0 \n",
		     LH_REGION_RODATA, LH_REGION_TEXT, LH_REGION_RODATA, LH_REGION_DATA, LH_REGION_DATA, LH_REGION_BSS,
		     LH_REGION_FILE, LH_REGION_ANON);
}

static void test_special_kinds(void **state)
{
	(void)state;
	ASSERT_KINDS("7f0000000000-7f0000001000 rw-s 00000000 00:01 5 /dev/zero (deleted)\n"
		     "7f0000001000-7f0000002000 rw-p 00000000 00:01 5 /dev/zero\n"
		     "7f0000002000-7f0000003000 rw-s 00000000 00:01 98304 /SYSV00000000 (deleted)\n"
		     "7f0000003000-7f0000004000 rw-s 00000000 00:19 7 /dev/shm/pool\n"
		     "7f0000004000-7f0000005000 rw-s 00000000 00:01 9 /memfd:jit (deleted)\n"
		     "7f0000005000-7f0000006000 ---p 00000000 00:00 0 \n"
		     "7f0000006000-7f0000007000 rwxp 00000000 00:00 0 \n"
		     "7f0000007000-7f0000008000 r--p 00000000 00:00 0 [vvar]\n"
		     "7f0000008000-7f0000009000 r-xp 00000000 00:00 0 [vdso]\n"
		     "7f0000009000-7f000000a000 rw-p 00000000 00:00 0 [anon: glibc: malloc arena]\n"
		     "7f000000a000-7f000000b000 rw-p 00000000 00:00 0 [anon: glibc: pthread stack: 99]\n"
		     "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n",
		     LH_REGION_SHARED, LH_REGION_ANON, LH_REGION_SHARED, LH_REGION_SHARED, LH_REGION_MEMFD,
		     LH_REGION_GUARD, LH_REGION_ANON, LH_REGION_VDSO, LH_REGION_VDSO, LH_REGION_ARENA,
		     LH_REGION_THREAD_STACK, LH_REGION_VDSO);
}

/* A text shows no heap_info: nothing is called an arena by the shape of its mappings. */
static void test_arenas_are_not_guessed(void **state)
{
	(void)state;
	ASSERT_KINDS("7f4a10000000-7f4a10021000 rw-p 00000000 00:00 0 \n"
		     "7f4a10021000-7f4a14000000 ---p 00000000 00:00 0 \n"
		     "7f4a24000000-7f4a28000000 rw-p 00000000 00:00 0 \n"
		     "7f4a88000000-7f4a88021000 r--p 00000000 00:00 0 \n",
		     LH_REGION_ANON, LH_REGION_GUARD, LH_REGION_ANON, LH_REGION_ANON);
}

static void test_bad_lines(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"2000-2000 rw-p 00000000 00:00 0",
		"3000-2000 rw-p 00000000 00:00 0",
		"2001-3000 rw-p 00000000 00:00 0",
		"2000-3000 rwzp 00000000 00:00 0",
		"2000-3000 rw-p 00000000 00:00",
		"2000-3000 rw-p 00000000 0000 0",
		"2000-3000",
		"2000-11112222333344445000 rw-p 00000000 00:00 0",
		"-3000 rw-p 00000000 00:00 0",
		"hello",
		"2000-3000 rw-p 00000000 00:00 0x",
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(bad); i++) {
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		char text[256];
		snprintf(text, sizeof(text), "1000-2000 rw-p 00000000 00:00 0\n%s\n", bad[i]);
		parse(text, &list);
		assert_int_equal(list.regions.count, 1);
		assert_int_equal(list.skipped_lines, 1);
		assert_failure(lh_regions_parse(bad[i], strlen(bad[i]), "test", &list), LH_ERROR_FORMAT);
	}
}

static void test_bad_fields(void **state)
{
	(void)state;
	static const char *const bad[] = {"Rss: kB",     "Rss:     12",
					  "Rss:  12 MB", "Rss: 123456789012345678 kB",
					  "Rss: -1 kB",  "Rubbish without an end"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(bad); i++) {
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		char text[256];
		snprintf(text, sizeof(text), "1000-2000 rw-p 00000000 00:00 0\nPss:           4 kB\n%s\n", bad[i]);
		parse(text, &list);
		assert_int_equal(list.skipped_lines, 1);
		assert_int_equal(list.regions.items[0].usage.rss_bytes, 0);
		assert_int_equal(list.regions.items[0].usage.pss_bytes, 4096);
	}
}

/* A line of the usual width with a number that is none must not pass the quick way. */
static void test_bad_number_in_the_quick_way(void **state)
{
	(void)state;
	static const char *const numbers[] = {"    1 23", "       x", "        ", "12 45678"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(numbers); i++) {
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		char text[512];
		snprintf(text, sizeof(text),
			 "1000-2000 rw-p 00000000 00:00 0\nRss:                   4 kB\n"
			 "2000-3000 rw-p 00000000 00:00 0\nRss:            %s kB\n"
			 "3000-4000 rw-p 00000000 00:00 0\nRss:            12345678 kB\n",
			 numbers[i]);
		parse(text, &list);
		assert_int_equal(list.regions.count, 3);
		assert_int_equal(list.skipped_lines, 1);
		assert_int_equal(list.regions.items[1].usage.rss_bytes, 0);
		assert_true(list.regions.items[2].usage.rss_bytes == 12345678ull * 1024);
	}
}

static void test_order_and_overlap(void **state)
{
	(void)state;
	static const char text[] = "5000-6000 rw-p 00000000 00:00 0\nRss:                   4 kB\n"
				   "1000-2000 rw-p 00000000 00:00 0\nRss:                   8 kB\n"
				   "5000-9000 rw-p 00000000 00:00 0\nRss:                  16 kB\n"
				   "6000-7000 rw-p 00000000 00:00 0\nRss:                  32 kB\n";
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_usage total;
	uint64_t vss_bytes;
	parse(text, &list);
	assert_int_equal(list.regions.count, 2);
	assert_int_equal(list.dropped_regions, 2);
	lh_regions_total(&list, &total, &vss_bytes);
	assert_int_equal(total.rss_bytes, 36 * 1024);
	assert_int_equal(vss_bytes, 8192);
}

static void feed_live(const char *text, struct lh_region_list *ret)
{
	struct lh_regions_parser parser = {.list = ret, .is_live = true};
	size_t consumed;
	assert_success(lh_regions_parser_feed(&parser, text, strlen(text), true, &consumed));
	assert_success(lh_regions_parser_finish(&parser, "smaps"));
}

/* What a live kernel shows again, since it grew or merged after it was shown, is complete the second time. */
static void test_a_mapping_that_grew_while_it_was_listed(void **state)
{
	(void)state;
	static const char grown[] = "1000-2000 rw-p 00000000 00:00 0\nRss:                   4 kB\n"
				    "3000-5000 rw-p 00000000 00:00 0\nRss:                   8 kB\n"
				    "3000-9000 rw-p 00000000 00:00 0\nRss:                  16 kB\n"
				    "a000-b000 rw-p 00000000 00:00 0\nRss:                  32 kB\n";
	static const char merged[] = "1000-2000 rw-p 00000000 00:00 0\nRss:                   4 kB\n"
				     "2000-3000 r--p 00000000 00:00 0\nRss:                   4 kB\n"
				     "1000-4000 rw-p 00000000 00:00 0\nRss:                  12 kB\n";
	/* Of a mapping that was split, a part is shown: the text has a hole or two truths. */
	static const char split[] = "1000-4000 rw-p 00000000 00:00 0\nRss:                  12 kB\n"
				    "3000-5000 r--p 00000000 00:00 0\nRss:                   8 kB\n";
	static const struct {
		const char *text;
		size_t regions, dropped;
		uint64_t rss_kib;
	} rows[] = {{grown, 3, 0, 52}, {merged, 1, 0, 12}, {split, 1, 1, 12}};
	for (size_t i = 0; i < LH_ARRAY_COUNT(rows); i++) {
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		struct lh_usage total;
		uint64_t vss_bytes;
		feed_live(rows[i].text, &list);
		assert_int_equal(list.regions.count, rows[i].regions);
		assert_int_equal(list.dropped_regions, rows[i].dropped);
		assert_int_equal(list.skipped_lines, 0);
		lh_regions_total(&list, &total, &vss_bytes);
		assert_int_equal(total.rss_bytes, rows[i].rss_kib * 1024);
	}
}

/* However a text is cut, figures are those of its beginning, and a cut within a mapping is noticed. */
static void test_every_cut(void **state)
{
	(void)state;
	size_t length = strlen(smaps_2_6_32);
	const char *second = strstr(smaps_2_6_32, "01c5d000");
	for (size_t cut = 0; cut <= length; cut++) {
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		struct lh_error *error = lh_regions_parse(smaps_2_6_32, cut, "test", &list);
		if (error) {
			assert_true(cut < 60);
			lh_error_destroy(error);
			continue;
		}
		bool is_whole = cut == length || (cut && smaps_2_6_32[cut - 1] == '\n' && smaps_2_6_32[cut] < 'A') ||
				(smaps_2_6_32[cut] == '\n' && !strncmp(smaps_2_6_32 + cut - 2, "kB", 2) &&
				 smaps_2_6_32[cut + 1] < 'A');
		/* With only one mapping there is nothing to compare its end to. */
		if (smaps_2_6_32 + cut > second + 80)
			if (is_whole != !list.skipped_lines)
				fail_msg("cut after %zu bytes: \"%.20s\"", cut, smaps_2_6_32 + cut - 20);
	}
}

static void test_not_a_region_list(void **state)
{
	(void)state;
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	static const char rollup[] = "5603c0d7e000-7ffd6a9f7000 ---p 00000000 00:00 0      [rollup]\n"
				     "Rss:                 884 kB\n";
	static const char noise[] = "\0\0\0\0\xff\xfe\n\n\nabc";
	assert_failure(lh_regions_parse("", 0, "test", &list), LH_ERROR_FORMAT);
	assert_failure(lh_regions_parse("\n\n", 2, "test", &list), LH_ERROR_FORMAT);
	assert_failure(lh_regions_parse(rollup, strlen(rollup), "test", &list), LH_ERROR_FORMAT);
	assert_failure(lh_regions_parse(noise, sizeof(noise), "test", &list), LH_ERROR_FORMAT);
	assert_int_equal(list.regions.count, 0);
}

static void test_find(void **state)
{
	(void)state;
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	parse("1000-2000 rw-p 00000000 00:00 0\n4000-6000 rw-p 00000000 00:00 0\n6000-7000 r--p 00000000 00:00 0\n",
	      &list);
	const struct lh_region *items = list.regions.items;
	assert_null(lh_regions_find(&list, 0xfff));
	assert_ptr_equal(lh_regions_find(&list, 0x1000), &items[0]);
	assert_ptr_equal(lh_regions_find(&list, 0x1fff), &items[0]);
	assert_null(lh_regions_find(&list, 0x2000));
	assert_ptr_equal(lh_regions_find(&list, 0x5fff), &items[1]);
	assert_ptr_equal(lh_regions_find(&list, 0x6000), &items[2]);
	assert_null(lh_regions_find(&list, 0x7000));
	assert_null(lh_regions_find(&list, UINT64_MAX));
}

static void test_kind_names(void **state)
{
	(void)state;
	enum lh_region_kind kind;
	for (int i = 0; i < LH_REGION_KIND_COUNT; i++) {
		assert_true(lh_region_kind_parse(lh_region_kind_name((enum lh_region_kind)i), &kind));
		assert_int_equal(kind, i);
	}
	assert_false(lh_region_kind_parse("heaps", &kind));
	assert_false(lh_region_kind_parse("", &kind));
}

static void test_sums_saturate(void **state)
{
	(void)state;
	struct lh_usage a = {.rss_bytes = UINT64_MAX - 1, .private_clean_bytes = UINT64_MAX, .private_dirty_bytes = 1};
	struct lh_usage b = {.rss_bytes = 5, .locked_bytes = 7};
	lh_usage_add(&a, &b);
	assert_true(a.rss_bytes == UINT64_MAX);
	assert_int_equal(a.locked_bytes, 7);
	assert_true(lh_usage_uss(&a) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_2_6_32),
		cmocka_unit_test(test_4_4),
		cmocka_unit_test(test_6_18),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_module_kinds),
		cmocka_unit_test(test_special_kinds),
		cmocka_unit_test(test_arenas_are_not_guessed),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_bad_number_in_the_quick_way),
		cmocka_unit_test(test_order_and_overlap),
		cmocka_unit_test(test_a_mapping_that_grew_while_it_was_listed),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_not_a_region_list),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_kind_names),
		cmocka_unit_test(test_sums_saturate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
