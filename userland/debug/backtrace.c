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

#define FIRST 24 /* innermost frames shown */
#define LAST 8 /* outermost frames shown */
#define WALK_MAX 200000 /* frames looked at in search of those */

/**
 * struct walk - a backtrace on its way
 * @fd:		where it goes
 * @from:	address to begin at, 0: with the first frame
 * @skip:	frames still to leave out
 * @frames:	seen since the beginning
 * @last:	the last @LAST of them, a ring
 */
struct walk {
	int fd;
	uintptr_t from;
	unsigned int skip;
	unsigned int frames;
	uintptr_t last[LAST];
};

static void print_frame(int fd, unsigned int n, uintptr_t address)
{
	struct burrow_symbol s;

	burrow_symbol_find(address, &s);
	if (s.name[0])
		burrow_print(fd, "  #%u %s+0x%lx (%s)\n", n, s.name, s.offset,
			     s.module);
	else if (s.module)
		burrow_print(fd, "  #%u 0x%lx (%s+0x%lx)\n", n, address,
			     s.module, s.offset);
	else
		burrow_print(fd, "  #%u 0x%lx\n", n, address);
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
	if (walk->frames < FIRST)
		print_frame(walk->fd, walk->frames, address);
	walk->last[walk->frames % LAST] = address;
	walk->frames++;
	return walk->frames == WALK_MAX ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static void finish(const struct walk *walk)
{
	unsigned int n = FIRST;

	if (walk->frames == WALK_MAX) {
		burrow_print(walk->fd, "  ... and more than %d frames\n",
			     WALK_MAX - FIRST);
		return;
	}
	if (walk->frames > FIRST + LAST) {
		n = walk->frames - LAST;
		burrow_print(walk->fd, "  ... %u frames\n", n - FIRST);
	}
	for (; n < walk->frames; n++)
		print_frame(walk->fd, n, walk->last[n % LAST]);
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

void burrow_backtrace(int fd)
{
	struct walk walk = { .fd = fd, .skip = 1 };

	_Unwind_Backtrace(step, &walk);
	finish(&walk);
}

static uintptr_t interrupted_at(const ucontext_t *context)
{
#if defined(__x86_64__)
	return context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return context->uc_mcontext.pc;
#endif
}

void burrow_backtrace_interrupted(int fd, const void *ucontext)
{
	struct walk walk = { .fd = fd, .from = interrupted_at(ucontext) };

	_Unwind_Backtrace(step, &walk);
	if (walk.from)
		print_frame(fd, 0, walk.from);
	finish(&walk);
}

static void walk_parked(void *arg)
{
	_Unwind_Backtrace(step, arg);
}

void burrow_backtrace_parked(int fd, void *context)
{
	/* walk_parked() itself and burrow_arch_visit() are not its frames. */
	struct walk walk = { .fd = fd, .skip = 2 };

	burrow_arch_visit(context, walk_parked, &walk);
	finish(&walk);
}
