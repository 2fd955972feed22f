// SPDX-License-Identifier: GPL-2.0
/*
 * Every system call that the engines are made of fails once, at each place in
 * turn; and rings that are far too small. What may pass is survived without
 * anybody noticing, the rest is an error of one call and of no other.
 *
 * The functions below stand in the way of liburing's and libc's.
 */
#include <dlfcn.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "io.h"

/* In the library, for us. */
extern unsigned int burrow_io_uring_entries;
extern unsigned int burrow_io_uring_cq_entries;

enum call {
	CALL_NONE,
	CALL_SETUP,
	CALL_ENTER,
	CALL_EVENTFD,
	CALL_EPOLL_CREATE,
	CALL_EPOLL_CTL,
	CALL_EPOLL_WAIT,
	CALL_THREAD,
	CALL_TABLE,
	CALL_POOL,
};

/* The @at-th call of this kind fails, once or from then on. */
static struct {
	enum call call;
	int at;
	int err;
	bool for_ever;
	int count;
	int failed;
} inject;

static bool fails(enum call call)
{
	int n;

	if (inject.call != call)
		return false;
	n = __atomic_add_fetch(&inject.count, 1, __ATOMIC_SEQ_CST);
	if (n != inject.at && !(inject.for_ever && n > inject.at))
		return false;
	__atomic_add_fetch(&inject.failed, 1, __ATOMIC_SEQ_CST);
	errno = inject.err;
	return true;
}

#define REAL(name) ((typeof(&(name)))dlsym(RTLD_NEXT, #name))

int io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
			       struct io_uring_params *p)
{
	if (fails(CALL_SETUP))
		return -inject.err;
	return REAL(io_uring_queue_init_params)(entries, ring, p);
}

int io_uring_enter(unsigned int fd, unsigned int submit, unsigned int wait,
		   unsigned int flags, sigset_t *sig)
{
	if (fails(CALL_ENTER))
		return -inject.err;
	return REAL(io_uring_enter)(fd, submit, wait, flags, sig);
}

int io_uring_enter2(unsigned int fd, unsigned int submit, unsigned int wait,
		    unsigned int flags, sigset_t *sig, size_t size)
{
	if (fails(CALL_ENTER))
		return -inject.err;
	return REAL(io_uring_enter2)(fd, submit, wait, flags, sig, size);
}

int io_uring_register_buf_ring(struct io_uring *ring,
			       struct io_uring_buf_reg *reg, unsigned int flags)
{
	if (fails(CALL_POOL))
		return -inject.err;
	return REAL(io_uring_register_buf_ring)(ring, reg, flags);
}

int eventfd(unsigned int value, int flags)
{
	return fails(CALL_EVENTFD) ? -1 : REAL(eventfd)(value, flags);
}

int epoll_create1(int flags)
{
	return fails(CALL_EPOLL_CREATE) ? -1 : REAL(epoll_create1)(flags);
}

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	return fails(CALL_EPOLL_CTL) ? -1 :
				       REAL(epoll_ctl)(epfd, op, fd, event);
}

int epoll_wait(int epfd, struct epoll_event *events, int n, int timeout)
{
	return fails(CALL_EPOLL_WAIT) ?
		       -1 :
		       REAL(epoll_wait)(epfd, events, n, timeout);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
		   void *(*fn)(void *), void *arg)
{
	/* Helpers are the only ones with attributes of their own. */
	if (attr && fails(CALL_THREAD))
		return inject.err;
	return REAL(pthread_create)(thread, attr, fn, arg);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	/* The table of descriptors comes in parts of this size. */
	if (len == 65536 && fails(CALL_TABLE))
		return MAP_FAILED;
	return REAL(mmap)(addr, len, prot, flags, fd, offset);
}

/* What calls returned that did not what they should. */
static int errors;
static int unexpected;

static bool expect(long long wanted, long long got)
{
	if (got == wanted)
		return true;
	__atomic_add_fetch(&errors, 1, __ATOMIC_SEQ_CST);
	if (got != -inject.err && got != -ENOMEM) {
		printf("# got %lld, wanted %lld\n", got, wanted);
		unexpected++;
	}
	return false;
}

struct talk {
	int fd;
	int left;
};

static void answer(void *arg)
{
	struct talk *t = arg;
	char c;
	int i;

	for (i = 0; i < 5; i++) {
		/* A call that failed did nothing: it can be made again. */
		while (!expect(1, burrow_recv(t->fd, &c, 1, 0)))
			burrow_yield();
		while (!expect(1, burrow_send(t->fd, &c, 1, 0)))
			burrow_yield();
	}
	__atomic_store_n(&t->left, 0, __ATOMIC_SEQ_CST);
}

static void use_sockets(void)
{
	struct talk t = { .left = 1 };
	int fds[2], i;
	char c = 'x';

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		abort();
	t.fd = fds[1];
	CHECK_EQ(0, burrow_go(answer, &t));
	for (i = 0; i < 5; i++) {
		while (!expect(1, burrow_write(fds[0], &c, 1)))
			burrow_yield();
		while (!expect(1, burrow_read(fds[0], &c, 1)))
			burrow_yield();
	}
	while (__atomic_load_n(&t.left, __ATOMIC_SEQ_CST))
		burrow_sleep(MS / 10);
	expect(-ETIMEDOUT,
	       burrow_read_deadline(fds[0], &c, 1, burrow_now() + MS));
	while (!expect(0, burrow_close(fds[0])))
		;
	while (!expect(0, burrow_read(fds[1], &c, 1)))
		;
	while (!expect(0, burrow_close(fds[1])))
		;
}

static void use_files(void)
{
	char path[] = "/tmp/burrow-io-XXXXXX", buf[4];
	int made = mkstemp(path), fd;

	while ((fd = burrow_openat(AT_FDCWD, path, O_RDWR, 0)) < 0)
		expect(0, fd);
	while (!expect(4, burrow_pwrite(fd, "abcd", 4, 0)))
		;
	while (!expect(4, burrow_read(fd, buf, 4)))
		;
	while (!expect(0, burrow_fsync(fd)))
		;
	while (!expect(0, burrow_close(fd)))
		;
	close(made);
	unlink(path);
}

static int use_all(void *arg)
{
	(void)arg;
	use_sockets();
	use_files();
	return 0;
}

/* How often it failed; every error of ours but @allowed is one too many. */
static int run_with(enum call call, int at, int err, int allowed)
{
	int ret;

	inject.at = at;
	inject.err = err;
	inject.count = 0;
	inject.failed = 0;
	errors = 0;
	inject.call = call;
	alarm(60 * scale());
	ret = burrow_run(NULL, use_all, NULL);
	/* Goroutines come in parts of the table's size, too. */
	if (ret && (ret != -ENOMEM || call != CALL_TABLE))
		failed_at = __LINE__;
	inject.call = CALL_NONE;
	if (errors > allowed || unexpected) {
		printf("# call %d, the %d. time, error %d: %d errors\n", call,
		       at, err, errors);
		failed_at = __LINE__;
	}
	return inject.failed;
}

/* At every place until there is no further one. */
static void each_place(enum call call, int err, int allowed, int most)
{
	int at;

	for (at = 1; at <= most && run_with(call, at, err, allowed); at++)
		;
	printf("# call %d, error %d: %d places\n", call, err, at - 1);
	fflush(stdout);
	if (at == 1)
		failed_at = __LINE__;
}

static void use_engine(bool uring, const char *procs)
{
	if (!uring)
		setenv("BURROW_DEBUG", "uring=0", 1);
	setenv("BURROW_PROCS", procs, 1);
}

TEST(io_uring_is_refused_or_there_is_no_memory)
{
	const int errs[] = { EPERM, EINVAL, ENOMEM, EMFILE, EACCES };
	unsigned int i;

	use_engine(true, "2");
	for (i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
		EXPECT_LT(0, run_with(CALL_SETUP, 1, errs[i], 0));
		inject.for_ever = true;
		EXPECT_LT(0, run_with(CALL_SETUP, 1, errs[i], 0));
		inject.for_ever = false;
	}
	EXPECT_EQ(0, failed_at);
}

TEST(entering_fails)
{
	if (!io_uring_allowed())
		SKIP(return, "io_uring is not allowed here");
	use_engine(true, "1");
	each_place(CALL_ENTER, EINTR, 0, 40);
	each_place(CALL_ENTER, EAGAIN, 0, 40);
	each_place(CALL_ENTER, EBUSY, 0, 40);
	use_engine(true, "2");
	each_place(CALL_ENTER, EAGAIN, 0, 40);
	EXPECT_EQ(0, failed_at);
}

TEST(no_descriptor_for_the_engine)
{
	use_engine(true, "1");
	each_place(CALL_EVENTFD, EMFILE, 1, 10);
	use_engine(false, "1");
	each_place(CALL_EVENTFD, EMFILE, 1, 10);
	each_place(CALL_EPOLL_CREATE, EMFILE, 1, 10);
	EXPECT_EQ(0, failed_at);
}

TEST(epoll_fails)
{
	use_engine(false, "1");
	each_place(CALL_EPOLL_CTL, ENOSPC, 1, 40);
	each_place(CALL_EPOLL_CTL, ENOMEM, 1, 40);
	each_place(CALL_EPOLL_WAIT, EINTR, 0, 40);
	EXPECT_EQ(0, failed_at);
}

TEST(no_thread_to_help)
{
	use_engine(false, "1");
	/* They live on from run to run: the first one fails. */
	EXPECT_LT(0, run_with(CALL_THREAD, 1, EAGAIN, 1));
	EXPECT_EQ(0, failed_at);
}

static int take_without_a_pool(void *arg)
{
	int fds[2], i;
	void *buf;

	(void)arg;
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	for (i = 0; i < 3; i++) {
		CHECK_EQ(1, burrow_send(fds[1], "x", 1, 0));
		CHECK_EQ(1, burrow_recv_take(fds[0], &buf, 0));
		burrow_recv_give(buf);
	}
	close(fds[0]);
	close(fds[1]);
	return 0;
}

TEST(no_buffers_that_the_kernel_takes)
{
	if (!io_uring_allowed())
		SKIP(return, "io_uring is not allowed here");
	use_engine(true, "1");
	inject = (typeof(inject)){ .call = CALL_POOL, .at = 1, .err = EINVAL };
	EXPECT_EQ(0, burrow_run(NULL, take_without_a_pool, NULL));
	EXPECT_EQ(1, inject.failed);
	inject.call = CALL_NONE;
	EXPECT_EQ(0, failed_at);
}

TEST(no_memory_for_the_table)
{
	use_engine(true, "1");
	each_place(CALL_TABLE, ENOMEM, 1, 3);
	EXPECT_EQ(0, failed_at);
}

#define CROWD 60

static int crowd_left;

static void one_of_crowd(void *arg)
{
	(void)arg;
	use_sockets();
	__atomic_sub_fetch(&crowd_left, 1, __ATOMIC_SEQ_CST);
}

static int crowd(void *arg)
{
	int i;

	(void)arg;
	crowd_left = CROWD;
	for (i = 0; i < CROWD; i++)
		CHECK_EQ(0, burrow_go(one_of_crowd, NULL));
	while (__atomic_load_n(&crowd_left, __ATOMIC_SEQ_CST))
		burrow_sleep(MS);
	return 0;
}

/* A queue of two for 120 goroutines, and room for four completions. */
TEST(rings_overflow)
{
	if (!io_uring_allowed())
		SKIP(return, "io_uring is not allowed here");
	burrow_io_uring_entries = 2;
	burrow_io_uring_cq_entries = 4;
	alarm(60 * scale());
	use_engine(true, "1");
	EXPECT_EQ(0, burrow_run(NULL, crowd, NULL));
	use_engine(true, "2");
	EXPECT_EQ(0, burrow_run(NULL, crowd, NULL));
	EXPECT_EQ(0, errors);
	EXPECT_EQ(0, failed_at);
}

static int use_and_count(void *arg)
{
	use_all(arg);
	CHECK_EQ(0, count_fds("[io_uring]"));
	CHECK(count_fds("[eventpoll]") > 0);
	return 0;
}

/* As a container's filter does it. */
TEST(a_filter_forbids_io_uring)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = {
		sizeof(filter) / sizeof(filter[0]),
		filter,
	};

	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	ASSERT_EQ(0, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
	EXPECT_EQ(0, burrow_run(NULL, use_and_count, NULL));
	EXPECT_EQ(0, errors);
	EXPECT_EQ(0, failed_at);
}

static int count_uring(void *arg)
{
	use_all(arg);
	CHECK(count_fds("[io_uring]") > 0);
	CHECK_EQ(0, count_fds("[eventpoll]"));
	return 0;
}

TEST(io_uring_is_used_where_it_is_allowed)
{
	if (!io_uring_allowed())
		SKIP(return, "io_uring is not allowed here");
	EXPECT_EQ(0, burrow_run(NULL, count_uring, NULL));
	EXPECT_EQ(0, failed_at);
}

/* One that is no goroutine: the test's own thread. */
TEST(not_a_goroutine)
{
	struct sockaddr addr = { 0 };
	char c;

	EXPECT_EQ(-EPERM, burrow_read(0, &c, 1));
	EXPECT_EQ(-EPERM, burrow_write(0, &c, 1));
	EXPECT_EQ(-EPERM, burrow_pread(0, &c, 1, 0));
	EXPECT_EQ(-EPERM, burrow_pwrite(0, &c, 1, 0));
	EXPECT_EQ(-EPERM, burrow_recv(0, &c, 1, 0));
	EXPECT_EQ(-EPERM, burrow_send(0, &c, 1, 0));
	EXPECT_EQ(-EPERM, burrow_accept(0, NULL, NULL));
	EXPECT_EQ(-EPERM, burrow_connect(0, &addr, sizeof(addr)));
	EXPECT_EQ(-EPERM, burrow_openat(AT_FDCWD, "/", O_RDONLY, 0));
	EXPECT_EQ(-EPERM, burrow_fsync(0));
	EXPECT_EQ(-EPERM, burrow_poll(NULL, 0, 0));
	EXPECT_EQ(-EPERM, burrow_close(0));
	EXPECT_EQ(-EPERM, burrow_listen_tcp(NULL, 0, 0));
	EXPECT_EQ(-EPERM, burrow_dial_tcp(NULL, 1));
	EXPECT_EQ(0, fcntl(0, F_GETFD));
}

static void read_in_blocking(void *arg)
{
	char c;

	(void)arg;
	burrow_read(0, &c, 1);
}

static int misuse(void *arg)
{
	burrow_blocking(read_in_blocking, arg);
	return 0;
}

static void run_misuse(void *arg)
{
	burrow_run(NULL, misuse, arg);
}

TEST(in_blocking)
{
	struct outcome o;

	outcome_of(&o, run_misuse, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(says(&o, "burrow_read: called in burrow_blocking()"));
}

TEST_HARNESS_MAIN
