/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Small files of /proc and /sys, read and written as text.
 */
#ifndef BURROW_TOOL_SYSFILE_H
#define BURROW_TOOL_SYSFILE_H

#include <stddef.h>

/* The first line without its newline; 0 or a negative errno. */
int sysfile_read(const char *path, char *text, size_t size);

/* What follows "KEY:" and blanks in a file of such lines; 0 or -errno. */
int sysfile_field(const char *path, const char *key, char *text, size_t size);

/* A number in the first line, or after "KEY:" if @key is not NULL. */
int sysfile_number(const char *path, const char *key, long long *value);

/* The sum of what follows each "KEY:", indented or not; 0 or -errno. */
int sysfile_sum(const char *path, const char *key, long long *sum);

/* Replaces the content; 0 or a negative errno. */
int sysfile_write(const char *path, const char *text);

/* How many lines; -errno if it can't be read. */
long sysfile_lines(const char *path);

#endif /* BURROW_TOOL_SYSFILE_H */
