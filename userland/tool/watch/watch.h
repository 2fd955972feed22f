/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Watching a process by BPF: the stream of events of bpf/runtime.bpf.c. What
 * burrow trace, stat and top have in common below what they make of it.
 */
#ifndef BURROW_TOOL_WATCH_H
#define BURROW_TOOL_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../../bpf/runtime.h"

struct watch;

typedef void watch_fn(const struct runtime_event *event, void *arg);

/**
 * watch_open() - begin to watch a process
 * @pid:	of it; it may be stopped before exec
 * @program:	file that the library's probes are in
 * @w:		filled
 *
 * Return: 0, or an exit status (enum tool_status) with a line on standard error
 * that says what is missing. Context: one thread.
 */
int watch_open(pid_t pid, const char *program, struct watch **w);

/**
 * watch_open_collectors() - begin to watch collectors only
 * @w:		filled
 *
 * Of no process yet: watch_add() says of which files. Nothing else of their
 * processes is slowed down. Return and context as watch_open().
 */
int watch_open_collectors(struct watch **w);

/*
 * All processes that run @program, now and later; 0 or a negative errno. A file
 * that was added before, under whatever name, is not added again.
 */
int watch_add(struct watch *w, const char *program);

/* Hands over what there is, or waits for it; negative errno, -EINTR too. */
int watch_poll(struct watch *w, int timeout_ms, watch_fn *fn, void *arg);

/* Events that were lost so far. */
uint64_t watch_dropped(const struct watch *w);

/* Whether the module's events are among those watched. */
bool watch_module(const struct watch *w);

void watch_close(struct watch *w);

/*
 * rights.c: says on standard error which rights BPF takes that this process has
 * not, and what works without them.
 */
void rights_say(void);

#endif /* BURROW_TOOL_WATCH_H */
