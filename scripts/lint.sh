#!/usr/bin/env bash
# Layers, format, clang-tidy, cppcheck, shellcheck, or only those that are named: lint.sh layers format. Prints what is
# wrong; silent parts are clean.
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
	[heap]="base hash_table owner $proc image symbols sweep heap allocation_samples"
	[objects]="base bits hash_table owner $proc image symbols sweep heap objects"
	[graph]="base bits hash_table threads owner $proc image symbols sweep heap objects graph"
	[scan]="base hash_table owner $proc image symbols sweep heap objects scan"
	[redact]="base owner json format $proc image symbols sweep heap objects redact"
	[trace]="base hash_table owner $proc image symbols unwind trace"
	[watch]="base owner $proc select watch"
	[hunt]="base owner json $proc select watch dump image symbols heap objects graph scan hunt"
	[report]="base gap hash_table owner json $proc select watch dump image symbols heap allocation_samples objects graph scan redact hunt trace report"
)

# The module of each header of include/leakhunt/ that is not named after its module.
declare -A home=(
	[bits]=base [hash_table]=base [gap]=base [json]=base [json_pull]=base [threads]=base [fault_point]=base
	[owner]=proc [format]=dump [unwind]=symbols [allocation_samples]=heap
)
for header in $proc; do home[$header]=proc; done
modules=$(
	IFS='|'
	echo "${!allowed[*]}|cli"
)

# check_includes MODULE FILE...: cli may include every contract.
check_includes() {
	local module=$1 file line header
	shift
	while IFS=: read -r file line header; do
		case $header in
		leakhunt/*)
			header=${header#leakhunt/}
			[[ $module == cli || " ${allowed[$module]} " == *" ${header%.h} "* ]] ||
				fail "$file:$line: $module must not include leakhunt/$header"
			;;
		*../*) fail "$file:$line: includes $header by a relative path" ;;
		*/*)
			[[ $header == "$module"/* || ! ${header%%/*} =~ ^($modules)$ ]] ||
				fail "$file:$line: $module must not include $header"
			;;
		esac
	done < <(grep -rnHoP '^\s*#\s*include\s*["<]\K[^">]+' "$@" --include='*.[ch]')
}

# only WHERE WHAT PATTERN: calls, and other code, that match are in files of src/ that match WHERE alone.
only() {
	local found
	found=$(grep -nE "$3" -r src --include='*.[ch]' | grep -vE ':[0-9]+:\s*(/?\*|//)' | grep -vE "^src/($1)") &&
		fail "only src/$1 $2:" "$found"
}

# Ends of the names of functions that judge, or find what there is to judge.
judging='judge|classify|find_causes|is_suspect|forecast_end|compare|compare_groups|select|selector_[a-z]+|conclude|observe|weigh|confirm'
judging+='|summarize|diff_summaries|walk|group_blocks|leaks_find|find_holders|find_owned'

lint_layers() {
	local folder module header found
	for folder in src/*/; do
		module=$(basename "$folder")
		[ "$module" = cli ] || [ -n "${allowed[$module]:-}" ] ||
			fail "src/$module: not in the table of layers (scripts/lint.sh)"
		check_includes "$module" "$folder"
	done
	# leakhunt.h includes all.
	for header in include/leakhunt/*.h; do
		module=$(basename "$header" .h)
		[ "$module" = leakhunt ] || check_includes "${home[$module]:-$module}" "$header"
	done
	only proc/ 'names paths in /proc' '"/proc\b'
	only symbols/ 'includes elfutils' '#\s*include <(libelf|gelf|dwarf|elfutils/|libdw)'
	# child_guard and file_opener are processes of their own, which have to end. `table` is a stream in memory.
	found=$(grep -nE '\b(v?printf|puts|putchar|perror|v?fprintf|fputs|fputc|dprintf|exit|_exit|_Exit|abort)\(' -r src --include='*.c' |
		grep -vE '^src/cli/|^src/(tracee/child_guard|confine/file_opener)\.c:[0-9]+:\s_exit\(|fprintf\(table') &&
		fail "only src/cli prints or exits:" "$found"
	only tracee/ 'uses ptrace' '\bptrace\([^2]|\bSYS_ptrace\b'
	only tracee/ 'writes to a target' '\bprocess_vm_writev\('
	# dump/track asks whether the kernel has userfaultfd, by one of leakhunt's own memory.
	only '(tracee|dump/track)/' 'uses userfaultfd' '\bSYS_userfaultfd\b|"/dev/userfaultfd'
	only trace/ 'uses bpf' '\bSYS_bpf\b'
	only cli/ 'reads the environment (lh_settings hands it down)' '\b(secure_)?getenv\(|\benviron\b'
	found=$(grep -niE '\b\w*page\w*\b[^;,(]*[ (](4096|0x1000|1u? << 12|4 \* (1024|LH_KIB))\b' -r src include --include='*.[ch]' |
		grep -v '^include/leakhunt/base\.h:.*#define LH_PAGE_BYTES ') &&
		fail "LH_PAGE_BYTES of base.h is the page size:" "$found"
	found=$(grep -nE "\blh_([a-z_]*_)?($judging)\(" -r src/report --include='*.[ch]') &&
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

[ $# -gt 0 ] || set -- layers format shellcheck cppcheck clang-tidy
for name in "$@"; do
	step "$name"
	case $name in
	layers) lint_layers ;;
	format) lint_format ;;
	shellcheck) lint_shellcheck ;;
	cppcheck) lint_cppcheck ;;
	clang-tidy) lint_clang_tidy ;;
	*) fail "lint.sh has no step $name" ;;
	esac
done
[ "$status" -eq 0 ] && echo "lint: clean"
exit "$status"
