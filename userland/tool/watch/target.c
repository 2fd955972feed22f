// SPDX-License-Identifier: GPL-2.0
/*
 * Finds or starts the process to be watched. See target.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sysfile.h"
#include "../tool.h"
#include "mapping.h"
#include "target.h"

#define LIBRARY "/libburrow.so"

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The shared library as it is mapped by a process that runs. */
static bool is_library(const struct mapping *m, void *arg)
{
	struct target *t = arg;

	if (!strstr(m->file, LIBRARY))
		return false;
	mapping_path(t->pid, m, t->program, sizeof(t->program));
	return true;
}

int target_attach(struct target *t, pid_t pid)
{
	char path[64];

	memset(t, 0, sizeof(*t));
	t->pid = pid;
	t->gate = -1;
	if (kill(pid, 0) && errno == ESRCH) {
		tool_say("there is no process %d", pid);
		return TOOL_FAILED;
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (sysfile_read(path, t->name, sizeof(t->name)))
		snprintf(t->name, sizeof(t->name), "%d", pid);
	if (!mapping_find(pid, is_library, t))
		snprintf(t->program, sizeof(t->program), "/proc/%d/exe", pid);
	return TOOL_OK;
}

/* As execvp(3) finds it; false: it does not. */
static bool find_program(struct target *t, const char *command)
{
	const char *path = getenv("PATH");
	char *copy, *dir, *rest;
	bool found = false;

	if (strchr(command, '/')) {
		snprintf(t->program, sizeof(t->program), "%s", command);
		return !access(command, X_OK);
	}
	copy = strdup(path ? path : "/usr/bin:/bin");
	rest = copy;
	while (copy && !found && (dir = strsep(&rest, ":"))) {
		snprintf(t->program, sizeof(t->program), "%s/%s",
			 *dir ? dir : ".", command);
		found = !access(t->program, X_OK);
	}
	free(copy);
	return found;
}

/* "libburrow.so.0 => /usr/lib/libburrow.so.0 (0x...)", as ldd(1) says. */
static void find_needed(struct target *t)
{
	char line[PATH_MAX + 128], *path;
	int fds[2], status;
	pid_t ldd;
	FILE *f;

	if (pipe2(fds, O_CLOEXEC))
		return;
	ldd = fork();
	if (!ldd) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		execlp("ldd", "ldd", t->program, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	f = fdopen(fds[0], "r");
	while (f && fgets(line, sizeof(line), f)) {
		path = strstr(line, "=> /");
		if (!path || !strstr(line, LIBRARY + 1))
			continue;
		path += 3;
		path[strcspn(path, "\n ")] = 0;
		snprintf(t->program, sizeof(t->program), "%s", path);
	}
	if (f)
		fclose(f);
	waitpid(ldd, &status, 0);
}

static void run_when_let(int gate, char **argv)
{
	char go;

	/* The signals that end us end it, as if nobody watched. */
	if (read(gate, &go, 1) != 1)
		_exit(127);
	execvp(argv[0], argv);
	tool_say("%s: %s", argv[0], strerror(errno));
	_exit(127);
}

int target_start(struct target *t, char **argv)
{
	int fds[2];

	memset(t, 0, sizeof(*t));
	t->gate = -1;
	snprintf(t->name, sizeof(t->name), "%s", base_of(argv[0]));
	if (!find_program(t, argv[0])) {
		tool_say("%s: no such program", argv[0]);
		return TOOL_FAILED;
	}
	find_needed(t);
	if (pipe2(fds, O_CLOEXEC)) {
		tool_say("%s", strerror(errno));
		return TOOL_FAILED;
	}
	t->pid = fork();
	if (!t->pid) {
		close(fds[1]);
		run_when_let(fds[0], argv);
	}
	close(fds[0]);
	t->gate = fds[1];
	if (t->pid < 0) {
		tool_say("%s", strerror(errno));
		return TOOL_FAILED;
	}
	t->ours = true;
	return TOOL_OK;
}

void target_go(struct target *t)
{
	if (t->gate < 0)
		return;
	if (write(t->gate, "", 1) != 1)
		tool_say("the command is gone: %s", strerror(errno));
	close(t->gate);
	t->gate = -1;
}

bool target_ended(struct target *t)
{
	if (t->ended)
		return true;
	if (t->ours)
		t->ended = waitpid(t->pid, &t->status, WNOHANG) != 0;
	else
		t->ended = kill(t->pid, 0) && errno == ESRCH;
	return t->ended;
}

void target_close(struct target *t)
{
	if (t->gate >= 0)
		close(t->gate);
	if (!t->ours || target_ended(t))
		return;
	kill(t->pid, SIGTERM);
	waitpid(t->pid, &t->status, 0);
}
