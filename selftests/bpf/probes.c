// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The library's probes, watched by a BPF program while a known number of
 * goroutines does known things in this same process.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <burrow.h>
#include <burrow/sync.h>
#include <errno.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "watch.h"

#define GOROUTINES 500

static const char *const names[PROBES] = {
	[GO_CREATE] = "go_create",
	[GO_START] = "go_start",
	[GO_PARK] = "go_park",
	[GO_READY] = "go_ready",
	[GO_END] = "go_end",
	[STACK_SHRINK] = "stack_shrink",
	[GC_START] = "gc_start",
	[GC_MARK_DONE] = "gc_mark_done",
	[GC_SWEEP_DONE] = "gc_sweep_done",
	[GC_STW_BEGIN] = "gc_stw_begin",
	[GC_STW_END] = "gc_stw_end",
};

/* ---- what the goroutines do --------------------------------------------------- */

static struct burrow_waitgroup parked, ended;
static struct burrow_sem gate;
static uint64_t first_id, ids;
static int yields;

static void one(void *arg)
{
	char deep[20000];
	int i;

	(void)arg;
	/* Memory that goes back when it ends. */
	__asm__ volatile("" : : "r"(memset(deep, 1, sizeof(deep))) : "memory");
	__atomic_add_fetch(&ids, burrow_id(), __ATOMIC_RELAXED);
	burrow_waitgroup_done(&parked);
	burrow_sem_acquire(&gate, 1);
	for (i = 0; i < yields; i++)
		burrow_yield();
	burrow_waitgroup_done(&ended);
}

static int run(void *arg)
{
	int i;

	(void)arg;
	first_id = burrow_id();
	burrow_waitgroup_add(&parked, GOROUTINES);
	burrow_waitgroup_add(&ended, GOROUTINES);
	for (i = 0; i < GOROUTINES; i++) {
		if (burrow_go(one, NULL))
			return 1;
	}
	burrow_waitgroup_wait(&parked);
	/* So that all of them are in the semaphore. */
	burrow_sleep(100000000);
	burrow_sem_release(&gate, GOROUTINES);
	burrow_waitgroup_wait(&ended);
	/* So that all of them are gone. */
	while (burrow_num_goroutines() > 1)
		burrow_sleep(1000000);
	return 0;
}

/* One for each processor, in C code until the main goroutine ran again. */
static int hogs, spinning, let_go;

static void hog(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&spinning, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&let_go, __ATOMIC_RELAXED))
		;
	burrow_yield();
	burrow_waitgroup_done(&ended);
}

static int run_hogs(void *arg)
{
	int i;

	(void)arg;
	spinning = 0;
	let_go = 0;
	burrow_waitgroup_add(&ended, hogs);
	for (i = 0; i < hogs; i++) {
		if (burrow_go(hog, NULL))
			return 1;
	}
	while (__atomic_load_n(&spinning, __ATOMIC_RELAXED) < hogs)
		burrow_sleep(1000000);
	__atomic_store_n(&let_go, 1, __ATOMIC_RELAXED);
	burrow_waitgroup_wait(&ended);
	return 0;
}

/* Cycles that somebody asks for, each with as much that is dead. */
#define CYCLES 10
#define DEAD (1UL << 20)

static struct burrow_stats collected;

static int run_collections(void *arg)
{
	int i;

	(void)arg;
	burrow_gc_percent(-1);
	for (i = 0; i < CYCLES; i++) {
		if (!burrow_alloc_noscan(DEAD))
			return 1;
		burrow_gc();
	}
	collected.size = sizeof(collected);
	return burrow_stats(&collected);
}

/*
 * Constants of this program are not mapped any more, as if it had been reclaimed:
 * whoever reads one has them come in again, a BPF program can't.
 */
static int forget_constants(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t from, to;
	int i;

	(void)size;
	(void)arg;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || p->p_flags != PF_R)
			continue;
		from = (info->dlpi_addr + p->p_vaddr) & ~4095UL;
		to = info->dlpi_addr + p->p_vaddr + p->p_memsz;
		madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 1; /* the program itself is the first */
}

static int run_forgetful(void *arg)
{
	int i;

	(void)arg;
	burrow_gc_percent(-1);
	for (i = 0; i < CYCLES; i++) {
		dl_iterate_phdr(forget_constants, NULL);
		burrow_gc();
		dl_iterate_phdr(forget_constants, NULL);
		burrow_sleep(1000);
	}
	return 0;
}

/* One that the growing heap begins: much of it lives, so that some help. */
static void *kept;

static int run_growth(void *arg)
{
	void **all;
	int i, n = 400000;

	(void)arg;
	all = burrow_alloc(n * sizeof(*all));
	kept = all;
	for (i = 0; i < n; i++) {
		all[i] = burrow_alloc(64);
		if (!all[i])
			return 1;
	}
	kept = NULL;
	collected.size = sizeof(collected);
	return burrow_stats(&collected);
}

/* ---- watching ------------------------------------------------------------------ */

FIXTURE(probes)
{
	struct bpf_object *object;
	struct bpf_link *links[PROBES];
	struct seen seen[PROBES];
};

FIXTURE_VARIANT(probes)
{
	int procs;
};

FIXTURE_VARIANT_ADD(probes, one_processor){
	.procs = 1,
};

FIXTURE_VARIANT_ADD(probes, two_processors){
	.procs = 2,
};

FIXTURE_SETUP(probes)
{
	libbpf_set_print(NULL);
	self->object = bpf_object__open_file(WATCH, NULL);
	memset(self->links, 0, sizeof(self->links));
}

FIXTURE_TEARDOWN(probes)
{
	int i;

	for (i = 0; i < PROBES; i++)
		bpf_link__destroy(self->links[i]);
	bpf_object__close(self->object);
}

/* 0, or a negative errno. */
static int attach(struct _test_data_probes *self, int from, int to)
{
	struct bpf_program *program;
	int i;

	for (i = from; i < to; i++) {
		program = bpf_object__find_program_by_name(self->object,
							   names[i]);
		self->links[i] = bpf_program__attach_usdt(program, getpid(),
							  "/proc/self/exe",
							  "burrow", names[i],
							  NULL);
		if (!self->links[i])
			return -errno;
	}
	return 0;
}

static void read_seen(struct _test_data_probes *self)
{
	int map = bpf_object__find_map_fd_by_name(self->object, "seen");
	uint32_t i;

	for (i = 0; i < PROBES; i++)
		bpf_map_lookup_elem(map, &i, &self->seen[i]);
}

static uint64_t parked_for(struct _test_data_probes *self, const char *reason)
{
	int map = bpf_object__find_map_fd_by_name(self->object, "reasons");
	char key[REASON_LEN] = { 0 };
	uint64_t n = 0;

	strncpy(key, reason, sizeof(key) - 1);
	bpf_map_lookup_elem(map, key, &n);
	return n;
}

static int run_on(int procs, int (*fn)(void *arg))
{
	struct burrow_options options = {
		.size = sizeof(options),
		.procs = procs,
	};

	return burrow_run(&options, fn, NULL);
}

#define LOAD()                                                     \
	do {                                                       \
		int __err = bpf_object__load(self->object);        \
		if (__err == -EPERM)                               \
			SKIP(return, "bpf() is not allowed here"); \
		ASSERT_EQ(0, __err);                               \
	} while (0)

TEST_F(probes, tell_all_that_happens)
{
	const struct seen *s = self->seen;

	yields = 3;
	LOAD();
	ASSERT_EQ(0, attach(self, 0, PROBES));
	ASSERT_EQ(0, run_on(variant->procs, run));
	read_seen(self);

	/* The main goroutine is one more; it does not end before its run does. */
	EXPECT_EQ(GOROUTINES + 1, s[GO_CREATE].times);
	EXPECT_EQ(first_id + ids, s[GO_CREATE].first);
	EXPECT_EQ(GOROUTINES * first_id, s[GO_CREATE].second);
	EXPECT_LE(GOROUTINES, s[GO_END].times);
	EXPECT_EQ(GOROUTINES, parked_for(self, "semaphore acquire"));
	EXPECT_LE(1, parked_for(self, "waitgroup wait"));
	EXPECT_LE(1, parked_for(self, "sleep"));
	/* One that is alone in its queue has nobody to yield to. */
	EXPECT_GE(GOROUTINES * yields + 1, parked_for(self, "yield"));
	EXPECT_LE(GOROUTINES * (yields - 1), parked_for(self, "yield"));
	EXPECT_LE(GOROUTINES, s[GO_READY].times);
	/* Who was started has parked or ended, but for what ran to the last. */
	EXPECT_GE(1, s[GO_START].times - s[GO_PARK].times - s[GO_END].times);
	EXPECT_LE(1, s[STACK_SHRINK].times);
	EXPECT_LE(GOROUTINES / 2 * 4096, s[STACK_SHRINK].first);
}

TEST_F(probes, processor_lost)
{
	hogs = variant->procs;
	LOAD();
	ASSERT_EQ(0, attach(self, 0, PROBES));
	ASSERT_EQ(0, run_on(variant->procs, run_hogs));
	/* The one in whose place the main goroutine ran. */
	EXPECT_LE(1, parked_for(self, "processor lost"));
}

TEST_F(probes, collections)
{
	const struct seen *s = self->seen;

	LOAD();
	ASSERT_EQ(0, attach(self, GC_START, PROBES));
	ASSERT_EQ(0, run_on(variant->procs, run_collections));
	read_seen(self);

	ASSERT_EQ(CYCLES, collected.gc_cycles);
	EXPECT_EQ(CYCLES, s[GC_START].times);
	EXPECT_EQ(CYCLES * (CYCLES + 1) / 2, s[GC_START].first);
	EXPECT_LE(CYCLES * DEAD, s[GC_START].second);
	EXPECT_EQ(CYCLES, parked_for(self, "wanted"));
	EXPECT_EQ(CYCLES, s[GC_MARK_DONE].times);
	EXPECT_LE(collected.heap_live, s[GC_MARK_DONE].first);
	EXPECT_EQ(CYCLES, s[GC_SWEEP_DONE].times);
	/* A register may have kept the last one of a cycle. */
	EXPECT_LE((CYCLES - 1) * DEAD, s[GC_SWEEP_DONE].first);
	EXPECT_GE((CYCLES + 1) * DEAD, s[GC_SWEEP_DONE].first);
	EXPECT_EQ(s[GC_STW_BEGIN].times, s[GC_STW_END].times);
	EXPECT_EQ(s[GC_STW_BEGIN].first, s[GC_STW_END].first);
	EXPECT_EQ(collected.gc_pause_total_ns, s[GC_STW_END].second);
	/* One stop each, or two, with writes watched in between. */
	EXPECT_EQ(CYCLES,
		  parked_for(self, "mark") + parked_for(self, "mark begin"));
	EXPECT_LE(parked_for(self, "mark end"), parked_for(self, "mark begin"));
}

TEST_F(probes, texts_that_are_not_mapped)
{
	LOAD();
	ASSERT_EQ(0, attach(self, 0, PROBES));
	ASSERT_EQ(0, run_on(variant->procs, run_forgetful));
	EXPECT_EQ(CYCLES, parked_for(self, "wanted"));
	EXPECT_LE(CYCLES, parked_for(self, "sleep"));
	EXPECT_EQ(0, parked_for(self, ""));
}

TEST_F(probes, collections_of_a_heap_that_grows)
{
	const struct seen *s = self->seen;

	LOAD();
	ASSERT_EQ(0, attach(self, GC_START, PROBES));
	ASSERT_EQ(0, run_on(variant->procs, run_growth));
	read_seen(self);
	EXPECT_LE(1, s[GC_START].times);
	EXPECT_EQ(s[GC_START].times, parked_for(self, "heap"));
	EXPECT_LE(collected.gc_pause_total_ns, s[GC_STW_END].second);
	EXPECT_LE(collected.gc_cycles, s[GC_MARK_DONE].times);
	/* Who allocates while a cycle marks has to help. */
	EXPECT_LE(1, s[GC_MARK_DONE].second);
}

TEST_F(probes, one_alone)
{
	const struct seen *s = self->seen;
	uint64_t before;

	yields = 1;
	LOAD();
	ASSERT_EQ(0, attach(self, GO_END, GO_END + 1));
	ASSERT_EQ(0, run_on(variant->procs, run));
	read_seen(self);
	EXPECT_LE(GOROUTINES, s[GO_END].times);
	EXPECT_EQ(0, s[GO_START].times);
	EXPECT_EQ(0, s[GO_PARK].times);

	/* Nobody watches any more. */
	bpf_link__destroy(self->links[GO_END]);
	self->links[GO_END] = NULL;
	before = s[GO_END].times;
	ASSERT_EQ(0, run_on(variant->procs, run));
	read_seen(self);
	EXPECT_EQ(before, s[GO_END].times);
}

TEST_HARNESS_MAIN
