/*
 * recognize_sqlite: pages of SQLite databases, sqlite.org/fileformat2.html section 1.6: b-tree pages in
 * which every cell parses and header + pointers + gap + cells + free blocks + fragments == page size, the
 * equation of SQLite's own integrity check; at an address that is a multiple of 8, as in its page cache.
 * The first page of a database has the file header before its b-tree. Shown by kind, cells, page size.
 */
#include "scan/recognize/recognize.h"

#include <stdio.h>
#include <string.h>

enum {
	INDEX_INTERIOR = 0x02,
	TABLE_INTERIOR = 0x05,
	INDEX_LEAF = 0x0a,
	TABLE_LEAF = 0x0d,
	FILE_HEADER_BYTES = 100,
	PAGE_BYTES_MIN = 512,
	PAGE_BYTES_MAX = 65536,
	CELL_BYTES_MIN = 4,
	CELLS_MAX = PAGE_BYTES_MAX / 6,
	FRAGMENTS_MAX = 60,
	VARINT_BYTES_MAX = 9,
	OVERFLOW_BYTES = 4,
	ALIGNMENT = 8,
};

enum { PATTERN_FIRST_PAGE = 0 };

/* B-tree pages: kind, first free block (below 4 KiB, else a page that large), cells, content, fragments. */
static const char *const patterns[] = {
	[PATTERN_FIRST_PAGE] = "SQLite format 3\\x00",
	"[\\x0d\\x0a][\\x00-\\x7f].[\\x00-\\x0f].[\\x00-\\xff].[\\x00-\\x3c][\\x00-\\xff].",
	NULL,
};

struct page {
	const uint8_t *bytes;
	size_t page_bytes;
	size_t header_at; /* 100 in the first page */
	size_t header_bytes;
	uint8_t kind;
	size_t first_free;
	size_t cells;
	size_t content_at;
	size_t fragments;
};

static size_t read_be16(const uint8_t *bytes)
{
	return (size_t)bytes[0] << 8 | bytes[1];
}

/* Section 1.6: 1 to 9 bytes, seven bits each, of the ninth all eight. */
static bool take_varint(struct lh_cursor *cursor, uint64_t *ret)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
		uint8_t byte = lh_cursor_u8(cursor);
		bool is_ninth = i == VARINT_BYTES_MAX - 1;
		value = is_ninth ? value << 8 | byte : value << 7 | (byte & 0x7f);
		if (is_ninth || !(byte & 0x80))
			break;
	}
	*ret = value;
	return !cursor->failed;
}

/* Section 1.6, "cell payload overflow pages": how much of P bytes lies in the page itself. */
static uint64_t local_bytes(const struct page *page, uint64_t payload)
{
	uint64_t usable = page->page_bytes;
	uint64_t most = page->kind == TABLE_LEAF ? usable - 35 : (usable - 12) * 64 / 255 - 23;
	uint64_t least = (usable - 12) * 32 / 255 - 23;
	if (payload <= most)
		return payload;
	uint64_t first = least + (payload - least) % (usable - 4);
	return first <= most ? first : least;
}

/* Section 2.1: the header's length, then serial types, of which 10 and 11 are reserved. */
static bool is_sqlite_record(struct lh_cursor payload)
{
	struct lh_cursor start = payload;
	uint64_t header_bytes;
	if (!take_varint(&payload, &header_bytes) || header_bytes < 1 || header_bytes > lh_cursor_left(&start))
		return false;
	const uint8_t *end = start.at + header_bytes;
	while (payload.at < end) {
		uint64_t type;
		if (!take_varint(&payload, &type) || type == 10 || type == 11)
			return false;
	}
	return payload.at == end;
}

/* Bytes of the cell at `at`, or 0 when it is none. */
static size_t cell_bytes(const struct page *page, size_t at)
{
	struct lh_cursor cursor = lh_cursor_over(page->bytes + at, page->page_bytes - at);
	uint64_t payload = 0;
	uint64_t row;
	if (page->kind == INDEX_INTERIOR || page->kind == TABLE_INTERIOR)
		(void)lh_cursor_be32(&cursor);
	if (page->kind != TABLE_INTERIOR && !take_varint(&cursor, &payload))
		return 0;
	if ((page->kind == TABLE_LEAF || page->kind == TABLE_INTERIOR) && !take_varint(&cursor, &row))
		return 0;
	uint64_t local = local_bytes(page, payload);
	const uint8_t *content = lh_cursor_take(&cursor, local);
	if (local < payload)
		(void)lh_cursor_be32(&cursor);
	if (cursor.failed || (page->kind != TABLE_INTERIOR && !is_sqlite_record(lh_cursor_over(content, local))))
		return 0;
	return lh_max_u64(CELL_BYTES_MIN, (uint64_t)(cursor.at - page->bytes) - at);
}

static bool sum_cells(const struct page *page, size_t *ret)
{
	const uint8_t *pointer = page->bytes + page->header_at + page->header_bytes;
	size_t sum = 0;
	for (size_t i = 0; i < page->cells; i++, pointer += 2) {
		size_t at = read_be16(pointer);
		size_t bytes = at >= page->content_at && at < page->page_bytes ? cell_bytes(page, at) : 0;
		sum += bytes;
		if (!bytes || sum > page->page_bytes)
			return false;
	}
	*ret = sum;
	return true;
}

/* Free blocks: next, size; in ascending order. */
static bool sum_free(const struct page *page, size_t *ret)
{
	size_t sum = 0;
	size_t earliest = page->content_at;
	for (size_t at = page->first_free; at;) {
		if (at < earliest || at + 4 > page->page_bytes)
			return false;
		size_t size = read_be16(page->bytes + at + 2);
		if (size < 4 || at + size > page->page_bytes)
			return false;
		sum += size;
		earliest = at + size;
		at = read_be16(page->bytes + at);
	}
	*ret = sum;
	return true;
}

static bool header_adds_up(const struct page *page)
{
	size_t pointers_end = page->header_at + page->header_bytes + 2 * page->cells;
	size_t cells;
	size_t free_bytes;
	if (pointers_end > page->content_at || page->content_at > page->page_bytes || !sum_free(page, &free_bytes) ||
	    !sum_cells(page, &cells))
		return false;
	return page->content_at + cells + free_bytes + page->fragments == page->page_bytes;
}

static bool read_sqlite_header(struct page *page)
{
	const uint8_t *header = page->bytes + page->header_at;
	page->kind = header[0];
	page->first_free = read_be16(header + 1);
	page->cells = read_be16(header + 3);
	page->content_at = read_be16(header + 5) ? read_be16(header + 5) : PAGE_BYTES_MAX;
	page->fragments = header[7];
	bool is_leaf = page->kind == TABLE_LEAF || page->kind == INDEX_LEAF;
	page->header_bytes = is_leaf ? 8 : 12;
	return (is_leaf || page->kind == TABLE_INTERIOR || page->kind == INDEX_INTERIOR) && page->cells &&
	       page->cells <= CELLS_MAX && page->fragments <= FRAGMENTS_MAX;
}

static size_t first_page_bytes(const struct lh_candidate *candidate)
{
	enum { PAGE_SIZE_AT = 16 };
	size_t bytes = candidate->bytes_after > FILE_HEADER_BYTES ? read_be16(candidate->anchor + PAGE_SIZE_AT) : 0;
	bytes = bytes == 1 ? PAGE_BYTES_MAX : bytes;
	return bytes >= PAGE_BYTES_MIN && !(bytes & (bytes - 1)) && bytes <= candidate->bytes_after ? bytes : 0;
}

/* The file header proves the page, whatever its b-tree contains. */
static bool read_first_page(const struct lh_candidate *candidate, struct page *ret)
{
	*ret = (struct page){.bytes = candidate->anchor, .header_at = FILE_HEADER_BYTES};
	ret->page_bytes = first_page_bytes(candidate);
	return ret->page_bytes;
}

/*
 * The content of a page that is not empty begins where its size allows: sizes are tried from the next power of two on.
 */
static bool read_page(const struct lh_candidate *candidate, struct page *ret)
{
	enum { HEADER_BYTES_MAX = 12 };
	*ret = (struct page){.bytes = candidate->anchor};
	if (candidate->addr % ALIGNMENT || candidate->bytes_after < PAGE_BYTES_MIN || !read_sqlite_header(ret))
		return false;
	for (size_t bytes = PAGE_BYTES_MIN; bytes <= lh_min_u64(PAGE_BYTES_MAX, candidate->bytes_after); bytes *= 2) {
		ret->page_bytes = bytes;
		if (bytes < ret->content_at || HEADER_BYTES_MAX + 2 * ret->cells > bytes)
			continue;
		*candidate->examined += 64;
		if (header_adds_up(ret))
			return true;
	}
	return false;
}

static unsigned sqlite_kind_of(uint8_t page_kind)
{
	static const unsigned kinds[] = {
		[INDEX_INTERIOR] = 4, [TABLE_INTERIOR] = 3, [INDEX_LEAF] = 2, [TABLE_LEAF] = 1};
	return kinds[page_kind];
}

static const char *const kinds[] = {"first pages",    "table leaves",   "index leaves",
				    "table interior", "index interior", NULL};

static bool validate_sqlite(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct page page;
	bool is_first = candidate->pattern == PATTERN_FIRST_PAGE;
	if (!(is_first ? read_first_page(candidate, &page) : read_page(candidate, &page)))
		return false;
	*ret = (struct lh_match){.length = page.page_bytes, .kind = is_first ? 0 : sqlite_kind_of(page.kind)};
	return true;
}

static void describe_sqlite(const struct lh_candidate *candidate, const struct lh_match *match,
			    char ret[LH_EXAMPLE_MAX])
{
	static const char *const names[] = {"first page", "table leaf", "index leaf", "table interior",
					    "index interior"};
	const uint8_t *header = candidate->anchor + (match->kind ? 0 : FILE_HEADER_BYTES);
	(void)snprintf(ret, LH_EXAMPLE_MAX, "%s, %zu bytes, %zu cells", names[match->kind], match->length,
		       read_be16(header + 3));
}

const struct lh_recognizer lh_recognize_sqlite = {
	.name = "sqlite",
	.title = "SQLite pages",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_sqlite,
	.kinds = kinds,
	.describe = describe_sqlite,
};
