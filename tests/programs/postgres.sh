#!/bin/sh
# postgres.sh - a database: made, served on port 5432 and by a socket of its own, asked by both
set -e
initdb -D data -A trust -U name -N >initdb.log 2>&1 || { cat initdb.log; exit 1; }
postgres -D data -h 127.0.0.1 -p 5432 -k "$PWD" -F >postgres.log 2>&1 &
server=$!
tries=0
until psql -h 127.0.0.1 -U name -d postgres -c '' >ready.log 2>&1; do
    [ $((tries += 1)) -lt 100 ] || { cat ready.log postgres.log; exit 1; }
    sleep 0.1
done
psql -h 127.0.0.1 -U name -d postgres -At -q <<'END'
create table numbers as select n from generate_series(1, 100000) n;
create index on numbers (n);
set max_parallel_workers_per_gather = 2;
set parallel_setup_cost = 0;
set min_parallel_table_scan_size = 0;
select sum(n), count(distinct n % 1000) from numbers;
END
psql -h "$PWD" -U name -d postgres -At -c 'select n from numbers where n = 77777'
kill $server
wait $server
tail -n 1 postgres.log | sed 's/.*: *//'
