/* hostsfile.h - what /etc/hosts shows inside */
#ifndef POLICY_HOSTSFILE_H
#define POLICY_HOSTSFILE_H

#include "types.h"
#include "call.h"
#include "change.h"
#include "live.h"
#include "rules.h"
#include "../sys/base.h"
#include "../sys/growing.h"
#include "../sys/hosts.h"
#include "../sys/kernel.h"
#include "../sys/mounts.h"
#include "../sys/resolve.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

/* An image's own file, or loopback; this machine's name; the names of the rules. */
static void hosts_compose(struct growing *file)
{
    struct growing real = {.p = NULL}, image = {.p = NULL};
    char machine[HOST_NAME_MAX + 1] = "";
    const struct ip_addr *addr;

    if (settings.chroot != NULL)
        hosts_load(&image, settings.chroot, "/etc/hosts");
    else
        hosts_load(&real, NULL, "/etc/hosts");
    gethostname(machine, sizeof machine - 1);
    hosts_compose_base(file, growing_slice(&image));
    hosts_compose_machine(file, growing_slice(&real), slice_of(machine));
    for (size_t i = 0; i < policy.n_names; i++)
        for (size_t a = 0; (addr = resolve_address(&policy.names[i], a)) != NULL; a++)
            hosts_compose_entry(file, *addr, policy.names[i].name);
    if (file->failed)
        die("cannot compose the hosts file: out of memory");
    free(real.p);
    free(image.p);
}

/* A new file of this text that nobody can change. A descriptor or -errno. */
static int hosts_seal(struct slice text)
{
    int fd = sys_result(memfd_create("hosts", MFD_CLOEXEC | MFD_ALLOW_SEALING));

    if (fd < 0 || (write(fd, text.p, text.len) == (ssize_t)text.len &&
                   fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0))
        return fd;
    close(fd);
    return -EIO;
}

/* The names of live rules, each with the addresses that it had. */
static void hosts_add_live(struct growing *file)
{
    static struct rule rule;

    for (size_t i = 0; i < live.n_rules; i++) {
        if (live.rules[i].places == 0 || !live_rule_is_named(&live.rules[i]) ||
            rule_parse(slice_of(live.rules[i].text), LIST_ALLOW, &rule) != NULL)
            continue;
        for (struct slice at = slice_of(live_rule_at(&live.rules[i])); at.p != NULL;) {
            struct ip_addr addr;

            if (ip_addr_parse(slice_split(&at, ' '), &addr) == 0)
                hosts_compose_entry(file, addr, rule.name);
        }
    }
}

/* Live rules have named other hosts than before: show them. false: it can't be done. */
static bool hosts_show_live(void)
{
    struct growing file = {.p = NULL};
    bool shown = false;

    live.names_changed = false;
    if (here.hosts < 0 && here.hosts_mounted < 0)
        return false;
    growing_append(&file, growing_slice(&here.hosts_base));
    hosts_add_live(&file);
    if (here.hosts_mounted >= 0) {
        shown = !file.failed && pwrite(here.hosts_mounted, file.p, file.len, 0) == (ssize_t)file.len &&
                ftruncate(here.hosts_mounted, (off_t)file.len) == 0;
    } else {
        int fd = file.failed ? -ENOMEM : hosts_seal(growing_slice(&file));

        shown = fd >= 0;
        if (shown)
            close(here.hosts);
        here.hosts = shown ? fd : here.hosts;
    }
    free(file.p);
    return shown;
}

/* Show the hosts file inside, where rules have names or may get some: by a mount (asked for, or under --chroot where
 * that can be done), else by answering opens. The mount to be made; -1: none. */
static int hosts_prepare(void)
{
    struct growing *file = &here.hosts_base;

    bool shows = (policy.n_names > 0 || settings.live) && !settings.no_hosts;
    if (!shows && policy.undecided != UNDECIDED_LEARNED)
        return -1;
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = settings.chroot ? RESOLVE_IN_ROOT : 0};
    int root CLOSE_FD = open(settings.chroot ? settings.chroot : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    here.real_hosts = sys_openat2(root, "/etc/hosts", &how);
    if (!shows)
        return -1; /* only who reads it is of interest */
    hosts_compose(file);
    bool mounts = here.real_hosts >= 0 && (settings.hosts_mount || settings.chroot);
    int mounted = mounts ? mounts_make_file(file->p, file->len, &here.hosts_mounted) : -1;
    if (mounted < 0 && settings.hosts_mount)
        die("--hosts-mount: %s; %s", here.real_hosts < 0 ? "there is no /etc/hosts to cover" : strerror(-mounted),
            "root with CAP_SYS_ADMIN and Linux 5.2 would be right, or no --hosts-mount");
    if (mounted < 0 && here.real_hosts >= 0 && here.proc) {
        here.hosts = hosts_seal(growing_slice(file));
        if (here.hosts < 0)
            die("cannot compose the hosts file: %s", strerror(-here.hosts));
    }
    settings.no_hosts = here.hosts < 0; /* opens needn't be looked at */
    if (mounted < 0 && here.hosts < 0 && policy.n_names > 0)
        say("names are not shown inside: there is no %s", here.real_hosts < 0 ? "/etc/hosts" : "/proc");
    return mounted < 0 ? -1 : mounted;
}

#endif
