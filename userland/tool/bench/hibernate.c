// SPDX-License-Identifier: GPL-2.0
/*
 * The hibernate benchmark: 1,000 stacks of 256 KiB, each with a page in use and
 * some of it live, are saved, and touched again.
 *
 * kmod		straight on the module, with as many in a call as the runtime has
 *
 * ns/hibernate is the calls alone, for one stack: its bytes copied, its page
 * given back. Page tables stay (`parked' has them, and the runtime's own part).
 * ns/restore is one byte read: the fault, a page, and the bytes put back. What was
 * saved is compared, untimed. The first sample is dropped.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../../stack/stack.h"
#include "../tool.h"
#include "bench.h"
#include "clock.h"
#include "kmod.h"
#include "results.h"

#define STACKS 1000
#define STRIDE (256UL << 10)
#define DEFAULT_RUNS 5

static const size_t lives[] = { 304, 500, 2000 };

#define NLIVES (sizeof(lives) / sizeof(lives[0]))

static char what_of(size_t slot, size_t at)
{
	return slot * 31 + at;
}

static void fill(const struct kmod_arena *arena, size_t live)
{
	size_t i, k;

	for (i = 0; i < STACKS; i++)
		for (k = 1; k <= live; k++)
			kmod_top(arena, i)[-k] = what_of(i, k);
}

static bool is_whole(const struct kmod_arena *arena, size_t live)
{
	size_t i, k;

	for (i = 0; i < STACKS; i++)
		for (k = 1; k <= live; k++)
			if (kmod_top(arena, i)[-k] != what_of(i, k))
				return false;
	return true;
}

/* One call; 0, or -EIO if not all of them hibernate now. */
static int hibernate(struct kmod_arena *arena, size_t first, size_t n,
		     size_t live)
{
	struct burrow_hibernate_entry entries[BURROW_STACK_BATCH];
	struct burrow_hibernate call = {
		.size = sizeof(call),
		.arena = arena->number,
		.count = n,
		.entries = (uintptr_t)entries,
	};
	size_t i;

	for (i = 0; i < n; i++)
		entries[i] = (struct burrow_hibernate_entry){
			.slot = first + i,
			.live = live,
			.word = arena->table[first + i].word,
		};
	if (ioctl(arena->fd, BURROW_IOC_HIBERNATE, &call) < 0)
		return -errno;
	for (i = 0; i < n; i++)
		if (entries[i].result <= 0)
			return -EIO;
	return 0;
}

static int hibernate_all(struct kmod_arena *arena, size_t live, uint64_t *ticks)
{
	uint64_t start = bench_ticks();
	size_t i, n;
	int err = 0;

	for (i = 0; i < STACKS && !err; i += n) {
		n = STACKS - i < BURROW_STACK_BATCH ? STACKS - i :
						      BURROW_STACK_BATCH;
		err = hibernate(arena, i, n, live);
	}
	*ticks = bench_ticks() - start;
	return err;
}

static uint64_t restore_all(const struct kmod_arena *arena)
{
	uint64_t start = bench_ticks();
	size_t i;

	for (i = 0; i < STACKS; i++)
		(void)*(volatile char *)(kmod_top(arena, i) - 1);
	return bench_ticks() - start;
}

static int sample(struct kmod_arena *arena, size_t live, bool counts)
{
	uint64_t saved, restored;
	int err;

	fill(arena, live);
	err = hibernate_all(arena, live, &saved);
	if (err)
		return err;
	restored = restore_all(arena);
	if (!is_whole(arena, live))
		return -EBADMSG;
	if (!counts || tool_interrupted)
		return 0;
	results_add("hibernate", "kmod", "live", live, "ns/hibernate",
		    bench_ns(saved) / STACKS);
	results_add("hibernate", "kmod", "live", live, "ns/restore",
		    bench_ns(restored) / STACKS);
	return 0;
}

static int run_live(struct kmod_arena *arena, size_t live, int rounds)
{
	int round, err = 0;

	for (round = 0; round < rounds && !err && !tool_interrupted; round++) {
		bench_progress("hibernate %zu bytes: round %d of %d", live,
			       round, rounds - 1);
		err = sample(arena, live, round > 0);
	}
	if (err)
		tool_say("bench hibernate: %s",
			 err == -EIO	 ? "some could not be saved" :
			 err == -EBADMSG ? "a stack is not what it was" :
					   strerror(-err));
	return err ? -1 : 0;
}

static int open_arena(struct kmod_arena *arena, char *why, size_t size)
{
	int err = kmod_open_stacks(arena, STRIDE, STACKS, why, size);

	if (!err && !(arena->features & BURROW_FEATURE_HIBERNATE)) {
		snprintf(why, size, "this module has no hibernation");
		err = -EOPNOTSUPP;
	}
	if (!err)
		err = kmod_map_table(arena);
	return err;
}

static int run(const struct bench_options *options)
{
	int rounds = 1 + (options->runs ? options->runs : DEFAULT_RUNS);
	char why[256] = "no memory for a table";
	struct kmod_arena arena;
	int failed = 0;
	size_t i;

	bench_ns(0);
	if (!bench_wants(options, "kmod"))
		return 0;
	if (open_arena(&arena, why, sizeof(why)))
		bench_left_out("hibernate", "kmod", why);
	else
		for (i = 0; i < NLIVES && !tool_interrupted; i++)
			failed |= run_live(&arena, lives[i], rounds);
	kmod_close(&arena);
	return failed;
}

static const char *backend(size_t i)
{
	return i ? NULL : "kmod";
}

const struct bench bench_hibernate = {
	.name = "hibernate",
	.summary = "1,000 stacks are saved, and touched again",
	.backend = backend,
	.run = run,
};
