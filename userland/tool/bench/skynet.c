// SPDX-License-Identifier: GPL-2.0
/*
 * The skynet benchmark: an actor starts ten, each of them ten, and so on until
 * there are --count at the bottom; these send their numbers up, all others the
 * sums of what they receive. It counts for each actor of the whole tree.
 */
#include <errno.h>

#include <burrow.h>
#include <burrow/chan.h>

#include "contest.h"

#define CHILDREN 10

/* Why an actor could not be started. */
static int error;

struct actor {
	struct burrow_chan *up;
	long number;
	long size;
};

/* They live in their parent, which waits for what they send. */
static void actor(void *arg)
{
	struct actor self = *(struct actor *)arg;
	struct actor children[CHILDREN];
	struct burrow_chan *below;
	long sum = 0, v, part = self.size / CHILDREN;
	int i, err = 0;

	if (self.size == 1) {
		burrow_chan_send(self.up, &self.number);
		return;
	}
	below = burrow_chan_new(sizeof(long), 0);
	for (i = 0; i < CHILDREN; i++) {
		children[i] = (struct actor){
			.up = below,
			.number = self.number + i * part,
			.size = part,
		};
		err = burrow_go(actor, &children[i]);
		if (err)
			break;
	}
	if (err)
		__atomic_store_n(&error, err, __ATOMIC_RELAXED);
	while (i--) {
		burrow_chan_recv(below, &v);
		sum += v;
	}
	burrow_chan_send(self.up, &sum);
}

static long skynet(long n)
{
	struct actor root = {
		.up = burrow_chan_new(sizeof(long), 0),
		.size = 1,
	};
	long total = 1, sum;
	int err;

	while (root.size * CHILDREN <= n) {
		root.size *= CHILDREN;
		total += root.size;
	}
	err = burrow_go(actor, &root);
	if (err)
		return err;
	burrow_chan_recv(root.up, &sum);
	err = __atomic_load_n(&error, __ATOMIC_RELAXED);
	if (err)
		return err;
	return sum == root.size * (root.size - 1) / 2 ? total : -EBADMSG;
}

static const struct contest contests[] = {
	{
		.work = "skynet",
		.unit = "ns/actor",
		.wall = "wall-ns/actor",
		.count = 1000000,
		.run = skynet,
	},
};

static int run(const struct bench_options *options)
{
	return contest_run(options, "skynet", contests, 1);
}

const struct bench bench_skynet = {
	.name = "skynet",
	.summary = "a tree of actors, --count of them at its bottom",
	.backend = contest_backend,
	.run = run,
};
