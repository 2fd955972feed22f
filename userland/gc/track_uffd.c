// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tracking by userfaultfd and PAGEMAP_SCAN, Linux 6.7 or later.
 *
 * Pages are write-protected asynchronously: the first write takes a fault that
 * the kernel resolves by itself. PAGEMAP_SCAN lists the pages that lost their
 * protection, or never had one, and puts it back in the same call. Nothing ever
 * reads the descriptor. Writes by the kernel on the program's behalf count too.
 *
 * A page that was never touched is no page to either call; what is written to
 * it makes it one without protection. So arming costs by the pages there are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scan.h"
#include "track.h"

#define REGIONS 64 /* on the stack of a goroutine, too */

static int uffd = -1, pagemap = -1;

static void uffd_close(void)
{
	if (uffd >= 0)
		close(uffd);
	if (pagemap >= 0)
		close(pagemap);
	uffd = -1;
	pagemap = -1;
}

static int uffd_open(const struct burrow_heap_module *module)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = FEATURE_WP_ASYNC,
	};
	int err;

	if (module)
		return -EOPNOTSUPP;
	/* Faults of the kernel's own are resolved all the same. */
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);
	if (uffd < 0)
		return -errno;
	if (!ioctl(uffd, UFFDIO_API, &api)) {
		pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		if (pagemap >= 0)
			return 0;
	}
	err = errno;
	uffd_close();
	return -err;
}

static int uffd_watch(char *low, char *high)
{
	struct uffdio_register reg = {
		.range = { (uintptr_t)low, high - low },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

static int uffd_scan(char *low, char *high, uint64_t flags, uint64_t categories,
		     burrow_dirty_fn *fn, void *arg)
{
	struct scan_region regions[REGIONS];
	struct scan_arg scan = {
		.size = sizeof(scan),
		.flags = flags,
		.start = (uintptr_t)low,
		.end = (uintptr_t)high,
		.vec = (uintptr_t)regions,
		.vec_len = REGIONS,
		.category_mask = categories,
		.return_mask = SCAN_WRITTEN,
	};
	int i, n;

	while (scan.start < scan.end) {
		n = ioctl(pagemap, SCAN, &scan);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (i = 0; i < n; i++)
			fn((char *)regions[i].start, (char *)regions[i].end,
			   arg);
		scan.start = scan.walk_end;
	}
	return 0;
}

static int uffd_harvest(char *low, char *high, burrow_dirty_fn *fn, void *arg)
{
	return uffd_scan(low, high, SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC,
			 SCAN_WRITTEN, fn, arg);
}

static int uffd_look(char *low, char *high, burrow_dirty_fn *fn, void *arg)
{
	return uffd_scan(low, high, SCAN_CHECK_WPASYNC, SCAN_WRITTEN, fn, arg);
}

static void ignore(char *low, char *high, void *arg)
{
	(void)low;
	(void)high;
	(void)arg;
}

/* What was written is what lacks protection: the same call arms. */
static int uffd_arm(char *low, char *high)
{
	return uffd_harvest(low, high, ignore, NULL);
}

/* A guard is no memory, and was "written": to protect it makes no sense. */
static int uffd_arm_present(char *low, char *high)
{
	return uffd_scan(low, high, SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC,
			 SCAN_PRESENT | SCAN_WRITTEN, ignore, NULL);
}

/* A failure costs faults, no more. */
static void uffd_disarm(char *low, char *high)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)low, high - low },
	};

	ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
}

const struct burrow_tracker burrow_track_uffd = {
	.name = "userfaultfd",
	.open = uffd_open,
	.close = uffd_close,
	.watch = uffd_watch,
	.arm = uffd_arm,
	.arm_present = uffd_arm_present,
	.harvest = uffd_harvest,
	.look = uffd_look,
	.disarm = uffd_disarm,
};
