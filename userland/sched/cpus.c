// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How many CPUs this process may use: by its affinity, and by the quota of its
 * cgroup and of those above it (version 2; of version 1 the cgroup itself where
 * it is mounted as usual).
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "sched.h"

#define CPUS_MAX 8192

static int in_cpus(long quota, long period)
{
	if (quota <= 0 || period <= 0)
		return INT_MAX;
	return (quota + period - 1) / period;
}

static int quota_of(const char *folder)
{
	long quota = 0, period = 0;
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", folder);
	f = fopen(path, "re");
	if (!f)
		return INT_MAX;
	/* "max 100000" reads no number, and is no limit. */
	if (fscanf(f, "%ld %ld", &quota, &period) != 2)
		quota = 0;
	fclose(f);
	return in_cpus(quota, period);
}

static long read_long(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%ld", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

/* The least quota from @folder up to the root; cuts the string as it goes. */
static int quota_up(char *folder)
{
	int n = INT_MAX, here;
	char *slash;

	for (;;) {
		here = quota_of(folder);
		if (here < n)
			n = here;
		slash = strrchr(folder, '/');
		if (!slash)
			return n;
		*slash = '\0';
	}
}

static int quota_cpus(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[384];
	int n = INT_MAX;

	if (!f)
		return n;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "0::", 3))
			n = quota_up(line + 3);
	}
	fclose(f);
	if (n == INT_MAX)
		n = in_cpus(read_long("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
			    read_long("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
	return n;
}

int burrow_cpus(void)
{
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	int n = 1, quota = quota_cpus();

	if (set && !sched_getaffinity(0, size, set))
		n = CPU_COUNT_S(size, set);
	if (set)
		CPU_FREE(set);
	if (n > quota)
		n = quota;
	if (n > BURROW_PROCS_MAX)
		n = BURROW_PROCS_MAX;
	return n;
}
