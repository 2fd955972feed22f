/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The collector: what the program may tell it, and ask of it.
 *
 * Included by <burrow.h>. Objects of the heap (<burrow/gc.h>) live as long as
 * something points to them, from the stacks and registers of goroutines, from
 * the program's static data, from registered ranges, or from objects that live.
 * Thread-locals and malloc'd memory are not looked at.
 */
#ifndef BURROW_COLLECTOR_H
#define BURROW_COLLECTOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/**
 * burrow_gc() - collect now
 *
 * A full cycle that begins after the call, and is complete on return: what
 * nothing points to is free, weak references to it are cleared. Cleanups run
 * soon after.
 *
 * Return: 0, or -EPERM outside of goroutines.
 */
int burrow_gc(void);

/**
 * burrow_release_memory() - collect now, and give free memory to the system
 *
 * Return: as burrow_gc().
 */
int burrow_release_memory(void);

/**
 * burrow_gc_percent() - how much the heap may grow between cycles
 * @percent:	of what was live after the last one and of the roots; -1: it is
 *		not collected as it grows, but still where memory ends; 0 changes
 *		nothing
 *
 * From any thread while the runtime runs.
 *
 * Return: what it was before (-1 if it was off), or -EINVAL, -ESRCH if no runtime
 * runs.
 */
int burrow_gc_percent(int percent);

/**
 * burrow_memory_limit() - how much memory heap and stacks should keep to
 * @bytes:	so many; SIZE_MAX: no limit; 0 changes nothing
 *
 * The nearer the heap comes to it, the more often it is collected. What lives and
 * what is asked for must fit: an allocation that would take the heap past the
 * limit fails as where memory is out, after collections. Stacks are not refused.
 * On the kernel module it is at most nine tenths of what the module allows. From
 * any thread while the runtime runs.
 *
 * Return: what it was before (INT64_MAX: no limit), or -ESRCH if no runtime runs.
 */
int64_t burrow_memory_limit(size_t bytes);

/**
 * burrow_root_add() - have a range of memory looked at for pointers
 * @ptr:	where it begins
 * @len:	bytes
 *
 * For malloc'd memory that points to objects of the heap; words aligned as
 * pointers are. It must stay mapped until it is removed. Ranges may overlap. From
 * any thread, before burrow_run() too; what was added stays from run to run.
 *
 * Return: 0, -EINVAL if that is no range, -ENOMEM.
 */
int burrow_root_add(void *ptr, size_t len);

/**
 * burrow_root_remove() - undo burrow_root_add()
 * @ptr:	where the range begins; of several the last that was added
 *
 * Return: 0, or -ENOENT.
 */
int burrow_root_remove(void *ptr);

/**
 * burrow_keep_alive() - an object lives at least until here
 * @ptr:	to it
 *
 * For where a compiler sees the last use of a pointer before the program's last
 * use of what a cleanup would take away.
 */
void burrow_keep_alive(const void *ptr);

/**
 * burrow_cleanup() - have a function called when an object is no more
 * @obj:	the object, or a pointer into it
 * @fn:		called on a goroutine, some time after a cycle found @obj dead
 * @arg:	its argument; lives until then. If @obj can be reached from it,
 *		@obj never dies
 *
 * Several may wait for one object, in no order. Cleanups run one after another
 * on one goroutine: they may allocate, and block, but then the others wait.
 * Those that wait when burrow_run() ends are not called.
 *
 * Return: 0, -EINVAL if @obj is no object of the heap or @arg is @obj, -ENOMEM,
 * -EPERM outside of goroutines.
 */
int burrow_cleanup(void *obj, void (*fn)(void *arg), void *arg);

/**
 * burrow_heap_profile_rate() - sample where objects are allocated
 * @bytes:	one sample in so many bytes on average; 1: each object; 0: none,
 *		which is how a run begins unless BURROW_DEBUG=heapprofile= says
 *		otherwise
 *
 * Change it once, and early: what was sampled before is counted with the rate
 * that is set when the profile is written. 512 KiB cost next to nothing. From any
 * thread while the runtime runs.
 *
 * Return: what it was before, or -EINVAL, -ESRCH if no runtime runs.
 */
int64_t burrow_heap_profile_rate(int64_t bytes);

/**
 * burrow_heap_profile() - write what was sampled
 * @fd:		to where
 *
 * By backtrace: objects and bytes that lived at the end of the last cycle or are
 * younger, and that were ever allocated. It is text in the format of tcmalloc's
 * and Go's heap profiles, for pprof or a script: samples as they are, not scaled
 * up.
 *
 * Return: 0, a negative errno of write(), -ENOMEM, -EPERM outside of goroutines.
 */
int burrow_heap_profile(int fd);

/**
 * burrow_heap_dump() - collect now, and write every object that lives
 * @fd:		to where; no pipe or socket that this process reads, as all of
 *		it stands still meanwhile
 *
 * Text, a line for each object, with its type and what it points to, and for
 * each root.
 *
 * Return: 0, a negative errno of write(), -EPERM outside of goroutines.
 */
int burrow_heap_dump(int fd);

struct burrow_weak;

/**
 * burrow_weak_new() - a reference that keeps nothing alive
 * @obj:	the object, or a pointer into it
 *
 * The reference is itself an object of the heap, and the same one for the same
 * pointer as long as it lives.
 *
 * Return: the reference; NULL if @obj is no object of the heap, or no memory is
 * left.
 */
struct burrow_weak *burrow_weak_new(void *obj);

/**
 * burrow_weak_get() - what a weak reference refers to
 * @weak:	it
 *
 * Return: the pointer that it was made of, or NULL once a cycle has found that
 * nothing else points to the object. The object lives as long as the pointer is
 * held.
 */
void *burrow_weak_get(const struct burrow_weak *weak);

struct burrow_weakmap;

/**
 * burrow_weakmap_new() - a map that keeps no key alive
 *
 * A value lives as long as its key and the map do (an ephemeron): also if the key
 * can be reached from it. An entry whose key is dead is no more. The map is an
 * object of the heap.
 *
 * Return: the map, empty; NULL if no memory is left.
 */
struct burrow_weakmap *burrow_weakmap_new(void);

/**
 * burrow_weakmap_set() - have something hang on an object
 * @map:	in which map
 * @key:	the object, or a pointer into it: another pointer is another key
 * @value:	what hangs on it from now on; any pointer
 *
 * From any goroutine at any time.
 *
 * Return: 0, -EINVAL if @key is no object of the heap, -ENOMEM, -EPERM outside of
 * goroutines.
 */
int burrow_weakmap_set(struct burrow_weakmap *map, void *key, void *value);

/**
 * burrow_weakmap_get() - what hangs on an object
 * @map:	in which map
 * @key:	as it was given to burrow_weakmap_set()
 *
 * Return: the value, or NULL.
 */
void *burrow_weakmap_get(const struct burrow_weakmap *map, const void *key);

/**
 * burrow_weakmap_remove() - undo burrow_weakmap_set()
 * @map:	in which map
 * @key:	as it was given
 *
 * Return: 0, -ENOENT, -EPERM outside of goroutines.
 */
int burrow_weakmap_remove(struct burrow_weakmap *map, const void *key);

/**
 * burrow_weakmap_len() - how many entries a map has
 * @map:	it
 *
 * Return: the number, with those whose key has died since the last cycle.
 */
size_t burrow_weakmap_len(const struct burrow_weakmap *map);

/**
 * burrow_external_memory() - tell of memory that objects of the heap hold outside
 * @bytes:	so many more; negative: less
 *
 * Buffers of malloc(), files that are mapped, textures: what cleanups give back.
 * The collector takes it for a part of the heap when it decides when to collect,
 * and for the memory limit. From any thread while the runtime runs.
 *
 * Return: how much it is now, or -EINVAL if that would be less than nothing,
 * -ESRCH if no runtime runs.
 */
int64_t burrow_external_memory(int64_t bytes);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* BURROW_COLLECTOR_H */
