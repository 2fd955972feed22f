// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How a goroutine waits for its requests: they are put on the lists of their
 * descriptors, so that burrow_close() finds them, started, and waited for; a
 * deadline is the goroutine's timeout.
 *
 * Who may cancel: the timeout, and whoever finds a request on a descriptor's
 * list. Both are shut out before the goroutine takes its call off the ring's
 * list and returns, so none of them ever sees a call that is gone.
 */
#include <errno.h>
#include <limits.h>

#include "io.h"

#define ERESTARTSYS 512 /* the kernel's own, from a worker that was stopped */

static void deadline_passed(struct burrow_thread *self,
			    struct burrow_timeout *timeout)
{
	struct goroutine *g =
		(struct goroutine *)((char *)timeout -
				     offsetof(struct goroutine, timeout));
	struct burrow_io_request *req = g->waiter.elem;
	struct burrow_io_ring *ring = req->call->ring;

	burrow_io_cancel(req->call, IO_TIMEOUT);
	if (ring != self->proc->io)
		burrow_io_kick(ring->proc);
}

static struct burrow_file *file_of(const struct burrow_io_request *req)
{
	if (req->op == IO_OPENAT || req->op == IO_RESOLVE)
		return NULL;
	return burrow_file_of(req->fd);
}

static void start(struct burrow_io_ring *ring, struct burrow_io_request *req)
{
	struct burrow_file *file = file_of(req);
	int ret = 0;

	req->state = IO_IDLE;
	req->waiter->queue = NULL;
	req->waiter->g = req->call->g;
	if (file && !burrow_file_link(file, req, ring->proc->index))
		ret = -ECANCELED;
	if (!ret)
		ret = ring->engine->start(ring, req);
	if (ret) {
		req->result = ret;
		return;
	}
	req->call->left++;
	__atomic_store_n(&ring->proc->io_busy, ring->proc->io_busy + 1,
			 __ATOMIC_RELAXED);
}

static void finish(struct burrow_io_call *call, struct burrow_io_request *req)
{
	if (req->waiter->queue)
		burrow_file_unlink(file_of(req), req);
	if (!call->why || (req->result != -ECANCELED && req->result != -EINTR &&
			   req->result != -ERESTARTSYS))
		return;
	req->result = call->why == IO_TIMEOUT ? -ETIMEDOUT : -ECANCELED;
}

int burrow_io_wait(struct burrow_thread **self, struct burrow_io_call *call,
		   enum goroutine_reason why)
{
	struct goroutine *g = (*self)->current;
	uint32_t i;
	int err = 0;

	call->ring = burrow_io_ring_get(*self, &err);
	if (!call->ring)
		return err;
	call->g = g;
	call->left = 0;
	call->why = IO_NOT;
	call->mailed = false;
	for (i = 0; i < call->count; i++)
		call->requests[i].call = call;
	g->waiter.elem = &call->requests[0];
	if (call->deadline != BURROW_FOREVER) {
		g->timeout.fire = deadline_passed;
		err = burrow_timeout_set(*self, &g->timeout, call->deadline);
		if (err)
			return err;
	}
	for (i = 0; i < call->count; i++)
		start(call->ring, &call->requests[i]);
	if (call->left && call->left < call->count)
		burrow_io_cancel(call, IO_ENOUGH);
	if (call->left)
		*self = burrow_park(*self, why, NULL);

	if (call->deadline != BURROW_FOREVER)
		burrow_timeout_cancel(&g->timeout);
	for (i = 0; i < call->count; i++)
		finish(call, &call->requests[i]);
	if (call->why)
		burrow_io_forget(call);
	return 0;
}

int64_t burrow_io_wait_one(struct burrow_thread **self,
			   struct burrow_io_request *req,
			   enum goroutine_reason why, int64_t deadline)
{
	struct burrow_io_call call = {
		.requests = req,
		.count = 1,
		.deadline = deadline,
	};
	int err;

	req->waiter = &(*self)->current->waiter;
	err = burrow_io_wait(self, &call, why);
	return err ? err : req->result;
}
