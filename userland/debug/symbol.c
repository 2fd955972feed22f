// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From an address to a function's name and line, with system calls only.
 *
 * dladdr() knows exported functions and takes a lock; a crash report wants the
 * static ones too, and may be written under that lock. So the file that the
 * address belongs to is mapped and its symbol table searched. That is slow, and
 * a dump asks for the same few addresses again and again: for the length of one
 * report the files stay mapped, and answers are kept.
 *
 * Several threads may write reports: a lock of our own is over all of it. A
 * fault inside here brings its own thread back; that one gets no names.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "image.h"
#include "symbol.h"

#define FILES 32 /* kept mapped at most */
#define ANSWERS 256

/**
 * struct file - a program or library
 * @base:	by how much it was moved
 * @path:	what the loader calls it; empty: the program
 * @usable:	@image and @lines are there
 * @image:	the file
 * @lines:	of its sources
 */
struct file {
	uintptr_t base;
	const char *path;
	bool usable;
	struct burrow_image image;
	struct burrow_lines lines;
};

/**
 * struct report - what is kept
 * @files:	the first @nr_files
 * @nr_files:	how many
 * @answers:	by address
 */
struct report {
	struct file files[FILES];
	unsigned int nr_files;
	struct burrow_symbol answers[ANSWERS];
};

static struct report *report;
static pid_t owner;
static char program[256];

/* False: we are in here already. */
static bool lock(void)
{
	pid_t me = syscall(SYS_gettid), none = 0;

	while (!__atomic_compare_exchange_n(
		&owner, &none, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		if (none == me)
			return false;
		none = 0;
		sched_yield();
	}
	return true;
}

static void unlock(void)
{
	__atomic_store_n(&owner, 0, __ATOMIC_RELEASE);
}

/* The function of one symbol table that @offset (of the file) is in. */
static bool search_table(const struct burrow_image *image,
			 const Elf64_Shdr *table, uintptr_t offset,
			 struct burrow_symbol *symbol)
{
	const Elf64_Sym *sym, *best = NULL;
	const Elf64_Shdr *strings;
	const char *name;
	size_t i;

	sym = burrow_image_bytes(image, table);
	if (!sym || table->sh_link >= image->nr)
		return false;
	for (i = 0; i < table->sh_size / sizeof(*sym); i++, sym++) {
		if (ELF64_ST_TYPE(sym->st_info) != STT_FUNC || !sym->st_shndx)
			continue;
		if (offset - sym->st_value < (sym->st_size ? sym->st_size : 1))
			best = sym;
	}
	if (!best)
		return false;
	strings = &image->sections[table->sh_link];
	name = burrow_image_string(burrow_image_bytes(image, strings),
				   strings->sh_size, best->st_name);
	if (!name)
		return false;
	strncpy(symbol->name, name, sizeof(symbol->name) - 1);
	symbol->name[sizeof(symbol->name) - 1] = 0;
	symbol->offset = offset - best->st_value;
	return true;
}

static void search(const struct burrow_image *image, uintptr_t offset,
		   struct burrow_symbol *symbol)
{
	const Elf64_Word types[] = { SHT_SYMTAB, SHT_DYNSYM };
	unsigned int i, t;

	for (t = 0; t < 2; t++) {
		for (i = 0; i < image->nr; i++) {
			if (image->sections[i].sh_type == types[t] &&
			    search_table(image, &image->sections[i], offset,
					 symbol))
				return;
		}
	}
}

static void file_open(struct file *file, uintptr_t base, const char *path)
{
	file->base = base;
	file->path = path;
	file->usable = burrow_image_open(&file->image,
					 *path ? path : "/proc/self/exe");
	if (file->usable)
		burrow_lines_open(&file->lines, &file->image);
}

static struct file *file_of(uintptr_t base, const char *path)
{
	struct file *file;
	unsigned int i;

	for (i = 0; i < report->nr_files; i++) {
		file = &report->files[i];
		if (file->base == base && file->path == path)
			return file;
	}
	if (report->nr_files == FILES)
		return NULL;
	file = &report->files[report->nr_files++];
	file_open(file, base, path);
	return file;
}

static void look_up(uintptr_t address, struct burrow_symbol *symbol)
{
	struct dl_find_object found;
	struct file *file;
	const char *path;
	uintptr_t base;

	if (_dl_find_object((void *)address, &found))
		return;
	base = found.dlfo_link_map->l_addr;
	path = found.dlfo_link_map->l_name;
	symbol->offset = address - base;
	symbol->module = *path ? path : program;
	file = file_of(base, path);
	if (!file || !file->usable)
		return;
	search(&file->image, address - base, symbol);
	symbol->line = burrow_lines_find(&file->lines, &file->image,
					 address - base, symbol->file,
					 sizeof(symbol->file));
}

static bool report_open(void)
{
	ssize_t n;
	void *p;

	if (report)
		return true;
	p = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	report = p;
	n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	program[n < 0 ? 0 : n] = 0;
	return true;
}

void burrow_symbol_find(uintptr_t address, struct burrow_symbol *symbol)
{
	struct burrow_symbol *answer;

	memset(symbol, 0, sizeof(*symbol));
	symbol->address = address;
	if (!lock())
		return;
	if (report_open()) {
		answer = &report->answers[address % ANSWERS];
		if (answer->address != address) {
			memset(answer, 0, sizeof(*answer));
			answer->address = address;
			look_up(address, answer);
		}
		*symbol = *answer;
	}
	unlock();
}

void burrow_symbols_close(void)
{
	struct file *file;

	if (!lock())
		return;
	while (report && report->nr_files) {
		file = &report->files[--report->nr_files];
		if (!file->usable)
			continue;
		burrow_lines_close(&file->lines);
		burrow_image_close(&file->image);
	}
	if (report)
		munmap(report, sizeof(*report));
	report = NULL;
	unlock();
}
