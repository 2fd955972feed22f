// SPDX-License-Identifier: GPL-2.0
/*
 * Names of code addresses in another process: its mappings say which file, the
 * file's symbols and lines say what. See sites.h.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../debug/image.h"
#include "mapping.h"
#include "sites.h"

/**
 * struct site - a name that was found
 * @next:	list
 * @pid:	of the process
 * @address:	in it
 * @name:	of that
 */
struct site {
	struct site *next;
	pid_t pid;
	uint64_t address;
	char name[256];
};

static struct site *sites;

/**
 * struct kept - a piece of code in a process; see struct mapping
 * @next:	list
 * @pid:	of the process
 * @m:		it
 * @file:	its path
 */
struct kept {
	struct kept *next;
	pid_t pid;
	struct mapping m;
	char file[];
};

static struct kept *mappings;

/* All that hold code. What is there twice does no harm. */
static bool keep_mapping(const struct mapping *m, void *arg)
{
	size_t bytes = strlen(m->file) + 1;
	struct kept *kept;

	kept = m->code ? malloc(sizeof(*kept) + bytes) : NULL;
	if (!kept)
		return false;
	kept->pid = *(pid_t *)arg;
	kept->m = *m;
	kept->m.file = memcpy(kept->file, m->file, bytes);
	kept->next = mappings;
	mappings = kept;
	return false;
}

static const struct mapping *mapping_at(pid_t pid, uint64_t address)
{
	const struct kept *k = mappings;

	while (k &&
	       (k->pid != pid || address < k->m.low || address >= k->m.high))
		k = k->next;
	return k ? &k->m : NULL;
}

/* The function that an address is in, NULL: not known. */
static const char *function_at(const struct burrow_image *image,
			       uint64_t address, uint64_t *into)
{
	size_t bytes = 0, text = 0, i;
	const Elf64_Sym *sym = burrow_image_section(image, ".symtab", &bytes);
	const char *strings = burrow_image_section(image, ".strtab", &text);

	for (i = 0; sym && strings && i < bytes / sizeof(*sym); i++) {
		if (ELF64_ST_TYPE(sym[i].st_info) != STT_FUNC ||
		    address < sym[i].st_value ||
		    address - sym[i].st_value >= sym[i].st_size)
			continue;
		*into = address - sym[i].st_value;
		return burrow_image_string(strings, text, sym[i].st_name);
	}
	return NULL;
}

static void name_in(const struct burrow_image *image, uint64_t address,
		    char *name, size_t size)
{
	struct burrow_lines lines;
	const char *function;
	uint64_t into = 0;
	unsigned int line;
	char file[160];

	/* The main goroutine's is no call but the function that it runs. */
	function = function_at(image, address + 1, &into);
	if (function && !into)
		address++;
	else
		function = function_at(image, address, &into);
	if (!function)
		return;
	snprintf(name, size, "%s+0x%lx", function, into);
	burrow_lines_open(&lines, image);
	line = burrow_lines_find(&lines, image, address, file, sizeof(file));
	if (line)
		snprintf(name, size, "%s (%s:%u)", function, file, line);
	burrow_lines_close(&lines);
}

/* As the process sees it, or, where that is gone, as we do. */
static bool open_file(struct burrow_image *image, pid_t pid,
		      const struct mapping *m)
{
	char path[PATH_MAX + 32];

	mapping_path(pid, m, path, sizeof(path));
	return burrow_image_open(image, path) ||
	       burrow_image_open(image, m->file);
}

static void find_name(pid_t pid, uint64_t address, char *name, size_t size)
{
	const struct mapping *m = mapping_at(pid, address);
	struct burrow_image image;
	uint64_t offset, at;

	if (!m) {
		mapping_find(pid, keep_mapping, &pid);
		m = mapping_at(pid, address);
	}
	snprintf(name, size, "0x%lx", address);
	if (!m)
		return;
	/* It is a return address: the call is before it. */
	offset = address - 1 - m->low + m->offset;
	snprintf(name, size, "%.200s+0x%lx", strrchr(m->file, '/') + 1, offset);
	if (!open_file(&image, pid, m))
		return;
	at = mapping_address(&image, offset);
	if (at)
		name_in(&image, at, name, size);
	burrow_image_close(&image);
}

const char *sites_name(pid_t pid, uint64_t address)
{
	struct site *site;

	if (!address)
		return "not seen to start";
	for (site = sites; site; site = site->next) {
		if (site->address == address && site->pid == pid)
			return site->name;
	}
	site = calloc(1, sizeof(*site));
	if (!site)
		return "?";
	site->pid = pid;
	site->address = address;
	find_name(pid, address, site->name, sizeof(site->name));
	site->next = sites;
	sites = site;
	return site->name;
}

void sites_on_event(const struct runtime_event *e,
		    const struct model_goroutine *g, void *arg)
{
	(void)g;
	(void)arg;
	if (e->kind == EVENT_GO_CREATE)
		sites_name(e->pid, e->b);
}

void sites_forget(pid_t pid)
{
	struct kept **map = &mappings, *kept;
	struct site **at = &sites, *site;

	while ((site = *at)) {
		if (pid && site->pid != pid) {
			at = &site->next;
			continue;
		}
		*at = site->next;
		free(site);
	}
	while ((kept = *map)) {
		if (pid && kept->pid != pid) {
			map = &kept->next;
			continue;
		}
		*map = kept->next;
		free(kept);
	}
}
