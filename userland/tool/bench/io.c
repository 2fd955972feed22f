// SPDX-License-Identifier: GPL-2.0
/*
 * The io benchmark: an echo server on TCP, --count connections that each send a
 * request, wait for the answer, and send the next. The server, Burrow's or a
 * peer's, is a process, the load another (io_load.c), the same for all; what
 * counts is the CPU time of the server, which the load reads from outside, and
 * how long the slowest in a hundred requests took. `epoll` is a server of one
 * loop and no goroutines: what the kernel alone costs.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <burrow.h>
#include <burrow/io.h>

#include "../tool.h"
#include "contest.h"
#include "io.h"
#include "results.h"

#define DEFAULT_RUNS 5
#define DEFAULT_CONNECTIONS 1000
#define REQUESTS 300 /* of each connection, on average */

#define EPOLL "epoll"

static void serve_client(void *arg)
{
	int fd = (intptr_t)arg;
	char buf[4096];
	ssize_t n;

	io_no_delay(fd);
	while ((n = burrow_recv(fd, buf, sizeof(buf), 0)) > 0) {
		n = burrow_send(fd, buf, n, 0);
		if (n < 0)
			break;
	}
	/* The load hangs up without a word when it has enough. */
	if (n < 0 && n != -ECONNRESET && n != -EPIPE)
		tool_say("echo: %s", strerror(-n));
	burrow_close(fd);
}

static void listener(void *arg)
{
	int listening = (intptr_t)arg, fd;

	while ((fd = burrow_accept(listening, NULL, NULL)) >= 0)
		if (burrow_go(serve_client, (void *)(intptr_t)fd))
			burrow_close(fd);
	tool_say("accept: %s", strerror(-fd));
}

static int port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len))
		return 0;
	return ntohs(a.sin_port);
}

/* On the main goroutine; ends with its input. */
static int serve(FILE *from, FILE *to, void *arg)
{
	int fd = burrow_listen_tcp("127.0.0.1", 0, 4096);
	char line[128];

	(void)arg;
	if (fd < 0)
		return fd;
	fputs("ready\n", to);
	fflush(to);
	if (!fgets(line, sizeof(line), from) ||
	    burrow_go(listener, (void *)(intptr_t)fd))
		return -EIO;
	fprintf(to, "%d\n", port_of(fd));
	fflush(to);
	while (burrow_read(fileno(from), line, sizeof(line)) > 0)
		;
	return 0;
}

/* The backends of the other benchmarks, and the bare loop. */
static const char *backend(size_t i)
{
	const char *name = contest_backend(i);

	if (name)
		return name;
	return i && contest_backend(i - 1) ? EPOLL : NULL;
}

static int start_server(struct peer *peer, size_t i, int procs, uint64_t *port,
			char *why, size_t size)
{
	char request[64];
	int err;

	if (contest_backend(i)) {
		if (contest_start(peer, i, procs, serve, NULL, why, size))
			return -1;
	} else if (peer_fork(peer, io_epoll, NULL)) {
		snprintf(why, size, "no start");
		return -1;
	}
	snprintf(request, sizeof(request), "echo %d 0", procs);
	err = peer_ask(peer, request, 1, port);
	if (!err && *port)
		return 0;
	snprintf(why, size, err ? "its process died" : "it has no server");
	peer_end(peer);
	return -1;
}

enum { DONE, CPU, WALL, MEDIAN, P99, NANSWERS };

/* Has the load of @connections put on the server; 0 or a negative errno. */
static int put_load(const struct peer *server, uint64_t port, long connections,
		    uint64_t answer[NANSWERS])
{
	struct peer load = { 0 };
	char request[128];
	int err;

	err = peer_fork(&load, io_load, NULL);
	if (err)
		return err;
	snprintf(request, sizeof(request), "%" PRIu64 " %d %ld %ld", port,
		 (int)server->pid, connections, connections * REQUESTS);
	err = peer_ask(&load, request, NANSWERS, answer);
	peer_end(&load);
	return err;
}

static void record(const char *name, int procs, const uint64_t *answer)
{
	double n = answer[DONE];

	results_add("io", name, "procs", procs, "ns/request", answer[CPU] / n);
	results_add("io", name, "procs", procs, "wall-ns/request",
		    answer[WALL] / n);
	results_add("io", name, "procs", procs, "p50-us", answer[MEDIAN] / 1e3);
	results_add("io", name, "procs", procs, "p99-us", answer[P99] / 1e3);
}

static int sample(size_t i, int procs, long connections)
{
	uint64_t port = 0, answer[NANSWERS] = { 0 };
	struct peer server = { 0 };
	char why[256] = "";
	int err;

	if (start_server(&server, i, procs, &port, why, sizeof(why))) {
		if (*why && !tool_interrupted)
			bench_left_out("io", backend(i), why);
		return 0;
	}
	err = put_load(&server, port, connections, answer);
	peer_end(&server);
	if (tool_interrupted)
		return 0;
	if (err || !answer[DONE]) {
		bench_progress("%s", "");
		tool_say("bench io: %s failed: %s", backend(i),
			 err ? strerror(-err) : "no answers");
		return -1;
	}
	record(backend(i), procs, answer);
	return 0;
}

/* Descriptors for all connections, here and in the processes to come. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* One loop is one processor, and so are the peers without many. */
static bool takes_part(const struct bench_options *options, size_t i, int procs)
{
	const char *name = backend(i);

	if (procs > 1 && strcmp(name, "go") != 0 && strcmp(name, "mmap") != 0 &&
	    strcmp(name, "kmod") != 0)
		return false;
	return strcmp(name, "boost") != 0 && strcmp(name, "pth") != 0 &&
	       bench_wants(options, name);
}

static int run(const struct bench_options *options)
{
	long connections = options->count ? options->count :
					    DEFAULT_CONNECTIONS;
	int rounds = options->runs ? options->runs : DEFAULT_RUNS;
	int failed = 0, round, procs;
	size_t i, k;

	results_divide_by("io", "go");
	raise_limit();
	for (round = 0; round < rounds; round++)
		for (k = 0; (procs = contest_procs(options, k)); k++)
			for (i = 0; backend(i) && !tool_interrupted; i++) {
				if (!takes_part(options, i, procs))
					continue;
				bench_progress(
					"io, %d processors: round %d of %d: %s",
					procs, round + 1, rounds, backend(i));
				failed |= sample(i, procs, connections);
			}
	return failed;
}

const struct bench bench_io = {
	.name = "io",
	.summary = "a TCP echo server with --count connections",
	.backend = backend,
	.run = run,
};
