/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings of the collector, as sched/options.c reads them.
 */
#ifndef BURROW_GC_CONFIG_H
#define BURROW_GC_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct burrow_gc_config - settings of the collector, read once a run
 * @percent:	how much the heap may grow between cycles, -1: it is off
 * @limit:	bytes that heap and stacks should keep to, 0: no limit
 * @trace:	a line for each cycle
 * @stress:	a cycle at every so manieth refill of a cache, 0: as needed
 * @verify:	check each marking against a slow one
 * @escape:	tell of pointers into stacks
 * @no_uffd:	do as if the kernel had no userfaultfd
 * @no_young:	all cycles are full
 * @profile:	sample one allocation in so many bytes, 0: none
 * @fault:	enum burrow_gc_fault: what to do wrong, for tests
 */
struct burrow_gc_config {
	int percent;
	uint64_t limit;
	bool trace;
	bool verify;
	bool escape;
	bool no_uffd;
	bool no_young;
	uint64_t profile;
	uint8_t fault;
	uint32_t stress;
};

/* What a test has the collector forget, for gcverify to notice. */
enum burrow_gc_fault {
	GC_FAULT_NONE,
	GC_FAULT_PAGE, /* the pages that were written */
	GC_FAULT_STACK, /* one stack, in the final stop */
	GC_FAULT_CACHE, /* to mark what caches have not handed out yet */
	GC_FAULT_TRACK, /* what the tracker said, as if it had not */
	GC_FAULT_RESTORED, /* that stacks hibernate no more */
	GC_FAULT_ARM, /* nothing: pages can't be armed, which must do no harm */
	GC_FAULTS,
};

#endif /* BURROW_GC_CONFIG_H */
