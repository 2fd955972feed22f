/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The process that is watched: one that runs, or a command that is started and
 * held until all is attached.
 */
#ifndef BURROW_TOOL_TARGET_H
#define BURROW_TOOL_TARGET_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/**
 * struct target - what is watched
 * @pid:	of it
 * @ours:	we started it
 * @gate:	it waits to read from the other end before it becomes the command
 * @program:	file that the library is in: the program, or the shared library
 * @name:	of the program, for people
 * @status:	as waitpid(2) says, once @ended
 * @ended:	it is gone
 */
struct target {
	pid_t pid;
	bool ours;
	int gate;
	char program[PATH_MAX + 32];
	char name[64];
	int status;
	bool ended;
};

/* An exit status (enum tool_status), with a line on standard error if not 0. */
int target_attach(struct target *target, pid_t pid);
int target_start(struct target *target, char **argv);

/* A command that was started goes on to run. */
void target_go(struct target *target);

bool target_ended(struct target *target);

/* A command that we started does not outlive us. */
void target_close(struct target *target);

#endif /* BURROW_TOOL_TARGET_H */
