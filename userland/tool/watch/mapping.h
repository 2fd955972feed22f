/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pieces of files that a process has in its memory.
 */
#ifndef BURROW_TOOL_MAPPING_H
#define BURROW_TOOL_MAPPING_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct burrow_image;

/**
 * struct mapping - one of them
 * @low:	first address
 * @high:	behind the last one
 * @offset:	of @low in the file
 * @code:	it can be run
 * @file:	its path, as the process sees it
 */
struct mapping {
	unsigned long low;
	unsigned long high;
	unsigned long offset;
	bool code;
	const char *file;
};

/* Calls @fn for each until that returns true, which is returned then. */
bool mapping_find(pid_t pid, bool (*fn)(const struct mapping *m, void *arg),
		  void *arg);

/*
 * Where the file can be opened: by the mapping itself, which is that file even if
 * it was replaced or deleted, or, where only root may do that, by its name.
 */
void mapping_path(pid_t pid, const struct mapping *m, char *path, size_t size);

/* The address that a file gives to a place in it; 0: none. */
uint64_t mapping_address(const struct burrow_image *image, uint64_t offset);

#endif /* BURROW_TOOL_MAPPING_H */
