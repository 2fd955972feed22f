// SPDX-License-Identifier: GPL-2.0
/*
 * The options that say what is watched. See scope.h.
 */
#include <stdlib.h>

#include "scope.h"

static void take_pid(struct scope *scope, const char *text,
		     struct argp_state *state)
{
	char *end;

	scope->pid = strtol(text, &end, 10);
	if (scope->pid <= 0 || *end)
		argp_error(state, "no process number: %s", text);
}

static void take_seconds(struct scope *scope, const char *text,
			 struct argp_state *state)
{
	char *end;

	scope->seconds = strtod(text, &end);
	if (!(scope->seconds > 0) || *end)
		argp_error(state, "no number of seconds: %s", text);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct scope *scope = state->input;

	switch (key) {
	case 'p':
		take_pid(scope, text, state);
		return 0;
	case 's':
		take_seconds(scope, text, state);
		return 0;
	case ARGP_KEY_ARG:
		scope->command = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!scope->pid == !scope->command)
			argp_error(state,
				   "name a command, or a process with -p");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "pid", 'p', "PID", 0, "a process that runs", 0 },
	{ "seconds", 's', "N", 0, "for no longer than that", 0 },
	{ 0 },
};

const struct argp scope_argp = {
	.options = options,
	.parser = parse,
	.args_doc = "COMMAND [ARGUMENT...]\n-p PID",
};
