/* The sentences of leaks: counts that belong to the group, and to no other. */
#include "heap/sink.h"
#include "leakhunt/report.h"

#include "core_builder.h"
#include "image/view.h"

#define HEAP_ADDR UINT64_C(0x10000000)

/* A heap of one block that nothing points to: the groups are made up. */
struct setting {
	struct core_builder core;
	struct lh_image *image;
	struct lh_heap heap;
	struct lh_graph *graph;
	struct lh_leaks leaks;
	struct lh_holder_list holders;
	struct lh_buffer text;
};

static void begin_setting_of(struct setting *setting, bool has_thread)
{
	static uint8_t page[LH_PAGE_BYTES];
	static struct lh_range range = {HEAP_ADDR, HEAP_ADDR + LH_PAGE_BYTES};
	*setting = (struct setting){.image = NULL};
	core_begin(&setting->core);
	if (has_thread)
		core_add_thread(&setting->core, 100, 0x1000);
	core_add_load(&setting->core, HEAP_ADDR, sizeof(page), page, sizeof(page), PF_R | PF_W);
	core_end(&setting->core);
	setting->image = core_open(&setting->core);
	assert_success(
		lh_vec_push(&setting->heap.chunks,
			    ((struct lh_stored_chunk){.addr = HEAP_ADDR, .size_bytes = 24, .state = LH_CHUNK_USED})));
	assert_success(lh_vec_push(&setting->heap.arenas, ((struct lh_heap_arena){.allocator = "glibc",
										  .role = "main",
										  .kind = LH_REGION_HEAP,
										  .ranges = &range,
										  .range_count = 1})));
	assert_success(lh_graph_create(setting->image, &setting->heap, &setting->graph));
	assert_success(
		lh_vec_push(&setting->leaks.rows.rows,
			    ((struct lh_heap_group){
				    .basis = LH_GROUP_TYPE, .kind = "OpenSSL", .name = "SSL", .detail = "server"})));
}

static void begin_setting(struct setting *setting)
{
	begin_setting_of(setting, true);
}

static void end_setting(struct setting *setting)
{
	lh_buffer_deinit(&setting->text);
	lh_vec_deinit(&setting->leaks.groups);
	lh_vec_deinit(&setting->leaks.rows.rows);
	lh_vec_deinit(&setting->holders.items);
	lh_graph_destroy(setting->graph);
	lh_image_close(setting->image);
	core_deinit(&setting->core);
	lh_vec_deinit(&setting->heap.chunks);
	lh_vec_deinit(&setting->heap.arenas);
}

static const char *text_of(struct setting *setting, struct lh_leak_group group)
{
	assert_success(lh_vec_push(&setting->leaks.groups, group));
	setting->leaks.count += group.count;
	setting->leaks.owned_count += group.owned_count;
	setting->leaks.owned_bytes += group.owned_bytes;
	struct lh_leaks_report report = {
		.image = setting->image,
		.heap = &setting->heap,
		.graph = setting->graph,
		.leaks = &setting->leaks,
		.holders = &setting->holders,
		.top = 20,
	};
	lh_report_leaks_text(&report, (struct lh_style){0}, &setting->text);
	assert_success(lh_buffer_status(&setting->text));
	return setting->text.data;
}

/* With a reason to call nothing lost, it is not said that nothing is. */
static void test_doubts_do_not_contradict(void **state)
{
	(void)state;
	struct setting setting;
	begin_setting_of(&setting, false);
	setting.leaks.possible_count = 1;
	const char *text = text_of(&setting, (struct lh_leak_group){.status = LH_LEAK_POSSIBLE});
	assert_non_null(strstr(text, "nothing is called lost: the dump has no threads"));
	assert_non_null(strstr(text, "lost or not is unknown for 1 of 1 blocks in use"));
	assert_null(strstr(text, "nothing is lost"));
	end_setting(&setting);
}

/* One sentence says both: that all can be reached, and why more may be in use than is seen. */
static void test_doubts_about_nothing(void **state)
{
	(void)state;
	struct setting setting;
	begin_setting_of(&setting, false);
	const char *text = text_of(&setting, (struct lh_leak_group){.status = LH_LEAK_HELD});
	assert_non_null(strstr(
		text, "nothing is known to be lost: each of 1 block in use can be reached (the dump has no threads"));
	assert_null(strstr(text, "nothing is called lost"));
	end_setting(&setting);
}

/* Of a program, and of one whose runtime keeps many values in a block. */
static void test_values_within_blocks_are_not_told_of(void **state)
{
	(void)state;
	static char perl[] = "/usr/bin/perl", other[] = "/usr/bin/proxy";
	struct setting setting;
	begin_setting(&setting);
	assert_success(lh_vec_push(&setting.image->modules.modules, ((struct lh_module){.path = other})));
	const char *text = text_of(&setting, (struct lh_leak_group){.status = LH_LEAK_REACHABLE});
	assert_non_null(strstr(text, "nothing is lost: each of 1 blocks in use can be reached\n"));
	lh_buffer_deinit(&setting.text);
	setting.image->modules.modules.items[0].path = perl;
	text = text_of(&setting, (struct lh_leak_group){.status = LH_LEAK_REACHABLE});
	assert_null(strstr(text, "nothing is lost"));
	assert_non_null(strstr(text, "no block is lost: each of 1 blocks in use can be reached; this does not tell of "
				     "values of perl"));
	end_setting(&setting);
}

static void test_blocks_alone(void **state)
{
	(void)state;
	struct setting setting;
	begin_setting(&setting);
	const char *text = text_of(&setting, (struct lh_leak_group){.status = LH_LEAK_LOST,
								    .size_bytes = 1024,
								    .count = 3,
								    .bytes = 3072,
								    .owned_count = 3,
								    .owned_bytes = 3072});
	assert_non_null(strstr(text, "lost: 3 blocks"));
	assert_non_null(strstr(text, "3 OpenSSL SSL, server (3.00 KiB) are held by nothing."));
	end_setting(&setting);
}

/* 10 heads, 5 more that other heads of the group hold, and 85 blocks of other kinds. */
static void test_owned_blocks(void **state)
{
	(void)state;
	struct setting setting;
	begin_setting(&setting);
	const char *text = text_of(&setting, (struct lh_leak_group){.status = LH_LEAK_LOST,
								    .size_bytes = 1024,
								    .count = 10,
								    .bytes = 10240,
								    .held_count = 5,
								    .owned_count = 100,
								    .owned_bytes = 102400});
	assert_non_null(strstr(text, "15 OpenSSL SSL, server (100 KiB with the 85 blocks that only they hold) are "
				     "held by nothing, 5 of them only by another lost block."));
	end_setting(&setting);
}

/* A circle that owns 37 blocks, while blocks of other groups hold 1,044 of its kind: those are not the circle's. */
static void test_blocks_of_other_groups(void **state)
{
	(void)state;
	struct setting setting;
	begin_setting(&setting);
	const char *text = text_of(&setting, (struct lh_leak_group){.status = LH_LEAK_CYCLE,
								    .size_bytes = 16712,
								    .count = 1,
								    .bytes = 16712,
								    .held_count = 1044,
								    .owned_count = 37,
								    .owned_bytes = 47104});
	assert_non_null(strstr(text, "1 OpenSSL SSL, server (46.0 KiB with the 36 blocks that only it holds) is held "
				     "only by a circle of lost blocks."));
	end_setting(&setting);
}

static const char *text_of_holder(struct setting *setting, struct lh_holder holder)
{
	assert_success(lh_vec_push(&setting->holders.items, holder));
	return text_of(setting, (struct lh_leak_group){.status = LH_LEAK_LOST, .size_bytes = 64, .count = 1});
}

static void test_holders(void **state)
{
	(void)state;
	struct setting setting;
	struct lh_holder holder = {
		.shape = LH_HOLDER_HASH,
		.root = "global g_sessions in proxy",
		.name = "",
		.element_name = "Session",
		.element_basis = LH_GROUP_TYPE,
		.element_count = 48000,
		.element_bytes = 64,
		.retained_bytes = 1 << 20,
	};
	begin_setting(&setting);
	assert_non_null(strstr(text_of_holder(&setting, holder),
			       "  global g_sessions in proxy holds 48,000 Session in a "
			       "hash table: 1.00 MiB with all that only it retains\n"));
	end_setting(&setting);
	begin_setting(&setting);
	holder.shape = LH_HOLDER_BLOCK;
	holder.element_name = "zeros";
	holder.element_basis = LH_GROUP_CONTENT;
	holder.element_count = 1;
	holder.is_shared = true;
	assert_non_null(strstr(text_of_holder(&setting, holder),
			       "global g_sessions in proxy and other roots hold 1 block of "
			       "64 B with zeros: 1.00 MiB with all that only they retain\n"));
	end_setting(&setting);
	begin_setting(&setting);
	holder.element_count = 0;
	holder.retained_count = 3;
	holder.is_shared = false;
	holder.addr = 0x5000;
	assert_non_null(
		strstr(text_of_holder(&setting, holder), "global g_sessions in proxy holds 3 blocks (0x5000): "));
	end_setting(&setting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doubts_do_not_contradict),
		cmocka_unit_test(test_doubts_about_nothing),
		cmocka_unit_test(test_values_within_blocks_are_not_told_of),
		cmocka_unit_test(test_blocks_alone),
		cmocka_unit_test(test_owned_blocks),
		cmocka_unit_test(test_blocks_of_other_groups),
		cmocka_unit_test(test_holders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
