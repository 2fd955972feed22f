/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much memory there is for us.
 */
#ifndef BURROW_LIMIT_H
#define BURROW_LIMIT_H

#include <stdint.h>

/* Nine tenths of what the cgroup of this process allows; 0: it sets no limit. */
uint64_t burrow_memory_of_cgroup(void);

#endif /* BURROW_LIMIT_H */
