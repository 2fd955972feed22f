/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of hibernation share: a fixture of a context with an arena of
 * 1,000 stacks, live bytes that tell their slot and place, the calls. Limits are
 * as they were afterwards.
 */
#ifndef HIBERNATE_H
#define HIBERNATE_H

#include "arena.h"

#define PARAMETERS "/sys/module/burrow/parameters/"

/* The module's bound for live bytes, if nobody sets another. */
#define BOUND 3264

static const char *const parameters[] = {
	PARAMETERS "context_limit",
	PARAMETERS "hibernate_limit",
};

static char before[COUNT(parameters)][64];

static void parameters_restore(void)
{
	size_t i;

	for (i = 0; i < COUNT(parameters); i++)
		if (before[i][0])
			spew(parameters[i], before[i]);
}

static void __attribute__((constructor)) parameters_save(void)
{
	size_t i;

	for (i = 0; i < COUNT(parameters); i++)
		slurp(parameters[i], before[i], sizeof(before[i]));
	atexit(parameters_restore);
}

static UNUSED void set_parameter(const char *name, uint64_t value)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	if (spew(path, text))
		die("cannot write %s", path);
}

FIXTURE(hibernate)
{
	int fd;
	struct arena arena; /* 256 KiB, so 8 slots a block */
};

FIXTURE_SETUP(hibernate)
{
	parameters_restore();
	self->fd = context_open();
	self->arena = stack_arena(self->fd, KIB(256), 1000);
	fault_catch();
}

FIXTURE_TEARDOWN(hibernate)
{
	close(self->fd);
	parameters_restore();
}

/* ---- what stacks hold ------------------------------------------------------- */

/* The byte @depth bytes below the upper end of a slot, from 1 on. */
static UNUSED unsigned char live_byte(uint64_t slot, uint64_t depth)
{
	return slot * 31 + depth * 7 + depth / 251;
}

/* A stack of @pages whose upper @live bytes tell where they are. */
static UNUSED void park(const struct arena *arena, uint64_t slot,
			uint64_t pages, uint64_t live)
{
	char *top = slot_top(arena, slot);
	uint64_t depth;

	touch(slot_page(arena, slot, pages - 1));
	memset(top - pages * PAGE, 0xdd, pages * PAGE);
	for (depth = 1; depth <= live; depth++)
		top[-(int64_t)depth] = live_byte(slot, depth);
}

/* Do the @live bytes that end at @top tell that they are @slot's? */
static UNUSED bool are_live(const char *top, uint64_t slot, uint64_t live)
{
	const unsigned char *at = (const unsigned char *)top;
	uint64_t depth;

	for (depth = 1; depth <= live; depth++)
		if (at[-(int64_t)depth] != live_byte(slot, depth))
			return false;
	return true;
}

static UNUSED bool is_whole(const struct arena *arena, uint64_t slot,
			    uint64_t live)
{
	return are_live(slot_top(arena, slot), slot, live);
}

/* ---- calls ------------------------------------------------------------------ */

static UNUSED int hibernate(const struct arena *arena,
			    struct burrow_hibernate_entry *entries,
			    uint32_t count, struct burrow_hibernate *told)
{
	struct burrow_hibernate args = {
		.size = sizeof(args),
		.arena = arena->create.arena,
		.count = count,
		.entries = (uintptr_t)entries,
	};
	int err = call(arena->fd, BURROW_IOC_HIBERNATE, &args);

	if (!err && args.done != count)
		die("hibernation did %llu of %u", (unsigned long long)args.done,
		    count);
	if (told)
		*told = args;
	return err;
}

/* Hibernates one slot with the word that its entry has; returns the result. */
static UNUSED int64_t hibernate_slot(const struct arena *arena, uint64_t slot,
				     uint64_t live)
{
	struct burrow_hibernate_entry entry = {
		.slot = slot,
		.live = live,
		.word = __atomic_load_n(&arena->table[slot].word,
					__ATOMIC_RELAXED),
	};

	if (hibernate(arena, &entry, 1, NULL))
		die("BURROW_IOC_HIBERNATE");
	return entry.result;
}

/* What is saved of slots from @first on; what of them did not fit is next. */
static UNUSED struct burrow_saved saved_from(const struct arena *arena,
					     uint64_t first, uint64_t slots,
					     void *buffer, uint64_t bytes)
{
	struct burrow_saved args = {
		.size = sizeof(args),
		.arena = arena->create.arena,
		.first = first,
		.slots = slots,
		.buffer = (uintptr_t)buffer,
		.bytes = bytes,
	};

	if (call(arena->fd, BURROW_IOC_SAVED, &args))
		die("BURROW_IOC_SAVED");
	return args;
}

#endif /* HIBERNATE_H */
