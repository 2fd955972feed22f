// SPDX-License-Identifier: GPL-2.0
/*
 * Everything that the library asks of the system is refused once, at each place
 * in turn, while a program goes through all that the library has. Whatever it
 * is, the program notices nothing, or one of its calls returns the error that is
 * documented, or it dies of SIGBUS with the line that says why. Nothing hangs,
 * nothing is lost, and the next run works and leaves no more behind than it
 * does where nothing was refused.
 *
 * The linker puts the functions below in the place of libc's, for the library
 * and for this file (see the Makefile); what libc calls itself is not counted.
 */
#include <dirent.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "runtime.h"

#define CALLS_MAX 2000 /* more than any scenario makes */
#define PATIENCE 60 /* seconds for a run */

/* How a child ends that is not killed. */
#define FINE 0
#define WRONG 3
#define LEAK 4

/* Shared by a child and its parent. */
struct report {
	int fired;
	const char *what;
	long blocks; /* of calloc() that are left at the end */
	long bytes; /* of mmap() */
	long fds;
	int line;
	long long got;
};

static struct report at_home;
static struct report *report = &at_home;

/* The call to refuse, 0: none; and how many there have been. */
static int refuse_at;
static int calls;

static void begin_refusing(int at)
{
	calls = 0;
	__atomic_store_n(&refuse_at, at, __ATOMIC_SEQ_CST);
}

static void end_refusing(void)
{
	__atomic_store_n(&refuse_at, 0, __ATOMIC_SEQ_CST);
}

static bool refused(const char *what, int err)
{
	int at = __atomic_load_n(&refuse_at, __ATOMIC_SEQ_CST);

	if (!at || __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) != at)
		return false;
	report->what = what;
	__atomic_store_n(&report->fired, 1, __ATOMIC_SEQ_CST);
	errno = err;
	return true;
}

static bool has_fired(void)
{
	return __atomic_load_n(&report->fired, __ATOMIC_SEQ_CST);
}

static void count(long *counter, long n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_SEQ_CST);
}

/* What is not refused is done: @args with brackets. */
#define REFUSED_OR_DONE(name, err, result, args) \
	(refused(#name, err) ? (result) : __real_##name args)

int __real_mprotect(void *p, size_t len, int prot);

int __wrap_mprotect(void *p, size_t len, int prot)
{
	return REFUSED_OR_DONE(mprotect, ENOMEM, -1, (p, len, prot));
}

int __real_madvise(void *p, size_t len, int what);

int __wrap_madvise(void *p, size_t len, int what)
{
	return REFUSED_OR_DONE(madvise, ENOMEM, -1, (p, len, what));
}

int __real_mincore(void *p, size_t len, unsigned char *vec);

int __wrap_mincore(void *p, size_t len, unsigned char *vec)
{
	return REFUSED_OR_DONE(mincore, ENOMEM, -1, (p, len, vec));
}

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg)
{
	return REFUSED_OR_DONE(pthread_create, EAGAIN, EAGAIN,
			       (t, attr, fn, arg));
}

int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void),
			  void (*child)(void));

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void),
			  void (*child)(void))
{
	return REFUSED_OR_DONE(pthread_atfork, ENOMEM, ENOMEM,
			       (prepare, parent, child));
}

FILE *__real_fopen(const char *path, const char *mode);

FILE *__wrap_fopen(const char *path, const char *mode)
{
	return REFUSED_OR_DONE(fopen, EMFILE, NULL, (path, mode));
}

int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	return REFUSED_OR_DONE(sched_getaffinity, EINVAL, -1, (pid, size, set));
}

cpu_set_t *__real___sched_cpualloc(size_t n);

cpu_set_t *__wrap___sched_cpualloc(size_t n)
{
	return REFUSED_OR_DONE(__sched_cpualloc, ENOMEM, NULL, (n));
}

int __real_fstat(int fd, struct stat *st);

int __wrap_fstat(int fd, struct stat *st)
{
	return REFUSED_OR_DONE(fstat, EIO, -1, (fd, st));
}

ssize_t __real_readlink(const char *path, char *buf, size_t size);

ssize_t __wrap_readlink(const char *path, char *buf, size_t size)
{
	return REFUSED_OR_DONE(readlink, EACCES, -1, (path, buf, size));
}

int __real_eventfd(unsigned int value, int flags);

int __wrap_eventfd(unsigned int value, int flags)
{
	return REFUSED_OR_DONE(eventfd, EMFILE, -1, (value, flags));
}

int __real_epoll_create1(int flags);

int __wrap_epoll_create1(int flags)
{
	return REFUSED_OR_DONE(epoll_create1, EMFILE, -1, (flags));
}

int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	return REFUSED_OR_DONE(epoll_ctl, ENOMEM, -1, (epfd, op, fd, event));
}

int __real_io_uring_queue_init_params(unsigned int n, struct io_uring *ring,
				      struct io_uring_params *p);

int __wrap_io_uring_queue_init_params(unsigned int n, struct io_uring *ring,
				      struct io_uring_params *p)
{
	return REFUSED_OR_DONE(io_uring_queue_init_params, ENOMEM, -ENOMEM,
			       (n, ring, p));
}

int __real_open(const char *path, int flags, mode_t mode);

int __wrap_open(const char *path, int flags, mode_t mode)
{
	return REFUSED_OR_DONE(open, EMFILE, -1, (path, flags, mode));
}

int __real_ioctl(int fd, unsigned long request, void *arg);

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	return REFUSED_OR_DONE(ioctl, ENOMEM, -1, (fd, request, arg));
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	void *p = refused("calloc", ENOMEM) ? NULL : __real_calloc(n, size);

	count(&report->blocks, !!p);
	return p;
}

void __real_free(void *p);
void __wrap_free(void *p)
{
	count(&report->blocks, -!!p);
	__real_free(p);
}

void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset)
{
	void *p = MAP_FAILED;

	if (!refused("mmap", ENOMEM))
		p = __real_mmap(addr, len, prot, flags, fd, offset);
	if (p != MAP_FAILED && !(flags & MAP_FIXED))
		count(&report->bytes, len);
	return p;
}

int __real_munmap(void *p, size_t len);
int __wrap_munmap(void *p, size_t len)
{
	count(&report->bytes, -(long)len);
	return __real_munmap(p, len);
}

void *__real_mremap(void *p, size_t old, size_t len, int flags);
void *__wrap_mremap(void *p, size_t old, size_t len, int flags)
{
	if (refused("mremap", ENOMEM))
		return MAP_FAILED;
	count(&report->bytes, (long)len - (long)old);
	return __real_mremap(p, old, len, flags);
}

long __real_syscall(long nr, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	if (nr == SYS_membarrier && refused("membarrier", ENOMEM))
		return -1;
	return __real_syscall(nr, a, b, c, d, e, f);
}

/* What is wrong is told once, by the line. */
static void wrong(int line, long long got)
{
	int none = 0;

	if (__atomic_compare_exchange_n(&report->line, &none, line, false,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		report->got = got;
}

static bool is_refusal(long long ret)
{
	return ret == -ENOMEM || ret == -EAGAIN || ret == -EMFILE;
}

/* True: it did what it should; else it was refused, and says so. */
static bool worked(int line, long long ret, long long wanted)
{
	if (ret == wanted)
		return true;
	if (!is_refusal(ret) || !has_fired())
		wrong(line, ret);
	return false;
}

#define WORKED(call, wanted) worked(__LINE__, call, wanted)

/* The same for what returns NULL where it is refused. */
#define HAVE(p) ((p) ? true : worked(__LINE__, -ENOMEM, 0))

#define SURE(cond)                          \
	do {                                \
		if (!(cond))                \
			wrong(__LINE__, 0); \
	} while (0)

static struct burrow_waitgroup left;

static bool spawn(void (*fn)(void *arg), void *arg,
		  const struct burrow_go_options *opts)
{
	burrow_waitgroup_add(&left, 1);
	if (WORKED(burrow_go_opts(opts, fn, arg), 0))
		return true;
	burrow_waitgroup_done(&left);
	return false;
}

static void done(void *arg)
{
	(void)arg;
	burrow_waitgroup_done(&left);
}

static void nap(void *arg)
{
	int ret = burrow_sleep(MS);

	WORKED(ret, 0);
	done(arg);
}

static int many = 500; /* more than the first slab holds */

#define NAPS 5

static void start_goroutines(void)
{
	const struct burrow_go_options named = {
		.size = sizeof(named),
		.name = "one with a name",
	};
	const struct burrow_go_options deep = {
		.size = sizeof(deep),
		.stack_max = 3 * MIB,
	};
	int i;

	for (i = 0; i < many; i++)
		spawn(done, NULL, i % 50 ? NULL : &named);
	for (i = 0; i < NAPS; i++)
		spawn(nap, NULL, NULL);
	spawn(done, NULL, &deep);
	burrow_waitgroup_wait(&left);
}

static void send_one(void *arg)
{
	int n = 7;

	SURE(burrow_chan_send(arg, &n) == 0);
	done(arg);
}

static void use_channels(void)
{
	struct burrow_chan *ch = burrow_chan_new(sizeof(int), 0);
	struct burrow_chan *large = burrow_chan_new(MIB, 2);
	struct burrow_case cases[2] = { 0 };
	int n = 0, ret;

	if (HAVE(large))
		SURE(burrow_chan_cap(large) == 2);
	if (!HAVE(ch))
		return;
	WORKED(burrow_chan_recv_deadline(ch, &n, burrow_now() + MS),
	       -ETIMEDOUT);
	WORKED(burrow_chan_recv_deadline(NULL, &n, burrow_now() + MS),
	       -ETIMEDOUT);
	cases[0] = (struct burrow_case){ BURROW_RECV, ch, &n, 0 };
	cases[1] = (struct burrow_case){ BURROW_RECV, large, NULL, 0 };
	WORKED(burrow_select(cases, 2, MS), -ETIMEDOUT);
	if (!spawn(send_one, ch, NULL))
		return;
	ret = burrow_select(cases, 2, -1);
	if (!WORKED(ret, 0))
		SURE(burrow_chan_recv(ch, &n) == 1);
	SURE(n == 7);
	burrow_waitgroup_wait(&left);
}

static void use_locks(void)
{
	struct burrow_mutex m = { 0 };
	struct burrow_rwmutex rw = { 0 };
	struct burrow_cond c = { 0 };
	struct burrow_waitgroup wg = { 0 };
	struct burrow_sem sem;
	int64_t soon = burrow_now() + MS;

	burrow_sem_init(&sem, 0);
	burrow_waitgroup_add(&wg, 1);
	burrow_mutex_lock(&m);
	burrow_rwmutex_lock(&rw);
	WORKED(burrow_mutex_lock_deadline(&m, soon), -ETIMEDOUT);
	WORKED(burrow_rwmutex_lock_deadline(&rw, soon), -ETIMEDOUT);
	WORKED(burrow_rwmutex_rlock_deadline(&rw, soon), -ETIMEDOUT);
	WORKED(burrow_cond_wait_deadline(&c, &m, soon), -ETIMEDOUT);
	WORKED(burrow_waitgroup_wait_deadline(&wg, soon), -ETIMEDOUT);
	WORKED(burrow_sem_acquire_deadline(&sem, 1, soon), -ETIMEDOUT);
	burrow_rwmutex_unlock(&rw);
	burrow_mutex_unlock(&m);
	/* Nobody was left behind in any of them. */
	SURE(burrow_mutex_trylock(&m) == 0);
	SURE(burrow_rwmutex_trylock(&rw) == 0);
	burrow_sem_release(&sem, 1);
	SURE(burrow_sem_tryacquire(&sem, 1) == 0);
}

static int in_group(void *arg)
{
	(void)arg;
	return 0;
}

static void use_groups(void)
{
	struct burrow_group g = { 0 };
	struct burrow_ctx *ctx = burrow_group_ctx(&g, NULL);
	int i;

	burrow_group_limit(&g, 2);
	for (i = 0; i < 5; i++)
		WORKED(burrow_group_go(&g, in_group, NULL), 0);
	SURE(burrow_group_wait(&g) == 0);
	if (HAVE(ctx))
		SURE(burrow_ctx_err(ctx) == -ECANCELED);
}

static void use_contexts(void)
{
	struct burrow_ctx *top = burrow_ctx_with_cancel(NULL), *late, *value;
	static const char key;

	if (!HAVE(top))
		return;
	late = burrow_ctx_with_deadline(top, burrow_now() + MS);
	value = burrow_ctx_with_value(late ? late : top, &key, top);
	if (HAVE(late)) {
		SURE(burrow_chan_recv(burrow_ctx_done(late), NULL) == 0);
		SURE(burrow_ctx_err(late) == -ETIMEDOUT);
	}
	if (HAVE(value))
		SURE(burrow_ctx_value(value, &key) == top);
	SURE(burrow_ctx_cancel(top, 0) == 0);
	SURE(burrow_ctx_err(top) == -ECANCELED);
}

static int rung;

static void ring(void *arg)
{
	__atomic_add_fetch(&rung, 1, __ATOMIC_SEQ_CST);
	(void)arg;
}

#define TIMERS 600 /* more than the heap has room for at first */

/* What was promised comes, if late. */
static void use_timers(void)
{
	struct burrow_timer *t, *last = NULL;
	struct burrow_chan *after;
	int i, set = 0;

	rung = 0;
	for (i = 0; i < TIMERS; i++) {
		t = burrow_timer_new(MS, 0, ring, NULL);
		if (HAVE(t))
			set++;
	}
	last = burrow_timer_new(3600000 * MS, 0, ring, NULL);
	if (HAVE(last) && WORKED(burrow_timer_reset(last, 7200000 * MS), 1))
		SURE(burrow_timer_stop(last) == 1);
	after = burrow_after(MS);
	if (HAVE(after))
		SURE(burrow_chan_recv(after, NULL) == 1);
	while (__atomic_load_n(&rung, __ATOMIC_SEQ_CST) != set)
		burrow_yield();
}

static void *notify(void *event)
{
	burrow_notify(event);
	return NULL;
}

static void use_events(void)
{
	struct burrow_event *event = burrow_event_new();
	struct burrow_chan *signals = burrow_signal_chan(SIGUSR1);
	pthread_t thread;
	int n = 0;

	if (HAVE(signals)) {
		kill(getpid(), SIGUSR1);
		SURE(burrow_chan_recv(signals, &n) == 1 && n == SIGUSR1);
	}
	if (!HAVE(event))
		return;
	WORKED(burrow_event_wait_deadline(event, burrow_now() + MS),
	       -ETIMEDOUT);
	if (!pthread_create(&thread, NULL, notify, event)) {
		SURE(burrow_event_wait(event) == 0);
		pthread_join(thread, NULL);
	}
	burrow_event_free(event);
}

static void doze(void *arg)
{
	(void)arg;
	usleep(2000);
}

static void block(void *arg)
{
	burrow_blocking(doze, NULL);
	done(arg);
}

/* Threads are started for the processors of those who block. */
static void use_threads(void)
{
	int i;

	for (i = 0; i < 5; i++)
		spawn(block, NULL, NULL);
	doze(NULL);
	burrow_waitgroup_wait(&left);
}

static void use_processors(void)
{
	int n = burrow_set_procs(0), i;

	if (WORKED(burrow_set_procs(n + 2), n)) {
		for (i = 0; i < 20; i++)
			spawn(nap, NULL, NULL);
		SURE(burrow_set_procs(1) == n + 2);
	}
	burrow_waitgroup_wait(&left);
	WORKED(burrow_set_procs(n), burrow_set_procs(0));
}

static void hear(void *arg)
{
	char c;
	int fd = (int)(intptr_t)arg;

	while (!WORKED(burrow_recv(fd, &c, 1, 0), 1))
		burrow_yield();
	done(NULL);
}

/* More of this in iofail. */
static void use_sockets(void)
{
	struct pollfd fds[6] = { 0 };
	int pair[2], i;
	char c = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) {
		wrong(__LINE__, errno);
		return;
	}
	for (i = 0; i < 6; i++)
		fds[i] = (struct pollfd){ .fd = pair[0], .events = POLLIN };
	WORKED(burrow_poll(fds, 6, 1), 0);
	WORKED(burrow_recv_deadline(pair[0], &c, 1, 0, burrow_now() + MS),
	       -ETIMEDOUT);
	if (spawn(hear, (void *)(intptr_t)pair[1], NULL)) {
		burrow_yield();
		while (!WORKED(burrow_send(pair[0], &c, 1, 0), 1))
			burrow_yield();
	}
	burrow_waitgroup_wait(&left);
	while (!WORKED(burrow_close(pair[0]), 0))
		;
	while (!WORKED(burrow_close(pair[1]), 0))
		;
}

static void ask(void)
{
	struct burrow_stats stats = { .size = sizeof(stats) };
	int fd = __real_open("/dev/null", O_WRONLY | O_CLOEXEC, 0);

	SURE(burrow_dump(fd) == 0);
	SURE(burrow_stats(&stats) == 0);
	close(fd);
}

static int use_all(void *arg)
{
	(void)arg;
	start_goroutines();
	use_channels();
	use_locks();
	use_groups();
	use_contexts();
	use_timers();
	use_events();
	use_threads();
	use_processors();
	use_sockets();
	ask();
	return 0;
}

/* Whether or not memory was short before: what the collector keeps is there now. */
static int use_all_and_collect(void *arg)
{
	SURE(burrow_gc() == 0);
	return use_all(arg);
}

static long count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	long n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static int procs;

static int run_once(int (*fn)(void *arg))
{
	struct burrow_options opts = { .size = sizeof(opts), .procs = procs };

	left = (struct burrow_waitgroup){ 0 };
	return burrow_run(&opts, fn, NULL);
}

static struct report clean; /* of a child in which nothing was refused */

static bool left_behind(void)
{
	return report->blocks != clean.blocks || report->bytes != clean.bytes ||
	       report->fds != clean.fds;
}

/*
 * A thread that was outside at the end of a run has what it may touch until it has
 * ended too, which on a busy machine takes a while.
 */
static void count_what_is_left(int at)
{
	int i;

	for (i = 0; i < 1000; i++) {
		report->fds = count_fds();
		if (at ? !left_behind() : i == 100)
			break;
		usleep(2000);
	}
}

/* Twice: @at is refused in the first run; the second must go well. */
static int try(int at)
{
	int ret;

	alarm(PATIENCE * (scaled_down() ? 20 : 1));
	begin_refusing(at);
	ret = run_once(use_all);
	end_refusing();
	WORKED(ret, 0);
	/* A start that is refused does not come as far as anything else. */
	ret = run_once(use_all_and_collect);
	if (ret)
		wrong(__LINE__, ret);
	count_what_is_left(at);
	return report->line ? WRONG : FINE;
}

static void try_child(void *at)
{
	_exit(try(*(int *)at));
}

static int status_of(int at, struct outcome *o)
{
	memset(report, 0, sizeof(*report));
	outcome_of(o, try_child, &at);
	return o->status;
}

/* NULL, or what is wrong with how it ended. */
static const char *judge(int status, const char *text)
{
	if (WIFSIGNALED(status)) {
		if (WTERMSIG(status) == SIGALRM)
			return "hangs";
		if (WTERMSIG(status) != SIGBUS)
			return "died of a signal that is not SIGBUS";
		if (!strstr(text, "burrow: goroutine ") ||
		    !strstr(text, ": out of stack memory: "))
			return "died of SIGBUS without a word";
		return NULL;
	}
	if (WEXITSTATUS(status))
		return "a wrong result";
	if (left_behind())
		return "something was left behind";
	return NULL;
}

/* How many could be refused; -1: one of them went wrong. */
static int refuse_each(int n)
{
	static struct outcome o;
	const char *complaint;
	int at, status, bad = 0;

	procs = n;
	setvbuf(stdout, NULL, _IOLBF, 0);
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	status = status_of(0, &o);
	clean = *report;
	if (status) {
		printf("# nothing was refused, and yet: status 0x%x, line %d, %lld\n%s",
		       status, report->line, report->got, o.text);
		return -1;
	}
	for (at = 1; at < CALLS_MAX; at++) {
		status = status_of(at, &o);
		if (!has_fired())
			break;
		complaint = judge(status, o.text);
		if (!complaint)
			continue;
		printf("# call %d, %s: %s: status 0x%x, line %d, %lld\n%s", at,
		       report->what, complaint, status, report->line,
		       report->got, o.text);
		printf("# left behind: %+ld blocks, %+ld bytes, %+ld descriptors\n",
		       report->blocks - clean.blocks,
		       report->bytes - clean.bytes, report->fds - clean.fds);
		bad++;
	}
	printf("# %d processors: %d calls refused, %d went wrong\n", n, at - 1,
	       bad);
	fflush(stdout);
	return bad ? -1 : at - 1;
}

TEST(each_call_on_1_processor)
{
	EXPECT_LT(30, refuse_each(1));
}

TEST(each_call_on_2_processors)
{
	EXPECT_LT(30, refuse_each(2));
}

TEST(each_call_on_8_processors)
{
	EXPECT_LT(30, refuse_each(8));
}

TEST(each_call_with_epoll)
{
	setenv("BURROW_DEBUG", "uring=0", 1);
	EXPECT_LT(30, refuse_each(2));
}

TEST(each_call_with_guards_by_mprotect)
{
	/* Each stack is made ready by a call of its own. */
	many = 50;
	setenv("BURROW_DEBUG", "guardinstall=0", 1);
	EXPECT_LT(30, refuse_each(2));
}

TEST_HARNESS_MAIN
