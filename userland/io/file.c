// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The table of descriptors: who is at work on each, and how one is closed.
 *
 * Every call counts itself in file.state while it lasts. burrow_close() sets a
 * bit there, cancels all who wait, parks until it is the only one left, closes,
 * and takes the bit back. A call that finds the bit set waits until it is gone
 * and goes on then: it finds the number closed, or, if the number is already
 * somebody else's again, is that one's own. To turn it away at once would hit
 * the next owner, who may have got the number before the bit is gone.
 *
 * Hints are what the last call learnt of the descriptor. They may be wrong, as
 * plain close(2) tells us nothing, and then cost a system call.
 *
 * The table has two levels; entries never move, and go when the runtime stops.
 * Any goroutine may come here; file.lock is over the lists of an entry.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"

#define CHUNK 1024
#define CHUNKS (1 << 17) /* as many descriptors as a process can have */

static struct burrow_file *chunks[CHUNKS];

/* It holds nothing of the program's: the collector need not look. */
const void *burrow_files_table(size_t *bytes)
{
	*bytes = sizeof(chunks);
	return chunks;
}

/* All there are lie below; only grows. */
static int top;

struct burrow_file *burrow_file_of(int fd)
{
	struct burrow_file *chunk;

	chunk = __atomic_load_n(&chunks[fd / CHUNK], __ATOMIC_ACQUIRE);
	return chunk ? &chunk[fd % CHUNK] : NULL;
}

/* Two may come at once; the second one's is given back. */
static struct burrow_file *make(int fd)
{
	struct burrow_file *chunk, *none = NULL;
	size_t size = CHUNK * sizeof(*chunk);
	int old = __atomic_load_n(&top, __ATOMIC_RELAXED);

	while (old <= fd / CHUNK &&
	       !__atomic_compare_exchange_n(&top, &old, fd / CHUNK + 1, true,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;

	chunk = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (chunk == MAP_FAILED)
		return NULL;
	if (!__atomic_compare_exchange_n(&chunks[fd / CHUNK], &none, chunk,
					 false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		munmap(chunk, size);
	return burrow_file_of(fd);
}

/* But for the one who closes it. */
static bool is_alone(const struct burrow_file *file)
{
	return __atomic_load_n(&file->state, __ATOMIC_ACQUIRE) ==
	       (BURROW_FILE_CLOSING | 1);
}

/* The closer is alone now: let it go on. */
void burrow_file_wake_closer(struct burrow_thread *self,
			     struct burrow_file *file)
{
	struct goroutine *closer = NULL;

	burrow_lock_take(&file->lock);
	if (is_alone(file)) {
		closer = file->closer;
		file->closer = NULL;
	}
	burrow_lock_drop(&file->lock);
	if (closer)
		burrow_ready(self, closer);
}

/* Waits until it is closed. 0, -ETIMEDOUT, -ENOMEM. */
static int wait_barred(struct burrow_thread **self, struct burrow_file *file,
		       int64_t deadline)
{
	burrow_lock_take(&file->lock);
	if (!(__atomic_load_n(&file->state, __ATOMIC_ACQUIRE) &
	      BURROW_FILE_CLOSING)) {
		burrow_lock_drop(&file->lock);
		return 0;
	}
	return burrow_wait(self, &file->lock, &file->barred, GOROUTINE_IO_CLOSE,
			   deadline);
}

struct burrow_file *burrow_file_get(struct burrow_thread **self, int fd,
				    int64_t deadline, int *err)
{
	struct burrow_file *file;

	*err = -EBADF;
	if (burrow_unlikely(fd < 0 || fd / CHUNK >= CHUNKS))
		return NULL;
	file = burrow_file_of(fd);
	if (burrow_unlikely(!file))
		file = make(fd);
	*err = -ENOMEM;
	if (burrow_unlikely(!file))
		return NULL;
	while (burrow_unlikely(burrow_file_count(file, 1) &
			       BURROW_FILE_CLOSING)) {
		burrow_file_put(*self, file);
		*err = wait_barred(self, file, deadline);
		if (*err)
			return NULL;
	}
	return file;
}

uint8_t burrow_file_ask(struct burrow_file *file, int fd)
{
	uint8_t hints;
	struct stat st;

	hints = HINT_KNOWN;
	if (!fstat(fd, &st)) {
		if (S_ISSOCK(st.st_mode))
			hints |= HINT_SOCKET;
		else if (S_ISREG(st.st_mode))
			hints |= HINT_REGULAR;
	}
	__atomic_store_n(&file->hints, hints, __ATOMIC_RELAXED);
	return hints;
}

bool burrow_file_link(struct burrow_io_request *req, int proc)
{
	struct burrow_file *file = req->file;
	bool open;

	req->waiter->index = proc;
	burrow_lock_take(&file->lock);
	open = !(__atomic_load_n(&file->state, __ATOMIC_ACQUIRE) &
		 BURROW_FILE_CLOSING);
	if (open)
		burrow_waitq_push(&file->waiting, req->waiter);
	burrow_lock_drop(&file->lock);
	return open;
}

void burrow_file_unlink(struct burrow_io_request *req)
{
	struct burrow_file *file = req->file;

	burrow_lock_take(&file->lock);
	burrow_waitq_remove(&file->waiting, req->waiter);
	burrow_lock_drop(&file->lock);
}

void burrow_file_fresh(int fd, uint8_t hints)
{
	struct burrow_file *file = burrow_file_of(fd);

	if (file)
		__atomic_store_n(&file->hints, hints, __ATOMIC_RELAXED);
}

/* From here on nobody but the one who set it is let in. */
static int set_closing(struct burrow_thread **self, struct burrow_file *file,
		       int64_t deadline)
{
	int ret;

	for (;;) {
		burrow_lock_take(&file->lock);
		if (!(__atomic_fetch_or(&file->state, BURROW_FILE_CLOSING,
					__ATOMIC_ACQ_REL) &
		      BURROW_FILE_CLOSING))
			return 0;
		/* Another closes it; we hold it up until we are out. */
		burrow_lock_drop(&file->lock);
		burrow_file_put(*self, file);
		ret = wait_barred(self, file, deadline);
		if (ret)
			return ret;
		burrow_file_count(file, 1);
	}
}

/**
 * struct closing - one call of burrow_close(), while it waits
 * @file:	what is closed
 * @late:	its deadline has passed; under file.lock
 */
struct closing {
	struct burrow_file *file;
	bool late;
};

static void closer_timeout(struct burrow_thread *self,
			   struct burrow_timeout *timeout)
{
	struct goroutine *g =
		(struct goroutine *)((char *)timeout -
				     offsetof(struct goroutine, timeout));
	struct closing *closing = g->waiter.elem;
	struct burrow_file *file = closing->file;
	bool waits;

	burrow_lock_take(&file->lock);
	closing->late = true;
	waits = file->closer == g;
	if (waits)
		file->closer = NULL;
	burrow_lock_drop(&file->lock);
	if (waits)
		burrow_ready(self, g);
}

/* Nobody runs on its stack any more: it can be woken, if not at once. */
static void closer_parked(struct goroutine *g, void *arg)
{
	struct closing *closing = arg;
	struct burrow_file *file = closing->file;
	bool go_on;

	burrow_lock_take(&file->lock);
	go_on = is_alone(file) || closing->late;
	if (!go_on)
		file->closer = g;
	burrow_lock_drop(&file->lock);
	if (go_on)
		burrow_ready(burrow_self(), g);
}

/* 0 or -ETIMEDOUT, -ENOMEM. */
static int wait_alone(struct burrow_thread **self, struct burrow_file *file,
		      int64_t deadline)
{
	struct closing closing = { .file = file };
	struct goroutine *g = (*self)->current;
	int ret;

	if (is_alone(file))
		return 0;
	g->waiter.elem = &closing;
	g->timeout.fire = closer_timeout;
	if (deadline != BURROW_FOREVER) {
		ret = burrow_timeout_set(*self, &g->timeout, deadline);
		if (ret)
			return ret;
	}
	*self = burrow_park_call(*self, GOROUTINE_IO_CLOSE, closer_parked,
				 &closing);
	if (deadline != BURROW_FOREVER)
		burrow_timeout_cancel(&g->timeout);
	return is_alone(file) ? 0 : -ETIMEDOUT;
}

static void cancel_all(struct burrow_file *file)
{
	struct burrow_waiter *w;
	struct burrow_io_request *req;

	for (w = file->waiting.first; w; w = w->next) {
		req = w->elem;
		burrow_io_cancel(req->call, IO_CLOSED);
	}
}

static void end_closing(struct burrow_thread *self, struct burrow_file *file)
{
	struct burrow_waiter *w;

	burrow_lock_take(&file->lock);
	__atomic_and_fetch(&file->state, ~BURROW_FILE_CLOSING,
			   __ATOMIC_ACQ_REL);
	while ((w = file->barred.first))
		burrow_wake(self, w, 0);
	burrow_lock_drop(&file->lock);
	burrow_file_put(self, file);
}

/* The others are out: closes it, from outside as it may take time. */
static int close_now(struct burrow_thread **self, struct burrow_file *file,
		     int fd)
{
	int ret;

	__atomic_store_n(&file->hints, 0, __ATOMIC_RELAXED);
	burrow_leave(*self);
	ret = close(fd) ? -errno : 0;
	*self = burrow_enter("burrow_close");
	/* The descriptor is gone all the same. */
	return ret == -EINTR ? 0 : ret;
}

static int close_file(struct burrow_thread **self, int fd, int64_t deadline)
{
	struct burrow_file *file;
	int ret;

	file = burrow_file_get(self, fd, deadline, &ret);
	if (!file)
		return ret;
	ret = set_closing(self, file, deadline);
	if (ret)
		return ret;
	cancel_all(file);
	burrow_lock_drop(&file->lock);
	burrow_io_kick_mailed((*self)->proc->io);
	ret = wait_alone(self, file, deadline);
	if (!ret)
		ret = close_now(self, file, fd);
	end_closing(*self, file);
	return ret;
}

int burrow_close_deadline(int fd, int64_t deadline)
{
	struct burrow_thread *self = burrow_enter_try("burrow_close");
	int ret;

	if (!self)
		return -EPERM;
	ret = close_file(&self, fd, deadline);
	burrow_leave(self);
	return ret;
}

int burrow_close(int fd)
{
	return burrow_close_deadline(fd, BURROW_FOREVER);
}

void burrow_files_close(void)
{
	int i;

	for (i = 0; i < top; i++) {
		if (!chunks[i])
			continue;
		munmap(chunks[i], CHUNK * sizeof(chunks[i][0]));
		chunks[i] = NULL;
	}
}
