/*
 * strings_list: prints every string of an image, line by line like GNU strings. All CPUs make lines in buffers, which
 * are written in order. On a terminal, bytes are escaped.
 */
#include "strings_list.h"
#include "strings_around.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ADDRESS_MAX = 24,         /* 22 octal digits and a blank */
	COPY_BYTES = 32,          /* a short text is copied with this many bytes at once */
	BORROW_BYTES = 64 * 1024, /* a longer text is written directly from the image */
};

struct listing {
	const struct lh_strings_request *request;
	struct lh_progress_line progress;
	bool is_terminal;
	bool is_closed; /* the reader has gone: `| head` */
	uint64_t read_bytes;
	struct lh_lines_around around; /* of --grep */
};

/* A long text, to be written after the lines before `at`. */
struct borrowed {
	size_t at;
	const uint8_t *bytes;
	size_t length;
};

/* With --grep: where a line ends in the output. */
struct line_end {
	size_t at;
	bool matches;
};

struct lines {
	const struct listing *listing;
	LH_VEC(char) output;
	LH_VEC(struct line_end) ends;
	LH_VEC(struct borrowed) borrowed;
};

/* ---------------------------------------------------------------- addresses */

/* The eight hexadecimal digits of a number, the first one in the highest byte. */
static uint64_t hex_digits(uint64_t number)
{
	number = (number | number << 16) & UINT64_C(0x0000ffff0000ffff);
	number = (number | number << 8) & UINT64_C(0x00ff00ff00ff00ff);
	number = (number | number << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	uint64_t is_letter = (number + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
	return number + UINT64_C(0x3030303030303030) + is_letter * ('a' - '0' - 10);
}

/* Writes the last `count` (1 to 8) digits of `digits`; always touches 8 bytes. */
static char *put_digits(char *at, uint64_t digits, unsigned count)
{
	uint64_t in_order = __builtin_bswap64(digits << 8 * (8 - count));
	memcpy(at, &in_order, sizeof(in_order));
	return at + count;
}

static char *put_hex(char *at, uint64_t addr)
{
	unsigned count = addr ? (67 - (unsigned)__builtin_clzll(addr)) / 4 : 1;
	for (unsigned i = count; i < 7; i++)
		*at++ = ' ';
	if (count > 8)
		at = put_digits(at, hex_digits(addr >> 32), count - 8);
	return put_digits(at, hex_digits(addr & UINT32_MAX), (unsigned)lh_min_u64(count, 8));
}

static char *put_number(char *at, uint64_t addr, unsigned base)
{
	char text[ADDRESS_MAX];
	size_t start = sizeof(text);
	do {
		text[--start] = (char)('0' + addr % base);
		addr /= base;
	} while (addr);
	while (sizeof(text) - start < 7)
		text[--start] = ' ';
	memcpy(at, text + start, sizeof(text) - start);
	return at + sizeof(text) - start;
}

/* As GNU strings: "%7lo ", "%7ld " or "%7lx " (binutils 2.40, strings.c, print_filename_and_address). */
static char *put_list_address(char *at, char radix, uint64_t addr)
{
	if (!radix)
		return at;
	at = radix == 'x' ? put_hex(at, addr) : put_number(at, addr, radix == 'd' ? 10 : 8);
	*at++ = ' ';
	return at;
}

/* ---------------------------------------------------------------- lines of plain bytes */

/* Most texts are short: if COPY_BYTES may be read, they are copied without a call. */
static char *put_text(char *at, const uint8_t *bytes, size_t length, bool can_read_on)
{
	if (can_read_on && length <= COPY_BYTES)
		memcpy(at, bytes, COPY_BYTES);
	else
		memcpy(at, bytes, length);
	return at + length;
}

/* Reserves room for all lines of the batch. */
static struct lh_error *reserve_bytes(struct lines *lines, const struct lh_run_batch *batch)
{
	size_t bytes = batch->count * (ADDRESS_MAX + 1) + COPY_BYTES;
	for (size_t i = 0; i < batch->count; i++) {
		size_t length = batch->spans[i].end - batch->spans[i].start;
		bytes += length < BORROW_BYTES ? length : 0;
	}
	return lh_vec_reserve(&lines->output, bytes);
}

static struct lh_error *borrow_bytes(struct lines *lines, const struct lh_run_batch *batch, struct lh_span span)
{
	struct borrowed text = {lines->output.count, batch->block->data + span.start, span.end - span.start};
	return lh_vec_push(&lines->borrowed, text);
}

static struct lh_error *add_plain(struct lines *lines, const struct lh_run_batch *batch)
{
	const struct lh_block *block = batch->block;
	char radix = lines->listing->request->radix;
	size_t readable = block->bytes + block->bytes_after;
	LH_TRY(reserve_bytes(lines, batch));
	char *at = lines->output.items + lines->output.count;
	for (size_t i = 0; i < batch->count; i++) {
		struct lh_span span = batch->spans[i];
		size_t length = span.end - span.start;
		at = put_list_address(at, radix, block->addr + span.start);
		if (length < BORROW_BYTES) {
			at = put_text(at, block->data + span.start, length, readable - span.start >= COPY_BYTES);
		} else {
			lines->output.count = (size_t)(at - lines->output.items);
			LH_TRY(borrow_bytes(lines, batch, span));
		}
		*at++ = '\n';
	}
	lines->output.count = (size_t)(at - lines->output.items);
	return NULL;
}

/* ---------------------------------------------------------------- other lines */

static struct lh_error *put_list(struct lines *lines, const void *bytes, size_t length)
{
	LH_TRY(lh_vec_reserve(&lines->output, length));
	memcpy(lines->output.items + lines->output.count, bytes, length);
	lines->output.count += length;
	return NULL;
}

/* On a terminal bytes are escaped, except tabs. */
static struct lh_error *put_escaped(struct lines *lines, const char *bytes, size_t length)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	while (length) {
		const char *tab = memchr(bytes, '\t', length);
		size_t part = tab ? (size_t)(tab - bytes) : length;
		lh_buffer_escape(&text, bytes, part);
		if (tab)
			lh_buffer_puts(&text, "\t");
		bytes += tab ? part + 1 : part;
		length -= tab ? part + 1 : part;
	}
	LH_TRY(lh_buffer_status(&text));
	return text.length ? put_list(lines, text.data, text.length) : NULL;
}

/* For a character of 2 or 4 bytes GNU strings prints the lowest byte; the others are zero. */
static struct lh_error *put_run(struct lines *lines, const struct lh_run *run, size_t width)
{
	char narrow[4096];
	const uint8_t *low = width == 1 || run->bytes[0] ? run->bytes : run->bytes + width - 1;
	for (size_t at = 0; at < run->chars;) {
		size_t count = lh_min_u64(sizeof(narrow), run->chars - at);
		for (size_t i = 0; i < count; i++)
			narrow[i] = (char)low[(at + i) * width];
		LH_TRY(lines->listing->is_terminal ? put_escaped(lines, narrow, count)
						   : put_list(lines, narrow, count));
		at += count;
	}
	return NULL;
}

static struct lh_error *add_lines(void *part, const struct lh_run_batch *batch)
{
	struct lines *lines = part;
	if (batch->width == 1 && !lines->listing->is_terminal && !batch->matches)
		return add_plain(lines, batch);
	for (size_t i = 0; i < batch->count; i++) {
		struct lh_run run = lh_run_of(batch, i);
		char address[ADDRESS_MAX + 8];
		char *end = put_list_address(address, lines->listing->request->radix, run.addr);
		LH_TRY(put_list(lines, address, (size_t)(end - address)));
		LH_TRY(put_run(lines, &run, batch->width));
		LH_TRY(put_list(lines, "\n", 1));
		if (batch->matches)
			LH_TRY(lh_vec_push(&lines->ends, (struct line_end){lines->output.count, batch->matches[i]}));
	}
	return NULL;
}

/* ---------------------------------------------------------------- writing */

static struct lh_error *write_bytes(struct listing *listing, const void *bytes, size_t length)
{
	if (!length)
		return NULL;
	struct lh_error *error = lh_fd_write_all(STDOUT_FILENO, "standard output", bytes, length);
	listing->is_closed = error && errno == EPIPE;
	return error;
}

static struct lh_error *write_around(struct listing *listing, const struct lines *lines)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	size_t at = 0;
	for (size_t i = 0; i < lines->ends.count; i++) {
		struct line_end end = lines->ends.items[i];
		lh_lines_around_add(&listing->around, lines->output.items + at, end.at - at, end.matches, &text);
		at = end.at;
	}
	LH_TRY(lh_buffer_status(&text));
	return write_bytes(listing, text.data, text.length);
}

static struct lh_error *write_plain_run(struct listing *listing, const struct lines *lines)
{
	size_t at = 0;
	for (size_t i = 0; i < lines->borrowed.count; i++) {
		const struct borrowed *text = &lines->borrowed.items[i];
		LH_TRY(write_bytes(listing, lines->output.items + at, text->at - at));
		LH_TRY(write_bytes(listing, text->bytes, text->length));
		at = text->at;
	}
	return write_bytes(listing, lines->output.items + at, lines->output.count - at);
}

static struct lh_error *write_lines(void *context, void *part)
{
	struct listing *listing = context;
	struct lines *lines = part;
	LH_TRY(listing->request->is_grep ? write_around(listing, lines) : write_plain_run(listing, lines));
	lines->output.count = lines->borrowed.count = lines->ends.count = 0;
	return NULL;
}

static struct lh_error *create_lines(void *context, void **ret)
{
	struct lines *lines = calloc(1, sizeof(*lines));
	if (!lines)
		return lh_error_no_memory();
	lines->listing = context;
	*ret = lines;
	return NULL;
}

static void destroy_lines(void *part)
{
	struct lines *lines = part;
	lh_vec_deinit(&lines->output);
	lh_vec_deinit(&lines->borrowed);
	lh_vec_deinit(&lines->ends);
	free(lines);
}

/* ---------------------------------------------------------------- the whole */

int lh_strings_status(const struct lh_image *image, bool is_partial)
{
	return lh_image_loss(image).count || is_partial ? LH_EXIT_PARTIAL : LH_EXIT_COMPLETE;
}

static bool show_list_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	struct listing *listing = context;
	listing->read_bytes = done_bytes;
	lh_progress_bytes(&listing->progress, "scanning", done_bytes, total_bytes);
	return !lh_interrupt_requested();
}

static struct lh_error *write_list(struct listing *listing, struct lh_image *image, bool *ret_is_interrupted)
{
	struct lh_list_options options = {
		.run = listing->request->run,
		.walk_flags = listing->request->walk_flags,
		.threads = (unsigned)listing->request->threads,
		.shows_secrets = listing->request->shows_secrets,
		.progress = show_list_progress,
		.progress_context = listing,
	};
	struct lh_list_output output = {
		.context = listing,
		.create_part = create_lines,
		.destroy_part = destroy_lines,
		.add = add_lines,
		.write = write_lines,
	};
	struct lh_error *error = lh_list_runs(image, &options, &output);
	*ret_is_interrupted = error && lh_error_code(error) == LH_ERROR_INTERRUPTED;
	if (!*ret_is_interrupted && !listing->is_closed)
		return error;
	lh_error_destroy(error);
	return NULL;
}

static void warn_of_list_loss(const struct lh_image *image)
{
	struct lh_loss loss = lh_image_loss(image);
	char bytes[LH_FORMAT_MAX];
	if (loss.count)
		lh_warn("%s: %s in %zu places could not be read (the first: %s)", lh_image_path(image),
			lh_format_bytes(loss.bytes, bytes), loss.count, lh_gap_reason_name(loss.reason));
}

static bool warn_of_given_up(const struct lh_text_filter *filter, const char *option)
{
	struct lh_match_loss loss = lh_text_filter_take_loss(filter);
	if (loss.count)
		lh_warn("--%s gave up on %" PRIu64 " texts, which are left out (the first: 0x%" PRIx64 ")", option,
			loss.count, loss.first_addr);
	return loss.count;
}

static void print_list_receipt(const struct lh_image *image, uint64_t read_bytes)
{
	char text[LH_FORMAT_MAX];
	fprintf(stderr, "leakhunt: read %s of %s, which was never stopped\n", lh_format_bytes(read_bytes, text),
		lh_image_path(image));
}

static void cleanup_listing(struct listing *listing)
{
	lh_progress_end(&listing->progress);
	lh_lines_around_deinit(&listing->around);
}

struct lh_error *lh_strings_list(const struct lh_strings_request *request, struct lh_image *image, int *ret_status)
{
	struct listing listing LH_CLEANUP(cleanup_listing) = {
		.request = request,
		.is_terminal = isatty(STDOUT_FILENO),
	};
	LH_TRY(lh_lines_around_init(&listing.around, request->around));
	lh_progress_begin(&listing.progress);
	listing.progress.is_shown &= !listing.is_terminal; /* the progress line would appear among the strings */
	bool is_interrupted = false;
	LH_TRY(write_list(&listing, image, &is_interrupted));
	lh_progress_end(&listing.progress);
	if (is_interrupted)
		lh_warn("interrupted: the strings of the first %" PRIu64 " bytes were listed", listing.read_bytes);
	warn_of_list_loss(image);
	bool is_partial = is_interrupted;
	is_partial |= warn_of_given_up(request->run.match, "match");
	is_partial |= warn_of_given_up(request->run.mark, "grep");
	if (request->is_process)
		print_list_receipt(image, listing.read_bytes);
	*ret_status = lh_strings_status(image, is_partial);
	return NULL;
}
