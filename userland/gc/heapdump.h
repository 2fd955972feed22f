/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The heap dump; heapdump.c.
 */
#ifndef BURROW_GC_HEAPDUMP_H
#define BURROW_GC_HEAPDUMP_H

struct burrow_heap;

/* In a stop, when marking has ended. 0 or a negative errno. */
int burrow_heapdump_write(struct burrow_heap *heap, int fd);

#endif /* BURROW_GC_HEAPDUMP_H */
