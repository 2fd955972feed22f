// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The memory limit of the cgroup and of those above it (version 2; of version 1
 * the cgroup itself where it is mounted as usual). A tenth is left for what is
 * not heap or stack: code, malloc, page tables.
 *
 * Called once at the start of a run.
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
