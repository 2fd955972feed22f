/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Nobody sleeps while there is work: a goroutine made ready is found by a
 * thread without work, in whatever moment of falling asleep that is.
 *
 * A busy thread puts a goroutine into the ring of its processor and then goes on
 * for ever; one from outside puts one into the global queue; two others look
 * for work, and each keeps what it found for ever or for a while. A store to
 * the ring is seen by others some time after it was made, or at once where the
 * kernel's barrier interrupts the thread that made it. When nothing moves any
 * more there may be work, but then nobody is idle. What is done under
 * runtime.lock is one step here: of what changes there others see one word.
 *
 * With FEW the owner moves on at first, and may stop to at any time, with what
 * waits in his ring or without. While he moves others leave him what waits there,
 * and he wakes nobody if that was in vain before. When he has stopped the monitor
 * looks, once for each that may have been left.
 *
 *	here			there
 *	push			burrow_runq_push(); the tail is in the store buffer
 *	light, heavy		burrow_barrier_light(), burrow_barrier_heavy()
 *	wake_for_work		the same in sched.c
 *	wake_one, kick		burrow_wake_one(), burrow_thread_kick()
 *	spin_begin, spin_end	the same in idle.c
 *	find, idle		burrow_find(), idle()
 *	moves			the same in idle.c; may_skip() in sched.c
 *	monitor			work_lies_about() in monitor.c
 *
 * holds:
 * holds:	-DFENCED	no membarrier(2): the light barrier is a fence
 * holds:	-DFEW
 * holds:	-DFEW -DFENCED
 * fails:	-DFEW -DNO_MONITOR	nobody looks when he has stopped
 * fails:	-DNO_HEAVY	who falls asleep passes no barrier
 * fails:	-DNO_SECOND_LOOK	... does not look at the queues again
 * fails:	-DNO_CHAIN	the last spinning one that finds work wakes nobody
 */
#define BUSY 0		/* processor of the busy thread */
#define NR 3

/* thread.sleep */
#define AWAKE 0
#define FUTEX 1
#define KICKED 2

byte ring;		/* goroutines in it, as others see it */
chan stores = [2] of { bit };	/* pushes that they don't see yet */
byte queued;		/* global queue */
#ifdef FEW
bit moves = 1;		/* the owner of the ring switches again and again */
#else
bit moves;
#endif
byte nr_idle;
byte nr_spinning;
bit idle_list[NR];
bit spinning[NR];
byte sleep[NR];

inline drain()
{
	do
	:: len(stores) > 0 ->
		stores?_;
		ring++
	:: else -> break
	od
}

inline light()
{
#ifdef FENCED
	atomic { drain() }
#endif
	skip
}

inline heavy()
{
#if !defined(FENCED) && !defined(NO_HEAVY)
	atomic { drain() }
#endif
	skip
}

/* The exchange and the call are two steps: the sleeper may be anywhere. */
inline kick(t)
{
	sleep[t] = KICKED
}

inline wake_one()
{
	if
	:: nr_idle == 0
	:: else ->
		/* A locked operation empties the store buffer, if it is ours. */
		atomic {
			if
			:: me == BUSY -> drain()
			:: else
			fi;
			was = nr_spinning;
			if
			:: was == 0 -> nr_spinning = 1
			:: else
			fi
		};
		if
		:: was != 0
		:: else ->
			atomic {
				if
				:: idle_list[1] -> t = 1
				:: idle_list[2] -> t = 2
				:: else -> t = 0
				fi;
				if
				:: t != 0 ->
					idle_list[t] = 0;
					nr_idle--;
					spinning[t] = 1
				:: else -> nr_spinning--
				fi
			};
			if
			:: t != 0 -> kick(t)
			:: else
			fi;
			t = 0
		fi;
		was = 0
	fi
}

active proctype busy()
{
	byte me = BUSY, t, was;

	stores!1;
	light();
#ifdef FEW
	if
	:: wake_one()
	:: true		/* woken in vain before */
	fi;
	/* His own, unless another one has it or he stops here. */
	if
	:: atomic { drain(); ring > 0 -> ring-- }
	:: true
	fi;
	moves = 0
#else
	wake_one()
#endif
}

active proctype store_buffer()
{
end:	do
	:: atomic { len(stores) > 0 -> stores?_; ring++ }
	od
}

active proctype foreign()
{
	byte me = NR, t, was;

	queued++;
	wake_one()
}

inline spin_begin()
{
	if
	:: spinning[me]
	:: else ->
		was = nr_idle;
		if
		:: 2 * nr_spinning >= NR - was
		:: else ->
			spinning[me] = 1;
			nr_spinning++
		fi;
		was = 0
	fi
}

inline spin_end()
{
	if
	:: spinning[me] ->
		spinning[me] = 0;
		atomic {
			nr_spinning--;
			was = nr_spinning
		};
#ifndef NO_CHAIN
		if
		:: was == 0 -> wake_one()
		:: else -> was = 0
		fi
#endif
	:: else
	fi
}

/* Sets @found. */
inline find()
{
	found = 0;
	if
	:: queued == 0
	:: else ->
		atomic {
			if
			:: queued > 0 ->
				queued--;
				found = 1
			:: else
			fi
		}
	fi;
	if
	:: found
	:: else ->
		spin_begin();
		if
		:: spinning[me] ->
			atomic {
				if
				:: ring > 0 && !moves ->
					ring--;
					found = 1
				:: else
				fi
			}
		:: else
		fi
	fi
}

inline idle()
{
	atomic {
		if
		:: queued > 0 -> found = 1
		:: else ->
			idle_list[me] = 1;
			nr_idle++;
			if
			:: spinning[me] ->
				spinning[me] = 0;
				nr_spinning--
			:: else
			fi
		fi
	};
	if
	:: found -> found = 0
	:: else ->
		heavy();
#ifdef NO_SECOND_LOOK
		if
		:: true ->
#else
		if
		:: queued > 0 || (ring > 0 && !moves)
		:: else ->
#endif
			/* burrow_futex_sleep() */
			if
			:: atomic { sleep[me] == AWAKE -> sleep[me] = FUTEX };
end_asleep:			sleep[me] != FUTEX
			:: atomic { sleep[me] != AWAKE -> skip }
			fi;
			sleep[me] = AWAKE
		fi;
		/* idle_end() */
		atomic {
			if
			:: idle_list[me] ->
				idle_list[me] = 0;
				nr_idle--
			:: else
			fi
		}
	fi
}

active [2] proctype worker()
{
	byte me = _pid - 2, t, was;
	bit found;

	do
	:: find();
		if
		:: found ->
			spin_end();
			if
			:: true -> break
			:: true
			fi
		:: else -> idle()
		fi
	od
}

#if defined(FEW) && !defined(NO_MONITOR)
active proctype monitor()
{
	byte me = NR, t, was, looks;

	do
	:: looks == 2 -> break
	:: looks < 2 && !moves && nr_idle > 0 && ring + queued > 0 ->
		looks++;
		wake_one()
	:: timeout -> break
	od
}
#endif

active proctype judge()
{
	timeout ->
	assert(ring + queued == 0 || nr_idle == 0);
	assert(nr_spinning == 0)
}
