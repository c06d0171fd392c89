#!/usr/bin/env bats
# leakhunt strings: objects of libraries, of a program that loses some of each, live and in dumps, and none in the
# heaps of programs that have no such library.
# shellcheck disable=SC2154 # bats sets them
. "$LEAKHUNT_ROOT/tests/helpers.bash"

teardown() {
	stop_samples
	[ -z "${SERVER_PID:-}" ] || kill "$SERVER_PID" 2>/dev/null || true
	[ -z "${FOLDER:-}" ] || rm -rf "$FOLDER"
}

# summarize OPERAND ARGS...: the summary as JSON, in SUMMARY.
summarize() {
	SUMMARY=$("$LEAKHUNT" strings --json --top 10000 -n 20 "$@") || [ $? -eq 1 ]
}

# counted KIND NAME [DETAIL]: how many the summary counts.
counted() {
	jq --arg kind "$1" --arg name "$2" --arg detail "${3-}" \
		'[.objects[] | select(.kind == $kind and .name == $name and (.detail | startswith($detail))) | .count] | add // 0' \
		<<<"$SUMMARY"
}

# All that the sample says, exactly.
assert_families() {
	local kind name detail count wrong=0
	while IFS='|' read -r kind name detail count; do
		[ "$(counted "$kind" "$name" "$detail")" = "$count" ] && continue
		echo "$kind $name $detail: $count made, $(counted "$kind" "$name" "$detail") counted"
		wrong=1
	done < <(jq -r '.objects[] | "\(.kind)|\(.name)|\(.detail)|\(.count)"' <<<"$SAMPLE_JSON")
	[ "$wrong" = 0 ]
}

assert_families_live_and_in_a_dump() {
	summarize "$SAMPLE_PID"
	assert_families
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
	summarize "$BATS_TEST_TMPDIR/dump"
	assert_families
}

start_library_objects() {
	[ -x "$SAMPLES/library_objects" ] || skip "the libraries' headers are not installed"
	start_sample library_objects --steps "$1"
	[ "$(jq '.objects | length' <<<"$SAMPLE_JSON")" -ge 4 ]
}

@test "objects of libraries are counted exactly, live and in a dump" {
	start_library_objects 200
	assert_families_live_and_in_a_dump
	assert_sample_unharmed
}

@test "Mbed TLS, wolfSSL and NSS: objects are counted exactly, live and in a dump" {
	[ -x "$SAMPLES/tls_objects" ] || skip "the libraries' headers are not installed"
	start_sample tls_objects --steps 100
	assert_families_live_and_in_a_dump
	assert_sample_unharmed
}

@test "a dump names them without the files of the program and its libraries" {
	start_library_objects 20
	mkdir "$BATS_TEST_TMPDIR/empty"
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
	summarize "$BATS_TEST_TMPDIR/dump" --sysroot "$BATS_TEST_TMPDIR/empty"
	assert_families
	[ "$(jq '[.unnamed_modules[] | select(.path | test("libcrypto|libgobject|libz"))] | length' <<<"$SUMMARY")" = 0 ]
}

# start_copy NAME ARGS...: the sample and its libraries from a folder of their own, which is removed once it runs.
start_copy() {
	local folder=$BATS_TEST_TMPDIR/copy path
	mkdir "$folder"
	cp "$SAMPLES/$1" "$folder"
	while read -r path; do cp -L "$path" "$folder"; done < <(ldd "$SAMPLES/$1" | grep -o '/[^ ]*lib[a-z0-9_+.-]*\.so[^ ]*')
	LD_LIBRARY_PATH=$folder SAMPLES=$folder start_sample "$@"
	rm -r "$folder"
	grep -q "$1 (deleted)" "/proc/$SAMPLE_PID/maps"
	grep -q 'libc.so.6 (deleted)' "/proc/$SAMPLE_PID/maps"
}

# bats test_tags=long
@test "a program and libraries that were removed since: as many objects as with files, live and in a dump" {
	[ -x "$SAMPLES/library_objects" ] || skip "the libraries' headers are not installed"
	start_copy library_objects --steps 20
	assert_families_live_and_in_a_dump
}

@test "C++ classes of a program that was removed, and replaced by another: live, in a dump, and without files" {
	local name
	start_copy cxx_objects --steps 500
	mkdir "$BATS_TEST_TMPDIR/copy" "$BATS_TEST_TMPDIR/empty"
	cp "$SAMPLES/steady" "$BATS_TEST_TMPDIR/copy/cxx_objects"
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
	for operands in "$SAMPLE_PID" "$BATS_TEST_TMPDIR/dump" "$BATS_TEST_TMPDIR/dump --sysroot $BATS_TEST_TMPDIR/empty"; do
		# shellcheck disable=SC2086 # words
		summarize $operands
		while read -r name; do
			[ "$(counted C++ "$name")" = "$(jq --arg name "$name" '.objects[$name]' <<<"$SAMPLE_JSON")" ]
		done < <(jq -r '.objects | keys[]' <<<"$SAMPLE_JSON")
	done
}

@test "a deflate state counts with all that it owns" {
	local bytes
	start_library_objects 50
	summarize "$SAMPLE_PID"
	bytes=$(jq '.objects[] | select(.name == "deflate state") | .bytes' <<<"$SUMMARY")
	assert_between $((50 * $(truth deflate_bytes) * 99 / 100)) "$bytes" $((50 * $(truth deflate_bytes) * 101 / 100))
}

# Statements without lookaside memory: blocks of malloc, with 8 bytes of SQLite's before them (mem1.c).
STATEMENTS_PY='
import ctypes
sqlite = ctypes.CDLL("libsqlite3.so.0")
sqlite.sqlite3_msize.restype = ctypes.c_uint64
database, total = ctypes.c_void_p(), 0
sqlite.sqlite3_open(b":memory:", ctypes.byref(database))
sqlite.sqlite3_db_config(database, 1001, None, 0, 0)  # SQLITE_DBCONFIG_LOOKASIDE
for _ in range(700):
    statement = ctypes.c_void_p()
    sqlite.sqlite3_prepare_v2(database, b"SELECT 1", -1, ctypes.byref(statement), None)
    total += sqlite.sqlite3_msize(statement)
print(total, flush=True)
input()'

@test "SQLite: the bytes of statements behind its own header, as sqlite3_msize says" {
	local bytes
	/usr/bin/python3 -c 'import ctypes; ctypes.CDLL("libsqlite3.so.0")' || skip "SQLite is not installed"
	coproc /usr/bin/python3 -c "$STATEMENTS_PY"
	SERVER_PID=$COPROC_PID
	read -r bytes <&"${COPROC[0]}"
	summarize "$SERVER_PID"
	[ "$(counted SQLite sqlite3_stmt)" = 700 ]
	# malloc and SQLite add 8 bytes each, and malloc rounds to 16.
	assert_between "$bytes" "$(jq '.objects[] | select(.name == "sqlite3_stmt") | .bytes' <<<"$SUMMARY")" $((bytes + 700 * 32))
	echo >&"${COPROC[1]}"
	wait "$SERVER_PID"
	SERVER_PID=
}

# ---------------------------------------------------------------- servers

answers_redis() {
	redis-cli -s "$BATS_TEST_TMPDIR/redis" ping | grep -q PONG
}

@test "Redis: strings in their objects, not the deleted, live and in a dump" {
	command -v redis-server >/dev/null || skip "redis-server is not installed"
	local operand before
	redis-server --port 0 --unixsocket "$BATS_TEST_TMPDIR/redis" --save "" --dir "$BATS_TEST_TMPDIR" >/dev/null 3>&- &
	SERVER_PID=$!
	wait_until 100 answers_redis
	summarize "$SERVER_PID"
	before=$(counted Redis sds)
	seq 30000 | sed 's/.*/SET key:& text-of-the-value-&/' | redis-cli -s "$BATS_TEST_TMPDIR/redis" --pipe >/dev/null
	seq 10000 | sed 's/.*/DEL key:&/' | redis-cli -s "$BATS_TEST_TMPDIR/redis" --pipe >/dev/null
	[ "$(redis-cli -s "$BATS_TEST_TMPDIR/redis" dbsize)" = 20000 ]
	"$LEAKHUNT" dump "$SERVER_PID" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
	# Redis has some such objects for answers that it gives often.
	for operand in "$SERVER_PID" "$BATS_TEST_TMPDIR/dump"; do
		summarize "$operand"
		assert_between 20000 "$(counted Redis "string in its object")" 20100
		# One for each key, and those of clients and of commands used.
		assert_between $((before + 20000)) "$(counted Redis sds)" $((before + 20050))
	done
}

as_postgres() {
	runuser -u postgres -- "$@"
}

answers_postgres() {
	as_postgres psql -h "$FOLDER" -At -c "select 1" postgres >/dev/null 2>&1
}

has_contexts() {
	grep -q '^END$' "$FOLDER/out"
}

# All that the backend itself says of contexts which its next query does not make anew.
assert_contexts() {
	local name count bytes compared=0 wrong=0
	while IFS='|' read -r name count bytes; do
		compared=$((compared + 1))
		[ "$(counted PostgreSQL "$name")" = "$count" ] && [ "$(jq --arg name "$name" \
			'[.objects[] | select(.kind == "PostgreSQL" and .name == $name) | .bytes] | add' <<<"$SUMMARY")" = "$bytes" ] && continue
		echo "$name: $count of $bytes bytes"
		wrong=1
	done < <(grep -E '^(CachedPlan(Query|Source)|CacheMemoryContext|Prepared Queries|index info|TopMemoryContext|Timezones|Type information cache|Relcache by OID)[|]' "$FOLDER/out")
	[ "$wrong" = 0 ]
	[ "$compared" -ge 8 ]
}

@test "PostgreSQL: memory contexts of a backend, by name, as it says itself" {
	local binaries input operand
	binaries=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort | tail -n 1)
	[ -x "$binaries/initdb" ] || skip "PostgreSQL is not installed"
	[ "$(id -u)" = 0 ] || skip "needs root, to become postgres"
	FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/leakhunt-pg.XXXXXX")
	chown postgres "$FOLDER"
	as_postgres "$binaries/initdb" -N -A trust -D "$FOLDER/data" >/dev/null
	as_postgres "$binaries/postgres" -D "$FOLDER/data" -k "$FOLDER" -c listen_addresses= >/dev/null 2>&1 3>&- &
	wait_until 300 answers_postgres
	SERVER_PID=$(head -n 1 "$FOLDER/data/postmaster.pid")
	mkfifo "$FOLDER/in"
	psql -U postgres -h "$FOLDER" -At postgres <"$FOLDER/in" >"$FOLDER/out" 2>&1 3>&- &
	exec {input}>"$FOLDER/in"
	{
		echo "select pg_backend_pid();"
		seq 150 | sed "s/.*/prepare p& as select &, relname from pg_class where oid = \$1;/"
		echo "execute p1(1);"
		echo "select name, count(*), sum(total_bytes) from pg_backend_memory_contexts group by 1;"
		echo "select 'END';"
	} >&"$input"
	wait_until 300 has_contexts
	summarize "$(head -n 1 "$FOLDER/out")"
	assert_contexts
	"$LEAKHUNT" dump "$(head -n 1 "$FOLDER/out")" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
	summarize "$BATS_TEST_TMPDIR/dump"
	assert_contexts
	exec {input}>&-
	kill -INT "$SERVER_PID"
	wait
}
