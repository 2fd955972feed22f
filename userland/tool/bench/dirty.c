// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty benchmark: finding the pages that were written, of 64 MiB or
 * --count MiB (rounded up to whole blocks of the module).
 *
 * kmod		a heap arena; the processor's own dirty bits, harvested
 * uffd		anonymous memory, write-protected by userfaultfd in its
 *		asynchronous mode and read by PAGEMAP_SCAN (since 6.7)
 *
 * ns/write is the first write to a page after a harvest, ns/dirty-page the
 * harvest of a range where all was written, ns/clean-page that of a range
 * where nothing was. All pages are present from the start. A sample is the
 * whole range; the first round is dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../gc/scan.h"
#include "../tool.h"
#include "bench.h"
#include "clock.h"
#include "kmod.h"
#include "results.h"

#define DEFAULT_MIB 64
#define DEFAULT_RUNS 5

/* A tracked range of one of the two kinds. */
struct range {
	struct kmod_arena arena;
	uint64_t *bitmap;
	char *base;
	size_t bytes;
	size_t pages;
	size_t page;
	int uffd;
	int pagemap;
};

static int open_kmod(struct range *r, char *why, size_t size)
{
	int err = kmod_open_heap(&r->arena, r->bytes, why, size);

	if (err)
		return err;
	r->base = r->arena.base;
	r->bitmap = calloc(r->pages / 64, sizeof(*r->bitmap));
	return r->bitmap ? 0 : -ENOMEM;
}

static int64_t harvest_kmod(struct range *r)
{
	return kmod_harvest(&r->arena, r->bitmap);
}

static void close_kmod(struct range *r)
{
	kmod_close(&r->arena);
	free(r->bitmap);
}

static int open_userfaultfd(struct range *r, char *why, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = FEATURE_WP_ASYNC |
					      FEATURE_WP_UNPOPULATED };
	struct uffdio_register reg = {
		.range = { (uintptr_t)r->base, r->bytes },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	r->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (r->uffd < 0) /* what a user without rights may have */
		r->uffd = syscall(SYS_userfaultfd,
				  O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);
	if (r->uffd < 0) {
		snprintf(why, size, "userfaultfd: %s", strerror(errno));
		return -errno;
	}
	if (ioctl(r->uffd, UFFDIO_API, &api)) {
		snprintf(why, size, "no asynchronous mode (since Linux 6.7)");
		return -errno;
	}
	if (ioctl(r->uffd, UFFDIO_REGISTER, &reg)) {
		snprintf(why, size, "UFFDIO_REGISTER: %s", strerror(errno));
		return -errno;
	}
	return 0;
}

static int open_uffd(struct range *r, char *why, size_t size)
{
	struct uffdio_writeprotect wp;
	char *base = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int err;

	if (base == MAP_FAILED) {
		snprintf(why, size, "mapping: %s", strerror(errno));
		return -ENOMEM;
	}
	r->base = base;
	madvise(base, r->bytes, MADV_NOHUGEPAGE);
	err = open_userfaultfd(r, why, size);
	if (err)
		return err;
	r->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (r->pagemap < 0) {
		snprintf(why, size, "/proc/self/pagemap: %s", strerror(errno));
		return -errno;
	}
	memset(base, 1, r->bytes);
	wp = (struct uffdio_writeprotect){
		.range = { (uintptr_t)base, r->bytes },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	if (ioctl(r->uffd, UFFDIO_WRITEPROTECT, &wp)) {
		snprintf(why, size, "UFFDIO_WRITEPROTECT: %s", strerror(errno));
		return -errno;
	}
	return 0;
}

/* Reads and protects again in one call, as often as the vector is full. */
static int64_t harvest_uffd(struct range *r)
{
	struct scan_region regions[64];
	uint64_t at = (uintptr_t)r->base, end = at + r->bytes, pages = 0;
	long n, i;

	while (at < end) {
		struct scan_arg scan = {
			.size = sizeof(scan),
			.flags = SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC,
			.start = at,
			.end = end,
			.vec = (uintptr_t)regions,
			.vec_len = sizeof(regions) / sizeof(regions[0]),
			.category_mask = SCAN_WRITTEN,
			.return_mask = SCAN_WRITTEN,
		};

		n = ioctl(r->pagemap, SCAN, &scan);
		if (n < 0)
			return -errno;
		for (i = 0; i < n; i++)
			pages += (regions[i].end - regions[i].start) / r->page;
		at = scan.walk_end;
	}
	return pages;
}

static void close_uffd(struct range *r)
{
	if (r->base)
		munmap(r->base, r->bytes);
	if (r->uffd >= 0)
		close(r->uffd);
	if (r->pagemap >= 0)
		close(r->pagemap);
}

static const struct way {
	const char *name;
	int (*open)(struct range *r, char *why, size_t size);
	int64_t (*harvest)(struct range *r);
	void (*close)(struct range *r);
} ways[] = {
	{ "kmod", open_kmod, harvest_kmod, close_kmod },
	{ "uffd", open_uffd, harvest_uffd, close_uffd },
};

#define NWAYS (sizeof(ways) / sizeof(ways[0]))

/* A word in each page, each time another value. */
static void write_all(const struct range *r, unsigned long value)
{
	volatile unsigned long *at = (volatile unsigned long *)r->base;
	volatile unsigned long *end;

	end = (volatile unsigned long *)(r->base + r->pages * r->page);
	for (; at < end; at += r->page / sizeof(*at))
		*at = value;
}

/* A harvest of the whole range; it must find what was written. */
static int harvest(const struct way *way, struct range *r, size_t expected,
		   double *ns)
{
	uint64_t start = bench_ticks();
	int64_t dirty = way->harvest(r);

	*ns = bench_ns(bench_ticks() - start) / r->pages;
	if (dirty < 0) {
		tool_say("bench dirty: %s failed: %s", way->name,
			 strerror(-(int)dirty));
		return -1;
	}
	/* A page too many is allowed (pinned ones); one too few never. */
	if ((size_t)dirty < expected) {
		tool_say("bench dirty: %s found %lld of %zu written pages",
			 way->name, (long long)dirty, expected);
		return -1;
	}
	return 0;
}

static int sample(const struct way *way, struct range *r, int round)
{
	double write, dirty, clean;
	uint64_t start = bench_ticks();

	write_all(r, round);
	write = bench_ns(bench_ticks() - start) / r->pages;
	if (harvest(way, r, r->pages, &dirty) || harvest(way, r, 0, &clean))
		return -1;
	if (!round || tool_interrupted)
		return 0;
	results_add("dirty", way->name, "mib", r->bytes >> 20, "ns/write",
		    write);
	results_add("dirty", way->name, "mib", r->bytes >> 20, "ns/dirty-page",
		    dirty);
	results_add("dirty", way->name, "mib", r->bytes >> 20, "ns/clean-page",
		    clean);
	return 0;
}

static int run(const struct bench_options *options)
{
	int rounds = 1 + (options->runs ? options->runs : DEFAULT_RUNS);
	size_t mib = options->count ? options->count : DEFAULT_MIB;
	size_t page = sysconf(_SC_PAGESIZE), bytes = (mib + 1) / 2 << 21, i;
	struct range ranges[NWAYS];
	bool open[NWAYS] = { false };
	int round, failed = 0;
	char why[256] = "";

	bench_ns(0);
	for (i = 0; i < NWAYS; i++) {
		ranges[i] = (struct range){ .page = page,
					    .bytes = bytes,
					    .pages = bytes / page,
					    .uffd = -1,
					    .pagemap = -1 };
		ranges[i].arena.fd = -1;
		if (!bench_wants(options, ways[i].name))
			continue;
		open[i] = !ways[i].open(&ranges[i], why, sizeof(why));
		if (!open[i]) {
			bench_left_out("dirty", ways[i].name, why);
			ways[i].close(&ranges[i]);
		}
	}
	for (round = 0; round < rounds && !failed; round++)
		for (i = 0; i < NWAYS && !tool_interrupted; i++) {
			if (!open[i])
				continue;
			bench_progress("dirty: round %d of %d: %s", round,
				       rounds - 1, ways[i].name);
			failed |= sample(&ways[i], &ranges[i], round);
		}
	for (i = 0; i < NWAYS; i++)
		if (open[i])
			ways[i].close(&ranges[i]);
	return failed;
}

static const char *backend(size_t i)
{
	return i < NWAYS ? ways[i].name : NULL;
}

const struct bench bench_dirty = {
	.name = "dirty",
	.summary =
		"writes to tracked pages, and finding out which were written",
	.backend = backend,
	.run = run,
};
