// SPDX-License-Identifier: GPL-2.0
/*
 * The rows of the benchmark's results: where samples go, and what is made of
 * them.
 */
#include <json-c/json.h>
#include <string.h>

#include "kselftest_harness.h"
#include "tool/bench/results.h"

FIXTURE(results){};

FIXTURE_SETUP(results)
{
	(void)self;
}

FIXTURE_TEARDOWN(results)
{
	(void)self;
	results_free();
}

static void add(const char *backend, long value, const char *unit, double v)
{
	results_add("growth", backend, "depth_kib", value, unit, v);
}

static struct bench_summary summary(void)
{
	return results_summary(results_row(0));
}

TEST_F(results, a_sample_goes_to_its_own_row)
{
	add("mmap", 4, "ns/op", 1);
	add("mmap", 16, "ns/op", 2);
	add("mmap", 4, "ns/cycle", 3);
	add("kmod", 4, "ns/op", 4);
	results_add("trim", "mmap", "depth_kib", 4, "ns/op", 5);
	results_add("growth", "mmap", "count", 4, "ns/op", 6);
	ASSERT_EQ(6, results_count());

	add("mmap", 4, "ns/op", 7);
	ASSERT_EQ(6, results_count());
	ASSERT_EQ(2, results_row(0)->n);
	ASSERT_EQ(1, results_row(1)->n);
}

TEST_F(results, names_are_compared_by_their_text)
{
	char one[] = "mmap", two[] = "mmap";

	add(one, 4, "ns/op", 1);
	add(two, 4, "ns/op", 2);
	ASSERT_EQ(1, results_count());
}

TEST_F(results, median_of_an_odd_number)
{
	add("mmap", 4, "ns/op", 30);
	add("mmap", 4, "ns/op", 10);
	add("mmap", 4, "ns/op", 20);
	ASSERT_EQ(10, (long)summary().min);
	ASSERT_EQ(20, (long)summary().median);
	ASSERT_EQ(30, (long)summary().max);
}

TEST_F(results, median_of_an_even_number_is_between)
{
	add("mmap", 4, "ns/op", 40);
	add("mmap", 4, "ns/op", 10);
	add("mmap", 4, "ns/op", 30);
	add("mmap", 4, "ns/op", 20);
	ASSERT_EQ(25, (long)summary().median);
}

TEST_F(results, one_sample_is_all_three)
{
	add("mmap", 4, "ns/op", 7);
	ASSERT_EQ(7, (long)summary().min);
	ASSERT_EQ(7, (long)summary().median);
	ASSERT_EQ(7, (long)summary().max);
}

TEST_F(results, table_divides_by_the_plain_way)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	add("kmod", 64, "ns/op", 25);
	add("mmap", 64, "ns/op", 100);
	results_table(f);
	fclose(f);
	EXPECT_NE(NULL, strstr(text, "/mmap"));
	EXPECT_NE(NULL, strstr(text, "0.250"));
	EXPECT_NE(NULL, strstr(text, "1.000"));
	free(text);
}

TEST_HARNESS_MAIN
