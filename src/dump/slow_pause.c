/*
 * slow_pause: the pause that --max-pause and --on-slow allow, and whether a fallback mode stays below it. Stops
 * nothing.
 */
#include "dump_job.h"

uint64_t lh_job_longest_pause_ns(const struct lh_dump_options *options)
{
	uint64_t ns;
	switch (options->on_slow) {
	case LH_DUMP_SLOW_STOP:
		return UINT64_MAX;
	case LH_DUMP_SLOW_FAIL:
		return options->max_pause_ns;
	case LH_DUMP_SLOW_LIVE:
	case LH_DUMP_SLOW_CHILD:
	case LH_DUMP_SLOW_BOUNDED:
		break;
	}
	return lh_mul_u64(options->max_pause_ns, LH_SLOW_FACTOR_MAX, &ns) ? ns : UINT64_MAX;
}

struct lh_error *lh_job_judge_instead(struct dump_job *job, enum lh_dump_mode mode, const char *why,
				      bool *ret_goes_live)
{
	const struct lh_dump_options *options = job->options;
	char expected[LH_FORMAT_MAX], allowed[LH_FORMAT_MAX];
	uint64_t expected_ns = lh_job_expected_pause_ns(job, mode);
	bool is_own_mode = options->mode != LH_DUMP_SNAPSHOT; /* which knows no --max-pause */
	bool is_asked_for = options->on_slow == LH_DUMP_SLOW_CHILD && mode == LH_DUMP_CHILD;
	lh_format_duration(expected_ns, expected);
	lh_format_duration(options->max_pause_ns, allowed);
	*ret_goes_live = !is_own_mode && options->on_slow == LH_DUMP_SLOW_LIVE && expected_ns > options->max_pause_ns;
	if (*ret_goes_live) {
		lh_job_notify(job, "%s; going on in mode live: the pause would be about %s", why, expected);
		return NULL;
	}
	if (!is_own_mode && !is_asked_for && expected_ns > lh_job_longest_pause_ns(options))
		return lh_error_hint(
			lh_error_create(LH_ERROR_UNSUPPORTED,
					"%s; the pause of mode %s would be about %s, and --max-pause is %s", why,
					lh_dump_mode_name(mode), expected, allowed),
			"accept it with --on-slow stop, or choose --mode live or a smaller --region");
	lh_job_notify(job, "%s; mode %s instead: the pause will be about %s", why, lh_dump_mode_name(mode), expected);
	return NULL;
}
