/*
 * recognize: the table of recognizers, and the pass that runs all of them over blocks of memory. vectorscan finds
 * candidates (binary patterns everywhere, text patterns where text is), validators decide, and claims settle which row
 * keeps which bytes. Holds the matches of a few pieces, and no memory of the target except examples. Its work must stay
 * below a small multiple of the fed bytes, whatever they are: each row has a credit for failed candidates.
 */
#include "recognize_patterns.h"
#include "recognizer_pass.h"
#include "secret_finder.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Secret rows first, so that no other row shows a secret; then by how much a match proves; containers last. */
const struct lh_recognizer *const lh_recognizers[] = {
	&lh_recognize_private_key,   &lh_recognize_tls_session, &lh_recognize_url_password, &lh_recognize_credential,
	&lh_recognize_token,         &lh_recognize_des_hash,    &lh_recognize_password,     &lh_recognize_login,
	&lh_recognize_x509,          &lh_recognize_x509_tbs,    &lh_recognize_pem,          &lh_recognize_tls_ticket,
	&lh_recognize_tls_handshake, &lh_recognize_tls_record,  &lh_recognize_http2,        &lh_recognize_png,
	&lh_recognize_jpeg,          &lh_recognize_gzip,        &lh_recognize_zlib,         &lh_recognize_zstd,
	&lh_recognize_lz4,           &lh_recognize_elf,         &lh_recognize_sqlite,       &lh_recognize_resp,
	&lh_recognize_utf16,         &lh_recognize_uuid,        &lh_recognize_url,          &lh_recognize_email,
	&lh_recognize_hostname,      &lh_recognize_base64,      &lh_recognize_cjk,          &lh_recognize_sql,
	&lh_recognize_http1,         &lh_recognize_json,        &lh_recognize_log_line,     NULL,
};

_Static_assert(LH_ARRAY_COUNT(lh_recognizers) - 1 <= LH_RECOGNIZERS_MAX, "a set of rows is a word of 64 bits");

enum {
	PIECE_BYTES = 256 << 10,       /* scanned twice: should fit the second-level cache */
	CREDIT_MAX = 4 << 20,          /* bytes that a row's failed candidates may examine at once */
	CREDIT_PER_BYTE = 8,           /* and per byte of memory */
	DESCRIBED_COUNT = 8,           /* matches remembered: equal ones are not described again */
	DESCRIBED_MATCHES_MAX = 16384, /* examples come from the first matches of a class, up to this one */
	SECRETS_MAX = 1 << 20,
};

struct row_state {
	uint64_t claimed_end; /* of the last match: the next one begins at or after it */
	uint64_t refilled_at; /* address up to which the credit was refilled */
	int64_t credit;
	uint64_t described[DESCRIBED_COUNT]; /* hashes of matches that were examined for an example */
	unsigned described_next;
};

struct lh_recognizer_pass {
	const struct lh_kernel *kernel;
	const struct lh_pattern_set_compiled *sets[LH_PATTERN_SET_COUNT];
	hs_scratch_t *scratch;
	struct lh_secret_finder *finder; /* for texts that are not bytes of the memory */
	unsigned row_count;
	struct lh_class_count classes[LH_RECOGNIZERS_MAX];
	struct row_state rows[LH_RECOGNIZERS_MAX];
	struct lh_claims claims;
	bool shows_secrets;
	bool keeps_owners; /* also record which row keeps which bytes inside */
	LH_VEC(struct lh_owned) owned;
	LH_VEC(struct lh_range) secrets;
	uint64_t fed_end; /* address after the last block; UINT64_MAX: the next block starts from scratch */
};

/* Context of the callback of one hs_scan. Offsets count from `data`. */
struct scan {
	struct lh_recognizer_pass *pass;
	const struct lh_pattern_set_compiled *set;
	const uint8_t *data;
	uint64_t addr; /* of data */
	size_t bytes_before;
	size_t bytes_after; /* from data on */
	size_t scan_start;  /* offset where the scan began */
	size_t owned_end;   /* anchors from here on belong to the next scan */
	struct lh_error *error;
};

/* ---------------------------------------------------------------- candidates */

_Static_assert(LH_TEXT_RUN_MIN == sizeof(uint64_t), "a word holds the shortest run");

/* Whether the word at `bytes` is 8 characters of 0x20..0x7e: neither step may set the high bit of a byte. */
static bool are_printable(const uint8_t *bytes)
{
	const uint64_t each = 0x0101010101010101;
	uint64_t word;
	memcpy(&word, bytes, sizeof(word));
	uint64_t high = word | (word + each) | (word - each * 0x20);
	return !(high & each * 0x80);
}

/* Counts text bytes around the anchor, no further than needed. */
static bool anchor_is_in_text(const struct lh_candidate *candidate)
{
	size_t around = 0;
	if (candidate->bytes_after >= LH_TEXT_RUN_MIN && are_printable(candidate->anchor))
		return true;
	for (size_t i = 0; i < candidate->bytes_after && around < LH_TEXT_RUN_MIN; i++, around++) {
		if (!lh_byte_is(candidate->anchor[i], LH_BYTES_TEXT))
			break;
	}
	if (!around)
		return false;
	for (size_t i = 1; i <= candidate->bytes_before && around < LH_TEXT_RUN_MIN; i++, around++) {
		if (!lh_byte_is(*(candidate->anchor - i), LH_BYTES_TEXT))
			break;
	}
	return around >= LH_TEXT_RUN_MIN;
}

static bool has_credit(struct row_state *row, uint64_t addr)
{
	if (addr > row->refilled_at) {
		uint64_t passed = lh_min_u64(addr - row->refilled_at, CREDIT_MAX);
		int64_t refilled = row->credit + (int64_t)passed * CREDIT_PER_BYTE;
		row->credit = refilled < CREDIT_MAX ? refilled : CREDIT_MAX;
		row->refilled_at = addr;
	}
	return row->credit > 0;
}

/* Whether equal bytes were already examined for an example. */
static bool is_described(const struct row_state *row, uint64_t hash)
{
	for (unsigned i = 0; i < DESCRIBED_COUNT; i++) {
		if (row->described[i] == hash)
			return true;
	}
	return false;
}

static const uint8_t *match_class_bytes(const struct lh_candidate *candidate, const struct lh_match *match)
{
	return candidate->anchor - match->before + match->skipped;
}

/* Keeps the text raw: which parts are secret is known once the claim is settled. */
static void describe_recognize(const struct lh_recognizer *recognizer, const struct lh_candidate *candidate,
			       const struct lh_match *match, struct lh_claim *claim)
{
	char *text = claim->example->text;
	claim->is_excerpt = !recognizer->describe;
	if (recognizer->describe)
		recognizer->describe(candidate, match, text);
	else
		memcpy(text, match_class_bytes(candidate, match),
		       lh_min_u64(match->shown_bytes ? match->shown_bytes : match->length, LH_EXAMPLE_MAX - 1));
}

/* Gives the claim an example, unless the class has enough of them or this one adds nothing new. */
static struct lh_error *make_example(struct lh_recognizer_pass *pass, unsigned row,
				     const struct lh_candidate *candidate, const struct lh_match *match,
				     struct lh_claim *claim)
{
	const struct lh_class_count *count = &pass->classes[row];
	if (count->example_count == LH_EXAMPLES_PER_CLASS || count->count >= DESCRIBED_MATCHES_MAX)
		return NULL;
	claim->hash = XXH3_64bits(match_class_bytes(candidate, match), match->length);
	if (is_described(&pass->rows[row], claim->hash))
		return NULL;
	LH_TRY(lh_claims_example(&pass->claims, &claim->example));
	claim->example->addr = claim->start;
	describe_recognize(lh_recognizers[row], candidate, match, claim);
	return NULL;
}

/* Joins neighbors in the older half, to bound memory: the bytes between them are then masked, too. */
static void thin_out_secrets(struct lh_recognizer_pass *pass)
{
	struct lh_range *items = pass->secrets.items;
	size_t half = pass->secrets.count / 4 * 2, kept = 0;
	for (size_t i = 0; i < half; i += 2)
		items[kept++] = (struct lh_range){items[i].start, items[i + 1].end};
	memmove(items + kept, items + half, (pass->secrets.count - half) * sizeof(*items));
	pass->secrets.count -= half - kept;
}

static struct lh_error *add_secret(struct lh_recognizer_pass *pass, uint64_t start, uint64_t end)
{
	if (pass->secrets.count >= SECRETS_MAX)
		thin_out_secrets(pass);
	LH_TRY(lh_vec_reserve(&pass->secrets, 1));
	size_t at = pass->secrets.count;
	while (at && pass->secrets.items[at - 1].start > start)
		at--;
	if (at && pass->secrets.items[at - 1].end >= start) {
		pass->secrets.items[at - 1].end = lh_max_u64(end, pass->secrets.items[at - 1].end);
		return NULL;
	}
	memmove(&pass->secrets.items[at + 1], &pass->secrets.items[at],
		(pass->secrets.count - at) * sizeof(*pass->secrets.items));
	pass->secrets.items[at] = (struct lh_range){.start = start, .end = end};
	pass->secrets.count++;
	return NULL;
}

static struct lh_error *accept_match(struct lh_recognizer_pass *pass, unsigned row,
				     const struct lh_candidate *candidate, const struct lh_match *match)
{
	struct lh_claim claim = {.start = candidate->addr - match->before + match->skipped, .kind = match->kind};
	if (!lh_add_u64(claim.start, match->length, &claim.end))
		return NULL;
	pass->rows[row].claimed_end = claim.end;
	if (lh_recognizers[row]->is_secret && !pass->shows_secrets)
		LH_TRY(add_secret(pass, claim.start, claim.end));
	LH_TRY(make_example(pass, row, candidate, match, &claim));
	struct lh_error *error = lh_claims_add(&pass->claims, row, &claim);
	if (error)
		free(claim.example);
	return error;
}

/* How far a candidate may look does not depend on where blocks and pieces are cut. */
static struct lh_candidate candidate_at(const struct scan *scan, size_t anchor, const struct lh_pattern *pattern,
					size_t *examined)
{
	return (struct lh_candidate){
		.anchor = scan->data + anchor,
		.bytes_before = lh_min_u64(LH_LOOK_BACK, scan->bytes_before + anchor),
		.bytes_after = lh_min_u64(LH_BLOCK_OVERLAP, scan->bytes_after - anchor),
		.addr = scan->addr + anchor,
		.pattern = pattern->number,
		.form = pattern->form,
		.pattern_bytes = pattern->bytes,
		.examined = examined,
	};
}

static bool is_inside(const struct lh_recognizer_pass *pass, uint64_t addr)
{
	return pass->claims.inside.start <= addr && addr < pass->claims.inside.end;
}

static struct lh_error *check_candidate(const struct scan *scan, const struct lh_pattern *pattern, size_t anchor)
{
	struct row_state *row = &scan->pass->rows[pattern->row];
	const struct lh_recognizer *recognizer = lh_recognizers[pattern->row];
	size_t examined = 1;
	struct lh_candidate candidate = candidate_at(scan, anchor, pattern, &examined);
	if (candidate.addr < row->claimed_end ||
	    (recognizer->set > LH_PATTERNS_BINARY && !anchor_is_in_text(&candidate)))
		return NULL;
	if (!has_credit(row, candidate.addr)) {
		scan->pass->classes[pattern->row].unchecked += is_inside(scan->pass, candidate.addr);
		return NULL;
	}
	candidate.bytes_before = lh_min_u64(candidate.bytes_before, candidate.addr - row->claimed_end);
	candidate.follows_match = row->claimed_end && candidate.addr == row->claimed_end;
	struct lh_match match;
	bool is_match = recognizer->validate(&candidate, &match);
	row->credit -= (int64_t)examined;
	return is_match ? accept_match(scan->pass, pattern->row, &candidate, &match) : NULL;
}

static int take_pattern_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	(void)from;
	(void)flags;
	struct scan *scan = context;
	const struct lh_pattern *pattern = &scan->set->patterns[id];
	size_t anchor = scan->scan_start + (size_t)to - pattern->bytes;
	if (anchor >= scan->owned_end)
		return 0;
	scan->error = check_candidate(scan, pattern, anchor);
	return scan->error != NULL;
}

/* ---------------------------------------------------------------- feeding */

/* Finds the hits of a set whose anchors lie in [start, end). */
static struct lh_error *scan_window(struct scan *scan, enum lh_pattern_set kind, size_t start, size_t end)
{
	scan->set = scan->pass->sets[kind];
	scan->scan_start = start;
	scan->owned_end = end;
	size_t scan_end = lh_min_u64(end + scan->set->longest_bytes - 1, scan->bytes_after);
	hs_error_t status = hs_scan(scan->set->database, (const char *)scan->data + start, (unsigned)(scan_end - start),
				    0, scan->pass->scratch, take_pattern_hit, scan);
	if (scan->error)
		return scan->error;
	return status == HS_SUCCESS ? NULL : lh_error_create(LH_ERROR_SYSTEM, "hs_scan failed with code %d", status);
}

/* Checks the hits in one line, in order, for a row whose first pattern is `first`. */
static struct lh_error *check_line(struct scan *scan, const struct lh_pattern *first, const uint64_t anchors[2],
				   struct lh_span line)
{
	size_t bytes = line.end - line.start;
	uint64_t seen = bytes < LH_LINE_BYTES ? ((uint64_t)1 << bytes) - 1 : UINT64_MAX;
	for (uint64_t rest = (anchors[0] | anchors[1]) & seen; rest; rest &= rest - 1) {
		unsigned bit = (unsigned)__builtin_ctzll(rest);
		const struct lh_pattern *pattern = first + !(anchors[0] >> bit & 1);
		if (pattern->bytes <= scan->bytes_after - (line.start + bit))
			LH_TRY(check_candidate(scan, pattern, line.start + bit));
	}
	return NULL;
}

/* The end of the row's last match as a bit of the line at `start`; 0: in another line, or irrelevant. */
static uint64_t rest_anchor(const struct scan *scan, unsigned row, size_t start)
{
	uint64_t at = scan->pass->rows[row].claimed_end - (scan->addr + start);
	return lh_recognizers[row]->finds_rest && at < LH_LINE_BYTES ? UINT64_C(1) << at : 0;
}

/* Checks the hits of a row in the lines from `start` on; `bytes` are readable there. */
static struct lh_error *find_row(struct scan *scan, const struct lh_pattern *first, const uint8_t *bytes, size_t start,
				 size_t end)
{
	uint64_t anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES];
	size_t lines = (end - start + LH_LINE_BYTES - 1) / LH_LINE_BYTES;
	bool has_second = first[1].row == first->row && first[1].number == 1;
	lh_recognizers[first->row]->find(scan->pass->kernel, bytes, lines, anchors);
	for (size_t k = 0; k < lines; k++) {
		size_t line = start + k * LH_LINE_BYTES;
		uint64_t both[LH_OWN_PATTERNS_MAX] = {anchors[0][k] | rest_anchor(scan, first->row, line),
						      has_second ? anchors[1][k] : 0};
		if (both[0] | both[1])
			LH_TRY(check_line(scan, first, both,
					  (struct lh_span){line, lh_min_u64(end, line + LH_LINE_BYTES)}));
	}
	return NULL;
}

/* Like scan_window, for a set whose rows find their patterns themselves. */
static struct lh_error *find_text_window(struct scan *scan, enum lh_pattern_set kind, size_t start, size_t end)
{
	const struct lh_pattern_set_compiled *set = scan->pass->sets[kind];
	uint8_t padded[LH_FIND_BYTES];
	for (size_t at = start; at < end; at += LH_FIND_LINES * LH_LINE_BYTES) {
		size_t part_end = lh_min_u64(end, at + LH_FIND_LINES * LH_LINE_BYTES);
		const uint8_t *bytes = lh_find_lines(scan->data + at, part_end - at, scan->bytes_after - at, padded);
		for (unsigned i = 0; i < set->pattern_count; i++) {
			if (!set->patterns[i].number)
				LH_TRY(find_row(scan, &set->patterns[i], bytes, at, part_end));
		}
	}
	return NULL;
}

static struct lh_error *scan_text(struct scan *scan, size_t piece_bytes)
{
	/* The eighth byte of a run may be in the next piece. */
	size_t seen_bytes = lh_min_u64(piece_bytes + LH_TEXT_RUN_MIN - 1, scan->bytes_after);
	struct lh_text_windows windows;
	lh_text_windows_init(&windows, scan->pass->kernel, scan->data, seen_bytes, scan->bytes_before);
	size_t start;
	size_t end;
	while (lh_text_windows_next(&windows, &start, &end) && start < piece_bytes) {
		LH_TRY(scan_window(scan, LH_PATTERNS_WORDS, start, lh_min_u64(end, piece_bytes)));
		LH_TRY(find_text_window(scan, LH_PATTERNS_OWN_TEXT, start, lh_min_u64(end, piece_bytes)));
	}
	return NULL;
}

static struct lh_error *feed_piece(struct lh_recognizer_pass *pass, const struct lh_block *block, size_t offset,
				   size_t bytes)
{
	struct scan scan = {
		.pass = pass,
		.data = block->data + offset,
		.addr = block->addr + offset,
		.bytes_before = block->bytes_before + offset,
		.bytes_after = block->bytes - offset + block->bytes_after,
	};
	LH_TRY(find_text_window(&scan, LH_PATTERNS_OWN, 0, bytes));
	LH_TRY(scan_window(&scan, LH_PATTERNS_BINARY, 0, bytes));
	LH_TRY(scan_text(&scan, bytes));
	uint64_t end = scan.addr + bytes;
	return lh_claims_settle(&pass->claims, end > LH_LOOK_BACK ? end - LH_LOOK_BACK : 0);
}

static struct lh_error *begin_anew(struct lh_recognizer_pass *pass, uint64_t addr)
{
	LH_TRY(lh_claims_settle(&pass->claims, UINT64_MAX));
	for (unsigned row = 0; row < pass->row_count; row++) {
		pass->rows[row].claimed_end = 0;
		pass->rows[row].refilled_at = addr;
	}
	return NULL;
}

struct lh_error *lh_recognizer_pass_feed(struct lh_recognizer_pass *pass, const struct lh_block *block)
{
	/* A match may extend over bytes that are not fed: its claim stays valid as long as addresses ascend. */
	if (block->addr < pass->fed_end)
		LH_TRY(begin_anew(pass, block->addr));
	for (size_t offset = 0; offset < block->bytes; offset += PIECE_BYTES)
		LH_TRY(feed_piece(pass, block, offset, lh_min_u64(PIECE_BYTES, block->bytes - offset)));
	pass->fed_end = block->addr + block->bytes;
	return NULL;
}

/* ---------------------------------------------------------------- counting */

static bool is_shown_already(const struct lh_class_count *count, const char *text)
{
	for (size_t i = 0; i < count->example_count; i++) {
		if (strcmp(count->examples[i].text, text) == 0)
			return true;
	}
	return false;
}

static void take_class_example(struct lh_class_count *count, const struct lh_example *example, bool is_hidden)
{
	if (count->example_count < LH_EXAMPLES_PER_CLASS && example->text[0] &&
	    (is_hidden || !is_shown_already(count, example->text)))
		count->examples[count->example_count++] = *example;
}

static bool is_hidden(const struct lh_recognizer_pass *pass, const struct lh_class_count *count)
{
	return count->is_secret && !pass->shows_secrets;
}

/* Ends a text that was cut off at `length`, or before the last character that does not fit, with U+2026. */
static void end_cut_text(char *text, size_t length)
{
	static const char ellipsis[] = "\xe2\x80\xa6";
	length = lh_min_u64(length, LH_EXAMPLE_MAX - sizeof(ellipsis));
	while (length && (text[length] & 0xc0) == 0x80)
		length--;
	memcpy(text + length, ellipsis, sizeof(ellipsis));
}

static bool is_cut(const char *text)
{
	return strlen(text) == LH_EXAMPLE_MAX - 1;
}

/*
 * A text that is not an excerpt of memory is searched separately. If it was cut off, its last word is dropped, since it
 * may be the beginning of a secret that is no longer recognizable.
 */
static void mask_description(const struct lh_recognizer_pass *pass, char *text)
{
	size_t length = strlen(text);
	lh_secret_finder_mask(pass->finder, text, length);
	if (!is_cut(text))
		return;
	while (length && !lh_byte_is((uint8_t)text[length - 1], LH_BYTE_BLANK | LH_BYTE_BREAK))
		length--;
	end_cut_text(text, length);
}

/* Masked secrets all look alike; their length is not shown either. */
static void finish_example(const struct lh_recognizer_pass *pass, const struct lh_class_count *count,
			   const struct lh_claim *claim)
{
	static const char hidden[LH_EXAMPLE_MAX] = "********";
	char raw[LH_EXAMPLE_MAX];
	memcpy(raw, is_hidden(pass, count) && claim->is_excerpt ? hidden : claim->example->text, sizeof(raw));
	if (!claim->is_excerpt && !pass->shows_secrets)
		mask_description(pass, raw);
	if (claim->is_excerpt && claim->touches_secret && !count->is_secret)
		(void)lh_mask_secrets(pass->secrets.items, pass->secrets.count, claim->start, raw, strlen(raw));
	if (is_cut(raw))
		end_cut_text(raw, strlen(raw));
	lh_example_copy((const uint8_t *)raw, strlen(raw), claim->example->text);
}

/* Examples are taken in address order from counted claims, whenever they were made: so they do not depend on cuts. */
static void count_claim(void *context, unsigned row, const struct lh_claim *claim)
{
	struct lh_recognizer_pass *pass = context;
	struct lh_class_count *count = &pass->classes[row];
	bool counts = claim->owned_bytes && is_inside(pass, claim->start);
	count->bytes += claim->inside_bytes;
	count->count += counts;
	if (claim->kind < count->kind_count) {
		count->kinds[claim->kind].bytes += claim->inside_bytes;
		count->kinds[claim->kind].count += counts;
	}
	if (!counts || !claim->example || count->count > DESCRIBED_MATCHES_MAX ||
	    is_described(&pass->rows[row], claim->hash))
		return;
	finish_example(pass, count, claim);
	take_class_example(count, claim->example, is_hidden(pass, count));
	pass->rows[row].described[pass->rows[row].described_next++ % DESCRIBED_COUNT] = claim->hash;
}

/* Owners are recorded only on request: those of a stripe are bounded, those of all memory are not. */
static struct lh_error *keep_owner(void *context, unsigned row, uint64_t start, uint64_t end)
{
	struct lh_recognizer_pass *pass = context;
	uint64_t low = lh_max_u64(start, pass->claims.inside.start), high = lh_min_u64(end, pass->claims.inside.end);
	if (!pass->keeps_owners || low >= high)
		return NULL;
	return lh_vec_push(&pass->owned, (struct lh_owned){.range = {low, high}, .row = row});
}

bool lh_mask_secrets(const struct lh_range *secrets, size_t count, uint64_t addr, char *bytes, size_t length)
{
	size_t first = lh_count_before(secrets, count, item, item->end <= addr), next = first;
	for (; next < count && secrets[next].start < addr + length; next++) {
		size_t start = lh_max_u64(secrets[next].start, addr) - addr;
		size_t end = lh_min_u64(secrets[next].end, addr + length) - addr;
		memset(bytes + start, '*', end - start);
	}
	return next > first;
}

struct lh_error *lh_recognizer_pass_settle(struct lh_recognizer_pass *pass)
{
	pass->fed_end = UINT64_MAX;
	return lh_claims_settle(&pass->claims, UINT64_MAX);
}

const struct lh_class_count *lh_recognizer_pass_classes(const struct lh_recognizer_pass *pass, size_t *ret_count)
{
	*ret_count = pass->row_count;
	return pass->classes;
}

const struct lh_owned *lh_recognizer_pass_owned(const struct lh_recognizer_pass *pass, size_t *ret_count)
{
	*ret_count = pass->owned.count;
	return pass->owned.items;
}

const struct lh_range *lh_recognizer_pass_secrets(const struct lh_recognizer_pass *pass, size_t *ret_count)
{
	*ret_count = pass->secrets.count;
	return pass->secrets.items;
}

/* ---------------------------------------------------------------- life */

static void init_rows(struct lh_recognizer_pass *pass)
{
	uint64_t secrets = 0;
	memset(pass->classes, 0, sizeof(pass->classes));
	memset(pass->rows, 0, sizeof(pass->rows));
	for (unsigned row = 0; row < LH_ARRAY_COUNT(lh_recognizers) - 1; row++) {
		const struct lh_recognizer *recognizer = lh_recognizers[row];
		pass->classes[row].name = recognizer->name;
		pass->classes[row].title = recognizer->title;
		pass->classes[row].is_secret = recognizer->is_secret;
		pass->rows[row].credit = CREDIT_MAX;
		secrets |= (uint64_t)recognizer->is_secret << row;
		for (size_t i = 0; recognizer->kinds && recognizer->kinds[i]; i++)
			pass->classes[row].kinds[pass->classes[row].kind_count++].name = recognizer->kinds[i];
		pass->row_count = row + 1;
	}
	lh_claims_init(&pass->claims, pass->row_count, secrets, count_claim, pass);
	pass->claims.owned = keep_owner;
	pass->fed_end = UINT64_MAX;
}

struct lh_error *lh_recognizer_pass_create(bool shows_secrets, struct lh_recognizer_pass **ret)
{
	LH_CLEANUP(lh_cleanup_recognizer_pass) struct lh_recognizer_pass *pass = calloc(1, sizeof(*pass));
	if (!pass)
		return lh_error_no_memory();
	pass->shows_secrets = shows_secrets;
	LH_TRY(lh_kernel_select(&pass->kernel));
	init_rows(pass);
	LH_TRY(lh_secret_finder_create(&pass->finder));
	for (unsigned kind = 0; kind < LH_PATTERN_SET_COUNT; kind++)
		LH_TRY(lh_patterns_get(kind, &pass->scratch, &pass->sets[kind]));
	*ret = pass;
	pass = NULL;
	return NULL;
}

void lh_recognizer_pass_reset(struct lh_recognizer_pass *pass, struct lh_range inside)
{
	lh_claims_deinit(&pass->claims);
	init_rows(pass);
	pass->claims.inside = inside;
	pass->secrets.count = 0;
	pass->owned.count = 0;
	pass->keeps_owners = true;
}

struct lh_error *lh_recognizer_pass_merge(struct lh_recognizer_pass *pass, struct lh_recognizer_pass *part)
{
	LH_TRY(lh_recognizer_pass_settle(part));
	for (unsigned row = 0; row < pass->row_count; row++) {
		struct lh_class_count *sum = &pass->classes[row];
		const struct lh_class_count *count = &part->classes[row];
		sum->count += count->count;
		sum->bytes += count->bytes;
		sum->unchecked += count->unchecked;
		for (size_t i = 0; i < count->kind_count; i++) {
			sum->kinds[i].count += count->kinds[i].count;
			sum->kinds[i].bytes += count->kinds[i].bytes;
		}
		for (size_t i = 0; i < count->example_count; i++)
			take_class_example(sum, &count->examples[i], is_hidden(pass, count));
	}
	for (size_t i = 0; i < part->secrets.count; i++)
		LH_TRY(add_secret(pass, part->secrets.items[i].start, part->secrets.items[i].end));
	return NULL;
}

void lh_recognizer_pass_destroy(struct lh_recognizer_pass *pass)
{
	if (!pass)
		return;
	lh_claims_deinit(&pass->claims);
	lh_vec_deinit(&pass->secrets);
	lh_vec_deinit(&pass->owned);
	lh_secret_finder_destroy(pass->finder);
	hs_free_scratch(pass->scratch);
	free(pass);
}

void lh_cleanup_recognizer_pass(struct lh_recognizer_pass **pass)
{
	lh_recognizer_pass_destroy(*pass);
}

/* ---------------------------------------------------------------- names of classes */

static const struct {
	const char *name;
	const char *title;
} rest_names[LH_REST_COUNT] = {
	[LH_REST_ZERO] = {"zero", "zeros"},       [LH_REST_POINTERS] = {"pointers", "pointers into mapped memory"},
	[LH_REST_TEXT] = {"text", "other texts"}, [LH_REST_RANDOM] = {"high-entropy", "high entropy"},
	[LH_REST_OTHER] = {"other", "other"},
};

const char *lh_map_class_name(unsigned class)
{
	if (class >= LH_MAP_REST)
		return class < LH_MAP_CLASSES ? rest_names[class - LH_MAP_REST].name : NULL;
	return class < LH_ARRAY_COUNT(lh_recognizers) - 1 ? lh_recognizers[class]->name : NULL;
}

const char *lh_map_class_title(unsigned class)
{
	if (class >= LH_MAP_REST)
		return class < LH_MAP_CLASSES ? rest_names[class - LH_MAP_REST].title : NULL;
	return class < LH_ARRAY_COUNT(lh_recognizers) - 1 ? lh_recognizers[class]->title : NULL;
}
