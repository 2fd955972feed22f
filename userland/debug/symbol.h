/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an address of code is called.
 */
#ifndef BURROW_SYMBOL_H
#define BURROW_SYMBOL_H

#include <stdint.h>

/**
 * struct burrow_symbol - what an address of code is
 * @address:	that
 * @module:	path of the program or library, NULL if none is known
 * @name:	of the function, empty if none is known
 * @offset:	into the function, or into the module if @name is empty
 * @file:	of its source, if @line
 * @line:	in that, 0 if there is no debug information
 */
struct burrow_symbol {
	uintptr_t address;
	const char *module;
	char name[128];
	uintptr_t offset;
	char file[160];
	unsigned int line;
};

/*
 * For signal handlers too. What is found is kept, and the files stay mapped,
 * until burrow_symbols_close(), at the end of a report.
 */
void burrow_symbol_find(uintptr_t address, struct burrow_symbol *symbol);
void burrow_symbols_close(void);

#endif /* BURROW_SYMBOL_H */
