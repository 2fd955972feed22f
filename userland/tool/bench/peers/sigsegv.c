// SPDX-License-Identifier: GPL-2.0
/*
 * Growth as user space can do it with signals: the stacks are reserved without
 * access, a handler on an alternate stack gives access with mprotect(), twice
 * as much each time. As with the module, a stack that nothing was done with
 * has no page and cost nothing.
 *
 * The handler reads the one state that is open; everything is on one thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../descend.h"
#include "../growth.h"

struct state {
	char *base;
	size_t bytes;
	size_t stride;
	size_t page;
	unsigned long frames;
	unsigned int batch;
	size_t *have; /* bytes with access, of each stack */
	stack_t old_stack;
	struct sigaction old_action;
	char *signal_stack;
};

static struct state *current;

/* False: that was no growth. */
static bool grow_at(struct state *s, const char *address)
{
	size_t slot, limit = s->stride - GROWTH_GUARD, need, want;
	char *top;

	if (address < s->base || address >= s->base + s->bytes)
		return false;
	slot = (address - s->base) / s->stride;
	top = s->base + (slot + 1) * s->stride;
	need = ((size_t)(top - address) + s->page - 1) / s->page * s->page;
	if (need > limit)
		return false;
	want = 2 * s->have[slot];
	if (want < need)
		want = need;
	if (want > limit)
		want = limit;
	if (mprotect(top - want, want - s->have[slot], PROT_READ | PROT_WRITE))
		return false;
	s->have[slot] = want;
	return true;
}

static void handler(int sig, siginfo_t *info, void *context)
{
	(void)context;
	/* Not ours: the fault comes again and ends the program. */
	if (!current || !grow_at(current, info->si_addr))
		signal(sig, SIG_DFL);
}

static int give_back(void *p)
{
	struct state *s = p;
	unsigned int i;

	for (i = 0; i < s->batch; i++) {
		if (mmap(s->base + i * s->stride, s->stride, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				 MAP_FIXED,
			 -1, 0) == MAP_FAILED)
			return -errno;
		s->have[i] = 0;
	}
	return 0;
}

static void close_state(void *p)
{
	struct state *s = p;

	sigaction(SIGSEGV, &s->old_action, NULL);
	sigaltstack(&s->old_stack, NULL);
	current = NULL;
	munmap(s->base, s->bytes);
	free(s->signal_stack);
	free(s->have);
	free(s);
}

static void catch_signal(struct state *s)
{
	size_t size = sysconf(_SC_SIGSTKSZ);
	const struct sigaction sa = {
		.sa_sigaction = handler,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};
	stack_t ss = { .ss_size = size < 65536 ? 65536 : size };

	s->signal_stack = growth_alloc(1, ss.ss_size);
	ss.ss_sp = s->signal_stack;
	sigaltstack(&ss, &s->old_stack);
	sigaction(SIGSEGV, &sa, &s->old_action);
	current = s;
}

static void *open_state(struct growth_plan *plan)
{
	struct state *s = growth_alloc(1, sizeof(*s));

	s->stride = growth_stride(plan->depth);
	s->bytes = s->stride * plan->batch;
	s->page = sysconf(_SC_PAGESIZE);
	s->frames = plan->frames;
	s->batch = plan->batch;
	s->base = mmap(NULL, s->bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->base == MAP_FAILED) {
		free(s);
		return growth_cannot(plan, "reserving address space: %s",
				     strerror(errno));
	}
	s->have = growth_alloc(plan->batch, sizeof(*s->have));
	catch_signal(s);
	return s;
}

static int grow(void *p, unsigned int i, uint64_t *ticks)
{
	struct state *s = p;

	*ticks = descend_on(s->base + (i + 1) * s->stride, s->frames);
	return 0;
}

const struct growth_way growth_sigsegv = {
	.name = "sigsegv",
	.open = open_state,
	.grow = grow,
	.end = give_back,
	.close = close_state,
};
