/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of input and output share: each runs on both engines and on
 * 1, 2 and 8 processors, as variants of one fixture.
 */
#ifndef SELFTESTS_IO_H
#define SELFTESTS_IO_H

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "runtime.h"

/* The line of the first check that failed in a goroutine; 0: none. */
static int failed_at;

static inline void check_failed(int line, const char *what, long long value)
{
	printf("# line %d: %s (%lld)\n", line, what, value);
	fflush(stdout);
	if (!failed_at)
		failed_at = line;
}

#define CHECK(x)                                       \
	do {                                           \
		if (!(x))                              \
			check_failed(__LINE__, #x, 0); \
	} while (0)

#define CHECK_EQ(wanted, x)                               \
	do {                                              \
		long long got_ = (x);                     \
		if (got_ != (long long)(wanted))          \
			check_failed(__LINE__, #x, got_); \
	} while (0)

static inline bool io_uring_allowed(void)
{
	struct io_uring_params p = { 0 };
	int fd = syscall(SYS_io_uring_setup, 2, &p);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* How many descriptors of this process are of this kind. */
static inline int count_fds(const char *kind)
{
	char path[64], target[128];
	int fd, n = 0;
	ssize_t len;

	for (fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = 0;
		n += !!strstr(target, kind);
	}
	return n;
}

FIXTURE(io)
{
	bool uring;
};

FIXTURE_VARIANT(io)
{
	const char *debug;
	const char *procs;
};

FIXTURE_VARIANT_ADD(io, uring_1){
	.debug = "uring=1",
	.procs = "1",
};

FIXTURE_VARIANT_ADD(io, uring_2){
	.debug = "uring=1",
	.procs = "2",
};

FIXTURE_VARIANT_ADD(io, uring_8){
	.debug = "uring=1",
	.procs = "8",
};

FIXTURE_VARIANT_ADD(io, epoll_1){
	.debug = "uring=0",
	.procs = "1",
};

FIXTURE_VARIANT_ADD(io, epoll_2){
	.debug = "uring=0",
	.procs = "2",
};

FIXTURE_VARIANT_ADD(io, epoll_8){
	.debug = "uring=0",
	.procs = "8",
};

FIXTURE_SETUP(io)
{
	self->uring = !strcmp(variant->debug, "uring=1");
	if (self->uring && !io_uring_allowed())
		SKIP(return, "io_uring is not allowed here");
	if (!self->uring)
		setenv("BURROW_DEBUG", variant->debug, 1);
	setenv("BURROW_PROCS", variant->procs, 1);
}

FIXTURE_TEARDOWN(io)
{
}

/* A test whose whole body is one main goroutine. */
#define IO_TEST(name)                                              \
	static int name##_main(void *arg);                         \
	TEST_F(io, name)                                           \
	{                                                          \
		EXPECT_EQ(0, burrow_run(NULL, name##_main, self)); \
		EXPECT_EQ(0, failed_at);                           \
	}                                                          \
	static int name##_main(void *arg __attribute__((unused)))

#endif /* SELFTESTS_IO_H */
