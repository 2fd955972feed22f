// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Receiving into buffers of the library's, which the caller gives back.
 *
 * Who waits for data that may be long in coming holds no memory for it: the
 * kernel takes a buffer from the ring's pool (pool.c) when there is something.
 * Where it can't, or the pool is empty, the goroutine waits until the socket has
 * something, and receives into a buffer from malloc().
 *
 * Before the data of each lies a loan, which tells where it goes back to.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../debug/print.h"
#include "io.h"

static void *data_of(struct burrow_loan *loan)
{
	return loan + 1;
}

/* Takes what is there; -EAGAIN: nothing is. */
static int64_t receive(struct burrow_io_request *req)
{
	struct burrow_loan *loan = malloc(BURROW_LOAN_BYTES);
	ssize_t n;

	if (!loan)
		return -ENOMEM;
	loan->give = NULL;
	n = recv(req->fd, data_of(loan), req->len, MSG_DONTWAIT);
	if (n > 0) {
		req->buf = loan;
		return n;
	}
	if (n < 0)
		n = -errno;
	free(loan);
	return n;
}

/* Without the kernel's choosing. */
static int64_t receive_ready(struct burrow_thread **self,
			     struct burrow_io_request *req, int64_t deadline)
{
	struct burrow_io_request poll;
	int64_t n;

	while ((n = receive(req)) == -EAGAIN && !(req->flags & MSG_DONTWAIT)) {
		poll = (struct burrow_io_request){
			.op = IO_POLL,
			.fd = req->fd,
			.flags = POLLIN,
			.file = req->file,
		};
		n = burrow_io_wait_one(self, &poll, GOROUTINE_IO_READ,
				       deadline);
		if (n < 0)
			return n;
	}
	return n;
}

static int64_t lend(struct burrow_thread **self, struct burrow_io_request *req,
		    int64_t deadline)
{
	struct burrow_io_ring *ring;
	int64_t n;
	int err;

	ring = burrow_io_ring_get(*self, &err);
	if (!ring)
		return err;
	if (ring->engine->provides && !(req->flags & MSG_DONTWAIT)) {
		n = ring->engine->run(self, req, GOROUTINE_IO_READ, deadline);
		if (n != -ENOBUFS)
			return n;
	}
	return receive_ready(self, req, deadline);
}

ssize_t burrow_recv_take_deadline(int fd, void **buf, int flags,
				  int64_t deadline)
{
	struct burrow_thread *self = burrow_enter_try("burrow_recv_take");
	struct burrow_io_request req = {
		.op = IO_RECV,
		.fd = fd,
		.flags = flags,
		.len = BURROW_LOAN_BYTES - sizeof(struct burrow_loan),
		.offset = -1,
		.lend = true,
	};
	int64_t n;
	int err;

	if (!self)
		return -EPERM;
	*buf = NULL;
	req.file = burrow_file_get(&self, fd, deadline, &err);
	n = err;
	if (req.file) {
		n = flags & ~MSG_DONTWAIT ? -EINVAL :
					    lend(&self, &req, deadline);
		burrow_file_put(self, req.file);
	}
	burrow_leave(self);
	if (n > 0) {
		assert(req.buf);
		((struct burrow_loan *)req.buf)->out = true;
		*buf = data_of(req.buf);
	}
	return n;
}

ssize_t burrow_recv_take(int fd, void **buf, int flags)
{
	return burrow_recv_take_deadline(fd, buf, flags, BURROW_FOREVER);
}

void burrow_recv_give(void *buf)
{
	struct burrow_thread *self;
	struct burrow_loan *loan;

	if (!buf)
		return;
	loan = (struct burrow_loan *)buf - 1;
	self = burrow_enter("burrow_recv_give");
	if (!loan->out)
		burrow_misuse("burrow_recv_give", "given back twice");
	loan->out = false;
	if (loan->give)
		loan->give(loan);
	else
		free(loan);
	burrow_leave(self);
}
