/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The end of a run: nobody is inside when the runtime is taken apart, a thread
 * that is still in C code keeps what it may touch, and the last one to be done
 * with that lets it go, once.
 *
 * The main goroutine's thread and two others, which make calls, sleep in their
 * loops or stay in C code as long as they like, and the monitor. Stores to
 * `inside` are seen by others as in takeover.pml.
 *
 *	here			there
 *	enter, leave		burrow_enter_self(), burrow_enter_slow(),
 *				burrow_leave()
 *	end_thread		the end of thread_main()
 *	put			burrow_remains_put()
 *	monitor			runtime_close(): dismiss(), wait_for(), let_go()
 *
 * holds:
 * holds:	-DFENCED	no membarrier(2): the light barrier is a fence
 * fails:	-DNO_HEAVY	nobody is interrupted
 * fails:	-DNO_REMAINS	what the run has taken goes at once
 */
#define T 3
#define GONE 1

bit inside[T];		/* as others see it */
chan stores[T] = [2] of { bit };
bit gone[T];		/* ATTENTION_GONE */
bit in_loop[T];		/* thread.current is thread.loop */
bit kept[T];		/* thread.remains; under the lock */
bit exited[T];		/* under the lock */
bit done;
bit closed;		/* the runtime is no more */
byte users = 1;		/* remains.users */
byte freed;		/* stacks, descriptors and objects are no more */
byte left;

inline drain(t)
{
	do
	:: len(stores[t]) > 0 -> stores[t]?inside[t]
	:: else -> break
	od
}

inline light()
{
#ifdef FENCED
	atomic { drain(me) }
#endif
	skip
}

/* The thread's stack, its goroutine. */
inline touch()
{
	assert(!freed)
}

inline leave()
{
	stores[me]!0
}

/* Jumps where the goroutine is left behind. */
inline enter()
{
	touch();
	stores[me]!1;
	light();
	if
	:: gone[me] ->
		touch();
		in_loop[me] = 1;
		goto out
	:: else
	fi
}

inline use()
{
	assert(!closed && !freed)
}

inline put()
{
	atomic {
		users--;
		if
		:: users == 0 -> freed++
		:: else
		fi
	}
}

inline end_thread()
{
	leave();
	atomic {
		drain(me);
		exited[me] = 1;
		left++
	};
	/* Where the run ended without it, nobody else puts it. */
	if
	:: kept[me] -> put()
	:: else
	fi
}

proctype thread(byte me)
{
	do
	:: true ->
		/* C code, of any length. */
		touch()
	:: true ->
		enter();
		use();
		leave()
	:: true ->
		/* It waits, and its thread sleeps in the loop. */
		enter();
		use();
		in_loop[me] = 1;
		leave();
		gone[me];
		stores[me]!1;
		goto out
	od;
out:	end_thread()
}

proctype main_thread(byte me)
{
	enter();
	use();
	atomic {
		drain(me);
		done = 1
	};
	in_loop[me] = 1;
out:	end_thread()
}

proctype store_buffer(byte t)
{
end:	do
	:: atomic { len(stores[t]) > 0 -> stores[t]?inside[t] }
	od
}

inline wait_for(t)
{
	do
	:: atomic { exited[t] -> break }
	:: !inside[t] ->
		atomic {
			if
			:: !exited[t] && !inside[t] && !in_loop[t] ->
				users++;
				kept[t] = 1;
				break
			:: else
			fi
		}
	od
}

active proctype monitor()
{
	done;
	gone[0] = 1;
	gone[1] = 1;
	gone[2] = 1;
#if !defined(FENCED) && !defined(NO_HEAVY)
	atomic { drain(0) };
	atomic { drain(1) };
	atomic { drain(2) };
#endif
	wait_for(0);
	wait_for(1);
	wait_for(2);
	closed = 1;
#ifdef NO_REMAINS
	users = 1;
#endif
	put()
}

init {
	atomic {
		run main_thread(0);
		run thread(1);
		run thread(2);
		run store_buffer(0);
		run store_buffer(1);
		run store_buffer(2)
	};
	timeout ->
	assert(left == T && closed && users == 0 && freed == 1)
}
