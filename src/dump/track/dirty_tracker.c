/*
 * dirty_tracker: chooses a way of knowing which pages the target writes. Input: what the options allow. Output: a
 * tracker that works, or why none does. Collects the reasons against the others, for the receipt.
 */
#include "dirty_tracker.h"

#include "dump/core/process_facts.h"
#include "leakhunt/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Best first, as enum lh_dump_tracker from LH_TRACKER_UFFD on. */
static const struct lh_dirty_kind *const kinds[] = {&lh_dirty_uffd, &lh_dirty_soft};

static void __attribute__((format(printf, 2, 3))) add_reason(char reasons[LH_MODE_REASON_MAX], const char *format, ...)
{
	size_t used = strlen(reasons);
	used += (size_t)snprintf(reasons + used, LH_MODE_REASON_MAX - used, "%s", used ? "; " : "");
	va_list arguments;
	va_start(arguments, format);
	if (used < LH_MODE_REASON_MAX)
		vsnprintf(reasons + used, LH_MODE_REASON_MAX - used, format, arguments);
	va_end(arguments);
}

struct lh_error *lh_dirty_start_kind(const struct lh_dirty_kind *kind, const struct lh_dirty_target *target,
				     struct lh_dirty_tracker **ret)
{
	struct lh_dirty_tracker *tracker = calloc(1, kind->tracker_bytes);
	if (!tracker)
		return lh_error_no_memory();
	*tracker = (struct lh_dirty_tracker){kind, target->process, target->cost, 0};
	struct lh_error *error = kind->start(tracker, target);
	if (error)
		lh_dirty_stop(tracker);
	else
		*ret = tracker;
	return error;
}

/* What is written through pins stays protected, and unseen (io_uring(7), IORING_REGISTER_BUFFERS; Linux 6.18). */
struct lh_error *lh_dirty_refuse_pinned(const struct lh_process *process)
{
	char bytes[LH_FORMAT_MAX];
	uint64_t pinned_bytes = lh_process_pinned_bytes(process);
	if (!pinned_bytes)
		return NULL;
	return lh_error_create(LH_ERROR_UNSUPPORTED,
			       "%s of its memory are registered with io_uring or a device, which write it untracked",
			       lh_format_bytes(pinned_bytes, bytes));
}

static struct lh_error *try_kind(const struct lh_dirty_kind *kind, const struct lh_dirty_target *target,
				 const struct lh_dump_options *options, struct lh_dirty_tracker **ret)
{
	if (kind->injects && options->no_inject)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "--no-inject forbids it");
	if (!ret)
		return kind->check(target);
	return lh_dirty_start_kind(kind, target, ret);
}

/* `ret` NULL: only asks. */
static struct lh_error *choose_tracker(const struct lh_dirty_target *target, const struct lh_dump_options *options,
				       char ret_reason[LH_MODE_REASON_MAX], struct lh_dirty_tracker **ret)
{
	char reasons[LH_MODE_REASON_MAX] = "";
	LH_TRY(lh_dirty_refuse_pinned(target->process));
	for (size_t i = 0; i < LH_ARRAY_COUNT(kinds); i++) {
		if (options->tracker != LH_TRACKER_AUTO && i != options->tracker - LH_TRACKER_UFFD)
			continue;
		struct lh_error *error = try_kind(kinds[i], target, options, ret);
		if (!error) {
			if (reasons[0])
				add_reason(reasons, "tracked by %s", kinds[i]->name);
			memcpy(ret_reason, reasons, sizeof(reasons));
			return NULL;
		}
		if (lh_error_code(error) != LH_ERROR_UNSUPPORTED)
			return error;
		add_reason(reasons, "%s: %s", kinds[i]->name, lh_error_message(error));
		lh_error_destroy(error);
	}
	return lh_error_create(LH_ERROR_UNSUPPORTED, "%s", reasons);
}

struct lh_error *lh_dirty_start(const struct lh_dirty_target *target, const struct lh_dump_options *options,
				char ret_reason[LH_MODE_REASON_MAX], struct lh_dirty_tracker **ret)
{
	return choose_tracker(target, options, ret_reason, ret);
}

struct lh_error *lh_dirty_check(const struct lh_dirty_target *target, const struct lh_dump_options *options,
				char ret_reason[LH_MODE_REASON_MAX])
{
	return choose_tracker(target, options, ret_reason, NULL);
}

void lh_dirty_stop(struct lh_dirty_tracker *tracker)
{
	if (!tracker)
		return;
	tracker->kind->stop(tracker);
	free(tracker);
}
