// SPDX-License-Identifier: GPL-2.0
/* Select: what burrow_select() promises. */
#include "sync.h"

static struct burrow_chan *ints(size_t capacity)
{
	struct burrow_chan *ch = burrow_chan_new(sizeof(int), capacity);

	CHECK(ch);
	return ch;
}

static struct burrow_case recv_from(struct burrow_chan *ch, int *x)
{
	struct burrow_case c = {
		.op = BURROW_RECV, .chan = ch, .elem = x, .result = 99
	};

	return c;
}

static struct burrow_case send_to(struct burrow_chan *ch, int *x)
{
	struct burrow_case c = recv_from(ch, x);

	c.op = BURROW_SEND;
	return c;
}

TEST_ON(takes_the_case_that_is_ready)
{
	struct burrow_chan *a = ints(1), *b = ints(1), *full = ints(1);
	int x = 1, y = 2, z = 3, v = 50;
	struct burrow_case c[] = { recv_from(a, &x), recv_from(b, &y),
				   send_to(full, &z), recv_from(NULL, &x) };

	CHECK(burrow_chan_send(full, &v) == 0);
	CHECK(burrow_select(c, 4, 0) == -EAGAIN);
	CHECK(burrow_chan_send(b, &v) == 0);
	CHECK(burrow_select(c, 4, 0) == 1);
	CHECK(c[1].result == 1 && y == 50);
	/* The others are as they were. */
	CHECK(c[0].result == 99 && c[2].result == 99 && c[3].result == 99);
	CHECK(x == 1 && z == 3 && burrow_chan_len(full) == 1);
	CHECK(burrow_chan_recv(full, NULL) == 1);
	CHECK(burrow_select(c, 4, -1) == 2);
	CHECK(c[2].result == 0);
	CHECK(burrow_chan_recv(full, &v) == 1 && v == 3);
}

TEST_ON(closed_channels_are_ready)
{
	struct burrow_chan *a = ints(0), *never = ints(0);
	int x = 5, y = 6;
	struct burrow_case recv[] = { recv_from(never, &y), recv_from(a, &x) };
	struct burrow_case send[] = { send_to(never, &y), send_to(a, &x) };

	burrow_chan_close(a);
	CHECK(burrow_select(recv, 2, 0) == 1);
	CHECK(recv[1].result == 0 && x == 0);
	CHECK(burrow_select(send, 2, -1) == 1);
	CHECK(send[1].result == -EPIPE);
	CHECK(burrow_select(&send[1], 1, -1) == 0);
	CHECK(send[1].result == -EPIPE);
	x = 5;
	CHECK(burrow_select(&recv[1], 1, MS) == 0);
	CHECK(recv[1].result == 0 && x == 0);
}

static void close_later(void *arg)
{
	settle();
	burrow_chan_close(arg);
}

TEST_ON(close_wakes_a_select)
{
	struct burrow_chan *a = ints(0), *b = ints(0);
	int x = 5, y = 6;
	struct burrow_case c[] = { recv_from(a, &x), send_to(b, &y) };

	burrow_go(close_later, a);
	CHECK(burrow_select(c, 2, -1) == 0);
	CHECK(c[0].result == 0 && x == 0 && c[1].result == 99);
	a = ints(0);
	c[0].chan = a;
	burrow_go(close_later, b);
	CHECK(burrow_select(c, 2, 10000 * MS) == 1);
	CHECK(c[1].result == -EPIPE && y == 6);
	CHECK(burrow_chan_try_send(a, &x) == -EAGAIN);
}

TEST_ON(timeouts)
{
	struct burrow_chan *a = ints(1), *b = ints(0);
	int x = 8, y = 9;
	struct burrow_case c[] = { recv_from(a, &x), send_to(b, &y),
				   recv_from(NULL, &x) };
	size_t n;

	for (n = 0; n <= 3; n++) {
		int64_t before = burrow_now();

		CHECK(burrow_select(c, n, 0) == -EAGAIN);
		CHECK(burrow_select(c, n, 2 * MS) == -ETIMEDOUT);
		CHECK(burrow_now() >= before + 2 * MS);
	}
	CHECK(burrow_select(&c[2], 1, MS) == -ETIMEDOUT);
	CHECK(x == 8 && y == 9);
	CHECK(c[0].result == 99 && c[1].result == 99);
	/* It has left the queues: nobody is found there. */
	CHECK(burrow_chan_try_recv(b, &y) == -EAGAIN);
	CHECK(burrow_chan_send(a, &y) == 0);
	CHECK(burrow_chan_len(a) == 1);
	/* A case that is ready wins over any timeout. */
	CHECK(burrow_select(c, 3, 1) == 0);
	CHECK(c[0].result == 1 && x == 9);
}

TEST_ON(only_nulls_only_wait)
{
	struct burrow_case c[2] = { recv_from(NULL, NULL),
				    send_to(NULL, NULL) };
	int64_t before = burrow_now();

	CHECK(burrow_select(c, 2, 0) == -EAGAIN);
	CHECK(burrow_select(c, 2, 3 * MS) == -ETIMEDOUT);
	CHECK(burrow_now() >= before + 3 * MS);
}

TEST_ON(bad_arguments)
{
	struct burrow_chan *a = ints(1);
	int x = 1;
	struct burrow_case c[2] = { send_to(a, &x), send_to(a, &x) };

	c[1].op = 0;
	CHECK(burrow_select(c, 2, 0) == -EINVAL);
	c[1].op = 3;
	CHECK(burrow_select(c, 2, -1) == -EINVAL);
	CHECK(burrow_select(c, BURROW_SELECT_MAX + 1, 0) == -EINVAL);
	CHECK(burrow_chan_len(a) == 0);
}

/* Of those ready each is as likely, wherever in the list they are. */
static void choose(const bool *ready, size_t n)
{
	struct burrow_case c[8];
	int x = 0, taken[8] = { 0 }, nr_ready = 0, rounds = 20000, got;
	size_t i;

	for (i = 0; i < n; i++) {
		c[i] = recv_from(ints(1), &x);
		if (ready[i]) {
			nr_ready++;
			CHECK(burrow_chan_send(c[i].chan, &x) == 0);
		}
	}
	for (i = 0; i < (size_t)rounds; i++) {
		got = burrow_select(c, n, -1);
		CHECK(got >= 0);
		taken[got]++;
		CHECK(burrow_chan_send(c[got].chan, &x) == 0);
	}
	for (i = 0; i < n; i++) {
		/* More than six standard deviations. */
		if (ready[i])
			CHECK(abs(taken[i] - rounds / nr_ready) < 450);
		else
			CHECK(!taken[i]);
	}
}

TEST_ON(chance_is_fair)
{
	static const bool all[] = { 1, 1, 1, 1 };
	static const bool first_two[] = { 1, 1, 0, 0, 0, 0, 0, 0 };
	static const bool scattered[] = { 1, 0, 0, 0, 1, 0, 1, 0 };

	choose(all, 4);
	choose(first_two, 8);
	choose(scattered, 8);
}

struct partner {
	struct burrow_chan *ch;
	int value;
	int result;
	int done;
};

static void partner_recv(void *arg)
{
	struct partner *p = arg;

	settle();
	p->result = burrow_chan_recv(p->ch, &p->value);
	add(&p->done, 1);
}

static void partner_send(void *arg)
{
	struct partner *p = arg;

	settle();
	p->result = burrow_chan_send(p->ch, &p->value);
	add(&p->done, 1);
}

TEST_ON(never_meets_itself)
{
	struct burrow_chan *a = ints(0);
	struct partner p = { .ch = a, .value = 0 };
	int x = 7, y = 8;
	struct burrow_case c[] = { send_to(a, &x), recv_from(a, &y) };

	CHECK(burrow_select(c, 2, 0) == -EAGAIN);
	CHECK(burrow_select(c, 2, 3 * MS) == -ETIMEDOUT);
	CHECK(x == 7 && y == 8);
	burrow_go(partner_recv, &p);
	CHECK(burrow_select(c, 2, -1) == 0);
	while (!get(&p.done))
		burrow_yield();
	CHECK(p.result == 1 && p.value == 7 && y == 8);
	p.value = 30;
	burrow_go(partner_send, &p);
	CHECK(burrow_select(c, 2, -1) == 1);
	CHECK(c[1].result == 1 && y == 30);
	while (get(&p.done) < 2)
		burrow_yield();
}

TEST_ON(same_channel_in_several_cases)
{
	struct burrow_chan *a = ints(0);
	struct partner p = { .ch = a };
	int x[3] = { -1, -1, -1 }, seen[3] = { 0 }, i, got;
	struct burrow_case c[] = { recv_from(a, &x[0]), recv_from(a, &x[1]),
				   recv_from(a, &x[2]) };

	for (i = 0; i < 60; i++) {
		p.value = 100 + i;
		p.done = 0;
		if (i % 2) {
			burrow_go(partner_send, &p);
			got = burrow_select(c, 3, -1);
		} else {
			burrow_go(partner_send, &p);
			settle();
			settle();
			got = burrow_select(c, 3, 1000 * MS);
		}
		CHECK(got >= 0 && x[got] == 100 + i);
		seen[got]++;
		while (!get(&p.done))
			burrow_yield();
		CHECK(burrow_chan_try_send(a, &i) == -EAGAIN);
	}
	CHECK(seen[0] && seen[1] && seen[2]);
}

TEST_ON(single_case_is_a_plain_call)
{
	struct burrow_chan *a = ints(0);
	struct partner p = { .ch = a, .value = 5 };
	int x = 0;
	struct burrow_case c = recv_from(a, &x);

	CHECK(burrow_select(&c, 1, 0) == -EAGAIN);
	CHECK(burrow_select(&c, 1, 2 * MS) == -ETIMEDOUT);
	CHECK(c.result == 99);
	burrow_go(partner_send, &p);
	CHECK(burrow_select(&c, 1, -1) == 0);
	CHECK(c.result == 1 && x == 5);
	while (!get(&p.done))
		burrow_yield();
	c = send_to(a, &x);
	burrow_go(partner_recv, &p);
	CHECK(burrow_select(&c, 1, 10000 * MS) == 0);
	CHECK(c.result == 0);
	while (get(&p.done) < 2)
		burrow_yield();
	CHECK(p.value == 5);
}

TEST_ON(elements_may_be_null)
{
	struct burrow_chan *a = ints(1), *signal = burrow_chan_new(0, 1);
	struct burrow_case c[] = { { BURROW_SEND, a, NULL, 9 },
				   { BURROW_RECV, signal, NULL, 9 } };
	int x = 4;

	CHECK(burrow_select(c, 2, -1) == 0);
	CHECK(burrow_chan_send(signal, NULL) == 0);
	CHECK(burrow_select(c, 2, -1) == 1 && c[1].result == 1);
	CHECK(burrow_chan_recv(a, &x) == 1 && x == 0);
}

#define MANY 1000

static void send_to_one_of_many(void *arg)
{
	struct burrow_case *c = arg;
	int i;

	for (i = 0; i < MANY; i += 7)
		CHECK(burrow_chan_send(c[i].chan, &i) == 0);
}

TEST_ON(a_thousand_cases)
{
	static struct burrow_case c[MANY];
	int i, x, got;

	/* Each channel is in ten cases. */
	for (i = 0; i < MANY; i++)
		c[i] = recv_from(i < 100 ? ints(0) : c[(i * 37) % 100].chan,
				 &x);
	burrow_go(send_to_one_of_many, c);
	for (i = 0; i < MANY; i += 7) {
		got = burrow_select(c, MANY, -1);
		CHECK(got >= 0 && c[got].result == 1);
		CHECK(x == i && c[got].chan == c[i].chan);
	}
	CHECK(burrow_select(c, MANY, 2 * MS) == -ETIMEDOUT);
	wait_for_others();
}

/* Selects that meet selects, in all directions at the same time. */
#define CHANNELS 5
#define CROWD 24
#define TURNS 1500

struct crowd {
	struct burrow_chan *ch[CHANNELS];
	struct burrow_waitgroup wg;
	int64_t sent;
	int64_t received;
	int sends;
	int receives;
	int timeouts;
	uint32_t seed;
};

static void mingle_once(struct crowd *crowd, uint32_t *random)
{
	struct burrow_case c[6];
	int in[6], out[6], n = 1 + next_random(random) % 6, i, got;
	static const int64_t waits[] = { 0, 1000, 30000, 200000 };

	for (i = 0; i < n; i++) {
		uint32_t r = next_random(random);
		struct burrow_chan *ch = crowd->ch[r % CHANNELS];

		in[i] = -1;
		out[i] = 1 + r % 1000;
		c[i] = r >> 20 & 1 ? send_to(ch, &out[i]) :
				     recv_from(ch, &in[i]);
	}
	got = burrow_select(c, n, waits[next_random(random) % 4]);
	for (i = 0; i < n; i++)
		CHECK(i == got || (c[i].result == 99 && in[i] == -1));
	if (got < 0) {
		CHECK(got == -ETIMEDOUT || got == -EAGAIN);
		add(&crowd->timeouts, 1);
	} else if (c[got].op == BURROW_SEND) {
		CHECK(c[got].result == 0);
		add(&crowd->sends, 1);
		__atomic_add_fetch(&crowd->sent, out[got], __ATOMIC_SEQ_CST);
	} else {
		CHECK(c[got].result == 1 && in[got] > 0);
		add(&crowd->receives, 1);
		__atomic_add_fetch(&crowd->received, in[got], __ATOMIC_SEQ_CST);
	}
}

static void mingle(void *arg)
{
	struct crowd *crowd = arg;
	uint32_t random =
		__atomic_add_fetch(&crowd->seed, 77777, __ATOMIC_SEQ_CST);
	int i;

	for (i = 0; i < TURNS; i++)
		mingle_once(crowd, &random);
	burrow_waitgroup_done(&crowd->wg);
}

TEST_ON(selects_meet_selects)
{
	static struct crowd crowd;
	int i, x;

	memset(&crowd, 0, sizeof(crowd));
	for (i = 0; i < CHANNELS; i++)
		crowd.ch[i] = ints(i % 3);
	burrow_waitgroup_add(&crowd.wg, CROWD);
	for (i = 0; i < CROWD; i++)
		burrow_go(mingle, &crowd);
	burrow_waitgroup_wait(&crowd.wg);
	for (i = 0; i < CHANNELS; i++) {
		while (burrow_chan_try_recv(crowd.ch[i], &x) == 1) {
			crowd.receives++;
			crowd.received += x;
		}
		/* Nobody was left behind in a queue. */
		while (burrow_chan_len(crowd.ch[i]) <
		       burrow_chan_cap(crowd.ch[i]))
			CHECK(burrow_chan_try_send(crowd.ch[i], &x) == 0);
		CHECK(burrow_chan_try_send(crowd.ch[i], &x) == -EAGAIN);
	}
	CHECK(crowd.sends == crowd.receives);
	CHECK(crowd.sent == crowd.received);
	CHECK(crowd.sends > 1000 && crowd.timeouts > 0);
}

/* A timeout and a partner at the same time: exactly one of them counts. */
static void send_in_time(void *arg)
{
	struct crowd *crowd = arg;
	int i, ret;

	for (i = 1; i <= 2000; i++) {
		ret = burrow_chan_send_deadline(crowd->ch[i % 2], &i,
						burrow_now() + 30000);
		if (!ret)
			crowd->sends++;
		else
			CHECK(ret == -ETIMEDOUT);
	}
	burrow_waitgroup_done(&crowd->wg);
}

TEST_ON(timeout_or_partner)
{
	static struct crowd crowd;
	struct burrow_case c[2];
	int x, i, got;

	memset(&crowd, 0, sizeof(crowd));
	for (i = 0; i < 2; i++) {
		crowd.ch[i] = ints(0);
		c[i] = recv_from(crowd.ch[i], &x);
	}
	burrow_waitgroup_add(&crowd.wg, 1);
	burrow_go(send_in_time, &crowd);
	while (burrow_num_goroutines() > 1) {
		x = 0;
		got = burrow_select(c, 2, 25000);
		CHECK((got >= 0) == (x != 0));
		CHECK(got >= 0 || got == -ETIMEDOUT);
		crowd.receives += got >= 0;
	}
	burrow_waitgroup_wait(&crowd.wg);
	CHECK(crowd.sends == crowd.receives);
}

TEST_HARNESS_MAIN
