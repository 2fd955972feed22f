/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The buffers of one io_uring: pool.c. For uring.c alone. */
#ifndef BURROW_IO_POOL_H
#define BURROW_IO_POOL_H

struct burrow_io_pool;
struct burrow_loan;
struct io_uring;
struct io_uring_cqe;
struct io_uring_sqe;

/* NULL: the kernel has no such rings, or there is no memory. */
struct burrow_io_pool *burrow_io_pool_open(struct io_uring *uring);

/* When nothing is in flight; what the program still has goes too. NULL: none. */
void burrow_io_pool_close(struct burrow_io_pool *pool);

/* The receive in @sqe takes a buffer of the pool. */
void burrow_io_pool_ask(struct io_uring_sqe *sqe);

/* Which one it took; NULL: nothing came, and it is back. */
struct burrow_loan *burrow_io_pool_taken(struct burrow_io_pool *pool,
					 const struct io_uring_cqe *cqe);

#endif /* BURROW_IO_POOL_H */
