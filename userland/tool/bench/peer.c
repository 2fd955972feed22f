// SPDX-License-Identifier: GPL-2.0
/*
 * Child processes that serve requests. See peer.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tool.h"
#include "peer.h"

static int wait_ready(struct peer *peer)
{
	char line[64];

	if (fgets(line, sizeof(line), peer->from) && !strcmp(line, "ready\n"))
		return 0;
	peer_end(peer);
	return tool_interrupted ? -EINTR : -EPROTO;
}

/* 0 in the child, its pid in the parent; @fds: requests, then answers. */
static pid_t split(struct peer *peer, int fds[4])
{
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(fds + 2, O_CLOEXEC) < 0) {
		close(fds[0]);
		close(fds[1]);
		return -errno;
	}
	fflush(NULL);
	pid = fork();
	if (pid <= 0) {
		/* Nobody else would end it. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		return pid < 0 ? -errno : 0;
	}
	close(fds[0]);
	close(fds[3]);
	peer->pid = pid;
	peer->to = fdopen(fds[1], "w");
	peer->from = fdopen(fds[2], "r");
	return pid;
}

int peer_fork(struct peer *peer, int (*serve)(FILE *from, FILE *to, void *arg),
	      void *arg)
{
	int fds[4];
	pid_t pid = split(peer, fds);
	FILE *from, *to;

	if (pid < 0)
		return pid;
	if (pid > 0)
		return wait_ready(peer);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	close(fds[1]);
	close(fds[2]);
	from = fdopen(fds[0], "r");
	to = fdopen(fds[3], "w");
	_exit(from && to ? serve(from, to, arg) : TOOL_FAILED);
}

int peer_exec(struct peer *peer, const char *path)
{
	int fds[4];
	pid_t pid = split(peer, fds);

	if (pid < 0)
		return pid;
	if (pid > 0)
		return wait_ready(peer);
	if (dup2(fds[0], STDIN_FILENO) >= 0 && dup2(fds[3], STDOUT_FILENO) >= 0)
		execl(path, path, (char *)NULL);
	_exit(127);
}

int peer_built(struct peer *peer, const char *name)
{
	char self[PATH_MAX / 2], path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return -errno;
	self[n] = 0;
	snprintf(path, sizeof(path), "%s/%s", dirname(self), name);
	return access(path, X_OK) ? -errno : peer_exec(peer, path);
}

/* The whole answer comes in one write: nothing of it is read ahead. */
static int wait_answer(struct peer *peer)
{
	struct pollfd fd = { .fd = fileno(peer->from), .events = POLLIN };
	int patience = peer->patience ? peer->patience : PEER_PATIENCE_MS;
	int n = poll(&fd, 1, patience);

	if (n > 0)
		return 0;
	if (n < 0)
		return -errno;
	kill(peer->pid, SIGKILL);
	return -ETIMEDOUT;
}

int peer_ask(struct peer *peer, const char *request, unsigned int n,
	     uint64_t *answer)
{
	unsigned int i;
	int err;

	if (fprintf(peer->to, "%s\n", request) < 0 || fflush(peer->to))
		return -errno;
	err = wait_answer(peer);
	if (err)
		return err;
	for (i = 0; i < n; i++)
		if (fscanf(peer->from, "%" SCNu64, &answer[i]) != 1)
			return tool_interrupted ? -EINTR : -EPIPE;
	return 0;
}

void peer_end(struct peer *peer)
{
	if (peer->to)
		fclose(peer->to);
	if (tool_interrupted)
		kill(peer->pid, SIGKILL);
	while (waitpid(peer->pid, NULL, 0) < 0 && errno == EINTR)
		kill(peer->pid, SIGKILL);
	if (peer->from)
		fclose(peer->from);
	*peer = (struct peer){ 0 };
}
