#!/bin/sh
# container.sh - runs the tests in a scratch container, in each of the usual ways: tests/container.sh [FILE...]
#
# With podman, and with a dockerd of our own where Docker is installed and we are root; in each engine's default profile
# as root, and as nobody with no capability, no new privileges and a read-only root. FILEs are for tests/run.sh.
set -eu
cd -- "$(dirname -- "$0")/.."
image=sandlock-test
context=build/container
scratch=$(mktemp -d)
docker_pid=''
trap 'stop_docker; rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

stop_docker() {
    [ -z "$docker_pid" ] || { kill "$docker_pid" && wait "$docker_pid"; } 2>/dev/null || :
    docker_pid=''
}

# A daemon that nobody else talks to, and that leaves the machine's network alone.
start_docker() {
    dockerd --iptables=false --ip6tables=false --bridge=none -H "unix://$scratch/docker.sock" \
        --data-root "$scratch/data" --exec-root "$scratch/exec" -p "$scratch/docker.pid" >"$scratch/docker.log" 2>&1 &
    docker_pid=$!
    for _ in $(seq 100); do
        [ ! -S "$scratch/docker.sock" ] || return 0
        sleep 0.1
    done
    tail -n 3 "$scratch/docker.log"
    return 1
}

# Machines without CAP_SYS_RESOURCE, or with cgroups of both kinds, need the second set of options.
find_options() {
    files=$(awk '/^Max open files/ { print $5 }' /proc/self/limits)
    for options in '' "--runtime runc --ulimit nofile=$files:$files --ulimit nproc=32768:32768"; do
        if $engine run --rm --network none $options $image /bin/busybox true >"$scratch/refused" 2>&1; then
            return 0
        fi
    done
    return 1
}

# One way to run the tests, by its name and options; what they print is indented, and their last line is the result. Some
# start more processes than podman's limit of 2,048.
way() {
    name="$1"
    shift
    $engine run --rm --network none --pids-limit -1 $options "$@" $image \
        /bin/busybox ash tests/run.sh $tests >"$scratch/output" 2>&1 || :
    sed '$d; s/^/  /' "$scratch/output"
    line=$(tail -n 1 "$scratch/output")
    echo "$name: $line"
    case $line in
    *' 0 failed'*) ;;
    *) status=1 ;;
    esac
}

ways() {
    if ! $engine build -q -t $image -f Dockerfile.test $context >/dev/null || ! find_options; then
        echo "$1: skipped: the engine does not run here: $(tail -n 1 "$scratch/refused")"
        return
    fi
    way "$1, root, default profile"
    way "$1, nobody, no capability, read-only" --user 65534:65534 --cap-drop ALL --security-opt no-new-privileges \
        --read-only --tmpfs /tmp:rw,exec,mode=1777
    $engine rmi -f $image >/dev/null 2>&1 || :
}

tests="$*" status=0
sh tests/vm/root.sh $context build "$(command -v busybox)"
ln -sf busybox $context/bin/sh # what scripts of the tests begin with
engines=0
if command -v podman >/dev/null; then
    engine=podman
    ways podman
    engines=1
fi
if command -v dockerd >/dev/null && [ "$(id -u)" = 0 ] && start_docker; then
    engine=/usr/bin/docker
    [ -x $engine ] || engine=$(command -v docker)
    engine="$engine -H unix://$scratch/docker.sock"
    export DOCKER_BUILDKIT=0
    ways docker
    stop_docker
    engines=1
fi
[ $engines = 1 ] || { echo "container.sh: neither podman nor dockerd is installed" >&2; exit 1; }
exit $status
