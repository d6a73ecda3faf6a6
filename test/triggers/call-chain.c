/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call-chain DELAY_MS COUNT [STAY_MS]: waits, then calls main -> chain_outer -> chain_middle -> chain_inner
 * COUNT times. Compiled with frame pointers. Prints where chain_inner is and the return addresses of the
 * chain, innermost first, as JSON, and stays.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FUNCTION __attribute__((noinline, noclone))

static void *return_addresses[3];

FUNCTION int chain_inner(int number)
{
	return_addresses[0] = __builtin_return_address(0);
	return_addresses[1] = __builtin_return_address(1);
	return_addresses[2] = __builtin_return_address(2);
	return number + 1;
}

FUNCTION int chain_middle(int number)
{
	return chain_inner(number) * 3;
}

FUNCTION int chain_outer(int number)
{
	return chain_middle(number) - 1;
}

int main(int argc, char **argv)
{
	volatile int sum = 0;

	if (argc != 3 && argc != 4)
		return 2;
	usleep((useconds_t)atoi(argv[1]) * 1000);
	for (int i = 0; i < atoi(argv[2]); i++)
		sum += chain_outer(i);
	printf("{\"pid\":%d,\"address\":\"%p\",\"stack\":[\"%p\",\"%p\",\"%p\"]}\n", getpid(),
	       (void *)chain_inner, return_addresses[0], return_addresses[1], return_addresses[2]);
	if (argc == 4)
		usleep((useconds_t)atoi(argv[3]) * 1000);
	return 0;
}
