// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the program sets, then what the environment says, then the default.
 *
 * Called by burrow_run() before anything is started. A value that can't be is
 * never passed over: it ends the start with a line that names it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../debug/dump.h"
#include "../debug/print.h"
#include "../gc/limit.h"
#include "sched.h"

/* Where nothing else is asked. ThreadSanitizer delivers the stop signal late. */
#ifdef BURROW_TSAN
#define GC_PERCENT (-1)
#else
#define GC_PERCENT 100
#endif

#define DAY_NS (24 * 3600000000000LL)

#define HIBERNATE_NS 10000000000LL /* Documentation/scheduler.rst says why */

int burrow_sized_copy(void *to, size_t size, const void *from, size_t least)
{
	size_t given = *(const size_t *)from;
	const char *bytes = from;
	size_t i;

	if (given < least)
		return -EINVAL;
	for (i = size; i < given; i++) {
		if (bytes[i])
			return -E2BIG;
	}
	memset(to, 0, size);
	memcpy(to, from, given < size ? given : size);
	return 0;
}

static int bad(const char *name, const char *value, const char *what)
{
	burrow_print(STDERR_FILENO, "burrow: %s=%s: %s\n", name, value, what);
	return -EINVAL;
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* Bytes, with KiB, MiB or GiB behind or nothing; 0 if it is no such thing. */
static size_t parse_size(const char *text)
{
	static const struct {
		const char *unit;
		int shift;
	} units[] = {
		{ "", 0 },
		{ "KiB", 10 },
		{ "MiB", 20 },
		{ "GiB", 30 },
	};
	unsigned long long n;
	unsigned int i;
	char *end;

	if (*text < '0' || *text > '9')
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return 0;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(end, units[i].unit) &&
		    n <= SIZE_MAX >> units[i].shift)
			return n << units[i].shift;
	}
	return 0;
}

static int read_stack_max(struct burrow_config *config)
{
	const char *text = env("BURROW_STACKMAX");

	if (!config->stack_max && text) {
		config->stack_max = parse_size(text);
		if (burrow_stack_class_for(config->stack_max) < 0 ||
		    !config->stack_max)
			return bad(
				"BURROW_STACKMAX", text,
				"not a size up to 896MiB, as 512KiB or 8MiB are");
	}
	if (!config->stack_max)
		config->stack_max = BURROW_STACK_DEFAULT / 2;
	if (burrow_stack_class_for(config->stack_max) < 0) {
		burrow_print(STDERR_FILENO,
			     "burrow: stack_max %lu: more than 896 MiB\n",
			     config->stack_max);
		return -EINVAL;
	}
	return 0;
}

static int read_backend(struct burrow_config *config)
{
	static const char *const names[] = { "auto", "kmod", "mmap" };
	const char *text = env("BURROW_BACKEND");
	unsigned int i;

	if (config->backend > BURROW_BACKEND_MMAP) {
		burrow_print(STDERR_FILENO, "burrow: no such backend: %u\n",
			     config->backend);
		return -EINVAL;
	}
	if (config->backend || !text)
		return 0;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			config->backend = i;
			return 0;
		}
	}
	return bad("BURROW_BACKEND", text, "not one of auto, kmod, mmap");
}

static int read_procs(struct burrow_config *config)
{
	const char *text = env("BURROW_PROCS");
	char *end;
	long n;

	if (config->procs < 0) {
		burrow_print(STDERR_FILENO, "burrow: procs %d: less than 0\n",
			     config->procs);
		return -EINVAL;
	}
	if (!config->procs && text) {
		n = strtol(text, &end, 10);
		if (*end || n < 1 || n > BURROW_PROCS_MAX)
			return bad("BURROW_PROCS", text,
				   "not a number of processors (1 to 1024)");
		config->procs = n;
	}
	if (!config->procs)
		config->procs = burrow_cpus();
	if (config->procs > BURROW_PROCS_MAX) {
		burrow_print(STDERR_FILENO,
			     "burrow: procs %d: more than 1024\n",
			     config->procs);
		return -EINVAL;
	}
	return 0;
}

static int read_percent(struct burrow_config *config)
{
	const char *text = env("BURROW_GC");
	char *end;
	long n;

	if (config->gc.percent < -1) {
		burrow_print(STDERR_FILENO,
			     "burrow: gc_percent %d: less than -1\n",
			     config->gc.percent);
		return -EINVAL;
	}
	if (!config->gc.percent && text && !strcmp(text, "off")) {
		config->gc.percent = -1;
	} else if (!config->gc.percent && text) {
		n = strtol(text, &end, 10);
		if (*end || n < 1 || n > 1000000)
			return bad("BURROW_GC", text,
				   "not a percentage of 1 or more, nor off");
		config->gc.percent = n;
	}
	if (!config->gc.percent)
		config->gc.percent = GC_PERCENT;
	return 0;
}

static int read_limit(struct burrow_config *config)
{
	const char *text = env("BURROW_MEMLIMIT");

	if (!config->gc.limit && text) {
		config->gc.limit = parse_size(text);
		if (!config->gc.limit)
			return bad("BURROW_MEMLIMIT", text,
				   "not a size, as 512MiB or 2GiB are");
	}
	if (!config->gc.limit)
		config->gc.limit = burrow_memory_of_cgroup();
	if (config->gc.limit == SIZE_MAX)
		config->gc.limit = 0;
	return 0;
}

/* "0", or a number with ms, s, m or h behind; -1: it is no such thing. */
static int64_t parse_duration(const char *text)
{
	static const struct {
		const char *unit;
		int64_t ns;
	} units[] = {
		{ "ms", 1000000LL },
		{ "s", 1000000000LL },
		{ "m", 60000000000LL },
		{ "h", 3600000000000LL },
	};
	unsigned int i;
	long long n;
	char *end;

	if (!strcmp(text, "0"))
		return 0;
	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	n = strtoll(text, &end, 10);
	for (i = 0; !errno && i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(end, units[i].unit) && n <= DAY_NS / units[i].ns)
			return n * units[i].ns;
	}
	return -1;
}

static int read_hibernate(struct burrow_config *config)
{
	const char *text = env("BURROW_HIBERNATE");

	config->hibernate_ns = text ? parse_duration(text) : HIBERNATE_NS;
	if (text && config->hibernate_ns < 0 && strcmp(text, "off") != 0)
		return bad(
			"BURROW_HIBERNATE", text,
			"not off, nor a time up to a day, as 0, 500ms, 10s, 5m or 1h are");
	return 0;
}

/* "name=NUMBER" */
static bool number_after(const char *item, const char *name, int64_t *n)
{
	size_t len = strlen(name);
	char *end;

	if (strncmp(item, name, len) || item[len] < '0' || item[len] > '9')
		return false;
	*n = strtol(item + len, &end, 10);
	return !*end && *n < 1000000000;
}

/* One that the kernel or the runtime needs for itself it can't be. */
static bool stop_signal_valid(int64_t n)
{
	return n > 0 && n <= SIGRTMAX && n != SIGKILL && n != SIGSTOP &&
	       n != SIGSEGV && n != SIGBUS && n != SIGQUIT;
}

static int debug_item(struct burrow_config *config, const char *item)
{
	int64_t n;

	if (!strcmp(item, "guardinstall=0"))
		config->no_guard_install = true;
	else if (!strcmp(item, "uring=0"))
		config->no_uring = true;
	else if (!strcmp(item, "gctrace=1"))
		config->gc.trace = true;
	else if (!strcmp(item, "gcverify=1"))
		config->gc.verify = true;
	else if (!strcmp(item, "escapecheck=1"))
		config->gc.escape = true;
	else if (!strcmp(item, "gcuffd=0"))
		config->gc.no_uffd = true;
	else if (!strcmp(item, "kmodheap=0"))
		config->no_kmod_heap = true;
	else if (!strcmp(item, "gcyoung=0"))
		config->gc.no_young = true;
	else if (!strcmp(item, "gcpoison=1"))
		config->heap_poison = true;
	else if (!strcmp(item, "gccheck=1"))
		config->heap_check = true;
	else if (number_after(item, "gcstress=", &n) && n > 0)
		config->gc.stress = n;
	else if (number_after(item, "heapprofile=", &n))
		config->gc.profile = n;
	else if (number_after(item, "gcfault=", &n) && n < GC_FAULTS)
		config->gc.fault = n;
	else if (number_after(item, "schedtrace=", &n) && n > 0)
		config->schedtrace_ns = n * 1000000;
	else if (number_after(item, "stopsignal=", &n) && stop_signal_valid(n))
		burrow_stop_signal = n;
	else
		return -EINVAL;
	return 0;
}

static int read_debug(struct burrow_config *config)
{
	const char *text = env("BURROW_DEBUG");
	const char *p;
	char item[64];
	size_t len;

	for (p = text; p && *p; p += len + (p[len] == ',')) {
		len = strcspn(p, ",");
		if (!len)
			continue;
		snprintf(item, sizeof(item), "%.*s", (int)len, p);
		if (len >= sizeof(item) || debug_item(config, item))
			return bad(
				"BURROW_DEBUG", text,
				"knows guardinstall=0, uring=0, schedtrace=MS, stopsignal=N, gctrace=1, gcstress=N, gcverify=1, gcpoison=1, gccheck=1, gcuffd=0, kmodheap=0, gcyoung=0, escapecheck=1, heapprofile=BYTES");
	}
	return 0;
}

int burrow_config_read(struct burrow_config *config,
		       const struct burrow_options *opts)
{
	struct burrow_options o = { 0 };
	int ret;

	if (opts) {
		ret = burrow_sized_copy(&o, sizeof(o), opts, sizeof(o.size));
		if (ret) {
			burrow_print(
				STDERR_FILENO,
				"burrow: burrow_options: size %lu is not this library's\n",
				opts->size);
			return ret;
		}
	}
	memset(config, 0, sizeof(*config));
	config->procs = o.procs;
	config->backend = o.backend;
	config->stack_max = o.stack_max;
	config->gc.percent = o.gc_percent;
	config->gc.limit = o.memory_limit;

	ret = read_procs(config);
	if (!ret)
		ret = read_backend(config);
	if (!ret)
		ret = read_stack_max(config);
	if (!ret)
		ret = read_percent(config);
	if (!ret)
		ret = read_limit(config);
	if (!ret)
		ret = read_hibernate(config);
	if (!ret)
		ret = read_debug(config);
	return ret;
}
