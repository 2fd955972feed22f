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

/* What is mapped at @address, and where in the file that is. */
static int find_mapping(pid_t pid, uint64_t address, char *file, size_t size,
			uint64_t *offset)
{
	unsigned long low, high, at;
	char path[64], line[PATH_MAX + 128];
	int begin, ret = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	while (f && ret && fgets(line, sizeof(line), f)) {
		begin = 0;
		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %n", &low, &high, &at,
			   &begin) < 3 ||
		    address < low || address >= high || line[begin] != '/')
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(file, size, "%s", line + begin);
		*offset = address - low + at;
		ret = 0;
	}
	if (f)
		fclose(f);
	return ret;
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

	function = function_at(image, address, &into);
	/* The main goroutine's is no call but the function that it runs. */
	if (!function)
		function = function_at(image, ++address, &into);
	if (!function)
		return;
	snprintf(name, size, "%s+0x%lx", function, into);
	burrow_lines_open(&lines, image);
	line = burrow_lines_find(&lines, image, address, file, sizeof(file));
	if (line)
		snprintf(name, size, "%s (%s:%u)", function, file, line);
	burrow_lines_close(&lines);
}

static void find_name(pid_t pid, uint64_t address, char *name, size_t size)
{
	char file[PATH_MAX], path[PATH_MAX + 32];
	struct burrow_image image;
	uint64_t offset, at;

	snprintf(name, size, "0x%lx", address);
	/* It is a return address: the call is before it. */
	if (find_mapping(pid, address - 1, file, sizeof(file), &offset))
		return;
	snprintf(name, size, "%.200s+0x%lx",
		 strrchr(file, '/') ? strrchr(file, '/') + 1 : file, offset);
	snprintf(path, sizeof(path), "/proc/%d/root%s", pid, file);
	if (!burrow_image_open(&image, path))
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
	struct site *site;

	while ((site = sites)) {
		sites = site->next;
		free(site);
	}
}
