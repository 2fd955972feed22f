// SPDX-License-Identifier: GPL-2.0
/*
 * The ring benchmark: 10,000 goroutines in a ring, each with an unbuffered
 * channel to the next; a number goes round. The ring is made the first time and
 * stays, so that hops are all that counts the second time.
 */
#include <errno.h>

#include <burrow.h>
#include <burrow/chan.h>

#include "contest.h"

#define MEMBERS 10000

static struct burrow_chan *chans[MEMBERS];

static void member(void *arg)
{
	struct burrow_chan **in = arg;
	long v;

	while (burrow_chan_recv(in[0], &v) > 0) {
		v++;
		burrow_chan_send(in[1], &v);
	}
}

/* The main goroutine is the last member. */
static int make_ring(void)
{
	int err = 0;
	long i;

	for (i = 0; i < MEMBERS; i++) {
		chans[i] = burrow_chan_new(sizeof(long), 0);
		if (!chans[i])
			return -ENOMEM;
	}
	for (i = 0; i < MEMBERS - 1 && !err; i++)
		err = burrow_go(member, &chans[i]);
	return err;
}

static long ring(long n)
{
	int err = chans[0] ? 0 : make_ring();
	long rounds = n / MEMBERS, v = 0, i;

	if (err)
		return err;
	for (i = 0; i < rounds; i++) {
		burrow_chan_send(chans[0], &v);
		burrow_chan_recv(chans[MEMBERS - 1], &v);
	}
	return v == rounds * (MEMBERS - 1) ? rounds * MEMBERS : -EBADMSG;
}

static const struct contest contests[] = {
	{
		.work = "ring",
		.unit = "ns/hop",
		.wall = "wall-ns/hop",
		.count = 1000000,
		.run = ring,
	},
};

static int run(const struct bench_options *options)
{
	return contest_run(options, "ring", contests, 1);
}

const struct bench bench_ring = {
	.name = "ring",
	.summary = "a number passed round 10,000 goroutines, for each hop",
	.backend = contest_backend,
	.run = run,
};
