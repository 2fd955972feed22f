// SPDX-License-Identifier: GPL-2.0
/*
 * What collected.h has put in place of malloc() and its kin. Before each piece lie
 * its size and a number that says it is one: the C library hands out memory of its
 * own, which comes to realloc() and free(), too.
 *
 * At the end it writes how often it collected to the file $COLLECTED_REPORT.
 */
#include <burrow.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK 0x0b10c0f0feedb1efUL

struct piece {
	size_t size;
	size_t mark;
	char bytes[] __attribute__((aligned(16)));
};

void *collected_malloc(size_t size)
{
	struct piece *piece = burrow_try_alloc(sizeof(*piece) + size);

	if (!piece)
		return NULL;
	piece->size = size;
	piece->mark = MARK;
	/* Programs must not rely on zeroes. */
	memset(piece->bytes, 0xa5, size);
	return piece->bytes;
}

void *collected_calloc(size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	p = collected_malloc(bytes);
	return p ? memset(p, 0, bytes) : NULL;
}

static size_t size_of(const void *p)
{
	const struct piece *piece = (const struct piece *)p - 1;

	return piece->mark == MARK ? piece->size :
				     malloc_usable_size((void *)p);
}

void *collected_realloc(void *old, size_t size)
{
	void *p = collected_malloc(size);
	size_t bytes = old ? size_of(old) : 0;

	if (p && bytes)
		memcpy(p, old, bytes < size ? bytes : size);
	return p;
}

char *collected_strdup(const char *s)
{
	size_t bytes = strlen(s) + 1;
	char *p = collected_malloc(bytes);

	return p ? memcpy(p, s, bytes) : NULL;
}

void collected_free(void *p)
{
	(void)p;
}

int collected_main(int argc, char **argv);

struct args {
	int argc;
	char **argv;
};

static void report(void)
{
	struct burrow_stats stats = { .size = sizeof(stats) };
	const char *path = getenv("COLLECTED_REPORT");
	FILE *f = path ? fopen(path, "w") : NULL;

	if (!f)
		return;
	if (!burrow_stats(&stats))
		fprintf(f, "%lu\n", stats.gc_cycles);
	fclose(f);
}

static int start(void *arg)
{
	struct args *args = arg;

	atexit(report);
	exit(collected_main(args->argc, args->argv));
}

int main(int argc, char **argv)
{
	struct args args = { argc, argv };

	return burrow_run(NULL, start, &args);
}
