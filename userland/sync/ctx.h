/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contexts from inside. */
#ifndef BURROW_CTX_INTERNAL_H
#define BURROW_CTX_INTERNAL_H

struct burrow_ctx;
struct burrow_thread;

/*
 * As burrow_ctx_with_cancel(), in two steps: first outside of the runtime, then
 * inside. NULL: no memory; the second takes that, too.
 */
struct burrow_ctx *burrow_ctx_new(void);
struct burrow_ctx *burrow_ctx_open(struct burrow_thread *self,
				   struct burrow_ctx *ctx,
				   const struct burrow_ctx *parent);

/* As burrow_ctx_cancel(), with an error, for one that can be cancelled. */
void burrow_ctx_end(struct burrow_thread *self, struct burrow_ctx *ctx,
		    int err);

#endif /* BURROW_CTX_INTERNAL_H */
