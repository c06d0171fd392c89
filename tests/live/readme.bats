#!/usr/bin/env bats
# README.md against the program: every command that it prints is run, and every line of output that it shows must come
# out again, but for numbers. The target is the leaking proxy that README speaks of; of commands that README names
# without output, the expected lines are here.
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

# assert_shown COMMAND FILE <SHOWN: each line that is shown below the command is in the file, in that order. A line that
# ends in "..." is the beginning of one, "..." alone stands for any lines. What a loaded machine adds may follow: a stop
# that was given up, behind a ";", and that a pause was longer than --max-pause.
assert_shown() {
	local expected line found
	exec {found}< <(shape <"$2" | sed 's/, longer than the N of --max-pause//')
	while IFS= read -r expected; do
		[ "$expected" != ... ] || continue
		while IFS= read -r -u "$found" line; do
			case $expected in
			*...) [[ $line == "${expected%...}"* ]] && continue 2 ;;
			*) [[ $line == "$expected" || $line == "$expected;"* ]] && continue 2 ;;
			esac
		done
		printf 'shown below "%s": %s\nnot in the output, whose shape is:\n' "$1" "$expected"
		shape <"$2"
		return 1
	done < <(shape)
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
		assert_shown "$command" output < <(shown_output "$command")
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
	install=$(grep -oE 'apt install \./leakhunt_\*\.deb' "$README")
	(cd "$LEAKHUNT_ROOT/.build" && sh -c "${install/apt install/apt-get install --simulate}") | grep '^Inst leakhunt '
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

# bats test_tags=long
@test "leakhunt is installed from source as README says, and the pauses come out as its table says" {
	line=$(blocks | sed -n 's/^\(make deps-build && make && make install\) .*/\1/p')
	[ -n "$line" ]
	# Packages that are there already are not installed again; files go below a folder.
	(cd "$LEAKHUNT_ROOT" && env -u MAKEFLAGS sh -c "$line DESTDIR=$BATS_TEST_TMPDIR/tree") >output 2>&1 || { cat output; false; }
	[ "$(tree/usr/local/bin/leakhunt --version)" = "$(leakhunt --version)" ]
	for file in man/man1/leakhunt.1 man/man1/leakhunt-dump.1 bash-completion/completions/leakhunt; do
		[ -s "tree/usr/local/share/$file" ] || { find tree; false; }
	done
	grep -qF '`make bench-pause`' "$README"
	command -v gcore >/dev/null || skip "the rest needs gcore"
	env -u MAKEFLAGS make -C "$LEAKHUNT_ROOT" --no-print-directory bench-pause \
		PAUSE='--sizes 64 --rates 10000 --modes "snapshot gcore" --crowds "" --runs 1' >output 2>&1 || { cat output; false; }
	assert_shown 'make bench-pause' output <<-'END'
		| target | tool | held up, ms ...
		| 64 MiB, 10000 writes/s | snapshot | 1.4 (1.4..1.4) ...
		| 64 MiB, 10000 writes/s | gcore | 716 (716..716) ...
	END
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

# table_forms: the commands in the first column of README's table, with "/" for "or".
table_forms() {
	sed -n '/^## Commands/,/^## What/{s/\\|/\//g;p}' "$README" | grep '^| `' | cut -d'|' -f2 |
		grep -oE '`[^`]*`' | tr -d '`'
}

# run_form FORM ARGUMENTS...: runs leakhunt; what FORM must show comes from standard input.
run_form() {
	local form=$1 status=0
	shift
	leakhunt "$@" >output 2>errors </dev/null || status=$?
	if [ "$1" = trace ] && [ "$status" -eq 2 ] && grep -qE 'needs Linux|not permitted|denied' errors; then
		refused=$(cat errors)
		return
	fi
	# 1: a part is missing, and listed; 3: lost blocks, or leaking code.
	[[ $status == [013] ]] || { cat errors; return 1; }
	assert_shown "$form" output
}

# bats test_tags=long
@test "each command of README's table answers, in each of its forms" {
	refused='' addr=''
	start_sample heap_leak --auto 20
	cat "/proc/$SAMPLE_PID/smaps" >saved
	forms=()
	while IFS='|' read -r form arguments shown; do
		forms+=("$form")
		[[ $form != explain* ]] || addr=$(leakhunt leaks a | sed -n 's/^evidence: leakhunt explain \(0x[0-9a-f]*\) .*/\1/p')
		arguments=${arguments/PID/$SAMPLE_PID}
		read -ra words <<<"${arguments/ADDR/$addr}"
		run_form "$form" "${words[@]}" < <(printf '%b\n' "$shown")
		# watch --all prints no JSON; what writes files would have to be told other names.
		[[ $arguments == *\ -o\ * || $arguments == *--all* ]] || leakhunt "${words[@]}" --json </dev/null 2>errors |
			jq -se 'all(type == "object") and length > 0' >/dev/null || [ -n "$refused" ] || { echo "$arguments --json"; false; }
	done <<-'END'
		ps|ps|PID USER USS PSS RSS SWAP COMMAND
		maps PID/FILE|maps PID|ADDRESS PERM KIND VSS RSS PSS USS SWAP ANON LOCKED NAME\n0x1-0x2 rw-p heap 1 MiB ...
		maps PID/FILE|maps saved|ADDRESS PERM KIND VSS RSS PSS USS SWAP ANON LOCKED NAME\n0x1-0x2 rw-p heap 1 MiB ...
		select PID|select PID -i 200ms -c 4|process 1 (heap_leak), 4 samples in 644 ms\nprivate 8.25 MiB now, +2.03 MiB, +11.1 GiB/h\nverdict ...\nADDRESS KIND VSS USS NOW GROWTH RATE/h VERDICT WHY\n0x1-0x2 heap 4.25 MiB ...
		watch PID|watch PID -i 200ms --for 1s|2026-11-30T18:37:31Z 9.20 MiB +712 KiB ...\nprocess 1 (heap_leak), 6 samples in 1.00 s
		watch --all|watch --all -i 200ms --for 1s|PID PRIVATE GROWTH VERDICT COMMAND
		dump PID|dump PID -o a|a: 13.1 MiB of process 1 (heap_leak), 13.5 MiB on disk\nmemory 9.00 MiB asked for, 4.09 MiB of context\npause ...
		dump PID|dump PID -o b|b: 13.1 MiB of process 1 (heap_leak), 13.5 MiB on disk
		heap PID/FILE|heap PID|ALLOCATOR ARENA RESIDENT LIVE BLOCKS CACHED FREE PAGES OVERHEAD TRIM\nglibc main 0x1 ...\ntotal ...\nverdict: ...
		heap PID/FILE|heap a|ALLOCATOR ARENA RESIDENT LIVE BLOCKS CACHED FREE PAGES OVERHEAD TRIM\nglibc main 0x1 ...\ntotal ...\nverdict: ...
		heap A B|heap a b|b against a: +3.71 MiB in use (8.88 MiB, then 12.6 MiB), +3.74 MiB resident\nblocks: 3,894 new ...\nMORE BYTES BEFORE AFTER NEW CHANGED UNCHANGED GONE EXAMPLE WHAT
		leaks PID/FILE [FILE]|leaks PID|lost: 17,094 blocks that nothing points to; ...\nevidence: leakhunt explain 0x1 ...\nSTATUS BLOCKS EACH OWNED OWNS CONFIRMED BY EXAMPLE WHAT\nlost 17,094 ...
		leaks PID/FILE [FILE]|leaks a|lost: 17,094 blocks that nothing points to; ...\nSTATUS BLOCKS EACH OWNED OWNS CONFIRMED BY EXAMPLE WHAT\nlost 17,094 ...
		leaks PID/FILE [FILE]|leaks a b|lost: 17,094 blocks that nothing points to; ...\nconfirmed: 9,306 of them were lost in the first dump, too, ...
		trace PID|trace PID --for 2s --budget 100%|heap_leak (pid 1): 3,299 allocations/s of glibc's malloc, ...\nleaking: 1 call stack, 3.01 MiB/s ...\nmalloc+0x0 libc.so.6
		explain ADDR PID/FILE|explain ADDR PID|mapping 0x1-0x2 26.3 MiB, heap [heap]\nblock 0x1, ...\nstate used\nallocator glibc, arena main 0x1
		explain ADDR PID/FILE|explain ADDR a|mapping 0x1-0x2 26.3 MiB, heap [heap]\nblock 0x1, ...\nstate used\nallocator glibc, arena main 0x1\nis text ...\nreach lost
		redact FILE -o FILE|redact a -o r|wrote r, which keeps:\n388 KiB 2.8 % read-only memory of programs and libraries
		strings PID/FILE|strings PID|pid 1: live process\nscanned ...\nCOUNT BYTES SHARE EACH WHAT\n29,500 922 KiB 3.2 % 32 B texts: leaked block <n> by heap_leak ...
		strings PID/FILE|strings a|a: leakhunt dump of pid 1, 13.6 MiB\nscanned ...\nCOUNT BYTES SHARE EACH WHAT\n9,306 291 KiB 3.2 % 32 B texts: leaked block <n> by heap_leak ...
		strings A B|strings a b|b against a: ...\nMORE BYTES BEFORE AFTER WHAT\n+3,894 +122 KiB 9,306 13,200 leaked block <n> by heap_leak
		hunt PID|hunt PID --for 3s -i 500ms -o hunt|heap_leak (pid 1): ...\nwhat grows the process (...\nwhat it is ...\nwhy it stays ...\nwhat to do ...\nreceipt ...\nreport hunt/report.html
		PID|PID --for 3s -i 500ms -o short|heap_leak (pid 1): ...\nwhat grows the process (...\nwhat it is ...\nwhy it stays ...\nwhat to do ...\nreceipt ...\nreport short/report.html
	END
	diff <(table_forms | sort -u) <(printf '%s\n' "${forms[@]}" | sort -u)
	jq -e .schema hunt/report.json short/report.json
	assert_sample_unharmed
	[ -z "$refused" ] || skip "trace was refused: $refused"
}

# bats test_tags=long
@test "dump copies what README says, and select is slow when README says so" {
	start_sample heap_leak --auto 20
	heap=$(leakhunt maps "$SAMPLE_PID" --kind heap | sed -nE 's/^(0x[0-9a-f]+-0x[0-9a-f]+) .*/\1/p')
	regions=$(sed -n '/^| `dump PID`/s/[^`]*`\([^`]*\)`[^`]*/\1\n/gp' "$README" | sed '/^dump\|^$/d; s/^--region //')
	[ "$(wc -w <<<"$regions")" -eq 5 ]
	for region in $regions; do
		run_form "dump --region $region" dump "$SAMPLE_PID" --region "${region/0xA-0xB/$heap}" -o "$region" <<-'END'
			...
		END
		shape <output | grep -F ": N of process N (heap_leak), N on disk"
	done
	run_form 'dump --mode live' dump "$SAMPLE_PID" --mode live -o live <<<'pause none ...'
	grep -F '`dump --mode live`' "$README"
	grep -F '`dump --compress`' "$README"
	run_form 'dump --compress' dump "$SAMPLE_PID" --compress <<<'dump.bin.zst: 1 MiB of process 1 (heap_leak), 1 MiB on disk'
	run_form 'strings' strings dump.bin.zst <<<'dump.bin.zst: leakhunt dump of pid 1, 1 MiB'
	slow=$(grep -oE '`select -i [^`]*`' "$README" | tr -d '`')
	read -ra words <<<"$slow"
	# The counter tells that the first sample is being taken: then Ctrl-C takes the last one.
	# A shell's background commands ignore Ctrl-C, and leakhunt leaves it so.
	env --default-signal=INT leakhunt "${words[0]}" "$SAMPLE_PID" "${words[@]:1}" --counter 'echo 1 | tee -a counted' \
		>output 2>errors 3>&- &
	LOAD_PID=$!
	wait_until 100 test -s counted
	kill -INT "$LOAD_PID"
	wait "$LOAD_PID" || true
	LOAD_PID=
	assert_shown "$slow" output <<<'process 1 (heap_leak), 2 samples in ...'
	assert_sample_unharmed
}

@test "the commands of README's table are leakhunt's, and each of leakhunt's is in it" {
	table=$(sed -n '/^## Commands/,/^## What/s/\\|/ /g; /^## Commands/,/^## What/p' "$README" |
		grep '^| `' | cut -d'|' -f2 | grep -oE '`[a-z]+' | tr -d '`' | sort -u)
	[ -n "$table" ]
	commands=$(leakhunt --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -vx 'man\|completion\|help' | sort)
	diff <(echo "$table") <(echo "$commands")
}

# all_commands: every line of a fenced block that is a command, and every command between backticks, without comments.
all_commands() {
	awk '/^```/ { inside = !inside && $0 == "```"; next } inside' "$README" | sed 's/ *#.*//' |
		awk '/^\$ / { story = 1 } !NF { next } !story || /^(\$|make|scripts|gdb|kubectl|leakhunt) /'
	awk '/^```/ { inside = !inside; next } !inside' "$README" | tr '\n' ' ' | grep -oE '`[^`]+`' | tr -d '`' |
		grep -E '^(leakhunt|make|man|cat|gdb|gcore|setcap|chgrp|chmod|kubectl|select|watch|dump|trace|leaks|strings|maps|heap)( |$)'
}

@test "each command in README is one that a test runs" {
	count=0
	while IFS= read -r command; do
		count=$((count + 1))
		case $command in
		'$ leakhunt '*) ;; # what README shows of the leaking proxy
		'make package && apt install '* | 'make static' | 'scripts/oci-image.sh '*) ;; # packages, the static program
		'make deps-build && make && make install' | 'make bench-pause') ;; # leakhunt is installed from source
		'make demo' | 'make check') ;; # check-bare.sh runs both; this is a part of the second
		'kubectl debug'* | 'kubectl cp '*) ;; # kubectl takes the options
		'leakhunt dump 4711 -o dump.bin' | 'gdb /proc/4711/exe '*) ;; # a dump opens in gdb
		'leakhunt watch --all --metrics '*) ;; # the command for node_exporter
		'leakhunt COMMAND --help' | 'man leakhunt-dump') ;; # options in README's prose; man pages
		'setcap '* | chgrp | 'chmod 750') ;; # the setcap line
		'select -i 10m -c 100' | 'dump --mode live' | 'dump --compress') ;; # dump copies what README says
		'cat /proc/PID/smaps') ;; # each command of the table
		'dump memory') ;; # a command of gdb
		*)
			command=${command#leakhunt }
			# One word is a name, not a command line.
			[[ $command == *' '* ]] || continue
			table_forms | grep -qxF -- "${command//\\|/\/}" || { echo "README: no test runs $command"; false; }
			;;
		esac
	done < <(all_commands)
	[ "$count" -ge 50 ]
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
	grep -q '`chgrp` it and `chmod 750` it first' "$README"
	chgrp nogroup copy
	chmod 750 copy
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
	run setpriv --reuid 65534 --regid 65533 --clear-groups sh -c 'exec /dev/fd/4 ps' 3>&-
	[ "$status" -eq 126 ]
	[ "$(stat -c %u open/dump.bin)" -eq 65534 ]
	exec 4<&- 5<&-
	assert_sample_unharmed
}
