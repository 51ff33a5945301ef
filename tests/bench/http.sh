# http.sh - a part of run.sh: HTTP rules beside no sandbox, and beside two proxies that a program has to be told of
# shellcheck shell=sh disable=SC2154 # run.sh's variables

# The median of the lines of stdin.
median() {
    sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

http_server() {
    head -c 1073741824 /dev/zero >"$work/gib"
    head -c 1024 /dev/zero >"$work/kib"
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key" -out "$work/crt" -days 2 -subj /CN=bench.test \
        2>/dev/null
    echo '127.8.7.1 bench.test' >"$work/hosts"
    as=''
    [ "$(id -u)" != 0 ] || as='user root;'
    cat >"$work/nginx.conf" <<END
$as daemon off; worker_processes 1; pid $work/nginx.pid; error_log /dev/null;
events { worker_connections 4096; }
http {
    access_log off; sendfile on; keepalive_requests 100000000; keepalive_timeout 600; root $work;
    client_body_temp_path $work/1; proxy_temp_path $work/2; fastcgi_temp_path $work/3; uwsgi_temp_path $work/4;
    scgi_temp_path $work/5;
    server { listen 127.8.7.1:7497 backlog=4096; listen 127.8.7.1:7498 ssl;
        ssl_certificate $work/crt; ssl_certificate_key $work/key; }
}
END
    nginx -c "$work/nginx.conf" -p "$work" 2>"$work/nginx.err" &
    started="$started $!"
}

# Squid and tinyproxy, on ports 7495 and 7496, where they are installed.
http_proxies() {
    proxies=''
    if has tinyproxy; then
        printf '%s\n' 'Port 7496' 'Listen 127.8.7.1' 'Timeout 600' 'MaxClients 2000' 'ConnectPort 7498' \
            >"$work/tinyproxy.conf"
        tinyproxy -d -c "$work/tinyproxy.conf" >"$work/tinyproxy.log" 2>&1 &
        tinyproxy_pid=$! started="$started $!" proxies="$proxies tinyproxy"
    fi
    if has squid; then
        printf '%s\n' 'http_port 127.8.7.1:7495' 'http_access allow all' 'cache deny all' 'access_log none' \
            'cache_log /dev/null' "pid_filename $work/squid.pid" 'max_filedescriptors 8192' \
            "coredump_dir $work" 'shutdown_lifetime 0 seconds' 'netdb_filename none' >"$work/squid.conf"
        squid --foreground -N -f "$work/squid.conf" >"$work/squid.log" 2>&1 &
        squid_pid=$! started="$started $!" proxies="$proxies squid"
    fi
}

proxy_address() {
    case $1 in
    tinyproxy) echo http://127.8.7.1:7496 ;;
    squid) echo http://127.8.7.1:7495 ;;
    esac
}

# Until the server and the proxies answer, or ten seconds are over.
http_await() {
    for way in '' $proxies; do
        tries=0
        until curl -s -o /dev/null -x "$(proxy_address "$way")" http://127.8.7.1:7497/kib || [ $tries = 100 ]; do
            tries=$((tries + 1))
            sleep 0.1
        done
    done
}

http_sandbox() {
    "$sandlock" run -q --hosts "$work/hosts" --http-port 7497 --tls-port 7498 --http-allow 'GET bench.test' \
        --http-allow 'GET 127.8.7.1' --net-allow 127.8.7.1 "$@"
}

# Requests per second by way $1; $2: `close` for a connection each. What isn't answered well doesn't count.
http_requests() {
    set -- "$1" "$2" -t1 -c16 -d1
    case $1-$2 in
    native-close | sandlock-close) set -- "$@" -H 'Connection: close' http://127.8.7.1:7497/kib ;;
    native-* | sandlock-*) set -- "$@" http://127.8.7.1:7497/kib ;;
    *) set -- "$@" -s "$work/$2.lua" "$(proxy_address "$1")" ;;
    esac
    way=$1
    shift 2
    case $way in
    sandlock) http_sandbox --timeout 20s -- wrk "$@" ;;
    *) timeout 20 wrk "$@" ;;
    esac | awk '/Non-2xx/ { bad = 1 } /Requests\/sec/ && !bad { print int($2) }'
}

# Megabytes per second of a GiB from URL $2 by way $1; of an eighth of it by the other proxies, which take long.
http_speed() {
    way=$1 url=$2
    set -- -m 60 -sk -o /dev/null -w '%{speed_download}\n'
    case $way in
    native) curl "$@" --resolve bench.test:7498:127.8.7.1 "$url" ;;
    sandlock) http_sandbox -- curl "$@" "$url" ;;
    *) curl "$@" -r 0-134217727 -x "$(proxy_address "$way")" --connect-to bench.test:7498:127.8.7.1:7498 "$url" ;;
    esac | awk '{ print int($1 / 1000000) }'
}

# The ratio of two figures, or `none`.
ratio() {
    awk -v a="$1" -v b="$2" 'BEGIN { if (a > 0 && b > 0) printf "%.2f", a / b; else print "none" }'
}

# Rows of what COMMAND gives for each way, in as many rounds, in which the ways take turns. The goal is for the native
# figure by sandlock's; other proxies are to be no faster.
http_rows() {
    label=$1 unit=$2 goal=$3 times=$4 command=$5
    shift 5
    for way in native sandlock $proxies; do
        : >"$work/figures.$way"
    done
    while [ "$times" -gt 0 ]; do
        for turn in native sandlock $proxies; do
            "$command" "$turn" "$@" >>"$work/figures.$turn" || :
        done
        times=$((times - 1))
    done
    ours=$(median <"$work/figures.sandlock")
    for way in native sandlock $proxies; do
        row "$label" "$way, $unit" "$(median <"$work/figures.$way")"
    done
    for way in native $proxies; do
        [ "$way" = native ] || goal=1
        row "$label" "$way/sandlock" "$(ratio "$(median <"$work/figures.$way")" "$ours")" '' "$goal"
    done
}

# The memory of processes, each page once (smaps_rollup), in KiB.
http_memory() {
    for pid; do
        awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup"
    done | awk '{ n += $1 } END { print n }'
}

# What 1,000 idle connections cost by way $1.
http_idle() {
    cat >"$work/idle.py" <<'END'
import socket, sys, time
address, port, target = sys.argv[1], int(sys.argv[2]), sys.argv[3]
held = []
for i in range(1000):
    s = socket.create_connection((address, port))
    s.sendall(("GET %s HTTP/1.1\r\nHost: 127.8.7.1:7497\r\n\r\n" % target).encode())
    n = 0
    while n < 1024:
        got = s.recv(65536)
        if not got:
            break
        n += len(got)
    held.append(s)
    if i == 0 or i == 999:
        print(i, flush=True)
        sys.stdin.readline()
END
    mkfifo "$work/go.$1"
    : >"$work/idle.$1"
    case $1 in
    sandlock)
        "$sandlock" run -q --http-port 7497 --http-allow 'GET 127.8.7.1' -- python3 "$work/idle.py" 127.8.7.1 7497 /kib \
            <"$work/go.$1" >"$work/idle.$1" &
        idle=$!
        ;;
    *)
        port=$(proxy_address "$1")
        python3 "$work/idle.py" 127.8.7.1 "${port##*:}" http://127.8.7.1:7497/kib <"$work/go.$1" >"$work/idle.$1" &
        idle=$!
        ;;
    esac
    exec 9>"$work/go.$1"
    for step in 0 999; do
        until grep -qx $step "$work/idle.$1" || ! kill -0 $idle 2>/dev/null; do
            sleep 0.1
        done
        case $1 in
        sandlock) # itself and its helpers, which are the same program
            all=$idle
            for pid in $(cat "/proc/$idle/task/$idle/children"); do
                [ "$(readlink "/proc/$pid/exe")" != "$(readlink "/proc/$idle/exe")" ] || all="$all $pid"
            done
            ;;
        tinyproxy) all=$tinyproxy_pid ;;
        squid) all=$squid_pid ;;
        esac
        eval "memory_$step=\$(http_memory $all)"
        echo >&9
    done
    exec 9>&-
    wait $idle 2>/dev/null || :
    echo $((memory_999 - memory_0))
}

part_http() {
    for program in nginx wrk openssl python3; do
        if ! has $program; then
            skipped 'HTTP rules' "$program is not installed"
            return
        fi
    done
    http_server
    http_proxies
    for kind in keep-alive close; do # wrk's own headers aren't sent where others are given
        printf 'request = function() return wrk.format("GET", "%s", {Host = "%s", Connection = "%s"}) end\n' \
            http://127.8.7.1:7497/kib 127.8.7.1:7497 $kind >"$work/$kind.lua"
    done
    http_await
    http_rows 'HTTP, kept alive' 'requests/s' '' 5 http_requests keep-alive
    http_rows 'HTTP, a connection each' 'requests/s' '' 5 http_requests close
    http_rows 'HTTP, 1 GiB' MB/s 1.11 3 http_speed http://127.8.7.1:7497/gib
    http_rows 'TLS, 1 GiB' MB/s 1.11 3 http_speed https://bench.test:7498/gib
    for way in sandlock $proxies; do
        if [ $way = sandlock ]; then goal=8192; else goal=''; fi
        row 'HTTP, 1,000 idle connections' "$way, KiB" "$(http_idle $way)" '' $goal
    done
}
