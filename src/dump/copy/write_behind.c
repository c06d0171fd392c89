/*
 * write_behind: a ring of buffers between the copying thread and a writing thread. The ring bounds memory: when it is
 * full, the copy waits for the disk. A large dump bypasses the page cache, for two reasons: it would evict pages of
 * services, and writing takes several times as long once the kernel throttles dirty pages (vm.dirty_ratio; ext4 on a
 * virtual disk: 270 against 1,900 MB/s).
 */
#include "write_behind.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SLOT_COUNT = 4 };
#define SLOT_BYTES (LH_WRITE_BEHIND_BYTES / SLOT_COUNT)
#define ROOM_MIN   ((size_t)4096)

/* The first bytes of a dump, and scattered pages, go through the page cache. */
#define CACHED_BYTES_MAX (256 * LH_MIB)
#define DIRECT_BYTES_MIN (64 * LH_KIB)

struct write_piece {
	enum lh_write_file file;
	uint64_t file_offset;
	size_t at; /* in the slot */
	size_t bytes;
};

struct write_slot {
	size_t used_bytes;
	size_t piece_count;
	struct write_piece pieces[SLOT_BYTES / ROOM_MIN];
};

struct write_file {
	int fd;
	int direct_fd; /* past the page cache; -1: can't be had, or not yet asked for */
};

struct lh_write_behind {
	struct write_file files[LH_WRITE_FILE_COUNT];
	uint64_t cached_bytes; /* written through the page cache so far */
	const char *what;
	uint8_t *memory; /* LH_WRITE_BEHIND_BYTES */
	struct write_slot *slots;
	pthread_t thread;
	bool is_running;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* Under the mutex. Slot i belongs to the writer while written <= i < handed (counted, modulo SLOT_COUNT). */
	uint64_t handed;
	uint64_t written;
	bool is_finished;
	bool is_dropped;
	bool has_failed;
	struct lh_error *error; /* until it is taken */
};

static uint8_t *slot_memory(const struct lh_write_behind *writer, uint64_t number)
{
	return writer->memory + number % SLOT_COUNT * SLOT_BYTES;
}

static struct write_slot *slot_of(const struct lh_write_behind *writer, uint64_t number)
{
	return &writer->slots[number % SLOT_COUNT];
}

static bool is_direct(const struct lh_write_behind *writer, const struct write_piece *piece)
{
	return writer->files[piece->file].direct_fd >= 0 && writer->cached_bytes + piece->bytes > CACHED_BYTES_MAX &&
	       piece->bytes >= DIRECT_BYTES_MIN;
}

/*
 * Writes through the page cache what O_DIRECT refuses, since the file system's block exceeds a page. A failing disk is
 * an error: the page cache would accept the bytes and lose them later.
 */
static struct lh_error *write_piece(struct lh_write_behind *writer, const struct write_piece *piece,
				    const uint8_t *bytes)
{
	struct write_file *file = &writer->files[piece->file];
	if (is_direct(writer, piece)) {
		bool is_refused;
		LH_TRY(lh_fd_pwrite_direct(file->direct_fd, writer->what, bytes, piece->bytes, piece->file_offset,
					   &is_refused));
		if (!is_refused)
			return NULL;
		lh_cleanup_close(&file->direct_fd);
		file->direct_fd = -1;
	}
	writer->cached_bytes += piece->bytes;
	return lh_fd_pwrite_all(file->fd, writer->what, bytes, piece->bytes, piece->file_offset);
}

static struct lh_error *write_slot(struct lh_write_behind *writer, uint64_t number)
{
	const struct write_slot *slot = slot_of(writer, number);
	const uint8_t *memory = slot_memory(writer, number);
	for (size_t i = 0; i < slot->piece_count; i++)
		LH_TRY(write_piece(writer, &slot->pieces[i], memory + slot->pieces[i].at));
	return NULL;
}

static void *write_slots(void *context)
{
	struct lh_write_behind *writer = context;
	pthread_mutex_lock(&writer->mutex);
	while (!writer->has_failed && !writer->is_dropped) {
		if (writer->written == writer->handed) {
			if (writer->is_finished)
				break;
			pthread_cond_wait(&writer->changed, &writer->mutex);
			continue;
		}
		uint64_t number = writer->written;
		pthread_mutex_unlock(&writer->mutex);
		struct lh_error *error = write_slot(writer, number);
		pthread_mutex_lock(&writer->mutex);
		writer->error = error;
		writer->has_failed = error;
		writer->written++;
		pthread_cond_broadcast(&writer->changed);
	}
	pthread_mutex_unlock(&writer->mutex);
	return NULL;
}

/* Touched now, so that leakhunt has no page faults during the pause. */
static struct lh_error *allocate_write_behind(struct lh_write_behind *writer)
{
	writer->slots = calloc(SLOT_COUNT, sizeof(*writer->slots));
	writer->memory = mmap(NULL, LH_WRITE_BEHIND_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (writer->memory == MAP_FAILED)
		writer->memory = NULL;
	return writer->slots && writer->memory ? NULL : lh_error_no_memory();
}

struct lh_error *lh_write_behind_create(const int fds[LH_WRITE_FILE_COUNT], const char *what,
					struct lh_write_behind **ret)
{
	LH_CLEANUP(lh_cleanup_write_behind) struct lh_write_behind *writer = calloc(1, sizeof(*writer));
	if (!writer)
		return lh_error_no_memory();
	for (size_t i = 0; i < LH_WRITE_FILE_COUNT; i++)
		writer->files[i] = (struct write_file){fds[i], fds[i] < 0 ? -1 : lh_fd_open_direct(fds[i])};
	writer->what = what;
	pthread_mutex_init(&writer->mutex, NULL);
	pthread_cond_init(&writer->changed, NULL);
	LH_TRY(allocate_write_behind(writer));
	int status = pthread_create(&writer->thread, NULL, write_slots, writer);
	if (status)
		return lh_error_from_errno(status, "cannot start a thread to write %s", what);
	writer->is_running = true;
	*ret = writer;
	writer = NULL;
	return NULL;
}

static void hand_over(struct lh_write_behind *writer)
{
	pthread_mutex_lock(&writer->mutex);
	writer->handed++;
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->mutex);
}

/* With the mutex held, or after the thread has ended. */
static struct lh_error *take_error(struct lh_write_behind *writer)
{
	struct lh_error *error = writer->error;
	writer->error = NULL;
	if (error || !writer->has_failed)
		return error;
	return lh_error_create(LH_ERROR_SYSTEM, "cannot write %s", writer->what);
}

/* Waits until at most `most` slots are unwritten. */
static struct lh_error *wait_for_slots(struct lh_write_behind *writer, uint64_t most)
{
	pthread_mutex_lock(&writer->mutex);
	while (!writer->has_failed && writer->handed - writer->written > most)
		pthread_cond_wait(&writer->changed, &writer->mutex);
	struct lh_error *error = take_error(writer);
	pthread_mutex_unlock(&writer->mutex);
	return error;
}

struct lh_error *lh_write_behind_check(struct lh_write_behind *writer)
{
	return wait_for_slots(writer, SLOT_COUNT);
}

static void empty_slot(struct lh_write_behind *writer)
{
	struct write_slot *slot = slot_of(writer, writer->handed);
	slot->used_bytes = slot->piece_count = 0;
}

/* Pieces are whole pages, so that a slot runs out of bytes before it runs out of pieces. */
struct lh_error *lh_write_behind_room(struct lh_write_behind *writer, uint8_t **ret, size_t *ret_bytes)
{
	struct write_slot *slot = slot_of(writer, writer->handed);
	if (SLOT_BYTES - slot->used_bytes < ROOM_MIN) {
		hand_over(writer);
		LH_TRY(wait_for_slots(writer, SLOT_COUNT - 1));
		empty_slot(writer);
		slot = slot_of(writer, writer->handed);
	}
	*ret = slot_memory(writer, writer->handed) + slot->used_bytes;
	*ret_bytes = SLOT_BYTES - slot->used_bytes;
	return NULL;
}

void lh_write_behind_put(struct lh_write_behind *writer, enum lh_write_file file, uint64_t file_offset, size_t bytes)
{
	struct write_slot *slot = slot_of(writer, writer->handed);
	struct write_piece *last = slot->piece_count ? &slot->pieces[slot->piece_count - 1] : NULL;
	if (last && last->file == file && last->file_offset + last->bytes == file_offset)
		last->bytes += bytes;
	else
		slot->pieces[slot->piece_count++] = (struct write_piece){file, file_offset, slot->used_bytes, bytes};
	slot->used_bytes += bytes;
}

static void end_thread(struct lh_write_behind *writer, bool drop)
{
	if (!writer->is_running)
		return;
	pthread_mutex_lock(&writer->mutex);
	writer->is_finished = true;
	writer->is_dropped = drop;
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->mutex);
	pthread_join(writer->thread, NULL);
	writer->is_running = false;
}

struct lh_error *lh_write_behind_drain(struct lh_write_behind *writer)
{
	if (slot_of(writer, writer->handed)->piece_count)
		hand_over(writer);
	LH_TRY(wait_for_slots(writer, 0));
	empty_slot(writer);
	return NULL;
}

struct lh_error *lh_write_behind_finish(struct lh_write_behind *writer)
{
	if (slot_of(writer, writer->handed)->piece_count)
		hand_over(writer);
	end_thread(writer, false);
	return take_error(writer);
}

void lh_write_behind_destroy(struct lh_write_behind *writer)
{
	if (!writer)
		return;
	end_thread(writer, true);
	if (writer->memory)
		munmap(writer->memory, LH_WRITE_BEHIND_BYTES);
	for (size_t i = 0; i < LH_WRITE_FILE_COUNT; i++)
		lh_cleanup_close(&writer->files[i].direct_fd);
	pthread_mutex_destroy(&writer->mutex);
	pthread_cond_destroy(&writer->changed);
	lh_error_destroy(writer->error);
	free(writer->slots);
	free(writer);
}

void lh_cleanup_write_behind(struct lh_write_behind **writer)
{
	lh_write_behind_destroy(*writer);
}
