// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls of <burrow/io.h>: each fills in a request and has the processor's
 * engine do it, between getting and putting the descriptor's entry.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io.h"

/* Newer than the headers that we may be built with. */
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

int64_t burrow_io_try_read(const struct burrow_io_request *req)
{
	const struct iovec iov = { req->buf, req->len };
	ssize_t n = preadv2(req->fd, &iov, 1, req->offset, RWF_NOWAIT);

	return n < 0 ? -errno : n;
}

int64_t burrow_io_try_write(const struct burrow_io_request *req)
{
	const struct iovec iov = { req->buf, req->len };
	ssize_t n = pwritev2(req->fd, &iov, 1, req->offset, RWF_NOWAIT);

	return n < 0 ? -errno : n;
}

static int64_t run(struct burrow_thread **self, struct burrow_io_request *req,
		   enum goroutine_reason why, int64_t deadline)
{
	struct burrow_io_ring *ring;
	int err;

	ring = burrow_io_ring_get(*self, &err);
	return ring ? ring->engine->run(self, req, why, deadline) : err;
}

/* Whether a blocking descriptor of this kind would have gone on by itself. */
static bool goes_on(const struct burrow_io_request *req)
{
	socklen_t len = sizeof(int);
	struct stat st;
	int type;

	if (req->flags & MSG_DONTWAIT || req->offset >= 0)
		return false;
	if (req->op != IO_RECV)
		return !fstat(req->fd, &st) &&
		       (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode) ||
			isatty(req->fd));
	return req->flags & MSG_WAITALL && !(req->flags & MSG_PEEK) &&
	       !getsockopt(req->fd, SOL_SOCKET, SO_TYPE, &type, &len) &&
	       type == SOCK_STREAM;
}

/* All of it, where a blocking call would transfer all. */
static int64_t run_all(struct burrow_thread **self,
		       struct burrow_io_request *req, enum goroutine_reason why,
		       int64_t deadline)
{
	size_t len = req->len;
	char *buf = req->buf;
	int64_t n, done = 0;

	for (;;) {
		n = run(self, req, why, deadline);
		if (n < 0)
			return done ? done : n;
		done += n;
		if (burrow_likely((size_t)done >= len) || !n || !goes_on(req))
			return done;
		req->buf = buf + done;
		req->len = len - done;
	}
}

/* More is likely to be there if it took all that it was given room for. */
static void learn(const struct burrow_io_request *req, int64_t n)
{
	struct burrow_file *file = req->file;
	uint8_t hints = __atomic_load_n(&file->hints, __ATOMIC_RELAXED);
	uint8_t new = hints & ~HINT_MORE;

	if (req->more || (n > 0 && (size_t)n == req->len))
		new |= HINT_MORE;
	if (new != hints)
		__atomic_store_n(&file->hints, new, __ATOMIC_RELAXED);
}

/* read() and write() on a socket: the socket's own calls know more. */
static bool as_socket(struct burrow_io_request *req)
{
	if (req->offset >= 0 || !req->len ||
	    !(burrow_file_hints(req) & HINT_SOCKET))
		return false;
	req->op = req->op == IO_READ ? IO_RECV : IO_SEND;
	return true;
}

static int64_t run_data(struct burrow_thread **self,
			struct burrow_io_request *req,
			enum goroutine_reason why, int64_t deadline)
{
	uint8_t op = req->op;
	int64_t n;

	if ((op == IO_READ || op == IO_WRITE) && as_socket(req)) {
		n = run_data(self, req, why, deadline);
		if (n != -ENOTSOCK)
			return n;
		/* It was one once. */
		burrow_file_fresh(req->fd, 0);
		req->op = op;
	}
	if (op == IO_WRITE || op == IO_SEND ||
	    (op == IO_RECV && req->flags & MSG_WAITALL))
		return run_all(self, req, why, deadline);
	n = run(self, req, why, deadline);
	if (op == IO_RECV)
		learn(req, n);
	if (op == IO_ACCEPT && n >= 0)
		burrow_file_fresh(n, HINT_KNOWN | HINT_SOCKET);
	return n;
}

static int64_t call(const char *name, struct burrow_io_request *req,
		    enum goroutine_reason why, int64_t deadline)
{
	struct burrow_thread *self = burrow_enter_try(name);
	int64_t ret;
	int err;

	if (burrow_unlikely(!self))
		return -EPERM;
	req->file = burrow_file_get(&self, req->fd, deadline, &err);
	if (burrow_likely(!!req->file)) {
		ret = run_data(&self, req, why, deadline);
		burrow_file_put(self, req->file);
	} else {
		ret = err;
	}
	burrow_leave(self);
	return ret;
}

static size_t at_most(size_t len)
{
	return len < BURROW_IO_LEN_MAX ? len : BURROW_IO_LEN_MAX;
}

ssize_t burrow_read_deadline(int fd, void *buf, size_t len, int64_t deadline)
{
	struct burrow_io_request req = {
		.op = IO_READ,
		.fd = fd,
		.buf = buf,
		.len = at_most(len),
		.offset = -1,
	};

	return call("burrow_read", &req, GOROUTINE_IO_READ, deadline);
}

ssize_t burrow_read(int fd, void *buf, size_t len)
{
	return burrow_read_deadline(fd, buf, len, BURROW_FOREVER);
}

ssize_t burrow_write_deadline(int fd, const void *buf, size_t len,
			      int64_t deadline)
{
	struct burrow_io_request req = {
		.op = IO_WRITE,
		.fd = fd,
		.buf = (void *)buf,
		.len = at_most(len),
		.offset = -1,
	};

	return call("burrow_write", &req, GOROUTINE_IO_WRITE, deadline);
}

ssize_t burrow_write(int fd, const void *buf, size_t len)
{
	return burrow_write_deadline(fd, buf, len, BURROW_FOREVER);
}

ssize_t burrow_pread_deadline(int fd, void *buf, size_t len, off_t offset,
			      int64_t deadline)
{
	struct burrow_io_request req = {
		.op = IO_READ,
		.fd = fd,
		.buf = buf,
		.len = at_most(len),
		.offset = offset,
	};

	if (offset < 0)
		return -EINVAL;
	return call("burrow_pread", &req, GOROUTINE_IO_FILE, deadline);
}

ssize_t burrow_pread(int fd, void *buf, size_t len, off_t offset)
{
	return burrow_pread_deadline(fd, buf, len, offset, BURROW_FOREVER);
}

ssize_t burrow_pwrite_deadline(int fd, const void *buf, size_t len,
			       off_t offset, int64_t deadline)
{
	struct burrow_io_request req = {
		.op = IO_WRITE,
		.fd = fd,
		.buf = (void *)buf,
		.len = at_most(len),
		.offset = offset,
	};

	if (offset < 0)
		return -EINVAL;
	return call("burrow_pwrite", &req, GOROUTINE_IO_FILE, deadline);
}

ssize_t burrow_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	return burrow_pwrite_deadline(fd, buf, len, offset, BURROW_FOREVER);
}

ssize_t burrow_recv_deadline(int fd, void *buf, size_t len, int flags,
			     int64_t deadline)
{
	struct burrow_io_request req = {
		.op = IO_RECV,
		.fd = fd,
		.buf = buf,
		.len = at_most(len),
		.flags = flags,
		.offset = -1,
	};

	return call("burrow_recv", &req, GOROUTINE_IO_READ, deadline);
}

ssize_t burrow_recv(int fd, void *buf, size_t len, int flags)
{
	return burrow_recv_deadline(fd, buf, len, flags, BURROW_FOREVER);
}

ssize_t burrow_send_deadline(int fd, const void *buf, size_t len, int flags,
			     int64_t deadline)
{
	struct burrow_io_request req = {
		.op = IO_SEND,
		.fd = fd,
		.buf = (void *)buf,
		.len = at_most(len),
		.flags = flags,
		.offset = -1,
	};

	return call("burrow_send", &req, GOROUTINE_IO_WRITE, deadline);
}

ssize_t burrow_send(int fd, const void *buf, size_t len, int flags)
{
	return burrow_send_deadline(fd, buf, len, flags, BURROW_FOREVER);
}

int burrow_accept4_deadline(int fd, struct sockaddr *addr, socklen_t *len,
			    int flags, int64_t deadline)
{
	struct burrow_io_request req = {
		.op = IO_ACCEPT,
		.fd = fd,
		.buf = addr,
		.addr_len = len,
		.flags = flags,
		.offset = -1,
	};

	return call("burrow_accept", &req, GOROUTINE_IO_ACCEPT, deadline);
}

int burrow_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return burrow_accept4_deadline(fd, addr, len, flags, BURROW_FOREVER);
}

int burrow_accept_deadline(int fd, struct sockaddr *addr, socklen_t *len,
			   int64_t deadline)
{
	return burrow_accept4_deadline(fd, addr, len, 0, deadline);
}

int burrow_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return burrow_accept4_deadline(fd, addr, len, 0, BURROW_FOREVER);
}

int burrow_connect_deadline(int fd, const struct sockaddr *addr, socklen_t len,
			    int64_t deadline)
{
	struct burrow_io_request req = {
		.op = IO_CONNECT,
		.fd = fd,
		.buf = (void *)addr,
		.len = len,
		.offset = -1,
	};

	return call("burrow_connect", &req, GOROUTINE_IO_CONNECT, deadline);
}

int burrow_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return burrow_connect_deadline(fd, addr, len, BURROW_FOREVER);
}

int burrow_fsync_deadline(int fd, int64_t deadline)
{
	struct burrow_io_request req = {
		.op = IO_FSYNC,
		.fd = fd,
		.offset = -1,
	};

	return call("burrow_fsync", &req, GOROUTINE_IO_FILE, deadline);
}

int burrow_fsync(int fd)
{
	return burrow_fsync_deadline(fd, BURROW_FOREVER);
}

int burrow_openat_deadline(int dirfd, const char *path, int flags, mode_t mode,
			   int64_t deadline)
{
	struct burrow_thread *self = burrow_enter_try("burrow_openat");
	struct burrow_io_request req = {
		.op = IO_OPENAT,
		.fd = dirfd,
		.buf = (void *)path,
		.flags = flags,
		.mode = mode,
		.offset = -1,
	};
	int ret;

	if (!self)
		return -EPERM;
	ret = run(&self, &req, GOROUTINE_IO_FILE, deadline);
	burrow_leave(self);
	return ret;
}

int burrow_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	return burrow_openat_deadline(dirfd, path, flags, mode, BURROW_FOREVER);
}
