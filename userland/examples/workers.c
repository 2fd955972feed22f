// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A worker pool: so many goroutines, each with a C library's buffers on its
 * stack, take jobs from one channel and put results into another. It counts the
 * words of files, as many files at a time as there are workers.
 *
 *	workers FILE...
 */
#include <burrow.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WORKERS 8

struct job {
	const char *path;
	long words;
	int error;
};

struct pool {
	char **paths;
	struct burrow_chan *jobs;
	struct burrow_chan *results;
	struct burrow_waitgroup workers;
};

/* stdio may block in the kernel: on a thread of its own, others go on. */
static void count_words(void *arg)
{
	struct job *job = arg;
	FILE *f = fopen(job->path, "re");
	int c, before = ' ';

	if (!f) {
		job->error = errno;
		return;
	}
	while ((c = getc(f)) != EOF) {
		job->words += isspace(before) && !isspace(c);
		before = c;
	}
	if (ferror(f))
		job->error = EIO;
	fclose(f);
}

static void worker(void *arg)
{
	struct pool *pool = arg;
	struct job job;

	burrow_chan_for_each(job, pool->jobs)
	{
		burrow_blocking(count_words, &job);
		burrow_chan_send(pool->results, &job);
	}
	burrow_waitgroup_done(&pool->workers);
}

static void hand_out(void *arg)
{
	struct pool *pool = arg;
	char **path;

	for (path = pool->paths; *path; path++) {
		struct job job = { .path = *path };

		burrow_chan_send(pool->jobs, &job);
	}
	burrow_chan_close(pool->jobs);
	burrow_waitgroup_wait(&pool->workers);
	burrow_chan_close(pool->results);
}

static int start(void *arg)
{
	struct pool pool = { .paths = arg };
	long words = 0;
	int i, bad = 0;
	struct job job;

	pool.jobs = burrow_chan_new(sizeof(struct job), 0);
	pool.results = burrow_chan_new(sizeof(struct job), WORKERS);
	if (!pool.jobs || !pool.results)
		return 1;
	burrow_waitgroup_add(&pool.workers, WORKERS);
	for (i = 0; i < WORKERS; i++)
		burrow_go(worker, &pool);
	burrow_go(hand_out, &pool);

	burrow_chan_for_each(job, pool.results)
	{
		if (job.error) {
			fprintf(stderr, "%s: %s\n", job.path,
				strerror(job.error));
			bad = 1;
			continue;
		}
		printf("%8ld %s\n", job.words, job.path);
		words += job.words;
	}
	printf("%8ld in all\n", words);
	return bad;
}

int main(int argc, char **argv)
{
	(void)argc;
	return burrow_run(NULL, start, argv + 1);
}
