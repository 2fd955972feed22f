// SPDX-License-Identifier: GPL-2.0
/*
 * An echo server in one loop of epoll, as plain as it can be: what the kernel
 * takes for its part, and a floor under all that do more.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../tool.h"
#include "io.h"

#define EVENTS 256

int io_listen(int *port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) ||
	    listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&a, &len))
		return -errno;
	*port = ntohs(a.sin_port);
	return fd;
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		close(fd);
}

static void welcome(int epoll, int listening)
{
	int fd = accept(listening, NULL, NULL);

	if (fd < 0)
		return;
	io_no_delay(fd);
	watch(epoll, fd);
}

static void echo(int fd)
{
	char buf[4096];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n <= 0 || send(fd, buf, n, MSG_NOSIGNAL) != n)
		close(fd);
}

/* Until the input ends. */
static void loop(int epoll, int listening, int input)
{
	struct epoll_event events[EVENTS];
	int n, i;

	watch(epoll, listening);
	watch(epoll, input);
	for (;;) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		for (i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == input)
				return;
			if (fd == listening)
				welcome(epoll, listening);
			else
				echo(fd);
		}
	}
}

int io_epoll(FILE *from, FILE *to, void *arg)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), port = 0, fd;
	char line[128];

	(void)arg;
	fd = io_listen(&port);
	if (epoll < 0 || fd < 0)
		return TOOL_FAILED;
	fputs("ready\n", to);
	fflush(to);
	if (!fgets(line, sizeof(line), from))
		return TOOL_FAILED;
	fprintf(to, "%d\n", port);
	fflush(to);
	loop(epoll, fd, fileno(from));
	return TOOL_OK;
}
