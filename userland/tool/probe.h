/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel lets this process do, found by doing it. A file, a version
 * or a setting may say yes where a container's filter says no.
 *
 * Each returns 0 or a negative errno, and leaves nothing behind.
 */
#ifndef BURROW_TOOL_PROBE_H
#define BURROW_TOOL_PROBE_H

#include <stdbool.h>

/* A ring is made, and a request goes through it. */
int probe_io_uring(void);

/* Says also whether writes can be tracked without a fault handler. */
int probe_userfaultfd(bool *async);

/* A tracing program of two instructions is loaded. */
int probe_bpf(void);

#endif /* BURROW_TOOL_PROBE_H */
