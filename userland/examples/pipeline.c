// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A pipeline: each stage is a goroutine, a channel leads to the next. Numbers
 * are made, squared by several goroutines at a time, and added up; a context
 * gives it all up when the time is over.
 *
 *	pipeline [N [MS]]	squares of 1 to N, 1000 without an argument,
 *				for MS milliseconds at most
 */
#include <burrow.h>
#include <stdio.h>
#include <stdlib.h>

#define SQUARERS 4

struct pipeline {
	struct burrow_ctx *ctx;
	struct burrow_chan *numbers;
	struct burrow_chan *squares;
	struct burrow_waitgroup squarers;
	long last;
};

/* Sends unless the context ends first: then -1. */
static int send_or_stop(struct pipeline *p, struct burrow_chan *ch, long *n)
{
	struct burrow_case cases[] = {
		{ .op = BURROW_SEND, .chan = ch, .elem = n },
		{ .op = BURROW_RECV, .chan = burrow_ctx_done(p->ctx) },
	};

	return burrow_select(cases, 2, -1) == 0 ? 0 : -1;
}

static void count(void *arg)
{
	struct pipeline *p = arg;
	long n;

	for (n = 1; n <= p->last; n++) {
		if (send_or_stop(p, p->numbers, &n))
			break;
	}
	burrow_chan_close(p->numbers);
}

static void square(void *arg)
{
	struct pipeline *p = arg;
	long n;

	burrow_chan_for_each(n, p->numbers)
	{
		n *= n;
		if (send_or_stop(p, p->squares, &n))
			break;
	}
	burrow_waitgroup_done(&p->squarers);
}

static void finish(void *arg)
{
	struct pipeline *p = arg;

	burrow_waitgroup_wait(&p->squarers);
	burrow_chan_close(p->squares);
}

static int start(void *arg)
{
	long *args = arg, n, sum = 0;
	struct pipeline p = { .last = args[0] };
	int i;

	p.ctx = burrow_ctx_with_deadline(NULL,
					 burrow_now() + args[1] * 1000000);
	p.numbers = burrow_chan_new(sizeof(long), 0);
	p.squares = burrow_chan_new(sizeof(long), 16);
	if (!p.ctx || !p.numbers || !p.squares)
		return 1;
	burrow_waitgroup_add(&p.squarers, SQUARERS);
	burrow_go(count, &p);
	for (i = 0; i < SQUARERS; i++)
		burrow_go(square, &p);
	burrow_go(finish, &p);

	burrow_chan_for_each(n, p.squares) sum += n;
	if (burrow_ctx_err(p.ctx)) {
		printf("out of time; the sum so far is %ld\n", sum);
		return 1;
	}
	printf("the squares of 1 to %ld add up to %ld\n", p.last, sum);
	return 0;
}

int main(int argc, char **argv)
{
	long args[] = { 1000, 60000 };

	if (argc > 1)
		args[0] = strtol(argv[1], NULL, 0);
	if (argc > 2)
		args[1] = strtol(argv[2], NULL, 0);
	return burrow_run(NULL, start, args);
}
