/*
 * ticker: calls the progress callback ten times a second while a copy runs, and turns its "no" into
 * the copy's cancellation. It shares two atomics with the copy, nothing else.
 */
#include "ticker.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define TICK_NS (100 * LH_NS_PER_MS)

struct lh_ticker {
	struct lh_copy *copy;
	lh_progress *progress;
	void *context;
	uint64_t total_bytes;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool is_stopped;
};

static struct timespec next_tick(void)
{
	uint64_t ns = lh_clock_realtime_ns() + TICK_NS;
	return (struct timespec){.tv_sec = (time_t)(ns / LH_NS_PER_S), .tv_nsec = (long)(ns % LH_NS_PER_S)};
}

static void run_ticks(struct lh_ticker *ticker)
{
	uint64_t done_bytes = atomic_load_explicit(&ticker->copy->done_bytes, memory_order_relaxed);
	if (!ticker->progress(ticker->context, lh_min_u64(done_bytes, ticker->total_bytes), ticker->total_bytes))
		atomic_store_explicit(&ticker->copy->is_cancelled, true, memory_order_relaxed);
}

static void *run_ticker(void *context)
{
	struct lh_ticker *ticker = context;
	pthread_mutex_lock(&ticker->mutex);
	while (!ticker->is_stopped) {
		pthread_mutex_unlock(&ticker->mutex);
		run_ticks(ticker);
		pthread_mutex_lock(&ticker->mutex);
		struct timespec when = next_tick();
		if (!ticker->is_stopped)
			pthread_cond_timedwait(&ticker->changed, &ticker->mutex, &when);
	}
	pthread_mutex_unlock(&ticker->mutex);
	return NULL;
}

struct lh_error *lh_ticker_start(struct lh_copy *copy, lh_progress *progress, void *context, uint64_t total_bytes,
				 struct lh_ticker **ret)
{
	*ret = NULL;
	if (!progress)
		return NULL;
	struct lh_ticker *ticker = calloc(1, sizeof(*ticker));
	if (!ticker)
		return lh_error_no_memory();
	*ticker = (struct lh_ticker){copy, progress, context, total_bytes, .is_stopped = false};
	pthread_mutex_init(&ticker->mutex, NULL);
	pthread_cond_init(&ticker->changed, NULL);
	if (pthread_create(&ticker->thread, NULL, run_ticker, ticker)) {
		free(ticker);
		return NULL;
	}
	*ret = ticker;
	return NULL;
}

void lh_ticker_stop(struct lh_ticker *ticker)
{
	if (!ticker)
		return;
	pthread_mutex_lock(&ticker->mutex);
	ticker->is_stopped = true;
	pthread_cond_signal(&ticker->changed);
	pthread_mutex_unlock(&ticker->mutex);
	pthread_join(ticker->thread, NULL);
	pthread_mutex_destroy(&ticker->mutex);
	pthread_cond_destroy(&ticker->changed);
	free(ticker);
}

void lh_cleanup_ticker(struct lh_ticker **ticker)
{
	lh_ticker_stop(*ticker);
}
