// SPDX-License-Identifier: GPL-2.0
/*
 * What keeps an object alive, and what does not: every place that a program can
 * have the only pointer in.
 */
#include <dlfcn.h>
#include <libgen.h>
#include <pthread.h>

#include "gc.h"

TEST_GC(what_nobody_holds_dies)
{
	static struct secret secrets[MANY];
	int i;

	for (i = 0; i < MANY; i++)
		make_dropped(&secrets[i]);
	CHECK(count_living(secrets) <= MANY - MOST);
}

/* Lists: one pointer keeps all that hangs on it. */
static struct thing *list;

TEST_GC(static_data_keeps)
{
	static struct secret secrets[MANY];
	struct thing *t;
	int i;

	list = NULL;
	for (i = 0; i < MANY; i++) {
		t = make(&secrets[i]);
		t->next = list;
		list = t;
	}
	t = NULL;
	CHECK(count_living(secrets) == MANY);
	list = NULL;
	CHECK(count_living(secrets) <= MANY - MOST);
}

/* A pointer into the middle keeps, one past the end does not. */
TEST_GC(interior_pointers_keep)
{
	static struct secret secrets[MANY];
	static void *inside[MANY];
	int i;

	for (i = 0; i < MANY; i++)
		inside[i] =
			(char *)make(&secrets[i]) + sizeof(struct thing) - 1;
	CHECK(count_living(secrets) == MANY);
	memset(inside, 0, sizeof(inside));
	CHECK(count_living(secrets) <= MANY - MOST);
}

/*
 * The marker has bits for 64 words of an object: pointers on both sides of that, in
 * words that may all be some and in those that a type names.
 */
struct wide {
	void *first;
	uint64_t between[62];
	void *last;
};

struct wider {
	void *first;
	uint64_t between[63];
	void *last;
};

BURROW_TYPE(wide_type, struct wide, first, last);
BURROW_TYPE(wider_type, struct wider, first, last);

static void **holders[MANY]; /* a root */

__attribute__((noipa)) static void hold(struct secret *secret, void ***holder,
					void **object, size_t word)
{
	object[word] = make(secret);
	*holder = object;
}

static void held_by_words(struct secret *secrets, size_t words)
{
	size_t i;

	for (i = 0; i < MANY; i++)
		hold(&secrets[i], &holders[i], burrow_alloc(words * 8),
		     i * (words - 1) / (MANY - 1));
}

static void held_by_type(struct secret *secrets, const struct burrow_type *type,
			 size_t words)
{
	size_t i;

	for (i = 0; i < MANY; i++)
		hold(&secrets[i], &holders[i], burrow_new(type),
		     i % 2 ? words - 1 : 0);
}

TEST_GC(pointers_anywhere_in_an_object_keep)
{
	static const size_t words[] = { 2, 3, 63, 64, 65, 66, 512 };
	static struct secret secrets[MANY];
	size_t i, all = sizeof(words) / sizeof(words[0]);

	for (i = 0; i < all + 2; i++) {
		if (i < all)
			held_by_words(secrets, words[i]);
		else if (i == all)
			held_by_type(secrets, &wide_type, 64);
		else
			held_by_type(secrets, &wider_type, 65);
		CHECK(count_living(secrets) == MANY);
		memset(holders, 0, sizeof(holders));
		CHECK(count_living(secrets) <= MANY - MOST);
	}
}

/* Stacks */

static int stop, ready;

static void go_and_wait(void (*fn)(void *), void *arg)
{
	stop = 0;
	ready = 0;
	CHECK(burrow_go(fn, arg) == 0);
	while (!get(&ready))
		burrow_yield();
}

static void end_it(void)
{
	add(&stop, 1);
	wait_for_others();
}

static void hold_parked(void *arg)
{
	struct thing *volatile t = make(arg);

	add(&ready, 1);
	while (!get(&stop))
		burrow_sleep(MS);
	CHECK(t->magic == MAGIC);
}

TEST_GC(parked_stacks_keep)
{
	static struct secret secret;

	go_and_wait(hold_parked, &secret);
	collect();
	CHECK(lives(&secret));
	end_it();
}

/*
 * A worker stores the only pointer into a local variable of a goroutine that has
 * parked, and ends.
 */
static struct secret given;

static void give(void *arg)
{
	*(struct thing *volatile *)arg = make(&given);
}

TEST_GC(locals_written_by_others_keep)
{
	struct thing *volatile local = NULL;
	int i;

	for (i = 0; i < 20; i++) {
		burrow_go(give, (void *)&local);
		wait_for_others();
		collect();
		CHECK(lives(&given));
		CHECK(local->magic == MAGIC);
		local = NULL;
	}
}

/*
 * What a goroutine waits with and for: the element it sends lies in an object, and
 * so do the channel or the lock that it waits in. Its own frames may have neither.
 */
static struct burrow_chan *meeting;

__attribute__((noipa)) static void send_thing(struct secret *secret)
{
	burrow_chan_send(meeting, make(secret));
}

static void send_many(void *arg)
{
	send_thing(arg);
}

TEST_GC(elements_of_those_who_wait_are_kept)
{
	static struct secret secrets[MANY];
	struct thing t;
	int i;

	meeting = burrow_chan_new(sizeof(struct thing), 0);
	for (i = 0; i < MANY; i++)
		CHECK(burrow_go(send_many, &secrets[i]) == 0);
	for (i = 0; i < MANY; i++) {
		while (!__atomic_load_n(&secrets[i].weak, __ATOMIC_ACQUIRE))
			burrow_sleep(MS);
	}
	burrow_sleep(5 * MS);
	CHECK(count_living(secrets) == MANY);
	for (i = 0; i < MANY; i++) {
		CHECK(burrow_chan_recv(meeting, &t) == 1);
		CHECK(t.magic == MAGIC);
	}
	wait_for_others();
	meeting = NULL;
}

/* Channels are objects as others are. */
__attribute__((noipa)) static void make_chan(struct burrow_weak **weak,
					     struct burrow_chan **keep, int n)
{
	struct burrow_chan *chan = burrow_chan_new(8, n % 4);

	*weak = burrow_weak_new(chan);
	if (keep)
		*keep = chan;
}

TEST_GC(channels_are_collected)
{
	static struct burrow_weak *weak[2 * MANY];
	static struct burrow_chan *kept[MANY];
	int i, n = 0;

	for (i = 0; i < MANY; i++) {
		make_chan(&weak[i], NULL, i);
		make_chan(&weak[MANY + i], &kept[i], i);
	}
	collect();
	for (i = 0; i < MANY; i++) {
		n += !!burrow_weak_get(weak[i]);
		CHECK(burrow_weak_get(weak[MANY + i]) == kept[i]);
	}
	CHECK(n <= MANY - MOST);
	memset(kept, 0, sizeof(kept));
}

/* Somebody waits in it, and nobody else knows it: it ends in time. */
struct waiting {
	struct burrow_weak *weak;
	int how;
	int64_t until;
};

__attribute__((noipa)) static struct burrow_chan *
chan_of(struct waiting *waiting)
{
	struct burrow_chan *chan = burrow_chan_new(8, 0);

	waiting->weak = burrow_weak_new(chan);
	return chan;
}

static void wait_alone(void *arg)
{
	struct waiting *w = arg;
	struct burrow_case c = { .op = BURROW_RECV };

	if (w->how == 0) {
		CHECK(burrow_chan_recv_deadline(chan_of(w), NULL, w->until) ==
		      -ETIMEDOUT);
	} else if (w->how == 1) {
		CHECK(burrow_chan_send_deadline(chan_of(w), "element",
						w->until) == -ETIMEDOUT);
	} else {
		c.chan = chan_of(w);
		CHECK(burrow_select(&c, 1, w->until - burrow_now()) ==
		      -ETIMEDOUT);
	}
}

TEST_GC(channels_live_while_somebody_waits)
{
	int64_t until = burrow_now() + 200 * MS * scale();
	static struct waiting waiting[3 * 8];
	int i, n, lost = 0;

	for (i = 0; i < 3 * 8; i++) {
		waiting[i] = (struct waiting){ .how = i % 3, .until = until };
		CHECK(burrow_go(wait_alone, &waiting[i]) == 0);
	}
	for (i = 0; i < 3 * 8; i++) {
		while (!__atomic_load_n(&waiting[i].weak, __ATOMIC_ACQUIRE))
			burrow_sleep(MS);
	}
	burrow_sleep(5 * MS);
	for (n = 0; n < 5; n++) {
		collect();
		for (i = 0; i < 3 * 8; i++)
			lost += !burrow_weak_get(waiting[i].weak);
		/* On a busy machine that may take longer than they wait. */
		CHECK(!lost || burrow_now() >= until);
	}
	wait_for_others();
}

/* The timer alone knows the channel, and has it when it fires. */
TEST_GC(channels_of_timers_live)
{
	int64_t at, due, wait = 25 * MS;
	static uintptr_t hidden[MANY];
	int i;

	/* When they have fired nobody knows it any more. */
	do {
		wait *= 2;
		due = burrow_now() + wait;
		for (i = 0; i < MANY; i++)
			hidden[i] = hide(burrow_after(wait));
		collect();
		collect();
	} while (burrow_now() >= due);
	burrow_sleep(2 * wait);
	for (i = 0; i < MANY; i++)
		CHECK(burrow_chan_try_recv((void *)unhide(hidden[i]), &at) ==
		      1);
}

/* The stack of the thread that called burrow_run(). */
struct outer {
	struct thing *volatile t;
	struct secret secret;
};

static int use_outer(void *arg)
{
	struct outer *outer = arg;

	outer->t = make(&outer->secret);
	collect();
	CHECK(lives(&outer->secret));
	return 0;
}

TEST_F(gc, the_stack_of_the_caller_keeps)
{
	struct burrow_options opts = { .size = sizeof(opts) };
	struct outer outer = { 0 };

	setenv("BURROW_DEBUG", variant->way.debug, 1);
	opts.procs = variant->way.procs;
	failed_line = 0;
	EXPECT_EQ(0, burrow_run(&opts, use_outer, &outer));
	EXPECT_EQ(0, failed_line);
}

#ifdef __x86_64__

/* Code that has the only pointer in one place, and goes on until it is told. */
static void spin_register(struct secret *secret)
{
	uintptr_t hidden = secret->hidden;

	__asm__ volatile("mov %[hidden], %%r12\n"
			 "xor %[mask], %%r12\n"
			 "lock incl %[ready]\n"
			 "1: pause\n"
			 "cmpl $0, %[stop]\n"
			 "je 1b\n"
			 "cmp %[magic], 8(%%r12)\n"
			 "je 2f\n"
			 "ud2\n"
			 "2: xor %%r12, %%r12\n"
			 : [ready] "+m"(ready)
			 : [hidden] "r"(hidden), [mask] "r"(MASK),
			   [stop] "m"(stop), [magic] "r"(MAGIC)
			 : "r12", "memory", "cc");
}

static void spin_vector(struct secret *secret)
{
	uintptr_t hidden = secret->hidden;

	__asm__ volatile("mov %[hidden], %%r12\n"
			 "xor %[mask], %%r12\n"
			 "movq %%r12, %%xmm9\n"
			 "xor %%r12, %%r12\n"
			 "lock incl %[ready]\n"
			 "1: pause\n"
			 "cmpl $0, %[stop]\n"
			 "je 1b\n"
			 "movq %%xmm9, %%r12\n"
			 "cmp %[magic], 8(%%r12)\n"
			 "je 2f\n"
			 "ud2\n"
			 "2: xor %%r12, %%r12\n"
			 "pxor %%xmm9, %%xmm9\n"
			 : [ready] "+m"(ready)
			 : [hidden] "r"(hidden), [mask] "r"(MASK),
			   [stop] "m"(stop), [magic] "r"(MAGIC)
			 : "r12", "xmm9", "memory", "cc");
}

static void spin_red_zone(struct secret *secret)
{
	uintptr_t hidden = secret->hidden;

	__asm__ volatile(
		"sub $256, %%rsp\n"
		"mov %[hidden], %%r12\n"
		"xor %[mask], %%r12\n"
		"mov %%r12, -120(%%rsp)\n"
		"xor %%r12, %%r12\n"
		"lock incl (%[ready])\n"
		"1: pause\n"
		"cmpl $0, (%[stop])\n"
		"je 1b\n"
		"mov -120(%%rsp), %%r12\n"
		"movq $0, -120(%%rsp)\n"
		"cmp %[magic], 8(%%r12)\n"
		"je 2f\n"
		"ud2\n"
		"2: xor %%r12, %%r12\n"
		"add $256, %%rsp\n"
		:
		: [ready] "r"(&ready), [hidden] "r"(hidden), [mask] "r"(MASK),
		  [stop] "r"(&stop), [magic] "r"(MAGIC)
		: "r12", "memory", "cc");
}

static void (*const spins[])(struct secret *) = {
	spin_register,
	spin_vector,
	spin_red_zone,
};

struct spinner {
	void (*spin)(struct secret *secret);
	struct secret secret;
};

/* Between here and the spin nobody collects. */
static void spin_as_hog(void *arg)
{
	struct spinner *s = arg;

	make_dropped(&s->secret);
	scrub();
	s->spin(&s->secret);
}

static void spin_in_c(void *arg)
{
	struct spinner *s = arg;

	s->spin(&s->secret);
}

static void spin_blocking(void *arg)
{
	struct spinner *s = arg;

	make_dropped(&s->secret);
	scrub();
	burrow_blocking(spin_in_c, s);
}

static void keep_while_spinning(void (*fn)(void *arg))
{
	static struct spinner s;
	size_t i;

	for (i = 0; i < sizeof(spins) / sizeof(spins[0]); i++) {
		s.spin = spins[i];
		go_and_wait(fn, &s);
		collect();
		collect();
		CHECK(lives(&s.secret));
		end_it();
	}
}

TEST_GC(registers_of_hogs_keep)
{
	keep_while_spinning(spin_as_hog);
}

TEST_GC(registers_in_burrow_blocking_keep)
{
	keep_while_spinning(spin_blocking);
}

/* The caller's register is saved by what runs on the thread's stack. */
static void clobber_and_wait(void *arg)
{
	(void)arg;
	__asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15");
	__asm__ volatile("xor %%ebx, %%ebx\n"
			 "xor %%r12d, %%r12d\n"
			 "xor %%r13d, %%r13d\n"
			 "xor %%r14d, %%r14d\n"
			 "xor %%r15d, %%r15d\n" ::
				 : "rbx", "r12", "r13", "r14", "r15", "cc");
	add(&ready, 1);
	while (!get(&stop))
		usleep(1000);
}

/* r13 holds it over the call; @hidden is all that C knows. */
__attribute__((noipa)) static uint64_t
call_with_register(uintptr_t hidden, void (*call)(void (*)(void *), void *))
{
	uint64_t magic;

	__asm__ volatile("xor %[mask], %%rbx\n"
			 "mov %%rbx, %%r13\n"
			 "xor %%ebx, %%ebx\n"
			 "lea clobber_and_wait_alias(%%rip), %%rdi\n"
			 "xor %%esi, %%esi\n"
			 "mov %%rsp, %%r12\n"
			 "sub $256, %%rsp\n"
			 "and $-16, %%rsp\n"
			 "call *%[call]\n"
			 "mov %%r12, %%rsp\n"
			 "mov 8(%%r13), %[magic]\n"
			 "xor %%r13, %%r13\n"
			 : [magic] "=a"(magic), "+b"(hidden)
			 : [mask] "d"(MASK), [call] "c"(call)
			 : "rdi", "rsi", "r8", "r9", "r10", "r11", "r12", "r13",
			   "memory", "cc");
	return magic;
}

__attribute__((used)) static void
clobber_alias(void *arg) __asm__("clobber_and_wait_alias");
static void clobber_alias(void *arg)
{
	clobber_and_wait(arg);
}

struct nogc {
	struct secret secret;
	void (*call)(void (*fn)(void *), void *arg);
};

static void hold_over_call(void *arg)
{
	struct nogc *n = arg;

	make_dropped(&n->secret);
	scrub();
	CHECK(call_with_register(n->secret.hidden, n->call) == MAGIC);
}

TEST_GC(registers_of_callers_keep_in_burrow_blocking)
{
	static struct nogc n;

	n.call = burrow_blocking;
	go_and_wait(hold_over_call, &n);
	collect();
	CHECK(lives(&n.secret));
	end_it();
}

TEST_GC(registers_of_callers_keep_in_burrow_blocking_nogc)
{
	static struct nogc n;

	n.call = burrow_blocking_nogc;
	go_and_wait(hold_over_call, &n);
	collect();
	CHECK(lives(&n.secret));
	end_it();
}

#endif /* __x86_64__ */

/* What the runtime holds for the program. */

static void check_arg(void *arg)
{
	const struct thing *t = arg;

	CHECK(t->magic == MAGIC);
	add(&ready, 1);
}

TEST_GC(arguments_of_goroutines_keep)
{
	struct secret secret;
	int i;

	ready = 0;
	for (i = 0; i < 1000; i++) {
		burrow_go(check_arg, make(&secret));
		if (i % 100 == 0)
			collect();
	}
	collect();
	wait_for_others();
	CHECK(ready == 1000);
}

TEST_GC(arguments_of_timers_keep)
{
	static struct secret secret;

	ready = 0;
	CHECK(burrow_timer_new(20 * MS, 0, check_arg, make(&secret)));
	collect();
	CHECK(get(&ready) || lives(&secret));
	while (!get(&ready))
		burrow_sleep(MS);
}

TEST_GC(channel_buffers_keep)
{
	struct burrow_chan *ch = burrow_chan_new(sizeof(void *), MANY);
	static struct secret secrets[MANY];
	struct thing *t;
	int i;

	for (i = 0; i < MANY; i++) {
		t = make(&secrets[i]);
		burrow_chan_send(ch, &t);
		t = NULL;
	}
	CHECK(count_living(secrets) == MANY);
	for (i = 0; i < MANY; i++) {
		burrow_chan_recv(ch, &t);
		CHECK(t->magic == MAGIC);
	}
}

static void send_one(void *arg)
{
	static struct secret secret;
	struct thing *t = make(&secret);

	add(&ready, 1);
	burrow_chan_send(arg, &t);
}

TEST_GC(elements_of_blocked_senders_keep)
{
	struct burrow_chan *ch = burrow_chan_new(sizeof(void *), 0);
	struct thing *t;

	go_and_wait(send_one, ch);
	settle();
	collect();
	burrow_chan_recv(ch, &t);
	CHECK(t->magic == MAGIC);
	end_it();
}

/* What the program says. */

TEST_GC(registered_ranges_keep)
{
	static struct secret secrets[MANY];
	struct thing **all = malloc(MANY * sizeof(*all));
	int i;

	CHECK(burrow_root_add(all, MANY * sizeof(*all)) == 0);
	CHECK(burrow_root_add(all + 1, sizeof(*all)) == 0);
	for (i = 0; i < MANY; i++)
		all[i] = make(&secrets[i]);
	CHECK(count_living(secrets) == MANY);
	CHECK(burrow_root_remove(all) == 0);
	CHECK(burrow_root_remove(all) == -ENOENT);
	CHECK(count_living(secrets) <= MANY - MOST + 1);
	CHECK(lives(&secrets[1]));
	CHECK(burrow_root_remove(all + 1) == 0);
	CHECK(burrow_root_add(NULL, 8) == -EINVAL);
	CHECK(burrow_root_add(all, SIZE_MAX) == -EINVAL);
	free(all);
}

static struct thing *before_run[2];

TEST_F(gc, ranges_may_be_registered_before_the_run)
{
	EXPECT_EQ(0, burrow_root_add(before_run, sizeof(before_run)));
	EXPECT_EQ(0, run_way(&variant->way, test_static_data_keeps));
	EXPECT_EQ(0, burrow_root_remove(before_run));
	EXPECT_EQ(-ENOENT, burrow_root_remove(before_run));
}

static void *open_plugin(struct thing ***root)
{
	char self[4096] = "", path[4200];
	void *plugin;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return NULL;
	snprintf(path, sizeof(path), "%s/gcplugin.so", dirname(self));
	plugin = dlopen(path, RTLD_NOW);
	CHECK(plugin);
	*root = dlsym(plugin, "plugin_root");
	CHECK(*root);
	return plugin;
}

/* Libraries come and go between collections. */
TEST_GC(static_data_of_libraries_keeps)
{
	static struct secret secret;
	struct thing **root;
	void *plugin;
	int i;

	for (i = 0; i < 5; i++) {
		collect();
		plugin = open_plugin(&root);
		*root = make(&secret);
		collect();
		CHECK(lives(&secret));
		dlclose(plugin);
	}
	collect();
}

/* Threads may be stopped anywhere: also with a lock of libc's. */
static void use_malloc(void)
{
	free(malloc(1000));
}

static void use_dlopen(void)
{
	struct thing **root;
	void *plugin = open_plugin(&root);

	dlclose(plugin);
}

static void use_stdio(void)
{
	char text[64];
	FILE *f = fmemopen(text, sizeof(text), "w");

	fprintf(f, "%d %s", 17, "x");
	fclose(f);
}

static void use_until_stop(void *arg)
{
	void (*use)(void) = arg;

	add(&ready, 1);
	while (!get(&stop))
		use();
}

TEST_GC(threads_stop_in_libc)
{
	static struct secret secrets[MANY];
	int i;

	stop = 0;
	ready = 0;
	burrow_go(use_until_stop, use_malloc);
	burrow_go(use_until_stop, use_dlopen);
	burrow_go(use_until_stop, use_stdio);
	while (get(&ready) < 3)
		burrow_sleep(MS);
	for (i = 0; i < MANY; i++) {
		make_dropped(&secrets[i]);
		collect();
	}
	end_it();
}

/* The same from a thread that nobody stops. */
static void *load_and_unload(void *arg)
{
	(void)arg;
	use_until_stop(use_dlopen);
	return NULL;
}

TEST_GC(foreign_threads_load_libraries)
{
	static struct secret secret;
	pthread_t thread;
	int i;

	stop = 0;
	CHECK(!pthread_create(&thread, NULL, load_and_unload, NULL));
	for (i = 0; i < 50; i++) {
		make_dropped(&secret);
		collect();
	}
	stop = 1;
	pthread_join(thread, NULL);
}

TEST_HARNESS_MAIN
