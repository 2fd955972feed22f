// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From an address to a function's name, with system calls only.
 *
 * dladdr() knows exported functions and takes a lock; a crash report wants the
 * static ones too, and may be written under that lock. So the file that the
 * address belongs to is mapped and its symbol table searched. Slow, and seldom.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backtrace.h"

struct image {
	const char *data;
	size_t size;
};

static bool image_open(struct image *image, const char *path)
{
	struct stat st;
	void *p;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) || st.st_size < (off_t)sizeof(Elf64_Ehdr)) {
		close(fd);
		return false;
	}
	p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return false;
	image->data = p;
	image->size = st.st_size;
	return true;
}

static const void *image_at(const struct image *image, size_t offset, size_t n)
{
	if (offset > image->size || n > image->size - offset)
		return NULL;
	return image->data + offset;
}

static void copy_name(struct burrow_symbol *symbol, const char *name,
		      size_t max)
{
	size_t i;

	for (i = 0; i < sizeof(symbol->name) - 1 && i < max && name[i]; i++)
		symbol->name[i] = name[i];
	symbol->name[i] = 0;
}

/* The function of one symbol table that @offset (of the module) is in. */
static bool search(const struct image *image, const Elf64_Shdr *sections,
		   unsigned int nr, const Elf64_Shdr *table, uintptr_t offset,
		   struct burrow_symbol *symbol)
{
	const Elf64_Sym *sym, *best = NULL;
	const Elf64_Shdr *strings;
	const char *names;
	size_t i;

	if (table->sh_link >= nr)
		return false;
	strings = &sections[table->sh_link];
	names = image_at(image, strings->sh_offset, strings->sh_size);
	sym = image_at(image, table->sh_offset, table->sh_size);
	if (!names || !sym)
		return false;

	for (i = 0; i < table->sh_size / sizeof(*sym); i++, sym++) {
		if (ELF64_ST_TYPE(sym->st_info) != STT_FUNC || !sym->st_shndx)
			continue;
		if (offset - sym->st_value < (sym->st_size ? sym->st_size : 1))
			best = sym;
	}
	if (!best || best->st_name >= strings->sh_size)
		return false;
	copy_name(symbol, names + best->st_name,
		  strings->sh_size - best->st_name);
	symbol->offset = offset - best->st_value;
	return true;
}

static bool search_image(const struct image *image, uintptr_t offset,
			 struct burrow_symbol *symbol)
{
	const Elf64_Ehdr *head = image_at(image, 0, sizeof(*head));
	const Elf64_Shdr *sections;
	const Elf64_Word types[] = { SHT_SYMTAB, SHT_DYNSYM };
	unsigned int i, t;

	if (memcmp(head->e_ident, ELFMAG, SELFMAG))
		return false;
	sections = image_at(image, head->e_shoff,
			    (size_t)head->e_shnum * sizeof(*sections));
	if (!sections)
		return false;
	for (t = 0; t < 2; t++) {
		for (i = 0; i < head->e_shnum; i++) {
			if (sections[i].sh_type == types[t] &&
			    search(image, sections, head->e_shnum, &sections[i],
				   offset, symbol))
				return true;
		}
	}
	return false;
}

static bool module_of(uintptr_t address, const char **path, uintptr_t *base)
{
	struct dl_find_object found;

	if (_dl_find_object((void *)address, &found))
		return false;
	*base = found.dlfo_link_map->l_addr;
	*path = found.dlfo_link_map->l_name;
	return true;
}

void burrow_symbol_find(uintptr_t address, struct burrow_symbol *symbol)
{
	static char program[256];
	struct image image;
	const char *path;
	uintptr_t base;
	ssize_t n;

	symbol->module = NULL;
	symbol->name[0] = 0;
	symbol->offset = 0;
	if (!module_of(address, &path, &base))
		return;

	symbol->offset = address - base;
	symbol->module = path;
	if (!*path) {
		n = readlink("/proc/self/exe", program, sizeof(program) - 1);
		program[n < 0 ? 0 : n] = 0;
		symbol->module = program;
		path = "/proc/self/exe";
	}
	if (!image_open(&image, path))
		return;
	search_image(&image, address - base, symbol);
	munmap((void *)image.data, image.size);
}
