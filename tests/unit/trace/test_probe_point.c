/*
 * Where probes are set: bytes of real allocators (objdump of Debian 12's libc 2.36, libjemalloc 5.3, gperftools 2.10),
 * and code that must be refused.
 */
#include "trace/probe_point.h"
#include "unit.h"

#define CODE(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static struct lh_probe_point find_point(const uint8_t *code, size_t bytes, unsigned arguments, bool may_skip_null)
{
	struct lh_probe_point point = {UINT64_MAX, false, false};
	assert_true(lh_probe_point_find(code, bytes, arguments, may_skip_null, &point));
	return point;
}

static void assert_emulated_at(struct lh_probe_point point, uint64_t offset)
{
	assert_true(point.is_emulated);
	assert_int_equal(point.offset, offset);
}

static void glibc(void **state)
{
	(void)state;
	/* malloc: push %r12 */
	assert_emulated_at(find_point(CODE(0x41, 0x54, 0x55, 0x53), LH_REGISTER_RDI, false), 0);
	/* free: test %rdi,%rdi; je; push %rbp */
	struct lh_probe_point point = find_point(
		CODE(0x48, 0x85, 0xff, 0x0f, 0x84, 0xbf, 0, 0, 0, 0x55, 0x48, 0x8d, 0x77, 0xf0), LH_REGISTER_RDI, true);
	assert_emulated_at(point, 9);
	assert_true(point.skips_null);
	/* posix_memalign: cmpb $0,disp(%rip); push %r12 */
	assert_emulated_at(
		find_point(CODE(0x80, 0x3d, 1, 2, 3, 4, 0, 0x41, 0x54), LH_REGISTER_RDI | LH_REGISTER_RDX, false), 7);
	/* memalign: cmpb; je */
	assert_emulated_at(find_point(CODE(0x80, 0x3d, 1, 2, 3, 4, 0, 0x74, 7), LH_REGISTER_RSI, false), 7);
	/* with CET */
	assert_emulated_at(find_point(CODE(0xf3, 0x0f, 0x1e, 0xfa, 0x55), LH_REGISTER_RDI, false), 4);
}

static void jemalloc(void **state)
{
	(void)state;
	/* malloc: cmp $0x1000,%rdi; ja */
	assert_emulated_at(
		find_point(CODE(0x48, 0x81, 0xff, 0, 0x10, 0, 0, 0x0f, 0x87, 1, 2, 0, 0), LH_REGISTER_RDI, false), 7);
	/* free: mov, mov, mov, shr, and, and, add %fs:0, add, cmp, jne */
	assert_emulated_at(find_point(CODE(0x48, 0x89, 0xf8, 0x48, 0x8b, 0x15, 0x0e, 0x53, 0x0a, 0, 0x48, 0x89, 0xf9,
					   0x48, 0xc1, 0xe8, 0x1a, 0x48, 0x81, 0xe1, 0, 0, 0, 0xc0, 0x25, 0xf0, 0, 0, 0,
					   0x64, 0x48, 0x03, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x01, 0xd0, 0x48, 0x3b, 0x88,
					   0xb0, 1, 0, 0, 0x0f, 0x85, 0x8a, 0, 0, 0),
				      LH_REGISTER_RDI, true),
			   0x30);
}

static void tcmalloc(void **state)
{
	(void)state;
	/* malloc: mov disp(%rip),%rax; test %rax,%rax; jne */
	assert_emulated_at(
		find_point(CODE(0x48, 0x8b, 0x05, 1, 2, 3, 4, 0x48, 0x85, 0xc0, 0x75, 0x75), LH_REGISTER_RDI, false),
		10);
	/* memalign: mov %rdi,%r8; cmp; ja */
	assert_emulated_at(find_point(CODE(0x49, 0x89, 0xf8, 0x48, 0x81, 0xff, 0, 0x20, 0, 0, 0x0f, 0x87, 1, 2, 0, 0),
				      LH_REGISTER_RSI, false),
			   10);
}

/* An argument, or rsp, is no longer what it was: single-stepped at the entry. */
static void stops_before_arguments_change(void **state)
{
	(void)state;
	/* mov %rsi,%rdi; push %rbp */
	struct lh_probe_point point = find_point(CODE(0x48, 0x89, 0xf7, 0x55), LH_REGISTER_RDI, false);
	assert_false(point.is_emulated);
	assert_int_equal(point.offset, 0);
	/* the same code is fine when rdi is no argument */
	assert_emulated_at(find_point(CODE(0x48, 0x89, 0xf7, 0x55), LH_REGISTER_RSI, false), 3);
	/* sub $0x18,%rsp; push %rbp */
	assert_false(find_point(CODE(0x48, 0x83, 0xec, 0x18, 0x55), LH_REGISTER_RDI, false).is_emulated);
	/* xchg %rax,%rdi is not on the list: what stands before it is stepped */
	assert_false(find_point(CODE(0x48, 0x89, 0xc8, 0x48, 0x97, 0x55), LH_REGISTER_RDI, false).is_emulated);
}

/* Linux emulates neither with these prefixes. */
static void knows_what_linux_emulates(void **state)
{
	struct lh_probe_point point;
	(void)state;
	/* rex.W push %rbp; data16 call */
	assert_false(lh_probe_point_find(CODE(0x48, 0x55), LH_REGISTER_RDI, false, &point));
	assert_false(lh_probe_point_find(CODE(0x66, 0xe8, 0, 0, 0, 0), LH_REGISTER_RDI, false, &point));
	/* pushq $1 */
	assert_false(lh_probe_point_find(CODE(0x6a, 0x01), LH_REGISTER_RDI, false, &point));
}

static void refuses_what_it_does_not_know(void **state)
{
	struct lh_probe_point point;
	(void)state;
	/* int3: somebody else's breakpoint; nothing; a cut instruction */
	assert_false(lh_probe_point_find(CODE(0xcc, 0x55), LH_REGISTER_RDI, false, &point));
	assert_false(lh_probe_point_find((const uint8_t *)"", 0, LH_REGISTER_RDI, false, &point));
	assert_false(lh_probe_point_find(CODE(0x48, 0x8b, 0x05, 1), LH_REGISTER_RDI, false, &point));
	assert_false(lh_probe_point_find(CODE(0x48), LH_REGISTER_RDI, false, &point));
}

/* Any bytes: never a place outside of them. */
static void stays_within_random_bytes(void **state)
{
	uint8_t code[LH_PROBE_CODE_BYTES];
	uint64_t random = 88172645463325252u;
	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		struct lh_probe_point point;
		for (size_t i = 0; i < sizeof(code); i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			code[i] = (uint8_t)(random >> 32);
		}
		size_t bytes = random % (sizeof(code) + 1);
		if (lh_probe_point_find(code, bytes, LH_REGISTER_RDI, round % 2, &point))
			assert_true(point.offset < bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(glibc),
		cmocka_unit_test(jemalloc),
		cmocka_unit_test(tcmalloc),
		cmocka_unit_test(stops_before_arguments_change),
		cmocka_unit_test(knows_what_linux_emulates),
		cmocka_unit_test(refuses_what_it_does_not_know),
		cmocka_unit_test(stays_within_random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
