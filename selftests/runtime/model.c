// SPDX-License-Identifier: GPL-2.0
/*
 * Random programs against a simple model of channels, select, mutexes,
 * semaphores and deadlines.
 *
 * A driver gives one worker after another something to do, and knows from the
 * model which workers come back with what, and which stay waiting; it goes on
 * when all of that has happened. So each program has one outcome on any number
 * of processors, save that a select may take any case that is ready: then the
 * model follows the one that was taken. What waits with a deadline may give up
 * once that has passed; the model follows that, too.
 *
 * MODEL_SEED=N runs the program with that seed alone.
 */
#include "sync.h"

#define WORKERS 7
#define CHANNELS 4
#define MUTEXES 2
#define CASES 5
#define STEPS 400
#define BUFFER 4

enum kind {
	DO_SEND,
	DO_RECV,
	DO_SELECT,
	DO_LOCK,
	DO_ACQUIRE,
	KINDS,
};

/* What a worker is to do: the sends and receives of it are its cases. */
struct order {
	enum kind kind;
	int object; /* mutex */
	int64_t amount; /* of the semaphore */
	int64_t deadline; /* 0: none */
	size_t n;
	struct {
		bool send;
		int chan;
		int value;
	} cases[CASES];
};

struct worker {
	struct burrow_chan *orders;
	struct order order;
	struct goroutine *g;
	int busy; /* it has its order; atomic */
	int done; /* and has carried it out; atomic */
	int result; /* of the call; of a select: of the case taken */
	int taken; /* case, or negative errno */
	int values[CASES]; /* received */
	/* The model's: */
	bool waiting;
};

/* A place in a queue of the model. */
struct place {
	int worker;
	int which; /* case */
};

struct queue {
	struct place places[WORKERS * CASES];
	int n;
};

struct model_chan {
	struct burrow_chan *ch;
	size_t capacity;
	bool closed;
	int buffer[BUFFER];
	size_t count;
	struct queue senders;
	struct queue receivers;
};

static struct burrow_mutex mutexes[MUTEXES];
static struct burrow_sem sem;

static struct {
	struct worker workers[WORKERS];
	struct model_chan chans[CHANNELS];
	bool held[MUTEXES];
	struct queue lockers[MUTEXES];
	int64_t count; /* of the semaphore */
	struct queue acquirers;
	uint32_t random;
	int next_value;
	int step;
	bool late; /* a deadline passed where it must not: no verdict */
	char failure[160];
} md;

#define FAIL(...)                                                              \
	do {                                                                   \
		if (!md.failure[0])                                            \
			snprintf(md.failure, sizeof(md.failure), __VA_ARGS__); \
	} while (0)

/* What workers do. */

static void carry_out_select(struct worker *w)
{
	struct burrow_case cases[CASES];
	struct order *o = &w->order;
	int64_t left = -1;
	size_t i;

	for (i = 0; i < o->n; i++) {
		cases[i].chan = md.chans[o->cases[i].chan].ch;
		cases[i].op = BURROW_RECV;
		cases[i].elem = &w->values[i];
		if (o->cases[i].send) {
			cases[i].op = BURROW_SEND;
			cases[i].elem = &o->cases[i].value;
		}
	}
	if (o->deadline) {
		left = o->deadline - burrow_now();
		left = left < 1 ? 1 : left;
	}
	w->taken = burrow_select(cases, o->n, left);
	if (w->taken >= 0)
		w->result = cases[w->taken].result;
}

static void carry_out(struct worker *w)
{
	struct order *o = &w->order;
	struct burrow_chan *ch = md.chans[o->cases[0].chan].ch;
	int64_t when = o->deadline ?: INT64_MAX;

	w->taken = 0;
	switch (o->kind) {
	case DO_SEND:
		w->result =
			burrow_chan_send_deadline(ch, &o->cases[0].value, when);
		break;
	case DO_RECV:
		w->result = burrow_chan_recv_deadline(ch, &w->values[0], when);
		break;
	case DO_SELECT:
		carry_out_select(w);
		break;
	case DO_LOCK:
		w->result =
			burrow_mutex_lock_deadline(&mutexes[o->object], when);
		break;
	default:
		w->result = burrow_sem_acquire_deadline(&sem, o->amount, when);
		break;
	}
	if (o->kind != DO_SELECT && w->result == -ETIMEDOUT)
		w->taken = -ETIMEDOUT;
}

static void work(void *arg)
{
	struct worker *w = arg;

	w->g = burrow_current();
	while (burrow_chan_recv(w->orders, NULL) > 0) {
		__atomic_store_n(&w->busy, 1, __ATOMIC_SEQ_CST);
		carry_out(w);
		__atomic_store_n(&w->done, 1, __ATOMIC_SEQ_CST);
	}
}

/* The model. */

static int rnd(int n)
{
	return next_random(&md.random) % n;
}

static void enqueue(struct queue *q, int worker, int which)
{
	q->places[q->n++] = (struct place){ worker, which };
}

static void forget(struct queue *q, int worker)
{
	int i, n = 0;

	for (i = 0; i < q->n; i++) {
		if (q->places[i].worker != worker)
			q->places[n++] = q->places[i];
	}
	q->n = n;
}

/* It waits no more: nowhere. */
static void forget_everywhere(int worker)
{
	int i;

	for (i = 0; i < CHANNELS; i++) {
		forget(&md.chans[i].senders, worker);
		forget(&md.chans[i].receivers, worker);
	}
	for (i = 0; i < MUTEXES; i++)
		forget(&md.lockers[i], worker);
	forget(&md.acquirers, worker);
	md.workers[worker].waiting = false;
}

static bool is_done(struct worker *w)
{
	return __atomic_load_n(&w->done, __ATOMIC_SEQ_CST);
}

/* Waits for what the model says will happen; a minute is for ever. */
static bool comes_back(struct worker *w)
{
	int64_t end = burrow_now() + 60000 * MS;

	while (!is_done(w)) {
		if (burrow_now() > end)
			return false;
		burrow_yield();
	}
	return true;
}

/* A worker is through: with this case, this result, having received this. */
static void expect(int worker, int taken, int result, int value)
{
	struct worker *w = &md.workers[worker];
	struct order *o = &w->order;

	forget_everywhere(worker);
	if (!comes_back(w)) {
		FAIL("worker %d does not come back", worker);
		return;
	}
	if (w->taken == -ETIMEDOUT && o->deadline &&
	    burrow_now() >= o->deadline) {
		md.late = true;
		return;
	}
	if (w->taken != taken || w->result != result)
		FAIL("worker %d: case %d, result %d; expected %d, %d", worker,
		     w->taken, w->result, taken, result);
	else if ((o->kind == DO_RECV || o->kind == DO_SELECT) &&
		 !o->cases[taken].send && w->values[taken] != value)
		FAIL("worker %d: received %d, expected %d", worker,
		     w->values[taken], value);
	__atomic_store_n(&w->busy, 0, __ATOMIC_SEQ_CST);
}

static int value_of(const struct place *p)
{
	return md.workers[p->worker].order.cases[p->which].value;
}

/* It was sent by the driver or a worker that is dealt with by the caller. */
static int model_send(struct model_chan *c, int value)
{
	struct place p;

	if (c->closed)
		return -EPIPE;
	if (c->receivers.n) {
		p = c->receivers.places[0];
		expect(p.worker, p.which, 1, value);
		return 0;
	}
	if (c->count == c->capacity)
		return -EAGAIN;
	c->buffer[c->count++] = value;
	return 0;
}

static int model_recv(struct model_chan *c, int *value)
{
	struct place p;

	*value = 0;
	if (c->count) {
		*value = c->buffer[0];
		memmove(c->buffer, c->buffer + 1,
			--c->count * sizeof(c->buffer[0]));
		if (c->senders.n) {
			p = c->senders.places[0];
			c->buffer[c->count++] = value_of(&p);
			expect(p.worker, p.which, 0, 0);
		}
		return 1;
	}
	if (c->senders.n) {
		p = c->senders.places[0];
		*value = value_of(&p);
		expect(p.worker, p.which, 0, 0);
		return 1;
	}
	return c->closed ? 0 : -EAGAIN;
}

/*
 * A select that waits twice in a channel that closes may take either case; the
 * model follows it.
 */
static void model_close(struct model_chan *c)
{
	struct place p;
	struct worker *w;
	bool send;

	c->closed = true;
	while (c->receivers.n || c->senders.n) {
		p = c->receivers.n ? c->receivers.places[0] :
				     c->senders.places[0];
		w = &md.workers[p.worker];
		if (!comes_back(w)) {
			FAIL("worker %d does not see the close", p.worker);
			return;
		}
		if (w->taken >= 0 &&
		    &md.chans[w->order.cases[w->taken].chan] == c)
			p.which = w->taken;
		send = w->order.cases[p.which].send;
		expect(p.worker, p.which, send ? -EPIPE : 0, 0);
	}
}

static void model_unlock(int m)
{
	if (!md.lockers[m].n)
		md.held[m] = false;
	else
		expect(md.lockers[m].places[0].worker, 0, 0, 0);
}

static void model_grant(void)
{
	struct place p;

	while (md.acquirers.n) {
		p = md.acquirers.places[0];
		if (md.workers[p.worker].order.amount > md.count)
			return;
		md.count -= md.workers[p.worker].order.amount;
		expect(p.worker, 0, 0, 0);
	}
}

static bool is_ready(const struct order *o, size_t i)
{
	const struct model_chan *c = &md.chans[o->cases[i].chan];

	if (c->closed)
		return true;
	return o->cases[i].send ? c->receivers.n || c->count < c->capacity :
				  c->senders.n || c->count;
}

/* Sends and receives: alone or in a select. */
static void model_cases(int worker)
{
	struct worker *w = &md.workers[worker];
	struct order *o = &w->order;
	struct model_chan *c;
	size_t i, ready = 0;
	int ret, value = 0;

	for (i = 0; i < o->n; i++)
		ready += is_ready(o, i);
	if (!ready) {
		for (i = 0; i < o->n; i++) {
			c = &md.chans[o->cases[i].chan];
			enqueue(o->cases[i].send ? &c->senders : &c->receivers,
				worker, i);
		}
		w->waiting = true;
		return;
	}
	if (!comes_back(w) || w->taken < 0) {
		FAIL("worker %d: a case is ready, it took %d", worker,
		     w->taken);
		return;
	}
	if (!is_ready(o, w->taken)) {
		FAIL("worker %d took case %d, which was not ready", worker,
		     w->taken);
		return;
	}
	c = &md.chans[o->cases[w->taken].chan];
	if (o->cases[w->taken].send)
		ret = model_send(c, o->cases[w->taken].value);
	else
		ret = model_recv(c, &value);
	expect(worker, w->taken, ret, value);
}

static void model_order(int worker)
{
	struct worker *w = &md.workers[worker];
	struct order *o = &w->order;

	switch (o->kind) {
	case DO_LOCK:
		if (md.held[o->object]) {
			enqueue(&md.lockers[o->object], worker, 0);
			w->waiting = true;
			return;
		}
		md.held[o->object] = true;
		expect(worker, 0, 0, 0);
		return;
	case DO_ACQUIRE:
		if (md.acquirers.n || o->amount > md.count) {
			enqueue(&md.acquirers, worker, 0);
			w->waiting = true;
			return;
		}
		md.count -= o->amount;
		expect(worker, 0, 0, 0);
		return;
	default:
		model_cases(worker);
	}
}

/* The driver. */

/* Until it waits, or is through. */
static void until_settled(struct worker *w)
{
	int64_t end = burrow_now() + 60000 * MS;

	while (!is_done(w)) {
		if (__atomic_load_n(&w->busy, __ATOMIC_SEQ_CST) &&
		    __atomic_load_n(&w->g->state, __ATOMIC_SEQ_CST) ==
			    GOROUTINE_WAITING)
			return;
		if (burrow_now() > end) {
			FAIL("worker %d neither waits nor is through",
			     (int)(w - md.workers));
			return;
		}
		burrow_yield();
	}
}

static void make_order(struct order *o)
{
	size_t i;

	memset(o, 0, sizeof(*o));
	o->kind = rnd(KINDS + 1) % KINDS;
	o->n = o->kind == DO_SELECT ? 1 + rnd(CASES) : 1;
	for (i = 0; i < o->n; i++) {
		o->cases[i].send = o->kind == DO_SELECT ? rnd(2) :
							  o->kind == DO_SEND;
		o->cases[i].chan = rnd(CHANNELS);
		o->cases[i].value = ++md.next_value;
	}
	o->object = rnd(MUTEXES);
	o->amount = rnd(4);
	/* Some give up soon, some never do. */
	if (rnd(3) == 0)
		o->deadline = burrow_now() + (rnd(4) ? 60000 : 2) * MS;
}

static void give_order(int worker)
{
	struct worker *w = &md.workers[worker];

	make_order(&w->order);
	memset(w->values, 0xff, sizeof(w->values));
	w->taken = -1;
	w->result = -1;
	__atomic_store_n(&w->busy, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&w->done, 0, __ATOMIC_SEQ_CST);
	if (burrow_chan_send(w->orders, NULL))
		FAIL("worker %d takes no order", worker);
	until_settled(w);
	model_order(worker);
}

/* What never waits the driver does itself. */
static void act(void)
{
	struct model_chan *c = &md.chans[rnd(CHANNELS)];
	int value = 0, got = 0, ret, m;

	switch (rnd(6)) {
	case 0:
		value = ++md.next_value;
		ret = burrow_chan_try_send(c->ch, &value);
		if (model_send(c, value) != ret)
			FAIL("try_send returned %d", ret);
		break;
	case 1:
		ret = burrow_chan_try_recv(c->ch, &got);
		if (model_recv(c, &value) != ret || (ret >= 0 && got != value))
			FAIL("try_recv returned %d, %d", ret, got);
		break;
	case 2:
		if (rnd(30))
			break;
		ret = burrow_chan_close(c->ch);
		if (ret != (c->closed ? -EPIPE : 0))
			FAIL("close returned %d", ret);
		if (!c->closed)
			model_close(c);
		break;
	case 3:
		m = rnd(MUTEXES);
		if (!md.held[m])
			break;
		burrow_mutex_unlock(&mutexes[m]);
		model_unlock(m);
		break;
	case 4:
		m = rnd(4);
		burrow_sem_release(&sem, m);
		md.count += m;
		model_grant();
		break;
	default:
		if (burrow_chan_len(c->ch) != c->count)
			FAIL("len is %zu, expected %zu", burrow_chan_len(c->ch),
			     c->count);
	}
}

/* Lets those give up whose time has come. */
static void let_time_out(int worker)
{
	struct worker *w = &md.workers[worker];
	int64_t now = burrow_now();

	if (!w->waiting || !w->order.deadline ||
	    w->order.deadline > now + 20 * MS)
		return;
	if (!comes_back(w)) {
		FAIL("worker %d does not time out", worker);
		return;
	}
	if (w->taken != -ETIMEDOUT || burrow_now() < w->order.deadline)
		FAIL("worker %d: expected a timeout, got %d, %d", worker,
		     w->taken, w->result);
	forget_everywhere(worker);
	if (w->order.kind == DO_ACQUIRE)
		model_grant();
}

static void one_step(void)
{
	int i, worker = rnd(WORKERS), past = 0;

	/* Nothing else is to happen while one is about to give up. */
	for (i = 0; i < WORKERS; i++)
		let_time_out(i);
	if (md.workers[worker].waiting)
		act();
	else if (is_done(&md.workers[worker]))
		give_order(worker);
	for (i = 0; i < WORKERS; i++) {
		struct worker *w = &md.workers[i];

		if (w->waiting && w->order.deadline &&
		    w->order.deadline <= burrow_now())
			past++;
		else if (w->waiting && is_done(w))
			FAIL("worker %d should wait; it took %d, %d", i,
			     w->taken, w->result);
	}
	/* Of several that give up together any may have been first. */
	md.late |= past > 1;
}

static void set_up(uint32_t seed)
{
	int i;

	memset(&md, 0, sizeof(md));
	memset(mutexes, 0, sizeof(mutexes));
	md.random = seed;
	md.count = rnd(3);
	burrow_sem_init(&sem, md.count);
	for (i = 0; i < CHANNELS; i++) {
		md.chans[i].capacity = i % 3 ? rnd(BUFFER) : 0;
		md.chans[i].ch =
			burrow_chan_new(sizeof(int), md.chans[i].capacity);
	}
	for (i = 0; i < WORKERS; i++) {
		md.workers[i].orders = burrow_chan_new(0, 0);
		md.workers[i].done = 1;
		burrow_go(work, &md.workers[i]);
	}
}

/* Whoever waits is let through, and all go home. */
static void wind_up(void)
{
	int i;

	for (i = 0; i < WORKERS; i++)
		let_time_out(i);
	for (i = 0; i < CHANNELS; i++) {
		if (md.chans[i].closed)
			continue;
		burrow_chan_close(md.chans[i].ch);
		model_close(&md.chans[i]);
	}
	for (i = 0; i < MUTEXES; i++) {
		while (md.held[i] && !md.late) {
			burrow_mutex_unlock(&mutexes[i]);
			model_unlock(i);
		}
	}
	burrow_sem_release(&sem, 1000);
	md.count += 1000;
	model_grant();
	for (i = 0; i < WORKERS; i++) {
		if (md.workers[i].waiting && !md.late)
			FAIL("worker %d waits to the end", i);
		burrow_chan_close(md.workers[i].orders);
	}
}

static int conclusive;

static void run_program(uint32_t seed)
{
	set_up(seed);
	for (md.step = 0; md.step < STEPS; md.step++) {
		one_step();
		if (md.failure[0] || md.late)
			break;
	}
	if (!md.late && !md.failure[0])
		wind_up();
	if (md.failure[0])
		printf("# MODEL_SEED=%u, step %d: %s\n", seed, md.step,
		       md.failure);
	CHECK(!md.failure[0]);
	if (md.late || md.failure[0])
		return;
	wait_for_others();
	conclusive++;
}

static uint32_t program_seed;

static void one_program(void)
{
	run_program(program_seed);
}

static void many_programs(struct __test_metadata *_metadata, int procs)
{
	const char *given = getenv("MODEL_SEED");
	const char *scale = getenv("MODEL_PROGRAMS");
	uint32_t i, n = scale ? atoi(scale) : 25;

	if (given) {
		program_seed = strtoul(given, NULL, 0);
		EXPECT_EQ(0, run_on(procs, one_program));
		return;
	}
	for (i = 0; i < n; i++) {
		program_seed =
			1 + (burrow_now() * 2654435761U >> 3) % 0xfffffff;
		ASSERT_EQ(0, run_on(procs, one_program));
	}
	/* A machine that stalls may spoil some of them. */
	EXPECT_GT(conclusive, (int)n / 4);
}

TEST_F(on, programs_do_what_the_model_does)
{
	many_programs(_metadata, variant->procs);
}

TEST_HARNESS_MAIN
