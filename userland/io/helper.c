// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads for what no engine can wait for: name look-ups, and without io_uring
 * files, and descriptors that would block.
 *
 * At most HELPERS of them, started when a job finds none free, ended when there
 * was nothing to do for a while. They are no part of the runtime and hold no
 * processor; what they have done they leave on the ring that it came from.
 *
 * A job that must end early and is with a thread already: the thread is sent a
 * signal, whose handler does nothing, but for which the system call returns. As
 * it may come a moment before the system call, it is sent again until the job
 * ends. It is the highest real-time signal that nobody uses when the first
 * helper starts.
 *
 * One mutex is over all of it; it is held for a few instructions.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "io.h"

#define HELPERS 256
#define HELPER_STACK (256UL << 10) /* name look-ups want some */
#define IDLE_S 10

/**
 * struct burrow_helper - one thread
 * @pthread:	handle
 * @job:	what it is at
 * @next:	list of all
 */
struct burrow_helper {
	pthread_t pthread;
	struct burrow_helper_job *job;
	struct burrow_helper *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct burrow_helper_job *first, **last = &first;
static struct burrow_helper *helpers;
static unsigned int nr_helpers, nr_free;
static int interrupt_signal;

static void interrupted(int signo)
{
	(void)signo;
}

/* Without SA_RESTART: system calls are to return. */
static void choose_signal(void)
{
	struct sigaction old, ours = { .sa_handler = interrupted };
	int signo;

	for (signo = SIGRTMAX; signo > SIGRTMIN; signo--) {
		if (!sigaction(signo, NULL, &old) &&
		    old.sa_handler == SIG_DFL && !sigaction(signo, &ours, NULL))
			break;
	}
	interrupt_signal = signo;
}

/* Under the lock. */
static struct burrow_helper_job *take(void)
{
	struct burrow_helper_job *job = first;

	if (job) {
		first = job->next;
		if (!first)
			last = &first;
	}
	return job;
}

/* Under the lock. False: there has been nothing for long. */
static bool wait_for_work(void)
{
	struct timespec until;
	int ret = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += IDLE_S;
	nr_free++;
	while (!first && !ret)
		ret = pthread_cond_timedwait(&work, &lock, &until);
	nr_free--;
	return first;
}

/* Under the lock, which is dropped meanwhile. */
static void serve(struct burrow_helper *self, struct burrow_helper_job *job)
{
	struct burrow_io_request *req;
	int64_t result;

	job->thread = self;
	self->job = job;
	pthread_mutex_unlock(&lock);
	result = job->run(job);
	pthread_mutex_lock(&lock);
	self->job = NULL;
	job->thread = NULL;
	req = job->request;
	job->request = NULL;
	if (req) {
		req->result = result;
		/* From here on job and request may be gone. */
		burrow_io_post(req->call->ring, req);
	} else {
		job->drop(job);
	}
}

static void *helper_main(void *arg)
{
	struct burrow_helper *self = arg, **p;
	struct burrow_helper_job *job;

	pthread_mutex_lock(&lock);
	do {
		while ((job = take()))
			serve(self, job);
	} while (wait_for_work());
	for (p = &helpers; *p != self; p = &(*p)->next)
		;
	*p = self->next;
	nr_helpers--;
	pthread_mutex_unlock(&lock);
	free(self);
	return NULL;
}

/* Under the lock. It begins with all signals blocked but the one. */
static int helper_new(void)
{
	struct burrow_helper *helper = calloc(1, sizeof(*helper));
	pthread_attr_t attr;
	sigset_t set, old;
	int ret;

	if (!helper)
		return -ENOMEM;
	if (!interrupt_signal)
		choose_signal();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, HELPER_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&set);
	sigdelset(&set, interrupt_signal);
	pthread_sigmask(SIG_SETMASK, &set, &old);
	ret = pthread_create(&helper->pthread, &attr, helper_main, helper);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (ret) {
		free(helper);
		return -ret;
	}
	helper->next = helpers;
	helpers = helper;
	nr_helpers++;
	return 0;
}

/* Under the lock. */
static bool unqueue(struct burrow_helper_job *job)
{
	struct burrow_helper_job **p;

	for (p = &first; *p; p = &(*p)->next) {
		if (*p != job)
			continue;
		*p = job->next;
		if (last == &job->next)
			last = p;
		return true;
	}
	return false;
}

int burrow_helper_start(struct burrow_helper_job *job)
{
	int ret = 0;

	pthread_mutex_lock(&lock);
	job->request->state = IO_HELPED;
	job->thread = NULL;
	job->next = NULL;
	*last = job;
	last = &job->next;
	if (nr_free)
		pthread_cond_signal(&work);
	if (!nr_free && nr_helpers < HELPERS)
		ret = helper_new();
	/* Somebody will come to it where there is anybody. */
	if (ret && nr_helpers)
		ret = 0;
	if (ret)
		unqueue(job);
	pthread_mutex_unlock(&lock);
	return ret ? -ENOMEM : 0;
}

bool burrow_helper_cancel(struct burrow_thread *self,
			  struct burrow_io_request *req)
{
	struct burrow_helper_job *job = req->job;
	bool ours = false, over = false;

	pthread_mutex_lock(&lock);
	if (!job->request) {
		/* It is done, and posted. */
		over = true;
	} else if (job->drop || unqueue(job)) {
		job->request = NULL;
		ours = true;
	} else {
		pthread_kill(job->thread->pthread, interrupt_signal);
	}
	pthread_mutex_unlock(&lock);
	if (ours)
		burrow_io_complete(self, req, -ECANCELED);
	return ours || over;
}

/* At the end: nobody waits for it any more. Under the lock. */
static void give_up(struct burrow_helper_job *job)
{
	struct burrow_io_request *req = job->request;

	job->request = NULL;
	burrow_io_complete(NULL, req, -ECANCELED);
}

static bool is_of(const struct burrow_helper_job *job,
		  const struct burrow_io_ring *ring)
{
	return job && job->request && job->request->call->ring == ring;
}

static void flush_queue(struct burrow_io_ring *ring)
{
	struct burrow_helper_job **p = &first, *job;

	while ((job = *p)) {
		if (!is_of(job, ring)) {
			p = &job->next;
			continue;
		}
		*p = job->next;
		give_up(job);
		if (job->drop)
			job->drop(job);
	}
	last = p;
}

/* True: some are still at work with memory that is about to go. */
static bool interrupt_all(struct burrow_io_ring *ring)
{
	struct burrow_helper *h;
	bool some = false;

	for (h = helpers; h; h = h->next) {
		if (!is_of(h->job, ring))
			continue;
		if (h->job->drop) {
			give_up(h->job);
			continue;
		}
		pthread_kill(h->pthread, interrupt_signal);
		some = true;
	}
	return some;
}

void burrow_helper_flush(struct burrow_io_ring *ring)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	pthread_mutex_lock(&lock);
	flush_queue(ring);
	while (interrupt_all(ring)) {
		pthread_mutex_unlock(&lock);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
}
