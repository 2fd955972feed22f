/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The processes that use the library, found again and again in /proc, and what is
 * known of each: by looking into it (watch/window.h), by what the module says of
 * it in debugfs, and by events. One thread.
 */
#ifndef BURROW_TOOL_PROCESSES_H
#define BURROW_TOOL_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../watch/collector.h"
#include "../watch/window.h"

/**
 * struct process - one that is there
 * @next:	list
 * @pid:	of it
 * @name:	of its program
 * @device:	of its program's file, as stat(2) has it
 * @inode:	of that
 * @looked:	in which round it was looked for the library in it
 * @seen:	round in which it was there
 * @uses:	the library is in it
 * @window:	into it
 * @counts:	of its runtime
 * @stack:	bytes in stacks
 * @guessed:	@stack is worked out from some of them
 * @pool:	bytes that the module keeps for it
 * @hibernated:	stacks of it that hibernate
 * @saved:	bytes that are saved of these
 * @store:	bytes of memory that they are saved in
 * @high:	the most that @stack was
 * @grows:	growths of stacks that the module counted
 * @grows_before: the same in the last round
 * @hibernates:	times that a stack was hibernated, as the module counted
 * @hibernates_before: the same in the last round
 * @restores:	times that one was put back
 * @restores_before: the same in the last round
 * @collector:	what it did, since we watch
 */
struct process {
	struct process *next;
	pid_t pid;
	char name[64];
	dev_t device;
	ino_t inode;
	unsigned int looked;
	unsigned int seen;
	bool uses;
	struct window window;
	struct window_counts counts;
	uint64_t stack;
	bool guessed;
	uint64_t pool;
	uint64_t hibernated;
	uint64_t saved;
	uint64_t store;
	uint64_t high;
	uint64_t grows;
	uint64_t grows_before;
	uint64_t hibernates;
	uint64_t hibernates_before;
	uint64_t restores;
	uint64_t restores_before;
	struct collector collector;
};

/**
 * struct processes - all of them
 * @first:	list
 * @only:	no others than this one, 0: all
 * @round:	how often was looked
 * @refused:	in this round, processes that may not be looked at
 * @on_found:	told of each that is found to use the library
 * @arg:	its argument
 */
struct processes {
	struct process *first;
	pid_t only;
	unsigned int round;
	unsigned int refused;
	void (*on_found)(const struct process *p, void *arg);
	void *arg;
};

/* Looks for new ones, at all that are there, and forgets those that have ended. */
void processes_look(struct processes *all);

/* A watch_fn: @arg is the struct processes. */
void processes_event(const struct runtime_event *e, void *arg);

/* Those that have a runtime; NULL: no more. */
const struct process *processes_next(const struct processes *all,
				     const struct process *p);

void processes_close(struct processes *all);

#endif /* BURROW_TOOL_PROCESSES_H */
