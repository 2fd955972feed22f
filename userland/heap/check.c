// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The check of types: tells of words that a type declares no pointers and that
 * point to objects. What only such a word points to is lost.
 *
 * Looks at every marked object at the end of marking, with the world stopped. A
 * word counts if it is the address that an object was given out with, which a
 * number hardly is. Each word of a type is told of once in a process.
 */
#include <string.h>
#include <unistd.h>

#include "../debug/print.h"
#include "span.h"

#define WORDS (BURROW_HEAP_SMALL / sizeof(void *)) /* of a type looked at */
#define TOLD 64

/* Told of already; with the world stopped. */
static struct {
	const struct burrow_layout *layout;
	size_t offset;
} told[TOLD];
static unsigned int nr_told;

static bool is_new(const struct burrow_layout *layout, size_t offset)
{
	unsigned int i;

	for (i = 0; i < nr_told; i++)
		if (told[i].layout == layout && told[i].offset == offset)
			return false;
	if (nr_told == TOLD)
		return false;
	told[nr_told].layout = layout;
	told[nr_told++].offset = offset;
	return true;
}

static bool is_object(struct burrow_heap *heap, const void *p)
{
	struct burrow_object object;
	size_t header;

	if (!burrow_heap_find(heap, p, &object))
		return false;
	header = burrow_bin_infos[object.span->bin].kind == BURROW_HEADED ?
			 BURROW_HEAP_HEADER :
			 0;
	return p == object.start + header;
}

/* A part of an object, of which the words in @pointers are declared. */
static void look(struct burrow_heap *heap, const struct burrow_layout *layout,
		 const char *part, size_t bytes, size_t offset,
		 const uint32_t *pointers, uint32_t nr)
{
	void *const *words = (void *const *)part;
	uint8_t declared[WORDS / 8] = { 0 };
	size_t i;

	if (bytes / sizeof(void *) > WORDS)
		return;
	for (i = 0; i < nr; i++)
		declared[pointers[i] / 8] |= 1 << pointers[i] % 8;
	for (i = 0; i < bytes / sizeof(void *); i++) {
		if (declared[i / 8] >> i % 8 & 1 || !is_object(heap, words[i]))
			continue;
		if (is_new(layout, offset + i * sizeof(void *)))
			burrow_print(
				STDERR_FILENO,
				"burrow: type %s: the word at byte %lu is not declared a pointer, and points to an object\n",
				layout->name, offset + i * sizeof(void *));
	}
}

static void look_headed(struct burrow_heap *heap,
			const struct burrow_object *object)
{
	const struct burrow_header *header = (void *)object->start;
	const struct burrow_layout *layout = header->layout;
	const char *at = object->start + BURROW_HEAP_HEADER;
	const char *end = object->start + object->size;
	size_t i;

	if (!layout)
		return;
	if (!layout->tail_size) {
		for (i = 0;
		     i < header->count && layout->size <= (size_t)(end - at);
		     i++, at += layout->size)
			look(heap, layout, at, layout->size, 0, layout->words,
			     layout->nr);
		return;
	}
	look(heap, layout, at, layout->tail, 0, layout->words, layout->nr);
	at += layout->tail;
	for (i = 0;
	     i < header->count && layout->tail_size <= (size_t)(end - at);
	     i++, at += layout->tail_size)
		look(heap, layout, at, layout->tail_size, layout->tail,
		     layout->words + layout->nr, layout->tail_nr);
}

static void look_at(const struct burrow_object *object, void *arg)
{
	const struct burrow_bin_info *info =
		&burrow_bin_infos[object->span->bin];
	struct burrow_heap *heap = arg;

	if (!burrow_bits_test(heap->marks, object->span->bits, object->index))
		return;
	if (info->kind == BURROW_TYPED)
		look(heap, info->layout, object->start, info->layout->size, 0,
		     info->layout->words, info->layout->nr);
	else if (info->kind == BURROW_HEADED)
		look_headed(heap, object);
}

void burrow_check_types(struct burrow_heap *heap)
{
	burrow_heap_each(heap, look_at, heap);
}
