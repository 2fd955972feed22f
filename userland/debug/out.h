/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text that goes to a file, in pieces of some KiB. No stdio and no malloc: with
 * the world stopped, too.
 */
#ifndef BURROW_OUT_H
#define BURROW_OUT_H

#include <stddef.h>

#define BURROW_OUT_LINE 512 /* bytes; what is longer loses its end */

/**
 * struct burrow_out - a file that is being written
 * @fd:		of it
 * @err:	a negative errno: nothing is written any more; else 0
 * @len:	bytes in @text
 * @text:	what was not written yet
 */
struct burrow_out {
	int fd;
	int err;
	size_t len;
	char text[4096];
};

/* As burrow_print(). */
void burrow_out_print(struct burrow_out *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* 0, or what failed first. */
int burrow_out_flush(struct burrow_out *out);

#endif /* BURROW_OUT_H */
