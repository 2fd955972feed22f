// SPDX-License-Identifier: GPL-2.0
/*
 * The `burrow` command: finds the subcommand and hands over. Each subcommand
 * parses its own options; what is here is only what all of them share.
 */
#include <argp.h>
#include <linux/burrow.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

const char *argp_program_version = "burrow " BURROW_RELEASE;

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{ "bench", tool_bench, "measure stacks, trim and dirty tracking" },
	{ "doctor", tool_doctor,
	  "say what works on this machine and what is missing" },
	{ "stat", tool_stat, "say what a program did, in figures" },
	{ "top", tool_top, "show the processes that use the library, live" },
	{ "trace", tool_trace,
	  "write what a program does as a log, for Perfetto, or folded" },
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

volatile sig_atomic_t tool_interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	tool_interrupted = 1;
}

/* Without SA_RESTART: whoever waits in a system call has to look up. */
void tool_catch_interrupts(void)
{
	const struct sigaction sa = { .sa_handler = on_interrupt };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

void tool_say(const char *fmt, ...)
{
	va_list ap;

	fputs("burrow: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static char *help_filter(int key, const char *text, void *input)
{
	char *out = NULL;
	size_t len, i;
	FILE *f;

	(void)input;
	if (key != ARGP_KEY_HELP_PRE_DOC)
		return (char *)text;
	f = open_memstream(&out, &len);
	if (!f)
		return (char *)text;
	fprintf(f, "%s\n\nCommands:\n", text);
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(f, "  %-10s %s\n", commands[i].name,
			commands[i].summary);
	fputs("\n`burrow COMMAND --help` tells about each.\n", f);
	fclose(f);
	return out;
}

static int run_command(int argc, char **argv)
{
	static char name[64];
	size_t i;

	for (i = 0; i < NCOMMANDS; i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		/* argp names the program by argv[0] in its messages. */
		snprintf(name, sizeof(name), "burrow %s", argv[0]);
		argv[0] = name;
		return commands[i].run(argc, argv);
	}
	tool_say("no command `%s'; `burrow --help' lists them", argv[0]);
	return TOOL_USAGE;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	int *first = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_ARG:
		*first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "COMMAND [OPTION...]",
		.doc = "Tools of the Burrow runtime: stacks and heap in arenas\n"
		       "that a kernel module manages.",
		.help_filter = help_filter,
	};
	int first = 0;

	argp_err_exit_status = TOOL_USAGE;
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &first))
		return TOOL_USAGE;
	return run_command(argc - first, argv + first);
}
