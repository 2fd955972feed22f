// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Heaps of timeouts, as timeout.h describes them.
 *
 * A heap with four children a node, in memory of the system's: shallow, and a
 * sift-down reads one cache line a level.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "../arch/arch.h"
#include "sched.h"

#define ROOM_FIRST 256

void burrow_timers_open(struct burrow_timers *timers, struct burrow_proc *proc)
{
	memset(timers, 0, sizeof(*timers));
	timers->next = BURROW_FOREVER;
	timers->proc = proc;
}

void burrow_timers_close(struct burrow_timers *timers)
{
	if (timers->heap)
		munmap(timers->heap, timers->room * sizeof(timers->heap[0]));
	burrow_timers_open(timers, timers->proc);
}

static void publish(struct burrow_timers *t)
{
	__atomic_store_n(&t->next, t->count ? t->heap[0].when : BURROW_FOREVER,
			 __ATOMIC_RELAXED);
}

static void sift_up(struct burrow_timers *t, size_t i,
		    struct burrow_timer_entry entry)
{
	size_t parent;

	for (; i; i = parent) {
		parent = (i - 1) / 4;
		if (t->heap[parent].when <= entry.when)
			break;
		t->heap[i] = t->heap[parent];
	}
	t->heap[i] = entry;
}

static size_t soonest_child(const struct burrow_timers *t, size_t i)
{
	size_t child = 4 * i + 1, best = child, end = child + 4;

	for (; child < end && child < t->count; child++) {
		if (t->heap[child].when < t->heap[best].when)
			best = child;
	}
	return best;
}

static void sift_down(struct burrow_timers *t, size_t i,
		      struct burrow_timer_entry entry)
{
	size_t child;

	for (;; i = child) {
		child = soonest_child(t, i);
		if (child >= t->count || t->heap[child].when >= entry.when)
			break;
		t->heap[i] = t->heap[child];
	}
	t->heap[i] = entry;
}

static struct burrow_timer_entry heap_pop(struct burrow_timers *t)
{
	struct burrow_timer_entry first = t->heap[0];

	WRITE_ONCE(t->count, t->count - 1);
	if (t->count)
		sift_down(t, 0, t->heap[t->count]);
	return first;
}

/* Whether an entry stands for its timeout, or was left behind. */
static bool stands(const struct burrow_timers *t,
		   const struct burrow_timer_entry *entry)
{
	/* Pairs with heap_push() to another heap, which sets this one last. */
	return __atomic_load_n(&entry->timeout->queued, __ATOMIC_ACQUIRE) ==
		       entry->when &&
	       READ_ONCE(entry->timeout->timers) == t;
}

/* From here on it may be set on another heap at any time. */
static void leave_heap(struct burrow_timeout *timeout)
{
	/* Pairs with lock_heap(). */
	__atomic_store_n(&timeout->queued, 0, __ATOMIC_RELEASE);
}

/* Throws out what would not fire, and makes a heap of the rest (Floyd 1964). */
static void compact(struct burrow_timers *t)
{
	size_t i, n = 0;

	for (i = 0; i < t->count; i++) {
		if (!stands(t, &t->heap[i]))
			continue;
		if (t->heap[i].timeout->when)
			t->heap[n++] = t->heap[i];
		else
			leave_heap(t->heap[i].timeout);
	}
	WRITE_ONCE(t->count, n);
	for (i = n / 4 + 1; i-- > 0;) {
		if (i < n)
			sift_down(t, i, t->heap[i]);
	}
}

static int make_room(struct burrow_timers *t, size_t room)
{
	size_t size = sizeof(t->heap[0]);
	void *p;

	if (t->heap)
		p = mremap(t->heap, t->room * size, room * size,
			   MREMAP_MAYMOVE);
	else
		p = mmap(NULL, room * size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	t->heap = p;
	t->room = room;
	return 0;
}

static int heap_push(struct burrow_timers *t, struct burrow_timeout *timeout,
		     int64_t when)
{
	struct burrow_timer_entry entry = { .when = when, .timeout = timeout };

	if (t->count == t->room && t->set < t->count / 2)
		compact(t);
	if (t->count == t->room &&
	    make_room(t, t->room ? t->room * 2 : ROOM_FIRST))
		return -ENOMEM;
	WRITE_ONCE(timeout->timers, t);
	/* Pairs with lock_heap() and stands(). */
	__atomic_store_n(&timeout->queued, when, __ATOMIC_RELEASE);
	WRITE_ONCE(t->count, t->count + 1);
	sift_up(t, t->count - 1, entry);
	publish(t);
	return 0;
}

/*
 * Locks the heap that the timeout's entry is in, or else our own. The entry may
 * go while we wait for the lock; nobody but us puts one in.
 */
static struct burrow_timers *lock_heap(struct burrow_thread *self,
				       struct burrow_timeout *timeout)
{
	struct burrow_timers *own = &self->proc->timers, *t = own;

	if (__atomic_load_n(&timeout->queued, __ATOMIC_ACQUIRE))
		t = READ_ONCE(timeout->timers);
	burrow_lock_take(&t->lock);
	if (t == own || timeout->queued)
		return t;
	burrow_lock_drop(&t->lock);
	burrow_lock_take(&own->lock);
	return own;
}

static int set(struct burrow_thread *self, struct burrow_timeout *timeout,
	       int64_t when, bool of_object)
{
	struct burrow_timers *t = lock_heap(self, timeout);
	bool was_set = timeout->when, sooner = false;
	struct burrow_thread *holder;
	int ret = 0;

	if (when < 1)
		when = 1;
	if (!timeout->queued || timeout->queued > when) {
		sooner = when < t->next;
		ret = heap_push(t, timeout, when);
	}
	if (!ret) {
		WRITE_ONCE(timeout->when, when);
		WRITE_ONCE(t->set, t->set + !was_set);
		t->of_objects |= of_object;
	}
	burrow_lock_drop(&t->lock);
	if (sooner && t->proc != self->proc) {
		holder = READ_ONCE(t->proc->thread);
		if (holder)
			burrow_thread_kick(holder);
	}
	return ret;
}

int burrow_timeout_set(struct burrow_thread *self,
		       struct burrow_timeout *timeout, int64_t when)
{
	return set(self, timeout, when, false);
}

int burrow_timeout_set_of_object(struct burrow_thread *self,
				 struct burrow_timeout *timeout, int64_t when)
{
	return set(self, timeout, when, true);
}

bool burrow_timeout_take_back(struct burrow_timeout *timeout)
{
	struct burrow_timers *t = READ_ONCE(timeout->timers);
	bool was_set;

	if (!t)
		return false;
	burrow_lock_take(&t->lock);
	was_set = timeout->when;
	WRITE_ONCE(timeout->when, 0);
	WRITE_ONCE(t->set, t->set - was_set);
	burrow_lock_drop(&t->lock);
	return was_set;
}

bool burrow_timeout_cancel(struct burrow_timeout *timeout)
{
	struct burrow_timers *t = READ_ONCE(timeout->timers);
	bool was_set = burrow_timeout_take_back(timeout);
	int spins = 0;

	/* Pairs with the release in burrow_timers_run(): @fire has returned. */
	while (t && __atomic_load_n(&t->firing, __ATOMIC_ACQUIRE) == timeout) {
		burrow_arch_relax();
		if (++spins % 100 == 0)
			sched_yield();
	}
	return was_set;
}

/* The next that is due and set, no longer in the heap; NULL: none is. */
static struct burrow_timeout *due(struct burrow_timers *t, int64_t now)
{
	struct burrow_timer_entry entry;
	struct burrow_timeout *timeout;
	bool is_due;

	while (t->count && t->heap[0].when <= now) {
		entry = heap_pop(t);
		timeout = entry.timeout;
		if (!stands(t, &entry))
			continue;
		if (timeout->when > now) {
			/* There is room: one was just taken out. */
			heap_push(t, timeout, timeout->when);
			continue;
		}
		is_due = timeout->when;
		if (is_due) {
			WRITE_ONCE(timeout->when, 0);
			WRITE_ONCE(t->set, t->set - 1);
		}
		leave_heap(timeout);
		if (is_due)
			return timeout;
	}
	return NULL;
}

size_t burrow_timers_run(struct burrow_thread *self, struct burrow_timers *t,
			 int64_t now)
{
	struct burrow_timeout *timeout;
	size_t n = 0;

	if (__atomic_load_n(&t->next, __ATOMIC_RELAXED) > now)
		return 0;
	burrow_lock_take(&t->lock);
	/* Another one is at it: it will see what is due. */
	while (!t->firing && (timeout = due(t, now))) {
		__atomic_store_n(&t->firing, timeout, __ATOMIC_RELAXED);
		burrow_lock_drop(&t->lock);
		timeout->fire(self, timeout);
		burrow_lock_take(&t->lock);
		__atomic_store_n(&t->firing, NULL, __ATOMIC_RELEASE);
		n++;
	}
	publish(t);
	t->of_objects &= t->count != 0;
	burrow_lock_drop(&t->lock);
	return n;
}

int burrow_timers_move(struct burrow_timers *to, struct burrow_timers *from)
{
	size_t i, need;

	compact(from);
	need = to->count + from->count;
	if (need > to->room && make_room(to, need))
		return -ENOMEM;
	for (i = 0; i < from->count; i++) {
		heap_push(to, from->heap[i].timeout, from->heap[i].when);
		WRITE_ONCE(to->set, to->set + 1);
	}
	to->of_objects |= from->of_objects;
	burrow_timers_close(from);
	return 0;
}

void burrow_timers_each(void (*fn)(void *arg, const void *low,
				   const void *high),
			void *arg)
{
	const struct burrow_timers *t;
	int i;

	/* Those beyond nr_procs keep theirs for as long as nobody has room. */
	for (i = 0; burrow_runtime.procs[i]; i++) {
		t = &burrow_runtime.procs[i]->timers;
		if (t->of_objects)
			fn(arg, t->heap, t->heap + t->count);
	}
}
