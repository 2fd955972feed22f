/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocation without a call. Included by <burrow/gc.h>.
 *
 * A thread's free objects of a size lie side by side: to take one is to move the
 * beginning of the run. That is done here where the size is a constant, or the type
 * known; the functions of the same names do the same for whoever has their address
 * or a compiler that does not know this, and all that is more than that. What is here
 * is compiled into programs, so it does not change.
 *
 * Not in programs that a sanitizer watches: each function is told to it. And not
 * where BURROW_NO_INLINE is defined.
 */
#ifndef BURROW_API_ALLOC_INLINE_H
#define BURROW_API_ALLOC_INLINE_H

#include <stddef.h>
#include <stdint.h>

#define BURROW_RUN_PLAIN 4 /* of the smallest size without pointers */
#define BURROW_RUN_WORDS 76 /* of the smallest size whose words may be some */
#define BURROW_RUN_QUICK 256 /* bytes: to here there is a run for each 16 */

/**
 * struct burrow_alloc_run - free objects of one size, zeroed
 * @cur:	the next one
 * @end:	behind the last one
 * @size:	bytes of each
 * @opaque:	the library's
 */
struct burrow_alloc_run {
	char *cur;
	char *end;
	uint64_t size;
	void *opaque;
};

#if defined(__has_feature) && !defined(BURROW_NO_INLINE)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define BURROW_NO_INLINE 1
#endif
#endif
#if (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)) && \
	!defined(BURROW_NO_INLINE)
#define BURROW_NO_INLINE 1
#endif

#if defined(__x86_64__) && defined(__LP64__) && defined(__OPTIMIZE__) && \
	!defined(BURROW_NO_INLINE)

/* Of these there is no second copy: whoever needs one has the library's. */
#define BURROW_INLINE \
	extern __inline__ __attribute__((gnu_inline, always_inline))

/*
 * The calling thread's, or NULL. A goroutine may go on as another thread after any
 * call, so the compiler must not keep the address: hence the assembly.
 */
BURROW_INLINE struct burrow_alloc_run *burrow_alloc_runs(void)
{
	struct burrow_alloc_run *runs;

	__asm__ __volatile__("movq burrow_cache_tls@gottpoff(%%rip), %0\n\t"
			     "movq %%fs:(%0), %0"
			     : "=r"(runs));
	return runs;
}

/* The next object of a run, or NULL. */
BURROW_INLINE void *burrow_alloc_next(size_t number, size_t size)
{
	struct burrow_alloc_run *run = burrow_alloc_runs();
	char *p;

	if (__builtin_expect(!run, 0))
		return NULL;
	run += number;
	p = run->cur;
	if (__builtin_expect(p == run->end, 0))
		return NULL;
	run->cur = p + (size ? size : run->size);
	return p;
}

BURROW_INLINE void *burrow_alloc_quick(size_t first, size_t size)
{
	size_t units = size ? (size - 1) / 16 : 0;

	if (!__builtin_constant_p(size) || size > BURROW_RUN_QUICK)
		return NULL;
	return burrow_alloc_next(first + units, (units + 1) * 16);
}

void *burrow_alloc_call(size_t size) __asm__("burrow_alloc");
void *burrow_alloc_noscan_call(size_t size) __asm__("burrow_alloc_noscan");
void *burrow_new_call(const struct burrow_type *type) __asm__("burrow_new");

BURROW_INLINE void *burrow_alloc(size_t size)
{
	void *p = burrow_alloc_quick(BURROW_RUN_WORDS, size);

	return __builtin_expect(!p, 0) ? burrow_alloc_call(size) : p;
}

BURROW_INLINE void *burrow_alloc_noscan(size_t size)
{
	void *p = burrow_alloc_quick(BURROW_RUN_PLAIN, size);

	return __builtin_expect(!p, 0) ? burrow_alloc_noscan_call(size) : p;
}

BURROW_INLINE void *burrow_new(const struct burrow_type *type)
{
	void *p = burrow_alloc_next(type->cell->opaque[0], 0);

	return __builtin_expect(!p, 0) ? burrow_new_call(type) : p;
}

#endif
#endif /* BURROW_API_ALLOC_INLINE_H */
