// SPDX-License-Identifier: GPL-2.0
/*
 * Where the kernel does more than it is asked for at the moment: receives into
 * buffers that it takes itself, and listeners that go on accepting. The same
 * comes of it with the engine that can do neither.
 */
#include <netinet/in.h>

#include "io.h"

#define MANY 150 /* more than the kernel has buffers */
#define LENT 4032

static int64_t in(int64_t ms)
{
	return burrow_now() + ms * MS * scale();
}

static void pair(int fds[2])
{
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
}

IO_TEST(take_and_give)
{
	char data[3 * LENT];
	void *buf = data;
	int fds[2], i;

	pair(fds);
	for (i = 0; i < 1000; i++) {
		memset(data, i, 100);
		CHECK_EQ(100, burrow_send(fds[1], data, 100, 0));
		CHECK_EQ(100, burrow_recv_take(fds[0], &buf, 0));
		CHECK(buf && !memcmp(buf, data, 100));
		burrow_recv_give(buf);
	}
	memset(data, 'x', sizeof(data));
	CHECK_EQ(sizeof(data), burrow_send(fds[1], data, sizeof(data), 0));
	CHECK_EQ(LENT, burrow_recv_take(fds[0], &buf, 0));
	CHECK_EQ('x', ((char *)buf)[LENT - 1]);
	burrow_recv_give(buf);
	CHECK_EQ(LENT, burrow_recv_take(fds[0], &buf, MSG_DONTWAIT));
	burrow_recv_give(buf);
	close(fds[1]);
	CHECK_EQ(LENT, burrow_recv_take(fds[0], &buf, 0));
	burrow_recv_give(buf);
	CHECK_EQ(0, burrow_recv_take(fds[0], &buf, 0));
	CHECK(!buf);
	burrow_recv_give(NULL);
	burrow_close(fds[0]);
	return 0;
}

IO_TEST(take_refuses)
{
	int fds[2], pipes[2];
	void *buf = fds;

	pair(fds);
	CHECK_EQ(0, pipe(pipes));
	CHECK_EQ(-EINVAL, burrow_recv_take(fds[0], &buf, MSG_PEEK));
	CHECK(!buf);
	CHECK_EQ(-EAGAIN, burrow_recv_take(fds[0], &buf, MSG_DONTWAIT));
	CHECK_EQ(-ETIMEDOUT, burrow_recv_take_deadline(fds[0], &buf, 0, in(5)));
	CHECK_EQ(-EBADF, burrow_recv_take(-1, &buf, 0));
	CHECK_EQ(-EBADF, burrow_recv_take(911, &buf, 0));
	CHECK_EQ(-ENOTSOCK, burrow_recv_take(pipes[0], &buf, 0));
	CHECK(!buf);
	close(fds[0]);
	close(fds[1]);
	close(pipes[0]);
	close(pipes[1]);
	return 0;
}

struct taker {
	int fds[2];
	int64_t n;
	void *buf;
	int done;
};

static void take(void *arg)
{
	struct taker *t = arg;

	t->n = burrow_recv_take(t->fds[0], &t->buf, 0);
	__atomic_store_n(&t->done, 1, __ATOMIC_SEQ_CST);
}

static void wait_for(struct taker *t)
{
	while (!__atomic_load_n(&t->done, __ATOMIC_SEQ_CST))
		burrow_sleep(MS / 10);
}

/* All keep what they got; and so again with the buffers given back. */
static void take_many(struct taker *t)
{
	int i;

	for (i = 0; i < MANY; i++) {
		t[i].done = 0;
		CHECK_EQ(0, burrow_go(take, &t[i]));
	}
	burrow_sleep(5 * MS);
	for (i = 0; i < MANY; i++)
		CHECK_EQ(sizeof(i), burrow_send(t[i].fds[1], &i, sizeof(i), 0));
	for (i = 0; i < MANY; i++) {
		wait_for(&t[i]);
		CHECK_EQ(sizeof(i), t[i].n);
	}
	for (i = 0; i < MANY; i++) {
		CHECK_EQ(i, *(int *)t[i].buf);
		burrow_recv_give(t[i].buf);
	}
}

IO_TEST(more_takers_than_buffers)
{
	struct taker *t = calloc(MANY, sizeof(*t));
	int i;

	for (i = 0; i < MANY; i++)
		pair(t[i].fds);
	for (i = 0; i < 5; i++)
		take_many(t);
	for (i = 0; i < MANY; i++) {
		close(t[i].fds[0]);
		close(t[i].fds[1]);
	}
	free(t);
	return 0;
}

IO_TEST(close_wakes_a_taker)
{
	struct taker t = { 0 };

	pair(t.fds);
	CHECK_EQ(0, burrow_go(take, &t));
	burrow_sleep(5 * MS);
	CHECK_EQ(0, burrow_close(t.fds[0]));
	wait_for(&t);
	CHECK_EQ(-ECANCELED, t.n);
	CHECK(!t.buf);
	close(t.fds[1]);
	return 0;
}

static int give_twice(void *arg)
{
	int fds[2];
	void *buf;

	(void)arg;
	pair(fds);
	CHECK_EQ(1, burrow_send(fds[1], "x", 1, 0));
	CHECK_EQ(1, burrow_recv_take(fds[0], &buf, 0));
	burrow_recv_give(buf);
	burrow_recv_give(buf);
	return 0;
}

static void run_give_twice(void *arg)
{
	burrow_run(NULL, give_twice, arg);
}

TEST_F(io, giving_twice_ends_the_program)
{
	static struct outcome o;

	outcome_of(&o, run_give_twice, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(says(&o, "burrow_recv_give"));
}

static int port_of(int fd)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	CHECK_EQ(0, getsockname(fd, (struct sockaddr *)&addr, &len));
	return ntohs(addr.sin_port);
}

static struct burrow_listener *listen_anew(int *port)
{
	int fd = burrow_listen_tcp("127.0.0.1", *port, 1000);
	struct burrow_listener *l = NULL;

	CHECK(fd >= 0);
	*port = port_of(fd);
	CHECK_EQ(0, burrow_listener_new(fd, SOCK_CLOEXEC, &l));
	return l;
}

IO_TEST(listener_accepts_all)
{
	int port = 0, fds[MANY], fd, i;
	struct burrow_listener *l = listen_anew(&port);
	char c;

	/* One by one, then all of them before anybody asks. */
	for (i = 0; i < 20; i++) {
		fds[i] = burrow_dial_tcp("127.0.0.1", port);
		CHECK(fds[i] >= 0);
		fd = burrow_listener_accept(l);
		CHECK(fd >= 0);
		CHECK_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
		CHECK_EQ(1, burrow_write(fds[i], "x", 1));
		CHECK_EQ(1, burrow_read(fd, &c, 1));
		burrow_close(fd);
		burrow_close(fds[i]);
	}
	for (i = 0; i < MANY; i++) {
		fds[i] = burrow_dial_tcp("127.0.0.1", port);
		CHECK(fds[i] >= 0);
		CHECK_EQ(1, burrow_write(fds[i], "y", 1));
	}
	burrow_sleep(5 * MS);
	for (i = 0; i < MANY; i++) {
		fd = burrow_listener_accept(l);
		CHECK(fd >= 0);
		CHECK_EQ(1, burrow_read(fd, &c, 1));
		CHECK_EQ('y', c);
		burrow_close(fd);
	}
	CHECK_EQ(-ETIMEDOUT, burrow_listener_accept_deadline(l, in(5)));
	for (i = 0; i < MANY; i++)
		burrow_close(fds[i]);
	CHECK_EQ(0, burrow_listener_close(l));
	CHECK_EQ(-EBADF, burrow_listener_accept(l));
	CHECK_EQ(-EBADF, burrow_listener_close(l));
	return 0;
}

struct acceptors {
	struct burrow_listener *l;
	int started;
	int got;
	int canceled;
};

static void acceptor(void *arg)
{
	struct acceptors *a = arg;
	int fd;

	__atomic_add_fetch(&a->started, 1, __ATOMIC_SEQ_CST);
	while ((fd = burrow_listener_accept(a->l)) >= 0) {
		__atomic_add_fetch(&a->got, 1, __ATOMIC_SEQ_CST);
		burrow_close(fd);
	}
	/* Or it had a connection in its hands when the listener was closed. */
	if (fd != -EBADF)
		CHECK_EQ(-ECANCELED, fd);
	__atomic_add_fetch(&a->canceled, 1, __ATOMIC_SEQ_CST);
}

static void wait_until(int *what, int n)
{
	while (__atomic_load_n(what, __ATOMIC_SEQ_CST) < n)
		burrow_sleep(MS / 10);
}

/* The port can be bound again at once, also while connections are queued. */
IO_TEST(listener_close_frees_the_port)
{
	int port = 0, i, round;

	for (round = 0; round < 10; round++) {
		struct acceptors a = { .l = listen_anew(&port) };

		for (i = 0; i < 8; i++)
			CHECK_EQ(0, burrow_go(acceptor, &a));
		wait_until(&a.started, 8);
		for (i = 0; i < 30; i++)
			burrow_close(burrow_dial_tcp("127.0.0.1", port));
		wait_until(&a.got, 30);
		CHECK_EQ(0, burrow_listener_close(a.l));
		wait_until(&a.canceled, 8);
		CHECK(burrow_dial_tcp("127.0.0.1", port) < 0);
	}
	return 0;
}

IO_TEST(listener_refuses)
{
	struct burrow_listener *l = NULL;
	int fds[2], fd = burrow_listen_tcp("127.0.0.1", 0, 0);

	pair(fds);
	CHECK_EQ(-EINVAL, burrow_listener_new(fds[0], 0, &l));
	CHECK_EQ(-EBADF, burrow_listener_new(911, 0, &l));
	CHECK_EQ(-EINVAL, burrow_listener_new(fd, 1 << 30, &l));
	CHECK(!l);
	close(fd);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static int leave_queued(void *arg)
{
	int port = 0, i;
	struct burrow_listener *l = listen_anew(&port);

	(void)arg;
	CHECK_EQ(-ETIMEDOUT, burrow_listener_accept_deadline(l, in(2)));
	for (i = 0; i < 10; i++)
		CHECK(burrow_dial_tcp("127.0.0.1", port) >= 0);
	burrow_sleep(5 * MS);
	return 0;
}

static bool is_tcp(int fd)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	return !getsockname(fd, (struct sockaddr *)&addr, &len) &&
	       addr.sin_family == AF_INET;
}

TEST_F(io, nothing_of_a_listener_is_left_after_the_end)
{
	int before = count_fds(""), round, fd;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, burrow_run(NULL, leave_queued, NULL));
		ASSERT_EQ(0, failed_at);
		/* The ten that were dialled are the program's own. */
		EXPECT_EQ(before + 10, count_fds(""));
		for (fd = 3; fd < 256; fd++)
			if (fcntl(fd, F_GETFD) >= 0 && is_tcp(fd))
				close(fd);
		EXPECT_EQ(before, count_fds(""));
	}
}

/* Its processor goes while the request is in flight there. */
IO_TEST(listener_survives_its_processor)
{
	int old = burrow_set_procs(4), port = 0, i;
	struct acceptors a = { .l = listen_anew(&port) };

	for (i = 0; i < 8; i++)
		CHECK_EQ(0, burrow_go(acceptor, &a));
	wait_until(&a.started, 8);
	for (i = 1; i <= 40; i++) {
		burrow_set_procs(i % 4 + 1);
		burrow_close(burrow_dial_tcp("127.0.0.1", port));
		wait_until(&a.got, i);
	}
	CHECK_EQ(0, burrow_listener_close(a.l));
	wait_until(&a.canceled, 8);
	burrow_set_procs(old);
	return 0;
}

TEST_HARNESS_MAIN
