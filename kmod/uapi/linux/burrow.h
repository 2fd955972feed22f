/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The contract between burrow.ko and its users. The runtime library includes
 * this very file; nothing else is shared between kernel and userland.
 *
 * One open of /dev/burrow is one context: an address space of its own, a pool
 * of recycled pages, its arenas and its limits. Only the process (the mm) that
 * opened the device may use it: a descriptor that was passed on, or kept over
 * fork() or execve(), answers every call with -EPERM. Two contexts never see
 * each other's pages.
 *
 * The order of calls is
 *
 *	fd = open("/dev/burrow", O_RDWR | O_CLOEXEC);
 *	ioctl(fd, BURROW_IOC_VERSION, &v);	    first; others: -EPROTO before
 *	ioctl(fd, BURROW_IOC_ARENA_CREATE, &c);	    reserves, allocates nothing
 *	mmap(a, c.bytes, PROT_READ | PROT_WRITE,
 *	     MAP_SHARED | MAP_FIXED, fd, c.offset);
 *	mmap(NULL, c.table_bytes, ..., MAP_SHARED, fd, c.table_offset);
 *
 * Every argument begins with its own size in bytes and a word of flags. The
 * rules are those of openat2(2): a struct shorter than its first version is
 * -EINVAL, a longer one is accepted if all that this kernel does not know is
 * zero and is -E2BIG otherwise. Unknown flags are -EINVAL, and so are padding and
 * fields marked "out" alone that are not zero on the way in (but those of the
 * version and stats calls). Arguments may lie anywhere, on an arena's own stacks too.
 */
#ifndef _UAPI_LINUX_BURROW_H
#define _UAPI_LINUX_BURROW_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The release that this file is of; struct burrow_version has the module's. */
#define BURROW_RELEASE		"0.1.0"

/* Changes only when a program built for the old one would break. */
#define BURROW_ABI		1

/* Arenas are worked on in blocks; mappings start and end on one. */
#define BURROW_BLOCK_SIZE	(2ULL << 20)

/* The stride of a stack arena: a power of two between these. */
#define BURROW_STRIDE_MIN	(16ULL << 10)
#define BURROW_STRIDE_MAX	(1ULL << 30)

/* The largest arena, and how many a context may have at a time. */
#define BURROW_ARENA_BYTES_MAX	(1ULL << 47)
#define BURROW_ARENAS_MAX	256

/* The most slots of an arena. */
#define BURROW_SLOTS_MAX	(1ULL << 27)

#define BURROW_IOC_MAGIC	0xB7

/* Feature bits of struct burrow_version. */
#define BURROW_FEATURE_STACK	(1ULL << 0)	/* stack arenas, trim, slot info */
#define BURROW_FEATURE_HEAP	(1ULL << 1)	/* heap arenas, release */
#define BURROW_FEATURE_DIRTY	(1ULL << 2)	/* harvest of written pages */
#define BURROW_FEATURE_LAZY	(1ULL << 3)	/* lazy trim */
#define BURROW_FEATURE_HIBERNATE (1ULL << 4)	/* hibernation, saved bytes */
#define BURROW_FEATURE_PGTABLES	(1ULL << 5)	/* page tables given back */

/**
 * struct burrow_version - BURROW_IOC_VERSION: who are you, what can you do
 * @size:	sizeof(struct burrow_version)
 * @flags:	0
 * @abi:	in: BURROW_ABI; out: the module's. Different: -EPROTONOSUPPORT
 * @page_size:	out: bytes of a page, the unit of every page number here
 * @features:	in: bits the caller cannot do without (one missing is
 *		-EOPNOTSUPP); out: all that the module has
 * @context_limit: out: bytes of pages that this context may hold
 * @user_limit:	out: bytes of pages that all contexts of this user may hold
 * @pool_limit:	out: bytes of recycled pages that this context may keep
 * @release:	out: the module's version, NUL terminated
 *
 * May be called again at any time. The out fields are filled with both errors
 * named above too.
 */
struct burrow_version {
	__u32 size;
	__u32 flags;
	__u32 abi;
	__u32 page_size;
	__u64 features;
	__u64 context_limit;
	__u64 user_limit;
	__u64 pool_limit;
	char  release[32];
};

/* Kinds of arena. */
#define BURROW_ARENA_STACK	1
#define BURROW_ARENA_HEAP	2

/* Flags of struct burrow_arena_create. */
#define BURROW_ARENA_ZERO	(1U << 0) /* zero pages as they leave a slot */
#define BURROW_ARENA_DUMP	(1U << 1) /* owned pages go into core dumps */

/**
 * struct burrow_arena_create - BURROW_IOC_ARENA_CREATE: reserve an arena
 * @size:	sizeof(struct burrow_arena_create)
 * @flags:	BURROW_ARENA_*
 * @kind:	BURROW_ARENA_STACK or BURROW_ARENA_HEAP
 * @batch:	most pages mapped by one fault beyond the page that faulted, a
 *		power of two up to 4096; 0: the module's default
 * @bytes:	heap: length, a multiple of BURROW_BLOCK_SIZE. Stack: in 0;
 *		out @slots times @stride rounded up to whole blocks
 * @stride:	stack: bytes from one slot to the next; heap: 0
 * @slots:	stack: how many; heap: 0
 * @guard:	stack: bytes at the low end of each slot that are never
 *		mapped, a multiple of the page size and less than @stride; 0:
 *		an eighth of the stride, at least 32 KiB, at most half of it
 *		(out: what was chosen); heap: 0
 * @arena:	out: its number, the argument of the other calls
 * @pad:	0
 * @offset:	out: where to mmap the arena
 * @table_offset: out: stack: where to mmap its table
 * @table_bytes: out: stack: length of the table, whole pages
 *
 * A stack arena is @slots slots of @stride bytes, each empty but for a guard.
 * Slot n covers the bytes [n * stride, (n + 1) * stride) of the arena, and its
 * stack grows downward from the upper end to the guard. Touching a page of a
 * slot maps it and everything above it: max(what is needed, twice what was
 * there), but no more than @batch pages past what is needed. Touching the
 * guard is SIGSEGV with the address (a system call gets -EFAULT).
 *
 * A heap arena maps zeroed pages in naturally aligned groups of @batch pages,
 * at most a block.
 *
 * An arena may be mapped whole or in pieces of whole blocks, MAP_SHARED only,
 * at addresses congruent to the offset modulo BURROW_BLOCK_SIZE, by the owner
 * only, and never executable; mremap() neither grows nor moves it. When the last mapping of an
 * arena is gone, its pages are too; what the table says stays for as long as
 * either is mapped. Memory that can't be had, or that a limit
 * forbids, is SIGBUS (a system call gets -EFAULT).
 */
struct burrow_arena_create {
	__u32 size;
	__u32 flags;
	__u32 kind;
	__u32 batch;
	__u64 bytes;
	__u64 stride;
	__u64 slots;
	__u64 guard;
	__u32 arena;
	__u32 pad;
	__u64 offset;
	__u64 table_offset;
	__u64 table_bytes;
};

/**
 * struct burrow_slot - an entry of a stack arena's table, one for each slot
 * @word:	the user's word: it changes whenever the slot's stack is about
 *		to be run on, before the stack is touched
 * @goroutine:	the id that events of this slot carry, 0 for none
 *
 * The table is memory of the kernel that the user writes; the kernel reads
 * @goroutine as a label and @word as the compare word of BURROW_IOC_TRIM and
 * BURROW_IOC_HIBERNATE, and trusts neither. Pages of it exist from the first touch on.
 */
struct burrow_slot {
	__u64 word;
	__u64 goroutine;
};

/**
 * struct burrow_arena_destroy - BURROW_IOC_ARENA_DESTROY: give an arena back
 * @size:	sizeof(struct burrow_arena_destroy)
 * @flags:	0
 * @arena:	which
 * @pad:	0
 *
 * -EBUSY while any of it or of its table is mapped, -ENOENT if there is none.
 * Closing the descriptor and unmapping does it too.
 */
struct burrow_arena_destroy {
	__u32 size;
	__u32 flags;
	__u32 arena;
	__u32 pad;
};

/**
 * struct burrow_trim_entry - one slot to trim
 * @slot:	its number
 * @keep:	bytes to keep at the upper end, rounded up to whole pages
 * @word:	what @word of the slot's table entry was when the caller decided
 * @result:	out: bytes taken from the slot (lazily: that may be taken),
 *		-EAGAIN if the word was or became another (nothing was taken),
 *		-EINVAL for no such slot
 */
struct burrow_trim_entry {
	__u64 slot;
	__u64 keep;
	__u64 word;
	__s64 result;
};

/* Flags of struct burrow_trim. */
#define BURROW_TRIM_LAZY	(1U << 0) /* take the pages when they are needed */

/**
 * struct burrow_trim - BURROW_IOC_TRIM: take pages below the live end of stacks
 * @size:	sizeof(struct burrow_trim)
 * @flags:	BURROW_TRIM_*
 * @arena:	a stack arena
 * @count:	number of entries
 * @entries:	address of the array of struct burrow_trim_entry
 * @done:	out: entries dealt with; less than @count after a fatal signal
 * @bytes:	out: the results above 0 added up
 *
 * The pages go to the context's pool and come back, un-zeroed, to any of its
 * stacks; past the pool's bound they go to the system. Entries sorted by slot
 * are cheapest: neighbours of one block share one TLB flush.
 *
 * A slot that is woken meanwhile is safe if its waker changes the word before
 * it touches the stack (on arm64 with a full barrier between): the module
 * compares the word before it unmaps and again after the TLB flush, and puts
 * the pages back if it changed. The content of pages that are kept, or put
 * back, does not change.
 *
 * With BURROW_TRIM_LAZY pages stay where they are, at next to no cost, until
 * memory is needed: they go as above, those of the slots trimmed longest ago
 * first, when a stack grows and the pool is empty, when a page is refused, or
 * when the system is short of memory. Until then, and for as long as the slot's
 * word is @word, their content may vanish at any moment. Once the word is
 * another they are the slot's again, those that are still there. So the word
 * must not come back to a value that it had: let it count. A slot has the keep
 * and word of its last lazy trim; a trim that is not lazy ends it.
 *
 * Returns 0 with @done set, or a negative errno: -EFAULT, -ENOENT (no such
 * arena), -EINVAL, -ENOMEM.
 */
struct burrow_trim {
	__u32 size;
	__u32 flags;
	__u32 arena;
	__u32 count;
	__u64 entries;
	__u64 done;
	__u64 bytes;
};

/**
 * struct burrow_hibernate_entry - one slot to hibernate
 * @slot:	its number
 * @live:	bytes at the upper end that its user wants back, the red zone
 *		among them
 * @word:	what @word of the slot's table entry was when the caller decided
 * @result:	out: bytes of pages taken from the slot; 0 if it had none (it may
 *		be hibernated already); or nothing was taken: -EAGAIN if the word
 *		was or became another, -EBUSY if somebody else holds a page that
 *		is live (pinned by I/O), -E2BIG if @live is past the module's
 *		bound, -ENOMEM if there was no room to save them, -EINVAL for no
 *		such slot, for @live 0 or more than a stack may have
 */
struct burrow_hibernate_entry {
	__u64 slot;
	__u64 live;
	__u64 word;
	__s64 result;
};

/**
 * struct burrow_hibernate - BURROW_IOC_HIBERNATE: keep only what stacks hold
 * @size:	sizeof(struct burrow_hibernate)
 * @flags:	0
 * @arena:	a stack arena
 * @count:	number of entries
 * @entries:	address of the array of struct burrow_hibernate_entry
 * @done:	out: entries dealt with; less than @count after a fatal signal
 * @bytes:	out: live bytes saved, each slot's rounded up to 8
 * @freed:	out: the results above 0 added up
 *
 * The live bytes are saved in the kernel and all pages of the slot go, as those
 * that a trim takes. Any touch of the slot later, by whomever, puts the live
 * bytes back where they were before it goes on; what was below them is lost. A
 * touch that finds no memory for that is SIGBUS as any other; nothing is lost,
 * and a later one may succeed. A slot that is restored counts as written for
 * BURROW_IOC_DIRTY. Entries sorted by slot are cheapest.
 *
 * A slot that is woken, or written to, meanwhile is safe as with BURROW_IOC_TRIM.
 * A trim to nothing forgets what was saved; any other leaves it alone.
 *
 * Returns 0 with @done set, or a negative errno: -EFAULT, -ENOENT (no such
 * arena), -EINVAL, -ENOMEM.
 */
struct burrow_hibernate {
	__u32 size;
	__u32 flags;
	__u32 arena;
	__u32 count;
	__u64 entries;
	__u64 done;
	__u64 bytes;
	__u64 freed;
};

/* The least buffer of struct burrow_saved: any record fits. */
#define BURROW_SAVED_MIN	4096

/**
 * struct burrow_saved_slot - what is saved of one slot
 * @slot:	its number
 * @word:	the word of its table entry now
 * @live:	bytes that follow, a multiple of 8: those up to the slot's upper
 *		end. The next record comes right behind them.
 */
struct burrow_saved_slot {
	__u64 slot;
	__u64 word;
	__u64 live;
};

/* Flags of struct burrow_saved. */
#define BURROW_SAVED_NOTE	(1U << 0) /* and BURROW_IOC_RESTORED tells later */
#define BURROW_SAVED_NEW	(1U << 1) /* so, and only what was not noted */

/**
 * struct burrow_saved - BURROW_IOC_SAVED: read what is saved, restoring nothing
 * @size:	sizeof(struct burrow_saved)
 * @flags:	BURROW_SAVED_*
 * @arena:	a stack arena
 * @pad:	0
 * @first:	first slot to look at
 * @slots:	how many to look at
 * @buffer:	address of room for records, struct burrow_saved_slot and bytes
 * @bytes:	of the room, at least BURROW_SAVED_MIN
 * @done:	out: bytes written
 * @count:	out: records written
 * @next:	out: first slot that was not looked at: @first + @slots, or less
 *		if the next record did not fit, or after a fatal signal
 *
 * Hibernated slots in order of their number; a slot that is not is passed over.
 * Each record is right at some moment during the call.
 *
 * A record handed out with BURROW_SAVED_NOTE is right until BURROW_IOC_RESTORED
 * names its slot: nobody has touched the stack. With BURROW_SAVED_NEW such slots
 * are passed over, and take no time. After -EFAULT some may count as noted that
 * were not handed out.
 *
 * Returns 0, or a negative errno: -EFAULT (the fields say what was written
 * before), -ENOENT (no such arena), -EINVAL, -ENOMEM.
 */
struct burrow_saved {
	__u32 size;
	__u32 flags;
	__u32 arena;
	__u32 pad;
	__u64 first;
	__u64 slots;
	__u64 buffer;
	__u64 bytes;
	__u64 done;
	__u64 count;
	__u64 next;
};

/* The most bytes of the slots of one struct burrow_pgtables. */
#define BURROW_PGTABLES_MAX	(1ULL << 30)

/**
 * struct burrow_pgtables - BURROW_IOC_PGTABLES: give page tables back
 * @size:	sizeof(struct burrow_pgtables)
 * @flags:	0
 * @arena:	a stack arena
 * @pad:	0
 * @first:	first slot of the range
 * @slots:	how many: whole blocks, or up to the arena's last slot, and
 *		BURROW_PGTABLES_MAX bytes at most
 * @least:	bytes of page tables that it should be worth
 * @most:	slots of the range that may have pages
 * @bytes:	out: bytes of page tables that went
 * @resident:	out: slots that had pages, of the blocks that have page tables
 *
 * Hibernated and empty slots need no page tables, but the kernel keeps them for
 * as long as there is the mapping. So the range is mapped over itself: it
 * becomes a mapping of its own, or remains the one it was, and its page tables go.
 * No page does, and no content changes; a slot that has pages is mapped again by its
 * next touch. A block counts as worth a page if pages of it were mapped since the last
 * such call and none of its slots has any; if all together are worth less than @least, or
 * nothing, or more than @most slots have pages, nothing is done: 0 with @bytes 0.
 *
 * The arena must be mapped in order. -ENXIO, and nothing is done: not all of the
 * range is mapped as it was by the first mmap(), readable and writable, with no
 * advice. -ENOMEM: nothing was done, for want of memory or of mappings.
 * -ENOTRECOVERABLE: the same, but the range was unmapped already, and a touch
 * of it is SIGSEGV; so it is after a second of being refused, or after another
 * thread mapped something there meanwhile. Also -ENOENT (no such arena), -EINVAL,
 * -EINTR (a fatal signal).
 */
struct burrow_pgtables {
	__u32 size;
	__u32 flags;
	__u32 arena;
	__u32 pad;
	__u64 first;
	__u64 slots;
	__u64 least;
	__u64 most;
	__u64 bytes;
	__u64 resident;
};

/**
 * struct burrow_restored - BURROW_IOC_RESTORED: whose saved bytes are over
 * @size:	sizeof(struct burrow_restored)
 * @flags:	0
 * @arena:	a stack arena
 * @pad:	0
 * @slots:	address of an array of __u64, for numbers of slots
 * @room:	how many there is room for
 * @done:	out: how many were written; less than @room: that was all
 *
 * Slots handed out by BURROW_IOC_SAVED with BURROW_SAVED_NOTE that were restored
 * since, or trimmed to nothing, whatever they are now: each is told once. One that
 * is noted anew meanwhile is not told of. What the last unmapping of the arena
 * ended is not told.
 *
 * Returns 0, or a negative errno: -EFAULT (what could not be written will be told
 * by the next call), -ENOENT (no such arena), -EINVAL.
 */
struct burrow_restored {
	__u32 size;
	__u32 flags;
	__u32 arena;
	__u32 pad;
	__u64 slots;
	__u64 room;
	__u64 done;
};

/**
 * struct burrow_slot_state - what the kernel knows of a slot
 * @bytes:	bytes of pages that the stack has now: 0 while it is hibernated
 * @peak:	most that it had since the last trim to nothing
 */
struct burrow_slot_state {
	__u64 bytes;
	__u64 peak;
};

/**
 * struct burrow_slot_info - BURROW_IOC_SLOT_INFO: sizes of many slots
 * @size:	sizeof(struct burrow_slot_info)
 * @flags:	0
 * @arena:	a stack arena
 * @count:	number of slots
 * @first:	first slot
 * @states:	address of an array of @count struct burrow_slot_state
 * @done:	out: entries written; less than @count after a fatal signal
 */
struct burrow_slot_info {
	__u32 size;
	__u32 flags;
	__u32 arena;
	__u32 count;
	__u64 first;
	__u64 states;
	__u64 done;
};

/**
 * struct burrow_dirty - BURROW_IOC_DIRTY: harvest the pages that were written
 * @size:	sizeof(struct burrow_dirty)
 * @flags:	0
 * @arena:	an arena of either kind
 * @pad:	0
 * @first_page:	first page of the range in the arena, a multiple of 64
 * @pages:	how many, a multiple of 64
 * @bitmap:	address of an array of @pages / 64 __u64; bit (n % 64) of word
 *		(n / 64) is set if page @first_page + n was written
 * @done:	out: pages dealt with, a multiple of 64; less than @pages after
 *		a fatal signal
 * @dirty:	out: number of bits set
 *
 * Reads and clears the hardware's dirty bits: a later write costs nothing but
 * the processor setting the bit again. Reported are all pages written since
 * the last harvest (or since they were mapped), by the program, by the kernel
 * through pinned pages, or by a debugger; a page may be reported that was not
 * written (one that is pinned for I/O always is), a written page is always
 * reported. A write that races with the harvest is in this one or in the next.
 * If the bitmap can't be written (-EFAULT) nothing is forgotten. Also -ENOENT,
 * -EINVAL, -ENOMEM.
 */
struct burrow_dirty {
	__u32 size;
	__u32 flags;
	__u32 arena;
	__u32 pad;
	__u64 first_page;
	__u64 pages;
	__u64 bitmap;
	__u64 done;
	__u64 dirty;
};

/**
 * struct burrow_release - BURROW_IOC_RELEASE: give heap pages to the system
 * @size:	sizeof(struct burrow_release)
 * @flags:	0
 * @arena:	a heap arena
 * @pad:	0
 * @first_page:	first page of the range
 * @pages:	how many
 * @done:	out: pages of the range dealt with; less than @pages after a
 *		fatal signal
 *
 * The range reads as zeroes afterwards.
 */
struct burrow_release {
	__u32 size;
	__u32 flags;
	__u32 arena;
	__u32 pad;
	__u64 first_page;
	__u64 pages;
	__u64 done;
};

/* Flags of struct burrow_stats. */
/* First give the pool to the system, and what can be had after lazy trims. */
#define BURROW_STATS_DRAIN	(1U << 0)

/**
 * struct burrow_context_stats - BURROW_IOC_STATS: counters of this context
 * @size:	sizeof(struct burrow_context_stats)
 * @flags:	BURROW_STATS_*
 * @stack_bytes: bytes of pages in stack slots
 * @heap_bytes:	bytes of pages in heap arenas
 * @pool_bytes:	bytes of pages in the pool
 * @table_bytes: bytes of pages of tables
 * @faults:	faults of the owner that reached the module, those that it
 *		refused included
 * @grows:	faults that made a stack larger
 * @recycled:	pages that came from the pool
 * @fresh:	pages that came from the system
 * @trims:	slots trimmed
 * @trim_races:	slots that were woken while being trimmed, and left alone
 * @overflows:	faults in a guard
 * @limits:	faults refused by a limit
 * @nomem:	faults refused for want of memory
 * @user_bytes:	bytes of pages that all contexts of this user hold
 * @lazy_bytes:	of @stack_bytes, what may be taken after lazy trims; slots that
 *		were woken since may still count
 * @lazy_trims:	slots trimmed lazily
 * @lazy_taken:	times that pages were taken from a slot after a lazy trim; they
 *		count as @trims too
 * @saved_bytes: live bytes of the slots that are hibernated now
 * @store_bytes: bytes of pages that they are saved in
 * @hibernates:	slots hibernated
 * @restores:	slots that a touch restored
 * @hibernate_races: slots that were woken while being hibernated, and left alone
 * @pgtable_bytes: bytes of page tables that BURROW_IOC_PGTABLES gave back
 * @hibernated:	slots that are hibernated now
 *
 * Its first version ended with @user_bytes.
 */
struct burrow_context_stats {
	__u32 size;
	__u32 flags;
	__u64 stack_bytes;
	__u64 heap_bytes;
	__u64 pool_bytes;
	__u64 table_bytes;
	__u64 faults;
	__u64 grows;
	__u64 recycled;
	__u64 fresh;
	__u64 trims;
	__u64 trim_races;
	__u64 overflows;
	__u64 limits;
	__u64 nomem;
	__u64 user_bytes;
	__u64 lazy_bytes;
	__u64 lazy_trims;
	__u64 lazy_taken;
	__u64 saved_bytes;
	__u64 store_bytes;
	__u64 hibernates;
	__u64 restores;
	__u64 hibernate_races;
	__u64 pgtable_bytes;
	__u64 hibernated;
};

/* The number picks the call; the size that counts is the one in the struct. */
#define BURROW_IOC_VERSION \
	_IOWR(BURROW_IOC_MAGIC, 0, struct burrow_version)
#define BURROW_IOC_ARENA_CREATE \
	_IOWR(BURROW_IOC_MAGIC, 1, struct burrow_arena_create)
#define BURROW_IOC_ARENA_DESTROY \
	_IOWR(BURROW_IOC_MAGIC, 2, struct burrow_arena_destroy)
#define BURROW_IOC_TRIM \
	_IOWR(BURROW_IOC_MAGIC, 3, struct burrow_trim)
#define BURROW_IOC_SLOT_INFO \
	_IOWR(BURROW_IOC_MAGIC, 4, struct burrow_slot_info)
#define BURROW_IOC_DIRTY \
	_IOWR(BURROW_IOC_MAGIC, 5, struct burrow_dirty)
#define BURROW_IOC_RELEASE \
	_IOWR(BURROW_IOC_MAGIC, 6, struct burrow_release)
#define BURROW_IOC_STATS \
	_IOWR(BURROW_IOC_MAGIC, 7, struct burrow_context_stats)
#define BURROW_IOC_HIBERNATE \
	_IOWR(BURROW_IOC_MAGIC, 8, struct burrow_hibernate)
#define BURROW_IOC_SAVED \
	_IOWR(BURROW_IOC_MAGIC, 9, struct burrow_saved)
#define BURROW_IOC_PGTABLES \
	_IOWR(BURROW_IOC_MAGIC, 10, struct burrow_pgtables)
#define BURROW_IOC_RESTORED \
	_IOWR(BURROW_IOC_MAGIC, 11, struct burrow_restored)

#endif /* _UAPI_LINUX_BURROW_H */
