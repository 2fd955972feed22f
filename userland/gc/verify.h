/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A second, slow marking, to check the first one by.
 */
#ifndef BURROW_VERIFY_H
#define BURROW_VERIFY_H

#include "../heap/heap.h"

/*
 * At the end of the last stop, before marks become allocations: whatever can be
 * reached must be marked. If something is not, the program ends with a line.
 */
void burrow_verify(struct burrow_heap *heap);

#endif /* BURROW_VERIFY_H */
