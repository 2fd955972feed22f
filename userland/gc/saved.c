// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stacks that hibernate are roots as all others are, and are not put back for that:
 * the module hands out what it has saved of them, many in a call, and notes that it
 * did (BURROW_SAVED_NOTE). What it has saved can't change but by being restored, by
 * whoever touches the stack, and which slots that happened to it tells later
 * (BURROW_IOC_RESTORED). So a record is read once, at any time since marking began:
 *
 *  1. In the first stop of a cycle as many are read as a stop has time for. If those
 *     were all, it goes on as without us. Else no goroutine is visited in it: roots
 *     are a head start there, and we can't yet tell who sleeps.
 *  2. Beside the program the rest is read. Then the goroutines are visited, for what
 *     their descriptors hold, and it is noted who sleeps on which slot (stacks.c).
 *     A stop follows in which those who don't are visited.
 *  3. In every stop in which roots are looked at the module is asked first who was
 *     restored since; those are awake again, as far as we are concerned. What was
 *     hibernated since is read. Then all are visited but those who sleep.
 *
 * Why nothing is lost: who is passed by in the last stop was noted, and his slot was
 * not restored since its record was read. So nobody has run on that stack or written
 * to it: what it holds was greyed. That he was the one who sleeps there we know by
 * the number that the slot carries, for numbers are never used twice: if what we saw
 * of him beside the program was of the past he has run since, so the stack was
 * restored. To run he must touch it: that is all there is to waking as well, and
 * wakers need not tell us. What waits in his descriptor is set before he parks, and
 * taken away, no more, by who wakes him.
 *
 * In a young cycle what was read by an earlier one is old, marked, and still so if it
 * was not restored: only what is new is read, and notes stay. A full one forgets them
 * and reads all once more.
 *
 * The monitor hibernates others meanwhile, also in a stop: who is not noted then is
 * looked at as he is, and so put back. So are those in arenas for which there was no
 * memory, and all where the module fails.
 *
 * By who runs the cycle alone.
 */
#define _GNU_SOURCE
#include <linux/burrow.h>
#include <string.h>
#include <sys/mman.h>

#include "../sched/sched.h"
#include "saved.h"

#define BUFFER (256UL << 10) /* bytes that a call may fill, and a stop reads */
#define TABLES 64 /* arenas; others are looked at as they are */
#define ROOM 128 /* slots that a call tells */
#define NUMBERS (1UL << 27) /* of goroutines; above all are visited */
#define READ UINT32_MAX /* in arena->whose */

/**
 * struct table - an arena some of whose slots may hibernate
 * @arena:	which. Its whose says of each slot: 0: nothing is known; READ: what is
 *		saved was read; else 1 + the number of who sleeps there
 * @whose:	the same
 * @bytes:	of @whose
 */
struct table {
	struct burrow_stack_arena *arena;
	uint32_t *whose;
	size_t bytes;
};

static struct {
	struct table tables[TABLES];
	int count;
	char *buffer;
	uint64_t *asleep; /* a bit for each goroutine, by number */
	uint64_t stacks; /* that are known */
	uint64_t bytes; /* saved of them, about */
	uint64_t passed; /* of these in this walk */
	int table; /* the pass over all of them has come so far */
	uint64_t slot;
	bool whole; /* it reads what was noted before, too */
	bool through;
	bool deaf;
	enum burrow_saved_mode mode;
} saved = { .through = true };

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void add_table(struct burrow_stack_arena *arena)
{
	struct table *table = &saved.tables[saved.count];

	if (arena->whose || saved.count == TABLES)
		return;
	table->bytes = arena->slots * sizeof(*table->whose);
	table->whose = map(table->bytes);
	if (!table->whose)
		return;
	table->arena = arena;
	arena->whose = table->whose;
	saved.count++;
}

static bool has_room(void)
{
	if (saved.buffer)
		return true;
	if (!saved.asleep)
		saved.asleep = map(NUMBERS / 8);
	if (!saved.asleep)
		return false;
	saved.buffer = map(BUFFER);
	/* A stop is no place for faults. */
	if (saved.buffer)
		memset(saved.buffer, 0, BUFFER);
	return saved.buffer;
}

void burrow_saved_prepare(struct burrow_stack_pool *pool)
{
	struct burrow_stack_class *c;
	unsigned int i;

	if (!__atomic_load_n(&pool->hibernated, __ATOMIC_RELAXED) ||
	    !has_room())
		return;
	for (c = pool->classes; c < pool->classes + BURROW_STACK_CLASSES; c++) {
		pthread_mutex_lock(&c->lock);
		for (i = 0; i < c->nr_arenas; i++)
			add_table(c->arenas[i]);
		pthread_mutex_unlock(&c->lock);
	}
}

/* ---- what is known ---------------------------------------------------------------- */

static void wake(uint32_t who)
{
	if (who && who != READ)
		saved.asleep[(who - 1) / 64] &= ~(1UL << (who - 1) % 64);
}

static void forget(const struct table *table, uint64_t slot)
{
	if (slot >= table->arena->slots || !table->whose[slot])
		return;
	wake(table->whose[slot]);
	table->whose[slot] = 0;
	saved.bytes -= saved.bytes / saved.stacks;
	saved.stacks--;
}

static void forget_all(void)
{
	int i;

	saved.whole = true;
	if (!saved.stacks)
		return;
	for (i = 0; i < saved.count; i++)
		madvise(saved.tables[i].whose, saved.tables[i].bytes,
			MADV_DONTNEED);
	madvise(saved.asleep, NUMBERS / 8, MADV_DONTNEED);
	saved.stacks = 0;
	saved.bytes = 0;
}

static void begin_pass(void)
{
	saved.table = 0;
	saved.slot = 0;
	saved.through = !saved.count;
}

void burrow_saved_begin(bool young)
{
	if (!young)
		forget_all();
	begin_pass();
}

/* False: it is not known who. */
static bool hear(const struct table *table)
{
	struct burrow_stack_arena *arena = table->arena;
	uint64_t slots[ROOM];
	int64_t n, i;

	do {
		n = arena->pool->backend->restored(arena, slots, ROOM);
		for (i = 0; i < n && !saved.deaf; i++)
			forget(table, slots[i]);
	} while (n == ROOM);
	return n >= 0;
}

static void hear_all(void)
{
	bool ok = true;
	int i;

	for (i = 0; i < saved.count; i++)
		ok &= hear(&saved.tables[i]);
	if (ok)
		return;
	forget_all();
	begin_pass();
}

/* ---- reading ---------------------------------------------------------------------- */

/* The records of one call. */
static void look_at(const struct table *table, size_t bytes, burrow_root_fn *fn,
		    void *arg)
{
	const char *at = saved.buffer, *end = at + bytes;
	const struct burrow_saved_slot *slot;

	while (at < end) {
		slot = (const struct burrow_saved_slot *)at;
		at = (const char *)(slot + 1) + slot->live;
		fn(arg, slot + 1, at);
		forget(table, slot->slot);
		table->whose[slot->slot] = READ;
		saved.stacks++;
		saved.bytes += slot->live;
		saved.passed += slot->live;
	}
}

/* One call; bytes. */
static size_t read_on(burrow_root_fn *fn, void *arg)
{
	const struct table *table = &saved.tables[saved.table];
	struct burrow_stack_arena *arena = table->arena;
	uint64_t ready = READ_ONCE(arena->ready), next = ready;
	int64_t bytes;

	bytes = arena->pool->backend->saved(
		arena, BURROW_SAVED_NOTE | (saved.whole ? 0 : BURROW_SAVED_NEW),
		saved.slot, ready - saved.slot, saved.buffer, BUFFER, &next);
	if (bytes > 0)
		look_at(table, bytes, fn, arg);
	if (bytes >= 0 && next > saved.slot && next < ready) {
		saved.slot = next;
	} else {
		saved.slot = 0;
		saved.table++;
	}
	if (saved.table == saved.count) {
		saved.through = true;
		saved.whole = false;
	}
	return bytes > 0 ? bytes : 0;
}

void burrow_saved_mode(enum burrow_saved_mode mode)
{
	saved.mode = mode;
}

void burrow_saved_deafen(bool deaf)
{
	saved.deaf = deaf;
}

bool burrow_saved_some(void)
{
	return !saved.through;
}

bool burrow_saved_each(burrow_root_fn *fn, void *arg)
{
	size_t bytes = 0;

	saved.passed = 0;
	if (saved.mode == SAVED_OFF)
		return true;
	hear_all();
	if (saved.through)
		begin_pass();
	while (!saved.through &&
	       (saved.mode == SAVED_ALL || bytes < BUFFER / 2))
		bytes += read_on(fn, arg);
	return saved.through;
}

bool burrow_saved_beside(burrow_root_fn *fn, void *arg)
{
	read_on(fn, arg);
	return !saved.through;
}

/* ---- who sleeps ------------------------------------------------------------------- */

const uint64_t *burrow_saved_asleep(void)
{
	return saved.stacks ? saved.asleep : NULL;
}

bool burrow_saved_on(void)
{
	return saved.mode != SAVED_OFF;
}

size_t burrow_saved_left_out(void)
{
	if (saved.mode == SAVED_OFF || saved.passed > saved.bytes)
		return 0;
	return saved.bytes - saved.passed;
}

bool burrow_saved_knows(const struct burrow_stack *stack)
{
	return stack->arena->whose &&
	       READ_ONCE(stack->arena->whose[stack->slot]);
}

void burrow_saved_note(uint32_t *place, size_t number)
{
	if (number >= NUMBERS)
		return;
	*place = 1 + number;
	saved.asleep[number / 64] |= 1UL << number % 64;
}

bool burrow_saved_noted(const struct burrow_stack *stack, size_t number)
{
	uint32_t *whose = stack->arena->whose;

	if (saved.mode == SAVED_OFF || !whose || !whose[stack->slot])
		return false;
	burrow_saved_note(&whose[stack->slot], number);
	return true;
}

__attribute__((no_sanitize("thread"))) uint32_t *
burrow_saved_sleeps(const struct goroutine *g)
{
	const struct burrow_stack_arena *arena = READ_ONCE(g->stack.arena);
	uint32_t slot = READ_ONCE(g->stack.slot);

	if (!arena || !arena->whose || slot >= arena->slots ||
	    arena->whose[slot] != READ ||
	    __atomic_load_n(&arena->table[slot].goroutine, __ATOMIC_RELAXED) !=
		    READ_ONCE(g->id))
		return NULL;
	return &arena->whose[slot];
}

void burrow_saved_close(void)
{
	int i;

	for (i = 0; i < saved.count; i++)
		munmap(saved.tables[i].whose, saved.tables[i].bytes);
	if (saved.asleep)
		munmap(saved.asleep, NUMBERS / 8);
	if (saved.buffer)
		munmap(saved.buffer, BUFFER);
	memset(&saved, 0, sizeof(saved));
	saved.through = true;
}
