// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the JSON of `burrow bench` on standard input, checks each promise that
 * is made about its form, and prints its rows as lines of words:
 *
 *	BENCH BACKEND PARAM VALUE UNIT N MIN MEDIAN MAX
 *
 * Exit status 1, with a reason, where anything is not as promised: then there
 * may be fewer lines.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *why)
{
	fprintf(stderr, "rows: %s\n", why);
	exit(1);
}

static struct json_object *get(struct json_object *o, const char *key,
			       enum json_type type)
{
	struct json_object *v;

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, key, &v) ||
	    !json_object_is_type(v, type)) {
		fprintf(stderr, "rows: no \"%s\" of type %s\n", key,
			json_type_to_name(type));
		exit(1);
	}
	return v;
}

static const char *text(struct json_object *o, const char *key)
{
	return json_object_get_string(get(o, key, json_type_string));
}

static double number(struct json_object *o, const char *key)
{
	return json_object_get_double(get(o, key, json_type_double));
}

/* All of standard input: one JSON value and white space, nothing else. */
static struct json_object *read_all(void)
{
	struct json_tokener *tokener = json_tokener_new();
	static char buffer[1 << 20];
	struct json_object *o;
	size_t n, used;

	n = fread(buffer, 1, sizeof(buffer) - 1, stdin);
	o = json_tokener_parse_ex(tokener, buffer, n + 1);
	if (!o)
		fail(json_tokener_error_desc(json_tokener_get_error(tokener)));
	used = json_tokener_get_parse_end(tokener);
	if (buffer[used + strspn(buffer + used, "\t\n ")])
		fail("something stands behind the JSON");
	json_tokener_free(tokener);
	return o;
}

static void print_row(struct json_object *row, char *line, size_t size)
{
	struct json_object *param = get(row, "param", json_type_object);
	double min = number(row, "min"), max = number(row, "max");
	double median = number(row, "median");
	long n = json_object_get_int64(get(row, "n", json_type_int));

	if (n < 1)
		fail("a row without samples");
	if (!(min <= median && median <= max))
		fail("min, median and max are not in order");
	if (json_object_object_length(param) != 1)
		fail("not one parameter");
	json_object_object_foreach(param, key, value)
	{
		snprintf(line, size, "%s %s %s %lld %s ", text(row, "bench"),
			 text(row, "backend"), key,
			 (long long)json_object_get_int64(value),
			 text(row, "unit"));
	}
	printf("%s%ld %.2f %.2f %.2f\n", line, n, min, median, max);
}

int main(void)
{
	struct json_object *o = read_all(), *rows;
	char(*seen)[256];
	size_t i, k, n;

	if (json_object_get_int64(get(o, "schema", json_type_int)) != 1)
		fail("not schema 1");
	text(get(o, "host", json_type_object), "kernel");
	rows = get(o, "results", json_type_array);
	n = json_object_array_length(rows);
	seen = calloc(n + 1, sizeof(*seen));
	for (i = 0; i < n; i++) {
		print_row(json_object_array_get_idx(rows, i), seen[i],
			  sizeof(seen[i]));
		for (k = 0; k < i; k++) {
			if (!strcmp(seen[k], seen[i]))
				fail("two rows are alike");
		}
	}
	free(seen);
	json_object_put(o);
	return 0;
}
