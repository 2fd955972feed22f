// SPDX-License-Identifier: GPL-2.0
/*
 * Input and output on every kind of descriptor: what comes of each call, on
 * either engine and on several processors.
 */
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <termios.h>

#include "io.h"

#define BIG (1024 * 1024)

static int64_t in(int64_t ms)
{
	return burrow_now() + ms * MS * scale();
}

struct transfer {
	int fd;
	const void *data;
	size_t len;
	ssize_t result;
	bool done;
};

static void write_it(void *arg)
{
	struct transfer *t = arg;

	t->result = burrow_write(t->fd, t->data, t->len);
	__atomic_store_n(&t->done, true, __ATOMIC_RELEASE);
}

static void wait_done(struct transfer *t)
{
	while (!__atomic_load_n(&t->done, __ATOMIC_ACQUIRE))
		burrow_sleep(MS / 10);
}

/* Reads @len bytes and compares them. */
static bool reads(int fd, const char *data, size_t len)
{
	char *b = malloc(len);
	size_t at = 0;
	ssize_t n;
	bool same;

	while (at < len) {
		n = burrow_read(fd, b + at, len - at);
		if (n <= 0)
			break;
		at += n;
	}
	same = at == len && !memcmp(b, data, len);
	free(b);
	return same;
}

static char *pattern(size_t len)
{
	char *data = malloc(len);
	size_t i;

	for (i = 0; i < len; i++)
		data[i] = i * 7 + (i >> 8);
	return data;
}

/* A megabyte through @in to @out, which does not take it at one go. */
static void pass_big(int to, int from)
{
	char *data = pattern(BIG);
	struct transfer t = { .fd = to, .data = data, .len = BIG };
	int flags_to = fcntl(to, F_GETFL), flags_from = fcntl(from, F_GETFL);

	CHECK_EQ(0, burrow_go(write_it, &t));
	CHECK(reads(from, data, BIG));
	wait_done(&t);
	CHECK_EQ(BIG, t.result);
	CHECK_EQ(flags_to, fcntl(to, F_GETFL));
	CHECK_EQ(flags_from, fcntl(from, F_GETFL));
	free(data);
}

IO_TEST(pipe_blocking)
{
	int fds[2];

	CHECK_EQ(0, pipe(fds));
	pass_big(fds[1], fds[0]);
	CHECK_EQ(0, burrow_close(fds[1]));
	CHECK_EQ(0, burrow_read(fds[0], &fds, sizeof(fds)));
	CHECK_EQ(0, burrow_close(fds[0]));
	return 0;
}

IO_TEST(pipe_nonblocking)
{
	int fds[2];

	CHECK_EQ(0, pipe2(fds, O_NONBLOCK));
	pass_big(fds[1], fds[0]);
	CHECK_EQ(0, burrow_close(fds[0]));
	CHECK_EQ(-EPIPE, burrow_write(fds[1], "x", 1));
	CHECK_EQ(0, burrow_close(fds[1]));
	return 0;
}

static void pass_both_ways(int type)
{
	int fds[2];

	CHECK_EQ(0, socketpair(AF_UNIX, type, 0, fds));
	pass_big(fds[0], fds[1]);
	pass_big(fds[1], fds[0]);
	CHECK_EQ(0, burrow_close(fds[0]));
	CHECK_EQ(0, burrow_close(fds[1]));
}

IO_TEST(socket_blocking)
{
	pass_both_ways(SOCK_STREAM);
	return 0;
}

IO_TEST(socket_nonblocking)
{
	pass_both_ways(SOCK_STREAM | SOCK_NONBLOCK);
	return 0;
}

IO_TEST(datagrams_keep_their_bounds)
{
	char buf[16];
	int fds[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
	CHECK_EQ(3, burrow_send(fds[0], "abc", 3, 0));
	CHECK_EQ(0, burrow_send(fds[0], "", 0, 0));
	CHECK_EQ(2, burrow_write(fds[0], "de", 2));
	CHECK_EQ(3, burrow_recv(fds[1], buf, 3, 0));
	CHECK_EQ(0, burrow_recv(fds[1], buf, 3, 0));
	CHECK_EQ(2, burrow_read(fds[1], buf, sizeof(buf)));
	CHECK_EQ(-ETIMEDOUT, burrow_recv_deadline(fds[1], buf, 1, 0, in(5)));
	burrow_close(fds[0]);
	burrow_close(fds[1]);
	return 0;
}

IO_TEST(recv_flags)
{
	struct transfer t = { .data = "defgh", .len = 5 };
	char buf[16] = "";
	int fds[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	CHECK_EQ(-EAGAIN, burrow_recv(fds[1], buf, 1, MSG_DONTWAIT));
	CHECK_EQ(3, burrow_send(fds[0], "abc", 3, MSG_DONTWAIT));
	CHECK_EQ(3, burrow_recv(fds[1], buf, sizeof(buf), MSG_PEEK));
	t.fd = fds[0];
	burrow_go(write_it, &t);
	CHECK_EQ(8, burrow_recv(fds[1], buf, 8, MSG_WAITALL));
	CHECK_EQ(0, memcmp(buf, "abcdefgh", 8));
	wait_done(&t);
	burrow_close(fds[0]);
	CHECK_EQ(0, burrow_recv(fds[1], buf, 1, 0));
	CHECK_EQ(-EPIPE, burrow_send(fds[1], buf, 1, 0));
	burrow_close(fds[1]);
	return 0;
}

IO_TEST(deadline_of_a_read)
{
	int64_t until, late;
	char c = 0;
	int fds[2];

	CHECK_EQ(0, pipe(fds));
	until = in(20);
	CHECK_EQ(-ETIMEDOUT, burrow_read_deadline(fds[0], &c, 1, until));
	late = burrow_now() - until;
	CHECK(late >= 0);
	CHECK(late < 200 * MS * scale());
	/* Nothing waits there any more that could take this. */
	CHECK_EQ(1, write(fds[1], "y", 1));
	CHECK_EQ(1, burrow_read_deadline(fds[0], &c, 1, in(1000)));
	CHECK_EQ('y', c);
	/* In the past: what is there is had, or nothing. */
	CHECK_EQ(-ETIMEDOUT, burrow_read_deadline(fds[0], &c, 1, 1));
	CHECK_EQ(-ETIMEDOUT, burrow_read_deadline(fds[0], &c, 1, 0));
	CHECK_EQ(-ETIMEDOUT, burrow_read_deadline(fds[0], &c, 1, -5));
	burrow_close(fds[0]);
	burrow_close(fds[1]);
	return 0;
}

IO_TEST(deadline_of_a_write_tells_what_went)
{
	char *data = pattern(BIG);
	int fds[2];
	ssize_t n;

	CHECK_EQ(0, pipe(fds));
	n = burrow_write_deadline(fds[1], data, BIG, in(20));
	CHECK(n > 0 && n < BIG);
	CHECK(reads(fds[0], data, n));
	burrow_close(fds[0]);
	burrow_close(fds[1]);

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	n = burrow_send_deadline(fds[1], data, BIG, 0, in(20));
	CHECK(n > 0 && n < BIG);
	CHECK_EQ(-ETIMEDOUT, burrow_send_deadline(fds[1], data, 1, 0, in(5)));
	CHECK(reads(fds[0], data, n));
	burrow_close(fds[0]);
	burrow_close(fds[1]);
	free(data);
	return 0;
}

/*
 * Bytes that come at about the time of the deadline: each is either in the
 * buffer of a call that says so, or still in the pipe.
 */
static void count_bytes(void *arg)
{
	int *fds = arg;
	int i;

	for (i = 0; i < 300; i++) {
		CHECK_EQ(1, burrow_write(fds[1], &(unsigned char){ i }, 1));
		burrow_sleep((i % 5) * MS / 4);
	}
	burrow_close(fds[1]);
}

static void race_deadlines(bool socket)
{
	unsigned char c = 0, next = 0;
	int fds[2], misses = 0;
	ssize_t n;

	CHECK_EQ(0,
		 socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds));
	burrow_go(count_bytes, fds);
	for (;;) {
		n = burrow_read_deadline(fds[0], &c, 1, burrow_now() + MS / 2);
		if (n == -ETIMEDOUT) {
			misses++;
			continue;
		}
		if (n != 1)
			break;
		CHECK_EQ(next, c);
		next++;
	}
	CHECK_EQ(0, n);
	CHECK_EQ((unsigned char)300, next);
	CHECK(misses > 0);
	burrow_close(fds[0]);
}

IO_TEST(deadlines_lose_no_byte)
{
	race_deadlines(false);
	race_deadlines(true);
	return 0;
}

static int port_of(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len))
		return -1;
	/* The port is at the same place in both kinds. */
	return be16toh(((struct sockaddr_in *)&addr)->sin_port);
}

struct dial {
	int port;
	int fd;
	bool done;
};

static void dial_it(void *arg)
{
	struct dial *d = arg;

	d->fd = burrow_dial_tcp("127.0.0.1", d->port);
	__atomic_store_n(&d->done, true, __ATOMIC_RELEASE);
}

static void tcp_pair(int fds[2])
{
	struct dial d = { 0 };
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	int listener = burrow_listen_tcp("127.0.0.1", 0, 0);

	CHECK(listener >= 0);
	d.port = port_of(listener);
	burrow_go(dial_it, &d);
	fds[0] = burrow_accept(listener, (struct sockaddr *)&peer, &len);
	while (!__atomic_load_n(&d.done, __ATOMIC_ACQUIRE))
		burrow_sleep(MS / 10);
	fds[1] = d.fd;
	CHECK(fds[0] >= 0);
	CHECK(fds[1] >= 0);
	CHECK_EQ(sizeof(peer), len);
	CHECK_EQ(port_of(fds[1]), be16toh(peer.sin_port));
	CHECK_EQ(0, burrow_close(listener));
}

IO_TEST(tcp)
{
	int fds[2];

	tcp_pair(fds);
	pass_big(fds[0], fds[1]);
	pass_big(fds[1], fds[0]);
	burrow_close(fds[0]);
	CHECK_EQ(0, burrow_read(fds[1], fds, 1));
	burrow_close(fds[1]);
	return 0;
}

IO_TEST(tcp_by_name)
{
	int listener, any, fd;

	listener = burrow_listen_tcp("localhost", 0, 5);
	CHECK(listener >= 0);
	fd = burrow_dial_tcp("localhost", port_of(listener));
	CHECK(fd >= 0);
	burrow_close(fd);
	burrow_close(listener);
	any = burrow_listen_tcp(NULL, 0, 0);
	CHECK(any >= 0);
	fd = burrow_dial_tcp(NULL, port_of(any));
	CHECK(fd >= 0);
	CHECK_EQ(-EADDRINUSE, burrow_listen_tcp("", port_of(any), 0));
	burrow_close(fd);
	burrow_close(any);
	CHECK_EQ(-EINVAL, burrow_dial_tcp("localhost", 65536));
	CHECK_EQ(-EINVAL, burrow_listen_tcp("localhost", -1, 0));
	fd = burrow_dial_tcp_deadline("no.such.host.invalid", 80, in(5000));
	CHECK(fd == -ENOENT || fd == -EAGAIN || fd == -ETIMEDOUT);
	return 0;
}

/* A listener that takes no more: the next connection hangs. */
static int full_listener(int *fds, int n)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int i, listener = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htobe32(INADDR_LOOPBACK);
	CHECK_EQ(0, bind(listener, (struct sockaddr *)&addr, len));
	CHECK_EQ(0, listen(listener, 0));
	CHECK_EQ(0, getsockname(listener, (struct sockaddr *)&addr, &len));
	for (i = 0; i < n; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fds[i], (struct sockaddr *)&addr, len);
	}
	return listener;
}

static void connect_hangs(int flags)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int fds[4], listener, fd, i;

	listener = full_listener(fds, 4);
	burrow_sleep(5 * MS);
	getsockname(listener, (struct sockaddr *)&addr, &len);
	fd = socket(AF_INET, SOCK_STREAM | flags, 0);
	CHECK_EQ(-ETIMEDOUT,
		 burrow_connect_deadline(fd, (struct sockaddr *)&addr, len,
					 in(30)));
	CHECK_EQ(flags, fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK_EQ(0, burrow_close(fd));
	for (i = 0; i < 4; i++)
		close(fds[i]);
	close(listener);
}

IO_TEST(connect)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd, flags;

	connect_hangs(0);
	connect_hangs(SOCK_NONBLOCK);
	addr.sin_addr.s_addr = htobe32(INADDR_LOOPBACK);
	addr.sin_port = htobe16(1);
	for (flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
		fd = socket(AF_INET, SOCK_STREAM | flags, 0);
		CHECK_EQ(-ECONNREFUSED,
			 burrow_connect(fd, (struct sockaddr *)&addr,
					sizeof(addr)));
		burrow_close(fd);
	}
	CHECK_EQ(-ECONNREFUSED, burrow_dial_tcp("127.0.0.1", 1));
	return 0;
}

/* A listener as others make it: blocking. */
static void accept_on(int flags)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | flags, 0), fd, peer;

	/* An abstract name, of this process and kind. */
	snprintf(addr.sun_path + 1, 64, "burrow-io-%d-%d", getpid(), flags);
	CHECK_EQ(0, bind(listener, (struct sockaddr *)&addr, sizeof(addr)));
	CHECK_EQ(0, listen(listener, 5));
	CHECK_EQ(-ETIMEDOUT,
		 burrow_accept_deadline(listener, NULL, NULL, in(10)));
	peer = socket(AF_UNIX, SOCK_STREAM | flags, 0);
	CHECK_EQ(0,
		 burrow_connect(peer, (struct sockaddr *)&addr, sizeof(addr)));
	fd = burrow_accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	CHECK_EQ(flags, fcntl(listener, F_GETFL) & O_NONBLOCK);
	CHECK_EQ(2, burrow_write(peer, "ok", 2));
	CHECK_EQ(2, burrow_read(fd, &addr, sizeof(addr)));
	burrow_close(fd);
	burrow_close(peer);
	burrow_close(listener);
}

IO_TEST(accept_on_any_listener)
{
	accept_on(0);
	accept_on(SOCK_NONBLOCK);
	return 0;
}

IO_TEST(files)
{
	char dir[] = "/tmp/burrow-io-XXXXXX", path[64], buf[32];
	char *data = pattern(BIG), *back = malloc(BIG);
	int fd, dirfd;

	CHECK(!!mkdtemp(dir));
	dirfd = burrow_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	CHECK(dirfd >= 0);
	CHECK_EQ(-ENOENT, burrow_openat(dirfd, "file", O_RDWR, 0));
	fd = burrow_openat(dirfd, "file", O_RDWR | O_CREAT | O_EXCL, 0640);
	CHECK(fd >= 0);
	CHECK_EQ(BIG, burrow_write(fd, data, BIG));
	CHECK_EQ(0, burrow_read(fd, buf, 1));
	CHECK_EQ(BIG, lseek(fd, 0, SEEK_CUR));
	CHECK_EQ(BIG, burrow_pread(fd, back, BIG, 0));
	CHECK_EQ(0, memcmp(data, back, BIG));
	CHECK_EQ(4, burrow_pwrite(fd, "four", 4, 100));
	CHECK_EQ(BIG, lseek(fd, 0, SEEK_CUR));
	CHECK_EQ(98, lseek(fd, 98, SEEK_SET));
	CHECK_EQ(8, burrow_read(fd, buf, 8));
	CHECK_EQ(0, memcmp(buf + 2, "four", 4));
	CHECK_EQ(106, lseek(fd, 0, SEEK_CUR));
	CHECK_EQ(0, burrow_fsync(fd));
	CHECK_EQ(-EINVAL, burrow_pread(fd, buf, 1, -1));
	CHECK_EQ(-EISDIR, burrow_read(dirfd, buf, 1));
	CHECK_EQ(1, burrow_pread_deadline(fd, buf, 1, 5, in(5000)));
	CHECK_EQ(0, burrow_close(fd));
	CHECK_EQ(0, burrow_close(dirfd));
	snprintf(path, sizeof(path), "%s/file", dir);
	unlink(path);
	rmdir(dir);
	free(data);
	free(back);
	return 0;
}

/* Not in the page cache: somebody has to wait for the disk. */
IO_TEST(a_file_from_the_disk)
{
	char path[] = "/var/tmp/burrow-io-XXXXXX";
	char *data = pattern(BIG);
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	CHECK_EQ(BIG, burrow_pwrite(fd, data, BIG, 0));
	CHECK_EQ(0, burrow_fsync(fd));
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	CHECK(reads(fd, data, 0));
	CHECK_EQ(0, lseek(fd, 0, SEEK_SET));
	CHECK(reads(fd, data, BIG));
	CHECK_EQ(0, burrow_close(fd));
	unlink(path);
	free(data);
	return 0;
}

IO_TEST(errors)
{
	char buf[4];
	int fds[2];

	CHECK_EQ(0, pipe(fds));
	CHECK_EQ(-ESPIPE, burrow_pread(fds[0], buf, 1, 0));
	CHECK_EQ(-ESPIPE, burrow_pwrite(fds[1], buf, 1, 0));
	CHECK_EQ(-EBADF, burrow_read(fds[1], buf, 1));
	CHECK_EQ(-EBADF, burrow_write(fds[0], buf, 1));
	CHECK_EQ(-EBADF, burrow_read(-1, buf, 1));
	CHECK_EQ(-EBADF, burrow_read(1000000000, buf, 1));
	CHECK_EQ(-EBADF, burrow_read(777, buf, 1));
	CHECK_EQ(-EBADF, burrow_close(-1));
	CHECK_EQ(-EBADF, burrow_close(777));
	CHECK_EQ(-ENOTSOCK, burrow_recv(fds[0], buf, 1, 0));
	CHECK_EQ(-ENOTSOCK, burrow_send(fds[1], buf, 1, 0));
	CHECK_EQ(-ENOTSOCK, burrow_accept(fds[0], NULL, NULL));
	CHECK_EQ(1, write(fds[1], "x", 1));
	CHECK_EQ(-EFAULT, burrow_read(fds[0], (void *)8, 1));
	CHECK_EQ(-EFAULT, burrow_openat(AT_FDCWD, NULL, O_RDONLY, 0));
	CHECK_EQ(-EINVAL, burrow_fsync(fds[0]));
	/* A high number: low ones are soon another's. */
	CHECK_EQ(900, dup2(fds[0], 900));
	CHECK_EQ(0, burrow_close(900));
	CHECK_EQ(-EBADF, burrow_read(900, buf, 1));
	CHECK_EQ(-EBADF, burrow_close(900));
	burrow_close(fds[0]);
	burrow_close(fds[1]);
	return 0;
}

IO_TEST(a_terminal)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, flags;
	struct transfer t = { .data = "line\n", .len = 5 };
	struct termios term;
	char buf[32];

	CHECK(master >= 0);
	CHECK_EQ(0, grantpt(master));
	CHECK_EQ(0, unlockpt(master));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	CHECK(slave >= 0);
	tcgetattr(slave, &term);
	term.c_lflag &= ~ECHO;
	term.c_oflag &= ~OPOST;
	tcsetattr(slave, TCSANOW, &term);
	flags = fcntl(slave, F_GETFL);
	CHECK_EQ(-ETIMEDOUT,
		 burrow_read_deadline(slave, buf, sizeof(buf), in(10)));
	t.fd = master;
	burrow_go(write_it, &t);
	CHECK_EQ(5, burrow_read(slave, buf, sizeof(buf)));
	CHECK_EQ(0, memcmp(buf, "line\n", 5));
	wait_done(&t);
	CHECK_EQ(5, t.result);
	CHECK_EQ(3, burrow_write(slave, "out", 3));
	CHECK_EQ(3, burrow_read(master, buf, sizeof(buf)));
	CHECK_EQ(flags, fcntl(slave, F_GETFL));
	burrow_close(slave);
	CHECK_EQ(-EIO, burrow_read(master, buf, 1));
	burrow_close(master);
	return 0;
}

IO_TEST(eventfd_and_timerfd)
{
	struct itimerspec in_5ms = { .it_value.tv_nsec = 5000000 };
	uint64_t value = 7, one = 1;
	struct transfer t = { .data = &value, .len = sizeof(value) };
	int fd = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);

	CHECK_EQ(-ETIMEDOUT, burrow_read_deadline(fd, &one, 8, in(5)));
	t.fd = fd;
	burrow_go(write_it, &t);
	CHECK_EQ(8, burrow_read(fd, &one, 8));
	CHECK_EQ(7, one);
	wait_done(&t);
	CHECK_EQ(8, t.result);
	CHECK_EQ(-EINVAL, burrow_read(fd, &one, 4));
	value = UINT64_MAX - 1;
	CHECK_EQ(8, burrow_write(fd, &value, 8));
	CHECK_EQ(-ETIMEDOUT, burrow_write_deadline(fd, &value, 8, in(5)));
	CHECK_EQ(0, timerfd_settime(timer, 0, &in_5ms, NULL));
	CHECK_EQ(8, burrow_read(timer, &value, 8));
	CHECK_EQ(1, value);
	burrow_close(fd);
	burrow_close(timer);
	return 0;
}

IO_TEST(poll_several)
{
	struct pollfd p[3];
	int a[2], b[2];

	CHECK_EQ(0, pipe(a));
	CHECK_EQ(0, pipe(b));
	p[0] = (struct pollfd){ .fd = a[0], .events = POLLIN };
	p[1] = (struct pollfd){ .fd = b[0], .events = POLLIN };
	p[2] = (struct pollfd){ .fd = -1, .events = POLLIN };
	CHECK_EQ(0, burrow_poll(p, 3, 0));
	CHECK_EQ(0, burrow_poll(p, 3, 5));
	CHECK_EQ(-ETIMEDOUT, burrow_poll_deadline(p, 3, -1, in(5)));
	CHECK_EQ(0, burrow_poll_deadline(p, 3, 5, in(500)));
	CHECK_EQ(-ETIMEDOUT, burrow_poll_deadline(p, 3, 5000, in(5)));
	CHECK_EQ(1, write(b[1], "x", 1));
	CHECK_EQ(1, burrow_poll(p, 3, -1));
	CHECK_EQ(0, p[0].revents);
	CHECK_EQ(POLLIN, p[1].revents);
	close(a[1]);
	CHECK_EQ(2, burrow_poll(p, 3, -1));
	CHECK_EQ(POLLHUP, p[0].revents);
	close(b[0]);
	CHECK_EQ(2, burrow_poll(p, 3, -1));
	CHECK_EQ(POLLNVAL, p[1].revents);
	CHECK_EQ(0, burrow_poll(p + 2, 1, 5));
	CHECK_EQ(0, burrow_poll(NULL, 0, 5));
	CHECK_EQ(-ETIMEDOUT, burrow_poll_deadline(NULL, 0, -1, in(5)));
	close(a[0]);
	close(b[1]);
	return 0;
}

#define POLLED 40

IO_TEST(poll_many)
{
	struct transfer t = { .data = "x", .len = 1 };
	struct pollfd p[POLLED + 1];
	int fds[POLLED][2], i;

	for (i = 0; i < POLLED; i++) {
		CHECK_EQ(0, pipe(fds[i]));
		p[i] = (struct pollfd){ .fd = fds[i][0], .events = POLLIN };
	}
	/* The same one twice. */
	p[POLLED] = p[POLLED / 2];
	for (i = 0; i < POLLED; i += 7) {
		t.fd = fds[i][1];
		t.done = false;
		burrow_go(write_it, &t);
		CHECK(burrow_poll(p, POLLED + 1, -1) > 0);
		CHECK_EQ(POLLIN, p[i].revents);
		wait_done(&t);
		CHECK_EQ(1, read(fds[i][0], &t.len, 1));
		t.len = 1;
	}
	for (i = 0; i < POLLED; i++) {
		close(fds[i][0]);
		close(fds[i][1]);
	}
	return 0;
}

TEST_HARNESS_MAIN
