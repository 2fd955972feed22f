// SPDX-License-Identifier: GPL-2.0
/*
 * Limits: of a context, of a user, of a memory cgroup. Past one a fault is SIGBUS
 * and a system call EFAULT, nobody is killed for it, and all works on when there
 * is room again. And what a core dump takes. See pressure.c for what is given
 * back before that.
 */
#include <elf.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "cgroup.h"

#define PARAMETERS "/sys/module/burrow/parameters/"
#define CORE_PATTERN "/proc/sys/kernel/core_pattern"

static const char *const parameters[] = {
	PARAMETERS "context_limit",
	PARAMETERS "user_limit",
	PARAMETERS "pool_limit",
	CORE_PATTERN,
};

static char before[COUNT(parameters)][256];

static void restore(void)
{
	size_t i;

	for (i = 0; i < COUNT(parameters); i++)
		if (before[i][0])
			spew(parameters[i], before[i]);
}

/* Whatever becomes of a test, the next one and the system get theirs back. */
static void __attribute__((constructor)) save(void)
{
	size_t i;

	for (i = 0; i < COUNT(parameters); i++)
		slurp(parameters[i], before[i], sizeof(before[i]));
	atexit(restore);
}

FIXTURE(limits)
{
	int fd;
	char cgroup[CGROUP_PATH];
};

FIXTURE_SETUP(limits)
{
	if (getuid())
		die("these tests set limits, which takes root");
	restore();
	self->fd = context_open();
	fault_catch();
}

FIXTURE_TEARDOWN(limits)
{
	close(self->fd);
	if (self->cgroup[0])
		rmdir(self->cgroup);
}

static void set_limit(const char *name, uint64_t bytes)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	if (spew(path, text))
		die("cannot write %s", path);
}

/* Writes to page after page until one is refused; how many were not. */
static uint64_t write_until_refused(struct __test_metadata *_metadata,
				    char *from, int64_t step, uint64_t most)
{
	uint64_t n;
	int sig;

	for (n = 0; n < most; n++, from += step) {
		sig = poke_write(from);
		if (sig) {
			EXPECT_EQ(SIGBUS, sig);
			break;
		}
	}
	return n;
}

/* As trim_slot(), but without a look at the table, which may have no room. */
static int64_t trim_to(const struct arena *arena, uint64_t slot, uint64_t keep)
{
	struct burrow_trim_entry entry = { .slot = slot, .keep = keep };

	if (trim(arena, &entry, 1, NULL))
		die("BURROW_IOC_TRIM");
	return entry.result;
}

/* ---- of a context and of a user ------------------------------------------------- */

TEST_F(limits, of_a_context)
{
	struct arena stack = stack_arena(self->fd, MIB(64), 2);
	int zero = open("/dev/zero", O_RDWR);
	struct burrow_context_stats stats;
	uint64_t n, again;

	set_limit("context_limit", MIB(8));
	n = write_until_refused(_metadata, slot_page(&stack, 0, 0),
				-(int64_t)PAGE, 8192);
	EXPECT_GT(2048, n);
	EXPECT_LT(2048 - 64, n);
	stats = context_stats(self->fd);
	EXPECT_LE(stats.user_bytes, MIB(8));
	EXPECT_EQ(1, stats.limits);
	EXPECT_EQ(0, stats.nomem);
	EXPECT_EQ(0, stats.overflows);

	EXPECT_EQ(-1, read(zero, slot_page(&stack, 1, 0), 1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(2, context_stats(self->fd).limits);
	EXPECT_EQ(SIGBUS, poke_write(&stack.table[0]));
	/* What is there may be used, and a page that goes makes room for one. */
	EXPECT_EQ(0, poke_write(slot_page(&stack, 0, n - 1)));
	trim_to(&stack, 0, (n - 1) * PAGE);
	EXPECT_EQ(0, poke_write(slot_page(&stack, 1, 0)));
	EXPECT_EQ(SIGBUS, poke_write(slot_page(&stack, 1, 1)));

	set_limit("context_limit", MIB(16));
	again = write_until_refused(_metadata, slot_page(&stack, 0, 0),
				    -(int64_t)PAGE, 8192);
	EXPECT_LT(n + 1800, again);
	close(zero);
}

/* A far jump that does not fit leaves what it got, and is refused. */
TEST_F(limits, of_a_jump)
{
	struct arena stack = stack_arena(self->fd, MIB(64), 2);
	struct burrow_context_stats stats;

	set_limit("context_limit", MIB(8));
	EXPECT_EQ(SIGBUS, poke_write(slot_page(&stack, 0, 5000)));
	stats = context_stats(self->fd);
	EXPECT_GE(MIB(8), stats.stack_bytes);
	EXPECT_EQ(stats.stack_bytes, slot_state(&stack, 0).bytes);
	EXPECT_EQ((int64_t)stats.stack_bytes, trim_to(&stack, 0, 0));
	EXPECT_EQ(0, poke_write(slot_page(&stack, 0, 1000)));
}

TEST_F(limits, of_a_heap)
{
	struct arena heap = heap_arena(self->fd, MIB(64));
	uint64_t n;

	set_limit("context_limit", MIB(8));
	n = write_until_refused(_metadata, heap.base, PAGE, 16384);
	EXPECT_GT(2048, n);
	EXPECT_LT(2048 - 64, n);
	ASSERT_EQ(0, heap_release(&heap, 0, 100, NULL));
	EXPECT_EQ(100, write_until_refused(_metadata, heap.base + n * PAGE,
					   PAGE, 1000));
	EXPECT_EQ(0, poke_write(heap.base + MIB(1)));
	EXPECT_EQ(SIGBUS, poke_write(heap.base));
}

/* Recycled pages count, but do not stand in anybody's way. */
TEST_F(limits, of_a_heap_while_pages_are_pooled)
{
	struct arena stack = stack_arena(self->fd, MIB(64), 2);
	struct arena heap = heap_arena(self->fd, MIB(64));
	struct burrow_context_stats stats;

	set_limit("context_limit", MIB(8));
	touch(slot_page(&stack, 0, 1900));
	trim_to(&stack, 0, 0);
	EXPECT_LE(1900 * PAGE, context_stats(self->fd).pool_bytes);
	EXPECT_LT(1900, write_until_refused(_metadata, heap.base, PAGE, 16384));
	stats = context_stats(self->fd);
	EXPECT_EQ(0, stats.pool_bytes);
	/* Only what was refused in the end counts as refused. */
	EXPECT_EQ(1, stats.limits);
}

TEST_F(limits, of_an_arena_s_description)
{
	struct burrow_arena_create create = {
		.size = sizeof(create),
		.kind = BURROW_ARENA_STACK,
		.stride = KIB(16),
		.slots = BURROW_SLOTS_MAX,
	};

	set_limit("context_limit", MIB(1));
	EXPECT_EQ(-ENOMEM, call(self->fd, BURROW_IOC_ARENA_CREATE, &create));
	EXPECT_EQ(1, context_stats(self->fd).limits);
	create.slots = 1000;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_ARENA_CREATE, &create));
}

TEST_F(limits, of_nothing)
{
	struct arena stack = stack_arena(self->fd, KIB(256), 8);

	set_limit("context_limit", 0);
	EXPECT_EQ(SIGBUS, poke_write(slot_page(&stack, 0, 0)));
	EXPECT_EQ(SIGSEGV, poke_write(slot_limit(&stack, 0) - 1));
	EXPECT_EQ(0, context_version(self->fd).context_limit);
}

struct second {
	int ready, go;
	uint64_t pages;
};

static int takes_pages_and_waits(void *arg)
{
	struct second *s = arg;
	int fd = context_open();
	struct arena heap = heap_arena(fd, MIB(64));
	uint64_t n = 0;
	char byte;

	fault_catch();
	while (n < s->pages && !poke_write(heap.base + n * PAGE))
		n++;
	if (write(s->ready, &n, sizeof(n)) != sizeof(n) ||
	    read(s->go, &byte, 1) != 1)
		return 1;
	return 0;
}

/* Two processes of one user share what the user may have. */
TEST_F(limits, of_a_user)
{
	struct arena heap = heap_arena(self->fd, MIB(64));
	struct second s = { .pages = 1500 };
	struct burrow_context_stats stats;
	int ready[2], go[2];
	uint64_t n;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready) | pipe(go));
	set_limit("user_limit", context_stats(self->fd).user_bytes + MIB(8));
	s.ready = ready[1];
	s.go = go[0];
	pid = child_start(takes_pages_and_waits, &s);
	ASSERT_EQ(sizeof(n), read(ready[0], &n, sizeof(n)));
	EXPECT_EQ(1500, n);
	n = write_until_refused(_metadata, heap.base, PAGE, 16384);
	EXPECT_GT(2048 - 1500, n);
	EXPECT_LT(2048 - 1500 - 64, n);
	stats = context_stats(self->fd);
	EXPECT_EQ(1, stats.limits);
	EXPECT_LE(1500 * PAGE + stats.heap_bytes, stats.user_bytes);

	/* When the other one ends there is room. */
	ASSERT_EQ(1, write(go[1], "g", 1));
	EXPECT_EQ(0, child_status(pid));
	n = write_until_refused(_metadata, heap.base, PAGE, 16384);
	EXPECT_LT(2048 - 64, n);
}

/* ---- of a memory cgroup ------------------------------------------------------------ */

static int fills_its_cgroup(void *arg)
{
	struct _test_data_limits *self = arg;
	struct burrow_context_stats stats;
	struct arena heap;
	uint64_t i;
	int fd, zero;

	if (!cgroup_enter(self->cgroup))
		return 1;
	fd = context_open();
	heap = heap_arena(fd, MIB(64));
	zero = open("/dev/zero", O_RDONLY);
	/* Page tables are the core's, and are there before it gets tight. */
	for (i = 0; i < 32; i++)
		touch(heap.base + i * MIB(2));
	fault_catch();
	for (i = 0; i < 16384; i++)
		if (poke_write(heap.base + i * PAGE))
			break;
	if (i == 16384)
		return 2;
	if (fault_seen.sig != SIGBUS)
		return 3;
	if (read(zero, heap.base + i * PAGE, 1) != -1 || errno != EFAULT)
		return 4;
	stats = context_stats(fd);
	if (!stats.nomem || stats.limits || stats.heap_bytes < MIB(16))
		return 5;
	/* There is room again, and no grudge. */
	if (heap_release(&heap, 0, 1024, NULL))
		return 6;
	for (i = 0; i < 900; i++)
		touch(heap.base + i * PAGE);
	return 0;
}

TEST_F(limits, of_a_memory_cgroup)
{
	if (!cgroup_make(self->cgroup))
		SKIP(return, "no memory cgroups here");
	ASSERT_EQ(0, cgroup_write(self->cgroup, "memory.max", "33554432"));
	EXPECT_EQ(0, in_child(fills_its_cgroup, self));
	EXPECT_EQ(0, cgroup_read(self->cgroup, "memory.events", "oom_kill "));
	EXPECT_LT(0, cgroup_read(self->cgroup, "memory.events", "max "));
}

static int owns_an_arena(void *arg)
{
	struct _test_data_limits *self = arg;
	struct arena arenas[2];
	char byte;
	int fd;

	if (!cgroup_enter(self->cgroup))
		return 1;
	fd = context_open();
	arenas[0] = heap_arena(fd, MIB(16));
	arenas[1] = stack_arena(fd, MIB(32), 1);
	/* @fd is the test's pipe here. */
	if (write(self->fd, arenas, sizeof(arenas)) != sizeof(arenas))
		return 2;
	if (read(self->fd, &byte, 1) != 1)
		return 3;
	return 0;
}

/* Whoever touches a page first, its owner's cgroup pays. */
TEST_F(limits, charges_go_to_the_owner)
{
	uint64_t before, mine, charged, i;
	struct arena arenas[2];
	struct iovec local, remote;
	int pair[2], context = self->fd;
	pid_t pid;
	char *junk;

	if (!cgroup_make(self->cgroup) || !own_cgroup_bytes())
		SKIP(return, "no memory cgroups here");
	junk = malloc(MIB(16));
	memset(junk, 1, MIB(16));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	self->fd = pair[1];
	pid = child_start(owns_an_arena, self);
	self->fd = context;
	ASSERT_EQ(sizeof(arenas), read(pair[0], arenas, sizeof(arenas)));

	before = cgroup_read(self->cgroup, "memory.current", NULL);
	mine = own_cgroup_bytes();
	local = (struct iovec){ junk, MIB(16) };
	remote = (struct iovec){ arenas[0].base, MIB(16) };
	ASSERT_EQ(MIB(16), process_vm_writev(pid, &local, 1, &remote, 1, 0));
	remote.iov_base = slot_top(&arenas[1], 0) - MIB(16);
	ASSERT_EQ(MIB(16), process_vm_writev(pid, &local, 1, &remote, 1, 0));
	charged = cgroup_read(self->cgroup, "memory.current", NULL) - before;
	EXPECT_LE(MIB(30), charged);
	/* Less than before is well, too: caches come and go. */
	EXPECT_GE(mine + MIB(8), own_cgroup_bytes());

	ASSERT_EQ(1, write(pair[0], "x", 1));
	EXPECT_EQ(0, child_status(pid));
	for (i = 0; i < 300; i++) {
		charged = cgroup_read(self->cgroup, "memory.current", NULL);
		if (charged < MIB(4))
			break;
		nap_ms(10);
	}
	EXPECT_GE(MIB(4), charged);
	free(junk);
}

/* ---- core dumps ------------------------------------------------------------------------ */

struct dumped {
	unsigned int flags;
	uint64_t slots;
	uint64_t used;
	uint64_t hibernated; /* slots behind those */
};

/* Pieces of a gigabyte, as a runtime maps them. */
static void map_in_pieces(struct arena *arena)
{
	uint64_t at, n;

	arena->base = address_space(arena->create.bytes);
	for (at = 0; at < arena->create.bytes; at += n) {
		n = arena->create.bytes - at;
		if (n > GIB(1))
			n = GIB(1);
		arena_map_piece(arena, arena->base + at, at, n);
	}
}

/* Slots that hold 1,000 bytes of a page, and no page; 0 if it worked. */
static int hibernate_slots(struct arena *stack, uint64_t first, uint64_t slots)
{
	struct burrow_hibernate_entry entry = { .live = 1000 };
	struct burrow_hibernate args = {
		.size = sizeof(args),
		.arena = stack->create.arena,
		.count = 1,
		.entries = (uintptr_t)&entry,
	};

	for (entry.slot = first; entry.slot < first + slots; entry.slot++) {
		memset(slot_page(stack, entry.slot, 1), 0xc5, 2 * PAGE);
		memset(slot_top(stack, entry.slot) - 1000, 0xc7, 1000);
		args.done = 0;
		args.bytes = 0;
		args.freed = 0;
		if (call(stack->fd, BURROW_IOC_HIBERNATE, &args) ||
		    entry.result != (int64_t)(2 * PAGE))
			return 1;
	}
	return 0;
}

static int dies(void *arg)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct dumped *d = arg;
	struct arena stack, heap;
	int fd = context_open();
	uint64_t i;

	if (setrlimit(RLIMIT_CORE, &unlimited))
		return 1;
	signal(SIGSEGV, SIG_DFL);
	stack = arena_create(fd, (struct burrow_arena_create){
					 .kind = BURROW_ARENA_STACK,
					 .flags = d->flags,
					 .stride = KIB(256),
					 .slots = d->slots,
				 });
	map_in_pieces(&stack);
	heap = arena_create(fd, (struct burrow_arena_create){
					.kind = BURROW_ARENA_HEAP,
					.flags = d->flags,
					.bytes = MIB(256),
				});
	map_in_pieces(&heap);
	for (i = 0; i < d->used; i++)
		memset(slot_page(&stack, i, 1), 0xc5, 2 * PAGE);
	memset(heap.base + MIB(2), 0xc6, 64 * PAGE);
	if (hibernate_slots(&stack, d->used, d->hibernated))
		return 3;
	raise(SIGSEGV);
	return 2;
}

/* Bytes of the core's file that are @byte, in runs of a page. */
static uint64_t pages_of(const char *core, uint64_t bytes, int byte)
{
	uint64_t n = 0, at;

	for (at = 0; at + PAGE <= bytes; at += PAGE)
		n += (unsigned char)core[at] == byte &&
		     is_filled(core + at, byte, PAGE);
	return n;
}

/* Pages of the core's file that end as what was hibernated did. */
static uint64_t pages_hibernated(const char *core, uint64_t bytes)
{
	uint64_t n = 0, at;

	for (at = 0; at + PAGE <= bytes; at += PAGE)
		n += is_filled(core + at, 0, PAGE - 1000) &&
		     (unsigned char)core[at + PAGE - 1] == 0xc7 &&
		     is_filled(core + at + PAGE - 1000, 0xc7, 1000);
	return n;
}

struct core {
	char path[64];
	uint64_t seconds;
	uint64_t stored;
	uint64_t stack_pages;
	uint64_t heap_pages;
	uint64_t hibernated;
};

/* Dumps a child and looks at what is in its core. */
static void dump(struct __test_metadata *_metadata, struct dumped *wanted,
		 struct core *core)
{
	uint64_t begin = now_ns();
	struct dumped *d;
	struct stat st;
	char *map;
	pid_t pid;
	int fd;

	d = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		 -1, 0);
	*d = *wanted;
	ASSERT_EQ(0, spew(CORE_PATTERN, "/tmp/burrow-core.%p"));
	pid = child_start(dies, d);
	ASSERT_EQ(-SIGSEGV, child_status(pid));
	core->seconds = (now_ns() - begin) / 1000000000;
	snprintf(core->path, sizeof(core->path), "/tmp/burrow-core.%d", pid);
	fd = open(core->path, O_RDONLY);
	ASSERT_LE(0, fd)
	TH_LOG("no core dump at %s", core->path);
	unlink(core->path);
	ASSERT_EQ(0, fstat(fd, &st));
	core->stored = st.st_blocks * 512ULL;
	core->stack_pages = 0;
	core->heap_pages = 0;
	core->hibernated = 0;
	/* Only what is stored can hold anything; the rest is holes. */
	map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	for (off_t at = 0, hole;; at = hole) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0)
			break;
		hole = lseek(fd, at, SEEK_HOLE);
		core->stack_pages += pages_of(map + at, hole - at, 0xc5);
		core->heap_pages += pages_of(map + at, hole - at, 0xc6);
		core->hibernated += pages_hibernated(map + at, hole - at);
	}
	munmap(map, st.st_size);
	close(fd);
	munmap(d, PAGE);
}

TEST_F(limits, a_core_has_the_pages_that_are_there)
{
	struct dumped d = {
		.flags = BURROW_ARENA_DUMP,
		.slots = 64,
		.used = 10,
	};
	struct core core;

	dump(_metadata, &d, &core);
	EXPECT_EQ(20, core.stack_pages);
	EXPECT_EQ(64, core.heap_pages);
	/* Nothing of what was not. */
	EXPECT_GT(MIB(8), core.stored);
}

/* What they hold, from the store: neither restored nor left out. */
TEST_F(limits, a_core_has_what_was_hibernated)
{
	struct dumped d = {
		.flags = BURROW_ARENA_DUMP,
		.slots = 64,
		.used = 10,
		.hibernated = 20,
	};
	struct core core;

	dump(_metadata, &d, &core);
	EXPECT_EQ(20, core.stack_pages);
	EXPECT_EQ(20, core.hibernated);
	EXPECT_GT(MIB(8), core.stored);
}

TEST_F(limits, a_core_has_none_without_the_flag)
{
	struct dumped d = { .slots = 64, .used = 10, .hibernated = 20 };
	struct core core;

	dump(_metadata, &d, &core);
	EXPECT_EQ(0, core.stack_pages);
	EXPECT_EQ(0, core.heap_pages);
	EXPECT_EQ(0, core.hibernated);
}

TEST_F_TIMEOUT(limits, a_core_of_a_million_reserved_stacks, 100)
{
	struct dumped d = {
		.flags = BURROW_ARENA_DUMP,
		.slots = 1000000,
		.used = 100,
	};
	struct core core;

	dump(_metadata, &d, &core);
	EXPECT_EQ(200, core.stack_pages);
	EXPECT_EQ(64, core.heap_pages);
	EXPECT_GT(MIB(8), core.stored);
	/* Page by page, all of it would take an hour. */
	EXPECT_GT(45 * time_scale(), core.seconds);
	TH_LOG("dumped in %llu s", (unsigned long long)core.seconds);
}

ARENA_TEST_MAIN
