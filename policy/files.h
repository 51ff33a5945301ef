/* files.h - files: the Landlock domain of the command */
#ifndef POLICY_FILES_H
#define POLICY_FILES_H

#include "types.h"
#include "ruleset.h"
#include "setters.h"
#include "../sys/base.h"
#include "../sys/filerules.h"
#include "../sys/landlock.h"
#include "../sys/path.h"

#include <limits.h>

enum { KNOB_RIGHTS = LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE, HARMLESS_MAX = 16 };

static void files_permit(int ruleset, const char *path, uint64_t rights, size_t length)
{
    int result = file_rules_permit(&settings.file_rules, ruleset, path, rights, length);

    if (result < 0)
        die("cannot permit '%s': %s", path, strerror(-result));
}

/* No writing beneath this, unless it is beneath such a path already. */
static void files_close(struct slice path)
{
    struct file_rules *rules = &settings.file_rules;
    char *copy = strndup(path.p, path.len); /* lives to exit */

    if (copy == NULL)
        die("out of memory");
    for (size_t i = 0; i < rules->n; i++)
        if (rules->rules[i].takes == KNOB_RIGHTS && path_is_beneath(copy, rules->rules[i].path))
            return;
    if (rules->n == FILE_RULES_MAX - HARMLESS_MAX)
        die("too many mounts of the kernel's own to close: at most %d", FILE_RULES_MAX);
    rules->rules[rules->n++] = (struct file_rule){copy, 0, KNOB_RIGHTS};
}

/* What the kernel gives its owner to change, whatever his capabilities: a root command finds it closed, but for
 * devices that do no harm. What -w names is the user's wish. */
static void files_close_knobs(void)
{
    static const char *const kinds[] = {"proc",    "sysfs",    "devtmpfs",   "cgroup", "cgroup2",  "debugfs",
                                        "tracefs", "configfs", "securityfs", "bpf",    "efivarfs", "pstore"};
    struct slice rest = {NULL, 0};

    files_close(slice_of("/proc"));
    files_close(slice_of("/sys"));
    files_close(slice_of("/dev"));
    if (access("/proc/self/mounts", R_OK) == 0)
        rest = read_whole("--allow-syscall machine would do without", "", "/proc/self/mounts");
    while (rest.len > 0) {
        struct slice line = slice_split(&rest, '\n');

        slice_split(&line, ' ');
        struct slice directory = slice_split(&line, ' '), kind = slice_split(&line, ' ');
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
            if (slice_is(kind, kinds[i]))
                files_close((struct slice){directory.p, path_unescape((char *)(uintptr_t)directory.p, directory.len)});
    }
}

/* Has the user said which files are open? */
static bool files_are_chosen(void)
{
    bool chosen = settings.restricts_files;

    for (size_t i = 0; i < settings.file_rules.n; i++)
        chosen = chosen || settings.file_rules.rules[i].takes == UINT64_MAX;
    return chosen;
}

/* Devices that do no harm stay, in /dev closed or under -r and -w, unless --fs-deny covers them; with -r and -w not
 * those in which files are made or others are to be found. */
static void files_spare_devices(void)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full",   "/dev/random", "/dev/urandom",
                                          "/dev/tty",  "/dev/ptmx", "/dev/pts",    "/dev/shm",    "/dev/mqueue",
                                          "/dev/console"};
    enum { OWN = 6 }; /* the first, which lead to nobody else */
    struct file_rules *rules = &settings.file_rules;
    size_t n = settings.restricts_files ? OWN : ARRAY_LEN(devices);

    for (size_t i = 0; i < n; i++)
        if (file_rules_taken(rules, devices[i], false, 0) != UINT64_MAX)
            rules->rules[rules->n++] = (struct file_rule){devices[i], LANDLOCK_READ_FILE | KNOB_RIGHTS |
                                                                      LANDLOCK_IOCTL_DEV, 0};
}

/* The command's Landlock domain: TCP, UDP, unix sockets and its neighbours as a second wall, files where the user says
 * so or the command may be root. A descriptor; -1: this kernel has nothing of it. */
static int files_prepare(int abi)
{
    struct landlock_domain domain = {LANDLOCK_RESOLVE_UNIX, LANDLOCK_OF_TCP | LANDLOCK_OF_UDP,
                                     LANDLOCK_SCOPE_ABSTRACT | LANDLOCK_SCOPE_SIGNAL};
    bool chosen = files_are_chosen();

    settings.closes_knobs =
        geteuid() == 0 && !(settings.allowed_groups & 1u << GROUP_MACHINE) && abi >= LANDLOCK_ABI_REFER;
    if (chosen && abi < 1)
        die("-r, -w and --fs-deny need Landlock, which this kernel doesn't have (5.13, CONFIG_SECURITY_LANDLOCK)");
    if (chosen)
        domain.fs = UINT64_MAX;
    else if (settings.closes_knobs)
        domain.fs |= KNOB_RIGHTS | LANDLOCK_REFER;
    else if (abi == LANDLOCK_ABI_REFER || abi == LANDLOCK_ABI_TRUNCATE || abi >= LANDLOCK_ABI_UNIX)
        domain.fs |= LANDLOCK_REFER; /* a domain needs something to handle, and files without REFER break renames */
    domain.fs &= landlock_fs_rights(abi);
    int ruleset = landlock_create(abi, domain);
    if (ruleset == -ENOMSG || ruleset == -ENOSYS || ruleset == -EOPNOTSUPP)
        return -1;
    if (ruleset < 0)
        die("cannot make a Landlock ruleset: %s", strerror(-ruleset));
    if (abi >= LANDLOCK_ABI_UDP) /* a send takes a port, and without a destination it is to get the kernel's answer */
        landlock_permit_port(ruleset, 0, LANDLOCK_BIND_UDP);
    if (settings.closes_knobs)
        files_close_knobs();
    if (settings.closes_knobs || settings.restricts_files)
        files_spare_devices();
    if (!settings.restricts_files && domain.fs != 0)
        files_permit(ruleset, "/", domain.fs & ~(uint64_t)LANDLOCK_RESOLVE_UNIX, 0);
    for (size_t i = 0; i < settings.file_rules.n; i++) {
        const struct file_rule *rule = &settings.file_rules.rules[i];

        files_permit(ruleset, rule->path, rule->gives & domain.fs, strlen(rule->path));
    }
    return ruleset;
}

#endif
