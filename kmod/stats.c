// SPDX-License-Identifier: GPL-2.0
/*
 * What can be seen: counters, their view in debugfs, and the tracepoints.
 *
 * Counters are per CPU so that a fault writes no line that another CPU writes;
 * reading sums them up, without a lock and so without a consistent instant.
 * Each context has a directory burrow/PID-NUMBER in debugfs with one file,
 * "stats", of lines "name value" (Documentation/debugfs.rst).
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "burrow.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static struct dentry *burrow_stats_root;
static atomic_t burrow_stats_next = ATOMIC_INIT(0);

static void burrow_stats_sum(struct burrow_context *ctx,
			     struct burrow_counters *sum)
{
	unsigned int i;
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		u64 *from = (u64 *)per_cpu_ptr(ctx->counters, cpu);
		u64 *to = (u64 *)sum;

		for (i = 0; i < sizeof(*sum) / sizeof(u64); i++)
			to[i] += READ_ONCE(from[i]);
	}
}

static u64 burrow_stats_bytes(s64 pages)
{
	return (u64)max_t(s64, pages, 0) << PAGE_SHIFT;
}

/**
 * burrow_stats_fill() - the ioctl: counters of a context
 * @ctx:	the context
 * @args:	filled
 */
void burrow_stats_fill(struct burrow_context *ctx,
		       struct burrow_context_stats *args)
{
	struct burrow_counters sum;

	burrow_stats_sum(ctx, &sum);
	args->stack_bytes = burrow_stats_bytes(sum.stack_pages);
	args->heap_bytes = burrow_stats_bytes(sum.heap_pages);
	args->pool_bytes = burrow_stats_bytes(READ_ONCE(ctx->pool.count));
	args->table_bytes = burrow_stats_bytes(sum.table_pages);
	args->faults = sum.faults;
	args->grows = sum.grows;
	args->recycled = sum.recycled;
	args->fresh = sum.fresh;
	args->trims = sum.trims;
	args->trim_races = sum.trim_races;
	args->overflows = sum.overflows;
	args->limits = sum.limits;
	args->nomem = sum.nomem;
	args->user_bytes =
		burrow_stats_bytes(atomic_long_read(&ctx->user->pages));
	args->lazy_bytes = burrow_stats_bytes(READ_ONCE(ctx->lazies.pages));
	args->lazy_trims = sum.lazy_trims;
	args->lazy_taken = sum.lazy_taken;
	args->saved_bytes = max_t(s64, sum.saved_bytes, 0);
	args->store_bytes = burrow_stats_bytes(sum.store_pages);
	args->hibernates = sum.hibernates;
	args->restores = sum.restores;
	args->hibernate_races = sum.hibernate_races;
	args->pgtable_bytes = sum.pgtable_bytes;
	args->hibernated = max_t(s64, sum.hibernated, 0);
}

static int burrow_view_show(struct seq_file *seq, void *v)
{
	struct burrow_context *ctx = seq->private;
	struct burrow_context_stats stats = {};
	struct burrow_counters sum;
	unsigned int i;

	burrow_stats_fill(ctx, &stats);
	seq_printf(seq, "pid %d\n", ctx->pid);
	seq_printf(seq, "held_bytes %llu\n",
		   burrow_stats_bytes(atomic_long_read(&ctx->pages)));
	seq_printf(seq, "stack_bytes %llu\n", stats.stack_bytes);
	seq_printf(seq, "heap_bytes %llu\n", stats.heap_bytes);
	seq_printf(seq, "pool_bytes %llu\n", stats.pool_bytes);
	seq_printf(seq, "table_bytes %llu\n", stats.table_bytes);
	seq_printf(seq, "store_bytes %llu\n", stats.store_bytes);
	seq_printf(seq, "user_bytes %llu\n", stats.user_bytes);
	seq_printf(seq, "lazy_bytes %llu\n", stats.lazy_bytes);
	seq_printf(seq, "saved_bytes %llu\n", stats.saved_bytes);
	seq_printf(seq, "hibernated %llu\n", stats.hibernated);
	seq_printf(seq, "faults %llu\n", stats.faults);
	seq_printf(seq, "grows %llu\n", stats.grows);
	seq_printf(seq, "recycled_pages %llu\n", stats.recycled);
	seq_printf(seq, "fresh_pages %llu\n", stats.fresh);
	seq_printf(seq, "trims %llu\n", stats.trims);
	seq_printf(seq, "trim_races %llu\n", stats.trim_races);
	seq_printf(seq, "lazy_trims %llu\n", stats.lazy_trims);
	seq_printf(seq, "lazy_taken %llu\n", stats.lazy_taken);
	seq_printf(seq, "hibernates %llu\n", stats.hibernates);
	seq_printf(seq, "restores %llu\n", stats.restores);
	seq_printf(seq, "hibernate_races %llu\n", stats.hibernate_races);
	seq_printf(seq, "pgtable_bytes %llu\n", stats.pgtable_bytes);
	seq_printf(seq, "overflows %llu\n", stats.overflows);
	seq_printf(seq, "limits %llu\n", stats.limits);
	seq_printf(seq, "nomem %llu\n", stats.nomem);
	burrow_stats_sum(ctx, &sum);
	for (i = 0; i < BURROW_SIZES; i++)
		if (sum.grow_sizes[i])
			seq_printf(seq, "grow_to_%lu %llu\n", PAGE_SIZE << i,
				   sum.grow_sizes[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(burrow_view);

int burrow_stats_open(struct burrow_context *ctx)
{
	char name[32];

	BUILD_BUG_ON(sizeof(struct burrow_counters) % sizeof(u64));
	BUILD_BUG_ON(PAGE_SIZE << (BURROW_SIZES - 1) < BURROW_STRIDE_MAX);
	ctx->counters = __alloc_percpu_gfp(sizeof(struct burrow_counters),
					   sizeof(u64),
					   GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ctx->counters)
		return -ENOMEM;
	/* debugfs may be absent; then there is no view, and no harm. */
	snprintf(name, sizeof(name), "%d-%u", ctx->pid,
		 (u32)atomic_inc_return(&burrow_stats_next));
	ctx->debugfs = debugfs_create_dir(name, burrow_stats_root);
	debugfs_create_file("stats", 0400, ctx->debugfs, ctx,
			    &burrow_view_fops);
	return 0;
}

void burrow_stats_close(struct burrow_context *ctx)
{
	debugfs_remove_recursive(ctx->debugfs);
	free_percpu(ctx->counters);
}

void burrow_stats_init(void)
{
	burrow_stats_root = debugfs_create_dir("burrow", NULL);
}

void burrow_stats_exit(void)
{
	debugfs_remove_recursive(burrow_stats_root);
}
