#!/bin/sh
# redis.sh - a redis: served on port 7000, filled, saved by a fork, started again from what was saved, measured
set -e
serve() {
    redis-server --port 7000 --bind 127.0.0.1 --save '' --dir "$PWD" >>redis.log 2>&1 &
    tries=0
    until [ "$(redis-cli -p 7000 ping 2>&1)" = PONG ]; do
        [ $((tries += 1)) -lt 100 ] || { cat redis.log; exit 1; }
        sleep 0.1
    done
}
serve
seq 1000 | sed 's/.*/set key& value&/' | redis-cli -p 7000 | sort | uniq -c | tr -s ' '
redis-cli -p 7000 bgsave
until redis-cli -p 7000 info persistence | grep -q 'rdb_bgsave_in_progress:0'; do sleep 0.1; done
redis-cli -p 7000 info persistence | grep rdb_last_bgsave_status
redis-cli -p 7000 shutdown nosave
wait
serve
redis-cli -p 7000 get key777
redis-benchmark -p 7000 -q -n 2000 -c 20 -t get,set,mset | tr '\r' '\n' | grep -c 'requests per second, p50'
redis-cli -p 7000 shutdown nosave
wait
