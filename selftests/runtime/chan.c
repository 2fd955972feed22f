// SPDX-License-Identifier: GPL-2.0
/* Channels: what <burrow/chan.h> promises, but for select. */
#include <pthread.h>

#include "sync.h"

static struct burrow_chan *chan_of(size_t elem_size, size_t capacity)
{
	struct burrow_chan *ch = burrow_chan_new(elem_size, capacity);

	CHECK(ch);
	return ch;
}

TEST_ON(buffer_is_first_in_first_out)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 3);
	int i, x, round;

	CHECK(burrow_chan_cap(ch) == 3);
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 3; i++) {
			CHECK(burrow_chan_len(ch) == (size_t)i);
			x = round * 10 + i;
			CHECK(burrow_chan_send(ch, &x) == 0);
		}
		CHECK(burrow_chan_try_send(ch, &x) == -EAGAIN);
		for (i = 0; i < 3; i++) {
			CHECK(burrow_chan_recv(ch, &x) == 1);
			CHECK(x == round * 10 + i);
		}
		x = 77;
		CHECK(burrow_chan_try_recv(ch, &x) == -EAGAIN);
		CHECK(x == 77);
		/* The ring is used from another place each time. */
		CHECK(burrow_chan_send(ch, &x) == 0);
		CHECK(burrow_chan_recv(ch, &x) == 1);
	}
}

struct one {
	struct burrow_chan *ch;
	int value;
	int result;
	int done;
};

static void send_one(void *arg)
{
	struct one *o = arg;

	o->result = burrow_chan_send(o->ch, &o->value);
	add(&o->done, 1);
}

static void recv_one(void *arg)
{
	struct one *o = arg;

	o->result = burrow_chan_recv(o->ch, &o->value);
	add(&o->done, 1);
}

static void wait_done(struct one *o)
{
	while (!get(&o->done))
		burrow_yield();
}

TEST_ON(unbuffered_sender_waits_for_receiver)
{
	struct one o = { .ch = chan_of(sizeof(int), 0), .value = 5 };
	int x = 0;

	burrow_go(send_one, &o);
	settle();
	CHECK(!get(&o.done));
	CHECK(burrow_chan_len(o.ch) == 0 && burrow_chan_cap(o.ch) == 0);
	CHECK(burrow_chan_recv(o.ch, &x) == 1);
	CHECK(x == 5);
	wait_done(&o);
	CHECK(o.result == 0);
}

TEST_ON(receiver_waits_for_sender)
{
	struct one o = { .ch = chan_of(sizeof(int), 0) };
	int x = 6;

	CHECK(burrow_chan_try_send(o.ch, &x) == -EAGAIN);
	burrow_go(recv_one, &o);
	settle();
	CHECK(!get(&o.done));
	CHECK(burrow_chan_try_send(o.ch, &x) == 0);
	wait_done(&o);
	CHECK(o.result == 1 && o.value == 6);
}

#define QUEUE 20

TEST_ON(receivers_are_served_in_order)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 0);
	struct one o[QUEUE] = { 0 };
	int i;

	for (i = 0; i < QUEUE; i++) {
		o[i].ch = ch;
		burrow_go(recv_one, &o[i]);
		settle();
	}
	for (i = 0; i < QUEUE; i++)
		CHECK(burrow_chan_send(ch, &i) == 0);
	for (i = 0; i < QUEUE; i++) {
		wait_done(&o[i]);
		CHECK(o[i].value == i);
	}
}

TEST_ON(senders_are_served_in_order)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 2);
	struct one o[QUEUE] = { 0 };
	int i, x;

	for (i = 0; i < QUEUE; i++) {
		o[i].ch = ch;
		o[i].value = i;
		burrow_go(send_one, &o[i]);
		settle();
	}
	CHECK(burrow_chan_len(ch) == 2);
	for (i = 0; i < QUEUE; i++) {
		CHECK(burrow_chan_recv(ch, &x) == 1);
		CHECK(x == i);
	}
	for (i = 0; i < QUEUE; i++)
		wait_done(&o[i]);
}

TEST_ON(close_lets_the_buffer_drain)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 4);
	int x, sum = 0, n = 0;

	for (x = 1; x <= 3; x++)
		CHECK(burrow_chan_send(ch, &x) == 0);
	CHECK(burrow_chan_close(ch) == 0);
	CHECK(burrow_chan_len(ch) == 3);
	burrow_chan_for_each(x, ch)
	{
		sum += x;
		n++;
	}
	CHECK(sum == 6 && n == 3);
	for (n = 0; n < 3; n++) {
		x = 9;
		CHECK(burrow_chan_recv(ch, &x) == 0);
		CHECK(x == 0);
		x = 9;
		CHECK(burrow_chan_try_recv(ch, &x) == 0);
		CHECK(x == 0);
	}
	CHECK(burrow_chan_send(ch, &x) == -EPIPE);
	CHECK(burrow_chan_try_send(ch, &x) == -EPIPE);
	CHECK(burrow_chan_send_deadline(ch, &x, INT64_MAX) == -EPIPE);
	CHECK(burrow_chan_close(ch) == -EPIPE);
	CHECK(burrow_chan_close(NULL) == -EINVAL);
}

TEST_ON(close_wakes_all_receivers)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 0);
	struct one o[QUEUE] = { 0 };
	int i;

	for (i = 0; i < QUEUE; i++) {
		o[i].ch = ch;
		o[i].value = 1;
		burrow_go(recv_one, &o[i]);
	}
	settle();
	CHECK(burrow_chan_close(ch) == 0);
	for (i = 0; i < QUEUE; i++) {
		wait_done(&o[i]);
		CHECK(o[i].result == 0 && o[i].value == 0);
	}
}

TEST_ON(close_turns_senders_away)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 1);
	struct one o[QUEUE] = { 0 };
	int i, x = 3;

	CHECK(burrow_chan_send(ch, &x) == 0);
	for (i = 0; i < QUEUE; i++) {
		o[i].ch = ch;
		o[i].value = 100;
		burrow_go(send_one, &o[i]);
	}
	settle();
	CHECK(burrow_chan_close(ch) == 0);
	for (i = 0; i < QUEUE; i++) {
		wait_done(&o[i]);
		CHECK(o[i].result == -EPIPE);
	}
	CHECK(burrow_chan_recv(ch, &x) == 1 && x == 3);
	CHECK(burrow_chan_recv(ch, &x) == 0);
}

static int never_came_back = 1;

static void wait_on_nil(void *arg)
{
	int x = 0;

	if (arg)
		burrow_chan_send(NULL, &x);
	else
		burrow_chan_recv(NULL, &x);
	never_came_back = 0;
}

TEST_ON(null_is_never_ready)
{
	int64_t before = burrow_now();
	int x = 1;

	CHECK(burrow_chan_try_send(NULL, &x) == -EAGAIN);
	CHECK(burrow_chan_try_recv(NULL, &x) == -EAGAIN);
	CHECK(burrow_chan_len(NULL) == 0 && burrow_chan_cap(NULL) == 0);
	CHECK(burrow_chan_recv_deadline(NULL, &x, before + 5 * MS) ==
	      -ETIMEDOUT);
	CHECK(burrow_chan_send_deadline(NULL, &x, before + 10 * MS) ==
	      -ETIMEDOUT);
	CHECK(burrow_now() >= before + 10 * MS);
	burrow_go(wait_on_nil, NULL);
	burrow_go(wait_on_nil, &x);
	burrow_sleep(20 * MS);
	CHECK(never_came_back);
	CHECK(burrow_num_goroutines() == 3);
}

/* Each size: through the buffer, and straight in both directions. */
static void carry(size_t size)
{
	struct burrow_chan *buffered = chan_of(size, 2);
	struct burrow_chan *ch = chan_of(size, 0);
	unsigned char in[4100], out[4102];
	struct one o = { .ch = ch };
	size_t i;

	for (i = 0; i < size; i++)
		in[i] = i * 7 + size;
	memset(out, 0xee, sizeof(out));
	CHECK(burrow_chan_send(buffered, in) == 0);
	CHECK(burrow_chan_recv(buffered, out + 1) == 1);
	CHECK(!memcmp(in, out + 1, size));
	CHECK(out[0] == 0xee && out[size + 1] == 0xee);
	CHECK(burrow_chan_send(buffered, NULL) == 0);
	CHECK(burrow_chan_recv(buffered, out + 1) == 1);
	for (i = 0; i < size; i++)
		CHECK(out[i + 1] == 0);
	CHECK(burrow_chan_send(buffered, in) == 0);
	CHECK(burrow_chan_recv(buffered, NULL) == 1);
	CHECK(out[0] == 0xee && out[size + 1] == 0xee);
	if (size != sizeof(int))
		return;
	o.value = 1234;
	burrow_go(send_one, &o);
	settle();
	CHECK(burrow_chan_recv(ch, NULL) == 1);
	wait_done(&o);
	o.done = 0;
	burrow_go(recv_one, &o);
	settle();
	CHECK(burrow_chan_send(ch, NULL) == 0);
	wait_done(&o);
	CHECK(o.value == 0);
}

TEST_ON(elements_of_all_sizes)
{
	static const size_t sizes[] = { 0,  1,	2,  3,	4,   5,	   7,	8,
					12, 16, 24, 32, 100, 1000, 4099 };
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		carry(sizes[i]);
}

TEST_ON(sizes_that_cannot_be)
{
	CHECK(!burrow_chan_new(SIZE_MAX, 2));
	CHECK(!burrow_chan_new(2, SIZE_MAX));
	CHECK(!burrow_chan_new(SIZE_MAX / 2, 2));
	CHECK(!burrow_chan_new(1, SIZE_MAX / 2));
	CHECK(burrow_chan_cap(burrow_chan_new(0, SIZE_MAX)) == SIZE_MAX);
}

TEST_ON(deadline_passes)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 1);
	int64_t when = burrow_now() + 5 * MS;
	int x = 42;

	CHECK(burrow_chan_recv_deadline(ch, &x, when) == -ETIMEDOUT);
	CHECK(burrow_now() >= when);
	CHECK(x == 42);
	CHECK(burrow_chan_send_deadline(ch, &x, when) == 0);
	x = 43;
	when = burrow_now() + 5 * MS;
	CHECK(burrow_chan_send_deadline(ch, &x, when) == -ETIMEDOUT);
	CHECK(burrow_now() >= when);
	CHECK(burrow_chan_len(ch) == 1);
	CHECK(burrow_chan_recv_deadline(ch, &x, 0) == 1);
	CHECK(x == 42);
	/* What timed out has left nothing behind. */
	CHECK(burrow_chan_try_recv(ch, &x) == -EAGAIN);
}

TEST_ON(deadlines_long_past)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 1);
	static const int64_t past[] = { 1, 0, -1, INT64_MIN };
	size_t i;
	int x = 42;

	for (i = 0; i < 4; i++) {
		CHECK(burrow_chan_recv_deadline(ch, &x, past[i]) == -ETIMEDOUT);
		CHECK(burrow_chan_send_deadline(ch, &x, past[i]) == 0);
		CHECK(burrow_chan_send_deadline(ch, &x, past[i]) == -ETIMEDOUT);
		CHECK(burrow_chan_recv_deadline(ch, &x, past[i]) == 1);
	}
	CHECK(x == 42);
}

static void recv_soon(void *arg)
{
	struct one *o = arg;

	o->result = burrow_chan_recv_deadline(o->ch, &o->value,
					      burrow_now() + 20 * MS);
	add(&o->done, 1);
}

TEST_ON(who_gives_up_leaves_the_queue)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 0);
	struct one first = { .ch = ch }, second = { .ch = ch };
	struct one third = { .ch = ch };
	int x = 11;

	burrow_go(recv_one, &first);
	settle();
	burrow_go(recv_soon, &second);
	settle();
	burrow_go(recv_one, &third);
	wait_done(&second);
	CHECK(second.result == -ETIMEDOUT);
	CHECK(burrow_chan_send(ch, &x) == 0);
	CHECK(burrow_chan_send(ch, &x) == 0);
	CHECK(burrow_chan_try_send(ch, &x) == -EAGAIN);
	wait_done(&first);
	wait_done(&third);
	CHECK(first.value == 11 && third.value == 11);
}

TEST_ON(deadline_far_away_is_met)
{
	struct one o = { .ch = chan_of(sizeof(int), 0) };
	int i, x;

	for (i = 0; i < 100; i++) {
		o.done = 0;
		o.value = i;
		burrow_go(send_one, &o);
		CHECK(burrow_chan_recv_deadline(
			      o.ch, &x, burrow_now() + 3600000 * MS) == 1);
		CHECK(x == i);
		wait_done(&o);
	}
}

/* Everything that is sent arrives once, and what one sends in its order. */
#define PRODUCERS 16
#define CONSUMERS 12
#define EACH 2000

struct flood {
	struct burrow_chan *ch;
	struct burrow_waitgroup producers;
	struct burrow_waitgroup consumers;
	int next_id;
	unsigned char seen[PRODUCERS][EACH];
};

struct parcel {
	int from;
	int number;
};

static void produce(void *arg)
{
	struct flood *f = arg;
	struct parcel p = { .from = __atomic_fetch_add(&f->next_id, 1,
						       __ATOMIC_SEQ_CST) };

	for (p.number = 0; p.number < EACH; p.number++)
		CHECK(burrow_chan_send(f->ch, &p) == 0);
	burrow_waitgroup_done(&f->producers);
}

static void consume(void *arg)
{
	int last[PRODUCERS], i;
	struct flood *f = arg;
	struct parcel p;

	for (i = 0; i < PRODUCERS; i++)
		last[i] = -1;
	burrow_chan_for_each(p, f->ch)
	{
		CHECK(p.number > last[p.from]);
		last[p.from] = p.number;
		CHECK(__atomic_fetch_add(&f->seen[p.from][p.number], 1,
					 __ATOMIC_SEQ_CST) == 0);
	}
	burrow_waitgroup_done(&f->consumers);
}

static void flood(size_t capacity)
{
	static struct flood f;
	int i, j;

	memset(&f, 0, sizeof(f));
	f.ch = chan_of(sizeof(struct parcel), capacity);
	burrow_waitgroup_add(&f.producers, PRODUCERS);
	burrow_waitgroup_add(&f.consumers, CONSUMERS);
	for (i = 0; i < PRODUCERS || i < CONSUMERS; i++) {
		if (i < PRODUCERS)
			burrow_go(produce, &f);
		if (i < CONSUMERS)
			burrow_go(consume, &f);
	}
	burrow_waitgroup_wait(&f.producers);
	CHECK(burrow_chan_close(f.ch) == 0);
	burrow_waitgroup_wait(&f.consumers);
	for (i = 0; i < PRODUCERS; i++)
		for (j = 0; j < EACH; j++)
			CHECK(f.seen[i][j] == 1);
}

TEST_ON(everything_arrives_once)
{
	flood(0);
	flood(1);
	flood(7);
	flood(128);
}

/* With deadlines that often pass just when the other side comes. */
struct hasty {
	struct burrow_chan *ch;
	struct burrow_waitgroup wg;
	int sent;
	int received;
	int gave_up;
	uint32_t seed;
};

static int64_t soon(uint32_t *random)
{
	return burrow_now() + next_random(random) % 20000 - 5000;
}

static void send_hastily(void *arg)
{
	struct hasty *h = arg;
	uint32_t random = __atomic_add_fetch(&h->seed, 1, __ATOMIC_SEQ_CST);
	int i, ret;

	for (i = 0; i < 3000; i++) {
		ret = burrow_chan_send_deadline(h->ch, &i, soon(&random));
		CHECK(ret == 0 || ret == -ETIMEDOUT);
		add(ret ? &h->gave_up : &h->sent, 1);
	}
	burrow_waitgroup_done(&h->wg);
}

static void recv_hastily(void *arg)
{
	struct hasty *h = arg;
	uint32_t random = __atomic_add_fetch(&h->seed, 1, __ATOMIC_SEQ_CST);
	int i, ret, x;

	for (i = 0; i < 3000; i++) {
		x = -7;
		ret = burrow_chan_recv_deadline(h->ch, &x, soon(&random));
		CHECK(ret == 1 || ret == -ETIMEDOUT);
		CHECK((x == -7) == (ret != 1));
		add(ret == 1 ? &h->received : &h->gave_up, 1);
	}
	burrow_waitgroup_done(&h->wg);
}

TEST_ON(deadlines_lose_nothing)
{
	static struct hasty h;
	int i, x;

	memset(&h, 0, sizeof(h));
	h.ch = chan_of(sizeof(int), 1);
	burrow_waitgroup_add(&h.wg, 8);
	for (i = 0; i < 4; i++) {
		burrow_go(send_hastily, &h);
		burrow_go(recv_hastily, &h);
	}
	burrow_waitgroup_wait(&h.wg);
	while (burrow_chan_try_recv(h.ch, &x) == 1)
		h.received++;
	CHECK(h.sent == h.received);
	CHECK(h.sent > 0 && h.gave_up > 0);
	CHECK(timeouts_set() == 0);
}

static void close_it(void *arg)
{
	struct one *o = arg;
	int ret = burrow_chan_close(o->ch);

	CHECK(ret == 0 || ret == -EPIPE);
	add(&o->result, ret == 0);
	add(&o->done, 1);
}

TEST_ON(only_one_closes)
{
	struct one o;
	int i, round;

	for (round = 0; round < 200; round++) {
		o = (struct one){ .ch = chan_of(0, 0) };
		for (i = 0; i < 8; i++)
			burrow_go(close_it, &o);
		while (get(&o.done) < 8)
			burrow_yield();
		CHECK(o.result == 1);
	}
}

/* A chain of goroutines, each with its own channels (Hoare 1978, after McIlroy). */
static void sieve_next(void *arg)
{
	struct burrow_chan *in = arg, *out = NULL;
	int prime, n;

	if (burrow_chan_recv(in, &prime) != 1)
		return;
	CHECK(prime > 1);
	burrow_chan_for_each(n, in)
	{
		if (n % prime == 0)
			continue;
		if (!out) {
			out = chan_of(sizeof(int), 0);
			burrow_go(sieve_next, out);
		}
		burrow_chan_send(out, &n);
	}
	if (out)
		burrow_chan_close(out);
	else
		CHECK(prime == 997);
}

TEST_ON(sieve_of_primes)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 0);
	int n;

	burrow_go(sieve_next, ch);
	for (n = 2; n <= 1000; n++)
		CHECK(burrow_chan_send(ch, &n) == 0);
	burrow_chan_close(ch);
	wait_for_others();
}

static void *outside(void *arg)
{
	struct burrow_chan *ch = arg;
	struct burrow_case c = { .op = BURROW_RECV, .chan = ch };
	int x = 1;

	CHECK(burrow_chan_send(ch, &x) == -EPERM);
	CHECK(burrow_chan_try_send(ch, &x) == -EPERM);
	CHECK(burrow_chan_send_deadline(ch, &x, 0) == -EPERM);
	CHECK(burrow_chan_recv(ch, &x) == -EPERM);
	CHECK(burrow_chan_try_recv(ch, &x) == -EPERM);
	CHECK(burrow_chan_recv_deadline(ch, &x, 0) == -EPERM);
	CHECK(burrow_chan_close(ch) == -EPERM);
	CHECK(burrow_select(&c, 1, 0) == -EPERM);
	CHECK(burrow_select(NULL, 0, 0) == -EPERM);
	return NULL;
}

TEST_ON(other_threads_may_not)
{
	struct burrow_chan *ch = chan_of(sizeof(int), 1);
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, outside, ch));
	pthread_join(thread, NULL);
	CHECK(burrow_chan_len(ch) == 0);
}

TEST_HARNESS_MAIN
