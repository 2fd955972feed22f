/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Short locks, and barriers of which one side pays for both.
 *
 * A burrow_lock is held for a few dozen instructions, and only by threads that
 * hold a processor and are inside the runtime: such a thread never loses its
 * processor, so the holder always gets on. Where there is one processor only
 * its holder can come here, and taking the lock is no atomic operation at all
 * (burrow_solo; it changes with the world stopped). Releasing writes the word
 * in any case.
 *
 * burrow_barrier_light() on the path that is taken all the time pairs with
 * burrow_barrier_heavy() on the one that is taken now and then: a full barrier
 * between what each side wrote before and reads after. The heavy side has the
 * kernel interrupt the threads of this process that run (membarrier(2),
 * PRIVATE_EXPEDITED); where that call is refused the light one is a fence.
 */
#ifndef BURROW_LOCK_H
#define BURROW_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * For variables of the library's that its other files use: without it each use
 * goes through a table of addresses, in case the program had one of that name.
 */
#define BURROW_HIDDEN __attribute__((visibility("hidden")))

#define burrow_likely(x) __builtin_expect(!!(x), 1)
#define burrow_unlikely(x) __builtin_expect(!!(x), 0)

/*
 * For words that one side looks at without the lock under which the other
 * writes them: whole, and once for each time it stands there. Neither orders
 * anything; where an order matters, an atomic operation with a comment does it.
 */
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value) __atomic_store_n(&(x), (value), __ATOMIC_RELAXED)

/* One processor: its holder is alone inside. Changed with the world stopped. */
extern bool burrow_solo BURROW_HIDDEN;

/* No membarrier(2): light barriers are fences. Set before threads start. */
extern bool burrow_barrier_fenced BURROW_HIDDEN;

void burrow_barrier_open(void);
void burrow_barrier_heavy(void);

static inline void burrow_barrier_light(void)
{
	if (burrow_unlikely(burrow_barrier_fenced))
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/**
 * struct burrow_lock - a spin lock
 * @held:	1 while it is taken by a processor that is not alone
 *
 * Zero is free.
 */
struct burrow_lock {
	uint32_t held;
};

void burrow_lock_wait(struct burrow_lock *lock);

/* False: somebody has it. */
static inline bool burrow_lock_try(struct burrow_lock *lock)
{
	return burrow_likely(burrow_solo) ||
	       burrow_likely(
		       !__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE));
}

static inline void burrow_lock_take(struct burrow_lock *lock)
{
	if (burrow_unlikely(!burrow_lock_try(lock)))
		burrow_lock_wait(lock);
}

static inline void burrow_lock_drop(struct burrow_lock *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

#endif /* BURROW_LOCK_H */
