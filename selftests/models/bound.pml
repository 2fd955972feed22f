/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A bound goroutine runs on its thread only, and that thread runs nothing else;
 * yet no goroutine is left waiting, and no processor is lost, on the way there.
 *
 * Four threads, two processors, three goroutines: two are bound to the threads
 * that hold the processors at the start, one to none. Each runs some times and
 * goes back into the queue in between; for good it unlocks its thread. All that
 * is done under runtime.lock is one step here, and there is one queue for both
 * processors: that what is queued is found is the matter of idle.pml.
 *
 *	here			there
 *	find			burrow_find()
 *	send_home, pass_on	the same in thread.c
 *	spare			burrow_thread_spare()
 *	man, give, kick		burrow_proc_man(), burrow_thread_give(),
 *				burrow_thread_kick()
 *	idle			idle_begin(), burrow_futex_sleep(), idle_end()
 *	wake_one		burrow_wake_one()
 *	monitor			man_all()
 *
 * holds:
 * fails:	-DNO_OWN	who sends another home forgets his own
 * fails:	-DNO_PASS	who passes his processor on does
 * fails:	-DNO_KICK	a thread that has a processor is not told
 */
#ifndef RUNS
#define RUNS 2
#endif

#define T 4
#define P 2
#define G 3
#define NONE 9

/* All of it under the lock. */
byte proc[T] = NONE;	/* thread.proc */
byte holder[P] = NONE;	/* proc.thread */
bit spare[T];
bit ready[T];		/* thread.bound_ready */
bit bound[T];		/* thread.bound: goroutine t to thread t */
bit idle[P];
bit unmanned[P];
bit queued[G];

bit kicked[T];
byte runs[G];
byte running[G];	/* threads that run it */
byte ended;
bit finished;		/* of the checking itself */

inline give(t, p)
{
	holder[p] = t;
	proc[t] = p;
	kicked[t] = 1
}

inline man(p)
{
	if
	:: holder[p] != NONE -> kicked[holder[p]] = 1
	:: else ->
		if
		:: spare[0] -> spare[0] = 0; give(0, p)
		:: spare[1] -> spare[1] = 0; give(1, p)
		:: spare[2] -> spare[2] = 0; give(2, p)
		:: spare[3] -> spare[3] = 0; give(3, p)
		:: else -> unmanned[p] = 1
		fi
	fi
}

inline wake_one()
{
	if
	:: idle[0] -> idle[0] = 0; man(0)
	:: idle[1] -> idle[1] = 0; man(1)
	:: else
	fi
}

inline push(g)
{
	atomic {
		queued[g] = 1;
		wake_one()
	}
}

inline futex_sleep()
{
	if
	:: kicked[me] -> kicked[me] = 0
	:: finished -> goto done
	fi
}

inline must_wait()
{
	atomic {
		wait = proc[me] == NONE;
		if
		:: wait && !bound[me] -> spare[me] = 1
		:: else
		fi
	}
}

/* Home may have got a processor since we looked for its goroutine. */
inline send_home(home)
{
	atomic {
		if
#ifndef NO_OWN
		:: proc[home] == NONE && ready[me] -> queued[home] = 1
#endif
		:: else ->
			ready[home] = 1;
			if
#ifndef NO_KICK
			:: proc[home] != NONE -> kicked[home] = 1
#else
			:: proc[home] != NONE -> skip
#endif
			:: else ->
				give(home, proc[me]);
				proc[me] = NONE
			fi
		fi
	}
}

inline pass_on(g)
{
	push(g);
	atomic {
#ifdef NO_PASS
		if
		:: true ->
#else
		if
		:: !ready[me] ->
#endif
			p = proc[me];
			proc[me] = NONE;
			holder[p] = NONE;
			man(p);
			p = 0
		:: else
		fi
	}
}

inline fall_idle()
{
	atomic {
		wait = 1;
		if
		:: ready[me] -> wait = 0
		:: queued[0] || queued[1] || queued[2] -> wait = 0
		:: else -> idle[proc[me]] = 1
		fi
	};
	if
	:: wait ->
		p = proc[me];
		futex_sleep();
		atomic {
			if
			:: proc[me] == p -> idle[p] = 0
			:: else
			fi;
			p = 0
		}
	:: else
	fi
}

/* On the goroutine's stack, until it queues up again or ends. */
inline go(g)
{
	atomic {
		running[g]++;
		assert(running[g] == 1);
		assert(g == 2 || !bound[g] || g == me);
		assert(!bound[me] || g == me);
		assert(proc[me] != NONE && holder[proc[me]] == me)
	};
	atomic {
		running[g]--;
		runs[g]++;
		if
		:: runs[g] == RUNS ->
			ended++;
			if
			:: g < 2 -> bound[g] = 0
			:: else
			fi
		:: else ->
			queued[g] = 1;
			wake_one()
		fi
	}
}

proctype thread(byte me)
{
	byte g, p;
	bit wait;

	do
	:: proc[me] == NONE ->
		must_wait();
		if
		:: wait -> futex_sleep()
		:: else
		fi
	:: proc[me] != NONE ->
		if
		:: ready[me] ->
			ready[me] = 0;
			go(me)
		:: else ->
			atomic {
				if
				:: queued[0] -> queued[0] = 0; g = 0
				:: queued[1] -> queued[1] = 0; g = 1
				:: queued[2] -> queued[2] = 0; g = 2
				:: else -> g = NONE
				fi
			};
			if
			:: g == NONE -> fall_idle()
			:: g < 2 && g != me && bound[g] -> send_home(g)
			:: g != NONE && (g == me || g == 2 || !bound[g]) &&
			   bound[me] && g != me -> pass_on(g)
			:: else -> go(g)
			fi;
			g = 0
		fi
	od;
done:	skip
}

active proctype monitor()
{
end:	do
	:: atomic {
		unmanned[0] && (spare[0] || spare[1] || spare[2] || spare[3]) ->
		unmanned[0] = 0;
		man(0)
	}
	:: atomic {
		unmanned[1] && (spare[0] || spare[1] || spare[2] || spare[3]) ->
		unmanned[1] = 0;
		man(1)
	}
	od
}

init {
	atomic {
		holder[0] = 0;
		proc[0] = 0;
		holder[1] = 1;
		proc[1] = 1;
		bound[0] = 1;
		bound[1] = 1;
		queued[0] = 1;
		queued[1] = 1;
		queued[2] = 1;
		run thread(0);
		run thread(1);
		run thread(2);
		run thread(3)
	};
	timeout ->
	assert(ended == G);
	assert(holder[0] != NONE && proc[holder[0]] == 0);
	assert(holder[1] != NONE && proc[holder[1]] == 1);
	assert(!unmanned[0] && !unmanned[1]);
	finished = 1
}
