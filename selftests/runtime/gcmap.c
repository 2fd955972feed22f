// SPDX-License-Identifier: GPL-2.0
/*
 * Weak maps, whose values live as long as their keys do; and memory outside of
 * the heap, which counts for it.
 */
#include "gc.h"

static struct burrow_weakmap *map;

struct pair {
	struct secret key;
	struct secret value;
};

/* Keys that @keys holds, values that the map alone holds. */
__attribute__((noipa)) static void fill(struct pair *pairs, struct thing **keys)
{
	struct thing *key, *value;
	int i;

	for (i = 0; i < MANY; i++) {
		key = make(&pairs[i].key);
		value = make(&pairs[i].value);
		/* That it leads back to its key must not keep either. */
		value->next = key;
		CHECK(burrow_weakmap_set(map, key, value) == 0);
		keys[i] = key;
	}
}

static int count_values(const struct pair *pairs)
{
	int i, n = 0;

	collect();
	for (i = 0; i < MANY; i++)
		n += lives(&pairs[i].value);
	return n;
}

__attribute__((noipa)) static void check_values(const struct pair *pairs,
						struct thing **keys)
{
	struct thing *value;
	int i;

	for (i = 0; i < MANY; i++) {
		value = burrow_weakmap_get(map, keys[i]);
		CHECK(value && hide(value) == pairs[i].value.hidden);
		CHECK(value->magic == MAGIC && value->next == keys[i]);
	}
}

static struct thing *keys[MANY];

TEST_GC(values_live_with_their_keys)
{
	static struct pair pairs[MANY];
	int i;

	map = burrow_weakmap_new();
	fill(pairs, keys);
	CHECK(burrow_weakmap_len(map) == MANY);
	for (i = 0; i < 3; i++)
		CHECK(count_values(pairs) == MANY);
	check_values(pairs, keys);
	CHECK(burrow_weakmap_len(map) == MANY);
	memset(keys, 0, sizeof(keys));
	CHECK(count_values(pairs) <= MANY - MOST);
	CHECK(burrow_weakmap_len(map) <= MANY - MOST);
	map = NULL;
}

TEST_GC(values_die_with_their_map)
{
	static struct pair pairs[MANY];
	int i, n = 0;

	map = burrow_weakmap_new();
	fill(pairs, keys);
	map = NULL;
	CHECK(count_values(pairs) <= MANY - MOST);
	for (i = 0; i < MANY; i++)
		n += lives(&pairs[i].key);
	CHECK(n == MANY);
	memset(keys, 0, sizeof(keys));
}

/* Each value is the key of the next one, in one of two maps. */
#define LINKS 10

static struct burrow_weakmap *maps[2];

__attribute__((noipa)) static void make_chain(struct thing **held,
					      struct secret *last)
{
	struct secret between;
	struct thing *key, *value;
	int i;

	key = make(&between);
	*held = key;
	for (i = 0; i < LINKS; i++) {
		value = make(i < LINKS - 1 ? &between : last);
		CHECK(burrow_weakmap_set(maps[i % 2], key, value) == 0);
		key = value;
	}
}

TEST_GC(chains_of_keys)
{
	static struct secret ends[MANY];
	int i;

	maps[0] = burrow_weakmap_new();
	maps[1] = burrow_weakmap_new();
	for (i = 0; i < MANY; i++)
		make_chain(&keys[i], &ends[i]);
	CHECK(count_living(ends) == MANY);
	CHECK(count_living(ends) == MANY);
	memset(keys, 0, sizeof(keys));
	CHECK(count_living(ends) <= MANY - MOST);
	maps[0] = NULL;
	maps[1] = NULL;
}

TEST_GC(maps_as_maps)
{
	struct thing *a = burrow_new(&thing_type), *b = burrow_new(&thing_type);
	struct burrow_weakmap *m = burrow_weakmap_new();
	int local, i;

	CHECK(burrow_weakmap_len(m) == 0 && burrow_weakmap_len(NULL) == 0);
	CHECK(!burrow_weakmap_get(m, a));
	CHECK(burrow_weakmap_remove(m, a) == -ENOENT);
	CHECK(burrow_weakmap_set(m, a, b) == 0);
	CHECK(burrow_weakmap_set(m, a, a) == 0);
	CHECK(burrow_weakmap_len(m) == 1);
	CHECK(burrow_weakmap_get(m, a) == a);
	CHECK(!burrow_weakmap_get(m, &a->magic));
	CHECK(burrow_weakmap_set(m, &a->magic, &local) == 0);
	collect();
	CHECK(burrow_weakmap_get(m, &a->magic) == &local);
	CHECK(burrow_weakmap_remove(m, a) == 0);
	CHECK(!burrow_weakmap_get(m, a));
	CHECK(burrow_weakmap_len(m) == 1);
	CHECK(burrow_weakmap_set(m, &local, a) == -EINVAL);
	CHECK(burrow_weakmap_set(m, NULL, a) == -EINVAL);
	CHECK(burrow_weakmap_set(NULL, a, a) == -EINVAL);
	/* In and out: what has gone is used again. */
	for (i = 0; i < 100000; i++) {
		CHECK(burrow_weakmap_set(m, b, a) == 0);
		CHECK(burrow_weakmap_remove(m, b) == 0);
	}
	CHECK(burrow_weakmap_len(m) == 1);
	burrow_keep_alive(a);
	burrow_keep_alive(b);
}

/* Many at once, while cycles run. Nobody but the map has the values. */
#define WORKERS 4
#define OWN 256 /* keys of each */

static int stop;

static void use_map(void *arg)
{
	struct thing **own = burrow_alloc(OWN * sizeof(*own)), *value;
	unsigned int random = (uintptr_t)arg, i;
	int n = 0;

	while (!get(&stop) || n < 2000) {
		n++;
		random = random * 1103515245 + 12345;
		i = random >> 16 & (OWN - 1);
		value = own[i] ? burrow_weakmap_get(map, own[i]) : NULL;
		CHECK(!own[i] || (value && value->magic == (MAGIC ^ i)));
		if (!own[i] || random >> 30 == 0) {
			own[i] = burrow_new(&thing_type);
			value = NULL;
		}
		if (!value || random >> 30 == 1) {
			value = burrow_new(&thing_type);
			value->magic = MAGIC ^ i;
			value->next = own[i];
			CHECK(burrow_weakmap_set(map, own[i], value) == 0);
		}
		if (n % 64 == 0)
			burrow_yield();
	}
	burrow_keep_alive(map);
}

TEST_GC(many_use_a_map)
{
	size_t i;

	map = burrow_weakmap_new();
	stop = 0;
	for (i = 0; i < WORKERS; i++)
		burrow_go(use_map, (void *)(i + 1));
	for (i = 0; i < 30; i++)
		CHECK(burrow_gc() == 0);
	stop = 1;
	wait_for_others();
	map = NULL;
}

TEST(calls_from_outside)
{
	EXPECT_EQ(-EPERM, burrow_weakmap_set(NULL, NULL, NULL));
	EXPECT_EQ(-EPERM, burrow_weakmap_remove(NULL, NULL));
	EXPECT_EQ(-ESRCH, burrow_external_memory(1));
}

/* Memory outside */

#define BUFFER (1 * MIB)

static int64_t outside;

static void give_back(void *arg)
{
	free(arg);
	__atomic_sub_fetch(&outside, BUFFER, __ATOMIC_SEQ_CST);
	CHECK(burrow_external_memory(-(int64_t)BUFFER) >= 0);
}

__attribute__((noipa)) static void make_buffer(void)
{
	struct thing *owner = burrow_new(&thing_type);

	CHECK(burrow_cleanup(owner, give_back, malloc(BUFFER)) == 0);
	CHECK(burrow_external_memory(BUFFER) > 0);
	__atomic_add_fetch(&outside, BUFFER, __ATOMIC_SEQ_CST);
}

static uint64_t cycles(void)
{
	struct burrow_stats stats = { .size = sizeof(stats) };

	CHECK(burrow_stats(&stats) == 0);
	return stats.gc_cycles;
}

/* Asked by nobody. The machine may be busy. */
static bool comes_a_cycle(uint64_t after)
{
	int i;

	for (i = 0; i < 60000 && cycles() == after; i++)
		burrow_sleep(MS);
	return cycles() != after;
}

/* Who gives back some may have told us and not yet the runtime. */
static bool all_is_told(void)
{
	struct burrow_stats stats = { .size = sizeof(stats) };
	int i;

	for (i = 0; i < 1000; i++) {
		CHECK(burrow_stats(&stats) == 0);
		if (stats.heap_external ==
		    (uint64_t)__atomic_load_n(&outside, __ATOMIC_SEQ_CST))
			return true;
		burrow_sleep(MS);
	}
	return false;
}

/*
 * The heap itself is too small to be collected even once; with what it has outside
 * it is due when that is twice what it was, at its least, since the last cycle.
 */
TEST_GC(memory_outside_counts)
{
	uint64_t last = 0;
	int64_t least = 0, now;
	int i;

	outside = 0;
	for (i = 0; i < 1000 && !failed_line; i++) {
		make_buffer();
		now = __atomic_load_n(&outside, __ATOMIC_SEQ_CST);
		if (cycles() != last) {
			last = cycles();
			least = now;
		}
		least = now < least ? now : least;
		if (now > 2 * least + (int64_t)(8 * BUFFER))
			CHECK(comes_a_cycle(last));
	}
	CHECK(last > 1);
	for (i = 0; i < 200 && outside > (int64_t)(16 * BUFFER); i++) {
		collect();
		burrow_sleep(MS);
	}
	CHECK(outside <= (int64_t)(16 * BUFFER));
	CHECK(all_is_told());
}

TEST_GC(memory_outside_is_no_less_than_nothing)
{
	CHECK(burrow_external_memory(0) == 0);
	CHECK(burrow_external_memory(-1) == -EINVAL);
	CHECK(burrow_external_memory(5) == 5);
	CHECK(burrow_external_memory(INT64_MAX) == -EINVAL);
	CHECK(burrow_external_memory(-6) == -EINVAL);
	CHECK(burrow_external_memory(-5) == 0);
}

TEST_HARNESS_MAIN
