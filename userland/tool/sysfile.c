// SPDX-License-Identifier: GPL-2.0
/*
 * Small files of /proc and /sys, read and written as text. Holds no state.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sysfile.h"

/* The first line that begins with @key and a colon, or just the first. */
static int find_line(const char *path, const char *key, char *text, size_t size)
{
	size_t len = key ? strlen(key) : 0;
	FILE *f = fopen(path, "re");
	char line[512], *p = NULL;

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		p = line;
		if (!key)
			break;
		if (!strncmp(line, key, len)) {
			p = line + len + strspn(line + len, " \t");
			if (*p == ':') {
				p++;
				break;
			}
		}
		p = NULL;
	}
	fclose(f);
	if (!p)
		return -ENODATA;
	p += strspn(p, " \t");
	p[strcspn(p, "\n")] = 0;
	snprintf(text, size, "%s", p);
	return 0;
}

int sysfile_read(const char *path, char *text, size_t size)
{
	return find_line(path, NULL, text, size);
}

int sysfile_field(const char *path, const char *key, char *text, size_t size)
{
	return find_line(path, key, text, size);
}

int sysfile_number(const char *path, const char *key, long long *value)
{
	char text[64], *end;
	int err = find_line(path, key, text, sizeof(text));

	if (err)
		return err;
	errno = 0;
	*value = strtoll(text, &end, 10);
	return end == text || errno ? -EINVAL : 0;
}

int sysfile_sum(const char *path, const char *key, long long *sum)
{
	size_t len = strlen(key);
	FILE *f = fopen(path, "re");
	char line[512], *p;

	if (!f)
		return -errno;
	*sum = 0;
	while (fgets(line, sizeof(line), f)) {
		p = line + strspn(line, " \t");
		if (!strncmp(p, key, len) && p[len] == ':')
			*sum += strtoll(p + len + 1, NULL, 10);
	}
	fclose(f);
	return 0;
}

int sysfile_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

long sysfile_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	long lines = 0;
	int c;

	if (!f)
		return -errno;
	while ((c = getc_unlocked(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	return lines;
}
