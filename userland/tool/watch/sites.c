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
 * struct mapping - a piece of a file in a process
 * @next:	list
 * @pid:	of the process
 * @low:	first address
 * @high:	behind the last one
 * @offset:	of @low in the file
 * @file:	its path
 */
struct mapping {
	struct mapping *next;
	pid_t pid;
	unsigned long low;
	unsigned long high;
	unsigned long offset;
	char file[];
};

static struct mapping *mappings;

static void keep_mapping(pid_t pid, const struct mapping *m, const char *file)
{
	size_t bytes = strlen(file) + 1;
	struct mapping *kept = malloc(sizeof(*kept) + bytes);

	if (!kept)
		return;
	*kept = *m;
	kept->pid = pid;
	memcpy(kept->file, file, bytes);
	kept->next = mappings;
	mappings = kept;
}

/* All that hold code. What is there twice does no harm. */
static void read_mappings(pid_t pid)
{
	char path[64], line[PATH_MAX + 128], rights[8];
	struct mapping m;
	int begin;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		begin = 0;
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %n", &m.low, &m.high,
			   rights, &m.offset, &begin) >= 4 &&
		    rights[2] == 'x' && line[begin] == '/')
			keep_mapping(pid, &m, line + begin);
	}
	if (f)
		fclose(f);
}

static const struct mapping *mapping_at(pid_t pid, uint64_t address)
{
	const struct mapping *m = mappings;

	while (m && (m->pid != pid || address < m->low || address >= m->high))
		m = m->next;
	return m;
}

/* The address that the file gives to a place in it; 0: none. */
static uint64_t address_in(const struct burrow_image *image, uint64_t offset)
{
	const Elf64_Ehdr *head = (const void *)image->data;
	const Elf64_Phdr *ph = (const void *)(image->data + head->e_phoff);
	int i;

	if (head->e_phoff + head->e_phnum * sizeof(*ph) > image->size)
		return 0;
	for (i = 0; i < head->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && offset >= ph[i].p_offset &&
		    offset - ph[i].p_offset < ph[i].p_filesz)
			return offset - ph[i].p_offset + ph[i].p_vaddr;
	}
	return 0;
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
static bool open_file(struct burrow_image *image, const struct mapping *m)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "/proc/%d/root%s", m->pid, m->file);
	return burrow_image_open(image, path) ||
	       burrow_image_open(image, m->file);
}

static void find_name(pid_t pid, uint64_t address, char *name, size_t size)
{
	const struct mapping *m = mapping_at(pid, address);
	struct burrow_image image;
	uint64_t offset, at;

	if (!m) {
		read_mappings(pid);
		m = mapping_at(pid, address);
	}
	snprintf(name, size, "0x%lx", address);
	if (!m)
		return;
	/* It is a return address: the call is before it. */
	offset = address - 1 - m->low + m->offset;
	snprintf(name, size, "%.200s+0x%lx", strrchr(m->file, '/') + 1, offset);
	if (!open_file(&image, m))
		return;
	at = address_in(&image, offset);
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

void sites_close(void)
{
	struct mapping *m;
	struct site *site;

	while ((site = sites)) {
		sites = site->next;
		free(site);
	}
	while ((m = mappings)) {
		mappings = m->next;
		free(m);
	}
}
