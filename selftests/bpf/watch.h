/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What watch.bpf.c and probes.c both know.
 */
#ifndef WATCH_H
#define WATCH_H

#define REASON_LEN 32

enum probe {
	GO_CREATE,
	GO_START,
	GO_PARK,
	GO_READY,
	GO_END,
	STACK_SHRINK,
	GC_START,
	GC_MARK_DONE,
	GC_SWEEP_DONE,
	GC_STW_BEGIN,
	GC_STW_END,
	PROBES,
};

/* How often a probe fired, and the sums of two of its arguments. */
struct seen {
	unsigned long long times, first, second;
};

#endif /* WATCH_H */
