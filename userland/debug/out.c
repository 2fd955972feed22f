// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Text that goes to a file. One caller at a time for each; no locks.
 */
#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "out.h"
#include "print.h"

int burrow_out_flush(struct burrow_out *out)
{
	size_t done = 0;
	ssize_t n;

	while (!out->err && done < out->len) {
		n = write(out->fd, out->text + done, out->len - done);
		if (n > 0)
			done += n;
		else if (n < 0 && errno != EINTR)
			out->err = -errno;
	}
	out->len = 0;
	return out->err;
}

void burrow_out_print(struct burrow_out *out, const char *format, ...)
{
	va_list args;

	if (out->len > sizeof(out->text) - BURROW_OUT_LINE)
		burrow_out_flush(out);
	va_start(args, format);
	out->len = burrow_format_args(out->text, out->len + BURROW_OUT_LINE,
				      out->len, format, args);
	va_end(args);
}
