/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only file that knows kernel versions. Each difference has one name here
 * and the newest kernel's meaning.
 */
#ifndef _BURROW_COMPAT_H
#define _BURROW_COMPAT_H

#include <linux/list_lru.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0) || \
	LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
#error "burrow supports Linux 6.1 to 7.2: build against headers of one of these"
#endif

#ifndef CONFIG_MAPPING_DIRTY_HELPERS
#error "burrow needs a kernel with CONFIG_MAPPING_DIRTY_HELPERS"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/*
 * A page of ours is its own folio, and struct page loses its fields one by one
 * (->index in 6.16): these are the folio's.
 */
static inline void burrow_page_set_place(struct page *page,
					 struct address_space *mapping,
					 pgoff_t index)
{
	struct folio *folio = (struct folio *)page;

	folio->mapping = mapping;
	folio->index = index;
}

static inline void burrow_page_set_index(struct page *page, pgoff_t index)
{
	((struct folio *)page)->index = index;
}

/* The page after this one in a chain; ->lru is the owner's off the LRU lists. */
static inline struct page *burrow_page_next(const struct page *page)
{
	return (struct page *)page->lru.next;
}

static inline void burrow_page_set_next(struct page *page, struct page *next)
{
	page->lru.next = (struct list_head *)next;
}

/*
 * userfaultfd can put a write-protect marker where a page would go, and nothing
 * can be inserted over it. Kernels from 6.7 on until a fix that made it refuse
 * mappings like ours let it.
 */
static inline bool burrow_fault_on_marker(struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	return false;
#else
	return (vmf->flags & FAULT_FLAG_ORIG_PTE_VALID) &&
	       !pte_none(vmf->orig_pte);
#endif
}

/* Where the core would map a file that does not care. */
static inline unsigned long
burrow_unmapped_area(struct file *file, unsigned long addr, unsigned long len,
		     unsigned long pgoff, unsigned long flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	return current->mm->get_unmapped_area(file, addr, len, pgoff, flags);
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
	return mm_get_unmapped_area(current->mm, file, addr, len, pgoff, flags);
#else
	return mm_get_unmapped_area(file, addr, len, pgoff, flags);
#endif
}

/* Mappings of a page that is its own folio; 6.12 lost page_mapcount(). */
static inline int burrow_page_mapcount(const struct page *page)
{
	return atomic_read(&((const struct folio *)page)->_mapcount) + 1;
}

/*
 * A shrinker that knows memory cgroups: reclaim in a cgroup calls it if an
 * object that was charged to the cgroup is on its @lru, and one is enough.
 * Shrinkers are allocated by the core from 6.7 on.
 */
struct burrow_shrinker {
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	struct shrinker shrinker;
#else
	struct shrinker *shrinker;
#endif
	struct list_lru lru;
	struct list_head *token;
};

typedef unsigned long burrow_shrink_fn(struct shrinker *s,
				       struct shrink_control *sc);

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
static inline int burrow_shrinker_register(struct burrow_shrinker *bs,
					   burrow_shrink_fn *count,
					   burrow_shrink_fn *scan, pid_t pid)
{
	int err;

	bs->shrinker.count_objects = count;
	bs->shrinker.scan_objects = scan;
	bs->shrinker.seeks = 1;
	bs->shrinker.flags = SHRINKER_MEMCG_AWARE;
	err = register_shrinker(&bs->shrinker, "burrow:%d", pid);
	if (err)
		return err;
	/* The list wants the number that the shrinker got. */
	err = list_lru_init_memcg(&bs->lru, &bs->shrinker);
	if (err)
		unregister_shrinker(&bs->shrinker);
	return err;
}

static inline void burrow_shrinker_unregister(struct burrow_shrinker *bs)
{
	unregister_shrinker(&bs->shrinker);
	list_lru_destroy(&bs->lru);
}

static inline struct burrow_shrinker *burrow_shrinker_of(struct shrinker *s)
{
	return container_of(s, struct burrow_shrinker, shrinker);
}

#define list_lru_add_obj(lru, item) list_lru_add(lru, item)
#define list_lru_del_obj(lru, item) list_lru_del(lru, item)
#else
static inline int burrow_shrinker_register(struct burrow_shrinker *bs,
					   burrow_shrink_fn *count,
					   burrow_shrink_fn *scan, pid_t pid)
{
	int err;

	bs->shrinker = shrinker_alloc(SHRINKER_MEMCG_AWARE, "burrow:%d", pid);
	if (!bs->shrinker)
		return -ENOMEM;
	err = list_lru_init_memcg(&bs->lru, bs->shrinker);
	if (err) {
		shrinker_free(bs->shrinker);
		return err;
	}
	bs->shrinker->count_objects = count;
	bs->shrinker->scan_objects = scan;
	bs->shrinker->seeks = 1;
	bs->shrinker->private_data = bs;
	shrinker_register(bs->shrinker);
	return 0;
}

static inline void burrow_shrinker_unregister(struct burrow_shrinker *bs)
{
	shrinker_free(bs->shrinker);
	list_lru_destroy(&bs->lru);
}

static inline struct burrow_shrinker *burrow_shrinker_of(struct shrinker *s)
{
	return s->private_data;
}
#endif

#endif /* _BURROW_COMPAT_H */
