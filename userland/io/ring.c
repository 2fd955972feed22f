// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Rings: how a processor comes by one, what others leave there, how it is
 * polled, kicked and taken down. What happens in it is its engine's.
 *
 * The scheduler calls poll, kick and close (sched.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../sched/runq.h"
#include "io.h"

#define AGAIN_NS 1000000LL /* between two tries to cancel the same call */

/* This run has been told that it may not use io_uring. */
static bool uring_refused;

static struct burrow_io_ring *ring_open(const struct burrow_io_engine *engine,
					struct burrow_proc *proc, int *err)
{
	struct burrow_io_ring *ring = calloc(1, engine->size);

	*err = -ENOMEM;
	if (!ring)
		return NULL;
	ring->engine = engine;
	ring->proc = proc;
	ring->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (ring->wake_fd < 0) {
		*err = -errno;
		free(ring);
		return NULL;
	}
	*err = engine->open(ring);
	if (*err) {
		close(ring->wake_fd);
		free(ring);
		return NULL;
	}
	return ring;
}

static void ring_free(struct burrow_io_ring *ring)
{
	ring->engine->close(ring);
	close(ring->wake_fd);
	free(ring);
}

int burrow_io_engine_try(const struct burrow_io_engine *engine)
{
	struct burrow_proc *proc = calloc(1, sizeof(*proc));
	struct burrow_io_ring *ring;
	int err = -ENOMEM;

	ring = proc ? ring_open(engine, proc, &err) : NULL;
	if (ring)
		ring_free(ring);
	free(proc);
	return err;
}

#ifdef BURROW_NO_URING
static struct burrow_io_ring *ring_of_uring(struct burrow_proc *proc)
{
	(void)proc;
	return NULL;
}
#else
/* A refusal is for good; want of memory or descriptors may pass. */
static struct burrow_io_ring *ring_of_uring(struct burrow_proc *proc)
{
	struct burrow_io_ring *ring;
	int err;

	if (burrow_runtime.config.no_uring ||
	    __atomic_load_n(&uring_refused, __ATOMIC_RELAXED))
		return NULL;
	ring = ring_open(&burrow_io_uring, proc, &err);
	if (!ring && err != -ENOMEM && err != -EMFILE && err != -ENFILE)
		__atomic_store_n(&uring_refused, true, __ATOMIC_RELAXED);
	return ring;
}
#endif

struct burrow_io_ring *burrow_io_ring_make(struct burrow_thread *self, int *err)
{
	struct burrow_proc *proc = self->proc;
	struct burrow_io_ring *ring;

	ring = ring_of_uring(proc);
	if (!ring)
		ring = ring_open(&burrow_io_epoll, proc, err);
	__atomic_store_n(&proc->io, ring, __ATOMIC_RELEASE);
	return ring;
}

/* Under ring.lock. */
static void mail_push(struct burrow_io_ring *ring, struct burrow_io_call *call)
{
	call->mailed = true;
	call->next = NULL;
	call->prev = ring->mail_last;
	if (call->prev)
		call->prev->next = call;
	else
		__atomic_store_n(&ring->mail, call, __ATOMIC_RELAXED);
	ring->mail_last = call;
}

/* Under ring.lock. */
static void mail_remove(struct burrow_io_ring *ring,
			struct burrow_io_call *call)
{
	call->mailed = false;
	if (call->prev)
		call->prev->next = call->next;
	else
		__atomic_store_n(&ring->mail, call->next, __ATOMIC_RELAXED);
	if (call->next)
		call->next->prev = call->prev;
	else
		ring->mail_last = call->prev;
}

void burrow_io_cancel(struct burrow_io_call *call, enum burrow_io_why why)
{
	struct burrow_io_ring *ring = call->ring;

	burrow_lock_take(&ring->lock);
	if (!call->why) {
		call->why = why;
		mail_push(ring, call);
	}
	burrow_lock_drop(&ring->lock);
}

void burrow_io_forget(struct burrow_io_call *call)
{
	struct burrow_io_ring *ring = call->ring;

	burrow_lock_take(&ring->lock);
	if (call->mailed)
		mail_remove(ring, call);
	burrow_lock_drop(&ring->lock);
}

/* The next call of the list that is not over yet, taken off. */
static struct burrow_io_call *mail_take(struct burrow_io_ring *ring)
{
	struct burrow_io_call *call;

	burrow_lock_take(&ring->lock);
	while ((call = ring->mail)) {
		mail_remove(ring, call);
		if (call->left)
			break;
	}
	burrow_lock_drop(&ring->lock);
	return call;
}

/*
 * Cancels what is to be cancelled. A call that is not over stays where it is
 * until we ourselves complete it, so it may be looked at without the lock. True:
 * some must be seen to again.
 */
static bool serve_mail(struct burrow_thread *self, struct burrow_io_ring *ring)
{
	struct burrow_io_call *call, *again = NULL, *next;

	while ((call = mail_take(ring))) {
		if (ring->engine->cancel(self, ring, call))
			continue;
		call->next = again;
		again = call;
	}
	if (!again)
		return false;
	burrow_lock_take(&ring->lock);
	for (call = again; call; call = next) {
		next = call->next;
		mail_push(ring, call);
	}
	burrow_lock_drop(&ring->lock);
	return true;
}

void burrow_io_post(struct burrow_io_ring *ring, struct burrow_io_request *req)
{
	req->next = __atomic_load_n(&ring->done, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&ring->done, &req->next, req, true,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	burrow_io_kick(ring->proc);
}

/* True: there were some. */
static bool serve_done(struct burrow_thread *self, struct burrow_io_ring *ring)
{
	struct burrow_io_request *req, *next;

	if (!__atomic_load_n(&ring->done, __ATOMIC_SEQ_CST))
		return false;
	req = __atomic_exchange_n(&ring->done, NULL, __ATOMIC_SEQ_CST);
	for (; req; req = next) {
		next = req->next;
		burrow_io_complete(self, req, req->result);
	}
	return true;
}

void burrow_io_complete(struct burrow_thread *self,
			struct burrow_io_request *req, int64_t result)
{
	struct burrow_io_call *call = req->call;
	struct burrow_proc *proc = call->ring->proc;

	req->result = result;
	req->state = IO_IDLE;
	if (--call->left)
		burrow_io_cancel(call, IO_ENOUGH);
	else if (self)
		burrow_ready_last(self, call->g);
	/* Last: who looks for a deadlock finds one of the two. */
	__atomic_store_n(&proc->io_busy, proc->io_busy - 1, __ATOMIC_RELEASE);
}

void burrow_io_shot(struct burrow_thread *self, struct burrow_io_request *req,
		    int64_t result, bool more)
{
	struct burrow_proc *proc = req->call->ring->proc;

	if (more) {
		req->shot(self, req, result, true);
		return;
	}
	req->state = IO_IDLE;
	req->call->left--;
	/* It may be begun anew. */
	req->shot(self, req, result, false);
	__atomic_store_n(&proc->io_busy, proc->io_busy - 1, __ATOMIC_RELEASE);
}

void burrow_io_poll(struct burrow_thread *self, int64_t until)
{
	struct burrow_proc *proc = self->proc;
	struct burrow_io_ring *ring = proc->io;

	if (!ring)
		return;
	if (burrow_unlikely(__atomic_load_n(&ring->mail, __ATOMIC_RELAXED) !=
			    NULL) &&
	    serve_mail(self, ring) && until > burrow_now() + AGAIN_NS)
		until = burrow_now() + AGAIN_NS;
	/*
	 * Who was cancelled runs here: nobody else may have been woken for it, and
	 * the monitor may sleep already.
	 */
	if (serve_done(self, ring) || !burrow_runq_empty(proc))
		until = 0;
	ring->engine->poll(self, ring, until);
	if (until && self->proc == proc)
		serve_done(self, ring);
}

/* Once until it is seen: whoever comes second knows that the holder will look. */
void burrow_io_kick(struct burrow_proc *proc)
{
	struct burrow_io_ring *ring =
		__atomic_load_n(&proc->io, __ATOMIC_ACQUIRE);
	const uint64_t one = 1;
	ssize_t n;

	if (!ring || __atomic_exchange_n(&ring->kicked, 1, __ATOMIC_SEQ_CST))
		return;
	/* It can't fail but when the counter is full, which is a kick too. */
	n = write(ring->wake_fd, &one, sizeof(one));
	(void)n;
}

void burrow_io_kick_mailed(const struct burrow_io_ring *own)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_io_ring *ring;
	int i;

	for (i = 0; rt->procs[i]; i++) {
		ring = __atomic_load_n(&rt->procs[i]->io, __ATOMIC_ACQUIRE);
		if (ring && ring != own &&
		    __atomic_load_n(&ring->mail, __ATOMIC_RELAXED))
			burrow_io_kick(rt->procs[i]);
	}
}

/* No thread is inside any more; goroutines are left where they are. */
void burrow_io_close(struct burrow_proc *proc)
{
	struct burrow_io_ring *ring = proc->io;

	if (ring) {
		burrow_helper_flush(ring);
		serve_done(NULL, ring);
		ring_free(ring);
	}
	proc->io = NULL;
	proc->io_busy = 0;
	uring_refused = false;
	burrow_listeners_close();
	burrow_files_close();
}
