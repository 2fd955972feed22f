// SPDX-License-Identifier: GPL-2.0
/*
 * Loads runtime.bpf.o and attaches what there is to attach to. See watch.h.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tool.h"
#include "runtime.skel.h"
#include "watch.h"

#define MODULE "/sys/module/burrow"

/**
 * struct watch - what is loaded
 * @skel:	the object
 * @ring:	its events
 * @links:	what is attached, NULL: it is not
 * @nr_links:	length of @links
 * @module:	the module's events are among it
 * @fn:		who gets the events
 * @arg:	its argument
 */
struct watch {
	struct runtime_bpf *skel;
	struct ring_buffer *ring;
	struct bpf_link *links[64];
	unsigned int nr_links;
	bool module;
	watch_fn *fn;
	void *arg;
};

/* libbpf's last complaint, shown where we can't say better. */
static char complaint[512];

static int keep_complaint(enum libbpf_print_level level, const char *fmt,
			  va_list args)
{
	if (level == LIBBPF_WARN)
		vsnprintf(complaint, sizeof(complaint), fmt, args);
	return 0;
}

static int on_event(void *ctx, void *data, size_t size)
{
	struct watch *w = ctx;

	if (size >= sizeof(struct runtime_event))
		w->fn(data, w->arg);
	return 0;
}

static bool is_usdt(const struct bpf_program *program)
{
	return !strcmp(bpf_program__section_name(program), "usdt");
}

/* "raw_tp/burrow_*": nothing to attach to without the module. */
static bool of_module(const struct bpf_program *program)
{
	return strstr(bpf_program__section_name(program), "/burrow_");
}

static int load(struct watch *w, pid_t pid)
{
	struct bpf_program *program;

	w->skel = runtime_bpf__open();
	if (!w->skel)
		return -errno;
	w->skel->rodata->only_pid = pid;
	w->module = !access(MODULE, F_OK);
	bpf_object__for_each_program(program, w->skel->obj) {
		if (of_module(program))
			bpf_program__set_autoload(program, w->module);
	}
	return runtime_bpf__load(w->skel);
}

/* The first probe that is not there may be one that the library does not fire. */
static int attach_probes(struct watch *w, pid_t pid, const char *path)
{
	struct bpf_program *program;
	struct bpf_link *link;
	int found = 0;

	bpf_object__for_each_program(program, w->skel->obj) {
		if (!is_usdt(program))
			continue;
		link = bpf_program__attach_usdt(program, pid, path, "burrow",
						bpf_program__name(program),
						NULL);
		if (link) {
			w->links[w->nr_links++] = link;
			found++;
		} else if (errno != ENOENT) {
			return -errno;
		}
	}
	return found ? 0 : -ENOENT;
}

static int attach_events(struct watch *w)
{
	struct bpf_program *program;
	struct bpf_link *link;

	bpf_object__for_each_program(program, w->skel->obj) {
		if (is_usdt(program) || (of_module(program) && !w->module))
			continue;
		link = bpf_program__attach(program);
		if (!link)
			return -errno;
		w->links[w->nr_links++] = link;
	}
	return 0;
}

static int refuse(int err, const char *what, const char *path)
{
	complaint[strcspn(complaint, "\n")] = 0;
	if (err == -EPERM || err == -EACCES) {
		rights_say();
		return TOOL_NOTHING;
	}
	if (err == -ENOENT)
		tool_say(
			"%s has no probes of Burrow: is it linked with the library?",
			path);
	else
		tool_say("%s: %s%s%s", what, strerror(-err),
			 *complaint ? ": " : "", complaint);
	return TOOL_FAILED;
}

int watch_open(pid_t pid, const char *program, struct watch **watch)
{
	struct watch *w = calloc(1, sizeof(*w));
	const char *what = "cannot load BPF programs";
	int err = -ENOMEM;

	if (!w)
		return refuse(err, what, program);
	*complaint = 0;
	libbpf_set_print(keep_complaint);
	err = load(w, pid);
	if (!err) {
		what = "cannot attach to probes";
		err = attach_probes(w, pid, program);
	}
	if (!err) {
		what = "cannot attach to events";
		err = attach_events(w);
	}
	if (!err) {
		what = "no ring buffer";
		w->ring = ring_buffer__new(bpf_map__fd(w->skel->maps.events),
					   on_event, w, NULL);
		if (!w->ring)
			err = -errno;
	}
	if (err) {
		watch_close(w);
		return refuse(err, what, program);
	}
	*watch = w;
	return TOOL_OK;
}

int watch_poll(struct watch *w, int timeout_ms, watch_fn *fn, void *arg)
{
	int ret;

	w->fn = fn;
	w->arg = arg;
	ret = ring_buffer__poll(w->ring, timeout_ms);
	/* It is not woken for few. */
	return ret ? ret : ring_buffer__consume(w->ring);
}

uint64_t watch_dropped(const struct watch *w)
{
	return __atomic_load_n(&w->skel->bss->dropped, __ATOMIC_RELAXED);
}

bool watch_module(const struct watch *w)
{
	return w->module;
}

void watch_close(struct watch *w)
{
	unsigned int i;

	for (i = 0; i < w->nr_links; i++)
		bpf_link__destroy(w->links[i]);
	ring_buffer__free(w->ring);
	runtime_bpf__destroy(w->skel);
	free(w);
}
