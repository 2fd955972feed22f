// SPDX-License-Identifier: GPL-2.0
/*
 * Reads /proc/PID/maps. See mapping.h.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../debug/image.h"
#include "mapping.h"

static bool parse(char *line, struct mapping *m)
{
	char rights[8];
	int begin = 0;

	line[strcspn(line, "\n")] = 0;
	if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %n", &m->low, &m->high,
		   rights, &m->offset, &begin) < 4 ||
	    line[begin] != '/')
		return false;
	m->code = rights[2] == 'x';
	m->file = line + begin;
	return true;
}

bool mapping_find(pid_t pid, bool (*fn)(const struct mapping *m, void *arg),
		  void *arg)
{
	char path[64], line[PATH_MAX + 128];
	bool found = false;
	struct mapping m;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		if (parse(line, &m))
			found = fn(&m, arg);
	}
	if (f)
		fclose(f);
	return found;
}

void mapping_path(pid_t pid, const struct mapping *m, char *path, size_t size)
{
	snprintf(path, size, "/proc/%d/map_files/%lx-%lx", pid, m->low,
		 m->high);
	if (access(path, R_OK))
		snprintf(path, size, "/proc/%d/root%s", pid, m->file);
}

uint64_t mapping_address(const struct burrow_image *image, uint64_t offset)
{
	const Elf64_Ehdr *head = (const void *)image->data;
	const Elf64_Phdr *ph = (const void *)(image->data + head->e_phoff);
	int i;

	if (head->e_phoff > image->size ||
	    head->e_phnum * sizeof(*ph) > image->size - head->e_phoff)
		return 0;
	for (i = 0; i < head->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && offset >= ph[i].p_offset &&
		    offset - ph[i].p_offset < ph[i].p_filesz)
			return offset - ph[i].p_offset + ph[i].p_vaddr;
	}
	return 0;
}
