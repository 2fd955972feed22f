/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Histograms of times: eight buckets for each power of two, so that what is read
 * from one is at most an eighth too much. Filled and read by one thread.
 */
#ifndef BURROW_TOOL_HIST_H
#define BURROW_TOOL_HIST_H

#include <stdint.h>

#define HIST_SHIFT 3
#define HIST_PART (1U << HIST_SHIFT)
#define HIST_BUCKETS (64 * HIST_PART)

/**
 * struct hist - how often each time was seen
 * @count:	how many
 * @sum:	of all
 * @max:	the longest
 * @buckets:	how many by length
 */
struct hist {
	uint64_t count;
	uint64_t sum;
	uint64_t max;
	uint64_t buckets[HIST_BUCKETS];
};

static inline unsigned int hist_bucket(uint64_t v)
{
	unsigned int top = 63 - __builtin_clzll(v | 1);

	if (top < HIST_SHIFT)
		return v;
	return (top - HIST_SHIFT + 1) * HIST_PART +
	       ((v >> (top - HIST_SHIFT)) & (HIST_PART - 1));
}

/* The greatest that falls into a bucket. */
static inline uint64_t hist_bound(unsigned int bucket)
{
	unsigned int octave = bucket / HIST_PART, part = bucket % HIST_PART;

	if (!octave)
		return part;
	return ((uint64_t)(HIST_PART + part + 1) << (octave - 1)) - 1;
}

static inline void hist_add(struct hist *h, uint64_t v)
{
	h->count++;
	h->sum += v;
	if (v > h->max)
		h->max = v;
	h->buckets[hist_bucket(v)]++;
}

/* What @percent of all do not exceed; 0 of none. */
static inline uint64_t hist_percentile(const struct hist *h, double percent)
{
	uint64_t want = h->count * percent / 100, seen = 0;
	unsigned int i;

	for (i = 0; i < HIST_BUCKETS; i++) {
		seen += h->buckets[i];
		if (h->buckets[i] && seen > want)
			return hist_bound(i) < h->max ? hist_bound(i) : h->max;
	}
	return h->max;
}

#endif /* BURROW_TOOL_HIST_H */
