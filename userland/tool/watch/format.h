/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What burrow trace can write. A format hooks itself into a model and writes while
 * events come, or at the end; trace.c drives it.
 */
#ifndef BURROW_TOOL_FORMAT_H
#define BURROW_TOOL_FORMAT_H

#include <stdio.h>

#include "session.h"

/**
 * struct format - one way to write events
 * @name:	as --format has it
 * @begin:	sets the model's hooks
 * @end:	after the last event
 *
 * Errors of writing show in the stream.
 */
struct format {
	const char *name;
	void (*begin)(struct session *s, FILE *to);
	void (*end)(struct session *s, FILE *to);
};

extern const struct format format_log;
extern const struct format format_perfetto;
extern const struct format format_folded;

#endif /* BURROW_TOOL_FORMAT_H */
