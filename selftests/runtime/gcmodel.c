// SPDX-License-Identifier: GPL-2.0
/*
 * Random graphs of objects of every kind, made and changed by several goroutines
 * while cycles run, against a model of each beside the heap that says what every
 * pointer should be. Whatever can be reached must be as the model has it; of what
 * can't be reached most must die.
 *
 * BURROW_TEST_SEED=N runs with that seed: each goroutine then does the same again,
 * step by step. BURROW_TEST_STEPS=N: so many steps.
 */
#include <time.h>

#include "gc.h"

#define WORKERS 4
#define NODES 2048 /* of each model */
#define EDGES 4
#define SLOTS 24 /* pointers that a worker holds, a third on its stack */
#define ON_STACK (SLOTS / 3)
#define STEPS 40000
#define DIED 20000 /* weak references that are kept */
#define NONE (-1)

/* All kinds of objects have this at the address that the model knows. */
struct node {
	uint64_t id;
	uint64_t sum;
	struct node *edge[EDGES];
};

struct tailed {
	uint64_t n;
	struct node node[];
};

BURROW_TYPE(graph_node, struct node, edge);
BURROW_TYPE_FLEX(graph_tailed, struct tailed, node, node[0].edge);

enum kind { TYPED, ARRAY, TAILED, WORDS, LARGE, PLAIN, KINDS };

/**
 * struct twin - what the model knows of a node
 * @hidden:	its address
 * @edge:	ids, NONE: NULL
 * @kind:	enum kind; PLAIN has no edges
 * @used:	there is such a node
 * @seen:	by the search
 * @weak:	of one in four, or NULL
 */
struct twin {
	uintptr_t hidden;
	int edge[EDGES];
	uint8_t kind;
	bool used;
	bool seen;
	struct burrow_weak *weak;
};

/**
 * struct worker - one goroutine and its model, in malloc's memory
 * @seed:	what it began with
 * @random:	state of its generator
 * @step:	where it is
 * @twins:	nodes by id
 * @free:	ids that are not used, the first @nr_free
 * @slot:	ids of what it holds
 * @place:	where those pointers are
 * @died:	weak references to nodes that can't be reached any more
 * @nr_died:	how many
 * @in_c:	it is in burrow_blocking()
 */
struct worker {
	uint64_t seed;
	uint64_t random;
	int step;
	struct twin twins[NODES];
	int free[NODES];
	int nr_free;
	int slot[SLOTS];
	struct node *volatile *place[SLOTS];
	struct burrow_weak *died[DIED];
	int nr_died;
	bool in_c;
};

static struct node *volatile static_slots[WORKERS][SLOTS];
static uint64_t first_seed;
static int steps;

static uint64_t chance(struct worker *w, uint64_t n)
{
	/* xorshift64*, Vigna 2016 */
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return (w->random * 0x2545f4914f6cdd1dULL >> 32) % n;
}

#define MUST(w, cond)                                                      \
	do {                                                               \
		if (!(cond)) {                                             \
			fprintf(stderr,                                    \
				"gcmodel: BURROW_TEST_SEED=%lu, step %d: " \
				"not so: %s\n",                            \
				first_seed, (w)->step, #cond);             \
			abort();                                           \
		}                                                          \
	} while (0)

static uint64_t sum_of(uint64_t id)
{
	return (id + 1) * 0x9e3779b97f4a7c15ULL;
}

/* Memory for a node, of a kind and of some size. */
static struct node *new_node(struct worker *w, enum kind kind)
{
	struct tailed *tailed;
	size_t n = 1 + chance(w, 20);

	switch (kind) {
	case TYPED:
		return burrow_new(&graph_node);
	case ARRAY:
		/* A pointer into the middle keeps all of it. */
		return (struct node *)burrow_new_array(&graph_node, n) + n / 2;
	case TAILED:
		tailed = burrow_new_flex(&graph_tailed, n);
		return &tailed->node[n - 1];
	case WORDS:
		return burrow_alloc(sizeof(struct node) + chance(w, 2000));
	case LARGE:
		return burrow_alloc(40 * KIB + chance(w, 100 * KIB));
	default:
		return burrow_alloc_noscan(sizeof(struct node) +
					   chance(w, 500));
	}
}

static enum kind some_kind(struct worker *w)
{
	uint64_t n = chance(w, 256);

	return n ? n % KINDS == LARGE ? TYPED : n % KINDS : LARGE;
}

/* The node is what the model says, and so is where it points to. */
static void compare(struct worker *w, int id, const struct node *node)
{
	const struct twin *t = &w->twins[id];
	int i;

	MUST(w, t->used && t->hidden == hide(node));
	MUST(w, node->id == (uint64_t)id && node->sum == sum_of(id));
	for (i = 0; i < EDGES; i++)
		MUST(w, t->edge[i] == NONE ? !node->edge[i] :
					     w->twins[t->edge[i]].hidden ==
						     hide(node->edge[i]));
}

/* The model's own search, without recursion. */
static void search(struct worker *w)
{
	int stack[NODES], depth = 0, i, e, id;

	for (i = 0; i < NODES; i++)
		w->twins[i].seen = false;
	for (i = 0; i < SLOTS; i++) {
		id = w->slot[i];
		if (id == NONE || w->twins[id].seen)
			continue;
		w->twins[id].seen = true;
		stack[depth++] = id;
		while (depth) {
			const struct twin *t = &w->twins[stack[--depth]];

			for (e = 0; e < EDGES; e++) {
				id = t->edge[e];
				if (id == NONE || w->twins[id].seen)
					continue;
				w->twins[id].seen = true;
				stack[depth++] = id;
			}
		}
	}
}

/* All that can be reached, by the program's own pointers. */
__attribute__((noipa)) static void compare_all(struct worker *w)
{
	int i;

	search(w);
	for (i = 0; i < SLOTS; i++)
		MUST(w, w->slot[i] == NONE ? !*w->place[i] :
					     w->twins[w->slot[i]].hidden ==
						     hide(*w->place[i]));
	for (i = 0; i < NODES; i++) {
		if (w->twins[i].seen)
			compare(w, i,
				(struct node *)unhide(w->twins[i].hidden));
	}
}

static void hold(struct worker *w, int slot, int id, struct node *node)
{
	w->slot[slot] = id;
	*w->place[slot] = node;
}

/* Ids of what can't be reached are free; whether these die is seen at the end. */
static void free_ids(struct worker *w)
{
	int i;

	compare_all(w);
	for (i = 0; i < NODES; i++) {
		struct twin *t = &w->twins[i];

		if (!t->used || t->seen)
			continue;
		t->used = false;
		w->free[w->nr_free++] = i;
		if (t->weak && w->nr_died < DIED)
			w->died[w->nr_died++] = t->weak;
		t->weak = NULL;
	}
	/* Nearly all nodes are reached: some have to go. */
	for (i = 0; w->nr_free < NODES / 4 && i < SLOTS; i++) {
		if (chance(w, 2))
			hold(w, i, NONE, NULL);
	}
}

__attribute__((noipa)) static void make_node(struct worker *w)
{
	enum kind kind = some_kind(w);
	struct node *node;
	struct twin *t;
	int id, i;

	while (!w->nr_free)
		free_ids(w);
	id = w->free[--w->nr_free];
	node = new_node(w, kind);
	node->id = id;
	node->sum = sum_of(id);
	t = &w->twins[id];
	*t = (struct twin){ hide(node), .kind = kind, .used = true };
	for (i = 0; i < EDGES; i++)
		t->edge[i] = NONE;
	if (chance(w, 4) == 0 && !w->in_c)
		t->weak = burrow_weak_new(node);
	hold(w, chance(w, SLOTS), id, node);
}

/* Of one that is held; NONE where it holds nothing. */
static int some_slot(struct worker *w)
{
	int slot = chance(w, SLOTS);

	return w->slot[slot] == NONE ? NONE : slot;
}

__attribute__((noipa)) static void link_nodes(struct worker *w)
{
	int from = some_slot(w), to = some_slot(w), e = chance(w, EDGES);
	struct twin *t;

	if (from == NONE)
		return;
	t = &w->twins[w->slot[from]];
	if (t->kind == PLAIN)
		return;
	t->edge[e] = to == NONE ? NONE : w->slot[to];
	(*w->place[from])->edge[e] = to == NONE ? NULL : *w->place[to];
}

/* Some steps along edges, to where a slot is from now on. */
__attribute__((noipa)) static void walk(struct worker *w)
{
	int slot = some_slot(w), id, next, n = chance(w, 16);
	struct node *node;

	if (slot == NONE)
		return;
	id = w->slot[slot];
	for (node = *w->place[slot]; n; n--) {
		int e = chance(w, EDGES);

		compare(w, id, node);
		next = w->twins[id].edge[e];
		if (next == NONE)
			break;
		node = node->edge[e];
		id = next;
	}
	hold(w, chance(w, SLOTS), id, node);
}

static void in_c(void *arg)
{
	struct worker *w = arg;
	int i;

	w->in_c = true;
	for (i = 0; i < 20; i++) {
		make_node(w);
		link_nodes(w);
	}
	w->in_c = false;
}

static void step(struct worker *w)
{
	int slot;

	switch (chance(w, 16)) {
	case 0 ... 5:
		make_node(w);
		break;
	case 6 ... 9:
		link_nodes(w);
		break;
	case 10 ... 12:
		walk(w);
		break;
	case 13:
		slot = chance(w, SLOTS);
		hold(w, slot, NONE, NULL);
		break;
	case 14:
		burrow_yield();
		break;
	default:
		slot = chance(w, 64);
		if (slot == 0)
			burrow_sleep(20000);
		else if (slot == 1)
			compare_all(w);
		else if (slot == 2)
			burrow_blocking(in_c, w);
	}
}

/* A third of the slots on this stack, in the heap, in static data. */
static void work(void *arg)
{
	struct worker *w = arg;
	struct node *volatile on_stack[ON_STACK] = { 0 };
	struct node *volatile *in_heap = burrow_alloc(SLOTS * sizeof(void *));
	int i;

	for (i = 0; i < SLOTS; i++) {
		w->slot[i] = NONE;
		w->place[i] = i < ON_STACK ? &on_stack[i] :
			      i % 2	   ? &in_heap[i] :
					     &static_slots[w->seed % WORKERS][i];
	}
	for (w->step = 0; w->step < steps; w->step++)
		step(w);
	compare_all(w);
	for (i = 0; i < SLOTS; i++)
		hold(w, i, NONE, NULL);
	free_ids(w);
	burrow_keep_alive((void *)in_heap);
}

static struct worker *worker_new(int number)
{
	struct worker *w = calloc(1, sizeof(*w));

	w->seed = first_seed * WORKERS + number;
	w->random = (w->seed + 1) * 0x9e3779b97f4a7c15ULL;
	for (w->nr_free = 0; w->nr_free < NODES; w->nr_free++)
		w->free[w->nr_free] = w->nr_free;
	return w;
}

/* The references are objects, and nobody has held them. */
static void look_at_dead(struct worker *w, int *died, int *alive)
{
	int i;

	for (i = 0; i < w->nr_died; i++)
		*alive += !!burrow_weak_get(w->died[i]);
	*died += w->nr_died;
}

static int done;

static void collect_again(void *arg)
{
	(void)arg;
	while (!get(&done)) {
		burrow_sleep(MS);
		burrow_gc();
	}
}

/* What all have come to: the same for the same seed. */
static uint64_t came_to;

static void run_workers(void)
{
	struct worker *workers[WORKERS];
	int i, died = 0, alive = 0;

	memset((void *)static_slots, 0, sizeof(static_slots));
	came_to = 0;
	for (i = 0; i < WORKERS; i++) {
		workers[i] = worker_new(i);
		/* Weak references are objects. */
		burrow_root_add(workers[i], sizeof(*workers[i]));
		if (i)
			burrow_go(work, workers[i]);
	}
	done = 0;
	burrow_go(collect_again, NULL);
	work(workers[0]);
	while (burrow_num_goroutines() > 2)
		burrow_sleep(MS);
	done = 1;
	wait_for_others();
	collect();
	for (i = 0; i < WORKERS; i++) {
		look_at_dead(workers[i], &died, &alive);
		came_to ^= workers[i]->random;
		burrow_root_remove(workers[i]);
		free(workers[i]);
	}
	CHECK(died > steps / 20 && alive < died / 20);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

static void set_seed(void)
{
	first_seed = number_of("BURROW_TEST_SEED", time(NULL) ^ getpid());
	steps = number_of("BURROW_TEST_STEPS", STEPS);
	printf("# BURROW_TEST_SEED=%lu\n", first_seed);
	fflush(stdout);
}

TEST_GC(random_graphs)
{
	set_seed();
	run_workers();
}

TEST(seeds_are_replayed)
{
	uint64_t before;

	set_seed();
	steps /= 8;
	setenv("BURROW_DEBUG", "gcverify=1,gcpoison=1", 1);
	ASSERT_EQ(0, run_on(2, run_workers));
	before = came_to;
	ASSERT_EQ(0, run_on(8, run_workers));
	EXPECT_EQ(before, came_to);
	first_seed++;
	ASSERT_EQ(0, run_on(2, run_workers));
	EXPECT_NE(before, came_to);
}

TEST(a_cycle_at_every_refill)
{
	set_seed();
	steps /= 16;
	setenv("BURROW_DEBUG", "gcstress=4,gcverify=1,gcpoison=1", 1);
	EXPECT_EQ(0, run_on(2, run_workers));
}

/* The model notices by itself what the collector does wrong. */
static void run_wrong(void *arg)
{
	setenv("BURROW_DEBUG", arg, 1);
	set_seed();
	exit(run_on(2, run_workers));
}

static bool model_notices(char *debug)
{
	static struct outcome o;
	int tries;

	for (tries = 0; tries < 5; tries++) {
		outcome_of(&o, run_wrong, debug);
		if (killed_by(&o, SIGABRT) &&
		    says(&o, "gcmodel: BURROW_TEST_SEED="))
			return true;
	}
	return false;
}

TEST(the_model_notices_a_forgotten_stack)
{
	EXPECT_TRUE(model_notices("gcfault=2,gcpoison=1"));
}

TEST(the_model_notices_objects_not_allocated_marked)
{
	EXPECT_TRUE(model_notices("gcfault=3,gcpoison=1"));
}

TEST_HARNESS_MAIN
