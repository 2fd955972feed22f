/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines for standard error that may be written from a signal handler, and the
 * ways to end that come with one.
 */
#ifndef BURROW_PRINT_H
#define BURROW_PRINT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct goroutine;

/* %s, %d, %u, %lu, %zu, %lx and %%; one write. Calls nothing of libc's stdio. */
void burrow_print(int fd, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same into @to, at @len; returns the new length, ends with a zero. */
size_t burrow_format(char *to, size_t size, size_t len, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
size_t burrow_format_args(char *to, size_t size, size_t len, const char *format,
			  va_list args);

/*
 * Before the first line of a report that ends the process: several threads may
 * come to one, and the first goes on. Does not return to the others.
 */
void burrow_report_begin(void);

/* "burrow: goroutine 7 (name): CALL: WHAT", a backtrace, abort. */
void burrow_misuse(const char *call, const char *what)
	__attribute__((noreturn));

#endif /* BURROW_PRINT_H */
