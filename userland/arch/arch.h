/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each instruction set has to bring: four functions in assembly, in
 * arch/<isa>/switch.S. They are called by the scheduler, by the debug part and
 * by the benchmark; they know nothing of any of them.
 *
 * A context is a stack pointer: everything else lies on the stack below it.
 * Unwind tables describe each of these functions at each instruction, so that
 * a debugger, an exception and a backtrace go through them, and end at the
 * entry of a context that burrow_arch_make() made.
 */
#ifndef BURROW_ARCH_H
#define BURROW_ARCH_H

#include <stdbool.h>

/**
 * burrow_arch_switch() - save this context, continue another
 * @save:	where the stack pointer of this one goes
 * @load:	stack pointer of the other
 * @pass:	what burrow_arch_switch() returns there, or the first argument
 *		of its entry function if it starts
 *
 * Keeps what the calling convention says a call keeps, the control words of
 * the floating-point units among it. Not to be inlined: the compiler would
 * keep the address of a thread-local variable over it, and a goroutine may
 * come back on another thread.
 *
 * Return: @pass of the call that came back here.
 */
void *burrow_arch_switch(void **save, void *load, void *pass);

/**
 * burrow_arch_make() - a context that has not run yet
 * @top:	upper end of its stack, aligned to 16; words below are written
 * @entry:	what it runs; must not return
 *
 * Return: the stack pointer to load.
 */
void *burrow_arch_make(void *top, void (*entry)(void *pass));

/**
 * burrow_arch_call() - call a function on another stack
 * @save:	where the stack pointer of this one goes; what it keeps of the
 *		caller's lies above
 * @top:	where that stack is free, aligned to 16
 * @fn:		the function
 * @arg:	its argument
 *
 * The caller shows in backtraces from @fn.
 */
void burrow_arch_call(void **save, void *top, void (*fn)(void *arg), void *arg);

/**
 * burrow_arch_visit() - call a function that sees a parked context's callers
 * @context:	a stack pointer that burrow_arch_switch() saved
 * @fn:		the function, called on the current stack
 * @arg:	its argument
 *
 * To an unwinder the caller of @fn is the parked context, not us: a backtrace
 * taken in @fn is that of the context, and not a byte of its stack is written.
 */
void burrow_arch_visit(void *context, void (*fn)(void *arg), void *arg);

/* In a loop that waits for another CPU. */
static inline void burrow_arch_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

/*
 * The value of a thread-local pointer (initial-exec). The compiler must not read
 * it: it would keep the address of the variable over a switch, and a goroutine
 * may come back on another thread.
 */
#if defined(__x86_64__)
#define BURROW_ARCH_THREAD_LOCAL(variable)                                    \
	({                                                                    \
		__typeof__(variable) value_;                                  \
		__asm__ volatile("movq " #variable "@gottpoff(%%rip), %0\n\t" \
				 "movq %%fs:(%0), %0"                         \
				 : "=r"(value_)                               \
				 :                                            \
				 : "memory");                                 \
		value_;                                                       \
	})
#elif defined(__aarch64__)
#define BURROW_ARCH_THREAD_LOCAL(variable)                                \
	({                                                                \
		__typeof__(variable) value_, base_;                       \
		__asm__ volatile("mrs %1, tpidr_el0\n\t"                  \
				 "adrp %0, :gottprel:" #variable "\n\t"   \
				 "ldr %0, [%0, :gottprel_lo12:" #variable \
				 "]\n\t"                                  \
				 "ldr %0, [%1, %0]"                       \
				 : "=&r"(value_), "=&r"(base_)            \
				 :                                        \
				 : "memory");                             \
		value_;                                                   \
	})
#endif

/* Whether the kernel keeps a shadow stack for this thread. */
bool burrow_arch_shadow_stack(void);

#endif /* BURROW_ARCH_H */
