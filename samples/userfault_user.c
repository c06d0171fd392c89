/*
 * userfault_user: registers a part of old, written memory with a userfaultfd of its own, and unregisters it, again and
 * again, as CRIU, QEMU and some garbage collectors do. Registering fails with EBUSY under another userfaultfd
 * (ioctl_userfaultfd(2)).
 */
#include "self_check.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#define MEMORY_BYTES ((size_t)8 << 20)

static void register_again(struct checker *checker)
{
	unsigned char *memory = checker_map(MEMORY_BYTES);
	memset(memory, 7, MEMORY_BYTES);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = {.api = UFFD_API};
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		checker_die("userfaultfd");
	for (;;) {
		struct uffdio_register request = {
			.range = {.start = (uintptr_t)memory + MEMORY_BYTES / 4, .len = MEMORY_BYTES / 2},
			.mode = UFFDIO_REGISTER_MODE_MISSING,
		};
		checker_call("UFFDIO_REGISTER", ioctl(fd, UFFDIO_REGISTER, &request));
		checker_call("UFFDIO_UNREGISTER", ioctl(fd, UFFDIO_UNREGISTER, &request.range));
		checker_holds(memory + MEMORY_BYTES / 2, 4096, 7);
		checker_sleep_us(300);
		checker_round(checker);
	}
}

int main(void)
{
	checker_begin();
	checker_start(register_again, NULL, NULL);
	checker_serve("userfault_user");
}
