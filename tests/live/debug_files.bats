#!/usr/bin/env bats
# Names from separate debug files: a stripped program whose heap is full of pointers to a static object,
# which only its debug file names, made by gcc, objcopy and xz, and served by a debuginfod server of the test's own.
# shellcheck disable=SC2154 # bats sets them
# bats file_tags=long
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	TARGET_PID='' SERVER_PID=''
	cd "$BATS_TEST_TMPDIR" || return
	cat >pointers.c <<-'END'
		#include <stdio.h>
		#include <stdlib.h>
		static long hidden_table[4] = {1, 2, 3, 4};
		int main(void)
		{
			long **words = malloc(1000 * sizeof(*words));
			for (int i = 0; i < 1000; i++)
				words[i] = hidden_table;
			puts("READY");
			fflush(stdout);
			return getchar() == EOF ? (int)words[0][0] : 0;
		}
	END
	mkfifo in out
}

teardown() {
	[ -z "$TARGET_PID" ] || kill "$TARGET_PID" 2>/dev/null || true
	[ -z "$SERVER_PID" ] || kill "$SERVER_PID" 2>/dev/null || true
}

# make_program GCC-ARGS...: "pointers", stripped, and its debug file "pointers.debug".
make_program() {
	gcc -g -O1 "$@" -o pointers pointers.c
	objcopy --only-keep-debug pointers pointers.debug
	cp pointers unstripped
	objcopy --strip-all pointers
}

start_program() {
	local line
	./pointers <in >out 3>&- &
	TARGET_PID=$!
	exec 8>in 9<out
	read -r -t 60 -u 9 line
	[ "$line" = READY ]
}

# named_count ARGS...: how many words are said to point to hidden_table.
named_count() {
	"$LEAKHUNT" strings --json "$TARGET_PID" "$@" >summary.json || [ $? -eq 1 ]
	jq '[.symbols.rows[] | select(.symbol == "hidden_table" and .origin == "table") | .count] | add // 0' summary.json
}

build_id() {
	readelf -n unstripped | sed -n 's/.*Build ID: //p'
}

@test "without a debug file only the place is known" {
	make_program
	start_program
	[ "$(named_count)" = 0 ]
	jq -e '.symbols.rows[] | select(.count == 1000 and .module == "pointers" and (.symbol | startswith(".data+0x")) and
		.distance_bytes == 8 and .distance_count == 999)' summary.json
}

@test ".gnu_debuglink: beside the program, in .debug, below /usr/lib/debug of the root" {
	make_program
	objcopy --add-gnu-debuglink=pointers.debug pointers
	start_program
	[ "$(named_count)" = 1000 ]
	mkdir .debug
	mv pointers.debug .debug
	[ "$(named_count)" = 1000 ]
	mkdir -p "root$PWD" "root/usr/lib/debug$PWD"
	cp pointers "root$PWD"
	mv .debug/pointers.debug "root/usr/lib/debug$PWD"
	[ "$(named_count)" = 0 ]
	[ "$(named_count --sysroot root)" = 1000 ]
}

@test ".gnu_debuglink of a program without build id: the checksum decides" {
	make_program -Wl,--build-id=none
	objcopy --add-gnu-debuglink=pointers.debug pointers
	start_program
	[ "$(named_count)" = 1000 ]
	printf x >>pointers.debug
	[ "$(named_count)" = 0 ]
}

@test "a debug file of another build is not used" {
	make_program
	objcopy --add-gnu-debuglink=pointers.debug pointers
	start_program
	gcc -g -O1 -DOTHER -Wl,--build-id=0x0011223344 -o other pointers.c
	objcopy --only-keep-debug other pointers.debug
	[ "$(named_count)" = 0 ]
}

@test "by build id below /usr/lib/debug of the root" {
	make_program
	start_program
	local id
	id=$(build_id)
	mkdir -p "root$PWD" "root/usr/lib/debug/.build-id/${id:0:2}"
	cp pointers "root$PWD"
	cp pointers.debug "root/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug"
	[ "$(named_count --sysroot root)" = 1000 ]
}

@test ".gnu_debugdata: the compressed symbol table in the program itself; a damaged one does no harm" {
	make_program
	objcopy --strip-debug unstripped symbols
	xz -k symbols
	objcopy --add-section .gnu_debugdata=symbols.xz pointers
	start_program
	[ "$(named_count)" = 1000 ]
	kill "$TARGET_PID"
	python3 -c '
import sys
data = bytearray(open("pointers", "rb").read())
at = data.find(b"\xfd7zXZ")
data[at + 200:at + 260] = bytes(60)
open("damaged", "wb").write(data)'
	chmod +x damaged
	mv damaged pointers
	start_program
	[ "$(named_count)" = 0 ]
	jq -e '.symbols.rows[] | select(.count == 1000)' summary.json
}

@test "debuginfod: asked when DEBUGINFOD_URLS is set, and only then" {
	ldconfig -p | grep -q libdebuginfod.so.1 || skip "libdebuginfod is not installed"
	make_program
	start_program
	local id port
	id=$(build_id)
	mkdir -p "served/buildid/$id"
	cp pointers.debug "served/buildid/$id/debuginfo"
	python3 -u -m http.server -b 127.0.0.1 -d served 0 >server.log 2>&1 3>&- &
	SERVER_PID=$!
	wait_until 100 grep -q 'port [0-9]' server.log
	port=$(sed -n 's/.* port \([0-9]*\).*/\1/p' server.log | head -n 1)
	export DEBUGINFOD_CACHE_PATH=$PWD/cache
	unset DEBUGINFOD_URLS
	[ "$(named_count)" = 0 ]
	[ "$(grep -c GET server.log)" = 0 ]
	[ "$(DEBUGINFOD_URLS=http://127.0.0.1:$port named_count)" = 1000 ]
	grep -q "GET /buildid/$id/debuginfo" server.log
}
