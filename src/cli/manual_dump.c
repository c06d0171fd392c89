/*
 * manual_dump: sections of leakhunt-dump(1).
 */
#include "manual.h"

#include <stddef.h>

const struct lh_manual_section lh_manual_dump[] = {
	{"MODES", "* snapshot\n"
		  "The default. Copies memory while the target runs, and copies again the pages that the target wrote "
		  "meanwhile. Stops all threads only for the last of them. All bytes are of one instant. The pause is "
		  "a few milliseconds and hardly depends on the size of the memory.\n\n"
		  "* child\n"
		  "Stops the target while it forks, 10 to 30 ms per GiB, and copies the child, which never runs. All "
		  "bytes are of one instant.\n\n"
		  "* stop\n"
		  "Stops the target while memory is copied. All bytes are of one instant.\n\n"
		  "* live\n"
		  "Never stops the target. Pages may be of different moments.\n\n"
		  "If a mode is impossible, leakhunt uses the next one, and the receipt says why. leakhunt estimates "
		  "the pause before it stops anything, and warns if the estimate exceeds --max-pause. --on-slow "
		  "decides what happens then: child, stop, live or fail. If a stop finds more to copy than estimated, "
		  "leakhunt releases the threads at once and goes on copying. After five such stops --on-slow "
		  "decides. The receipt counts them (stops_given_up)."},
	{"TRACKING WRITES",
	 "* uffd\n"
	 "Asynchronous write protection: userfaultfd and PAGEMAP_SCAN, Linux 6.7. One thread of the target runs two "
	 "system "
	 "calls for leakhunt and continues exactly as before. --no-inject forbids it.\n\n"
	 "* soft-dirty\n"
	 "Soft-dirty bits of the page tables. Nothing runs in the target. Each look at the bits takes about 5 ms per "
	 "GiB, "
	 "also in the pause. Clearing soft-dirty bits affects every other tool that uses them (CRIU), and vice versa. "
	 "leakhunt fails if somebody else clears the bits during a dump."},
	{"THE CHILD",
	 "In mode child each page that the target writes during the copy exists twice. leakhunt refuses mode child "
	 "if that could exceed the memory of the cgroup or the machine, pids.max, or the commit limit of "
	 "vm.overcommit_memory=2; if the target has private hugetlbfs memory or a userfaultfd of its own; and if "
	 "children would be in another PID namespace.\n\n"
	 "Memory that a child does not inherit (MADV_DONTFORK, MADV_WIPEONFORK) and shared memory are copied while "
	 "the target is stopped, up to 32 MiB. Beyond that, memory that is not inherited is listed as missing "
	 "(not-inherited), and shared memory is copied later, while the target runs; the receipt says so."},
	{"HARM",
	 "Threads are stopped with PTRACE_SEIZE and PTRACE_INTERRUPT, never with a signal. System calls that a "
	 "ptrace stop interrupts with a spurious EINTR are started again: epoll_wait with the time that is left, a "
	 "few others (sigtimedwait, semtimedop, io_getevents, sockets with SO_RCVTIMEO) with their full timeout. A "
	 "call that has moved a part of its data (a write of megabytes to a pipe, MSG_WAITALL) returns that part, "
	 "as it does when gdb or a signal interrupts it. If leakhunt is killed, the kernel releases the threads. No "
	 "signal is lost. If another leakhunt copies the same process, a dump waits for it, up to a minute.\n\n"
	 "Only resident pages are read. Swapped pages stay swapped and are listed as missing. With --swapped they "
	 "are read last, which brings them back into the target's memory. leakhunt refuses --swapped if the cgroup "
	 "or the machine has no room for them.\n\n"
	 "Before leakhunt touches the target, it checks free disk space, and that its own cgroup has room for 64 "
	 "MiB of buffers. After the first 256 MiB it writes with O_DIRECT if the file system supports it, so that "
	 "a dump does not displace the page cache."},
	{"FILES", "A dump is an ELF core. gdb, lldb, eu-readelf, eu-stack and GNU strings open it. Memory lies in "
		  "PT_LOAD segments at its true addresses. Absent pages take no disk space. It carries the kernel's "
		  "notes (NT_PRSTATUS, NT_FPREGSET, NT_X86_XSTATE of each thread, NT_PRPSINFO, NT_AUXV, NT_FILE), and "
		  "notes of the vendor `leakhunt`, each a JSON text. Their types:\n\n"
		  "* 1 capture\n"
		  "format, pid, command, time, the request, the receipt\n\n"
		  "* 2 regions\n"
		  "each extent: addresses, kind, permissions, name, thread, whether it is context\n\n"
		  "* 3 modules\n"
		  "each ELF file mapped: addresses, bias, path, build-id\n\n"
		  "* 4 gaps\n"
		  "lost bytes, and why\n\n"
		  "* 5 threads\n"
		  "names, in the order of the NT_PRSTATUS notes\n\n"
		  "Context is memory that later analysis needs beside the requested regions: writable data of all "
		  "modules, stacks in use, ELF headers, the dynamic linker's list. --bare omits it. --format raw "
		  "writes plain bytes, and FILE.json with the same information and the offset of each extent.\n\n"
		  "--compress writes zstd: independent frames of 1 MiB and a seek table (the Zstandard Seekable "
		  "Format). `zstd -d` restores the core. leakhunt reads the compressed file directly. Compression "
		  "happens after the pause.\n\n"
		  "A dump has no name until it is complete. Where the file system has no O_TMPFILE (NFS), a killed "
		  "leakhunt may leave a hidden .NAME.PID.tmp."},
	{"READING A DUMP IN GDB", "  gdb /proc/PID/exe dump.bin\n"
				  "  (gdb) thread apply all bt\n"
				  "  (gdb) x/8gx 0x556a4a550a20"},
	{NULL, NULL},
};
