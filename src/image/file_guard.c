/*
 * file_guard: access to a mapped page beyond the end of its file is a SIGBUS (mmap(2)). The handler maps a page of
 * zeros in place of a lost page of a guarded mapping, counts it, and lets the access repeat. Any other SIGBUS is
 * handled as before. The handler does only what is safe in one: mmap is a bare system call.
 */
#include "file_guard.h"
#include "view.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { GUARDS_MAX = 16 };

struct guard {
	atomic_uintptr_t start; /* 0: free */
	atomic_uintptr_t end;
	atomic_uint_least64_t lost_bytes;
};

static struct guard guards[GUARDS_MAX];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction old_action;

static struct guard *find_guard(uintptr_t addr)
{
	for (size_t i = 0; i < GUARDS_MAX; i++) {
		if (guards[i].start && guards[i].start <= addr && addr < guards[i].end)
			return &guards[i];
	}
	return NULL;
}

/* The kernel's address, not a pointer to an object: made a pointer only to pass it back. */
static void take_fault(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	struct guard *guard = info->si_code == BUS_ADRERR ? find_guard((uintptr_t)info->si_addr) : NULL;
	void *page = (char *)info->si_addr - (uintptr_t)info->si_addr % LH_PAGE_BYTES;
	if (guard && mmap(page, LH_PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
		guard->lost_bytes += LH_PAGE_BYTES;
	else
		sigaction(signal_number, &old_action, NULL); /* done again, it ends as without us */
}

static bool install_handler(void)
{
	struct sigaction action = {.sa_sigaction = take_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigemptyset(&action.sa_mask);
	struct sigaction current;
	if (sigaction(SIGBUS, NULL, &current) != 0)
		return false;
	return current.sa_sigaction == take_fault || sigaction(SIGBUS, &action, &old_action) == 0;
}

static int claim_guard(uintptr_t start, size_t bytes)
{
	for (int i = 0; i < GUARDS_MAX; i++) {
		if (guards[i].start)
			continue;
		guards[i].lost_bytes = 0;
		guards[i].end = start + bytes;
		guards[i].start = start;
		return i;
	}
	return -1;
}

int lh_file_guard_add(void *mapping, size_t bytes)
{
	pthread_mutex_lock(&mutex);
	int guard = install_handler() ? claim_guard((uintptr_t)mapping, bytes) : -1;
	pthread_mutex_unlock(&mutex);
	return guard;
}

uint64_t lh_file_guard_lost_bytes(int guard)
{
	return guard < 0 ? 0 : guards[guard].lost_bytes;
}

void lh_file_guard_remove(int guard)
{
	if (guard >= 0)
		guards[guard].start = 0;
}
