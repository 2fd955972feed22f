/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Put before every file of a program (gcc -include): its memory comes from the
 * collected heap, free() does nothing, and its main() is a goroutine. See
 * programs.sh.
 */
#ifndef SELFTESTS_COLLECTED_H
#define SELFTESTS_COLLECTED_H

#include <stdlib.h>
#include <string.h>

void *collected_malloc(size_t size);
void *collected_calloc(size_t n, size_t size);
void *collected_realloc(void *old, size_t size);
char *collected_strdup(const char *s);
void collected_free(void *p);

#undef strdup
#define malloc collected_malloc
#define calloc collected_calloc
#define realloc collected_realloc
#define strdup collected_strdup
#define free collected_free
#define main collected_main

#endif /* SELFTESTS_COLLECTED_H */
