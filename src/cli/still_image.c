/*
 * still_image: dumps a process into the temporary folder, opens the dump, and removes its name. Input: an operand.
 * Output: an image. Whatever happens, nothing stays on disk.
 */
#include "still_image.h"

#include "command.h"
#include "confinement.h"
#include "leakhunt/confine.h"
#include "leakhunt/heap.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define MAX_PAUSE_NS (10 * LH_NS_PER_MS)
#define OTHER_FOLDER "name a folder with room for its heap: TMPDIR=/path leakhunt ..."

/* A name that nobody else has: the copy bears it for an instant, between its end and its being opened. */
static struct lh_error *choose_name(char *ret, size_t ret_bytes)
{
	const char *folder = lh_settings()->temporary_folder;
	uint64_t number;
	if (access(folder, W_OK | X_OK) < 0)
		return lh_error_hint(lh_error_from_errno(errno, "cannot write the copy of the process to %s", folder),
				     OTHER_FOLDER);
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return lh_error_from_errno(errno, "no random numbers");
	snprintf(ret, ret_bytes, "%s/leakhunt-%016" PRIx64, folder, number);
	return NULL;
}

static bool show_copying(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	lh_progress_bytes(context, "copying", done_bytes, total_bytes);
	return !lh_interrupt_requested();
}

static void show_warning(void *context, const char *text)
{
	(void)context;
	lh_warn("%s", text);
}

/* Private memory, and shared memory that may point into it. */
static struct lh_error *choose_copied(const struct lh_process *process, struct lh_want_list *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_want want;
	LH_TRY(lh_want_parse("private", &want));
	LH_TRY(lh_vec_push(&ret->items, want));
	LH_TRY(lh_regions_read(process, LH_REGIONS_MAPS, &list));
	return lh_want_list_add_shared(&list, ret);
}

static struct lh_error *copy_process(const struct lh_process *process, enum lh_dump_mode mode, const char *path,
				     struct lh_receipt *ret)
{
	struct lh_progress_line line;
	struct lh_want_list wants LH_CLEANUP(lh_want_list_deinit) = {0};
	LH_TRY(choose_copied(process, &wants));
	lh_interrupt_install();
	lh_interrupt_grace(1);
	signal(SIGXFSZ, SIG_IGN);
	lh_progress_begin(&line);
	struct lh_dump_options options = {
		.mode = mode,
		.format = LH_DUMP_CORE,
		.path = path,
		.wants = wants.items.items,
		.want_count = wants.items.count,
		.find_owners = lh_heap_find_owners,
		.max_pause_ns = MAX_PAUSE_NS,
		.on_slow = LH_DUMP_SLOW_BOUNDED,
		.progress = show_copying,
		.is_interrupted = lh_interrupt_requested,
		.notice = show_warning,
		.progress_context = &line,
	};
	struct lh_error *error = lh_dump(process, &options, ret);
	lh_interrupt_grace(0);
	lh_progress_end(&line);
	return error;
}

/* Opens a copy of the process, which has no name any more. */
static struct lh_error *open_copy(const struct lh_process *process, enum lh_dump_mode mode, struct lh_image **ret,
				  struct lh_receipt *ret_receipt)
{
	char path[PATH_MAX];
	LH_TRY(choose_name(path, sizeof(path)));
	struct lh_error *error = copy_process(process, mode, path, ret_receipt);
	if (error && lh_error_code(error) == LH_ERROR_NO_SPACE)
		return lh_error_hint(error, OTHER_FOLDER);
	LH_TRY(error);
	ret_receipt->path = "";
	error = lh_image_open_file(path, NULL, ret);
	unlink(path);
	return error;
}

/* Afterwards only files of modules are opened. */
static struct lh_error *confine_to_symbols(void)
{
	struct lh_confinement confinement LH_CLEANUP(lh_confinement_deinit) = {0};
	LH_TRY(lh_confinement_add_symbols(&confinement, ""));
	lh_confinement_apply(&confinement);
	lh_confine_settle();
	return NULL;
}

void lh_warn_of_redaction(const struct lh_image *before, const struct lh_image *after)
{
	uint64_t key = lh_image_redaction_key(before), other = lh_image_redaction_key(after);
	if (key != other)
		lh_warn("%s: equal texts and values of the two differ; redact both with the same --key",
			key && other ? "the two cores were redacted with different keys"
				     : "only one of the two cores was redacted");
}

static struct lh_error *open_saved_images(const char *const *paths, size_t count, struct lh_image **ret)
{
	struct lh_confinement confinement LH_CLEANUP(lh_confinement_deinit) = {0};
	for (size_t i = 0; i < count; i++)
		LH_TRY(lh_confinement_add_image(&confinement, paths[i]));
	LH_TRY(lh_confinement_add_symbols(&confinement, ""));
	lh_confinement_apply(&confinement);
	for (size_t i = 0; i < count; i++)
		LH_TRY(lh_image_open_file(paths[i], NULL, &ret[i]));
	if (count == 2)
		lh_warn_of_redaction(ret[0], ret[1]);
	lh_confine_settle();
	return NULL;
}

/* Says meanwhile how long it takes. */
static struct lh_error *wait_between_copies(uint64_t wait_ns)
{
	struct lh_progress_line line;
	uint64_t end_ns = lh_clock_monotonic_ns() + wait_ns;
	lh_progress_begin(&line);
	for (uint64_t now_ns = lh_clock_monotonic_ns(); now_ns < end_ns && !lh_interrupt_requested();
	     now_ns = lh_clock_monotonic_ns()) {
		char left[LH_FORMAT_MAX];
		lh_progress_text(&line, "second copy in %s", lh_format_duration(end_ns - now_ns, left));
		poll(NULL, 0, (int)lh_min_u64((end_ns - now_ns) / LH_NS_PER_MS + 1, 1000));
	}
	lh_progress_end(&line);
	return lh_interrupt_requested() ? lh_error_create(LH_ERROR_INTERRUPTED, "interrupted before the second copy")
					: NULL;
}

/* `between_ns`: from one copy of the process to the next. */
static struct lh_error *copy_moments(const char *operand, enum lh_dump_mode mode, size_t count, uint64_t between_ns,
				     struct lh_image **ret, struct lh_receipt *ret_receipts)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	LH_TRY(lh_operand_process(operand, &process));
	for (size_t i = 0; i < count; i++) {
		if (i)
			LH_TRY(wait_between_copies(between_ns));
		LH_TRY(open_copy(process, mode, &ret[i], &ret_receipts[i]));
	}
	return confine_to_symbols();
}

struct lh_error *lh_snapshot_open(const char *operand, enum lh_dump_mode mode, struct lh_image **ret,
				  struct lh_receipt *ret_receipt)
{
	pid_t pid;
	if (lh_operand_is_pid(operand, &pid))
		return copy_moments(operand, mode, 1, 0, ret, ret_receipt);
	return open_saved_images(&operand, 1, ret);
}

static struct lh_error *check_moments(const char *option, size_t count, bool has_pid, bool is_again)
{
	if (is_again && !has_pid)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--%s needs a process", option),
				     "name two dumps, without it, to compare them");
	if (count > 1 && has_pid)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "two moments must be two dumps"),
				     "for a process use --%s 5m", option);
	return NULL;
}

struct lh_error *lh_moments_open(const struct lh_arguments *arguments, const char *option, enum lh_dump_mode mode,
				 struct lh_image *ret[2], struct lh_receipt ret_receipts[2])
{
	uint64_t between_ns = 0;
	size_t count = lh_arguments_operand_count(arguments);
	const char *operands[] = {lh_arguments_operand(arguments, 0), lh_arguments_operand(arguments, count - 1)};
	pid_t pid;
	bool is_again = lh_arguments_has(arguments, option);
	bool has_pid = lh_operand_is_pid(operands[0], &pid) || lh_operand_is_pid(operands[1], &pid);
	LH_TRY(lh_arguments_duration(arguments, option, &between_ns));
	LH_TRY(check_moments(option, count, has_pid, is_again));
	size_t moments = is_again ? 2 : count, first = 2 - moments;
	if (has_pid)
		return copy_moments(operands[0], mode, moments, between_ns, ret + first, ret_receipts + first);
	return open_saved_images(operands + first, moments, ret + first);
}
