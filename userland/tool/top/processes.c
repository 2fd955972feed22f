// SPDX-License-Identifier: GPL-2.0
/*
 * Finds the processes that use the library, and asks them. See processes.h.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../sysfile.h"
#include "../watch/sites.h"
#include "processes.h"
#include "table.h"

#define AGAIN 8 /* rounds until one without the library is looked at again */
#define STACKS_MAX 20000 /* of a process that are looked at in each round */
#define DEBUGFS "/sys/kernel/debug/burrow"

/* ---- which there are --------------------------------------------------------------- */

static struct process *find(const struct processes *all, pid_t pid)
{
	struct process *p = all->first;

	while (p && p->pid != pid)
		p = p->next;
	return p;
}

/* What the module alone knows. */
static void forget_module(struct process *p)
{
	p->pool = UNKNOWN;
	p->grows = UNKNOWN;
	p->hibernated = UNKNOWN;
	p->saved = UNKNOWN;
	p->store = UNKNOWN;
	p->hibernates = UNKNOWN;
	p->restores = UNKNOWN;
}

static void remember_counts(struct process *p)
{
	p->grows_before = p->grows;
	p->hibernates_before = p->hibernates;
	p->restores_before = p->restores;
}

/* It has become another program, or is a new one. */
static void begin(struct process *p, const struct stat *exe)
{
	p->device = exe->st_dev;
	p->inode = exe->st_ino;
	p->looked = 0;
	p->uses = false;
	p->high = 0;
	memset(&p->collector, 0, sizeof(p->collector));
	p->stack = UNKNOWN;
	forget_module(p);
	remember_counts(p);
}

static void look_for_library(struct processes *all, struct process *p)
{
	char path[64];
	int err;

	if (p->uses || (p->looked && all->round - p->looked < AGAIN))
		return;
	p->looked = all->round;
	err = window_open(&p->window, p->pid);
	if (err == -EPERM || err == -EACCES)
		all->refused++;
	p->uses = !err;
	if (err)
		return;
	snprintf(path, sizeof(path), "/proc/%d/comm", p->pid);
	if (sysfile_read(path, p->name, sizeof(p->name)))
		snprintf(p->name, sizeof(p->name), "%d", p->pid);
	if (all->on_found)
		all->on_found(p, all->arg);
}

static void look_at(struct processes *all, pid_t pid)
{
	struct process *p = find(all, pid);
	struct stat exe;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (stat(path, &exe)) {
		/* A kernel thread has none, nor has one that is ending. */
		all->refused += errno == EACCES || errno == EPERM;
		return;
	}
	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return;
		p->pid = pid;
		p->next = all->first;
		all->first = p;
		begin(p, &exe);
	} else if (p->device != exe.st_dev || p->inode != exe.st_ino) {
		begin(p, &exe);
	}
	p->seen = all->round;
	look_for_library(all, p);
}

static void look_at_all(struct processes *all)
{
	struct dirent *entry;
	DIR *proc;

	if (all->only) {
		look_at(all, all->only);
		return;
	}
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		if (isdigit((unsigned char)*entry->d_name))
			look_at(all, atoi(entry->d_name));
	}
	if (proc)
		closedir(proc);
}

static void forget_ended(struct processes *all)
{
	struct process **at = &all->first, *p;

	while ((p = *at)) {
		if (p->seen == all->round) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		sites_forget(p->pid);
		free(p);
	}
}

/* ---- what is asked of each ----------------------------------------------------------- */

/* Lines of a context's file, and where they are added up. */
static const struct figure {
	const char *name;
	size_t at; /* in struct process */
} figures[] = {
	{ "stack_bytes", offsetof(struct process, stack) },
	{ "pool_bytes", offsetof(struct process, pool) },
	{ "grows", offsetof(struct process, grows) },
	{ "hibernated", offsetof(struct process, hibernated) },
	{ "saved_bytes", offsetof(struct process, saved) },
	{ "store_bytes", offsetof(struct process, store) },
	{ "hibernates", offsetof(struct process, hibernates) },
	{ "restores", offsetof(struct process, restores) },
};

#define FIGURES (sizeof(figures) / sizeof(figures[0]))

static uint64_t *figure_of(struct process *p, const struct figure *f)
{
	return (uint64_t *)((char *)p + f->at);
}

/* Adds what a context's file says; its lines are "name value". */
static bool add_context(const char *path, struct process *p)
{
	uint64_t value;
	size_t i;
	char name[64];
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (fscanf(f, "%63s %lu", name, &value) == 2) {
		for (i = 0; i < FIGURES; i++) {
			if (!strcmp(name, figures[i].name))
				*figure_of(p, &figures[i]) += value;
		}
	}
	fclose(f);
	return true;
}

/* The sums of all contexts that a process has; false: it has none. */
static bool ask_module(struct process *p)
{
	char path[512], prefix[16];
	struct dirent *entry;
	bool found = false;
	DIR *dir = opendir(DEBUGFS);
	size_t i;

	for (i = 0; i < FIGURES; i++)
		*figure_of(p, &figures[i]) = 0;
	snprintf(prefix, sizeof(prefix), "%d-", p->pid);
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(path, sizeof(path), DEBUGFS "/%s/stats",
			 entry->d_name);
		found |= add_context(path, p);
	}
	if (dir)
		closedir(dir);
	if (!found)
		forget_module(p);
	return found;
}

static void add_stack(const struct window_goroutine *g, void *arg)
{
	*(uint64_t *)arg += g->stack;
}

/* Where there are too many for each round the rest are taken for the like. */
static void ask_stacks(struct process *p)
{
	uint64_t bytes = 0;
	long n = window_each(&p->window, STACKS_MAX, add_stack, &bytes);

	p->stack = n < 0 ? UNKNOWN : bytes;
	p->guessed = n == STACKS_MAX && p->counts.goroutines > STACKS_MAX;
	if (p->guessed)
		p->stack = bytes / STACKS_MAX * p->counts.goroutines;
}

static void ask(struct process *p)
{
	if (!p->uses)
		return;
	if (window_count(&p->window, &p->counts))
		p->counts.running = false;
	if (!p->counts.running)
		return;
	remember_counts(p);
	p->guessed = false;
	if (!ask_module(p))
		ask_stacks(p);
	if (p->stack != UNKNOWN && p->stack > p->high)
		p->high = p->stack;
}

void processes_look(struct processes *all)
{
	struct process *p;

	all->round++;
	all->refused = 0;
	look_at_all(all);
	forget_ended(all);
	for (p = all->first; p; p = p->next)
		ask(p);
}

/* ---- what events tell ------------------------------------------------------------------ */

void processes_event(const struct runtime_event *e, void *arg)
{
	struct process *p = find(arg, e->pid);

	if (p)
		collector_event(&p->collector, e);
}

const struct process *processes_next(const struct processes *all,
				     const struct process *p)
{
	p = p ? p->next : all->first;
	while (p && !(p->uses && p->counts.running))
		p = p->next;
	return p;
}

void processes_close(struct processes *all)
{
	struct process *p;

	while ((p = all->first)) {
		all->first = p->next;
		free(p);
	}
}
