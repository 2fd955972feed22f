// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Faults that the runtime can explain, and SIGQUIT.
 *
 * A fault in the guard of the running goroutine is a stack overflow; SIGBUS in
 * a slot is a stack that could not grow. Both get a report and then the end
 * that the signal itself brings, so that the status says so and a core can be
 * taken. Any other fault is none of ours: it goes to the handler that was there
 * before, or to the default. Handlers run on a stack of the thread's own, for
 * the goroutine's is what is full.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../heap/heap.h"
#include "../sched/sched.h"
#include "ask.h"
#include "backtrace.h"
#include "print.h"

#define SIGNAL_STACK (128UL << 10)

static struct sigaction old_segv, old_bus, old_quit;

static void die_of(int sig, bool again)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	sigaction(sig, &dfl, NULL);
	/* What faulted faults again on return; what might not is raised. */
	if (!again)
		syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), sig);
}

static void pass_on(int sig, siginfo_t *info, void *ucontext)
{
	struct sigaction *old = sig == SIGSEGV ? &old_segv : &old_bus;
	struct sigaction before = *old;

	if (before.sa_flags & SA_RESETHAND)
		old->sa_handler = SIG_DFL;
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(sig, info, ucontext);
	else if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN)
		die_of(sig, info->si_code > 0);
	else
		before.sa_handler(sig);
}

static void overflow(struct goroutine *g, const void *ucontext)
{
	burrow_report_begin();
	burrow_print(
		STDERR_FILENO,
		"burrow: goroutine %lu%s%s%s: stack overflow: limit %lu bytes\n",
		g->id, BURROW_NAME_ARGS(g), burrow_stack_usable(&g->stack));
	burrow_backtrace_interrupted(STDERR_FILENO, ucontext);
	burrow_print(
		STDERR_FILENO,
		"burrow: a larger limit: BURROW_STACKMAX=%luKiB in the environment, burrow_options.stack_max, or burrow_go_options.stack_max for this goroutine alone\n",
		burrow_stack_usable(&g->stack) / 512);
}

struct find {
	uint64_t id;
	struct goroutine *g;
};

static void match(struct goroutine *g, void *arg)
{
	struct find *find = arg;

	if (g->id == find->id)
		find->g = g;
}

static void no_memory(const struct burrow_stack_arena *arena, uint32_t slot,
		      const void *ucontext)
{
	struct find find = { .id = arena->table[slot].goroutine };
	const char *why = arena->pool->backend->no_memory(arena->pool);

	burrow_report_begin();
	goroutine_each(match, &find);
	burrow_print(STDERR_FILENO,
		     "burrow: goroutine %lu%s%s%s: out of stack memory: %s\n",
		     find.id, find.g && find.g->name ? " (" : "",
		     find.g && find.g->name ? find.g->name : "",
		     find.g && find.g->name ? ")" : "", why);
	burrow_backtrace_interrupted(STDERR_FILENO, ucontext);
}

/* The module refused a page of the heap. */
static void no_heap(const void *ucontext)
{
	const struct burrow_stack_pool *pool = READ_ONCE(burrow_runtime.pool);
	struct goroutine *g = burrow_current();

	burrow_report_begin();
	if (g)
		burrow_print(STDERR_FILENO,
			     "burrow: goroutine %lu%s%s%s: ", g->id,
			     BURROW_NAME_ARGS(g));
	else
		burrow_print(STDERR_FILENO, "burrow: ");
	burrow_print(
		STDERR_FILENO, "out of heap memory: %s\n",
		pool->backend->no_memory((struct burrow_stack_pool *)pool));
	burrow_backtrace_interrupted(STDERR_FILENO, ucontext);
}

static bool is_of_heap(const void *address)
{
	const struct burrow_heap *heap = burrow_heap_now();

	return heap && burrow_heap_module_of(heap) &&
	       burrow_heap_holds(heap, address);
}

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
	const struct burrow_stack_pool *pool = READ_ONCE(burrow_runtime.pool);
	const struct burrow_stack_arena *arena = NULL;
	struct goroutine *g = burrow_current();
	int saved = errno;

	/* The loop touches a new stack too: its first bytes. */
	if (burrow_self() && pool && info->si_code > 0)
		arena = burrow_stack_find(pool, info->si_addr);
	if (arena && sig == SIGBUS) {
		no_memory(arena,
			  ((char *)info->si_addr - arena->base) / arena->stride,
			  ucontext);
		die_of(sig, false);
	} else if (arena && g && g->stack.arena == arena &&
		   burrow_stack_in_guard(&g->stack, info->si_addr)) {
		overflow(g, ucontext);
		die_of(sig, true);
	} else if (sig == SIGBUS && pool && info->si_code > 0 &&
		   is_of_heap(info->si_addr)) {
		no_heap(ucontext);
		die_of(sig, false);
	} else {
		pass_on(sig, info, ucontext);
	}
	errno = saved;
}

void burrow_crash_no_stack(struct goroutine *g, int err)
{
	burrow_report_begin();
	burrow_print(STDERR_FILENO,
		     "burrow: goroutine %lu%s%s%s: out of stack memory: %s\n",
		     g->id, BURROW_NAME_ARGS(g), strerror(-err));
	die_of(SIGBUS, false);
	_exit(1);
}

static void on_quit(int sig, siginfo_t *info, void *ucontext)
{
	(void)sig;
	(void)info;
	(void)ucontext;
	__atomic_store_n(&burrow_runtime.quit, 1, __ATOMIC_RELAXED);
	burrow_bell();
}

static void on_pipe(int sig)
{
	(void)sig;
}

static void watch_fault(int sig, struct sigaction *old)
{
	struct sigaction sa = { .sa_sigaction = on_fault };

	sigaction(sig, NULL, old);
	sa.sa_mask = old->sa_mask;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK |
		      (old->sa_flags & (SA_NODEFER | SA_RESTART));
	sigaction(sig, &sa, NULL);
}

/* A handler that does nothing, not SIG_IGN: programs we start inherit that. */
static void quieten_pipe(void)
{
	struct sigaction sa = { .sa_handler = on_pipe, .sa_flags = SA_RESTART };
	struct sigaction old;

	sigaction(SIGPIPE, NULL, &old);
	if (!(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
		sigaction(SIGPIPE, &sa, NULL);
}

static void watch_quit(void)
{
	struct sigaction sa = { .sa_sigaction = on_quit };

	sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaction(SIGQUIT, NULL, &old_quit);
	if (!(old_quit.sa_flags & SA_SIGINFO) && old_quit.sa_handler == SIG_DFL)
		sigaction(SIGQUIT, &sa, NULL);
}

int burrow_crash_thread_open(struct burrow_thread *self)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *p;

	p = mmap(NULL, page + SIGNAL_STACK, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	if (mprotect(p, page, PROT_NONE)) {
		munmap(p, page + SIGNAL_STACK);
		return -ENOMEM;
	}
	self->signal_stack = p;
	self->signal_top = p + page + SIGNAL_STACK;
	return 0;
}

void burrow_crash_thread_install(struct burrow_thread *self)
{
	stack_t stack = { .ss_size = SIGNAL_STACK };

	stack.ss_sp = (char *)self->signal_stack + sysconf(_SC_PAGESIZE);
	sigaltstack(&stack, &self->signal_old);
}

void burrow_crash_thread_close(struct burrow_thread *self)
{
	sigaltstack(&self->signal_old, NULL);
	munmap(self->signal_stack, sysconf(_SC_PAGESIZE) + SIGNAL_STACK);
}

void burrow_crash_open(void)
{
	watch_fault(SIGSEGV, &old_segv);
	watch_fault(SIGBUS, &old_bus);
	watch_quit();
	burrow_ask_open();
	quieten_pipe();
}

/* Puts back what is still ours: the program may have set others meanwhile. */
static void unwatch(int sig, void (*handler)(int, siginfo_t *, void *),
		    const struct sigaction *old)
{
	struct sigaction now;

	sigaction(sig, NULL, &now);
	if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == handler)
		sigaction(sig, old, NULL);
}

void burrow_crash_close(void)
{
	unwatch(SIGSEGV, on_fault, &old_segv);
	unwatch(SIGBUS, on_fault, &old_bus);
	unwatch(SIGQUIT, on_quit, &old_quit);
	burrow_ask_close();
}
