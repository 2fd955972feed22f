/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How fast each stack grows, from what it held at the last look and holds now. One
 * thread.
 */
#ifndef BURROW_TOOL_GROWTH_H
#define BURROW_TOOL_GROWTH_H

#include <stdint.h>
#include <sys/types.h>

/* A new look at all processes begins. */
void growth_look(void);

/* Goroutines of that process follow. */
void growth_process(pid_t pid);

/*
 * Bytes a second by which the stack of that goroutine, which now holds @bytes, has
 * grown since the look before; UNKNOWN where its process was not seen then. One that
 * was not there has grown from nothing.
 */
uint64_t growth_rate(uint64_t goroutine, uint64_t bytes);

/* Drops all that is remembered. */
void growth_forget(void);

#endif /* BURROW_TOOL_GROWTH_H */
