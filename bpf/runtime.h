/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What runtime.bpf.c tells and the burrow tool reads: a stream of events in a ring
 * buffer. Both are built together; the layout is nobody else's.
 */
#ifndef BURROW_BPF_RUNTIME_H
#define BURROW_BPF_RUNTIME_H

#define EVENT_TEXT 32

/* Of a park, where it is no reason to wait: the goroutine can run. */
enum park_why {
	PARK_YIELD = -1, /* it lets others run */
	PARK_LOST = -2, /* its processor was taken while it ran C code */
};

/* The first ones are the library's probes, in the order of probe_names[]. */
enum event_kind {
	EVENT_GO_CREATE, /* a: who started it, b: site; text: its name */
	EVENT_GO_START, /* a: processor */
	EVENT_GO_PARK, /* a: reason, or park_why; text: the same */
	EVENT_GO_READY, /* a: who woke it */
	EVENT_GO_END,
	EVENT_STACK_SHRINK, /* a: bytes, b: stacks */
	EVENT_GC_START, /* a: cycle, b: bytes; text: why */
	EVENT_GC_MARK_DONE, /* a: cycle, b: bytes, c: ns of help */
	EVENT_GC_SWEEP_DONE, /* a: cycle, b: bytes freed, c: bytes */
	EVENT_GC_STW_BEGIN, /* a: cycle; text: why */
	EVENT_GC_STW_END, /* a: cycle, b: ns */
	EVENT_PROBES,
	/* A goroutine was in a system call: a: its number, b: ns */
	EVENT_SYSCALL = EVENT_PROBES,
	/* Of the module: */
	EVENT_STACK_GROW, /* a: bytes before, b: after, c: recycled */
	EVENT_STACK_TRIM, /* a: bytes before, b: after */
	EVENT_STACK_OVERFLOW, /* a: address, b: limit */
	EVENT_HEAP_DIRTY, /* a: bytes looked at, b: bytes found written */
	EVENT_STACK_HIBERNATE, /* a: bytes before, b: after, c: saved */
	EVENT_STACK_RESTORE, /* the same */
	EVENT_KINDS,
};

/**
 * struct runtime_event - one of them
 * @time_ns:	when, CLOCK_MONOTONIC
 * @goroutine:	whose it is, 0: nobody's
 * @a:		by kind
 * @b:		by kind
 * @c:		by kind
 * @kind:	enum event_kind
 * @pid:	process
 * @tid:	thread that it happened on
 * @cpu:	and where that ran
 * @text:	by kind
 */
struct runtime_event {
	unsigned long long time_ns;
	unsigned long long goroutine;
	unsigned long long a;
	unsigned long long b;
	unsigned long long c;
	unsigned int kind;
	unsigned int pid;
	unsigned int tid;
	unsigned int cpu;
	char text[EVENT_TEXT];
};

#endif /* BURROW_BPF_RUNTIME_H */
