// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks in their slots: how they grow, where they end, and that all a process
 * may do with memory can be done with them.
 */
#include <linux/futex.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "uring.h"

FIXTURE(stack)
{
	int fd;
};

FIXTURE_SETUP(stack)
{
	self->fd = context_open();
}

FIXTURE_TEARDOWN(stack)
{
	close(self->fd);
}

/* What the contract says that a fault at @depth makes of @have pages. */
static uint64_t grown(uint64_t have, uint64_t depth, uint64_t batch,
		      uint64_t limit)
{
	uint64_t need = depth + 1, want = 2 * have;

	if (depth < have)
		return have;
	if (want > need + batch)
		want = need + batch;
	if (want < need)
		want = need;
	return want < limit ? want : limit;
}

static uint64_t limit_pages(const struct arena *arena)
{
	return (arena->create.stride - arena->create.guard) / PAGE;
}

TEST_F(stack, untouched_slots_have_nothing)
{
	struct arena arena = stack_arena(self->fd, KIB(64), 100);
	struct burrow_context_stats stats = context_stats(self->fd);
	uint64_t i;

	for (i = 0; i < 100; i++) {
		EXPECT_EQ(0, slot_state(&arena, i).bytes);
		EXPECT_EQ(0, slot_state(&arena, i).peak);
	}
	EXPECT_EQ(0, stats.stack_bytes);
	EXPECT_EQ(0, stats.faults);
}

TEST_F(stack, grows_by_doubling_within_the_batch)
{
	static const uint32_t batches[] = { 1, 2, 16, 64, 256, 1024, 4096, 0 };
	uint64_t depth, have, grows;
	struct arena arena;
	size_t i;

	for (i = 0; i < COUNT(batches); i++) {
		arena = arena_create(self->fd,
				     (struct burrow_arena_create){
					     .kind = BURROW_ARENA_STACK,
					     .stride = MIB(8),
					     .slots = 4,
					     .batch = batches[i],
				     });
		arena_map(&arena);
		EXPECT_TRUE(arena.create.batch >= 1 &&
			    arena.create.batch <= 4096);
		if (batches[i])
			EXPECT_EQ(batches[i], arena.create.batch);
		grows = context_stats(self->fd).grows;
		have = 0;
		for (depth = 0; depth < 700; depth++) {
			grows += depth >= have;
			have = grown(have, depth, arena.create.batch,
				     limit_pages(&arena));
			touch(slot_page(&arena, 1, depth));
			ASSERT_EQ(have, slot_pages(&arena, 1))
			TH_LOG("batch %u, depth %llu", arena.create.batch,
			       (unsigned long long)depth);
		}
		EXPECT_EQ(grows, context_stats(self->fd).grows);
		EXPECT_EQ(have * PAGE, slot_state(&arena, 1).peak);
		EXPECT_EQ(0, slot_pages(&arena, 0));
		EXPECT_EQ(0, slot_pages(&arena, 2));
		arena_unmap(&arena);
		EXPECT_EQ(0, arena_destroy(&arena));
	}
}

TEST_F(stack, a_far_jump_maps_all_above)
{
	struct arena arena = stack_arena(self->fd, MIB(16), 4);
	struct burrow_context_stats before, after;
	uint64_t depth;

	touch(slot_page(&arena, 2, 0));
	*(slot_page(&arena, 2, 2999) + 17) = 5;
	EXPECT_EQ(3000, slot_pages(&arena, 2));
	before = context_stats(self->fd);
	for (depth = 1; depth < 2999; depth++)
		EXPECT_TRUE(is_filled(slot_page(&arena, 2, depth), 0, PAGE));
	after = context_stats(self->fd);
	EXPECT_EQ(before.faults, after.faults);
	EXPECT_EQ(5, *(slot_page(&arena, 2, 2999) + 17));
}

TEST_F(stack, a_read_grows_it_too)
{
	struct arena arena = stack_arena(self->fd, KIB(256), 4);

	EXPECT_EQ(0, poke_read(slot_page(&arena, 0, 4)));
	EXPECT_EQ(5, slot_pages(&arena, 0));
	EXPECT_EQ(0, poke_read(slot_page(&arena, 0, 5)));
	EXPECT_EQ(10, slot_pages(&arena, 0));
	/* And what was read may be written, without a further fault. */
	EXPECT_EQ(2, context_stats(self->fd).faults);
	touch(slot_page(&arena, 0, 9));
	EXPECT_EQ(2, context_stats(self->fd).faults);
}

/* All pages of a slot, from any touch on, and none beyond. */
static void check_slot(struct __test_metadata *_metadata,
		       const struct arena *arena, uint64_t slot)
{
	uint64_t guard_pages = arena->create.guard / PAGE, i, step;
	uint64_t before = context_stats(arena->fd).overflows, tried = 0;
	char *base = slot_limit(arena, slot) - arena->create.guard;
	struct fault f;
	char value = 3;

	fault_catch();
	/* All of a guard of up to 511 pages, a sample of a larger one. */
	step = guard_pages / 512 + 1;
	for (i = 0; i < guard_pages; i += step) {
		char *at = base + i * PAGE + i % PAGE;

		f = poke(at, i & 1, &value);
		tried++;
		ASSERT_EQ(SIGSEGV, f.sig);
		ASSERT_EQ(at, f.addr);
		ASSERT_TRUE(f.code == SEGV_MAPERR || f.code == SEGV_ACCERR);
	}
	f = poke(slot_limit(arena, slot) - 1, true, &value);
	tried++;
	EXPECT_EQ(SIGSEGV, f.sig);
	EXPECT_EQ(slot_limit(arena, slot) - 1, f.addr);
	EXPECT_EQ(before + tried, context_stats(arena->fd).overflows);

	/* The lowest byte above the guard is a stack's. */
	f = poke(slot_top(arena, slot) - 1, true, &value);
	EXPECT_EQ(0, f.sig);
}

TEST_F(stack, guards_of_every_stride)
{
	uint64_t stride;

	for (stride = BURROW_STRIDE_MIN; stride <= BURROW_STRIDE_MAX;
	     stride *= 2) {
		struct arena arena = stack_arena(self->fd, stride, 3);
		uint64_t slot;

		for (slot = 0; slot < 3; slot++)
			check_slot(_metadata, &arena, slot);
		arena_unmap(&arena);
	}
	/* Guards cost nothing. */
	EXPECT_EQ(0, context_drain(self->fd).stack_bytes);
}

TEST_F(stack, every_stride_to_its_end)
{
	uint64_t stride;

	for (stride = BURROW_STRIDE_MIN; stride <= MIB(64); stride *= 2) {
		struct arena arena = stack_arena(self->fd, stride, 3);

		EXPECT_EQ(0, poke_write(slot_limit(&arena, 1)));
		EXPECT_EQ(limit_pages(&arena), slot_pages(&arena, 1));
		EXPECT_EQ(0, slot_pages(&arena, 0));
		EXPECT_EQ(0, slot_pages(&arena, 2));
		/* The neighbours' nearest bytes: a guard, and a stack. */
		EXPECT_EQ(SIGSEGV, poke_write(slot_top(&arena, 1)));
		EXPECT_EQ(SIGSEGV, poke_write(slot_limit(&arena, 1) - 1));
		arena_unmap(&arena);
	}
}

TEST_F_TIMEOUT(stack, the_largest_stack_to_its_end, 60)
{
	struct arena arena;
	char text[4096], *line;
	uint64_t page, i;

	ASSERT_LT(0, slurp("/proc/meminfo", text, sizeof(text)));
	line = strstr(text, "MemAvailable:");
	if (!line || strtoull(line + 13, NULL, 10) < 1100 * 1024 ||
	    context_version(self->fd).context_limit < MIB(1000))
		SKIP(return, "takes 1100 MiB of free memory");
	arena = stack_arena(self->fd, GIB(1), 2);
	EXPECT_EQ(0, poke_write(slot_limit(&arena, 1)));
	EXPECT_EQ(limit_pages(&arena), slot_pages(&arena, 1));
	for (i = 0; i < 1000; i++) {
		page = i * 2654435761U % limit_pages(&arena);
		touch(slot_page(&arena, 1, page));
	}
	EXPECT_EQ(limit_pages(&arena), slot_pages(&arena, 1));
	EXPECT_EQ(SIGSEGV, poke_write(slot_limit(&arena, 1) - 1));
	EXPECT_EQ((int64_t)(limit_pages(&arena) * PAGE),
		  trim_slot(&arena, 1, 0));
	EXPECT_EQ(0, slot_pages(&arena, 1));
}

TEST_F(stack, guards_of_one_s_own)
{
	static const uint64_t pages[] = { 1, 2, 3, 7, 15 };
	size_t i;

	for (i = 0; i < COUNT(pages); i++) {
		struct arena arena;

		arena = arena_create(self->fd,
				     (struct burrow_arena_create){
					     .kind = BURROW_ARENA_STACK,
					     .stride = KIB(64),
					     .slots = 4,
					     .guard = pages[i] * PAGE,
				     });
		EXPECT_EQ(pages[i] * PAGE, arena.create.guard);
		arena_map(&arena);
		check_slot(_metadata, &arena, 1);
		EXPECT_EQ(0, poke_write(slot_limit(&arena, 1)));
		EXPECT_EQ(16 - pages[i], slot_pages(&arena, 1));
	}
}

/* A frame of 20 KiB at the limit of a stack hits the guard, not a neighbour. */
TEST_F(stack, a_frame_of_20_kib_at_the_limit)
{
	struct arena arena = stack_arena(self->fd, KIB(64), 4);

	*(slot_top(&arena, 0) - 8) = 77;
	EXPECT_EQ(0, poke_write(slot_limit(&arena, 1)));
	EXPECT_EQ(SIGSEGV, poke_write(slot_limit(&arena, 1) - KIB(20)));
	EXPECT_EQ(77, *(slot_top(&arena, 0) - 8));
}

TEST_F(stack, past_the_last_slot_there_is_nothing)
{
	struct arena arena = stack_arena(self->fd, KIB(64), 5);
	char *at;

	EXPECT_EQ(MIB(2), arena.create.bytes);
	touch(slot_page(&arena, 4, 0));
	for (at = slot_top(&arena, 4); at < arena.base + MIB(2); at += PAGE) {
		ASSERT_EQ(SIGBUS, poke_write(at));
		ASSERT_EQ(SIGBUS, poke_read(at));
	}
	EXPECT_EQ(PAGE, context_stats(self->fd).stack_bytes);
}

TEST_F(stack, neighbours_are_left_alone)
{
	struct arena arena = stack_arena(self->fd, KIB(64), 200);
	uint64_t i, d, n = limit_pages(&arena);

	for (i = 0; i < 200; i++)
		for (d = 0; d < i % n + 1; d++)
			memset(slot_page(&arena, i, d), i + d, PAGE);
	for (i = 0; i < 200; i++)
		for (d = 0; d < i % n + 1; d++)
			ASSERT_TRUE(is_filled(slot_page(&arena, i, d), i + d,
					      PAGE));
}

/* ---- system calls ----------------------------------------------------------- */

static int file_of(size_t bytes, int byte)
{
	int fd = memfd_create("burrow-test", 0);
	char *text = malloc(bytes);

	memset(text, byte, bytes);
	if (fd < 0 || write(fd, text, bytes) != (ssize_t)bytes)
		die("memfd");
	free(text);
	return fd;
}

TEST_F(stack, system_calls_grow_it)
{
	struct arena arena = stack_arena(self->fd, KIB(256), 8);
	int file = file_of(KIB(40), 'x');
	char *at;

	at = slot_top(&arena, 0) - KIB(40);
	ASSERT_EQ(KIB(40), pread(file, at, KIB(40), 0));
	EXPECT_TRUE(is_filled(at, 'x', KIB(40)));
	EXPECT_LE(10, slot_pages(&arena, 0));

	/* From a stack that was never touched come zeroes. */
	at = slot_top(&arena, 1) - KIB(40);
	ASSERT_EQ(KIB(40), pwrite(file, at, KIB(40), 0));
	at = slot_top(&arena, 2) - KIB(40);
	ASSERT_EQ(KIB(40), pread(file, at, KIB(40), 0));
	EXPECT_TRUE(is_filled(at, 0, KIB(40)));
	close(file);
}

TEST_F(stack, system_calls_into_the_guard)
{
	struct arena arena = stack_arena(self->fd, KIB(64), 8);
	uint64_t overflows = context_stats(self->fd).overflows;
	int file = file_of(KIB(64), 'y'), pair[2];
	ssize_t n;

	EXPECT_EQ(-1, pread(file, slot_limit(&arena, 2) - 1, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pread(file, slot_limit(&arena, 2) - PAGE, KIB(8), 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pwrite(file, slot_limit(&arena, 2) - 1, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_LT(overflows, context_stats(self->fd).overflows);
	ASSERT_EQ(0, pipe(pair));
	ASSERT_EQ(3, write(pair[1], "abc", 3));
	EXPECT_EQ(-1, read(pair[0], slot_limit(&arena, 2) - 3, 3));
	EXPECT_EQ(EFAULT, errno);

	/* A buffer that runs from one slot's end into the next one's guard. */
	n = pread(file, slot_top(&arena, 2) - KIB(8), KIB(16), 0);
	EXPECT_TRUE(n == (ssize_t)KIB(8) || (n == -1 && errno == EFAULT));
	EXPECT_EQ(0, slot_pages(&arena, 3));
	close(file);
}

/* Another process reads and writes memory of its parent. */
struct other {
	pid_t owner;
	char *at;
	char *guard;
};

static int by_process_vm(void *arg)
{
	struct other *o = arg;
	char there[KIB(32)], here[KIB(32)];
	struct iovec local = { there, sizeof(there) };
	struct iovec remote = { o->at, sizeof(there) };

	memset(there, 'p', sizeof(there));
	if (process_vm_writev(o->owner, &local, 1, &remote, 1, 0) !=
	    sizeof(there))
		return 1;
	local.iov_base = here;
	if (process_vm_readv(o->owner, &local, 1, &remote, 1, 0) !=
	    sizeof(here))
		return 2;
	if (memcmp(here, there, sizeof(here)))
		return 3;
	remote = (struct iovec){ o->guard, 1 };
	local.iov_len = 1;
	if (process_vm_writev(o->owner, &local, 1, &remote, 1, 0) != -1 ||
	    errno != EFAULT)
		return 4;
	if (process_vm_readv(o->owner, &local, 1, &remote, 1, 0) != -1 ||
	    errno != EFAULT)
		return 5;
	return 0;
}

static int by_proc_mem(void *arg)
{
	struct other *o = arg;
	char path[64], text[KIB(32)];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", o->owner);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return 1;
	memset(text, 'p', sizeof(text));
	if (pwrite(fd, text, sizeof(text), (uintptr_t)o->at) != sizeof(text))
		return 2;
	memset(text, 0, sizeof(text));
	if (pread(fd, text, sizeof(text), (uintptr_t)o->at) != sizeof(text))
		return 3;
	if (!is_filled(text, 'p', sizeof(text)))
		return 4;
	if (pread(fd, text, 1, (uintptr_t)o->guard) >= 0)
		return 5;
	if (pwrite(fd, text, 1, (uintptr_t)o->guard) >= 0)
		return 6;
	return 0;
}

static int by_ptrace(void *arg)
{
	long word = 0x7070707070707070;
	struct other *o = arg;
	int status;
	size_t i;

	if (ptrace(PTRACE_ATTACH, o->owner, 0, 0))
		return 1;
	if (waitpid(o->owner, &status, 0) != o->owner || !WIFSTOPPED(status))
		return 2;
	for (i = 0; i < KIB(32); i += sizeof(word))
		if (ptrace(PTRACE_POKEDATA, o->owner, o->at + i, word))
			return 3;
	for (i = 0; i < KIB(32); i += sizeof(word))
		if (ptrace(PTRACE_PEEKDATA, o->owner, o->at + i, 0) != word)
			return 4;
	errno = 0;
	if (ptrace(PTRACE_PEEKDATA, o->owner, o->guard, 0) != -1 || !errno)
		return 5;
	if (!ptrace(PTRACE_POKEDATA, o->owner, o->guard, word))
		return 6;
	return ptrace(PTRACE_DETACH, o->owner, 0, 0) ? 7 : 0;
}

TEST_F(stack, other_processes_reach_into_it)
{
	int (*const ways[])(void *) = { by_process_vm, by_proc_mem, by_ptrace };
	struct arena arena = stack_arena(self->fd, KIB(256), 8);
	struct other o = { .owner = getpid() };
	uint64_t i;

	for (i = 0; i < COUNT(ways); i++) {
		o.at = slot_top(&arena, i) - KIB(32);
		o.guard = slot_limit(&arena, i) - 100;
		EXPECT_EQ(0, in_child(ways[i], &o))
		TH_LOG("way %llu", (unsigned long long)i);
		EXPECT_TRUE(is_filled(o.at, 'p', KIB(32)));
		EXPECT_LE(8, slot_pages(&arena, i));
	}
}

/* A file that direct I/O can be done on: its descriptor, or a negative errno. */
static int direct_file(void)
{
	static const char *const paths[] = {
		"/dev/ram0",
		"/tmp/burrow-direct",
		"build/burrow-direct",
	};
	char *text;
	size_t i;
	int fd;

	if (posix_memalign((void **)&text, PAGE, KIB(32)))
		die("posix_memalign");
	memset(text, 'd', KIB(32));
	for (i = 0; i < COUNT(paths); i++) {
		/* Not made where a device is not. */
		fd = open(paths[i], O_RDWR | O_DIRECT | (i ? O_CREAT : 0),
			  0600);
		if (fd < 0)
			continue;
		if (i)
			unlink(paths[i]);
		if (pwrite(fd, text, KIB(32), 0) == KIB(32)) {
			free(text);
			return fd;
		}
		close(fd);
	}
	free(text);
	return -EINVAL;
}

TEST_F(stack, direct_io)
{
	struct arena arena = stack_arena(self->fd, KIB(256), 8);
	int file = direct_file();
	char *at;

	if (file < 0)
		SKIP(return, "no file system here does direct I/O");
	at = slot_top(&arena, 0) - KIB(32);
	ASSERT_EQ(KIB(32), pread(file, at, KIB(32), 0));
	EXPECT_TRUE(is_filled(at, 'd', KIB(32)));
	memset(at, 'e', KIB(32));
	ASSERT_EQ(KIB(32), pwrite(file, at, KIB(32), 0));
	at = slot_top(&arena, 1) - KIB(32);
	ASSERT_EQ(KIB(32), pread(file, at, KIB(32), 0));
	EXPECT_TRUE(is_filled(at, 'e', KIB(32)));
	/* From an untouched stack. */
	at = slot_top(&arena, 2) - KIB(32);
	ASSERT_EQ(KIB(32), pwrite(file, at, KIB(32), 0));
	EXPECT_LE(8, slot_pages(&arena, 2));
	at = (char *)((uintptr_t)slot_limit(&arena, 3) - PAGE);
	EXPECT_EQ(-1, pread(file, at, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	close(file);
}

TEST_F(stack, io_uring)
{
	struct arena arena = stack_arena(self->fd, KIB(256), 8);
	int file = file_of(KIB(32), 'u'), async;
	struct uring u;
	char *at;

	if (uring_open(&u))
		SKIP(return, "io_uring is not allowed here");
	for (async = 0; async < 2; async++) {
		/* Async: a worker thread of the kernel faults the pages in. */
		u.async = async;
		at = slot_top(&arena, async) - KIB(32);
		ASSERT_EQ(KIB(32),
			  uring_do(&u, IORING_OP_READ, file, at, KIB(32), 0));
		EXPECT_TRUE(is_filled(at, 'u', KIB(32)));
		at = slot_top(&arena, 2 + async) - KIB(32);
		ASSERT_EQ(KIB(32), uring_do(&u, IORING_OP_WRITE, file, at,
					    KIB(32), KIB(32)));
		EXPECT_EQ(8, slot_pages(&arena, 2 + async));
		at = slot_limit(&arena, 4) - PAGE;
		EXPECT_EQ(-EFAULT,
			  uring_do(&u, IORING_OP_READ, file, at, PAGE, 0));
	}
	close(file);
}

/* ---- futexes ---------------------------------------------------------------- */

static long futex(uint32_t *at, int op, uint32_t value, uint64_t timeout_ms)
{
	struct timespec ts = { timeout_ms / 1000, timeout_ms % 1000 * 1000000 };
	long ret = syscall(SYS_futex, at, op, value, timeout_ms ? &ts : NULL,
			   NULL, 0);

	return ret < 0 ? -errno : ret;
}

struct sleeper {
	uint32_t *at;
	int private;
	long result;
};

static void *sleeps(void *arg)
{
	struct sleeper *s = arg;

	s->result = futex(s->at, FUTEX_WAIT | s->private, 0, 20000);
	return NULL;
}

/* Wakes until somebody was woken; false if nobody ever is. */
static bool wake_one(uint32_t *at, int private, unsigned int ms)
{
	uint64_t end = now_ns() + ms * 1000000ULL;
	long woken;

	do {
		woken = futex(at, FUTEX_WAKE | private, 1, 0);
		if (woken == 1)
			return true;
		nap_ms(1);
	} while (!woken && now_ns() < end);
	return false;
}

TEST_F(stack, futexes)
{
	struct arena stack = stack_arena(self->fd, KIB(64), 64);
	struct arena heap = heap_arena(self->fd, MIB(2));
	uint32_t *const places[] = {
		(uint32_t *)(slot_top(&stack, 3) - 64),
		(uint32_t *)(slot_top(&stack, 5) - KIB(9)),
		(uint32_t *)(heap.base + KIB(20)),
		(uint32_t *)&stack.table[7].word,
	};
	size_t i, private;

	for (i = 0; i < COUNT(places); i++) {
		for (private = 0; private < 2; private ++) {
			struct sleeper s = {
				.at = places[i],
				.private = private ? FUTEX_PRIVATE_FLAG : 0,
			};
			pthread_t thread = thread_start(sleeps, &s);

			EXPECT_TRUE(wake_one(s.at, s.private, 15000));
			pthread_join(thread, NULL);
			EXPECT_EQ(0, s.result)
			TH_LOG("place %zu, private %zu", i, private);
		}
	}
}

/* Where, in a context of its own, another user's process wakes sleepers. */
struct waker {
	int ready, go;
	uint64_t slot, at;
};

static int wakes_the_same_offset(void *arg)
{
	struct waker *w = arg;
	struct arena stack, heap;
	long woken = 0;
	char byte;
	int fd, i;

	if (!getuid() && setuid(12345))
		return 90;
	fd = context_open();
	stack = stack_arena(fd, KIB(64), 64);
	heap = heap_arena(fd, MIB(2));
	touch(slot_top(&stack, w->slot) - w->at);
	touch(heap.base + w->at);
	stack.table[w->slot].word = 0;
	if (write(w->ready, "r", 1) != 1 || read(w->go, &byte, 1) != 1)
		return 91;
	for (i = 0; i < 50; i++) {
		woken += futex((uint32_t *)(slot_top(&stack, w->slot) - w->at),
			       FUTEX_WAKE, 100, 0);
		woken += futex((uint32_t *)(heap.base + w->at), FUTEX_WAKE, 100,
			       0);
		woken += futex((uint32_t *)&stack.table[w->slot].word,
			       FUTEX_WAKE, 100, 0);
		nap_ms(2);
	}
	return woken;
}

/* Shared futexes are known by inode and offset: each context has its inode. */
TEST_F(stack, another_context_s_wakes_do_not_reach_us)
{
	int ready[2], go[2];
	struct waker w = { .slot = 9, .at = 128 };
	struct sleeper sleepers[3] = { 0 };
	pthread_t threads[3];
	struct arena stack, heap;
	char byte;
	pid_t pid;
	size_t i;

	ASSERT_EQ(0, pipe(ready) | pipe(go));
	w.ready = ready[1];
	w.go = go[0];
	pid = child_start(wakes_the_same_offset, &w);
	/* The same order of calls, so the same numbers and offsets. */
	stack = stack_arena(self->fd, KIB(64), 64);
	heap = heap_arena(self->fd, MIB(2));
	sleepers[0].at = (uint32_t *)(slot_top(&stack, w.slot) - w.at);
	sleepers[1].at = (uint32_t *)(heap.base + w.at);
	sleepers[2].at = (uint32_t *)&stack.table[w.slot].word;
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	for (i = 0; i < 3; i++)
		threads[i] = thread_start(sleeps, &sleepers[i]);
	nap_ms(200);
	ASSERT_EQ(1, write(go[1], "g", 1));
	EXPECT_EQ(0, child_status(pid));
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(wake_one(sleepers[i].at, 0, 15000))
		TH_LOG("sleeper %zu was not asleep any more", i);
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, sleepers[i].result);
	}
}

/* ---- whose pages ------------------------------------------------------------ */

TEST_F(stack, fresh_pages_are_zero)
{
	struct arena stack = stack_arena(self->fd, KIB(256), 64);
	struct arena heap = heap_arena(self->fd, MIB(2));
	uint64_t i;

	for (i = 0; i < 64; i++) {
		poke_read(slot_page(&stack, i, 31));
		EXPECT_TRUE(is_filled(slot_page(&stack, i, 31), 0, 32 * PAGE));
	}
	EXPECT_TRUE(is_filled(heap.base, 0, MIB(2)));
	EXPECT_TRUE(is_filled(stack.table, 0, stack.create.table_bytes));
}

static void soil(const struct arena *arena, uint64_t slots, uint64_t pages)
{
	uint64_t i;

	for (i = 0; i < slots; i++)
		memset(slot_page(arena, i, pages - 1), 0xa5, pages * PAGE);
}

static void trim_all(const struct arena *arena, uint64_t slots)
{
	uint64_t i;

	for (i = 0; i < slots; i++)
		trim_slot(arena, i, 0);
}

/* Soiled pages of the pool go to stacks of this context and nowhere else. */
TEST_F(stack, recycled_pages_stay_among_stacks)
{
	struct arena stack = stack_arena(self->fd, KIB(256), 64);
	struct arena again = stack_arena(self->fd, KIB(256), 4096);
	struct burrow_context_stats before, after;
	struct arena heap;
	uint64_t i, soiled = 0;

	soil(&stack, 64, 16);
	trim_all(&stack, 64);
	before = context_stats(self->fd);
	EXPECT_EQ(64 * 16 * PAGE, before.pool_bytes);

	heap = heap_arena(self->fd, MIB(4));
	EXPECT_TRUE(is_filled(heap.base, 0, MIB(4)));
	for (i = 0; i < again.create.table_bytes; i += PAGE)
		EXPECT_TRUE(is_filled((char *)again.table + i, 0, PAGE));
	after = context_stats(self->fd);
	EXPECT_EQ(before.pool_bytes, after.pool_bytes);

	/* That they do come back is what makes the test above one. */
	for (i = 0; i < 16; i++) {
		poke_read(slot_page(&again, i, 15));
		soiled += !is_filled(slot_page(&again, i, 15), 0, 16 * PAGE);
	}
	EXPECT_EQ(16, soiled);
	EXPECT_EQ(after.recycled + 256, context_stats(self->fd).recycled);
}

static int finds_no_soil(void *arg UNUSED)
{
	int fd = context_open();
	struct arena stack = stack_arena(fd, KIB(256), 256);
	struct arena heap = heap_arena(fd, MIB(16));
	uint64_t i;

	for (i = 0; i < 256; i++) {
		poke_read(slot_page(&stack, i, 15));
		if (!is_filled(slot_page(&stack, i, 15), 0, 16 * PAGE))
			return 1;
	}
	return is_filled(heap.base, 0, MIB(16)) ? 0 : 2;
}

TEST_F(stack, soil_never_shows_in_another_context)
{
	struct arena stack = stack_arena(self->fd, KIB(256), 256);
	int other, round;

	for (round = 0; round < 3; round++) {
		soil(&stack, 256, 16);
		trim_all(&stack, 256);
		EXPECT_EQ(0, in_child(finds_no_soil, NULL));
		other = context_open();
		close(other);
		/* And once what was pooled went back to the system. */
		context_drain(self->fd);
		EXPECT_EQ(0, in_child(finds_no_soil, NULL));
	}
}

TEST_F(stack, a_second_context_of_one_process_is_another)
{
	struct arena first = stack_arena(self->fd, KIB(256), 64), second;
	int fd = context_open();
	uint64_t i;

	second = stack_arena(fd, KIB(256), 64);
	soil(&first, 64, 16);
	trim_all(&first, 64);
	for (i = 0; i < 64; i++) {
		poke_read(slot_page(&second, i, 15));
		EXPECT_TRUE(is_filled(slot_page(&second, i, 15), 0, 16 * PAGE));
	}
	EXPECT_EQ(0, context_stats(fd).recycled);
	close(fd);
}

TEST_F(stack, a_zeroing_arena)
{
	struct arena arena;
	uint64_t i;

	arena = arena_create(self->fd, (struct burrow_arena_create){
					       .kind = BURROW_ARENA_STACK,
					       .flags = BURROW_ARENA_ZERO,
					       .stride = KIB(256),
					       .slots = 64,
				       });
	arena_map(&arena);
	soil(&arena, 64, 16);
	trim_all(&arena, 64);
	EXPECT_EQ(64 * 16 * PAGE, context_stats(self->fd).pool_bytes);
	for (i = 0; i < 64; i++) {
		poke_read(slot_page(&arena, i, 15));
		EXPECT_TRUE(is_filled(slot_page(&arena, i, 15), 0, 16 * PAGE));
	}
	EXPECT_EQ(64 * 16, context_stats(self->fd).recycled);
}

/* ---- many threads ----------------------------------------------------------- */

#define THREADS 4
#define RACED_SLOTS 64

struct racer {
	struct arena *arena;
	unsigned int lane;
	pthread_barrier_t *barrier;
};

/* Each thread has a byte of its own in each page of each slot. */
static void *races_down(void *arg)
{
	struct racer *r = arg;
	uint64_t slot, d;

	for (slot = 0; slot < RACED_SLOTS; slot++) {
		pthread_barrier_wait(r->barrier);
		for (d = 0; d < 48; d += 1 + (r->lane + d) % 3)
			slot_page(r->arena, slot, d)[r->lane] = r->lane + d;
	}
	return NULL;
}

TEST_F(stack, threads_that_fault_one_slot)
{
	struct arena arena = stack_arena(self->fd, KIB(256), RACED_SLOTS);
	struct racer racers[THREADS];
	pthread_barrier_t barrier;
	pthread_t threads[THREADS];
	struct burrow_context_stats stats;
	uint64_t slot, d, pages = 0;
	unsigned int i;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ &arena, i, &barrier };
		threads[i] = thread_start(races_down, &racers[i]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (slot = 0; slot < RACED_SLOTS; slot++) {
		for (i = 0; i < THREADS; i++)
			for (d = 0; d < 48; d += 1 + (i + d) % 3)
				ASSERT_EQ((char)(i + d),
					  slot_page(&arena, slot, d)[i]);
		pages += slot_pages(&arena, slot);
	}
	/* Nothing was lost and nothing had twice. */
	stats = context_stats(self->fd);
	EXPECT_EQ(pages * PAGE, stats.stack_bytes);
	EXPECT_EQ(pages, stats.fresh);
}

ARENA_TEST_MAIN
