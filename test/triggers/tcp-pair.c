/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-pair FAMILY CLOSER [OLDER]: a server process and a client process exchange bytes over loopback.
 *   FAMILY  4 | 6 | mapped (an IPv6 client of an IPv4-mapped address, an IPv6 server that takes both)
 *   CLOSER  client | server: who closes first
 *   OLDER   listener | connection: what is there already when "ready" is printed; the rest happens after
 *           SIGUSR1 to the first process, which is the client
 * Prints {"server_pid":..,"client_pid":..,"server_port":..,"client_port":..} as JSON.
 *
 * tcp-pair prefork-FAMILY CLOSER [OLDER]: the server process listens, a child of its own accepts and closes;
 * the child's pid is printed as "worker_pid".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
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

static void exchange(int fd)
{
	char byte = 'x';

	check(write(fd, &byte, 1) == 1, "write");
	check(read(fd, &byte, 1) == 1, "read");
}

/* The one that closes first is told apart by order alone: the other waits for EOF. */
static void end(int fd, int closes_first)
{
	char byte;

	if (!closes_first)
		check(read(fd, &byte, 1) == 0, "read of the end");
	close(fd);
}

static int serve_one(int listener, int closes_first)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	check(fd >= 0, "accept4");
	exchange(fd);
	exchange(fd);
	end(fd, closes_first);
	return 0;
}

/* Tells through `ready` the port and the pid of the worker that accepts, or 0. */
static int serve(const char *family, int prefork, int closes_first, int ready)
{
	struct address address = loopback(family, 1, 0);
	int listener = socket(address.storage.ss_family, SOCK_STREAM, 0);
	int off = 0, port_and_worker[2];

	if (address.storage.ss_family == AF_INET6)
		setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	check(bind(listener, (struct sockaddr *)&address.storage, address.bytes) == 0, "bind");
	check(listen(listener, 4) == 0, "listen");
	port_and_worker[0] = local_port(listener);
	port_and_worker[1] = prefork ? fork() : 0;
	if (prefork && port_and_worker[1] == 0)
		return serve_one(listener, closes_first);
	check(write(ready, port_and_worker, sizeof(port_and_worker)) == sizeof(port_and_worker), "write");
	if (!prefork)
		return serve_one(listener, closes_first);
	waitpid(port_and_worker[1], NULL, 0);
	return 0;
}

static void wait_for_signal(const sigset_t *signals)
{
	int signal;

	printf("ready\n");
	fflush(stdout);
	sigwait(signals, &signal);
}

/* Returns the client's port. */
static int converse(struct address address, int closes_first, const char *older, const sigset_t *signals)
{
	int fd = socket(address.storage.ss_family, SOCK_STREAM, 0), port;

	if (strcmp(older, "listener") == 0)
		wait_for_signal(signals);
	check(connect(fd, (struct sockaddr *)&address.storage, address.bytes) == 0, "connect");
	port = local_port(fd);
	exchange(fd);
	if (strcmp(older, "connection") == 0)
		wait_for_signal(signals);
	exchange(fd);
	end(fd, closes_first);
	return port;
}

int main(int argc, char **argv)
{
	int ready[2], port_and_worker[2];
	sigset_t signals;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: tcp-pair [prefork-]4|6|mapped client|server [listener|connection]\n");
		return 2;
	}
	int prefork = strncmp(argv[1], "prefork-", 8) == 0;
	const char *family = argv[1] + (prefork ? 8 : 0);
	int client_closes = strcmp(argv[2], "client") == 0;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	check(pipe(ready) == 0, "pipe");
	int server = fork();

	check(server >= 0, "fork");
	if (server == 0)
		return serve(family, prefork, !client_closes, ready[1]);
	check(read(ready[0], port_and_worker, sizeof(port_and_worker)) == sizeof(port_and_worker), "read");
	struct address address = loopback(family, 0, port_and_worker[0]);
	int client_port = converse(address, client_closes, argc == 4 ? argv[3] : "", &signals);

	waitpid(server, NULL, 0);
	printf("{\"server_pid\":%d,\"client_pid\":%d,\"worker_pid\":%d,\"server_port\":%d,\"client_port\":%d}"
	       "\n",
	       server, getpid(), port_and_worker[1], port_and_worker[0], client_port);
	return 0;
}
