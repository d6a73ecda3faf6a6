/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp-connect SECONDS: connects to a listener of its own, accepts, and fails to connect, again and again,
 * under a seccomp filter that kills the process at any system call that this does not take. Prints
 * {"errors":N}: calls that did not end as they must.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ALLOW(name)                                                                                          \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void lock(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(socket),
		ALLOW(connect),
		ALLOW(accept),
		ALLOW(close),
		ALLOW(clock_gettime),
		ALLOW(write),
		ALLOW(exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("seccomp");
		_exit(1);
	}
}

static int bound(struct sockaddr_in *address)
{
	socklen_t bytes = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)address, bytes) ||
	    getsockname(fd, (struct sockaddr *)address, &bytes)) {
		perror("bind");
		_exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in open = {0}, closed = {0}, peer;
	int listening = bound(&open), errors = 0;
	char line[64];

	if (argc != 2)
		return 2;
	bound(&closed);
	listen(listening, 16);
	time_t end = time(NULL) + atoi(argv[1]);

	lock();
	while (time(NULL) < end) {
		socklen_t bytes = sizeof(peer);
		int one = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);

		errors += connect(one, (struct sockaddr *)&open, sizeof(open)) != 0;
		int accepted = accept(listening, (struct sockaddr *)&peer, &bytes);

		errors += accepted < 0 || peer.sin_addr.s_addr != htonl(INADDR_LOOPBACK);
		errors += connect(other, (struct sockaddr *)&closed, sizeof(closed)) != -1 ||
			  errno != ECONNREFUSED;
		close(accepted);
		close(one);
		close(other);
	}
	int length = snprintf(line, sizeof(line), "{\"errors\":%d}\n", errors);

	return write(STDOUT_FILENO, line, length) != length;
}
