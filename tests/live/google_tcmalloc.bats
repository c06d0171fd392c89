#!/usr/bin/env bats
# bats file_tags=long
# Google's tcmalloc in Cloudflare's workerd, as npm has it: totals and samples are those of its own statistics.

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

PORT=18931
GDB=(timeout 300 gdb -nx -batch -iex 'set auto-load off' -iex 'set debuginfod enabled off')

setup_file() {
	for tool in npm gdb curl; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
	cd "$BATS_FILE_TMPDIR" || return
	npm pack --silent "@cloudflare/workerd-linux-64@${LEAKHUNT_WORKERD_VERSION:-1.20261117.1}" >package.txt ||
		skip "the npm registry cannot be reached"
	tar -xzf "$(cat package.txt)"
	chmod +x package/bin/workerd
	cat >worker.js <<-'END'
		const kept = [];
		export default {
		  async fetch(request) {
		    const url = new URL(request.url);
		    for (let i = 0; i < 1000; i++) {
		      const buffer = new ArrayBuffer(Number(url.searchParams.get("size")));
		      if (url.pathname === "/keep") kept.push(buffer);
		    }
		    return new Response(String(kept.length));
		  },
		};
	END
	cat >config.capnp <<-END
		using Workerd = import "/workerd/workerd.capnp";
		const config :Workerd.Config = (
		  services = [ (name = "main", worker = .mainWorker) ],
		  sockets = [ (name = "http", address = "127.0.0.1:$PORT", http = (), service = "main") ]
		);
		const mainWorker :Workerd.Worker = (
		  modules = [ (name = "worker", esModule = embed "worker.js") ],
		  compatibilityDate = "2022-09-01",
		);
	END
}

teardown() {
	[ -z "${WORKERD_PID:-}" ] || kill "$WORKERD_PID" 2>/dev/null || true
}

# start_workerd PROGRAM: with 2,000 buffers kept and as many dropped.
start_workerd() {
	"$1" serve "$BATS_FILE_TMPDIR/config.capnp" >"$BATS_TEST_TMPDIR/workerd.log" 2>&1 3>&- &
	WORKERD_PID=$!
	wait_until 300 curl -sf "http://127.0.0.1:$PORT/drop?size=10"
	for size in 10007 401; do
		curl -sf "http://127.0.0.1:$PORT/keep?size=$size"
		curl -sf "http://127.0.0.1:$PORT/drop?size=$size"
	done
}

# write_statistics FILE: tcmalloc's own, of the stopped load. Its buffer stays allocated, and counts.
write_statistics() {
	"${GDB[@]}" -p "$WORKERD_PID" \
		-ex "set \$b = (char *)((void *(*)(unsigned long))malloc)(4194304)" \
		-ex "set \$n = ((int (*)(char *, unsigned long))TCMalloc_Internal_GetStats)(\$b, 4194304)" \
		-ex "dump binary memory $1 \$b (\$b+\$n)" >"$BATS_TEST_TMPDIR/gdb.log" 2>&1
}

@test "Google tcmalloc: blocks in use, cached, and sampled are those of its own statistics, live and in a dump" {
	start_workerd "$BATS_FILE_TMPDIR/package/bin/workerd"
	write_statistics "$BATS_TEST_TMPDIR/statistics"
	python3 "$LEAKHUNT_ROOT/tests/live/compare_google_tcmalloc.py" "$LEAKHUNT" "$WORKERD_PID" \
		"$BATS_TEST_TMPDIR/statistics"
	"$LEAKHUNT" dump --mode stop "$WORKERD_PID" -o "$BATS_TEST_TMPDIR/dump"
	python3 "$LEAKHUNT_ROOT/tests/live/compare_google_tcmalloc.py" "$LEAKHUNT" "$BATS_TEST_TMPDIR/dump" \
		"$BATS_TEST_TMPDIR/statistics"
	"$LEAKHUNT" maps --json "$WORKERD_PID" |
		jq -e '[.regions[].kind] | contains(["google-tcmalloc", "v8-heap"])'
}

@test "Google tcmalloc: the kept buffers are in use, without symbols" {
	strip -o "$BATS_TEST_TMPDIR/workerd" "$BATS_FILE_TMPDIR/package/bin/workerd"
	start_workerd "$BATS_TEST_TMPDIR/workerd"
	"$LEAKHUNT" heap --mode stop --list "$WORKERD_PID" >"$BATS_TEST_TMPDIR/blocks" || [ $? -eq 1 ]
	# 10007 bytes are of the class of 10240 or 12288.
	[ "$(awk '$3 == "used" && $2 >= 10007 && $2 <= 12288' "$BATS_TEST_TMPDIR/blocks" | wc -l)" -ge 1000 ]
	[ "$(awk '$3 == "used" && $2 >= 401 && $2 <= 448' "$BATS_TEST_TMPDIR/blocks" | wc -l)" -ge 1000 ]
}
