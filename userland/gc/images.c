// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The writable segments of everything that is loaded, as the dynamic linker
 * lists them, but for what it makes read-only after relocation and for a table of
 * the library's own.
 *
 * The list is taken beforehand. While dl_iterate_phdr() calls us back it holds
 * the lock under which dlopen() adds to its list and dlclose() unmaps: so the
 * second time we let it call whoever wants the list from inside, if the counts
 * of what came and went say that the list still holds. Otherwise it is taken
 * anew. Libraries in namespaces of their own (dlmopen) it does not know.
 *
 * Called by the collector's thread, which alone touches what is here.
 */
#define _GNU_SOURCE
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "../debug/print.h"
#include "../sched/sched.h"
#include "images.h"

struct range {
	const char *low;
	const char *high;
};

static struct range *ranges;
static size_t count, room;
static unsigned long long adds, subs; /* when the list was taken */
static bool taken;

static void add(const char *low, const char *high)
{
	struct range *more;

	if (low >= high)
		return;
	if (count == room) {
		room = room ? 2 * room : 64;
		more = realloc(ranges, room * sizeof(*ranges));
		if (!more) {
			burrow_print(
				STDERR_FILENO,
				"burrow: no memory to list the program's static data\n");
			abort();
		}
		ranges = more;
	}
	ranges[count++] = (struct range){ low, high };
}

/* What is not in the other range. */
static void add_without(const char *low, const char *high, const char *no_low,
			const char *no_high,
			void (*put)(const char *low, const char *high))
{
	if (no_low >= no_high || no_high <= low || no_low >= high) {
		put(low, high);
		return;
	}
	put(low, no_low);
	put(no_high, high);
}

/* The table of descriptors is a megabyte, and more than all else that we have. */
static void add_but_files(const char *low, const char *high)
{
	size_t bytes;
	const char *files = burrow_files_table(&bytes);

	add_without(low, high, files, files + bytes, add);
}

static int take_one(struct dl_phdr_info *info, size_t size, void *arg)
{
	const uintptr_t page = sysconf(_SC_PAGESIZE);
	const char *base = (const char *)info->dlpi_addr;
	const char *low, *ro_low = NULL, *ro_high = NULL;
	const typeof(*info->dlpi_phdr) *p;

	(void)size;
	(void)arg;
	adds = info->dlpi_adds;
	subs = info->dlpi_subs;
	for (p = info->dlpi_phdr; p < info->dlpi_phdr + info->dlpi_phnum; p++) {
		if (p->p_type != PT_GNU_RELRO)
			continue;
		/* What shares its last page with others stays writable. */
		ro_low = base + p->p_vaddr;
		ro_high = (const char *)((uintptr_t)(ro_low + p->p_memsz) &
					 -page);
	}
	for (p = info->dlpi_phdr; p < info->dlpi_phdr + info->dlpi_phnum; p++) {
		low = base + p->p_vaddr;
		if (p->p_type == PT_LOAD && p->p_flags & PF_W)
			add_without(low, low + p->p_memsz, ro_low, ro_high,
				    add_but_files);
	}
	return 0;
}

/**
 * struct hold - what is to be done
 * @fn:		the function
 * @arg:	its argument
 * @done:	it was called
 */
struct hold {
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

/* The first call suffices: it says whether anything has changed. */
static int call_if_valid(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct hold *hold = arg;

	(void)size;
	if (!taken || info->dlpi_adds != adds || info->dlpi_subs != subs)
		return 1;
	hold->fn(hold->arg);
	hold->done = true;
	return 1;
}

void burrow_images_hold(void (*fn)(void *arg), void *arg)
{
	struct hold hold = { .fn = fn, .arg = arg };

	for (;;) {
		dl_iterate_phdr(call_if_valid, &hold);
		if (hold.done)
			return;
		count = 0;
		dl_iterate_phdr(take_one, NULL);
		taken = true;
	}
}

void burrow_images_each(burrow_root_fn *fn, void *arg)
{
	size_t i;

	for (i = 0; i < count; i++)
		fn(arg, ranges[i].low, ranges[i].high);
}
