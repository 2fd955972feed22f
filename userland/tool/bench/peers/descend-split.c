// SPDX-License-Identifier: GPL-2.0
/* The recursion of the growth benchmark, compiled with -fsplit-stack. */
#include <stdint.h>

#include "../clock.h"
#include "../descend.h"

#define NAME descend_split
#include "../descend-body.h"
