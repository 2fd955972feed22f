/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tracking by userfaultfd wants of the kernel and the headers that we may be
 * built with do not have: asynchronous write protection, and PAGEMAP_SCAN. Both
 * are as <linux/userfaultfd.h> and <linux/fs.h> of Linux 6.7 define them.
 */
#ifndef BURROW_GC_SCAN_H
#define BURROW_GC_SCAN_H

#include <linux/userfaultfd.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define FEATURE_WP_UNPOPULATED (1ULL << 13)
#define FEATURE_WP_ASYNC (1ULL << 15)
#define USER_MODE_ONLY \
	1 /* a flag of userfaultfd(), for whoever has no rights */

struct scan_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define SCAN _IOWR('f', 16, struct scan_arg)
#define SCAN_WP_MATCHING 1
#define SCAN_CHECK_WPASYNC 2
#define SCAN_WRITTEN (1 << 1)
#define SCAN_PRESENT (1 << 3)

#endif
