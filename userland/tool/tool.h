/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the subcommands of `burrow` have in common: their entry points, the
 * exit statuses that burrow(1) promises, and how an error looks.
 */
#ifndef BURROW_TOOL_H
#define BURROW_TOOL_H

#include <signal.h>
#include <stdbool.h>

/* Exit statuses; burrow(1) lists them. */
enum tool_status {
	TOOL_OK = 0,
	TOOL_FAILED = 1, /* it was tried and went wrong */
	TOOL_USAGE = 2, /* it was not understood */
	TOOL_NOTHING = 3, /* nothing of it can be done on this machine */
	TOOL_INTERRUPTED = 130,
};

/* Subcommands take the arguments from their own name on. */
int tool_bench(int argc, char **argv);
int tool_doctor(int argc, char **argv);
int tool_stat(int argc, char **argv);
int tool_top(int argc, char **argv);
int tool_trace(int argc, char **argv);

/* Says "burrow: ..." on standard error, on a line of its own. */
void tool_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Set by SIGINT, SIGTERM and SIGHUP once tool_catch_interrupts() was called. */
extern volatile sig_atomic_t tool_interrupted;
void tool_catch_interrupts(void);

#endif /* BURROW_TOOL_H */
