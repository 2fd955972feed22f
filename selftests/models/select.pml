/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Channels without a buffer, and select over them: a message is taken by one
 * receiver, and a select takes one case.
 *
 * Two goroutines select between receiving from A and from B until they find B
 * closed, one selects between sending to either, one sends to A, one closes B.
 * All of it under any order of steps, and the end of each is looked at:
 * a message that was sent was received once; one that was not was never seen;
 * nobody waits but the plain sender, and that one only while no receiver does.
 *
 *	here			there
 *	acquire, release	burrow_lock_take(), burrow_lock_drop()
 *	take			burrow_waitq_take()
 *	claim			burrow_claim()
 *	park			burrow_park(), burrow_park_call()
 *	wake			burrow_wake()
 *	recv_select		burrow_select(): look at all, queue in all, clean up
 *	send_select		the same
 *	send_plain, close_it	burrow_chan_send(), burrow_chan_close()
 *
 * holds:
 * fails:	-DCLAIM_IN_TWO_STEPS	a look at `claimed`, and then a store
 * fails:	-DNO_CLEANING		waiters stay where they were not woken
 */
#define A 0
#define B 1

/* Goroutines. */
#define R1 0
#define R2 1
#define SS 2
#define SP 3
#define NOBODY 4

/* What a receiver gets: messages are 1 and 2. */
#define NOTHING 0
#define CLOSED 3

bit lock[2];
bit closed_chan[2];
chan recvq[2] = [8] of { byte };
chan sendq[2] = [8] of { byte };

bit is_select[4];
bit claimed[4];
byte elem[4];		/* what is handed over */
byte via[4];		/* case that was taken */
bit failed[4];		/* -EPIPE */
bit ready[4];		/* in a run queue */
bit parked[4];
byte received[4];	/* how often, by message */
bit sent[4];

inline acquire(c)
{
	atomic { lock[c] == 0 -> lock[c] = 1 }
}

inline release(c)
{
	lock[c] = 0
}

/* Only under the locks of the channels that it waits for; it drops them. */
inline park(me)
{
	parked[me] = 1
}

inline sleep(me)
{
	atomic { ready[me] -> ready[me] = 0 }
}

inline wake(g, what, c)
{
	atomic {
		assert(parked[g] && !ready[g]);
		elem[g] = what;
		via[g] = c;
		parked[g] = 0;
		ready[g] = 1
	}
}

inline claim(g)
{
#ifdef CLAIM_IN_TWO_STEPS
	was = claimed[g];
	if
	:: !was -> claimed[g] = 1
	:: else
	fi
#else
	atomic { was = claimed[g]; claimed[g] = 1 }
#endif
}

/* The first waiter that can be had, or NOBODY. */
inline take(q)
{
	found = NOBODY;
	do
	:: atomic { len(q) == 0 -> break }
	:: atomic { len(q) > 0 -> q?found };
		if
		:: !is_select[found] -> break
		:: else ->
			claim(found);
			if
			:: !was -> break
			:: else -> found = NOBODY
			fi
		fi
	od
}

inline clean(q, me)
{
	if
	:: atomic { q??[eval(me)] -> q??eval(me) }
	:: else
	fi
}

/* Under the channel's lock; sets @got, NOTHING: not ready. */
inline try_recv(c, me)
{
	take(sendq[c]);
	if
	:: found != NOBODY ->
		got = elem[found];
		failed[found] = 0;
		wake(found, NOTHING, c)
	:: else ->
		if
		:: closed_chan[c] -> got = CLOSED
		:: else -> got = NOTHING
		fi
	fi
}

/* Sets @done; with -EPIPE too. */
inline try_send(c, me, what)
{
	if
	:: closed_chan[c] ->
		failed[me] = 1;
		done = 1
	:: else ->
		take(recvq[c]);
		if
		:: found != NOBODY ->
			failed[me] = 0;
			wake(found, what, c);
			done = 1
		:: else -> done = 0
		fi
	fi
}

proctype recv_select(byte me)
{
	byte found, got, first;
	bit was;

again:
	acquire(A);
	acquire(B);
	/* Fair: any case may be looked at first. */
	if
	:: first = A
	:: first = B
	fi;
	try_recv(first, me);
	if
	:: got == NOTHING -> try_recv(1 - first, me)
	:: else
	fi;
	if
	:: got != NOTHING ->
		release(B);
		release(A)
	:: else ->
		atomic {
			claimed[me] = 0;
			recvq[A]!me;
			recvq[B]!me;
			park(me)
		};
		release(B);
		release(A);
		sleep(me);
		got = elem[me];
#ifndef NO_CLEANING
		acquire(A);
		acquire(B);
		clean(recvq[A], me);
		clean(recvq[B], me);
		release(B);
		release(A);
#endif
		assert(got != NOTHING)
	fi;
	if
	:: got == CLOSED
	:: else ->
		atomic {
			received[got]++;
			assert(received[got] == 1)
		};
		goto again
	fi
}

proctype send_select()
{
	byte found, first;
	bit was, done;

	acquire(A);
	acquire(B);
	if
	:: first = A
	:: first = B
	fi;
	try_send(first, SS, 1);
	if
	:: !done -> try_send(1 - first, SS, 1)
	:: else
	fi;
	if
	:: done ->
		release(B);
		release(A)
	:: else ->
		atomic {
			claimed[SS] = 0;
			elem[SS] = 1;
			sendq[A]!SS;
			sendq[B]!SS;
			park(SS)
		};
		release(B);
		release(A);
		sleep(SS);
#ifndef NO_CLEANING
		acquire(A);
		acquire(B);
		clean(sendq[A], SS);
		clean(sendq[B], SS);
		release(B);
		release(A)
#endif
	fi;
	sent[1] = !failed[SS]
}

proctype send_plain()
{
	byte found;
	bit was, done;

	acquire(A);
	try_send(A, SP, 2);
	if
	:: done -> release(A)
	:: else ->
		atomic {
			elem[SP] = 2;
			sendq[A]!SP;
			park(SP)
		};
		release(A);
end:		sleep(SP)
	fi;
	sent[2] = !failed[SP]
}

proctype close_it()
{
	byte found;
	bit was;

	acquire(B);
	closed_chan[B] = 1;
	do
	:: take(recvq[B]);
		if
		:: found == NOBODY -> break
		:: else -> wake(found, CLOSED, B)
		fi
	od;
	do
	:: take(sendq[B]);
		if
		:: found == NOBODY -> break
		:: else ->
			failed[found] = 1;
			wake(found, NOTHING, B)
		fi
	od;
	release(B)
}

init {
	atomic {
		is_select[R1] = 1;
		is_select[R2] = 1;
		is_select[SS] = 1;
		run recv_select(R1);
		run recv_select(R2);
		run send_select();
		run send_plain();
		run close_it()
	};
	/* Nothing moves any more. */
	timeout ->
	assert(received[1] == sent[1]);
	assert(received[2] == sent[2]);
	assert(len(recvq[A]) + len(recvq[B]) + len(sendq[B]) == 0);
	assert(!parked[R1] && !parked[R2] && !parked[SS]);
	assert(parked[SP] == len(sendq[A]));
	assert(!lock[A] && !lock[B])
}
