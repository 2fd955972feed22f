// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The io_uring engine.
 *
 * Starting a request fills in an entry of the submission queue and no more: the
 * scheduler polls every few switches and before it sleeps, and one call of
 * io_uring_enter() submits what all goroutines have asked for since. That is why
 * a send goes through the ring too when others are waiting to run, although the
 * socket would take it at once: a hundred sends in one system call are a quarter
 * cheaper than a hundred system calls. Where nobody else would run the send is
 * made directly, and so is a receive where the last one left something.
 *
 * A processor without work sleeps in io_uring_enter(). What ends that, beside
 * what is in flight, is a read of the ring's eventfd; it is armed by the very
 * thread that sleeps, as completions need the thread that submitted (io.h), and
 * another may be deep in a system call.
 *
 * A receive may ask for one of the ring's own buffers (pool.c), and an accept may
 * stand for many (listener.c); both only where the program asks for it, for what
 * they do to a socket can't be hidden (Documentation/rejected.rst).
 *
 * The submission queue is published by flush() here and not by liburing's
 * submit, which cannot do it without entering the kernel on another's wait.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "../sched/runq.h"
#include "io.h"
#include "pool.h"

/* What we rely on; with the flags of uring_open() it takes Linux 5.19. */
#define FEATURES                                                            \
	(IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL | \
	 IORING_FEAT_RW_CUR_POS)

unsigned int burrow_io_uring_entries = 128;
unsigned int burrow_io_uring_cq_entries = 4096;

/* user_data: a request's address, or one of these with a count above. */
enum tag {
	TAG_REQUEST = 0,
	TAG_IGNORE = 1,
	TAG_WAKE = 2,
	TAG_MASK = 7,
};

/**
 * struct uring - an io_uring of a processor
 * @ring:	what all engines have
 * @uring:	liburing's
 * @clock:	burrow_runtime.clock when the kernel was last entered by the way
 * @armed_by:	thread that the read of the eventfd was armed by, or NULL
 * @arm:	counts these reads
 * @count:	where it reads to
 * @pool:	buffers to receive into; NULL: none was asked for yet
 * @no_pool:	there can be none
 */
struct uring {
	struct burrow_io_ring ring;
	struct io_uring uring;
	uint32_t clock;
	struct burrow_thread *armed_by;
	uint64_t arm;
	uint64_t count;
	struct burrow_io_pool *pool;
	bool no_pool;
};

static struct uring *of(struct burrow_io_ring *ring)
{
	return (struct uring *)ring;
}

/* Shows the kernel what has been filled in. How many it has not taken yet. */
static unsigned int flush(struct io_uring *u)
{
	struct io_uring_sq *sq = &u->sq;
	unsigned int tail = *sq->ktail;

	while (sq->sqe_head != sq->sqe_tail) {
		if (sq->array)
			sq->array[tail & sq->ring_mask] = sq->sqe_head &
							  sq->ring_mask;
		tail++;
		sq->sqe_head++;
	}
	__atomic_store_n(sq->ktail, tail, __ATOMIC_RELEASE);
	return tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
}

/* Submits; completions that are due come in by the way. */
static int enter(struct uring *u, unsigned int submit)
{
	return io_uring_enter(u->uring.ring_fd, submit, 0,
			      IORING_ENTER_GETEVENTS, NULL);
}

/* An entry to fill in; NULL: the kernel takes none off us now. */
static struct io_uring_sqe *entry(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->uring);

	if (burrow_unlikely(!sqe)) {
		enter(u, flush(&u->uring));
		sqe = io_uring_get_sqe(&u->uring);
	}
	return sqe;
}

static void prepare(struct io_uring_sqe *sqe,
		    const struct burrow_io_request *req)
{
	switch (req->op) {
	case IO_READ:
		io_uring_prep_read(sqe, req->fd, req->buf, req->len,
				   req->offset);
		break;
	case IO_WRITE:
		io_uring_prep_write(sqe, req->fd, req->buf, req->len,
				    req->offset);
		break;
	case IO_RECV:
		io_uring_prep_recv(sqe, req->fd, req->buf, req->len,
				   req->flags);
		/* One that is no socket would be waited for before it is told. */
		if (burrow_file_hints(req) & HINT_SOCKET)
			sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
		if (req->lend)
			burrow_io_pool_ask(sqe);
		break;
	case IO_SEND:
		io_uring_prep_send(sqe, req->fd, req->buf, req->len,
				   req->flags);
		break;
	case IO_ACCEPT:
		io_uring_prep_accept(sqe, req->fd, req->buf, req->addr_len,
				     req->flags);
		if (req->shot)
			sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
		break;
	case IO_CONNECT:
		io_uring_prep_connect(sqe, req->fd, req->buf, req->len);
		break;
	case IO_OPENAT:
		io_uring_prep_openat(sqe, req->fd, req->buf, req->flags,
				     req->mode);
		break;
	case IO_FSYNC:
		io_uring_prep_fsync(sqe, req->fd, 0);
		break;
	default:
		io_uring_prep_poll_add(sqe, req->fd, req->flags);
		break;
	}
	io_uring_sqe_set_data(sqe, (void *)req);
}

/* False: requests that want a buffer can't be had here. */
static bool has_pool(struct uring *u)
{
	if (burrow_unlikely(!u->pool && !u->no_pool)) {
		u->pool = burrow_io_pool_open(&u->uring);
		u->no_pool = !u->pool;
	}
	return u->pool;
}

static int uring_start(struct burrow_io_ring *ring,
		       struct burrow_io_request *req)
{
	struct uring *u = of(ring);
	struct io_uring_sqe *sqe;

	if (req->job)
		return burrow_helper_start(req->job);
	if (req->lend && !has_pool(u))
		return -ENOBUFS;
	sqe = entry(u);
	if (!sqe)
		return -EBUSY;
	prepare(sqe, req);
	req->state = IO_STARTED;
	return 0;
}

/*
 * The kernel handles entries in order, and cancelling happens while it takes the
 * entry: one that comes too late finds no request, and never that of a later
 * call whose struct lies at the same place.
 */
static bool uring_cancel(struct burrow_thread *self,
			 struct burrow_io_ring *ring,
			 struct burrow_io_call *call)
{
	struct uring *u = of(ring);
	struct burrow_io_request *req;
	struct io_uring_sqe *sqe;
	uint32_t i;

	if (call->requests[0].job)
		return burrow_helper_cancel(self, &call->requests[0]);
	for (i = 0; i < call->count; i++) {
		req = &call->requests[i];
		if (req->state != IO_STARTED)
			continue;
		sqe = entry(u);
		if (!sqe)
			return false;
		io_uring_prep_cancel(sqe, req, 0);
		sqe->user_data = TAG_IGNORE;
	}
	return true;
}

static void reap_one(struct burrow_thread *self, struct uring *u,
		     const struct io_uring_cqe *cqe)
{
	struct burrow_io_request *req;

	switch (cqe->user_data & TAG_MASK) {
	case TAG_REQUEST:
		req = (struct burrow_io_request *)(uintptr_t)cqe->user_data;
		req->more = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
		if (cqe->flags & IORING_CQE_F_BUFFER)
			req->buf = burrow_io_pool_taken(u->pool, cqe);
		if (burrow_unlikely(req->shot))
			burrow_io_shot(self, req, cqe->res,
				       cqe->flags & IORING_CQE_F_MORE);
		else
			burrow_io_complete(self, req, cqe->res);
		break;
	case TAG_WAKE:
		if (cqe->user_data == (u->arm << 3 | TAG_WAKE))
			u->armed_by = NULL;
		/* Before the lists are looked at: see burrow_io_kick(). */
		if (cqe->res > 0)
			__atomic_store_n(&u->ring.kicked, 0, __ATOMIC_SEQ_CST);
		break;
	default:
		break;
	}
}

static void reap(struct burrow_thread *self, struct uring *u)
{
	struct io_uring_cq *cq = &u->uring.cq;
	unsigned int head = *cq->khead, tail;

	for (;;) {
		tail = __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE);
		if (head == tail)
			break;
		while (head != tail)
			reap_one(self, u, &cq->cqes[head++ & cq->ring_mask]);
		__atomic_store_n(cq->khead, head, __ATOMIC_RELEASE);
	}
}

/* The read that ends our sleep when somebody kicks. */
static bool arm(struct burrow_thread *self, struct uring *u)
{
	struct io_uring_sqe *sqe;

	if (u->armed_by == self)
		return true;
	if (u->armed_by) {
		sqe = entry(u);
		if (!sqe)
			return false;
		io_uring_prep_cancel64(sqe, u->arm << 3 | TAG_WAKE, 0);
		sqe->user_data = TAG_IGNORE;
	}
	sqe = entry(u);
	if (!sqe)
		return false;
	io_uring_prep_read(sqe, u->ring.wake_fd, &u->count, sizeof(u->count),
			   0);
	sqe->user_data = ++u->arm << 3 | TAG_WAKE;
	u->armed_by = self;
	return true;
}

static void uring_sleep(struct burrow_thread *self, struct uring *u,
			int64_t until)
{
	struct io_uring_getevents_arg arg = { 0 };
	struct burrow_proc *proc = self->proc;
	struct __kernel_timespec ts;
	unsigned int submit;
	int64_t ns;

	if (!arm(self, u))
		return;
	submit = flush(&u->uring);
	if (until != BURROW_FOREVER) {
		ns = until - burrow_now();
		ns = ns < 0 ? 0 : ns;
		ts.tv_sec = ns / 1000000000;
		ts.tv_nsec = ns % 1000000000;
		arg.ts = (uintptr_t)&ts;
	}
	burrow_leave(self);
	io_uring_enter2(u->uring.ring_fd, submit, 1,
			IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
			(sigset_t *)&arg, sizeof(arg));
	burrow_reenter(self);
	if (self->proc == proc)
		reap(self, u);
}

/*
 * Whether to enter the kernel now: the more goes through at one go the better,
 * as long as there is anything else to run; but not later than the monitor's
 * next look at the clock.
 */
static bool is_worth_it(const struct uring *u)
{
	const struct io_uring_sq *sq = &u->uring.sq;
	unsigned int waiting, flags;

	waiting = sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_RELAXED);
	flags = __atomic_load_n(sq->kflags, __ATOMIC_RELAXED);
	if (!waiting && !(flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
		return false;
	return waiting >= burrow_io_uring_entries / 2 ||
	       burrow_runq_empty(u->ring.proc) ||
	       READ_ONCE(burrow_runtime.clock) != u->clock;
}

static void uring_poll(struct burrow_thread *self, struct burrow_io_ring *ring,
		       int64_t until)
{
	struct uring *u = of(ring);

	if (until) {
		/* Who sleeps leaves nothing that only it may know of. */
		assert(burrow_runq_empty(ring->proc));
		uring_sleep(self, u, until);
		return;
	}
	if (is_worth_it(u)) {
		u->clock = READ_ONCE(burrow_runtime.clock);
		enter(u, flush(&u->uring));
	}
	reap(self, u);
}

static int uring_open(struct burrow_io_ring *ring)
{
	struct uring *u = of(ring);
	struct io_uring_params p = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		.cq_entries = burrow_io_uring_cq_entries,
	};
	int ret;

	ret = io_uring_queue_init_params(burrow_io_uring_entries, &u->uring,
					 &p);
	if (ret)
		return ret;
	if ((p.features & FEATURES) != FEATURES) {
		io_uring_queue_exit(&u->uring);
		return -EOPNOTSUPP;
	}
	/* A child of fork() must not find the rings in its memory. */
	io_uring_ring_dontfork(&u->uring);
	return 0;
}

/*
 * Requests hold buffers on stacks that are about to go. Those of a thread that
 * is still in C code complete at its next tick.
 */
static void uring_close(struct burrow_io_ring *ring)
{
	struct __kernel_timespec ts = { .tv_nsec = 10000000 };
	struct io_uring_getevents_arg arg = { .ts = (uintptr_t)&ts };
	struct uring *u = of(ring);
	struct io_uring_sqe *sqe;

	while (ring->proc->io_busy) {
		sqe = entry(u);
		if (sqe) {
			io_uring_prep_cancel64(sqe, 0,
					       IORING_ASYNC_CANCEL_ANY |
						       IORING_ASYNC_CANCEL_ALL);
			sqe->user_data = TAG_IGNORE;
		}
		io_uring_enter2(u->uring.ring_fd, flush(&u->uring), 2,
				IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
				(sigset_t *)&arg, sizeof(arg));
		reap(NULL, u);
	}
	io_uring_queue_exit(&u->uring);
	burrow_io_pool_close(u->pool);
}

static bool is_nonblocking(const struct burrow_io_request *req)
{
	return (req->op == IO_RECV || req->op == IO_SEND) &&
	       req->flags & MSG_DONTWAIT;
}

/* What is likely to succeed at once is tried directly; -EAGAIN: it was not. */
static int64_t attempt(struct burrow_thread *self,
		       const struct burrow_io_request *req)
{
	uint8_t hints;
	ssize_t n;

	switch (req->op) {
	case IO_READ:
	case IO_WRITE:
		if (req->offset < 0 && !(burrow_file_hints(req) & HINT_REGULAR))
			return -EAGAIN;
		n = req->op == IO_READ ? burrow_io_try_read(req) :
					 burrow_io_try_write(req);
		return n == -EOPNOTSUPP ? -EAGAIN : n;
	case IO_RECV:
		hints = burrow_file_hints(req);
		if (req->lend)
			return -EAGAIN;
		if (!(hints & HINT_MORE) && !is_nonblocking(req))
			return -EAGAIN;
		n = recv(req->fd, req->buf, req->len,
			 req->flags | MSG_DONTWAIT);
		return n < 0 ? -errno : n;
	case IO_SEND:
		if (!burrow_runq_empty(self->proc) && !is_nonblocking(req))
			return -EAGAIN;
		n = send(req->fd, req->buf, req->len,
			 req->flags | MSG_DONTWAIT);
		return n < 0 ? -errno : n;
	default:
		return -EAGAIN;
	}
}

/* Some kernels don't wait on a descriptor that is non-blocking. */
static int64_t wait_ready(struct burrow_thread **self,
			  const struct burrow_io_request *req,
			  enum goroutine_reason why, int64_t deadline)
{
	struct burrow_io_request poll = {
		.op = IO_POLL,
		.fd = req->fd,
		.file = req->file,
		.flags = req->op == IO_WRITE || req->op == IO_SEND ? POLLOUT :
								     POLLIN,
	};

	return burrow_io_wait_one(self, &poll, why, deadline);
}

static int64_t uring_run(struct burrow_thread **self,
			 struct burrow_io_request *req,
			 enum goroutine_reason why, int64_t deadline)
{
	int64_t ret = attempt(*self, req);
	int tries = 0;

	if (ret != -EAGAIN || is_nonblocking(req))
		return ret;
	for (;;) {
		ret = burrow_io_wait_one(self, req, why, deadline);
		if (ret == -EBUSY && tries++ < BURROW_IO_START_TRIES) {
			*self = burrow_pass(*self);
			continue;
		}
		if (ret != -EAGAIN || req->op == IO_CONNECT ||
		    req->op == IO_OPENAT)
			return ret;
		ret = wait_ready(self, req, why, deadline);
		if (ret < 0 && ret != -EBUSY)
			return ret;
	}
}

const struct burrow_io_engine burrow_io_uring = {
	.name = "io_uring",
	.size = sizeof(struct uring),
	.provides = true,
	.open = uring_open,
	.close = uring_close,
	.run = uring_run,
	.start = uring_start,
	.cancel = uring_cancel,
	.poll = uring_poll,
};
