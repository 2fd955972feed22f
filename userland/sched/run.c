// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The runtime as a whole: its start and end, and what any thread may ask it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../debug/backtrace.h"
#include "../debug/print.h"
#include "sched.h"

#define MAIN_STACK (8UL << 20)

struct burrow_runtime burrow_runtime = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* In the C++ library if there is one: exceptions in flight on this thread. */
extern void *__cxa_get_globals(void) __attribute__((weak));

static __thread struct burrow_thread *self_of_thread
	__attribute__((tls_model("initial-exec")));

/* Never inlined: a switch can change the thread, and so the variable. */
__attribute__((noipa)) struct burrow_thread *burrow_self(void)
{
	return self_of_thread;
}

void burrow_self_set(struct burrow_thread *thread)
{
	self_of_thread = thread;
}

struct goroutine *burrow_current(void)
{
	struct burrow_thread *self = burrow_self();

	return self && self->current != &self->loop ? self->current : NULL;
}

uint64_t burrow_id(void)
{
	struct goroutine *g = burrow_current();

	return g ? g->id : 0;
}

size_t burrow_num_goroutines(void)
{
	return __atomic_load_n(&burrow_runtime.alive, __ATOMIC_RELAXED);
}

/* Once a run: the goroutines that can't be started may be many. */
static void tell_no_stack(int err)
{
	char text[320];

	if (__atomic_exchange_n(&burrow_runtime.told, true, __ATOMIC_RELAXED))
		return;
	burrow_runtime.pool.backend->advise(&burrow_runtime.pool, err, text,
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

static int start(struct burrow_thread *self, int class, const char *name,
		 void (*fn)(void *arg), void *arg)
{
	struct goroutine *g;
	int ret;

	ret = burrow_stack_reserve(&burrow_runtime.pool, class);
	if (ret) {
		tell_no_stack(ret);
		return ret;
	}
	g = goroutine_new(self);
	if (!g) {
		burrow_stack_unreserve(&burrow_runtime.pool, class);
		tell_no_memory();
		return -ENOMEM;
	}
	g->class = class;
	g->fn = fn;
	g->arg = arg;
	if (name)
		strncpy(g->name, name, sizeof(g->name) - 1);
	burrow_sched_ready(g);
	return 0;
}

static int start_foreign(int class, const char *name, void (*fn)(void *arg),
			 void *arg)
{
	int ret = -ESRCH;

	pthread_mutex_lock(&burrow_runtime.lock);
	if (burrow_runtime.running)
		ret = start(NULL, class < 0 ? burrow_runtime.class : class,
			    name, fn, arg);
	pthread_mutex_unlock(&burrow_runtime.lock);
	if (!ret)
		burrow_sched_wake();
	return ret;
}

int burrow_go_opts(const struct burrow_go_options *opts, void (*fn)(void *arg),
		   void *arg)
{
	struct burrow_go_options o = { 0 };
	struct burrow_thread *self = burrow_self();
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
	if (!self)
		return start_foreign(class, o.name, fn, arg);
	return start(self, class < 0 ? burrow_runtime.class : class, o.name, fn,
		     arg);
}

int burrow_go(void (*fn)(void *arg), void *arg)
{
	return burrow_go_opts(NULL, fn, arg);
}

int burrow_stats(struct burrow_stats *stats)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_stats s = { 0 };
	size_t size = stats->size;

	if (size < sizeof(size))
		return -EINVAL;

	pthread_mutex_lock(&rt->lock);
	if (!rt->running) {
		pthread_mutex_unlock(&rt->lock);
		return -ESRCH;
	}
	s.goroutines = burrow_num_goroutines();
	s.created = __atomic_load_n(&rt->created, __ATOMIC_RELAXED);
	s.switches = __atomic_load_n(&rt->switches, __ATOMIC_RELAXED);
	s.stacks_warm =
		__atomic_load_n(&rt->proc.cache.count, __ATOMIC_RELAXED);
	rt->pool.backend->stats(&rt->pool, &s.stack_bytes, &s.stack_grows);
	pthread_mutex_unlock(&rt->lock);

	if (size > sizeof(s))
		memset((char *)stats + sizeof(s), 0, size - sizeof(s));
	memcpy(stats, &s, size < sizeof(s) ? size : sizeof(s));
	stats->size = size;
	return 0;
}

static void main_goroutine(void *arg)
{
	struct burrow_runtime *rt = arg;

	rt->main_result = rt->main_fn(rt->main_arg);
	rt->done = true;
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
	struct burrow_stack_pool *pool = &burrow_runtime.pool;
	int ret;

	ret = burrow_stack_pool_open(pool, backend);
	if (ret)
		return ret;
	ret = burrow_stack_reserve(pool, class);
	if (ret)
		burrow_stack_pool_close(pool);
	else
		burrow_stack_unreserve(pool, class);
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

	burrow_runtime.pool.no_guard_install = config->no_guard_install;
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

static int open_thread(struct burrow_runtime *rt)
{
	struct burrow_thread *self = &rt->thread;

	memset(self, 0, sizeof(*self));
	memset(&rt->proc, 0, sizeof(rt->proc));
	burrow_stack_cache_open(&rt->proc.cache, &rt->pool);
	self->proc = &rt->proc;
	self->current = &self->loop;
	self->left = &self->loop;
	self->tid = syscall(SYS_gettid);
	if (__cxa_get_globals)
		self->exceptions = __cxa_get_globals();
	return burrow_crash_open(self);
}

static void close_thread(struct burrow_runtime *rt)
{
	burrow_crash_close(&rt->thread);
	burrow_stack_cache_close(&rt->proc.cache);
	burrow_sleepers_free(&rt->proc.sleepers);
}

static void reset(struct burrow_runtime *rt)
{
	rt->queue = (struct goroutine_queue){ 0 };
	rt->queued = 0;
	rt->slabs = NULL;
	rt->alive = 0;
	rt->created = 0;
	rt->switches = 0;
	rt->idle = 0;
	rt->dump = NULL;
	rt->done = false;
	rt->told = false;
}

static int runtime_open(struct burrow_runtime *rt,
			const struct burrow_options *opts)
{
	int ret;

	if (rt->running) {
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
	ret = burrow_config_read(&rt->config, opts);
	if (ret)
		return ret;
	reset(rt);
	ret = open_pool(&rt->config);
	if (ret)
		return ret;
	rt->class = burrow_stack_class_for(rt->config.stack_max);
	ret = open_thread(rt);
	if (ret) {
		burrow_print(STDERR_FILENO,
			     "burrow: no memory for the signal stack: %s\n",
			     strerror(-ret));
		burrow_stack_pool_close(&rt->pool);
		return ret;
	}
	rt->running = true;
	return 0;
}

/* Others find no runtime before any of it goes. */
static void runtime_close(struct burrow_runtime *rt)
{
	pthread_mutex_lock(&rt->lock);
	rt->running = false;
	close_thread(rt);
	goroutine_slabs_free();
	burrow_stack_pool_close(&rt->pool);
	rt->alive = 0;
	pthread_mutex_unlock(&rt->lock);
}

static void prepare(void)
{
	burrow_fork_watch();
	burrow_backtrace_prepare();
}

int burrow_run(const struct burrow_options *opts, int (*fn)(void *arg),
	       void *arg)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct burrow_runtime *rt = &burrow_runtime;
	int ret;

	pthread_once(&once, prepare);

	pthread_mutex_lock(&rt->lock);
	ret = runtime_open(rt, opts);
	pthread_mutex_unlock(&rt->lock);
	if (ret)
		return ret;

	burrow_self_set(&rt->thread);
	rt->main_fn = fn;
	rt->main_arg = arg;
	ret = start(&rt->thread, main_class(&rt->config), "main",
		    main_goroutine, rt);
	if (!ret) {
		burrow_sched_loop(&rt->thread);
		ret = rt->main_result;
	}
	burrow_self_set(NULL);
	runtime_close(rt);
	return ret;
}
