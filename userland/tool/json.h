/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few things that every JSON output of the tool does, on json-c.
 */
#ifndef BURROW_TOOL_JSON_H
#define BURROW_TOOL_JSON_H

#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>

static inline void json_add_text(struct json_object *o, const char *key,
				 const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static inline void json_add_number(struct json_object *o, const char *key,
				   int64_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

/* Indented, with a newline at the end; less than 0 if it can't be written. */
static inline int json_print(FILE *to, struct json_object *o)
{
	int style = JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE;

	return fprintf(to, "%s\n", json_object_to_json_string_ext(o, style));
}

#endif /* BURROW_TOOL_JSON_H */
