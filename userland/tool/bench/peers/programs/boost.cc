// SPDX-License-Identifier: GPL-2.0
/*
 * Boost.Fiber beside Burrow: fibers of one thread under its round-robin
 * scheduler, on stacks from its default allocator, optimised. It has no select.
 */
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <unistd.h>

#include <boost/fiber/all.hpp>

#include "serve.h"

namespace fibers = boost::fibers;

typedef fibers::unbuffered_channel<long> unbuffered;
typedef fibers::buffered_channel<long> buffered;

/* A stack is a mapping of 128 KiB, and the kernel has so many of them. */
static const long most_alive = 30000;

static long spawn(long n)
{
	long left, i;

	n = left = std::min(n, most_alive);
	for (i = 0; i < n; i++)
		fibers::fiber(fibers::launch::post, [&left] { left--; })
			.detach();
	while (left)
		boost::this_fiber::yield();
	return n;
}

static long join(long n)
{
	for (long i = 0; i < n; i++)
		fibers::fiber(fibers::launch::post, [] {}).join();
	return n;
}

static long yield(long n)
{
	auto body = [n] {
		for (long i = 0; i < n / 2; i++)
			boost::this_fiber::yield();
	};
	fibers::fiber a(fibers::launch::post, body);
	fibers::fiber b(fibers::launch::post, body);

	a.join();
	b.join();
	return n / 2 * 2;
}

template <class channel> static long messages(channel &c, long n)
{
	fibers::fiber sender(fibers::launch::post, [&c, n] {
		for (long i = 0; i < n; i++)
			c.push(i);
		c.close();
	});
	long sum = 0, v;

	while (c.pop(v) == fibers::channel_op_status::success)
		sum += v;
	sender.join();
	return sum == n * (n - 1) / 2 ? n : 0;
}

static long message(long n)
{
	unbuffered c;

	return messages(c, n);
}

static long message_buffered(long n)
{
	buffered c(128);

	return messages(c, n);
}

static void actor(unbuffered &up, long number, long size)
{
	if (size == 1) {
		up.push(number);
		return;
	}

	auto below = std::make_shared<unbuffered>();
	long sum = 0;

	for (long i = 0; i < 10; i++)
		fibers::fiber(fibers::launch::post, [below, number, size, i] {
			actor(*below, number + i * size / 10, size / 10);
		}).detach();
	for (int i = 0; i < 10; i++)
		sum += below->value_pop();
	up.push(sum);
}

/* As many as there can be stacks: they are nearly all alive at once. */
static long skynet(long n)
{
	long size = 1, total = 1;
	unbuffered up;

	while (size * 10 <= std::min(n, most_alive)) {
		size *= 10;
		total += size;
	}
	fibers::fiber(fibers::launch::post, [&up, size] {
		actor(up, 0, size);
	}).detach();
	return up.value_pop() == size * (size - 1) / 2 ? total : 0;
}

static const long members = 10000;

/* Of the ring; it is made the first time, and stays. */
static std::vector<unbuffered *> chans;

static void make_ring()
{
	for (long i = 0; i < members; i++)
		chans.push_back(new unbuffered);
	for (long i = 0; i < members - 1; i++)
		fibers::fiber(fibers::launch::post, [i] {
			long v;

			while (chans[i]->pop(v) ==
			       fibers::channel_op_status::success)
				chans[i + 1]->push(v + 1);
		}).detach();
}

static long ring(long n)
{
	const long rounds = n / members;
	long v = 0;

	if (chans.empty())
		make_ring();
	for (long i = 0; i < rounds; i++) {
		chans[0]->push(v);
		v = chans[members - 1]->value_pop();
	}
	return v == rounds * (members - 1) ? rounds * members : 0;
}

static long crowd(long n, bool hold)
{
	const long crowded = 1000;
	std::vector<fibers::fiber> all;
	fibers::mutex lock;
	long count = 0;

	for (long i = 0; i < crowded; i++)
		all.emplace_back(fibers::launch::post, [&, n, hold] {
			for (long k = 0; k < n / crowded; k++) {
				std::lock_guard<fibers::mutex> guard(lock);

				count++;
				if (hold)
					boost::this_fiber::yield();
			}
		});
	for (auto &f : all)
		f.join();
	return count;
}

static long mutex(long n)
{
	return crowd(n, false);
}

static long mutex_held(long n)
{
	return crowd(n, true);
}

static long sleep(long n)
{
	std::vector<fibers::fiber> all;

	n = std::min(n, most_alive);
	for (long i = 0; i < n; i++)
		all.emplace_back(fibers::launch::post, [] {
			boost::this_fiber::sleep_for(std::chrono::seconds(1));
		});
	for (auto &f : all)
		f.join();
	return n;
}

static const struct work works[] = {
	{ "spawn", spawn, NULL },
	{ "join", join, NULL },
	{ "yield", yield, NULL },
	{ "message", message, NULL },
	{ "buffered", message_buffered, NULL },
	{ "skynet", skynet, NULL },
	{ "ring", ring, NULL },
	{ "mutex", mutex, NULL },
	{ "mutex-held", mutex_held, NULL },
	{ "sleep", sleep, NULL },
	{ nullptr, nullptr, nullptr },
};

int main()
{
	int status = serve(works, nullptr);

	/* Not by returning: the ring's fibers never end, and would be waited for. */
	_exit(status);
}
