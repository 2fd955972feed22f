// SPDX-License-Identifier: GPL-2.0
/*
 * What is written while marking goes on is not lost; and the slow marker of
 * gcverify would notice: the collector is told to forget pages or a stack, and
 * the process must end with a line.
 */
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
	until = burrow_now() + 200000;
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

static void move_to_new(void *arg)
{
	struct thing *t;

	(void)arg;
	wait_for_marking();
	t = burrow_new(&thing_type);
	move_to(t);
	holder = t;
	t = NULL;
	scrub();
	while (!get(&stop))
		;
}

/* True: the pointer was moved while marking went on. */
static bool collect_beside(void (*fn)(void *))
{
	int64_t begin = burrow_now();

	stop = 0;
	moved = 0;
	make_list(LENGTH);
	collect();
	burrow_go(fn, NULL);
	while (!moved && burrow_now() - begin < 1000 * MS)
		collect();
	stop = 1;
	wait_for_others();
	CHECK(holder->next->magic == MAGIC);
	return moved;
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

static bool is_tracked(void)
{
	return !burrow_track_try(&burrow_track_uffd);
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
	exit(burrow_run(&opts, fault->fn ? run_moving : run_holding, fault));
}

static bool is_noticed(struct fault fault)
{
	static struct outcome o;

	outcome_of(&o, run_fault, &fault);
	return killed_by(&o, SIGABRT) &&
	       begins(&o, "burrow: gcverify: object ");
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

TEST(a_forgotten_stack_is_noticed)
{
	EXPECT_TRUE(is_noticed((struct fault){ "gcverify=1,gcfault=2", NULL }));
	EXPECT_TRUE(is_noticed(
		(struct fault){ "gcverify=1,gcfault=2,gcuffd=0", NULL }));
}

TEST_HARNESS_MAIN
