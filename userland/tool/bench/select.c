// SPDX-License-Identifier: GPL-2.0
/*
 * The select benchmark: one goroutine receives from four channels without
 * buffers. In one case each channel has a sender of its own, which mostly waits
 * already; in the other one sender uses them in turn, so that the receiver
 * waits on all four.
 */
#include <errno.h>

#include <burrow.h>
#include <burrow/chan.h>

#include "contest.h"

#define NCHANS 4

static struct burrow_chan *chans[NCHANS];
static long turns;

static void sender(void *arg)
{
	struct burrow_chan *chan = arg;
	long i, n = turns;

	for (i = 0; i < n; i++)
		burrow_chan_send(chan, &i);
}

static void sender_to_all(void *arg)
{
	long i, n = turns;

	(void)arg;
	for (i = 0; i < n; i++)
		burrow_chan_send(chans[i % NCHANS], &i);
}

static int make_chans(void)
{
	int i;

	for (i = 0; i < NCHANS; i++) {
		chans[i] = burrow_chan_new(sizeof(long), 0);
		if (!chans[i])
			return -ENOMEM;
	}
	return 0;
}

/* The sum of @n numbers, whichever channels they come from. */
static long receive(long n)
{
	struct burrow_case cases[NCHANS];
	long values[NCHANS], sum = 0, i;
	int taken;

	for (i = 0; i < NCHANS; i++)
		cases[i] = (struct burrow_case){
			.op = BURROW_RECV,
			.chan = chans[i],
			.elem = &values[i],
		};
	for (i = 0; i < n; i++) {
		taken = burrow_select(cases, NCHANS, -1);
		sum += values[taken];
	}
	return sum;
}

static long from_four(long n)
{
	int i, err = make_chans();

	turns = n / NCHANS;
	for (i = 0; i < NCHANS && !err; i++)
		err = burrow_go(sender, chans[i]);
	if (err)
		return err;
	return receive(turns * NCHANS) == turns * (turns - 1) / 2 * NCHANS ?
		       turns * NCHANS :
		       -EBADMSG;
}

static long from_one(long n)
{
	int err = make_chans();

	turns = n;
	if (!err)
		err = burrow_go(sender_to_all, NULL);
	if (err)
		return err;
	return receive(n) == n * (n - 1) / 2 ? n : -EBADMSG;
}

static const struct contest contests[] = {
	{
		.work = "select",
		.unit = "ns/select",
		.wall = "wall-ns/select",
		.count = 1000000,
		.run = from_four,
	},
	{
		.work = "select-alternating",
		.unit = "ns/select-alternating",
		.wall = "wall-ns/select-alternating",
		.count = 1000000,
		.run = from_one,
	},
};

static int run(const struct bench_options *options)
{
	return contest_run(options, "select", contests,
			   sizeof(contests) / sizeof(contests[0]));
}

const struct bench bench_select = {
	.name = "select",
	.summary = "a receive from one of four unbuffered channels",
	.backend = contest_backend,
	.run = run,
};
