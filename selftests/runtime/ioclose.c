// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to those who wait: a descriptor is closed, with our call or
 * without our knowledge; the runtime ends; their thread is busy with something
 * else; processors come and go; many at once.
 */
#include <poll.h>
#include <pthread.h>

#include "io.h"

#define WAITERS 20

struct waiters {
	int fd;
	int started;
	int ended;
	int canceled;
};

static void ended_with(struct waiters *w, ssize_t result)
{
	if (result == -ECANCELED)
		__atomic_add_fetch(&w->canceled, 1, __ATOMIC_SEQ_CST);
	else
		CHECK_EQ(-ECANCELED, result);
	__atomic_add_fetch(&w->ended, 1, __ATOMIC_SEQ_CST);
}

static void reader(void *arg)
{
	struct waiters *w = arg;
	char buf[8];

	__atomic_add_fetch(&w->started, 1, __ATOMIC_SEQ_CST);
	ended_with(w, burrow_read(w->fd, buf, sizeof(buf)));
}

static void acceptor(void *arg)
{
	struct waiters *w = arg;

	__atomic_add_fetch(&w->started, 1, __ATOMIC_SEQ_CST);
	ended_with(w, burrow_accept(w->fd, NULL, NULL));
}

static void poller(void *arg)
{
	struct waiters *w = arg;
	struct pollfd p = { .fd = w->fd, .events = POLLPRI };

	__atomic_add_fetch(&w->started, 1, __ATOMIC_SEQ_CST);
	ended_with(w, burrow_poll(&p, 1, -1));
}

static void writer(void *arg)
{
	struct waiters *w = arg;
	char *data = calloc(1, MIB);
	ssize_t n;

	__atomic_add_fetch(&w->started, 1, __ATOMIC_SEQ_CST);
	n = burrow_write(w->fd, data, MIB);
	/* The first one has got some of it out. */
	ended_with(w, n > 0 && n < (ssize_t)MIB ? -ECANCELED : n);
	free(data);
}

static void close_on(int fd, void (*fn)(void *arg), int n)
{
	struct waiters w = { .fd = fd };
	int i;

	for (i = 0; i < n; i++)
		CHECK_EQ(0, burrow_go(fn, &w));
	while (__atomic_load_n(&w.started, __ATOMIC_SEQ_CST) < n)
		burrow_sleep(MS / 10);
	burrow_sleep(5 * MS);
	CHECK_EQ(0, __atomic_load_n(&w.ended, __ATOMIC_SEQ_CST));
	CHECK_EQ(0, burrow_close(fd));
	while (__atomic_load_n(&w.ended, __ATOMIC_SEQ_CST) < n)
		burrow_sleep(MS / 10);
	CHECK_EQ(n, w.canceled);
}

IO_TEST(close_wakes_all_who_wait)
{
	int fds[2];

	CHECK_EQ(0, pipe(fds));
	close_on(fds[0], reader, WAITERS);
	burrow_close(fds[1]);
	CHECK_EQ(0, pipe(fds));
	close_on(fds[1], writer, 3);
	burrow_close(fds[0]);
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	close_on(fds[0], reader, WAITERS);
	CHECK_EQ(0, burrow_read(fds[1], fds, 1));
	burrow_close(fds[1]);
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	close_on(fds[0], writer, 3);
	burrow_close(fds[1]);
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	close_on(fds[0], poller, WAITERS);
	burrow_close(fds[1]);
	close_on(burrow_listen_tcp("127.0.0.1", 0, 0), acceptor, WAITERS);
	return 0;
}

/* The number goes from hand to hand while others read on it. */
static void close_soon(void *arg)
{
	int *fd = arg;

	burrow_yield();
	CHECK_EQ(0, burrow_close(*fd));
	__atomic_store_n(fd, -1, __ATOMIC_SEQ_CST);
}

IO_TEST(close_and_use_again)
{
	int i, fds[2], closed, canceled = 0;
	char c;
	ssize_t n;

	for (i = 0; i < 300; i++) {
		CHECK_EQ(0, i % 2 ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) :
				    pipe(fds));
		/* A high number: low ones are soon another's. */
		closed = 900;
		CHECK_EQ(closed, dup2(fds[0], closed));
		close(fds[0]);
		burrow_go(close_soon, &closed);
		n = burrow_read(900, &c, 1);
		canceled += n == -ECANCELED;
		/* Or it came to read when the number was nobody's. */
		if (n != -ECANCELED)
			CHECK_EQ(-EBADF, n);
		while (__atomic_load_n(&closed, __ATOMIC_SEQ_CST) >= 0)
			burrow_yield();
		close(fds[1]);
	}
	CHECK(canceled > 0);
	return 0;
}

#define BUSY 8

/*
 * The kernel lets go of what a request of the ring was for when it has told that
 * it is done: for a moment the other side is not closed yet.
 */
static void write_till_refused(int fd)
{
	char c = 'x';
	ssize_t n;
	int i = 0;

	while ((n = burrow_write(fd, &c, 1)) == 1 && ++i < 1000)
		burrow_yield();
	CHECK_EQ(-EPIPE, n);
}

static void open_and_close(void *arg)
{
	int *left = arg, fds[2], i;
	char c = 'x';

	for (i = 0; i < 300; i++) {
		CHECK_EQ(0, pipe(fds));
		CHECK_EQ(1, burrow_write(fds[1], &c, 1));
		CHECK_EQ(1, burrow_read(fds[0], &c, 1));
		CHECK_EQ(0, burrow_close(fds[0]));
		write_till_refused(fds[1]);
		CHECK_EQ(0, burrow_close(fds[1]));
	}
	__atomic_sub_fetch(left, 1, __ATOMIC_SEQ_CST);
}

/* A number is another's before the one who closed it is through with it. */
IO_TEST(numbers_go_from_hand_to_hand)
{
	int left = BUSY, i;

	for (i = 0; i < BUSY; i++)
		CHECK_EQ(0, burrow_go(open_and_close, &left));
	while (__atomic_load_n(&left, __ATOMIC_SEQ_CST))
		burrow_sleep(MS);
	return 0;
}

/*
 * close(2) tells us nothing. The old pipe lives on in a duplicate, so what was
 * registered for it may still come; the number is another pipe's by then.
 */
IO_TEST(close_without_our_knowledge)
{
	int old[2], new[2], copy;
	char c = 0;

	CHECK_EQ(0, pipe(old));
	CHECK_EQ(0, pipe(new));
	CHECK_EQ(900, dup2(old[0], 900));
	copy = dup(old[0]);
	CHECK_EQ(-ETIMEDOUT,
		 burrow_read_deadline(900, &c, 1, burrow_now() + 5 * MS));
	close(900);
	CHECK_EQ(900, dup2(new[0], 900));
	CHECK_EQ(1, write(old[1], "o", 1));
	CHECK_EQ(-ETIMEDOUT,
		 burrow_read_deadline(900, &c, 1, burrow_now() + 20 * MS));
	CHECK_EQ(1, write(new[1], "n", 1));
	CHECK_EQ(1, burrow_read(900, &c, 1));
	CHECK_EQ('n', c);
	CHECK_EQ(1, burrow_read(copy, &c, 1));
	CHECK_EQ('o', c);
	/* A socket where a pipe was, and the other way round. */
	close(900);
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, new));
	CHECK_EQ(900, dup2(new[0], 900));
	CHECK_EQ(1, burrow_write(new[1], "s", 1));
	CHECK_EQ(1, burrow_read(900, &c, 1));
	CHECK_EQ('s', c);
	close(900);
	CHECK_EQ(900, dup2(copy, 900));
	CHECK_EQ(1, write(old[1], "p", 1));
	CHECK_EQ(1, burrow_read(900, &c, 1));
	CHECK_EQ('p', c);
	return 0;
}

struct left {
	int pipe[2];
	int sock[2];
	int listener;
	char *buf;
	int waiting;
};

static void left_reading(void *arg)
{
	struct left *l = arg;

	__atomic_add_fetch(&l->waiting, 1, __ATOMIC_SEQ_CST);
	burrow_read(l->pipe[0], l->buf, 64);
	CHECK(!"it was left where it was");
}

static void left_receiving(void *arg)
{
	struct left *l = arg;

	__atomic_add_fetch(&l->waiting, 1, __ATOMIC_SEQ_CST);
	burrow_recv(l->sock[0], l->buf + 64, 64, 0);
	CHECK(!"it was left where it was");
}

static void left_accepting(void *arg)
{
	struct left *l = arg;

	__atomic_add_fetch(&l->waiting, 1, __ATOMIC_SEQ_CST);
	burrow_accept(l->listener, NULL, NULL);
	CHECK(!"it was left where it was");
}

static int leave_them(void *arg)
{
	struct left *l = arg;

	l->listener = burrow_listen_tcp("127.0.0.1", 0, 0);
	burrow_go(left_reading, l);
	burrow_go(left_receiving, l);
	burrow_go(left_accepting, l);
	while (__atomic_load_n(&l->waiting, __ATOMIC_SEQ_CST) < 3)
		burrow_sleep(MS);
	burrow_sleep(10 * MS);
	return 0;
}

/* What comes when the run is over is for whoever reads next. */
TEST_F(io, nothing_is_in_flight_after_the_end)
{
	struct left l = { .buf = calloc(1, 128) };
	char got[64];
	int round, before = count_fds("");

	for (round = 0; round < 3; round++) {
		l.waiting = 0;
		ASSERT_EQ(0, pipe(l.pipe));
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, l.sock));
		ASSERT_EQ(0, burrow_run(NULL, leave_them, &l));
		ASSERT_EQ(0, failed_at);
		ASSERT_EQ(5, write(l.pipe[1], "later", 5));
		ASSERT_EQ(5, write(l.sock[1], "later", 5));
		usleep(20000);
		EXPECT_EQ(0, l.buf[0]);
		EXPECT_EQ(0, l.buf[64]);
		EXPECT_EQ(5, recv(l.sock[0], got, 64, MSG_DONTWAIT));
		fcntl(l.pipe[0], F_SETFL, O_NONBLOCK);
		EXPECT_EQ(5, read(l.pipe[0], got, 64));
		close(l.pipe[0]);
		close(l.pipe[1]);
		close(l.sock[0]);
		close(l.sock[1]);
		close(l.listener);
		EXPECT_EQ(before, count_fds(""));
	}
	free(l.buf);
}

struct outside {
	int fds[2];
	int64_t written_at;
	int64_t read_at;
	bool stop;
};

static void *write_later(void *arg)
{
	struct outside *o = arg;

	usleep(100000);
	__atomic_store_n(&o->written_at, burrow_now(), __ATOMIC_SEQ_CST);
	if (write(o->fds[1], "x", 1) != 1)
		abort();
	return NULL;
}

static void read_outside(void *arg)
{
	struct outside *o = arg;
	char c;

	CHECK_EQ(1, burrow_read(o->fds[0], &c, 1));
	__atomic_store_n(&o->read_at, burrow_now(), __ATOMIC_SEQ_CST);
}

static void spin(void *arg)
{
	struct outside *o = arg;
	int64_t until = burrow_now() + 2000 * MS;

	while (burrow_now() < until &&
	       !__atomic_load_n(&o->read_at, __ATOMIC_SEQ_CST))
		;
}

static void nap(void *arg)
{
	struct outside *o = arg;
	int i;

	for (i = 0; i < 2000 && !__atomic_load_n(&o->read_at, __ATOMIC_SEQ_CST);
	     i++)
		usleep(1000);
}

static void nap_blocking(void *arg)
{
	burrow_blocking(nap, arg);
}

/* How long a byte takes to a goroutine whose processor was @hog's. */
static int64_t lateness(void (*hog)(void *arg), bool socket)
{
	struct outside o = { 0 };
	pthread_t thread;

	CHECK_EQ(0, socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, o.fds) :
			     pipe(o.fds));
	burrow_go(read_outside, &o);
	burrow_sleep(10 * MS);
	pthread_create(&thread, NULL, write_later, &o);
	hog(&o);
	pthread_join(thread, NULL);
	while (!__atomic_load_n(&o.read_at, __ATOMIC_SEQ_CST))
		burrow_sleep(MS);
	close(o.fds[0]);
	close(o.fds[1]);
	return o.read_at - o.written_at;
}

/* One of some: other processes may have the CPU at the moment. */
static bool is_soon(void (*hog)(void *arg), bool socket)
{
	int i;

	for (i = 0; i < 5; i++) {
		if (lateness(hog, socket) < 20 * MS * scale())
			return true;
	}
	return false;
}

IO_TEST(a_hog_holds_up_nobody)
{
	CHECK(is_soon(spin, false));
	CHECK(is_soon(spin, true));
	CHECK(is_soon(nap_blocking, false));
	CHECK(is_soon(nap_blocking, true));
	return 0;
}

#define PAIRS 200
#define TURNS 50

struct pair {
	int fd;
	bool first;
	int *left;
};

static void turns(void *arg)
{
	struct pair *p = arg;
	char c = 'x';
	int i;

	for (i = 0; i < TURNS; i++) {
		if (p->first)
			CHECK_EQ(1, burrow_send(p->fd, &c, 1, 0));
		CHECK_EQ(1, burrow_recv_deadline(p->fd, &c, 1, 0,
						 burrow_now() + 600000 * MS));
		if (!p->first)
			CHECK_EQ(1, burrow_write(p->fd, &c, 1));
	}
	CHECK_EQ(0, burrow_close(p->fd));
	__atomic_sub_fetch(p->left, 1, __ATOMIC_SEQ_CST);
}

static void many_pairs(void)
{
	static struct pair pairs[2 * PAIRS];
	int left = 2 * PAIRS, fds[2], i;

	for (i = 0; i < 2 * PAIRS; i += 2) {
		CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
		pairs[i] = (struct pair){ fds[0], true, &left };
		pairs[i + 1] = (struct pair){ fds[1], false, &left };
		CHECK_EQ(0, burrow_go(turns, &pairs[i]));
		CHECK_EQ(0, burrow_go(turns, &pairs[i + 1]));
	}
	while (__atomic_load_n(&left, __ATOMIC_SEQ_CST))
		burrow_sleep(MS);
}

IO_TEST(many_at_once)
{
	many_pairs();
	return 0;
}

IO_TEST(processors_go_while_requests_are_in_flight)
{
	int old = burrow_set_procs(4), fds[32][2], i;
	struct outside o[32] = { 0 };

	for (i = 0; i < 32; i++) {
		CHECK_EQ(0, pipe(fds[i]));
		memcpy(o[i].fds, fds[i], sizeof(fds[i]));
		burrow_go(read_outside, &o[i]);
	}
	burrow_sleep(20 * MS);
	CHECK_EQ(4, burrow_set_procs(1));
	burrow_sleep(5 * MS);
	for (i = 0; i < 32; i++)
		CHECK_EQ(1, burrow_write(fds[i][1], "x", 1));
	for (i = 0; i < 32; i++) {
		while (!__atomic_load_n(&o[i].read_at, __ATOMIC_SEQ_CST))
			burrow_sleep(MS);
		close(fds[i][0]);
		close(fds[i][1]);
	}
	many_pairs();
	CHECK_EQ(1, burrow_set_procs(old));
	many_pairs();
	return 0;
}

TEST_HARNESS_MAIN
