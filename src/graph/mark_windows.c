/*
 * mark_windows: queues of windows, and how members share them. A member with an empty queue waits until another member
 * notices and offers half of its own queue.
 */
#include "mark_windows.h"

#include <stdlib.h>

struct lh_error *lh_mark_windows_init(size_t block_count, bool is_shared, struct lh_mark_windows *ret)
{
	*ret = (struct lh_mark_windows){.count = (block_count >> LH_WINDOW_SHIFT) + 1, .is_shared = is_shared};
	pthread_mutex_init(&ret->mutex, NULL);
	pthread_cond_init(&ret->changed, NULL);
	ret->pending = calloc(ret->count, LH_WINDOW_BLOCKS / 8);
	ret->summary = calloc(ret->count, sizeof(*ret->summary));
	ret->is_queued = calloc(ret->count, sizeof(*ret->is_queued));
	ret->offered = calloc(ret->count, sizeof(*ret->offered));
	bool is_complete = ret->pending && ret->summary && ret->is_queued && ret->offered;
	return is_complete ? NULL : lh_error_no_memory();
}

void lh_mark_windows_deinit(struct lh_mark_windows *windows)
{
	pthread_cond_destroy(&windows->changed);
	pthread_mutex_destroy(&windows->mutex);
	free(windows->pending);
	free(windows->summary);
	free(windows->is_queued);
	free(windows->offered);
}

uint64_t lh_mark_windows_bytes(const struct lh_mark_windows *windows)
{
	return windows->count * (LH_WINDOW_BLOCKS / 8 + sizeof(*windows->summary) + sizeof(*windows->is_queued) +
				 sizeof(*windows->offered));
}

struct lh_error *lh_window_queue_init(struct lh_mark_windows *windows, struct lh_window_queue *ret)
{
	*ret = (struct lh_window_queue){.windows = windows};
	ret->items = calloc(windows->count, sizeof(*ret->items));
	return ret->items ? NULL : lh_error_no_memory();
}

void lh_window_queue_deinit(struct lh_window_queue *queue)
{
	free(queue->items);
}

/* ---------------------------------------------------------------- one window */

static uint32_t pop_window(struct lh_window_queue *queue)
{
	uint32_t window = queue->items[queue->first];
	queue->first = queue->first + 1 < queue->windows->count ? queue->first + 1 : 0;
	queue->count--;
	return window;
}

static uint64_t take_pending_word(const struct lh_mark_windows *windows, uint64_t *word)
{
	uint64_t value = *word;
	if (windows->is_shared)
		return __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST);
	*word = 0;
	return value;
}

size_t lh_window_queue_take(struct lh_window_queue *queue, uint32_t *ret)
{
	struct lh_mark_windows *windows = queue->windows;
	uint32_t window = pop_window(queue);
	size_t count = 0;
	__atomic_store_n(&windows->is_queued[window], 0, __ATOMIC_SEQ_CST);
	for (uint64_t words = take_pending_word(windows, &windows->summary[window]); words; words &= words - 1) {
		size_t word = (size_t)window * (LH_WINDOW_BLOCKS / 64) + (size_t)__builtin_ctzll(words);
		for (uint64_t bits = take_pending_word(windows, &windows->pending[word]); bits; bits &= bits - 1)
			ret[count++] = (uint32_t)(word * 64 + (size_t)__builtin_ctzll(bits));
	}
	return count;
}

/* ---------------------------------------------------------------- sharing */

bool lh_window_queue_join(struct lh_window_queue *queue)
{
	struct lh_mark_windows *windows = queue->windows;
	pthread_mutex_lock(&windows->mutex);
	bool is_open = !windows->is_ended;
	windows->working_count += is_open;
	pthread_mutex_unlock(&windows->mutex);
	return is_open;
}

void lh_window_queue_offer(struct lh_window_queue *queue)
{
	struct lh_mark_windows *windows = queue->windows;
	if (!windows->is_shared || queue->count < 2 || !__atomic_load_n(&windows->hungry_count, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&windows->mutex);
	for (size_t left = queue->count / 2; left > 0; left--)
		windows->offered[windows->offered_count++] = pop_window(queue);
	pthread_cond_broadcast(&windows->changed);
	pthread_mutex_unlock(&windows->mutex);
}

/* Call with the mutex held. */
static void accept_offer(struct lh_window_queue *queue)
{
	struct lh_mark_windows *windows = queue->windows;
	queue->first = 0;
	for (size_t left = (windows->offered_count + 1) / 2; left > 0; left--)
		queue->items[queue->count++] = windows->offered[--windows->offered_count];
	windows->working_count++;
}

bool lh_window_queue_wait(struct lh_window_queue *queue)
{
	struct lh_mark_windows *windows = queue->windows;
	pthread_mutex_lock(&windows->mutex);
	windows->working_count--;
	__atomic_add_fetch(&windows->hungry_count, 1, __ATOMIC_RELAXED);
	while (!windows->offered_count && windows->working_count)
		pthread_cond_wait(&windows->changed, &windows->mutex);
	__atomic_sub_fetch(&windows->hungry_count, 1, __ATOMIC_RELAXED);
	bool has_work = windows->offered_count;
	if (has_work)
		accept_offer(queue);
	else
		windows->is_ended = true;
	pthread_cond_broadcast(&windows->changed);
	pthread_mutex_unlock(&windows->mutex);
	return has_work;
}
