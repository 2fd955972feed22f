// SPDX-License-Identifier: GPL-2.0
/*
 * `burrow doctor`: what works here, which backend the runtime would choose and
 * why, and what to do about each shortfall.
 *
 * The findings are collected first, then shown as text or as JSON, so that the
 * two can't say different things. One thread only.
 */
#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/burrow.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../gc/track.h"
#include "../io/io.h"
#include "../sched/sched.h"
#include "../stack/stack.h"
#include "json.h"
#include "probe.h"
#include "sysfile.h"
#include "tool.h"

#define SCHEMA 1
#define TRACEFS "/sys/kernel/tracing"
#define MODULE "/sys/module/burrow"
#define DEVICE "/dev/burrow"

/* How a finding is to be taken. */
enum standing {
	GOOD, /* as it should be */
	NOTE, /* it works, but something is less than it could be */
	MISSING, /* not there; the runtime does without */
	BAD, /* nothing works without it */
};

static const char *const standings[] = { "ok", "note", "missing", "bad" };

/**
 * struct finding - one thing that was looked at
 * @name:	what
 * @standing:	how it stands
 * @detail:	what was found
 * @advice:	what to do about it, empty where nothing is
 */
struct finding {
	const char *name;
	enum standing standing;
	char detail[320];
	char advice[320];
};

static struct finding findings[32];
static size_t nfindings;

static void found(const char *name, enum standing standing, const char *advice,
		  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void found(const char *name, enum standing standing, const char *advice,
		  const char *fmt, ...)
{
	struct finding *f = &findings[nfindings];
	va_list ap;

	if (nfindings == sizeof(findings) / sizeof(findings[0]))
		return;
	nfindings++;
	f->name = name;
	f->standing = standing;
	snprintf(f->advice, sizeof(f->advice), "%s", advice);
	va_start(ap, fmt);
	vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
	va_end(ap);
}

static void look_at_kernel(void)
{
	struct utsname u;
	int major, minor;

	if (uname(&u) || sscanf(u.release, "%d.%d", &major, &minor) != 2)
		return;
	if (major < 6 || (major == 6 && minor < 1))
		found("kernel", NOTE,
		      "the module needs Linux 6.1 or later; mmap stacks work on any",
		      "%s %s", u.sysname, u.release);
	else
		found("kernel", GOOD, "", "%s %s %s", u.sysname, u.release,
		      u.machine);
}

static void look_at_module(void)
{
	char version[64];

	if (access(MODULE, F_OK))
		found("module", MISSING,
		      "modprobe burrow; or make load in the source tree",
		      "not loaded");
	else if (sysfile_read(MODULE "/version", version, sizeof(version)))
		found("module", NOTE, "",
		      "loaded, of a version it does not tell");
	else if (strcmp(version, BURROW_RELEASE) != 0)
		found("module", NOTE,
		      "install module and runtime from one source",
		      "loaded, version %s; this is %s", version,
		      BURROW_RELEASE);
	else
		found("module", GOOD, "", "loaded, version %s", version);
}

static void look_at_device(void)
{
	if (!access(DEVICE, R_OK | W_OK))
		found("device", GOOD, "", DEVICE " can be read and written");
	else if (errno == ENOENT)
		found("device", MISSING, "load the module", "no " DEVICE);
	else
		found("device", MISSING,
		      "give the user access to it; the udev rule that make install brings does",
		      DEVICE ": %s", strerror(errno));
}

/* "name=value name=value", as far as there is room. */
static void look_at_parameters(void)
{
	char text[300] = "", path[PATH_MAX], value[64];
	DIR *dir = opendir(MODULE "/parameters");
	struct dirent *e;
	size_t at = 0;

	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), MODULE "/parameters/%s",
			 e->d_name);
		if (sysfile_read(path, value, sizeof(value)) ||
		    at >= sizeof(text))
			continue;
		at += snprintf(text + at, sizeof(text) - at, "%s%s=%s",
			       at ? " " : "", e->d_name, value);
	}
	if (dir)
		closedir(dir);
	if (at)
		found("parameters", GOOD, "", "%s", text);
}

static void look_at_io_uring(void)
{
	int err = probe_io_uring();

	if (!err)
		found("io_uring", GOOD, "", "works");
	else
		found("io_uring", MISSING,
		      "sysctl kernel.io_uring_disabled=0, or let the container's filter allow it",
		      "%s", strerror(-err));
}

/* The engine that the first I/O of a program would find, made and used. */
static void look_at_engine(const struct burrow_config *config)
{
	int err = -EPERM;

	if (!config->no_uring)
		err = burrow_io_engine_try(&burrow_io_uring);
	if (!err)
		found("I/O engine", GOOD, "", "io_uring, a ring a processor");
	else if (burrow_io_engine_try(&burrow_io_epoll))
		found("I/O engine", BAD, "ulimit -n, for more descriptors",
		      "neither io_uring nor epoll can be used: %s",
		      strerror(-err));
	else if (config->no_uring)
		found("I/O engine", NOTE, "",
		      "epoll, helper threads for files: BURROW_DEBUG says uring=0");
	else
		found("I/O engine", NOTE,
		      "io_uring of Linux 5.19 or later does with fewer system calls",
		      "epoll, helper threads for files; no io_uring: %s",
		      strerror(-err));
}

static void look_at_userfaultfd(void)
{
	bool async;
	int err = probe_userfaultfd(&async);

	if (err)
		found("userfaultfd", MISSING,
		      "sysctl vm.unprivileged_userfaultfd=1, or let the container's filter allow it",
		      "%s", strerror(-err));
	else if (!async)
		found("userfaultfd", NOTE,
		      "Linux 6.7 or later tracks writes by it; the module does on any",
		      "works, without asynchronous write-protection");
	else
		found("userfaultfd", GOOD, "",
		      "works, with asynchronous write-protection");
}

/* NULL, or why it does not work; kmod is tried in a context of its own. */
static const char *try_tracker(const struct burrow_tracker *t,
			       const struct burrow_config *config)
{
	struct burrow_stack_pool pool = { .fd = -1 };
	const char *why;

	if (t == &burrow_track_uffd)
		return config->gc.no_uffd ? "BURROW_DEBUG says gcuffd=0" :
					    burrow_track_try(t, -1);
	if (config->no_kmod_heap)
		return "BURROW_DEBUG says kmodheap=0";
	if (config->backend == BURROW_BACKEND_MMAP)
		return "stacks are not the module's";
	if (burrow_stack_kmod.open(&pool))
		return "no module";
	why = burrow_track_try(t, pool.fd);
	burrow_stack_kmod.close(&pool);
	return why;
}

/* How the collector would learn of writes, tried as it tries. */
static void look_at_tracking(const struct burrow_config *config)
{
	const struct burrow_tracker *const *t;
	const char *why = NULL;

	for (t = burrow_trackers; *t; t++) {
		why = try_tracker(*t, config);
		if (why)
			continue;
		found("write tracking", GOOD, "",
		      "%s: the heap is marked beside the program", (*t)->name);
		return;
	}
	found("write tracking", NOTE,
	      "Linux 6.7 or later, and userfaultfd not forbidden",
	      "none (%s): the program stands still while the heap is marked",
	      why);
}

static void look_at_bpf(void)
{
	int err = probe_bpf();

	if (err)
		found("bpf", MISSING,
		      "tracing tools want root, or CAP_BPF and CAP_PERFMON",
		      "no tracing program can be loaded: %s", strerror(-err));
	else if (access(MODULE, F_OK))
		found("bpf", GOOD, "", "tracing programs can be loaded");
	else if (access("/sys/kernel/btf/burrow", R_OK))
		found("bpf", NOTE,
		      "rebuild the module with pahole (package dwarves) installed",
		      "tracing programs can be loaded, but the module has no BTF");
	else
		found("bpf", GOOD, "",
		      "tracing programs can be loaded, the module has BTF");
}

static void look_at_tracefs(void)
{
	if (!access(TRACEFS "/events", R_OK | X_OK))
		found("tracefs", GOOD, "", "single events can be switched on");
	else if (errno == ENOENT)
		found("tracefs", NOTE, "mount -t tracefs none " TRACEFS,
		      "not mounted: bpftrace and event triggers want it; burrow stat, trace and top do without");
	else
		found("tracefs", NOTE, "tracing by events wants root",
		      "%s: %s; burrow stat, trace and top do without", TRACEFS,
		      strerror(errno));
}

static void look_at_limit(const char *name, int resource, rlim_t wanted,
			  const char *advice)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return;
	if (limit.rlim_cur == RLIM_INFINITY)
		found(name, GOOD, "", "unlimited");
	else
		found(name, limit.rlim_cur < wanted ? NOTE : GOOD,
		      limit.rlim_cur < wanted ? advice : "", "%llu KiB",
		      (unsigned long long)limit.rlim_cur >> 10);
}

static void look_at_limits(void)
{
	long long n;

	if (!sysfile_number("/proc/sys/vm/max_map_count", NULL, &n))
		found("max_map_count", GOOD, "", "%lld mappings a process", n);
	if (!sysfile_number("/proc/sys/vm/overcommit_memory", NULL, &n))
		found("overcommit", n == 2 ? NOTE : GOOD,
		      n == 2 ? "sysctl vm.overcommit_memory=0" : "",
		      "vm.overcommit_memory=%lld", n);
	look_at_limit("address space", RLIMIT_AS, RLIM_INFINITY,
		      "ulimit -v unlimited, to have more stacks reserved");
	look_at_limit("locked memory", RLIMIT_MEMLOCK, 64 << 10,
		      "ulimit -l 8192, for rings and registered buffers");
	look_at_limit("core size", RLIMIT_CORE, 1,
		      "ulimit -c unlimited, for a core where a program dies");
}

static void look_at_shadow_stack(void)
{
	if (burrow_arch_shadow_stack())
		found("shadow stack", BAD,
		      "run without it: GLIBC_TUNABLES=glibc.cpu.x86_shstk=off",
		      "on for this process; goroutines can't be switched under it");
}

static void tell_of_hibernation(const struct burrow_stack_report *kmod)
{
	if (!kmod->usable)
		found("hibernation", MISSING, "",
		      "only stacks of the module can: a parked goroutine holds a page or more");
	else if (!kmod->hibernates)
		found("hibernation", MISSING,
		      "load the module of this library's release",
		      "the module that is loaded can't");
	else
		found("hibernation", GOOD, "",
		      "who is parked for ten seconds holds no page; BURROW_HIBERNATE says otherwise");
}

/* The first usable one of those that the environment allows. */
static const struct burrow_stack_backend *
look_at_backends(enum burrow_backend wanted)
{
	const struct burrow_stack_backend *chosen = NULL;
	const struct burrow_stack_backend *const *b;
	struct burrow_stack_report report;
	bool allowed;

	for (b = burrow_stack_backends; *b; b++) {
		allowed = wanted == BURROW_BACKEND_AUTO ||
			  (wanted == BURROW_BACKEND_KMOD) ==
				  (*b == &burrow_stack_kmod);
		burrow_stack_probe(*b, &report);
		if (!report.usable)
			found((*b)->name, allowed && wanted ? BAD : MISSING,
			      report.advice, "%s", report.why);
		else
			found((*b)->name, report.advice[0] ? NOTE : GOOD,
			      report.advice, "usable: %s", report.detail);
		if (*b == &burrow_stack_kmod)
			tell_of_hibernation(&report);
		if (report.usable && allowed && !chosen)
			chosen = *b;
	}
	return chosen;
}

/**
 * struct verdict - what all of it comes to
 * @backend:	that the runtime would choose, NULL: it does not start
 * @why:	why this one
 */
struct verdict {
	const char *backend;
	char why[160];
};

static struct verdict examine(void)
{
	const struct burrow_stack_backend *chosen;
	struct burrow_config config = { 0 };
	struct verdict v = { 0 };

	look_at_kernel();
	look_at_module();
	look_at_device();
	look_at_parameters();
	look_at_shadow_stack();
	/* Says itself on standard error what it did not understand. */
	if (burrow_config_read(&config, NULL)) {
		snprintf(v.why, sizeof(v.why),
			 "the environment sets something that can't be");
		chosen = NULL;
	} else {
		chosen = look_at_backends(config.backend);
		if (!chosen)
			snprintf(v.why, sizeof(v.why),
				 "no backend works that may be used");
		else if (config.backend)
			snprintf(v.why, sizeof(v.why),
				 "BURROW_BACKEND asks for it");
		else
			snprintf(v.why, sizeof(v.why), "%s",
				 chosen == &burrow_stack_kmod ?
					 "it works, and it is the best" :
					 "the module can't be used");
	}
	look_at_io_uring();
	look_at_engine(&config);
	look_at_userfaultfd();
	look_at_tracking(&config);
	look_at_bpf();
	look_at_tracefs();
	look_at_limits();
	if (chosen && !burrow_arch_shadow_stack())
		v.backend = chosen->name;
	return v;
}

static void show_text(const struct verdict *v)
{
	size_t i;

	for (i = 0; i < nfindings; i++) {
		const struct finding *f = &findings[i];

		printf("%-14s %-8s %s\n", f->name, standings[f->standing],
		       f->detail);
		if (f->advice[0])
			printf("%24sto do: %s\n", "", f->advice);
	}
	if (v->backend)
		printf("\nThe runtime would use %s: %s.\n", v->backend, v->why);
	else
		printf("\nThe runtime does not start here: %s.\n", v->why);
}

static struct json_object *finding_json(const struct finding *f)
{
	struct json_object *o = json_object_new_object();

	json_add_text(o, "name", f->name);
	json_add_text(o, "status", standings[f->standing]);
	json_add_text(o, "detail", f->detail);
	if (f->advice[0])
		json_add_text(o, "advice", f->advice);
	return o;
}

static void show_json(const struct verdict *v)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < nfindings; i++)
		json_object_array_add(list, finding_json(&findings[i]));
	json_add_number(o, "schema", SCHEMA);
	json_add_text(o, "version", BURROW_RELEASE);
	if (v->backend)
		json_add_text(o, "backend", v->backend);
	else
		json_object_object_add(o, "backend", NULL);
	json_add_text(o, "why", v->why);
	json_object_object_add(o, "findings", list);
	json_print(stdout, o);
	json_object_put(o);
}

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "Write the findings as JSON", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	bool *json = state->input;

	switch (key) {
	case 'j':
		*json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is `%s'?", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char doc[] =
	"Say what works on this machine, which backend the runtime would choose\n"
	"and why, and what to do about what is missing.\n\v\n"
	"Each line is ok, note (it works, but could be better), missing (the\n"
	"runtime does without it) or bad.\n"
	"\n"
	"Exit status: 0 the runtime can work; 1 it can't; 2 the command line was\n"
	"not understood.";

int tool_doctor(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = doc,
	};
	struct verdict v;
	bool json = false;

	argp_parse(&argp, argc, argv, 0, NULL, &json);
	v = examine();
	if (json)
		show_json(&v);
	else
		show_text(&v);
	if (fflush(stdout) || ferror(stdout)) {
		tool_say("can't write the findings: %s", strerror(errno));
		return TOOL_FAILED;
	}
	return v.backend ? TOOL_OK : TOOL_FAILED;
}
