// SPDX-License-Identifier: GPL-2.0
/*
 * A context belongs to the mm that opened it: a descriptor that came by fork,
 * exec or a socket is good for nothing, and does no harm to the owner.
 */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sched.h>

#include "../arena/arena.h"

FIXTURE(owner)
{
	int fd;
	struct arena stack;
	struct arena heap;
};

FIXTURE_SETUP(owner)
{
	self->fd = context_open();
	self->stack = stack_arena(self->fd, KIB(64), 64);
	self->heap = heap_arena(self->fd, MIB(4));
	touch(slot_page(&self->stack, 0, 0));
	touch(self->heap.base);
}

FIXTURE_TEARDOWN(owner)
{
	close(self->fd);
}

/* Every call by somebody else must be -EPERM; the number of one that is not. */
static int not_refused(const struct arena *stack, const struct arena *heap)
{
	static const unsigned long requests[] = {
		BURROW_IOC_VERSION,	  BURROW_IOC_ARENA_CREATE,
		BURROW_IOC_ARENA_DESTROY, BURROW_IOC_TRIM,
		BURROW_IOC_SLOT_INFO,	  BURROW_IOC_DIRTY,
		BURROW_IOC_RELEASE,	  BURROW_IOC_STATS,
		BURROW_IOC_HIBERNATE,	  BURROW_IOC_SAVED,
		BURROW_IOC_PGTABLES,
	};
	char any[256] = { 0 };
	size_t i;

	for (i = 0; i < COUNT(requests); i++) {
		*(uint32_t *)any = 200;
		if (call(stack->fd, requests[i], any) != -EPERM)
			return 1 + i;
		if (call(stack->fd, requests[i], NULL) != -EPERM)
			return 21 + i;
	}
	if (mmap(NULL, stack->create.bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		 stack->fd, stack->create.offset) != MAP_FAILED ||
	    errno != EPERM)
		return 41;
	if (mmap(NULL, heap->create.bytes, PROT_READ, MAP_SHARED, stack->fd,
		 heap->create.offset) != MAP_FAILED ||
	    errno != EPERM)
		return 42;
	if (mmap(NULL, stack->create.table_bytes, PROT_READ, MAP_SHARED,
		 stack->fd, stack->create.table_offset) != MAP_FAILED ||
	    errno != EPERM)
		return 43;
	return 0;
}

static int forked(void *arg)
{
	struct _test_data_owner *self = arg;

	return not_refused(&self->stack, &self->heap);
}

static void expect_unharmed(struct __test_metadata *_metadata,
			    struct _test_data_owner *self)
{
	EXPECT_EQ(1, *slot_page(&self->stack, 0, 0));
	EXPECT_EQ(1, *self->heap.base);
	EXPECT_EQ(1, slot_pages(&self->stack, 0));
	touch(slot_page(&self->stack, 1, 3));
	EXPECT_EQ(4, slot_pages(&self->stack, 1));
}

TEST_F(owner, a_forked_child_is_not)
{
	EXPECT_EQ(0, in_child(forked, self));
	expect_unharmed(_metadata, self);
}

static int vforked(void *arg)
{
	struct _test_data_owner *self = arg;
	struct burrow_context_stats stats = { .size = sizeof(stats) };

	touch(slot_page(&self->stack, 5, 0));
	return call(self->fd, BURROW_IOC_STATS, &stats);
}

/* CLONE_VM without CLONE_THREAD: the same mm, so the owner. */
TEST_F(owner, a_child_that_shares_the_memory_is)
{
	static char room[65536] __attribute__((aligned(16)));
	int pid = clone(vforked, room + sizeof(room), CLONE_VM | SIGCHLD, self);

	ASSERT_LT(0, pid);
	EXPECT_EQ(0, child_status(pid));
	EXPECT_EQ(1, slot_pages(&self->stack, 5));
}

/* In a child, so that exec replaces what opened the context. */
static int exec_self(void *arg)
{
	char number[3][32];
	struct arena stack;
	int fd = dup(context_open()); /* dup: without O_CLOEXEC */

	(void)arg;
	stack = stack_arena(fd, KIB(64), 8);
	touch(slot_page(&stack, 0, 0));
	snprintf(number[0], sizeof(number[0]), "%d", fd);
	snprintf(number[1], sizeof(number[1]), "%llu",
		 (unsigned long long)stack.create.offset);
	snprintf(number[2], sizeof(number[2]), "%llu",
		 (unsigned long long)stack.create.table_offset);
	execl("/proc/self/exe", "owner", "after-exec", number[0], number[1],
	      number[2], NULL);
	return 99;
}

static int after_exec(char **argv)
{
	struct arena stack = { .fd = atoi(argv[2]) };

	stack.create.bytes = MIB(2);
	stack.create.offset = strtoull(argv[3], NULL, 10);
	stack.create.table_bytes = PAGE;
	stack.create.table_offset = strtoull(argv[4], NULL, 10);
	return not_refused(&stack, &stack);
}

TEST_F(owner, a_program_after_exec_is_not)
{
	EXPECT_EQ(0, in_child(exec_self, NULL));
}

static int send_fd(int socket, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(socket, &message, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int socket)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(socket, &message, 0) != 1 || !CMSG_FIRSTHDR(&message))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

struct handed {
	int socket;
	struct _test_data_owner *self;
};

static int receiver(void *arg)
{
	struct handed *h = arg;
	struct arena stack = h->self->stack, heap = h->self->heap;

	stack.fd = receive_fd(h->socket);
	heap.fd = stack.fd;
	return stack.fd < 0 ? 98 : not_refused(&stack, &heap);
}

/* The child was forked before there was a context, and gets it by mail. */
TEST_F(owner, a_receiver_of_the_descriptor_is_not)
{
	struct handed h = { .self = self };
	int pair[2];
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	h.socket = pair[1];
	pid = child_start(receiver, &h);
	ASSERT_EQ(0, send_fd(pair[0], self->fd));
	EXPECT_EQ(0, child_status(pid));
	expect_unharmed(_metadata, self);
}

/* What was the owner's is gone with it, though the descriptor lives on. */
static int opens_and_dies(void *arg)
{
	struct handed *h = arg;
	int fd = context_open();
	struct arena stack = stack_arena(fd, KIB(256), 64);
	uint64_t i;

	for (i = 0; i < 64; i++)
		touch(slot_page(&stack, i, 15));
	return send_fd(h->socket, fd) ? 97 : 0;
}

static uint64_t user_bytes(int fd)
{
	return context_stats(fd).user_bytes;
}

TEST_F(owner, pages_go_with_the_owner_not_with_the_descriptor)
{
	uint64_t before = user_bytes(self->fd);
	struct handed h = { .self = self };
	int pair[2], fd;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	h.socket = pair[1];
	pid = child_start(opens_and_dies, &h);
	EXPECT_EQ(0, child_status(pid));
	fd = receive_fd(pair[0]);
	ASSERT_LE(0, fd);
	/* Four megabytes are gone; what describes the arena is not. */
	EXPECT_GE(before + 16 * PAGE, user_bytes(self->fd));
	close(fd);
	EXPECT_EQ(before, user_bytes(self->fd));
}

static int opens_as_other_user(void *arg)
{
	uint64_t *root_bytes = arg;
	struct burrow_context_stats stats;
	struct arena heap;
	int fd;

	if (setuid(12345))
		return 1;
	fd = context_open();
	heap = heap_arena(fd, MIB(2));
	touch(heap.base);
	stats = context_stats(fd);
	if (stats.user_bytes < stats.heap_bytes)
		return 2;
	return stats.user_bytes < *root_bytes ? 0 : 3;
}

TEST_F(owner, users_are_counted_apart)
{
	uint64_t mine, i;

	if (getuid())
		SKIP(return, "only root can become another user");
	for (i = 0; i < 64; i++)
		touch(slot_page(&self->stack, i, 7));
	mine = user_bytes(self->fd);
	EXPECT_LE(64 * 8 * PAGE, mine);
	EXPECT_EQ(0, in_child(opens_as_other_user, &mine));
	EXPECT_EQ(mine, user_bytes(self->fd));
}

/* A thread faults a page in while the descriptor is closed: the mapping lives. */
TEST_F(owner, mappings_outlive_the_descriptor)
{
	close(self->fd);
	touch(slot_page(&self->stack, 7, 3));
	touch(self->heap.base + MIB(1));
	EXPECT_EQ(1, *slot_page(&self->stack, 0, 0));
	arena_unmap(&self->stack);
	arena_unmap(&self->heap);
	self->fd = context_open();
}

static void __attribute__((constructor)) constructors_run(void)
{
	if (!__constructor_order)
		__constructor_order = _CONSTRUCTOR_ORDER_BACKWARD;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "after-exec"))
		return after_exec(argv);
	return arena_test_main(argc, argv);
}
