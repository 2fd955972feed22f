// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An HTTP/1.1 server: a goroutine for each connection, written as if it were
 * alone. Keep-alive and pipelining; answers to requests that came together go
 * out together. Serves the files of a directory, or a greeting without one.
 *
 *	http PORT [DIRECTORY]
 */
#define _GNU_SOURCE
#include <burrow.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_BYTES 8192 /* a request's head must fit */
#define OUT_BYTES 16384
#define IDLE_NS (60 * 1000000000LL)

static int root = -1;

/**
 * struct conn - one connection
 * @fd:		its socket
 * @keep:	it stays open after this answer
 * @head:	HEAD was asked for: no body
 * @have:	bytes in @in
 * @used:	of them that are dealt with
 * @out_len:	bytes in @out that are not sent yet
 * @in:		what came
 * @out:	what goes
 */
struct conn {
	int fd;
	bool keep;
	bool head;
	size_t have;
	size_t used;
	size_t out_len;
	char in[IN_BYTES];
	char out[OUT_BYTES];
};

static int flush(struct conn *c)
{
	ssize_t n = 0;

	if (c->out_len)
		n = burrow_send_deadline(c->fd, c->out, c->out_len,
					 MSG_NOSIGNAL, burrow_now() + IDLE_NS);
	if (n < (ssize_t)c->out_len)
		return n < 0 ? (int)n : -EPIPE;
	c->out_len = 0;
	return 0;
}

static int put(struct conn *c, const char *data, size_t len)
{
	size_t n;
	int ret;

	while (len) {
		if (c->out_len == OUT_BYTES) {
			ret = flush(c);
			if (ret)
				return ret;
		}
		n = OUT_BYTES - c->out_len;
		n = n < len ? n : len;
		memcpy(c->out + c->out_len, data, n);
		c->out_len += n;
		data += n;
		len -= n;
	}
	return 0;
}

static int put_head(struct conn *c, const char *status, const char *type,
		    long long len)
{
	char head[256];
	int n;

	n = snprintf(
		head, sizeof(head),
		"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %lld\r\nConnection: %s\r\n\r\n",
		status, type, len, c->keep ? "keep-alive" : "close");
	return put(c, head, n);
}

static int answer(struct conn *c, const char *status, const char *text)
{
	int ret = put_head(c, status, "text/plain", strlen(text));

	return ret || c->head ? ret : put(c, text, strlen(text));
}

static int send_file(struct conn *c, int fd, long long size)
{
	char part[8192];
	ssize_t n;
	int ret = put_head(c, "200 OK", "application/octet-stream", size);

	while (!ret && !c->head && size > 0) {
		n = burrow_read(fd, part,
				size < (long long)sizeof(part) ? (size_t)size :
								 sizeof(part));
		/* It has shrunk: only the end of the connection tells now. */
		if (n <= 0)
			return -EIO;
		size -= n;
		ret = put(c, part, n);
	}
	return ret;
}

/* Nothing above the directory: no part of the path is "..". */
static bool is_safe(const char *path)
{
	const char *p;

	for (p = path; (p = strstr(p, "..")); p += 2) {
		if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
			return false;
	}
	return true;
}

static int serve_file(struct conn *c, const char *path)
{
	struct stat st;
	int fd, ret;

	while (*path == '/')
		path++;
	if (!*path)
		path = "index.html";
	if (!is_safe(path))
		return answer(c, "403 Forbidden", "forbidden\n");
	fd = burrow_openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd < 0)
		return answer(c, "404 Not Found", "not found\n");
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		ret = answer(c, "404 Not Found", "not found\n");
	else
		ret = send_file(c, fd, st.st_size);
	burrow_close(fd);
	return ret;
}

/* The value of a header, in @head that ends with an empty line; or NULL. */
static const char *header(const char *head, const char *name)
{
	size_t len = strlen(name);
	const char *line;

	for (line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (!strncasecmp(line, name, len) && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	}
	return NULL;
}

/* Reads and forgets a body that we have no use for. */
static int skip_body(struct conn *c, long long len)
{
	ssize_t n;
	int ret;

	while (len > (long long)(c->have - c->used)) {
		len -= c->have - c->used;
		c->have = 0;
		c->used = 0;
		ret = flush(c);
		if (ret)
			return ret;
		n = burrow_recv_deadline(c->fd, c->in, IN_BYTES, 0,
					 burrow_now() + IDLE_NS);
		if (n <= 0)
			return -EPIPE;
		c->have = n;
	}
	c->used += len;
	return 0;
}

static int handle(struct conn *c, char *head)
{
	char method[16], path[1024];
	const char *value;
	long long body = 0;
	int minor, ret;

	if (sscanf(head, "%15s %1023s HTTP/1.%d", method, path, &minor) != 3) {
		c->keep = false;
		return answer(c, "400 Bad Request", "bad request\n");
	}
	value = header(head, "Connection");
	c->keep = minor >= 1 ? !value || strncasecmp(value, "close", 5) != 0 :
			       value && !strncasecmp(value, "keep-alive", 10);
	value = header(head, "Content-Length");
	if (value)
		body = strtoll(value, NULL, 10);
	if (body < 0 || header(head, "Transfer-Encoding")) {
		c->keep = false;
		return answer(c, "501 Not Implemented", "not implemented\n");
	}
	ret = skip_body(c, body);
	if (ret)
		return ret;
	c->head = !strcmp(method, "HEAD");
	path[strcspn(path, "?#")] = 0;
	if (!c->head && strcmp(method, "GET") != 0)
		return answer(c, "405 Method Not Allowed", "GET or HEAD\n");
	if (root >= 0)
		return serve_file(c, path);
	return answer(c, "200 OK", "hello, world\n");
}

/* The next request's head, 0-terminated; NULL: no more will come. */
static char *next_head(struct conn *c)
{
	char *end, *head;
	ssize_t n;

	for (;;) {
		head = c->in + c->used;
		end = memmem(head, c->have - c->used, "\r\n\r\n", 4);
		if (end) {
			/* The second line end makes way for the end. */
			end[2] = 0;
			c->used = end + 4 - c->in;
			return head;
		}
		memmove(c->in, head, c->have - c->used);
		c->have -= c->used;
		c->used = 0;
		/* All that came is answered: only now does it go out. */
		if (flush(c) || c->have == IN_BYTES)
			return NULL;
		n = burrow_recv_deadline(c->fd, c->in + c->have,
					 IN_BYTES - c->have, 0,
					 burrow_now() + IDLE_NS);
		if (n <= 0)
			return NULL;
		c->have += n;
	}
}

static void serve(void *arg)
{
	struct conn c = { .fd = (int)(intptr_t)arg, .keep = true };
	char *head;

	while (c.keep && (head = next_head(&c))) {
		if (handle(&c, head))
			break;
	}
	flush(&c);
	burrow_close(c.fd);
}

static int start(void *arg)
{
	int fd, listener = burrow_listen_tcp(NULL, *(int *)arg, 0);

	if (listener < 0) {
		fprintf(stderr, "http: port %d: %s\n", *(int *)arg,
			strerror(-listener));
		return 1;
	}
	for (;;) {
		fd = burrow_accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && burrow_go(serve, (void *)(intptr_t)fd))
			burrow_close(fd);
		/* Out of descriptors, say: some will be closed. */
		else if (fd < 0)
			burrow_sleep(10 * 1000 * 1000);
	}
}

int main(int argc, char **argv)
{
	int port = argc > 1 ? atoi(argv[1]) : 8080;

	if (argc > 2) {
		root = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0) {
			perror(argv[2]);
			return 1;
		}
	}
	return burrow_run(NULL, start, &port);
}
