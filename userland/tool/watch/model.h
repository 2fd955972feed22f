/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What events add up to: what each goroutine is doing and has done, and the sums
 * of all. One thread; fed by watch_poll().
 */
#ifndef BURROW_TOOL_MODEL_H
#define BURROW_TOOL_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../../../bpf/runtime.h"
#include "collector.h"
#include "hist.h"

/* What a goroutine does. */
enum model_state {
	MODEL_UNKNOWN, /* it was there before we looked */
	MODEL_RUNNABLE,
	MODEL_RUNNING,
	MODEL_WAITING,
	MODEL_STATES,
};

/* Names of the states, as users see them. */
extern const char *const model_states[MODEL_STATES];

/**
 * struct model_goroutine - one that has not ended
 * @next:	of the same place in the table
 * @id:		its number
 * @pid:	of its process
 * @tid:	thread that it last ran on
 * @state:	what it does
 * @since:	since when
 * @reason:	what it waits for, where @state is MODEL_WAITING
 * @name:	of it, empty if it has none or began before we looked
 * @site:	where it was started, 0: not known
 * @place:	the entry of that in struct model, NULL: none
 * @ns:		how long it was in each state, the present one left out
 * @starts:	how often it was run
 * @grows:	growths of its stack, as the module tells
 * @stack:	bytes of it then, 0: not known
 * @stack_max:	the most of these
 * @asleep_since: it hibernates since then, 0: it does not, as far as is known
 */
struct model_goroutine {
	struct model_goroutine *next;
	uint64_t id;
	uint32_t pid;
	uint32_t tid;
	enum model_state state;
	uint64_t since;
	char reason[EVENT_TEXT];
	char name[EVENT_TEXT];
	uint64_t site;
	struct model_site *place;
	uint64_t ns[MODEL_STATES];
	uint64_t starts;
	uint64_t grows;
	uint64_t stack;
	uint64_t stack_max;
	uint64_t asleep_since;
};

#define MODEL_REASONS 48
#define MODEL_CALLS 512

/**
 * struct model_count - how often, and how long or how much
 * @name:	of what; of a reason
 * @times:	how often
 * @amount:	nanoseconds, or bytes
 */
struct model_count {
	char name[EVENT_TEXT];
	uint64_t times;
	uint64_t amount;
};

#define MODEL_SITES 256

/**
 * struct model_site - where goroutines were started
 * @pid:	in that process, 0: all that there was no room for
 * @address:	there
 * @goroutines:	that were started
 * @grown:	bytes by which their stacks grew, as the module tells
 * @stack:	bytes of those that have not ended, now
 * @stack_most:	at most
 */
struct model_site {
	uint32_t pid;
	uint64_t address;
	uint64_t goroutines;
	uint64_t grown;
	uint64_t stack;
	uint64_t stack_most;
};

#define MODEL_LONGEST 10

/**
 * struct model_wait - of a goroutine, for processors
 * @goroutine:	its number
 * @name:	of it, or empty
 * @ns:		how long together
 */
struct model_wait {
	uint64_t goroutine;
	char name[EVENT_TEXT];
	uint64_t ns;
};

/**
 * struct model - all that is known
 * @table:	goroutines by number, chained
 * @size:	places in @table, a power of two
 * @goroutines:	how many are in it
 * @events:	by kind
 * @begin_ns:	time of the first event
 * @end_ns:	time of the last
 * @yields:	of the parks, those that only let others run
 * @lost:	of the parks, those of who had lost the processor
 * @queued:	times from ready to running
 * @longest:	who waited longest for processors, the longest first; complete after
 *		model_end()
 * @collector:	what that did, of all processes
 * @reasons:	what was waited for, and how long; the last takes all others
 * @calls:	long system calls by number, the last takes all others
 * @sites:	where goroutines were started; the last takes all others
 * @grown:	growths and bytes
 * @trimmed:	trims and bytes
 * @shrunk:	stacks that the library gave back, and bytes
 * @dirty:	harvest steps, and bytes found written
 * @hibernated:	stacks that hibernated, and bytes that were saved of them
 * @restored:	those that were put back, and bytes
 * @asleep:	times from the one to the other, where both were seen
 * @on_interval: told of each time that a goroutine was in a state; may be NULL
 * @on_event:	told of each event before it is counted; may be NULL
 * @arg:	their argument
 */
struct model {
	struct model_goroutine **table;
	uint64_t size;
	uint64_t goroutines;
	uint64_t events[EVENT_KINDS];
	uint64_t begin_ns;
	uint64_t end_ns;
	uint64_t yields;
	uint64_t lost;
	struct hist queued;
	struct model_wait longest[MODEL_LONGEST];
	struct collector collector;
	struct model_count reasons[MODEL_REASONS];
	struct model_count calls[MODEL_CALLS];
	struct model_site sites[MODEL_SITES];
	struct model_count grown;
	struct model_count trimmed;
	struct model_count shrunk;
	struct model_count dirty;
	struct model_count hibernated;
	struct model_count restored;
	struct hist asleep;
	void (*on_interval)(const struct model_goroutine *g, uint64_t end,
			    void *arg);
	void (*on_event)(const struct runtime_event *e,
			 const struct model_goroutine *g, void *arg);
	void *arg;
};

/* 0 or -ENOMEM. */
int model_open(struct model *m);
void model_close(struct model *m);

/* A watch_fn: @arg is the model. */
void model_event(const struct runtime_event *e, void *arg);

/* Nothing more will come: what goroutines do now ends with the last event. */
void model_end(struct model *m);

void model_each(const struct model *m,
		void (*fn)(struct model_goroutine *g, void *arg), void *arg);

/* What a kind of event is called: the name of the probe or of the event. */
const char *model_kind_name(unsigned int kind);

#endif /* BURROW_TOOL_MODEL_H */
