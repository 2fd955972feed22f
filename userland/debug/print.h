/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines for standard error that may be written from a signal handler, and the
 * ways to end that come with one.
 */
#ifndef BURROW_PRINT_H
#define BURROW_PRINT_H

#include <stdint.h>

struct goroutine;

/* %s, %d, %u, %lu, %zu, %lx and %%; one write. Calls nothing of libc's stdio. */
void burrow_print(int fd, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "burrow: goroutine 7 (name): CALL: WHAT", a backtrace, abort. */
void burrow_misuse(const char *call, const char *what)
	__attribute__((noreturn));

#endif /* BURROW_PRINT_H */
