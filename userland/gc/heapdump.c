// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The heap dump: every object that lives, what points to what, and from where.
 *
 * A line each, words separated by blanks (Documentation/collector.rst). Written
 * with all threads stopped, right after marking: what is allocated is what lives,
 * and nothing has moved on. System calls only; the file must not be a pipe that
 * this process reads.
 */
#include "../debug/out.h"
#include "../sched/sched.h"
#include "../stack/stack.h"
#include "gc.h"
#include "heapdump.h"
#include "weak.h"

/**
 * struct dump - what is being written
 * @heap:	of which heap
 * @out:	to where
 * @kind:	of the roots that are looked at
 * @object:	whose pointers are looked at
 * @objects:	written so far
 * @bytes:	in them
 */
struct dump {
	struct burrow_heap *heap;
	struct burrow_out out;
	const char *kind;
	const struct burrow_object *object;
	uint64_t objects;
	uint64_t bytes;
};

/* Of the goroutine whose stack an address is on; 0: none. */
static uint64_t goroutine_at(const void *address)
{
	const struct burrow_stack_arena *arena =
		burrow_stack_find(burrow_runtime.pool, address);
	size_t slot;

	if (!arena)
		return 0;
	slot = ((const char *)address - arena->base) / arena->stride;
	return arena->table[slot].goroutine;
}

__attribute__((no_sanitize("address", "thread"))) static void
root(void *arg, const void *low, const void *high)
{
	void *const *p = (void *const *)(((uintptr_t)low + 7) & ~7UL);
	uint64_t goroutine = goroutine_at(low);
	struct burrow_object object;
	struct dump *d = arg;

	for (; (const char *)(p + 1) <= (const char *)high; p++) {
		if (burrow_heap_find(d->heap, *p, &object))
			burrow_out_print(&d->out, "root %s %lu 0x%lx 0x%lx\n",
					 d->kind, goroutine, (unsigned long)p,
					 (unsigned long)object.start);
	}
}

static void roots(struct dump *d)
{
	int i;

	for (i = 0; i < BURROW_ROOT_KINDS; i++) {
		d->kind = burrow_root_kinds[i].name;
		burrow_root_kinds[i].each(root, d);
	}
	d->kind = "cleanup";
	burrow_weak_roots(root, d);
}

static void pointer(void **at, void *arg)
{
	struct burrow_object object;
	struct dump *d = arg;

	if (burrow_heap_find(d->heap, *at, &object))
		burrow_out_print(&d->out, " %lu:0x%lx",
				 (unsigned long)((char *)at - d->object->start),
				 (unsigned long)object.start);
}

static void object(const struct burrow_object *object, void *arg)
{
	const char *type = burrow_heap_type_name(object);
	struct dump *d = arg;

	burrow_out_print(&d->out, "object 0x%lx %zu %s %s",
			 (unsigned long)object->start, object->size,
			 burrow_heap_kind_name(object), type ? type : "-");
	d->object = object;
	burrow_heap_pointers(d->heap, object, pointer, d);
	burrow_out_print(&d->out, "\n");
	d->objects++;
	d->bytes += object->size;
}

int burrow_heapdump_write(struct burrow_heap *heap, int fd)
{
	struct dump d = { .heap = heap, .out = { .fd = fd } };

	burrow_out_print(&d.out, "burrow-heap-dump 1\n");
	roots(&d);
	burrow_heap_each(heap, object, &d);
	burrow_out_print(&d.out, "end %lu %lu\n", d.objects, d.bytes);
	return burrow_out_flush(&d.out);
}
