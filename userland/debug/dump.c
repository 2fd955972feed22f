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
#include "print.h"

#define PATIENCE_NS 1000000000LL

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
		return g->reason == GOROUTINE_SLEEP ? "sleeping" : "parked";
	}
}

static void dump_one(struct goroutine *g, void *arg)
{
	const struct dump *dump = arg;

	burrow_print(dump->fd, "goroutine %lu%s%s%s: %s\n", g->id,
		     BURROW_NAME_ARGS(g), state_name(g));
	if (!dump->traces || !g->stack.arena)
		return;
	if (g != burrow_current())
		burrow_backtrace_parked(dump->fd, g->context);
	else if (dump->ucontext)
		burrow_backtrace_interrupted(dump->fd, dump->ucontext);
	else
		burrow_backtrace(dump->fd);
}

void burrow_dump_all(int fd, const void *ucontext)
{
	struct dump dump = { .fd = fd, .ucontext = ucontext, .traces = true };

	goroutine_each(dump_one, &dump);
}

static void dump_here(void *arg)
{
	burrow_dump_all(*(int *)arg, NULL);
}

static void wait_a_second(struct burrow_dump_request *request)
{
	const struct timespec step = { .tv_nsec = 100000000 };
	int64_t until = burrow_now() + PATIENCE_NS;

	while (__atomic_load_n(&request->state, __ATOMIC_ACQUIRE) == 1 &&
	       burrow_now() < until)
		syscall(SYS_futex, &request->state, FUTEX_WAIT_PRIVATE, 1,
			&step, NULL, 0);
}

/* Takes the request back; false: it is being served, or was. */
static bool retract(struct burrow_dump_request *request)
{
	return __atomic_compare_exchange_n(&burrow_runtime.dump, &request, NULL,
					   false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

static bool ask(struct burrow_dump_request *request)
{
	struct burrow_dump_request *none = NULL;

	if (!__atomic_compare_exchange_n(&burrow_runtime.dump, &none, request,
					 false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	burrow_sched_wake();
	wait_a_second(request);
	if (retract(request))
		return false;
	while (__atomic_load_n(&request->state, __ATOMIC_ACQUIRE) == 1)
		usleep(1000);
	return true;
}

static int dump_foreign(int fd)
{
	struct burrow_dump_request request = { .fd = fd, .state = 1 };
	struct dump dump = { .fd = fd };
	int ret = -ESRCH;

	if (!__atomic_load_n(&burrow_runtime.running, __ATOMIC_ACQUIRE))
		return ret;
	if (ask(&request))
		return 0;

	pthread_mutex_lock(&burrow_runtime.lock);
	if (burrow_runtime.running) {
		burrow_print(fd,
			     "burrow: the runtime is busy: no backtraces\n");
		goroutine_each(dump_one, &dump);
		ret = 0;
	}
	pthread_mutex_unlock(&burrow_runtime.lock);
	return ret;
}

int burrow_dump(int fd)
{
	struct burrow_thread *self = burrow_self();

	if (!self)
		return dump_foreign(fd);
	if (self->blocking || !burrow_current())
		burrow_dump_all(fd, NULL);
	else
		burrow_call_on_thread(self, dump_here, &fd);
	return 0;
}
