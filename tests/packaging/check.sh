#!/bin/sh
# check.sh - runs the packaging recipes as far as that goes without the distributions that they are for
#
# Debian: dpkg-buildpackage and lintian, as they are. Alpine: the recipe's own functions, by a shell. Buildroot and OpenWrt:
# the recipe's own commands, by make, with a compiler that stands in for a cross compiler for musl; what their
# infrastructure would do around them is not tried. What is missing here is a skipped step.
set -u
cd -- "$(dirname -- "$0")/../.." || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0 skipped=0

# step NAME COMMAND...
step() {
    name=$1
    shift
    if "$@" >"$scratch/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        sed 's/^/  /' "$scratch/output"
    fi
}

skip() {
    skipped=$((skipped + 1))
    echo "skipped: $1: needs $2"
}

# A fresh copy of what a release has, in $tree.
fresh() {
    tree=$scratch/$1/sandlock-0.1
    mkdir -p "$tree"
    cp -r build.sh sandlock.c serve policy sys sandlock.1 LICENSE README.md "$tree"
}

# A program that can be installed: static, no interpreter, and where this machine can run it, ours.
is_program() {
    file=$1
    readelf -lW "$file" | grep -q 'Type is DYN\|Elf file type is DYN' && ! readelf -lW "$file" | grep -q INTERP || return 1
    [ "${2-}" = foreign ] || [ "$("$file" --version | cut -d' ' -f1)" = sandlock ]
}

debian() {
    cp -r tests/packaging/debian "$tree"
    (cd "$tree" && dpkg-buildpackage -us -uc -b $1)
}

alpine() {
    (
        cd "$tree" && . "$OLDPWD/tests/packaging/APKBUILD"
        export pkgdir=$scratch/alpine/root
        build && package && is_program "$pkgdir/usr/bin/sandlock" && [ -f "$pkgdir/usr/share/man/man1/sandlock.1" ]
    )
}

# A compiler that says it is for musl, brings musl's headers and libraries by itself, and is called by another name.
musl_compiler() {
    musl=/usr/lib/$1-linux-musl gcc=$1-linux-gnu-gcc headers=$scratch/headers-$1
    mkdir -p "$headers"
    ln -sfn /usr/include/linux "$headers/linux"
    ln -sfn /usr/include/asm-generic "$headers/asm-generic"
    for asm in "/usr/$1-linux-gnu/include/asm" "/usr/include/$1-linux-gnu/asm"; do
        [ ! -d "$asm" ] || ln -sfn "$asm" "$headers/asm"
    done
    cat >"$scratch/$1-openwrt-linux-musl-gcc" <<END
#!/bin/sh
[ "\$*" != -dumpmachine ] || { echo $1-openwrt-linux-musl; exit; }
exec $gcc -nostdinc -isystem /usr/include/$1-linux-musl -isystem $($gcc -print-file-name=include) -isystem $headers \\
    -nostdlib $musl/rcrt1.o $musl/crti.o $($gcc -print-file-name=crtbeginS.o) "\$@" -L$musl -lc \\
    $($gcc -print-libgcc-file-name) $($gcc -print-file-name=crtendS.o) $musl/crtn.o
END
    chmod +x "$scratch/$1-openwrt-linux-musl-gcc"
}

# What Buildroot and OpenWrt give to a recipe, no more than these recipes use.
buildroot() {
    cat >"$scratch/buildroot.mk" <<END
BR2_ARCH = $1
TARGET_CC = $scratch/$1-openwrt-linux-musl-gcc
TARGET_DIR = $scratch/buildroot/root
INSTALL = install
generic-package =
include $PWD/tests/packaging/buildroot/sandlock.mk
$tree/.stamp_target_installed:
	\$(SANDLOCK_BUILD_CMDS)
	\$(SANDLOCK_INSTALL_TARGET_CMDS)
END
    make -f "$scratch/buildroot.mk" "$tree/.stamp_target_installed" &&
        is_program "$scratch/buildroot/root/usr/bin/sandlock" "$2"
}

openwrt() {
    cat >"$scratch/rules.mk" <<END
ARCH = $1
TARGET_CC = $scratch/$1-openwrt-linux-musl-gcc
INCLUDE_DIR = $scratch
PKG_BUILD_DIR = $tree
INSTALL_DIR = install -d
INSTALL_BIN = install -m0755
END
    cat >"$scratch/package.mk" <<'END'
define BuildPackage
all:
	$(call Build/Compile)
	$(call Package/$(1)/install,$(ROOT))
endef
END
    make -f tests/packaging/openwrt/Makefile TOPDIR="$scratch" ROOT="$scratch/openwrt/root" all &&
        is_program "$scratch/openwrt/root/usr/bin/sandlock" "$2"
}

if command -v dpkg-buildpackage >/dev/null && command -v dh >/dev/null; then
    fresh debian
    step 'Debian: dpkg-buildpackage' debian ''
    deb=$(echo "$scratch"/debian/*.deb)
    dpkg-deb -x "$deb" "$scratch/debian/root"
    step 'Debian: the program' is_program "$scratch/debian/root/usr/bin/sandlock"
    if command -v lintian >/dev/null; then
        step 'Debian: lintian' lintian --allow-root --fail-on error,warning "$scratch"/debian/*.changes
    else
        skip 'Debian: lintian' lintian
    fi
else
    skip Debian debhelper
fi
fresh alpine
step 'Alpine: the functions of APKBUILD' alpine
for machine in x86_64 aarch64; do
    if [ -f /usr/lib/$machine-linux-musl/rcrt1.o ] && command -v $machine-linux-gnu-gcc >/dev/null; then
        where=foreign
        [ $machine != "$(uname -m)" ] || where=here
        musl_compiler $machine
        fresh buildroot-$machine
        step "Buildroot: the commands, $machine" buildroot $machine $where
        fresh openwrt-$machine
        step "OpenWrt: the commands, $machine" openwrt $machine $where
    else
        skip "Buildroot and OpenWrt, $machine" "a cross compiler and musl for it (./build.sh install $machine)"
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
