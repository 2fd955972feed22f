/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels as the library sees them: for select, and for what sends from inside
 * of the runtime (timers, signals, contexts).
 */
#ifndef BURROW_CHAN_INTERNAL_H
#define BURROW_CHAN_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../include/burrow/chan.h"
#include "../sched/sched.h"

/**
 * struct burrow_chan - a channel
 * @lock:	over all that changes
 * @closed:	for good
 * @count:	elements in the buffer
 * @capacity:	elements that fit
 * @receivers:	those who wait; only while the buffer is empty
 * @senders:	those who wait; only while it is full
 * @elem_size:	bytes of an element
 * @head:	where in the buffer the oldest is, in bytes
 * @tail:	where the next one goes
 * @bytes:	of the buffer
 * @buffer:	a ring
 *
 * @count, @closed and the first of each queue are read without the lock as
 * hints, by burrow_select().
 */
struct burrow_chan {
	struct burrow_lock lock;
	bool closed;
	size_t count;
	size_t capacity;
	struct burrow_waitq receivers;
	struct burrow_waitq senders;
	size_t elem_size;
	size_t head;
	size_t tail;
	size_t bytes;
	char buffer[] __attribute__((aligned(16)));
};

/* As burrow_chan_new(), for those who have looked who calls; outside, too. */
struct burrow_chan *burrow_chan_make(size_t elem_size, size_t capacity);

/* As burrow_chan_close(), from inside; for a channel that is one. */
int burrow_chan_shut(struct burrow_thread *self, struct burrow_chan *ch);

/* As the calls of the API, from inside; they leave the runtime. */
int burrow_chan_send_leave(struct burrow_thread *self, struct burrow_chan *ch,
			   const void *elem, int64_t deadline);
int burrow_chan_recv_leave(struct burrow_thread *self, struct burrow_chan *ch,
			   void *elem, int64_t deadline);

/* Sends if that can be done at once; else the element is dropped. */
void burrow_chan_offer(struct burrow_thread *self, struct burrow_chan *ch,
		       const void *elem);

/* Never succeeds: waits for ever, or until the deadline; -ETIMEDOUT, -ENOMEM. */
int burrow_chan_never(struct burrow_thread **self, enum goroutine_reason why,
		      int64_t deadline);

/*
 * Copies an element; nobody wants it: @to is NULL, nobody gave it: @from is.
 * @word: it is known to be one of 8 bytes, and nothing is called.
 */
static inline __attribute__((always_inline)) void
burrow_chan_copy_as(const struct burrow_chan *ch, void *to, const void *from,
		    bool word)
{
	if (burrow_unlikely(!to))
		return;
	if (word || burrow_likely(ch->elem_size == sizeof(uint64_t))) {
		if (burrow_likely(from))
			memcpy(to, from, sizeof(uint64_t));
		else
			memset(to, 0, sizeof(uint64_t));
	} else if (!from) {
		memset(to, 0, ch->elem_size);
	} else if (ch->elem_size == sizeof(uint32_t)) {
		memcpy(to, from, sizeof(uint32_t));
	} else {
		memcpy(to, from, ch->elem_size);
	}
}

static inline void burrow_chan_copy(const struct burrow_chan *ch, void *to,
				    const void *from)
{
	burrow_chan_copy_as(ch, to, from, false);
}

static inline __attribute__((always_inline)) void
burrow_chan_buffer_put(struct burrow_chan *ch, const void *elem, bool word)
{
	burrow_chan_copy_as(ch, ch->buffer + ch->tail, elem, word);
	ch->tail += ch->elem_size;
	if (ch->tail == ch->bytes)
		ch->tail = 0;
}

static inline __attribute__((always_inline)) void
burrow_chan_buffer_get(struct burrow_chan *ch, void *elem, bool word)
{
	burrow_chan_copy_as(ch, elem, ch->buffer + ch->head, word);
	ch->head += ch->elem_size;
	if (ch->head == ch->bytes)
		ch->head = 0;
}

/*
 * Sends what can be sent at once. Under the lock, which is dropped; but it is
 * held on if the result is -EAGAIN. *@served: who is to be made ready, or NULL.
 */
static inline __attribute__((always_inline)) int
burrow_chan_send_word(struct burrow_chan *ch, const void *elem, bool word,
		      struct goroutine **served)
{
	struct burrow_waiter *w;

	*served = NULL;
	if (burrow_unlikely(ch->closed)) {
		burrow_lock_drop(&ch->lock);
		return -EPIPE;
	}
	w = burrow_waitq_take(&ch->receivers);
	if (w) {
		burrow_chan_copy_as(ch, w->elem, elem, word);
		w->result = 1;
		*served = w->g;
	} else {
		if (ch->count == ch->capacity)
			return -EAGAIN;
		burrow_chan_buffer_put(ch, elem, word);
		__atomic_store_n(&ch->count, ch->count + 1, __ATOMIC_RELAXED);
	}
	burrow_lock_drop(&ch->lock);
	return 0;
}

/* The same for receiving. */
static inline __attribute__((always_inline)) int
burrow_chan_recv_word(struct burrow_chan *ch, void *elem, bool word,
		      struct goroutine **served)
{
	struct burrow_waiter *w = burrow_waitq_take(&ch->senders);

	*served = NULL;
	if (ch->count) {
		burrow_chan_buffer_get(ch, elem, word);
		if (w)
			burrow_chan_buffer_put(ch, w->elem, word);
		else
			__atomic_store_n(&ch->count, ch->count - 1,
					 __ATOMIC_RELAXED);
	} else if (w) {
		burrow_chan_copy_as(ch, elem, w->elem, word);
	} else if (ch->closed) {
		burrow_lock_drop(&ch->lock);
		burrow_chan_copy_as(ch, elem, NULL, word);
		return 0;
	} else {
		return -EAGAIN;
	}
	if (w) {
		w->result = 0;
		*served = w->g;
	}
	burrow_lock_drop(&ch->lock);
	return 1;
}

/* Both for elements of any size, and with the partner made ready. */
static inline int burrow_chan_send_now(struct burrow_thread *self,
				       struct burrow_chan *ch, const void *elem)
{
	struct goroutine *served;
	int ret = burrow_chan_send_word(ch, elem, false, &served);

	if (served)
		burrow_ready(self, served);
	return ret;
}

static inline int burrow_chan_recv_now(struct burrow_thread *self,
				       struct burrow_chan *ch, void *elem)
{
	struct goroutine *served;
	int ret = burrow_chan_recv_word(ch, elem, false, &served);

	if (served)
		burrow_ready(self, served);
	return ret;
}

#endif /* BURROW_CHAN_INTERNAL_H */
