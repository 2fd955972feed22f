// SPDX-License-Identifier: GPL-2.0
/*
 * Go beside Burrow. The program is in go/; its text is part of this one, so
 * that it can be built wherever a `go` is found. Where the build of Burrow
 * found one, the program lies beside us already.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tool.h"
#include "../growth.h"
#include "../peer.h"

#define PROGRAM "burrow-peer-go"

/* The text of the files of go/, from go-text.S. */
extern const char go_text_main[], go_text_main_end[];
extern const char go_text_mod[], go_text_mod_end[];
extern const char go_text_asm[], go_text_asm_end[];

static int write_text(const char *dir, const char *name, const char *text,
		      const char *end)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fwrite(text, 1, end - text, f);
	return fclose(f) ? -errno : 0;
}

/* Has `go build` made @dir/PROGRAM? Quietly: the caller says if not. */
static bool build(const char *dir)
{
	pid_t pid = fork();
	char cache[PATH_MAX];
	int status, fd;

	if (!pid) {
		fd = open("/dev/null", O_RDWR);
		dup2(fd, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		/* Somewhere to write, whatever HOME is. */
		snprintf(cache, sizeof(cache), "%s/cache", dir);
		setenv("GOCACHE", cache, 1);
		if (!chdir(dir))
			execlp("go", "go", "build", "-o", PROGRAM, ".",
			       (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static bool have_go(void)
{
	const char *p = getenv("PATH");
	char path[PATH_MAX];

	while (p && *p) {
		int n = strcspn(p, ":");

		snprintf(path, sizeof(path), "%.*s/go", n, p);
		if (!access(path, X_OK))
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

static int build_and_start(struct peer *peer, char *why, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX / 2], path[PATH_MAX];
	int err = -ENOENT;

	snprintf(dir, sizeof(dir), "%s/burrow-go.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		snprintf(why, size, "no temporary folder: %s", strerror(errno));
		return -EIO;
	}
	if (write_text(dir, "main.go", go_text_main, go_text_main_end) ||
	    write_text(dir, "go.mod", go_text_mod, go_text_mod_end) ||
	    write_text(dir, "descend_amd64.s", go_text_asm, go_text_asm_end) ||
	    !build(dir)) {
		snprintf(why, size, "`go build' failed");
	} else {
		snprintf(path, sizeof(path), "%s/" PROGRAM, dir);
		err = peer_exec(peer, path);
		if (err)
			snprintf(why, size, "the Go program did not start");
	}
	/* It runs from memory now. */
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return err;
}

int peer_go(struct peer *peer, char *why, size_t size)
{
#ifndef __x86_64__
	snprintf(why, size, "its recursion is written for x86-64 only");
	return -EOPNOTSUPP;
#endif
	if (!peer_built(peer, PROGRAM))
		return 0;
	if (!have_go()) {
		snprintf(why, size, "no `go' in PATH");
		return -ENOENT;
	}
	return build_and_start(peer, why, size);
}

struct state {
	struct peer peer;
	unsigned long frames;
	uint64_t cycle;
};

static void close_state(void *p)
{
	struct state *s = p;

	peer_end(&s->peer);
	free(s);
}

static void *open_state(struct growth_plan *plan)
{
	struct state *s = growth_alloc(1, sizeof(*s));

	s->frames = plan->frames;
	if (peer_go(&s->peer, plan->why, sizeof(plan->why))) {
		free(s);
		return NULL;
	}
	return s;
}

static int grow(void *p, unsigned int i, uint64_t *ticks)
{
	struct state *s = p;
	uint64_t answer[2];
	char request[64];
	int err;

	snprintf(request, sizeof(request), "grow %lu", s->frames);
	err = peer_ask(&s->peer, request, 2, answer);
	if (err)
		return err;
	*ticks = answer[0];
	s->cycle = answer[1] + (i ? s->cycle : 0);
	return 0;
}

static uint64_t cycle(void *p)
{
	return ((struct state *)p)->cycle;
}

const struct growth_way growth_go = {
	.name = "go",
	.open = open_state,
	.grow = grow,
	.cycle = cycle,
	.close = close_state,
};
