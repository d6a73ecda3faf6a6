/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open-cold-path FILE: opens the path that stands in FILE (NUL-terminated) right from a fresh mapping of it.
 * No page of the mapping is resident when openat(2) begins, so a tracer that reads the path there gets a
 * fault.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct stat status;
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;

	if (fd < 0 || fstat(fd, &status) < 0 || status.st_size == 0) {
		fprintf(stderr, "usage: open-cold-path FILE\n");
		return 2;
	}
	char *path = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (path == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	madvise(path, status.st_size, MADV_RANDOM);
	madvise(path, status.st_size, MADV_DONTNEED);
	syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NOFOLLOW, 0);
	printf("{\"pid\":%d}\n", getpid());
	return 0;
}
