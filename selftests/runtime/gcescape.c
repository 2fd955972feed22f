// SPDX-License-Identifier: GPL-2.0
/*
 * BURROW_DEBUG=escapecheck=1 tells of pointers into stacks: each program here has
 * one, and runs in a process of its own, whose standard error is looked at.
 */
#include "../../userland/sched/sched.h"
#include "gc.h"

struct holder {
	uint64_t number;
	struct thing *thing;
	void *context;
};

BURROW_TYPE(holder_type, struct holder, thing, context);

struct list {
	size_t n;
	struct holder items[];
};

BURROW_TYPE_FLEX(list_type, struct list, items, items[0].thing,
		 items[0].context);

static struct holder *volatile kept;
static void *volatile at_static;
static struct burrow_chan *gate;
static int ready;

static int call(void *fn)
{
	((void (*)(void))fn)();
	return 0;
}

static void run_checked(void *fn)
{
	setenv("BURROW_DEBUG", "escapecheck=1", 1);
	exit(burrow_run(NULL, call, fn));
}

static struct outcome o;

#define TEST_ESCAPE(name)                                            \
	static void program_##name(void);                            \
	static void check_##name(void);                              \
	TEST(name)                                                   \
	{                                                            \
		failed_line = 0;                                     \
		outcome_of(&o, run_checked, (void *)program_##name); \
		EXPECT_TRUE(exited_with(&o, 0));                     \
		check_##name();                                      \
		if (failed_line)                                     \
			fprintf(stderr, "%s", o.text);               \
		EXPECT_EQ(0, failed_line);                           \
	}                                                            \
	static void program_##name(void)

static int count(const char *what)
{
	const char *at = o.text;
	int n = 0;

	while ((at = strstr(at, what))) {
		at += strlen(what);
		n++;
	}
	return n;
}

/* A variable whose function has not returned: no error, but told. Once. */
TEST_ESCAPE(shared_by_the_heap)
{
	int local = 0, i;

	kept = burrow_new_array(&holder_type, 4);
	for (i = 0; i < 4; i++)
		kept[i].context = &local;
	burrow_gc();
	burrow_gc();
	kept = NULL;
}

static void check_shared_by_the_heap(void)
{
	CHECK(says(
		&o,
		"burrow: escapecheck: context, at offset 16 of holder_type, object 0x"));
	CHECK(count("escapecheck:") == 1 && !says(&o, "error:"));
	CHECK(says(&o, " into the stack of goroutine 1 (main)\n"));
}

/* Deep enough to be below whatever is called later. */
__attribute__((noipa)) static void *return_local(void)
{
	char locals[64 * KIB];
	void *volatile p = locals;

	locals[0] = 0;
	return p;
}

static void return_it(void *arg)
{
	(void)arg;
	kept = burrow_new(&holder_type);
	kept->thing = return_local();
	burrow_gc();
	kept = NULL;
}

TEST_ESCAPE(returned_to_the_heap)
{
	burrow_go(return_it, NULL);
	wait_for_others();
}

static void check_returned_to_the_heap(void)
{
	CHECK(says(
		&o,
		"burrow: escapecheck: error: thing, at offset 8 of holder_type, object 0x"));
	CHECK(says(&o, ", below what is live of the stack of goroutine 2\n"));
	CHECK(says(&o, "  that was started at program_returned_to_the_heap+"));
	CHECK(count("escapecheck:") == 1);
}

/* In a word that the type does not name, and in a tail; in memory without type. */
TEST_ESCAPE(in_any_word)
{
	struct list *volatile list = burrow_new_flex(&list_type, 3);
	void *volatile *words = burrow_alloc(64);

	list->items[2].number = (uintptr_t)return_local();
	words[3] = return_local();
	burrow_gc();
	burrow_keep_alive(list);
	burrow_keep_alive((void *)words);
}

static void check_in_any_word(void)
{
	CHECK(says(&o, "error: offset 8 of list_type,"));
	CHECK(says(&o, "error: offset 24 of memory without a type,"));
	CHECK(count("error:") == 2);
}

static void leave_local(void *arg)
{
	int local;
	void *volatile p = &local;

	*(void *volatile *)arg = p;
}

TEST_ESCAPE(of_one_that_has_ended)
{
	burrow_go(leave_local, (void *)&at_static);
	wait_for_others();
	burrow_gc();
	at_static = NULL;
}

static void check_of_one_that_has_ended(void)
{
	CHECK(says(&o, "burrow: escapecheck: error: static data at 0x"));
	CHECK(says(&o, ", a stack that no goroutine has any more\n"));
}

static void hold_word(void *arg)
{
	void *volatile word = arg;

	add(&ready, 1);
	burrow_chan_recv(gate, NULL);
	CHECK(word);
}

TEST_ESCAPE(shared_by_stacks)
{
	const struct burrow_go_options opts = {
		.size = sizeof(opts),
		.name = "holder",
	};
	int local = 0;

	gate = burrow_chan_new(0, 0);
	burrow_go_opts(&opts, hold_word, &local);
	while (!get(&ready))
		burrow_yield();
	burrow_gc();
	burrow_chan_close(gate);
	wait_for_others();
}

static void check_shared_by_stacks(void)
{
	CHECK(says(&o, "escapecheck: a word on the stack of goroutine "));
	CHECK(says(&o, " (holder) points to 0x"));
	CHECK(says(&o, ", into the stack of goroutine 1 (main)\n"));
	CHECK(!says(&o, "error:"));
}

/* What most programs do is told of by nobody. */
static void work(void *arg)
{
	struct thing *t = burrow_new(&thing_type);

	burrow_chan_send(arg, &t);
}

static volatile uintptr_t numbers[2 * BURROW_STACK_CLASSES];

/*
 * They look like addresses of stacks: in slots that nobody has had, and the end of
 * what lies right below the first one that somebody has.
 */
static void number_slots(void)
{
	const struct burrow_stack_arena *arena;
	int i;

	for (i = 0; i < BURROW_STACK_CLASSES; i++) {
		const struct burrow_stack_class *c =
			&burrow_runtime.pool->classes[i];

		if (!c->nr_arenas)
			continue;
		arena = c->arenas[0];
		CHECK(arena->fresh < arena->slots);
		numbers[2 * i] = (uintptr_t)arena->base +
				 arena->slots * arena->stride - 8;
		numbers[2 * i + 1] = (uintptr_t)arena->base;
	}
}

TEST_ESCAPE(nothing_to_tell)
{
	struct burrow_chan *chan = burrow_chan_new(sizeof(void *), 4);
	struct thing *t;
	int i;

	for (i = 0; i < 100; i++) {
		burrow_go(work, chan);
		burrow_chan_recv(chan, &t);
		kept = (void *)t;
		if (i % 10 == 0)
			burrow_gc();
	}
	wait_for_others();
	number_slots();
	burrow_gc();
}

static void check_nothing_to_tell(void)
{
	CHECK(!says(&o, "escapecheck"));
}

TEST_HARNESS_MAIN
