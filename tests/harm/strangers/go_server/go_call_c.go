//go:build cgo

package main

/*
#include <errno.h>
#include <string.h>
#include <time.h>
static int sleep_in_c(void)
{
	char local[2048];
	memset(local, 0x77, sizeof(local));
	struct timespec nap = {0, 200000};
	if (nanosleep(&nap, NULL) && errno != EINTR) // the runtime's own SIGURG interrupts it
		return errno;
	for (unsigned i = 0; i < sizeof(local); i++)
		if (local[i] != 0x77)
			return EILSEQ;
	return 0;
}
*/
import "C"
import "syscall"

func callC() error {
	if number := C.sleep_in_c(); number != 0 {
		return syscall.Errno(number)
	}
	return nil
}
