// SPDX-License-Identifier: GPL-2.0
/*
 * A process that means no good to who looks at it: it has the table that burrow
 * top looks for, and nothing in it is true. For top.sh.
 *
 * usage: hostile WAY	0: a goroutine's fields lie far behind it
 *			1: fields of no size
 *			2: a goroutine is larger than all there is
 *			3: slabs without end, with names that are none
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "debug/window.h"

#define BYTES (1UL << 20)

struct burrow_window window
	__attribute__((section(BURROW_WINDOW_SECTION), used)) = {
		.magic = BURROW_WINDOW_MAGIC,
		.runs = 1,
		.nr_fields = BURROW_FIELDS,
	};

static char *memory; /* what every address leads to */

static void set(enum burrow_field field, uint32_t at, uint32_t bytes)
{
	window.fields[field].at = at;
	window.fields[field].bytes = bytes;
}

/* Addresses are odd by one, so that a field at seven more is a whole word. */
static void lie(int way)
{
	int i;

	for (i = 0; i < BURROW_FIELDS; i++)
		set(i, 8U * i + 7, way == 1 ? 0 : 8);
	set(BURROW_FIELD_SLAB_G, 0, way == 2 ? UINT32_MAX : 192);
	set(BURROW_FIELD_G_STATE, 7, 1);
	set(BURROW_FIELD_G_REASON, 7, 1);
	for (i = BURROW_FIELD_G_ID; way == 0 && i <= BURROW_FIELD_G_SLOT; i++)
		set(i, UINT32_MAX - 7, 8);
}

int main(int argc, char **argv)
{
	uint64_t *word;

	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (argc < 2 || memory == MAP_FAILED)
		return EXIT_FAILURE;
	/* Each word leads to such words, and is a text of what is no text. */
	for (word = (void *)memory; word < (uint64_t *)(memory + BYTES); word++)
		*word = (uintptr_t)memory + BYTES / 2 + 1;
	window.runtime = memory + BYTES / 2 + 1;
	window.collector = memory + BYTES / 2 + 1;
	window.heap_shift = UINT64_MAX;
	lie(atoi(argv[1]));
	for (;;)
		pause();
}
