/*
 * mark_windows: reached blocks whose words have not been read yet. They are bits in windows of 4,096 blocks, and
 * windows are in queues: each visit of a window reads its blocks in the order of their addresses. Private to graph.
 */
#ifndef LEAKHUNT_GRAPH_MARK_WINDOWS_H
#define LEAKHUNT_GRAPH_MARK_WINDOWS_H

#include "graph.h"

#include <pthread.h>

enum { LH_WINDOW_SHIFT = 12, LH_WINDOW_BLOCKS = 1 << LH_WINDOW_SHIFT };

struct lh_mark_windows {
	size_t count;
	uint64_t *pending;   /* one bit per block */
	uint64_t *summary;   /* one word per window: one bit per word of `pending` (64 of them) that may not be 0 */
	uint8_t *is_queued;  /* per window: it is in some queue, or offered */
	bool is_shared;      /* several threads mark at the same time */
	size_t hungry_count; /* waiting members; also read without the mutex */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* Protected by the mutex. */
	size_t working_count;
	bool is_ended;
	uint32_t *offered;
	size_t offered_count;
};

/* Windows that one member has found, in the order of finding. */
struct lh_window_queue {
	struct lh_mark_windows *windows;
	uint32_t *items; /* a ring; a window is in at most one queue */
	size_t first, count;
};

struct lh_error *lh_mark_windows_init(size_t block_count, bool is_shared, struct lh_mark_windows *ret) LH_NODISCARD;
void lh_mark_windows_deinit(struct lh_mark_windows *windows);
uint64_t lh_mark_windows_bytes(const struct lh_mark_windows *windows);

struct lh_error *lh_window_queue_init(struct lh_mark_windows *windows, struct lh_window_queue *ret) LH_NODISCARD;
void lh_window_queue_deinit(struct lh_window_queue *queue);

/* A member starts working; false: everything is done already. */
bool lh_window_queue_join(struct lh_window_queue *queue);
/* Gives half of the queue to waiting members. */
void lh_window_queue_offer(struct lh_window_queue *queue);
/* With an empty queue: waits for an offer; false when no member has work left. */
bool lh_window_queue_wait(struct lh_window_queue *queue);
/*
 * Takes the blocks of the next window, ascending, at most LH_WINDOW_BLOCKS; returns how many. The queue must not be
 * empty.
 */
size_t lh_window_queue_take(struct lh_window_queue *queue, uint32_t *ret);

/* lh_bit for bits that other threads change. */
static inline bool lh_window_has(const uint64_t *bits, uint32_t index)
{
	return __atomic_load_n(&bits[index / 64], __ATOMIC_RELAXED) >> index % 64 & 1;
}

/* Clears a bit; true if it was set. Of several threads exactly one gets true. */
static inline bool lh_window_claim(const struct lh_mark_windows *windows, uint64_t *bits, uint32_t index)
{
	uint64_t bit = UINT64_C(1) << index % 64, *word = &bits[index / 64];
	if (!lh_window_has(bits, index))
		return false;
	if (windows->is_shared)
		return __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit;
	*word &= ~bit;
	return true;
}

static inline void lh_window_set(const struct lh_mark_windows *windows, uint64_t *word, uint64_t bit)
{
	if (windows->is_shared)
		__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
	else
		*word |= bit;
}

/*
 * Adds a block whose words have to be read. Bits are set from the inside out (pending, summary, is_queued), and cleared
 * from the outside in by whoever takes a window. So a bit that is set too late for one visit queues the window again.
 */
static inline void lh_window_queue_add(struct lh_window_queue *queue, uint32_t block)
{
	struct lh_mark_windows *windows = queue->windows;
	size_t window = block >> LH_WINDOW_SHIFT;
	uint64_t *summary = &windows->summary[window], bit = UINT64_C(1) << (block >> 6 & 63);
	lh_window_set(windows, &windows->pending[block / 64], UINT64_C(1) << block % 64);
	if (!(__atomic_load_n(summary, __ATOMIC_RELAXED) & bit))
		lh_window_set(windows, summary, bit);
	if (__atomic_load_n(&windows->is_queued[window], __ATOMIC_RELAXED))
		return;
	if (windows->is_shared && __atomic_exchange_n(&windows->is_queued[window], 1, __ATOMIC_SEQ_CST))
		return;
	windows->is_queued[window] = 1;
	size_t last = queue->first + queue->count++;
	queue->items[last < windows->count ? last : last - windows->count] = (uint32_t)window;
}

#endif
