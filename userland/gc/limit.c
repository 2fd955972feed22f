// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The memory limit of the cgroup and of those above it (version 2; of version 1
 * the cgroup itself where it is mounted as usual). A tenth is left for what is
 * not heap or stack: code, malloc, page tables.
 *
 * That is asked once at the start of a run; what is left of it now and then, where
 * stacks take much.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "limit.h"

#define NONE (1ULL << 62) /* version 1 says such a number where none is set */

static uint64_t read_bytes(const char *path)
{
	unsigned long long n = NONE;
	FILE *f = fopen(path, "re");

	if (!f)
		return NONE;
	/* "max" is no number, and no limit. */
	if (fscanf(f, "%llu", &n) != 1)
		n = NONE;
	fclose(f);
	return n;
}

/* The least from @folder up to the root; cuts the string as it goes. */
static uint64_t least_up(char *folder)
{
	uint64_t n = NONE, here;
	char path[512], *slash;

	for (;;) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max",
			 folder);
		here = read_bytes(path);
		if (here < n)
			n = here;
		slash = strrchr(folder, '/');
		if (!slash)
			return n;
		*slash = '\0';
	}
}

uint64_t burrow_memory_of_cgroup(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	uint64_t n = NONE;
	char line[384];

	if (!f)
		return 0;
	while (n >= NONE && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "0::", 3))
			n = least_up(line + 3);
		else if (strstr(line, ":memory:"))
			n = read_bytes(
				"/sys/fs/cgroup/memory/memory.limit_in_bytes");
	}
	fclose(f);
	return n < NONE ? n - n / 10 : 0;
}

/* The sum of lines that begin with one of @names, in bytes; @unit of the file. */
static uint64_t sum_of(const char *path, const char *const names[2],
		       uint64_t unit)
{
	FILE *f = fopen(path, "re");
	unsigned long long n;
	uint64_t sum = 0;
	char line[128];
	int i;

	while (f && fgets(line, sizeof(line), f)) {
		for (i = 0; i < 2; i++) {
			if (names[i] &&
			    !strncmp(line, names[i], strlen(names[i])) &&
			    sscanf(line + strlen(names[i]), "%llu", &n) == 1)
				sum += n * unit;
		}
	}
	if (f)
		fclose(f);
	return sum;
}

/* What @folder's own limit leaves. */
static uint64_t left_in(const char *folder)
{
	static const char *const cache[2] = { "active_file ",
					      "inactive_file " };
	uint64_t limit, used, idle;
	char path[512];

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", folder);
	limit = read_bytes(path);
	if (limit >= NONE)
		return UINT64_MAX;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.current", folder);
	used = read_bytes(path);
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.stat", folder);
	idle = sum_of(path, cache, 1);
	used = used > idle ? used - idle : 0;
	return limit > used ? limit - used : 0;
}

/* The least of what is left from the cgroup up to the root. */
static uint64_t left_up(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	uint64_t n = UINT64_MAX, here;
	char line[384] = "", *slash;

	while (f && fgets(line, sizeof(line), f) && strncmp(line, "0::", 3))
		line[0] = '\0';
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = '\0';
	while ((slash = strrchr(line, '/'))) {
		here = left_in(line + 3);
		if (here < n)
			n = here;
		*slash = '\0';
	}
	return n;
}

uint64_t burrow_memory_left(void)
{
	static const char *const available[2] = { "MemAvailable:", NULL };
	uint64_t n = sum_of("/proc/meminfo", available, 1024), here = left_up();

	/* No kernel says 0: it was not to be read. */
	return n && n < here ? n : here;
}
