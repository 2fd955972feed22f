// SPDX-License-Identifier: GPL-2.0
/*
 * The loop of a watch. See session.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "../tool.h"
#include "session.h"

#define POLL_MS 50

int session_open(struct session *s, const struct scope *scope)
{
	int ret;

	memset(s, 0, sizeof(*s));
	s->target.gate = -1;
	if (model_open(&s->model)) {
		tool_say("no memory");
		return TOOL_FAILED;
	}
	if (scope->pid)
		ret = target_attach(&s->target, scope->pid);
	else
		ret = target_start(&s->target, scope->command);
	if (!ret)
		ret = watch_open(s->target.pid, s->target.program, &s->watch);
	if (ret)
		session_close(s);
	return ret;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int session_run(struct session *s, double seconds)
{
	double until = now() + seconds;
	bool last = false;
	int ret;

	tool_catch_interrupts();
	target_go(&s->target);
	/* What was told before the end is still in the buffer then. */
	while (!last) {
		last = tool_interrupted || target_ended(&s->target) ||
		       (seconds && now() >= until);
		ret = watch_poll(s->watch, last ? 0 : POLL_MS, model_event,
				 &s->model);
		if (ret < 0 && ret != -EINTR) {
			tool_say("the ring buffer: %s", strerror(-ret));
			return TOOL_FAILED;
		}
	}
	model_end(&s->model);
	return TOOL_OK;
}

void session_tell(struct session *s)
{
	uint64_t dropped = watch_dropped(s->watch);
	int status = s->target.status;

	if (dropped)
		tool_say(
			"%lu events were lost: the program was faster than they could be read",
			dropped);
	if (!watch_module(s->watch))
		tool_say(
			"the module is not loaded: no growth, trims and hibernation of stacks");
	if (!s->target.ours || !s->target.ended)
		return;
	if (WIFSIGNALED(status))
		tool_say("%s died of %s", s->target.name,
			 strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		tool_say("%s: exit status %d", s->target.name,
			 WEXITSTATUS(status));
}

void session_close(struct session *s)
{
	if (s->watch)
		watch_close(s->watch);
	target_close(&s->target);
	model_close(&s->model);
}
