// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A chat for nc: what one says all others read. The first line is the name.
 *
 * Two goroutines for each guest: one reads lines and hands them to everybody,
 * one takes them from the guest's channel and writes them. A guest who reads too
 * slowly misses lines; he holds up nobody.
 *
 *	chat PORT
 *	nc localhost PORT
 */
#include <burrow.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 512
#define BEHIND 64 /* lines a guest may be behind */

/**
 * struct line - something said, shared by all who have yet to read it
 * @refs:	how many; atomic
 * @len:	bytes
 * @text:	they
 */
struct line {
	int refs;
	int len;
	char text[LINE_BYTES + 64];
};

/**
 * struct guest - somebody there
 * @fd:		socket
 * @name:	as others see it
 * @lines:	struct line pointers to be written
 * @done:	its writer has ended
 * @next:	list of all; under @room
 */
struct guest {
	int fd;
	char name[32];
	struct burrow_chan *lines;
	struct burrow_waitgroup writer;
	struct guest *next;
};

static struct burrow_mutex room;
static struct guest *guests;
static int nr_guests;

static void drop(struct line *line, int refs)
{
	if (!__atomic_sub_fetch(&line->refs, refs, __ATOMIC_ACQ_REL))
		free(line);
}

static void say(const struct guest *from, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct guest *from, const char *format, ...)
{
	struct line *line = malloc(sizeof(*line));
	int unsent = 1; /* our own */
	struct guest *g;
	va_list ap;

	if (!line)
		return;
	va_start(ap, format);
	line->len = vsnprintf(line->text, sizeof(line->text), format, ap);
	va_end(ap);

	burrow_mutex_lock(&room);
	/* Before the first of them can be through with it. */
	line->refs = nr_guests + 1;
	for (g = guests; g; g = g->next) {
		if (g == from || burrow_chan_try_send(g->lines, &line))
			unsent++;
	}
	burrow_mutex_unlock(&room);
	drop(line, unsent);
}

static void write_lines(void *arg)
{
	struct guest *g = arg;
	struct line *line;

	while (burrow_chan_recv(g->lines, &line) == 1) {
		burrow_send(g->fd, line->text, line->len, MSG_NOSIGNAL);
		drop(line, 1);
	}
	burrow_waitgroup_done(&g->writer);
}

static int enter(struct guest *g)
{
	g->lines = burrow_chan_new(sizeof(struct line *), BEHIND);
	if (!g->lines)
		return -1;
	burrow_waitgroup_add(&g->writer, 1);
	if (burrow_go(write_lines, g))
		return -1;
	burrow_mutex_lock(&room);
	g->next = guests;
	guests = g;
	nr_guests++;
	burrow_mutex_unlock(&room);
	say(g, "* %s is here\n", g->name);
	return 0;
}

static void leave(struct guest *g)
{
	struct guest **p;

	burrow_mutex_lock(&room);
	for (p = &guests; *p != g; p = &(*p)->next)
		;
	*p = g->next;
	nr_guests--;
	burrow_mutex_unlock(&room);
	burrow_chan_close(g->lines);
	burrow_waitgroup_wait(&g->writer);
	say(NULL, "* %s has left\n", g->name);
}

/**
 * struct reader - lines out of a stream
 * @have:	bytes in @buf
 * @buf:	what came and is no whole line yet
 */
struct reader {
	int have;
	char buf[LINE_BYTES];
};

/* The next line without its end; one that is too long comes in parts. */
static int read_line(int fd, struct reader *r, char line[LINE_BYTES + 1])
{
	char *end;
	ssize_t n;
	int len;

	while (!(end = memchr(r->buf, '\n', r->have)) && r->have < LINE_BYTES) {
		n = burrow_recv(fd, r->buf + r->have, LINE_BYTES - r->have, 0);
		if (n <= 0)
			return -1;
		r->have += n;
	}
	len = end ? end - r->buf : r->have;
	memcpy(line, r->buf, len);
	line[len] = 0;
	len += !!end;
	r->have -= len;
	memmove(r->buf, r->buf + len, r->have);
	line[strcspn(line, "\r")] = 0;
	return 0;
}

static void serve(void *arg)
{
	struct guest g = { .fd = (int)(intptr_t)arg };
	struct reader r = { 0 };
	char line[LINE_BYTES + 1];

	burrow_send(g.fd, "your name?\n", 11, MSG_NOSIGNAL);
	if (!read_line(g.fd, &r, line) && *line) {
		snprintf(g.name, sizeof(g.name), "%.31s", line);
		if (!enter(&g)) {
			while (!read_line(g.fd, &r, line))
				say(&g, "%s: %s\n", g.name, line);
			leave(&g);
		}
	}
	burrow_close(g.fd);
}

static int start(void *arg)
{
	int fd, listener = burrow_listen_tcp(NULL, *(int *)arg, 0);

	if (listener < 0) {
		fprintf(stderr, "chat: port %d: %s\n", *(int *)arg,
			strerror(-listener));
		return 1;
	}
	for (;;) {
		fd = burrow_accept(listener, NULL, NULL);
		if (fd >= 0 && burrow_go(serve, (void *)(intptr_t)fd))
			burrow_close(fd);
		else if (fd < 0)
			burrow_sleep(10 * 1000 * 1000);
	}
}

int main(int argc, char **argv)
{
	int port = argc > 1 ? atoi(argv[1]) : 7000;

	return burrow_run(NULL, start, &port);
}
