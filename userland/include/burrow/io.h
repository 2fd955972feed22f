/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input and output for goroutines. A goroutine that waits in one of these calls
 * lets others run on its thread.
 *
 * The calls take what the system calls of their names take, on any descriptor,
 * blocking or not, and return what those would return on a blocking one, but
 * for errors: a negative errno, never -1. They do not change a descriptor's
 * flags. The thread's errno after a call is unspecified. burrow_write() and
 * burrow_send() on sockets, pipes and terminals write all there is, as blocking
 * calls do, unless an error comes between: then they return how much went out.
 * With MSG_DONTWAIT nothing waits.
 *
 * Each has a twin with a deadline, a time of burrow_now(), as its last argument.
 * It returns -ETIMEDOUT when that has passed and nothing was transferred; what
 * was transferred is told in place of the timeout. It returns only when the
 * kernel has let go of the buffers.
 *
 * Errors of all of them beyond the system call's: -EPERM from a thread that is
 * no goroutine (in burrow_blocking() the program ends with a line), -ECANCELED
 * when the descriptor was closed by burrow_close() meanwhile, -ENOMEM, or -EMFILE
 * where the engine itself finds no descriptor.
 */
#ifndef BURROW_IO_H
#define BURROW_IO_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/**
 * burrow_read() - read(2)
 * @fd:		descriptor
 * @buf:	where to
 * @len:	at most so many bytes
 *
 * Return: bytes read, 0 at the end, or a negative errno.
 */
ssize_t burrow_read(int fd, void *buf, size_t len);
ssize_t burrow_read_deadline(int fd, void *buf, size_t len, int64_t deadline);

/**
 * burrow_write() - write(2), all of it
 * @fd:		descriptor
 * @buf:	what
 * @len:	how many bytes
 *
 * Return: bytes written, fewer than @len only if an error, a deadline or
 * burrow_close() came between, or a negative errno if nothing was.
 */
ssize_t burrow_write(int fd, const void *buf, size_t len);
ssize_t burrow_write_deadline(int fd, const void *buf, size_t len,
			      int64_t deadline);

/**
 * burrow_pread() - pread(2)
 * @fd:		descriptor that can seek
 * @buf:	where to
 * @len:	at most so many bytes
 * @offset:	from here
 *
 * Return: bytes read, 0 at the end, or a negative errno.
 */
ssize_t burrow_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t burrow_pread_deadline(int fd, void *buf, size_t len, off_t offset,
			      int64_t deadline);

/**
 * burrow_pwrite() - pwrite(2)
 * @fd:		descriptor that can seek
 * @buf:	what
 * @len:	how many bytes
 * @offset:	to here
 *
 * Return: bytes written, or a negative errno.
 */
ssize_t burrow_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t burrow_pwrite_deadline(int fd, const void *buf, size_t len,
			       off_t offset, int64_t deadline);

/**
 * burrow_recv() - recv(2)
 * @fd:		socket
 * @buf:	where to
 * @len:	at most so many bytes
 * @flags:	MSG_*
 *
 * Return: bytes received, 0 at the end, or a negative errno.
 */
ssize_t burrow_recv(int fd, void *buf, size_t len, int flags);
ssize_t burrow_recv_deadline(int fd, void *buf, size_t len, int flags,
			     int64_t deadline);

/**
 * burrow_send() - send(2), all of it
 * @fd:		socket
 * @buf:	what
 * @len:	how many bytes
 * @flags:	MSG_*
 *
 * Return: bytes sent, fewer than @len only if an error, a deadline or
 * burrow_close() came between, or a negative errno if nothing was.
 */
ssize_t burrow_send(int fd, const void *buf, size_t len, int flags);
ssize_t burrow_send_deadline(int fd, const void *buf, size_t len, int flags,
			     int64_t deadline);

/**
 * burrow_recv_take() - recv(2) into a buffer that the library lends
 * @fd:		socket
 * @buf:	where what came is, until burrow_recv_give(); NULL with a result
 *		that is not above 0
 * @flags:	0 or MSG_DONTWAIT
 *
 * A goroutine that waits here holds no memory for the data. Up to 4,032 bytes
 * come at a time. There are 64 buffers a processor that the kernel fills by
 * itself; while they are all out, and with epoll, data goes to memory from
 * malloc().
 *
 * Return: bytes received, 0 at the end, or a negative errno: -EINVAL for other
 * flags.
 */
ssize_t burrow_recv_take(int fd, void **buf, int flags);
ssize_t burrow_recv_take_deadline(int fd, void **buf, int flags,
				  int64_t deadline);

/**
 * burrow_recv_give() - gives back what burrow_recv_take() lent
 * @buf:	it, or NULL
 *
 * From any goroutine, before the run ends. Twice ends the program with a line, if
 * nobody else has it by then.
 */
void burrow_recv_give(void *buf);

/**
 * burrow_accept() - accept(2)
 * @fd:		socket that listens
 * @addr:	where the peer's address goes, or NULL
 * @len:	room there, and how much of it was used; or NULL
 *
 * Return: the connection's descriptor, or a negative errno.
 */
int burrow_accept(int fd, struct sockaddr *addr, socklen_t *len);
int burrow_accept_deadline(int fd, struct sockaddr *addr, socklen_t *len,
			   int64_t deadline);

/**
 * burrow_accept4() - accept4(2)
 * @fd:		socket that listens
 * @addr:	where the peer's address goes, or NULL
 * @len:	room there, and how much of it was used; or NULL
 * @flags:	SOCK_CLOEXEC, SOCK_NONBLOCK
 *
 * Return: the connection's descriptor, or a negative errno.
 */
int burrow_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int burrow_accept4_deadline(int fd, struct sockaddr *addr, socklen_t *len,
			    int flags, int64_t deadline);

/**
 * burrow_connect() - connect(2), until it stands
 * @fd:		socket
 * @addr:	where to
 * @len:	length of @addr
 *
 * After -ETIMEDOUT or -ECANCELED the socket is of no use but to be closed.
 *
 * Return: 0, or a negative errno.
 */
int burrow_connect(int fd, const struct sockaddr *addr, socklen_t len);
int burrow_connect_deadline(int fd, const struct sockaddr *addr, socklen_t len,
			    int64_t deadline);

/**
 * burrow_openat() - openat(2)
 * @dirfd:	directory that a relative @path begins at, or AT_FDCWD
 * @path:	name
 * @flags:	O_*
 * @mode:	permissions of a file that is made
 *
 * Return: a descriptor, or a negative errno.
 */
int burrow_openat(int dirfd, const char *path, int flags, mode_t mode);
int burrow_openat_deadline(int dirfd, const char *path, int flags, mode_t mode,
			   int64_t deadline);

/**
 * burrow_fsync() - fsync(2)
 * @fd:	descriptor
 *
 * Return: 0, or a negative errno.
 */
int burrow_fsync(int fd);
int burrow_fsync_deadline(int fd, int64_t deadline);

/**
 * burrow_poll() - poll(2)
 * @fds:	descriptors, and what to wait for; what there is, on return
 * @nfds:	how many
 * @timeout:	milliseconds; below 0: for ever; 0: only looks
 *
 * Return: how many of @fds have something in revents, 0 when @timeout has
 * passed, or a negative errno.
 */
int burrow_poll(struct pollfd *fds, nfds_t nfds, int timeout);
int burrow_poll_deadline(struct pollfd *fds, nfds_t nfds, int timeout,
			 int64_t deadline);

/**
 * burrow_close() - close(2), and let nobody wait on it
 * @fd:	descriptor
 *
 * Goroutines that wait in a call on this number return with -ECANCELED first;
 * calls that come after that find the descriptor closed. A descriptor may also
 * be closed by close(2) when no goroutine waits on it.
 *
 * The twin gives up if those who wait cannot be had out in time (a write to a
 * disk that hangs); nothing is closed then.
 *
 * Return: 0, or a negative errno.
 */
int burrow_close(int fd);
int burrow_close_deadline(int fd, int64_t deadline);

struct burrow_listener;

/**
 * burrow_listener_new() - a socket that goes on accepting
 * @fd:		socket that listens; the listener's from now on
 * @flags:	for its connections: SOCK_CLOEXEC, SOCK_NONBLOCK
 * @listener:	where it goes
 *
 * One request to the kernel stands for all connections to come, where
 * burrow_accept() makes one each. Connections are taken before anybody asks for
 * them, some 64 at most; those nobody has taken when the listener is closed, or
 * the run ends, are closed too. With epoll it is an ordinary accept each time.
 *
 * Return: 0; -EINVAL: @fd does not listen, or other flags; or another negative
 * errno. @fd stays the caller's then.
 */
int burrow_listener_new(int fd, int flags, struct burrow_listener **listener);

/**
 * burrow_listener_accept() - the next connection
 * @l:	listener
 *
 * First come, first served. getpeername(2) tells who it is.
 *
 * Return: a descriptor, or a negative errno: -ECANCELED: the listener was closed
 * meanwhile; -EBADF: before.
 */
int burrow_listener_accept(struct burrow_listener *l);
int burrow_listener_accept_deadline(struct burrow_listener *l,
				    int64_t deadline);

/**
 * burrow_listener_close() - closes it and its socket
 * @l:	listener
 *
 * Nothing of it is in flight when this returns: the port is free.
 *
 * Return: 0, or a negative errno: -EBADF: it was closed before.
 */
int burrow_listener_close(struct burrow_listener *l);

/**
 * burrow_listen_tcp() - a TCP socket that listens
 * @host:	address or name; NULL or "": all addresses, IPv6 and IPv4
 * @port:	0: any that is free (getsockname(2) tells)
 * @backlog:	of listen(2); not more than 0: as many as the system allows
 *
 * The socket is non-blocking and close-on-exec; SO_REUSEADDR, TCP_NODELAY and
 * keep-alive are set, and connections accepted from it inherit the latter two.
 *
 * Return: a descriptor, or a negative errno: -ENOENT if there is no such host.
 */
int burrow_listen_tcp(const char *host, int port, int backlog);

/**
 * burrow_dial_tcp() - a TCP connection
 * @host:	address or name; NULL or "": this machine
 * @port:	of the other side
 *
 * All addresses of the name are tried in turn. The socket is as that of
 * burrow_listen_tcp().
 *
 * Return: a descriptor, or a negative errno: -ENOENT if there is no such host.
 */
int burrow_dial_tcp(const char *host, int port);
int burrow_dial_tcp_deadline(const char *host, int port, int64_t deadline);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* BURROW_IO_H */
