// SPDX-License-Identifier: GPL-2.0
/*
 * The version call: nothing works before it, it refuses callers that it can't
 * serve and tells them what there is.
 */
#include "../arena/arena.h"

FIXTURE(version)
{
	int fd;
	struct burrow_version version;
};

FIXTURE_SETUP(version)
{
	self->fd = context_open_raw();
	self->version = (struct burrow_version){
		.size = sizeof(self->version),
		.abi = BURROW_ABI,
	};
}

FIXTURE_TEARDOWN(version)
{
	close(self->fd);
}

static int try_create(int fd)
{
	struct burrow_arena_create create = {
		.size = sizeof(create),
		.kind = BURROW_ARENA_STACK,
		.stride = KIB(64),
		.slots = 1,
	};

	return call(fd, BURROW_IOC_ARENA_CREATE, &create);
}

static void expect_out_fields(struct __test_metadata *_metadata,
			      const struct burrow_version *v)
{
	const uint64_t all = BURROW_FEATURE_STACK | BURROW_FEATURE_HEAP |
			     BURROW_FEATURE_DIRTY | BURROW_FEATURE_LAZY |
			     BURROW_FEATURE_HIBERNATE | BURROW_FEATURE_PGTABLES;

	EXPECT_EQ(BURROW_ABI, v->abi);
	EXPECT_EQ(sysconf(_SC_PAGESIZE), v->page_size);
	EXPECT_EQ(all, v->features & all);
	EXPECT_LT(0, v->context_limit);
	EXPECT_LT(0, v->user_limit);
	EXPECT_LT(0, v->pool_limit);
	EXPECT_NE(0, v->release[0]);
	EXPECT_NE(NULL, memchr(v->release, 0, sizeof(v->release)));
}

TEST_F(version, comes_first)
{
	static const unsigned long requests[] = {
		BURROW_IOC_ARENA_CREATE, BURROW_IOC_ARENA_DESTROY,
		BURROW_IOC_TRIM,	 BURROW_IOC_SLOT_INFO,
		BURROW_IOC_DIRTY,	 BURROW_IOC_RELEASE,
		BURROW_IOC_STATS,	 BURROW_IOC_HIBERNATE,
		BURROW_IOC_SAVED,	 BURROW_IOC_PGTABLES,
		BURROW_IOC_RESTORED,
	};
	char any[256] = { 0 };
	size_t i;

	for (i = 0; i < COUNT(requests); i++)
		EXPECT_EQ(-EPROTO, call(self->fd, requests[i], any));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, MIB(2), PROT_READ, MAP_SHARED,
				   self->fd, 1LL << 47));
	EXPECT_EQ(EPROTO, errno);

	ASSERT_EQ(0, call(self->fd, BURROW_IOC_VERSION, &self->version));
	EXPECT_EQ(0, try_create(self->fd));
}

TEST_F(version, tells_what_there_is)
{
	ASSERT_EQ(0, call(self->fd, BURROW_IOC_VERSION, &self->version));
	expect_out_fields(_metadata, &self->version);
}

TEST_F(version, release_is_the_module_s)
{
	char text[64];
	ssize_t n;

	ASSERT_EQ(0, call(self->fd, BURROW_IOC_VERSION, &self->version));
	n = slurp("/sys/module/burrow/version", text, sizeof(text));
	if (n < 0)
		SKIP(return, "no /sys/module/burrow/version");
	text[n - 1] = 0;
	EXPECT_STREQ(text, self->version.release);
}

TEST_F(version, limits_are_the_module_s)
{
	char text[64];

	ASSERT_EQ(0, call(self->fd, BURROW_IOC_VERSION, &self->version));
	ASSERT_LT(0, slurp("/sys/module/burrow/parameters/context_limit", text,
			   sizeof(text)));
	EXPECT_EQ(strtoull(text, NULL, 0), self->version.context_limit);
	ASSERT_LT(0, slurp("/sys/module/burrow/parameters/user_limit", text,
			   sizeof(text)));
	EXPECT_EQ(strtoull(text, NULL, 0), self->version.user_limit);
	ASSERT_LT(0, slurp("/sys/module/burrow/parameters/pool_limit", text,
			   sizeof(text)));
	EXPECT_EQ(strtoull(text, NULL, 0), self->version.pool_limit);
}

TEST_F(version, other_abi_is_refused_and_told_ours)
{
	static const uint32_t abis[] = { 0, BURROW_ABI + 1, ~0U };
	size_t i;

	for (i = 0; i < COUNT(abis); i++) {
		self->version.abi = abis[i];
		EXPECT_EQ(-EPROTONOSUPPORT,
			  call(self->fd, BURROW_IOC_VERSION, &self->version));
		expect_out_fields(_metadata, &self->version);
		EXPECT_EQ(-EPROTO, try_create(self->fd));
	}
}

TEST_F(version, missing_feature_is_refused_and_told_ours)
{
	int bit;

	for (bit = 0; bit < 64; bit++) {
		struct burrow_version v = self->version, has = self->version;
		int fd = context_open_raw();

		ASSERT_EQ(0, call(self->fd, BURROW_IOC_VERSION, &has));
		v.features = 1ULL << bit;
		if (has.features >> bit & 1) {
			EXPECT_EQ(0, call(fd, BURROW_IOC_VERSION, &v));
			EXPECT_EQ(0, try_create(fd));
		} else {
			EXPECT_EQ(-EOPNOTSUPP,
				  call(fd, BURROW_IOC_VERSION, &v));
			expect_out_fields(_metadata, &v);
			EXPECT_EQ(-EPROTO, try_create(fd));
		}
		close(fd);
	}
}

TEST_F(version, may_be_called_again)
{
	struct burrow_version v = self->version;

	ASSERT_EQ(0, call(self->fd, BURROW_IOC_VERSION, &v));
	ASSERT_EQ(0, try_create(self->fd));
	v = self->version;
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_VERSION, &v));
	/* A question that fails takes nothing back. */
	v = self->version;
	v.abi = BURROW_ABI + 1;
	EXPECT_EQ(-EPROTONOSUPPORT, call(self->fd, BURROW_IOC_VERSION, &v));
	EXPECT_EQ(0, try_create(self->fd));
}

TEST_F(version, an_error_in_the_argument_answers_nothing)
{
	self->version.flags = 1;
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_VERSION, &self->version));
	EXPECT_EQ(-EPROTO, try_create(self->fd));
}

ARENA_TEST_MAIN
