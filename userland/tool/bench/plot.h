/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pictures, by gnuplot.
 */
#ifndef BURROW_BENCH_PLOT_H
#define BURROW_BENCH_PLOT_H

#include <stdio.h>

/*
 * Has gnuplot draw what @script writes to @path, an SVG file; 0, or -1 if that
 * was not possible, which was said on standard error.
 */
int plot_draw(const char *path, void (*script)(FILE *to, const void *arg),
	      const void *arg);

#endif /* BURROW_BENCH_PLOT_H */
