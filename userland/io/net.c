// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * TCP by name: listening and dialling.
 *
 * A numeric address is taken as it is. Other names are looked up by a helper
 * thread, on a record of its own: the look-up cannot be interrupted, so when the
 * deadline passes first it ends by itself, and the helper frees the record.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io.h"

#define KEEPALIVE_S 15 /* as Go has it */

/**
 * struct lookup - one name
 * @job:	for the helper; first
 * @flags:	AI_*
 * @list:	addresses
 * @port:	in digits
 * @host:	the name, or NULL; lies behind the struct
 */
struct lookup {
	struct burrow_helper_job job;
	int flags;
	struct addrinfo *list;
	char port[8];
	const char *host;
};

static int gai_errno(int ret)
{
	switch (ret) {
	case 0:
		return 0;
	case EAI_SYSTEM:
		return -errno;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_AGAIN:
		return -EAGAIN;
	default:
		return -ENOENT;
	}
}

static int look_up(struct lookup *l, int flags)
{
	const struct addrinfo hints = {
		.ai_flags = l->flags | flags | AI_NUMERICSERV,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};

	l->list = NULL;
	return gai_errno(getaddrinfo(l->host, l->port, &hints, &l->list));
}

static int64_t run_lookup(struct burrow_helper_job *job)
{
	return look_up((struct lookup *)job, 0);
}

static void drop_lookup(struct burrow_helper_job *job)
{
	struct lookup *l = (struct lookup *)job;

	if (l->list)
		freeaddrinfo(l->list);
	free(l);
}

static struct lookup *lookup_new(const char *host, int port, int flags)
{
	size_t len = host ? strlen(host) + 1 : 0;
	struct lookup *l = calloc(1, sizeof(*l) + len);

	if (!l)
		return NULL;
	l->job.run = run_lookup;
	l->job.drop = drop_lookup;
	l->flags = flags;
	snprintf(l->port, sizeof(l->port), "%d", port);
	if (len > 1)
		l->host = memcpy(l + 1, host, len);
	return l;
}

/* 0: the caller drops it. Negative: there is none any more. */
static int resolve(struct lookup *l, const char *call, int64_t deadline)
{
	struct burrow_io_request req = { .op = IO_RESOLVE, .job = &l->job };
	struct burrow_thread *self;
	int64_t ret;

	ret = look_up(l, AI_NUMERICHOST);
	if (!ret)
		return 0;
	l->job.request = &req;
	self = burrow_enter(call);
	ret = burrow_io_wait_one(&self, &req, GOROUTINE_IO_CONNECT, deadline);
	burrow_leave(self);
	/* Only one that was cancelled is another's now. */
	if (ret && ret != -ETIMEDOUT && ret != -ECANCELED)
		drop_lookup(&l->job);
	return ret;
}

static void set(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof(value));
}

static int new_socket(const struct addrinfo *a)
{
	int fd = socket(a->ai_family,
			a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
			a->ai_protocol);

	if (fd < 0)
		return -errno;
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S);
	return fd;
}

static int listen_at(const struct addrinfo *a, int backlog)
{
	int fd = new_socket(a), ret;

	if (fd < 0)
		return fd;
	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (a->ai_family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (bind(fd, a->ai_addr, a->ai_addrlen) ||
	    listen(fd, backlog > 0 ? backlog : SOMAXCONN)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

/* All addresses: IPv6 first, which takes IPv4 with it. */
static int listen_any(const struct addrinfo *list, int backlog)
{
	const struct addrinfo *a;
	int family, fd = -EADDRNOTAVAIL;

	for (family = AF_INET6; fd < 0 && family != AF_UNSPEC;
	     family = family == AF_INET6 ? AF_INET : AF_UNSPEC) {
		for (a = list; a && fd < 0; a = a->ai_next) {
			if (a->ai_family == family)
				fd = listen_at(a, backlog);
		}
		if (fd == -EADDRINUSE)
			break;
	}
	return fd;
}

static bool is_goroutine(const char *call)
{
	struct burrow_thread *self = burrow_enter_try(call);

	if (self)
		burrow_leave(self);
	return self;
}

static bool is_port(int port)
{
	return port >= 0 && port <= 65535;
}

int burrow_listen_tcp(const char *host, int port, int backlog)
{
	const struct addrinfo *a;
	struct lookup *l;
	int ret;

	if (!is_goroutine("burrow_listen_tcp"))
		return -EPERM;
	if (!is_port(port))
		return -EINVAL;
	l = lookup_new(host, port, AI_PASSIVE);
	if (!l)
		return -ENOMEM;
	ret = resolve(l, "burrow_listen_tcp", BURROW_FOREVER);
	if (ret)
		return ret;
	if (!l->host) {
		ret = listen_any(l->list, backlog);
	} else {
		ret = -EADDRNOTAVAIL;
		for (a = l->list; a && ret < 0; a = a->ai_next)
			ret = listen_at(a, backlog);
	}
	drop_lookup(&l->job);
	return ret;
}

static int dial(const struct addrinfo *a, int64_t deadline)
{
	int fd = new_socket(a), ret;

	if (fd < 0)
		return fd;
	ret = burrow_connect_deadline(fd, a->ai_addr, a->ai_addrlen, deadline);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int burrow_dial_tcp_deadline(const char *host, int port, int64_t deadline)
{
	const struct addrinfo *a;
	struct lookup *l;
	int ret;

	if (!is_goroutine("burrow_dial_tcp"))
		return -EPERM;
	if (!is_port(port))
		return -EINVAL;
	l = lookup_new(host, port, 0);
	if (!l)
		return -ENOMEM;
	ret = resolve(l, "burrow_dial_tcp", deadline);
	if (ret)
		return ret;
	ret = -ENOENT;
	for (a = l->list; a && ret < 0 && ret != -ETIMEDOUT; a = a->ai_next)
		ret = dial(a, deadline);
	drop_lookup(&l->job);
	return ret;
}

int burrow_dial_tcp(const char *host, int port)
{
	return burrow_dial_tcp_deadline(host, port, BURROW_FOREVER);
}
