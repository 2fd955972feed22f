/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints, system "burrow". Names and fields are a promise to those who
 * trace (Documentation/tracing.rst); sizes are bytes but where said. "pid" is
 * the process that owns the context, whoever caused the event.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM burrow

#if !defined(_BURROW_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _BURROW_TRACE_H

#include <linux/tracepoint.h>

#include "burrow.h"

#define burrow_show_kind(kind) \
	__print_symbolic(kind, { BURROW_ARENA_STACK, "stack" }, \
			       { BURROW_ARENA_HEAP, "heap" })

DECLARE_EVENT_CLASS(burrow_arena_class,
	TP_PROTO(struct burrow_arena *arena, u64 stride),
	TP_ARGS(arena, stride),
	TP_STRUCT__entry(
		__field(u64, bytes)
		__field(u64, stride)
		__field(u32, pid)
		__field(u32, arena)
		__field(u32, kind)
	),
	TP_fast_assign(
		__entry->bytes = (u64)arena->length << PAGE_SHIFT;
		__entry->stride = stride;
		__entry->pid = arena->ctx->pid;
		__entry->arena = arena->id;
		__entry->kind = arena->kind;
	),
	TP_printk("pid=%u arena=%u kind=%s bytes=%llu stride=%llu",
		  __entry->pid, __entry->arena,
		  burrow_show_kind(__entry->kind), __entry->bytes,
		  __entry->stride)
);

DEFINE_EVENT(burrow_arena_class, burrow_arena_create,
	TP_PROTO(struct burrow_arena *arena, u64 stride),
	TP_ARGS(arena, stride));

DEFINE_EVENT(burrow_arena_class, burrow_arena_destroy,
	TP_PROTO(struct burrow_arena *arena, u64 stride),
	TP_ARGS(arena, stride));

TRACE_EVENT(burrow_stack_grow,
	TP_PROTO(struct burrow_arena *arena, unsigned long slot, u64 goroutine,
		 unsigned long old_pages, unsigned long new_pages,
		 unsigned long recycled),
	TP_ARGS(arena, slot, goroutine, old_pages, new_pages, recycled),
	TP_STRUCT__entry(
		__field(u64, slot)
		__field(u64, goroutine)
		__field(u64, old_bytes)
		__field(u64, new_bytes)
		__field(u64, recycled)
		__field(u32, pid)
		__field(u32, arena)
	),
	TP_fast_assign(
		__entry->slot = slot;
		__entry->goroutine = goroutine;
		__entry->old_bytes = (u64)old_pages << PAGE_SHIFT;
		__entry->new_bytes = (u64)new_pages << PAGE_SHIFT;
		__entry->recycled = recycled;
		__entry->pid = arena->ctx->pid;
		__entry->arena = arena->id;
	),
	TP_printk("pid=%u arena=%u slot=%llu goroutine=%llu old_bytes=%llu new_bytes=%llu recycled=%llu",
		  __entry->pid, __entry->arena, __entry->slot,
		  __entry->goroutine, __entry->old_bytes, __entry->new_bytes,
		  __entry->recycled)
);

TRACE_EVENT(burrow_stack_trim,
	TP_PROTO(struct burrow_arena *arena, unsigned long slot, u64 goroutine,
		 unsigned long old_pages, unsigned long new_pages),
	TP_ARGS(arena, slot, goroutine, old_pages, new_pages),
	TP_STRUCT__entry(
		__field(u64, slot)
		__field(u64, goroutine)
		__field(u64, old_bytes)
		__field(u64, new_bytes)
		__field(u32, pid)
		__field(u32, arena)
	),
	TP_fast_assign(
		__entry->slot = slot;
		__entry->goroutine = goroutine;
		__entry->old_bytes = (u64)old_pages << PAGE_SHIFT;
		__entry->new_bytes = (u64)new_pages << PAGE_SHIFT;
		__entry->pid = arena->ctx->pid;
		__entry->arena = arena->id;
	),
	TP_printk("pid=%u arena=%u slot=%llu goroutine=%llu old_bytes=%llu new_bytes=%llu",
		  __entry->pid, __entry->arena, __entry->slot,
		  __entry->goroutine, __entry->old_bytes, __entry->new_bytes)
);

DECLARE_EVENT_CLASS(burrow_saved_class,
	TP_PROTO(struct burrow_arena *arena, unsigned long slot, u64 goroutine,
		 unsigned int live, unsigned long from, unsigned long to),
	TP_ARGS(arena, slot, goroutine, live, from, to),
	TP_STRUCT__entry(
		__field(u64, slot)
		__field(u64, goroutine)
		__field(u64, old_bytes)
		__field(u64, new_bytes)
		__field(u64, live_bytes)
		__field(u32, pid)
		__field(u32, arena)
	),
	TP_fast_assign(
		__entry->slot = slot;
		__entry->goroutine = goroutine;
		__entry->old_bytes = (u64)from << PAGE_SHIFT;
		__entry->new_bytes = (u64)to << PAGE_SHIFT;
		__entry->live_bytes = live;
		__entry->pid = arena->ctx->pid;
		__entry->arena = arena->id;
	),
	TP_printk("pid=%u arena=%u slot=%llu goroutine=%llu old_bytes=%llu new_bytes=%llu live_bytes=%llu",
		  __entry->pid, __entry->arena, __entry->slot,
		  __entry->goroutine, __entry->old_bytes, __entry->new_bytes,
		  __entry->live_bytes)
);

/* Bytes of pages, as in all events of a stack: it has none afterwards. */
DEFINE_EVENT(burrow_saved_class, burrow_stack_hibernate,
	TP_PROTO(struct burrow_arena *arena, unsigned long slot, u64 goroutine,
		 unsigned int live, unsigned long from, unsigned long to),
	TP_ARGS(arena, slot, goroutine, live, from, to));

/* It may grow in the same fault: that is told as such. */
DEFINE_EVENT(burrow_saved_class, burrow_stack_restore,
	TP_PROTO(struct burrow_arena *arena, unsigned long slot, u64 goroutine,
		 unsigned int live, unsigned long from, unsigned long to),
	TP_ARGS(arena, slot, goroutine, live, from, to));

TRACE_EVENT(burrow_stack_overflow,
	TP_PROTO(struct burrow_arena *arena, unsigned long slot, u64 goroutine,
		 unsigned long address),
	TP_ARGS(arena, slot, goroutine, address),
	TP_STRUCT__entry(
		__field(u64, slot)
		__field(u64, goroutine)
		__field(u64, address)
		__field(u64, limit)
		__field(u32, pid)
		__field(u32, arena)
	),
	TP_fast_assign(
		__entry->slot = slot;
		__entry->goroutine = goroutine;
		__entry->address = address;
		__entry->limit = (u64)arena->limit << PAGE_SHIFT;
		__entry->pid = arena->ctx->pid;
		__entry->arena = arena->id;
	),
	TP_printk("pid=%u arena=%u slot=%llu goroutine=%llu address=0x%llx limit=%llu",
		  __entry->pid, __entry->arena, __entry->slot,
		  __entry->goroutine, __entry->address, __entry->limit)
);

/* first_page, pages and dirty are counted in pages. */
TRACE_EVENT(burrow_heap_dirty,
	TP_PROTO(struct burrow_arena *arena, u64 first_page, u64 pages,
		 u64 dirty),
	TP_ARGS(arena, first_page, pages, dirty),
	TP_STRUCT__entry(
		__field(u64, first_page)
		__field(u64, pages)
		__field(u64, dirty)
		__field(u32, pid)
		__field(u32, arena)
	),
	TP_fast_assign(
		__entry->first_page = first_page;
		__entry->pages = pages;
		__entry->dirty = dirty;
		__entry->pid = arena->ctx->pid;
		__entry->arena = arena->id;
	),
	TP_printk("pid=%u arena=%u first_page=%llu pages=%llu dirty=%llu",
		  __entry->pid, __entry->arena, __entry->first_page,
		  __entry->pages, __entry->dirty)
);

/*
 * A limit, "context" or "user", refused a page. It counts pages wherever they
 * are, so it belongs to no arena: that field is 0.
 */
TRACE_EVENT(burrow_limit,
	TP_PROTO(struct burrow_context *ctx, const char *what, u64 bytes,
		 u64 limit),
	TP_ARGS(ctx, what, bytes, limit),
	TP_STRUCT__entry(
		__array(char, what, 8)
		__field(u64, bytes)
		__field(u64, limit)
		__field(u32, pid)
		__field(u32, arena)
	),
	TP_fast_assign(
		strscpy(__entry->what, what, sizeof(__entry->what));
		__entry->bytes = bytes;
		__entry->limit = limit;
		__entry->pid = ctx->pid;
		__entry->arena = 0;
	),
	TP_printk("pid=%u arena=%u what=%s bytes=%llu limit=%llu",
		  __entry->pid, __entry->arena, __entry->what,
		  __entry->bytes, __entry->limit)
);

#endif /* _BURROW_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
