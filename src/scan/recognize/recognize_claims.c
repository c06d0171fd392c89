/*
 * recognize_claims: who keeps which bytes. Sweeps over all claims in address order; at each byte the
 * earliest row that claims it keeps it: sum of owned bytes == bytes of the union of all claims.
 * It holds only what is not settled, and never looks at memory.
 */
#include "recognize.h"

#include <stdlib.h>
#include <string.h>

void lh_claims_init(struct lh_claims *claims, unsigned row_count, uint64_t secrets, lh_claim_done *done, void *context)
{
	*claims = (struct lh_claims){
		.row_count = row_count,
		.secrets = secrets,
		.inside = {0, UINT64_MAX},
		.done = done,
		.context = context,
	};
	for (unsigned row = 0; row < LH_RECOGNIZERS_MAX; row++)
		claims->next_event[row] = UINT64_MAX;
}

struct lh_error *lh_claims_add(struct lh_claims *claims, unsigned row, const struct lh_claim *claim)
{
	LH_TRY(lh_vec_push(&claims->rows[row].claims, *claim));
	if (claims->next_event[row] == UINT64_MAX)
		claims->next_event[row] = claim->start;
	claims->waiting |= (uint64_t)1 << row;
	return NULL;
}

static uint64_t bytes_inside(const struct lh_claims *claims, uint64_t end)
{
	uint64_t low = lh_max_u64(claims->at, claims->inside.start), high = lh_min_u64(end, claims->inside.end);
	return high > low ? high - low : 0;
}

static void mark_secret(struct lh_claims *claims)
{
	for (uint64_t rest = claims->begun; rest; rest &= rest - 1) {
		unsigned row = (unsigned)__builtin_ctzll(rest);
		claims->rows[row].claims.items[claims->rows[row].first].touches_secret = true;
	}
}

/* The bytes from claims->at to `end` go to the first row that has begun. */
static struct lh_error *hand_out_claims(struct lh_claims *claims, uint64_t end)
{
	if (claims->begun && end > claims->at) {
		unsigned owner = (unsigned)__builtin_ctzll(claims->begun);
		struct lh_claim *claim = &claims->rows[owner].claims.items[claims->rows[owner].first];
		claim->owned_bytes += end - claims->at;
		claim->inside_bytes += bytes_inside(claims, end);
		if (claims->secrets & claims->begun)
			mark_secret(claims);
		if (claims->owned)
			LH_TRY(claims->owned(claims->context, owner, claims->at, end));
	}
	claims->at = end;
	return NULL;
}

enum { SPARE_MAX = 64 };

static void spare_example(struct lh_claims *claims, struct lh_example *example)
{
	if (claims->spare.count < claims->spare.capacity)
		claims->spare.items[claims->spare.count++] = example;
	else
		free(example);
}

struct lh_error *lh_claims_example(struct lh_claims *claims, struct lh_example **ret)
{
	LH_TRY(lh_vec_reserve(&claims->spare, SPARE_MAX));
	if (claims->spare.count) {
		*ret = claims->spare.items[--claims->spare.count];
		memset(*ret, 0, sizeof(**ret));
		return NULL;
	}
	*ret = calloc(1, sizeof(**ret));
	return *ret ? NULL : lh_error_no_memory();
}

/* The first claim of a row begins or ends here. */
static void pass_event(struct lh_claims *claims, unsigned row)
{
	struct lh_claim *claim = &claims->rows[row].claims.items[claims->rows[row].first];
	uint64_t bit = (uint64_t)1 << row;
	if (!(claims->begun & bit)) {
		claims->begun |= bit;
		claims->next_event[row] = claim->end;
		return;
	}
	claims->begun &= ~bit;
	claims->done(claims->context, row, claim);
	if (claim->example)
		spare_example(claims, claim->example);
	claims->rows[row].first++;
	bool is_last = claims->rows[row].first == claims->rows[row].claims.count;
	claims->next_event[row] = is_last ? UINT64_MAX : claim[1].start;
	claims->waiting &= is_last ? ~bit : UINT64_MAX;
}

/* The row of the next event; the first one of those that are equal. LH_RECOGNIZERS_MAX: none waits. */
static unsigned next_row(const struct lh_claims *claims)
{
	unsigned next = LH_RECOGNIZERS_MAX;
	uint64_t event = UINT64_MAX;
	for (uint64_t rest = claims->waiting; rest; rest &= rest - 1) {
		unsigned row = (unsigned)__builtin_ctzll(rest);
		if (claims->next_event[row] < event) {
			next = row;
			event = claims->next_event[row];
		}
	}
	return next;
}

static void forget_settled(struct lh_claims *claims)
{
	for (unsigned row = 0; row < claims->row_count; row++) {
		size_t first = claims->rows[row].first;
		if (!first)
			continue;
		size_t left = claims->rows[row].claims.count - first;
		struct lh_claim *items = claims->rows[row].claims.items;
		memmove(items, items + first, left * sizeof(*items));
		claims->rows[row].claims.count = left;
		claims->rows[row].first = 0;
	}
}

struct lh_error *lh_claims_settle(struct lh_claims *claims, uint64_t horizon)
{
	for (;;) {
		unsigned row = next_row(claims);
		uint64_t event = row < LH_RECOGNIZERS_MAX ? claims->next_event[row] : UINT64_MAX;
		if (event == UINT64_MAX || event >= horizon)
			break;
		LH_TRY(hand_out_claims(claims, event));
		pass_event(claims, row);
	}
	forget_settled(claims);
	return NULL;
}

void lh_claims_deinit(struct lh_claims *claims)
{
	for (size_t i = 0; i < claims->spare.count; i++)
		free(claims->spare.items[i]);
	lh_vec_deinit(&claims->spare);
	for (unsigned row = 0; row < claims->row_count; row++) {
		for (size_t i = claims->rows[row].first; i < claims->rows[row].claims.count; i++)
			free(claims->rows[row].claims.items[i].example);
		lh_vec_deinit(&claims->rows[row].claims);
	}
}
