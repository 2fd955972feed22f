// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Formatted lines without stdio: a crash report is written on a small signal
 * stack, by a thread that may hold any lock of libc.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backtrace.h"
#include "print.h"
#include "../gc/stop.h"
#include "../sched/sched.h"

#define LINE 1024 /* bytes; what is longer loses its end */

struct line {
	char *text;
	size_t size;
	size_t len;
};

static void put(struct line *line, char c)
{
	if (line->len < line->size - 1)
		line->text[line->len++] = c;
}

static void put_string(struct line *line, const char *s)
{
	while (*s)
		put(line, *s++);
}

static void put_number(struct line *line, uint64_t n, unsigned int base)
{
	char digits[20];
	int i = 0;

	do {
		digits[i++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	while (i)
		put(line, digits[--i]);
}

static void put_signed(struct line *line, int n)
{
	if (n < 0)
		put(line, '-');
	put_number(line, n < 0 ? -(uint64_t)n : (uint64_t)n, 10);
}

static void put_args(struct line *line, const char *format, va_list args)
{
	bool wide;

	for (; *format; format++) {
		if (*format != '%') {
			put(line, *format);
			continue;
		}
		format++;
		wide = *format == 'l' || *format == 'z';
		if (wide)
			format++;
		if (*format == 's')
			put_string(line, va_arg(args, const char *));
		else if (*format == 'd')
			put_signed(line, va_arg(args, int));
		else if (*format == 'u' || *format == 'x')
			put_number(line,
				   wide ? va_arg(args, unsigned long) :
					  va_arg(args, unsigned int),
				   *format == 'x' ? 16 : 10);
		else
			put(line, *format);
	}
}

void burrow_print(int fd, const char *format, ...)
{
	char text[LINE];
	struct line line = { .text = text, .size = sizeof(text) };
	va_list args;
	size_t done;
	ssize_t n;

	va_start(args, format);
	put_args(&line, format, args);
	va_end(args);
	if (line.len == line.size - 1)
		text[line.len - 1] = '\n';

	for (done = 0; done < line.len; done += n) {
		n = write(fd, line.text + done, line.len - done);
		if (n <= 0)
			return;
	}
}

size_t burrow_format_args(char *to, size_t size, size_t len, const char *format,
			  va_list args)
{
	struct line line = { .text = to, .size = size, .len = len };

	put_args(&line, format, args);
	to[line.len] = 0;
	return line.len;
}

size_t burrow_format(char *to, size_t size, size_t len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	len = burrow_format_args(to, size, len, format, args);
	va_end(args);
	return len;
}

void burrow_report_begin(void)
{
	static pid_t reporter;
	pid_t me = syscall(SYS_gettid), none = 0;

	if (__atomic_compare_exchange_n(&reporter, &none, me, false,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
	    none == me)
		return;
	/* Who reports may stand still, waiting for us. */
	burrow_stop_give_up();
	for (;;)
		pause();
}

void burrow_misuse(const char *call, const char *what)
{
	struct goroutine *g = burrow_current();

	burrow_report_begin();
	if (g)
		burrow_print(STDERR_FILENO,
			     "burrow: goroutine %lu%s%s%s: %s: %s\n", g->id,
			     BURROW_NAME_ARGS(g), call, what);
	else
		burrow_print(STDERR_FILENO, "burrow: %s: %s\n", call, what);
	burrow_backtrace(STDERR_FILENO);
	abort();
}
