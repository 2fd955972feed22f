// SPDX-License-Identifier: GPL-2.0
/*
 * What can be seen: each event with the fields that are promised and, for a
 * known sequence of calls, the values; and the view in debugfs beside the
 * counters of the ioctl.
 */
#include <ctype.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "arena.h"

#define TRACING "/sys/kernel/tracing/"
#define EVENTS TRACING "events/burrow/"
#define VIEW "/sys/kernel/debug/burrow/"
#define CONTEXT_LIMIT "/sys/module/burrow/parameters/context_limit"

static bool have_tracing(void)
{
	return !access(EVENTS "enable", W_OK);
}

/* ---- formats -------------------------------------------------------------------- */

static const struct {
	const char *event;
	const char *fields[8];
} promised[] = {
	{ "burrow_arena_create",
	  { "pid", "arena", "kind", "bytes", "stride" } },
	{ "burrow_arena_destroy",
	  { "pid", "arena", "kind", "bytes", "stride" } },
	{ "burrow_stack_grow",
	  { "pid", "arena", "slot", "goroutine", "old_bytes", "new_bytes",
	    "recycled" } },
	{ "burrow_stack_overflow",
	  { "pid", "arena", "slot", "goroutine", "address", "limit" } },
	{ "burrow_stack_trim",
	  { "pid", "arena", "slot", "goroutine", "old_bytes", "new_bytes" } },
	{ "burrow_stack_hibernate",
	  { "pid", "arena", "slot", "goroutine", "old_bytes", "new_bytes",
	    "live_bytes" } },
	{ "burrow_stack_restore",
	  { "pid", "arena", "slot", "goroutine", "old_bytes", "new_bytes",
	    "live_bytes" } },
	{ "burrow_heap_dirty",
	  { "pid", "arena", "first_page", "pages", "dirty" } },
	{ "burrow_limit", { "pid", "arena", "what", "bytes", "limit" } },
};

/* "field:TYPE NAME;" or "field:TYPE NAME[N];" */
static bool format_has(const char *format, const char *field)
{
	size_t n = strlen(field);
	const char *at = format;

	while ((at = strstr(at, field))) {
		if (at[-1] == ' ' && (at[n] == ';' || at[n] == '['))
			return true;
		at += n;
	}
	return false;
}

TEST(formats)
{
	char path[128], format[8192];
	size_t i, j;

	if (!have_tracing())
		SKIP(return, "no tracefs here");
	for (i = 0; i < COUNT(promised); i++) {
		snprintf(path, sizeof(path), EVENTS "%s/format",
			 promised[i].event);
		ASSERT_LT(0, slurp(path, format, sizeof(format)))
		TH_LOG("no event %s", promised[i].event);
		for (j = 0; promised[i].fields[j]; j++)
			EXPECT_TRUE(format_has(format, promised[i].fields[j]))
		TH_LOG("%s has no %s", promised[i].event,
		       promised[i].fields[j]);
	}
}

/* ---- values ---------------------------------------------------------------------- */

FIXTURE(trace)
{
	int fd;
	int instance; /* whether there is one */
	char path[128]; /* of an instance of tracing of our own */
	char limit[64];
	char *text;
};

#define TEXT (1 << 20)

static int instance_write(struct _test_data_trace *self, const char *name,
			  const char *value)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", self->path, name);
	return spew(path, value);
}

FIXTURE_SETUP(trace)
{
	self->fd = context_open();
	self->text = malloc(TEXT);
	if (slurp(CONTEXT_LIMIT, self->limit, sizeof(self->limit)) < 0)
		die(CONTEXT_LIMIT);
	snprintf(self->path, sizeof(self->path), TRACING "instances/burrow-%d",
		 getpid());
	self->instance = have_tracing() && !mkdir(self->path, 0755);
	if (self->instance && instance_write(self, "events/burrow/enable", "1"))
		die("cannot enable events");
}

FIXTURE_TEARDOWN(trace)
{
	close(self->fd);
	spew(CONTEXT_LIMIT, self->limit);
	if (self->instance) {
		instance_write(self, "events/burrow/enable", "0");
		rmdir(self->path);
	}
}

/* The lines of one event, from "EVENT: " on, into @lines; how many. */
static unsigned int events(struct _test_data_trace *self, const char *event,
			   char **lines, unsigned int most)
{
	char path[192], needle[64], *at;
	unsigned int n = 0;

	snprintf(path, sizeof(path), "%s/trace", self->path);
	if (slurp(path, self->text, TEXT) < 0)
		die("cannot read the trace");
	snprintf(needle, sizeof(needle), ": %s: ", event);
	for (at = self->text; n < most && (at = strstr(at, needle)); at++) {
		lines[n] = at + strlen(needle);
		at = strchr(lines[n], '\n');
		if (!at)
			break;
		*at = 0;
		n++;
	}
	return n;
}

/* The number after NAME= in a line; all ones if it is not there. */
static uint64_t value(const char *line, const char *name)
{
	size_t n = strlen(name);
	const char *at = line;

	for (; (at = strstr(at, name)); at += n)
		if ((at == line || at[-1] == ' ') && at[n] == '=')
			return strtoull(at + n + 1, NULL, 0);
	return ~0ULL;
}

TEST_F(trace, arenas)
{
	struct arena stack, heap;
	char *lines[4], *when[2] = { "create", "destroy" };
	unsigned int i;
	char event[64];

	if (!self->instance)
		SKIP(return, "no tracefs here");
	stack = stack_arena(self->fd, KIB(64), 40);
	heap = heap_arena(self->fd, MIB(6));
	arena_unmap(&stack);
	ASSERT_EQ(0, arena_destroy(&stack));
	/* One by the call, the other with its context. */
	arena_unmap(&heap);
	close(self->fd);
	self->fd = context_open();

	for (i = 0; i < 2; i++) {
		snprintf(event, sizeof(event), "burrow_arena_%s", when[i]);
		ASSERT_EQ(2, events(self, event, lines, 4));
		EXPECT_EQ(getpid(), value(lines[0], "pid"));
		EXPECT_EQ(stack.create.arena, value(lines[0], "arena"));
		EXPECT_EQ(MIB(4), value(lines[0], "bytes"));
		EXPECT_EQ(KIB(64), value(lines[0], "stride"));
		EXPECT_NE(NULL, strstr(lines[0], "kind=stack"));
		EXPECT_EQ(heap.create.arena, value(lines[1], "arena"));
		EXPECT_EQ(MIB(6), value(lines[1], "bytes"));
		EXPECT_EQ(0, value(lines[1], "stride"));
		EXPECT_NE(NULL, strstr(lines[1], "kind=heap"));
	}
}

TEST_F(trace, a_stack_s_life)
{
	/* What each grow says: goroutine, old and new pages, recycled. */
	static const unsigned int grows[][4] = {
		{ 0, 0, 1, 0 },	  { 77, 1, 2, 0 }, { 77, 2, 4, 0 },
		{ 77, 4, 10, 0 }, { 77, 3, 6, 3 }, { 78, 6, 12, 4 },
	};
	struct arena stack = stack_arena(self->fd, KIB(256), 40);
	char *lines[16];
	unsigned int i;

	if (!self->instance)
		SKIP(return, "no tracefs here");
	touch(slot_page(&stack, 5, 0));
	stack.table[5].goroutine = 77;
	touch(slot_page(&stack, 5, 1));
	touch(slot_page(&stack, 5, 2));
	touch(slot_page(&stack, 5, 9));
	EXPECT_EQ((int64_t)(7 * PAGE), trim_slot(&stack, 5, 3 * PAGE));
	touch(slot_page(&stack, 5, 3));
	stack.table[5].goroutine = 78;
	touch(slot_page(&stack, 5, 6));
	EXPECT_EQ(SIGSEGV, poke_write(slot_limit(&stack, 5) - 300));

	ASSERT_EQ(COUNT(grows), events(self, "burrow_stack_grow", lines, 16));
	for (i = 0; i < COUNT(grows); i++) {
		EXPECT_EQ(getpid(), value(lines[i], "pid"));
		EXPECT_EQ(stack.create.arena, value(lines[i], "arena"));
		EXPECT_EQ(5, value(lines[i], "slot"));
		EXPECT_EQ(grows[i][0], value(lines[i], "goroutine"));
		EXPECT_EQ(grows[i][1] * PAGE, value(lines[i], "old_bytes"));
		EXPECT_EQ(grows[i][2] * PAGE, value(lines[i], "new_bytes"));
		EXPECT_EQ(grows[i][3], value(lines[i], "recycled"));
	}

	ASSERT_EQ(1, events(self, "burrow_stack_trim", lines, 16));
	EXPECT_EQ(getpid(), value(lines[0], "pid"));
	EXPECT_EQ(stack.create.arena, value(lines[0], "arena"));
	EXPECT_EQ(5, value(lines[0], "slot"));
	EXPECT_EQ(77, value(lines[0], "goroutine"));
	EXPECT_EQ(10 * PAGE, value(lines[0], "old_bytes"));
	EXPECT_EQ(3 * PAGE, value(lines[0], "new_bytes"));

	ASSERT_EQ(1, events(self, "burrow_stack_overflow", lines, 16));
	EXPECT_EQ(getpid(), value(lines[0], "pid"));
	EXPECT_EQ(stack.create.arena, value(lines[0], "arena"));
	EXPECT_EQ(5, value(lines[0], "slot"));
	EXPECT_EQ(78, value(lines[0], "goroutine"));
	EXPECT_EQ((uintptr_t)slot_limit(&stack, 5) - 300,
		  value(lines[0], "address"));
	EXPECT_EQ(KIB(256) - stack.create.guard, value(lines[0], "limit"));
}

TEST_F(trace, one_trim_event_for_each_slot)
{
	struct arena stack = stack_arena(self->fd, KIB(256), 40);
	struct burrow_trim_entry entries[40];
	char *lines[64];
	unsigned int i;

	if (!self->instance)
		SKIP(return, "no tracefs here");
	for (i = 0; i < 40; i++) {
		touch(slot_page(&stack, i, i % 4));
		entries[i] = (struct burrow_trim_entry){
			.slot = i,
			.keep = PAGE,
		};
	}
	entries[7].word = 1;
	ASSERT_EQ(0, trim(&stack, entries, 40, NULL));
	/* None for those that kept what they had, or were refused. */
	ASSERT_EQ(29, events(self, "burrow_stack_trim", lines, 64));
	for (i = 0; i < 29; i++) {
		uint64_t slot = value(lines[i], "slot");

		EXPECT_NE(0, slot % 4);
		EXPECT_EQ((slot % 4 + 1) * PAGE, value(lines[i], "old_bytes"));
		EXPECT_EQ(PAGE, value(lines[i], "new_bytes"));
	}
}

TEST_F(trace, a_stack_that_hibernates)
{
	static const char *const when[] = { "hibernate", "restore" };
	static const uint64_t pages[] = { 7, 0, 1 };
	struct arena stack = stack_arena(self->fd, KIB(256), 40);
	struct burrow_hibernate_entry entries[] = {
		{ .slot = 3, .live = 100 },
		{ .slot = 4, .live = 100, .word = 1 },
		{ .slot = 5, .live = 100 },
	};
	struct burrow_hibernate args = {
		.size = sizeof(args),
		.arena = stack.create.arena,
		.count = COUNT(entries),
		.entries = (uintptr_t)entries,
	};
	char *lines[8], event[64];
	unsigned int i;

	if (!self->instance)
		SKIP(return, "no tracefs here");
	touch(slot_page(&stack, 3, 6));
	touch(slot_page(&stack, 4, 6));
	stack.table[3].goroutine = 77;
	ASSERT_EQ(0, call(self->fd, BURROW_IOC_HIBERNATE, &args));
	touch(slot_page(&stack, 3, 1));
	for (i = 0; i < COUNT(when); i++) {
		snprintf(event, sizeof(event), "burrow_stack_%s", when[i]);
		ASSERT_EQ(1, events(self, event, lines, 8));
		EXPECT_EQ(getpid(), value(lines[0], "pid"));
		EXPECT_EQ(stack.create.arena, value(lines[0], "arena"));
		EXPECT_EQ(3, value(lines[0], "slot"));
		EXPECT_EQ(77, value(lines[0], "goroutine"));
		EXPECT_EQ(104, value(lines[0], "live_bytes"));
		EXPECT_EQ(pages[i] * PAGE, value(lines[0], "old_bytes"));
		EXPECT_EQ(pages[i + 1] * PAGE, value(lines[0], "new_bytes"));
	}
	/* The growth that the touch wanted begins at what was restored. */
	ASSERT_EQ(3, events(self, "burrow_stack_grow", lines, 8));
	EXPECT_EQ(PAGE, value(lines[2], "old_bytes"));
	EXPECT_EQ(2 * PAGE, value(lines[2], "new_bytes"));
}

TEST_F(trace, harvests)
{
	struct arena heap = heap_arena(self->fd, MIB(8));
	uint64_t bits[2048 / 64];
	char *lines[8];
	unsigned int i;

	if (!self->instance)
		SKIP(return, "no tracefs here");
	harvest(&heap, 0, 2048, bits);
	for (i = 0; i < 7; i++)
		touch(heap.base + MIB(2) + i * 3 * PAGE);
	ASSERT_EQ(7, harvest(&heap, 512, 1024, bits));
	ASSERT_EQ(1, events(self, "burrow_heap_dirty", lines, 8));
	EXPECT_EQ(getpid(), value(lines[0], "pid"));
	EXPECT_EQ(heap.create.arena, value(lines[0], "arena"));
	EXPECT_EQ(512, value(lines[0], "first_page"));
	EXPECT_EQ(1024, value(lines[0], "pages"));
	EXPECT_EQ(7, value(lines[0], "dirty"));
}

TEST_F(trace, limits)
{
	struct arena heap = heap_arena(self->fd, MIB(8));
	uint64_t held = context_stats(self->fd).user_bytes;
	char *lines[8], text[32];

	if (!self->instance)
		SKIP(return, "no tracefs here");
	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)(held + 3 * PAGE));
	ASSERT_EQ(0, spew(CONTEXT_LIMIT, text));
	fault_catch();
	EXPECT_EQ(0, poke_write(heap.base));
	EXPECT_EQ(0, poke_write(heap.base + PAGE));
	EXPECT_EQ(0, poke_write(heap.base + PAGE * 2));
	EXPECT_EQ(SIGBUS, poke_write(heap.base + PAGE * 3));
	spew(CONTEXT_LIMIT, self->limit);
	ASSERT_EQ(context_stats(self->fd).limits,
		  events(self, "burrow_limit", lines, 8));
	EXPECT_EQ(getpid(), value(lines[0], "pid"));
	EXPECT_EQ(0, value(lines[0], "arena"));
	EXPECT_NE(NULL, strstr(lines[0], "what=context"));
	EXPECT_EQ(held + 3 * PAGE, value(lines[0], "bytes"));
	EXPECT_EQ(held + 3 * PAGE, value(lines[0], "limit"));
}

struct other {
	pid_t owner;
	char *at;
};

static int touches_for_the_owner(void *arg)
{
	struct other *o = arg;
	struct iovec local = { "x", 1 }, remote = { o->at, 1 };

	return process_vm_writev(o->owner, &local, 1, &remote, 1, 0) != 1;
}

/* pid is the owner's, whoever makes the fault. */
TEST_F(trace, the_owner_is_named)
{
	struct arena stack = stack_arena(self->fd, KIB(256), 4);
	struct other o = { getpid(), slot_page(&stack, 1, 3) };
	char *lines[4];

	if (!self->instance)
		SKIP(return, "no tracefs here");
	ASSERT_EQ(0, in_child(touches_for_the_owner, &o));
	ASSERT_EQ(1, events(self, "burrow_stack_grow", lines, 4));
	EXPECT_EQ(getpid(), value(lines[0], "pid"));
	EXPECT_EQ(1, value(lines[0], "slot"));
	EXPECT_EQ(4 * PAGE, value(lines[0], "new_bytes"));
}

/* A histogram needs no program; it must be taken away before the module is. */
TEST_F(trace, histogram)
{
	static const char on[] = "hist:keys=new_bytes:vals=recycled";
	const char *event = EVENTS "burrow_stack_grow/trigger";
	struct arena stack = stack_arena(self->fd, KIB(256), 40);
	unsigned int i;
	int err;

	if (!have_tracing())
		SKIP(return, "no tracefs here");
	err = spew(event, on);
	if (err)
		SKIP(return, "this kernel makes no histograms of events");
	for (i = 0; i < 40; i++)
		touch(slot_page(&stack, i, 6));
	slurp(EVENTS "burrow_stack_grow/hist", self->text, TEXT);
	EXPECT_EQ(0, spew(event, "!hist:keys=new_bytes:vals=recycled"));
	EXPECT_NE(NULL, strstr(self->text, "new_bytes:      28672"))
	TH_LOG("%s", self->text);
	EXPECT_NE(NULL, strstr(self->text, "hitcount:         40"));
}

/* ---- debugfs ------------------------------------------------------------------------ */

/* The stats of the newest context of this process. */
static ssize_t view(char *text, size_t size)
{
	char path[320], best[256] = "";
	unsigned int number, newest = 0, pid;
	struct dirent *entry;
	DIR *dir = opendir(VIEW);

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		if (sscanf(entry->d_name, "%u-%u", &pid, &number) == 2 &&
		    pid == (unsigned int)getpid() && number >= newest) {
			newest = number;
			snprintf(best, sizeof(best), "%s", entry->d_name);
		}
	closedir(dir);
	snprintf(path, sizeof(path), VIEW "%s/stats", best);
	return slurp(path, text, size);
}

static uint64_t line_of(const char *text, const char *name)
{
	char needle[64];
	const char *at;

	snprintf(needle, sizeof(needle), "\n%s ", name);
	at = strstr(text, needle);
	return at ? strtoull(at + strlen(needle), NULL, 10) : ~0ULL;
}

TEST_F(trace, view)
{
	struct arena stack = stack_arena(self->fd, KIB(256), 40);
	struct arena heap = heap_arena(self->fd, MIB(2));
	struct burrow_context_stats s;
	unsigned int i;

	for (i = 0; i < 20; i++)
		touch(slot_page(&stack, i, i % 5));
	touch(heap.base);
	trim_slot(&stack, 3, 0);
	trim_slot(&stack, 4, PAGE);
	touch(slot_page(&stack, 30, 0));
	poke_write(slot_limit(&stack, 3) - 1);
	self->text[0] = '\n';
	if (view(self->text + 1, TEXT - 1) < 0)
		SKIP(return, "no debugfs here");
	s = context_stats(self->fd);
	EXPECT_EQ(getpid(), line_of(self->text, "pid"));
	EXPECT_EQ(s.stack_bytes, line_of(self->text, "stack_bytes"));
	EXPECT_EQ(s.heap_bytes, line_of(self->text, "heap_bytes"));
	EXPECT_EQ(s.pool_bytes, line_of(self->text, "pool_bytes"));
	EXPECT_EQ(s.table_bytes, line_of(self->text, "table_bytes"));
	EXPECT_EQ(s.user_bytes, line_of(self->text, "user_bytes"));
	EXPECT_EQ(s.faults, line_of(self->text, "faults"));
	EXPECT_EQ(s.grows, line_of(self->text, "grows"));
	EXPECT_EQ(s.recycled, line_of(self->text, "recycled_pages"));
	EXPECT_EQ(s.fresh, line_of(self->text, "fresh_pages"));
	EXPECT_EQ(2, line_of(self->text, "trims"));
	EXPECT_EQ(0, line_of(self->text, "trim_races"));
	EXPECT_EQ(1, line_of(self->text, "overflows"));
	EXPECT_EQ(0, line_of(self->text, "limits"));
	EXPECT_EQ(0, line_of(self->text, "nomem"));
	EXPECT_LE(s.stack_bytes + s.heap_bytes + s.pool_bytes + s.table_bytes,
		  line_of(self->text, "held_bytes"));
	/* Growth by size: 4 of one page and one more, 4 of two, 8 of 3 and 4, 4 of 5. */
	EXPECT_EQ(5, line_of(self->text, "grow_to_4096"));
	EXPECT_EQ(4, line_of(self->text, "grow_to_8192"));
	EXPECT_EQ(8, line_of(self->text, "grow_to_16384"));
	EXPECT_EQ(4, line_of(self->text, "grow_to_32768"));
	EXPECT_EQ(~0ULL, line_of(self->text, "grow_to_65536"));
}

ARENA_TEST_MAIN
