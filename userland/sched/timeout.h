/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Timeouts: something that happens at a time, on the processor it was set on.
 *
 * Each processor has a heap of {time, timeout}; the heap's entries are copies,
 * so that sifting touches nothing else, and taking a timeout back leaves its
 * entry where it is. An entry counts when the timeout is set and says the same
 * time; one that does not is thrown away when it comes up, or when stale ones
 * are most of the heap. A timeout that is set later again while an old entry is
 * still in uses that one: deadlines that are set and met a million times a
 * second cost no heap work.
 *
 * Locks: struct burrow_timers has one; the holder of another processor takes it
 * too (to take a timeout back, to help out when it steals). A timeout belongs
 * to whoever embeds it: it is set and taken back by one at a time.
 */
#ifndef BURROW_TIMEOUT_H
#define BURROW_TIMEOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"

struct burrow_thread;
struct burrow_proc;

#define BURROW_FOREVER INT64_MAX

/**
 * struct burrow_timeout - something that happens at a time
 * @when:	0: not set; under the heap's lock
 * @queued:	time of the entry that stands for it, 0: none; under that lock
 * @fire:	what happens: called inside the runtime without locks; until it
 *		returns burrow_timeout_cancel() of another thread waits
 * @timers:	heap that the entry is in, while @queued
 *
 * Zero is a timeout that is not set. An entry may stand for it long after it was
 * taken back, so its memory must stay as long: it is part of a goroutine's
 * descriptor, which stays until the runtime stops, or of an object of the collected
 * heap, which the entry keeps alive.
 */
struct burrow_timeout {
	int64_t when;
	int64_t queued;
	void (*fire)(struct burrow_thread *self,
		     struct burrow_timeout *timeout);
	struct burrow_timers *timers;
};

/* An entry of the heap. */
struct burrow_timer_entry {
	int64_t when;
	struct burrow_timeout *timeout;
};

/**
 * struct burrow_timers - the timeouts of one processor
 * @lock:	over all of it
 * @heap:	4-ary, soonest first
 * @count:	entries used
 * @room:	entries there is room for
 * @set:	timeouts that are set; read without the lock too
 * @of_objects:	timeouts of objects of the heap were set since it was empty: the
 *		entries are roots
 * @next:	time of the first entry, BURROW_FOREVER: none; read without the
 *		lock too
 * @firing:	the timeout whose @fire runs, or NULL
 * @proc:	whose they are
 */
struct burrow_timers {
	struct burrow_lock lock;
	struct burrow_timer_entry *heap;
	size_t count;
	size_t room;
	size_t set;
	bool of_objects;
	int64_t next;
	struct burrow_timeout *firing;
	struct burrow_proc *proc;
};

void burrow_timers_open(struct burrow_timers *timers, struct burrow_proc *proc);
void burrow_timers_close(struct burrow_timers *timers);

/* Fires all that is due. Returns how many. */
size_t burrow_timers_run(struct burrow_thread *self,
			 struct burrow_timers *timers, int64_t now);

/*
 * With the world stopped: moves everything to another processor's heap.
 * 0 or -ENOMEM (then nothing moved).
 */
int burrow_timers_move(struct burrow_timers *to, struct burrow_timers *from);

/* Sets it (again). 0 or -ENOMEM. A time that has passed is due at once. */
int burrow_timeout_set(struct burrow_thread *self,
		       struct burrow_timeout *timeout, int64_t when);

/* The same for one that is part of an object of the collected heap. */
int burrow_timeout_set_of_object(struct burrow_thread *self,
				 struct burrow_timeout *timeout, int64_t when);

/* Unset. Does not wait for one that fires at this moment. */
bool burrow_timeout_take_back(struct burrow_timeout *timeout);

/* True: it will not fire. False: it was not set, or has fired to the end. */
bool burrow_timeout_cancel(struct burrow_timeout *timeout);

/* With the world stopped: entries that may lead to objects of the heap. */
void burrow_timers_each(void (*fn)(void *arg, const void *low,
				   const void *high),
			void *arg);

#endif /* BURROW_TIMEOUT_H */
