/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the scheduler has set itself: how much of Go's CPU time each thing may
 * take at most, and how many bare switches. Where a run has measured both
 * sides, the figure is shown beside its goal.
 */
#ifndef BURROW_BENCH_GOALS_H
#define BURROW_BENCH_GOALS_H

#include <stdbool.h>
#include <stdio.h>

struct json_object;

/* Whether there is any figure with a goal among the results. */
bool goals_measured(void);

/* A line for each such figure; nothing if there is none. */
void goals_table(FILE *to);

/* The same as an array, or NULL if there is none. */
struct json_object *goals_json(void);

/* And as a picture: 0, or -1 with a line on standard error. */
int goals_plot(const char *path);

#endif /* BURROW_BENCH_GOALS_H */
