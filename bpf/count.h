/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counting in maps. Any number of processors count at once: numbers are added
 * to atomically, and a key that two find missing at once is made by one of them.
 */
#ifndef BURROW_BPF_COUNT_H
#define BURROW_BPF_COUNT_H

#define PROCESSES_MAX 4096

/**
 * struct sum - how often, and how much together
 * @events:	how often
 * @bytes:	how much
 */
struct sum {
	__u64 events;
	__u64 bytes;
};

static __always_inline void add(__u64 *to, __u64 n)
{
	__sync_fetch_and_add(to, n);
}

/* The only value of an array of one. */
static __always_inline void *total_of(void *map)
{
	const __u32 first = 0;

	return bpf_map_lookup_elem(map, &first);
}

/* The value at @key, a copy of @zero where there was none; NULL: no room. */
static __always_inline void *value_at(void *map, const void *key,
				      const void *zero)
{
	void *value = bpf_map_lookup_elem(map, key);

	if (value)
		return value;
	bpf_map_update_elem(map, key, zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

/* 1 if the map had no room for it, else 0. */
static __always_inline __u64 sum_add(void *map, const void *key, __u64 bytes)
{
	const struct sum zero = {};
	struct sum *sum = value_at(map, key, &zero);

	if (!sum)
		return 1;
	add(&sum->events, 1);
	add(&sum->bytes, bytes);
	return 0;
}

/* The number of the highest bit that is set; 0 for 0. */
static __always_inline __u32 log2_of(__u64 v)
{
	__u32 bit = 0;
	int half;

#pragma unroll
	for (half = 32; half; half /= 2) {
		if (v >> half) {
			bit += half;
			v >>= half;
		}
	}
	return bit;
}

/* Maps of one value, of one for each power of two, of one for each process. */
#define TOTAL(name, value_type)                   \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(max_entries, 1);           \
		__type(key, __u32);               \
		__type(value, value_type);        \
	} name SEC(".maps")

#define HASH(name, key_type, value_type, entries) \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_HASH);  \
		__uint(max_entries, entries);     \
		__type(key, key_type);            \
		__type(value, value_type);        \
	} name SEC(".maps")

#define LOG2(name, value_type) HASH(name, __u32, value_type, 64)
#define BY_PROCESS(name, value_type) \
	HASH(name, __u32, value_type, PROCESSES_MAX)

#endif /* BURROW_BPF_COUNT_H */
