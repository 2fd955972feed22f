/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What of a machine is to be watched, as the command line says: a process or a
 * command, and for how long.
 */
#ifndef BURROW_TOOL_SCOPE_H
#define BURROW_TOOL_SCOPE_H

#include <argp.h>
#include <sys/types.h>

/**
 * struct scope - of one watch
 * @pid:	of the process, 0: none was named
 * @seconds:	for how long, 0: until it ends
 * @command:	and its arguments, NULL: none was named
 */
struct scope {
	pid_t pid;
	double seconds;
	char **command;
};

/*
 * A child for a subcommand's parser, whose input is the struct scope: --pid,
 * --seconds, and a command with all that follows it. One of pid and command is
 * asked for.
 */
extern const struct argp scope_argp;

#endif /* BURROW_TOOL_SCOPE_H */
