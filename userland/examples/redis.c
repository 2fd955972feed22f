// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A key-value server that redis-cli and redis-benchmark can talk to: strings,
 * counters and times to live. A goroutine for each connection; the table is in
 * parts, each with a lock of its own, so that connections on several processors
 * seldom meet. Commands that came together are answered together.
 *
 *	redis PORT
 *	redis-benchmark -p PORT -t set,get,incr,mset -P 16
 */
#define _GNU_SOURCE
#include <burrow.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PARTS 64
#define ARGS_MAX 1024
#define LINE_MAX 65536
#define BULK_MAX (64 << 20)

/* Bytes with their length; not terminated. */
struct text {
	char *data;
	size_t len;
};

/**
 * struct entry - a key and its value
 * @next:	same place of the table
 * @hash:	of the key
 * @expires:	time of burrow_now(), 0: never
 * @value:	malloc'd
 * @key_len:	bytes of @key
 * @key:	the key
 */
struct entry {
	struct entry *next;
	uint64_t hash;
	int64_t expires;
	struct text value;
	size_t key_len;
	char key[];
};

/**
 * struct part - of the table
 * @lock:	over it
 * @places:	lists of entries, a power of two of them
 * @mask:	how many, less one
 * @count:	entries
 */
struct part {
	struct burrow_mutex lock;
	struct entry **places;
	size_t mask;
	size_t count;
} __attribute__((aligned(64)));

static struct part parts[PARTS];

/**
 * struct client - a connection
 * @fd:		socket
 * @in:		what came, malloc'd; @at of it is dealt with
 * @in_len:	bytes there
 * @in_room:	room there
 * @out:	what goes, malloc'd
 * @argc:	words of the command
 * @argv:	they, in @in
 */
struct client {
	int fd;
	char *in;
	size_t at;
	size_t in_len;
	size_t in_room;
	struct text out;
	size_t out_room;
	int argc;
	struct text argv[ARGS_MAX];
};

/* FNV-1a */
static uint64_t hash_of(struct text key)
{
	uint64_t h = 0xcbf29ce484222325ULL;
	size_t i;

	for (i = 0; i < key.len; i++)
		h = (h ^ (unsigned char)key.data[i]) * 0x100000001b3ULL;
	return h ^ h >> 32;
}

static struct part *part_of(uint64_t hash)
{
	return &parts[hash % PARTS];
}

static void grow(struct part *part)
{
	size_t mask = part->places ? part->mask * 2 + 1 : 15, i;
	struct entry **places = calloc(mask + 1, sizeof(struct entry *)), *e;

	if (!places)
		return;
	for (i = 0; part->places && i <= part->mask; i++) {
		while ((e = part->places[i])) {
			part->places[i] = e->next;
			e->next = places[e->hash / PARTS & mask];
			places[e->hash / PARTS & mask] = e;
		}
	}
	free(part->places);
	part->places = places;
	part->mask = mask;
}

/* Where the entry hangs, or would; one that is past its time is gone. */
static struct entry **find(struct part *part, struct text key, uint64_t hash)
{
	struct entry **p, *e;

	for (p = &part->places[hash / PARTS & part->mask]; (e = *p);
	     p = &e->next) {
		if (e->hash != hash || e->key_len != key.len ||
		    memcmp(e->key, key.data, key.len) != 0)
			continue;
		if (!e->expires || burrow_now() < e->expires)
			break;
		*p = e->next;
		free(e->value.data);
		free(e);
		part->count--;
		/* There is no second one. */
		while (*p)
			p = &(*p)->next;
		break;
	}
	return p;
}

static struct entry *lookup(struct part *part, struct text key, uint64_t hash)
{
	return part->places ? *find(part, key, hash) : NULL;
}

/* The key's entry, made if there is none; NULL: no memory. */
static struct entry *make(struct part *part, struct text key, uint64_t hash)
{
	struct entry **p, *e;

	if (!part->places || part->count > part->mask)
		grow(part);
	if (!part->places)
		return NULL;
	p = find(part, key, hash);
	e = *p;
	if (e)
		return e;
	e = calloc(1, sizeof(*e) + key.len);
	if (!e)
		return NULL;
	e->hash = hash;
	e->key_len = key.len;
	memcpy(e->key, key.data, key.len);
	part->count++;
	*p = e;
	return e;
}

static bool set_value(struct entry *e, const char *data, size_t len)
{
	char *copy = realloc(e->value.data, len ? len : 1);

	if (!copy)
		return false;
	memcpy(copy, data, len);
	e->value.data = copy;
	e->value.len = len;
	return true;
}

static void remove_entry(struct part *part, struct text key, uint64_t hash)
{
	struct entry **p = find(part, key, hash), *e = *p;

	*p = e->next;
	free(e->value.data);
	free(e);
	part->count--;
}

static void put(struct client *c, const char *data, size_t len)
{
	size_t room = c->out_room ? c->out_room : 4096;
	char *more;

	while (room < c->out.len + len)
		room *= 2;
	if (room != c->out_room) {
		more = realloc(c->out.data, room);
		if (!more)
			return;
		c->out.data = more;
		c->out_room = room;
	}
	memcpy(c->out.data + c->out.len, data, len);
	c->out.len += len;
}

static void put_line(struct client *c, const char *line)
{
	put(c, line, strlen(line));
	put(c, "\r\n", 2);
}

static void put_number(struct client *c, char kind, long long n)
{
	char line[32];

	put(c, line, snprintf(line, sizeof(line), "%c%lld\r\n", kind, n));
}

static void put_bulk(struct client *c, const struct text *t)
{
	if (!t) {
		put_line(c, "$-1");
		return;
	}
	put_number(c, '$', t->len);
	put(c, t->data, t->len);
	put(c, "\r\n", 2);
}

static bool is_word(struct text t, const char *word)
{
	return t.len == strlen(word) && !strncasecmp(t.data, word, t.len);
}

static bool number(struct text t, long long *n)
{
	char copy[24], *end;

	if (!t.len || t.len >= sizeof(copy))
		return false;
	memcpy(copy, t.data, t.len);
	copy[t.len] = 0;
	errno = 0;
	*n = strtoll(copy, &end, 10);
	return !*end && !errno;
}

static void ping(struct client *c)
{
	if (c->argc > 1)
		put_bulk(c, &c->argv[1]);
	else
		put_line(c, "+PONG");
}

static void echo(struct client *c)
{
	put_bulk(c, &c->argv[1]);
}

/* When it is to go: EX and PX; false: neither is right. */
static bool set_options(const struct client *c, int64_t *expires)
{
	long long n;
	int i;

	*expires = 0;
	for (i = 3; i < c->argc; i += 2) {
		if (i + 1 == c->argc || !number(c->argv[i + 1], &n) || n <= 0 ||
		    n > 1000000000)
			return false;
		if (is_word(c->argv[i], "EX"))
			n *= 1000;
		else if (!is_word(c->argv[i], "PX"))
			return false;
		*expires = burrow_now() + n * 1000000;
	}
	return true;
}

static bool set_one(struct text key, struct text value, int64_t expires)
{
	uint64_t hash = hash_of(key);
	struct part *part = part_of(hash);
	struct entry *e;
	bool done;

	burrow_mutex_lock(&part->lock);
	e = make(part, key, hash);
	done = e && set_value(e, value.data, value.len);
	if (done)
		e->expires = expires;
	burrow_mutex_unlock(&part->lock);
	return done;
}

static void set(struct client *c)
{
	int64_t expires;

	if (!set_options(c, &expires))
		put_line(c, "-ERR syntax error");
	else if (!set_one(c->argv[1], c->argv[2], expires))
		put_line(c, "-OOM out of memory");
	else
		put_line(c, "+OK");
}

static void mset(struct client *c)
{
	bool done = true;
	int i;

	if (c->argc % 2 == 0) {
		put_line(c, "-ERR wrong number of arguments");
		return;
	}
	for (i = 1; i < c->argc; i += 2)
		done = set_one(c->argv[i], c->argv[i + 1], 0) && done;
	put_line(c, done ? "+OK" : "-OOM out of memory");
}

static void get_one(struct client *c, struct text key)
{
	uint64_t hash = hash_of(key);
	struct part *part = part_of(hash);
	struct entry *e;

	burrow_mutex_lock(&part->lock);
	e = lookup(part, key, hash);
	put_bulk(c, e ? &e->value : NULL);
	burrow_mutex_unlock(&part->lock);
}

static void get(struct client *c)
{
	get_one(c, c->argv[1]);
}

static void mget(struct client *c)
{
	int i;

	put_number(c, '*', c->argc - 1);
	for (i = 1; i < c->argc; i++)
		get_one(c, c->argv[i]);
}

static void count_keys(struct client *c, bool and_remove)
{
	struct part *part;
	uint64_t hash;
	int i, n = 0;

	for (i = 1; i < c->argc; i++) {
		hash = hash_of(c->argv[i]);
		part = part_of(hash);
		burrow_mutex_lock(&part->lock);
		if (lookup(part, c->argv[i], hash)) {
			n++;
			if (and_remove)
				remove_entry(part, c->argv[i], hash);
		}
		burrow_mutex_unlock(&part->lock);
	}
	put_number(c, ':', n);
}

static void del(struct client *c)
{
	count_keys(c, true);
}

static void exists(struct client *c)
{
	count_keys(c, false);
}

static void add(struct client *c, long long by)
{
	uint64_t hash = hash_of(c->argv[1]);
	struct part *part = part_of(hash);
	struct entry *e;
	long long n = 0;
	char text[24];
	bool done;
	int len;

	burrow_mutex_lock(&part->lock);
	e = make(part, c->argv[1], hash);
	done = e && (!e->value.data || number(e->value, &n)) &&
	       !__builtin_add_overflow(n, by, &n);
	len = snprintf(text, sizeof(text), "%lld", n);
	done = done && set_value(e, text, len);
	burrow_mutex_unlock(&part->lock);
	if (done)
		put_number(c, ':', n);
	else
		put_line(c, "-ERR value is not an integer or out of range");
}

static void incr(struct client *c)
{
	add(c, 1);
}

static void decr(struct client *c)
{
	add(c, -1);
}

static void incrby(struct client *c)
{
	long long by;

	if (number(c->argv[2], &by))
		add(c, by);
	else
		put_line(c, "-ERR value is not an integer or out of range");
}

static void expire(struct client *c)
{
	uint64_t hash = hash_of(c->argv[1]);
	struct part *part = part_of(hash);
	struct entry *e;
	long long s;

	if (!number(c->argv[2], &s) || s > 1000000000) {
		put_line(c, "-ERR value is not an integer or out of range");
		return;
	}
	burrow_mutex_lock(&part->lock);
	e = lookup(part, c->argv[1], hash);
	if (e)
		e->expires = s > 0 ? burrow_now() + s * 1000000000 : 1;
	burrow_mutex_unlock(&part->lock);
	put_number(c, ':', !!e);
}

static void ttl(struct client *c)
{
	uint64_t hash = hash_of(c->argv[1]);
	struct part *part = part_of(hash);
	struct entry *e;
	long long s = -2;

	burrow_mutex_lock(&part->lock);
	e = lookup(part, c->argv[1], hash);
	if (e)
		s = e->expires ? (e->expires - burrow_now() + 999999999) /
					 1000000000 :
				 -1;
	burrow_mutex_unlock(&part->lock);
	put_number(c, ':', s);
}

static void dbsize(struct client *c)
{
	long long n = 0;
	int i;

	for (i = 0; i < PARTS; i++)
		n += __atomic_load_n(&parts[i].count, __ATOMIC_RELAXED);
	put_number(c, ':', n);
}

static void flush_all(struct client *c)
{
	struct part *part;
	struct entry *e;
	size_t i;

	for (part = parts; part < parts + PARTS; part++) {
		burrow_mutex_lock(&part->lock);
		for (i = 0; part->places && i <= part->mask; i++) {
			while ((e = part->places[i])) {
				part->places[i] = e->next;
				free(e->value.data);
				free(e);
			}
		}
		part->count = 0;
		burrow_mutex_unlock(&part->lock);
	}
	put_line(c, "+OK");
}

/* What clients ask for when they begin, and can do without. */
static void nothing(struct client *c)
{
	put_line(c, "*0");
}

static const struct command {
	const char *name;
	int least; /* words, the name among them */
	int most; /* 0: any number */
	void (*run)(struct client *c);
} commands[] = {
	{ "GET", 2, 2, get },
	{ "SET", 3, 0, set },
	{ "PING", 1, 2, ping },
	{ "INCR", 2, 2, incr },
	{ "DECR", 2, 2, decr },
	{ "INCRBY", 3, 3, incrby },
	{ "DEL", 2, 0, del },
	{ "EXISTS", 2, 0, exists },
	{ "MGET", 2, 0, mget },
	{ "MSET", 3, 0, mset },
	{ "EXPIRE", 3, 3, expire },
	{ "TTL", 2, 2, ttl },
	{ "ECHO", 2, 2, echo },
	{ "DBSIZE", 1, 1, dbsize },
	{ "FLUSHALL", 1, 2, flush_all },
	{ "CONFIG", 1, 0, nothing },
	{ "COMMAND", 1, 0, nothing },
};

static void run_command(struct client *c)
{
	const struct command *cmd;
	size_t i, n = sizeof(commands) / sizeof(commands[0]);

	for (i = 0; i < n; i++) {
		cmd = &commands[i];
		if (!is_word(c->argv[0], cmd->name))
			continue;
		if (c->argc < cmd->least || (cmd->most && c->argc > cmd->most))
			put_line(c, "-ERR wrong number of arguments");
		else
			cmd->run(c);
		return;
	}
	put_line(c, "-ERR unknown command");
}

/* The rest of a line at @at, without its end; 1, or 0: it is not all there. */
static int take_line(struct client *c, size_t *at, struct text *line)
{
	char *end = memchr(c->in + *at, '\n', c->in_len - *at);

	if (!end)
		return c->in_len - *at > LINE_MAX ? -EPROTO : 0;
	line->data = c->in + *at;
	line->len = end - line->data;
	*at = end + 1 - c->in;
	if (line->len && line->data[line->len - 1] == '\r')
		line->len--;
	return 1;
}

static int take_bulk(struct client *c, size_t *at, struct text *word)
{
	struct text line;
	long long len;
	int ret = take_line(c, at, &line);

	if (ret != 1)
		return ret;
	if (!line.len || line.data[0] != '$')
		return -EPROTO;
	line.data++;
	line.len--;
	if (!number(line, &len) || len < 0 || len > BULK_MAX)
		return -EPROTO;
	if (c->in_len - *at < (size_t)len + 2)
		return 0;
	word->data = c->in + *at;
	word->len = len;
	*at += len + 2;
	return 1;
}

/* Typed by hand: words with blanks between. */
static void split(struct client *c, struct text line)
{
	char *p = line.data, *end = p + line.len;

	c->argc = 0;
	while (c->argc < ARGS_MAX) {
		while (p < end && isspace((unsigned char)*p))
			p++;
		if (p == end)
			break;
		c->argv[c->argc].data = p;
		while (p < end && !isspace((unsigned char)*p))
			p++;
		c->argv[c->argc].len = p - c->argv[c->argc].data;
		c->argc++;
	}
}

/* 1: a command; 0: it is not all there; -EPROTO. */
static int parse(struct client *c)
{
	struct text line;
	size_t at = c->at;
	long long n;
	int ret;

	if (at == c->in_len)
		return 0;
	ret = take_line(c, &at, &line);
	if (ret != 1)
		return ret;
	if (!line.len || line.data[0] != '*') {
		split(c, line);
		c->at = at;
		return 1;
	}
	line.data++;
	line.len--;
	if (!number(line, &n) || n < 0 || n > ARGS_MAX)
		return -EPROTO;
	for (c->argc = 0; c->argc < n; c->argc++) {
		ret = take_bulk(c, &at, &c->argv[c->argc]);
		if (ret != 1)
			return ret;
	}
	c->at = at;
	return 1;
}

static int send_out(struct client *c)
{
	ssize_t n = 0;

	if (c->out.len)
		n = burrow_send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
	if (n != (ssize_t)c->out.len)
		return -EPIPE;
	c->out.len = 0;
	return 0;
}

static int receive(struct client *c)
{
	char *more;
	ssize_t n;

	if (c->at)
		memmove(c->in, c->in + c->at, c->in_len - c->at);
	c->in_len -= c->at;
	c->at = 0;
	if (c->in_room - c->in_len < 4096) {
		more = realloc(c->in, c->in_room * 2 + 16384);
		if (!more)
			return -ENOMEM;
		c->in = more;
		c->in_room = c->in_room * 2 + 16384;
	}
	n = burrow_recv(c->fd, c->in + c->in_len, c->in_room - c->in_len, 0);
	if (n <= 0)
		return -EPIPE;
	c->in_len += n;
	return 0;
}

static void serve(void *arg)
{
	struct client *c = calloc(1, sizeof(*c));
	int ret = 0;

	if (c) {
		c->fd = (int)(intptr_t)arg;
		while (ret >= 0) {
			while ((ret = parse(c)) == 1) {
				if (c->argc)
					run_command(c);
			}
			if (ret == -EPROTO)
				put_line(c, "-ERR Protocol error");
			if (send_out(c))
				break;
			if (!ret)
				ret = receive(c);
		}
		free(c->in);
		free(c->out.data);
		free(c);
	}
	burrow_close((int)(intptr_t)arg);
}

static int start(void *arg)
{
	int fd, listener = burrow_listen_tcp(NULL, *(int *)arg, 0);

	if (listener < 0) {
		fprintf(stderr, "redis: port %d: %s\n", *(int *)arg,
			strerror(-listener));
		return 1;
	}
	for (;;) {
		fd = burrow_accept(listener, NULL, NULL);
		if (fd >= 0 && burrow_go(serve, (void *)(intptr_t)fd))
			burrow_close(fd);
		else if (fd < 0)
			burrow_sleep(10 * 1000 * 1000);
	}
}

int main(int argc, char **argv)
{
	int port = argc > 1 ? atoi(argv[1]) : 6379;

	return burrow_run(NULL, start, &port);
}
