/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the collector's tests share: each runs on several numbers of processors,
 * with writes tracked and without, every marking checked by gcverify and what is
 * dead overwritten by gcpoison.
 *
 * Whether an object lives is asked by a weak reference to it. A scan of stacks
 * and registers is conservative: that something lives is certain, that it is
 * dead only of most of many.
 */
#ifndef SELFTESTS_GC_H
#define SELFTESTS_GC_H

#include "sync.h"

#define MAGIC 0x600df00d600df00dUL
#define MASK 0x5a5a5a5a5a5a5a5aUL
#define MANY 64 /* objects of which most must die */
#define MOST (MANY - 16)

struct thing {
	struct thing *next;
	uint64_t magic;
	uint64_t rest[4];
};

BURROW_TYPE(thing_type, struct thing, next);

/* A weak reference, and the address in a form that keeps nothing alive. */
struct secret {
	struct burrow_weak *weak;
	uintptr_t hidden;
};

static inline uintptr_t hide(const void *p)
{
	return (uintptr_t)p ^ MASK;
}

static inline struct thing *unhide(uintptr_t hidden)
{
	return (struct thing *)(hidden ^ MASK);
}

__attribute__((noipa, unused)) static struct thing *make(struct secret *secret)
{
	struct thing *t = burrow_new(&thing_type);

	t->magic = MAGIC;
	secret->weak = burrow_weak_new(t);
	secret->hidden = hide(t);
	return t;
}

/* One that nobody holds. */
__attribute__((noipa, unused)) static void make_dropped(struct secret *secret)
{
	make(secret);
}

/* What calls have left on the stack and in registers is overwritten. */
__attribute__((noipa, unused)) static void scrub(void)
{
	volatile char area[8192];
	size_t i;

	for (i = 0; i < sizeof(area); i++)
		area[i] = 0;
#ifdef __x86_64__
	__asm__ volatile("xor %%eax, %%eax\n"
			 "xor %%ecx, %%ecx\n"
			 "xor %%edx, %%edx\n"
			 "xor %%esi, %%esi\n"
			 "xor %%edi, %%edi\n"
			 "xor %%r8d, %%r8d\n"
			 "xor %%r9d, %%r9d\n"
			 "xor %%r10d, %%r10d\n"
			 "xor %%r11d, %%r11d\n"
			 "pxor %%xmm0, %%xmm0\n"
			 "pxor %%xmm1, %%xmm1\n" ::
				 : "rax", "rcx", "rdx", "rsi", "rdi", "r8",
				   "r9", "r10", "r11", "xmm0", "xmm1", "cc");
#endif
}

__attribute__((noipa, unused)) static bool lives(const struct secret *secret)
{
	struct thing *t = burrow_weak_get(secret->weak);

	if (t)
		CHECK(hide(t) == secret->hidden && t->magic == MAGIC);
	return t;
}

__attribute__((unused)) static void collect(void)
{
	scrub();
	CHECK(burrow_gc() == 0);
}

/* How many of them live after a collection. */
__attribute__((unused)) static int count_living(const struct secret *secrets)
{
	int i, n = 0;

	collect();
	for (i = 0; i < MANY; i++)
		n += lives(&secrets[i]);
	return n;
}

struct way {
	int procs;
	const char *debug;
};

static inline int run_way(const struct way *way, void (*fn)(void))
{
	setenv("BURROW_DEBUG", way->debug, 1);
	return run_on(way->procs, fn);
}

FIXTURE(gc){};

FIXTURE_VARIANT(gc)
{
	struct way way;
};

FIXTURE_VARIANT_ADD(gc, 1_processor_tracked){
	.way = { 1, "gcverify=1,gcpoison=1" },
};

FIXTURE_VARIANT_ADD(gc, 2_processors_tracked){
	.way = { 2, "gcverify=1,gcpoison=1" },
};

FIXTURE_VARIANT_ADD(gc, 2_processors_stopped){
	.way = { 2, "gcverify=1,gcpoison=1,gcuffd=0,kmodheap=0" },
};

FIXTURE_VARIANT_ADD(gc, 8_processors_tracked){
	.way = { 8, "gcverify=1,gcpoison=1" },
};

FIXTURE_SETUP(gc)
{
}

FIXTURE_TEARDOWN(gc)
{
}

/* A test in each way: a function that runs as main goroutine. */
#define TEST_GC(name)                                              \
	static void test_##name(void);                             \
	TEST_F(gc, name)                                           \
	{                                                          \
		EXPECT_EQ(0, run_way(&variant->way, test_##name)); \
	}                                                          \
	static void test_##name(void)

#endif /* SELFTESTS_GC_H */
