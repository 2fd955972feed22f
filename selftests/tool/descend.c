// SPDX-License-Identifier: GPL-2.0
/*
 * The recursion of the growth benchmark touches every page of the depth that
 * it is asked for, and none below.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "tool/bench/descend.h"

#define SIZE (16UL << 20)

static char *fresh_stack(void)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p != MAP_FAILED)
		madvise(p, SIZE, MADV_NOHUGEPAGE);
	return p;
}

/* Pages present at the upper end without a hole; @others: present below. */
static size_t present(char *stack, size_t *others)
{
	size_t page = sysconf(_SC_PAGESIZE), n = SIZE / page, i, upper = 0;
	unsigned char *in = malloc(n);

	*others = 0;
	if (!in || mincore(stack, SIZE, in))
		return 0;
	while (upper < n && in[n - 1 - upper] & 1)
		upper++;
	for (i = 0; i + upper < n; i++)
		*others += in[i] & 1;
	free(in);
	return upper;
}

TEST(every_page_and_no_other)
{
	static const size_t kib[] = { 4,   8,	12,   16,   20,	  36,  64,
				      100, 256, 1000, 1024, 4096, 8192 };
	size_t page = sysconf(_SC_PAGESIZE), i, others;

	for (i = 0; i < sizeof(kib) / sizeof(kib[0]); i++) {
		size_t depth = kib[i] << 10;
		char *stack = fresh_stack();

		ASSERT_NE(MAP_FAILED, stack);
		descend_on(stack + SIZE, descend_frames(depth));
		EXPECT_EQ(depth / page, present(stack, &others));
		EXPECT_EQ(0, others);
		munmap(stack, SIZE);
	}
}

TEST(frames_are_less_than_a_kibibyte)
{
	unsigned long frames = descend_frames(1 << 20);

	EXPECT_LE(1024, frames);
	EXPECT_GE(2048, frames);
}

TEST(it_takes_time)
{
	char *stack = fresh_stack();
	unsigned long ticks;

	ASSERT_NE(MAP_FAILED, stack);
	ticks = descend_on(stack + SIZE, descend_frames(1 << 20));
	EXPECT_LT(0, ticks);
	/* Not the way back and all, nor a counter that ran backward. */
	EXPECT_GT(1UL << 40, ticks);
	munmap(stack, SIZE);
}

TEST_HARNESS_MAIN
