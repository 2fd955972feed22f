/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BURROW_DUMP_H
#define BURROW_DUMP_H

/* The signal that asks a thread in C code for its registers. */
extern int burrow_stop_signal;

/* By the monitor after SIGQUIT: all goroutines, then the end with status 2. */
void burrow_dump_quit(void) __attribute__((noreturn));

#endif /* BURROW_DUMP_H */
