/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open-loop PATH COUNT: opens PATH that many times with openat(2), closing what it gets, and prints the
 * nanoseconds it took. PATH need not exist.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: open-loop PATH COUNT\n");
		return 2;
	}
	long count = atol(argv[2]);
	long long start = now_ns();

	for (long i = 0; i < count; i++) {
		long fd = syscall(SYS_openat, AT_FDCWD, argv[1], O_RDONLY | O_CLOEXEC, 0);

		if (fd >= 0)
			close(fd);
	}
	printf("%lld\n", now_ns() - start);
	return 0;
}
