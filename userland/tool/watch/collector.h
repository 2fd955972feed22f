/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the collector of one process did, made of the probes gc_*. Fed by a model;
 * one thread.
 */
#ifndef BURROW_TOOL_COLLECTOR_H
#define BURROW_TOOL_COLLECTOR_H

#include <stdint.h>

#include "../../../bpf/runtime.h"
#include "hist.h"

/* What it does between two of its events. */
enum collector_phase {
	COLLECTOR_IDLE, /* or not known */
	COLLECTOR_MARK,
	COLLECTOR_SWEEP,
};

/**
 * struct collector - of a process
 * @cycle:	number of the last one that was heard of
 * @phase:	of it
 * @since:	when that began
 * @why:	the last stop was made, or is
 * @marks:	times from the begin of a cycle to the end of its marking
 * @sweeps:	times from there until all was swept
 * @pauses:	times that the world was stopped
 * @mark_stop_ns: of @pauses, those within a marking
 * @help_ns:	how long goroutines helped
 * @freed:	bytes
 * @live:	bytes that the last cycle found alive
 * @heap:	bytes of the heap as last told
 */
struct collector {
	uint64_t cycle;
	enum collector_phase phase;
	uint64_t since;
	char why[EVENT_TEXT];
	struct hist marks;
	struct hist sweeps;
	struct hist pauses;
	uint64_t mark_stop_ns;
	uint64_t help_ns;
	uint64_t freed;
	uint64_t live;
	uint64_t heap;
};

/* Events of other kinds do nothing. */
void collector_event(struct collector *c, const struct runtime_event *e);

/* What it does is called, as users see it. */
extern const char *const collector_phases[];

#endif /* BURROW_TOOL_COLLECTOR_H */
