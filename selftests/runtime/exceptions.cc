// SPDX-License-Identifier: GPL-2.0
/*
 * C++ on goroutines: exceptions that are in flight over a switch stay with
 * their goroutine. kselftest's harness is no C++, so the lines are our own.
 */
#include <burrow.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include <sys/syscall.h>
#include <unistd.h>

static int wrong;
static int ended;
static int tests;

static void result(bool ok, const char *name)
{
	std::printf("%sok %d %s\n", ok ? "" : "not ", ++tests, name);
	if (!ok)
		wrong++;
}

static bool mixed_up;
static int moved;

/* Others throw and catch while this one is in its catch block. */
static void park_in_catch(void *arg)
{
	long me = (long)arg;

	for (int i = 0; i < 20; i++) {
		try {
			throw std::runtime_error(std::to_string(me));
		} catch (std::exception &e) {
			long thread = syscall(SYS_gettid);

			burrow_sleep(me % 3 * 100000);
			if (syscall(SYS_gettid) != thread)
				__atomic_add_fetch(&moved, 1, __ATOMIC_RELAXED);
			try {
				throw;
			} catch (std::exception &again) {
				if (std::stol(again.what()) != me)
					mixed_up = true;
			}
		}
		if (std::current_exception())
			mixed_up = true;
	}
	__atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
}

struct yields {
	~yields()
	{
		burrow_yield();
		if (std::uncaught_exceptions() != 1)
			mixed_up = true;
	}
};

/* Unwinding itself is interrupted by switches. */
static void park_in_unwinding(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		try {
			yields y;
			throw i;
		} catch (int n) {
			if (n != i || std::uncaught_exceptions())
				mixed_up = true;
		}
	}
	__atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
}

static int run(void *arg)
{
	(void)arg;
	for (long i = 0; i < 50; i++) {
		burrow_go(park_in_catch, (void *)i);
		burrow_go(park_in_unwinding, NULL);
	}
	while (burrow_num_goroutines() > 1)
		burrow_sleep(1000000);
	return 0;
}

int main()
{
	struct burrow_options o = {};

	o.size = sizeof(o);
	o.procs = 4;
	std::printf("TAP version 13\n1..3\n");
	result(burrow_run(&o, run, nullptr) == 0 && ended == 100,
	       "all goroutines ended");
	result(moved > 0, "some came back on another thread");
	result(!mixed_up, "exceptions in flight stay with their goroutine");
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
