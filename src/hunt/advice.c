/*
 * advice: what to do next. Input: the other answers of a hunt. Output: one sentence, and its source. The best advice is
 * the function that frees what grows; else what the runtime or the allocator offers.
 */
#include "hunt.h"

#include <stdio.h>
#include <string.h>

struct advice {
	const char *word; /* struct lh_cause: word */
	const char *text; /* %d: the PID */
	const char *source;
};

/* What runtimes have for it themselves. */
static const struct advice runtimes[] = {
	{"jvm-heap",
	 "`jcmd %d GC.class_histogram` twice shows the classes that grow; `jcmd PID GC.heap_dump FILE` shows who holds "
	 "them",
	 "jcmd(1)"},
	{"v8-heap",
	 "`kill -USR1 %d` opens node's inspector: compare two heap snapshots; growth outside of them is of buffers or "
	 "addons",
	 "nodejs.org, Diagnostics, Memory"},
	{"go-heap",
	 "compare two profiles of /debug/pprof/heap (net/http/pprof, process %d); /debug/pprof/goroutine shows "
	 "goroutines "
	 "that do not end",
	 "pkg.go.dev/net/http/pprof"},
	{"zend-mm",
	 "memory_get_usage() in the script of process %d; a worker that serves too many requests: "
	 "pm.max_requests",
	 "php.net, FPM configuration"},
	{"python-pools",
	 "tracemalloc compares two snapshots by line, gc.get_referrers() says who holds an object (process %d): look "
	 "for "
	 "caches without a bound",
	 "docs.python.org/library/tracemalloc"},
	{"thread-stacks", "`gdb -p %d -batch -ex 'thread apply all bt'` shows what threads that do not end wait for",
	 "gdb(1)"},
	{"guarded-stacks",
	 "`gdb -p %d -batch -ex 'info threads'`: as many threads as stacks live, the others were never "
	 "joined",
	 "pthread_create(3), NOTES"},
};

static void say_runtime(struct lh_hunt *hunt, const struct advice *advice)
{
	/* No compiler checks a format string from a table: insert the PID by hand. */
	const char *place = strstr(advice->text, "%d");
	snprintf(hunt->advice, sizeof(hunt->advice), "%.*s%d%s", (int)(place - advice->text), advice->text,
		 (int)hunt->pid, place + 2);
	snprintf(hunt->advice_source, sizeof(hunt->advice_source), "%s", advice->source);
}

static void say_counterpart(struct lh_hunt *hunt)
{
	const struct lh_counterpart *row = hunt->counterpart;
	snprintf(hunt->advice, sizeof(hunt->advice), "%s needs %s: look for a path without it%s%s", row->acquire,
		 row->release, *row->advice ? "; " : "", row->advice);
	snprintf(hunt->advice_source, sizeof(hunt->advice_source), "%s", row->source);
}

static void say_freed(struct lh_hunt *hunt)
{
	snprintf(hunt->advice, sizeof(hunt->advice),
		 "not a leak of the program: the allocator keeps what was freed. With glibc, MALLOC_ARENA_MAX=2 and a "
		 "malloc_trim(0) now and then bound it");
	snprintf(hunt->advice_source, sizeof(hunt->advice_source), "mallopt(3), malloc_trim(3)");
}

/* The main row names a class, or only a size. */
static void say_type(struct lh_hunt *hunt)
{
	const struct lh_hunt_row *row = hunt->row_count ? &hunt->rows[0] : NULL;
	if (row && row->kind == LH_HUNT_ROW_OBJECTS)
		snprintf(hunt->advice, sizeof(hunt->advice), "look where %.120s is created, and who should release it",
			 row->name);
	else
		snprintf(hunt->advice, sizeof(hunt->advice),
			 "`leakhunt trace %d` says which call stacks allocate what is never freed", (int)hunt->pid);
	if (!row || row->kind != LH_HUNT_ROW_OBJECTS)
		snprintf(hunt->advice_source, sizeof(hunt->advice_source), "leakhunt-trace(1)");
}

static const struct advice *find_runtime(const struct lh_hunt *hunt)
{
	const char *word = hunt->has_cause ? hunt->cause.word : "";
	bool is_php = hunt->suspect && hunt->suspect->kind == LH_REGION_ZEND;
	if (hunt->why == LH_HUNT_WHY_REFERENCED && !is_php)
		word = "python-pools";
	/* Buffers of node lie in malloc's heap. */
	else if (hunt->facts.has_v8 && hunt->why == LH_HUNT_WHY_IN_USE)
		word = "v8-heap";
	for (size_t i = 0; i < LH_ARRAY_COUNT(runtimes); i++) {
		if (strcmp(runtimes[i].word, word) == 0)
			return &runtimes[i];
	}
	return NULL;
}

void lh_hunt_advise(struct lh_hunt *hunt)
{
	const struct advice *runtime = find_runtime(hunt);
	if (hunt->why == LH_HUNT_WHY_NO_GROWTH)
		snprintf(hunt->advice, sizeof(hunt->advice),
			 "if it grows over hours: `leakhunt watch %d --save week.jsonl`, then `leakhunt hunt --record "
			 "week.jsonl`",
			 (int)hunt->pid);
	else if (hunt->why == LH_HUNT_WHY_FREED)
		say_freed(hunt);
	else if (hunt->counterpart)
		say_counterpart(hunt);
	else if (runtime)
		say_runtime(hunt, runtime);
	else
		say_type(hunt);
}
