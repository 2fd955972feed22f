// SPDX-License-Identifier: GPL-2.0
/*
 * Anything at any time: processes whose threads do at random all that can be
 * done to a context, until they are killed. Nothing is asked of the single
 * call; in the end the kernel must be silent and all memory be back, and a
 * bystander's context be untouched. BURROW_SEED repeats a run's choices.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "arena.h"

#define ARENAS 4
#define BYTES MIB(8)
#define BLOCKS (BYTES / BURROW_BLOCK_SIZE)
#define THREADS 3

struct victim {
	int fd, zero, pipe[2];
	struct arena arenas[ARENAS];
};

struct thread {
	struct victim *v;
	uint64_t random;
	pthread_barrier_t *start;
};

static uint64_t draw(struct thread *t, uint64_t below)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random % below;
}

static struct arena *any_arena(struct thread *t)
{
	return &t->v->arenas[draw(t, ARENAS)];
}

static char *anywhere(struct thread *t)
{
	return any_arena(t)->base + draw(t, BYTES);
}

static char *any_block(struct thread *t, struct arena *arena, uint64_t *block)
{
	*block = draw(t, BLOCKS);
	return arena->base + *block * BURROW_BLOCK_SIZE;
}

/* ---- what may happen -------------------------------------------------------- */

static void do_touch(struct thread *t)
{
	unsigned int i;
	char *at;

	for (i = 0; i < 20; i++) {
		at = anywhere(t);
		if (i & 1)
			poke_write(at);
		else
			poke_read(at);
	}
}

/* Down from the top of a slot, as programs do. */
static void do_grow(struct thread *t)
{
	struct arena *arena = any_arena(t);
	uint64_t depth, n = draw(t, 60);
	char *top;

	if (!arena->create.stride)
		return;
	top = slot_top(arena, draw(t, BYTES / arena->create.stride));
	for (depth = 1; depth <= n; depth += 1 + draw(t, 3))
		if (poke_write(top - depth * PAGE))
			break;
}

static void do_read(struct thread *t)
{
	char *at = anywhere(t);

	if (read(t->v->zero, at, draw(t, KIB(64))) < 0 && errno != EFAULT)
		die("read");
}

static void do_other_memory_calls(struct thread *t)
{
	char text[256] = { 0 };
	struct iovec local = { text, sizeof(text) };
	struct iovec remote = { anywhere(t), sizeof(text) };

	if (draw(t, 2))
		process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	else
		process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
}

static void do_pipe(struct thread *t)
{
	struct iovec iov = { anywhere(t), PAGE * (1 + draw(t, 3)) };
	char text[PAGE];

	if (draw(t, 2))
		vmsplice(t->v->pipe[1], &iov, 1, SPLICE_F_NONBLOCK);
	else if (read(t->v->pipe[0], text, sizeof(text)) < 0 && errno != EAGAIN)
		die("pipe");
}

static void do_trim(struct thread *t)
{
	struct arena *arena = any_arena(t);
	struct burrow_trim_entry entries[40];
	struct burrow_trim args = {
		.size = sizeof(args),
		.arena = arena->create.arena,
		.count = draw(t, 40),
		.entries = (uintptr_t)entries,
	};
	uint64_t first = draw(t, 40);
	unsigned int i;

	for (i = 0; i < args.count; i++)
		entries[i] = (struct burrow_trim_entry){
			.slot = draw(t, 4) ? first + i : draw(t, 600),
			.keep = draw(t, 2) ? PAGE : draw(t, KIB(128)),
			.word = draw(t, 20) ? 0 : 1,
		};
	/* Sometimes from where it is being trimmed. */
	if (!draw(t, 10))
		args.entries = (uintptr_t)anywhere(t) & ~7UL;
	call(t->v->fd, BURROW_IOC_TRIM, &args);
}

static void do_hibernate(struct thread *t)
{
	struct arena *arena = any_arena(t);
	struct burrow_hibernate_entry entries[40];
	struct burrow_hibernate args = {
		.size = sizeof(args),
		.arena = arena->create.arena,
		.count = draw(t, 40),
		.entries = (uintptr_t)entries,
	};
	uint64_t first = draw(t, 40);
	unsigned int i;

	for (i = 0; i < args.count; i++)
		entries[i] = (struct burrow_hibernate_entry){
			.slot = draw(t, 4) ? first + i : draw(t, 600),
			.live = draw(t, 4) ? 1 + draw(t, 1000) : draw(t, 5000),
			.word = draw(t, 20) ? 0 : 1,
		};
	/* Sometimes from where it is being hibernated. */
	if (!draw(t, 10))
		args.entries = (uintptr_t)anywhere(t) & ~7UL;
	call(t->v->fd, BURROW_IOC_HIBERNATE, &args);
}

static void do_pgtables(struct thread *t)
{
	struct arena *arena = any_arena(t);
	struct burrow_pgtables args = {
		.size = sizeof(args),
		.arena = arena->create.arena,
		.most = draw(t, 600),
	};
	uint64_t slots, in_block;

	if (!arena->create.stride)
		return;
	slots = BYTES / arena->create.stride;
	in_block = BURROW_BLOCK_SIZE / arena->create.stride ?: 1;
	args.first = draw(t, slots / in_block) * in_block;
	args.slots = draw(t, 4) ? in_block : slots - args.first;
	call(t->v->fd, BURROW_IOC_PGTABLES, &args);
}

static void do_saved(struct thread *t)
{
	char buffer[KIB(16)];
	struct burrow_saved args = {
		.size = sizeof(args),
		.arena = any_arena(t)->create.arena,
		.first = draw(t, 3),
		.slots = draw(t, 128),
		.buffer = draw(t, 4) ? (uintptr_t)buffer :
				       (uintptr_t)anywhere(t),
		.bytes = draw(t, sizeof(buffer)),
	};

	call(t->v->fd, BURROW_IOC_SAVED, &args);
}

static void do_harvest(struct thread *t)
{
	uint64_t bits[BYTES / PAGE / 64];
	struct burrow_dirty args = {
		.size = sizeof(args),
		.arena = any_arena(t)->create.arena,
		.first_page = draw(t, 16) * 64,
		.pages = draw(t, 17) * 64,
		.bitmap = (uintptr_t)bits,
	};

	if (!draw(t, 6))
		args.bitmap = (uintptr_t)anywhere(t) & ~7UL;
	call(t->v->fd, BURROW_IOC_DIRTY, &args);
}

static void do_release(struct thread *t)
{
	uint64_t first = draw(t, BYTES / PAGE);

	heap_release(any_arena(t), first, draw(t, BYTES / PAGE - first), NULL);
}

static void do_stats(struct thread *t)
{
	struct burrow_slot_state states[64];
	struct burrow_slot_info info = {
		.size = sizeof(info),
		.arena = any_arena(t)->create.arena,
		.count = draw(t, 64),
		.states = draw(t, 4) ? (uintptr_t)states :
				       (uintptr_t)anywhere(t),
	};

	call(t->v->fd, BURROW_IOC_SLOT_INFO, &info);
	if (draw(t, 3))
		context_stats(t->v->fd);
	else
		context_drain(t->v->fd);
}

/* Held for writing by those who must know what is mapped. */
static pthread_rwlock_t layout = PTHREAD_RWLOCK_INITIALIZER;

/* The addresses stay ours: nothing else may come to lie there. */
static void do_unmap(struct thread *t)
{
	uint64_t block;
	char *at = any_block(t, any_arena(t), &block);
	uint64_t bytes = BURROW_BLOCK_SIZE;

	if (draw(t, 2)) {
		at += draw(t, 512) * PAGE;
		bytes = PAGE;
	}
	pthread_rwlock_rdlock(&layout);
	if (mmap(at, bytes, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) == MAP_FAILED &&
	    errno != ENOMEM)
		die("mmap of nothing");
	pthread_rwlock_unlock(&layout);
}

static void do_map(struct thread *t)
{
	struct arena *arena = any_arena(t);
	uint64_t block;
	char *at = any_block(t, arena, &block);
	bool all = !draw(t, 4);

	if (all) {
		at = arena->base;
		block = 0;
	}
	mmap(at, all ? BYTES : BURROW_BLOCK_SIZE, PROT_READ | PROT_WRITE,
	     MAP_SHARED | MAP_FIXED | (draw(t, 8) ? 0 : MAP_POPULATE), t->v->fd,
	     arena->create.offset + block * BURROW_BLOCK_SIZE);
}

/* A second mapping for a moment, of a piece or of the table. */
static void do_map_twice(struct thread *t)
{
	struct arena *arena = any_arena(t);
	char *at = address_space(BURROW_BLOCK_SIZE);

	if (draw(t, 3)) {
		mmap(at, BURROW_BLOCK_SIZE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED, t->v->fd,
		     arena->create.offset +
			     draw(t, BLOCKS) * BURROW_BLOCK_SIZE);
		poke_write(at + draw(t, BURROW_BLOCK_SIZE));
	} else if (arena->create.table_bytes) {
		mmap(at, arena->create.table_bytes, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED, t->v->fd,
		     arena->create.table_offset);
		poke_write(at + draw(t, arena->create.table_bytes));
	}
	munmap(at, BURROW_BLOCK_SIZE);
}

static void do_protect(struct thread *t)
{
	static const int ways[] = {
		PROT_NONE,
		PROT_READ,
		PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE | PROT_EXEC,
	};
	struct arena *arena = any_arena(t);

	if (draw(t, 2))
		mprotect(arena->base, BYTES, PROT_READ | PROT_WRITE);
	else
		mprotect(arena->base + draw(t, BYTES / PAGE) * PAGE,
			 PAGE * (1 + draw(t, 100)), ways[draw(t, 5)]);
}

static void do_advise(struct thread *t)
{
	static const int advice[] = {
		MADV_DONTNEED,
		MADV_DONTNEED,
		MADV_NORMAL,
		MADV_RANDOM,
		MADV_SEQUENTIAL,
		MADV_WILLNEED,
		MADV_FREE,
		MADV_REMOVE,
		MADV_DONTFORK,
		MADV_DOFORK,
		MADV_MERGEABLE,
		MADV_HUGEPAGE,
		MADV_DONTDUMP,
		MADV_DODUMP,
		MADV_WIPEONFORK,
		20 /* COLD */,
		21 /* PAGEOUT */,
		22,
		23 /* POPULATE */,
		24,
		25 /* COLLAPSE */,
		102 /* GUARD_INSTALL */,
		103,
	};

	madvise(any_arena(t)->base + draw(t, BYTES / PAGE) * PAGE,
		PAGE * (1 + draw(t, 200)), advice[draw(t, COUNT(advice))]);
}

/* Only a mapping that can't be synced is an arena's. */
static bool is_arena_s(char *page)
{
	return msync(page, PAGE, MS_SYNC) && errno == EINVAL;
}

static void do_mremap(struct thread *t)
{
	char *from = (char *)((uintptr_t)anywhere(t) & -PAGE);
	char *to = address_space(MIB(2));

	/* A reservation would move, and leave a hole that is anybody's. */
	pthread_rwlock_wrlock(&layout);
	if (is_arena_s(from)) {
		mremap(from, PAGE, PAGE * (1 + draw(t, 4)), 0);
		mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	}
	pthread_rwlock_unlock(&layout);
	munmap(to, MIB(2));
}

static void do_arena(struct thread *t)
{
	struct burrow_arena_destroy destroy = {
		.size = sizeof(destroy),
		.arena = 1 + draw(t, 8),
	};
	struct burrow_arena_create create = {
		.size = sizeof(create),
		.kind = 1 + draw(t, 2),
		.stride = KIB(16) << draw(t, 5),
		.slots = 1 + draw(t, 100),
	};

	if (create.kind == BURROW_ARENA_HEAP) {
		create.stride = 0;
		create.slots = 0;
		create.bytes = MIB(2) * (1 + draw(t, 8));
	}
	call(t->v->fd, BURROW_IOC_ARENA_CREATE, &create);
	call(t->v->fd, BURROW_IOC_ARENA_DESTROY, &destroy);
}

static void do_fork(struct thread *t)
{
	char *at = anywhere(t);
	pid_t pid;

	if (draw(t, 10))
		return;
	pid = fork();
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		*(volatile char *)at = 1;
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void do_proc(struct thread *t)
{
	static const char *const files[] = {
		"/proc/self/smaps_rollup",
		"/proc/self/maps",
		"/proc/self/numa_maps",
	};
	char text[4096];

	if (draw(t, 3))
		return;
	if (draw(t, 3))
		slurp(files[draw(t, 3)], text, sizeof(text));
	else
		spew("/proc/self/clear_refs", draw(t, 2) ? "4" : "1");
}

static void (*const doings[])(struct thread *) = {
	do_touch,     do_touch,	    do_touch,	do_grow,
	do_grow,      do_grow,	    do_read,	do_other_memory_calls,
	do_pipe,      do_trim,	    do_trim,	do_trim,
	do_harvest,   do_harvest,   do_release, do_stats,
	do_unmap,     do_map,	    do_map,	do_map_twice,
	do_protect,   do_protect,   do_advise,	do_mremap,
	do_arena,     do_fork,	    do_proc,	do_hibernate,
	do_hibernate, do_hibernate, do_saved,	do_pgtables,
};

/* ---- processes that do it ------------------------------------------------------- */

static void *does_anything(void *arg)
{
	struct thread *t = arg;

	fault_catch();
	/* Nobody's stack may come to lie where something was unmapped. */
	pthread_barrier_wait(t->start);
	for (;;)
		doings[draw(t, COUNT(doings))](t);
	return NULL;
}

static struct victim *victim_new(void)
{
	static const uint64_t strides[ARENAS] = {
		KIB(64),
		KIB(256),
		MIB(4),
		0,
	};
	static struct victim v;
	unsigned int i;

	v.fd = context_open();
	v.zero = open("/dev/zero", O_RDONLY);
	if (v.zero < 0 || pipe2(v.pipe, O_NONBLOCK))
		die("no zero, no pipe");
	for (i = 0; i < ARENAS; i++)
		v.arenas[i] = strides[i] ? stack_arena(v.fd, strides[i],
						       BYTES / strides[i]) :
					   heap_arena(v.fd, BYTES);
	return &v;
}

static int runs_amok(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;
	struct thread threads[THREADS];
	struct victim *v = victim_new();
	pthread_barrier_t start;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pthread_barrier_init(&start, NULL, THREADS);
	for (i = 0; i < THREADS; i++) {
		threads[i] =
			(struct thread){ v, seed * 977 + i * 31 + 1, &start };
		thread_start(does_anything, &threads[i]);
	}
	return pause();
}

FIXTURE(chaos)
{
	int fd;
	struct arena stack, heap;
};

/* A bystander, whose memory nothing must happen to. */
FIXTURE_SETUP(chaos)
{
	self->fd = context_open();
	self->stack = stack_arena(self->fd, KIB(256), 32);
	self->heap = heap_arena(self->fd, MIB(4));
}

FIXTURE_TEARDOWN(chaos)
{
	close(self->fd);
}

TEST_F_TIMEOUT(chaos, anything_at_any_time, 36000)
{
	const char *given = getenv("BURROW_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : now_ns(), bytes, i;
	uint64_t end;
	unsigned int rounds = 0;
	pid_t pids[2];

	TH_LOG("BURROW_SEED=%llu", (unsigned long long)seed);
	for (i = 0; i < 32; i++)
		memset(slot_page(&self->stack, i, 7), i + 1, 8 * PAGE);
	memset(self->heap.base, 0x77, MIB(4));
	bytes = context_stats(self->fd).user_bytes;
	end = now_ns() + seconds_of_stress(12) * 1000000000ULL;
	while (now_ns() < end) {
		for (i = 0; i < 2; i++) {
			uint64_t own = seed + rounds++;

			pids[i] = child_start(runs_amok, &own);
		}
		nap_ms(300 + seed * rounds % 1500);
		for (i = 0; i < 2; i++) {
			/* Ended by us, not by itself. */
			kill(pids[i], SIGKILL);
			EXPECT_EQ(-SIGKILL, child_status(pids[i]));
		}
		for (i = 0; i < 32; i++)
			ASSERT_TRUE(is_filled(slot_page(&self->stack, i, 7),
					      i + 1, 8 * PAGE));
		ASSERT_TRUE(is_filled(self->heap.base, 0x77, MIB(4)));
	}
	for (i = 0; i < 300 && context_stats(self->fd).user_bytes != bytes; i++)
		nap_ms(10);
	EXPECT_EQ(bytes, context_stats(self->fd).user_bytes);
	TH_LOG("%u processes", rounds);
}

ARENA_TEST_MAIN
