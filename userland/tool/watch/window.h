/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The runtime of another process, read in its memory, through the table that the
 * library has there for it (userland/debug/window.h). It does nothing for it and
 * is not stopped: what is read was there at some moment, and what is read next at
 * a later one. Takes the right to trace the process, as gdb does.
 */
#ifndef BURROW_TOOL_WINDOW_H
#define BURROW_TOOL_WINDOW_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../debug/window.h"

#define WINDOW_NAME 32

/**
 * struct window - into one process
 * @pid:	of it
 * @program:	file that the library is in: the program, or the shared library
 * @table:	a copy of the library's
 */
struct window {
	pid_t pid;
	char program[PATH_MAX + 32];
	struct burrow_window table;
};

/**
 * struct window_counts - what a runtime has and does
 * @running:	there is one, now
 * @goroutines:	that have not ended
 * @queued:	of these, those that wait for a processor
 * @procs:	goroutines that may run at once
 * @threads:	that the runtime has
 * @heap:	bytes of memory in the heap
 * @live:	bytes of objects that the last collection found alive
 * @cycles:	collections that are complete
 * @collects:	one is under way
 */
struct window_counts {
	bool running;
	uint64_t goroutines;
	uint64_t queued;
	uint64_t procs;
	uint64_t threads;
	uint64_t heap;
	uint64_t live;
	uint64_t cycles;
	bool collects;
};

/**
 * struct window_goroutine - one of them
 * @id:		its number
 * @state:	enum goroutine_state
 * @what:	what it does or waits for, as dumps have it
 * @waited_ms:	for how long, where it waits
 * @name:	of it, or empty
 * @site:	where it was started, an address; of the main goroutine what it runs
 * @stack:	bytes of memory in its stack
 */
struct window_goroutine {
	uint64_t id;
	unsigned int state;
	const char *what;
	uint64_t waited_ms;
	char name[WINDOW_NAME];
	uint64_t site;
	uint64_t stack;
};

/* 0; -ENOENT: the library is not in there; or why it can't be looked at. */
int window_open(struct window *w, pid_t pid);

/* 0, or a negative errno: it has ended. */
int window_count(const struct window *w, struct window_counts *counts);

/*
 * Calls @fn for each goroutine, for @max of them at most. How many there were, or
 * a negative errno.
 */
long window_each(const struct window *w, long max,
		 void (*fn)(const struct window_goroutine *g, void *arg),
		 void *arg);

#endif /* BURROW_TOOL_WINDOW_H */
