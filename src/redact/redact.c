/*
 * redact: from a core to one of the same layout. Only what a program header names is copied: headers, notes, memory.
 * At the end the heap is walked in both, so that nobody trusts a copy in which it is not the same.
 */
#include "leakhunt/redact.h"
#include "redact_notes.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 };

struct copying {
	struct lh_redactor redactor;
	const char *path;
	int in_fd;
	int out_fd;
	uint64_t file_bytes;
	Elf64_Ehdr header;
	LH_VEC(Elf64_Phdr) segments;
	LH_VEC(uint8_t) piece;
};

static struct lh_error *cannot_redact(const struct copying *copying, const char *why)
{
	return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED, "%s: %s", copying->path, why),
			     "redact takes a 64-bit ELF core; unpack a compressed one with `zstd -d`");
}

static struct lh_error *read_at(const struct copying *copying, uint64_t offset, void *ret, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t got = pread(copying->in_fd, (uint8_t *)ret + done, length - done, (off_t)(offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return lh_error_from_errno(errno, "cannot read %s", copying->path);
		if (!got)
			return lh_error_create(LH_ERROR_FORMAT, "%s: the file ends early", copying->path);
		done += (size_t)got;
	}
	return NULL;
}

/* ---------------------------------------------------------------- headers */

/* From 65,535 segments on, section header 0 holds their number (elf(5), PN_XNUM). */
static struct lh_error *read_segment_count(struct copying *copying, uint64_t *ret)
{
	Elf64_Shdr first;
	*ret = copying->header.e_phnum;
	if (copying->header.e_phnum != PN_XNUM)
		return NULL;
	LH_TRY(read_at(copying, copying->header.e_shoff, &first, sizeof(first)));
	LH_TRY(lh_fd_pwrite_all(copying->out_fd, "the redacted core", &first, sizeof(first), copying->header.e_shoff));
	*ret = first.sh_info;
	return NULL;
}

static struct lh_error *copy_headers(struct copying *copying)
{
	Elf64_Ehdr *header = &copying->header;
	uint64_t count, bytes;
	if (copying->file_bytes < sizeof(*header))
		return cannot_redact(copying, "it is no core");
	LH_TRY(read_at(copying, 0, header, sizeof(*header)));
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_type != ET_CORE ||
	    header->e_phentsize != sizeof(Elf64_Phdr))
		return cannot_redact(copying, "it is no 64-bit core");
	LH_TRY(read_segment_count(copying, &count));
	if (!lh_mul_u64(count, sizeof(Elf64_Phdr), &bytes) || bytes > copying->file_bytes)
		return cannot_redact(copying, "its program headers lead out of the file");
	LH_TRY(lh_vec_reserve(&copying->segments, count));
	LH_TRY(read_at(copying, header->e_phoff, copying->segments.items, bytes));
	copying->segments.count = count;
	LH_TRY(lh_fd_pwrite_all(copying->out_fd, "the redacted core", header, sizeof(*header), 0));
	return lh_fd_pwrite_all(copying->out_fd, "the redacted core", copying->segments.items, bytes, header->e_phoff);
}

/* ---------------------------------------------------------------- memory */

/* Of a program's or library's file, and not written to: it holds nothing of the process. */
static bool is_module_code(const struct copying *copying, const Elf64_Phdr *segment, uint64_t addr)
{
	return !(segment->p_flags & PF_W) && lh_module_list_find(lh_image_modules(copying->redactor.image), addr);
}

/* The bytes of [offset, end) that are no hole of the file: holes stay, since they say which pages were not there. */
static struct lh_range next_data(const struct copying *copying, uint64_t offset, uint64_t end)
{
	off_t start = lseek(copying->in_fd, (off_t)offset, SEEK_DATA);
	if (start < 0 && errno == ENXIO)
		return (struct lh_range){end, end};
	if (start < 0)
		return (struct lh_range){offset, end};
	off_t hole = lseek(copying->in_fd, start, SEEK_HOLE);
	return (struct lh_range){lh_min_u64((uint64_t)start, end), hole < 0 ? end : lh_min_u64((uint64_t)hole, end)};
}

static struct lh_error *redact_piece(struct copying *copying, const Elf64_Phdr *segment, struct lh_range piece)
{
	struct lh_redaction *counts = &copying->redactor.counts;
	uint64_t addr = segment->p_vaddr + (piece.start - segment->p_offset);
	size_t length = piece.end - piece.start;
	LH_TRY(read_at(copying, piece.start, copying->piece.items, length));
	counts->memory_bytes += length;
	if (is_module_code(copying, segment, addr))
		counts->module_bytes += length;
	else
		LH_TRY(lh_redact_memory(&copying->redactor, addr, copying->piece.items, length));
	return lh_fd_pwrite_all(copying->out_fd, "the redacted core", copying->piece.items, length, piece.start);
}

static struct lh_error *redact_segment(struct copying *copying, const Elf64_Phdr *segment)
{
	uint64_t end = lh_min_u64(segment->p_offset + segment->p_filesz, copying->file_bytes);
	if (segment->p_vaddr % 8 || segment->p_offset % 8)
		return cannot_redact(copying, "a segment does not begin at a word's address");
	for (uint64_t at = segment->p_offset; at < end;) {
		struct lh_range data = next_data(copying, at, end);
		for (at = data.start; at < data.end;) {
			struct lh_range piece = {at, lh_min_u64(data.end, at + PIECE_BYTES)};
			LH_TRY(redact_piece(copying, segment, piece));
			at = piece.end;
		}
	}
	return NULL;
}

/* Behind all else, where there is room for one more: the mark by which a redacted core is known. */
static struct lh_error *move_notes(struct copying *copying, Elf64_Phdr *segment)
{
	size_t index = (size_t)(segment - copying->segments.items);
	uint8_t mark[LH_REDACT_MARK_BYTES];
	lh_redact_make_mark(&copying->redactor, mark);
	while (copying->piece.count % 4)
		LH_TRY(lh_vec_push(&copying->piece, (uint8_t)0));
	for (size_t i = 0; i < sizeof(mark); i++)
		LH_TRY(lh_vec_push(&copying->piece, mark[i]));
	segment->p_offset = lh_align_up(copying->file_bytes, 8);
	segment->p_filesz = copying->piece.count;
	copying->redactor.counts.is_marked = true;
	LH_TRY(lh_fd_pwrite_all(copying->out_fd, "the redacted core", copying->piece.items, copying->piece.count,
				segment->p_offset));
	return lh_fd_pwrite_all(copying->out_fd, "the redacted core", segment, sizeof(*segment),
				copying->header.e_phoff + index * sizeof(*segment));
}

static struct lh_error *redact_note_segment(struct copying *copying, Elf64_Phdr *segment)
{
	if (segment->p_offset > copying->file_bytes || segment->p_filesz > copying->file_bytes - segment->p_offset)
		return cannot_redact(copying, "its notes lead out of the file");
	LH_TRY(lh_vec_reserve(&copying->piece, segment->p_filesz));
	LH_TRY(read_at(copying, segment->p_offset, copying->piece.items, segment->p_filesz));
	copying->piece.count = segment->p_filesz;
	LH_TRY(lh_redact_notes(&copying->redactor, copying->piece.items, segment->p_filesz));
	if (copying->redactor.counts.is_marked)
		return lh_fd_pwrite_all(copying->out_fd, "the redacted core", copying->piece.items, segment->p_filesz,
					segment->p_offset);
	return move_notes(copying, segment);
}

static struct lh_error *redact_segments(struct copying *copying)
{
	LH_TRY(lh_vec_reserve(&copying->piece, PIECE_BYTES));
	for (size_t i = 0; i < copying->segments.count; i++) {
		Elf64_Phdr *segment = &copying->segments.items[i];
		uint64_t end;
		if (!lh_add_u64(segment->p_offset, segment->p_filesz, &end))
			return cannot_redact(copying, "a segment leads out of the file");
		if (segment->p_type == PT_LOAD)
			LH_TRY(redact_segment(copying, segment));
		else if (segment->p_type == PT_NOTE)
			LH_TRY(redact_note_segment(copying, segment));
	}
	return NULL;
}

/* ---------------------------------------------------------------- the same heap */

static bool are_same_blocks(const struct lh_heap *before, const struct lh_heap *after)
{
	size_t count = lh_heap_chunk_count(before), before_arenas, after_arenas;
	const struct lh_heap_arena *x = lh_heap_arenas(before, &before_arenas);
	const struct lh_heap_arena *y = lh_heap_arenas(after, &after_arenas);
	if (count != lh_heap_chunk_count(after) || before_arenas != after_arenas)
		return false;
	for (size_t i = 0; i < before_arenas; i++) {
		if (x[i].addr != y[i].addr || x[i].mapped_bytes != y[i].mapped_bytes ||
		    x[i].returnable_bytes != y[i].returnable_bytes)
			return false;
	}
	for (size_t i = 0; i < count; i++) {
		struct lh_heap_chunk a = lh_heap_chunk_at(before, i), b = lh_heap_chunk_at(after, i);
		if (a.addr != b.addr || a.size_bytes != b.size_bytes || a.state != b.state)
			return false;
	}
	return true;
}

static struct lh_error *compare_heaps(const struct copying *copying, struct lh_redaction *ret)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
	LH_TRY(lh_image_open_descriptor(copying->out_fd, "the redacted core", &image));
	LH_TRY(lh_heap_walk(image, &heap));
	ret->blocks_before = lh_heap_chunk_count(copying->redactor.heap);
	ret->blocks_after = lh_heap_chunk_count(heap);
	ret->used_bytes_before = lh_heap_total(copying->redactor.heap, NULL).bytes[LH_CHUNK_USED];
	ret->used_bytes_after = lh_heap_total(heap, NULL).bytes[LH_CHUNK_USED];
	ret->is_same_heap = are_same_blocks(copying->redactor.heap, heap);
	return NULL;
}

static void cleanup_copying(struct copying *copying)
{
	lh_redactor_deinit(&copying->redactor);
	lh_vec_deinit(&copying->segments);
	lh_vec_deinit(&copying->piece);
	lh_cleanup_close(&copying->in_fd);
}

static struct lh_error *open_input(struct copying *copying)
{
	struct stat status;
	copying->in_fd = open(copying->path, O_RDONLY | O_CLOEXEC);
	if (copying->in_fd < 0 || fstat(copying->in_fd, &status))
		return lh_error_from_errno(errno, "cannot read %s", copying->path);
	copying->file_bytes = (uint64_t)status.st_size;
	if (ftruncate(copying->out_fd, status.st_size))
		return lh_error_from_errno(errno, "cannot write the redacted core");
	return NULL;
}

struct lh_error *lh_redact_core(const char *path, const uint8_t key[LH_REDACT_KEY_BYTES], struct lh_outfile *out,
				struct lh_redaction *ret)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
	struct copying copying LH_CLEANUP(cleanup_copying) = {.path = path, .in_fd = -1, .out_fd = lh_outfile_fd(out)};
	memcpy(copying.redactor.key, key, LH_REDACT_KEY_BYTES);
	LH_TRY(open_input(&copying));
	LH_TRY(copy_headers(&copying));
	LH_TRY(lh_image_open_file(path, NULL, &image));
	LH_TRY(lh_heap_walk_structures(image, &heap));
	LH_TRY(lh_redactor_init(&copying.redactor, image, heap));
	LH_TRY(redact_segments(&copying));
	LH_TRY(compare_heaps(&copying, &copying.redactor.counts));
	*ret = copying.redactor.counts;
	return NULL;
}
