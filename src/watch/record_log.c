/*
 * record_log: a record that is written for days. Input: samples, one by one. Output: a file that is a valid record at
 * every moment: one write appends a line, and a rename replaces the file by a thinned one. Never loses old samples
 * before the new file is complete.
 */
#include "record_log.h"
#include "leakhunt/watch.h"

#include "lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct lh_record_log {
	char *path;
	const struct lh_process *process;
	uint64_t max_bytes;
	uint64_t bytes;
	int fd;
	struct lh_record_writer *writer;
};

void lh_record_log_close(struct lh_record_log *log)
{
	if (!log)
		return;
	if (log->fd >= 0)
		close(log->fd);
	lh_record_writer_destroy(log->writer);
	free(log->path);
	free(log);
}

static void cleanup_log(struct lh_record_log **log)
{
	lh_record_log_close(*log);
}

static struct lh_error *encode_header(const struct lh_process *process, struct lh_buffer *ret)
{
	struct lh_process_identity identity = lh_process_identity(process);
	return lh_record_encode_header(&identity, lh_process_command(process), ret);
}

/* A new header, then a whole sample: nothing after it depends on a line that may be torn. */
static struct lh_error *begin_log(struct lh_record_log *log)
{
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_record_writer_destroy(log->writer);
	log->writer = NULL;
	LH_TRY(lh_record_writer_create(&log->writer));
	LH_TRY(encode_header(log->process, &line));
	LH_TRY(lh_fd_write_all(log->fd, log->path, line.data, line.length));
	log->bytes += line.length;
	return NULL;
}

/* ---------------------------------------------------------------- what is there already */

static struct lh_error *refuse_log(const struct lh_record_log *log, const char *why)
{
	return lh_error_hint(lh_error_create(LH_ERROR_EXISTS, "%s exists, and is %s", log->path, why),
			     "give another name with --save");
}

/* The first line must be the same header, except for members that may differ. */
static struct lh_error *check_header(const struct lh_record_log *log, const char *line)
{
	struct lh_buffer own LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!lh_record_detect(line, strlen(line)))
		return refuse_log(log, "not a record of samples");
	LH_TRY(encode_header(log->process, &own));
	return strcmp(line, own.data) == 0 ? NULL : refuse_log(log, "a record of another process");
}

static struct lh_error *check_file(const struct lh_record_log *log)
{
	char line[1024];
	LH_CLEANUP(lh_cleanup_stream) FILE *stream = fopen(log->path, "re");
	if (!stream)
		return lh_error_from_errno(errno, "cannot read %s", log->path);
	return fgets(line, sizeof(line), stream) ? check_header(log, line) : NULL;
}

/* Back to the end of the last whole line. */
static struct lh_error *cut_torn_line(struct lh_record_log *log)
{
	char last;
	while (log->bytes && pread(log->fd, &last, 1, (off_t)log->bytes - 1) == 1 && last != '\n')
		log->bytes--;
	if (ftruncate(log->fd, (off_t)log->bytes) < 0)
		return lh_error_from_errno(errno, "cannot cut %s", log->path);
	return NULL;
}

static struct lh_error *open_log_file(struct lh_record_log *log)
{
	struct stat status;
	log->fd = open(log->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (log->fd < 0 || fstat(log->fd, &status) < 0)
		return lh_error_from_errno(errno, "cannot open %s", log->path);
	if (!S_ISREG(status.st_mode))
		return refuse_log(log, "not a file");
	if (flock(log->fd, LOCK_EX | LOCK_NB) < 0)
		return refuse_log(log, "being written by another leakhunt");
	log->bytes = (uint64_t)status.st_size;
	LH_TRY(check_file(log));
	LH_TRY(cut_torn_line(log));
	return begin_log(log);
}

struct lh_error *lh_record_log_open(const char *path, const struct lh_process *process, uint64_t max_bytes,
				    struct lh_record_log **ret)
{
	LH_CLEANUP(cleanup_log) struct lh_record_log *log = calloc(1, sizeof(*log));
	if (!log)
		return lh_error_no_memory();
	log->fd = -1;
	log->process = process;
	log->max_bytes = max_bytes;
	log->path = strdup(path);
	if (!log->path)
		return lh_error_no_memory();
	LH_TRY(open_log_file(log));
	*ret = log;
	log = NULL;
	return NULL;
}

/* ---------------------------------------------------------------- thinning */

struct thinning {
	struct lh_lines lines; /* of the record as it was */
	struct lh_record_reader *reader;
	struct lh_record_writer *writer;
	struct lh_outfile *file;
	uint64_t count;
	uint64_t bytes;
};

static void thinning_deinit(struct thinning *thinning)
{
	lh_lines_close(&thinning->lines);
	lh_record_reader_destroy(thinning->reader);
	lh_record_writer_destroy(thinning->writer);
	lh_outfile_destroy(thinning->file);
}

static struct lh_error *write_log_line(struct thinning *thinning, const struct lh_buffer *line)
{
	thinning->bytes += line->length;
	return lh_fd_write_all(lh_outfile_fd(thinning->file), lh_outfile_path(thinning->file), line->data,
			       line->length);
}

static struct lh_error *keep_every_second(struct thinning *thinning, const struct lh_sample *sample)
{
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!sample || thinning->count++ % 2)
		return NULL;
	LH_TRY(lh_record_encode_sample(thinning->writer, sample, &line));
	return write_log_line(thinning, &line);
}

static struct lh_error *copy_lines(struct thinning *thinning)
{
	for (bool is_end = false;;) {
		const struct lh_sample *sample;
		LH_TRY(lh_lines_next(&thinning->lines, &is_end));
		if (is_end)
			return NULL;
		LH_TRY(lh_record_reader_take(thinning->reader, thinning->lines.text, thinning->lines.length, &sample));
		LH_TRY(keep_every_second(thinning, sample));
	}
}

/* The last sample is the newest. Dropping every second one may drop it. */
static struct lh_error *thin_out(struct lh_record_log *log)
{
	struct thinning thinning LH_CLEANUP(thinning_deinit) = {0};
	struct lh_buffer header LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_lines_open(log->path, &thinning.lines));
	LH_TRY(lh_record_reader_create(log->path, &thinning.reader));
	LH_TRY(lh_record_writer_create(&thinning.writer));
	LH_TRY(lh_outfile_create(log->path, true, &thinning.file));
	LH_TRY(encode_header(log->process, &header));
	LH_TRY(write_log_line(&thinning, &header));
	LH_TRY(copy_lines(&thinning));
	LH_TRY(lh_outfile_commit(thinning.file));
	int fd = open(log->path, O_RDWR | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return lh_error_from_errno(errno, "cannot open %s", log->path);
	close(log->fd);
	log->fd = fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return lh_error_from_errno(errno, "cannot lock %s", log->path);
	log->bytes = thinning.bytes;
	return begin_log(log);
}

/* Removes a line that could not be written whole. */
static struct lh_error *append_log_line(struct lh_record_log *log, const struct lh_buffer *line)
{
	struct lh_error *error = lh_fd_write_all(log->fd, log->path, line->data, line->length);
	if (error && ftruncate(log->fd, (off_t)log->bytes) < 0)
		return error;
	LH_TRY(error);
	log->bytes += line->length;
	return NULL;
}

/* Thins out until the sample fits, or nothing more can be dropped. */
static struct lh_error *make_log_room(struct lh_record_log *log, const struct lh_sample *sample, struct lh_buffer *line)
{
	for (uint64_t before = UINT64_MAX; log->bytes + line->length > log->max_bytes;) {
		if (log->bytes >= before)
			return lh_error_hint(
				lh_error_create(LH_ERROR_USAGE, "%s would exceed %llu bytes: one sample takes %zu",
						log->path, (unsigned long long)log->max_bytes, line->length),
				"allow more with --save-max");
		before = log->bytes;
		LH_TRY(thin_out(log));
		/* What the line says rests on those before it. */
		line->length = 0;
		LH_TRY(lh_record_encode_sample(log->writer, sample, line));
	}
	return NULL;
}

struct lh_error *lh_record_log_append(struct lh_record_log *log, const struct lh_sample *sample)
{
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_record_encode_sample(log->writer, sample, &line));
	LH_TRY(make_log_room(log, sample, &line));
	return append_log_line(log, &line);
}
