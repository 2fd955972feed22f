// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What every goroutine is doing, and where.
 *
 * The stacks of goroutines that do not run are walked from what the switch
 * saved. Only the runtime's own thread can say that they stay so meanwhile:
 * another thread leaves a request, which the loop serves between two switches.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../sched/sched.h"
#include "backtrace.h"
#include "dump.h"
#include "print.h"

/**
 * struct dump - one on its way
 * @fd:		where it goes
 * @ucontext:	what a signal handler interrupted, or NULL
 * @traces:	stacks may be walked
 */
struct dump {
	int fd;
	const void *ucontext;
	bool traces;
};

static const char *state_name(const struct goroutine *g)
{
	switch (g->state) {
	case GOROUTINE_RUNNABLE:
		return g->stack.arena ? "runnable" : "not started";
	case GOROUTINE_RUNNING:
		return "running";
	default:
		return goroutine_reason_name(g);
	}
}

static void dump_one(struct goroutine *g, void *arg)
{
	const struct dump *dump = arg;

	burrow_print(dump->fd, "goroutine %lu%s%s%s: %s\n", g->id,
		     BURROW_NAME_ARGS(g), state_name(g));
	if (!dump->traces || !g->stack.arena || (g->state == GOROUTINE_RUNNING && g != burrow_current()))
		return;
	if (g != burrow_current())
		burrow_backtrace_parked(dump->fd, g->context);
	else if (dump->ucontext)
		burrow_backtrace_interrupted(dump->fd, dump->ucontext);
	else
		burrow_backtrace(dump->fd);
}

void burrow_dump_all(int fd)
{
	struct dump dump = { .fd = fd, .traces = true };

	goroutine_each(dump_one, &dump);
}

int burrow_stop_signal = 23;

void burrow_dump_quit(void)
{
	burrow_print(STDERR_FILENO, "burrow: SIGQUIT\n");
	burrow_world_try_stop(NULL, 1000000000);
	burrow_dump_all(STDERR_FILENO);
	_exit(2);
}

static void dump_here(void *arg)
{
	burrow_dump_all(*(int *)arg);
}

int burrow_dump(int fd)
{
	struct burrow_thread *self = burrow_self();

	if (!__atomic_load_n(&burrow_runtime.running, __ATOMIC_ACQUIRE))
		return -ESRCH;
	burrow_world_stop(self);
	if (self && burrow_current())
		burrow_call_on_thread(self, dump_here, &fd);
	else
		burrow_dump_all(fd);
	burrow_world_start(self);
	return 0;
}
