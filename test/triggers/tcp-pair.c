/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-pair FAMILY CLOSER: a server process and a client process exchange a byte each way over loopback.
 *   FAMILY  4 | 6 | mapped (an IPv6 client of an IPv4-mapped address, an IPv6 server that takes both)
 *   CLOSER  client | server: who closes first
 * Prints {"server_pid":..,"client_pid":..,"server_port":..,"client_port":..} as JSON.
 *
 * tcp-pair prefork-FAMILY CLOSER: the server process listens, a child of its own accepts and closes; the
 * child's pid is printed as "worker_pid".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct address {
	struct sockaddr_storage storage;
	socklen_t bytes;
};

static void check(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	_exit(1);
}

static struct address loopback(const char *family, int is_server, unsigned short port)
{
	struct address address = {0};

	if (strcmp(family, "4") == 0) {
		struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address.bytes = sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address.storage;
		const char *mapped = is_server ? "::" : "::ffff:127.0.0.1";

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		inet_pton(AF_INET6, strcmp(family, "mapped") == 0 ? mapped : "::1", &in6->sin6_addr);
		address.bytes = sizeof(*in6);
	}
	return address;
}

static unsigned short local_port(int fd)
{
	struct address address = {.bytes = sizeof(address.storage)};

	check(getsockname(fd, (struct sockaddr *)&address.storage, &address.bytes) == 0, "getsockname");
	/* sin_port and sin6_port stand at the same offset. */
	return ntohs(((struct sockaddr_in *)&address.storage)->sin_port);
}

/* Sends and receives a byte; the one that closes first is told apart by order alone: the other waits for EOF.
 */
static void exchange(int fd, int closes_first)
{
	char byte = 'x';

	check(write(fd, &byte, 1) == 1, "write");
	check(read(fd, &byte, 1) == 1, "read");
	if (!closes_first)
		check(read(fd, &byte, 1) == 0, "read of the end");
	close(fd);
}

static int serve_one(int listener, int closes_first)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	check(fd >= 0, "accept4");
	exchange(fd, closes_first);
	return 0;
}

int main(int argc, char **argv)
{
	int ready[2], prefork, off = 0, ports[2], worker = 0;
	const char *family;

	if (argc != 3) {
		fprintf(stderr, "usage: tcp-pair [prefork-]4|6|mapped client|server\n");
		return 2;
	}
	prefork = strncmp(argv[1], "prefork-", 8) == 0;
	family = argv[1] + (prefork ? 8 : 0);
	int client_closes = strcmp(argv[2], "client") == 0;

	check(pipe(ready) == 0, "pipe");
	int server = fork();

	check(server >= 0, "fork");
	if (server == 0) {
		struct address address = loopback(family, 1, 0);
		int listener = socket(address.storage.ss_family, SOCK_STREAM, 0);

		if (address.storage.ss_family == AF_INET6)
			setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		check(bind(listener, (struct sockaddr *)&address.storage, address.bytes) == 0, "bind");
		check(listen(listener, 4) == 0, "listen");
		ports[0] = local_port(listener);
		ports[1] = prefork ? fork() : 0;
		if (prefork && ports[1] == 0)
			return serve_one(listener, !client_closes);
		check(write(ready[1], ports, sizeof(ports)) == sizeof(ports), "write");
		if (!prefork)
			return serve_one(listener, !client_closes);
		waitpid(ports[1], NULL, 0);
		return 0;
	}
	check(read(ready[0], ports, sizeof(ports)) == sizeof(ports), "read");
	worker = ports[1];

	struct address address = loopback(family, 0, ports[0]);
	int fd = socket(address.storage.ss_family, SOCK_STREAM, 0);

	check(connect(fd, (struct sockaddr *)&address.storage, address.bytes) == 0, "connect");
	int client_port = local_port(fd);

	exchange(fd, client_closes);
	waitpid(server, NULL, 0);
	printf("{\"server_pid\":%d,\"client_pid\":%d,\"worker_pid\":%d,\"server_port\":%d,\"client_port\":%d}"
	       "\n",
	       server, getpid(), worker, ports[0], client_port);
	return 0;
}
