/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dumps that the runtime itself asks for; burrow_dump_all() is in sched.h.
 */
#ifndef BURROW_DUMP_H
#define BURROW_DUMP_H

/* The signal that asks a thread in C code where it is (ask.c). */
extern int burrow_stop_signal;

/* By the monitor after SIGQUIT: all goroutines, then the end with status 2. */
void burrow_dump_quit(void) __attribute__((noreturn));

#endif /* BURROW_DUMP_H */
