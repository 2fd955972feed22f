// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls that sanitizers and valgrind want when stacks are switched.
 *
 * AddressSanitizer keeps a fake stack for each stack there is, and must know
 * the bounds of that which is run on: __sanitizer_start_switch_fiber() before a
 * switch, __sanitizer_finish_switch_fiber() after it, which also says what the
 * bounds of the one before were. That is how a thread learns those of its own.
 * Valgrind takes a large step of the stack pointer for a switch, and would take
 * one between two of our stacks for a frame if they are near each other: it is
 * told where each one lies, the first time that it is handed out.
 */
#include <errno.h>
#include <unistd.h>

#if !defined(BURROW_NO_VALGRIND) && __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(low, high) ((void)(low), (void)(high), 0)
#endif

#include "../arch/arch.h"
#include "print.h"
#include "probe.h"
#include "sanitize.h"

#define WEAK __attribute__((weak))

/* <sanitizer/common_interface_defs.h> and <sanitizer/tsan_interface.h> */
extern void __sanitizer_start_switch_fiber(void **fake, const void *low,
					   size_t size) WEAK;
extern void __sanitizer_finish_switch_fiber(void *fake, const void **old_low,
					    size_t *old_size) WEAK;
extern void __asan_unpoison_memory_region(const void *low, size_t size) WEAK;
extern void __tsan_init(void) WEAK;

uint8_t burrow_san_tools;

int burrow_san_open(void)
{
	unsigned int tools = 0;

#ifndef BURROW_TSAN
	if (__tsan_init) {
		burrow_print(
			STDERR_FILENO,
			"burrow: the program is built for ThreadSanitizer and the library is not: link one built with -fsanitize=thread\n");
		return -ENOTSUP;
	}
#endif
	if (__sanitizer_start_switch_fiber && __sanitizer_finish_switch_fiber)
		tools |= BURROW_SAN_ASAN;
	if (RUNNING_ON_VALGRIND)
		tools |= BURROW_SAN_VALGRIND;
	/* The same in each run: threads of the last one may be on their way out. */
	if (tools != burrow_san_tools) {
		burrow_san_tools = tools;
		burrow_watch.asan = !!(tools & BURROW_SAN_ASAN);
	}
	return 0;
}

void burrow_asan_begin(struct burrow_thread *self, struct goroutine *to,
		       void **fake)
{
	if (to == &self->loop)
		__sanitizer_start_switch_fiber(fake, self->own_low,
					       self->own_size);
	else
		__sanitizer_start_switch_fiber(fake,
					       burrow_stack_low(&to->stack) +
						       to->stack.arena->guard,
					       burrow_stack_usable(&to->stack));
}

void burrow_asan_end(struct burrow_thread *self, void *fake)
{
	const void *low;
	size_t size;

	__sanitizer_finish_switch_fiber(fake, &low, &size);
	if (self->left == &self->loop) {
		self->own_low = low;
		self->own_size = size;
	}
}

/*
 * Frames that nobody returned from, the last ones of who has ended among them: what
 * comes to lie there next is not theirs. A stack below its frames has nothing that
 * AddressSanitizer would remember.
 */
void burrow_asan_forget(struct goroutine *g, void *arg)
{
	char *top;

	(void)arg;
	if (!g->stack.arena)
		return;
	top = burrow_stack_top(&g->stack);
	__asan_unpoison_memory_region(g->context, top - (char *)g->context);
}

/**
 * struct call - a function on its way to the thread's own stack
 * @fn:		the function
 * @arg:	its argument
 * @fake:	of the goroutine that calls
 */
struct call {
	void (*fn)(void *arg);
	void *arg;
	void *fake;
};

static void on_own_stack(void *arg)
{
	struct call *call = arg;
	const void *low;
	size_t size;

	__sanitizer_finish_switch_fiber(NULL, &low, &size);
	call->fn(call->arg);
	__sanitizer_start_switch_fiber(NULL, low, size);
}

/* In place of burrow_arch_call(), where burrow_san_tools says ASAN. */
void burrow_san_call(struct burrow_thread *self, void *top,
		     void (*fn)(void *arg), void *arg)
{
	struct call call = { .fn = fn, .arg = arg };

	__sanitizer_start_switch_fiber(&call.fake, self->own_low,
				       self->own_size);
	burrow_arch_call(&self->current->context, top, on_own_stack, &call);
	__sanitizer_finish_switch_fiber(call.fake, NULL, NULL);
}

/* A slot's generation is 1 when it is run on for the first time. */
void burrow_valgrind_stack(const struct burrow_stack *stack)
{
	const char *low = burrow_stack_low(stack) + stack->arena->guard;

	if (stack->generation == 1)
		(void)VALGRIND_STACK_REGISTER(low, burrow_stack_top(stack) - 1);
}

#ifdef BURROW_TSAN

extern void *__tsan_get_current_fiber(void);
extern void *__tsan_create_fiber(unsigned int flags);
extern void __tsan_destroy_fiber(void *fiber);
extern void __tsan_switch_to_fiber(void *fiber, unsigned int flags);

void burrow_tsan_thread(struct burrow_thread *self)
{
	self->loop.fiber = __tsan_get_current_fiber();
}

void burrow_tsan_create(struct goroutine *g)
{
	g->fiber = __tsan_create_fiber(0);
}

void burrow_tsan_free(struct goroutine *g)
{
	__tsan_destroy_fiber(g->fiber);
	g->fiber = NULL;
}

/*
 * With flag 0: what one goroutine did is seen as done before what the next one
 * on this thread does. That hides races between goroutines of one processor,
 * but what we do here for one in the other's place needs it.
 */
void burrow_tsan_switch(struct goroutine *to)
{
	__tsan_switch_to_fiber(to->fiber, 0);
}

#endif /* BURROW_TSAN */
