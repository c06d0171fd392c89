#!/usr/bin/env bash
# Layers, format, clang-tidy, cppcheck, shellcheck. Prints what is wrong; silent parts are clean.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

status=0
fail() {
	printf '%s\n' "$@"
	status=1
}

step() {
	echo "lint: $1"
}

# The headers of include/leakhunt/ that a folder of src/ may include.
proc="process process_memory process_table regions pages modules tasks limits holdings"
declare -A allowed=(
	[base]="base bits hash_table gap json json_pull threads"
	[proc]="base owner $proc"
	[confine]="base confine"
	[select]="base json json_pull owner $proc select"
	[tracee]="base owner $proc fault_point tracee"
	[dump]="base gap threads json format owner $proc select fault_point tracee dump"
	[image]="base gap owner json format $proc fault_point image"
	[symbols]="base owner $proc image fault_point symbols unwind"
	[sweep]="base hash_table threads owner $proc image fault_point sweep"
	[heap]="base hash_table owner $proc image symbols sweep heap"
	[objects]="base bits hash_table owner $proc image symbols sweep heap objects"
	[graph]="base bits hash_table threads owner $proc image symbols sweep heap objects graph"
	[scan]="base hash_table owner $proc image symbols sweep heap objects scan"
	[redact]="base owner json format $proc image symbols sweep heap objects redact"
	[trace]="base hash_table owner $proc image symbols unwind trace"
	[watch]="base owner $proc select watch"
	[hunt]="base owner json $proc select watch dump image symbols heap objects graph scan hunt"
	[report]="base gap hash_table owner json $proc select watch dump image symbols heap objects graph scan redact hunt trace report"
)

check_includes() {
	local module=$1 file line header
	while IFS=: read -r file line header; do
		case $header in
		leakhunt/*)
			header=${header#leakhunt/}
			[[ " ${allowed[$module]} " == *" ${header%.h} "* ]] ||
				fail "$file:$line: $module must not include leakhunt/$header"
			;;
		*/*)
			[[ $header == "$module"/* || $header != @(base|confine|proc|select|tracee|dump|image|symbols|sweep|heap|objects|graph|scan|redact|trace|watch|hunt|report|cli)/* ]] ||
				fail "$file:$line: $module must not include $header"
			;;
		esac
	done < <(grep -rnHoP '^#include "\K[^"]+' src/"$module" --include='*.[ch]')
}

lint_layers() {
	local folder module found
	for folder in src/*/; do
		module=$(basename "$folder")
		if [ "$module" = cli ]; then continue; fi
		[ -n "${allowed[$module]:-}" ] || fail "src/$module: not in the table of layers (scripts/lint.sh)"
		check_includes "$module"
	done
	found=$(grep -nE '"/proc\b' -r src --include='*.[ch]' | grep -v '^src/proc/') &&
		fail "only src/proc names paths in /proc:" "$found"
	found=$(grep -nE '#include <(libelf|gelf|dwarf|elfutils/|libdw)' -r src --include='*.[ch]' | grep -v '^src/symbols/') &&
		fail "only src/symbols includes elfutils:" "$found"
	# child_guard and file_opener are processes of their own, which have to end.
	found=$(grep -nE '\b(printf|puts|putchar|perror|exit|_exit|abort)\(' -r src --include='*.c' |
		grep -vE '^src/cli/|^src/(tracee/child_guard|confine/file_opener)\.c:[0-9]+:\s_exit\(|lh_buffer_|snprintf|vasprintf|asprintf|fprintf\(table') &&
		fail "only src/cli prints or exits:" "$found"
	found=$(grep -nE '\bptrace\([A-Z]' -r src --include='*.c' | grep -v '^src/tracee/') &&
		fail "only src/tracee uses ptrace:" "$found"
	found=$(grep -nE '\bSYS_bpf\b' -r src --include='*.c' | grep -v '^src/trace/') &&
		fail "only src/trace uses bpf:" "$found"
	found=$(grep -nE '\bgetenv\(' -r src --include='*.[ch]' | grep -v '^src/cli/') &&
		fail "only src/cli reads the environment (lh_settings hands it down):" "$found"
	found=$(grep -nE '\bPAGE(_BYTES|_SIZE)?\b[^;,]*\b(4096|0x1000)\b' -r src include --include='*.[ch]' |
		grep -v '^include/leakhunt/base\.h:.*LH_PAGE_BYTES') &&
		fail "LH_PAGE_BYTES of base.h is the page size:" "$found"
	found=$(grep -nE '\blh_[a-z_]*(judge|classify|find_causes|is_suspect|forecast_end|compare)\(' -r src/report --include='*.c') &&
		fail "src/report calls a function that judges:" "$found"
	found=$(scripts/lint-names.py) || fail "$found"
	found=$(find src tests samples -name '*.[ch]' -printf '%f\n' | sort | uniq -d) && [ -n "$found" ] &&
		fail "file names that are not unique in the tree:" "$found"
	return 0
}

sources() {
	git ls-files --cached --others --exclude-standard "$@"
}

lint_format() {
	mapfile -t files < <(sources '*.c' '*.h')
	clang-format --dry-run -Werror "${files[@]}" || status=1
}

# clang-tidy uses the configuration of its first file for all files: tests have their own.
lint_clang_tidy() {
	local pattern library_flags
	library_flags=$(pkg-config --cflags glib-2.0 gio-2.0 libxml-2.0 nss nspr 2>/dev/null)
	export library_flags
	# shellcheck disable=SC2016 # the inner shell expands
	for pattern in 'src/*.c' 'scripts/*.c' 'samples/*.c' 'tests/*.c'; do
		sources "$pattern" | xargs -n 5 echo
	done | xargs -P "$(nproc)" -L 1 sh -c 'clang-tidy --quiet "$@" -- -std=gnu11 -D_GNU_SOURCE -Iinclude -Isrc -Itests/unit $library_flags 2>/dev/null' sh || status=1
}

# memleak and resourceLeak do not know the cleanup attribute; returnDanglingLifetime takes what a callback
# returns for its argument.
lint_cppcheck() {
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 -D_GNU_SOURCE -Iinclude -Isrc -j "$(nproc)" \
		--enable=warning,performance,portability \
		--suppress=missingIncludeSystem --suppress=memleak --suppress=resourceLeak \
		--suppress=returnDanglingLifetime src scripts samples 2>&1 || status=1
}

lint_shellcheck() {
	mapfile -t files < <(sources 'scripts/*.sh' 'scripts/hooks/*' '.ci/run' 'tests/helpers.bash')
	shellcheck "${files[@]}" || status=1
	mapfile -t files < <(sources 'tests/*.bats')
	[ ${#files[@]} -eq 0 ] || shellcheck --shell=bats --exclude=SC1091,SC2154 "${files[@]}" || status=1
}

step layers
lint_layers
step format
lint_format
step shellcheck
lint_shellcheck
step cppcheck
lint_cppcheck
step clang-tidy
lint_clang_tidy
[ "$status" -eq 0 ] && echo "lint: clean"
exit "$status"
