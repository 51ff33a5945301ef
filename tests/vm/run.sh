#!/bin/sh
# run.sh - runs the tests on other kernels, in QEMU: tests/vm/run.sh MACHINE KERNEL...
#
# MACHINE is x86_64 or aarch64, KERNEL the beginning of a Debian cloud kernel's version (5.10, 6.1, 6.12, 7). The guest
# is the kernel and an initramfs of BusyBox and what ./build.sh vm-test left in build/vm/MACHINE. It has a loopback
# interface and nothing else: what lacks something there skips itself and says what. Its init sets EMULATED, so that
# tests take more time for a step, fewer of what they have many of, and no race that has to be won. Kernels come as
# packages, by an apt configuration of our own, into $SANDLOCK_VM_CACHE; delete it to get newer ones.
#
# FILES names the tests to run instead of all, USERS who runs them (root nobody): each in a guest of his own, since QEMU
# is slow where the pages of programs that have ended are used again. build/vm/MACHINE/KERNEL.USER.log is all that the
# guest said. A line that its init says at the end decides, not QEMU's exit status: 0 for a crashed kernel.
set -eu
cd -- "$(dirname -- "$0")/../.."
: "${FILES=}" "${USERS=root nobody}" "${LIMIT=3600}" "${DEBIAN_MIRROR=}"
if [ -n "${XDG_CACHE_HOME-}" ]; then
    : "${SANDLOCK_VM_CACHE=$XDG_CACHE_HOME/sandlock}"
elif [ "$(id -u)" = 0 ]; then
    : "${SANDLOCK_VM_CACHE=/var/cache/sandlock-vm}"
else
    : "${SANDLOCK_VM_CACHE=$HOME/.cache/sandlock}"
fi
cache=$SANDLOCK_VM_CACHE apt=$SANDLOCK_VM_CACHE/apt keys=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
    echo "vm: $*" >&2
    exit 1
}

# Fetch the lists of the suites that have the kernels, from the mirror that this system itself uses. The system's own
# lists, sources and architectures stay as they are.
apt_prepare() {
    export APT_CONFIG="$apt/apt.conf"
    [ ! -f "$apt/ready" ] || return 0
    command -v apt-get >/dev/null || fail "kernels come from Debian's packages: apt-get is missing"
    if [ -z "$DEBIAN_MIRROR" ]; then
        DEBIAN_MIRROR=$(APT_CONFIG='' apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' |
            sed -n '/^Debian Debian /{ s///p; q; }')
    fi
    [ -n "$DEBIAN_MIRROR" ] || fail "set DEBIAN_MIRROR to the address of a Debian mirror"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/parts"
    : >"$apt/status"
    for suite in bullseye bookworm bookworm-backports trixie-backports; do
        echo "deb [signed-by=$keys] $DEBIAN_MIRROR $suite main"
    done >"$apt/sources.list"
    cat >"$apt/apt.conf" <<END
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "";
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "$apt/parts";
Dir::State "$apt";
Dir::State::Status "$apt/status";
Dir::Cache "$apt";
Acquire::Languages "none";
END
    apt-get -qq update
    touch "$apt/ready"
}

# Unpack packages into the directory $1, and keep what a guest may need of them.
unpack() {
    to=$1
    shift
    rm -rf "$to.part"
    mkdir -p "$to.part"
    (
        cd "$to.part"
        apt-get -qq download "$@"
        for package in *.deb; do
            dpkg-deb -x "$package" .
        done
        find . -type f ! -name 'vmlinuz*' ! -name '*_diag.ko*' ! -path ./bin/busybox -exec rm {} +
    )
    mv "$to.part" "$to"
}

# Set kernel to the image of the newest kernel $1 for this machine, and busybox. Newer images are in linux-binary-*
# and their modules in linux-modules-*.
provide() {
    directory=$cache/$debian/kernel-$1
    if [ ! -d "$directory" ] || [ ! -d "$cache/$debian/busybox" ]; then
        apt_prepare
    fi
    if [ ! -d "$directory" ]; then
        pattern="^linux-(image|binary)-$(echo "$1" | sed 's/[.]/\\./g')[.+][^ ]*-cloud-$debian\$"
        package=$(apt-cache search --names-only "$pattern" | cut -d' ' -f1 | sort -t- -k3,3V -k2,2r | tail -n 1)
        [ -n "$package" ] || fail "no cloud kernel $1 for $debian is in those suites"
        modules=$(echo "$package" | sed -n 's/^linux-binary-/linux-modules-/p')
        unpack "$directory" "$package:$debian" ${modules:+"$modules:$debian"}
    fi
    [ -d "$cache/$debian/busybox" ] || unpack "$cache/$debian/busybox" "busybox-static:$debian"
    kernel=$(find "$directory" -name 'vmlinuz*' | head -n 1) busybox=$cache/$debian/busybox/bin/busybox
    [ -n "$kernel" ] || fail "no kernel image is in $directory"
}

# The guest's file system, owned by root. Each kernel has its own: guests of two may be started at the same time.
initramfs() {
    root=$built/$version.root
    sh tests/vm/root.sh "$root" "$built" "$busybox"
    cp tests/vm/init tests/vm/inside "$root"
    echo 'net-allow 127.0.0.1:7501
command /inside' >"$root/etc/sandlock.policy"
    cp "$root/etc/sandlock.policy" "$root/policy"
    printf 'files="%s"\n' "$FILES" >"$root/sandlock/settings"
    for name in unix_diag inet_diag tcp_diag udp_diag; do
        module=$(find "$directory" -name "$name.ko*" | head -n 1)
        case $module in
        *.xz) xz -dc "$module" >"$root/$name.ko" ;;
        *.ko) cp "$module" "$root" ;;
        esac
    done
    (cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >"$built/$version.initramfs"
}

# cx16: QEMU 7.2 loses the flags of cmpxchg16b, and Linux 6.12 then crashes now and then. erms, fsrm: where a page had
# code, QEMU takes milliseconds for each byte that `rep stosb` clears. no_timer_check: timers are late when it's busy.
qemu() {
    case $machine in
    x86_64)
        set -- qemu-system-x86_64 -M q35 -cpu max,cx16=off,erms=off,fsrm=off -append "console=ttyS0 no_timer_check $1"
        ;;
    aarch64) set -- qemu-system-aarch64 -cpu max,pauth-impdef=on -M virt -append "console=ttyAMA0 $1" ;;
    esac
    timeout "$LIMIT" "$@" -accel tcg,thread=multi -m 768 -smp 2 -nographic -no-reboot -nodefaults -serial stdio \
        -kernel "$kernel" -initrd "$built/$version.initramfs" </dev/null
}

# Run the guest with this command line for its kernel; what it says is in $log. A kernel that crashed while it booted is
# started again: QEMU 7.2 races with kernels that patch their own text, and is slow on a busy machine.
boot() {
    for _ in 1 2 3; do
        qemu "quiet loglevel=3 panic=-1 $1" >"$log" || :
        sed -i 's/\r$//' "$log"
        if grep -q '^vm: ' "$log" || ! grep 'not syncing' "$log" | grep -qv 'kill init'; then
            return
        fi
    done
}

# What the guest's log says: the failures, what was skipped for what, and one line.
report() {
    awk '/^FAILED/ { on = 1; print; next } /^  / { if (on) print; next } { on = 0 }' "$log"
    sed -n 's/^skipped: .*: needs /needs /p' "$log" | sort | uniq -c | sed 's/^ */  skipped: /'
    if ! grep -q '^vm: end' "$log"; then
        tail -n 15 "$log"
        echo "$machine $1: FAILED: the guest did not reach its end"
        return 1
    fi
    sed -n "s/^vm: /$machine $1: /p" "$log"
    ! grep -q '^vm: .* [1-9][0-9]* failed' "$log"
}

# sandlock as the first process of the guest: the command has its rules, and its end powers off. $2 is for the kernel.
as_init() {
    log=$built/$version.init
    boot "rdinit=/sandlock/build/sandlock $2"
    if grep -q 'inside: ECONNREFUSED ENETUNREACH$' "$log" && grep -q 'reboot: Power down' "$log"; then
        echo "$machine $version: as the first process, $1: passed"
    else
        tail -n 5 "$log"
        echo "$machine $version: as the first process, $1: FAILED"
        status=1
    fi
}

machine=${1-}
[ $# -gt 1 ] || fail 'usage: tests/vm/run.sh MACHINE KERNEL...'
shift
case $machine in
x86_64) debian=amd64 ;;
aarch64) debian=arm64 ;;
*) fail "no virtual machine for $machine" ;;
esac
built=build/vm/$machine
status=0
for version; do
    provide "$version"
    initramfs
    for user in $USERS; do
        log=$built/$version.$user.log
        boot "TESTER=$user" # the kernel gives it to init as environment
        report "$version" || status=1
    done
    as_init 'arguments' '-- --net-allow 127.0.0.1:7501 /inside'
    as_init 'a policy that is named' 'SANDLOCK_POLICY=/policy'
    as_init '/etc/sandlock.policy' ''
done
exit $status
