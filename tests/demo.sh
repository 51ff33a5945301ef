#!/bin/sh
# demo.sh - the main job on two BusyBox web servers: one the policy names, one it doesn't. Ends with 1 if it isn't so.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/sandlock-demo.XXXXXX")
servers=''
trap 'kill $servers 2>/dev/null || :; rm -rf "$work"' EXIT
ln -s "$(command -v busybox)" "$work/wget"
PATH=$PWD/build:$work:$PATH
port=18080
httpd='busybox httpd'
! command -v busybox-extras >/dev/null || httpd='busybox-extras httpd' # Alpine's
$httpd --help >/dev/null 2>&1 || { echo "demo.sh: this BusyBox has no httpd" >&2; exit 1; }

# Serve the line $1 on the next free port of 127.0.0.1; $port says which.
serve() {
    mkdir "$work/$1"
    echo "the $1 server's page" >"$work/$1/index.html"
    while :; do
        port=$((port + 1))
        $httpd -f -p "127.0.0.1:$port" -h "$work/$1" 2>/dev/null &
        server=$!
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            if [ "$(wget -qO- "http://127.0.0.1:$port/" 2>/dev/null)" = "the $1 server's page" ]; then
                servers="$servers $server"
                return
            fi
            sleep 0.1
        done
        kill $server 2>/dev/null || :
    done
}

# Show a command and run it; its output stays in $work/output, too.
show() {
    printf '\n  $ %s\n' "$*"
    status=0
    "$@" >"$work/output" 2>&1 || status=$?
    sed 's/^/  /' "$work/output"
    [ $status -eq 0 ] || printf '  (exit status %s)\n' $status
}

serve permitted && permitted=$port
serve other && other=$port

echo "Two web servers run on this machine, on 127.0.0.1:$permitted and 127.0.0.1:$other."
echo 'A command that may reach the first, and nothing else, fetches its page:'
show sandlock run -v --net-allow "127.0.0.1:$permitted" -- wget -qO- "http://127.0.0.1:$permitted/"
[ $status -eq 0 ]

echo
echo 'The same command is refused the second, and -v says by which rule it would be allowed:'
show sandlock run -v --net-allow "127.0.0.1:$permitted" -- wget -qO- "http://127.0.0.1:$other/"
[ $status -ne 0 ]
rule=$(sed -n 's/.*allow it with --net-allow //p' "$work/output")

echo
echo 'With that rule:'
show sandlock run -v --net-allow "$rule" -- wget -qO- "http://127.0.0.1:$other/"
[ $status -eq 0 ]

echo
echo 'What a policy says of a destination can be asked without running anything:'
show sandlock explain --net-allow "127.0.0.1:$permitted" -- "127.0.0.1:$permitted" "127.0.0.1:$other"
[ $status -eq 1 ]
