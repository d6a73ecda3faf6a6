/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open-each DIRECTORY: one open by each system call, with arguments that a test knows:
 *   openat   (fd of DIRECTORY, "by-openat", O_RDWR|O_CREAT|O_CLOEXEC, 0640)
 *   openat2  (fd of DIRECTORY, "by-openat2", {O_WRONLY|O_CREAT, 0604, RESOLVE_BENEATH})
 *   open     ("DIRECTORY/by-open", O_WRONLY|O_CREAT|O_APPEND, 0600)       where the architecture has it
 *   creat    ("DIRECTORY/by-creat", 0444)                                 where the architecture has it
 *   openat   (fd of DIRECTORY, "", O_RDONLY)                              an empty path
 * Prints {"pid":..,"dfd":..} as JSON.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char path[4096];
	struct open_how how = {.flags = O_WRONLY | O_CREAT, .mode = 0604, .resolve = RESOLVE_BENEATH};

	if (argc != 2) {
		fprintf(stderr, "usage: open-each DIRECTORY\n");
		return 2;
	}
	int dfd = open(argv[1], O_DIRECTORY | O_RDONLY);

	if (dfd < 0) {
		perror(argv[1]);
		return 1;
	}
	syscall(SYS_openat, dfd, "by-openat", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	syscall(SYS_openat2, dfd, "by-openat2", &how, sizeof(how));
#ifdef SYS_open
	snprintf(path, sizeof(path), "%s/by-open", argv[1]);
	syscall(SYS_open, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
#endif
#ifdef SYS_creat
	snprintf(path, sizeof(path), "%s/by-creat", argv[1]);
	syscall(SYS_creat, path, 0444);
#endif
	syscall(SYS_openat, dfd, "", O_RDONLY, 0);
	printf("{\"pid\":%d,\"dfd\":%d}\n", getpid(), dfd);
	return 0;
}
