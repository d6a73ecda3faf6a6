/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec-argv0 PROGRAM [ARGV0 [ARG...]]: becomes PROGRAM with that argv[0] and those arguments; without ARGV0
 * its argv is empty (Linux 5.18 and later then make it one empty string).
 */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char *environment[] = {NULL};

	if (argc < 2) {
		fprintf(stderr, "usage: exec-argv0 PROGRAM [ARGV0 [ARG...]]\n");
		return 2;
	}
	execve(argv[1], argv + 2, environment);
	perror(argv[1]);
	return 1;
}
