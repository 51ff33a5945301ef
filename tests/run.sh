#!/bin/sh
# run.sh - runs tests and adds up: busybox ash tests/run.sh [FILE...]
#
# A FILE is a *.test of tests/, or a unit test's program; all of them without one, those that need large programs only
# where ALL is set. Paths are relative to the project's directory, which is where tests run. A *.test is read by BusyBox
# ash and may say:
#   check NAME STATUS STDOUT CMD...   CMD, a function too, ends with STATUS and prints STDOUT
#   both CMD...                       CMD with stderr joined to stdout, for check
#   skip NAME WHAT                    NAME isn't tried since WHAT is missing; a failure where SANDLOCK_NO_SKIPS is set
#   need PROGRAM...                   without one of these the file is skipped
#   real PROGRAM                      its path outside BusyBox; 1 where there is none
# $T is an empty directory of the file's own. sandlock, the programs of tests/*.c and all BusyBox applets come first in
# PATH. What a file leaves running is killed when it ends; a file that takes longer than $LIMIT seconds is a failure.
# SANDLOCK and BUSYBOX name other binaries.
set -u

check() {
    check_name=$1 check_status=$2 check_stdout=$3
    shift 3
    check_got=$("$@" 2>"$T.stderr")
    set -- $? "$@"
    if [ "$1" = "$check_status" ] && [ "$check_got" = "$check_stdout" ]; then
        echo passed >>"$T.results"
        return
    fi
    echo failed >>"$T.results"
    printf 'FAILED: %s: %s\n' "$FILE" "$check_name"
    {
        echo "expected status $check_status, got $1"
        [ "$check_got" = "$check_stdout" ] ||
            printf 'expected stdout: %s\ngot stdout: %s\n' "$check_stdout" "$check_got"
        sed 's/^/stderr: /' "$T.stderr"
    } | sed 's/^/  /'
}

both() {
    "$@" 2>&1
}

skip() {
    echo skipped >>"$T.results"
    printf 'skipped: %s: %s: needs %s\n' "$FILE" "$1" "$2"
}

need() {
    for need_program; do
        command -v "$need_program" >/dev/null || { skip "the whole file" "$need_program"; exit 0; }
    done
}

real() {
    PATH=$REAL_PATH which "$1" # command -v may answer with an applet inside the shell
}

add() {
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3-0}))
}

count() {
    grep -cx "$1" "$T.results"
}

# A test file's own shell. Its last line is the same as a unit test's.
if [ "${1-}" = --file ]; then
    FILE=$2
    : >"$T.results"
    trap 'status=$?; echo "$(count passed) passed, $(count failed) failed, $(count skipped) skipped"; exit $status' EXIT
    # shellcheck disable=SC1090 # one of many
    . "./$FILE"
    exit 0
fi

cd "$(dirname "$0")/.." || exit 1
: "${SANDLOCK=build/sandlock}" "${BUSYBOX=$(which busybox)}" "${LIMIT=480}"
mkdir -p "${TMPDIR:-/tmp}"
work=$(mktemp -d "${TMPDIR:-/tmp}/sandlock-test.XXXXXX") || exit 1
session='' watch=''
trap 'kill -KILL -- "-$session" "-$watch" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/bin" && chmod 755 "$work" && cp "$SANDLOCK" "$work/bin/sandlock" || exit 1
for box in "$BUSYBOX" $(which busybox-extras); do # Alpine keeps httpd apart
    for applet in $("$box" --list); do
        ln -sf "$box" "$work/bin/$applet"
    done
done
export REAL_PATH="$PATH" PATH="$work/bin:$PWD/build/tests:$PATH" BUSYBOX T=
passed=0 failed=0 skipped=0
# Those that need large programs, or take long or much.
large=' tests/httpclients.test tests/programs.test tests/deputies.test tests/suites.test tests/steady.test '
if [ $# -eq 0 ]; then
    set -- build/tests/unit/* tests/*.test
else
    large=''
fi

for file; do
    [ -n "${ALL-}" ] || [ "${large#* $file }" = "$large" ] || continue
    case $file in
    *.d | *'*'*) continue ;;
    *.test) program="$BUSYBOX ash tests/run.sh --file" ;;
    *) program='' ;;
    esac
    T=$(mktemp -d "$work/T.XXXXXX") && chmod 755 "$T"
    start=$(date +%s)
    setsid $program "$file" </dev/null >"$work/output" 2>&1 &
    session=$!
    setsid "$BUSYBOX" ash -c 'sleep "$1" && kill -KILL -- "-$2"' - "$LIMIT" "$session" </dev/null >/dev/null 2>&1 &
    watch=$!
    wait "$session" 2>/dev/null
    status=$?
    kill -KILL -- "-$session" "-$watch" "$watch" 2>/dev/null
    line=$(tail -n 1 "$work/output")
    case $line in
    *[0-9]' passed, '[0-9]*' failed'*) sed '$d' "$work/output" ;;
    *) cat "$work/output" && line="0 passed, 0 failed" ;;
    esac
    add $(echo "$line" | tr -cd '0-9 ')
    if [ $status -ne 0 ] && [ "${line#*, 0 failed}" != "$line" ]; then
        printf 'FAILED: %s: ended with status %s after %s s\n' "$file" $status $(($(date +%s) - start))
        failed=$((failed + 1))
    fi
    printf '%s: %s (%s s)\n' "$file" "$line" $(($(date +%s) - start))
done
[ -z "${SANDLOCK_NO_SKIPS-}" ] || failed=$((failed + skipped))
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
