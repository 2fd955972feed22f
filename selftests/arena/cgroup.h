/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A memory cgroup for a test: made, entered, written to and read. @cgroup is its
 * folder, a string that is empty where there is none.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include <sys/stat.h>

#include "arena.h"

#define CGROUPS "/sys/fs/cgroup/"
#define CGROUP_PATH 64

static UNUSED bool cgroup_make(char *cgroup)
{
	char path[128];

	snprintf(cgroup, CGROUP_PATH, CGROUPS "burrow-test-%d", getpid());
	if (mkdir(cgroup, 0755)) {
		cgroup[0] = 0;
		return false;
	}
	snprintf(path, sizeof(path), "%s/memory.max", cgroup);
	return !access(path, W_OK);
}

static UNUSED int cgroup_write(const char *cgroup, const char *name,
			       const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	return spew(path, text);
}

/* A number from a file of the cgroup, after @key where it has many. */
static UNUSED uint64_t cgroup_read(const char *cgroup, const char *name,
				   const char *key)
{
	char path[192], text[8192], *at;

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	if (slurp(path, text, sizeof(text)) < 0)
		die("cannot read %s", path);
	at = key ? strstr(text, key) : text;
	return at ? strtoull(at + (key ? strlen(key) : 0), NULL, 10) : 0;
}

static UNUSED bool cgroup_enter(const char *cgroup)
{
	return !cgroup_write(cgroup, "cgroup.procs", "0");
}

/* Charged to the cgroup that we are in, 0: there is none, or it is the root's. */
static UNUSED uint64_t own_cgroup_bytes(void)
{
	char text[256], path[512];

	if (slurp("/proc/self/cgroup", text, sizeof(text)) < 0 ||
	    strncmp(text, "0::", 3))
		return 0;
	text[strcspn(text, "\n")] = 0;
	snprintf(path, sizeof(path), CGROUPS "%s", text + 3);
	return cgroup_read(path, "memory.current", NULL);
}

#endif /* CGROUP_H */
