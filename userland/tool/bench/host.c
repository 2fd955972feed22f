// SPDX-License-Identifier: GPL-2.0
/*
 * What machine the figures come from: the "host" object of the JSON.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../sysfile.h"
#include "../version.h"
#include "results.h"

static void add(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static void add_processor(struct json_object *o)
{
	char model[128];

	if (!sysfile_field("/proc/cpuinfo", "model name", model, sizeof(model)))
		add(o, "processor", model);
	json_object_object_add(
		o, "processors",
		json_object_new_int64(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_object_add(
		o, "memory_bytes",
		json_object_new_int64((int64_t)sysconf(_SC_PHYS_PAGES) *
				      sysconf(_SC_PAGESIZE)));
	json_object_object_add(o, "page_bytes",
			       json_object_new_int64(sysconf(_SC_PAGESIZE)));
}

static void add_time(struct json_object *o)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	if (gmtime_r(&now, &tm) &&
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		add(o, "time", text);
}

struct json_object *host_json(void)
{
	static const struct {
		const char *key;
		const char *path;
	} files[] = {
		{ "clocksource",
		  "/sys/devices/system/clocksource/clocksource0/current_clocksource" },
		{ "transparent_hugepage",
		  "/sys/kernel/mm/transparent_hugepage/enabled" },
		{ "module", "/sys/module/burrow/version" },
	};
	struct json_object *o = json_object_new_object();
	struct utsname u;
	char text[128];
	size_t i;

	add(o, "burrow", BURROW_VERSION);
	if (!uname(&u)) {
		add(o, "kernel", u.release);
		add(o, "machine", u.machine);
	}
	add_processor(o);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!sysfile_read(files[i].path, text, sizeof(text)))
			add(o, files[i].key, text);
	add_time(o);
	return o;
}
