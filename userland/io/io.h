/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input and output: requests, calls, rings and engines.
 *
 * A goroutine that cannot have at once what it asks for fills in requests, one
 * or (poll) several, which make a call; the engine starts them, the goroutine
 * parks, and when all of them are completed it is made ready. All of it lies on
 * the goroutine's own stack or in its descriptor: it waits, so it stays. A call
 * that is to end early (its deadline is past, its descriptor is being closed) is
 * cancelled, and still returns only when its requests have completed: the kernel
 * may own the buffers until then.
 *
 * Each processor has a ring, made at its first I/O, with everything that is in
 * flight from there. Only the holder of the processor touches it, inside; so a
 * request is completed by the holder of the processor that it was started on,
 * and by nobody else, and starting and completing need no lock. What others want
 * of a ring they leave in two places: calls to be cancelled on a list under the
 * ring's lock (@mail), requests that a helper thread has done on a lock-free
 * stack (@done); then they kick, and the holder looks there when it polls.
 *
 * Two engines do the rest. io_uring (uring.c): a request is an entry of the
 * submission queue; what goroutines ask for is collected until the scheduler
 * polls, so that one system call submits for all of them, and sleeps too where
 * there is nothing to run. epoll (epoll.c), where io_uring is not allowed: a
 * request waits for readiness, or is done by a thread of the pool (helper.c).
 * Which one it is, is settled at the first I/O of a run by trying.
 *
 * Whose ring: one a processor and not one for all, for it would be a lock in
 * every path; not one a thread, for a thread that hogs a CPU would hold up what
 * was started on it. The ring has neither SINGLE_ISSUER nor DEFER_TASKRUN: with
 * these a request completes only when the thread that submitted it enters the
 * kernel on the ring's behalf. COOP_TASKRUN is safe: that thread completes it
 * whenever it comes out of the kernel for any reason, at the latest at its next
 * timer tick, and is not interrupted for each.
 *
 * Descriptors (file.c) have an entry each in a table: who waits on them, and
 * whether one is being closed. No socket or pipe is registered anywhere beyond
 * the request that waits on it: plain close(2) by some library leaves nothing
 * behind that could be mistaken for the descriptor's next owner.
 *
 * Locks, outer before inner: a file's, a ring's.
 */
#ifndef BURROW_IO_INTERNAL_H
#define BURROW_IO_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "../sched/sched.h"

struct burrow_file;
struct burrow_helper_job;
struct burrow_io_call;
struct burrow_io_pool;
struct burrow_io_ring;
struct burrow_loan;

/* As read(2) and write(2) limit it, and what fits into a ring's entry. */
#define BURROW_IO_LEN_MAX 0x7ffff000UL

enum burrow_io_op {
	IO_READ,
	IO_WRITE,
	IO_RECV,
	IO_SEND,
	IO_ACCEPT,
	IO_CONNECT,
	IO_OPENAT,
	IO_FSYNC,
	IO_POLL,
	IO_RESOLVE, /* getaddrinfo(), always by a helper */
};

/**
 * struct burrow_io_request - one thing that is asked for
 * @op:		what
 * @fd:		of which descriptor (openat: relative to which)
 * @flags:	MSG_*, O_*, SOCK_*; poll: POLL*
 * @mode:	of a file that is made
 * @buf:	data, path or address
 * @len:	bytes there
 * @offset:	in the file, -1: its position
 * @addr_len:	accept: in and out
 * @result:	as the system call's, or a negative errno
 * @state:	enum burrow_io_state; the ring's holder's
 * @more:	receive: there was more when it was done
 * @lend:	receive: into a buffer of the ring's; @buf: its loan, when done
 * @file:	the descriptor's entry, NULL: it is not waited for on one
 * @call:	what it is part of
 * @waiter:	its place in the file's list; result: what epoll waits for
 * @job:	what a helper is to do, NULL: the engine does it
 * @next:	on the ring's @done
 * @shot:	it is completed many times, each time by this, under no lock, and
 *		no longer in flight when @more is false; NULL: once
 */
struct burrow_io_request {
	uint8_t op;
	uint8_t state;
	bool more;
	bool lend;
	int fd;
	int flags;
	mode_t mode;
	void *buf;
	size_t len;
	int64_t offset;
	socklen_t *addr_len;
	int64_t result;
	struct burrow_file *file;
	struct burrow_io_call *call;
	struct burrow_waiter *waiter;
	struct burrow_helper_job *job;
	struct burrow_io_request *next;
	void (*shot)(struct burrow_thread *self, struct burrow_io_request *req,
		     int64_t result, bool more);
};

enum burrow_io_state {
	IO_IDLE, /* not started, or completed */
	IO_STARTED, /* with the kernel */
	IO_HELPED, /* with a helper */
};

/* Why a call was cancelled. */
enum burrow_io_why {
	IO_NOT = 0,
	IO_TIMEOUT,
	IO_CLOSED,
	IO_ENOUGH, /* poll: one of several is ready */
};

/**
 * struct burrow_io_call - requests that a goroutine waits for
 * @g:		who waits
 * @ring:	where they are in flight
 * @requests:	they
 * @count:	how many
 * @left:	of them not completed; the ring's holder's
 * @deadline:	BURROW_FOREVER or a time
 * @why:	enum burrow_io_why; under the ring's lock
 * @mailed:	on the ring's list; under its lock
 * @next:	there
 * @prev:	there
 */
struct burrow_io_call {
	struct goroutine *g;
	struct burrow_io_ring *ring;
	struct burrow_io_request *requests;
	uint32_t count;
	uint32_t left;
	int64_t deadline;
	uint8_t why;
	bool mailed;
	struct burrow_io_call *next;
	struct burrow_io_call *prev;
};

/**
 * struct burrow_io_engine - how requests are done
 * @name:	as doctor and the documentation call it
 * @size:	of its rings
 * @provides:	it knows requests that are completed many times, and lends
 *		buffers (-ENOBUFS: not now)
 * @open:	makes a ring of this engine's kind: 0 or a negative errno
 * @close:	at the end of a run: nothing is in flight when it returns
 * @run:	does one request in the goroutine's name and waits for it; the
 *		result. *self changes as with burrow_park()
 * @start:	sets a request going. 0; else a negative errno, and it is not
 * @cancel:	a call is to end. True: nothing more can be done about it; false:
 *		ask again in a millisecond
 * @poll:	as burrow_io_poll(), but for the lists
 */
struct burrow_io_engine {
	const char *name;
	size_t size;
	bool provides;
	int (*open)(struct burrow_io_ring *ring);
	void (*close)(struct burrow_io_ring *ring);
	int64_t (*run)(struct burrow_thread **self,
		       struct burrow_io_request *req, enum goroutine_reason why,
		       int64_t deadline);
	int (*start)(struct burrow_io_ring *ring,
		     struct burrow_io_request *req);
	bool (*cancel)(struct burrow_thread *self, struct burrow_io_ring *ring,
		       struct burrow_io_call *call);
	void (*poll)(struct burrow_thread *self, struct burrow_io_ring *ring,
		     int64_t until);
};

extern const struct burrow_io_engine burrow_io_uring;
extern const struct burrow_io_engine burrow_io_epoll;

/**
 * struct burrow_io_ring - what is in flight from one processor
 * @proc:	whose it is
 * @engine:	how it is done
 * @lock:	over @mail and what its calls say is under it
 * @mail:	calls to be cancelled; read for NULL without the lock too
 * @mail_last:	the end of that list
 * @done:	requests that helpers have done; atomic
 * @kicked:	the eventfd has been written and not been seen; atomic
 * @wake_fd:	eventfd that ends the wait
 *
 * The first part of an engine's own struct.
 */
struct burrow_io_ring {
	struct burrow_proc *proc;
	const struct burrow_io_engine *engine;
	struct burrow_lock lock;
	struct burrow_io_call *mail;
	struct burrow_io_call *mail_last;
	struct burrow_io_request *done;
	uint32_t kicked;
	int wake_fd;
};

/* Sizes of an io_uring; tests make them small. */
extern unsigned int burrow_io_uring_entries;
extern unsigned int burrow_io_uring_cq_entries;

/* ring.c: the processor's ring, made if need be; NULL: *@err says why. */
struct burrow_io_ring *burrow_io_ring_make(struct burrow_thread *self,
					   int *err);

static inline struct burrow_io_ring *
burrow_io_ring_get(struct burrow_thread *self, int *err)
{
	struct burrow_io_ring *ring = self->proc->io;

	return burrow_likely(!!ring) ? ring : burrow_io_ring_make(self, err);
}

/* For doctor: makes a ring and takes it down again. 0 or a negative errno. */
int burrow_io_engine_try(const struct burrow_io_engine *engine);

/*
 * wait.c. Starts the requests of @call, parks until all are completed, and
 * takes them off all lists. 0; or a negative errno: none was started. Then each
 * has its result; -ETIMEDOUT or -ECANCELED where it was cancelled.
 */
int burrow_io_wait(struct burrow_thread **self, struct burrow_io_call *call,
		   enum goroutine_reason why);

/* The same for one request; its result, or the errno. */
int64_t burrow_io_wait_one(struct burrow_thread **self,
			   struct burrow_io_request *req,
			   enum goroutine_reason why, int64_t deadline);

/* For the ring's holder, or without one at the end (@self NULL). */
void burrow_io_complete(struct burrow_thread *self,
			struct burrow_io_request *req, int64_t result);

/* The same for one that is completed many times. */
void burrow_io_shot(struct burrow_thread *self, struct burrow_io_request *req,
		    int64_t result, bool more);

/* By the ring's holder: one more request of @call is in flight. */
static inline void burrow_io_begun(struct burrow_io_call *call)
{
	struct burrow_proc *proc = call->ring->proc;

	call->left++;
	__atomic_store_n(&proc->io_busy, proc->io_busy + 1, __ATOMIC_RELAXED);
}

/* For whoever is inside and knows that @call has not been taken off its lists. */
void burrow_io_cancel(struct burrow_io_call *call, enum burrow_io_why why);

/* Takes it off the ring's list; nobody can cancel it any more. */
void burrow_io_forget(struct burrow_io_call *call);

/* Kicks all rings but @own that have mail. */
void burrow_io_kick_mailed(const struct burrow_io_ring *own);

/* From a helper: the ring's holder completes it. */
void burrow_io_post(struct burrow_io_ring *ring, struct burrow_io_request *req);

/**
 * struct burrow_file - a descriptor's entry
 * @state:	calls that are under way, and IO_CLOSING; atomic
 * @hints:	enum burrow_file_hint: what is likely; never relied on
 * @lock:	over what follows
 * @waiting:	requests in flight: their waiters; elem is the request, index
 *		the processor's
 * @barred:	who wants to begin a call while it is being closed
 * @closer:	waits until it is alone
 */
struct burrow_file {
	uint32_t state;
	uint8_t hints;
	struct burrow_lock lock;
	struct burrow_waitq waiting;
	struct burrow_waitq barred;
	struct goroutine *closer;
} __attribute__((aligned(64)));

#define BURROW_FILE_CLOSING (1U << 31)

enum burrow_file_hint {
	HINT_KNOWN = 1, /* the next two have been found out */
	HINT_SOCKET = 2,
	HINT_REGULAR = 4,
	HINT_MORE = 8, /* the last receive left something */
};

/*
 * file.c. get: begins a call; NULL: *@err says why. put: ends it. Between the
 * two the descriptor is not closed by burrow_close().
 */
struct burrow_file *burrow_file_get(struct burrow_thread **self, int fd,
				    int64_t deadline, int *err);
void burrow_file_wake_closer(struct burrow_thread *self,
			     struct burrow_file *file);

/* How many calls there are now, and the bit. */
static inline uint32_t burrow_file_count(struct burrow_file *file, int by)
{
	if (burrow_solo)
		return file->state += by;
	return __atomic_add_fetch(&file->state, by, __ATOMIC_ACQ_REL);
}

static inline void burrow_file_put(struct burrow_thread *self,
				   struct burrow_file *file)
{
	if (burrow_unlikely(burrow_file_count(file, -1) ==
			    (BURROW_FILE_CLOSING | 1)))
		burrow_file_wake_closer(self, file);
}

/* The entry of a descriptor, NULL: it has none. */
struct burrow_file *burrow_file_of(int fd);

/* What is likely of it, found out by asking the first time. */
uint8_t burrow_file_ask(struct burrow_file *file, int fd);

static inline uint8_t burrow_file_hints(const struct burrow_io_request *req)
{
	uint8_t hints = __atomic_load_n(&req->file->hints, __ATOMIC_RELAXED);

	return burrow_likely(hints & HINT_KNOWN) ?
		       hints :
		       burrow_file_ask(req->file, req->fd);
}

/* False: it is being closed, the request must not start. */
bool burrow_file_link(struct burrow_io_request *req, int proc);
void burrow_file_unlink(struct burrow_io_request *req);

/* What is known of a descriptor now, for one that may have an entry. */
void burrow_file_fresh(int fd, uint8_t hints);

/* Forgets all; when no thread is inside for good. */
void burrow_files_close(void);
void burrow_listeners_close(void);

/**
 * struct burrow_loan - before the data of a buffer that is lent
 * @give:	puts it back where it came from; NULL: it is malloc()'s
 * @pool:	that
 * @index:	its number there
 * @out:	the program has it
 */
struct burrow_loan {
	void (*give)(struct burrow_loan *loan);
	struct burrow_io_pool *pool;
	uint32_t index;
	bool out;
} __attribute__((aligned(64)));

#define BURROW_LOAN_BYTES 4096UL /* and the data behind it */

#define BURROW_IO_START_TRIES 1000 /* while the kernel takes no requests */

/**
 * struct burrow_helper_job - something a thread of the pool does
 * @run:	what; the result
 * @drop:	frees a job that was abandoned; NULL: it can't be
 * @request:	for whom, NULL: nobody any more; under the pool's lock
 * @next:	queue; under that lock
 * @thread:	who is at it, NULL: nobody; under that lock
 */
struct burrow_helper_job {
	int64_t (*run)(struct burrow_helper_job *job);
	void (*drop)(struct burrow_helper_job *job);
	struct burrow_io_request *request;
	struct burrow_helper_job *next;
	struct burrow_helper *thread;
};

/*
 * helper.c. start: 0 or -ENOMEM (no thread can be had). cancel: by the ring's
 * holder, for a request with a job: completes it if it was not begun or can be
 * abandoned, and true; else false: a thread is at it, and has been sent a signal
 * to come out of its system call. flush: at the end, until no job of the ring's
 * is left.
 */
int burrow_helper_start(struct burrow_helper_job *job);
bool burrow_helper_cancel(struct burrow_thread *self,
			  struct burrow_io_request *req);
void burrow_helper_flush(struct burrow_io_ring *ring);

/* Reads or writes at once or not at all: -EAGAIN, -EOPNOTSUPP. */
int64_t burrow_io_try_read(const struct burrow_io_request *req);
int64_t burrow_io_try_write(const struct burrow_io_request *req);

#endif /* BURROW_IO_INTERNAL_H */
