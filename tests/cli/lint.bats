#!/usr/bin/env bats
# scripts/lint.sh layers: each rule of src/README.md finds what breaks it, in a copy of the tree.

. "$LEAKHUNT_ROOT/tests/helpers.bash"

# bats test_tags=long
@test "lint finds what breaks the layers, circles, contracts and names" {
	cd "$BATS_TEST_TMPDIR"
	mkdir tests samples
	cp -r "$LEAKHUNT_ROOT"/{src,include,scripts} .
	scripts/lint.sh layers
	count=0
	while IFS='|' read -r file expected text; do
		cp "$file" kept
		printf '%b\n' "$text" >>"$file"
		run scripts/lint.sh layers
		cp kept "$file"
		if [ "$status" -ne 1 ] || ! grep -qF -- "$expected" <<<"$output"; then
			printf 'with this in %s:\n%b\nlint (exit %d) says: %s\ninstead of: %s\n' "$file" "$text" "$status" "$output" "$expected"
			false
		fi
		count=$((count + 1))
	done <<-'END'
		src/base/text.c|base must not include leakhunt/heap.h|#include "leakhunt/heap.h"
		src/report/chart.c|report must not include leakhunt/tracee.h|# include <leakhunt/tracee.h>
		src/cli/pace.c|cli must not include heap/glibc.h|#include "heap/glibc.h"
		src/report/chart.c|by a relative path|#include "../heap/glibc.h"
		include/leakhunt/select.h|select must not include leakhunt/hunt.h|#include "leakhunt/hunt.h"
		src/base/text.c|files call each other in a circle|void lh_zero_text(void)\n{\n\tlh_json_text("", 0);\n}
		src/image/live.c|only src/tracee/ uses ptrace|static void seize_thread_again(pid_t tid)\n{\n\tptrace(PTRACE_SEIZE, tid, 0, 0);\n}
		src/image/live.c|only src/tracee/ writes to a target|static void write_target_again(pid_t pid)\n{\n\tprocess_vm_writev(pid, NULL, 0, NULL, 0, 0);\n}
		src/image/live.c|uses userfaultfd|static void make_uffd_again(void)\n{\n\tsyscall(SYS_userfaultfd, 0);\n}
		src/image/live.c|only src/cli/ reads the environment|static const char *read_home_again(void)\n{\n\treturn getenv("HOME");\n}
		src/image/live.c|only src/trace/ uses bpf|static void load_bpf_again(void)\n{\n\tsyscall(SYS_bpf, 0);\n}
		src/image/live.c|only src/proc/ names paths in /proc|static const char *const maps_again = "/proc/self/maps";
		src/image/live.c|only src/symbols/ includes elfutils|#include <elfutils/libdwfl.h>
		src/image/live.c|only src/cli prints or exits|static void say_it_again(void)\n{\n\tfprintf(stderr, "again");\n}
		include/leakhunt/heap.h|only its own module uses lh_heap_unused_again|void lh_heap_unused_again(void);
		include/leakhunt/heap.h|only its own module uses LH_HEAP_UNUSED_AGAIN|#define LH_HEAP_UNUSED_AGAIN 1
		src/image/live.c|the static function compare_rooms is also in|static void compare_rooms(void)\n{\n}
		src/image/view.h|the static function validate needs a verb|static inline void validate(void)\n{\n}
		src/image/live.c|LH_PAGE_BYTES of base.h is the page size|enum { PAGE_BYTES = 4096 };
		include/leakhunt/heap.h|LH_PAGE_BYTES of base.h is the page size|#define LH_PAGE_BYTES (4 * LH_KIB)
		src/report/chart.c|src/report calls a function that judges|static void judge_it_again(void)\n{\n\tlh_heap_judge(NULL, NULL);\n}
		src/report/chart.c|src/report calls a function that judges|static void compare_it_again(void)\n{\n\tlh_heap_compare_groups(NULL);\n}
	END
	[ "$count" -eq 22 ]
	touch src/image/text.c
	mkdir src/attic
	run scripts/lint.sh layers
	grep -F 'src/attic: not in the table of layers' <<<"$output"
	grep -F 'file names that are not unique' <<<"$output"
}
