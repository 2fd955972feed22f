/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A processor is taken from a thread that is outside of the runtime, and the
 * world is stopped: never do two threads use one processor, nobody is inside
 * while the world is stopped, and neither processor nor goroutine is lost.
 *
 * Two threads, one processor, two goroutines that make calls, go to
 * burrow_blocking() and end, a monitor that takes the processor, somebody who
 * stops the world. What a thread writes to its word `inside` is seen by others
 * some time later, in order, or at once where the kernel's barrier interrupts
 * the thread, or where it does a locked operation. When nothing moves any more
 * both goroutines have ended.
 *
 *	here			there
 *	enter, leave		burrow_enter_self(), burrow_leave()
 *	enter_slow, reenter	the same in enter.c; has_lost(), queue_up()
 *	light			where it is a fence it stands in burrow_reenter(),
 *				before attention is looked at again: ATTENTION_FENCE,
 *				always set there, leads to it
 *	blocking, give_up	burrow_blocking(), give_up_proc() in fork.c
 *	next			burrow_sched_loop(), burrow_find(), idle(),
 *				burrow_thread_spare()
 *	man, give, kick		burrow_proc_man(), burrow_thread_give(),
 *				burrow_thread_kick()
 *	wake_one		burrow_wake_one()
 *	monitor			take_processor(), man_all() in monitor.c
 *	stopper			burrow_world_stop(), burrow_world_start()
 *
 * holds:
 * holds:	-DFENCED	no membarrier(2): the light barrier is a fence
 * holds:	-DWORLD		with the stopper
 * fails:	-DNO_HEAVY	nobody is interrupted
 * fails:	-DWORLD -DNO_HEAVY
 * fails:	-DNO_LOCK	a thread does not ask under the lock what it lost
 */
/* Twice, and both at once (-DTRIES=2, -DWORLD -DTRIES=1), hold too. */
#ifndef TRIES
#ifdef WORLD
#define TRIES 0
#else
#define TRIES 1
#endif
#endif

#define T 2
#define NOBODY 2

#define STOP 1
#define LOST 2
#define BLOCKING 4

/* thread.inside, as others see it, and what they do not see yet. */
bit inside[T];
chan stores[T] = [2] of { bit };
byte attention[T];

bit lock;		/* runtime.lock */
bit world;		/* burrow_world */

/* Under the lock. */
byte holder;		/* proc.thread */
bit has_proc[T];	/* thread.proc */
bit spare[T];
bit idle;
bit unmanned;		/* the processor waits for a thread */
byte queued;		/* global queue */
byte away;

bit kicked[T];
bit in_loop[T];		/* thread.current is thread.loop */
bit using;
bit stopped;
byte ended;
bit finished;		/* of the checking itself */

inline drain(t)
{
	do
	:: len(stores[t]) > 0 -> stores[t]?inside[t]
	:: else -> break
	od
}

/* Locked operations empty the store buffer. */
inline acquire()
{
	atomic {
		!lock -> lock = 1;
		drain(me)
	}
}

inline release()
{
	lock = 0
}

inline light()
{
#ifdef FENCED
	atomic { drain(me) }
#endif
	skip
}

/* One after another is interrupted. */
inline heavy()
{
#if !defined(FENCED) && !defined(NO_HEAVY)
	atomic { drain(0) };
	atomic { drain(1) }
#endif
	skip
}

/* Inside: the runtime touches what belongs to the processor. */
inline use()
{
	atomic {
		assert(!using && !stopped);
		using = 1
	};
	using = 0
}

inline kick(t)
{
	kicked[t] = 1
}

inline give(t)
{
	holder = t;
	has_proc[t] = 1;
	attention[t] = attention[t] & ~LOST;
	kick(t)
}

inline man()
{
	if
	:: holder != NOBODY -> kick(holder)
	:: else ->
		if
		:: spare[0] ->
			spare[0] = 0;
			give(0)
		:: spare[1] ->
			spare[1] = 0;
			give(1)
		:: else -> unmanned = 1
		fi
	fi
}

inline wake_one()
{
	atomic {
		!lock;
		drain(me);
		if
		:: idle ->
			idle = 0;
			man()
		:: else
		fi
	}
}

inline leave()
{
	stores[me]!0
}

inline reenter()
{
	stores[me]!1;
	light();
	do
	:: (attention[me] & STOP) ->
		leave();
		!(attention[me] & STOP);
		stores[me]!1;
		light()
	:: else -> break
	od
}

/* Sets @gone: the goroutine was left in the global queue. */
inline enter()
{
	gone = 0;
	stores[me]!1;
	light();
	if
	:: attention[me] == 0
	:: else ->
		/* enter_slow(); its reenter() stores what is there already. */
		reenter();
		assert(!(attention[me] & BLOCKING));
		if
		:: (attention[me] & LOST) ->
#ifndef NO_LOCK
			acquire();
			gone = (attention[me] & LOST) != 0;
			release();
#else
			gone = 1;
#endif
			if
			:: gone ->
				in_loop[me] = 1;
				atomic {
					!lock;
					drain(me);
					away--;
					queued++
				};
				wake_one()
			:: else
			fi
		:: else
		fi
	fi
}

inline give_up()
{
	atomic {
		!lock;
		drain(me);
		if
		:: queued > 0 && (spare[0] || spare[1]) ->
			away++;
			attention[me] = attention[me] | LOST;
			has_proc[me] = 0;
			holder = NOBODY;
			man()
		:: else
		fi
	}
}

inline blocking()
{
	enter();
	if
	:: gone
	:: else ->
		use();
		give_up();
		atomic {
			drain(me);
			attention[me] = attention[me] | BLOCKING
		};
		leave();
		atomic {
			drain(me);
			attention[me] = attention[me] & ~BLOCKING
		};
		enter();
		if
		:: gone
		:: else -> leave()
		fi
	fi
}

/* Sleeps, outside, until it is kicked. */
inline futex_sleep()
{
	leave();
	if
	:: kicked[me] -> kicked[me] = 0
	:: finished -> goto done
	fi;
	reenter()
}

/* In the loop, inside: until there is a goroutine to run, then outside. */
inline next()
{
	do
	:: !has_proc[me] ->
		atomic {
			!lock;
			drain(me);
			spare[me] = !has_proc[me]
		};
		if
		:: has_proc[me]
		:: else -> futex_sleep()
		fi
	:: has_proc[me] ->
		use();
		atomic {
			!lock;
			drain(me);
			if
			:: queued > 0 ->
				queued--;
				in_loop[me] = 0;
				break
			:: else -> idle = 1
			fi
		};
		futex_sleep();
		atomic {
			!lock;
			drain(me);
			if
			:: has_proc[me] -> idle = 0
			:: else
			fi
		}
	od;
	leave()
}

proctype thread(byte me)
{
	bit gone;

	reenter();
again:
	next();
	/* The program's code. */
	do
	:: true ->
		enter();
		if
		:: gone -> goto again
		:: else ->
			use();
			leave()
		fi
	:: true ->
		blocking();
		if
		:: gone -> goto again
		:: else
		fi
	:: true ->
		enter();
		if
		:: gone -> goto again
		:: else ->
			use();
			atomic {
				in_loop[me] = 1;
				ended++
			};
			goto again
		fi
	od;
done:	skip
}

proctype store_buffer(byte t)
{
end:	do
	:: atomic { len(stores[t]) > 0 -> stores[t]?inside[t] }
	od
}

proctype monitor()
{
	byte t, tries;

end:	do
	/* man_all(), which starts no threads here */
	:: atomic {
		!lock && unmanned && (spare[0] || spare[1]) ->
		unmanned = 0;
		man()
	}
	:: tries < TRIES ->
		tries++;
		atomic { !world -> world = 1 };
		atomic { !lock -> lock = 1 };
		t = holder;
		if
		:: t == NOBODY || idle || in_loop[t]
		:: else ->
			attention[t] = attention[t] | LOST;
			heavy();
			if
			:: inside[t] -> attention[t] = attention[t] & ~LOST
			:: else ->
				atomic {
					away++;
					has_proc[t] = 0;
					holder = NOBODY;
					man()
				}
			fi
		fi;
		release();
		t = 0;
		world = 0
	od
}

proctype stopper()
{
	atomic { !world -> world = 1 };
	attention[0] = attention[0] | STOP;
	attention[1] = attention[1] | STOP;
	heavy();
	!inside[0];
	!inside[1];
	atomic {
		assert(!using);
		stopped = 1
	};
	stopped = 0;
	attention[0] = attention[0] & ~STOP;
	attention[1] = attention[1] & ~STOP;
	world = 0
}

init {
	atomic {
		queued = 2;
		holder = 0;
		has_proc[0] = 1;
		in_loop[0] = 1;
		in_loop[1] = 1;
		run thread(0);
		run thread(1);
		run store_buffer(0);
		run store_buffer(1);
#ifdef WORLD
		run stopper();
#endif
		run monitor()
	};
	timeout ->
	assert(ended == 2);
	assert(queued == 0 && away == 0);
	assert(holder != NOBODY && idle && has_proc[holder]);
	assert(!lock && !world && !using);
	finished = 1
}
