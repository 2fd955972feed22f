/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parts of the I/O benchmark that are processes of their own.
 */
#ifndef BURROW_BENCH_IO_H
#define BURROW_BENCH_IO_H

#include <stdio.h>

/* Bytes of a request, and of its answer. */
#define IO_MESSAGE 64

/* The load (io_load.c), as for peer_fork(). */
int io_load(FILE *from, FILE *to, void *arg);

/* A server in plain epoll (io_epoll.c), as for peer_fork(). */
int io_epoll(FILE *from, FILE *to, void *arg);

/* A socket that listens on 127.0.0.1, on a port of the kernel's choice. */
int io_listen(int *port);

/* A request goes out at once. */
void io_no_delay(int fd);

#endif /* BURROW_BENCH_IO_H */
