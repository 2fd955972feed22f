// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The buffers that the kernel may receive into, of one io_uring.
 *
 * They stand in a ring that is shared with the kernel: it takes one when a
 * receive finds data, and whoever is done with it puts it back, on whatever
 * processor that is, under the pool's lock. Made at the first receive that asks
 * for one; goes with the io_uring, when nobody can give one back any more.
 */
#define _GNU_SOURCE
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "io.h"
#include "pool.h"

#define BUFFERS 64 /* a power of two */
#define GROUP 0
#define RING_BYTES 4096UL

/**
 * struct burrow_io_pool - the buffers of one io_uring
 * @lock:	over putting them back
 * @ring:	shared with the kernel
 * @loans:	the buffers
 */
struct burrow_io_pool {
	struct burrow_lock lock;
	struct io_uring_buf_ring *ring;
	char *loans;
};

static struct burrow_loan *loan_of(const struct burrow_io_pool *pool,
				   unsigned int i)
{
	return (struct burrow_loan *)(pool->loans + i * BURROW_LOAN_BYTES);
}

static void put(struct burrow_io_pool *pool, struct burrow_loan *loan)
{
	io_uring_buf_ring_add(pool->ring, loan + 1,
			      BURROW_LOAN_BYTES - sizeof(*loan), loan->index,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	/* Pairs with the kernel's reading of the tail. */
	io_uring_buf_ring_advance(pool->ring, 1);
}

static void give(struct burrow_loan *loan)
{
	struct burrow_io_pool *pool = loan->pool;

	burrow_lock_take(&pool->lock);
	put(pool, loan);
	burrow_lock_drop(&pool->lock);
}

static void fill(struct burrow_io_pool *pool)
{
	struct burrow_loan *loan;
	unsigned int i;

	io_uring_buf_ring_init(pool->ring);
	for (i = 0; i < BUFFERS; i++) {
		loan = loan_of(pool, i);
		loan->give = give;
		loan->pool = pool;
		loan->index = i;
		put(pool, loan);
	}
}

struct burrow_io_pool *burrow_io_pool_open(struct io_uring *uring)
{
	struct burrow_io_pool *pool = malloc(sizeof(*pool));
	struct io_uring_buf_reg reg = {
		.ring_entries = BUFFERS,
		.bgid = GROUP,
	};
	char *mem;

	if (!pool)
		return NULL;
	mem = mmap(NULL, RING_BYTES + BUFFERS * BURROW_LOAN_BYTES,
		   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.ring_addr = (uintptr_t)mem;
	if (mem == MAP_FAILED || io_uring_register_buf_ring(uring, &reg, 0)) {
		if (mem != MAP_FAILED)
			munmap(mem, RING_BYTES + BUFFERS * BURROW_LOAN_BYTES);
		free(pool);
		return NULL;
	}
	/* A child of fork() must not write where our kernel reads. */
	madvise(mem, RING_BYTES, MADV_DONTFORK);
	*pool = (struct burrow_io_pool){
		.ring = (struct io_uring_buf_ring *)mem,
		.loans = mem + RING_BYTES,
	};
	fill(pool);
	return pool;
}

void burrow_io_pool_close(struct burrow_io_pool *pool)
{
	if (!pool)
		return;
	munmap(pool->ring, RING_BYTES + BUFFERS * BURROW_LOAN_BYTES);
	free(pool);
}

void burrow_io_pool_ask(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
}

struct burrow_loan *burrow_io_pool_taken(struct burrow_io_pool *pool,
					 const struct io_uring_cqe *cqe)
{
	struct burrow_loan *loan;

	loan = loan_of(pool, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	if (cqe->res > 0)
		return loan;
	give(loan);
	return NULL;
}
