/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Time for measurements: the processor's own counter, read in place. No call
 * is made, so reading it touches no page of the stack that is being measured,
 * and where instructions are counted it costs one or two of them.
 */
#ifndef BURROW_BENCH_CLOCK_H
#define BURROW_BENCH_CLOCK_H

#include <stdint.h>

#if defined(__x86_64__)
static inline uint64_t bench_ticks(void)
{
	uint32_t low, high;

	/* The fence keeps stores before it inside what is measured. */
	asm volatile("mfence; lfence; rdtsc"
		     : "=a"(low), "=d"(high)
		     :
		     : "memory");
	return (uint64_t)high << 32 | low;
}
#elif defined(__aarch64__)
static inline uint64_t bench_ticks(void)
{
	uint64_t ticks;

	asm volatile("dsb sy; isb; mrs %0, cntvct_el0"
		     : "=r"(ticks)
		     :
		     : "memory");
	return ticks;
}
#else
#error "no cycle counter known for this processor"
#endif

/* Nanoseconds of a number of ticks; the first call measures the rate. */
double bench_ns(uint64_t ticks);

#endif /* BURROW_BENCH_CLOCK_H */
