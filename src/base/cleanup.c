/*
 * cleanup: guards for LH_CLEANUP that end what libc and the kernel hand out. Each takes a pointer to the
 * guarded variable, and accepts one that holds nothing.
 */
#include "leakhunt/base.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void lh_cleanup_free(void *pointer_to_pointer)
{
	void *pointer;
	memcpy(&pointer, pointer_to_pointer, sizeof(pointer));
	free(pointer);
}

void lh_cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

void lh_cleanup_dir(DIR **folder)
{
	if (*folder)
		closedir(*folder);
}

void lh_cleanup_stream(FILE **stream)
{
	if (*stream)
		fclose(*stream);
}
