// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The epoll engine, for where io_uring is not allowed.
 *
 * What is asked for is tried without waiting: sockets with MSG_DONTWAIT, all
 * else with RWF_NOWAIT, or plainly where the descriptor is non-blocking. If it
 * would wait, the goroutine waits until epoll says that it is worth trying
 * again. A descriptor that knows none of these (a pipe before Linux 6.4, a
 * terminal, a blocking socket that accepts) is waited for first, and then a
 * helper thread makes the plain call: it may still block, where another process
 * was faster. Files, which epoll does not take, are the helpers' at once.
 *
 * Each processor has an epoll of its own, so that the events in it are for its
 * requests alone (io.h). Registrations are one-shot and made for each wait: the
 * kernel forgets them when a descriptor is closed by whatever means, and one
 * that has outlived its descriptor (because a duplicate keeps the file open)
 * gives at most one event, for a number that is looked up in the table, where
 * nobody or somebody else waits; that one tries, and waits again. So there is no
 * pointer in an event that could be stale, and no generation to compare.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../sched/runq.h"
#include "io.h"

#define EVENTS 128
#define POLL_EVERY \
	4 /* polls of a busy processor, to one that asks the kernel */
#define WAKE UINT64_MAX

/**
 * struct epoll - an epoll of a processor
 * @ring:	what all engines have
 * @fd:		it
 * @polls:	counts those of a busy processor
 */
struct epoll {
	struct burrow_io_ring ring;
	int fd;
	uint32_t polls;
};

static struct epoll *of(struct burrow_io_ring *ring)
{
	return (struct epoll *)ring;
}

static int watch(struct epoll *e, int op, int fd, uint32_t events,
		 uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	return epoll_ctl(e->fd, op, fd, &event) ? -errno : 0;
}

/* For one event of all who wait on @fd here; they have said for which. */
static int arm(struct epoll *e, int fd)
{
	struct burrow_file *file = burrow_file_of(fd);
	struct burrow_waiter *w;
	uint32_t events = 0;
	int ret;

	burrow_lock_take(&file->lock);
	for (w = file->waiting.first; w; w = w->next) {
		if (w->index == (uint32_t)e->ring.proc->index)
			events |= (uint16_t)w->result;
	}
	burrow_lock_drop(&file->lock);
	if (!events)
		return 0;
	events |= EPOLLONESHOT;
	ret = watch(e, EPOLL_CTL_MOD, fd, events, fd);
	if (ret == -ENOENT)
		ret = watch(e, EPOLL_CTL_ADD, fd, events, fd);
	return ret;
}

static int epoll_start(struct burrow_io_ring *ring,
		       struct burrow_io_request *req)
{
	int ret;

	if (req->job)
		return burrow_helper_start(req->job);
	/* Errors come in any case; something must be set to be seen. */
	req->waiter->result = req->flags | POLLERR | POLLHUP;
	ret = arm(of(ring), req->fd);
	if (!ret)
		req->state = IO_STARTED;
	else
		req->waiter->result = 0;
	return ret;
}

static bool epoll_cancel(struct burrow_thread *self,
			 struct burrow_io_ring *ring,
			 struct burrow_io_call *call)
{
	struct burrow_io_request *req = call->requests;
	uint32_t left = call->left;

	(void)ring;
	if (req->job)
		return burrow_helper_cancel(self, req);
	for (; left; req++) {
		if (req->state != IO_STARTED)
			continue;
		/* With the last one the call may be gone. */
		left--;
		req->waiter->result = 0;
		burrow_io_complete(self, req, -ECANCELED);
	}
	return true;
}

/* One of those who wait here on @fd for any of @events; NULL: nobody. */
static struct burrow_io_request *find(struct epoll *e, struct burrow_file *file,
				      uint32_t events)
{
	struct burrow_waiter *w;

	burrow_lock_take(&file->lock);
	for (w = file->waiting.first; w; w = w->next) {
		if (w->index == (uint32_t)e->ring.proc->index &&
		    (uint16_t)w->result & events)
			break;
	}
	if (w)
		w->result = 0;
	burrow_lock_drop(&file->lock);
	return w ? w->elem : NULL;
}

static void ready(struct burrow_thread *self, struct epoll *e, int fd,
		  uint32_t events)
{
	struct burrow_file *file = burrow_file_of(fd);
	struct burrow_io_request *req;

	while ((req = find(e, file, events)))
		burrow_io_complete(self, req, 0);
	/* Those who wait for something else. */
	arm(e, fd);
}

static int wait_events(const struct epoll *e, struct epoll_event *events,
		       int64_t until)
{
	struct timespec ts = { 0 };
	int64_t ns;
	int n;

	if (!until)
		return epoll_wait(e->fd, events, EVENTS, 0);
	if (until == BURROW_FOREVER)
		return epoll_wait(e->fd, events, EVENTS, -1);
	ns = until - burrow_now();
	if (ns > 0) {
		ts.tv_sec = ns / 1000000000;
		ts.tv_nsec = ns % 1000000000;
	}
#ifdef SYS_epoll_pwait2
	n = syscall(SYS_epoll_pwait2, e->fd, events, EVENTS, &ts, NULL, 0);
	/* Before Linux 5.11, or with an old filter, there is no such call. */
	if (n >= 0 || errno == EINTR)
		return n;
#endif
	return epoll_wait(e->fd, events, EVENTS,
			  ts.tv_sec > 1000000 ?
				  INT_MAX :
				  ts.tv_sec * 1000 +
					  (ts.tv_nsec + 999999) / 1000000);
}

static void epoll_poll(struct burrow_thread *self, struct burrow_io_ring *ring,
		       int64_t until)
{
	struct epoll_event events[EVENTS];
	struct burrow_proc *proc = ring->proc;
	struct epoll *e = of(ring);
	int i, n;

	if (!until && !burrow_runq_empty(proc) && ++e->polls % POLL_EVERY)
		return;
	/* Who sleeps leaves nothing that only it may know of. */
	assert(!until || burrow_runq_empty(proc));
	if (until)
		burrow_leave(self);
	n = wait_events(e, events, until);
	if (until) {
		burrow_reenter(self);
		if (self->proc != proc)
			return;
	}
	for (i = 0; i < n; i++) {
		if (events[i].data.u64 == WAKE)
			/* Before the lists are: see burrow_io_kick(). */
			__atomic_store_n(&ring->kicked, 0, __ATOMIC_SEQ_CST);
		else
			ready(self, e, events[i].data.u64, events[i].events);
	}
}

/* The eventfd is never read: edges are what counts. */
static int epoll_open(struct burrow_io_ring *ring)
{
	struct epoll *e = of(ring);
	int ret;

	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0)
		return -errno;
	ret = watch(e, EPOLL_CTL_ADD, ring->wake_fd, EPOLLIN | EPOLLET, WAKE);
	if (ret)
		close(e->fd);
	return ret;
}

static void epoll_close(struct burrow_io_ring *ring)
{
	close(of(ring)->fd);
}

static bool is_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && flags & O_NONBLOCK;
}

static int64_t result_of(int64_t n)
{
	return n < 0 ? -errno : n;
}

/* The plain call, which may block. */
static int64_t call_plainly(const struct burrow_io_request *req)
{
	switch (req->op) {
	case IO_READ:
		return result_of(req->offset < 0 ?
					 read(req->fd, req->buf, req->len) :
					 pread(req->fd, req->buf, req->len,
					       req->offset));
	case IO_WRITE:
		return result_of(req->offset < 0 ?
					 write(req->fd, req->buf, req->len) :
					 pwrite(req->fd, req->buf, req->len,
						req->offset));
	case IO_RECV:
		return result_of(recv(req->fd, req->buf, req->len,
				      req->flags | MSG_DONTWAIT));
	case IO_SEND:
		return result_of(send(req->fd, req->buf, req->len,
				      req->flags | MSG_DONTWAIT));
	case IO_ACCEPT:
		return result_of(
			accept4(req->fd, req->buf, req->addr_len, req->flags));
	case IO_CONNECT:
		return result_of(connect(req->fd, req->buf, req->len));
	case IO_OPENAT:
		return result_of(
			openat(req->fd, req->buf, req->flags, req->mode));
	default:
		return result_of(fsync(req->fd));
	}
}

static int64_t run_plainly(struct burrow_helper_job *job)
{
	return call_plainly(job->request);
}

/* -EAGAIN: it would wait; -EOPNOTSUPP: it can't be tried without waiting. */
static int64_t attempt(const struct burrow_io_request *req)
{
	int64_t n = -EOPNOTSUPP;

	switch (req->op) {
	case IO_READ:
		n = burrow_io_try_read(req);
		break;
	case IO_WRITE:
		n = burrow_io_try_write(req);
		break;
	case IO_RECV:
	case IO_SEND:
		return call_plainly(req);
	case IO_OPENAT:
	case IO_FSYNC:
		return n;
	default:
		/* One that is no socket would be waited for in vain. */
		if (!(burrow_file_hints(req) & HINT_SOCKET))
			return call_plainly(req);
		break;
	}
	if (n == -EOPNOTSUPP && is_nonblocking(req->fd))
		n = call_plainly(req);
	return n;
}

/* By a helper. What a pipe surely takes when it says it can be written to. */
static int64_t by_helper(struct burrow_thread **self,
			 struct burrow_io_request *req,
			 enum goroutine_reason why, int64_t deadline)
{
	struct burrow_helper_job job = { .run = run_plainly, .request = req };
	size_t len = req->len;
	int64_t ret;

	if (req->op == IO_WRITE && len > PIPE_BUF &&
	    !(burrow_file_hints(req) & HINT_REGULAR))
		req->len = PIPE_BUF;
	req->job = &job;
	ret = burrow_io_wait_one(self, req, why, deadline);
	req->job = NULL;
	req->len = len;
	return ret;
}

static int64_t wait_ready(struct burrow_thread **self,
			  const struct burrow_io_request *req,
			  enum goroutine_reason why, int64_t deadline)
{
	struct burrow_io_request poll = {
		.op = IO_POLL,
		.fd = req->fd,
		.flags = POLLIN,
		.file = req->file,
	};

	if (req->op == IO_WRITE || req->op == IO_SEND || req->op == IO_CONNECT)
		poll.flags = POLLOUT;
	return burrow_io_wait_one(self, &poll, why, deadline);
}

static int64_t wait_connected(struct burrow_thread **self,
			      const struct burrow_io_request *req,
			      enum goroutine_reason why, int64_t deadline)
{
	socklen_t len = sizeof(int);
	int64_t ret;
	int err;

	ret = wait_ready(self, req, why, deadline);
	if (ret)
		return ret;
	if (getsockopt(req->fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	return -err;
}

/* Nothing that epoll could wait for. */
static bool is_file_op(const struct burrow_io_request *req)
{
	if (req->op == IO_OPENAT)
		return true;
	return req->op == IO_FSYNC || req->op == IO_CONNECT ||
	       req->offset >= 0 || burrow_file_hints(req) & HINT_REGULAR;
}

static int64_t epoll_run(struct burrow_thread **self,
			 struct burrow_io_request *req,
			 enum goroutine_reason why, int64_t deadline)
{
	int64_t tried, ret;

	for (;;) {
		tried = attempt(req);
		if (tried == -EINPROGRESS || tried == -EALREADY)
			return wait_connected(self, req, why, deadline);
		if (tried != -EAGAIN && tried != -EOPNOTSUPP)
			return tried;
		if (req->op == IO_CONNECT && tried == -EAGAIN)
			return tried;
		if ((req->op == IO_RECV || req->op == IO_SEND) &&
		    req->flags & MSG_DONTWAIT)
			return tried;
		ret = is_file_op(req) ? -EPERM :
					wait_ready(self, req, why, deadline);
		if (ret < 0 && ret != -EPERM)
			return ret;
		if (ret == -EPERM || tried == -EOPNOTSUPP) {
			ret = by_helper(self, req, why, deadline);
			if (ret != -EINTR)
				return ret;
		}
	}
}

const struct burrow_io_engine burrow_io_epoll = {
	.name = "epoll",
	.size = sizeof(struct epoll),
	.open = epoll_open,
	.close = epoll_close,
	.run = epoll_run,
	.start = epoll_start,
	.cancel = epoll_cancel,
	.poll = epoll_poll,
};
