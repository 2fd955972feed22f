/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Backtraces with the names of functions, from a signal handler too.
 */
#ifndef BURROW_BACKTRACE_H
#define BURROW_BACKTRACE_H

#include <stddef.h>
#include <stdint.h>

/* Loads what an unwinding needs: once, before a signal handler needs it. */
void burrow_backtrace_prepare(void);

/* The caller's backtrace. */
void burrow_backtrace(int fd);

/* The interrupted function and its callers; for signal handlers. */
void burrow_backtrace_interrupted(int fd, const void *ucontext);

/* The backtrace of a parked context. */
void burrow_backtrace_parked(int fd, void *context);

/**
 * struct burrow_symbol - what an address of code is
 * @module:	path of the program or library, NULL if none is known
 * @name:	of the function, empty if none is known
 * @offset:	into the function, or into the module if @name is empty
 */
struct burrow_symbol {
	const char *module;
	char name[128];
	uintptr_t offset;
};

/* Reads the symbol table, static functions included, of the file itself. */
void burrow_symbol_find(uintptr_t address, struct burrow_symbol *symbol);

#endif /* BURROW_BACKTRACE_H */
