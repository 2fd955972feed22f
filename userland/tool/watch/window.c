// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the state of a runtime in another process. See window.h. Nothing that is
 * found there is believed: addresses are only asked for, loops are bounded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../debug/image.h"
#include "../../sched/sched.h"
#include "mapping.h"
#include "window.h"

#define LIBRARY "/libburrow.so"
#define PAGE 4096UL
#define STRETCH 64 /* pages of a stack that are asked for at a time */
#define SLABS 4096
#define SLAB_MAX (1UL << 20) /* goroutines that one has at most */
#define PRESENT (3ULL << 62) /* in memory, or in swap */

/* Whether all of it was read. */
static bool peek(const struct window *w, uint64_t address, void *to,
		 size_t bytes)
{
	struct iovec here = { to, bytes }, there = { (void *)address, bytes };

	return process_vm_readv(w->pid, &here, 1, &there, 1, 0) ==
	       (ssize_t)bytes;
}

/* Fields @first to @last of the struct at @base, each in its place of @v. */
static bool peek_fields(const struct window *w, uint64_t base,
			enum burrow_field first, enum burrow_field last,
			uint64_t *v)
{
	struct iovec here[BURROW_FIELDS], there[BURROW_FIELDS];
	unsigned int i, n = 0;
	ssize_t bytes = 0;

	for (i = first; i <= last; i++) {
		v[i] = 0;
		if (!w->table.fields[i].bytes ||
		    w->table.fields[i].bytes > sizeof(v[i]))
			continue;
		here[n].iov_base = &v[i];
		there[n].iov_base = (void *)(base + w->table.fields[i].at);
		here[n].iov_len = w->table.fields[i].bytes;
		there[n].iov_len = here[n].iov_len;
		bytes += here[n++].iov_len;
	}
	return process_vm_readv(w->pid, here, n, there, n, 0) == bytes;
}

/* ---- opening ---------------------------------------------------------------------- */

/**
 * struct search - for the table
 * @w:		what is filled
 * @exe:	path of the program as its mappings have it
 * @err:	what became of it
 */
struct search {
	struct window *w;
	char exe[PATH_MAX];
	int err;
};

static const Elf64_Shdr *section_of(const struct burrow_image *image)
{
	const Elf64_Shdr *names;
	const char *text;
	unsigned int i;

	if (image->names >= image->nr)
		return NULL;
	names = &image->sections[image->names];
	for (i = 0; i < image->nr; i++) {
		text = burrow_image_string(burrow_image_bytes(image, names),
					   names->sh_size,
					   image->sections[i].sh_name);
		if (text && !strcmp(text, BURROW_WINDOW_SECTION))
			return &image->sections[i];
	}
	return NULL;
}

static int read_table(struct window *w, uint64_t at, uint64_t bytes)
{
	struct burrow_window *t = &w->table;

	memset(t, 0, sizeof(*t));
	if (bytes > sizeof(*t))
		bytes = sizeof(*t);
	if (!peek(w, at, t, bytes))
		return -errno;
	if (memcmp(t->magic, BURROW_WINDOW_MAGIC, sizeof(t->magic)))
		return -ENOENT;
	return 0;
}

/* The first mapping of a file says by how much it was moved. */
static bool try_mapping(const struct mapping *m, void *arg)
{
	struct search *search = arg;
	struct window *w = search->w;
	const Elf64_Shdr *section;
	struct burrow_image image;

	if (!strcmp(m->file, search->exe))
		snprintf(w->program, sizeof(w->program), "/proc/%d/exe",
			 w->pid);
	else if (strstr(m->file, LIBRARY))
		mapping_path(w->pid, m, w->program, sizeof(w->program));
	else
		return false;
	if (!burrow_image_open(&image, w->program))
		return false;
	section = section_of(&image);
	if (section)
		search->err = read_table(
			w,
			section->sh_addr + m->low -
				(mapping_address(&image, m->offset) & -PAGE),
			section->sh_size);
	burrow_image_close(&image);
	return section;
}

int window_open(struct window *w, pid_t pid)
{
	struct search search = { .w = w, .err = -ENOENT };
	char path[64];
	ssize_t n;

	w->pid = pid;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, search.exe, sizeof(search.exe) - 1);
	if (n < 0)
		return -errno;
	mapping_find(pid, try_mapping, &search);
	return search.err;
}

/* ---- counting --------------------------------------------------------------------- */

/* Adds what one processor has; its rings are read while they change. */
static void count_proc(const struct window *w, uint64_t at,
		       struct window_counts *c, uint64_t *created,
		       uint64_t *ended)
{
	uint64_t v[BURROW_FIELDS];

	if (!peek_fields(w, at, BURROW_FIELD_PROC_CREATED,
			 BURROW_FIELD_PROC_FRESH_TAIL, v))
		return;
	*ended += v[BURROW_FIELD_PROC_ENDED];
	*created += v[BURROW_FIELD_PROC_CREATED];
	c->queued += (uint32_t)(v[BURROW_FIELD_PROC_TAIL] -
				v[BURROW_FIELD_PROC_HEAD]) %
		     (BURROW_QUEUE_LEN + 1);
	c->queued += (uint32_t)(v[BURROW_FIELD_PROC_FRESH_TAIL] -
				v[BURROW_FIELD_PROC_FRESH_HEAD]) %
		     (BURROW_QUEUE_LEN + 1);
	c->queued += v[BURROW_FIELD_PROC_NEXT] != 0;
}

static void count_procs(const struct window *w, struct window_counts *c,
			uint64_t created)
{
	uint64_t at = (uint64_t)w->table.runtime +
		      w->table.fields[BURROW_FIELD_RUNTIME_PROCS].at;
	uint64_t ended = 0, proc;
	unsigned int i;

	for (i = 0; i < BURROW_PROCS_MAX; i++) {
		if (!peek(w, at + i * sizeof(proc), &proc, sizeof(proc)) ||
		    !proc)
			break;
		count_proc(w, proc, c, &created, &ended);
	}
	c->goroutines = created > ended ? created - ended : 0;
}

static void count_heap(const struct window *w, struct window_counts *c,
		       uint64_t heap)
{
	uint64_t v[BURROW_FIELDS];

	if (!heap || !peek_fields(w, heap, BURROW_FIELD_HEAP_IN_USE,
				  BURROW_FIELD_HEAP_FREE_1, v))
		return;
	c->live = v[BURROW_FIELD_HEAP_LIVE];
	c->heap = v[BURROW_FIELD_HEAP_IN_USE];
	c->heap += (v[BURROW_FIELD_HEAP_FREE_0] + v[BURROW_FIELD_HEAP_FREE_1])
		   << (w->table.heap_shift & 63);
	if (!peek_fields(w, (uint64_t)w->table.collector,
			 BURROW_FIELD_COLLECTOR_BEGUN,
			 BURROW_FIELD_COLLECTOR_DONE, v))
		return;
	c->cycles = v[BURROW_FIELD_COLLECTOR_DONE];
	c->collects = v[BURROW_FIELD_COLLECTOR_BEGUN] != c->cycles;
}

int window_count(const struct window *w, struct window_counts *c)
{
	uint64_t v[BURROW_FIELDS];

	memset(c, 0, sizeof(*c));
	if (!peek_fields(w, (uint64_t)w->table.runtime,
			 BURROW_FIELD_RUNTIME_RUNNING,
			 BURROW_FIELD_RUNTIME_HEAP, v))
		return -errno;
	c->running = v[BURROW_FIELD_RUNTIME_RUNNING];
	if (!c->running)
		return 0;
	c->procs = v[BURROW_FIELD_RUNTIME_NR_PROCS];
	c->threads = v[BURROW_FIELD_RUNTIME_NR_THREADS];
	c->queued = v[BURROW_FIELD_RUNTIME_QUEUED];
	count_procs(w, c, v[BURROW_FIELD_RUNTIME_CREATED]);
	count_heap(w, c, v[BURROW_FIELD_RUNTIME_HEAP]);
	return 0;
}

/* ---- goroutines ------------------------------------------------------------------- */

/**
 * struct walk - over all of them
 * @w:		where
 * @fn:		who is told
 * @arg:	its argument
 * @clock:	milliseconds since the runtime started
 * @pagemap:	says which pages are there, -1: nobody does
 * @arena:	that was read last, and its fields
 * @base:	of it
 * @stride:	of it
 * @guard:	of it
 * @left:	how many more may be told of
 * @told:	how many were
 */
struct walk {
	const struct window *w;
	void (*fn)(const struct window_goroutine *g, void *arg);
	void *arg;
	uint32_t clock;
	int pagemap;
	uint64_t arena;
	uint64_t base;
	uint64_t stride;
	uint64_t guard;
	long left;
	long told;
};

/* Of a copy of a goroutine; 0 of what does not lie in one. */
static uint64_t field(const struct window *w, const char *copy,
		      enum burrow_field f)
{
	uint64_t all = w->table.fields[BURROW_FIELD_SLAB_G].bytes;
	uint64_t at = w->table.fields[f].at, bytes = w->table.fields[f].bytes;
	uint64_t v = 0;

	if (bytes <= sizeof(v) && at + bytes <= all)
		memcpy(&v, copy + at, bytes);
	return v;
}

static bool find_arena(struct walk *walk, uint64_t arena)
{
	uint64_t v[BURROW_FIELDS];

	if (arena == walk->arena)
		return true;
	if (!peek_fields(walk->w, arena, BURROW_FIELD_ARENA_BASE,
			 BURROW_FIELD_ARENA_GUARD, v))
		return false;
	walk->arena = arena;
	walk->base = v[BURROW_FIELD_ARENA_BASE];
	walk->stride = v[BURROW_FIELD_ARENA_STRIDE];
	walk->guard = v[BURROW_FIELD_ARENA_GUARD];
	return true;
}

/* A stack has memory from its upper end down to where it was never so deep. */
static uint64_t stack_bytes(struct walk *walk, uint64_t arena, uint64_t slot)
{
	uint64_t map[STRETCH], top, low, pages = 0;
	ssize_t i, n;

	if (!arena || walk->pagemap < 0 || !find_arena(walk, arena))
		return 0;
	low = (walk->base + slot * walk->stride + walk->guard) / PAGE;
	top = (walk->base + (slot + 1) * walk->stride) / PAGE;
	while (top > low) {
		n = top - low < STRETCH ? top - low : STRETCH;
		top -= n;
		if (pread(walk->pagemap, map, n * sizeof(map[0]),
			  top * sizeof(map[0])) != n * (ssize_t)sizeof(map[0]))
			break;
		for (i = n - 1; i >= 0 && map[i] & PRESENT; i--)
			pages++;
		if (i >= 0)
			break;
	}
	return pages * PAGE;
}

static const char *doing(unsigned int state, unsigned int reason)
{
	const struct goroutine g = { .reason = reason };

	switch (state) {
	case GOROUTINE_RUNNABLE:
		return "runnable";
	case GOROUTINE_RUNNING:
		return "running";
	case GOROUTINE_WAITING:
		return goroutine_reason_name(&g);
	default:
		return "?";
	}
}

static void tell(struct walk *walk, const char *copy)
{
	const struct window *w = walk->w;
	struct window_goroutine g = {
		.id = field(w, copy, BURROW_FIELD_G_ID),
		.state = field(w, copy, BURROW_FIELD_G_STATE),
		.site = field(w, copy, BURROW_FIELD_G_SITE),
	};
	uint64_t name = field(w, copy, BURROW_FIELD_G_NAME);
	int32_t waited;

	if (g.state == GOROUTINE_FREE || !walk->left)
		return;
	walk->left--;
	walk->told++;
	g.what = doing(g.state, field(w, copy, BURROW_FIELD_G_REASON));
	waited = walk->clock - field(w, copy, BURROW_FIELD_G_PARKED_AT);
	if (g.state == GOROUTINE_WAITING && waited > 0)
		g.waited_ms = waited;
	if (name && peek(w, name, g.name, sizeof(g.name)))
		g.name[sizeof(g.name) - 1] = 0;
	g.stack = stack_bytes(walk, field(w, copy, BURROW_FIELD_G_ARENA),
			      field(w, copy, BURROW_FIELD_G_SLOT));
	walk->fn(&g, walk->arg);
}

/* The goroutines of a slab, some of them at a time. */
static void walk_slab(struct walk *walk, uint64_t at, uint64_t used)
{
	static char copies[1 << 16];
	uint64_t step = walk->w->table.fields[BURROW_FIELD_SLAB_G].bytes;
	uint64_t n, i;

	if (!step || step > sizeof(copies) || used > SLAB_MAX)
		return;
	at += walk->w->table.fields[BURROW_FIELD_SLAB_G].at;
	for (; used && walk->left; used -= n, at += n * step) {
		n = sizeof(copies) / step;
		n = used < n ? used : n;
		if (!peek(walk->w, at, copies, n * step))
			return;
		for (i = 0; i < n; i++)
			tell(walk, copies + i * step);
	}
}

long window_each(const struct window *w, long max,
		 void (*fn)(const struct window_goroutine *g, void *arg),
		 void *arg)
{
	struct walk walk = { .w = w, .fn = fn, .arg = arg, .left = max };
	uint64_t v[BURROW_FIELDS], slab;
	char path[64];
	int i;

	if (!peek_fields(w, (uint64_t)w->table.runtime,
			 BURROW_FIELD_RUNTIME_RUNNING,
			 BURROW_FIELD_RUNTIME_HEAP, v))
		return -errno;
	if (!v[BURROW_FIELD_RUNTIME_RUNNING])
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", w->pid);
	walk.pagemap = open(path, O_RDONLY | O_CLOEXEC);
	walk.clock =
		(burrow_now() - (int64_t)v[BURROW_FIELD_RUNTIME_STARTED_AT]) /
		1000000;
	slab = v[BURROW_FIELD_RUNTIME_SLABS];
	for (i = 0; i < SLABS && slab && walk.left; i++) {
		if (!peek_fields(w, slab, BURROW_FIELD_SLAB_NEXT,
				 BURROW_FIELD_SLAB_USED, v))
			break;
		walk_slab(&walk, slab, v[BURROW_FIELD_SLAB_USED]);
		slab = v[BURROW_FIELD_SLAB_NEXT];
	}
	if (walk.pagemap >= 0)
		close(walk.pagemap);
	return walk.told;
}
