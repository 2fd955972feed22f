/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contexts: what is done for one request, and when to give it up.
 *
 * A context is handed down from function to function. Its channel closes when
 * the work is to be given up: because somebody cancelled it or one of its
 * parents, or because a deadline has passed. It can also carry values.
 *
 * A context is an object of the collected heap. One that can end is kept by its
 * parent, and its deadline, until it has: what is not needed any more should be
 * cancelled. Only goroutines may call these.
 */
#ifndef BURROW_CTX_H
#define BURROW_CTX_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct burrow_ctx;
struct burrow_chan;

/**
 * burrow_ctx_background() - the context that all others are made from
 *
 * Never cancelled, without a deadline or values. From any thread; in each of
 * the following functions a parent of NULL means this one.
 */
struct burrow_ctx *burrow_ctx_background(void);

/**
 * burrow_ctx_with_cancel() - make a context that can be cancelled
 * @parent:	it ends when this one does, at the latest
 *
 * Return: the context, or NULL: no memory.
 */
struct burrow_ctx *burrow_ctx_with_cancel(struct burrow_ctx *parent);

/**
 * burrow_ctx_with_deadline() - make a context that ends at a time
 * @parent:	it ends when this one does, at the latest
 * @deadline:	time of burrow_now(); then its error is -ETIMEDOUT
 *
 * It can be cancelled before.
 *
 * Return: the context, or NULL: no memory.
 */
struct burrow_ctx *burrow_ctx_with_deadline(struct burrow_ctx *parent,
					    int64_t deadline);

/**
 * burrow_ctx_with_value() - make a context that carries a value
 * @parent:	in all else it is this one
 * @key:	an address that stands for the meaning; keys are told apart by it
 * @value:	the value
 *
 * Return: the context, or NULL: no memory.
 */
struct burrow_ctx *burrow_ctx_with_value(struct burrow_ctx *parent,
					 const void *key, void *value);

/**
 * burrow_ctx_cancel() - end a context and all that were made from it
 * @ctx:	one made by burrow_ctx_with_cancel() or burrow_ctx_with_deadline()
 * @err:	its error from now on, a negative errno; 0 stands for -ECANCELED
 *
 * One that has ended keeps its error.
 *
 * Return: 0, or -EINVAL: it is another, or @err is more than 0; -EPERM.
 */
int burrow_ctx_cancel(struct burrow_ctx *ctx, int err);

/**
 * burrow_ctx_err() - why a context has ended
 * @ctx:	context
 *
 * From any thread.
 *
 * Return: 0 while it has not; -ETIMEDOUT if its time was up; what
 * burrow_ctx_cancel() was given.
 */
int burrow_ctx_err(const struct burrow_ctx *ctx);

/**
 * burrow_ctx_done() - the channel that closes when a context ends
 * @ctx:	context
 *
 * From any thread.
 *
 * Return: the channel; nothing is ever sent on it. NULL, a channel that is never
 * ready, if the context cannot end.
 */
struct burrow_chan *burrow_ctx_done(const struct burrow_ctx *ctx);

/**
 * burrow_ctx_deadline() - when a context ends at the latest
 * @ctx:	context
 *
 * For calls that take a deadline. From any thread.
 *
 * Return: time of burrow_now(); INT64_MAX, which all of them take for never, if
 * there is none.
 */
int64_t burrow_ctx_deadline(const struct burrow_ctx *ctx);

/**
 * burrow_ctx_value() - a value that a context carries
 * @ctx:	context
 * @key:	that it was made with
 *
 * From any thread.
 *
 * Return: the value of the nearest one with that key, or NULL.
 */
void *burrow_ctx_value(const struct burrow_ctx *ctx, const void *key);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* BURROW_CTX_H */
