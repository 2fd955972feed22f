// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Select: one of several sends and receives.
 *
 * First it looks at all channels without their locks, chooses by chance among
 * the cases that look ready, and does the one chosen as a plain send or receive
 * would. If another goroutine was faster it looks again. So a select that need
 * not wait takes one lock.
 *
 * To wait it takes the locks of all its channels, in the order of their
 * addresses and each once, looks again, and puts a waiter into the queue of
 * each channel. The locks are dropped when nobody runs on its stack any more.
 * Whoever finds one of the waiters has to claim the goroutine (goroutine.claimed)
 * before it may take it; the timeout does so too, under the first of the locks,
 * so that it cannot be faster than the parking. Awake again, the select takes
 * the waiters that are left out of their queues, one lock at a time. As it takes
 * every lock but the one that its partner has had, nobody looks at the waiters
 * any more when it is through, neither unlock_all() nor one who has found a
 * waiter and could not claim it.
 *
 * It looks and puts itself into queues under the same locks, and so never meets
 * itself: no send of its own waits while its receives are tried.
 *
 * With a single processor (burrow_solo) nobody can come between, and there are
 * neither locks nor an order of them.
 */
#include <errno.h>
#include <limits.h>

#include "cell.h"
#include "chan.h"

/* In a waiter's result: it was not this one. */
#define NOT_TAKEN INT16_MIN

/**
 * struct selecting - what a select that waits needs
 * @cell:	that it lies in
 * @locks:	of its channels, in order, each once; behind the waiters
 * @nr_locks:	how many
 * @waiters:	one for each case
 */
struct selecting {
	struct burrow_cell cell;
	struct burrow_lock **locks;
	size_t nr_locks;
	struct burrow_waiter waiters[];
};

static size_t selecting_size(size_t n)
{
	return sizeof(struct selecting) + n * (sizeof(struct burrow_waiter) +
					       sizeof(struct burrow_lock *));
}

/* Only a hint without the lock: not what ThreadSanitizer should look at. */
static __attribute__((no_sanitize_thread)) bool
looks_ready(const struct burrow_case *c)
{
	const struct burrow_chan *ch = c->chan;
	const struct burrow_waitq *partners;
	size_t count;

	if (!ch)
		return false;
	count = __atomic_load_n(&ch->count, __ATOMIC_RELAXED);
	if (c->op == BURROW_RECV) {
		if (count)
			return true;
		partners = &ch->senders;
	} else {
		if (count < ch->capacity)
			return true;
		partners = &ch->receivers;
	}
	return __atomic_load_n(&partners->first, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&ch->closed, __ATOMIC_RELAXED);
}

/*
 * One of the cases that look ready: the k-th found replaces the one before it
 * with a chance of 1 in k. -EAGAIN: there is none.
 */
static inline int choose(struct burrow_thread *self,
			 const struct burrow_case *cases, size_t n)
{
	uint64_t ready = 0;
	int chosen = -EAGAIN;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!looks_ready(&cases[i]))
			continue;
		ready++;
		if (ready == 1 || burrow_random(self->proc) * ready >> 32 == 0)
			chosen = i;
	}
	return chosen;
}

/* False: it could not be done at once. */
static inline bool attempt(struct burrow_thread *self, struct burrow_case *c)
{
	struct burrow_chan *ch = c->chan;
	int ret;

	burrow_lock_take(&ch->lock);
	if (c->op == BURROW_SEND)
		ret = burrow_chan_send_now(self, ch, c->elem);
	else
		ret = burrow_chan_recv_now(self, ch, c->elem);
	if (ret == -EAGAIN) {
		burrow_lock_drop(&ch->lock);
		return false;
	}
	c->result = ret;
	return true;
}

/* Shell sort, 1959, with Knuth's gaps: what it is used for is short. */
static void sort(struct burrow_lock **v, size_t n)
{
	struct burrow_lock *x;
	size_t gap = 1, i, j;

	while (gap < n / 3)
		gap = 3 * gap + 1;
	for (; gap; gap /= 3) {
		for (i = gap; i < n; i++) {
			x = v[i];
			for (j = i; j >= gap && v[j - gap] > x; j -= gap)
				v[j] = v[j - gap];
			v[j] = x;
		}
	}
}

static void lock_all(struct selecting *s, const struct burrow_case *cases,
		     size_t n)
{
	size_t i, count = 0;

	s->locks = (struct burrow_lock **)(s->waiters + n);
	for (i = 0; i < n; i++) {
		if (cases[i].chan)
			s->locks[count++] = &cases[i].chan->lock;
	}
	sort(s->locks, count);
	s->nr_locks = 0;
	for (i = 0; i < count; i++) {
		if (!i || s->locks[i] != s->locks[i - 1])
			s->locks[s->nr_locks++] = s->locks[i];
	}
	for (i = 0; i < s->nr_locks; i++)
		burrow_lock_take(s->locks[i]);
}

/* With the last of them @s may be gone. */
static void unlock_all(struct goroutine *g, void *arg)
{
	struct selecting *s = arg;
	size_t i, n = s->nr_locks;

	(void)g;
	for (i = 0; i < n; i++)
		burrow_lock_drop(s->locks[i]);
}

static void expire(struct burrow_thread *self, struct burrow_timeout *timeout)
{
	struct goroutine *g =
		(struct goroutine *)((char *)timeout -
				     offsetof(struct goroutine, timeout));
	struct burrow_lock *lock = g->waiter.lock;
	bool claimed;

	burrow_lock_take(lock);
	claimed = burrow_claim(g);
	burrow_lock_drop(lock);
	if (claimed)
		burrow_ready_last(self, g);
}

static void queue_up(struct selecting *s, struct goroutine *g,
		     const struct burrow_case *cases, size_t n)
{
	const struct burrow_case *c;
	struct burrow_waiter *w;
	size_t i;

	g->claimed = 0;
	for (i = 0; i < n; i++) {
		c = &cases[i];
		if (!c->chan)
			continue;
		w = &s->waiters[i];
		w->g = g;
		w->elem = c->elem;
		w->result = NOT_TAKEN;
		w->select = true;
		burrow_waitq_push(c->op == BURROW_SEND ? &c->chan->senders :
							 &c->chan->receivers,
				  w);
	}
}

/* Which case was taken: nobody but a partner writes a result. */
static int leave_queues(struct selecting *s, struct burrow_case *cases,
			size_t n)
{
	struct burrow_waiter *w;
	int taken = -ETIMEDOUT;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!cases[i].chan)
			continue;
		w = &s->waiters[i];
		if (w->result != NOT_TAKEN) {
			cases[i].result = w->result;
			taken = i;
			continue;
		}
		burrow_lock_take(&cases[i].chan->lock);
		if (w->queue)
			burrow_waitq_remove(w->queue, w);
		burrow_lock_drop(&cases[i].chan->lock);
	}
	return taken;
}

/* The locks are held, @lock is one of them. The case taken, -ETIMEDOUT, -ENOMEM. */
static int wait_for_one(struct burrow_thread **self, struct selecting *s,
			struct burrow_case *cases, size_t n,
			struct burrow_lock *lock, int64_t deadline)
{
	struct goroutine *g = (*self)->current;

	if (deadline != BURROW_FOREVER) {
		g->waiter.lock = lock;
		g->timeout.fire = expire;
		if (burrow_timeout_set(*self, &g->timeout, deadline)) {
			unlock_all(g, s);
			return -ENOMEM;
		}
	}
	queue_up(s, g, cases, n);
	if (burrow_solo)
		*self = burrow_park(*self, GOROUTINE_SELECT, NULL);
	else
		*self = burrow_park_call(*self, GOROUTINE_SELECT, unlock_all,
					 s);
	if (deadline != BURROW_FOREVER)
		burrow_timeout_cancel(&g->timeout);
	return leave_queues(s, cases, n);
}

/* No case could be done at once. */
static __attribute__((noinline)) int select_slow(struct burrow_thread **self,
						 struct burrow_case *cases,
						 size_t n, int64_t deadline)
{
	struct burrow_lock *lock = NULL;
	struct selecting *s;
	size_t i;
	int taken;

	for (i = 0; i < n && !lock; i++)
		lock = cases[i].chan ? &cases[i].chan->lock : NULL;
	if (!lock)
		return burrow_chan_never(self, GOROUTINE_SELECT_NONE, deadline);
	s = (struct selecting *)burrow_cell_get(*self, selecting_size(n));
	if (!s)
		return -ENOMEM;
	for (;;) {
		s->nr_locks = 0;
		if (burrow_solo)
			break;
		lock_all(s, cases, n);
		taken = choose(*self, cases, n);
		if (taken < 0)
			break;
		unlock_all(NULL, s);
		if (attempt(*self, &cases[taken]))
			goto out;
	}
	taken = wait_for_one(self, s, cases, n, lock, deadline);
out:
	burrow_cell_put(*self, &s->cell, selecting_size(n));
	return taken;
}

/* A single case: a plain send or receive. Leaves the runtime. */
static int select_one(struct burrow_thread *self, struct burrow_case *c,
		      int64_t deadline)
{
	int ret;

	if (c->op == BURROW_SEND)
		ret = burrow_chan_send_leave(self, c->chan, c->elem, deadline);
	else
		ret = burrow_chan_recv_leave(self, c->chan, c->elem, deadline);
	if (ret == -ETIMEDOUT || ret == -ENOMEM)
		return ret;
	c->result = ret;
	return 0;
}

/* Leaves the runtime. */
static __attribute__((noinline)) int select_wait(struct burrow_thread *self,
						 struct burrow_case *cases,
						 size_t n, int64_t timeout_ns)
{
	int64_t deadline = BURROW_FOREVER;
	int taken;

	if (timeout_ns > 0 &&
	    __builtin_add_overflow(burrow_now(), timeout_ns, &deadline))
		deadline = BURROW_FOREVER;
	if (n == 1)
		return select_one(self, cases, deadline);
	taken = select_slow(&self, cases, n, deadline);
	burrow_leave(self);
	return taken;
}

static bool valid(const struct burrow_case *cases, size_t n)
{
	size_t i;

	if (n > BURROW_SELECT_MAX)
		return false;
	for (i = 0; i < n; i++) {
		if (cases[i].op != BURROW_SEND && cases[i].op != BURROW_RECV)
			return false;
	}
	return true;
}

int burrow_select(struct burrow_case *cases, size_t n, int64_t timeout_ns)
{
	struct burrow_thread *self = burrow_enter_try("burrow_select");
	int taken = -EINVAL;

	if (burrow_unlikely(!self))
		return -EPERM;
	if (burrow_unlikely(!valid(cases, n)))
		goto out;
	while ((taken = choose(self, cases, n)) >= 0) {
		if (burrow_likely(attempt(self, &cases[taken])))
			goto out;
	}
	if (timeout_ns)
		return select_wait(self, cases, n, timeout_ns);
out:
	burrow_leave(self);
	return taken;
}
