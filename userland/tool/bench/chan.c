// SPDX-License-Identifier: GPL-2.0
/*
 * The chan benchmark: numbers sent from one goroutine to another, through a
 * channel without a buffer and through one that holds 128. On one processor the
 * bare switch is measured beside it.
 */
#include <errno.h>

#include <burrow.h>
#include <burrow/chan.h>

#include "contest.h"

struct sending {
	struct burrow_chan *chan;
	long n;
};

static void sender(void *arg)
{
	struct sending s = *(struct sending *)arg;
	long i;

	for (i = 0; i < s.n; i++)
		burrow_chan_send(s.chan, &i);
	burrow_chan_close(s.chan);
}

static long messages(size_t capacity, long n)
{
	struct sending s = { burrow_chan_new(sizeof(long), capacity), n };
	long v, sum = 0;
	int err;

	if (!s.chan)
		return -ENOMEM;
	err = burrow_go(sender, &s);
	if (err)
		return err;
	while (burrow_chan_recv(s.chan, &v) > 0)
		sum += v;
	return sum == n * (n - 1) / 2 ? n : -EBADMSG;
}

static long unbuffered(long n)
{
	return messages(0, n);
}

static long buffered(long n)
{
	return messages(128, n);
}

static int run(const struct bench_options *options)
{
	const struct contest contests[] = {
		{
			.work = "message",
			.unit = "ns/message",
			.wall = "wall-ns/message",
			.count = 2000000,
			.run = unbuffered,
		},
		contest_bare_switch,
		{
			.work = "buffered",
			.unit = "ns/buffered",
			.wall = "wall-ns/buffered",
			.count = 5000000,
			.run = buffered,
		},
	};

	return contest_run(options, "chan", contests,
			   sizeof(contests) / sizeof(contests[0]));
}

const struct bench bench_chan = {
	.name = "chan",
	.summary = "a message, unbuffered and through a buffer of 128",
	.backend = contest_backend,
	.run = run,
};
