#!/bin/sh
# build.sh - builds, tests and checks sandlock. ./build.sh help says how.
#
# CC and CFLAGS may be given, as ever. A compiler for musl (Alpine's, Buildroot's) is used as it is; any other is
# pointed at the musl that Debian keeps beside glibc. Two builds give the same bytes.
set -eu
cd -- "$(dirname -- "$0")"

warnings='-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror'
hardening='-fPIE -fstack-protector-strong'
# No RELRO: the start of a static musl program doesn't apply it, and its page costs up to 64 KiB on aarch64.
linking='-static-pie -s -Wl,--build-id=none,--gc-sections,-z,norelro,-z,noexecstack'
smaller='-fno-unwind-tables -fno-asynchronous-unwind-tables'
: "${CFLAGS=-Os}"

# What each step needs: group, program or file, Debian's package, Alpine's package. `-`: not needed there.
needs() {
    cat <<'END'
build   gcc                                     gcc                         gcc
build   ld                                      binutils                    binutils
build   /usr/include/linux/seccomp.h            linux-libc-dev              linux-headers
build   musl-gcc                                musl-tools                  -
build   /usr/lib/crt1.o                         -                           musl-dev
x86_64  x86_64-linux-gnu-gcc                    gcc-x86-64-linux-gnu        -
x86_64  /usr/lib/x86_64-linux-musl/rcrt1.o      musl-dev:amd64              -
aarch64 aarch64-linux-gnu-gcc                   gcc-aarch64-linux-gnu       -
aarch64 /usr/aarch64-linux-gnu/include/asm      linux-libc-dev-arm64-cross  -
aarch64 /usr/lib/aarch64-linux-musl/rcrt1.o     musl-dev:arm64              -
test    busybox                                 busybox-static              busybox
test    busybox-extras                          -                           busybox-extras
test    ip                                      iproute2                    iproute2
test    ping                                    iputils-ping                iputils-ping
test    curl                                    curl                        curl
test    python3                                 python3                     python3
test    dnsmasq                                 dnsmasq-base                dnsmasq
test    unbound                                 unbound                     unbound
test    nginx                                   nginx-light                 nginx
test    openssl                                 openssl                     openssl
test    redis-server                            redis-server                redis
test    redis-cli                               redis-tools                 redis
all     git                                     git                         git
all     ssh                                     openssh-client              openssh-client
all     ssh-keygen                              openssh-client              openssh-keygen
all     sshd                                    openssh-server              openssh-server
all     go                                      golang-go                   go
all     node                                    nodejs                      nodejs
all     javac                                   default-jdk-headless        openjdk17-jdk
all     wrk                                     wrk                         wrk
all     gcc                                     gcc                         gcc
all     make                                    make                        make
all     /usr/lib/postgresql                     postgresql                  -
all     initdb                                  -                           postgresql
all     psql                                    postgresql-client           postgresql-client
all     chromium                                chromium                    chromium
all     dbus-daemon                             dbus-daemon                 dbus
all     dbus-send                               dbus-bin                    dbus
all     gdbus                                   libglib2.0-bin              glib
all     Xvfb                                    xvfb                        xvfb
all     xdpyinfo                                x11-utils                   xdpyinfo
all     tmux                                    tmux                        tmux
all     logger                                  bsdutils                    logger
all     /usr/lib/python3.11/test/test_socket.py libpython3.*-testsuite      -
all     /usr/lib/python3/dist-packages/twisted  python3-twisted             -
all     prlimit                                 util-linux                  util-linux-misc
all     strace                                  strace                      strace
fuzz    clang                                   clang                       clang
fuzz    /usr/share/doc/libclang-rt-dev          libclang-rt-dev             -
lint    clang                                   clang                       clang
lint    shellcheck                              shellcheck                  shellcheck
lint    cppcheck                                cppcheck                    cppcheck
lint    mandoc                                  mandoc                      mandoc
vm      qemu-system-x86_64                      qemu-system-x86             qemu-system-x86_64
vm      qemu-system-aarch64                     qemu-system-arm             qemu-system-aarch64
vm      cpio                                    cpio                        cpio
vm      xz                                      xz-utils                    xz
bench   bwrap                                   bubblewrap                  bubblewrap
bench   tinyproxy                               tinyproxy-bin               tinyproxy
bench   squid                                   squid                       squid
END
}

usage() {
    cat <<'END'
usage: ./build.sh [COMMAND]

  (none)          build/sandlock: static, stripped, for this machine
  demo            see it work: what is fetched, what is refused, and the rule that would allow it
  test [FILE...]  build and run the tests, or those files of tests/
  test all [FILE...]
                  and those with large programs, which are installed: servers, languages, clients
  vm-test [MACHINE [KERNEL...]]
                  run the tests on other kernels in QEMU: x86_64 and aarch64, 5.10, 6.1, 6.12 and 7 (tests/vm/run.sh)
  fuzz [SECONDS] [NAME...]
                  run the fuzzers of tests/fuzz, or these, for so long each (60; 0: their corpora alone)
  container-test [FILE...]
                  run the tests in scratch containers of podman and Docker, whichever are installed (tests/container.sh)
  lint            gcc and clang with all warnings, the analyzers and checkers that are installed
  amalgamate      build/sandlock_amalgamated.c: one C file that compiles to the same program
  bench           measure, print a table
  x86_64, aarch64 build/sandlock-x86_64, build/sandlock-aarch64 (Debian: cross built where need be)
  all             both, and build/SHA256SUMS
  install GROUP.. the packages of build, test, all, fuzz, lint, vm, bench, x86_64 or aarch64
  clean           remove build/
END
}

fail() {
    echo "build.sh: $*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null
}

# The packages of group $1, by column $2, whose program or file is missing; by its own name where $2 is `need`.
missing() {
    needs | while read -r group need debian alpine; do
        [ "$group" = "$1" ] || continue
        case $2 in
        debian) package=$debian ;;
        alpine) package=$alpine ;;
        *) package=$need ;;
        esac
        if [ "$package" != - ] && [ ! -e "$need" ] && ! has "$need"; then
            echo "$package"
        fi
    done | sort -u | tr '\n' ' '
}

# Debian's packages of another machine, like musl-dev:arm64, exist once dpkg knows it. Lists are fetched only when
# needed.
apt_install() {
    for package; do
        machine=${package##*:}
        if [ "$machine" != "$package" ] && [ "$machine" != "$(dpkg --print-architecture)" ] &&
            ! dpkg --print-foreign-architectures | grep -qx "$machine"; then
            dpkg --add-architecture "$machine"
            apt-get update -qq
        fi
    done
    set -- env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
    "$@" || { apt-get update -qq && "$@"; }
}

# Install what group $1 misses. 1, with the line to run on stderr, when it can't be done here.
provide() {
    if has apt-get; then
        packages=$(missing "$1" debian) by='apt-get install -y --no-install-recommends' how=apt_install
    elif has apk; then
        packages=$(missing "$1" alpine) by='apk add' how='apk add -q'
    else
        packages=$(missing "$1" need) by='your package manager to get' how=false
    fi
    [ -n "$packages" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        echo "build.sh: installing $packages" >&2
        $how $packages >/dev/null && return 0
    fi
    echo "build.sh: for '$1' run as root: $by $packages" >&2
    return 1
}

# Does the compiler $1 compile for musl by itself? Then it brings its own headers and libraries: Alpine's, Buildroot's.
is_musl() {
    [ -n "$1" ] || return 1
    case $($1 -dumpmachine) in
    *musl*) ;;
    *) return 1 ;;
    esac
}

# Set cc, includes, before and after: how to compile and link for machine $1.
toolchain() {
    case $1 in
    x86_64 | aarch64) ;;
    *) fail "sandlock runs on x86_64 and aarch64; this machine is $1" ;;
    esac
    includes='' before='' after=''
    if is_musl "${CC-}"; then
        cc=$CC
        return
    fi
    if [ "$1" = "$(uname -m)" ]; then
        provide build || exit 1
        cc=${CC:-gcc} asm=/usr/include/$1-linux-gnu/asm
    else
        [ -n "${CC-}" ] || provide "$1" || exit 1
        cc=${CC:-$1-linux-gnu-gcc} asm=/usr/$1-linux-gnu/include/asm
    fi
    [ -d "$asm" ] || asm=/usr/include/$1-linux-gnu/asm
    if is_musl "$cc"; then
        return
    fi
    musl=/usr/lib/$1-linux-musl headers=build/headers-$1
    mkdir -p "$headers"
    ln -sfn /usr/include/linux "$headers/linux"
    ln -sfn /usr/include/asm-generic "$headers/asm-generic"
    ln -sfn "$asm" "$headers/asm"
    includes="-nostdinc -isystem /usr/include/$1-linux-musl -isystem $($cc -print-file-name=include) -isystem $headers"
    if [ "$1" = aarch64 ]; then
        includes="$includes -mno-outline-atomics" # those of libgcc ask glibc what the processor has
    fi
    before="-nostdlib $musl/rcrt1.o $musl/crti.o $($cc -print-file-name=crtbeginS.o)"
    after="-L$musl -lc $($cc -print-libgcc-file-name) $($cc -print-file-name=crtendS.o) $musl/crtn.o"
}

# Was $1 made from what is there now, by these flags?
fresh() {
    [ -f "$1" ] && [ -f "$1.d" ] && grep -qxF "# $cc $CFLAGS" "$1.d" || return 1
    # A header that is gone gives an error text, so isn't fresh.
    [ -z "$(find build.sh $(sed '/^#/d; s/^[^:]*://; s/\\$//' "$1.d") -newer "$1" 2>&1)" ]
}

# Flags for the source $1. A part, and a test of one part, may have functions that nobody uses; the program may not.
# Fuzzers are compiled to run files given to them, and may hold the whole program, its main renamed.
flags_of() {
    case $1 in
    tests/fuzz/*) echo -Wno-unused-function -Wno-missing-prototypes -DREPLAY ;;
    serve/* | policy/*) echo -Wno-unused-function -Wno-unused-variable ;; # what it keeps, the program uses
    sys/* | tests/*) echo -Wno-unused-function ;;
    esac
}

# Compile the program $2 from the source $1, unless it is fresh. Whoever runs the old one goes on with it.
compile() {
    if fresh "$2"; then
        return 0
    fi
    mkdir -p "${2%/*}"
    $cc -std=gnu11 $warnings $(flags_of "$1") $hardening $smaller $CFLAGS $includes \
        -frandom-seed=sandlock "-ffile-prefix-map=$PWD=." -MMD -MT program -MF "$2.d.$$" \
        $linking $before "$1" $after -o "$2.$$" || {
        rm -f "$2.$$" "$2.d.$$"
        return 1
    }
    echo "# $cc $CFLAGS" >>"$2.d.$$"
    mv "$2.d.$$" "$2.d"
    mv "$2.$$" "$2"
}

# How large sandlock may be, in bytes. Without HTTP rules it was held to 200 KiB.
size_limit() {
    case $1 in
    x86_64) echo $((300 * 1024)) ;;
    aarch64) echo $((340 * 1024)) ;;
    esac
}

# sandlock for machine $1 as $2: some compilers take -static-pie for a dynamic program, without a word.
build() {
    toolchain "$1"
    compile sandlock.c "$2"
    if has readelf && readelf -lW "$2" | grep -q INTERP; then
        fail "$2 is not static: $cc doesn't know -static-pie"
    fi
    if [ "$CFLAGS" = -Os ] && [ "$(wc -c <"$2")" -gt "$(size_limit "$1")" ]; then
        fail "$2 is larger than $(size_limit "$1") bytes"
    fi
}

# Compile each of the sources given to $into/SOURCE without its .c.
into=build
compile_each() {
    for source; do
        compile "$source" "$into/${source%.c}" || return 1
    done
}

# The helper programs of the directories given: every other one beside the rest, as there are two cores at least.
build_programs() {
    odd='' even=''
    for directory; do
        for source in "$directory"/*.c; do
            [ -f "$source" ] || continue
            odd="$odd $source"
            swap=$odd odd=$even even=$swap
        done
    done
    compile_each $odd &
    compile_each $even || { wait; fail 'a test program does not compile'; }
    wait $! || fail 'a test program does not compile'
}

# sandlock and what its tests need, as far as it can be had: what is missing then is a skipped test.
build_tests() {
    build "$(uname -m)" build/sandlock
    provide test || :
    build_programs tests tests/unit tests/attack tests/fuzz
    build_older
}

# sandlock as it is on older kernels, for tests/older.test, and where pidfd_getfd is refused: all tests can be run by
# that one, SANDLOCK=build/tests/sandlock-handed ./build.sh test.
build_older() {
    for variant in lossy=1 tables=2 walls=4 handed=8; do
        (
            CFLAGS="$CFLAGS -DSANDLOCK_LEAVES_OUT=${variant#*=}"
            compile sandlock.c "$into/tests/sandlock-${variant%=*}"
        ) || fail "sandlock as it is on older kernels does not compile"
    done
}

# All tests or the files given; after `all`, those too that need large programs and more time.
run_tests() {
    if [ "${1-}" = all ]; then
        shift
        provide all || :
        export ALL=1 LIMIT="${LIMIT-900}"
    fi
    build_tests
    busybox ash tests/run.sh "$@"
}

# Fuzz with each of tests/fuzz, or those named, for $1 seconds. What is new goes to build/fuzz/NAME.new, what fails to
# build/fuzz/NAME-*; worth keeping of both is what belongs into tests/fuzz/corpus/NAME.
fuzz() {
    seconds=60 failed=''
    case ${1-} in
    [0-9]*) seconds=$1 && shift ;;
    esac
    limit=-max_total_time=$seconds
    [ "$seconds" != 0 ] || limit=-runs=0
    if [ $# -eq 0 ]; then
        set -- $(cd tests/fuzz && ls -- *.c)
    fi
    for name; do
        name=${name%.c}
        echo "$name:"
        mkdir -p "build/fuzz/$name.new"
        clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all "tests/fuzz/$name.c" \
            -o "build/fuzz/$name" || fail "$name does not compile"
        if "build/fuzz/$name" "$limit" -print_final_stats=1 -artifact_prefix="build/fuzz/$name-" \
            "build/fuzz/$name.new" "tests/fuzz/corpus/$name" >"build/fuzz/$name.log" 2>&1; then
            sed -n 's/^stat::\(number\|new\|peak\)/\1/p' "build/fuzz/$name.log"
        else
            tail -n 40 "build/fuzz/$name.log"
            failed="$failed $name"
        fi
    done
    [ -z "$failed" ] || fail "fuzz:$failed: what fails is in build/fuzz"
}

# The tests on the kernels given, in a virtual machine of kind $1; on all of them without one.
vm_test() {
    machine=$1
    shift
    [ $# -gt 0 ] || set -- 5.10 6.1 6.12 7
    into=build/vm/$machine
    build "$machine" "$into/sandlock"
    # shellcheck disable=SC2086 # words
    if [ -n "${FILES-}" ] && ! grep -qs attack $FILES && [ "${FILES#*unit/}" = "$FILES" ]; then
        build_programs tests
    else
        build_programs tests tests/unit tests/attack
    fi
    sh tests/vm/run.sh "$machine" "$@"
}

# Both machines at the same time; what the second one says comes when the first has ended.
vm_test_all() {
    mkdir -p build/vm
    sh build.sh vm-test aarch64 >build/vm/aarch64.log 2>&1 &
    status=0
    sh build.sh vm-test x86_64 || status=1
    wait $! || status=1
    cat build/vm/aarch64.log
    return $status
}

# One C file with the parts in place of their includes, each once; then the proof that it is the same program.
amalgamate() {
    build "$(uname -m)" build/sandlock
    awk '
        function expand(path, directory, line, quoted) {
            gsub(/[^\/]+\/\.\.\//, "", path)
            if (path in seen)
                return
            seen[path] = 1
            directory = path
            sub(/[^\/]*$/, "", directory)
            while ((getline line < path) > 0)
                if (line ~ /^#include "/) {
                    split(line, quoted, "\"")
                    expand(directory quoted[2])
                } else
                    print line
            close(path)
        }
        BEGIN { expand("sandlock.c") }' >build/sandlock_amalgamated.c
    compile build/sandlock_amalgamated.c build/sandlock_amalgamated
    cmp build/sandlock build/sandlock_amalgamated || fail 'the amalgamated file compiles to another program'
    echo 'build/sandlock_amalgamated.c: the same program'
}

command=${1-build}
[ $# -eq 0 ] || shift
case $command in
build)
    build "$(uname -m)" build/sandlock
    ;;
demo)
    build "$(uname -m)" build/sandlock
    provide test || :
    sh tests/demo.sh
    ;;
test)
    run_tests "$@"
    ;;
vm-test)
    provide vm || exit 1
    if [ $# -gt 0 ]; then
        vm_test "$@"
    else
        vm_test_all
    fi
    ;;
fuzz)
    provide fuzz || exit 1
    fuzz "$@"
    ;;
container-test)
    build_tests
    sh tests/container.sh "$@"
    ;;
lint)
    . tests/lint.sh
    lint
    ;;
amalgamate)
    amalgamate
    ;;
bench)
    build_tests
    provide bench || :
    build_programs tests/bench
    sh tests/bench/run.sh "$@"
    ;;
x86_64 | aarch64)
    build "$command" "build/sandlock-$command"
    ;;
all)
    build x86_64 build/sandlock-x86_64
    build aarch64 build/sandlock-aarch64
    (cd build && sha256sum sandlock-x86_64 sandlock-aarch64 >SHA256SUMS && cat SHA256SUMS)
    ;;
install)
    for group; do
        provide "$group" || exit 1
    done
    ;;
clean)
    rm -rf build
    ;;
help | -h | --help)
    usage
    ;;
*)
    echo "build.sh: unknown command '$command'" >&2
    usage >&2
    exit 2
    ;;
esac
