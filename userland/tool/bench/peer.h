/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process of its own that does what a benchmark asks, a line a request: its
 * memory can be looked at from outside, and it can be written in another
 * language. It says "ready" first, and answers each request with a number.
 *
 * Requests are words and numbers: "park 1000", "end", "grow 64 16".
 */
#ifndef BURROW_BENCH_PEER_H
#define BURROW_BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/**
 * struct peer - a child process that serves requests
 * @pid:	of the child
 * @to:		requests
 * @from:	answers
 * @patience:	milliseconds that an answer may take, 0: PEER_PATIENCE_MS
 */
struct peer {
	pid_t pid;
	FILE *to;
	FILE *from;
	int patience;
};

#define PEER_PATIENCE_MS 900000

/*
 * Runs @serve in a child, whose result is its exit status; 0 once the child is
 * ready, or a negative errno.
 */
int peer_fork(struct peer *peer, int (*serve)(FILE *from, FILE *to, void *arg),
	      void *arg);

/* The same with a program. */
int peer_exec(struct peer *peer, const char *path);

/* With a program that the build has put beside ours, by its name there. */
int peer_built(struct peer *peer, const char *name);

/*
 * Sends a request and waits for the numbers of its answer; 0 or -errno. A peer
 * that takes longer than its patience is killed.
 */
int peer_ask(struct peer *peer, const char *request, unsigned int n,
	     uint64_t *answer);

/* Tells it that there is no more, and waits for its end. */
void peer_end(struct peer *peer);

/* Starts the Go program of peers/go, building it first if it must. */
int peer_go(struct peer *peer, char *why, size_t size);

#endif /* BURROW_BENCH_PEER_H */
