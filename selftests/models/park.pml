/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One goroutine waits for three things one after another, while somebody wakes
 * it and the clock would end its waits: it is run by one thread at a time, gets
 * what it was given or times out but not both, and an old timeout ends no later
 * wait.
 *
 * The first wait, for thing 0, has a deadline and a waker; the second, for thing
 * 1, has no deadline; the third, for thing 0 again, has one and may have to meet
 * it. A thing counts what was given to it while nobody waited. Two threads look
 * at the heap of timeouts at any time.
 *
 *	here			there
 *	acquire, release	burrow_lock_take(), burrow_lock_drop()
 *	waiter			burrow_wait(): queue up, set the timeout, park
 *	on_stack = 0		burrow_arch_switch() has saved the context
 *	landing			landed(): AFTER_UNLOCK on the next stack
 *	runner			whoever finds the goroutine in a queue
 *	giver			whoever wakes: takes the waiter out, drops the lock,
 *				burrow_ready()
 *	timeout_set, _cancel	burrow_timeout_set(), burrow_timeout_cancel()
 *	timers_run, due		burrow_timers_run(), due() in timeout.c
 *	fire			expire() in wait.c
 *
 * holds:
 * fails:	-DEARLY_DROP		the lock is dropped before the switch
 * fails:	-DNO_WAIT_FOR_FIRE	cancel does not wait until @fire returned
 * fails:	-DPICK_LOOKS		who is about to park looks at the timeouts
 * fails:	-DNO_LOOK_AT_QUEUE	fire wakes who is out of the queue already
 */
#define NONE 2

/* Results. */
#define GIVEN 1
#define TIMED_OUT 2

bit lock[2];		/* of the things */
byte given[2];		/* to nobody, so far */
bit queued_in[2];	/* the waiter is in the queue of this one */

/* struct burrow_waiter: only one */
byte w_lock = NONE;
byte w_result;

bit on_stack = 1;
chan run_queue = [2] of { bit };
chan resume = [0] of { bit };
chan landing = [1] of { byte };

/* struct burrow_timers: the times of entries; struct burrow_timeout */
bit heap_lock;
chan heap = [4] of { byte };
bit firing;
byte when, queued;

bit ended;
byte taken;		/* of what was given to thing 0 */
byte gave;

inline acquire(l)
{
	atomic { l == 0 -> l = 1 }
}

inline release(l)
{
	l = 0
}

inline make_ready()
{
	run_queue!1
}

/* Times are the numbers of the waits: later ones are later. */
inline timeout_set(t)
{
	acquire(heap_lock);
	atomic {
		if
		:: queued == 0 || queued > t ->
			queued = t;
			heap!t
		:: else
		fi;
		when = t
	};
	release(heap_lock)
}

inline timeout_cancel()
{
	acquire(heap_lock);
	when = 0;
	release(heap_lock);
#ifndef NO_WAIT_FOR_FIRE
	firing == 0
#endif
}

inline fire()
{
	it = w_lock;
	acquire(lock[it]);
#ifdef NO_LOOK_AT_QUEUE
	if
	:: true ->
#else
	if
	:: queued_in[it] ->
#endif
		atomic {
			queued_in[it] = 0;
			w_result = TIMED_OUT
		};
		release(lock[it]);
		make_ready()
	:: else -> release(lock[it])
	fi
}

/* Sets @found; any time may have come, if not before that of the entry. */
inline due()
{
	found = 0;
	do
	:: len(heap) == 0 -> break
	:: len(heap) > 0 ->
		heap?entry;
		if
		:: queued != entry
		:: else ->
			queued = 0;
			if
			:: when == 0
			:: when > entry ->
				queued = when;
				heap!when;
				break
			:: when != 0 ->
				when = 0;
				found = 1;
				break
			fi
		fi
	od
}

/* One look at the heap: fires all that is due. */
inline timers_run()
{
	acquire(heap_lock);
	do
	:: firing -> break
	:: else ->
		atomic { due() };
		if
		:: !found -> break
		:: else ->
			firing = 1;
			release(heap_lock);
			fire();
			acquire(heap_lock);
			firing = 0
		fi
	od;
	release(heap_lock)
}

inline wait(thing, deadline)
{
	acquire(lock[thing]);
	if
	:: given[thing] > 0 ->
		given[thing]--;
		release(lock[thing]);
		result = GIVEN
	:: else ->
		atomic {
			w_lock = thing;
			queued_in[thing] = 1
		};
		if
		:: deadline != 0 -> timeout_set(deadline)
		:: else
		fi;
#ifdef PICK_LOOKS
		timers_run();
#endif
#ifdef EARLY_DROP
		release(lock[thing]);
		on_stack = 0;
#else
		on_stack = 0;
		landing!thing;
#endif
		resume?_;
		result = w_result;
		if
		:: deadline != 0 -> timeout_cancel()
		:: else
		fi
	fi
}

active proctype waiter()
{
	byte result;
#ifdef PICK_LOOKS
	byte entry, it;
	bit found;
#endif

	wait(0, 1);
	if
	:: result == GIVEN -> taken++
	:: else
	fi;
	wait(1, 0);
	assert(result == GIVEN);
	wait(0, 3);
	if
	:: result == GIVEN -> taken++
	:: else
	fi;
	/* Neither lost nor taken twice. */
	assert(given[0] + taken == gave);
	ended = 1
}

active proctype lander()
{
	byte thing;

end:	do
	:: landing?thing -> release(lock[thing])
	od
}

active proctype runner()
{
end:	do
	:: run_queue?_ ->
		assert(!on_stack);
		on_stack = 1;
		resume!1
	od
}

active [2] proctype giver()
{
	byte thing = _pid % 2;
	bit got;

	acquire(lock[thing]);
	atomic {
		if
		:: queued_in[thing] ->
			queued_in[thing] = 0;
			w_result = GIVEN;
			got = 1
		:: else -> given[thing]++
		fi;
		gave = gave + 1 - thing
	};
	release(lock[thing]);
	if
	:: got -> make_ready()
	:: else
	fi
}

active [2] proctype timer()
{
	byte entry, it;
	bit found;

end:	do
	:: len(heap) > 0 -> timers_run()
	:: ended -> break
	od
}
