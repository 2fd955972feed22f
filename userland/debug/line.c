// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From an address to a line of source: the line programs of DWARF 2 to 5.
 *
 * A compiler leaves a program for a small machine with each object; run, it
 * yields rows of address, file and line, in sequences of rising addresses
 * (DWARF 5, 6.2). When a file is opened all programs are run once to learn
 * which addresses each one covers; a look-up runs one of them again. So no
 * other part of the debug information is read, and no table of rows is kept.
 * Why not libdw: it allocates, so a report on a fault could not use it, and
 * programs would be linked with it, or would find it at run time or not.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "image.h"

/* DWARF's numbers, by its names. */
#define DW_LNS_copy 1
#define DW_LNS_advance_pc 2
#define DW_LNS_advance_line 3
#define DW_LNS_set_file 4
#define DW_LNS_const_add_pc 8
#define DW_LNS_fixed_advance_pc 9
#define DW_LNE_end_sequence 1
#define DW_LNE_set_address 2
#define DW_LNCT_path 1
#define DW_LNCT_directory_index 2
#define DW_FORM_block2 0x03
#define DW_FORM_block4 0x04
#define DW_FORM_data2 0x05
#define DW_FORM_data4 0x06
#define DW_FORM_data8 0x07
#define DW_FORM_string 0x08
#define DW_FORM_block 0x09
#define DW_FORM_block1 0x0a
#define DW_FORM_data1 0x0b
#define DW_FORM_strp 0x0e
#define DW_FORM_udata 0x0f
#define DW_FORM_data16 0x1e
#define DW_FORM_line_strp 0x1f

/* Bytes still to read; @p is NULL once it was asked for more than there are. */
struct cursor {
	const uint8_t *p;
	const uint8_t *end;
};

static const uint8_t *take(struct cursor *c, uint64_t n)
{
	const uint8_t *p = c->p;

	if (!p || n > (uint64_t)(c->end - p)) {
		c->p = NULL;
		return NULL;
	}
	c->p += n;
	return p;
}

static uint64_t number(struct cursor *c, unsigned int bytes)
{
	const uint8_t *p = take(c, bytes);
	uint64_t n = 0;

	if (p)
		memcpy(&n, p, bytes);
	return n;
}

static uint64_t uleb(struct cursor *c)
{
	unsigned int shift = 0;
	uint64_t n = 0;
	uint8_t byte;

	do {
		byte = number(c, 1);
		if (shift < 64)
			n |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return n;
}

static int64_t sleb(struct cursor *c)
{
	unsigned int shift = 0;
	uint64_t n = 0;
	uint8_t byte;

	do {
		byte = number(c, 1);
		if (shift < 64)
			n |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (byte & 0x40 && shift < 64)
		n |= ~0ULL << shift;
	return n;
}

static const char *string(struct cursor *c)
{
	const char *s = (const char *)c->p;
	const uint8_t *zero;

	zero = s ? memchr(s, 0, c->end - c->p) : NULL;
	c->p = zero ? zero + 1 : NULL;
	return zero ? s : NULL;
}

/**
 * struct unit - one line program
 * @tables:	its directories and files
 * @program:	its instructions
 * @version:	of DWARF
 * @wide:	bytes of an offset: 4 or 8
 * @least:	bytes of an instruction of the machine's
 * @line_base:	see DWARF 5, 6.2.4
 * @line_range:	and there
 * @opcode_base: and there
 * @lengths:	numbers of arguments of the standard instructions
 */
struct unit {
	struct cursor tables;
	struct cursor program;
	unsigned int version;
	unsigned int wide;
	unsigned int least;
	int line_base;
	unsigned int line_range;
	unsigned int opcode_base;
	const uint8_t *lengths;
};

/* Reads a header and steps over the unit; false: nothing more, or unknown. */
static bool unit_read(struct cursor *c, struct unit *u)
{
	struct cursor body;
	uint64_t length = number(c, 4);

	u->wide = 4;
	if (length == 0xffffffff) {
		u->wide = 8;
		length = number(c, 8);
	}
	body.p = take(c, length);
	if (!body.p)
		return false;
	body.end = body.p + length;

	u->version = number(&body, 2);
	if (u->version >= 5)
		take(&body, 2); /* sizes of addresses and segments */
	length = number(&body, u->wide);
	u->tables = body;
	u->program = body;
	take(&u->program, length);

	u->least = number(&u->tables, 1);
	if (u->version >= 4)
		take(&u->tables, 1); /* operations in an instruction */
	take(&u->tables, 1); /* whether rows are statements */
	u->line_base = number(&u->tables, 1);
	u->line_base -= u->line_base & 0x80 ? 0x100 : 0; /* it has a sign */
	u->line_range = number(&u->tables, 1);
	u->opcode_base = number(&u->tables, 1);
	u->lengths = take(&u->tables, u->opcode_base ? u->opcode_base - 1 : 0);
	/* Of another version only the length is known. */
	if (u->version < 2 || u->version > 5 || !u->lengths || !u->line_range)
		u->program.p = NULL;
	return true;
}

/**
 * struct row - what the program yields
 * @address:	of the file
 * @file:	number of the source
 * @line:	of it
 * @end:	the sequence ends before @address
 */
struct row {
	uint64_t address;
	uint64_t file;
	uint64_t line;
	bool end;
};

static void row_reset(struct row *row)
{
	*row = (struct row){ .file = 1, .line = 1 };
}

/* What is not told apart here sets what nobody asks for. */
static void extended(struct cursor *c, struct row *row)
{
	uint64_t length = uleb(c);
	struct cursor args;

	args.p = take(c, length);
	if (!args.p)
		return;
	args.end = args.p + length;
	switch (number(&args, 1)) {
	case DW_LNE_end_sequence:
		row->end = true;
		break;
	case DW_LNE_set_address:
		row->address = number(&args, length == 5 ? 4 : 8);
		break;
	}
}

static void standard(const struct unit *u, struct cursor *c, unsigned int op,
		     struct row *row)
{
	unsigned int i;

	switch (op) {
	case DW_LNS_advance_pc:
		row->address += u->least * uleb(c);
		break;
	case DW_LNS_advance_line:
		row->line += sleb(c);
		break;
	case DW_LNS_set_file:
		row->file = uleb(c);
		break;
	case DW_LNS_const_add_pc:
		row->address +=
			(255 - u->opcode_base) / u->line_range * u->least;
		break;
	case DW_LNS_fixed_advance_pc:
		row->address += number(c, 2);
		break;
	default:
		for (i = 0; i < u->lengths[op - 1]; i++)
			uleb(c);
	}
}

/* Runs to the next row; false: there is none. */
static bool next_row(const struct unit *u, struct cursor *c, struct row *row)
{
	unsigned int op;

	if (row->end)
		row_reset(row);
	while (c->p && c->p < c->end) {
		op = number(c, 1);
		if (op >= u->opcode_base) {
			op -= u->opcode_base;
			row->address += op / u->line_range * u->least;
			row->line += u->line_base + (int)(op % u->line_range);
			return true;
		}
		if (op == DW_LNS_copy)
			return true;
		if (op)
			standard(u, c, op, row);
		else
			extended(c, row);
		if (row->end)
			return true;
	}
	return false;
}

static bool make_room(struct burrow_lines *lines)
{
	size_t size = sizeof(lines->ranges[0]);
	size_t room = lines->room ? lines->room * 2 : 4096 / size;
	void *p;

	if (lines->count < lines->room)
		return true;
	if (lines->ranges)
		p = mremap(lines->ranges, lines->room * size, room * size,
			   MREMAP_MAYMOVE);
	else
		p = mmap(NULL, room * size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	lines->ranges = p;
	lines->room = room;
	return true;
}

/* What the linker dropped begins at 0. */
static void add_ranges(struct burrow_lines *lines, const struct unit *u,
		       size_t at)
{
	struct cursor c = u->program;
	uint64_t low = UINT64_MAX;
	struct row row;

	row_reset(&row);
	while (next_row(u, &c, &row)) {
		if (low == UINT64_MAX)
			low = row.address;
		if (!row.end)
			continue;
		if (low && low < row.address && make_room(lines))
			lines->ranges[lines->count++] =
				(struct burrow_line_range){ low, row.address,
							    at };
		low = UINT64_MAX;
	}
}

void burrow_lines_open(struct burrow_lines *lines,
		       const struct burrow_image *image)
{
	const uint8_t *start;
	struct cursor c;
	struct unit u;
	size_t size, at;

	memset(lines, 0, sizeof(*lines));
	start = burrow_image_section(image, ".debug_line", &size);
	if (!start)
		return;
	c.p = start;
	c.end = start + size;
	while (c.p < c.end) {
		at = c.p - start;
		if (!unit_read(&c, &u))
			break;
		add_ranges(lines, &u, at);
	}
}

void burrow_lines_close(struct burrow_lines *lines)
{
	if (lines->ranges)
		munmap(lines->ranges, lines->room * sizeof(lines->ranges[0]));
}

/* The row that holds for the address: the last one not behind it. */
static bool find_row(const struct unit *u, uint64_t address, struct row *found)
{
	struct cursor c = u->program;
	struct row row, last = { .end = true };

	row_reset(&row);
	while (next_row(u, &c, &row)) {
		if (!last.end && last.address <= address &&
		    address < row.address) {
			*found = last;
			return true;
		}
		last = row;
	}
	return false;
}

/* Strings of version 5 may lie in sections of their own. */
static const char *form_string(struct cursor *c, uint64_t form,
			       unsigned int wide,
			       const struct burrow_image *image)
{
	const char *table;
	uint64_t at;
	size_t size;

	if (form == DW_FORM_string)
		return string(c);
	at = number(c, wide);
	table = burrow_image_section(
		image, form == DW_FORM_strp ? ".debug_str" : ".debug_line_str",
		&size);
	return burrow_image_string(table, size, at);
}

static uint64_t form_number(struct cursor *c, uint64_t form)
{
	switch (form) {
	case DW_FORM_data1:
		return number(c, 1);
	case DW_FORM_data2:
		return number(c, 2);
	case DW_FORM_data4:
		return number(c, 4);
	case DW_FORM_data8:
		return number(c, 8);
	case DW_FORM_udata:
		return uleb(c);
	case DW_FORM_data16:
		take(c, 16);
		return 0;
	case DW_FORM_block:
		take(c, uleb(c));
		return 0;
	case DW_FORM_block1:
	case DW_FORM_block2:
	case DW_FORM_block4:
		take(c, number(c, form == DW_FORM_block1 ? 1 :
				  form == DW_FORM_block2 ? 2 :
							   4));
		return 0;
	default:
		c->p = NULL;
		return 0;
	}
}

/* One entry of a table of version 5, as its formats say. */
static void entry_read(struct cursor *c, struct cursor formats,
		       unsigned int nr_formats, unsigned int wide,
		       const struct burrow_image *image, const char **name,
		       uint64_t *dir)
{
	const char *text;
	uint64_t what, form, n;
	unsigned int i;

	for (i = 0; i < nr_formats; i++) {
		what = uleb(&formats);
		form = uleb(&formats);
		text = NULL;
		n = 0;
		if (form == DW_FORM_string || form == DW_FORM_strp ||
		    form == DW_FORM_line_strp)
			text = form_string(c, form, wide, image);
		else
			n = form_number(c, form);
		if (what == DW_LNCT_path)
			*name = text;
		else if (what == DW_LNCT_directory_index)
			*dir = n;
	}
}

/* Goes through a table of version 5; keeps its entry number @index. */
static void table_read(struct cursor *c, unsigned int wide,
		       const struct burrow_image *image, uint64_t index,
		       const char **name, uint64_t *dir)
{
	unsigned int nr_formats = number(c, 1), i;
	struct cursor formats = *c;
	uint64_t count, n, d;
	const char *text;

	for (i = 0; i < 2 * nr_formats; i++)
		uleb(c);
	count = uleb(c);
	for (n = 0; n < count && c->p; n++) {
		text = NULL;
		d = 0;
		entry_read(c, formats, nr_formats, wide, image, &text, &d);
		if (n == index) {
			*name = text;
			*dir = d;
		}
	}
}

static void name_5(const struct unit *u, const struct burrow_image *image,
		   uint64_t file, const char **dir, const char **name)
{
	struct cursor files = u->tables, dirs = u->tables;
	uint64_t number = 0, none;

	/* The directories come first; none has the number of a file's. */
	table_read(&files, u->wide, image, UINT64_MAX, name, &none);
	table_read(&files, u->wide, image, file, name, &number);
	table_read(&dirs, u->wide, image, number, dir, &none);
}

/* Before version 5 files count from 1; directory 0 is not told here. */
static void name_2(const struct unit *u, uint64_t file, const char **dir,
		   const char **name)
{
	struct cursor c = u->tables, dirs = u->tables;
	uint64_t n, number = 0;
	const char *text;

	while ((text = string(&c)) && *text)
		;
	for (n = 1; (text = string(&c)) && *text; n++) {
		number = uleb(&c);
		uleb(&c);
		uleb(&c);
		if (n == file) {
			*name = text;
			break;
		}
	}
	for (n = 1; number && (text = string(&dirs)) && *text; n++) {
		if (n == number)
			*dir = text;
	}
}

static size_t append(char *to, size_t len, size_t size, const char *text)
{
	while (*text && len < size - 1)
		to[len++] = *text++;
	to[len] = 0;
	return len;
}

static void file_name(const struct unit *u, const struct burrow_image *image,
		      uint64_t number, char *file, size_t size)
{
	const char *dir = NULL, *name = NULL;
	size_t len = 0;

	if (u->version >= 5)
		name_5(u, image, number, &dir, &name);
	else
		name_2(u, number, &dir, &name);
	if (!name)
		name = "?";
	if (dir && *name != '/') {
		len = append(file, len, size, dir);
		len = append(file, len, size, "/");
	}
	append(file, len, size, name);
}

unsigned int burrow_lines_find(const struct burrow_lines *lines,
			       const struct burrow_image *image,
			       uint64_t address, char *file, size_t size)
{
	const struct burrow_line_range *range;
	const uint8_t *start;
	size_t bytes, i;
	struct cursor c;
	struct unit u;
	struct row row;

	for (i = 0; i < lines->count; i++) {
		range = &lines->ranges[i];
		if (address < range->low || address >= range->high)
			continue;
		start = burrow_image_section(image, ".debug_line", &bytes);
		c.p = start + range->unit;
		c.end = start + bytes;
		if (!unit_read(&c, &u) || !find_row(&u, address, &row))
			return 0;
		file_name(&u, image, row.file, file, size);
		return row.line;
	}
	return 0;
}
