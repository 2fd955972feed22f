// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The heap profile: where objects were allocated, by sampling.
 *
 * Each byte that is allocated is a sample with the same small chance, as in Go's
 * profiles and tcmalloc's: a cache draws how many bytes pass before the next one
 * (an exponential distribution). The fast path knows nothing of it. A run is cut
 * so that the object with that byte is the first of the next one, and its
 * allocation comes to the slow path anyway. While the rate is 0 that is one
 * comparison for each run.
 *
 * What is kept of a sample is the backtrace of its allocation (its site), with
 * counts for each, and, as long as the object lives, its address, in memory
 * that nobody scans. At the end of marking the dead ones are taken out.
 *
 * Lock: one mutex over all, taken inside the runtime; in a stop nobody has it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../debug/backtrace.h"
#include "../debug/out.h"
#include "../debug/symbol.h"
#include "../sched/sched.h"
#include "profile.h"
#include "span.h"

#define FRAMES 16 /* of a backtrace, the innermost */

/**
 * struct site - where objects were allocated
 * @next:	of the same hash, as index + 1; 0: none
 * @frames:	how many
 * @frame:	return addresses less 1
 * @made:	samples ever
 * @made_bytes:	bytes of those
 * @gone:	of them, dead
 * @gone_bytes:	bytes of those
 */
struct site {
	uint32_t next;
	uint32_t frames;
	uintptr_t frame[FRAMES];
	uint64_t made;
	uint64_t made_bytes;
	uint64_t gone;
	uint64_t gone_bytes;
};

/**
 * struct sample - one that lived at the end of the last cycle, or is younger
 * @object:	its address
 * @size:	bytes
 * @site:	index of its site
 */
struct sample {
	const void *object;
	size_t size;
	uint32_t site;
};

#define HASHES 1024

static struct {
	pthread_mutex_t lock;
	struct burrow_heap *heap;
	uint32_t hash[HASHES];
	struct site *sites;
	uint32_t nr_sites;
	uint32_t room_sites;
	struct sample *samples;
	uint32_t nr;
	uint32_t room;
} profile = { .lock = PTHREAD_MUTEX_INITIALIZER };

void burrow_profile_open(struct burrow_heap *heap, uint64_t rate)
{
	profile.heap = heap;
	heap->profile = rate;
}

/* Threads that are left in C code may go on allocating on the heap. */
void burrow_profile_close(struct burrow_heap *heap)
{
	__atomic_store_n(&heap->profile, 0, __ATOMIC_RELAXED);
	pthread_mutex_lock(&profile.lock);
	profile.heap = NULL;
	free(profile.sites);
	free(profile.samples);
	profile.sites = NULL;
	profile.samples = NULL;
	profile.nr_sites = 0;
	profile.room_sites = 0;
	profile.nr = 0;
	profile.room = 0;
	memset(profile.hash, 0, sizeof(profile.hash));
	pthread_mutex_unlock(&profile.lock);
}

/* Of 1 <= x < 2, to five digits: ln x = 2 artanh((x - 1) / (x + 1)). */
static double log_small(double x)
{
	double s = (x - 1) / (x + 1), q = s * s;

	return 2 * s * (1 + q * (1.0 / 3 + q * (1.0 / 5 + q / 7)));
}

/* How many bytes to the next sample; 1 at least, and @rate in the mean. */
static uint64_t draw(struct burrow_heap_cache *cache)
{
	const double ln2 = 0.69314718055994531;
	uint64_t bits;
	double minus_log;
	int zeros;

	if (cache->rate == 1)
		return 1;
	/* xorshift64*, Vigna 2016; the address makes caches differ. */
	if (!cache->random)
		cache->random = (uintptr_t)cache ^ burrow_now();
	cache->random ^= cache->random >> 12;
	cache->random ^= cache->random << 25;
	cache->random ^= cache->random >> 27;
	bits = (cache->random * 0x2545f4914f6cdd1dULL) | 1;
	zeros = __builtin_clzl(bits);
	minus_log = (zeros + 1) * ln2 -
		    log_small((double)(bits << zeros) / (1ULL << 63));
	return 1 + (uint64_t)(minus_log * cache->rate);
}

/* True: the next object is a sample. */
static bool is_due(struct burrow_heap_cache *cache, size_t size)
{
	uint64_t rate =
		__atomic_load_n(&cache->heap->profile, __ATOMIC_RELAXED);

	if (cache->rate != rate) {
		cache->rate = rate;
		cache->until = draw(cache);
	}
	return cache->until <= size;
}

uint32_t burrow_profile_run(struct burrow_heap_cache *cache, size_t size,
			    uint32_t most)
{
	uint64_t n;

	if (is_due(cache, size)) {
		cache->sampled = true;
		cache->until = size + draw(cache);
	}
	n = (cache->until - 1) / size;
	return n < most ? n : most;
}

void burrow_profile_took(struct burrow_heap_cache *cache, size_t bytes)
{
	cache->until -= bytes;
}

void burrow_profile_large(struct burrow_heap_cache *cache, size_t bytes)
{
	cache->sampled = is_due(cache, bytes);
	cache->until = cache->sampled ? draw(cache) : cache->until - bytes;
}

/* Under the lock: room for one more of @size bytes each; false: there is none. */
static bool grow(void **table, uint32_t nr, uint32_t *room, size_t size)
{
	uint32_t more = *room ? 2 * *room : 64;
	void *p;

	if (nr < *room)
		return true;
	p = realloc(*table, more * size);
	if (!p)
		return false;
	*table = p;
	*room = more;
	return true;
}

static uint32_t *hash_of(const struct burrow_trace *trace, uint32_t frames)
{
	uint64_t hash = 0;
	uint32_t i;

	for (i = 0; i < frames; i++)
		hash = (hash ^ trace->first[i]) * 0x9e3779b97f4a7c15ULL;
	return &profile.hash[hash >> 54];
}

/* Under the lock. NULL: no memory. */
static struct site *site_of(const struct burrow_trace *trace)
{
	uint32_t frames = trace->frames < FRAMES ? trace->frames : FRAMES;
	size_t bytes = frames * sizeof(trace->first[0]);
	uint32_t *hash = hash_of(trace, frames), i;
	struct site *site;

	for (i = *hash; i; i = site->next) {
		site = &profile.sites[i - 1];
		if (site->frames == frames &&
		    !memcmp(site->frame, trace->first, bytes))
			return site;
	}
	if (!grow((void **)&profile.sites, profile.nr_sites,
		  &profile.room_sites, sizeof(*site)))
		return NULL;
	site = &profile.sites[profile.nr_sites++];
	*site = (struct site){ .next = *hash, .frames = frames };
	memcpy(site->frame, trace->first, bytes);
	*hash = profile.nr_sites;
	return site;
}

void burrow_profile_add(struct burrow_heap_cache *cache, const void *object,
			size_t size, const void *from)
{
	struct burrow_trace trace;
	struct site *site = NULL;

	cache->sampled = false;
	burrow_trace_here(&trace, (uintptr_t)from);
	pthread_mutex_lock(&profile.lock);
	if (cache->heap == profile.heap &&
	    grow((void **)&profile.samples, profile.nr, &profile.room,
		 sizeof(struct sample)))
		site = site_of(&trace);
	if (site) {
		site->made++;
		site->made_bytes += size;
		profile.samples[profile.nr++] = (struct sample){
			.object = object,
			.size = size,
			.site = site - profile.sites,
		};
	}
	pthread_mutex_unlock(&profile.lock);
}

void burrow_profile_dead(struct burrow_heap *heap)
{
	struct sample *s = profile.samples;
	struct site *site;
	uint32_t i = 0;

	while (i < profile.nr) {
		if (burrow_heap_is_marked(heap, s[i].object)) {
			i++;
			continue;
		}
		site = &profile.sites[s[i].site];
		site->gone++;
		site->gone_bytes += s[i].size;
		s[i] = s[--profile.nr];
	}
}

void burrow_profile_lock(void)
{
	pthread_mutex_lock(&profile.lock);
}

void burrow_profile_unlock(void)
{
	pthread_mutex_unlock(&profile.lock);
}

int64_t burrow_heap_profile_rate(int64_t bytes)
{
	struct burrow_heap *heap = burrow_heap_now();

	if (bytes < 0)
		return -EINVAL;
	if (!heap)
		return -ESRCH;
	return __atomic_exchange_n(&heap->profile, bytes, __ATOMIC_RELAXED);
}

static void print_counts(struct burrow_out *out, const struct site *s)
{
	burrow_out_print(out, "%lu: %lu [%lu: %lu] @", s->made - s->gone,
			 s->made_bytes - s->gone_bytes, s->made, s->made_bytes);
}

/* For people; addresses are return addresses, as tools expect them. */
static void print_site(struct burrow_out *out, const struct site *site)
{
	struct burrow_symbol s;
	uint32_t i;

	print_counts(out, site);
	for (i = 0; i < site->frames; i++)
		burrow_out_print(out, " 0x%lx", site->frame[i] + 1);
	burrow_out_print(out, "\n");
	for (i = 0; i < site->frames; i++) {
		burrow_symbol_find(site->frame[i], &s);
		burrow_out_print(out, "#\t0x%lx\t%s+0x%lx\t%s:%u\n",
				 site->frame[i] + 1, s.name[0] ? s.name : "?",
				 s.offset,
				 s.line	  ? s.file :
				 s.module ? s.module :
					    "?",
				 s.line);
	}
}

/* Tools look names up in the files that these addresses belong to. */
static void print_mappings(struct burrow_out *out)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	burrow_out_print(out, "\nMAPPED_LIBRARIES:\n");
	burrow_out_flush(out);
	while (fd >= 0 && (n = read(fd, out->text, sizeof(out->text))) > 0) {
		out->len = n;
		burrow_out_flush(out);
	}
	if (fd >= 0)
		close(fd);
}

/* A copy, as what is written may block. NULL: no memory, or there are none. */
static struct site *copy_sites(uint32_t *nr, uint64_t *rate)
{
	struct site *copy = NULL;

	pthread_mutex_lock(&profile.lock);
	*nr = profile.nr_sites;
	*rate = __atomic_load_n(&burrow_heap_now()->profile, __ATOMIC_RELAXED);
	if (*nr)
		copy = malloc(*nr * sizeof(*copy));
	if (copy)
		memcpy(copy, profile.sites, *nr * sizeof(*copy));
	pthread_mutex_unlock(&profile.lock);
	return copy;
}

int burrow_heap_profile(int fd)
{
	struct burrow_thread *self = burrow_enter_try("burrow_heap_profile");
	struct burrow_out out = { .fd = fd };
	struct site *sites, all = { 0 };
	uint32_t nr, i;
	uint64_t rate;

	if (!self)
		return -EPERM;
	sites = copy_sites(&nr, &rate);
	burrow_leave(self);
	if (nr && !sites)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		all.made += sites[i].made;
		all.made_bytes += sites[i].made_bytes;
		all.gone += sites[i].gone;
		all.gone_bytes += sites[i].gone_bytes;
	}
	burrow_out_print(&out, "heap profile: ");
	print_counts(&out, &all);
	burrow_out_print(&out, " heap_v2/%lu\n", rate ? rate : 1);
	for (i = 0; i < nr; i++)
		print_site(&out, &sites[i]);
	free(sites);
	burrow_symbols_close();
	print_mappings(&out);
	return burrow_out_flush(&out);
}
