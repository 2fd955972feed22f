// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Walks the unwind tables, so that programs need no frame pointers.
 *
 * The unwinder is the compiler's own; with the C library's lock-free look-up
 * of loaded objects (glibc 2.35) it takes no lock. A walk from a signal handler
 * begins in the handler and goes through the signal frame; frames before the
 * interrupted function are left out.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <ucontext.h>
#include <unwind.h>

#include "../arch/arch.h"
#include "backtrace.h"
#include "print.h"
#include "symbol.h"

#define FIRST BURROW_TRACE_FIRST
#define LAST BURROW_TRACE_LAST
#define WALK_MAX 200000 /* frames looked at in search of the last ones */

/**
 * struct walk - a backtrace on its way
 * @trace:	where it goes
 * @from:	address to begin at; 0: has begun
 * @skip:	frames still to leave out
 */
struct walk {
	struct burrow_trace *trace;
	uintptr_t from;
	unsigned int skip;
};

static void add(struct burrow_trace *trace, uintptr_t address)
{
	if (trace->frames < FIRST)
		trace->first[trace->frames] = address;
	trace->last[trace->frames % LAST] = address;
	trace->frames++;
}

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;
	uintptr_t address;
	int exact = 0;

	address = _Unwind_GetIPInfo(context, &exact);
	if (!address)
		return _URC_END_OF_STACK;
	if (walk->from) {
		if (address != walk->from)
			return _URC_NO_REASON;
		walk->from = 0;
	}
	if (walk->skip) {
		walk->skip--;
		return _URC_NO_REASON;
	}

	/* A return address may belong to the next function already. */
	if (!exact)
		address--;
	add(walk->trace, address);
	return walk->trace->frames == WALK_MAX ? _URC_END_OF_STACK :
						 _URC_NO_REASON;
}

static _Unwind_Reason_Code ignore(struct _Unwind_Context *context, void *arg)
{
	(void)context;
	(void)arg;
	return _URC_NO_REASON;
}

void burrow_backtrace_prepare(void)
{
	_Unwind_Backtrace(ignore, NULL);
}

void burrow_trace_here(struct burrow_trace *trace, uintptr_t from)
{
	struct walk walk = { .trace = trace, .from = from };

	trace->frames = 0;
	_Unwind_Backtrace(step, &walk);
}

static uintptr_t interrupted_at(const ucontext_t *context)
{
#if defined(__x86_64__)
	return context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return context->uc_mcontext.pc;
#endif
}

void burrow_trace_interrupted(struct burrow_trace *trace, const void *ucontext)
{
	struct walk walk = { .trace = trace, .from = interrupted_at(ucontext) };

	trace->frames = 0;
	_Unwind_Backtrace(step, &walk);
	if (walk.from)
		add(trace, walk.from);
}

static void walk_parked(void *arg)
{
	_Unwind_Backtrace(step, arg);
}

void burrow_trace_parked(struct burrow_trace *trace, void *context)
{
	/* walk_parked() itself and burrow_arch_visit() are not its frames. */
	struct walk walk = { .trace = trace, .skip = 2 };

	trace->frames = 0;
	burrow_arch_visit(context, walk_parked, &walk);
}

void burrow_address_print(int fd, const char *before, uintptr_t address)
{
	struct burrow_symbol s;

	burrow_symbol_find(address, &s);
	if (s.name[0] && s.line)
		burrow_print(fd, "%s%s+0x%lx (%s:%u)\n", before, s.name,
			     s.offset, s.file, s.line);
	else if (s.name[0])
		burrow_print(fd, "%s%s+0x%lx (%s)\n", before, s.name, s.offset,
			     s.module);
	else if (s.module)
		burrow_print(fd, "%s0x%lx (%s+0x%lx)\n", before, address,
			     s.module, s.offset);
	else
		burrow_print(fd, "%s0x%lx\n", before, address);
}

static void print_frame(int fd, unsigned int n, uintptr_t address)
{
	char before[24];

	burrow_format(before, sizeof(before), 0, "  #%u ", n);
	burrow_address_print(fd, before, address);
}

void burrow_trace_print(int fd, const struct burrow_trace *trace)
{
	unsigned int n;

	for (n = 0; n < trace->frames && n < FIRST; n++)
		print_frame(fd, n, trace->first[n]);
	if (trace->frames == WALK_MAX) {
		burrow_print(fd, "  ... and more than %d frames\n",
			     WALK_MAX - FIRST);
		return;
	}
	if (trace->frames > FIRST + LAST) {
		n = trace->frames - LAST;
		burrow_print(fd, "  ... %u frames\n", n - FIRST);
	}
	for (; n < trace->frames; n++)
		print_frame(fd, n, trace->last[n % LAST]);
}

void burrow_backtrace(int fd)
{
	struct burrow_trace trace;

	burrow_trace_here(&trace, (uintptr_t)__builtin_return_address(0));
	burrow_trace_print(fd, &trace);
	burrow_symbols_close();
}

void burrow_backtrace_interrupted(int fd, const void *ucontext)
{
	struct burrow_trace trace;

	burrow_trace_interrupted(&trace, ucontext);
	burrow_trace_print(fd, &trace);
	burrow_symbols_close();
}
