/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the runtime's tests share: they are run once on each backend, as
 * BURROW_BACKEND says, and some look at how a process of their own ends.
 */
#ifndef SELFTESTS_RUNTIME_H
#define SELFTESTS_RUNTIME_H

#include <burrow.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

/* A machine under emulation takes its time. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 600

#define MS 1000000LL
#define KIB 1024UL
#define MIB (1024UL * KIB)

static inline bool on_kmod(void)
{
	const char *backend = getenv("BURROW_BACKEND");

	return backend && !strcmp(backend, "kmod");
}

/* How a child ended, and what it wrote to standard error. */
struct outcome {
	int status;
	size_t len;
	char text[65536];
};

/* Not inlined: backtraces are to show @fn. */
__attribute__((noipa, unused)) static void
outcome_child(int fd, void (*fn)(void *), void *arg)
{
	const struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	dup2(fd, STDERR_FILENO);
	alarm(300);
	fn(arg);
	exit(0);
}

static inline void outcome_of(struct outcome *o, void (*fn)(void *), void *arg)
{
	int fds[2];
	ssize_t n;
	pid_t pid;

	memset(o, 0, sizeof(*o));
	if (pipe(fds))
		abort();
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		close(fds[0]);
		outcome_child(fds[1], fn, arg);
	}
	close(fds[1]);
	while (o->len < sizeof(o->text) - 1) {
		n = read(fds[0], o->text + o->len,
			 sizeof(o->text) - 1 - o->len);
		if (n <= 0)
			break;
		o->len += n;
	}
	close(fds[0]);
	waitpid(pid, &o->status, 0);
}

static inline bool exited_with(const struct outcome *o, int code)
{
	return WIFEXITED(o->status) && WEXITSTATUS(o->status) == code;
}

static inline bool killed_by(const struct outcome *o, int sig)
{
	return WIFSIGNALED(o->status) && WTERMSIG(o->status) == sig;
}

static inline bool says(const struct outcome *o, const char *text)
{
	return strstr(o->text, text);
}

static inline bool begins(const struct outcome *o, const char *text)
{
	return strstr(o->text, text) == o->text;
}

/* On an emulated machine, where all takes many times as long. */
static inline bool scaled_down(void)
{
	return getenv("BURROW_TEST_SCALE");
}

/* How many times as long. */
static inline int scale(void)
{
	const char *text = getenv("BURROW_TEST_SCALE");

	return text ? atoi(text) : 1;
}

/* Waits in the main goroutine until it is alone. */
static inline void wait_for_others(void)
{
	while (burrow_num_goroutines() > 1)
		burrow_sleep(MS);
}

#endif /* SELFTESTS_RUNTIME_H */
