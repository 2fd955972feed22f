/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of the module share: a context and its arenas in the words of
 * the contract, mapped at an aligned address, and pokes that catch the signal
 * they cause. Failures of what every test takes for granted end the test
 * program with a line that says what failed.
 */
#ifndef ARENA_H
#define ARENA_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/burrow.h>

#include "kselftest_harness.h"

#define DEVICE "/dev/burrow"
#define PAGE 4096UL
#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNUSED __attribute__((unused))

static UNUSED __attribute__((noreturn, format(printf, 1, 2))) void
die(const char *format, ...)
{
	int err = errno;
	va_list args;

	fprintf(stderr, "# ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (errno %d: %s)\n", err, strerror(err));
	abort();
}

/* BURROW_TEST_SCALE stretches time limits, for slow kernels. */
static UNUSED unsigned int time_scale(void)
{
	const char *scale = getenv("BURROW_TEST_SCALE");
	int n = scale ? atoi(scale) : 1;

	return n > 0 ? n : 1;
}

/* How long random tests run: DURATION, in seconds, for those who want more. */
static UNUSED unsigned int seconds_of_stress(unsigned int by_default)
{
	const char *duration = getenv("DURATION");
	int n = duration ? atoi(duration) : 0;

	return n > 0 ? (unsigned int)n : by_default;
}

static UNUSED uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static UNUSED void nap_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

/* ---- contexts --------------------------------------------------------------- */

/* ioctl() with the result as the contract names it: 0 or a negative errno. */
static UNUSED int call(int fd, unsigned long request, void *args)
{
	return ioctl(fd, request, args) ? -errno : 0;
}

static UNUSED int context_open_raw(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("cannot open " DEVICE);
	return fd;
}

static UNUSED struct burrow_version context_version(int fd)
{
	struct burrow_version version = {
		.size = sizeof(version),
		.abi = BURROW_ABI,
	};

	if (call(fd, BURROW_IOC_VERSION, &version))
		die("BURROW_IOC_VERSION");
	return version;
}

static UNUSED int context_open(void)
{
	int fd = context_open_raw();

	context_version(fd);
	return fd;
}

static UNUSED struct burrow_context_stats context_stats(int fd)
{
	struct burrow_context_stats stats = { .size = sizeof(stats) };

	if (call(fd, BURROW_IOC_STATS, &stats))
		die("BURROW_IOC_STATS");
	return stats;
}

static UNUSED struct burrow_context_stats context_drain(int fd)
{
	struct burrow_context_stats stats = {
		.size = sizeof(stats),
		.flags = BURROW_STATS_DRAIN,
	};

	if (call(fd, BURROW_IOC_STATS, &stats))
		die("BURROW_IOC_STATS with DRAIN");
	return stats;
}

/* ---- arenas ----------------------------------------------------------------- */

struct arena {
	int fd;
	struct burrow_arena_create create;
	char *base;
	struct burrow_slot *table;
};

/* Addresses for @bytes, aligned to a block, that nothing is at. */
static UNUSED char *address_space(uint64_t bytes)
{
	uint64_t slack = BURROW_BLOCK_SIZE;
	uintptr_t low, aligned;
	void *p;

	p = mmap(NULL, bytes + slack, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die("cannot reserve %llu bytes", (unsigned long long)bytes);
	low = (uintptr_t)p;
	aligned = (low + slack - 1) & ~(slack - 1);
	if (aligned > low)
		munmap(p, aligned - low);
	if (low + slack > aligned)
		munmap((void *)(aligned + bytes), low + slack - aligned);
	return (char *)aligned;
}

/* Map @bytes of an arena, @from its start, at @at. */
static UNUSED void arena_map_piece(struct arena *arena, char *at, uint64_t from,
				   uint64_t bytes)
{
	void *p = mmap(at, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, arena->fd,
		       arena->create.offset + from);

	if (p == MAP_FAILED)
		die("cannot map %llu bytes of an arena",
		    (unsigned long long)bytes);
}

static UNUSED void arena_map_table(struct arena *arena)
{
	void *p = mmap(NULL, arena->create.table_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED, arena->fd, arena->create.table_offset);

	if (p == MAP_FAILED)
		die("cannot map a table");
	arena->table = p;
}

static UNUSED void arena_map(struct arena *arena)
{
	arena->base = address_space(arena->create.bytes);
	arena_map_piece(arena, arena->base, 0, arena->create.bytes);
	if (arena->create.table_bytes)
		arena_map_table(arena);
}

static UNUSED struct arena arena_create(int fd,
					struct burrow_arena_create create)
{
	struct arena arena = { .fd = fd };

	create.size = sizeof(create);
	if (call(fd, BURROW_IOC_ARENA_CREATE, &create))
		die("BURROW_IOC_ARENA_CREATE");
	arena.create = create;
	return arena;
}

static UNUSED struct arena stack_arena(int fd, uint64_t stride, uint64_t slots)
{
	struct arena arena;

	arena = arena_create(fd, (struct burrow_arena_create){
					 .kind = BURROW_ARENA_STACK,
					 .stride = stride,
					 .slots = slots,
				 });
	arena_map(&arena);
	return arena;
}

static UNUSED struct arena heap_arena(int fd, uint64_t bytes)
{
	struct arena arena;

	arena = arena_create(fd, (struct burrow_arena_create){
					 .kind = BURROW_ARENA_HEAP,
					 .bytes = bytes,
				 });
	arena_map(&arena);
	return arena;
}

static UNUSED void arena_unmap(struct arena *arena)
{
	munmap(arena->base, arena->create.bytes);
	if (arena->table)
		munmap(arena->table, arena->create.table_bytes);
	arena->base = NULL;
	arena->table = NULL;
}

static UNUSED int arena_destroy(const struct arena *arena)
{
	struct burrow_arena_destroy destroy = {
		.size = sizeof(destroy),
		.arena = arena->create.arena,
	};

	return call(arena->fd, BURROW_IOC_ARENA_DESTROY, &destroy);
}

/* ---- stacks ----------------------------------------------------------------- */

/* The address past the upper end of a slot; stacks grow down from it. */
static UNUSED char *slot_top(const struct arena *arena, uint64_t slot)
{
	return arena->base + (slot + 1) * arena->create.stride;
}

/* The lowest byte of a slot that is not guard. */
static UNUSED char *slot_limit(const struct arena *arena, uint64_t slot)
{
	return arena->base + slot * arena->create.stride + arena->create.guard;
}

/* The page @depth pages below the highest one of a slot. */
static UNUSED char *slot_page(const struct arena *arena, uint64_t slot,
			      uint64_t depth)
{
	return slot_top(arena, slot) - (depth + 1) * PAGE;
}

static UNUSED struct burrow_slot_state slot_state(const struct arena *arena,
						  uint64_t slot)
{
	struct burrow_slot_state state = { 0 };
	struct burrow_slot_info info = {
		.size = sizeof(info),
		.arena = arena->create.arena,
		.first = slot,
		.count = 1,
		.states = (uintptr_t)&state,
	};

	if (call(arena->fd, BURROW_IOC_SLOT_INFO, &info) || info.done != 1)
		die("BURROW_IOC_SLOT_INFO");
	return state;
}

static UNUSED uint64_t slot_pages(const struct arena *arena, uint64_t slot)
{
	return slot_state(arena, slot).bytes / PAGE;
}

static UNUSED int trim_with(const struct arena *arena, uint32_t flags,
			    struct burrow_trim_entry *entries, uint32_t count,
			    uint64_t *bytes)
{
	struct burrow_trim args = {
		.size = sizeof(args),
		.flags = flags,
		.arena = arena->create.arena,
		.count = count,
		.entries = (uintptr_t)entries,
	};
	int err = call(arena->fd, BURROW_IOC_TRIM, &args);

	if (!err && args.done != count)
		die("trim did %llu of %u", (unsigned long long)args.done,
		    count);
	if (bytes)
		*bytes = args.bytes;
	return err;
}

static UNUSED int trim(const struct arena *arena,
		       struct burrow_trim_entry *entries, uint32_t count,
		       uint64_t *bytes)
{
	return trim_with(arena, 0, entries, count, bytes);
}

static UNUSED int64_t trim_slot_with(const struct arena *arena, uint32_t flags,
				     uint64_t slot, uint64_t keep)
{
	struct burrow_trim_entry entry = {
		.slot = slot,
		.keep = keep,
		.word = __atomic_load_n(&arena->table[slot].word,
					__ATOMIC_RELAXED),
	};

	if (trim_with(arena, flags, &entry, 1, NULL))
		die("BURROW_IOC_TRIM");
	return entry.result;
}

/* Trims one slot with the word that its entry has; returns the result. */
static UNUSED int64_t trim_slot(const struct arena *arena, uint64_t slot,
				uint64_t keep)
{
	return trim_slot_with(arena, 0, slot, keep);
}

/* The same lazily. */
static UNUSED int64_t trim_slot_later(const struct arena *arena, uint64_t slot,
				      uint64_t keep)
{
	return trim_slot_with(arena, BURROW_TRIM_LAZY, slot, keep);
}

/* What a runtime does before it runs on a slot. */
static UNUSED void wake_slot(const struct arena *arena, uint64_t slot)
{
	__atomic_fetch_add(&arena->table[slot].word, 1, __ATOMIC_SEQ_CST);
}

/* ---- heap and dirty pages --------------------------------------------------- */

/* Harvest [first, first + pages) into @bitmap; the number of dirty pages. */
static UNUSED int64_t harvest(const struct arena *arena, uint64_t first,
			      uint64_t pages, uint64_t *bitmap)
{
	struct burrow_dirty dirty = {
		.size = sizeof(dirty),
		.arena = arena->create.arena,
		.first_page = first,
		.pages = pages,
		.bitmap = (uintptr_t)bitmap,
	};
	int err = call(arena->fd, BURROW_IOC_DIRTY, &dirty);

	if (!err && dirty.done != pages)
		die("harvest did %llu of %llu", (unsigned long long)dirty.done,
		    (unsigned long long)pages);
	return err ? err : (int64_t)dirty.dirty;
}

static UNUSED bool bit_set(const uint64_t *bitmap, uint64_t bit)
{
	return bitmap[bit / 64] >> bit % 64 & 1;
}

static UNUSED int heap_release(const struct arena *arena, uint64_t first,
			       uint64_t pages, uint64_t *done)
{
	struct burrow_release release = {
		.size = sizeof(release),
		.arena = arena->create.arena,
		.first_page = first,
		.pages = pages,
	};
	int err = call(arena->fd, BURROW_IOC_RELEASE, &release);

	if (done)
		*done = release.done;
	return err;
}

/* ---- faults that may end badly ---------------------------------------------- */

struct fault {
	int sig; /* 0: none */
	int code;
	void *addr;
};

static UNUSED __thread struct fault fault_seen;
static UNUSED __thread sigjmp_buf *volatile fault_way_out;

static UNUSED void fault_handler(int sig, siginfo_t *info, void *context UNUSED)
{
	if (!fault_way_out) {
		dprintf(2, "# signal %d at %p\n", sig, info->si_addr);
		signal(sig, SIG_DFL);
		return;
	}
	fault_seen = (struct fault){
		.sig = sig,
		.code = info->si_code,
		.addr = info->si_addr,
	};
	siglongjmp(*fault_way_out, 1);
}

static UNUSED void fault_catch(void)
{
	struct sigaction action = {
		.sa_sigaction = fault_handler,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* Write @value to @at, or read there into *@value, and tell what came of it. */
static UNUSED __attribute__((noinline)) struct fault poke(void *at, bool write,
							  char *value)
{
	sigjmp_buf way_out;

	fault_seen = (struct fault){ 0 };
	if (!sigsetjmp(way_out, 1)) {
		fault_way_out = &way_out;
		__asm__ volatile("" ::: "memory");
		if (write)
			*(volatile char *)at = *value;
		else
			*value = *(volatile char *)at;
		__asm__ volatile("" ::: "memory");
	}
	fault_way_out = NULL;
	return fault_seen;
}

static UNUSED int poke_write(void *at)
{
	char value = 1;

	fault_catch();
	return poke(at, true, &value).sig;
}

static UNUSED int poke_read(void *at)
{
	char value;

	fault_catch();
	return poke(at, false, &value).sig;
}

/* A plain access that must succeed; a signal here ends the test. */
static UNUSED void touch(void *at)
{
	*(volatile char *)at = 1;
}

static UNUSED bool is_filled(const void *at, int byte, size_t n)
{
	const unsigned char *p = at;

	return p[0] == (unsigned char)byte && !memcmp(p, p + 1, n - 1);
}

/* ---- processes -------------------------------------------------------------- */

/* Waits for a child; its exit status, or minus the signal that ended it. */
static UNUSED int child_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* Runs @fn in a child process; what it returns is the child's exit status. */
static UNUSED pid_t child_start(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid)
		_exit(fn(arg));
	return pid;
}

static UNUSED int in_child(int (*fn)(void *arg), void *arg)
{
	return child_status(child_start(fn, arg));
}

/* Reads a whole small file, NUL terminated; -1 if it can't be opened. */
static UNUSED ssize_t slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while (got < size - 1 && (n = read(fd, text + got, size - 1 - got)) > 0)
		got += n;
	close(fd);
	text[got] = 0;
	return got;
}

/* Writes a string to a file as it is; 0 or a negative errno. */
static UNUSED int spew(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err = -errno;
	close(fd);
	return err;
}

static UNUSED pthread_t thread_start(void *(*fn)(void *arg), void *arg)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, fn, arg);

	if (err) {
		errno = err;
		die("pthread_create");
	}
	return thread;
}

/* ---- main ------------------------------------------------------------------- */

static UNUSED int arena_test_main(int argc, char **argv)
{
	struct __fixture_metadata *f;
	struct __test_metadata *t;

	if (access(DEVICE, F_OK)) {
		printf("TAP version 13\n1..0 # SKIP no " DEVICE
		       ": run it in the virtual machine (make vm)\n");
		return KSFT_SKIP;
	}
	for (f = __fixture_list; f; f = f->next)
		for (t = f->tests; t; t = t->next)
			t->timeout *= time_scale();
	return test_harness_run(argc, argv);
}

#define ARENA_TEST_MAIN                                                    \
	static void __attribute__((constructor)) constructors_run(void)    \
	{                                                                  \
		if (!__constructor_order)                                  \
			__constructor_order = _CONSTRUCTOR_ORDER_BACKWARD; \
	}                                                                  \
	int main(int argc, char **argv)                                    \
	{                                                                  \
		return arena_test_main(argc, argv);                        \
	}

#endif /* ARENA_H */
