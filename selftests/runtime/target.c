// SPDX-License-Identifier: GPL-2.0
/*
 * A program for debuggers to look at: one goroutine sleeps, one is deep in a
 * recursion, and as told a third one waits a few frames deep; the main one then
 * waits, ends after it grew, or starts another that overflows its stack.
 */
#include <burrow.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((noinline)) static int dig(int depth)
{
	volatile char bytes[1000];
	int ret;

	memset((char *)bytes, depth, sizeof(bytes));
	if (depth)
		ret = dig(depth - 1);
	else
		ret = burrow_sleep(3600 * 1000000000LL);
	return ret + bytes[depth];
}

static void deep(void *arg)
{
	(void)arg;
	dig(50);
}

static void shallow(void *arg)
{
	(void)arg;
	burrow_sleep(3600 * 1000000000LL);
}

/* Frames that are small enough for a stack that hibernates. */
__attribute__((noinline)) static int doze(int depth)
{
	volatile int here = depth;

	if (depth)
		return doze(depth - 1) + here;
	return burrow_sleep(3600 * 1000000000LL) + here;
}

static void dozing(void *arg)
{
	(void)arg;
	doze(10);
}

__attribute__((noinline)) static int overflow(int depth, int end)
{
	volatile char bytes[1000];

	bytes[0] = depth;
	if (depth < end)
		bytes[0] += overflow(depth + 1, end);
	return bytes[0];
}

static void overflow_goroutine(void *arg)
{
	(void)arg;
	overflow(0, INT_MAX);
}

static int start(void *arg)
{
	struct burrow_go_options o = { .size = sizeof(o), .name = "deep" };

	burrow_go_opts(&o, deep, NULL);
	burrow_go(shallow, NULL);
	if (!strcmp(arg, "doze"))
		burrow_go(dozing, NULL);
	burrow_sleep(50 * 1000000);
	printf("ready\n");
	fflush(stdout);
	if (!strcmp(arg, "overflow"))
		burrow_go(overflow_goroutine, NULL);
	if (!strcmp(arg, "grow"))
		return overflow(0, 13000) > 1000;
	if (!strcmp(arg, "busy"))
		pause();
	return burrow_sleep(3600 * 1000000000LL);
}

int main(int argc, char **argv)
{
	return burrow_run(NULL, start, argc > 1 ? argv[1] : "");
}
