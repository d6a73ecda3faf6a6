/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open-bad-pointer: three opens whose arguments can be read neither before nor after: a NULL path, a path
 * in memory that is not mapped, and an openat2 with a NULL struct open_how. All fail with EFAULT. The path of
 * the last one is resident, so that it's the pointer alone that can't be read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	char *gone = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* Written here and now, and thus in memory, which a literal need not be. */
	volatile char path[] = "open-how-at-null";
	int faults = 0;

	munmap(gone, 4096);
	faults += syscall(SYS_openat, AT_FDCWD, NULL, O_RDONLY, 0) < 0 && errno == EFAULT;
	faults += syscall(SYS_openat, AT_FDCWD, gone, O_RDONLY, 0) < 0 && errno == EFAULT;
	faults += syscall(SYS_openat2, AT_FDCWD, path, NULL, 24) < 0 && errno == EFAULT;
	printf("{\"pid\":%d,\"faults\":%d}\n", getpid(), faults);
	return faults == 3 ? 0 : 1;
}
