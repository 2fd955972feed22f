/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's fault injection, for a thread and one failure at a time: the
 * N-th allocation or copy that the kernel does for the thread from now on
 * fails, whatever it is for (fail-nth of Documentation/fault-injection).
 */
#ifndef INJECT_H
#define INJECT_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Far more than anything here makes: reaching it means that something loops. */
#define NTH_MAX 3000

static int inject_fd = -1;
static bool inject_armed;

/* For the thread that calls; false if this kernel has no fault injection. */
static bool inject_open(void)
{
	inject_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return inject_fd >= 0;
}

static void inject(int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	/* Turning it off is a copy from user memory, and may be made to fail. */
	while (pwrite(inject_fd, text, len, 0) != len)
		;
	inject_armed = nth;
}

/* Whether the failure that was asked for has happened; there is none after. */
static bool injected(void)
{
	char text[16] = "";
	ssize_t n = pread(inject_fd, text, sizeof(text) - 1, 0);
	bool yes = inject_armed && n > 0 && atoi(text) == 0;

	inject(0);
	return yes;
}

static bool inject_set(const char *knob, const char *value)
{
	char path[128];
	int fd, n;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", knob);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	n = write(fd, value, strlen(value));
	close(fd);
	return n > 0;
}

/* Fail what sleeps and what is a single page too, and do not log each one. */
static bool inject_set_up(void)
{
	inject_set("fail_usercopy/verbose", "0");
	return inject_set("failslab/verbose", "0") &&
	       inject_set("failslab/ignore-gfp-wait", "N") &&
	       inject_set("fail_page_alloc/verbose", "0") &&
	       inject_set("fail_page_alloc/ignore-gfp-wait", "N") &&
	       inject_set("fail_page_alloc/ignore-gfp-highmem", "N") &&
	       inject_set("fail_page_alloc/min-order", "0");
}

/* Log where a failure happens. */
static inline void inject_loudly(void)
{
	inject_set("fail_usercopy/verbose", "2");
	inject_set("failslab/verbose", "2");
	inject_set("fail_page_alloc/verbose", "2");
}

#endif /* INJECT_H */
