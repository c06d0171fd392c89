#!/usr/bin/env bats
# README.md against the program: every command that it prints is run, and every line of output that it shows must come
# out again, but for numbers. The target is the leaking proxy that README speaks of.
# shellcheck disable=SC2016 # the $words in single quotes are jq's, sed's and README's

. "$LEAKHUNT_ROOT/tests/helpers.bash"

README=$LEAKHUNT_ROOT/README.md

# blocks: the lines of README's fenced blocks that have no language.
blocks() {
	awk '/^```/ { inside = !inside && $0 == "```"; print "```"; next } inside' "$README"
}

# shown_commands: commands with a prompt, once each.
shown_commands() {
	blocks | sed -n 's/^\$ //p' | sort -u
}

# shown_output COMMAND: what README shows below each of its prompts.
shown_output() {
	blocks | awk -v prompt="\$ $1" '/^(\$ |```)/ { inside = $0 == prompt; next } inside && NF'
}

# shape: numbers, sizes, times and addresses become N, blanks one blank.
shape() {
	sed -E 's/0x[0-9a-f]+/N/g; s/[0-9]+[dhm] [0-9]+[hms]\b/N/g; s/[+-]?[0-9][0-9,.]*( (B|[KMGT]iB|ns|us|ms|s|min|h|d)\b)?/N/g; s/over N/N/g; s/[[:space:]]+/ /g; s/^ | $//g'
}

# start_story FLAGS...: the proxy and its load; caches are full after 400 connections.
start_story() {
	start_sample tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name shop-front.example "$@"
	"$SAMPLES/tlsload" --proxy "127.0.0.1:$(truth port)" --serve unix:shop.sock --rate 80 --errors 30 --seconds 110 \
		>load.txt </dev/null 3>&- &
	LOAD_PID=$!
	wait_until 300 has_served 400
}

has_served() {
	sample_step 0 && [ "$(truth connections)" -ge "$1" ]
}

stop_load() {
	if [ -n "$LOAD_PID" ]; then
		kill "$LOAD_PID" 2>/dev/null || true
		wait "$LOAD_PID" 2>/dev/null || true
		LOAD_PID=
	fi
	stop_samples
}

setup() {
	LOAD_PID=
	cd "$BATS_TEST_TMPDIR" || return
	mkdir bin
	ln -s "$LEAKHUNT" bin/leakhunt
	PATH=$PWD/bin:$PATH
}

teardown() {
	stop_load
}

# assert_shown COMMAND FILE: each line that README shows below the command is in the file, in that order. A line that
# ends in "..." is the beginning of one, "..." alone stands for any lines. What a loaded machine adds behind a ";"
# (a stop that was given up) may follow.
assert_shown() {
	local expected line found
	exec {found}< <(shape <"$2")
	while IFS= read -r expected; do
		[ "$expected" != ... ] || continue
		while IFS= read -r -u "$found" line; do
			case $expected in
			*...) [[ $line == "${expected%...}"* ]] && continue 2 ;;
			*) [[ $line == "$expected" || $line == "$expected;"* ]] && continue 2 ;;
			esac
		done
		printf 'README shows below "%s": %s\nnot in the output, whose shape is:\n' "$1" "$expected"
		shape <"$2"
		return 1
	done < <(shown_output "$1" | shape)
	exec {found}<&-
}

# story_pids: the process ids in README's commands: of the proxy that leaks, and of the fixed one.
story_pids() {
	blocks | sed -nE 's/^\$ leakhunt (select |dump )?([0-9]+) .*/\2/p' | awk '!seen[$0]++'
}

# bats test_tags=long
@test "what README shows of the leaking proxy comes out again" {
	mapfile -t pids < <(story_pids)
	[ ${#pids[@]} -eq 2 ]
	start_story
	ran=0 pid=${pids[0]}
	# In the order of README: the later commands read what the earlier ones wrote.
	while IFS= read -r command; do
		if [ "$pid" = "${pids[0]}" ] && [[ $command == *" ${pids[1]} "* ]]; then
			assert_sample_unharmed
			stop_load
			start_story --fixed
			pid=${pids[1]}
		fi
		status=0
		# Exit status 1: a line of the receipt says what is missing.
		sh -c "${command//$pid/$SAMPLE_PID}" >output 2>errors </dev/null || status=$?
		[ "$status" -le 1 ] || { cat errors; false; }
		assert_shown "$command" output
		ran=$((ran + 1))
	done < <(blocks | sed -n 's/^\$ //p' | awk '!seen[$0]++')
	[ "$ran" -ge 9 ]
	[ "$pid" = "${pids[1]}" ]
}

@test "the command for node_exporter writes the metrics that the alerts name" {
	command=$(grep -oE '`leakhunt watch [^`]*`' "$README" | tr -d '`')
	[[ $command == *' --metrics '* ]]
	start_sample heap_leak --auto 20
	read -ra words <<<"${command//\/*.prom/metrics.prom}"
	"${words[@]}" -i 200ms --for 3s >/dev/null
	metrics=$(grep -oE 'leakhunt_[a-z_]+' "$LEAKHUNT_ROOT/scripts/prometheus-rules.yml" | sort -u)
	[ -n "$metrics" ]
	for metric in $metrics; do
		grep -q "^# TYPE $metric " metrics.prom || { echo "no $metric"; false; }
	done
}

@test "kubectl takes the options that README gives it" {
	command -v kubectl >/dev/null || skip "needs kubectl"
	kubectl debug --help >help
	while read -r option; do
		grep -qE -- "(^| )$option" help || { echo "kubectl debug has no $option"; false; }
	done < <(grep -E '^kubectl debug ' "$README" | grep -oE -- '--[a-z]+=' | sort -u)
	grep -E '^kubectl debug .*--profile=sysadmin' "$README"
	grep -A3 -e --profile= help | grep -q '"sysadmin"'
}

# bats test_tags=long
@test "packages, the static program and the image are built as README says" {
	command -v rpmbuild >/dev/null || skip "needs rpmbuild"
	env -u MAKEFLAGS make -j2 -C "$LEAKHUNT_ROOT" --no-print-directory package static >/dev/null
	dpkg-deb -x "$LEAKHUNT_ROOT"/.build/leakhunt_*.deb deb
	[ "$(deb/usr/bin/leakhunt --version)" = "$(leakhunt --version)" ]
	zcat deb/usr/share/man/man1/leakhunt-dump.1.gz | grep -q '^\.TH LEAKHUNT'
	[ -s deb/usr/share/doc/leakhunt/prometheus-rules.yml ]
	rpm -qpl "$LEAKHUNT_ROOT"/.build/leakhunt-*.rpm | grep -qx /usr/bin/leakhunt
	# The static program needs nothing of this system: it runs in an empty root.
	mkdir image root
	"$LEAKHUNT_ROOT/scripts/oci-image.sh" "$LEAKHUNT_ROOT/.build/leakhunt-static" leakhunt.tar
	tar -xf leakhunt.tar -C image
	blob() {
		echo "image/blobs/sha256/$(jq -r "$1" "$2" | cut -d: -f2)"
	}
	manifest=$(blob '.manifests[0].digest' image/index.json)
	tar -xzf "$(blob '.layers[0].digest' "$manifest")" -C root
	jq -e '.config.Entrypoint == ["/usr/bin/leakhunt"]' "$(blob '.config.digest' "$manifest")"
	[ "$(id -u)" -eq 0 ] || skip "the rest needs root"
	[ "$(chroot root /usr/bin/leakhunt --version)" = "$(leakhunt --version)" ]
	unshare --mount --pid --fork true || skip "the rest needs namespaces of mounts and processes"
	"$LEAKHUNT_ROOT/scripts/check-static.sh" "$LEAKHUNT_ROOT/.build/leakhunt-static" "$SAMPLES"
}

@test "a dump opens in gdb as README says" {
	command -v gdb >/dev/null || skip "needs gdb"
	start_sample many_threads --threads 4
	blocks | sed -n '/^gdb /p' | grep -q 4711
	while IFS= read -r command; do
		sh -c "${command//4711/$SAMPLE_PID} </dev/null" >output 2>&1
	done < <(blocks | grep -E '^(leakhunt|gdb) .*4711')
	grep -q '^#0 ' output
}

@test "the commands of README's table are leakhunt's, and each of leakhunt's is in it" {
	table=$(sed -n '/^## Commands/,/^## What/s/\\|/ /g; /^## Commands/,/^## What/p' "$README" |
		grep '^| `' | cut -d'|' -f2 | grep -oE '`[a-z]+' | tr -d '`' | sort -u)
	[ -n "$table" ]
	commands=$(leakhunt --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -vx 'man\|completion\|help' | sort)
	diff <(echo "$table") <(echo "$commands")
}

@test "options and commands in README's prose exist" {
	# `leakhunt watch --all --metrics FILE`: each option is in the help of that command.
	count=0
	while read -r name rest; do
		leakhunt "$name" --help >help
		for word in $rest; do
			[[ $word == -* ]] || continue
			grep -qE -- "(^| )${word%%=*}(\$|[ ,=])" help || { echo "README: leakhunt $name has no ${word}"; false; }
			count=$((count + 1))
		done
	done < <(grep -oE '`(leakhunt )?(maps|ps|select|watch|dump|strings|heap|explain|man) [^`]*`' "$README" |
		tr -d '`' | sed 's/^leakhunt //; s/|/ /g')
	[ "$count" -ge 5 ]
	# Options that stand alone belong to some command.
	for name in $(leakhunt --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
		leakhunt "$name" --help
	done >help
	for option in $(grep -oE '`--[a-z-]+`' "$README" | tr -d '`' | sort -u); do
		grep -qE -- "(^| )$option(\$|[ ,=])" help || { echo "README: no command has $option"; false; }
	done
}

@test "make's targets, scripts and man pages in README exist" {
	while read -r target; do
		grep -qE "^$target:" "$LEAKHUNT_ROOT/Makefile" || { echo "README: no target $target"; false; }
	done < <(grep -oE '(^|[`(&] ?)make( [a-z-]+)?' "$README" | sed 's/.*make *//' | grep . | sort -u)
	while read -r script; do
		[ -x "$LEAKHUNT_ROOT/$script" ]
	done < <(grep -oE 'scripts/[a-z-]+\.sh' "$README")
	while read -r page; do
		leakhunt man "$page" | grep -q '^\.TH'
	done < <(grep -oE 'man leakhunt-[a-z]+' "$README" | sed 's/.*-//')
	while read -r link; do
		[ -e "$LEAKHUNT_ROOT/$link" ]
	done < <(grep -oE '\]\([^)#]+\)' "$README" | sed 's/^](//; s/)$//')
	[ "$(wc -l <"$README")" -le 200 ]
}

@test "the setcap line lets another user dump the process of a third" {
	[ "$(id -u)" -eq 0 ] && command -v setcap >/dev/null || skip "needs root and setcap"
	line=$(grep -oE 'setcap [a-z_,+=]+ leakhunt' "$README")
	[ -n "$line" ]
	cp -L bin/leakhunt copy
	sh -c "${line%leakhunt}copy" || skip "this file system keeps no capabilities"
	start_sample page_writer
	mkdir -m 1777 open
	exec 4<copy 5<open
	# By descriptors: the folders above are closed to others.
	as_nobody() {
		setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'cd /dev/fd/5 && exec /dev/fd/4 "$@"' sh "$@" 3>&-
	}
	as_nobody maps "$SAMPLE_PID" || skip "this file system is mounted nosuid"
	as_nobody dump "$SAMPLE_PID" --max-pause 10s -o dump.bin
	[ "$(stat -c %u open/dump.bin)" -eq 65534 ]
	exec 4<&- 5<&-
	assert_sample_unharmed
}
