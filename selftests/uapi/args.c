// SPDX-License-Identifier: GPL-2.0
/*
 * How the ioctls take their arguments, the same for all of them: the size
 * first, unknown flags, padding, what the kernel does not know, memory that
 * can't be read. One table of valid calls, and each test breaks each of them.
 */
#include "../arena/arena.h"

FIXTURE(args)
{
	int fd;
	struct arena stack;
	struct arena heap;
	uint64_t bits[8];
	struct burrow_trim_entry entry;
	struct burrow_slot_state state;
	struct burrow_hibernate_entry parked;
	char saved[BURROW_SAVED_MIN];
	uint64_t slots[8];
};

FIXTURE_SETUP(args)
{
	self->fd = context_open();
	self->stack = stack_arena(self->fd, KIB(64), 8);
	self->heap = heap_arena(self->fd, MIB(2));
}

FIXTURE_TEARDOWN(args)
{
	close(self->fd);
}

union any {
	struct {
		__u32 size;
		__u32 flags;
	};
	struct burrow_version version;
	struct burrow_arena_create create;
	struct burrow_arena_destroy destroy;
	struct burrow_trim trim;
	struct burrow_slot_info info;
	struct burrow_dirty dirty;
	struct burrow_release release;
	struct burrow_context_stats stats;
	struct burrow_hibernate hibernate;
	struct burrow_saved saved;
	struct burrow_pgtables pgtables;
	struct burrow_restored restored;
	char bytes[PAGE];
};

/* Fields that must be 0 on the way in. */
#define ZERO(type, field)                                 \
	{                                                 \
#field, offsetof(struct type, field),     \
			sizeof(((struct type *)0)->field) \
	}

struct zero {
	const char *name;
	size_t at, n;
};

struct known_call {
	const char *name;
	unsigned long request;
	size_t size;
	size_t first; /* of the struct's first version */
	uint32_t flags;
	int kept; /* the call's result when all is well */
	struct zero zeroes[8];
};

static const struct known_call calls[] = {
	{ "version",
	  BURROW_IOC_VERSION,
	  sizeof(struct burrow_version),
	  sizeof(struct burrow_version),
	  0,
	  0,
	  {} },
	{ "create",
	  BURROW_IOC_ARENA_CREATE,
	  sizeof(struct burrow_arena_create),
	  sizeof(struct burrow_arena_create),
	  BURROW_ARENA_ZERO | BURROW_ARENA_DUMP,
	  0,
	  { ZERO(burrow_arena_create, bytes), ZERO(burrow_arena_create, arena),
	    ZERO(burrow_arena_create, pad), ZERO(burrow_arena_create, offset),
	    ZERO(burrow_arena_create, table_offset),
	    ZERO(burrow_arena_create, table_bytes) } },
	{ "destroy",
	  BURROW_IOC_ARENA_DESTROY,
	  sizeof(struct burrow_arena_destroy),
	  sizeof(struct burrow_arena_destroy),
	  0,
	  -EBUSY,
	  { ZERO(burrow_arena_destroy, pad) } },
	{ "trim",
	  BURROW_IOC_TRIM,
	  sizeof(struct burrow_trim),
	  sizeof(struct burrow_trim),
	  BURROW_TRIM_LAZY,
	  0,
	  { ZERO(burrow_trim, done), ZERO(burrow_trim, bytes) } },
	{ "info",
	  BURROW_IOC_SLOT_INFO,
	  sizeof(struct burrow_slot_info),
	  sizeof(struct burrow_slot_info),
	  0,
	  0,
	  { ZERO(burrow_slot_info, done) } },
	{ "dirty",
	  BURROW_IOC_DIRTY,
	  sizeof(struct burrow_dirty),
	  sizeof(struct burrow_dirty),
	  0,
	  0,
	  { ZERO(burrow_dirty, pad), ZERO(burrow_dirty, done),
	    ZERO(burrow_dirty, dirty) } },
	{ "release",
	  BURROW_IOC_RELEASE,
	  sizeof(struct burrow_release),
	  sizeof(struct burrow_release),
	  0,
	  0,
	  { ZERO(burrow_release, pad), ZERO(burrow_release, done) } },
	{ "stats",
	  BURROW_IOC_STATS,
	  sizeof(struct burrow_context_stats),
	  120,
	  BURROW_STATS_DRAIN,
	  0,
	  {} },
	{ "hibernate",
	  BURROW_IOC_HIBERNATE,
	  sizeof(struct burrow_hibernate),
	  sizeof(struct burrow_hibernate),
	  0,
	  0,
	  { ZERO(burrow_hibernate, done), ZERO(burrow_hibernate, bytes),
	    ZERO(burrow_hibernate, freed) } },
	{ "saved",
	  BURROW_IOC_SAVED,
	  sizeof(struct burrow_saved),
	  sizeof(struct burrow_saved),
	  BURROW_SAVED_NOTE | BURROW_SAVED_NEW,
	  0,
	  { ZERO(burrow_saved, pad), ZERO(burrow_saved, done),
	    ZERO(burrow_saved, count), ZERO(burrow_saved, next) } },
	{ "pgtables",
	  BURROW_IOC_PGTABLES,
	  sizeof(struct burrow_pgtables),
	  sizeof(struct burrow_pgtables),
	  0,
	  0,
	  { ZERO(burrow_pgtables, pad), ZERO(burrow_pgtables, bytes),
	    ZERO(burrow_pgtables, resident) } },
	{ "restored",
	  BURROW_IOC_RESTORED,
	  sizeof(struct burrow_restored),
	  sizeof(struct burrow_restored),
	  0,
	  0,
	  { ZERO(burrow_restored, pad), ZERO(burrow_restored, done) } },
};

/* A call that is right in every way. */
static void fill(struct _test_data_args *self, const struct known_call *c,
		 union any *any)
{
	memset(any, 0, sizeof(*any));
	any->size = c->size;
	switch (c->request) {
	case BURROW_IOC_VERSION:
		any->version.abi = BURROW_ABI;
		break;
	case BURROW_IOC_ARENA_CREATE:
		any->create.kind = BURROW_ARENA_STACK;
		any->create.stride = KIB(64);
		any->create.slots = 4;
		break;
	case BURROW_IOC_ARENA_DESTROY:
		any->destroy.arena = self->stack.create.arena;
		break;
	case BURROW_IOC_TRIM:
		self->entry = (struct burrow_trim_entry){ .slot = 1 };
		any->trim.arena = self->stack.create.arena;
		any->trim.count = 1;
		any->trim.entries = (uintptr_t)&self->entry;
		break;
	case BURROW_IOC_SLOT_INFO:
		any->info.arena = self->stack.create.arena;
		any->info.count = 1;
		any->info.states = (uintptr_t)&self->state;
		break;
	case BURROW_IOC_DIRTY:
		any->dirty.arena = self->heap.create.arena;
		any->dirty.pages = 512;
		any->dirty.bitmap = (uintptr_t)self->bits;
		break;
	case BURROW_IOC_RELEASE:
		any->release.arena = self->heap.create.arena;
		any->release.pages = 1;
		break;
	case BURROW_IOC_HIBERNATE:
		self->parked =
			(struct burrow_hibernate_entry){ .slot = 1, .live = 8 };
		any->hibernate.arena = self->stack.create.arena;
		any->hibernate.count = 1;
		any->hibernate.entries = (uintptr_t)&self->parked;
		break;
	case BURROW_IOC_SAVED:
		any->saved.arena = self->stack.create.arena;
		any->saved.slots = 8;
		any->saved.buffer = (uintptr_t)self->saved;
		any->saved.bytes = sizeof(self->saved);
		break;
	case BURROW_IOC_PGTABLES:
		any->pgtables.arena = self->stack.create.arena;
		any->pgtables.slots = 8;
		any->pgtables.most = 8;
		break;
	case BURROW_IOC_RESTORED:
		any->restored.arena = self->stack.create.arena;
		any->restored.slots = (uintptr_t)self->slots;
		any->restored.room = 8;
		break;
	}
}

static const struct known_call *const calls_end = calls + COUNT(calls);

/* NULL: there is none of that number. */
static const struct known_call *call_of(unsigned long request)
{
	const struct known_call *c;

	for (c = calls; c < calls_end; c++) {
		if (_IOC_NR(c->request) == _IOC_NR(request))
			return c;
	}
	return NULL;
}

TEST_F(args, valid_calls_are_taken)
{
	union any any;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		fill(self, c, &any);
		EXPECT_EQ(c->kept, call(self->fd, c->request, &any))
		TH_LOG("%s", c->name);
		EXPECT_EQ(c->size, any.size)
		TH_LOG("%s", c->name);
	}
}

TEST_F(args, each_unknown_flag_is_refused)
{
	union any any;
	int bit;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		for (bit = 0; bit < 32; bit++) {
			fill(self, c, &any);
			any.flags = 1U << bit;
			EXPECT_EQ(c->flags & any.flags ? c->kept : -EINVAL,
				  call(self->fd, c->request, &any))
			TH_LOG("%s, flag %d", c->name, bit);
		}
	}
}

TEST_F(args, short_structs_are_refused)
{
	union any any;
	size_t size;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		for (size = 0; size < c->first; size++) {
			fill(self, c, &any);
			any.size = size;
			EXPECT_EQ(-EINVAL, call(self->fd, c->request, &any))
			TH_LOG("%s, %zu bytes", c->name, size);
		}
	}
}

/* Programs of yesterday: what they do not know is neither read nor written. */
TEST_F(args, structs_from_the_first_version_on_are_taken)
{
	union any any;
	size_t size, i;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		for (size = c->first; size < c->size; size++) {
			fill(self, c, &any);
			any.size = size;
			memset(any.bytes + size, 0x5a, c->size - size);
			EXPECT_EQ(c->kept, call(self->fd, c->request, &any))
			TH_LOG("%s, %zu bytes", c->name, size);
			for (i = size; i < c->size; i++)
				EXPECT_EQ(0x5a, any.bytes[i])
			TH_LOG("%s, %zu bytes", c->name, size);
		}
	}
	/* And the number has the size in it that the struct had then. */
	any = (union any){ .size = 120 };
	EXPECT_EQ(0, call(self->fd, 0xc078b707, &any));
}

TEST_F(args, longer_structs_with_zeroes_are_taken)
{
	static const size_t more[] = { 1, 4, 8, 64, 1000 };
	union any any;
	size_t i;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		for (i = 0; i < COUNT(more); i++) {
			fill(self, c, &any);
			any.size = c->size + more[i];
			EXPECT_EQ(c->kept, call(self->fd, c->request, &any))
			TH_LOG("%s and %zu bytes", c->name, more[i]);
		}
		fill(self, c, &any);
		any.size = PAGE;
		EXPECT_EQ(c->kept, call(self->fd, c->request, &any))
		TH_LOG("%s as a page", c->name);
	}
}

TEST_F(args, longer_structs_with_something_in_it_are_too_big)
{
	static const size_t more[] = { 1, 4, 8, 64, 1000 };
	union any any;
	size_t i;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		for (i = 0; i < COUNT(more); i++) {
			fill(self, c, &any);
			any.size = c->size + more[i];
			any.bytes[any.size - 1] = 1;
			EXPECT_EQ(-E2BIG, call(self->fd, c->request, &any))
			TH_LOG("%s and %zu bytes", c->name, more[i]);
			/* What lies past the size is nobody's business. */
			fill(self, c, &any);
			any.size = c->size + more[i] - 1;
			any.bytes[c->size + more[i] - 1] = 1;
			EXPECT_EQ(c->kept, call(self->fd, c->request, &any))
			TH_LOG("%s and %zu bytes", c->name, more[i]);
		}
	}
}

TEST_F(args, absurd_sizes_are_refused)
{
	static const uint32_t sizes[] = { 1 << 20, 1U << 31, ~0U };
	union any any;
	size_t i;
	int err;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		for (i = 0; i < COUNT(sizes); i++) {
			fill(self, c, &any);
			any.size = sizes[i];
			err = call(self->fd, c->request, &any);
			EXPECT_TRUE(err == -E2BIG || err == -EFAULT)
			TH_LOG("%s as %u bytes: %d", c->name, sizes[i], err);
		}
	}
}

TEST_F(args, padding_and_out_fields_must_be_zero)
{
	const struct zero *z;
	union any any;
	size_t byte;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		for (z = c->zeroes; z->name; z++) {
			for (byte = 0; byte < z->n; byte++) {
				fill(self, c, &any);
				any.bytes[z->at + byte] = 1;
				EXPECT_EQ(-EINVAL,
					  call(self->fd, c->request, &any))
				TH_LOG("%s.%s, byte %zu", c->name, z->name,
				       byte);
			}
		}
	}
}

TEST_F(args, memory_that_is_not_there)
{
	static char *const nowhere[] = {
		NULL,
		(char *)8,
		(char *)-1L,
		(char *)0x7ffffffff000,
		(char *)0xffffffff81000000,
		(char *)0x8000000000000000,
	};
	size_t i;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		for (i = 0; i < COUNT(nowhere); i++)
			EXPECT_EQ(-EFAULT,
				  call(self->fd, c->request, nowhere[i]))
		TH_LOG("%s at %p", c->name, nowhere[i]);
	}
}

/* Two pages, the second one unmapped; returns the end of the first. */
static char *edge(void)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || munmap(p + PAGE, PAGE))
		die("mmap");
	return p + PAGE;
}

TEST_F(args, struct_across_the_edge_of_memory)
{
	char *end = edge();
	union any any;
	size_t in;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		for (in = 1; in <= c->size; in++) {
			fill(self, c, &any);
			memcpy(end - in, &any, in);
			EXPECT_EQ(in == c->size ? c->kept : -EFAULT,
				  call(self->fd, c->request, end - in))
			TH_LOG("%s, %zu bytes in", c->name, in);
		}
		/* A longer one too, whose tail is not there. */
		fill(self, c, &any);
		any.size = c->size + 8;
		memcpy(end - c->size - 4, &any, c->size + 4);
		EXPECT_EQ(-EFAULT,
			  call(self->fd, c->request, end - c->size - 4))
		TH_LOG("%s", c->name);
	}
}

TEST_F(args, misaligned_structs_are_taken)
{
	char room[sizeof(union any) + 8];
	union any any;

	for (const struct known_call *c = calls; c < calls_end; c++) {
		fill(self, c, &any);
		memcpy(room + 3, &any, c->size);
		EXPECT_EQ(c->kept, call(self->fd, c->request, room + 3))
		TH_LOG("%s", c->name);
	}
}

TEST_F(args, arrays_across_the_edge_of_memory)
{
	char *end = edge();
	union any any;

	fill(self, &calls[3], &any);
	any.trim.entries = (uintptr_t)(end - sizeof(self->entry) + 1);
	EXPECT_EQ(-EFAULT, call(self->fd, BURROW_IOC_TRIM, &any));

	fill(self, &calls[4], &any);
	any.info.states = (uintptr_t)(end - sizeof(self->state) + 1);
	EXPECT_EQ(-EFAULT, call(self->fd, BURROW_IOC_SLOT_INFO, &any));

	fill(self, &calls[5], &any);
	any.dirty.bitmap = (uintptr_t)(end - 8);
	EXPECT_EQ(-EFAULT, call(self->fd, BURROW_IOC_DIRTY, &any));

	fill(self, &calls[8], &any);
	any.hibernate.entries = (uintptr_t)(end - sizeof(self->parked) + 1);
	EXPECT_EQ(-EFAULT, call(self->fd, BURROW_IOC_HIBERNATE, &any));

	/* Of what is saved nothing is written that does not fit. */
	touch(slot_page(&self->stack, 1, 0));
	fill(self, &calls[8], &any);
	ASSERT_EQ(0, call(self->fd, BURROW_IOC_HIBERNATE, &any));
	ASSERT_EQ((int64_t)PAGE, self->parked.result);
	fill(self, &calls[9], &any);
	any.saved.buffer = (uintptr_t)(end - 31);
	EXPECT_EQ(-EFAULT, call(self->fd, BURROW_IOC_SAVED, &any));
	EXPECT_EQ(0, any.saved.done);
	EXPECT_EQ(0, any.saved.next);
	fill(self, &calls[9], &any);
	any.saved.buffer = (uintptr_t)(end - 32);
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_SAVED, &any));
	EXPECT_EQ(32, any.saved.done);
	EXPECT_EQ(8, any.saved.next);

	/* Nor of who was restored. */
	fill(self, &calls[9], &any);
	any.saved.flags = BURROW_SAVED_NOTE;
	ASSERT_EQ(0, call(self->fd, BURROW_IOC_SAVED, &any));
	touch(slot_page(&self->stack, 1, 0));
	fill(self, call_of(BURROW_IOC_RESTORED), &any);
	any.restored.slots = (uintptr_t)(end - 7);
	EXPECT_EQ(-EFAULT, call(self->fd, BURROW_IOC_RESTORED, &any));
	EXPECT_EQ(0, any.restored.done);
	fill(self, call_of(BURROW_IOC_RESTORED), &any);
	any.restored.slots = (uintptr_t)(end - 8);
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_RESTORED, &any));
	EXPECT_EQ(1, any.restored.done);
	EXPECT_EQ(1, *(uint64_t *)(end - 8));
}

/* Nothing to read or write means that nothing is read or written. */
TEST_F(args, empty_arrays_may_be_nowhere)
{
	union any any;

	fill(self, &calls[3], &any);
	any.trim.count = 0;
	any.trim.entries = 0;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_TRIM, &any));

	fill(self, &calls[4], &any);
	any.info.count = 0;
	any.info.states = 0;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_SLOT_INFO, &any));
	any.info.first = 8;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_SLOT_INFO, &any));

	fill(self, &calls[5], &any);
	any.dirty.pages = 0;
	any.dirty.bitmap = 0;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_DIRTY, &any));

	fill(self, &calls[6], &any);
	any.release.pages = 0;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_RELEASE, &any));

	fill(self, &calls[8], &any);
	any.hibernate.count = 0;
	any.hibernate.entries = 0;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_HIBERNATE, &any));

	fill(self, &calls[9], &any);
	any.saved.buffer = 0;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_SAVED, &any));
	fill(self, &calls[9], &any);
	any.saved.slots = 0;
	any.saved.first = 8;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_SAVED, &any));
	EXPECT_EQ(8, any.saved.next);

	fill(self, call_of(BURROW_IOC_RESTORED), &any);
	any.restored.slots = 0;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_RESTORED, &any));
}

TEST_F(args, ranges_that_do_not_fit)
{
	static const uint64_t huge[] = { ~0ULL, ~63ULL, 1ULL << 63,
					 1ULL << 52 };
	union any any;
	size_t i;

	for (i = 0; i < COUNT(huge); i++) {
		fill(self, &calls[4], &any);
		any.info.first = huge[i];
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_SLOT_INFO, &any));

		fill(self, &calls[5], &any);
		any.dirty.first_page = huge[i];
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_DIRTY, &any));
		fill(self, &calls[5], &any);
		any.dirty.pages = huge[i];
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_DIRTY, &any));
		fill(self, &calls[5], &any);
		any.dirty.first_page = 64;
		any.dirty.pages = -64ULL;
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_DIRTY, &any));

		fill(self, &calls[6], &any);
		any.release.first_page = huge[i];
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_RELEASE, &any));
		fill(self, &calls[6], &any);
		any.release.pages = huge[i];
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_RELEASE, &any));
		fill(self, &calls[6], &any);
		any.release.first_page = 2;
		any.release.pages = -2ULL;
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_RELEASE, &any));

		fill(self, &calls[9], &any);
		any.saved.first = huge[i];
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_SAVED, &any));
		fill(self, &calls[9], &any);
		any.saved.slots = huge[i];
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_SAVED, &any));
		fill(self, &calls[9], &any);
		any.saved.first = 2;
		any.saved.slots = -2ULL;
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_SAVED, &any));
	}
	fill(self, &calls[9], &any);
	any.saved.slots = 9;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_SAVED, &any));
	fill(self, &calls[9], &any);
	any.saved.bytes = BURROW_SAVED_MIN - 1;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_SAVED, &any));
	fill(self, &calls[4], &any);
	any.info.count = 9;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_SLOT_INFO, &any));
	fill(self, &calls[4], &any);
	any.info.first = 8;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_SLOT_INFO, &any));
	fill(self, &calls[6], &any);
	any.release.first_page = 512;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_RELEASE, &any));
}

TEST_F(args, harvests_are_in_words)
{
	union any any;
	uint64_t n;

	for (n = 1; n < 64; n++) {
		fill(self, &calls[5], &any);
		any.dirty.first_page = n;
		any.dirty.pages = 64;
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_DIRTY, &any));
		fill(self, &calls[5], &any);
		any.dirty.pages = n;
		EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_DIRTY, &any));
	}
}

TEST_F(args, numbers_and_kinds_of_arenas)
{
	static const uint32_t none[] = { 0, 3, 1024, 1025, 0x4000, ~0U };
	const uint32_t heap = self->heap.create.arena;
	union any any;
	size_t i;

	for (i = 0; i < COUNT(none); i++) {
		fill(self, &calls[2], &any);
		any.destroy.arena = none[i];
		EXPECT_EQ(-ENOENT,
			  call(self->fd, BURROW_IOC_ARENA_DESTROY, &any));
		fill(self, &calls[3], &any);
		any.trim.arena = none[i];
		EXPECT_EQ(-ENOENT, call(self->fd, BURROW_IOC_TRIM, &any));
		fill(self, &calls[4], &any);
		any.info.arena = none[i];
		EXPECT_EQ(-ENOENT, call(self->fd, BURROW_IOC_SLOT_INFO, &any));
		fill(self, &calls[5], &any);
		any.dirty.arena = none[i];
		EXPECT_EQ(-ENOENT, call(self->fd, BURROW_IOC_DIRTY, &any));
		fill(self, &calls[6], &any);
		any.release.arena = none[i];
		EXPECT_EQ(-ENOENT, call(self->fd, BURROW_IOC_RELEASE, &any));
		fill(self, &calls[8], &any);
		any.hibernate.arena = none[i];
		EXPECT_EQ(-ENOENT, call(self->fd, BURROW_IOC_HIBERNATE, &any));
		fill(self, &calls[9], &any);
		any.saved.arena = none[i];
		EXPECT_EQ(-ENOENT, call(self->fd, BURROW_IOC_SAVED, &any));
		fill(self, &calls[10], &any);
		any.pgtables.arena = none[i];
		EXPECT_EQ(-ENOENT, call(self->fd, BURROW_IOC_PGTABLES, &any));
		fill(self, call_of(BURROW_IOC_RESTORED), &any);
		any.restored.arena = none[i];
		EXPECT_EQ(-ENOENT, call(self->fd, BURROW_IOC_RESTORED, &any));
	}

	fill(self, &calls[3], &any);
	any.trim.arena = heap;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_TRIM, &any));
	fill(self, &calls[4], &any);
	any.info.arena = heap;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_SLOT_INFO, &any));
	fill(self, &calls[6], &any);
	any.release.arena = self->stack.create.arena;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_RELEASE, &any));
	fill(self, &calls[8], &any);
	any.hibernate.arena = heap;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_HIBERNATE, &any));
	fill(self, &calls[9], &any);
	any.saved.arena = heap;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_SAVED, &any));
	fill(self, &calls[10], &any);
	any.pgtables.arena = heap;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_PGTABLES, &any));
	fill(self, call_of(BURROW_IOC_RESTORED), &any);
	any.restored.arena = heap;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_RESTORED, &any));
}

TEST_F(args, numbers_that_are_no_calls)
{
	union any any = { 0 };
	unsigned long nr;

	for (nr = 0; nr < 256; nr++) {
		if (call_of(_IO(BURROW_IOC_MAGIC, nr)))
			continue;
		EXPECT_EQ(-ENOTTY, call(self->fd,
					_IOC(_IOC_READ | _IOC_WRITE,
					     BURROW_IOC_MAGIC, nr, 64),
					&any));
	}
	for (const struct known_call *c = calls; c < calls_end; c++) {
		nr = _IOC_NR(c->request);
		fill(self, c, &any);
		EXPECT_EQ(-ENOTTY,
			  call(self->fd, _IO(BURROW_IOC_MAGIC, nr), &any));
		EXPECT_EQ(-ENOTTY,
			  call(self->fd,
			       _IOC(_IOC_WRITE, BURROW_IOC_MAGIC, nr, c->size),
			       &any));
		EXPECT_EQ(-ENOTTY,
			  call(self->fd,
			       _IOC(_IOC_READ, BURROW_IOC_MAGIC, nr, c->size),
			       &any));
		EXPECT_EQ(-ENOTTY, call(self->fd,
					_IOC(_IOC_READ | _IOC_WRITE,
					     BURROW_IOC_MAGIC + 1, nr, c->size),
					&any));
		/* The size in the number says nothing, the struct's own does. */
		EXPECT_EQ(c->kept, call(self->fd,
					_IOC(_IOC_READ | _IOC_WRITE,
					     BURROW_IOC_MAGIC, nr, 4096),
					&any))
		TH_LOG("%s", c->name);
	}
}

/* A call that failed can be made again with the struct that it was given. */
TEST_F(args, failure_leaves_the_argument_as_it_was)
{
	struct burrow_arena_create before, create = {
		.size = sizeof(create),
		.kind = BURROW_ARENA_STACK,
		.stride = KIB(64),
		.slots = 4,
	};
	int i, err = 0;

	for (i = 0; i < BURROW_ARENAS_MAX && !err; i++) {
		before = (struct burrow_arena_create){
			.size = sizeof(create),
			.kind = BURROW_ARENA_STACK,
			.stride = KIB(64),
			.slots = 4,
		};
		create = before;
		err = call(self->fd, BURROW_IOC_ARENA_CREATE, &create);
	}
	/* The fixture has made two of them. */
	EXPECT_EQ(BURROW_ARENAS_MAX - 1, i);
	EXPECT_EQ(-EBUSY, err);
	EXPECT_EQ(0, memcmp(&before, &create, sizeof(create)));
}

ARENA_TEST_MAIN
