#!/usr/bin/env bats
# report.html of running programs in Debian's Chromium (tests/browser/check_page.js says what is checked).
# `make deps-browser` installs the browser; without it these tests are skipped.
# bats file_tags=long

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

modules=${LEAKHUNT_BROWSER_MODULES:-$LEAKHUNT_ROOT/.build/browser/node_modules}

setup() {
	command -v chromium >/dev/null || skip "there is no chromium; make deps-browser"
	command -v node >/dev/null || skip "there is no node; make deps-browser"
	[ -d "$modules/puppeteer-core" ] || skip "there is no puppeteer-core; make deps-browser"
	[ -d "$modules/axe-core" ] || skip "there is no axe-core; make deps-browser"
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
	local pid
	for pid in ${TARGET_PID:-} ${LOAD_PID:-}; do
		kill -KILL "$pid" 2>/dev/null || true
	done
}

# hunt_page PID: a hunt in the folder `hunt`, and its page opened.
hunt_page() {
	run --separate-stderr "$LEAKHUNT" "$1" -o hunt --interval 200ms --for 60s
	[[ $output == *"report       hunt/report.html"* ]]
	[ "$(stat -c %a hunt/report.html)" = 600 ]
	check_page hunt/report.html
}

# check_page FILE
check_page() {
	local status=0
	timeout 120 node "$LEAKHUNT_ROOT/tests/browser/check_page.js" "$modules" "$(command -v chromium)" "$1" \
		>checks.jsonl 2>browser.txt || status=$?
	jq -c 'select(.holds | not)' checks.jsonl >&2
	[ "$status" -eq 0 ] || { cat browser.txt >&2; return 1; }
	[ "$(wc -l <checks.jsonl)" -ge 20 ]
}

@test "a leak of many objects" {
	start_sample tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name shop.example
	"$SAMPLES/tlsload" --proxy "127.0.0.1:$(truth port)" --serve unix:shop.sock --rate 80 --errors 30 --seconds 120 \
		>load.txt 3>&- </dev/null &
	LOAD_PID=$!
	hunt_page "$SAMPLE_PID"
	[ "$(stat -c %s hunt/report.html)" -lt $((300 * 1024)) ]
	grep -q 'SSL_free()</code> is missing' hunt/report.html
	# The page says what report.json says.
	grep -q "data-v=\"$(jq -r '.is.rows[0].count' hunt/report.json)\"" hunt/report.html
}

@test "hostile names of the process, of types and in texts run nothing and break nothing" {
	cat >hostile.py <<-'EOF_PYTHON'
		import ctypes, os, time
		ctypes.CDLL(None).prctl(15, b"\"><img src=x \xff", 0, 0, 0)
		names = ["</script><script>window.stolen=1</script>", "\u202egnp.exe\u202c", "a\x1b[31m'b\"&amp;<b>", "\u2066x\u2069\u200b"]
		classes = [type(name, (), {"__slots__": ("number", "text")}) for name in names]
		kept = []
		def leak(number):
		    one = classes[number % len(classes)]()
		    one.number, one.text = number, f"</title><img src=x onerror=window.stolen=1> \u202eorder {number} ' \" & end"
		    kept.append(one)
		open("started", "w").close()
		while True:
		    for _ in range(300):
		        leak(len(kept))
		    time.sleep(0.02)
	EOF_PYTHON
	python3 hostile.py 3>&- &
	TARGET_PID=$!
	wait_until 100 test -e started
	hunt_page "$TARGET_PID"
	grep -q '&lt;/script&gt;&lt;script&gt;' hunt/report.html
	grep -q 'U+202E' hunt/report.html
	run ! grep -qP '[\x{202a}-\x{202e}\x{2066}-\x{2069}\x{200b}]' hunt/report.html
	run ! grep -qaP '[\x00-\x08\x0b-\x1f\x7f]' hunt/report.html
}

@test "no growth, and no dumps" {
	start_sample tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name shop.example --fixed
	run --separate-stderr "$LEAKHUNT" "$SAMPLE_PID" -o hunt --interval 150ms --for 30s
	check_page hunt/report.html
	grep -q 'does not grow' hunt/report.html
	run ! grep -q 'id="grew"' hunt/report.html
}

@test "the same page from saved files" {
	start_sample heap_leak --auto 50
	run --separate-stderr "$LEAKHUNT" hunt "$SAMPLE_PID" -o hunt --interval 100ms --for 60s
	"$LEAKHUNT" hunt hunt/before.core hunt/after.core --record hunt/record.jsonl --html page.html >/dev/null
	check_page page.html
	# The script and the style are those that the policy names, whatever was hunted.
	diff <(grep -o "'sha256-[^']*'" page.html) <(grep -o "'sha256-[^']*'" hunt/report.html)
	run "$LEAKHUNT" hunt hunt/before.core hunt/after.core --html page.html
	[ "$status" -eq 2 ]
}
