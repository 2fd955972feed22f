// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Channels.
 *
 * As Go's (runtime/chan.go): a lock, a ring of elements, a queue of those who
 * wait to send and one of those who wait to receive. Whoever finds a partner
 * waiting copies the element straight from or to where the partner has it,
 * which may be the partner's stack, and makes it ready; nothing goes through a
 * buffer that nobody needs. So those who wait are served in order, and who was
 * served has its result in its waiter when it runs again.
 *
 * A channel is an object of the collected heap, allocated outside of the runtime.
 * What leads to it while somebody waits in it: his waiter, which the collector looks
 * at (gc/stacks.c), or the cell of his select, and so it does to the element that
 * he gives. A timer that sends to one points to it, a context has one inside.
 *
 * Lock: the channel's own. A select holds several, in the order of their
 * addresses. A partner is made ready after the lock was dropped.
 */
#include "cell.h"
#include "chan.h"
#include "woken.h"

/* With the object's header it still is a size that pointers can span. */
#define BYTES_MAX ((size_t)PTRDIFF_MAX / 2)

/*
 * An object of the collected heap, allocated outside of the runtime. What points to
 * it while somebody waits: his waiter (gc/stacks.c), a select's cell, a timer.
 */
static inline struct burrow_chan *make(size_t elem_size, size_t capacity)
{
	size_t bytes = elem_size * capacity;
	struct burrow_chan *ch;

	/* Small numbers have a small product: looked at before others are. */
	if (burrow_unlikely((elem_size | capacity) >> 31) &&
	    (__builtin_mul_overflow(elem_size, capacity, &bytes) ||
	     bytes > BYTES_MAX))
		return NULL;
	/* Elements that can't be pointers are not looked at, nor is our part. */
	if (elem_size < sizeof(void *) || !capacity)
		ch = burrow_try_alloc_noscan(sizeof(*ch) + bytes);
	else
		ch = burrow_try_alloc(sizeof(*ch) + bytes);
	if (burrow_unlikely(!ch))
		return NULL;
	ch->elem_size = elem_size;
	ch->capacity = capacity;
	ch->bytes = bytes;
	return ch;
}

struct burrow_chan *burrow_chan_make(size_t elem_size, size_t capacity)
{
	return make(elem_size, capacity);
}

struct burrow_chan *burrow_chan_new(size_t elem_size, size_t capacity)
{
	struct burrow_chan *ch = make(elem_size, capacity);

	/* A thread without goroutines has no memory of the heap's. */
	if (burrow_unlikely(!ch) && !burrow_self())
		burrow_enter_refuse("burrow_chan_new");
	return ch;
}

/* A queue that nobody else knows. */
struct never {
	struct burrow_cell cell;
	struct burrow_lock lock;
	struct burrow_waitq queue;
};

int burrow_chan_never(struct burrow_thread **self, enum goroutine_reason why,
		      int64_t deadline)
{
	struct never *never;
	int ret;

	if (deadline == BURROW_FOREVER) {
		for (;;)
			*self = burrow_park(*self, why, NULL);
	}
	never = (struct never *)burrow_cell_get(*self, sizeof(*never));
	if (!never)
		return -ENOMEM;
	never->lock = (struct burrow_lock){ 0 };
	never->queue = (struct burrow_waitq){ 0 };
	burrow_lock_take(&never->lock);
	ret = burrow_wait(self, &never->lock, &never->queue, why, deadline);
	burrow_cell_put(*self, &never->cell, sizeof(*never));
	return ret;
}

/*
 * The ways out for those who must wait. They leave the runtime, too, so that the
 * calls of the API end in them, and pass what they hold in registers.
 */
static __attribute__((noinline)) int wait_on_nil(struct burrow_thread *self,
						 enum goroutine_reason why,
						 int64_t deadline)
{
	int ret = burrow_chan_never(&self, why, deadline);

	burrow_leave(self);
	return ret;
}

/* Both under the lock, which is dropped. Who closes the channel clears @elem. */
static inline int wait_in(struct burrow_thread *self, struct burrow_chan *ch,
			  struct burrow_waitq *queue, void *elem,
			  enum goroutine_reason why)
{
	int ret;

	self->current->waiter.elem = elem;
	self = burrow_wait_in(self, &ch->lock, queue, why);
	ret = self->current->waiter.result;
	burrow_leave(self);
	return ret;
}

static __attribute__((noinline)) int
wait_until(struct burrow_thread *self, struct burrow_chan *ch,
	   struct burrow_waitq *queue, void *elem, enum goroutine_reason why,
	   int64_t deadline)
{
	int ret;

	self->current->waiter.elem = elem;
	ret = burrow_wait(&self, &ch->lock, queue, why, deadline);
	burrow_leave(self);
	return ret;
}

static __attribute__((noinline)) int wait_to_send(struct burrow_thread *self,
						  struct burrow_chan *ch,
						  const void *elem)
{
	return wait_in(self, ch, &ch->senders, (void *)elem,
		       GOROUTINE_CHAN_SEND);
}

static __attribute__((noinline)) int
wait_to_recv(struct burrow_thread *self, struct burrow_chan *ch, void *elem)
{
	return wait_in(self, ch, &ch->receivers, elem, GOROUTINE_CHAN_RECV);
}

int burrow_chan_send_leave(struct burrow_thread *self, struct burrow_chan *ch,
			   const void *elem, int64_t deadline)
{
	int ret;

	if (burrow_unlikely(!ch))
		return wait_on_nil(self, GOROUTINE_CHAN_SEND_NIL, deadline);
	burrow_lock_take(&ch->lock);
	ret = burrow_chan_send_now(self, ch, elem);
	if (ret != -EAGAIN)
		burrow_leave(self);
	else if (deadline == BURROW_FOREVER)
		ret = wait_to_send(self, ch, elem);
	else
		ret = wait_until(self, ch, &ch->senders, (void *)elem,
				 GOROUTINE_CHAN_SEND, deadline);
	return ret;
}

int burrow_chan_recv_leave(struct burrow_thread *self, struct burrow_chan *ch,
			   void *elem, int64_t deadline)
{
	int ret;

	if (burrow_unlikely(!ch))
		return wait_on_nil(self, GOROUTINE_CHAN_RECV_NIL, deadline);
	burrow_lock_take(&ch->lock);
	ret = burrow_chan_recv_now(self, ch, elem);
	if (ret != -EAGAIN)
		burrow_leave(self);
	else if (deadline == BURROW_FOREVER)
		ret = wait_to_recv(self, ch, elem);
	else
		ret = wait_until(self, ch, &ch->receivers, elem,
				 GOROUTINE_CHAN_RECV, deadline);
	return ret;
}

/* Whatever is out of the ordinary. */
static __attribute__((noinline)) int send_slow(struct burrow_chan *ch,
					       const void *elem)
{
	struct burrow_thread *self = burrow_enter_try("burrow_chan_send");

	if (!self)
		return -EPERM;
	return burrow_chan_send_leave(self, ch, elem, BURROW_FOREVER);
}

static __attribute__((noinline)) int recv_slow(struct burrow_chan *ch,
					       void *elem)
{
	struct burrow_thread *self = burrow_enter_try("burrow_chan_recv");

	if (!self)
		return -EPERM;
	return burrow_chan_recv_leave(self, ch, elem, BURROW_FOREVER);
}

/* True: to be done by the quick way, with the lock held. */
static inline bool is_quick(const struct burrow_thread *self,
			    struct burrow_chan *ch)
{
	return burrow_likely(self) && burrow_likely(ch) &&
	       burrow_likely(ch->elem_size == sizeof(uint64_t)) &&
	       burrow_likely(burrow_lock_try(&ch->lock));
}

int burrow_chan_send(struct burrow_chan *ch, const void *elem)
{
	struct burrow_thread *self = burrow_enter_quick();
	struct goroutine *served;
	int ret;

	if (burrow_unlikely(!is_quick(self, ch)))
		return send_slow(ch, elem);
	ret = burrow_chan_send_word(ch, elem, true, &served);
	if (ret == -EAGAIN)
		return wait_to_send(self, ch, elem);
	if (served)
		return burrow_ready_leave(self, served, ret);
	burrow_leave(self);
	return ret;
}

int burrow_chan_recv(struct burrow_chan *ch, void *elem)
{
	struct burrow_thread *self = burrow_enter_quick();
	struct goroutine *served;
	int ret;

	if (burrow_unlikely(!is_quick(self, ch)))
		return recv_slow(ch, elem);
	ret = burrow_chan_recv_word(ch, elem, true, &served);
	if (ret == -EAGAIN)
		return wait_to_recv(self, ch, elem);
	if (served)
		return burrow_ready_leave(self, served, ret);
	burrow_leave(self);
	return ret;
}

int burrow_chan_send_deadline(struct burrow_chan *ch, const void *elem,
			      int64_t deadline)
{
	struct burrow_thread *self =
		burrow_enter_try("burrow_chan_send_deadline");

	if (!self)
		return -EPERM;
	return burrow_chan_send_leave(self, ch, elem, deadline);
}

int burrow_chan_recv_deadline(struct burrow_chan *ch, void *elem,
			      int64_t deadline)
{
	struct burrow_thread *self =
		burrow_enter_try("burrow_chan_recv_deadline");

	if (!self)
		return -EPERM;
	return burrow_chan_recv_leave(self, ch, elem, deadline);
}

void burrow_chan_offer(struct burrow_thread *self, struct burrow_chan *ch,
		       const void *elem)
{
	burrow_lock_take(&ch->lock);
	if (burrow_chan_send_now(self, ch, elem) == -EAGAIN)
		burrow_lock_drop(&ch->lock);
}

int burrow_chan_try_send(struct burrow_chan *ch, const void *elem)
{
	struct burrow_thread *self = burrow_enter_try("burrow_chan_try_send");
	int ret = -EAGAIN;

	if (burrow_unlikely(!self))
		return -EPERM;
	if (burrow_likely(ch)) {
		burrow_lock_take(&ch->lock);
		ret = burrow_chan_send_now(self, ch, elem);
		if (ret == -EAGAIN)
			burrow_lock_drop(&ch->lock);
	}
	burrow_leave(self);
	return ret;
}

int burrow_chan_try_recv(struct burrow_chan *ch, void *elem)
{
	struct burrow_thread *self = burrow_enter_try("burrow_chan_try_recv");
	int ret = -EAGAIN;

	if (burrow_unlikely(!self))
		return -EPERM;
	if (burrow_likely(ch)) {
		burrow_lock_take(&ch->lock);
		ret = burrow_chan_recv_now(self, ch, elem);
		if (ret == -EAGAIN)
			burrow_lock_drop(&ch->lock);
	}
	burrow_leave(self);
	return ret;
}

int burrow_chan_shut(struct burrow_thread *self, struct burrow_chan *ch)
{
	struct burrow_woken woken = { 0 };
	struct burrow_waiter *w;

	burrow_lock_take(&ch->lock);
	if (ch->closed) {
		burrow_lock_drop(&ch->lock);
		return -EPIPE;
	}
	__atomic_store_n(&ch->closed, true, __ATOMIC_RELAXED);
	while ((w = burrow_waitq_take(&ch->receivers))) {
		burrow_chan_copy(ch, w->elem, NULL);
		burrow_woken_add(&woken, w, 0);
	}
	burrow_woken_add_all(&woken, &ch->senders, -EPIPE);
	burrow_lock_drop(&ch->lock);
	burrow_woken_ready(self, &woken);
	return 0;
}

int burrow_chan_close(struct burrow_chan *ch)
{
	struct burrow_thread *self = burrow_enter_try("burrow_chan_close");
	int ret;

	if (!self)
		return -EPERM;
	ret = ch ? burrow_chan_shut(self, ch) : -EINVAL;
	burrow_leave(self);
	return ret;
}

size_t burrow_chan_len(struct burrow_chan *ch)
{
	struct burrow_thread *self = burrow_enter("burrow_chan_len");
	size_t len = 0;

	if (ch)
		len = __atomic_load_n(&ch->count, __ATOMIC_RELAXED);
	burrow_leave(self);
	return len;
}

size_t burrow_chan_cap(struct burrow_chan *ch)
{
	struct burrow_thread *self = burrow_enter("burrow_chan_cap");
	size_t capacity = ch ? ch->capacity : 0;

	burrow_leave(self);
	return capacity;
}
