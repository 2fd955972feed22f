/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internal types of the module.
 *
 * Ownership: a context (one open file) owns arenas; an arena owns blocks and
 * the pages of its table; a block owns the pages of its slots (stack) or of
 * its range (heap). A page is owned once, by a block, a table or the pool; the
 * owner holds one reference, each PTE another. While a page is owned its
 * ->mapping is the context's and, outside the pool, its ->index is its place
 * in it and its ->private its block (a table's page has none), so that shared
 * futexes and dirty_folio() find the way back.
 *
 * Lock order, outermost first:
 *
 *	remap->lock			mutex: a range is mapped over itself
 *	mmap_lock or the VMA's lock	(held by the core in ->fault, ->mmap,
 *					 ->open and ->close; read, in trim)
 *	  context->lock			which arenas exist
 *	  arena->life			rwsem: arena emptied (write) against
 *					batch calls (read); faults need it not,
 *					their VMA keeps the arena from emptying
 *	    block->lock			mutex: slots or pages of one block
 *	    arena->table_lock		mutex: pages of the table
 *	      page lock			when ownership of a pinned page ends
 *	      i_mmap_rwsem, PT lock	inside the core's calls
 *	      lazies->lock		spinlock: who was trimmed lazily
 *	      pool->lock		spinlock, innermost
 *	      store->lock		spinlock, innermost
 *
 * Whoever takes pages of a lazily trimmed slot, reclaim among them, may hold
 * anything down to the page lock; it gets its victim's life and block->lock by
 * trylock only.
 *
 * User memory is never touched under any of these: an argument may lie on an
 * arena's own stack, whose fault takes block->lock.
 */
#ifndef _BURROW_H
#define _BURROW_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include <uapi/linux/burrow.h>

#include "compat.h"

/*
 * File offsets: each arena has a window of its own, its table another, so
 * that an offset names both without a search.
 */
#define BURROW_WINDOW_SHIFT (47 - PAGE_SHIFT)
#define BURROW_WINDOW_MASK ((1UL << BURROW_WINDOW_SHIFT) - 1)
#define BURROW_TABLE_WINDOWS 0x4000UL

#define BURROW_BLOCK_SHIFT (21 - PAGE_SHIFT)
#define BURROW_BLOCK_PAGES (1UL << BURROW_BLOCK_SHIFT)

/* Pages that move together through arrays on the kernel stack. */
#define BURROW_BATCH 64

/* Default and largest of burrow_arena_create.batch, in pages. */
#define BURROW_STACK_BATCH 256
#define BURROW_HEAP_BATCH 16
#define BURROW_BATCH_MAX 4096

/* Sizes of what the store keeps: multiples of the grain. */
#define BURROW_STORE_GRAIN 32
#define BURROW_STORE_MAX 4064
#define BURROW_STORE_CLASSES (BURROW_STORE_MAX / BURROW_STORE_GRAIN)

/* Sizes in the histogram of growth: one page, up to 2, 4, ... pages. */
#define BURROW_SIZES 19

/**
 * struct burrow_counters - what one CPU counted for a context
 *
 * Per CPU, written by this CPU only, read by summing. Gauges (stack, heap,
 * table, store, saved, hibernated) may be negative on one CPU; only their sum
 * means something.
 */
struct burrow_counters {
	s64 stack_pages;
	s64 heap_pages;
	s64 table_pages;
	s64 store_pages;
	s64 saved_bytes;
	s64 hibernated;
	u64 faults;
	u64 grows;
	u64 recycled;
	u64 fresh;
	u64 trims;
	u64 trim_races;
	u64 lazy_trims;
	u64 lazy_taken;
	u64 hibernates;
	u64 restores;
	u64 hibernate_races;
	u64 pgtable_bytes;
	u64 overflows;
	u64 limits;
	u64 nomem;
	u64 grow_sizes[BURROW_SIZES];
};

#define burrow_count(ctx, field, n) this_cpu_add((ctx)->counters->field, (n))

/*
 * Tells an event, burrow_tell(burrow_limit, ...), without being preempted: a BPF
 * program runs once on a processor at a time, and where the kernel calls it
 * preemptible it leaves out the events of tasks that come in between. No event
 * comes in an interrupt, so none is lost. Costs nothing while nobody listens.
 */
#define burrow_tell(event, ...)                     \
	do {                                        \
		if (trace_##event##_enabled()) {    \
			preempt_disable();          \
			trace_##event(__VA_ARGS__); \
			preempt_enable();           \
		}                                   \
	} while (0)

/**
 * struct burrow_user - the pages of one user's contexts together
 * @node:	in the list of users, under burrow_users_lock
 * @uid:	immutable
 * @refs:	contexts, under burrow_users_lock
 * @pages:	charged, atomic
 */
struct burrow_user {
	struct list_head node;
	kuid_t uid;
	unsigned int refs;
	atomic_long_t pages;
};

/**
 * struct burrow_pool - recycled pages, chained by burrow_page_next()
 * @lock:	protects @first and @count
 * @first:	the page given out next
 * @count:	pages, read without the lock as a hint
 */
struct burrow_pool {
	spinlock_t lock;
	struct page *first;
	unsigned long count;
};

/**
 * struct burrow_lazies - slots whose pages may be taken when they are needed
 * @lock:	protects the rest, and every struct burrow_lazy on @slots
 * @slots:	of all arenas, trimmed longest ago first
 * @count:	how many; read without the lock as a hint
 * @pages:	that can be had of them; read without the lock as a hint
 */
struct burrow_lazies {
	spinlock_t lock;
	struct list_head slots;
	unsigned long count;
	unsigned long pages;
};

/**
 * struct burrow_store - what hibernated stacks held
 * @lock:	protects the rest, and the records of groups
 * @groups:	with room, by class of size
 */
struct burrow_store {
	spinlock_t lock;
	struct list_head groups[BURROW_STORE_CLASSES];
};

/**
 * struct burrow_remap - a range of an arena that is mapped over itself
 * @lock:	held by whoever does that; the rest is theirs
 * @task:	who they are, while they are in the core; others compare it with
 *		themselves
 * @arena:	held by them
 * @first:	page
 * @addr:	where that is
 * @bytes:	whole blocks
 * @held:	the arena counts as mapped
 * @torn:	a mapping was closed: there may be a hole
 * @before:	bytes of page tables of the mm when it began
 * @freed:	how many fewer there were when it was done
 */
struct burrow_remap {
	struct mutex lock;
	struct task_struct *task;
	struct burrow_arena *arena;
	unsigned long first;
	unsigned long addr;
	unsigned long bytes;
	bool held;
	bool torn;
	unsigned long before;
	unsigned long freed;
};

/**
 * struct burrow_context - one open of the device
 * @mm:		the owner, held by mmgrab(); immutable
 * @pid:	its process id for events; immutable
 * @inode:	private anonymous inode, the address space; immutable
 * @user:	immutable
 * @ready:	the version call was made; set once
 * @lock:	protects insertion into and removal from @arenas
 * @arenas:	by number, from 1 (0 stays NULL); looked up under @lock or by their own pages
 * @owner_maps:	mappings that the owner has, of all arenas; atomic
 * @pages:	pages charged: in blocks, tables, pool and store; atomic
 * @pool:	its own lock
 * @lazies:	their own lock
 * @store:	its own lock
 * @remap:	its own lock
 * @dump_page:	for core dumps; appears once and goes with the last mapping
 * @dumped:	page offset that it was mapped at last; the dumper's
 * @shrinker:	immutable after open
 * @counters:	per CPU
 * @debugfs:	directory; immutable after open
 */
struct burrow_context {
	struct mm_struct *mm;
	pid_t pid;
	struct inode *inode;
	struct burrow_user *user;
	bool ready;
	struct mutex lock;
	struct burrow_arena *arenas[BURROW_ARENAS_MAX + 1];
	atomic_t owner_maps;
	atomic_long_t pages;
	struct burrow_pool pool;
	struct burrow_lazies lazies;
	struct burrow_store store;
	struct burrow_remap remap;
	struct page *dump_page;
	pgoff_t dumped;
	struct burrow_shrinker shrinker;
	struct burrow_counters __percpu *counters;
	struct dentry *debugfs;
};

/**
 * struct burrow_stack - the stack in one slot
 * @lowest:	its lowest page, first of a chain by burrow_page_next()
 * @saved:	while it is hibernated: what it held, in the store
 * @pages:	how many, without a hole from the upper end of the slot
 * @peak:	most of @pages since it was last empty
 * @live:	units of 8 bytes at @saved, or 0: it is not hibernated. If it is,
 *		@pages is 0.
 * @told:	a collector has noted what is saved (notes.c)
 * @over:	what it had noted is not saved any more, and it was not told
 *
 * All under the block's lock.
 */
struct burrow_stack {
	union {
		struct page *lowest;
		void *saved;
	};
	u32 pages;
	u32 peak : 19;
	u32 live : 10;
	u32 told : 1;
	u32 over : 1;
};

/* Each slot has one, touched or not. */
static_assert(sizeof(struct burrow_stack) == 16);
static_assert(BURROW_STORE_MAX / sizeof(u64) < 1 << 10);

/**
 * struct burrow_lazy - that a slot was trimmed lazily
 * @node:	in the context's list, or empty
 * @arena:	of the slot; immutable once on a list, as @slot
 * @word:	the slot's word when its user decided
 * @slot:	number in the arena
 * @keep:	pages that stay
 * @pages:	what of the context's count is this slot's
 *
 * Under the lock of the context's list.
 */
struct burrow_lazy {
	struct list_head node;
	struct burrow_arena *arena;
	u64 word;
	u32 slot;
	u32 keep;
	u32 pages;
};

/**
 * struct burrow_block - what an arena owns in 2 MiB, or in a slot if larger
 * @lock:	protects @stacks, @pages and that @lazy appears once
 * @tables:	stack arena: pages were mapped since its page tables were given back;
 *		set under @lock and a lock of the mapping, cleared under mmap_lock held
 *		for writing, read without one as a hint
 * @dirty:	a bit for each page written behind the hardware's back or
 *		unmapped dirty since the last harvest; atomic
 * @mask:	of page numbers in the block; immutable
 * @lazy:	stack arena: a record for each slot, once one was trimmed lazily
 * @saved:	stack arena: slots that are hibernated; under @lock, read without
 *		it as a hint
 * @stacks:	stack arena: the block's slots, lowest first
 * @pages:	heap arena: the block's pages
 */
struct burrow_block {
	struct mutex lock;
	bool tables;
	unsigned long *dirty;
	unsigned long mask;
	struct burrow_lazy *lazy;
	unsigned long saved;
	union {
		DECLARE_FLEX_ARRAY(struct burrow_stack, stacks);
		DECLARE_FLEX_ARRAY(struct page *, pages);
	};
};

/**
 * struct burrow_arena - a stack or heap arena
 * @ref:	the context's reference and those of calls under way
 * @ctx:	immutable, as all up to @window
 * @id:		number in the context
 * @kind:	BURROW_ARENA_STACK or BURROW_ARENA_HEAP
 * @flags:	BURROW_ARENA_*
 * @batch:	pages mapped by a fault beyond what is needed
 * @stride_shift: stack: log2 of the pages of a slot
 * @limit:	stack: pages of a slot above the guard
 * @slots:	stack: number of slots
 * @block_shift: log2 of the pages of a block
 * @length:	pages
 * @table_length: pages of the table
 * @records:	pages charged for @dir and @table
 * @window:	page offset of the arena in the context's address space
 * @base:	address of the arena's first page if the mapping made last were
 *		of all of it: a hint for burrow_arena_vma(), read and written
 *		without a lock
 * @maps:	mappings of arena and table, anybody's; atomic
 * @owner_maps:	the owner's, of the arena; atomic
 * @table_maps:	the owner's, of the table; atomic
 * @life:	write: pages and blocks go; read: batch calls
 * @dir:	directory of pages of 512 pointers to blocks; entries appear
 *		once (cmpxchg) and go under @life
 * @table_lock:	protects insertion into @table
 * @table:	pages of the table; entries appear once and go under @life
 * @notes:	which blocks have news for a collector (notes.c), once one has
 *		asked; appears once, under the context's lock
 */
struct burrow_arena {
	struct kref ref;
	struct burrow_context *ctx;
	u32 id;
	u32 kind;
	u32 flags;
	unsigned int batch;
	unsigned int stride_shift;
	unsigned long limit;
	unsigned long slots;
	unsigned int block_shift;
	unsigned long length;
	unsigned long table_length;
	unsigned long records;
	pgoff_t window;
	unsigned long base;
	atomic_t maps;
	atomic_t owner_maps;
	atomic_t table_maps;
	struct rw_semaphore life;
	struct burrow_block ***dir;
	struct mutex table_lock;
	struct page **table;
	struct burrow_notes *notes;
};

/* context.c */
extern const struct file_operations burrow_context_fops;

/* arena.c */
int burrow_arena_create(struct burrow_context *ctx,
			struct burrow_arena_create *args);
int burrow_arena_destroy(struct burrow_context *ctx, u32 id);
struct burrow_arena *burrow_arena_get(struct burrow_context *ctx, u32 id,
				      u32 kind);
void burrow_arena_put(struct burrow_arena *arena);
void burrow_arena_release_all(struct burrow_context *ctx);
struct vm_area_struct *burrow_arena_vma(struct burrow_arena *arena,
					unsigned long page,
					struct vm_area_struct *hint);
bool burrow_arena_is_plain(struct burrow_arena *arena,
			   struct vm_area_struct *vma, unsigned long addr,
			   unsigned long page);
void burrow_arena_hold(struct burrow_arena *arena);
void burrow_arena_unhold(struct burrow_arena *arena);
int burrow_arena_mmap(struct burrow_context *ctx, struct vm_area_struct *vma);

/* block.c */
struct burrow_block *burrow_block_find(struct burrow_arena *arena,
				       unsigned long page);
struct burrow_block *burrow_block_get(struct burrow_arena *arena,
				      unsigned long page);
unsigned long burrow_block_next(struct burrow_arena *arena, unsigned long page,
				unsigned long end);
bool burrow_block_any(struct burrow_arena *arena, unsigned long first,
		      unsigned long pages);
void burrow_block_free_all(struct burrow_arena *arena);
int burrow_block_insert(struct vm_area_struct *vma, pgoff_t first,
			struct page **pages, unsigned long n);
extern const struct address_space_operations burrow_block_aops;

/* stack.c */
vm_fault_t burrow_stack_fault(struct burrow_arena *arena, struct vm_fault *vmf);
void burrow_stack_drop(struct burrow_arena *arena, struct burrow_stack *stack,
		       unsigned long keep);
unsigned int burrow_stack_collect(const struct burrow_stack *stack,
				  unsigned long depth, struct page **pages,
				  unsigned int n);
long burrow_stack_info(struct burrow_context *ctx,
		       struct burrow_slot_info *args);
u64 burrow_stack_goroutine(struct burrow_arena *arena, unsigned long slot);
u64 burrow_stack_word(struct burrow_arena *arena, unsigned long slot);
vm_fault_t burrow_stack_table_fault(struct burrow_arena *arena,
				    struct vm_fault *vmf);

/* trim.c */
long burrow_trim(struct burrow_context *ctx, struct burrow_trim *args);
void burrow_trim_slot(struct burrow_arena *arena, struct burrow_block *block,
		      struct burrow_trim_entry *entry);

/* lazy.c */
void burrow_lazy_open(struct burrow_context *ctx);
bool burrow_lazy_add(struct burrow_arena *arena, struct burrow_block *block,
		     const struct burrow_trim_entry *entry,
		     unsigned long pages);
void burrow_lazy_forget(struct burrow_arena *arena, struct burrow_block *block,
			unsigned long i);
unsigned long burrow_lazy_take(struct burrow_context *ctx,
			       struct burrow_block *held,
			       const struct burrow_stack *busy,
			       unsigned long want);

/* hibernate.c */
long burrow_hibernate(struct burrow_context *ctx,
		      struct burrow_hibernate *args);
void burrow_hibernate_restore(struct burrow_arena *arena,
			      struct burrow_block *block, unsigned long slot,
			      struct page *page);
void burrow_hibernate_forget(struct burrow_arena *arena,
			     struct burrow_block *block, unsigned long slot);

/* dump.c */
void burrow_dump_prepare(struct burrow_arena *arena);
vm_fault_t burrow_dump_fault(struct burrow_arena *arena,
			     const struct burrow_stack *stack,
			     struct vm_fault *vmf);
void burrow_dump_close(struct burrow_context *ctx);

/* saved.c */
long burrow_saved(struct burrow_context *ctx, struct burrow_saved *args);

/* pgtable.c */
long burrow_pgtables(struct burrow_context *ctx, struct file *file,
		     struct burrow_pgtables *args);
unsigned long burrow_pgtable_area(struct burrow_context *ctx,
				  unsigned long addr);
void burrow_pgtable_closed(struct burrow_context *ctx);
void burrow_pgtable_mapped(struct burrow_context *ctx);

/* notes.c */
int burrow_notes_open(struct burrow_arena *arena);
void burrow_notes_close(struct burrow_arena *arena);
void burrow_notes_saved(struct burrow_arena *arena, unsigned long slot);
void burrow_notes_told(struct burrow_arena *arena, unsigned long slot);
void burrow_notes_over(struct burrow_arena *arena, struct burrow_stack *stack,
		       unsigned long slot);
unsigned long burrow_notes_next(struct burrow_arena *arena, unsigned long page,
				unsigned long end);
long burrow_restored(struct burrow_context *ctx, struct burrow_restored *args);

/* heap.c */
vm_fault_t burrow_heap_fault(struct burrow_arena *arena, struct vm_fault *vmf);
long burrow_heap_release(struct burrow_context *ctx,
			 struct burrow_release *args);

/* dirty.c */
long burrow_dirty(struct burrow_context *ctx, struct burrow_dirty *args);

/* pool.c */
extern unsigned long burrow_context_limit;
extern unsigned long burrow_user_limit;
extern unsigned long burrow_pool_limit;
void burrow_pool_init_limits(void);
bool burrow_pool_charge_records(struct burrow_context *ctx, long n);
void burrow_pool_uncharge(struct burrow_context *ctx, long n);
unsigned int burrow_pool_take(struct burrow_context *ctx, struct page **pages,
			      unsigned int n);
void burrow_pool_give(struct burrow_context *ctx, struct page *first,
		      struct page *last, unsigned long n);
unsigned long burrow_pool_shrink(struct burrow_context *ctx,
				 unsigned long most);
void burrow_pool_drain(struct burrow_context *ctx);
int burrow_pool_alloc(struct burrow_context *ctx, struct page **pages,
		      unsigned int n);
void burrow_pool_free(struct burrow_context *ctx, struct page *page);
void burrow_pool_refused(struct burrow_context *ctx, int err);
struct page *burrow_pool_alloc_row(struct burrow_context *ctx,
				   unsigned int order);
void burrow_pool_free_row(struct burrow_context *ctx, struct page *page,
			  unsigned int order);
void *burrow_pool_zalloc(struct burrow_context *ctx, size_t size);

/* store.c */
void burrow_store_open(struct burrow_context *ctx);
void *burrow_store_alloc(struct burrow_context *ctx, unsigned int bytes);
void burrow_store_free(struct burrow_context *ctx, void *saved,
		       unsigned int bytes);

/* shrink.c */
int burrow_shrink_init(void);
void burrow_shrink_exit(void);
int burrow_shrink_open(struct burrow_context *ctx);
void burrow_shrink_close(struct burrow_context *ctx);

/* stats.c */
void burrow_stats_init(void);
void burrow_stats_exit(void);
int burrow_stats_open(struct burrow_context *ctx);
void burrow_stats_close(struct burrow_context *ctx);
void burrow_stats_fill(struct burrow_context *ctx,
		       struct burrow_context_stats *args);

/* The context's lock is held, or a page of the arena is owned. */
static inline struct burrow_arena *burrow_arena_find(struct burrow_context *ctx,
						     u32 id)
{
	return id <= BURROW_ARENAS_MAX ? READ_ONCE(ctx->arenas[id]) : NULL;
}

static inline u32 burrow_arena_slots_shift(const struct burrow_arena *arena)
{
	return arena->block_shift - arena->stride_shift;
}

/* A slot's place among those of its block. */
static inline unsigned long burrow_block_slot(const struct burrow_arena *arena,
					      unsigned long slot)
{
	return slot & ((1UL << burrow_arena_slots_shift(arena)) - 1);
}

/* Bytes that are saved of a stack; 0: it is not hibernated. */
static inline unsigned int burrow_stack_saved(const struct burrow_stack *stack)
{
	return stack->live * sizeof(u64);
}

/* Byte offset of a page of the arena in the context's address space. */
static inline loff_t burrow_arena_offset(const struct burrow_arena *arena,
					 unsigned long page)
{
	return (loff_t)(arena->window + page) << PAGE_SHIFT;
}

#endif /* _BURROW_H */
