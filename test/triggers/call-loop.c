/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call-loop DELAY_MS function|connect COUNT: waits, then calls loop_function, or libc's connect with a
 * descriptor that is not open, so many times, and prints the nanoseconds that took.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

__attribute__((noinline, noclone)) int loop_function(int number)
{
#ifdef __x86_64__
	/* It then begins with a push, as most functions do: Linux emulates that, where others are
	 * single-stepped. */
	__asm__ volatile("" : "+r"(number) : : "rbx");
#endif
	return number;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};

	if (argc != 4) {
		fprintf(stderr, "usage: call-loop DELAY_MS function|connect COUNT\n");
		return 2;
	}
	int connects = strcmp(argv[2], "connect") == 0;
	long count = atol(argv[3]);

	usleep((useconds_t)atoi(argv[1]) * 1000);
	long long start = now_ns();

	for (long i = 0; i < count; i++) {
		if (connects)
			connect(-1, (struct sockaddr *)&address, sizeof(address));
		else
			loop_function(i);
	}
	printf("%lld\n", now_ns() - start);
	return 0;
}
