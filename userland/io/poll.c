// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * burrow_poll(): several descriptors at once. poll(2) itself says what is there,
 * before and after; in between a request for each waits for it to be worth
 * asking again.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "io.h"

#define FEW 4

/* A request and its place on the descriptor's list. */
struct spot {
	struct burrow_io_request *requests;
	struct burrow_waiter *waiters;
	uint32_t count;
};

static void put_all(struct burrow_thread *self, const struct spot *s)
{
	uint32_t i;

	for (i = 0; i < s->count; i++)
		burrow_file_put(self, s->requests[i].file);
}

/* Those of @fds that are descriptors; gets their entries. 0 or an errno. */
static int fill(struct burrow_thread **self, struct spot *s,
		const struct pollfd *fds, nfds_t nfds, int64_t deadline)
{
	struct burrow_file *file;
	nfds_t i;
	int err;

	s->count = 0;
	for (i = 0; i < nfds; i++) {
		if (fds[i].fd < 0)
			continue;
		file = burrow_file_get(self, fds[i].fd, deadline, &err);
		if (!file) {
			put_all(*self, s);
			return err;
		}
		s->requests[s->count] = (struct burrow_io_request){
			.op = IO_POLL,
			.fd = fds[i].fd,
			.flags = fds[i].events,
			.file = file,
			.waiter = &s->waiters[s->count],
		};
		s->count++;
	}
	return 0;
}

/* No descriptor at all: there is only the time to wait for. */
static int wait_for_time(struct burrow_thread **self, int64_t deadline)
{
	struct burrow_lock lock = { 0 };
	struct burrow_waitq queue = { 0 };

	burrow_lock_take(&lock);
	return burrow_wait(self, &lock, &queue, GOROUTINE_IO_POLL, deadline);
}

/* 0: look again; a negative errno. */
static int wait_for_any(struct burrow_thread **self, struct spot *s,
			int64_t deadline)
{
	struct burrow_io_call call = {
		.requests = s->requests,
		.count = s->count,
		.deadline = deadline,
	};
	uint32_t i;
	int ret;

	ret = burrow_io_wait(self, &call, GOROUTINE_IO_POLL);
	put_all(*self, s);
	if (ret)
		return ret;
	if (call.why == IO_TIMEOUT)
		return -ETIMEDOUT;
	if (call.why == IO_CLOSED)
		return -ECANCELED;
	for (i = 0; i < s->count; i++) {
		if (s->requests[i].result == -EBUSY)
			*self = burrow_pass(*self);
	}
	return 0;
}

static int wait_and_look(struct burrow_thread **self, struct spot *s,
			 struct pollfd *fds, nfds_t nfds, int64_t deadline)
{
	int n, ret;

	for (;;) {
		ret = fill(self, s, fds, nfds, deadline);
		if (!ret)
			ret = s->count ? wait_for_any(self, s, deadline) :
					 wait_for_time(self, deadline);
		if (ret && ret != -ETIMEDOUT)
			return ret;
		n = poll(fds, nfds, 0);
		if (n)
			return n < 0 ? -errno : n;
		if (ret)
			return ret;
	}
}

static int poll_now(struct burrow_thread **self, struct pollfd *fds,
		    nfds_t nfds, int64_t deadline)
{
	struct burrow_io_request requests[FEW];
	struct burrow_waiter waiters[FEW];
	struct spot s = { .requests = requests, .waiters = waiters };
	int ret;

	if (nfds <= FEW)
		return wait_and_look(self, &s, fds, nfds, deadline);
	s.requests = calloc(nfds, sizeof(*s.requests));
	s.waiters = calloc(nfds, sizeof(*s.waiters));
	if (s.requests && s.waiters)
		ret = wait_and_look(self, &s, fds, nfds, deadline);
	else
		ret = -ENOMEM;
	free(s.requests);
	free(s.waiters);
	return ret;
}

int burrow_poll_deadline(struct pollfd *fds, nfds_t nfds, int timeout,
			 int64_t deadline)
{
	struct burrow_thread *self = burrow_enter_try("burrow_poll");
	int64_t until = BURROW_FOREVER;
	int n;

	if (!self)
		return -EPERM;
	n = poll(fds, nfds, 0);
	if (n < 0)
		n = -errno;
	if (!n && timeout) {
		if (timeout > 0)
			until = burrow_now() + timeout * 1000000LL;
		n = poll_now(&self, fds, nfds,
			     until < deadline ? until : deadline);
		if (n == -ETIMEDOUT && until <= deadline)
			n = 0;
	}
	burrow_leave(self);
	return n;
}

int burrow_poll(struct pollfd *fds, nfds_t nfds, int timeout)
{
	return burrow_poll_deadline(fds, nfds, timeout, BURROW_FOREVER);
}
