// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Types: what the program says of them, checked and kept.
 *
 * A descriptor may lie in a library that is unloaded while objects of its type
 * are left, and the same type may have a descriptor in each file that uses it.
 * So the first object of a descriptor looks its layout up here, by content. From
 * then on the descriptor's cell knows it: opaque[0] is the bin that its objects
 * are in (0: they have headers), opaque[1] the layout.
 */
#include <pthread.h>
#include <string.h>

#include "../include/burrow.h"
#include "span.h"

#define HASHES 256
#define TABLE_BYTES (64UL << 10)
#define SIZE_MOST (1UL << 34) /* its words have numbers of 32 bits */

static struct {
	pthread_mutex_t lock;
	struct burrow_layout *hash[HASHES];
	char *at;
	char *end;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *field_lie(const struct burrow_type *type,
			     const struct burrow_type_field *field)
{
	size_t end = type->tail_size ? type->tail + type->tail_size :
				       type->size;

	if (field->offset % sizeof(void *) || field->bytes % sizeof(void *))
		return "a field is not aligned as pointers are";
	if (field->bytes > end || field->offset > end - field->bytes)
		return "a field is outside of the type";
	if (field->offset < type->tail &&
	    field->bytes > type->tail - field->offset)
		return "a field reaches into the flexible array";
	return NULL;
}

static const char *type_lie(const struct burrow_type *type)
{
	const char *why = NULL;
	size_t i;

	if (type->size > SIZE_MOST || type->tail_size > SIZE_MOST ||
	    type->tail > SIZE_MOST)
		return "its size makes no sense";
	if (type->tail > type->size ||
	    (!type->tail_size && type->tail != type->size))
		return "its flexible array makes no sense";
	if (type->tail_size &&
	    (type->tail | type->tail_size) % sizeof(void *) && type->nr_fields)
		for (i = 0; i < type->nr_fields; i++)
			if (type->fields[i].offset >= type->tail)
				return "pointers of its flexible array are not aligned";
	for (i = 0; i < type->nr_fields && !why; i++)
		why = field_lie(type, &type->fields[i]);
	return why;
}

static bool in_tail(const struct burrow_type *type, size_t i)
{
	return type->fields[i].offset >= type->tail;
}

/* Of the fixed part or of an element of the tail. */
static size_t count_words(const struct burrow_type *type, bool tail)
{
	size_t i, n = 0;

	for (i = 0; i < type->nr_fields; i++)
		if (tail == in_tail(type, i))
			n += type->fields[i].bytes / sizeof(void *);
	return n;
}

static void put_words(const struct burrow_type *type, bool tail, uint32_t *to)
{
	size_t i, word, n, base = tail ? type->tail : 0;

	for (i = 0; i < type->nr_fields; i++) {
		if (tail != in_tail(type, i))
			continue;
		word = (type->fields[i].offset - base) / sizeof(void *);
		for (n = type->fields[i].bytes / sizeof(void *); n; n--)
			*to++ = word++;
	}
}

static void *registry_get(size_t bytes)
{
	char *p;

	bytes = (bytes + 15) & ~15UL;
	if (bytes > TABLE_BYTES)
		return burrow_table_map(bytes);
	if ((size_t)(registry.end - registry.at) < bytes) {
		registry.at = burrow_table_map(TABLE_BYTES);
		registry.end = registry.at ? registry.at + TABLE_BYTES : NULL;
		if (!registry.at)
			return NULL;
	}
	p = registry.at;
	registry.at += bytes;
	return p;
}

/* What escape checks say of a word, behind the layout: at @to. */
static void put_fields(const struct burrow_type *type,
		       struct burrow_layout *layout, char *to)
{
	size_t bytes = type->nr_fields * sizeof(type->fields[0]);

	if (!type->text)
		return;
	layout->nr_fields = type->nr_fields;
	if (bytes)
		memcpy(to, type->fields, bytes);
	layout->fields = (struct burrow_type_field *)to;
	layout->text = memcpy(to + bytes, type->text, strlen(type->text) + 1);
}

static struct burrow_layout *layout_make(const struct burrow_type *type,
					 size_t nr, size_t tail_nr)
{
	struct burrow_layout *layout;
	size_t bytes, more = 0;

	bytes = sizeof(*layout) + (nr + tail_nr) * sizeof(layout->words[0]);
	bytes = (bytes + 7) & ~7UL;
	if (type->text)
		more = type->nr_fields * sizeof(type->fields[0]) +
		       strlen(type->text) + 1;
	layout = registry_get(bytes + more);
	if (!layout)
		return NULL;
	layout->size = type->size;
	layout->tail = type->tail;
	layout->tail_size = type->tail_size;
	layout->nr = nr;
	layout->tail_nr = tail_nr;
	strncpy(layout->name, type->name ? type->name : "",
		sizeof(layout->name) - 1);
	put_words(type, false, layout->words);
	put_words(type, true, layout->words + nr);
	put_fields(type, layout, (char *)layout + bytes);
	return layout;
}

static bool same(const struct burrow_layout *a, const struct burrow_layout *b)
{
	return a->size == b->size && a->tail == b->tail &&
	       a->tail_size == b->tail_size && a->nr == b->nr &&
	       a->tail_nr == b->tail_nr && !strcmp(a->name, b->name) &&
	       !memcmp(a->words, b->words,
		       (a->nr + a->tail_nr) * sizeof(a->words[0]));
}

static uint32_t hash_of(const struct burrow_layout *layout)
{
	uint64_t hash = layout->size * 31 + layout->nr;
	const char *p;

	for (p = layout->name; *p; p++)
		hash = hash * 31 + (unsigned char)*p;
	return (hash * 0x9e3779b97f4a7c15ULL) >> 56;
}

/* Without pointers it needs no bin of its own, nor if it is large or flexible. */
static uint32_t bin_for(const struct burrow_layout *layout)
{
	if (layout->tail_size || layout->size > BURROW_HEAP_SMALL)
		return BURROW_BIN_NONE;
	if (!layout->nr)
		return burrow_bin_of(BURROW_PLAIN,
				     burrow_class_of(layout->size));
	return burrow_bin_add(layout->size, layout);
}

/* The one that is like @layout, or @layout itself. */
static const struct burrow_layout *unite(struct burrow_layout *layout)
{
	struct burrow_layout **list = &registry.hash[hash_of(layout)], *old;

	for (old = *list; old; old = old->next)
		if (same(old, layout))
			return old;
	layout->bin = bin_for(layout);
	layout->next = *list;
	*list = layout;
	return layout;
}

static const struct burrow_layout *look_up(const struct burrow_type *type,
					   const char **why)
{
	const struct burrow_layout *layout;
	struct burrow_layout *made;
	char *at = registry.at;

	*why = type_lie(type);
	if (!*why && burrow_bins_open())
		*why = "no memory for it";
	if (*why)
		return NULL;
	made = layout_make(type, count_words(type, false),
			   count_words(type, true));
	if (!made) {
		*why = "no memory for it";
		return NULL;
	}
	layout = unite(made);
	if (layout != made && (char *)made == at) {
		memset(at, 0, registry.at - at);
		registry.at = at;
	}
	return layout;
}

const struct burrow_layout *burrow_layout_of(const struct burrow_type *type,
					     const char **why)
{
	uint64_t *cell = type->cell->opaque;
	const struct burrow_layout *layout;

	/* Pairs with the release below. */
	layout = (void *)__atomic_load_n(&cell[1], __ATOMIC_ACQUIRE);
	if (layout)
		return layout;
	pthread_mutex_lock(&registry.lock);
	layout = look_up(type, why);
	if (layout) {
		__atomic_store_n(&cell[0], layout->bin, __ATOMIC_RELAXED);
		__atomic_store_n(&cell[1], (uintptr_t)layout, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&registry.lock);
	return layout;
}
