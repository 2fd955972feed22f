// SPDX-License-Identifier: GPL-2.0
/*
 * The load of the io benchmark: a process with many connections to a server, in
 * one loop of epoll. Each connection sends a request, and when the answer is
 * whole the next. A tenth of the requests, at first, do not count.
 *
 * A request to this process is the port, the server's process, the number of
 * connections and that of requests; the answer: requests that count, the
 * server's CPU time for them, the wall time, and of a request's time the median
 * and the 99th of a hundred; all in nanoseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../tool.h"
#include "io.h"

#define EVENTS 256

struct connection {
	int fd;
	int missing; /* bytes of the answer */
	int64_t sent_at;
};

static struct {
	int epoll;
	clockid_t server;
	struct connection *connections;
	long nconnections;
	uint32_t *times;
	long ntimes;
	long done;
	long warm;
	int64_t cpu;
	int64_t wall;
} load;

static int64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

void io_no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int send_request(struct connection *c)
{
	static const char request[IO_MESSAGE] = "echo";

	c->missing = IO_MESSAGE;
	c->sent_at = now(CLOCK_MONOTONIC);
	return send(c->fd, request, sizeof(request), MSG_NOSIGNAL) ==
			       IO_MESSAGE ?
		       0 :
		       -EPIPE;
}

static int open_connection(struct connection *c, int port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)))
		return -errno;
	io_no_delay(c->fd);
	if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event))
		return -errno;
	return send_request(c);
}

/* An answer is there; the first ones only warm up. */
static void count(const struct connection *c, int64_t at)
{
	if (load.warm) {
		if (--load.warm == 0) {
			load.cpu = now(load.server);
			load.wall = at;
		}
		return;
	}
	load.times[load.done++] = at - c->sent_at;
}

static int answer(struct connection *c)
{
	char buf[IO_MESSAGE];
	ssize_t n = recv(c->fd, buf, c->missing, 0);

	if (n <= 0)
		return -EPIPE;
	c->missing -= n;
	if (c->missing)
		return 0;
	count(c, now(CLOCK_MONOTONIC));
	return load.done < load.ntimes ? send_request(c) : 0;
}

static int loop(void)
{
	struct epoll_event events[EVENTS];
	int n, i, err = 0;

	while (load.done < load.ntimes && !err) {
		n = epoll_wait(load.epoll, events, EVENTS, 10000);
		if (n == 0)
			return -ETIMEDOUT;
		for (i = 0; i < n && load.done < load.ntimes && !err; i++)
			err = answer(events[i].data.ptr);
	}
	load.cpu = now(load.server) - load.cpu;
	load.wall = now(CLOCK_MONOTONIC) - load.wall;
	return err;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int put(int port)
{
	int err = 0;
	long i;

	load.connections = calloc(load.nconnections, sizeof(*load.connections));
	load.times = calloc(load.ntimes, sizeof(*load.times));
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!load.connections || !load.times || load.epoll < 0)
		return -ENOMEM;
	load.warm = load.ntimes / 10 + 1;
	for (i = 0; i < load.nconnections && !err; i++)
		err = open_connection(&load.connections[i], port);
	if (!err)
		err = loop();
	qsort(load.times, load.done, sizeof(*load.times), ascending);
	return err;
}

int io_load(FILE *from, FILE *to, void *arg)
{
	int port, pid, err;

	(void)arg;
	fputs("ready\n", to);
	fflush(to);
	if (fscanf(from, "%d %d %ld %ld", &port, &pid, &load.nconnections,
		   &load.ntimes) != 4)
		return TOOL_FAILED;
	err = clock_getcpuclockid(pid, &load.server);
	if (!err)
		err = -put(port);
	if (err) {
		tool_say("load: %s", strerror(err));
		return TOOL_FAILED;
	}
	fprintf(to, "%ld %" PRId64 " %" PRId64 " %u %u\n", load.done, load.cpu,
		load.wall, load.times[load.done / 2],
		load.times[load.done / 100 * 99]);
	return fflush(to) ? TOOL_FAILED : TOOL_OK;
}
