// SPDX-License-Identifier: GPL-2.0
/*
 * `burrow trace`: follows a process, or a command that it starts, and writes what
 * its goroutines do. One thread only.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"
#include "watch/format.h"
#include "watch/sites.h"

static const struct format *const formats[] = {
	&format_log,
	&format_perfetto,
	&format_folded,
};

struct arguments {
	struct scope scope;
	const struct format *format;
	const char *file;
};

static const struct format *format_named(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	}
	return NULL;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->scope;
		return 0;
	case 'f':
		args->format = format_named(text);
		if (!args->format)
			argp_error(state, "no such format: %s", text);
		return 0;
	case 'o':
		args->file = text;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run_to(const struct arguments *args, FILE *to)
{
	struct session s;
	int ret;

	ret = session_open(&s, &args->scope);
	if (ret)
		return ret;
	args->format->begin(&s, to);
	ret = session_run(&s, args->scope.seconds);
	args->format->end(&s, to);
	session_tell(&s);
	session_close(&s);
	sites_forget(0);
	return ret;
}

static int run(const struct arguments *args)
{
	FILE *to = args->file ? fopen(args->file, "we") : stdout;
	int ret, bad;

	if (!to) {
		tool_say("%s: %s", args->file, strerror(errno));
		return TOOL_FAILED;
	}
	ret = run_to(args, to);
	bad = ferror(to);
	if (args->file)
		bad |= fclose(to);
	else
		bad |= fflush(to);
	if (bad) {
		tool_say("%s: %s", args->file ? args->file : "standard output",
			 strerror(errno));
		return TOOL_FAILED;
	}
	return ret;
}

static const char doc[] =
	"Writes what the goroutines of a process do, and what its stacks do.\n"
	"\vUntil it ends, the time is over, or Ctrl-C; a command is ended with\n"
	"it. Takes CAP_BPF and CAP_PERFMON; growth, trims and hibernation of\n"
	"stacks take the module. What was lost is said.\n"
	"\n"
	"Exit status: 0 all went well, whatever the command's own status;\n"
	"1 it went wrong; 2 the command line was not understood; 3 this\n"
	"process may not use BPF.";

int tool_trace(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "format", 'f', "FORMAT", 0, "log (without), perfetto, folded",
		  0 },
		{ "output", 'o', "FILE", 0, "instead of standard output", 0 },
		{ 0 },
	};
	static const struct argp_child children[] = {
		{ &scope_argp, 0, NULL, 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.children = children,
		.parser = parse,
		.doc = doc,
	};
	struct arguments args = { .format = &format_log };

	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &args))
		return TOOL_USAGE;
	return run(&args);
}
