/* privilege - what root, or a kernel interface, could open (threats rows 21, 35, 36, 37, 45, 47)
 *
 * usage: privilege calls | namespaces | capabilities | setid | filters | lent | knobs | truncate | network | threaded
 *        privilege abi N    is Landlock's ABI at least N?
 * Every argument is chosen so that success does no harm: files that don't exist, interfaces that don't, the same value
 * again. */
#include "attack.h"

#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <linux/sock_diag.h>
#include <linux/inet_diag.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#define NOWHERE "/nonexistent/sandlock"

enum { NOBODY = 65534, TUN_INTERFACE = 0x400454ca /* TUNSETIFF */, GARBAGE_SHIFT = 40 };

/* Numbers that old headers lack; both machines have the same. */
enum {
    CALL_OPEN_TREE = 428, CALL_MOVE_MOUNT = 429, CALL_FSOPEN = 430, CALL_FSPICK = 433, CALL_CLONE3 = 435,
    CALL_MOUNT_SETATTR = 442, CALL_QUOTACTL_FD = 443, CALL_LANDLOCK_CREATE_RULESET = 444,
};

static void calls_about_mounts(void)
{
    forbidden_to_ask("mount", syscall(__NR_mount, "none", NOWHERE, "tmpfs", 0, NULL));
    forbidden_to_ask("umount2", syscall(__NR_umount2, NOWHERE, 0));
    forbidden_to_ask("pivot_root", syscall(__NR_pivot_root, NOWHERE, NOWHERE));
    forbidden("open_tree", syscall(CALL_OPEN_TREE, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */));
    forbidden("fsopen", syscall(CALL_FSOPEN, "tmpfs", 0));
    forbidden_to_ask("fspick", syscall(CALL_FSPICK, AT_FDCWD, NOWHERE, 0));
    forbidden_to_ask("move_mount", syscall(CALL_MOVE_MOUNT, AT_FDCWD, NOWHERE, AT_FDCWD, NOWHERE, 0));
    forbidden_to_ask("mount_setattr", syscall(CALL_MOUNT_SETATTR, AT_FDCWD, NOWHERE, 0, &(uint64_t[4]){0}, 32));
    forbidden_to_ask("quotactl", syscall(__NR_quotactl, 0x80000400 /* Q_GETFMT */, NOWHERE, 0, NULL));
    forbidden_to_ask("quotactl_fd", syscall(CALL_QUOTACTL_FD, -1, 0x80000400, 0, NULL));
    forbidden_to_ask("acct", syscall(__NR_acct, NOWHERE));
    forbidden_to_ask("swapon", syscall(__NR_swapon, NOWHERE, 0));
    forbidden_to_ask("swapoff", syscall(__NR_swapoff, NOWHERE));
    forbidden("mknod", mknod(in_dir("node"), S_IFCHR | 0600, makedev(1, 3)));
    unlink(in_dir("node"));
    struct {
        uint32_t bytes;
        int32_t type;
        char handle[128];
    } handle = {8, 1, {0}};
    forbidden_to_ask("open_by_handle_at", syscall(__NR_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY));
    forbidden("fanotify_init", syscall(__NR_fanotify_init, 0, O_RDONLY));
    forbidden("fanotify_init by name", syscall(__NR_fanotify_init, 0x200 /* FAN_REPORT_FID */, O_RDONLY));
}

static void calls_about_the_machine(void)
{
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event, .exclude_kernel = 1,
                                    .exclude_hv = 1};
    struct utsname name;

    uname(&name);
    forbidden("bpf", syscall(__NR_bpf, BPF_MAP_CREATE, &map, sizeof map));
    forbidden("perf_event_open", syscall(__NR_perf_event_open, &event, 0, -1, -1, 0));
    forbidden_to_ask("init_module", syscall(__NR_init_module, NULL, 0, ""));
    forbidden_to_ask("finit_module", syscall(__NR_finit_module, -1, "", 0));
    forbidden_to_ask("delete_module", syscall(__NR_delete_module, "sandlock_none", O_NONBLOCK));
    forbidden_to_ask("kexec_load", syscall(__NR_kexec_load, 0, 0, NULL, 0xffff0000));
    forbidden_to_ask("kexec_file_load", syscall(__NR_kexec_file_load, -1, -1, 0, NULL, 0xffff));
    forbidden_to_ask("reboot", syscall(__NR_reboot, 0, 0, 0, NULL)); /* without its magic numbers */
    forbidden("sethostname", sethostname(name.nodename, strlen(name.nodename)));
    forbidden_to_ask("keyctl", syscall(__NR_keyctl, 0, -3, 1));
    forbidden("add_key", syscall(__NR_add_key, "user", "sandlock", "x", 1, -2));
    forbidden_to_ask("request_key", syscall(__NR_request_key, "user", "sandlock-none", NULL, -2));
    forbidden("kcmp", syscall(__NR_kcmp, getpid(), getpid(), 0, 0, 1));
    forbidden_to_ask("userfaultfd", syscall(__NR_userfaultfd, O_CLOEXEC | 1));
    forbidden_to_ask("USERFAULTFD_IOC_NEW", ioctl(STDOUT_FILENO, 0xAA00, 0));
    forbidden("personality", syscall(__NR_personality, 0x0400000 /* READ_IMPLIES_EXEC */));
#if defined(__x86_64__)
    forbidden("iopl", syscall(__NR_iopl, 3));
    forbidden("ioperm", syscall(__NR_ioperm, 0x80, 1, 1));
#endif
}

static void calls(void)
{
    calls_about_mounts();
    calls_about_the_machine();
}

static const struct {
    const char *name;
    uint64_t flag;
} spaces[] = {
    {"mount", CLONE_NEWNS}, {"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC}, {"user", CLONE_NEWUSER},
    {"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET}, {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80},
};

static uint64_t flag_now;

static long by_unshare(void)
{
    return syscall(__NR_unshare, flag_now);
}

static long by_clone(void)
{
    long pid = syscall(__NR_clone, flag_now | SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0)
        _exit(0);
    return pid;
}

static void namespaces(void)
{
    char text[64];
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int pidfd = (int)syscall(__NR_pidfd_open, getppid(), 0);
    struct {
        uint64_t flags, rest[7];
    } clone3 = {CLONE_NEWNET, {0, 0, 0, SIGCHLD, 0, 0, 0}};

    for (size_t i = 0; i < COUNT(spaces); i++)
        for (unsigned garbage = 0; garbage < 2; garbage++) {
            flag_now = spaces[i].flag | (uint64_t)garbage << GARBAGE_SHIFT;
            snprintf(text, sizeof text, "unshare %s%s", spaces[i].name, garbage ? " with garbage" : "");
            forbidden_in_child(text, by_unshare);
            if (spaces[i].flag == 0x80)
                continue; /* clone's low byte is a signal */
            snprintf(text, sizeof text, "clone %s%s", spaces[i].name, garbage ? " with garbage" : "");
            forbidden_in_child(text, by_clone);
        }
    forbidden("setns", syscall(__NR_setns, own, 0));
    forbidden("setns by pid", syscall(__NR_setns, pidfd, CLONE_NEWNET));
    forbidden_to_ask("clone3", syscall(CALL_CLONE3, &clone3, 8)); /* too short a structure: never carried out */
}

/* What root must not have, in any set that an exec or a thread could draw from. */
static void capabilities(void)
{
    static const struct {
        const char *name;
        int number;
    } dangerous[] = {
        {"DAC_READ_SEARCH", 2}, {"NET_BROADCAST", 11}, {"NET_ADMIN", 12}, {"NET_RAW", 13}, {"SYS_MODULE", 16},
        {"SYS_RAWIO", 17}, {"SYS_PTRACE", 19}, {"SYS_PACCT", 20}, {"SYS_ADMIN", 21}, {"SYS_BOOT", 22}, {"SYS_NICE", 23},
        {"SYS_RESOURCE", 24}, {"SYS_TIME", 25}, {"SYS_TTY_CONFIG", 26}, {"MKNOD", 27}, {"AUDIT_CONTROL", 30},
        {"MAC_OVERRIDE", 32}, {"MAC_ADMIN", 33}, {"SYSLOG", 34}, {"WAKE_ALARM", 35}, {"BLOCK_SUSPEND", 36},
        {"AUDIT_READ", 37}, {"PERFMON", 38}, {"BPF", 39}, {"CHECKPOINT_RESTORE", 40},
    };
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};

    if (syscall(__NR_capget, &header, data) < 0)
        broken("capget: %s", strerror(errno));
    for (size_t i = 0; i < COUNT(dangerous); i++) {
        int n = dangerous[i].number;
        uint32_t bit = 1u << (n % 32);
        const struct __user_cap_data_struct *d = &data[n / 32];

        if ((d->effective | d->permitted | d->inheritable) & bit)
            escape("has %s", dangerous[i].name);
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, n, 0, 0) == 1)
            escape("%s is ambient", dangerous[i].name);
        /* NET_RAW may stay there for ping's sake: we were executed, and no_new_privs didn't let it come back. */
        if (geteuid() == 0 && strcmp(dangerous[i].name, "NET_RAW") != 0 && prctl(PR_CAPBSET_READ, n) == 1)
            escape("%s is in the bounding set", dangerous[i].name);
    }
    answer("none of %zu", COUNT(dangerous));
}

static long run_set_id(void)
{
    execl(in_dir("setuid"), "setuid", "--euid", (char *)NULL);
    return -1;
}

static void setid(void)
{
    if (geteuid() == 0)
        broken("root has nothing to gain by it");
    if (access(in_dir("setuid"), X_OK) < 0)
        broken("no set-user-id program was prepared: outside must start as root");
    forbidden_in_child("a set-user-id program", run_set_id);
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        escape("no_new_privs is off");
}

/* Filters of the child's own: one that allows all, and one whose listener continues all. */
static void filters(void)
{
    struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter notify[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_connect, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog allow_all = {COUNT(allow), allow}, ask = {COUNT(notify), notify};
    struct sockaddr_in to = at4(VICTIM, PORT);

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    tried("a filter", syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &allow_all));
    int s = socket(AF_INET, SOCK_STREAM, 0);
    tried("connect under it", connect(s, (struct sockaddr *)&to, sizeof to));
    int listener = (int)tried("a listener", syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
                                                    SECCOMP_FILTER_FLAG_NEW_LISTENER,
                                                    &ask));
    pid_t server = listener < 0 ? -1 : fork();
    while (server == 0) {
        struct seccomp_notif n = {0};
        struct seccomp_notif_resp r = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

        syscall(__NR_ioctl, listener, SECCOMP_IOCTL_NOTIF_RECV, &n);
        r.id = n.id;
        syscall(__NR_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
    }
    close(listener);
    s = socket(AF_INET, SOCK_STREAM, 0);
    tried("connect with a listener", connect(s, (struct sockaddr *)&to, sizeof to));
    if (server > 0)
        kill(server, SIGKILL);
}

/* Root becomes nobody inside: what is done for it must be done as nobody. Natively the kernel holds this. */
static void lent(void)
{
    struct sockaddr_in low = at4(PERMITTED, 81);
    int start = 1024, fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY);
    char text[16] = "";

    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0)
        start = atoi(text);
    if (geteuid() != 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
        broken("root is needed to begin with");
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (start > 81)
        forbidden("bind to port 81", bind(s, (struct sockaddr *)&low, sizeof low));
    forbidden("SO_MARK", setsockopt(s, SOL_SOCKET, SO_MARK, &(int){1}, sizeof(int)));
    forbidden("SO_RCVBUFFORCE", setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &(int){1 << 20}, sizeof(int)));
}

static void open_for_writing(const char *path)
{
    static const char *const prefixes[] = {"", "/proc/self/root", "/proc/self/cwd/../../../../../../.."};
    char text[200];

    for (size_t i = 0; i < COUNT(prefixes); i++) {
        snprintf(text, sizeof text, "%s%s", prefixes[i], path);
        int fd = open(text, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && errno == EINVAL)
            fd = open(text, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
            continue; /* not on this machine */
        forbidden(text, fd);
        if (fd >= 0)
            close(fd);
    }
}

/* What is made in cgroupfs, configfs and the like does nothing before its files are written. */
static void knobs(void)
{
    static const char *const paths[] = {
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug",
        "/proc/sys/kernel/sysrq", "/proc/sys/kernel/usermodehelper/bset", "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/all/route_localnet",
        "/proc/sys/vm/overcommit_memory", "/proc/sysrq-trigger", "/proc/mtrr", "/proc/net/pktgen/pgctrl",
        "/proc/fs/nfsd/threads", "/proc/irq/0/smp_affinity", "/proc/1/mem", "/proc/1/oom_score_adj",
        "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/class/net/lo/mtu", "/sys/kernel/mm/ksm/run",
        "/sys/module/tcp_cubic/parameters/beta", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/release_agent",
        "/sys/fs/cgroup/unified/cgroup.procs", "/sys/kernel/security/lockdown", "/sys/kernel/debug/sched/features",
        "/sys/kernel/tracing/tracing_on", "/dev/mem", "/dev/port", "/dev/kmsg", "/dev/net/tun", "/dev/vda",
        "/dev/vda1", "/dev/sda", "/dev/nvme0n1", "/dev/loop0", "/dev/loop-control", "/dev/mapper/control", "/dev/fuse",
        "/dev/kvm", "/dev/vhost-net", "/dev/vhost-vsock", "/dev/uinput", "/dev/userfaultfd", "/dev/ppp", "/dev/vsock",
        "/dev/rtc0", "/dev/cuse", "/dev/btrfs-control", "/dev/ram0", "/dev/nvme-fabrics", "/dev/nbd0", "/dev/snapshot",
        "/dev/cpu/0/msr",
    };

    for (size_t i = 0; i < COUNT(paths); i++)
        open_for_writing(paths[i]);
    forbidden("read /dev/mem", open("/dev/mem", O_RDONLY));
    forbidden("read /proc/kcore", open("/proc/kcore", O_RDONLY));
    int dir = open("/proc/sys", O_RDONLY | O_DIRECTORY);
    forbidden("core_pattern from a directory", openat(dir, "kernel/core_pattern", O_WRONLY));
    int null = open("/dev/null", O_RDWR);
    if (null < 0)
        broken("/dev/null can't be opened either: %s", strerror(errno));
}

/* A right of its own since Landlock's ABI 3. */
static void truncates(void)
{
    forbidden("truncate core_pattern", truncate("/proc/sys/kernel/core_pattern", 0) < 0 ? -1 : 0);
}

/* One request over netlink: the error in its acknowledgement, as -1 and errno. */
static long netlink(int protocol, void *request, size_t len)
{
    char room[8192];
    struct nlmsghdr *h = (struct nlmsghdr *)room;
    int s = socket(AF_NETLINK, SOCK_RAW, protocol);

    if (s < 0)
        return -1;
    struct iovec payload = {request, len};
    struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};
    ssize_t n = sendmsg(s, &m, 0) < 0 ? -1 : recv(s, room, sizeof room, 0);
    close(s);
    if (n < (ssize_t)sizeof *h)
        return -1;
    if (h->nlmsg_type != NLMSG_ERROR)
        return 0;
    errno = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
    return errno ? -1 : 0;
}

static void by_netlink(void)
{
    struct {
        struct nlmsghdr h;
        union {
            struct ifaddrmsg address;
            struct ifinfomsg link;
            struct rtmsg route;
        };
        struct rtattr attribute;
        uint32_t value;
    } r = {.h = {.nlmsg_len = sizeof r, .nlmsg_type = RTM_NEWADDR,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE}};
    struct {
        struct nlmsghdr h;
        struct inet_diag_req_v2 request;
    } destroy = {.h = {.nlmsg_len = sizeof destroy, .nlmsg_type = SOCK_DESTROY,
                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};

    r.address = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 999999};
    r.attribute = (struct rtattr){sizeof r.attribute + 4, IFA_LOCAL};
    forbidden_to_ask("RTM_NEWADDR", netlink(NETLINK_ROUTE, &r, sizeof r));
    r.h.nlmsg_type = RTM_NEWLINK;
    r.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    r.link = (struct ifinfomsg){.ifi_family = AF_UNSPEC, .ifi_index = 999999};
    forbidden_to_ask("RTM_NEWLINK", netlink(NETLINK_ROUTE, &r, sizeof r));
    r.h.nlmsg_type = RTM_NEWROUTE;
    r.route = (struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 200};
    forbidden_to_ask("RTM_NEWROUTE", netlink(NETLINK_ROUTE, &r, sizeof r));
    struct sockaddr_in own = {0}, to = at4(PERMITTED, DEAF_PORT); /* the other one would reset it */
    socklen_t len = sizeof own;
    int tcp = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(tcp, (struct sockaddr *)&to, sizeof to) < 0 || getsockname(tcp, (struct sockaddr *)&own, &len) < 0)
        broken("the permitted destination answers: %s", strerror(errno));
    destroy.request = (struct inet_diag_req_v2){.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP,
                                                .idiag_states = ~0u};
    destroy.request.id = (struct inet_diag_sockid){.idiag_sport = own.sin_port, .idiag_dport = to.sin_port,
                                                   .idiag_src = {own.sin_addr.s_addr},
                                                   .idiag_dst = {to.sin_addr.s_addr},
                                                   .idiag_cookie = {~0u, ~0u}};
    forbidden("SOCK_DESTROY", netlink(NETLINK_SOCK_DIAG, &destroy, sizeof destroy));
    struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = 1};
    static const char event[] = "change@/nowhere\0ACTION=change\0DEVPATH=/nowhere";
    int s = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
    if (s < 0)
        answer("a uevent: socket: %s", strerror(errno));
    else
        forbidden("a uevent", sendto(s, event, sizeof event, 0, (struct sockaddr *)&group, sizeof group));
}

/* For a process of many threads the supervisor may do the calls itself: not with what it may and we may not. */
static void threaded(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, wait_for_ever, NULL);
    by_netlink();
}

static void network(void)
{
    static const struct {
        const char *name;
        unsigned long request;
    } requests[] = {
        {"SIOCSIFADDR", SIOCSIFADDR}, {"SIOCSIFFLAGS", SIOCSIFFLAGS}, {"SIOCSIFNETMASK", SIOCSIFNETMASK},
        {"SIOCSIFMTU", SIOCSIFMTU}, {"SIOCSIFNAME", SIOCSIFNAME}, {"SIOCSIFHWADDR", SIOCSIFHWADDR},
        {"SIOCSIFTXQLEN", SIOCSIFTXQLEN}, {"SIOCBRADDIF", 0x89a2}, {"SIOCBONDENSLAVE", 0x8990},
    };
    struct rtentry route = {.rt_dst.sa_family = AF_INET, .rt_flags = RTF_UP, .rt_dev = "sandlock0"};
    struct arpreq arp = {.arp_pa.sa_family = AF_INET, .arp_flags = ATF_COM, .arp_dev = "sandlock0"};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    char text[64];

    for (unsigned garbage = 0; garbage < 2; garbage++) {
        unsigned long high = (unsigned long)garbage << GARBAGE_SHIFT;

        for (size_t i = 0; i < COUNT(requests); i++) {
            struct ifreq r = {.ifr_name = "sandlock0"};

            snprintf(text, sizeof text, "%s%s", requests[i].name, garbage ? " with garbage" : "");
            r.ifr_addr.sa_family = AF_INET;
            forbidden_to_ask(text, syscall(__NR_ioctl, s, requests[i].request | high, &r));
        }
        forbidden_to_ask("SIOCADDRT", syscall(__NR_ioctl, s, SIOCADDRT | high, &route));
        forbidden_to_ask("SIOCDELRT", syscall(__NR_ioctl, s, SIOCDELRT | high, &route));
        forbidden_to_ask("SIOCSARP", syscall(__NR_ioctl, s, SIOCSARP | high, &arp));
        forbidden_to_ask("SIOCDARP", syscall(__NR_ioctl, s, SIOCDARP | high, &arp));
    }
    struct ifreq tap = {.ifr_name = "sandlock0", .ifr_flags = 2 | 0x1000 /* IFF_TAP | IFF_NO_PI */};
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tun >= 0)
        forbidden("TUNSETIFF", syscall(__NR_ioctl, tun, (unsigned long)TUN_INTERFACE, &tap));
    close(tun);
    by_netlink();
    close(s);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {{"calls", calls}, {"namespaces", namespaces}, {"capabilities", capabilities}, {"setid", setid},
               {"filters", filters}, {"lent", lent}, {"knobs", knobs}, {"truncate", truncates},
               {"network", network}, {"threaded", threaded}};

    if (argc == 3 && strcmp(argv[1], "abi") == 0) /* has the kernel's Landlock this one? */
        return syscall(CALL_LANDLOCK_CREATE_RULESET, NULL, 0, 1 /* VERSION */) < atol(argv[2]);
    for (size_t i = 0; argc == 2 && i < COUNT(all); i++)
        if (strcmp(argv[1], all[i].name) == 0) {
            all[i].run();
            return attack_done();
        }
    broken("usage: privilege calls | namespaces | capabilities | setid | filters | lent | knobs | truncate | network | "
           "threaded");
}
