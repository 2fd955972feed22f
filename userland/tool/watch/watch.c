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
#include <sys/stat.h>
#include <unistd.h>

#include "../tool.h"
#include "runtime.skel.h"
#include "watch.h"

#define MODULE "/sys/module/burrow"

/* One whose probes are attached to, for all that run it. */
struct file {
	dev_t device;
	ino_t inode;
};

/**
 * struct watch - what is loaded
 * @skel:	the object
 * @ring:	its events
 * @links:	what is attached
 * @nr_links:	length of @links
 * @files:	that were added
 * @nr_files:	how many
 * @module:	the module's events are among it
 * @collectors:	the collectors' probes are all that is
 * @fn:		who gets the events
 * @arg:	its argument
 */
struct watch {
	struct runtime_bpf *skel;
	struct ring_buffer *ring;
	struct bpf_link **links;
	unsigned int nr_links;
	struct file *files;
	unsigned int nr_files;
	bool module;
	bool collectors;
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

static bool of_collector(const struct bpf_program *program)
{
	return !strncmp(bpf_program__name(program), "gc_", 3);
}

/* Takes the link over. */
static int keep_link(struct watch *w, struct bpf_link *link)
{
	struct bpf_link **links;

	links = realloc(w->links, (w->nr_links + 1) * sizeof(void *));
	if (!links) {
		bpf_link__destroy(link);
		return -ENOMEM;
	}
	links[w->nr_links++] = link;
	w->links = links;
	return 0;
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
		if (w->collectors && !of_collector(program))
			bpf_program__set_autoload(program, false);
	}
	return runtime_bpf__load(w->skel);
}

/* The first probe that is not there may be one that the library does not fire. */
static int attach_probes(struct watch *w, pid_t pid, const char *path)
{
	struct bpf_program *program;
	struct bpf_link *link;
	int found = 0, err;

	bpf_object__for_each_program(program, w->skel->obj) {
		if (!is_usdt(program) || !bpf_program__autoload(program))
			continue;
		link = bpf_program__attach_usdt(program, pid, path, "burrow",
						bpf_program__name(program),
						NULL);
		if (!link && errno == ENOENT)
			continue;
		err = link ? keep_link(w, link) : -errno;
		if (err)
			return err;
		found++;
	}
	return found ? 0 : -ENOENT;
}

static int attach_events(struct watch *w)
{
	struct bpf_program *program;
	struct bpf_link *link;
	int err;

	bpf_object__for_each_program(program, w->skel->obj) {
		if (is_usdt(program) || !bpf_program__autoload(program))
			continue;
		link = bpf_program__attach(program);
		err = link ? keep_link(w, link) : -errno;
		if (err)
			return err;
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

static int open_ring(struct watch *w)
{
	w->ring = ring_buffer__new(bpf_map__fd(w->skel->maps.events), on_event,
				   w, NULL);
	return w->ring ? 0 : -errno;
}

/* @program NULL: collectors, of no file yet. */
static int open_watch(pid_t pid, const char *program, struct watch **watch)
{
	struct watch *w = calloc(1, sizeof(*w));
	const char *what = "cannot load BPF programs";
	int err = -ENOMEM;

	if (!w)
		return refuse(err, what, program);
	*complaint = 0;
	libbpf_set_print(keep_complaint);
	w->collectors = !program;
	err = load(w, pid);
	if (!err && program) {
		what = "cannot attach to probes";
		err = attach_probes(w, pid, program);
	}
	if (!err && program) {
		what = "cannot attach to events";
		err = attach_events(w);
	}
	if (!err) {
		what = "no ring buffer";
		err = open_ring(w);
	}
	if (err) {
		watch_close(w);
		return refuse(err, what, program);
	}
	*watch = w;
	return TOOL_OK;
}

int watch_open(pid_t pid, const char *program, struct watch **watch)
{
	return open_watch(pid, program, watch);
}

int watch_open_collectors(struct watch **watch)
{
	return open_watch(0, NULL, watch);
}

static bool is_added(const struct watch *w, const struct stat *file)
{
	unsigned int i;

	for (i = 0; i < w->nr_files; i++) {
		if (w->files[i].device == file->st_dev &&
		    w->files[i].inode == file->st_ino)
			return true;
	}
	return false;
}

int watch_add(struct watch *w, const char *program)
{
	struct file *files;
	struct stat st;

	if (stat(program, &st))
		return -errno;
	if (is_added(w, &st))
		return 0;
	files = realloc(w->files, (w->nr_files + 1) * sizeof(*files));
	if (!files)
		return -ENOMEM;
	files[w->nr_files++] = (struct file){ st.st_dev, st.st_ino };
	w->files = files;
	return attach_probes(w, -1, program);
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
	free(w->links);
	free(w->files);
	ring_buffer__free(w->ring);
	runtime_bpf__destroy(w->skel);
	free(w);
}
