// SPDX-License-Identifier: GPL-2.0
/*
 * The rate of the processor's counter, measured once against CLOCK_MONOTONIC.
 * One thread only.
 */
#include <time.h>

#include "clock.h"

#define CALIBRATION_NS 20000000LL

static int64_t monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static double measure_rate(void)
{
	int64_t t0 = monotonic(), t1;
	uint64_t c0 = bench_ticks();

	/* Spinning, not sleeping: an idle processor may slow its counter. */
	do {
		t1 = monotonic();
	} while (t1 - t0 < CALIBRATION_NS);
	return (double)(t1 - t0) / (double)(bench_ticks() - c0);
}

double bench_ns(uint64_t ticks)
{
	static double rate;

	if (rate == 0)
		rate = measure_rate();
	return (double)ticks * rate;
}
