// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The table that tools look through. See window.h.
 */
#include <stddef.h>

#include "../gc/collector.h"
#include "../heap/span.h"
#include "../sched/goroutine.h"
#include "window.h"

#define TYPE(of, field) __typeof__(((struct of *)NULL)->field)
#define ENTRY(name, of, field)                                \
	[BURROW_FIELD_##name] = { offsetof(struct of, field), \
				  sizeof(TYPE(of, field)) },

struct burrow_window burrow_window
	__attribute__((section(BURROW_WINDOW_SECTION), used)) = {
		.magic = BURROW_WINDOW_MAGIC,
		.nr_fields = BURROW_FIELDS,
		.runtime = &burrow_runtime,
		.collector = &burrow_collector,
		.heap_shift = BURROW_HEAP_SHIFT,
		.fields = { BURROW_WINDOW_FIELDS(ENTRY) },
	};

void burrow_window_run(void)
{
	burrow_window.runs++;
}
