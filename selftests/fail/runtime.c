// SPDX-License-Identifier: GPL-2.0
/*
 * A program on the runtime, while the allocations that the kernel makes for it
 * fail one after another. Whatever fails, the program either does all that it
 * was to do, or it ends as the interface says: burrow_run() or burrow_go()
 * return a negative errno, or a stack that cannot grow ends the process by
 * SIGBUS; and each of these with a line on standard error that begins with
 * `burrow: `. Nothing hangs, nothing is wrong in silence.
 *
 * Each run is a process of its own. A scenario says between which points of
 * its life the failure may happen. As many scenarios as there are CPUs are walked
 * at once, each by a process: a failure is asked for by a thread and meets
 * nobody else.
 *
 * With an argument, the number of a scenario, only that is walked. With two, of a
 * scenario and of a failure, only that is done, and the kernel logs where it happens.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <burrow.h>

#include "kselftest.h"

#include "inject.h"

#define WORKERS 8
#define FRAMES 60 /* of a kilobyte and more each */

/* Seconds for one run, on an emulated machine that checks all. */
#define PATIENCE 120

/* How the child ends when it is not by a signal. */
#define ALL_DONE 0
#define CLEAN_ERROR 3
#define WRONG 4

enum phase {
	START, /* until the main goroutine runs */
	WORK, /* goroutines are started, grow their stacks, sleep */
	END, /* from the main goroutine's end on; then once more */
};

struct scenario {
	const char *name;
	enum phase phase;
	enum burrow_backend backend;
};

/* Those that take longest first. */
static const struct scenario scenarios[] = {
	{ "start, no module", START, BURROW_BACKEND_MMAP },
	{ "start, whatever works", START, BURROW_BACKEND_AUTO },
	{ "start, module", START, BURROW_BACKEND_KMOD },
	{ "work, module", WORK, BURROW_BACKEND_KMOD },
	{ "work, no module", WORK, BURROW_BACKEND_MMAP },
	{ "end and again, module", END, BURROW_BACKEND_KMOD },
	{ "end and again, no module", END, BURROW_BACKEND_MMAP },
};

/* Shared by a run and its parent. */
struct report {
	int fired; /* the failure happened and the process lived on */
	int done; /* workers that came to their end with the right sum */
};

/* What the process that walked a scenario leaves to the one that counts. */
struct walked {
	bool passed;
	int failures;
};

static struct report *report;
static struct walked *walked;
static enum phase phase;
static int nth;

static void disarm(void)
{
	if (injected())
		report->fired = 1;
}

static int sum(int frames)
{
	volatile char frame[1024];

	frame[0] = 1;
	frame[1023] = 1;
	if (frames == 1)
		return frame[0];
	return sum(frames - 1) + frame[1023];
}

static void worker(void *arg)
{
	int *left = arg;

	if (sum(FRAMES) != FRAMES)
		_exit(WRONG);
	burrow_sleep(1000000);
	report->done++;
	--*left;
}

static int main_goroutine(void *arg)
{
	int left = 0, i, err = 0;

	(void)arg;
	if (phase == START)
		disarm();
	if (phase == WORK)
		inject(nth);
	for (i = 0; i < WORKERS && !err; i++) {
		err = burrow_go(worker, &left);
		if (!err)
			left++;
	}
	while (left)
		burrow_yield();
	if (phase == WORK)
		disarm();
	if (phase == END)
		inject(nth);
	return err;
}

static int run_runtime(const struct scenario *s)
{
	struct burrow_options opts = {
		.size = sizeof(opts),
		.backend = s->backend,
	};
	int err = burrow_run(&opts, main_goroutine, NULL);

	if (!err)
		return report->done == WORKERS ? ALL_DONE : WRONG;
	return err == -ENOMEM || err == -EFAULT || err == -EAGAIN ||
			       err == -ENODEV || err == -EMFILE ?
		       CLEAN_ERROR :
		       WRONG;
}

/*
 * glibc keeps 40 MiB of stacks of ended threads, and aborts without a word where it
 * can't unmap what is more. So they are small here.
 */
static void small_threads(void)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 512 << 10);
	pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
}

static int child(const struct scenario *s)
{
	int ret;

	alarm(PATIENCE);
	small_threads();
	if (!inject_open())
		return WRONG;
	phase = s->phase;
	if (phase == START)
		inject(nth);
	ret = run_runtime(s);
	disarm();
	if (phase == END && ret == ALL_DONE) {
		phase = START;
		report->done = 0;
		inject(0);
		ret = run_runtime(s);
	}
	return ret;
}

/* What it said on standard error, into @text; its status. */
static int run_child(const struct scenario *s, char *text, size_t size)
{
	int fds[2], status;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	memset(report, 0, sizeof(*report));
	if (pipe(fds))
		ksft_exit_fail_msg("no pipe\n");
	pid = fork();
	if (pid < 0)
		ksft_exit_fail_msg("no process\n");
	if (!pid) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		_exit(child(s));
	}
	close(fds[1]);
	/* What does not fit is read and dropped: the child must not wait. */
	do {
		char rest[256];
		bool full = got == size - 1;

		n = read(fds[0], full ? rest : text + got,
			 full ? sizeof(rest) : size - 1 - got);
		if (n > 0 && !full)
			got += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	text[got] = 0;
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0)
		;
	return status;
}

static bool says_so(const char *text, const char *what)
{
	const char *line = strstr(text, "burrow: ");

	return line && strstr(line, what);
}

/* NULL, or what is wrong with the way a run ended. */
static const char *judge(int status, const char *text)
{
	if (WIFSIGNALED(status)) {
		if (WTERMSIG(status) == SIGALRM)
			return "hangs";
		if (WTERMSIG(status) != SIGBUS)
			return "died of a signal that is not SIGBUS";
		if (!says_so(text, "out of stack memory"))
			return "died of SIGBUS without the line that says why";
		return NULL;
	}
	switch (WEXITSTATUS(status)) {
	case ALL_DONE:
		return NULL;
	case CLEAN_ERROR:
		return says_so(text, "") ? NULL : "failed in silence";
	}
	return "a wrong result";
}

/* 1: the nth failure happened; 0: there was none left; -1: it went wrong. */
static int run_once(const struct scenario *s)
{
	static char text[4096];
	int status = run_child(s, text, sizeof(text));
	const char *complaint = judge(status, text);
	bool fired = report->fired || status;

	if (!complaint && !report->fired && WIFEXITED(status) && status)
		complaint = "failed though nothing was made to fail";
	if (!complaint)
		return fired;
	ksft_print_msg("%s, failure %d: %s (status 0x%x); it said:\n", s->name,
		       nth, complaint, status);
	ksft_print_msg("%s\n", text);
	return -1;
}

static void walk(size_t scenario)
{
	const struct scenario *s = &scenarios[scenario];
	int ret = 1;

	for (nth = 1; nth <= NTH_MAX; nth++) {
		ret = run_once(s);
		if (ret <= 0)
			break;
	}
	if (ret > 0)
		ksft_print_msg("%s: no end to the failures\n", s->name);
	walked[scenario].passed = ret == 0 && nth > 1;
	walked[scenario].failures = nth - 1;
}

/* A page that forked processes share. */
static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		ksft_exit_fail_msg("no shared memory\n");
	return p;
}

static void start_walk(size_t scenario)
{
	pid_t pid = fork();

	if (pid < 0)
		ksft_exit_fail_msg("no process\n");
	if (pid)
		return;
	report = shared(sizeof(*report));
	walk(scenario);
	ksft_print_msg("%s: %d failures\n", scenarios[scenario].name,
		       walked[scenario].failures);
	_exit(0);
}

/* Those from @from on, before @to. */
static void walk_all(size_t from, size_t to)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t i, started, ended;

	walked = shared(sizeof(*walked) * ARRAY_SIZE(scenarios));
	for (started = from, ended = from; ended < to; ended++) {
		while (started < to && started < ended + cpus)
			start_walk(started++);
		if (wait(NULL) < 0)
			ksft_exit_fail_msg("a walk is lost\n");
	}
	for (i = from; i < to; i++)
		ksft_test_result(walked[i].passed, "%s: %d failures\n",
				 scenarios[i].name, walked[i].failures);
}

/* One failure of one scenario, and what the kernel has to say of it. */
static int run_one(size_t scenario, int n)
{
	int ret;

	report = shared(sizeof(*report));
	inject_loudly();
	nth = n;
	ret = run_once(&scenarios[scenario]);
	ksft_print_msg("result %d, %d workers done\n", ret, report->done);
	return ret < 0;
}

int main(int argc, char **argv)
{
	size_t only = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;

	if (argc > 3 || (argc > 1 && (!only || only > ARRAY_SIZE(scenarios)))) {
		fprintf(stderr,
			"usage: %s [SCENARIO [FAILURE]], of %zu scenarios\n",
			argv[0], ARRAY_SIZE(scenarios));
		return 2;
	}
	ksft_print_header();
	if (access("/dev/burrow", F_OK))
		ksft_exit_skip("no /dev/burrow: the module is not loaded\n");
	if (!inject_open() || !inject_set_up())
		ksft_exit_skip("this kernel cannot make allocations fail\n");
	ksft_set_plan(only ? 1 : ARRAY_SIZE(scenarios));
	/* A forked child must not print what is ours once more. */
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc == 3)
		return run_one(only - 1, atoi(argv[2]));
	walk_all(only ? only - 1 : 0, only ? only : ARRAY_SIZE(scenarios));
	ksft_finished();
}
