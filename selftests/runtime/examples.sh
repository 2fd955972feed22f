#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The servers among the examples, with the clients that people use: wrk, nc,
# redis-cli and redis-benchmark. Each on both engines.

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
examples=$top/build/examples
. "$here/../tap.sh"

scale=${BURROW_TEST_SCALE:-1}
work=$(mktemp -d)
server=
stop() { [ -z "$server" ] || kill "$server" && wait "$server"; server=; } 2>/dev/null
trap 'stop; rm -rf "$work"' EXIT
cd "$work" || exit 1

have() { command -v "$1" >/dev/null || { skip "$2: no $1 here"; return 1; }; }

# begin NAME [ARGUMENT...]: on a port that is free, left in $port
begin() {
	local name=$1 i

	shift
	for ((i = 0; i < 20; i++)); do
		port=$((10000 + RANDOM % 20000))
		"$examples/$name" $port "$@" 2>err &
		server=$!
		while kill -0 $server 2>/dev/null; do
			(: <>/dev/tcp/127.0.0.1/$port) 2>/dev/null && return 0
			sleep 0.05
		done
		wait $server
	done
	server=
	not_ok "$name starts: $(cat err)"
	return 1
}

# The other side ends when it has seen an answer, or after a while.
talk() { timeout $((5 * scale)) nc -q 1 127.0.0.1 "$port"; }

http() {
	local out

	mkdir -p files/sub
	seq 100000 >files/big
	echo inner >files/sub/page
	begin http files || return
	if have nc "http"; then
		out=$(printf 'GET /sub/page HTTP/1.1\r\nHost: x\r\n\r\n%b%b' \
			'HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n' \
			'GET /../etc HTTP/1.0\r\n\r\n' | talk | tr -d '\r')
		is "pipelined requests are answered in order [$1]" \
			"$(grep -E '^(HTTP|inner|Content-L)' <<<"$out" | tr '\n' ' ')" \
			"HTTP/1.1 200 OK Content-Length: 6 inner HTTP/1.1 200 OK Content-Length: 588895 HTTP/1.1 403 Forbidden Content-Length: 10 "
		out=$(printf 'POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcnonsense\r\n\r\n' |
			talk | tr -d '\r')
		is "a body is skipped, nonsense ends it [$1]" \
			"$(grep HTTP <<<"$out" | tr '\n' ' ')" \
			"HTTP/1.1 405 Method Not Allowed HTTP/1.1 400 Bad Request "
		printf 'GET /big HTTP/1.0\r\n\r\n' | talk | sed '1,/^\r$/d' >got
		check "a file comes whole [$1]" cmp got files/big
	fi
	if have wrk "http"; then
		out=$(wrk -t 2 -c 100 -d $((1 + scale / 4)) \
			"http://127.0.0.1:$port/sub/page" 2>&1)
		like "wrk gets answers [$1]" "$out" '^ +[1-9][0-9]* requests in'
		is "and no errors [$1]" \
			"$(grep -E 'Socket errors|Non-2xx' <<<"$out")" ""
	fi
	stop
}

redis() {
	local out

	begin redis || return
	if have redis-cli "redis"; then
		out=$(redis-cli -p $port <<-END
			SET a 1
			INCR a
			INCRBY a 40
			GET a
			GET none
			MSET b two c three
			MGET a b none c
			DEL a b none
			EXISTS a c
			SET t x PX 30
			TTL c
			EXPIRE c 100
			TTL c
			INCR c
			NONSENSE
			DBSIZE
		END
		)
		is "redis-cli [$1]" "$(grep -v '^$' <<<"$out" | tr '\n' ' ')" \
			"OK 2 42 42 OK 42 two three 2 1 OK -1 1 100 ERR value is not an integer or out of range ERR unknown command 2 "
		sleep 0.05
		is "a key goes when its time has come [$1]" \
			"$(redis-cli -p $port get t)" ""
		head -c 300000 /dev/zero | tr '\0' z >value
		redis-cli -p $port -x set big <value >/dev/null
		redis-cli -p $port get big | head -c 300000 >got
		check "a large value comes back [$1]" cmp got value
	fi
	if have redis-benchmark "redis"; then
		out=$(timeout $((60 * scale)) redis-benchmark -p $port -q -c 50 \
			-n 20000 -P 16 -r 1000 -t ping,set,get,incr,mset 2>&1 |
			tr '\r' '\n' | grep 'requests per second')
		is "redis-benchmark ends [$1]" "$(wc -l <<<"$out")" 6
		like "and its keys are there [$1]" \
			"$(redis-cli -p $port dbsize)" '^[1-9][0-9]{2,}$'
	fi
	stop
}

chat() {
	have nc "chat" || return
	begin chat || return
	mkfifo in
	timeout $((20 * scale)) nc 127.0.0.1 $port <in >heard &
	exec 3>in
	echo alice >&3
	for ((i = 0; i < 100 * scale; i++)); do
		grep -q name heard && break
		sleep 0.05
	done
	sleep 0.1
	printf 'bob\r\nhello, all\nand bye\n' | talk >/dev/null
	for ((i = 0; i < 100 * scale; i++)); do
		grep -q left heard && break
		sleep 0.05
	done
	exec 3>&-
	is "what one says another reads [$1]" "$(tr '\n' ' ' <heard)" \
		"your name? * bob is here bob: hello, all bob: and bye * bob has left "
	rm in
	stop
}

for debug in uring=1 uring=0; do
	engine=io_uring
	unset BURROW_DEBUG
	[ $debug = uring=1 ] || { export BURROW_DEBUG=$debug; engine=epoll; }
	for example in http redis chat; do
		$example $engine
	done
done
finish
