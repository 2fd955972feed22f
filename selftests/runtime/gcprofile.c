// SPDX-License-Identifier: GPL-2.0
/*
 * The heap profile and the heap dump, read back. With two arguments it is no test
 * but a program that writes one of each, for gcreport.sh.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "gc.h"

#define NODES 500

static bool begins_with(const char *text, const char *what)
{
	return !strncmp(text, what, strlen(what));
}

struct node {
	struct node *next;
	uint64_t number;
	uint64_t rest[4];
};

BURROW_TYPE(node_type, struct node, next);

static struct node *head;
static void *volatile sink;

__attribute__((noipa)) static void make_nodes(int n)
{
	struct node *node;

	for (head = NULL; n; n--) {
		node = burrow_new(&node_type);
		node->next = head;
		node->number = n;
		head = node;
	}
}

__attribute__((noipa)) static void make_garbage(int n)
{
	while (n--)
		sink = burrow_alloc(48);
}

/* What was written to a file in memory, with a zero at its end. */
static char *text_of(int fd)
{
	off_t len = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, len + 1);

	CHECK(pread(fd, text, len, 0) == len);
	close(fd);
	return text;
}

static char *profile_text(void)
{
	int fd = memfd_create("profile", MFD_CLOEXEC);

	CHECK(burrow_heap_profile(fd) == 0);
	return text_of(fd);
}

struct counts {
	uint64_t now;
	uint64_t now_bytes;
	uint64_t made;
	uint64_t made_bytes;
};

/* All sites whose backtrace begins in a function. */
static struct counts counts_of(const char *profile, const char *function)
{
	struct counts sum = { 0 }, c;
	const char *line = profile;
	char want[128];

	snprintf(want, sizeof(want), "\t%s+", function);
	while ((line = strchr(line, '\n'))) {
		const char *names = strchr(++line, '\n');
		const char *end = names ? strchr(names + 1, '\n') : NULL;
		const char *at = names ? strstr(names, want) : NULL;

		if (sscanf(line, "%lu: %lu [%lu: %lu] @ ", &c.now, &c.now_bytes,
			   &c.made, &c.made_bytes) != 4 ||
		    !at || !end || at > end)
			continue;
		sum.now += c.now;
		sum.now_bytes += c.now_bytes;
		sum.made += c.made;
		sum.made_bytes += c.made_bytes;
	}
	return sum;
}

TEST_GC(every_object_by_its_site)
{
	struct counts c;
	char *text;

	CHECK(burrow_heap_profile_rate(1) == 0);
	make_nodes(NODES);
	make_garbage(NODES);
	collect();
	text = profile_text();
	CHECK(begins_with(text, "heap profile: "));
	CHECK(strstr(text, " @ heap_v2/1\n"));
	CHECK(strstr(text, "\nMAPPED_LIBRARIES:\n"));
	c = counts_of(text, "make_nodes");
	CHECK(c.made == NODES && c.now == NODES);
	CHECK(c.now_bytes == NODES * sizeof(struct node));
	c = counts_of(text, "make_garbage");
	/* The cache may have had some from before. */
	CHECK(c.made <= NODES && c.made >= NODES - 100);
	CHECK(c.now < NODES / 4);
	free(text);
	head = NULL;
	collect();
	text = profile_text();
	c = counts_of(text, "make_nodes");
	CHECK(c.made == NODES && c.now < NODES / 2);
	free(text);
	CHECK(burrow_heap_profile_rate(0) == 1);
}

__attribute__((noipa)) static void make_one(void)
{
	sink = burrow_alloc(48);
}

__attribute__((noipa)) static void make_other(void)
{
	sink = burrow_alloc(48);
}

__attribute__((noipa)) static void make_large(void)
{
	sink = burrow_alloc_noscan(MIB);
}

static bool is_near(uint64_t got, uint64_t want)
{
	/* Its standard deviation is the root; six of them. */
	uint64_t off = got > want ? got - want : want - got;

	return off * off < 36 * want;
}

/* In turns: what begins a run would always be the same one's. */
TEST_GC(samples_are_fair)
{
	enum { RATE = 4096, N = 200000 };
	struct counts c;
	char *text;
	int i;

	burrow_heap_profile_rate(RATE);
	for (i = 0; i < N; i++) {
		make_one();
		make_other();
	}
	for (i = 0; i < 8; i++)
		make_large();
	text = profile_text();
	c = counts_of(text, "make_one");
	CHECK(is_near(c.made, N * 48UL / RATE));
	c = counts_of(text, "make_other");
	CHECK(is_near(c.made, N * 48UL / RATE));
	c = counts_of(text, "make_large");
	CHECK(c.made == 8 && c.made_bytes == 8 * MIB);
	free(text);
}

static void allocate_much(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 20000; i++)
		make_one();
}

TEST_GC(many_are_sampled_at_once)
{
	char *text;
	int i;

	burrow_heap_profile_rate(4096);
	for (i = 0; i < 16; i++)
		burrow_go(allocate_much, NULL);
	for (i = 0; i < 10; i++) {
		text = profile_text();
		free(text);
		burrow_gc();
	}
	wait_for_others();
	text = profile_text();
	CHECK(is_near(counts_of(text, "make_one").made,
		      16 * 20000 * 48UL / 4096));
	free(text);
}

/* The dump */

static char *dump_text(void)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);

	CHECK(burrow_heap_dump(fd) == 0);
	return text_of(fd);
}

static uintptr_t object_of(const char *dump, uintptr_t address,
			   const char **pointers)
{
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "\nobject 0x%lx %zu typed node_type",
		 address, sizeof(struct node));
	at = strstr(dump, line);
	if (at)
		*pointers = at + strlen(line);
	return at ? address : 0;
}

TEST_GC(lists_in_dumps)
{
	const struct node *node;
	const char *pointers;
	char *text, want[64];
	int n = 0;

	make_nodes(NODES);
	text = dump_text();
	CHECK(begins_with(text, "burrow-heap-dump 1\n"));
	snprintf(want, sizeof(want), "\nroot global 0 0x%lx 0x%lx\n",
		 (uintptr_t)&head, (uintptr_t)head);
	CHECK(strstr(text, want));
	for (node = head; node; node = node->next) {
		pointers = "";
		CHECK(object_of(text, (uintptr_t)node, &pointers));
		snprintf(want, sizeof(want), " 0:0x%lx\n",
			 (uintptr_t)node->next);
		CHECK(begins_with(pointers, node->next ? want : "\n"));
		n++;
	}
	CHECK(n == NODES);
	CHECK(strstr(text, "\nend "));
	free(text);
	head = NULL;
}

static struct burrow_chan *gate;

static void hold(void *arg)
{
	struct node *volatile node = burrow_new(&node_type);

	*(uintptr_t *)arg = hide(node);
	burrow_chan_recv(gate, NULL);
	node->number++;
}

/* Who holds it, and what was dropped is not there. */
TEST_GC(stacks_in_dumps)
{
	uintptr_t held = 0, dropped[MANY];
	const char *at = "";
	char want[64], *text;
	int i, n = 0;

	gate = burrow_chan_new(0, 0);
	burrow_go(hold, &held);
	while (!*(volatile uintptr_t *)&held)
		burrow_yield();
	for (i = 0; i < MANY; i++)
		dropped[i] = hide(burrow_new(&node_type));
	scrub();
	text = dump_text();
	CHECK(object_of(text, (uintptr_t)unhide(held), &at));
	snprintf(want, sizeof(want), " 0x%lx\n", (uintptr_t)unhide(held));
	for (at = text; (at = strstr(at, "\nroot stack ")); at++) {
		if (strtoul(at + 12, NULL, 10) <= burrow_id())
			continue;
		n += strstr(at, want) &&
		     strstr(at, want) < strchr(at + 1, '\n');
	}
	CHECK(n);
	for (n = 0, i = 0; i < MANY; i++)
		n += !!object_of(text, (uintptr_t)unhide(dropped[i]), &at);
	CHECK(n < MANY - MOST);
	free(text);
	burrow_chan_close(gate);
	wait_for_others();
}

TEST_GC(what_can_not_be_written)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	CHECK(burrow_heap_profile(-1) == -EBADF);
	CHECK(burrow_heap_dump(-1) == -EBADF);
	CHECK(burrow_heap_profile(fd) == -ENOSPC);
	CHECK(burrow_heap_dump(fd) == -ENOSPC);
	CHECK(burrow_heap_profile_rate(-1) == -EINVAL);
	close(fd);
}

TEST(calls_without_a_runtime)
{
	EXPECT_EQ(-EPERM, burrow_heap_profile(2));
	EXPECT_EQ(-EPERM, burrow_heap_dump(2));
	EXPECT_EQ(-ESRCH, burrow_heap_profile_rate(1));
}

static int write_both(void *arg)
{
	char **path = arg;
	int fd[2], i, err = 0;

	make_nodes(NODES);
	for (i = 0; i < 2; i++)
		fd[i] = open(path[i], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	err = burrow_heap_dump(fd[1]);
	if (!err)
		err = burrow_heap_profile(fd[0]);
	return -err;
}

/* The harness knows no arguments of this kind. */
__attribute__((constructor)) static void as_a_program(int argc, char **argv)
{
	if (argc == 3 && argv[1][0] == '/')
		exit(burrow_run(NULL, write_both, argv + 1));
}

TEST_HARNESS_MAIN
