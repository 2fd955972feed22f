// SPDX-License-Identifier: GPL-2.0
/*
 * GNU Pth beside Burrow: threads of one process on stacks of its default size.
 * It has no channels of this kind; its sleepers sleep in pth_nap().
 */
#include <pth.h>
#include <stdlib.h>

#include "serve.h"

#define MEMBERS 1000

/* Its queues are searched, so that more take minutes. */
#define MOST_ALIVE 10000

static long left, count, turns;
static pth_mutex_t lock;
static pth_attr_t detached;

static long start(void *(*fn)(void *arg), long n)
{
	if (n > MOST_ALIVE)
		n = MOST_ALIVE;
	for (left = 0; left < n; left++)
		if (!pth_spawn(detached, fn, NULL))
			break;
	return left;
}

static void *end(void *arg)
{
	left--;
	return arg;
}

static long spawn(long n)
{
	n = start(end, n);
	while (left)
		pth_yield(NULL);
	return n;
}

static void *nothing(void *arg)
{
	return arg;
}

static long join(long n)
{
	long i;

	if (n > MOST_ALIVE)
		n = MOST_ALIVE;
	for (i = 0; i < n; i++)
		pth_join(pth_spawn(PTH_ATTR_DEFAULT, nothing, NULL), NULL);
	return n;
}

static void *yielder(void *arg)
{
	long i;

	for (i = 0; i < turns; i++)
		pth_yield(NULL);
	left--;
	return arg;
}

static void nap_until_ended(void)
{
	while (left)
		pth_nap(pth_time(0, 1000));
}

static long yield(long n)
{
	turns = (n > 10 * MOST_ALIVE ? 10 * MOST_ALIVE : n) / 2;
	start(yielder, 2);
	nap_until_ended();
	return turns * 2;
}

static void *member(void *arg)
{
	long i;

	for (i = 0; i < turns; i++) {
		pth_mutex_acquire(&lock, 0, NULL);
		count++;
		pth_mutex_release(&lock);
	}
	left--;
	return arg;
}

static long mutex(long n)
{
	turns = n / MEMBERS;
	count = 0;
	pth_mutex_init(&lock);
	start(member, MEMBERS);
	nap_until_ended();
	return count;
}

static const struct work works[] = {
	{ "spawn", spawn, NULL }, { "join", join, NULL },
	{ "yield", yield, NULL }, { "mutex", mutex, NULL },
	{ NULL, NULL, NULL },
};

int main(void)
{
	if (!pth_init())
		return EXIT_FAILURE;
	detached = pth_attr_new();
	pth_attr_set(detached, PTH_ATTR_JOINABLE, 0);
	return serve(works, NULL);
}
