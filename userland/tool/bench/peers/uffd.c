// SPDX-License-Identifier: GPL-2.0
/*
 * Growth by userfaultfd: a thread reads the faults of a registered mapping and
 * resolves each with UFFDIO_COPY, twice as much each time. The stacks have
 * guards by mprotect(), made once.
 *
 * The thread owns @have while a batch is grown; the main thread looks at a
 * stack's when that has grown, and clears it between batches. UFFDIO_COPY wakes the
 * main thread, so it is the last thing that the thread does with a fault; the system
 * calls order the accesses.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../tool.h"
#include "../descend.h"
#include "../growth.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

struct state {
	char *base;
	size_t bytes;
	size_t stride;
	size_t page;
	unsigned long frames;
	unsigned int batch;
	size_t *have; /* bytes present, of each stack */
	char *zeroes; /* what is copied, as long as a stack */
	int fd;
	int stop;
	pthread_t thread;
	bool started;
};

static void resolve(struct state *s, uintptr_t address)
{
	size_t slot = (address - (uintptr_t)s->base) / s->stride;
	size_t limit = s->stride - GROWTH_GUARD;
	uintptr_t top = (uintptr_t)s->base + (slot + 1) * s->stride;
	size_t need = (top - address + s->page - 1) / s->page * s->page;
	size_t want = 2 * s->have[slot];
	struct uffdio_copy copy = { .src = (uintptr_t)s->zeroes };

	if (want < need)
		want = need;
	if (want > limit)
		want = limit;
	copy.dst = top - want;
	copy.len = want - s->have[slot];
	s->have[slot] = want;
	if (ioctl(s->fd, UFFDIO_COPY, &copy) < 0) {
		/* Nobody could ever go on from here. */
		perror("burrow: UFFDIO_COPY");
		_exit(TOOL_FAILED);
	}
}

static void *serve(void *p)
{
	struct state *s = p;
	struct pollfd fds[2] = {
		{ .fd = s->fd, .events = POLLIN },
		{ .fd = s->stop, .events = POLLIN },
	};
	struct uffd_msg msg;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		if (read(s->fd, &msg, sizeof(msg)) == sizeof(msg) &&
		    msg.event == UFFD_EVENT_PAGEFAULT)
			resolve(s, msg.arg.pagefault.address);
	}
}

static void close_state(void *p)
{
	struct state *s = p;
	const uint64_t one = 1;

	if (s->started && write(s->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(s->thread, NULL);
	if (s->fd >= 0)
		close(s->fd);
	if (s->stop >= 0)
		close(s->stop);
	if (s->base)
		munmap(s->base, s->bytes);
	if (s->zeroes)
		munmap(s->zeroes, s->stride);
	free(s->have);
	free(s);
}

static int open_userfaultfd(void)
{
	int flags = O_CLOEXEC | O_NONBLOCK;
	int fd = syscall(SYS_userfaultfd, flags);

	if (fd < 0 && errno == EPERM)
		fd = syscall(SYS_userfaultfd, flags | UFFD_USER_MODE_ONLY);
	return fd;
}

static char *map(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int prepare(struct state *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;
	unsigned int i;

	s->fd = open_userfaultfd();
	s->stop = eventfd(0, EFD_CLOEXEC);
	s->base = map(s->bytes);
	s->zeroes = map(s->stride);
	if (s->fd < 0 || s->stop < 0 || !s->base || !s->zeroes ||
	    ioctl(s->fd, UFFDIO_API, &api))
		return -1;
	memset(s->zeroes, 0, s->stride);
	for (i = 0; i < s->batch; i++)
		if (mprotect(s->base + i * s->stride, GROWTH_GUARD, PROT_NONE))
			return -1;
	reg = (struct uffdio_register){
		.range = { (uintptr_t)s->base, s->bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	if (ioctl(s->fd, UFFDIO_REGISTER, &reg))
		return -1;
	errno = pthread_create(&s->thread, NULL, serve, s);
	s->started = errno == 0;
	return s->started ? 0 : -1;
}

static void *open_state(struct growth_plan *plan)
{
	struct state *s = growth_alloc(1, sizeof(*s));

	s->fd = -1;
	s->stop = -1;
	s->stride = growth_stride(plan->depth);
	s->bytes = s->stride * plan->batch;
	s->page = sysconf(_SC_PAGESIZE);
	s->frames = plan->frames;
	s->batch = plan->batch;
	s->have = growth_alloc(plan->batch, sizeof(*s->have));
	if (prepare(s)) {
		growth_cannot(plan, "userfaultfd: %s", strerror(errno));
		close_state(s);
		return NULL;
	}
	return s;
}

static int grow(void *p, unsigned int i, uint64_t *ticks)
{
	struct state *s = p;

	*ticks = descend_on(s->base + (i + 1) * s->stride, s->frames);
	/* A stack that had its pages before would grow for nothing. */
	return s->have[i] ? 0 : -EEXIST;
}

static int give_back(void *p)
{
	struct state *s = p;
	unsigned int i;

	for (i = 0; i < s->batch; i++) {
		if (madvise(s->base + i * s->stride + GROWTH_GUARD,
			    s->stride - GROWTH_GUARD, MADV_DONTNEED))
			return -errno;
		s->have[i] = 0;
	}
	return 0;
}

const struct growth_way growth_uffd = {
	.name = "uffd",
	.open = open_state,
	.grow = grow,
	.end = give_back,
	.close = close_state,
};
