// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Whether memory is short: stacks hold more of it than there is left. Then those who run
 * goroutines help to have parked ones hibernate (hibernate.c); it is over when a quarter
 * more is left than stacks hold.
 *
 * What is left is the least of what the module's limits leave, of the memory limit of
 * this run less all that the module holds for it, and of what the system and the cgroup
 * have. The last is a file or two to read, so it is read once a second, and more often
 * only while it decides; in between it shrinks by what the module's share has grown.
 *
 * Called by the monitor; no lock. What it finds is read by all, and runtime.help asks
 * them for help, until there is nobody to look at for a while.
 */
#include "../gc/limit.h"
#include "sched.h"
#include "shortage.h"

#define READ_NS 1000000000LL /* between looks at files, and */
#define HURRY_NS 100000000LL /* if they say that memory is short */
#define LEAST (1ULL << 20) /* bytes of stacks; fewer are never too many */

/**
 * struct look - what was found
 * @is_short:	memory is; set with atomics
 * @at:		when files were read, burrow_now(); 0: never
 * @left:	what they said that is left, bytes
 * @held:	what the module held for us then, bytes
 */
static struct look {
	bool is_short;
	int64_t at;
	uint64_t left;
	uint64_t held;
} look;

bool burrow_shortage(void)
{
	return READ_ONCE(look.is_short);
}

void burrow_shortage_open(void)
{
	look.at = 0;
	WRITE_ONCE(look.is_short, false);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static bool is_short(const struct burrow_stack_memory *m, uint64_t left)
{
	/* Who is short of memory has to be much better off to be so no more. */
	if (burrow_shortage())
		left -= left / 4;
	return m->stacks >= LEAST && m->stacks > left;
}

static bool look_around(const struct burrow_stack_memory *m, int64_t now)
{
	int64_t due = burrow_shortage() ? HURRY_NS : READ_NS;
	uint64_t left = less(look.left, less(m->held, look.held));

	if (look.at && now - look.at < due &&
	    (burrow_shortage() || now - look.at < HURRY_NS ||
	     !is_short(m, left)))
		return is_short(m, left);
	look.at = now;
	look.left = burrow_memory_left();
	look.held = m->held;
	return is_short(m, look.left);
}

void burrow_shortage_watch(int64_t now)
{
	struct burrow_runtime *rt = &burrow_runtime;
	uint64_t limit = rt->config.gc.limit;
	struct burrow_stack_memory m;
	bool is = false;

	if (!rt->pool->backend->memory(rt->pool, &m) && m.stacks >= LEAST) {
		if (limit)
			m.left = least(m.left, less(limit, m.held));
		is = is_short(&m, m.left) || look_around(&m, now);
	}
	if (is != look.is_short)
		WRITE_ONCE(look.is_short, is);
	if (is != READ_ONCE(rt->help))
		WRITE_ONCE(rt->help, is);
}
