/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contexts from inside. */
#ifndef BURROW_CTX_INTERNAL_H
#define BURROW_CTX_INTERNAL_H

struct burrow_ctx;
struct burrow_thread;

/* As burrow_ctx_with_cancel(). */
struct burrow_ctx *burrow_ctx_make(struct burrow_thread *self,
				   const struct burrow_ctx *parent);

/* As burrow_ctx_cancel(), with an error, for one that can be cancelled. */
void burrow_ctx_end(struct burrow_thread *self, struct burrow_ctx *ctx,
		    int err);

#endif /* BURROW_CTX_INTERNAL_H */
