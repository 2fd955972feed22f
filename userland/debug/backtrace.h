/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Backtraces: taken as bare addresses, printed with names afterwards. Both from
 * signal handlers too.
 */
#ifndef BURROW_BACKTRACE_H
#define BURROW_BACKTRACE_H

#include <stddef.h>
#include <stdint.h>

#define BURROW_TRACE_FIRST 24 /* innermost frames kept */
#define BURROW_TRACE_LAST 8 /* outermost frames kept */

/**
 * struct burrow_trace - a backtrace
 * @frames:	how many there are
 * @first:	the innermost ones
 * @last:	the outermost ones, a ring: frame n is in n % BURROW_TRACE_LAST
 */
struct burrow_trace {
	unsigned int frames;
	uintptr_t first[BURROW_TRACE_FIRST];
	uintptr_t last[BURROW_TRACE_LAST];
};

/* Loads what an unwinding needs: once, before a signal handler needs it. */
void burrow_backtrace_prepare(void);

/* From the frame on that @from, a return address, leads back to. */
void burrow_trace_here(struct burrow_trace *trace, uintptr_t from);

/* The function that a signal interrupted and its callers; for its handler. */
void burrow_trace_interrupted(struct burrow_trace *trace, const void *ucontext);

/* A parked context, as burrow_arch_switch() left it. */
void burrow_trace_parked(struct burrow_trace *trace, void *context);

void burrow_trace_print(int fd, const struct burrow_trace *trace);

/* "NAME+0x12 (file.c:34)", or as much of that as is known. */
void burrow_address_print(int fd, const char *before, uintptr_t address);

/* Taken and printed at once, for reports of one backtrace. */
void burrow_backtrace(int fd);
void burrow_backtrace_interrupted(int fd, const void *ucontext);

#endif /* BURROW_BACKTRACE_H */
