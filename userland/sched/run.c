// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The runtime as a whole: its start and end, and what any thread may ask it.
 *
 * The thread that calls burrow_run() becomes the monitor; goroutines run on
 * threads of the runtime's own. So the call can return when the main goroutine
 * has, whatever the others are at: a thread that is still in C code then keeps
 * what it may touch (struct burrow_remains: stacks, descriptors, objects), and
 * ends at its next call into the runtime.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../debug/backtrace.h"
#include "../debug/print.h"
#include "../debug/probe.h"
#include "../debug/sanitize.h"
#include "../debug/window.h"
#include "../gc/gc.h"
#include "goroutine.h"
#include "runq.h"

#define MAIN_STACK (8UL << 20)

/**
 * struct burrow_remains - what threads in C code may still touch after the end
 * @users:	how many they are; atomic
 * @pool:	their stacks
 * @slabs:	their goroutines, on the heap
 * @regions:	objects
 * @heap:	objects that are collected
 */
struct burrow_remains {
	uint32_t users;
	struct burrow_stack_pool *pool;
	struct burrow_slab *slabs;
	struct burrow_region *regions;
	struct burrow_heap *heap;
};

struct burrow_runtime burrow_runtime = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

uint64_t burrow_id(void)
{
	struct goroutine *g = burrow_current();

	return g ? g->id : 0;
}

size_t burrow_num_goroutines(void)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_proc *proc;
	uint64_t created, ended = 0;
	int i;

	if (!__atomic_load_n(&rt->running, __ATOMIC_ACQUIRE))
		return 0;
	/* Ends first: who ended later was created before. */
	for (i = 0; (proc = __atomic_load_n(&rt->procs[i], __ATOMIC_ACQUIRE));
	     i++)
		ended += __atomic_load_n(&proc->ended, __ATOMIC_ACQUIRE);
	created = __atomic_load_n(&rt->created, __ATOMIC_ACQUIRE);
	for (i = 0; (proc = __atomic_load_n(&rt->procs[i], __ATOMIC_ACQUIRE));
	     i++)
		created += __atomic_load_n(&proc->created, __ATOMIC_ACQUIRE);
	return created - ended;
}

/* Once a run: the goroutines that can't be started may be many. */
static void tell_no_stack(int err)
{
	char text[320];

	if (__atomic_exchange_n(&burrow_runtime.told, true, __ATOMIC_RELAXED))
		return;
	burrow_runtime.pool->backend->advise(burrow_runtime.pool, err, text,
					     sizeof(text));
	burrow_print(
		STDERR_FILENO,
		"burrow: no stack for another goroutine (there are %lu): %s\n",
		burrow_num_goroutines(), text);
}

/* For a goroutine's own record, which is little: the system has none left. */
static void tell_no_memory(void)
{
	if (__atomic_exchange_n(&burrow_runtime.told, true, __ATOMIC_RELAXED))
		return;
	burrow_print(
		STDERR_FILENO,
		"burrow: no memory for another goroutine (there are %lu): %s\n",
		burrow_num_goroutines(), strerror(ENOMEM));
}

/* @self NULL: a foreign thread, with runtime.lock. */
static struct goroutine *make(struct burrow_thread *self, int class,
			      const char *name, int *ret)
{
	struct goroutine *g;

	*ret = goroutine_promise(self, class);
	if (burrow_unlikely(*ret)) {
		tell_no_stack(*ret);
		return NULL;
	}
	g = goroutine_new(self);
	if (burrow_unlikely(!g)) {
		goroutine_unpromise(self, class);
		tell_no_memory();
		*ret = -ENOMEM;
		return NULL;
	}
	if (burrow_unlikely(name && goroutine_set_name(g, name, !self)))
		tell_no_memory();
	g->class = class;
	return g;
}

int burrow_spawn(struct burrow_thread *self, int class, const char *name,
		 void (*fn)(void *arg), void *arg, void *site)
{
	struct goroutine *g;
	int ret;

	g = make(self, class, name, &ret);
	if (!g)
		return ret;
	g->fn = fn;
	g->arg = arg;
	g->site = site;
	BURROW_PROBE(go_create, g->id, self ? self->current->id : 0, site,
		     name);
	if (self) {
		burrow_ready_new(self, g);
	} else {
		WRITE_ONCE(g->state, GOROUTINE_RUNNABLE);
		burrow_global_push(g);
	}
	return 0;
}

static int spawn_foreign(int class, const char *name, void (*fn)(void *arg),
			 void *arg, void *site)
{
	struct burrow_runtime *rt = &burrow_runtime;
	int ret = -ESRCH;

	pthread_mutex_lock(&rt->lock);
	if (rt->running && !READ_ONCE(rt->done))
		ret = burrow_spawn(NULL, class < 0 ? rt->class : class, name,
				   fn, arg, site);
	pthread_mutex_unlock(&rt->lock);
	if (!ret)
		burrow_wake_one();
	return ret;
}

/* In burrow_blocking() too we are without a processor. */
static bool is_foreign(const struct burrow_thread *self)
{
	return !self || __atomic_load_n(&self->attention, __ATOMIC_RELAXED) &
				ATTENTION_BLOCKING;
}

static __attribute__((noinline)) int
go(int class, const char *name, void (*fn)(void *arg), void *arg, void *site)
{
	struct burrow_thread *self = burrow_self();
	int ret;

	if (burrow_unlikely(is_foreign(self)))
		return spawn_foreign(class, name, fn, arg, site);
	self = goroutine_make_room(burrow_enter_self(self, "burrow_go"));
	ret = burrow_spawn(self, class < 0 ? burrow_runtime.class : class, name,
			   fn, arg, site);
	burrow_leave(self);
	return ret;
}

int burrow_go_opts(const struct burrow_go_options *opts, void (*fn)(void *arg),
		   void *arg)
{
	struct burrow_go_options o = { 0 };
	int ret, class = -1;

	if (opts) {
		ret = burrow_sized_copy(&o, sizeof(o), opts, sizeof(o.size));
		if (ret)
			return ret;
	}
	if (o.stack_max) {
		class = burrow_stack_class_for(o.stack_max);
		if (class < 0)
			return class;
	}
	return go(class, o.name, fn, arg, __builtin_return_address(0));
}

/* Apart, so that burrow_go() need keep nothing on its stack. */
static __attribute__((noinline)) int ready_told(struct burrow_thread *self,
						struct goroutine *g)
{
	BURROW_PROBE(go_create, g->id, self->current->id, g->site, g->name);
	return burrow_ready_new_leave(self, g);
}

int burrow_go(void (*fn)(void *arg), void *arg)
{
	void *site = __builtin_return_address(0);
	struct burrow_thread *self = burrow_enter_quick();
	struct goroutine *g;

	g = burrow_likely(self) ? goroutine_at_hand(self->proc) : NULL;
	if (burrow_unlikely(!g))
		return go(-1, NULL, fn, arg, site);
	g->class = burrow_runtime.class;
	g->fn = fn;
	g->arg = arg;
	g->site = site;
	if (BURROW_WATCHED(go_create))
		return ready_told(self, g);
	return burrow_ready_new_leave(self, g);
}

/* With runtime.lock. */
static void read_stats(struct burrow_stats *s)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_proc *proc;
	int i;

	s->goroutines = burrow_num_goroutines();
	s->created = rt->created;
	for (i = 0; (proc = rt->procs[i]); i++) {
		s->created += __atomic_load_n(&proc->created, __ATOMIC_RELAXED);
		s->switches += burrow_proc_switches(proc);
		s->stacks_warm +=
			__atomic_load_n(&proc->cache.count, __ATOMIC_RELAXED);
	}
	s->procs = rt->nr_procs;
	s->procs_idle = rt->nr_idle;
	s->threads = rt->nr_threads;
	rt->pool->backend->stats(rt->pool, s);
	burrow_gc_read_stats(s);
}

int burrow_stats(struct burrow_stats *stats)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_stats s = { 0 };
	size_t size = stats->size;
	bool running;

	if (size < sizeof(size))
		return -EINVAL;
	pthread_mutex_lock(&rt->lock);
	running = rt->running;
	if (running)
		read_stats(&s);
	pthread_mutex_unlock(&rt->lock);
	if (!running)
		return -ESRCH;

	if (size > sizeof(s))
		memset((char *)stats + sizeof(s), 0, size - sizeof(s));
	memcpy(stats, &s, size < sizeof(s) ? size : sizeof(s));
	stats->size = size;
	return 0;
}

static void main_goroutine(void *arg)
{
	struct burrow_runtime *rt = arg;
	struct burrow_thread *self;
	int result;

	result = rt->main_fn(rt->main_arg);
	self = burrow_enter("burrow_run");
	rt->main_result = result;
	__atomic_store_n(&rt->done, 1, __ATOMIC_SEQ_CST);
	burrow_bell();
	burrow_switch_to_loop(self, AFTER_NOTHING);
}

static int main_class(const struct burrow_config *config)
{
	return burrow_stack_class_for(config->stack_max > MAIN_STACK ?
					      config->stack_max :
					      MAIN_STACK);
}

/* Opens a backend as far as a promise of a stack for the main goroutine. */
static int try_backend(const struct burrow_stack_backend *backend, int class)
{
	struct burrow_stack_pool *pool = burrow_runtime.pool;
	int ret;

	ret = burrow_stack_pool_open(pool, backend);
	if (ret)
		return ret;
	ret = burrow_stack_reserve(pool, class, 1);
	if (ret)
		burrow_stack_pool_close(pool);
	else
		burrow_stack_unreserve(pool, class, 1);
	return ret;
}

static int no_backend(const struct burrow_stack_backend *backend, int err)
{
	struct burrow_stack_report report;

	burrow_stack_probe(backend, &report);
	if (report.usable)
		burrow_print(
			STDERR_FILENO,
			"burrow: backend %s: no stack can be reserved: %s\n",
			backend->name, strerror(-err));
	else
		burrow_print(STDERR_FILENO, "burrow: backend %s: %s: %s\n",
			     backend->name, report.why, report.advice);
	return err;
}

/* The first that works of those allowed. */
static int open_pool(const struct burrow_config *config)
{
	const struct burrow_stack_backend *const *b;
	const struct burrow_stack_backend *last = &burrow_stack_mmap;
	int ret = -EINVAL;

	burrow_runtime.pool->no_guard_install = config->no_guard_install;
	burrow_stack_limit_rest(burrow_runtime.pool, config->gc.limit);
	for (b = burrow_stack_backends; *b && ret; b++) {
		if (config->backend == BURROW_BACKEND_KMOD &&
		    *b != &burrow_stack_kmod)
			continue;
		if (config->backend == BURROW_BACKEND_MMAP &&
		    *b != &burrow_stack_mmap)
			continue;
		last = *b;
		ret = try_backend(last, main_class(config));
	}
	return ret ? no_backend(last, ret) : 0;
}

/*
 * But for @stopped: that is whoever's has the world's lock, and he may have it
 * from one run to the next. Threads that start meanwhile wait for him.
 */
static void reset(struct burrow_runtime *rt)
{
	rt->pool = NULL;
	rt->remains = NULL;
	rt->queue = (struct goroutine_queue){ 0 };
	rt->fresh = (struct goroutine_queue){ 0 };
	rt->free = (struct goroutine_queue){ 0 };
	WRITE_ONCE(rt->queued, 0);
	WRITE_ONCE(rt->spilled, 0);
	rt->names = NULL;
	rt->slabs = NULL;
	rt->regions = NULL;
	rt->heap = NULL;
	WRITE_ONCE(rt->created, 0);
	rt->threads = NULL;
	rt->nr_threads = 0;
	rt->spares = NULL;
	rt->idle = NULL;
	WRITE_ONCE(rt->unmanned, NULL);
	WRITE_ONCE(rt->nr_idle, 0);
	WRITE_ONCE(rt->nr_active, 0);
	WRITE_ONCE(rt->spinning, 0);
	rt->away = 0;
	WRITE_ONCE(rt->waiters, 0);
	rt->deep = 0;
	WRITE_ONCE(rt->quit, 0);
	WRITE_ONCE(rt->done, 0);
	rt->told = false;
	rt->started_at = burrow_now();
	WRITE_ONCE(rt->clock, 0);
}

/*
 * What the run has taken goes, or it stays for threads in C code until the last
 * of them has ended. With runtime.lock; returns what is to be put without it.
 */
static struct burrow_remains *let_go(struct burrow_runtime *rt)
{
	struct burrow_remains *remains = rt->remains;

	burrow_procs_close();
	burrow_gc_close();
	burrow_heap_now_set(NULL);
	remains->pool = rt->pool;
	remains->slabs = rt->slabs;
	remains->regions = rt->regions;
	remains->heap = rt->heap;
	reset(rt);
	return remains;
}

static int check_thread(struct burrow_runtime *rt)
{
	if (rt->running || burrow_self()) {
		burrow_print(STDERR_FILENO,
			     "burrow: burrow_run: the runtime runs already\n");
		return -EBUSY;
	}
	if (burrow_arch_shadow_stack()) {
		burrow_print(
			STDERR_FILENO,
			"burrow: shadow stacks are on, and goroutines can't have them: GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK turns them off\n");
		return -ENOTSUP;
	}
	return 0;
}

static int no_memory(const char *what, int err)
{
	burrow_print(STDERR_FILENO, "burrow: no memory for %s: %s\n", what,
		     strerror(-err));
	return err;
}

/* What is needed at the end is taken at the start, where it can be refused. */
static int take_first(struct burrow_runtime *rt)
{
	reset(rt);
	rt->run++;
	rt->remains = calloc(1, sizeof(*rt->remains));
	rt->pool = calloc(1, sizeof(*rt->pool));
	if (!rt->remains || !rt->pool)
		return no_memory("stacks", -ENOMEM);
	rt->remains->users = 1;
	return open_pool(&rt->config);
}

static int open_heap(struct burrow_runtime *rt)
{
	const struct burrow_heap_options options = {
		.poison = rt->config.heap_poison,
		.check = rt->config.heap_check,
		.forgetful = rt->config.gc.fault == GC_FAULT_CACHE,
		.fd = rt->config.no_kmod_heap ? -1 : rt->pool->fd,
		.hooks = &burrow_gc_hooks,
	};
	int ret;

	ret = burrow_heap_open(&rt->heap, &options);
	if (ret)
		return no_memory("the heap", ret);
	burrow_heap_now_set(rt->heap);
	burrow_gc_open(&rt->config.gc, rt->heap);
	return 0;
}

static int open_procs(struct burrow_runtime *rt)
{
	int ret = burrow_procs_open(rt->config.procs);

	return ret ? no_memory("processors", ret) : 0;
}

/* With runtime.lock. The main goroutine waits in the global queue. */
static int runtime_open(struct burrow_runtime *rt,
			const struct burrow_options *opts)
{
	int ret;

	ret = check_thread(rt);
	if (!ret)
		ret = burrow_config_read(&rt->config, opts);
	if (!ret)
		ret = burrow_san_open();
	if (ret)
		return ret;
	ret = take_first(rt);
	if (ret) {
		free(rt->remains);
		free(rt->pool);
		reset(rt);
		return ret;
	}
	burrow_barrier_open();
	rt->class = burrow_stack_class_for(rt->config.stack_max);
	ret = open_heap(rt);
	if (!ret)
		ret = open_procs(rt);
	if (!ret)
		ret = burrow_spawn(NULL, main_class(&rt->config), "main",
				   main_goroutine, rt, rt->main_fn);
	if (ret)
		burrow_remains_put(let_go(rt));
	else
		burrow_crash_open();
	return ret;
}

/* The first thread; where there is none the program hears of it here. */
static int start_first(struct burrow_runtime *rt)
{
	struct burrow_proc *proc = rt->procs[0];
	int ret;

	pthread_mutex_lock(&rt->lock);
	WRITE_ONCE(rt->running, true);
	burrow_window_run();
	burrow_idle_remove(proc);
	ret = burrow_thread_new(proc);
	pthread_mutex_unlock(&rt->lock);
	if (ret)
		burrow_print(STDERR_FILENO,
			     "burrow: no thread can be started: %s\n",
			     strerror(-ret));
	return ret;
}

void burrow_remains_put(struct burrow_remains *remains)
{
	if (__atomic_sub_fetch(&remains->users, 1, __ATOMIC_ACQ_REL))
		return;
	burrow_san_forget(remains->slabs);
	/* Its arena is in the context that the pool closes. */
	if (remains->heap)
		burrow_heap_close(remains->heap);
	burrow_stack_pool_close(remains->pool);
	free(remains->pool);
	burrow_regions_free(remains->regions);
	free(remains);
}

/*
 * Everybody leaves at the next call, or now if he sleeps. Returns all of them:
 * who stops the world from now on finds none, and the list can be taken apart.
 */
static struct burrow_thread *dismiss(struct burrow_runtime *rt)
{
	struct burrow_thread *t, *all;

	pthread_mutex_lock(&burrow_world);
	pthread_mutex_lock(&rt->lock);
	for (t = rt->threads; t; t = t->next) {
		__atomic_or_fetch(&t->attention, ATTENTION_GONE,
				  __ATOMIC_SEQ_CST);
		burrow_thread_kick(t);
	}
	all = rt->threads;
	rt->threads = NULL;
	pthread_mutex_unlock(&rt->lock);
	pthread_mutex_unlock(&burrow_world);
	/* Pairs with the light barrier in burrow_enter_self(). */
	burrow_barrier_heavy();
	return all;
}

/*
 * A thread that is outside on a goroutine sees that it is gone before it does
 * anything inside; what it did there before was all that it will do.
 */
static bool has_left(struct burrow_runtime *rt, const struct burrow_thread *t)
{
	bool left;

	pthread_mutex_lock(&rt->lock);
	left = t->exited || (!__atomic_load_n(&t->inside, __ATOMIC_ACQUIRE) &&
			     READ_ONCE(t->current) != &t->loop);
	pthread_mutex_unlock(&rt->lock);
	return left;
}

/* One that is still in C code is left to itself, with what it may touch. */
static void part_with(struct burrow_runtime *rt, struct burrow_thread *t)
{
	bool exited;

	pthread_mutex_lock(&rt->lock);
	exited = t->exited;
	if (!exited) {
		__atomic_add_fetch(&rt->remains->users, 1, __ATOMIC_RELAXED);
		t->remains = rt->remains;
		pthread_detach(t->pthread);
	}
	pthread_mutex_unlock(&rt->lock);
	if (exited) {
		pthread_join(t->pthread, NULL);
		free(t);
	}
}

/* None goes before all have left: whoever is inside may kick another. */
static void wait_for_threads(struct burrow_runtime *rt)
{
	struct burrow_thread *t, *next, *all = dismiss(rt);

	for (t = all; t; t = t->next) {
		while (!has_left(rt, t))
			usleep(50);
	}
	for (t = all; t; t = next) {
		next = t->next;
		part_with(rt, t);
	}
}

static void runtime_close(struct burrow_runtime *rt)
{
	struct burrow_remains *remains;

	WRITE_ONCE(rt->done, 1);
	burrow_gc_quit();
	wait_for_threads(rt);
	/* Others find no runtime before any of it goes. */
	pthread_mutex_lock(&rt->lock);
	WRITE_ONCE(rt->running, false);
	burrow_events_close();
	burrow_crash_close();
	remains = let_go(rt);
	pthread_mutex_unlock(&rt->lock);
	burrow_remains_put(remains);
}

/* With runtime.lock. Once in a process. */
static int prepare(void)
{
	static bool prepared;
	int ret;

	if (prepared)
		return 0;
	ret = burrow_fork_watch();
	if (ret)
		return no_memory("handlers of fork()", ret);
	burrow_backtrace_prepare();
	prepared = true;
	return 0;
}

int burrow_run(const struct burrow_options *opts, int (*fn)(void *arg),
	       void *arg)
{
	struct burrow_runtime *rt = &burrow_runtime;
	int ret;

	pthread_mutex_lock(&rt->lock);
	if (!rt->running) {
		rt->main_fn = fn;
		rt->main_arg = arg;
	}
	ret = prepare();
	if (!ret)
		ret = runtime_open(rt, opts);
	pthread_mutex_unlock(&rt->lock);
	if (ret)
		return ret;

	ret = start_first(rt);
	if (!ret) {
		burrow_monitor();
		ret = rt->main_result;
	}
	runtime_close(rt);
	return ret;
}
