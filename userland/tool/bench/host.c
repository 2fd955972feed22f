// SPDX-License-Identifier: GPL-2.0
/*
 * What machine the figures come from: the "host" object of the JSON.
 */
#include <linux/burrow.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../json.h"
#include "../sysfile.h"
#include "results.h"

static void add_processor(struct json_object *o)
{
	long page = sysconf(_SC_PAGESIZE);
	char model[128];

	if (!sysfile_field("/proc/cpuinfo", "model name", model, sizeof(model)))
		json_add_text(o, "processor", model);
	json_add_number(o, "processors", sysconf(_SC_NPROCESSORS_ONLN));
	json_add_number(o, "memory_bytes",
			(int64_t)sysconf(_SC_PHYS_PAGES) * page);
	json_add_number(o, "page_bytes", page);
}

static void add_time(struct json_object *o)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	if (gmtime_r(&now, &tm) &&
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		json_add_text(o, "time", text);
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

	json_add_text(o, "burrow", BURROW_RELEASE);
	if (!uname(&u)) {
		json_add_text(o, "kernel", u.release);
		json_add_text(o, "machine", u.machine);
	}
	add_processor(o);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!sysfile_read(files[i].path, text, sizeof(text)))
			json_add_text(o, files[i].key, text);
	add_time(o);
	return o;
}
