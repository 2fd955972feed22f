// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ELF files as they lie on the disk. Nothing in one is believed: an offset that
 * leads out of it is as good as none.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"

static const void *at(const struct burrow_image *image, size_t offset, size_t n)
{
	if (offset > image->size || n > image->size - offset)
		return NULL;
	return image->data + offset;
}

static bool map_file(struct burrow_image *image, const char *path)
{
	struct stat st;
	void *p;
	int fd;

	/* It may have become a FIFO, that nobody writes to. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
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

bool burrow_image_open(struct burrow_image *image, const char *path)
{
	const Elf64_Ehdr *head;

	if (!map_file(image, path))
		return false;
	head = at(image, 0, sizeof(*head));
	image->sections = NULL;
	if (!memcmp(head->e_ident, ELFMAG, SELFMAG) &&
	    head->e_ident[EI_CLASS] == ELFCLASS64)
		image->sections =
			at(image, head->e_shoff,
			   (size_t)head->e_shnum * sizeof(image->sections[0]));
	if (!image->sections) {
		burrow_image_close(image);
		return false;
	}
	image->nr = head->e_shnum;
	image->names = head->e_shstrndx;
	return true;
}

void burrow_image_close(struct burrow_image *image)
{
	munmap((void *)image->data, image->size);
}

const void *burrow_image_bytes(const struct burrow_image *image,
			       const Elf64_Shdr *section)
{
	if (section->sh_type == SHT_NOBITS ||
	    section->sh_flags & SHF_COMPRESSED)
		return NULL;
	return at(image, section->sh_offset, section->sh_size);
}

const char *burrow_image_string(const char *table, size_t size, size_t at)
{
	if (!table || at >= size || !memchr(table + at, 0, size - at))
		return NULL;
	return table + at;
}

const void *burrow_image_section(const struct burrow_image *image,
				 const char *name, size_t *size)
{
	const Elf64_Shdr *s, *names;
	const char *table, *text;
	unsigned int i;

	if (image->names >= image->nr)
		return NULL;
	names = &image->sections[image->names];
	table = burrow_image_bytes(image, names);
	for (i = 0; i < image->nr; i++) {
		s = &image->sections[i];
		text = burrow_image_string(table, names->sh_size, s->sh_name);
		if (text && !strcmp(text, name)) {
			*size = s->sh_size;
			return burrow_image_bytes(image, s);
		}
	}
	return NULL;
}
