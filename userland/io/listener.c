// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Listeners: sockets on which the kernel goes on accepting.
 *
 * One request stands for all connections to come (io_uring's multishot accept):
 * each completes it once more, on the processor where it was started. Whoever is
 * accepting gets the connection; where nobody is, it waits in a queue here. When
 * that is full the request is cancelled, connections stay with the kernel, and
 * the next to find the queue empty starts it again. Where the engine has no such
 * request (epoll) an accept on a listener is an ordinary one.
 *
 * It takes connections that nobody has asked for yet, and keeps the socket open
 * whoever closes its number. So it is no hidden way of burrow_accept(), but an
 * object that owns its socket.
 *
 * Everything here is under the listener's lock, which comes before a ring's.
 * Queues that are left when the run ends are closed with the descriptors' table.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "io.h"

#define QUEUE 64 /* connections that nobody waits for, at most */

/**
 * struct burrow_listener - a socket and who waits for its connections
 * @fd:		the socket, close-on-exec
 * @flags:	of accept4(2), for each connection
 * @lock:	over what follows
 * @closed:	nobody may come any more
 * @armed:	the request is in flight
 * @stopping:	and has been told to end
 * @waiting:	accepting; elem becomes the descriptor
 * @closing:	waits until nothing is in flight
 * @head:	first of @queue
 * @count:	how many there are
 * @queue:	connections; room for more than QUEUE, which come while it stops
 * @call:	what stands on the ring's lists
 * @req:	its only request
 * @next:	list of all in this run; under its own lock
 */
struct burrow_listener {
	int fd;
	int flags;
	struct burrow_lock lock;
	bool closed;
	bool armed;
	bool stopping;
	struct burrow_waitq waiting;
	struct burrow_waitq closing;
	uint32_t head;
	uint32_t count;
	int queue[4 * QUEUE];
	struct burrow_io_call call;
	struct burrow_io_request req;
	struct burrow_listener *next;
};

/* All of this run. */
static struct burrow_lock all_lock;
static struct burrow_listener *all;

static struct burrow_listener *of(struct burrow_io_request *req)
{
	return (struct burrow_listener *)((char *)req -
					  offsetof(struct burrow_listener,
						   req));
}

static void accepted(struct burrow_thread *self, struct burrow_io_request *req,
		     int64_t result, bool more);

/* Under the lock: sets the request going, on this processor. */
static int arm(struct burrow_thread *self, struct burrow_listener *l)
{
	struct burrow_io_ring *ring;
	int ret;

	ring = burrow_io_ring_get(self, &ret);
	if (!ring)
		return ret;
	if (!ring->engine->provides)
		return -EOPNOTSUPP;
	l->call = (struct burrow_io_call){
		.ring = ring,
		.requests = &l->req,
		.count = 1,
		.deadline = BURROW_FOREVER,
	};
	l->req = (struct burrow_io_request){
		.op = IO_ACCEPT,
		.fd = l->fd,
		.flags = l->flags,
		.offset = -1,
		.call = &l->call,
		.shot = accepted,
	};
	ret = ring->engine->start(ring, &l->req);
	if (ret)
		return ret;
	l->armed = true;
	l->stopping = false;
	burrow_io_begun(&l->call);
	return 0;
}

/* Under the lock: what is in flight is to end. */
static void disarm(struct burrow_listener *l, enum burrow_io_why why)
{
	if (!l->armed || l->stopping)
		return;
	l->stopping = true;
	burrow_io_cancel(&l->call, why);
}

/* Under the lock. */
static void enqueue(struct burrow_listener *l, int fd)
{
	uint32_t room = sizeof(l->queue) / sizeof(l->queue[0]);

	if (l->count == room) {
		/* More than a burst while it stops: as if the backlog were full. */
		close(fd);
		return;
	}
	l->queue[(l->head + l->count++) % room] = fd;
	if (l->count >= QUEUE)
		disarm(l, IO_ENOUGH);
}

static int dequeue(struct burrow_listener *l)
{
	uint32_t room = sizeof(l->queue) / sizeof(l->queue[0]);
	int fd = l->queue[l->head];

	l->head = (l->head + 1) % room;
	l->count--;
	return fd;
}

/* Under the lock: a connection, or why there is none. */
static void deliver(struct burrow_thread *self, struct burrow_listener *l,
		    int64_t result)
{
	struct burrow_waiter *w = l->waiting.first;

	if (result >= 0 && (!self || l->closed)) {
		close(result);
	} else if (result >= 0 && !w) {
		enqueue(l, result);
	} else if (result >= 0) {
		w->elem = (void *)(intptr_t)result;
		burrow_wake(self, w, 0);
	} else if (w && result != -ECANCELED) {
		burrow_wake(self, w, result);
	}
}

/* Under the lock, when it has ended: again, if anybody waits. */
static void ended(struct burrow_thread *self, struct burrow_listener *l)
{
	struct burrow_waiter *w;
	int ret = 0;

	l->armed = false;
	burrow_io_forget(&l->call);
	if (!self)
		return;
	while ((w = l->closing.first))
		burrow_wake(self, w, 0);
	if (l->waiting.first)
		ret = arm(self, l);
	while (ret && (w = l->waiting.first))
		burrow_wake(self, w, ret);
}

/* By the ring's holder, or without one at the end. */
static void accepted(struct burrow_thread *self, struct burrow_io_request *req,
		     int64_t result, bool more)
{
	struct burrow_listener *l = of(req);

	burrow_lock_take(&l->lock);
	deliver(self, l, result);
	if (!more)
		ended(self, l);
	burrow_lock_drop(&l->lock);
}

int burrow_listener_new(int fd, int flags, struct burrow_listener **listener)
{
	struct burrow_listener *l;
	struct burrow_thread *self;
	socklen_t len = sizeof(int);
	int listens = 0, ret = 0;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	self = burrow_enter_try("burrow_listener_new");
	if (!self)
		return -EPERM;
	l = burrow_region_alloc(self, sizeof(*l));
	if (!l)
		ret = -ENOMEM;
	else if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len))
		ret = -errno;
	else if (!listens)
		ret = -EINVAL;
	if (!ret) {
		memset(l, 0, sizeof(*l));
		l->fd = fd;
		l->flags = flags;
		burrow_lock_take(&all_lock);
		l->next = all;
		all = l;
		burrow_lock_drop(&all_lock);
		*listener = l;
	}
	burrow_leave(self);
	return ret;
}

/* A connection or a negative errno; -EOPNOTSUPP: not in this way. */
static int next_one(struct burrow_thread **self, struct burrow_listener *l,
		    int64_t deadline)
{
	struct burrow_waiter *w = &(*self)->current->waiter;
	int ret = 0;

	burrow_lock_take(&l->lock);
	if (l->closed)
		ret = -EBADF;
	else if (l->count)
		ret = dequeue(l);
	else if (!l->armed)
		ret = arm(*self, l);
	if (ret || !l->armed) {
		burrow_lock_drop(&l->lock);
		return ret;
	}
	ret = burrow_wait(self, &l->lock, &l->waiting, GOROUTINE_IO_ACCEPT,
			  deadline);
	return ret ? ret : (int)(intptr_t)w->elem;
}

int burrow_listener_accept_deadline(struct burrow_listener *l, int64_t deadline)
{
	struct burrow_thread *self = burrow_enter_try("burrow_listener_accept");
	int tries = 0, ret;

	if (!self)
		return -EPERM;
	/* -EBUSY: the kernel takes no request at the moment. */
	while ((ret = next_one(&self, l, deadline)) == -EBUSY &&
	       tries++ < BURROW_IO_START_TRIES)
		self = burrow_pass(self);
	if (ret >= 0)
		burrow_file_fresh(ret, HINT_KNOWN | HINT_SOCKET);
	burrow_leave(self);
	if (ret != -EOPNOTSUPP)
		return ret;
	return burrow_accept4_deadline(l->fd, NULL, NULL, l->flags, deadline);
}

int burrow_listener_accept(struct burrow_listener *l)
{
	return burrow_listener_accept_deadline(l, BURROW_FOREVER);
}

/* Nobody waits and nothing is in flight when it returns. */
static int stop(struct burrow_thread **self, struct burrow_listener *l)
{
	struct burrow_waiter *w;

	burrow_lock_take(&l->lock);
	if (l->closed) {
		burrow_lock_drop(&l->lock);
		return -EBADF;
	}
	l->closed = true;
	while ((w = l->waiting.first))
		burrow_wake(*self, w, -ECANCELED);
	disarm(l, IO_CLOSED);
	burrow_lock_drop(&l->lock);
	burrow_io_kick_mailed((*self)->proc->io);
	burrow_lock_take(&l->lock);
	if (l->armed)
		burrow_wait(self, &l->lock, &l->closing, GOROUTINE_IO_CLOSE,
			    BURROW_FOREVER);
	else
		burrow_lock_drop(&l->lock);
	return 0;
}

int burrow_listener_close(struct burrow_listener *l)
{
	struct burrow_thread *self = burrow_enter_try("burrow_listener_close");
	struct burrow_listener **p;
	int ret;

	if (!self)
		return -EPERM;
	ret = stop(&self, l);
	if (!ret) {
		burrow_lock_take(&all_lock);
		for (p = &all; *p != l; p = &(*p)->next)
			;
		*p = l->next;
		burrow_lock_drop(&all_lock);
	}
	burrow_leave(self);
	if (ret)
		return ret;
	while (l->count)
		close(dequeue(l));
	return burrow_close(l->fd);
}

void burrow_listeners_close(void)
{
	struct burrow_listener *l;

	while ((l = all)) {
		all = l->next;
		while (l->count)
			close(dequeue(l));
		close(l->fd);
	}
}
