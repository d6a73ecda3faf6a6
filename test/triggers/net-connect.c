/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-connect DELAY_MS CASE...: waits, then makes libc's connect, accept and accept4 calls of each case, and
 * prints each call that it made as a line of JSON:
 *
 *   {"pid":..,"tid":..,"call":"connect","family":2,"fd":3,"addr":"127.0.0.1","port":80,"result":0,"errno":0}
 *
 *   connect-4 connect-6 connect-mapped   to a listener on loopback
 *   refused-4 refused-6                  to a port that nobody listens on
 *   nonblocking                          EINPROGRESS, and the same again once it is done
 *   timeout sndtimeo                     to a listener whose backlog is full: ETIMEDOUT, and EINPROGRESS
 *   unix                                 another family
 *   bad-pointer                          an address that can't be read: EFAULT
 *   accept-4 accept-6 accept4-4          with room for the peer's address
 *   accept-null accept4-null             without
 *   accept-again                         nobody is there: EAGAIN
 *   storm-THREADS-CALLS                  each thread connects by turns to its own listener and to a closed
 * port
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
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

static struct sockaddr *generic(struct address *address)
{
	return (struct sockaddr *)&address->storage;
}

static struct address ip(const char *text, unsigned short port)
{
	struct address address = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address.storage;

	if (strchr(text, ':')) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		check(inet_pton(AF_INET6, text, &in6->sin6_addr) == 1, "inet_pton");
		address.bytes = sizeof(*in6);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		check(inet_pton(AF_INET, text, &in->sin_addr) == 1, "inet_pton");
		address.bytes = sizeof(*in);
	}
	return address;
}

static unsigned short port_of(const struct address *address)
{
	/* sin_port and sin6_port stand at the same offset. */
	return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

static void report(const char *call, int fd, struct address *remote, int result, int error)
{
	char text[INET6_ADDRSTRLEN] = "";
	int family = remote->storage.ss_family;

	if (family == AF_INET)
		inet_ntop(family, &((struct sockaddr_in *)&remote->storage)->sin_addr, text, sizeof(text));
	else if (family == AF_INET6)
		inet_ntop(family, &((struct sockaddr_in6 *)&remote->storage)->sin6_addr, text, sizeof(text));
	printf("{\"pid\":%d,\"tid\":%ld,\"call\":\"%s\",\"family\":%d,\"fd\":%d,\"addr\":\"%s\",\"port\":%d,"
	       "\"result\":%d,\"errno\":%d}\n",
	       getpid(), syscall(SYS_gettid), call, family, fd, text, port_of(remote), result, error);
}

static int try_connect(int fd, struct address to)
{
	errno = 0;
	int result = connect(fd, generic(&to), to.bytes);
	int error = result < 0 ? errno : 0;

	report("connect", fd, &to, result, error);
	return result;
}

static int listener(struct address *address, int backlog)
{
	int fd = socket(address->storage.ss_family, SOCK_STREAM, 0);

	check(fd >= 0 && bind(fd, generic(address), address->bytes) == 0, "bind");
	check(getsockname(fd, generic(address), &address->bytes) == 0, "getsockname");
	check(backlog < 0 || listen(fd, backlog) == 0, "listen");
	return fd;
}

/* A port that nobody listens on, held so that nobody else gets it. */
static struct address closed_port(const char *text)
{
	struct address address = ip(text, 0);

	listener(&address, -1);
	return address;
}

static void connect_to(const char *server, const char *as)
{
	struct address address = ip(server, 0);
	int listening = listener(&address, 8);
	struct address to = ip(as, port_of(&address));
	int fd = socket(to.storage.ss_family, SOCK_STREAM, 0);

	try_connect(fd, to);
	close(fd);
	close(listening);
}

static void refused(const char *server)
{
	struct address to = closed_port(server);
	int fd = socket(to.storage.ss_family, SOCK_STREAM, 0);

	try_connect(fd, to);
	close(fd);
}

static void nonblocking(void)
{
	struct address to = ip("127.0.0.1", 0);
	int listening = listener(&to, 8);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd writable = {.fd = fd, .events = POLLOUT};

	try_connect(fd, to);
	poll(&writable, 1, 1000);
	try_connect(fd, to);
	close(fd);
	close(listening);
}

/* The kernel drops the SYNs to a listener whose backlog is full, so that nobody answers. */
static void unanswered(int by_user_timeout)
{
	struct address to = ip("127.0.0.1", 0);
	int listening = listener(&to, 0), held[2], fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval timeout = {.tv_usec = 100000};
	unsigned int user_timeout_ms = 300;

	for (int i = 0; i < 2; i++) {
		/* By the system call itself, which is no libc call. */
		held[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		syscall(SYS_connect, held[i], generic(&to), to.bytes);
	}
	usleep(50000);
	if (by_user_timeout)
		check(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
				 sizeof(user_timeout_ms)) == 0,
		      "TCP_USER_TIMEOUT");
	else
		check(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0, "SO_SNDTIMEO");
	try_connect(fd, to);
	close(fd);
	close(held[0]);
	close(held[1]);
	close(listening);
}

static void unix_socket(void)
{
	struct address to = {.bytes = sizeof(struct sockaddr_un)};
	struct sockaddr_un *un = (struct sockaddr_un *)&to.storage;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, "/nonexistent/socket");
	try_connect(fd, to);
	close(fd);
}

static void bad_pointer(void)
{
	struct address none = {0};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	/* Hidden from the compiler, which would warn. */
	struct sockaddr *volatile nowhere = (struct sockaddr *)8;
	int result = connect(fd, nowhere, sizeof(struct sockaddr_in));

	report("connect", fd, &none, result, result < 0 ? errno : 0);
	close(fd);
}

static void accept_one(const char *server, int with_flags, int with_address)
{
	struct address at = ip(server, 0), peer = {.bytes = sizeof(peer.storage)}, real = peer;
	int listening = listener(&at, 8), client = socket(at.storage.ss_family, SOCK_STREAM, 0);
	struct sockaddr *filled = with_address ? generic(&peer) : NULL;
	socklen_t *bytes = with_address ? &peer.bytes : NULL;

	check(syscall(SYS_connect, client, generic(&at), at.bytes) == 0, "connect");
	int fd = with_flags ? accept4(listening, filled, bytes, SOCK_CLOEXEC)
			    : accept(listening, filled, bytes);
	int error = fd < 0 ? errno : 0;

	check(getsockname(client, generic(&real), &real.bytes) == 0, "getsockname");
	report(with_flags ? "accept4" : "accept", fd, &real, fd, error);
	close(fd);
	close(client);
	close(listening);
}

static void accept_again(void)
{
	struct address at = ip("127.0.0.1", 0), none = {0};
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	check(bind(listening, generic(&at), at.bytes) == 0 && listen(listening, 1) == 0, "listen");
	int fd = accept(listening, NULL, NULL);

	report("accept", listening, &none, fd, fd < 0 ? errno : 0);
	close(listening);
}

static int storm_calls;

static void *storm_thread(void *unused)
{
	(void)unused;
	struct address open = ip("127.0.0.1", 0);
	int listening = listener(&open, storm_calls + 1);
	struct address closed = closed_port("127.0.0.1");

	for (int i = 0; i < storm_calls; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		try_connect(fd, i % 2 ? closed : open);
		close(fd);
	}
	close(listening);
	return NULL;
}

static void storm(const char *numbers)
{
	pthread_t threads[1024];
	int count = 0;

	check(sscanf(numbers, "%d-%d", &count, &storm_calls) == 2 && count <= 1024, "storm-THREADS-CALLS");
	for (int i = 0; i < count; i++)
		check(pthread_create(&threads[i], NULL, storm_thread, NULL) == 0, "pthread_create");
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static int run_connect(const char *name)
{
	if (strcmp(name, "connect-4") == 0)
		connect_to("127.0.0.1", "127.0.0.1");
	else if (strcmp(name, "connect-6") == 0)
		connect_to("::1", "::1");
	else if (strcmp(name, "connect-mapped") == 0)
		connect_to("127.0.0.1", "::ffff:127.0.0.1");
	else if (strcmp(name, "refused-4") == 0)
		refused("127.0.0.1");
	else if (strcmp(name, "refused-6") == 0)
		refused("::1");
	else if (strcmp(name, "nonblocking") == 0)
		nonblocking();
	else if (strcmp(name, "timeout") == 0)
		unanswered(1);
	else if (strcmp(name, "sndtimeo") == 0)
		unanswered(0);
	else if (strcmp(name, "unix") == 0)
		unix_socket();
	else if (strcmp(name, "bad-pointer") == 0)
		bad_pointer();
	else if (strncmp(name, "storm-", 6) == 0)
		storm(name + 6);
	else
		return 0;
	return 1;
}

static int run_accept(const char *name)
{
	if (strcmp(name, "accept-4") == 0)
		accept_one("127.0.0.1", 0, 1);
	else if (strcmp(name, "accept-6") == 0)
		accept_one("::1", 0, 1);
	else if (strcmp(name, "accept4-4") == 0)
		accept_one("127.0.0.1", 1, 1);
	else if (strcmp(name, "accept-null") == 0)
		accept_one("127.0.0.1", 0, 0);
	else if (strcmp(name, "accept4-null") == 0)
		accept_one("127.0.0.1", 1, 0);
	else if (strcmp(name, "accept-again") == 0)
		accept_again();
	else
		return 0;
	return 1;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: net-connect DELAY_MS CASE...\n");
		return 2;
	}
	usleep((useconds_t)atoi(argv[1]) * 1000);
	for (int i = 2; i < argc; i++) {
		if (run_connect(argv[i]) || run_accept(argv[i]))
			continue;
		fprintf(stderr, "no such case: %s\n", argv[i]);
		return 2;
	}
	return 0;
}
