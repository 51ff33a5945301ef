#!/bin/sh
# apt.sh URL - apt and dpkg with a root directory of their own: lists and a package are fetched, it is installed
set -e
root=$PWD/root
mkdir -p "$root/etc/apt/apt.conf.d" "$root/etc/apt/preferences.d" "$root/var/lib/apt/lists/partial" \
    "$root/var/cache/apt/archives/partial" "$root/var/log/apt" "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
: >"$root/var/lib/dpkg/status"
echo "deb [trusted=yes] $1 ./" >"$root/etc/apt/sources.list"
set -- -qq -o "Dir=$root" -o "Dir::State::status=$root/var/lib/dpkg/status" -o "DPkg::Options::=--root=$root" \
    -o DPkg::Options::=--force-script-chrootless -o DPkg::Pre-Install-Pkgs::= -o Dpkg::Use-Pty=0
apt-get "$@" update
DEBIAN_FRONTEND=noninteractive apt-get "$@" -y install a-package 2>apt.log | tail -n 1
cat "$root/usr/share/a-package"
dpkg-query --admindir "$root/var/lib/dpkg" -W a-package
