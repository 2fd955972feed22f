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

static void start(struct burrow_io_ring *ring, struct burrow_io_request *req)
{
	int ret = 0;

	req->state = IO_IDLE;
	req->waiter->queue = NULL;
	req->waiter->g = req->call->g;
	if (req->file && !burrow_file_link(req, ring->proc->index))
		ret = -ECANCELED;
	if (!ret)
		ret = ring->engine->start(ring, req);
	if (ret) {
		req->result = ret;
		return;
	}
	burrow_io_begun(req->call);
}

static void finish(struct burrow_io_call *call, struct burrow_io_request *req)
{
	if (req->waiter->queue)
		burrow_file_unlink(req);
	if (!call->why || (req->result != -ECANCELED && req->result != -EINTR &&
			   req->result != -ERESTARTSYS))
		return;
	req->result = call->why == IO_TIMEOUT ? -ETIMEDOUT : -ECANCELED;
}

static int set_deadline(struct burrow_thread *self, struct burrow_io_call *call)
{
	if (burrow_likely(call->deadline == BURROW_FOREVER))
		return 0;
	call->g->timeout.fire = deadline_passed;
	return burrow_timeout_set(self, &call->g->timeout, call->deadline);
}

/* They have been started. */
static void wait(struct burrow_thread **self, struct burrow_io_call *call,
		 enum goroutine_reason why)
{
	if (burrow_likely(call->left))
		*self = burrow_park(*self, why, NULL);
	if (burrow_unlikely(call->deadline != BURROW_FOREVER))
		burrow_timeout_cancel(&call->g->timeout);
}

int burrow_io_wait(struct burrow_thread **self, struct burrow_io_call *call,
		   enum goroutine_reason why)
{
	uint32_t i;
	int err;

	call->ring = burrow_io_ring_get(*self, &err);
	if (!call->ring)
		return err;
	call->g = (*self)->current;
	call->left = 0;
	call->why = IO_NOT;
	call->mailed = false;
	for (i = 0; i < call->count; i++) {
		call->requests[i].call = call;
		call->requests[i].waiter->elem = &call->requests[i];
	}
	call->g->waiter.elem = &call->requests[0];
	err = set_deadline(*self, call);
	if (err)
		return err;
	for (i = 0; i < call->count; i++)
		start(call->ring, &call->requests[i]);
	if (call->left && call->left < call->count)
		burrow_io_cancel(call, IO_ENOUGH);
	wait(self, call, why);
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
		.g = (*self)->current,
		.requests = req,
		.count = 1,
		.deadline = deadline,
	};
	int err;

	call.ring = burrow_io_ring_get(*self, &err);
	if (burrow_unlikely(!call.ring))
		return err;
	/* cppcheck-suppress autoVariables ; both end with this call */
	req->call = &call;
	req->waiter = &call.g->waiter;
	req->waiter->elem = req;
	err = set_deadline(*self, &call);
	if (err)
		return err;
	start(call.ring, req);
	wait(self, &call, why);
	finish(&call, req);
	if (burrow_unlikely(call.why))
		burrow_io_forget(&call);
	return req->result;
}
