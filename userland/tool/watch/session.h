/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One watch from beginning to end: a process, its events, and what they add up to.
 */
#ifndef BURROW_TOOL_SESSION_H
#define BURROW_TOOL_SESSION_H

#include "model.h"
#include "scope.h"
#include "target.h"
#include "watch.h"

/**
 * struct session - all of it
 * @target:	what is watched
 * @watch:	its events
 * @model:	what they add up to; its hooks may be set after session_open()
 */
struct session {
	struct target target;
	struct watch *watch;
	struct model model;
};

/* An exit status; not TOOL_OK: it is said why. */
int session_open(struct session *s, const struct scope *scope);

/*
 * Until the process ends, @seconds (0: for ever) are over or an interrupt comes,
 * which is how a watch is ended and no failure. An exit status.
 */
int session_run(struct session *s, double seconds);

/* Says on standard error what was lost, and how a command ended. */
void session_tell(struct session *s);

void session_close(struct session *s);

#endif /* BURROW_TOOL_SESSION_H */
