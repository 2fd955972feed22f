// SPDX-License-Identifier: GPL-2.0
/*
 * State Threads beside Burrow: threads of one process on guarded stacks of its
 * default size, waiting for I/O in epoll. It has no channels and no select.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <st.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve.h"

#define MEMBERS 1000

/* Guards are mappings, and the kernel has so many of them. */
#define MOST_ALIVE 30000

/* What the threads of the work at hand share. */
static long left, count, turns;
static st_mutex_t lock;

/* Starts threads of the same kind; returns how many there are. */
static long start(void *(*fn)(void *arg), long n)
{
	if (n > MOST_ALIVE)
		n = MOST_ALIVE;
	for (left = 0; left < n; left++)
		if (!st_thread_create(fn, NULL, 0, 0))
			break;
	return left;
}

static void wait_all(void)
{
	while (left)
		st_usleep(0);
}

static void *end(void *arg)
{
	left--;
	return arg;
}

static long spawn(long n)
{
	n = start(end, n);
	wait_all();
	return n;
}

static void *nothing(void *arg)
{
	return arg;
}

static long join(long n)
{
	long i;

	for (i = 0; i < n; i++)
		st_thread_join(st_thread_create(nothing, NULL, 1, 0), NULL);
	return n;
}

static void *yielder(void *arg)
{
	long i;

	for (i = 0; i < turns; i++)
		st_usleep(0);
	left--;
	return arg;
}

static long yield(long n)
{
	turns = n / 2;
	start(yielder, 2);
	/* Not by yielding: there are two that do. */
	while (left)
		st_usleep(1000);
	return turns * 2;
}

static void *member(void *arg)
{
	long i;

	for (i = 0; i < turns; i++) {
		st_mutex_lock(lock);
		count++;
		st_mutex_unlock(lock);
	}
	left--;
	return arg;
}

static void *member_held(void *arg)
{
	long i;

	for (i = 0; i < turns; i++) {
		st_mutex_lock(lock);
		count++;
		st_usleep(0);
		st_mutex_unlock(lock);
	}
	left--;
	return arg;
}

static long crowd(long n, void *(*fn)(void *arg))
{
	lock = st_mutex_new();
	turns = n / MEMBERS;
	count = 0;
	start(fn, MEMBERS);
	while (left)
		st_usleep(1000);
	st_mutex_destroy(lock);
	return count;
}

static long mutex(long n)
{
	return crowd(n, member);
}

static long mutex_held(long n)
{
	return crowd(n, member_held);
}

static void *sleeper(void *arg)
{
	st_sleep(1);
	left--;
	return arg;
}

static long sleep_all(long n)
{
	n = start(sleeper, n);
	while (left)
		st_usleep(1000);
	return n;
}

static void *serve_client(void *arg)
{
	st_netfd_t fd = arg;
	char buf[4096];
	ssize_t n;

	while ((n = st_read(fd, buf, sizeof(buf), ST_UTIME_NO_TIMEOUT)) > 0)
		if (st_write(fd, buf, n, ST_UTIME_NO_TIMEOUT) != n)
			break;
	st_netfd_close(fd);
	return NULL;
}

static void *listener(void *arg)
{
	st_netfd_t fd;
	int one = 1;

	while ((fd = st_accept(arg, NULL, NULL, ST_UTIME_NO_TIMEOUT))) {
		setsockopt(st_netfd_fileno(fd), IPPROTO_TCP, TCP_NODELAY, &one,
			   sizeof(one));
		if (!st_thread_create(serve_client, fd, 0, 0))
			st_netfd_close(fd);
	}
	return NULL;
}

static int port_of(int fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&a, len) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		return 0;
	return ntohs(a.sin_port);
}

/* Answers at once, then serves until standard input ends. */
static int echo(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int port = port_of(fd);

	if (!port ||
	    !st_thread_create(listener, st_netfd_open_socket(fd), 0, 0))
		return 0;
	printf("%d\n", port);
	fflush(stdout);
	st_netfd_poll(st_netfd_open(STDIN_FILENO), POLLIN, ST_UTIME_NO_TIMEOUT);
	exit(EXIT_SUCCESS);
}

static const struct work works[] = {
	{ "spawn", spawn, NULL },
	{ "join", join, NULL },
	{ "yield", yield, NULL },
	{ "mutex", mutex, NULL },
	{ "mutex-held", mutex_held, NULL },
	{ "sleep", sleep_all, NULL },
	{ NULL, NULL, NULL },
};

int main(void)
{
	st_set_eventsys(ST_EVENTSYS_ALT);
	if (st_init())
		return EXIT_FAILURE;
	return serve(works, echo);
}
