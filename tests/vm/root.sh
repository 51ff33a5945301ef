#!/bin/sh
# root.sh - a root directory of BusyBox, sandlock and the tests: tests/vm/root.sh DIRECTORY BUILT BUSYBOX
#
# BUILT has sandlock and tests/, as build/ does. Virtual machines and containers run from such a directory.
set -eu
root=$1 built=$2 busybox=$3
cd -- "$(dirname -- "$0")/../.."
rm -rf "$root"
mkdir -p "$root/bin" "$root/etc" "$root/dev" "$root/proc" "$root/tmp" "$root/sandlock/build" "$root/sandlock/tests/vm"
cp -L "$busybox" "$root/bin/busybox"
printf '%s\n' root:x:0:0::/:/bin/sh nobody:x:65534:65534::/:/bin/sh >"$root/etc/passwd"
printf '%s\n' '127.0.0.1 localhost' '::1 localhost' >"$root/etc/hosts"
printf '%s\n' root:x:0: nogroup:x:65534: >"$root/etc/group"
cp "$built/sandlock" "$root/sandlock/build/sandlock"
mkdir "$root/sandlock/build/tests"
for directory in . unit attack fuzz; do
    [ -d "$built/tests/$directory" ] || continue
    into=$root/sandlock/build/tests/$directory
    mkdir -p "$into"
    find "$built/tests/$directory" -maxdepth 1 -type f ! -name '*.d' -exec cp {} "$into" \;
done
find tests -maxdepth 1 -type f ! -name '*.[ch]' -exec cp {} "$root/sandlock/tests" \;
cp -r examples "$root/sandlock"
cp tests/vm/*.test "$root/sandlock/tests/vm"
mkdir "$root/sandlock/tests/fuzz"
cp -r tests/fuzz/corpus "$root/sandlock/tests/fuzz"
chmod -R u=rwX,go=rX "$root"
chmod 1777 "$root/tmp"
