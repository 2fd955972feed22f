/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether stacks take so much memory that the monitor alone can't have them
 * hibernate. See shortage.c.
 */
#ifndef BURROW_SHORTAGE_H
#define BURROW_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

/* By the monitor: when a run begins, and every few milliseconds. */
void burrow_shortage_open(void);
void burrow_shortage_watch(int64_t now);

/* Memory is short; any thread, right a moment ago. */
bool burrow_shortage(void);

#endif /* BURROW_SHORTAGE_H */
