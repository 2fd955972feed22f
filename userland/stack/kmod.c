// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stacks from the kernel module: grown inside the page fault, guarded without
 * mappings, trimmed many at a time.
 *
 * A pool is one context of /dev/burrow. Its arenas are mapped by chunks as
 * slots are promised, over a reservation that nothing can touch: chunks that
 * were never needed are not in a core dump, nor in /proc/self/maps.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stack.h"

#define DEVICE "/dev/burrow"
#define CHUNK (1ULL << 30)

static int device_open(struct burrow_version *version)
{
	int fd, err;

	memset(version, 0, sizeof(*version));
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	version->size = sizeof(*version);
	version->abi = BURROW_ABI;
	version->features = BURROW_FEATURE_STACK;
	if (ioctl(fd, BURROW_IOC_VERSION, version)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static const char *advice_for(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return "load the module: modprobe burrow, or make load in its source tree";
	case -EACCES:
	case -EPERM:
		return "give the user access to " DEVICE
		       " (the udev rule that make install brings does)";
	case -EPROTONOSUPPORT:
	case -EOPNOTSUPP:
		return "module and library are of different versions: install both from one source";
	case -EMFILE:
	case -ENFILE:
		return "raise the limit of open files: ulimit -n";
	default:
		return "see the kernel's log: dmesg";
	}
}

static void kmod_probe(struct burrow_stack_report *report)
{
	struct burrow_version version = { 0 };
	int fd;

	fd = device_open(&version);
	if (fd < 0) {
		snprintf(report->why, sizeof(report->why), DEVICE ": %s",
			 strerror(-fd));
		snprintf(report->advice, sizeof(report->advice), "%s",
			 advice_for(fd));
		return;
	}
	close(fd);
	report->usable = true;
	report->hibernates = version.features & BURROW_FEATURE_HIBERNATE;
	snprintf(report->detail, sizeof(report->detail),
		 "module %.31s, up to %llu MiB of stacks in a process",
		 version.release,
		 (unsigned long long)version.context_limit >> 20);
}

static int kmod_open(struct burrow_stack_pool *pool)
{
	struct burrow_version version;

	pool->fd = device_open(&version);
	if (pool->fd < 0)
		return pool->fd;
	pool->hibernates = version.features & BURROW_FEATURE_HIBERNATE;
	pool->pgtables = version.features & BURROW_FEATURE_PGTABLES;
	return 0;
}

static void kmod_close(struct burrow_stack_pool *pool)
{
	if (pool->fd >= 0)
		close(pool->fd);
	pool->fd = -1;
}

static size_t arena_bytes(const struct burrow_stack_arena *arena)
{
	size_t bytes = arena->slots * arena->stride;

	return (bytes + BURROW_BLOCK_SIZE - 1) & -BURROW_BLOCK_SIZE;
}

static void kmod_arena_number_free(struct burrow_stack_arena *arena)
{
	struct burrow_arena_destroy destroy = {
		.size = sizeof(destroy),
		.arena = arena->number,
	};

	ioctl(arena->pool->fd, BURROW_IOC_ARENA_DESTROY, &destroy);
}

static int map_table(struct burrow_stack_arena *arena, uint64_t offset)
{
	arena->table = mmap(NULL, arena->table_bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED, arena->pool->fd, offset);
	return arena->table == MAP_FAILED ? -errno : 0;
}

static int kmod_arena_create(struct burrow_stack_arena *arena)
{
	struct burrow_arena_create create = {
		.size = sizeof(create),
		.flags = BURROW_ARENA_DUMP,
		.kind = BURROW_ARENA_STACK,
		.stride = arena->stride,
		.slots = arena->slots,
		.guard = arena->guard,
	};
	int ret;

	arena->base = burrow_stack_reserve_space(arena_bytes(arena));
	if (!arena->base)
		return -ENOMEM;
	if (ioctl(arena->pool->fd, BURROW_IOC_ARENA_CREATE, &create)) {
		ret = -errno;
		goto unreserve;
	}
	arena->number = create.arena;
	arena->offset = create.offset;
	arena->table_bytes = create.table_bytes;
	ret = map_table(arena, create.table_offset);
	if (ret)
		goto destroy;
	return 0;

destroy:
	kmod_arena_number_free(arena);
unreserve:
	munmap(arena->base, arena_bytes(arena));
	return ret;
}

static void kmod_arena_destroy(struct burrow_stack_arena *arena)
{
	munmap(arena->table, arena->table_bytes);
	munmap(arena->base, arena_bytes(arena));
	kmod_arena_number_free(arena);
}

static int kmod_prepare(struct burrow_stack_arena *arena)
{
	size_t from = arena->ready * arena->stride;
	size_t bytes = arena_bytes(arena) - from;
	void *p;

	if (bytes > CHUNK)
		bytes = CHUNK;
	p = mmap(arena->base + from, bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, arena->pool->fd, arena->offset + from);
	if (p == MAP_FAILED)
		return -errno;
	if (bytes / arena->stride < arena->slots - arena->ready)
		return bytes / arena->stride;
	return arena->slots - arena->ready;
}

static int64_t kmod_trim(struct burrow_stack_arena *arena,
			 struct burrow_trim_entry *entries, uint32_t n)
{
	struct burrow_trim trim = {
		.size = sizeof(trim),
		.arena = arena->number,
		.count = n,
		.entries = (uintptr_t)entries,
	};

	if (ioctl(arena->pool->fd, BURROW_IOC_TRIM, &trim))
		return -errno;
	return trim.bytes;
}

static int64_t kmod_hibernate(struct burrow_stack_arena *arena,
			      struct burrow_hibernate_entry *entries,
			      uint32_t n)
{
	struct burrow_hibernate hibernate = {
		.size = sizeof(hibernate),
		.arena = arena->number,
		.count = n,
		.entries = (uintptr_t)entries,
	};

	if (ioctl(arena->pool->fd, BURROW_IOC_HIBERNATE, &hibernate))
		return -errno;
	return hibernate.freed;
}

static int64_t kmod_saved(struct burrow_stack_arena *arena, uint32_t flags,
			  uint64_t from, uint64_t n, void *buffer, size_t bytes,
			  uint64_t *next)
{
	struct burrow_saved saved = {
		.size = sizeof(saved),
		.flags = flags,
		.arena = arena->number,
		.first = from,
		.slots = n,
		.buffer = (uintptr_t)buffer,
		.bytes = bytes,
	};

	if (ioctl(arena->pool->fd, BURROW_IOC_SAVED, &saved))
		return -errno;
	*next = saved.next;
	return saved.done;
}

static int64_t kmod_pgtables(struct burrow_stack_arena *arena, uint32_t from,
			     uint32_t slots, uint64_t least, uint64_t most)
{
	struct burrow_pgtables pgtables = {
		.size = sizeof(pgtables),
		.arena = arena->number,
		.first = from,
		.slots = slots,
		.least = least,
		.most = most,
	};

	if (ioctl(arena->pool->fd, BURROW_IOC_PGTABLES, &pgtables))
		return -errno;
	return pgtables.bytes;
}

static int64_t kmod_restored(struct burrow_stack_arena *arena, uint64_t *slots,
			     size_t room)
{
	struct burrow_restored restored = {
		.size = sizeof(restored),
		.arena = arena->number,
		.slots = (uintptr_t)slots,
		.room = room,
	};

	if (ioctl(arena->pool->fd, BURROW_IOC_RESTORED, &restored))
		return -errno;
	return restored.done;
}

/* The fault on the lowest page maps all from there to the top. */
static void kmod_prefault(struct burrow_stack_arena *arena, uint32_t slot,
			  size_t bytes)
{
	char *top = arena->base + (slot + 1) * arena->stride;

	*(volatile char *)(top - bytes) = 0;
}

static int64_t kmod_resident(struct burrow_stack_arena *arena, uint32_t slot)
{
	struct burrow_slot_state state = { 0 };
	struct burrow_slot_info info = {
		.size = sizeof(info),
		.arena = arena->number,
		.count = 1,
		.first = slot,
		.states = (uintptr_t)&state,
	};

	if (ioctl(arena->pool->fd, BURROW_IOC_SLOT_INFO, &info))
		return -errno;
	return state.bytes;
}

static void kmod_advise(struct burrow_stack_pool *pool, int err, char *text,
			size_t len)
{
	struct burrow_version version = {
		.size = sizeof(version),
		.abi = BURROW_ABI,
	};

	if (ioctl(pool->fd, BURROW_IOC_VERSION, &version))
		version.context_limit = 0;
	snprintf(
		text, len,
		"%s; the module allows this process %llu MiB and its user %llu MiB (parameters of the module: dmesg says which was met)",
		strerror(-err), (unsigned long long)version.context_limit >> 20,
		(unsigned long long)version.user_limit >> 20);
}

static const char *kmod_no_memory(struct burrow_stack_pool *pool)
{
	struct burrow_context_stats stats = { .size = sizeof(stats) };

	if (!ioctl(pool->fd, BURROW_IOC_STATS, &stats) && stats.limits)
		return "a limit of the module is met: raise it in /sys/module/burrow/parameters";
	return "the system or the memory cgroup has none left";
}

static void kmod_stats(struct burrow_stack_pool *pool,
		       struct burrow_stats *stats)
{
	struct burrow_context_stats module = { .size = sizeof(module) };

	if (ioctl(pool->fd, BURROW_IOC_STATS, &module))
		return;
	stats->stack_bytes = module.stack_bytes;
	stats->stack_grows = module.grows;
	stats->stacks_hibernated = module.hibernated;
	stats->saved_bytes = module.saved_bytes;
	stats->store_bytes = module.store_bytes;
	stats->hibernates = module.hibernates;
	stats->restores = module.restores;
	stats->hibernate_races = module.hibernate_races;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static int kmod_memory(struct burrow_stack_pool *pool,
		       struct burrow_stack_memory *memory)
{
	struct burrow_context_stats s = { .size = sizeof(s) };
	struct burrow_version version = {
		.size = sizeof(version),
		.abi = BURROW_ABI,
	};
	uint64_t mine, users;

	if (ioctl(pool->fd, BURROW_IOC_STATS, &s) ||
	    ioctl(pool->fd, BURROW_IOC_VERSION, &version))
		return -errno;
	memory->stacks = s.stack_bytes;
	memory->held =
		s.stack_bytes + s.heap_bytes + s.table_bytes + s.store_bytes;
	mine = less(version.context_limit, memory->held);
	users = less(version.user_limit + s.pool_bytes, s.user_bytes);
	memory->left = mine < users ? mine : users;
	return 0;
}

const struct burrow_stack_backend burrow_stack_kmod = {
	.name = "kmod",
	.probe = kmod_probe,
	.open = kmod_open,
	.close = kmod_close,
	.arena_create = kmod_arena_create,
	.arena_destroy = kmod_arena_destroy,
	.prepare = kmod_prepare,
	.trim = kmod_trim,
	.hibernate = kmod_hibernate,
	.saved = kmod_saved,
	.pgtables = kmod_pgtables,
	.restored = kmod_restored,
	.checks = true,
	.packed = true,
	.prefault = kmod_prefault,
	.resident = kmod_resident,
	.advise = kmod_advise,
	.no_memory = kmod_no_memory,
	.stats = kmod_stats,
	.memory = kmod_memory,
};
