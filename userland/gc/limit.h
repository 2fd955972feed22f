/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much memory there is for us.
 */
#ifndef BURROW_LIMIT_H
#define BURROW_LIMIT_H

#include <stdint.h>

/* Nine tenths of what the cgroup of this process allows; 0: it sets no limit. */
uint64_t burrow_memory_of_cgroup(void);

/*
 * What the machine has left, and the cgroup (version 2), each with what it could do
 * without of its page cache; UINT64_MAX: nobody says. Reads files.
 */
uint64_t burrow_memory_left(void);

#endif /* BURROW_LIMIT_H */
