#!/bin/sh
# run.sh - measure what sandlock costs, and print it as one table. Every figure is held against another of the same run.
#
#     tests/bench/run.sh [PART...]      all parts without one; ./build.sh bench builds first
#
# A goal is a column of the table, never an exit status. SANDLOCK names another binary; BENCH_CPU the CPU that caller
# and supervisor share (1; `-` leaves it to the scheduler); BENCH_ROUNDS how often each pair is run (15);
# BENCH_TIME=-p takes the programs' processor time instead of the time they took, for a machine that isn't quiet.
set -eu
cd -- "$(dirname -- "$0")/../.."

sandlock=${SANDLOCK:-build/sandlock}
bench=build/tests/bench
cpu=${BENCH_CPU:-1}
rounds=${BENCH_ROUNDS:-15}
clock=${BENCH_TIME:--t}
[ "$(nproc)" -gt 1 ] || cpu=-
away='' # what keeps a peer off that CPU
[ "$cpu" = - ] || away='taskset 1'
[ "$cpu" != 0 ] || away='taskset 2'
busybox=$(command -v busybox)
work=$(mktemp -d)
started=''

finish() {
    for pid in $started; do
        kill "$pid" 2>/dev/null || :
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

has() {
    command -v "$1" >/dev/null
}

# row LABEL WHAT VALUE [SPREAD [GOAL]]: a row of the table, met when VALUE <= GOAL.
row() {
    met=''
    [ -z "${5-}" ] || met=$(awk "BEGIN { print $3 <= $5 ? \"met\" : \"not met\" }")
    printf '| %-34s | %-34s | %9s | %19s | %6s | %-7s |\n' "$1" "$2" "$3" "${4-}" "${5-}" "$met"
}

skipped() {
    row "$1" "skipped: $2" ''
}

# pairs LABEL ...: interleaved pairs. A command that fails costs its rows, not the rest of the table.
pairs() {
    "$bench/pairs" -n "$rounds" -l "$@" || row "$1" 'failed (see stderr)' ''
}

# The peer of all calls, away from the CPU that is measured.
serve() {
    $away "$bench/calls" serve >"$work/ports" &
    started="$started $!"
    until [ -s "$work/ports" ]; do
        sleep 0.1
    done
    read -r port refused hole <"$work/ports"
    tcp="--net-allow 127.0.0.0/8:$port,$refused,$hole"
    udp="$tcp --net-allow udp://127.0.0.0/8:$port"
}

# (a) Each kind of call on behalf, against the floor and against the plain call.
part_calls() {
    for kind in udp-connect udp-sendto udp-sendmsg sendmmsg-64 tcp-connect-nonblocking tcp-refused; do
        to=$port calls=3000
        goals='-g sandlock/floor<=1.25 -g sandlock/native'
        case $kind in
        tcp-refused) to=$refused ;;
        sendmmsg-64) calls=200 goals='-g sandlock/floor<=1.25 -g sandlock/native<=2.5' ;;
        esac
        call="$bench/calls -n $calls $kind $to"
        # shellcheck disable=SC2086 # a list of words
        pairs "a. $kind" -c "$cpu" $goals native="$call" floor="$bench/floor $call" \
            sandlock="$sandlock run $udp -- $call"
    done
}

# (b) A blocking TCP connect: what it costs plainly, and what the floor adds to any call.
part_tcp() {
    call="$bench/calls -n 2000 tcp-connect $port" least="$bench/calls -n 2000 udp-connect $port"
    pairs 'b. tcp-connect' -c "$cpu" -g 'sandlock/native+floor-bare<=1.1' -g sandlock/tcpfloor native="$call" \
        bare="$least" floor="$bench/floor $least" tcpfloor="$bench/floor $call" sandlock="$sandlock run $tcp -- $call"
}

# (c) Calls that the policy doesn't trap; `filter` is any filter's cost, one that permits all.
part_untrapped() {
    for size in '-n 20000 -s 64' '-n 1600 -b 8 -s 1448'; do
        for kind in tcp-send tcp-write tcp-sendmsg; do
            call="$bench/calls $size $kind $port"
            pairs "c. $kind of ${size##* }, TCP rules" -c "$cpu" -g 'sandlock/native<=1.03' -g 'sandlock/filter' \
                native="$call" filter="$bench/allow $call" sandlock="$sandlock run $tcp -- $call"
        done
    done
    for kind in tcp-send tcp-write udp-send; do
        call="$bench/calls -n 20000 $kind $port"
        pairs "   $kind of 64, UDP rules" -c "$cpu" -g 'sandlock/native' native="$call" \
            sandlock="$sandlock run $udp -- $call"
    done
    echo '127.0.0.1 name.test' >"$work/hosts"
    echo 'GET 10.0.0.1' >"$work/http"
    call="$bench/calls -n 20000 tcp-write $port"
    while read -r policy options; do # the other policies, which trap other calls than this one
        goal='<=1.03'
        [ "$policy" != learn ] || goal='' # it looks at every write
        pairs "   tcp-write of 64, $policy" -c "$cpu" -g "sandlock/native$goal" native="$call" \
            sandlock="$sandlock $options -- $call"
    done <<END
denials run --net-deny any://10.0.0.1
remap run --port-remap --net-allow-bind * $tcp
HTTP run -q --http-allow @$work/http $tcp
names run --hosts $work/hosts --net-allow name.test:$port
live run --live --name bench --control $work $tcp
learn learn -q -o $work/learned
END
}

# (d) From spawn to exit of a command that does nothing.
part_startup() {
    set -- bare="$busybox true" wrapper="$bench/wrapper $busybox true" sandlock="$sandlock run -- $busybox true"
    if has bwrap; then
        set -- -g 'sandlock/bwrap<=1' "$@" bwrap="bwrap --bind / / --unshare-net $busybox true"
    else
        skipped 'd. start-up' 'bwrap is not installed'
    fi
    pairs 'd. start-up' -n $((rounds * 20)) -t -g 'sandlock-bare<=600' -g 'sandlock/wrapper<=1.3' "$@"
}

# status PID KEY: a number from /proc/PID/status.
status() {
    awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/status"
}

# (e) The supervisor's memory with one rule and nothing pending; later, after a million calls.
part_memory() {
    # shellcheck disable=SC2086 # a list of words
    "$sandlock" run $udp -- "$bench/calls" -n 1 udp-connect "$port" >"$work/out" # a run, so that the file is cached
    # shellcheck disable=SC2086
    "$sandlock" run $udp -- sleep 1 &
    sleep 0.5
    row 'e. memory, one rule' 'VmRSS, KiB' "$(status $! VmRSS)" '' 1024
    row 'e. memory, one rule' 'threads' "$(status $! Threads)" '' 1
    wait $!
}

# The rules' file of $1 rules: distinct addresses, then the one that is used.
rules_file() {
    awk -v n="$1" -v port="$port" 'BEGIN {
        for (i = 1; i < n; i++)
            printf "%s10.%d.%d.%d:%d\n", i % 2 ? "udp://" : "", i / 65536, i / 256 % 256, i % 256, 1 + i % 60000
        print "udp://127.0.0.1:" port
    }' >"$work/rules.$1"
    echo "--net-allow @$work/rules.$1"
}

# (f) One rule, a thousand, a hundred thousand, a million: start-up, and a call on behalf.
part_rules() {
    one=$(rules_file 1) thousand=$(rules_file 1000) many=$(rules_file 100000) most=$(rules_file 1000000)
    call="$bench/calls -n 3000 udp-connect $port"
    pairs 'f. udp-connect by rules' -c "$cpu" -g '1000/1<=1.1' -g '100000/1<=1.1' -g '1000000/1<=1.1' \
        1="$sandlock run $one -- $call" 1000="$sandlock run $thousand -- $call" \
        100000="$sandlock run $many -- $call" 1000000="$sandlock run $most -- $call"
    pairs 'f. start-up by rules' -t -g '100000-1<=100000' 1="$sandlock run $one -- $busybox true" \
        1000="$sandlock run $thousand -- $busybox true" 100000="$sandlock run $many -- $busybox true"
    pairs 'f. start-up by rules' -n 3 -t -g 1000000-1 1="$sandlock run $one -- $busybox true" \
        1000000="$sandlock run $most -- $busybox true"
    # shellcheck disable=SC2086 # a list of words
    "$sandlock" run $many -- sleep 2 &
    sleep 1
    row 'f. memory, 100000 rules' 'VmRSS, KiB' "$(status $! VmRSS)" '' 17408
    wait $!
    [ ! -x "$bench/ipset" ] || "$bench/ipset"
}

# Another process's connect while many threads block in theirs. The kernel keeps all unanswered notifications in one
# list and walks it for every receive, check and reply, so that part of this grows with them whatever we do.
part_pending() {
    for n in 100 1000; do
        for percent in 50 99; do
            call="$bench/calls -n 3000 -b 1 -q $percent udp-connect $port"
            goal=1.5
            [ $percent = 50 ] || goal=3
            pairs "udp-connect, $n pending, p$percent" -n 5 -c "$cpu" -g "pending/quiet<=$goal" \
                quiet="$sandlock run --timeout 20s $udp -- $bench/calls hold 0 $hole $call" \
                pending="$sandlock run --timeout 20s $udp -- $bench/calls hold $n $hole $call"
        done
    done
    call="$bench/calls -n 300 -b 1 -q 50 udp-connect $port"
    pairs "udp-connect, 10000 pending, p50" -n 2 -c "$cpu" -g pending/quiet \
        quiet="$sandlock run --timeout 60s $udp -- $bench/calls hold 0 $hole $call" \
        pending="$sandlock run --timeout 60s $udp -- $bench/calls hold 10000 $hole $call"
}

# More threads in the child, and more sandboxes at once.
part_scale() {
    for threads in 4 64; do
        for kind in udp-connect udp-sendto udp-sendmsg sendmmsg-64 tcp-connect-nonblocking tcp-connect tcp-refused; do
            to=$port calls=6400 goal='<=1.25'
            case $kind in
            tcp-refused) to=$refused ;;
            sendmmsg-64) calls=640 ;;
            tcp-connect) goal='' ;; # as in (b): the floor waits in connect, which no supervisor may
            esac
            call="$bench/calls -n $calls -T $threads $kind $to"
            pairs "$kind, $threads threads" -c "$cpu" -g "sandlock/floor$goal" native="$call" \
                floor="$bench/floor $call" sandlock="$sandlock run $udp -- $call"
        done
    done
    cat >"$work/many" <<'END'
n=$1
shift
while [ "$n" -gt 0 ]; do
    "$@" >/dev/null &
    n=$((n - 1))
done
wait
END
    call="$bench/calls -n 20000 udp-connect $port"
    for n in 2 8 32; do
        goal=$(awk "BEGIN { print $n * 1.15 / $(nproc) }")
        pairs "$n sandboxes at once, $(nproc) CPUs" -n 3 -t -g "many/one<=$goal" \
            one="sh $work/many 1 $sandlock run $udp -- $call" \
            many="sh $work/many $n $sandlock run $udp -- $call"
    done
}

# Calls while the policy is changed a thousand times a second; quiet: the same sandbox, and nobody changes it.
part_live() {
    cat >"$work/changed" <<'END'
rate=$1 control=$2
shift 2
rm -f "$control/bench"
"$@" &
run=$!
until [ -S "$control/bench" ]; do sleep 0.01; done
if [ "$rate" != 0 ]; then
    $AWAY build/tests/livestorm pace "$control/bench" "$rate" 60 'allow 10.0.0.1:9' 'deny 10.0.0.0/8' >/dev/null 2>&1 &
    storm=$!
fi
wait "$run"
[ "$rate" = 0 ] || kill "$storm" 2>/dev/null || :
END
    mkdir -m 700 "$work/control"
    export AWAY="$away"
    call="$sandlock run --name bench --control $work/control $udp -- $bench/calls -n 20000 udp-connect $port"
    pairs 'udp-connect, 1000 changes a second' -n 5 -c "$cpu" -g 'changed/quiet<=1.5' \
        quiet="sh $work/changed 0 $work/control $call" changed="sh $work/changed 1000 $work/control $call"
}

# --port-remap: connects to a server of the sandbox's own whose port is taken outside, and redis there. `ported`: the
# same sandbox, whose commands connect to the server outside. What it takes to start isn't timed.
part_remap() {
    cat >"$work/remapped" <<'END'
ready=$1 port=$2
shift 2
rm -f "$ready"
$AWAY build/tests/bench/calls serve "$port" >"$ready" &
for i in $(seq 100); do
    [ ! -s "$ready" ] || exec "$@"
    sleep 0.1
done
exit 1
END
    cat >"$work/remapped-redis" <<'END'
$AWAY redis-server --port 7394 --bind 127.0.0.1 --save '' --daemonize no >/dev/null &
for i in $(seq 100); do
    redis-cli -p 7394 info server 2>/dev/null | tr -d '\r' | grep -qx "process_id:$!" && exec "$@"
    sleep 0.1
done
exit 1
END
    export AWAY="$away"
    call="$bench/calls -n 2000 tcp-connect $port"
    remaps="$sandlock run -q --port-remap --net-allow-bind 1-65535 --net-allow-bind udp://1-65535 --net-allow any://127.0.0.0/8 --"
    pairs 'tcp-connect, remapped' -c "$cpu" -g remapped/native -g remapped/ported native="$call" ported="$remaps $call" \
        remapped="$remaps sh $work/remapped $work/ready $port $call"
    if ! has redis-server || ! has redis-benchmark; then
        skipped 'redis, remapped' 'redis is not installed'
        return
    fi
    $away redis-server --port 7394 --bind 127.0.0.1 --save '' --daemonize no >"$work/redis" &
    started="$started $!"
    call='redis-benchmark -p 7394 -t get -n 60000 --csv'
    remaps="$sandlock run -q --port-remap --net-allow-bind 7394 --net-allow 127.0.0.1:7394 --"
    sleep 1
    pairs 'redis-benchmark GET, remapped' -n 7 -c "$cpu" -k '"GET","' -u requests/s -g 'native/remapped<=1.02' \
        native="$call" remapped="$remaps sh $work/remapped-redis $call"
}

# A million notifications: memory and cost before and after, and the supervisor's time for one.
part_million() {
    cat >"$work/million" <<'END'
supervisor() {
    awk '$1 == "VmRSS:" { print $2 }' "/proc/$PPID/status"
}
"$1" -n 20000 udp-connect "$2"
supervisor
"$1" -n 1000000 udp-connect "$2" >/dev/null
"$1" -n 20000 udp-connect "$2"
supervisor
awk '{ print ($14 + $15) * 10000 / 1040000 }' "/proc/$PPID/stat"
END
    pinned=''
    [ "$cpu" = - ] || pinned="taskset $((1 << cpu))"
    # shellcheck disable=SC2046,SC2086 # lists of words
    set -- $($pinned "$sandlock" run $udp -- sh "$work/million" "$bench/calls" "$port")
    row '10^6 notifications' 'ns per call, last / first' "$(awk "BEGIN { printf \"%.3f\", $3 / $1 }")" "$1 to $3" 1.05
    row '10^6 notifications' 'VmRSS, KiB, last - first' $(($4 - $2)) "$2 to $4" 0
    row '10^6 notifications' "supervisor's CPU time, us per call" "$5"
}

# System calls of the supervisor for one notification.
part_strace() {
    if ! has strace; then
        skipped 'system calls' 'strace is not installed'
        return
    fi
    for kind in udp-connect udp-sendto udp-sendmsg tcp-connect; do
        # shellcheck disable=SC2086 # a list of words
        strace -c -U calls,name -o "$work/strace" "$sandlock" run $udp -- \
            "$bench/calls" -n 1000 $kind "$port" >"$work/out"
        row "system calls, $kind" 'per notification' \
            "$(awk '$1 > 900 && $2 != "total" { n += $1 } END { printf "%.1f", n / 1000 }' "$work/strace")"
        awk '$1 > 900 && $2 != "total" { printf "    %-20s %.2f\n", $2, $1 / 1000 }' "$work/strace"
    done
}

# A free port to serve programs on. Any will do that nothing listens on.
part_redis() {
    if ! has redis-server || ! has redis-benchmark; then
        skipped redis-benchmark 'redis is not installed'
        return
    fi
    $away redis-server --port 7399 --bind 127.0.0.1 --save '' --daemonize no >"$work/redis" &
    started="$started $!"
    sleep 1
    call='redis-benchmark -p 7399 -t get -n 60000 -q'
    pairs 'redis-benchmark GET' -n 9 -c "$cpu" "$clock" -g 'sandlock/native<=1.02' native="$call" \
        sandlock="$sandlock run --net-allow 127.0.0.1:7399 -- $call"
}

make_tree() {
    [ ! -d "$work/tree" ] || return 0
    mkdir "$work/tree"
    (cd "$work/tree" && for i in $(seq 40); do
        mkdir "$i"
        for j in $(seq 100); do
            echo "$i $j" >"$i/$j"
        done
    done)
}

part_files() {
    make_tree
    call="$busybox find $work/tree -type f -exec $busybox cat {} ;"
    pairs 'find + cat, 4000 files' -n 5 -c "$cpu" "$clock" -g 'sandlock/native<=1.02' \
        native="$call" sandlock="$sandlock run -- $call"
}

# Names: start-up with a name server on loopback; then what a hosts file inside costs the opens of other files. By a
# mount it costs none; by notification each open takes a round trip.
part_names() {
    printf '127.0.0.1 name.test\n' >"$work/hosts"
    named="--hosts $work/hosts --net-allow name.test:$port"
    call="$bench/calls -n 20000 open $port"
    pairs 'open of another file, with names' -c "$cpu" -g 'sandlock-native/floor-native<=1.35' native="$call" \
        floor="$bench/floor $call" sandlock="$sandlock run $named -- $call"
    mount=''
    [ "$(id -u)" != 0 ] || mount=--hosts-mount
    if [ -n "$mount" ]; then
        pairs 'open, names by --hosts-mount' -c "$cpu" -g 'mount/native<=1.02' native="$call" \
            mount="$sandlock run $named --hosts-mount -- $call"
    else
        skipped 'open, names by --hosts-mount' 'a mount takes root'
    fi
    make_tree
    call="$busybox find $work/tree -type f -exec $busybox cat {} ;"
    pairs 'find + cat, with names' -n 5 -c "$cpu" "$clock" native="$call" sandlock="$sandlock run $named -- $call"
    for program in 'python3 -c pass' 'node -e 0'; do
        if has "${program%% *}"; then
            pairs "start of ${program%% *}, with names" -n 9 -c "$cpu" "$clock" native="$program" \
                sandlock="$sandlock run $named -- $program" ${mount:+mount="$sandlock run $named $mount -- $program"}
        else
            skipped "start of ${program%% *}, with names" 'it is not installed'
        fi
    done
    if ! has dnsmasq; then
        skipped 'start-up with names' 'dnsmasq is not installed'
        return
    fi
    dnsmasq -k -p 7395 -a 127.0.0.1 --bind-interfaces -R -h -A /test/127.0.0.1 -A /test/::1 -x "$work/dnsmasq.pid" \
        --log-facility="$work/dnsmasq" -C /dev/null &
    started="$started $!"
    sleep 0.5
    fifty=''
    for i in $(seq 50); do
        fifty="$fifty --net-allow name$i.test:443"
    done
    resolved="$sandlock run --resolver 127.0.0.1:7395"
    pairs 'start-up with names' -n $((rounds * 5)) -t none="$sandlock run -- $busybox true" \
        one="$resolved --net-allow name1.test:443 -- $busybox true" fifty="$resolved $fifty -- $busybox true"
}

part_wrk() {
    if ! has wrk || ! has nginx; then
        skipped 'wrk, nginx' 'wrk or nginx is not installed'
        return
    fi
    cat >"$work/nginx.conf" <<END
daemon off; pid $work/nginx.pid; error_log /dev/null; worker_processes 1;
events { }
http { access_log off; server { listen 127.0.0.1:7398; location / { return 200 "hello"; } } }
END
    $away nginx -c "$work/nginx.conf" -e /dev/null &
    started="$started $!"
    sleep 1
    call='wrk -t 1 -c 16 -d 1s http://127.0.0.1:7398/'
    pairs 'wrk against nginx' -n 7 -c "$cpu" -k 'Requests/sec:' -u requests/s -g 'native/sandlock<=1.02' \
        native="$call" sandlock="$sandlock run --net-allow 127.0.0.1:7398 -- $call"
}

part_iperf() {
    if ! has iperf3; then
        skipped iperf3 'iperf3 is not installed'
        return
    fi
    $away iperf3 -s -p 7397 -B 127.0.0.1 >"$work/iperf" &
    started="$started $!"
    sleep 1
    for how in '' '-u -b 0 -l 1400'; do
        amount=2G
        [ -z "$how" ] || amount=100M
        call="iperf3 -c 127.0.0.1 -p 7397 -n $amount $how"
        pairs "iperf3 ${how:-TCP}" -n 5 -c "$cpu" "$clock" -g 'sandlock/native<=1.02' native="$call" \
            sandlock="$sandlock run --net-allow 127.0.0.1:7397 --net-allow udp://127.0.0.1:7397 -- $call"
    done
}

part_git() {
    if ! has git || ! git daemon --help >/dev/null 2>&1; then
        skipped 'git clone' 'git is not installed'
        return
    fi
    git clone -q --bare . "$work/repo.git"
    $away git daemon --listen=127.0.0.1 --port=7396 --base-path="$work" --export-all --reuseaddr "$work" 2>"$work/git" &
    started="$started $!"
    sleep 1
    echo "rm -rf $work/clone; exec git clone -q git://127.0.0.1:7396/repo.git $work/clone" >"$work/clone.sh"
    pairs 'git clone' -n 9 -c "$cpu" "$clock" -g 'sandlock/native<=1.02' native="sh $work/clone.sh" \
        sandlock="$sandlock run --net-allow 127.0.0.1:7396 -- sh $work/clone.sh"
}

part_compile() {
    if ! has gcc; then
        skipped compile 'gcc is not installed'
        return
    fi
    call="gcc -O1 -c -o $work/pairs.o tests/bench/pairs.c"
    pairs 'compile a C file' -c "$cpu" "$clock" -g 'sandlock/native<=1.02' \
        native="$call" sandlock="$sandlock run -- $call"
}

. tests/bench/http.sh

[ $# -gt 0 ] || set -- calls tcp untrapped startup memory rules pending live remap scale million strace \
    redis files names wrk iperf git compile http
echo "$(uname -srm), $(nproc) CPUs, caller and supervisor on CPU $cpu, $rounds rounds"
echo
row what figure median '10th - 90th pct' goal
printf '|%s|%s|%s|%s|%s|%s|\n' ------------------------------------ ------------------------------------ ----------: \
    --------------------: -------: ---------
serve
for part; do
    "part_$part"
done
