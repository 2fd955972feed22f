/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs need of the kernel and of the module: types, and of each
 * struct the fields that are read. Where those lie is found out when a program is
 * loaded, from the type information (BTF) that the module carries, so that one
 * object runs on every kernel. Stands for a vmlinux.h.
 *
 * Programs attach to raw tracepoints: their arguments are those of TP_PROTO in
 * kmod/trace.h. They cost less than the records of the trace buffer, and where the
 * kernel leaves a call out (a program within a program) it counts it:
 * `recursion_misses` of `bpftool prog show`.
 */
#ifndef BURROW_BPF_MODULE_H
#define BURROW_BPF_MODULE_H

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define PAGE_BYTES(pages) ((__u64)(pages) << 12)

#pragma clang attribute push(__attribute__((preserve_access_index)), \
			     apply_to = record)

struct burrow_context {
	int pid;
};

struct burrow_arena {
	struct burrow_context *ctx;
	__u32 id;
	unsigned long limit;
};

#pragma clang attribute pop

/*
 * The process that owns the arena. Without the module's types (and where a test
 * runs a program by itself) it is whoever runs now, nearly always the same.
 */
static __always_inline __u32 arena_pid(struct burrow_arena *arena)
{
	if (!bpf_core_field_exists(arena->ctx))
		return bpf_get_current_pid_tgid() >> 32;
	return BPF_CORE_READ(arena, ctx, pid);
}

#endif /* BURROW_BPF_MODULE_H */
