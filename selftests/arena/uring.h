/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of io_uring as the tests take: one request at a time, registered
 * buffers, by the bare system calls.
 */
#ifndef URING_H
#define URING_H

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "arena.h"

struct uring {
	int fd;
	bool async; /* hand requests to a worker thread of the kernel */
	unsigned int *sq_tail, *sq_mask, *sq_array;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static UNUSED void *uring_map(int fd, size_t bytes, uint64_t offset)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       offset);

	if (p == MAP_FAILED)
		die("cannot map a ring");
	return p;
}

/* 0, or a negative errno where io_uring may not be used. */
static UNUSED int uring_open(struct uring *u)
{
	struct io_uring_params p = { 0 };
	char *sq, *cq;

	u->async = false;
	u->fd = syscall(__NR_io_uring_setup, 8, &p);
	if (u->fd < 0)
		return -errno;
	sq = uring_map(u->fd, p.sq_off.array + p.sq_entries * sizeof(int),
		       IORING_OFF_SQ_RING);
	cq = uring_map(u->fd,
		       p.cq_off.cqes +
			       p.cq_entries * sizeof(struct io_uring_cqe),
		       IORING_OFF_CQ_RING);
	u->sqes = uring_map(u->fd, p.sq_entries * sizeof(struct io_uring_sqe),
			    IORING_OFF_SQES);
	u->sq_tail = (void *)(sq + p.sq_off.tail);
	u->sq_mask = (void *)(sq + p.sq_off.ring_mask);
	u->sq_array = (void *)(sq + p.sq_off.array);
	u->cq_head = (void *)(cq + p.cq_off.head);
	u->cq_tail = (void *)(cq + p.cq_off.tail);
	u->cq_mask = (void *)(cq + p.cq_off.ring_mask);
	u->cqes = (void *)(cq + p.cq_off.cqes);
	return 0;
}

static UNUSED void uring_submit(struct uring *u, int op, int fd, void *buffer,
				unsigned int n, uint64_t offset)
{
	unsigned int tail = *u->sq_tail, at = tail & *u->sq_mask;
	struct io_uring_sqe *sqe = &u->sqes[at];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)buffer;
	sqe->len = n;
	sqe->off = offset;
	if (u->async)
		sqe->flags = IOSQE_ASYNC;
	u->sq_array[at] = at;
	__atomic_store_n(u->sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, u->fd, 1, 0, 0, NULL, 0) != 1)
		die("io_uring_enter");
}

/* The result of the request that completes next. */
static UNUSED int uring_wait(struct uring *u)
{
	unsigned int head = *u->cq_head;
	int res;

	while (__atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE) == head)
		if (syscall(__NR_io_uring_enter, u->fd, 0, 1,
			    IORING_ENTER_GETEVENTS, NULL, 0) < 0 &&
		    errno != EINTR)
			die("io_uring_enter");
	res = u->cqes[head & *u->cq_mask].res;
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	return res;
}

static UNUSED int uring_do(struct uring *u, int op, int fd, void *buffer,
			   unsigned int n, uint64_t offset)
{
	uring_submit(u, op, fd, buffer, n, offset);
	return uring_wait(u);
}

/* Register one fixed buffer; 0 or a negative errno. */
static UNUSED int uring_register(struct uring *u, void *buffer, size_t n)
{
	struct iovec iov = { buffer, n };

	return syscall(__NR_io_uring_register, u->fd, IORING_REGISTER_BUFFERS,
		       &iov, 1) ?
		       -errno :
		       0;
}

static UNUSED int uring_unregister(struct uring *u)
{
	return syscall(__NR_io_uring_register, u->fd, IORING_UNREGISTER_BUFFERS,
		       NULL, 0) ?
		       -errno :
		       0;
}

#endif /* URING_H */
