// SPDX-License-Identifier: GPL-2.0
/*
 * What is written while marking goes on is not lost; and the slow marker of
 * gcverify would notice: the collector is told to forget pages or a stack, and
 * the process must end with a line.
 */
#include <sys/mman.h>
#include <sys/uio.h>

#include "../../userland/gc/track.h"
#include "../../userland/heap/heap.h"
#include "gc.h"

#define LENGTH 300000 /* of a list, so that marking takes a while */

static struct thing *first, *holder;
static uintptr_t tail; /* hidden: the list alone leads to it */
static int moved, stop;

/* @n things; the last one's pointer is the only one to one more. */
__attribute__((noipa)) static void make_list(int n)
{
	struct thing *t = burrow_new(&thing_type);

	t->magic = MAGIC;
	first = burrow_new(&thing_type);
	first->next = t;
	tail = hide(first);
	while (n--) {
		t = burrow_new(&thing_type);
		t->next = first;
		first = t;
	}
	holder = burrow_new(&thing_type);
}

static bool marks(void)
{
	return burrow_heap_marking(burrow_runtime.heap);
}

static void wait_for_marking(void)
{
	int64_t until;

	while (!marks() && !get(&stop))
		;
	/* The holder is scanned at once, the list's end long after. */
	until = burrow_now() + (scaled_down() ? 5 * MS : 200000);
	while (burrow_now() < until)
		;
}

/* From where marking has not been to where it has. */
__attribute__((noipa)) static void move_to(struct thing *to)
{
	struct thing *last = unhide(tail);

	to->next = last->next;
	last->next = NULL;
	moved += marks();
}

static void move_to_old(void *arg)
{
	(void)arg;
	wait_for_marking();
	move_to(holder);
	scrub();
	while (!get(&stop))
		;
}

/* To one that no cycle has seen before: its page may never have been armed. */
static void move_to_new(void *arg)
{
	(void)arg;
	holder = burrow_new(&thing_type);
	wait_for_marking();
	move_to(holder);
	scrub();
	while (!get(&stop))
		;
}

/*
 * Parked in deep recursion, with a local that others know: more of them than a stop
 * looks at as they are.
 */
#define DEEP 16
#define FRAMES 100 /* of a kilobyte */

static struct thing *volatile *locals[DEEP];
static struct burrow_waitgroup deep_here, deep_leave;
static int which;

__attribute__((noipa)) static uint64_t descend(int frames)
{
	volatile uint64_t frame[128];

	frame[frames % 128] = frames;
	if (frames)
		return descend(frames - 1) + frame[frames % 128];
	burrow_waitgroup_done(&deep_here);
	burrow_waitgroup_wait(&deep_leave);
	return 0;
}

static void be_deep(void *arg)
{
	struct thing *volatile local = NULL;

	*(struct thing *volatile **)arg = &local;
	CHECK(descend(FRAMES) == FRAMES * (FRAMES + 1) / 2);
	CHECK(!local || local->magic == MAGIC);
}

static void open_deep(void)
{
	int i;

	burrow_waitgroup_add(&deep_here, DEEP);
	burrow_waitgroup_add(&deep_leave, 1);
	for (i = 0; i < DEEP; i++)
		CHECK(burrow_go(be_deep, &locals[i]) == 0);
	burrow_waitgroup_wait(&deep_here);
}

static void close_deep(void)
{
	burrow_waitgroup_done(&deep_leave);
	wait_for_others();
}

/* To the stack of one that waits, at any time while marking goes on. */
static void move_to_deep(void *arg)
{
	struct thing *last;
	int64_t until;

	(void)arg;
	wait_for_marking();
	until = burrow_now() + which % 7 * MS / 4;
	while (burrow_now() < until)
		;
	last = unhide(tail);
	*locals[which % DEEP] = last->next;
	last->next = NULL;
	moved += marks();
	last = NULL;
	scrub();
	while (!get(&stop))
		;
}

/*
 * A crowd, each some pages deep, most of them side by side, that comes and goes while
 * marking does: where one has ended another waits soon after on the same stack.
 */
#define CROWD 160
#define CHANGES 5 /* of them at a time */

static struct member {
	struct thing *volatile *local;
	struct burrow_chan *rise;
	struct burrow_chan *leave;
	int here; /* 0, DOWN or UP */
	int frames;
} crowd[CROWD];

enum { DOWN = 1, UP };

static int through; /* with moving; the number of goroutines says nothing here */

__attribute__((noipa)) static uint64_t stand(struct member *m, int frames)
{
	volatile uint64_t frame[128];

	frame[frames % 128] = frames;
	if (frames)
		return stand(m, frames - 1) + frame[frames % 128];
	add(&m->here, 1);
	burrow_chan_recv(m->rise, NULL);
	return 0;
}

static void be_member(void *arg)
{
	struct thing *volatile local = NULL;
	struct member *m = arg;
	int frames = m->frames;

	m->local = &local;
	CHECK(stand(m, frames) == (uint64_t)(frames * (frames + 1) / 2));
	add(&m->here, 1);
	burrow_chan_recv(m->leave, NULL);
	CHECK(!local || local->magic == MAGIC);
	m->local = NULL;
	add(&m->here, -UP);
}

static void wait_until(struct member *m, int here)
{
	while (get(&m->here) != here)
		burrow_yield();
}

static void join(struct member *m, int frames)
{
	m->frames = frames;
	m->rise = burrow_chan_new(0, 0);
	m->leave = burrow_chan_new(0, 0);
	CHECK(burrow_go(be_member, m) == 0);
	wait_until(m, DOWN);
}

/* From where it is deep in calls to where it is not. */
static void rise(struct member *m)
{
	burrow_chan_close(m->rise);
	wait_until(m, UP);
}

static void leave(struct member *m)
{
	if (get(&m->here) == DOWN)
		rise(m);
	burrow_chan_close(m->leave);
	wait_until(m, 0);
}

static struct member *member(int i)
{
	return &crowd[(which * 7 + i) % CROWD];
}

/* One who has come when the cycle had long begun, or who has been there. */
static struct member *chosen(void)
{
	return member(which % 3 ? CHANGES : 0);
}

static void move_to_member(void *arg)
{
	struct thing *last;
	int64_t until;
	int i;

	(void)arg;
	wait_for_marking();
	for (i = 0; i < CHANGES; i++) {
		leave(member(i));
		join(member(i), 9 + (which + i) % 40);
	}
	/* So much that roots are looked at once more. */
	for (i = 0; i < which % 5 * 10000; i++)
		burrow_new(&thing_type);
	until = burrow_now() + which % 7 * MS / 4;
	while (burrow_now() < until)
		;
	if (which % 3 == 2)
		rise(chosen());
	last = unhide(tail);
	*chosen()->local = last->next;
	last->next = NULL;
	moved += marks();
	last = NULL;
	scrub();
	while (!get(&stop))
		;
	add(&through, 1);
}

/* True: the pointer was moved while marking went on. */
static bool collect_beside_with(void (*fn)(void *), void *arg)
{
	int64_t begin = burrow_now();
	size_t left;

	stop = 0;
	moved = 0;
	make_list(LENGTH);
	collect();
	left = burrow_num_goroutines();
	burrow_go(fn, arg);
	while (!moved && burrow_now() - begin < 1000 * MS)
		collect();
	stop = 1;
	while (burrow_num_goroutines() > left)
		burrow_yield();
	return moved;
}

static void collect_beside(void (*fn)(void *))
{
	collect_beside_with(fn, NULL);
	CHECK(holder->next->magic == MAGIC);
}

static void many_times(void (*fn)(void *))
{
	int i;

	for (i = 0; i < 5; i++)
		collect_beside(fn);
	first = NULL;
	holder = NULL;
}

TEST_GC(pointers_moved_to_old_objects)
{
	many_times(move_to_old);
}

TEST_GC(pointers_moved_to_new_objects)
{
	many_times(move_to_new);
}

TEST_GC(pointers_moved_to_deep_stacks)
{
	open_deep();
	for (which = 0; which < 2 * DEEP; which++) {
		collect_beside_with(move_to_deep, NULL);
		CHECK((*locals[which % DEEP])->magic == MAGIC);
		*locals[which % DEEP] = NULL;
	}
	close_deep();
	first = NULL;
	holder = NULL;
}

TEST_GC(pointers_moved_to_a_deep_crowd)
{
	int i;

	through = 0;
	for (i = 0; i < CROWD; i++)
		join(&crowd[i], 9 + i % 40);
	for (which = 0; which < 25; which++) {
		collect_beside_with(move_to_member, NULL);
		while (get(&through) <= which)
			burrow_yield();
		CHECK((*chosen()->local)->magic == MAGIC);
		*chosen()->local = NULL;
	}
	for (i = 0; i < CROWD; i++)
		leave(&crowd[i]);
	wait_for_others();
	first = NULL;
	holder = NULL;
}

static bool is_tracked(void)
{
	return on_kmod() || !burrow_track_try(&burrow_track_uffd, -1);
}

struct fault {
	const char *debug;
	void (*fn)(void *arg);
};

static int run_moving(void *arg)
{
	struct fault *fault = arg;
	int i;

	/* Where it came too late there was nothing to forget. */
	for (i = 0; i < 50; i++)
		collect_beside(fault->fn);
	return 0;
}

static int run_moving_to_deep(void *arg)
{
	(void)arg;
	open_deep();
	for (which = 0; which < 50; which++) {
		collect_beside_with(move_to_deep, NULL);
		*locals[which % DEEP] = NULL;
	}
	return 0;
}

static int run_holding(void *arg)
{
	struct secret secret;
	struct thing *volatile t = make(&secret);

	(void)arg;
	collect();
	return t->magic != MAGIC;
}

static void run_fault(void *arg)
{
	struct burrow_options opts = { .size = sizeof(opts), .procs = 2 };
	struct fault *fault = arg;

	setenv("BURROW_DEBUG", fault->debug, 1);
	if (fault->fn == move_to_deep)
		exit(burrow_run(&opts, run_moving_to_deep, NULL));
	exit(burrow_run(&opts, fault->fn ? run_moving : run_holding, fault));
}

static struct outcome o;

static bool ends_with(struct fault fault, const char *line)
{
	outcome_of(&o, run_fault, &fault);
	return killed_by(&o, SIGABRT) && begins(&o, line);
}

static bool is_noticed(struct fault fault)
{
	return ends_with(fault, "burrow: gcverify: object ");
}

TEST(forgotten_pages_are_noticed)
{
	if (!is_tracked())
		SKIP(return, "no writes are tracked here");
	EXPECT_TRUE(is_noticed(
		(struct fault){ "gcverify=1,gcfault=1", move_to_old }));
}

TEST(forgotten_pages_of_new_objects_are_noticed)
{
	if (!is_tracked())
		SKIP(return, "no writes are tracked here");
	EXPECT_TRUE(is_noticed(
		(struct fault){ "gcverify=1,gcfault=1", move_to_new }));
}

TEST(forgotten_pages_of_deep_stacks_are_noticed)
{
	if (!is_tracked())
		SKIP(return, "no writes are tracked here");
	EXPECT_TRUE(is_noticed(
		(struct fault){ "gcverify=1,gcfault=1", move_to_deep }));
}

TEST(a_forgotten_stack_is_noticed)
{
	EXPECT_TRUE(is_noticed((struct fault){ "gcverify=1,gcfault=2", NULL }));
	EXPECT_TRUE(is_noticed((struct fault){
		"gcverify=1,gcfault=2,gcuffd=0,kmodheap=0", NULL }));
}

TEST(what_caches_have_and_is_not_kept_is_noticed)
{
	const char *line = "burrow: gcverify: free object ";

	EXPECT_TRUE(ends_with((struct fault){ "gcverify=1,gcfault=3", NULL },
			      line));
	EXPECT_TRUE(ends_with(
		(struct fault){ "gcverify=1,gcfault=3,gcuffd=0", NULL }, line));
}

/* Every way to write to a page, while it is armed. */
#define BUFFER (64 * KIB)

static char *volatile buffer;

static void by_store(char *to, char with)
{
	*to = with;
}

static int file_with(char what)
{
	int fd = memfd_create("what", MFD_CLOEXEC);

	CHECK(pwrite(fd, &what, 1, 0) == 1);
	return fd;
}

static void by_read(char *to, char with)
{
	int fd = file_with(with);

	CHECK(pread(fd, to, 1, 0) == 1);
	close(fd);
}

static void by_burrow_read(char *to, char with)
{
	int fd = file_with(with);

	CHECK(burrow_pread(fd, to, 1, 0) == 1);
	close(fd);
}

static void by_process_vm_writev(char *to, char with)
{
	const struct iovec from = { &with, 1 }, into = { to, 1 };

	CHECK(process_vm_writev(getpid(), &from, 1, &into, 1, 0) == 1);
}

static void by_dontneed(char *to, char with)
{
	(void)with;
	to = (char *)((uintptr_t)to & ~4095UL);
	CHECK(!madvise(to, 4096, MADV_DONTNEED));
}

static void fork_it(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	if (!pid)
		_exit(0);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

static void by_store_after_fork(char *to, char with)
{
	burrow_blocking(fork_it, NULL);
	*to = with;
}

static void (*const ways[])(char *to, char with) = {
	by_store,	by_read,
	by_burrow_read, by_process_vm_writev,
	by_dontneed,	by_store_after_fork,
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void write_while_marking(void *arg)
{
	void (*way)(char *to, char with) = ways[(size_t)arg];

	wait_for_marking();
	way(buffer + BUFFER / 2, 1);
	moved += marks();
	while (!get(&stop))
		burrow_yield();
}

/* True: it was written while marking went on. */
static bool write_beside(size_t way)
{
	memset(buffer, 2, BUFFER);
	return collect_beside_with(write_while_marking, (void *)way);
}

static void open_buffer(void)
{
	buffer = burrow_alloc(BUFFER);
	/* Old ones are armed. */
	collect();
}

TEST_GC(all_ways_to_write_are_reported)
{
	size_t i;

	open_buffer();
	for (i = 0; i < WAYS; i++)
		write_beside(i);
	buffer = NULL;
	first = NULL;
	holder = NULL;
}

static int write_some_way(void *arg)
{
	int i;

	open_buffer();
	for (i = 0; i < 50; i++)
		write_beside((size_t)arg);
	return 0;
}

static void run_some_way(void *arg)
{
	struct burrow_options opts = { .size = sizeof(opts), .procs = 2 };

	setenv("BURROW_DEBUG", "gcverify=1,gcfault=4", 1);
	exit(burrow_run(&opts, write_some_way, arg));
}

/* Had it not been reported, gcverify would have said so. */
TEST(writes_that_are_not_reported_are_noticed)
{
	const char *line = on_kmod() ? ", and kmod did not say so\n" :
				       ", and userfaultfd did not say so\n";
	size_t i;

	if (!is_tracked())
		SKIP(return, "no writes are tracked here");
	for (i = 0; i < WAYS; i++) {
		/* A page of an arena has its content when it is mapped again. */
		if (on_kmod() && ways[i] == by_dontneed)
			continue;
		outcome_of(&o, run_some_way, (void *)i);
		EXPECT_TRUE(killed_by(&o, SIGABRT));
		EXPECT_TRUE(begins(&o, "burrow: gcverify: page "));
		EXPECT_TRUE(says(&o, line));
	}
}

/*
 * One who writes all the time, everywhere, and never calls us: what cells point to
 * changes places, and lives.
 */
static struct thing **cells;
static uint64_t nr_cells;

static void make_cells(uint64_t n)
{
	uint64_t i;

	nr_cells = n;
	cells = burrow_alloc(n * sizeof(*cells));
	for (i = 0; i < n; i++) {
		cells[i] = burrow_new(&thing_type);
		cells[i]->next = burrow_new(&thing_type);
		cells[i]->next->magic = MAGIC;
	}
	collect();
}

static void write_everywhere(void *arg)
{
	struct thing **all = arg, *a, *b;
	uint64_t x = 88172645463325252;

	while (!get(&stop)) {
		/* xorshift64, Marsaglia 2003 */
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		a = all[x % nr_cells];
		b = all[(x >> 32) % nr_cells];
		arg = a->next;
		a->next = b->next;
		b->next = arg;
	}
	add(&stop, 1);
}

static void end_writing(void)
{
	add(&stop, 1);
	while (get(&stop) < 2)
		burrow_yield();
	stop = 0;
}

TEST_GC(what_changes_places_all_the_time)
{
	uint64_t i;

	make_cells(100000);
	burrow_go(write_everywhere, cells);
	for (i = 0; i < 3; i++)
		collect();
	end_writing();
	for (i = 0; i < nr_cells; i++) {
		CHECK(cells[i]->next->magic == MAGIC);
		cells[i]->next->magic = 0;
	}
	cells = NULL;
}

static int collect_beside_writing(void *arg)
{
	int i;

	(void)arg;
	/* More than is cleaned in a moment. */
	make_cells(700000);
	burrow_go(write_everywhere, cells);
	for (i = 0; i < 5; i++)
		collect();
	end_writing();
	return 0;
}

static void run_beside_writing(void *arg)
{
	struct burrow_options opts = { .size = sizeof(opts), .procs = 2 };

	setenv("BURROW_DEBUG", "gctrace=1", 1);
	exit(burrow_run(&opts, collect_beside_writing, arg));
}

/* Cycles that had to clean in stops, as their lines say. */
static int count_passes(const char *text)
{
	unsigned int rounds, passes;
	int n = 0;

	while ((text = strstr(text, " globals, "))) {
		text += strlen(" globals, ");
		if (sscanf(text, "%u+%u rounds", &rounds, &passes) == 2)
			n += passes > 0;
	}
	return n;
}

TEST(who_writes_faster_than_is_cleaned_is_held)
{
	if (!is_tracked())
		SKIP(return, "no writes are tracked here");
	outcome_of(&o, run_beside_writing, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_NE(0, count_passes(o.text));
	if (!count_passes(o.text))
		fprintf(stderr, "%s", o.text);
}

TEST_HARNESS_MAIN
