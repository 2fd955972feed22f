// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The slow ends of lock.h: waiting for a lock, and the heavy barrier.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../debug/print.h"
#include "lock.h"

#define SPINS 100 /* looks before the CPU is offered to the holder */

bool burrow_solo;
bool burrow_barrier_fenced;

void burrow_lock_wait(struct burrow_lock *lock)
{
	int spins = 0;

	do {
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED)) {
			if (++spins % SPINS)
				burrow_arch_relax();
			else
				sched_yield();
		}
	} while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE));
}

static long membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

/* Where the kernel knows us; a child of fork() is another. */
static pid_t registered;

/* Before the first thread starts, in each run. */
void burrow_barrier_open(void)
{
	bool fenced = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) ||
		      membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);

	registered = getpid();
	/* A thread of the last run may still be on its way out. */
	if (burrow_barrier_fenced != fenced)
		burrow_barrier_fenced = fenced;
}

/*
 * It worked when the runtime started, and without it nothing is safe. But where
 * none was started in this process there is nobody to interrupt.
 */
static void barrier_refused(int err)
{
	if (registered != getpid())
		return;
	burrow_print(STDERR_FILENO,
		     "burrow: membarrier(2) does not work any more: %s\n",
		     strerror(err));
	abort();
}

void burrow_barrier_heavy(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (burrow_barrier_fenced)
		return;
	while (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
		if (errno != ENOMEM) {
			barrier_refused(errno);
			break;
		}
		/* The kernel wants a little memory for it on large machines. */
		sched_yield();
	}
}
