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

http_sandbox() {
    "$sandlock" run -q --hosts "$work/hosts" --http-port 7497 --tls-port 7498 --http-allow 'GET bench.test' \
        --http-allow 'GET 127.8.7.1' --net-allow 127.8.7.1 "$@"
}

# Requests per second by way $1, with the options that follow.
http_requests() {
    way=$1
    shift
    case $way in
    native) wrk -t1 -c16 -d2 "$@" http://127.8.7.1:7497/kib ;;
    sandlock) http_sandbox -- wrk -t1 -c16 -d2 "$@" http://127.8.7.1:7497/kib ;;
    *) wrk -t1 -c16 -d2 "$@" -s "$work/absolute.lua" "$(proxy_address "$way")" ;;
    esac | awk '/Requests\/sec/ { print int($2) }'
}

# Megabytes per second of a GiB from URL $2 by way $1.
http_speed() {
    case $1 in
    native) curl -sk -o /dev/null --resolve bench.test:7498:127.8.7.1 -w '%{speed_download}\n' "$2" ;;
    sandlock) http_sandbox -- curl -sk -o /dev/null -w '%{speed_download}\n' "$2" ;;
    *) curl -sk -o /dev/null -x "$(proxy_address "$1")" --connect-to bench.test:7498:127.8.7.1:7498 \
        -w '%{speed_download}\n' "$2" ;;
    esac | awk '{ print int($1 / 1000000) }'
}

# Rows of what COMMAND gives for each way, in rounds that take turns; the goal is for sandlock's part of the native one.
http_rows() {
    label=$1 unit=$2 goal=$3 command=$4
    shift 4
    for way in native sandlock $proxies; do
        : >"$work/figures.$way"
    done
    for _ in 1 2 3 4 5; do
        for way in native sandlock $proxies; do
            "$command" "$way" "$@" >>"$work/figures.$way" || :
        done
    done
    native=$(median <"$work/figures.native")
    for way in native sandlock $proxies; do
        row "$label" "$way, $unit" "$(median <"$work/figures.$way")"
    done
    row "$label" 'native/sandlock' "$(awk "BEGIN { printf \"%.2f\", $native / $(median <"$work/figures.sandlock") }")" \
        '' $goal
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
    printf '%s\n' 'request = function() return wrk.format("GET", "http://127.8.7.1:7497/kib", {Host = "127.8.7.1:7497"}) end' \
        >"$work/absolute.lua"
    sleep 2
    http_rows 'HTTP, kept alive' 'requests/s' '' http_requests
    http_rows 'HTTP, a connection each' 'requests/s' '' http_requests -H 'Connection: close'
    http_rows 'HTTP, 1 GiB' MB/s 1.11 http_speed http://127.8.7.1:7497/gib
    http_rows 'TLS, 1 GiB' MB/s 1.11 http_speed https://bench.test:7498/gib
    for way in sandlock $proxies; do
        if [ $way = sandlock ]; then goal=8192; else goal=''; fi
        row 'HTTP, 1,000 idle connections' "$way, KiB" "$(http_idle $way)" '' $goal
    done
}
