/*
 * hunt_weigh: how certain the answers of a hunt are, and why. Input: the answers. Output: a level and a sentence for
 * each of three questions. Levels are words for people; the sentence has the numbers.
 */
#include "hunt.h"

#include <stdio.h>
#include <string.h>

#define CERTAIN_SHARE  0.9
#define LIKELY_SHARE   0.6
#define POSSIBLE_SHARE 0.25

const char *lh_hunt_question_name(enum lh_hunt_question question)
{
	static const char *const names[] = {"that it grows", "what grows", "why it stays"};
	return question < LH_HUNT_QUESTIONS ? names[question] : "?";
}

const char *lh_hunt_level_name(unsigned level)
{
	static const char *const names[] = {"not known", "a guess", "possible", "likely", "certain"};
	return level <= LH_HUNT_LEVEL_MAX ? names[level] : "?";
}

static unsigned level_of_share(double share)
{
	return share >= CERTAIN_SHARE ? 4 : share >= LIKELY_SHARE ? 3 : share >= POSSIBLE_SHARE ? 2 : 1;
}

static void say_level(struct lh_hunt *hunt, enum lh_hunt_question question, unsigned level, const char *reason)
{
	struct lh_hunt_confidence *confidence = &hunt->confidences[question];
	confidence->level = level;
	snprintf(confidence->reason, sizeof(confidence->reason), "%s", reason);
}

/* ---------------------------------------------------------------- that it grows */

/* Of a chance that it leaks: far from an even one, either way, is sure. */
static unsigned level_of_chance(const struct lh_growth *growth, bool is_firm)
{
	enum { SURE = 95, FAIR = 80 };
	double percent = 100 * growth->probability;
	if (!lh_verdict_may_grow(growth->verdict))
		percent = 100 - percent;
	if (growth->verdict == LH_VERDICT_UNDECIDED)
		return 1;
	unsigned level = percent >= SURE ? 4 : percent >= FAIR ? 3 : 2;
	return growth->verdict == LH_VERDICT_LEAK && !is_firm ? 2 : level;
}

static void weigh_growth(struct lh_hunt *hunt)
{
	if (!hunt->has_selection) {
		say_level(hunt, LH_HUNT_DOES_IT_GROW, 0, "There are no samples.");
		return;
	}
	if (hunt->held != LH_HOLDING_COUNT) {
		const struct lh_holding_growth *held = &hunt->selection.holdings[hunt->held];
		say_level(hunt, LH_HUNT_DOES_IT_GROW, held->verdict == LH_VERDICT_LEAK ? 4 : 2, held->reason);
		return;
	}
	const struct lh_growth *growth = lh_hunt_main_growth(hunt);
	say_level(hunt, LH_HUNT_DOES_IT_GROW, level_of_chance(growth, lh_hunt_is_firm_leak(hunt)), growth->reason);
}

/* ---------------------------------------------------------------- what grows */

static void weigh_content(struct lh_hunt *hunt)
{
	char reason[200];
	if (hunt->why == LH_HUNT_WHY_NOT_RELEASED) {
		say_level(hunt, LH_HUNT_WHAT_GROWS, 4, "The kind of its mappings says so.");
		return;
	}
	if (!hunt->is_comparison || hunt->compared_bytes <= 0) {
		say_level(hunt, LH_HUNT_WHAT_GROWS, hunt->has_cause ? 1 : 0,
			  hunt->is_comparison ? "The dumps do not differ by growth."
					      : "There are no two dumps to compare.");
		return;
	}
	snprintf(reason, sizeof(reason),
		 "Types and texts account for %.0f %% of what grew between the dumps in pages that are not zero.",
		 100 * hunt->explained);
	say_level(hunt, LH_HUNT_WHAT_GROWS, hunt->row_count ? level_of_share(hunt->explained) : 0, reason);
}

/* ---------------------------------------------------------------- why it stays */

static void weigh_reason(struct lh_hunt *hunt)
{
	static const struct {
		unsigned level;
		const char *reason;
	} rows[] = {
		[LH_HUNT_WHY_UNKNOWN] = {0, "There is no evidence."},
		[LH_HUNT_WHY_NO_GROWTH] = {0, "Nothing stays."},
		[LH_HUNT_WHY_NOT_RELEASED] = {4, "The kernel lists what was not given back."},
		[LH_HUNT_WHY_IN_USE] = {3, "The allocator's own structures count it as not freed."},
		[LH_HUNT_WHY_FREED] = {4, "The allocator's own structures count it as free."},
		[LH_HUNT_WHY_REFERENCED] = {3, "Its runtime frees a value with its last reference."},
		[LH_HUNT_WHY_RUNNING] = {4, "The kernel lists the threads whose stacks these are."},
		[LH_HUNT_WHY_COLLECTOR] = {2, "A collector decides. leakhunt did not check whether it is reachable."},
	};
	say_level(hunt, LH_HUNT_WHY_IT_STAYS, rows[hunt->why].level, rows[hunt->why].reason);
}

void lh_hunt_weigh(struct lh_hunt *hunt)
{
	weigh_growth(hunt);
	weigh_content(hunt);
	weigh_reason(hunt);
}
