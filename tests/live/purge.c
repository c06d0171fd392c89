/*
 * purge: preloaded before an allocator, a function that makes it give back what it can: a debugger calls it, which
 * cannot pass text to a program whose allocator is not glibc's.
 */
#include <stddef.h>

int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes) __attribute__((weak));
void MallocExtension_ReleaseFreeMemory(void) __attribute__((weak));
void mi_collect(_Bool force) __attribute__((weak));
void purge_allocator(void);

void purge_allocator(void)
{
	if (mallctl)
		mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
	if (MallocExtension_ReleaseFreeMemory)
		MallocExtension_ReleaseFreeMemory();
	if (mi_collect)
		mi_collect(1);
}
