// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation that a call of the module makes, and every copy to and from
 * user memory, fails once: first the first one, then the second, and so on
 * until a run has none left to fail. Each time the program must get a clean
 * error (an errno, or SIGBUS where memory was touched), what it had before must
 * be unharmed, the same call must then succeed, and at the end no page may be
 * left over.
 *
 * The failures come from the kernel's fault injection (fail-nth of
 * Documentation/fault-injection); a kernel without it skips this test. That
 * the kernel neither warns nor leaks is seen by who runs this, in its log and
 * by kmemleak.
 *
 * A scenario is one call in one state of the world. The world is built anew
 * for each run, without failures, and torn down after it.
 *
 * With two arguments, the numbers of a scenario and of a failure, only that is
 * done, and the kernel logs where it happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <linux/burrow.h>

#include "kselftest.h"

#include "inject.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define PAGE 4096UL
#define STRIDE (256UL << 10)
#define SLOTS 24UL /* three blocks */
#define BLOCK BURROW_BLOCK_SIZE
#define STACK_BYTES (SLOTS * STRIDE)
#define HEAP_BYTES (2 * BLOCK)
#define HEAP_PAGES (HEAP_BYTES / PAGE)

/* Seconds that one scenario may take, on an emulated machine that checks all. */
#define PATIENCE 600

enum level {
	NOTHING,
	OPENED, /* a descriptor */
	READY, /* the version call was made */
	CREATED, /* an arena of each kind */
	MAPPED, /* and all mapped */
	USED, /* slots 0-7 hold a page, 0 three; heap page 0 a mark */
	POOLED, /* and there are recycled pages in the pool */
	UNMAPPED, /* arenas exist, their mappings are gone */
};

struct world {
	enum level level;
	int fd;
	struct burrow_arena_create stack;
	struct burrow_arena_create heap;
	char *stacks;
	char *pages;
	struct burrow_slot *table;
	/* Where acts leave what their check looks at. */
	struct burrow_trim_entry trims[SLOTS];
	uint64_t bits[2][HEAP_PAGES / 64];
	int runs;
};

struct scenario {
	const char *name;
	enum level level;
	int (*act)(struct world *w);
	/* What act's second call may say because the first had its effect. */
	int done;
	/* After the act succeeded; a message, or NULL. */
	const char *(*check)(struct world *w);
	int (*before)(struct world *w);
};

static int file; /* a file to read from and write to */
static int self_mem; /* /proc/self/mem */

/* ---- memory that cannot be had --------------------------------------------- */

static sigjmp_buf out_of_memory;
static volatile sig_atomic_t expected;
static void *volatile bus_address;

static void say(const char *text)
{
	if (write(STDOUT_FILENO, text, strlen(text)) < 0)
		_exit(2);
}

static void on_bus(int signo, siginfo_t *info, void *context)
{
	(void)context;
	if (!expected) {
		inject(0);
		say(signo == SIGBUS ? "# SIGBUS from nowhere\n" :
				      "# a memory fault other than SIGBUS\n");
		_exit(1);
	}
	bus_address = info->si_addr;
	siglongjmp(out_of_memory, 1);
}

static void on_alarm(int signo)
{
	(void)signo;
	say("# hangs\n");
	_exit(1);
}

static void catch_signals(void)
{
	static char stack[1 << 16];
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = {
		.sa_sigaction = on_bus,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	sigaltstack(&alt, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sa.sa_flags |= SA_RESETHAND;
	sigaction(SIGSEGV, &sa, NULL);
	signal(SIGALRM, on_alarm);
}

/* Touch [from, from + PAGE * n), upper page first, as stacks are. */
static int touch(char *from, int n, bool write)
{
	volatile char *p = from;
	int i;

	if (sigsetjmp(out_of_memory, 1)) {
		expected = 0;
		if ((char *)bus_address < from ||
		    (char *)bus_address >= from + PAGE * n)
			return -ERANGE;
		return -ENOMEM;
	}
	expected = 1;
	for (i = n - 1; i >= 0; i--) {
		if (write)
			p[i * PAGE + 7] = 'w';
		else
			(void)p[i * PAGE + 7];
	}
	expected = 0;
	return 0;
}

/* ---- the world ------------------------------------------------------------- */

/* The page at depth @depth (0 is the uppermost) of a slot. */
static char *stack_page(struct world *w, unsigned long slot,
			unsigned long depth)
{
	return w->stacks + (slot + 1) * STRIDE - (depth + 1) * PAGE;
}

/* As a system call returns it: 0 or more, or a negative errno. */
static int result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static int act_open(struct world *w)
{
	w->fd = open("/dev/burrow", O_RDWR | O_CLOEXEC);
	return w->fd < 0 ? -errno : 0;
}

static int act_version(struct world *w)
{
	struct burrow_version v = { .size = sizeof(v), .abi = BURROW_ABI };

	return result(ioctl(w->fd, BURROW_IOC_VERSION, &v));
}

static int act_create_stack(struct world *w)
{
	w->stack = (struct burrow_arena_create){
		.size = sizeof(w->stack),
		.kind = BURROW_ARENA_STACK,
		.stride = STRIDE,
		.slots = SLOTS,
	};
	return result(ioctl(w->fd, BURROW_IOC_ARENA_CREATE, &w->stack));
}

static int act_create_heap(struct world *w)
{
	w->heap = (struct burrow_arena_create){
		.size = sizeof(w->heap),
		.kind = BURROW_ARENA_HEAP,
		.bytes = HEAP_BYTES,
	};
	return result(ioctl(w->fd, BURROW_IOC_ARENA_CREATE, &w->heap));
}

/*
 * Where things are mapped: aligned places, reserved before anything fails and
 * never given back.
 */
static char *stacks_at;
static char *pages_at;
static char *table_at;

static char *place(size_t bytes)
{
	char *p = mmap(NULL, bytes + BLOCK, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		ksft_exit_fail_msg("no address space\n");
	return p + (-(uintptr_t)p & (BLOCK - 1));
}

static void find_places(void)
{
	stacks_at = place(STACK_BYTES);
	pages_at = place(HEAP_BYTES);
	table_at = place(BLOCK);
}

static int map(struct world *w, char *at, size_t bytes, uint64_t offset)
{
	void *p = mmap(at, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, w->fd, offset);

	return p == MAP_FAILED ? -errno : 0;
}

static int act_map_stack(struct world *w)
{
	w->stacks = stacks_at;
	return map(w, w->stacks, w->stack.bytes, w->stack.offset);
}

static int act_map_heap(struct world *w)
{
	w->pages = pages_at;
	return map(w, w->pages, HEAP_BYTES, w->heap.offset);
}

static int act_map_table(struct world *w)
{
	w->table = (void *)table_at;
	return map(w, (char *)w->table, w->stack.table_bytes,
		   w->stack.table_offset);
}

/* What USED means; nothing fails here. */
static int use(struct world *w)
{
	int slot;

	for (slot = 0; slot < 8; slot++)
		memset(stack_page(w, slot, 0), 'a' + slot, PAGE);
	memset(stack_page(w, 0, 2), 'a', 3 * PAGE);
	memset(w->pages, 'H', PAGE);
	return 0;
}

/* And that none of it was harmed, whatever failed. */
static bool unharmed(struct world *w)
{
	int slot;

	for (slot = 0; slot < 8; slot++) {
		char *p = stack_page(w, slot, 0);

		if (p[0] != 'a' + slot || memcmp(p, p + 1, PAGE - 1))
			return false;
	}
	return w->pages[0] == 'H' && !memcmp(w->pages, w->pages + 1, PAGE - 1);
}

static struct burrow_trim trim_of(struct world *w,
				  struct burrow_trim_entry *entries, int count)
{
	return (struct burrow_trim){
		.size = sizeof(struct burrow_trim),
		.arena = w->stack.arena,
		.count = count,
		.entries = (uintptr_t)entries,
	};
}

/* Slots 16 to 23 grow and are given back whole. */
static int fill_pool(struct world *w)
{
	struct burrow_trim_entry entries[8] = {};
	struct burrow_trim t = trim_of(w, entries, 8);
	int i;

	for (i = 0; i < 8; i++) {
		entries[i].slot = 16 + i;
		memset(stack_page(w, 16 + i, 3), 'p', 4 * PAGE);
	}
	return result(ioctl(w->fd, BURROW_IOC_TRIM, &t));
}

static int act_unmap(struct world *w)
{
	int a = munmap(w->stacks, STACK_BYTES);
	int b = munmap(w->pages, HEAP_BYTES);
	int c = munmap(w->table, w->stack.table_bytes);

	return result(a | b | c);
}

static int act_close(struct world *w)
{
	int fd = w->fd;

	w->fd = -1;
	return result(close(fd));
}

/* How far each level goes. */
static const int levels[] = {
	[NOTHING] = 0, [OPENED] = 1, [READY] = 2,  [CREATED] = 4,
	[MAPPED] = 7,  [USED] = 8,   [POOLED] = 9, [UNMAPPED] = 10,
};

typedef int act_fn(struct world *w);

static act_fn *const steps[] = {
	act_open,      act_version,  act_create_stack, act_create_heap,
	act_map_stack, act_map_heap, act_map_table,    use,
	fill_pool,     act_unmap,
};

static int build(struct world *w, enum level level)
{
	int i, ret;

	memset(w, 0, sizeof(*w));
	w->fd = -1;
	w->level = level;
	for (i = 0; i < levels[level]; i++) {
		ret = steps[i](w);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Unmap, and leave nobody else the place. */
static void vacate(void *at, size_t bytes)
{
	if (at && mmap(at, bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
		       -1, 0) == MAP_FAILED)
		ksft_exit_fail_msg("cannot unmap\n");
}

static void tear_down(struct world *w)
{
	vacate(w->stacks, STACK_BYTES);
	vacate(w->pages, HEAP_BYTES);
	vacate(w->table, BLOCK);
	if (w->fd >= 0)
		close(w->fd);
}

/* All that this user's contexts hold; nobody else runs. */
static long held(void)
{
	struct burrow_context_stats s = { .size = sizeof(s) };
	struct world w;
	long ret;

	if (build(&w, READY))
		return -1;
	ret = ioctl(w.fd, BURROW_IOC_STATS, &s);
	tear_down(&w);
	return ret ? -1 : (long)s.user_bytes;
}

/* ---- what is done while something fails ------------------------------------ */

static int act_write(struct world *w)
{
	return touch(stack_page(w, 8, 0), 1, true);
}

static int act_read(struct world *w)
{
	return touch(stack_page(w, 8, 0), 1, false);
}

/* A frame of 100 KiB: many pages in one fault. */
static int act_jump(struct world *w)
{
	return touch(stack_page(w, 9, 25), 1, true);
}

/* Page by page, so that one fault after the other doubles the stack. */
static int act_grow(struct world *w)
{
	return touch(stack_page(w, 10, 39), 40, true);
}

static int act_reinsert(struct world *w)
{
	int err = touch(stack_page(w, 1, 0), 1, false);

	return err ? err : touch(w->pages, 1, false);
}

static int drop_ptes(struct world *w)
{
	int a = madvise(w->stacks, STACK_BYTES, MADV_DONTNEED);

	return result(a | madvise(w->pages, HEAP_BYTES, MADV_DONTNEED));
}

/* Read as the whole page or not at all: a short count is a failure to get it. */
static int whole(ssize_t n)
{
	if (n < 0)
		return -errno;
	return n == (ssize_t)PAGE ? 0 : -EFAULT;
}

static int act_syscall_write(struct world *w)
{
	return whole(pread(file, stack_page(w, 11, 5), PAGE, 0));
}

static int act_syscall_read(struct world *w)
{
	return whole(pwrite(file, stack_page(w, 12, 5), PAGE, PAGE));
}

static int act_debugger(struct world *w)
{
	static char buf[PAGE];
	uintptr_t at = (uintptr_t)stack_page(w, 13, 1);

	return whole(pread(self_mem, buf, PAGE, at));
}

static int act_table(struct world *w)
{
	return touch((char *)w->table, 1, true);
}

static int act_table_syscall(struct world *w)
{
	ssize_t n = pread(file, &w->table[3], sizeof(w->table[3]), 0);

	return n < 0 ? -errno : n == (ssize_t)sizeof(w->table[3]) ? 0 : -EFAULT;
}

static int act_heap_write(struct world *w)
{
	return touch(w->pages + BLOCK, 1, true);
}

static int act_heap_many(struct world *w)
{
	return touch(w->pages + BLOCK, 60, true);
}

static int act_heap_syscall(struct world *w)
{
	return whole(pread(file, w->pages + BLOCK + 40 * PAGE, PAGE, 0));
}

static int trim_into(struct world *w, struct burrow_trim_entry *entries,
		     uint32_t flags)
{
	struct burrow_trim t = trim_of(w, entries, SLOTS);
	unsigned long i;

	t.flags = flags;
	for (i = 0; i < SLOTS; i++)
		entries[i] = (struct burrow_trim_entry){
			.slot = i,
			.keep = i < 8 ? PAGE : 0,
			.result = -EBUSY,
		};
	return result(ioctl(w->fd, BURROW_IOC_TRIM, &t));
}

static int act_trim(struct world *w)
{
	return trim_into(w, w->trims, 0);
}

static int act_trim_later(struct world *w)
{
	return trim_into(w, w->trims, BURROW_TRIM_LAZY);
}

static const char *check_trim(struct world *w)
{
	unsigned long i;

	for (i = 0; i < SLOTS; i++)
		if (w->trims[i].result < 0)
			return "an entry has an error";
	return NULL;
}

/* The argument on a stack of the arena that is being trimmed. */
static int act_trim_from_stack(struct world *w)
{
	struct burrow_trim_entry *entries = (void *)stack_page(w, 14, 3);
	int err = touch((char *)entries, 1, true);

	return err ? err : trim_into(w, entries, 0);
}

/* Slots 16 to 23 hold 500 bytes each, on two pages. */
static int park(struct world *w)
{
	int i;

	for (i = 0; i < 8; i++)
		memset(stack_page(w, 16 + i, 1), 'p', 2 * PAGE);
	return 0;
}

/* For each of them: a slot that there is no room for stays, and says so. */
static int act_hibernate(struct world *w)
{
	struct burrow_hibernate_entry entries[8];
	struct burrow_hibernate h = {
		.size = sizeof(h),
		.arena = w->stack.arena,
		.count = 8,
		.entries = (uintptr_t)entries,
	};
	int i, ret;

	for (i = 0; i < 8; i++)
		entries[i] = (struct burrow_hibernate_entry){
			.slot = 16 + i,
			/* Of both kinds of group. */
			.live = i & 1 ? 500 : 100,
			.result = -EBUSY,
		};
	ret = result(ioctl(w->fd, BURROW_IOC_HIBERNATE, &h));
	for (i = 0; i < 8 && !ret; i++)
		ret = entries[i].result < 0 ? entries[i].result : 0;
	return ret;
}

static int park_and_hibernate(struct world *w)
{
	park(w);
	return act_hibernate(w);
}

static int act_restore(struct world *w)
{
	return touch(stack_page(w, 17, 0), 1, false);
}

/* Back, and four pages more. */
static int act_restore_and_grow(struct world *w)
{
	return touch(stack_page(w, 17, 4), 1, true);
}

static const char *check_parked(struct world *w)
{
	int i, live;
	char *top;

	for (i = 0; i < 8; i++) {
		live = i & 1 ? 500 : 100;
		top = stack_page(w, 16 + i, 0) + PAGE;
		if (top[-1] != 'p' ||
		    memcmp(top - live, top - live + 1, live - 1))
			return "live bytes are lost";
	}
	return NULL;
}

static int act_saved(struct world *w)
{
	static char buffer[BURROW_SAVED_MIN];
	struct burrow_saved s = {
		.size = sizeof(s),
		.arena = w->stack.arena,
		.slots = SLOTS,
		.buffer = (uintptr_t)buffer,
		.bytes = sizeof(buffer),
	};
	int err = result(ioctl(w->fd, BURROW_IOC_SAVED, &s));

	return err ? err : s.count == 8 && s.next == SLOTS ? 0 : -ERANGE;
}

/* Of a block, which is a part of a mapping at first. */
static int act_pgtables_part(struct world *w)
{
	struct burrow_pgtables p = {
		.size = sizeof(p),
		.arena = w->stack.arena,
		.first = 16,
		.slots = 8,
	};

	return result(ioctl(w->fd, BURROW_IOC_PGTABLES, &p));
}

/* Of all, with those that hold pages: the arena has no other mapping. */
static int act_pgtables(struct world *w)
{
	struct burrow_pgtables p = {
		.size = sizeof(p),
		.arena = w->stack.arena,
		.slots = SLOTS,
		.most = SLOTS,
	};

	return result(ioctl(w->fd, BURROW_IOC_PGTABLES, &p));
}

static const char *check_pgtables(struct world *w)
{
	struct burrow_context_stats s = { .size = sizeof(s) };

	if (ioctl(w->fd, BURROW_IOC_STATS, &s) || s.pgtable_bytes < PAGE)
		return "no page table went";
	return check_parked(w);
}

/* And it is told when it is over, however often it was begun. */
static int act_noted(struct world *w)
{
	static char buffer[BURROW_SAVED_MIN];
	struct burrow_saved s = {
		.size = sizeof(s),
		.flags = BURROW_SAVED_NOTE,
		.arena = w->stack.arena,
		.slots = SLOTS,
		.buffer = (uintptr_t)buffer,
		.bytes = sizeof(buffer),
	};
	uint64_t slots[SLOTS];
	struct burrow_restored r = {
		.size = sizeof(r),
		.arena = w->stack.arena,
		.slots = (uintptr_t)slots,
		.room = SLOTS,
	};
	int err = result(ioctl(w->fd, BURROW_IOC_SAVED, &s));

	if (!err)
		err = result(ioctl(w->fd, BURROW_IOC_RESTORED, &r));
	return err ? err : s.count == 8 && !r.done ? 0 : -ERANGE;
}

static int act_info(struct world *w)
{
	struct burrow_slot_state states[SLOTS];
	struct burrow_slot_info info = {
		.size = sizeof(info),
		.arena = w->stack.arena,
		.count = SLOTS,
		.states = (uintptr_t)states,
	};
	int err = result(ioctl(w->fd, BURROW_IOC_SLOT_INFO, &info));

	if (!err && (info.done != SLOTS || states[7].bytes < PAGE))
		return -ERANGE;
	return err;
}

/* Into one bitmap the first time, into another the second. */
static int harvest(struct world *w, uint32_t arena, uint64_t pages)
{
	struct burrow_dirty d = {
		.size = sizeof(d),
		.arena = arena,
		.pages = pages,
		.bitmap = (uintptr_t)w->bits[w->runs++ & 1],
	};

	return result(ioctl(w->fd, BURROW_IOC_DIRTY, &d));
}

static int act_dirty_stack(struct world *w)
{
	return harvest(w, w->stack.arena, HEAP_PAGES);
}

static int act_dirty_heap(struct world *w)
{
	return harvest(w, w->heap.arena, HEAP_PAGES);
}

/* A harvest that failed forgot nothing, or had written what it knew. */
static const char *check_dirty_stack(struct world *w)
{
	unsigned long slot, page;

	for (slot = 0; slot < 8; slot++) {
		page = (slot + 1) * (STRIDE / PAGE) - 1;
		if (!((w->bits[0][page / 64] | w->bits[1][page / 64]) >>
			      (page % 64) &
		      1))
			return "a stack page that was written is not reported";
	}
	return NULL;
}

static const char *check_dirty_heap(struct world *w)
{
	if (!((w->bits[0][0] | w->bits[1][0]) & 1))
		return "a heap page that was written is not reported";
	return NULL;
}

static int act_release(struct world *w)
{
	struct burrow_release r = {
		.size = sizeof(r),
		.arena = w->heap.arena,
		.first_page = 1,
		.pages = HEAP_PAGES - 1,
	};

	return result(ioctl(w->fd, BURROW_IOC_RELEASE, &r));
}

static int stats(struct world *w, uint32_t flags)
{
	struct burrow_context_stats s = { .size = sizeof(s), .flags = flags };
	int err = result(ioctl(w->fd, BURROW_IOC_STATS, &s));

	if (!err && (flags & BURROW_STATS_DRAIN) && s.pool_bytes)
		return -ERANGE;
	return err;
}

static int act_stats(struct world *w)
{
	return stats(w, 0);
}

static int act_drain(struct world *w)
{
	return stats(w, BURROW_STATS_DRAIN);
}

/* In the middle: the mapping is split, which allocates. */
static int act_unmap_part(struct world *w)
{
	return result(munmap(w->stacks + BLOCK, BLOCK));
}

static int act_protect_part(struct world *w)
{
	return result(mprotect(w->stacks + BLOCK, BLOCK, PROT_READ));
}

static int act_destroy(struct world *w)
{
	struct burrow_arena_destroy d = {
		.size = sizeof(d),
		.arena = w->stack.arena,
	};

	return result(ioctl(w->fd, BURROW_IOC_ARENA_DESTROY, &d));
}

/* With nothing in the pool to restore into. */
static int hibernate_and_drain(struct world *w)
{
	int err = park_and_hibernate(w);

	return err ? err : stats(w, BURROW_STATS_DRAIN);
}

/* What nobody uses is on a list, and there is no pool but that. */
static int trim_all_later(struct world *w)
{
	int err = stats(w, BURROW_STATS_DRAIN);

	return err ? err : act_trim_later(w);
}

static int act_recycle(struct world *w)
{
	int err = act_jump(w);

	return err ? err : act_grow(w);
}

static const struct scenario scenarios[] = {
	{ .name = "open", .level = NOTHING, .act = act_open },
	{ .name = "version", .level = OPENED, .act = act_version },
	{ .name = "create a stack arena",
	  .level = READY,
	  .act = act_create_stack },
	{ .name = "create a heap arena",
	  .level = READY,
	  .act = act_create_heap },
	{ .name = "map stacks", .level = CREATED, .act = act_map_stack },
	{ .name = "map the heap", .level = CREATED, .act = act_map_heap },
	{ .name = "map the table", .level = CREATED, .act = act_map_table },
	{ .name = "first touch, a write", .level = MAPPED, .act = act_write },
	{ .name = "first touch, a read", .level = MAPPED, .act = act_read },
	{ .name = "write to a new stack of a block in use",
	  .level = USED,
	  .act = act_write },
	{ .name = "a frame of 100 KiB", .level = USED, .act = act_jump },
	{ .name = "growth page by page", .level = USED, .act = act_grow },
	{ .name = "growth with recycled pages",
	  .level = POOLED,
	  .act = act_recycle },
	{ .name = "pages that lost their mapping",
	  .level = USED,
	  .act = act_reinsert,
	  .before = drop_ptes },
	{ .name = "read(2) to a stack",
	  .level = USED,
	  .act = act_syscall_write },
	{ .name = "write(2) from a stack",
	  .level = USED,
	  .act = act_syscall_read },
	{ .name = "a debugger's look at a stack",
	  .level = USED,
	  .act = act_debugger },
	{ .name = "touch of the table", .level = MAPPED, .act = act_table },
	{ .name = "read(2) to the table",
	  .level = MAPPED,
	  .act = act_table_syscall },
	{ .name = "first touch of the heap",
	  .level = MAPPED,
	  .act = act_heap_write },
	{ .name = "touch of many heap pages",
	  .level = USED,
	  .act = act_heap_many },
	{ .name = "read(2) to the heap",
	  .level = USED,
	  .act = act_heap_syscall },
	{ .name = "trim",
	  .level = POOLED,
	  .act = act_trim,
	  .check = check_trim },
	{ .name = "lazy trim",
	  .level = USED,
	  .act = act_trim_later,
	  .check = check_trim },
	{ .name = "growth with pages trimmed lazily",
	  .level = USED,
	  .act = act_recycle,
	  .before = trim_all_later },
	{ .name = "a heap that takes pages trimmed lazily",
	  .level = USED,
	  .act = act_heap_many,
	  .before = trim_all_later },
	{ .name = "trim, argument on a stack",
	  .level = USED,
	  .act = act_trim_from_stack },
	{ .name = "hibernate",
	  .level = USED,
	  .before = park,
	  .act = act_hibernate,
	  .check = check_parked },
	{ .name = "restore",
	  .level = USED,
	  .before = hibernate_and_drain,
	  .act = act_restore,
	  .check = check_parked },
	{ .name = "restore and grow",
	  .level = USED,
	  .before = hibernate_and_drain,
	  .act = act_restore_and_grow,
	  .check = check_parked },
	{ .name = "saved bytes",
	  .level = USED,
	  .before = park_and_hibernate,
	  .act = act_saved,
	  .check = check_parked },
	{ .name = "page tables",
	  .level = USED,
	  .before = park_and_hibernate,
	  .act = act_pgtables,
	  .check = check_pgtables },
	{ .name = "page tables of a part",
	  .level = USED,
	  .before = park_and_hibernate,
	  .act = act_pgtables_part,
	  .check = check_pgtables },
	{ .name = "noted bytes",
	  .level = USED,
	  .before = park_and_hibernate,
	  .act = act_noted,
	  .check = check_parked },
	{ .name = "unmap with stacks that hibernate",
	  .level = USED,
	  .before = park_and_hibernate,
	  .act = act_unmap },
	{ .name = "slot info", .level = USED, .act = act_info },
	{ .name = "dirty stacks",
	  .level = USED,
	  .act = act_dirty_stack,
	  .check = check_dirty_stack },
	{ .name = "dirty heap",
	  .level = USED,
	  .act = act_dirty_heap,
	  .check = check_dirty_heap },
	{ .name = "release", .level = USED, .act = act_release },
	{ .name = "statistics", .level = POOLED, .act = act_stats },
	{ .name = "drain the pool", .level = POOLED, .act = act_drain },
	{ .name = "unmap a part", .level = POOLED, .act = act_unmap_part },
	{ .name = "protect a part", .level = POOLED, .act = act_protect_part },
	{ .name = "unmap all", .level = POOLED, .act = act_unmap },
	{ .name = "destroy an arena",
	  .level = UNMAPPED,
	  .act = act_destroy,
	  .done = -ENOENT },
	{ .name = "close", .level = UNMAPPED, .act = act_close, .done = -EBADF },
	{ .name = "close with all mapped",
	  .level = POOLED,
	  .act = act_close,
	  .done = -EBADF },
};

/* ---- the walk -------------------------------------------------------------- */

static bool clean_error(int err)
{
	switch (err) {
	case -ENOMEM:
	case -EFAULT:
	case -EAGAIN:
	case -EIO: /* /proc/self/mem's word for -EFAULT */
	case -ENOSPC: /* the file's */
		return true;
	}
	return false;
}

/* One run: the @nth thing fails. Returns 1 if it did, 0 if there was none. */
static int run_once(const struct scenario *s, int nth)
{
	const char *complaint = NULL;
	struct world w;
	bool failed;
	int ret = build(&w, s->level);

	if (!ret && s->before)
		ret = s->before(&w);
	if (ret < 0) {
		ksft_print_msg("the world can't be built: %s\n",
			       strerror(-ret));
		tear_down(&w);
		return -1;
	}
	inject(nth);
	ret = s->act(&w);
	failed = injected();

	if (ret < 0 && !failed) {
		complaint = "failed though nothing was made to fail";
	} else if (ret < 0 && !clean_error(ret)) {
		complaint = "an error that does not say what happened";
	} else if (ret < 0) {
		ret = s->act(&w);
		if (ret < 0 && ret != s->done)
			complaint = "does not work after the failure";
	}
	if (!complaint && s->check)
		complaint = s->check(&w);
	if (!complaint && (s->level == USED || s->level == POOLED) &&
	    s->act != act_unmap && !unharmed(&w))
		complaint = "harmed what was there";
	tear_down(&w);
	if (!complaint && held())
		complaint = "pages are left over";
	if (!complaint)
		return failed;
	ksft_print_msg("%s, failure %d: %s (result %d)\n", s->name, nth,
		       complaint, ret);
	return -1;
}

static int total; /* failures of all scenarios */

static void walk(const struct scenario *s)
{
	int nth, ret = 1;

	alarm(PATIENCE);
	for (nth = 1; nth <= NTH_MAX; nth++) {
		ret = run_once(s, nth);
		if (ret <= 0)
			break;
	}
	alarm(0);
	if (ret > 0)
		ksft_print_msg("%s: no end to the failures\n", s->name);
	total += nth - 1;
	ksft_test_result(ret == 0, "%s: %d failures\n", s->name, nth - 1);
}

/* ---- no memory for a while -------------------------------------------------- */

static int fail_fd = -1;

/* Every allocation of this thread fails once @budget bytes were given. */
static bool inject_for_good(int budget)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", budget);
	if (fail_fd < 0)
		fail_fd = open("/proc/thread-self/make-it-fail",
			       O_WRONLY | O_CLOEXEC);
	return inject_set("failslab/task-filter", "Y") &&
	       inject_set("failslab/probability", "100") &&
	       inject_set("failslab/times", "-1") &&
	       inject_set("failslab/space", text) &&
	       pwrite(fail_fd, "1", 1, 0) == 1;
}

/* What is open already can be written to without memory. */
static void inject_no_more(void)
{
	while (pwrite(fail_fd, "0", 1, 0) != 1)
		;
	inject_set("failslab/probability", "0");
}

/*
 * Page tables with as much memory as that: nothing is done, or there is a hole
 * where stacks were, which is said, and their content is there for who maps it.
 */
static int pgtables_with(int budget)
{
	const char *complaint = NULL;
	struct world w;
	int err;

	if (build(&w, USED) || park_and_hibernate(&w) ||
	    !inject_for_good(budget)) {
		ksft_print_msg("the world can't be built\n");
		return 1;
	}
	err = act_pgtables_part(&w);
	inject_no_more();
	if (err == -ENOTRECOVERABLE &&
	    map(&w, w.stacks + 2 * BLOCK, BLOCK, w.stack.offset + 2 * BLOCK))
		complaint = "a hole that can't be filled";
	else if (err && err != -ENOMEM && err != -ENOTRECOVERABLE)
		complaint = "an error that does not say what happened";
	else
		complaint = check_parked(&w);
	if (!complaint && !unharmed(&w))
		complaint = "harmed what was there";
	tear_down(&w);
	if (!complaint && held())
		complaint = "pages are left over";
	if (complaint)
		ksft_print_msg("%d bytes: %s (result %d)\n", budget, complaint,
			       err);
	return complaint ? 1 : err;
}

static void test_no_memory(void)
{
	int budget, err, refused = 0, holes = 0;

	alarm(PATIENCE);
	for (budget = 0; budget < 1 << 16; budget += 128) {
		err = pgtables_with(budget);
		refused += err == -ENOMEM;
		holes += err == -ENOTRECOVERABLE;
		if (err >= 0)
			break;
	}
	alarm(0);
	ksft_print_msg("refused %d times, %d holes, enough with %d bytes\n",
		       refused, holes, budget);
	ksft_test_result(!err && refused && holes,
			 "page tables, no memory at all\n");
}

static void open_files(void)
{
	static char zeroes[2 * PAGE];

	self_mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	file = memfd_create("file", MFD_CLOEXEC);
	if (self_mem < 0 || file < 0 ||
	    write(file, zeroes, sizeof(zeroes)) != sizeof(zeroes))
		ksft_exit_fail_msg("no file to read from and write to\n");
}

/*
 * Pages that the module has allocated, by the kernel's own book, in which each
 * page has the stack of its allocation. Not those that the core took for itself
 * on the way, and keeps for whoever comes next: the slab allocator; the keeper of
 * stacks; KASAN, whose shadow of a piece of vmalloc space stays until the area is
 * purged, which is long after vfree(), and for as long as a neighbour needs it.
 */
static bool is_ours(const char *entry)
{
	static const char *const theirs[] = {
		"(slab",
		"stack_depot",
		"kasan_populate_vmalloc",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(theirs); i++)
		if (strstr(entry, theirs[i]))
			return false;
	return strstr(entry, "[burrow]");
}

/* How many, or -1 without such a book. With @tell, each is shown. */
static long owned(bool tell)
{
	static char entry[4 * PAGE];
	int fd = open("/sys/kernel/debug/page_owner", O_RDONLY | O_CLOEXEC);
	long pages = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	/* One read, one entry. */
	while ((n = read(fd, entry, sizeof(entry) - 1)) > 0) {
		entry[n] = 0;
		if (!is_ours(entry))
			continue;
		pages++;
		if (tell)
			ksft_print_msg("left over: %s\n", entry);
	}
	close(fd);
	return pages;
}

static void test_owned(void)
{
	struct world w;
	long in_use, left;

	if (build(&w, POOLED))
		ksft_exit_fail_msg("the world can't be built\n");
	in_use = owned(false);
	tear_down(&w);
	if (in_use < 0) {
		ksft_test_result_skip("no /sys/kernel/debug/page_owner\n");
		return;
	}
	left = owned(true);
	ksft_print_msg("%ld pages in use, %ld left\n", in_use, left);
	ksft_test_result(in_use > 0 && !left, "no page is left over\n");
}

/* One failure of one scenario, and what the kernel has to say of it. */
static int run_one(size_t scenario, int nth)
{
	if (scenario < 1 || scenario > ARRAY_LEN(scenarios))
		return 2;
	inject_loudly();
	return run_once(&scenarios[scenario - 1], nth) < 0;
}

int main(int argc, char **argv)
{
	size_t i;

	ksft_print_header();
	if (access("/dev/burrow", F_OK))
		ksft_exit_skip("no /dev/burrow: the module is not loaded\n");
	if (!inject_open() || !inject_set_up())
		ksft_exit_skip("this kernel cannot make allocations fail\n");
	ksft_set_plan(ARRAY_LEN(scenarios) + 3);
	open_files();
	find_places();
	catch_signals();
	/* Late output is a page fault, too. */
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);

	if (argc == 3)
		return run_one(atoi(argv[1]), atoi(argv[2]));
	for (i = 0; i < ARRAY_LEN(scenarios); i++)
		walk(&scenarios[i]);
	ksft_test_result(total > (int)ARRAY_LEN(scenarios),
			 "%d failures happened\n", total);
	test_no_memory();
	test_owned();
	ksft_finished();
}
