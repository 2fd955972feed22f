/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Places in the program that is watched, by name. They are looked up while it runs
 * and kept: its mappings are gone when it has ended.
 */
#ifndef BURROW_TOOL_SITES_H
#define BURROW_TOOL_SITES_H

#include <stdint.h>
#include <sys/types.h>

#include "model.h"

/* "function (file.c:12)", "function+0x1c", "program+0x123c" or an address. */
const char *sites_name(pid_t pid, uint64_t address);

/* For struct model: looks up where each goroutine was started while it can be. */
void sites_on_event(const struct runtime_event *e,
		    const struct model_goroutine *g, void *arg);

/* The process has ended; another one may get its number. 0: all of them. */
void sites_forget(pid_t pid);

#endif /* BURROW_TOOL_SITES_H */
