// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What sort of cycle the next one is: young or full, and whether it is likely to be
 * through after one stop (cycle.c). Under collector.lock.
 */
#include "../sched/sched.h"
#include "collector.h"

#define OLD_QUICK (64UL << 20) /* is looked at in a stop for what was written */

static struct burrow_collector *const gc = &burrow_collector;

/* What is tested must see cycles of each kind. */
static bool is_young(uint64_t number)
{
	const struct burrow_gc_config *config = &gc->config;

	/* What died old escapes nowhere. */
	if (!gc->tracker || number <= gc->full || number == 1 || config->escape)
		return false;
	if (config->stress || config->verify)
		return number / 2 % 2;
	return !config->no_young && !gc->pacer.full;
}

static bool is_quick(uint64_t number, bool young)
{
	const struct burrow_gc_config *config = &gc->config;

	if (config->fault || config->escape)
		return false;
	if (config->stress || config->verify)
		return number % 2;
	if (young)
		return gc->marked <= BURROW_CYCLE_QUICK &&
		       gc->live <= OLD_QUICK;
	return gc->live <= BURROW_CYCLE_QUICK;
}

void burrow_collector_plan(struct burrow_cycle *c)
{
	uint64_t number = gc->begun + 1;
	bool young = is_young(number);

	*c = (struct burrow_cycle){
		.heap = gc->heap,
		.config = &gc->config,
		.number = number,
		.young = young,
		.quick = is_quick(number, young),
		.cpus = gc->cpus > burrow_runtime.nr_procs,
		.forced = gc->waiters || gc->config.stress,
		.goal = gc->pacer.goal,
		.before = burrow_collector_heap(),
	};
}
