// SPDX-License-Identifier: GPL-2.0
/*
 * The stream of events that burrow trace and stat read, by itself: its programs
 * are run with arguments that are known (BPF_PROG_TEST_RUN), and what comes out of
 * the ring buffer must be just that; what found no room in it must be counted.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../bpf/runtime.h"
#include "kselftest_harness.h"
#include "runtime.skel.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define EVENTS_MAX 64

/* As the programs' own: a thread that runs goroutines. */
struct thread {
	uint64_t goroutine, entered_ns, call;
};

FIXTURE(events)
{
	struct runtime_bpf *skel;
	struct ring_buffer *ring;
	struct runtime_event seen[EVENTS_MAX];
	unsigned int nr_seen;
};

FIXTURE_SETUP(events)
{
	libbpf_set_print(NULL);
	self->skel = runtime_bpf__open();
	self->ring = NULL;
	self->nr_seen = 0;
}

FIXTURE_TEARDOWN(events)
{
	ring_buffer__free(self->ring);
	runtime_bpf__destroy(self->skel);
}

static int keep(void *ctx, void *data, size_t size)
{
	struct _test_data_events *self = ctx;

	if (size != sizeof(self->seen[0]))
		return -EINVAL;
	if (self->nr_seen < EVENTS_MAX)
		self->seen[self->nr_seen] = *(struct runtime_event *)data;
	self->nr_seen++;
	return 0;
}

/* 0, or a negative errno. */
static int load(struct _test_data_events *self, uint32_t only_pid,
		uint64_t syscall_ns)
{
	int err;

	self->skel->rodata->only_pid = only_pid;
	self->skel->rodata->syscall_ns = syscall_ns;
	err = runtime_bpf__load(self->skel);
	if (err)
		return err;
	self->ring = ring_buffer__new(bpf_map__fd(self->skel->maps.events),
				      keep, self, NULL);
	return self->ring ? 0 : -errno;
}

#define LOAD(only_pid, syscall_ns)                                 \
	do {                                                       \
		int __err = load(self, only_pid, syscall_ns);      \
		if (__err == -EPERM)                               \
			SKIP(return, "bpf() is not allowed here"); \
		ASSERT_EQ(0, __err);                               \
	} while (0)

static int run(struct _test_data_events *self, const char *program,
	       const uint64_t *args, size_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args,
		    .ctx_size_in = n * sizeof(*args));

	return bpf_prog_test_run_opts(
		bpf_program__fd(bpf_object__find_program_by_name(
			self->skel->obj, program)),
		&opts);
}

#define RUN(program, ...)                                  \
	({                                                 \
		const uint64_t __args[] = { __VA_ARGS__ }; \
		run(self, program, __args, COUNT(__args)); \
	})

/* Without the module's types whoever runs is taken for the owner. */
static bool owner_is_known(void)
{
	return !access("/sys/kernel/btf/burrow", F_OK);
}

TEST_F(events, of_the_module)
{
	/* kind, and what a, b and c must be; all of goroutine 7 but the last */
	static const struct {
		unsigned int kind;
		uint64_t goroutine, a, b, c;
	} expected[] = {
		{ EVENT_STACK_GROW, 7, 4096, 3 * 4096, 4096 },
		{ EVENT_STACK_TRIM, 7, 3 * 4096, 4096, 0 },
		{ EVENT_STACK_OVERFLOW, 7, 0x1000, 0, 0 },
		{ EVENT_STACK_HIBERNATE, 7, 4096, 0, 304 },
		{ EVENT_STACK_RESTORE, 7, 0, 4096, 304 },
		{ EVENT_HEAP_DIRTY, 0, 512 * 4096, 8 * 4096, 0 },
	};
	size_t i;

	if (owner_is_known())
		SKIP(return, "the module is there: its events have arenas");
	LOAD(0, 0);
	ASSERT_EQ(0, RUN("stack_grow", 0, 3, 7, 1, 3, 1));
	ASSERT_EQ(0, RUN("stack_trim", 0, 3, 7, 3, 1));
	ASSERT_EQ(0, RUN("stack_overflow", 0, 3, 7, 0x1000));
	ASSERT_EQ(0, RUN("stack_hibernate", 0, 3, 7, 304, 1, 0));
	ASSERT_EQ(0, RUN("stack_restore", 0, 3, 7, 304, 0, 1));
	ASSERT_EQ(0, RUN("heap_dirty", 0, 64, 512, 8));
	ASSERT_EQ(COUNT(expected), ring_buffer__consume(self->ring));
	for (i = 0; i < COUNT(expected); i++) {
		EXPECT_EQ(expected[i].kind, self->seen[i].kind);
		EXPECT_EQ(expected[i].goroutine, self->seen[i].goroutine);
		EXPECT_EQ(expected[i].a, self->seen[i].a);
		EXPECT_EQ(expected[i].b, self->seen[i].b);
		EXPECT_EQ(expected[i].c, self->seen[i].c);
		EXPECT_EQ(getpid(), self->seen[i].pid);
		EXPECT_EQ(0, self->seen[i].text[0]);
		EXPECT_LE(self->seen[i ? i - 1 : 0].time_ns,
			  self->seen[i].time_ns);
	}
}

TEST_F(events, of_another_process_are_left_out)
{
	if (owner_is_known())
		SKIP(return, "the module is there: its events have arenas");
	LOAD(1, 0);
	ASSERT_EQ(0, RUN("stack_grow", 0, 3, 7, 1, 3, 1));
	EXPECT_EQ(0, ring_buffer__consume(self->ring));
	EXPECT_EQ(0, self->skel->bss->dropped);
}

/* A system call of ours that took some time, as the programs are told of one. */
static int call(struct _test_data_events *self, uint64_t goroutine, long ns)
{
	const struct timespec ts = { .tv_nsec = ns };
	struct thread thread = { .goroutine = goroutine };
	uint32_t tid = syscall(SYS_gettid);
	int err, map = bpf_map__fd(self->skel->maps.threads);

	bpf_map_update_elem(map, &tid, &thread, BPF_ANY);
	err = RUN("sys_enter", 0, SYS_nanosleep);
	nanosleep(&ts, NULL);
	return err ? err : RUN("sys_exit", 0, 0);
}

TEST_F(events, of_long_system_calls)
{
	LOAD(0, 20000000);
	ASSERT_EQ(0, call(self, 7, 50000000));
	/* Too short; of a thread that runs no goroutine; ended only. */
	ASSERT_EQ(0, call(self, 8, 1000));
	ASSERT_EQ(0, call(self, 0, 50000000));
	ASSERT_EQ(0, RUN("sys_exit", 0, 0));
	ASSERT_EQ(1, ring_buffer__consume(self->ring));
	EXPECT_EQ(EVENT_SYSCALL, self->seen[0].kind);
	EXPECT_EQ(7, self->seen[0].goroutine);
	EXPECT_EQ(SYS_nanosleep, self->seen[0].a);
	EXPECT_LE(50000000, self->seen[0].b);
	EXPECT_EQ(syscall(SYS_gettid), self->seen[0].tid);
}

TEST_F(events, that_find_no_room_are_counted)
{
	const uint64_t args[] = { 0, 3, 7, 1, 3, 1 };
	unsigned int i, times = 200000;

	if (owner_is_known())
		SKIP(return, "the module is there: its events have arenas");
	LOAD(0, 0);
	for (i = 0; i < times; i++)
		ASSERT_EQ(0, run(self, "stack_grow", args, COUNT(args)));
	EXPECT_LT(0, self->skel->bss->dropped);
	ASSERT_LT(0, ring_buffer__consume(self->ring));
	EXPECT_EQ(times, self->nr_seen + self->skel->bss->dropped);
	/* There is room again. */
	ASSERT_EQ(0, run(self, "stack_grow", args, COUNT(args)));
	EXPECT_EQ(1, ring_buffer__consume(self->ring));
}

TEST_HARNESS_MAIN
