/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels and select. They behave as Go's do.
 *
 * A channel carries elements of one size from goroutines that send to
 * goroutines that receive. Without a buffer a sender waits until a receiver has
 * taken its element; with one it waits only while the buffer is full. Those who
 * wait are served in the order in which they came.
 *
 * Functions with an int result return -EPERM where no goroutine runs; the
 * others end the program with a line there. A deadline is a time of
 * burrow_now(): if it comes first, the result is -ETIMEDOUT and nothing was
 * sent or received; what can be done at once is done, whatever the deadline.
 * -ENOMEM says that no memory was left to wait with a deadline; nothing was
 * done then either.
 */
#ifndef BURROW_CHAN_H
#define BURROW_CHAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct burrow_chan;

/**
 * burrow_chan_new() - make a channel
 * @elem_size:	bytes of an element; 0: it carries signals only
 * @capacity:	elements that its buffer holds; 0: no buffer
 *
 * It is an object of the collected heap: it lives as long as something points to it
 * that is looked at, and while a goroutine waits in it. Memory of malloc() is not,
 * nor are thread-locals: see burrow_root_add().
 *
 * Return: the channel, or NULL: no memory, or more than memory can be.
 */
struct burrow_chan *burrow_chan_new(size_t elem_size, size_t capacity);

/**
 * burrow_chan_send() - send an element
 * @ch:		channel; NULL waits for ever
 * @elem:	element, copied; NULL sends one that is all zero
 *
 * Return: 0, or -EPIPE: the channel is closed (or was while this waited).
 */
int burrow_chan_send(struct burrow_chan *ch, const void *elem);

/**
 * burrow_chan_send_deadline() - send an element, for some time
 * @ch:		channel; NULL: only waits
 * @elem:	as in burrow_chan_send()
 * @deadline:	time of burrow_now()
 *
 * Return: as burrow_chan_send(), or -ETIMEDOUT, -ENOMEM.
 */
int burrow_chan_send_deadline(struct burrow_chan *ch, const void *elem,
			      int64_t deadline);

/**
 * burrow_chan_try_send() - send an element if that is possible at once
 * @ch:		channel
 * @elem:	as in burrow_chan_send()
 *
 * Return: as burrow_chan_send(), or -EAGAIN: it would have to wait.
 */
int burrow_chan_try_send(struct burrow_chan *ch, const void *elem);

/**
 * burrow_chan_recv() - receive an element
 * @ch:		channel; NULL waits for ever
 * @elem:	where to; NULL throws it away
 *
 * To receive all there is until the channel is closed, see
 * burrow_chan_for_each().
 *
 * Return: 1, or 0: the channel is closed and all that was sent is received;
 * @elem is zeroed then.
 */
int burrow_chan_recv(struct burrow_chan *ch, void *elem);

/**
 * burrow_chan_recv_deadline() - receive an element, for some time
 * @ch:		channel; NULL: only waits
 * @elem:	as in burrow_chan_recv()
 * @deadline:	time of burrow_now()
 *
 * Return: as burrow_chan_recv(), or -ETIMEDOUT, -ENOMEM: @elem is as it was.
 */
int burrow_chan_recv_deadline(struct burrow_chan *ch, void *elem,
			      int64_t deadline);

/**
 * burrow_chan_try_recv() - receive an element if there is one
 * @ch:		channel
 * @elem:	as in burrow_chan_recv()
 *
 * Return: as burrow_chan_recv(), or -EAGAIN: it would have to wait.
 */
int burrow_chan_try_recv(struct burrow_chan *ch, void *elem);

/**
 * burrow_chan_for_each() - a loop over all that comes from a channel
 * @elem:	variable of the element's type that each is received into
 * @ch:		channel
 *
 * Ends when the channel is closed and drained; as Go's `for elem = range ch`.
 */
#define burrow_chan_for_each(elem, ch) \
	for (; burrow_chan_recv((ch), &(elem)) > 0;)

/**
 * burrow_chan_close() - say that no more will be sent
 * @ch:		channel
 *
 * What is in the buffer can still be received. Senders that wait get -EPIPE.
 *
 * Return: 0, -EPIPE: it was closed before, -EINVAL: @ch is NULL.
 */
int burrow_chan_close(struct burrow_chan *ch);

/**
 * burrow_chan_len() - how many elements are in the buffer
 * @ch:		channel
 *
 * Return: their number; 0 for NULL.
 */
size_t burrow_chan_len(struct burrow_chan *ch);

/**
 * burrow_chan_cap() - how many elements fit into the buffer
 * @ch:		channel
 *
 * Return: their number; 0 for NULL.
 */
size_t burrow_chan_cap(struct burrow_chan *ch);

/**
 * enum burrow_op - what a case of a select does
 * @BURROW_SEND: sends
 * @BURROW_RECV: receives
 */
enum burrow_op {
	BURROW_SEND = 1,
	BURROW_RECV = 2,
};

/**
 * struct burrow_case - one of the things that a select may do
 * @op:		send or receive
 * @chan:	channel; NULL: this one never happens
 * @elem:	as in burrow_chan_send() or burrow_chan_recv()
 * @result:	set if this is the one taken: what that call would have returned
 */
struct burrow_case {
	enum burrow_op op;
	struct burrow_chan *chan;
	void *elem;
	int result;
};

/* The most cases that a select takes. */
#define BURROW_SELECT_MAX 65536

/**
 * burrow_select() - do one of several sends and receives
 * @cases:	which; a channel may be in several of them
 * @n:		how many; 0: only waits
 * @timeout_ns:	how long to wait; 0: not at all, less: for ever
 *
 * Of those that are ready one is taken by chance, each as likely as another,
 * and before the timeout, however short. A send on a closed channel is ready,
 * with -EPIPE as its result; so is a receive from one, with 0. A send is never
 * paired with a receive of the same select. Cases that are not taken are left
 * as they were.
 *
 * Return: index of the case taken, or -EAGAIN: none is ready and @timeout_ns is
 * 0, -ETIMEDOUT: none was ready in time, -EINVAL: more than BURROW_SELECT_MAX,
 * or an op that is none, -ENOMEM: no memory to wait with.
 */
int burrow_select(struct burrow_case *cases, size_t n, int64_t timeout_ns);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* BURROW_CHAN_H */
