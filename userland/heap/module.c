// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls of the kernel module that a heap arena is made of, see
 * kmod/uapi/linux/burrow.h. No locks: the heap calls the first four with a half's
 * lock or alone, the collector the harvest from its own thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/burrow.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "../stack/stack.h"
#include "module.h"

static int ask_version(int fd, struct burrow_version *v)
{
	*v = (struct burrow_version){
		.size = sizeof(*v),
		.abi = BURROW_ABI,
		.features = BURROW_FEATURE_HEAP | BURROW_FEATURE_DIRTY,
	};
	return ioctl(fd, BURROW_IOC_VERSION, v) ? -errno : 0;
}

int burrow_heap_module_open(struct burrow_heap_module *m, int fd, size_t bytes)
{
	struct burrow_arena_create create = {
		.size = sizeof(create),
		.flags = BURROW_ARENA_DUMP,
		.kind = BURROW_ARENA_HEAP,
		.bytes = bytes,
	};
	struct burrow_version version;
	int ret = ask_version(fd, &version);

	if (ret)
		return ret;
	m->base = burrow_stack_reserve_space(bytes);
	if (!m->base)
		return -ENOMEM;
	if (ioctl(fd, BURROW_IOC_ARENA_CREATE, &create)) {
		ret = -errno;
		munmap(m->base, bytes);
		return ret;
	}
	m->fd = fd;
	m->arena = create.arena;
	m->offset = create.offset;
	m->page = version.page_size;
	m->bytes = bytes;
	return 0;
}

void burrow_heap_module_close(struct burrow_heap_module *m)
{
	struct burrow_arena_destroy destroy = {
		.size = sizeof(destroy),
		.arena = m->arena,
	};

	munmap(m->base, m->bytes);
	ioctl(m->fd, BURROW_IOC_ARENA_DESTROY, &destroy);
}

int burrow_heap_module_map(struct burrow_heap_module *m, char *start,
			   size_t bytes)
{
	void *p = mmap(start, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, m->fd,
		       m->offset + (start - m->base));

	return p == MAP_FAILED ? -errno : 0;
}

void burrow_heap_module_release(struct burrow_heap_module *m, char *start,
				size_t bytes)
{
	struct burrow_release release = {
		.size = sizeof(release),
		.arena = m->arena,
		.first_page = (start - m->base) / m->page,
		.pages = bytes / m->page,
	};

	ioctl(m->fd, BURROW_IOC_RELEASE, &release);
}

int burrow_heap_module_dirty(const struct burrow_heap_module *m, char *start,
			     size_t bytes, uint64_t *bitmap)
{
	struct burrow_dirty dirty = {
		.size = sizeof(dirty),
		.arena = m->arena,
		.first_page = (start - m->base) / m->page,
		.pages = bytes / m->page,
		.bitmap = (uintptr_t)bitmap,
	};

	if (ioctl(m->fd, BURROW_IOC_DIRTY, &dirty))
		return -errno;
	return dirty.done == dirty.pages ? 0 : -EINTR;
}

uint64_t burrow_heap_module_limit(const struct burrow_heap_module *m)
{
	struct burrow_version version;

	return ask_version(m->fd, &version) ? UINT64_MAX :
					      version.context_limit;
}
