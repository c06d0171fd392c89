/*
 * regions_read: the mappings of a live process. Input: an open process. Output: regions with all that
 * can be told of them. The text is parsed in pieces as the kernel hands it out, and read again when a
 * change in between tore it.
 */
#include "leakhunt/pages.h"
#include "regions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PIECE_BYTES = 64 * 1024,
	LINE_BYTES_MAX = 32 * 1024, /* an escaped path of 4096 bytes and a header fit; a longer line is cut */
	TORN_READ_TRIES = 3,
};

struct piece {
	char *bytes;
	size_t length;
	uint64_t hold_ns_max; /* the longest read(2): the kernel holds mmap_lock for its time */
	uint64_t rested_ns;
};

static ssize_t timed_read(int fd, struct piece *piece)
{
	uint64_t started_ns = lh_clock_monotonic_ns();
	ssize_t count = read(fd, piece->bytes + piece->length, PIECE_BYTES - piece->length);
	int saved_errno = errno;
	piece->hold_ns_max = lh_max_u64(piece->hold_ns_max, lh_clock_monotonic_ns() - started_ns);
	lh_rest_from_lock(&piece->rested_ns);
	errno = saved_errno;
	return count;
}

static struct lh_error *fill_read(const struct lh_process *process, const char *name, int fd, struct piece *piece,
				  bool *ret_is_end)
{
	while (piece->length < PIECE_BYTES - LINE_BYTES_MAX) {
		ssize_t count = timed_read(fd, piece);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return lh_process_file_error(process, name, errno);
		piece->length += (size_t)count;
		if (!count) {
			*ret_is_end = true;
			return NULL;
		}
	}
	*ret_is_end = false;
	return NULL;
}

static struct lh_error *parse_pieces(const struct lh_process *process, const char *name, int fd,
				     struct lh_regions_parser *parser, uint64_t *hold_ns_max)
{
	LH_CLEANUP(lh_cleanup_free) char *bytes = malloc(PIECE_BYTES);
	struct piece piece = {.bytes = bytes, .rested_ns = lh_clock_monotonic_ns()};
	if (!bytes)
		return lh_error_no_memory();
	for (bool is_end = false; !is_end;) {
		size_t consumed;
		LH_TRY(fill_read(process, name, fd, &piece, &is_end));
		LH_TRY(lh_regions_parser_feed(parser, bytes, piece.length, is_end, &consumed));
		/* Without a newline in a whole piece, what there is passes as a line. */
		if (!consumed && !is_end)
			LH_TRY(lh_regions_parser_feed(parser, bytes, piece.length, true, &consumed));
		piece.length -= consumed;
		memmove(bytes, bytes + consumed, piece.length);
	}
	*hold_ns_max = lh_max_u64(*hold_ns_max, piece.hold_ns_max);
	return NULL;
}

static struct lh_error *read_regions_text(const struct lh_process *process, const char *name, uint64_t *hold_ns_max,
					  struct lh_region_list *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	struct lh_regions_parser parser = {.list = &list, .is_live = true};
	LH_TRY(lh_process_open_file(process, name, O_RDONLY, &fd));
	LH_TRY(parse_pieces(process, name, fd, &parser, hold_ns_max));
	/* The text just ends where the process ends or calls exec: its mappings are gone. */
	LH_TRY(lh_process_check(process));
	LH_TRY(lh_regions_parser_finish(&parser, name));
	*ret = list;
	list = (struct lh_region_list){0};
	return NULL;
}

static bool is_rest_of_heap(const struct lh_region *left, const struct lh_region *right)
{
	return left->end == right->start && left->protection == right->protection &&
	       strcmp(left->name, "[heap]") == 0 && strcmp(right->name, "[heap]") == 0;
}

/* While a dump tracks the brk heap, its last page is a mapping of its own: of one dump and for others, it is none. */
static void join_heap(struct lh_region_list *list)
{
	struct lh_region *regions = list->regions.items;
	size_t kept = 0;
	for (size_t i = 1; i < list->regions.count; i++) {
		if (is_rest_of_heap(&regions[kept], &regions[i])) {
			regions[kept].end = regions[i].end;
			lh_usage_add(&regions[kept].usage, &regions[i].usage);
		} else {
			regions[++kept] = regions[i];
		}
	}
	list->regions.count = list->regions.count ? kept + 1 : 0;
}

struct lh_error *lh_regions_read_text(const struct lh_process *process, enum lh_region_detail detail,
				      uint64_t *hold_ns_max, struct lh_region_list *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	const char *name = detail == LH_REGIONS_SMAPS ? "smaps" : "maps";
	for (int i = 0; i < TORN_READ_TRIES; i++) {
		lh_region_list_deinit(&list);
		LH_TRY(read_regions_text(process, name, hold_ns_max, &list));
		/* A mapping that was split or moved while the kernel listed it shows in parts. */
		if (!list.dropped_regions && !list.skipped_lines)
			break;
	}
	join_heap(&list);
	lh_regions_set_textual_kinds(&list);
	*ret = list;
	list = (struct lh_region_list){0};
	return NULL;
}

struct lh_error *lh_regions_read(const struct lh_process *process, enum lh_region_detail detail,
				 struct lh_region_list *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	uint64_t hold_ns_max = 0;
	LH_TRY(lh_regions_read_text(process, detail, &hold_ns_max, &list));
	LH_TRY(lh_regions_set_live_kinds(process, &list));
	*ret = list;
	list = (struct lh_region_list){0};
	return NULL;
}

struct lh_error *lh_regions_of_maps(const struct lh_process *process, const struct lh_buffer *maps,
				    struct lh_region_list *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_regions_parser parser = {.list = &list};
	size_t consumed;
	LH_TRY(lh_regions_parser_feed(&parser, maps->data, maps->length, true, &consumed));
	LH_TRY(lh_regions_parser_finish(&parser, "maps"));
	join_heap(&list);
	lh_regions_set_textual_kinds(&list);
	LH_TRY(lh_regions_set_live_kinds(process, &list));
	*ret = list;
	list = (struct lh_region_list){0};
	return NULL;
}
