/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of programs and libraries (64-bit ELF), mapped to be looked at, and the
 * source lines in them. System calls only: for signal handlers too.
 */
#ifndef BURROW_IMAGE_H
#define BURROW_IMAGE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct burrow_image - one mapped file
 * @data:	its bytes
 * @size:	how many
 * @sections:	its section headers
 * @nr:		how many
 * @names:	number of the section with their names
 */
struct burrow_image {
	const char *data;
	size_t size;
	const Elf64_Shdr *sections;
	unsigned int nr;
	unsigned int names;
};

/* False: it can't be read, or is no such file. */
bool burrow_image_open(struct burrow_image *image, const char *path);
void burrow_image_close(struct burrow_image *image);

/* The bytes of a section, NULL if they are not (all) there. */
const void *burrow_image_bytes(const struct burrow_image *image,
			       const Elf64_Shdr *section);

/* A section by name, as it lies in the file; NULL: none, or compressed. */
const void *burrow_image_section(const struct burrow_image *image,
				 const char *name, size_t *size);

/* A string at an offset of a table, NULL if it does not end there. */
const char *burrow_image_string(const char *table, size_t size, size_t at);

/**
 * struct burrow_line_range - addresses whose lines one program tells
 * @low:	first one
 * @high:	behind the last one
 * @unit:	offset of that program in .debug_line
 */
struct burrow_line_range {
	uint64_t low;
	uint64_t high;
	size_t unit;
};

/**
 * struct burrow_lines - where to look for an address
 * @ranges:	in mapped memory
 * @count:	how many
 * @room:	how many there is memory for
 */
struct burrow_lines {
	struct burrow_line_range *ranges;
	size_t count;
	size_t room;
};

/* Reads all programs of .debug_line once. */
void burrow_lines_open(struct burrow_lines *lines,
		       const struct burrow_image *image);
void burrow_lines_close(struct burrow_lines *lines);

/* @address is the file's own, not moved. 0: unknown; else @file is filled. */
unsigned int burrow_lines_find(const struct burrow_lines *lines,
			       const struct burrow_image *image,
			       uint64_t address, char *file, size_t size);

#endif /* BURROW_IMAGE_H */
