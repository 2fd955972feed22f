// SPDX-License-Identifier: GPL-2.0
/*
 * Does one operation of the runtime many times, on one processor; for
 * callgrind.sh, which counts its instructions.
 *
 * usage: operations NAME COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <burrow.h>
#include <burrow/chan.h>
#include <burrow/sync.h>

#define CHANS 4

static long count;
static struct burrow_chan *chans[CHANS];
static struct burrow_waitgroup group;
static struct burrow_mutex mutex;

static void must(int err)
{
	if (!err)
		return;
	fprintf(stderr, "operations: %s\n", strerror(-err));
	exit(EXIT_FAILURE);
}

static struct burrow_chan *make(size_t capacity)
{
	struct burrow_chan *chan = burrow_chan_new(sizeof(long), capacity);

	must(chan ? 0 : -1);
	return chan;
}

static void yielder(void *arg)
{
	long i;

	(void)arg;
	for (i = 0; i < count; i++)
		burrow_yield();
}

/* Two of them; one of the pair is one operation. */
static void run_switch(void)
{
	must(burrow_go(yielder, NULL));
	yielder(NULL);
}

static void end(void *arg)
{
	(void)arg;
	burrow_waitgroup_done(&group);
}

static void run_spawn(void)
{
	long i;

	for (i = 0; i < count; i++) {
		burrow_waitgroup_add(&group, 1);
		must(burrow_go(end, NULL));
		burrow_waitgroup_wait(&group);
	}
}

static void sender(void *arg)
{
	struct burrow_chan *chan = arg;
	long i;

	for (i = 0; i < count; i++)
		must(burrow_chan_send(chan, &i));
}

static void messages(size_t capacity)
{
	struct burrow_chan *chan = make(capacity);
	long i, v;

	must(burrow_go(sender, chan));
	for (i = 0; i < count; i++)
		must(burrow_chan_recv(chan, &v) != 1);
}

static void run_unbuffered(void)
{
	messages(0);
}

static void run_buffered(void)
{
	messages(128);
}

static void sender_to_all(void *arg)
{
	long i;

	(void)arg;
	for (i = 0; i < count; i++)
		must(burrow_chan_send(chans[i % CHANS], &i));
}

/* Half of them wait, half find a sender that does. */
static void run_select(void)
{
	struct burrow_case cases[CHANS];
	long i, v;

	for (i = 0; i < CHANS; i++) {
		chans[i] = make(0);
		cases[i] = (struct burrow_case){ BURROW_RECV, chans[i], &v, 0 };
	}
	must(burrow_go(sender_to_all, NULL));
	for (i = 0; i < count; i++)
		must(burrow_select(cases, CHANS, -1) < 0);
}

static void receiver_of_nothing(void *arg)
{
	long i;

	(void)arg;
	for (i = 0; i < count; i++)
		must(burrow_chan_recv(chans[i % CHANS], NULL));
}

/* One is made, a receiver waits for it, it closes. */
static void run_close(void)
{
	long i;

	chans[0] = make(0);
	must(burrow_go(receiver_of_nothing, NULL));
	for (i = 0; i < count; i++) {
		burrow_yield();
		chans[(i + 1) % CHANS] = make(0);
		must(burrow_chan_close(chans[i % CHANS]));
	}
}

static void run_mutex(void)
{
	long i;

	for (i = 0; i < count; i++) {
		burrow_mutex_lock(&mutex);
		burrow_mutex_unlock(&mutex);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} operations[] = {
	{ "switch", run_switch },	  { "spawn", run_spawn },
	{ "unbuffered", run_unbuffered }, { "buffered", run_buffered },
	{ "select", run_select },	  { "close", run_close },
	{ "mutex", run_mutex },
};

static int main_goroutine(void *arg)
{
	const char *name = arg;
	size_t i;

	for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (!strcmp(operations[i].name, name)) {
			operations[i].run();
			return EXIT_SUCCESS;
		}
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	const struct burrow_options options = {
		.size = sizeof(options),
		.procs = 1,
		.backend = BURROW_BACKEND_MMAP,
	};

	if (argc != 3)
		return EXIT_FAILURE;
	count = atol(argv[2]);
	return burrow_run(&options, main_goroutine, argv[1]);
}
