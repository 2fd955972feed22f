/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mutexes, conditions and their kin for goroutines. A goroutine that waits lets
 * others run on its thread. They behave as those of Go's package sync.
 *
 * Each may lie anywhere: in static or malloc'd memory, on a stack, in a struct.
 * All zero it is ready to be used, with nobody in it (a semaphore: with nothing
 * to give). It must not be copied or moved while in use. It may be freed as soon
 * as no call on it is under way that has not yet had its effect: who was let
 * through by burrow_waitgroup_wait() or burrow_mutex_lock() may do it at once.
 * One that outlives a run (in static memory, say) can be used in the next as it
 * is: who waited in it is gone, what it counts and that it is locked remain as
 * they were. So one that was locked or half counted is to be zeroed first; a
 * once whose function had begun ends the program with a line.
 *
 * Only goroutines may call these: another thread gets -EPERM, or where the
 * result is void the program ends with a line. So it does on misuse that Go
 * panics on, which each function names. A deadline is a time of burrow_now();
 * what can be had at once is had, whatever the deadline. -ENOMEM says that no
 * memory was left to wait with a deadline. Waiters are served first in, first
 * out, save where it says otherwise.
 */
#ifndef BURROW_SYNC_H
#define BURROW_SYNC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct burrow_ctx;

/**
 * struct burrow_mutex - one goroutine at a time
 * @opaque: the library's
 *
 * Who waits gets it within a bounded time: newcomers may take a free mutex
 * before those who wait, as that is cheaper, until one has waited for a
 * millisecond; from then on it is handed over in order. Not recursive; any
 * goroutine may unlock it.
 */
struct burrow_mutex {
	uint64_t opaque[4];
};

/**
 * burrow_mutex_lock() - lock it
 * @m:	mutex
 */
void burrow_mutex_lock(struct burrow_mutex *m);

/**
 * burrow_mutex_lock_deadline() - lock it, if that is possible in time
 * @m:		mutex
 * @deadline:	time of burrow_now()
 *
 * Return: 0, or -ETIMEDOUT, -ENOMEM, -EPERM.
 */
int burrow_mutex_lock_deadline(struct burrow_mutex *m, int64_t deadline);

/**
 * burrow_mutex_trylock() - lock it if it is free
 * @m:	mutex
 *
 * Return: 0, or -EBUSY, -EPERM.
 */
int burrow_mutex_trylock(struct burrow_mutex *m);

/**
 * burrow_mutex_unlock() - unlock it
 * @m:	mutex; misuse: it is not locked
 */
void burrow_mutex_unlock(struct burrow_mutex *m);

/**
 * struct burrow_rwmutex - many readers, or one writer
 * @opaque: the library's
 *
 * Once a writer waits, new readers do so too; when a writer leaves, the readers
 * that wait by then go first. So neither starves the other. A goroutine must
 * not read-lock twice: a writer may have come between.
 */
struct burrow_rwmutex {
	uint64_t opaque[7];
};

/**
 * burrow_rwmutex_rlock() - lock it for reading
 * @rw:	rwmutex
 */
void burrow_rwmutex_rlock(struct burrow_rwmutex *rw);

/**
 * burrow_rwmutex_rlock_deadline() - lock it for reading, in time
 * @rw:		rwmutex
 * @deadline:	time of burrow_now()
 *
 * Return: 0, or -ETIMEDOUT, -ENOMEM, -EPERM.
 */
int burrow_rwmutex_rlock_deadline(struct burrow_rwmutex *rw, int64_t deadline);

/**
 * burrow_rwmutex_tryrlock() - lock it for reading if that is possible at once
 * @rw:	rwmutex
 *
 * Return: 0, or -EBUSY, -EPERM.
 */
int burrow_rwmutex_tryrlock(struct burrow_rwmutex *rw);

/**
 * burrow_rwmutex_runlock() - a reader leaves
 * @rw:	rwmutex; misuse: it has no reader
 */
void burrow_rwmutex_runlock(struct burrow_rwmutex *rw);

/**
 * burrow_rwmutex_lock() - lock it for writing
 * @rw:	rwmutex
 */
void burrow_rwmutex_lock(struct burrow_rwmutex *rw);

/**
 * burrow_rwmutex_lock_deadline() - lock it for writing, in time
 * @rw:		rwmutex
 * @deadline:	time of burrow_now()
 *
 * Return: 0, or -ETIMEDOUT, -ENOMEM, -EPERM.
 */
int burrow_rwmutex_lock_deadline(struct burrow_rwmutex *rw, int64_t deadline);

/**
 * burrow_rwmutex_trylock() - lock it for writing if it is free
 * @rw:	rwmutex
 *
 * Return: 0, or -EBUSY, -EPERM.
 */
int burrow_rwmutex_trylock(struct burrow_rwmutex *rw);

/**
 * burrow_rwmutex_unlock() - the writer leaves
 * @rw:	rwmutex; misuse: it has no writer
 */
void burrow_rwmutex_unlock(struct burrow_rwmutex *rw);

/**
 * struct burrow_cond - wait until something has changed
 * @opaque: the library's
 */
struct burrow_cond {
	uint64_t opaque[3];
};

/**
 * burrow_cond_wait() - unlock a mutex, wait to be woken, lock it again
 * @c:	condition
 * @m:	mutex; misuse: it is not locked
 *
 * Who signals after the mutex was unlocked wakes this one. It wakes for nothing
 * else, but others may have run before it had the mutex again: look at what was
 * waited for in a loop.
 */
void burrow_cond_wait(struct burrow_cond *c, struct burrow_mutex *m);

/**
 * burrow_cond_wait_deadline() - the same, for some time
 * @c:		condition
 * @m:		mutex; locked again in any case
 * @deadline:	time of burrow_now()
 *
 * Return: 0, or -ETIMEDOUT, -ENOMEM, -EPERM.
 */
int burrow_cond_wait_deadline(struct burrow_cond *c, struct burrow_mutex *m,
			      int64_t deadline);

/**
 * burrow_cond_signal() - wake the one that has waited longest
 * @c:	condition
 */
void burrow_cond_signal(struct burrow_cond *c);

/**
 * burrow_cond_broadcast() - wake all that wait
 * @c:	condition
 */
void burrow_cond_broadcast(struct burrow_cond *c);

/**
 * struct burrow_waitgroup - wait until all are done
 * @opaque: the library's
 */
struct burrow_waitgroup {
	uint64_t opaque[4];
};

/**
 * burrow_waitgroup_add() - there is more to be done
 * @wg:	waitgroup
 * @n:	how much; may be less than 0. Misuse: fewer than 0 remain, or more than
 *	an int64_t counts
 */
void burrow_waitgroup_add(struct burrow_waitgroup *wg, int64_t n);

/**
 * burrow_waitgroup_done() - one is done
 * @wg:	waitgroup; misuse: none remained
 */
void burrow_waitgroup_done(struct burrow_waitgroup *wg);

/**
 * burrow_waitgroup_wait() - wait until none remain
 * @wg:	waitgroup
 */
void burrow_waitgroup_wait(struct burrow_waitgroup *wg);

/**
 * burrow_waitgroup_wait_deadline() - the same, for some time
 * @wg:		waitgroup
 * @deadline:	time of burrow_now()
 *
 * Return: 0, or -ETIMEDOUT, -ENOMEM, -EPERM.
 */
int burrow_waitgroup_wait_deadline(struct burrow_waitgroup *wg,
				   int64_t deadline);

/**
 * struct burrow_once - do something once
 * @opaque: the library's
 */
struct burrow_once {
	uint64_t opaque[5];
};

/**
 * burrow_once_do() - run a function unless that was done
 * @o:		once
 * @fn:		what the first caller runs; the others wait until it returns
 * @arg:	its argument
 *
 * Misuse: @fn calls this with the same @o. If @fn ends its goroutine by
 * burrow_exit(), it counts as never done, and the others wait for ever.
 */
void burrow_once_do(struct burrow_once *o, void (*fn)(void *arg), void *arg);

/**
 * struct burrow_sem - so many at a time
 * @opaque: the library's
 */
struct burrow_sem {
	uint64_t opaque[4];
};

/**
 * burrow_sem_init() - say how much there is to be had
 * @s:	semaphore that nobody uses
 * @n:	how much; misuse: less than 0
 *
 * From any thread.
 */
void burrow_sem_init(struct burrow_sem *s, int64_t n);

/**
 * burrow_sem_acquire() - take some, wait until it is there
 * @s:	semaphore
 * @n:	how much; misuse: less than 0
 *
 * In order: one that waits for much holds up those behind it who want little.
 */
void burrow_sem_acquire(struct burrow_sem *s, int64_t n);

/**
 * burrow_sem_acquire_deadline() - the same, for some time
 * @s:		semaphore
 * @n:		how much; misuse: less than 0
 * @deadline:	time of burrow_now()
 *
 * Return: 0, or -ETIMEDOUT, -ENOMEM, -EPERM: nothing was taken.
 */
int burrow_sem_acquire_deadline(struct burrow_sem *s, int64_t n,
				int64_t deadline);

/**
 * burrow_sem_tryacquire() - take some if it is there and nobody waits for it
 * @s:	semaphore
 * @n:	how much; misuse: less than 0
 *
 * Return: 0, or -EBUSY, -EPERM.
 */
int burrow_sem_tryacquire(struct burrow_sem *s, int64_t n);

/**
 * burrow_sem_release() - give some (back)
 * @s:	semaphore
 * @n:	how much; misuse: less than 0, or more than an int64_t counts in all
 */
void burrow_sem_release(struct burrow_sem *s, int64_t n);

/**
 * struct burrow_group - goroutines that work for one purpose
 * @opaque: the library's
 *
 * Counts them, keeps the first error, limits how many run, and cancels the rest
 * when one fails; as Go's errgroup. May be used again after burrow_group_wait().
 */
struct burrow_group {
	uint64_t opaque[10];
};

/**
 * burrow_group_ctx() - have a context that ends with the first error
 * @g:		group that nothing runs in
 * @parent:	context that it is made from; NULL: burrow_ctx_background()
 *
 * The context is cancelled with the first error of a function of the group, or
 * when burrow_group_wait() returns.
 *
 * Return: the context, or NULL: no memory.
 */
struct burrow_ctx *burrow_group_ctx(struct burrow_group *g,
				    struct burrow_ctx *parent);

/**
 * burrow_group_limit() - say how many may run at a time
 * @g:	group; misuse: something runs in it
 * @n:	how many; less than 0: any number, and so it is without this call
 */
void burrow_group_limit(struct burrow_group *g, int64_t n);

/**
 * burrow_group_go() - run a function on a goroutine of its own
 * @g:		group
 * @fn:		the function; what it returns is an error unless it is 0. It must
 *		return: burrow_exit() would keep its place taken
 * @arg:	its argument
 *
 * Waits first, while as many run as may.
 *
 * Return: 0; -ENOMEM or -EAGAIN as burrow_go(); -EPERM.
 */
int burrow_group_go(struct burrow_group *g, int (*fn)(void *arg), void *arg);

/**
 * burrow_group_try_go() - the same, but do not wait
 * @g:		group
 * @fn:		the function
 * @arg:	its argument
 *
 * Return: as burrow_group_go(); -EBUSY: as many run as may.
 */
int burrow_group_try_go(struct burrow_group *g, int (*fn)(void *arg),
			void *arg);

/**
 * burrow_group_wait() - wait until all have returned
 * @g:	group
 *
 * Return: the first error, in the order of time, or 0; -EPERM.
 */
int burrow_group_wait(struct burrow_group *g);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* BURROW_SYNC_H */
