// SPDX-License-Identifier: GPL-2.0
/*
 * The programs by themselves: each is loaded, run with arguments that are known
 * (BPF_PROG_TEST_RUN), and its maps must hold exactly what follows. No module is
 * needed: without it a program takes whoever runs for the owner of the arena.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Layouts that Documentation/bpf.rst promises. */
struct sum {
	uint64_t events, bytes;
};

struct goroutine_key {
	uint64_t goroutine, pid;
};

struct goroutine_growth {
	uint64_t events, bytes, largest;
};

struct total {
	uint64_t events, bytes, third, lost;
};

struct hibernated {
	uint64_t events, bytes, freed, restores, restored, untimed, lost;
};

struct overflow {
	uint64_t number, time_ns, goroutine, slot, address, limit;
	uint32_t pid, arena, tid;
	char comm[16];
};

/* ---- loading and running ---------------------------------------------------- */

FIXTURE(bpf)
{
	struct bpf_object *object;
	int program;
};

FIXTURE_SETUP(bpf)
{
	self->object = NULL;
	libbpf_set_print(NULL);
}

FIXTURE_TEARDOWN(bpf)
{
	bpf_object__close(self->object);
}

/* 0, or a negative errno; @map, if not NULL, gets room for @entries only. */
static int load(struct _test_data_bpf *self, const char *name, const char *map,
		unsigned int entries)
{
	char path[512];
	int err;

	snprintf(path, sizeof(path), OBJECTS "/%s.bpf.o", name);
	self->object = bpf_object__open_file(path, NULL);
	if (!self->object)
		return -errno;
	if (map)
		bpf_map__set_max_entries(
			bpf_object__find_map_by_name(self->object, map),
			entries);
	err = bpf_object__load(self->object);
	if (err)
		return err;
	self->program =
		bpf_program__fd(bpf_object__next_program(self->object, NULL));
	return 0;
}

#define LOAD(name, map, entries)                                   \
	do {                                                       \
		int __err = load(self, name, map, entries);        \
		if (__err == -EPERM)                               \
			SKIP(return, "bpf() is not allowed here"); \
		ASSERT_EQ(0, __err);                               \
	} while (0)

static int run(int program, const uint64_t *args, size_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args,
		    .ctx_size_in = n * sizeof(*args));

	return bpf_prog_test_run_opts(program, &opts);
}

static int program_of(struct _test_data_bpf *self, const char *name)
{
	return bpf_program__fd(
		bpf_object__find_program_by_name(self->object, name));
}

#define RUN(...)                                              \
	({                                                    \
		const uint64_t __args[] = { 0, __VA_ARGS__ }; \
		run(self->program, __args, COUNT(__args));    \
	})

static int map_of(struct _test_data_bpf *self, const char *name)
{
	return bpf_object__find_map_fd_by_name(self->object, name);
}

/* Zeros where there is no such key. */
#define GET(value, map, key_value)                                        \
	({                                                                \
		__auto_type __key = (key_value);                          \
		memset(&(value), 0, sizeof(value));                       \
		bpf_map_lookup_elem(map_of(self, map), &__key, &(value)); \
	})

static unsigned int entries_of(int map)
{
	char key[64], next[64];
	unsigned int n = 0;
	void *from = NULL;

	while (!bpf_map_get_next_key(map, from, next)) {
		memcpy(key, next, sizeof(key));
		from = key;
		n++;
	}
	return n;
}

/* Where the module's types are, the program looks into an arena that is none. */
static uint32_t owner(void)
{
	return access("/sys/kernel/btf/burrow", F_OK) ? getpid() : 0;
}

static uint32_t log2_key(unsigned int bit)
{
	return bit;
}

/* ---- growth ------------------------------------------------------------------ */

TEST_F(bpf, growth_is_counted_in_four_maps)
{
	/* slot, goroutine, old pages, new pages, recycled pages */
	static const uint64_t grows[][5] = {
		{ 3, 7, 0, 1, 0 },   { 3, 7, 1, 2, 1 },
		{ 3, 7, 2, 3, 0 },   { 3, 7, 3, 6, 3 },
		{ 4, 8, 0, 20, 20 }, { 5, 0, 131072, 262144, 5 },
	};
	static const struct {
		uint32_t log2;
		struct sum sum;
	} expected[] = {
		{ 12, { 1, 4096 } },
		{ 13, { 2, 2 * 4096 } },
		{ 14, { 1, 3 * 4096 } },
		{ 16, { 1, 20 * 4096 } },
		{ 30, { 1, 131072UL * 4096 } },
	};
	uint64_t pages = 6 + 20 + 131072;
	struct goroutine_growth growth;
	struct total total;
	struct sum sum;
	size_t i;

	LOAD("growth", NULL, 0);
	for (i = 0; i < COUNT(grows); i++)
		ASSERT_EQ(0, RUN(grows[i][0], grows[i][1], grows[i][2],
				 grows[i][3], grows[i][4]));

	GET(total, "growth_total", (uint32_t)0);
	EXPECT_EQ(COUNT(grows), total.events);
	EXPECT_EQ(pages * 4096, total.bytes);
	EXPECT_EQ(29 * 4096, total.third);
	EXPECT_EQ(0, total.lost);

	EXPECT_EQ(COUNT(expected), entries_of(map_of(self, "growth_log2")));
	for (i = 0; i < COUNT(expected); i++) {
		GET(sum, "growth_log2", log2_key(expected[i].log2));
		EXPECT_EQ(expected[i].sum.events, sum.events);
		EXPECT_EQ(expected[i].sum.bytes, sum.bytes);
	}

	EXPECT_EQ(3, entries_of(map_of(self, "growth_by_goroutine")));
	GET(growth, "growth_by_goroutine",
	    ((struct goroutine_key){ 7, owner() }));
	EXPECT_EQ(4, growth.events);
	EXPECT_EQ(6 * 4096, growth.bytes);
	EXPECT_EQ(6 * 4096, growth.largest);
	GET(growth, "growth_by_goroutine",
	    ((struct goroutine_key){ 8, owner() }));
	EXPECT_EQ(1, growth.events);
	EXPECT_EQ(20 * 4096, growth.largest);

	EXPECT_EQ(1, entries_of(map_of(self, "growth_by_process")));
	GET(sum, "growth_by_process", owner());
	EXPECT_EQ(COUNT(grows), sum.events);
	EXPECT_EQ(pages * 4096, sum.bytes);
}

TEST_F(bpf, growth_after_a_trim_keeps_the_largest)
{
	struct goroutine_growth growth;

	LOAD("growth", NULL, 0);
	ASSERT_EQ(0, RUN(1, 9, 0, 16, 0));
	ASSERT_EQ(0, RUN(1, 9, 1, 2, 0));
	GET(growth, "growth_by_goroutine",
	    ((struct goroutine_key){ 9, owner() }));
	EXPECT_EQ(17 * 4096, growth.bytes);
	EXPECT_EQ(16 * 4096, growth.largest);
}

TEST_F(bpf, growth_that_finds_no_room_is_told)
{
	struct total total;
	uint64_t g;

	LOAD("growth", "growth_by_goroutine", 4);
	for (g = 1; g <= 10; g++)
		ASSERT_EQ(0, RUN(g, g, 0, 1, 0));
	GET(total, "growth_total", (uint32_t)0);
	EXPECT_EQ(10, total.events);
	EXPECT_EQ(6, total.lost);
	EXPECT_EQ(4, entries_of(map_of(self, "growth_by_goroutine")));
}

#define EACH 3000

static void *grow_often(void *arg)
{
	static uint64_t goroutines;
	uint64_t args[] = {
		0, 1, __atomic_add_fetch(&goroutines, 1, __ATOMIC_RELAXED),
		0, 2, 1,
	};
	const int *program = arg;
	long i, failed = 0;

	for (i = 0; i < EACH; i++)
		failed += run(*program, args, COUNT(args)) != 0;
	return (void *)failed;
}

TEST_F(bpf, growth_at_once_loses_nothing)
{
	pthread_t threads[4];
	struct total total;
	struct sum sum;
	void *failed;
	size_t i;

	LOAD("growth", NULL, 0);
	for (i = 0; i < COUNT(threads); i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, grow_often,
					    &self->program));
	for (i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], &failed);
		EXPECT_EQ(NULL, failed);
	}
	GET(total, "growth_total", (uint32_t)0);
	EXPECT_EQ(EACH * COUNT(threads), total.events);
	EXPECT_EQ(EACH * COUNT(threads) * 8192, total.bytes);
	EXPECT_EQ(EACH * COUNT(threads) * 4096, total.third);
	EXPECT_EQ(0, total.lost);
	GET(sum, "growth_log2", log2_key(13));
	EXPECT_EQ(EACH * COUNT(threads), sum.events);
	EXPECT_EQ(COUNT(threads),
		  entries_of(map_of(self, "growth_by_goroutine")));
}

/* ---- the others --------------------------------------------------------------- */

TEST_F(bpf, trims)
{
	struct total total;
	struct sum sum;

	LOAD("trim", NULL, 0);
	ASSERT_EQ(0, RUN(1, 5, 16, 1));
	ASSERT_EQ(0, RUN(2, 6, 8, 0));
	ASSERT_EQ(0, RUN(3, 0, 2, 1));
	GET(total, "trim_total", (uint32_t)0);
	EXPECT_EQ(3, total.events);
	EXPECT_EQ(24 * 4096, total.bytes);
	EXPECT_EQ(1, total.third);
	EXPECT_EQ(0, total.lost);
	EXPECT_EQ(2, entries_of(map_of(self, "trim_log2")));
	GET(sum, "trim_log2", log2_key(15));
	EXPECT_EQ(2, sum.events);
	EXPECT_EQ(23 * 4096, sum.bytes);
	GET(sum, "trim_log2", log2_key(12));
	EXPECT_EQ(1, sum.events);
	EXPECT_EQ(4096, sum.bytes);
	GET(sum, "trim_by_process", owner());
	EXPECT_EQ(3, sum.events);
}

TEST_F(bpf, harvests)
{
	struct total total;
	struct sum sum;

	LOAD("dirty", NULL, 0);
	ASSERT_EQ(0, RUN(0, 32768, 1));
	ASSERT_EQ(0, RUN(32768, 32768, 32768));
	ASSERT_EQ(0, RUN(65536, 512, 1));
	GET(total, "dirty_total", (uint32_t)0);
	EXPECT_EQ(3, total.events);
	EXPECT_EQ(32770UL * 4096, total.bytes);
	EXPECT_EQ((32768 * 2 + 512) * 4096UL, total.third);
	GET(sum, "dirty_log2", log2_key(12));
	EXPECT_EQ(2, sum.events);
	EXPECT_EQ(2 * 4096, sum.bytes);
	GET(sum, "dirty_log2", log2_key(27));
	EXPECT_EQ(1, sum.events);
	GET(sum, "dirty_by_process", owner());
	EXPECT_EQ(32770UL * 4096, sum.bytes);
}

/* slot, goroutine, live bytes, old pages, new pages */
static int hibernate(struct _test_data_bpf *self, uint64_t slot, uint64_t live,
		     uint64_t pages)
{
	const uint64_t args[] = { 0, slot, 7, live, pages, 0 };

	return run(program_of(self, "stack_hibernate"), args, COUNT(args));
}

static int restore(struct _test_data_bpf *self, uint64_t slot, uint64_t live)
{
	const uint64_t args[] = { 0, slot, 7, live, 0, 1 };

	return run(program_of(self, "stack_restore"), args, COUNT(args));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000UL + ts.tv_nsec;
}

TEST_F(bpf, hibernation)
{
	uint64_t begin, least, all = 0;
	struct hibernated total;
	struct sum sum;
	uint32_t bit;

	LOAD("hibernate", NULL, 0);
	begin = now_ns();
	ASSERT_EQ(0, hibernate(self, 1, 304, 2));
	ASSERT_EQ(0, hibernate(self, 2, 304, 1));
	ASSERT_EQ(0, hibernate(self, 3, 1024, 7));
	usleep(20000);
	ASSERT_EQ(0, restore(self, 1, 304));
	ASSERT_EQ(0, restore(self, 3, 1024));
	/* One that hibernated before this began, or whose time is forgotten. */
	ASSERT_EQ(0, restore(self, 3, 1024));
	least = now_ns() - begin;
	GET(total, "hibernate_total", (uint32_t)0);
	EXPECT_EQ(3, total.events);
	EXPECT_EQ(304 + 304 + 1024, total.bytes);
	EXPECT_EQ(10 * 4096, total.freed);
	EXPECT_EQ(3, total.restores);
	EXPECT_EQ(304 + 1024 + 1024, total.restored);
	EXPECT_EQ(1, total.untimed);
	EXPECT_EQ(0, total.lost);
	EXPECT_EQ(2, entries_of(map_of(self, "hibernate_log2")));
	GET(sum, "hibernate_log2", log2_key(8));
	EXPECT_EQ(2, sum.events);
	EXPECT_EQ(2 * 304, sum.bytes);
	GET(sum, "hibernate_log2", log2_key(10));
	EXPECT_EQ(1, sum.events);
	GET(sum, "hibernate_by_process", owner());
	EXPECT_EQ(3, sum.events);
	EXPECT_EQ(304 + 304 + 1024, sum.bytes);
	EXPECT_EQ(1, entries_of(map_of(self, "hibernate_since")));
	/* Two of 20 ms and what the machine took. */
	for (bit = 24, total.events = 0; bit < 64; bit++) {
		GET(sum, "hibernate_time_log2", bit);
		total.events += sum.events;
		all += sum.bytes;
	}
	EXPECT_EQ(2, total.events);
	EXPECT_LE(2 * 20000000, all);
	EXPECT_GE(2 * least, all);
}

TEST_F(bpf, the_log_of_overflows_keeps_the_last)
{
	struct overflow o;
	uint64_t events, i;

	LOAD("overflow", NULL, 0);
	GET(o, "overflow_log", (uint32_t)0);
	EXPECT_EQ(0, o.number);
	for (i = 1; i <= 300; i++)
		ASSERT_EQ(0, RUN(i, 1000 + i, 0x7000000 + i));
	GET(events, "overflow_total", (uint32_t)0);
	EXPECT_EQ(300, events);
	for (i = 300; i > 300 - 256; i--) {
		GET(o, "overflow_log", (uint32_t)((i - 1) % 256));
		ASSERT_EQ(i, o.number);
		EXPECT_EQ(1000 + i, o.goroutine);
		EXPECT_EQ(i, o.slot);
		EXPECT_EQ(0x7000000 + i, o.address);
		EXPECT_EQ(owner(), o.pid);
		EXPECT_EQ(syscall(SYS_gettid), o.tid);
		EXPECT_LT(0, o.time_ns);
		EXPECT_EQ(0, strncmp(o.comm, "logic", 5));
	}
}

TEST_HARNESS_MAIN
