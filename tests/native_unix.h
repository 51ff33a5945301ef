/* native_unix.h - rows of unix sockets (descriptors, credentials, names) and of netlink */
#ifndef NATIVE_UNIX_H
#define NATIVE_UNIX_H

#include "native_steps.h"

#include <sys/stat.h>

/* ---- unix sockets: descriptors, credentials ---- */

enum { RIGHTS_ROOM = 300 };

/* Receive once; how many descriptors came, whether the first is `same`, and whose credentials. */
static void out_rights(int fd, int same)
{
    static unsigned char control[4096];
    char buffer[64];
    struct iovec iov = {buffer, sizeof buffer};
    struct header header = {.iov = &iov, .iovlen = 1, .control = control, .controllen = sizeof control};
    struct stat sent, got;

    wait_for(fd, POLLIN, 20); /* after a refused send nothing comes */
    long n = RAW(SYS_recvmsg, fd, &header, MSG_DONTWAIT);
    out_result(n);
    if (n < 0)
        return;
    out(" flags=%x", header.flags);
    for (size_t at = 0; at + sizeof(struct control_head) <= header.controllen;) {
        struct control_head head;
        memcpy(&head, control + at, sizeof head);
        const unsigned char *data = control + at + sizeof head;
        if (head.type == SCM_RIGHTS) {
            int first;
            memcpy(&first, data, sizeof first);
            MUST(fstat(first, &got));
            MUST(fstat(same, &sent));
            out(" rights=%zu", (head.len - sizeof head) / sizeof first);
            out(" %s", got.st_ino == sent.st_ino ? "same" : "other");
        } else if (head.type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, data, sizeof who);
            out(" pid=%s uid=%s gid=%s", who.pid == getpid() ? "own" : "other", who.uid == getuid() ? "own" : "other",
                who.gid == getgid() ? "own" : "other");
        }
        at += (head.len + 7) / 8 * 8;
    }
}

/* Send n descriptors of `fd` along with one byte. */
static void send_rights(const struct fixture *f, int fd, size_t n)
{
    static unsigned char control[sizeof(struct control_head) + RIGHTS_ROOM * sizeof(int)];
    int fds[RIGHTS_ROOM];
    struct iovec iov = {payload, 1};

    for (size_t i = 0; i < n; i++)
        fds[i] = fd;
    put_control(control, SOL_SOCKET, SCM_RIGHTS, fds, n * sizeof *fds, sizeof(struct control_head) + n * sizeof *fds);
    struct header header = {.iov = &iov, .iovlen = 1, .control = control,
                            .controllen = sizeof(struct control_head) + n * sizeof *fds};
    if (f->named_sends) {
        header.name = (void *)(uintptr_t)&f->to.storage;
        header.namelen = (int32_t)f->to.len;
    }
    out_result(RAW(SYS_sendmsg, f->fd, &header, 0));
}

static void rights_by_count(struct fixture f)
{
    static const size_t counts[] = {0, 1, 2, 253, 254, 299};
    int file = not_file();

    for (size_t i = 0; i < COUNT(counts); i++) {
        out(" %zu:", counts[i]);
        send_rights(&f, file, counts[i]);
        out_rights(f.peer, file);
    }
}

static void rights_stream(void)
{
    rights_by_count(fixture_make(&unix_stream, PAIR, false));
}

static void rights_seqpacket(void)
{
    rights_by_count(fixture_make(&unix_seqpacket, PAIR, false));
}

static void rights_dgram(void)
{
    rights_by_count(fixture_make(&unix_dgram, PAIR, false));
}

static void rights_dgram_named(void)
{
    rights_by_count(fresh(&unix_dgram));
}

static void rights_of_what(struct fixture f)
{
    int tcp = kind_open(&tcp4);

    send_rights(&f, -1, 1);
    send_rights(&f, 1 << 20, 1);
    send_rights(&f, tcp, 1);
    out_rights(f.peer, tcp);
    send_rights(&f, f.fd, 1);
    out_rights(f.peer, f.fd);
    send_rights(&f, not_path(), 1);
    out_rights(f.peer, tcp);
}

static void rights_kinds_stream(void)
{
    rights_of_what(fixture_make(&unix_stream, PAIR, false));
}

static void rights_kinds_dgram(void)
{
    rights_of_what(fixture_make(&unix_dgram, PAIR, false));
}

static void send_credentials(const struct fixture *f, struct ucred who)
{
    unsigned char control[64];
    unsigned char *end = put_control(control, SOL_SOCKET, SCM_CREDENTIALS, &who, sizeof who,
                                     sizeof(struct control_head) + sizeof who);
    struct iovec iov = {payload, 1};
    struct header header = {.iov = &iov, .iovlen = 1, .control = control, .controllen = (size_t)(end - control)};

    if (f->named_sends) {
        header.name = (void *)(uintptr_t)&f->to.storage;
        header.namelen = (int32_t)f->to.len;
    }
    out_result(RAW(SYS_sendmsg, f->fd, &header, 0));
}

static void credentials(struct fixture f)
{
    set_int(f.peer, SOL_SOCKET, SO_PASSCRED, 1);
    if (f.named_sends)
        step_sendto(f.fd, "x", 1, 0, f.to);
    else
        step_send(f.fd, "x", 1, 0);
    out_rights(f.peer, 0);
    send_credentials(&f, (struct ucred){getpid(), getuid(), getgid()});
    out_rights(f.peer, 0);
}

static void credentials_stream(void)
{
    credentials(fixture_make(&unix_stream, PAIR, false));
}

static void credentials_seqpacket(void)
{
    credentials(fixture_make(&unix_seqpacket, PAIR, false));
}

static void credentials_dgram(void)
{
    credentials(fixture_make(&unix_dgram, PAIR, false));
}

static void credentials_dgram_named(void)
{
    credentials(fresh(&unix_dgram));
}

static void credentials_connected(void)
{
    credentials(fixture_make(&unix_stream, CONNECTED, false));
}

static void credentials_lied(struct fixture f)
{
    set_int(f.peer, SOL_SOCKET, SO_PASSCRED, 1);
    send_credentials(&f, (struct ucred){1, getuid(), getgid()});
    send_credentials(&f, (struct ucred){getpid(), getuid() + 1, getgid()});
    send_credentials(&f, (struct ucred){getpid(), getuid(), getgid() + 1});
}

static void credentials_lied_stream(void)
{
    credentials_lied(fixture_make(&unix_stream, PAIR, false));
}

static void credentials_lied_dgram(void)
{
    credentials_lied(fixture_make(&unix_dgram, PAIR, false));
}

static void out_peer_credentials(int fd)
{
    struct ucred who = {0};
    socklen_t len = sizeof who;

    MUST(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len));
    out(" pid=%s uid=%s gid=%s", who.pid == getpid() ? "own" : "other", who.uid == getuid() ? "own" : "other",
        who.gid == getgid() ? "own" : "other");
}

static void credentials_of_peer(void)
{
    struct fixture f = fixture_make(&unix_stream, CONNECTED, false);

    out_peer_credentials(f.fd);
    out_peer_credentials(f.peer);
    struct fixture abstract = fixture_make(&abstract_stream, CONNECTED, false);
    out_peer_credentials(abstract.fd);
    out_peer_credentials(abstract.peer);
}

/* With SO_PASSCRED a socket without a name gets one when it connects: unix(7). */
static void credentials_name(void)
{
    struct fixture f = fresh(&unix_stream);

    set_int(f.fd, SOL_SOCKET, SO_PASSCRED, 1);
    step_connect(f.fd, f.to);
    out_own_name(f.fd);
}

static void unix_sender_name(void)
{
    struct fixture f = fresh(&unix_dgram);
    char buffer[8];
    struct address from = {.len = sizeof from.storage};

    step_bind(f.fd, address_un("own"));
    step_sendto(f.fd, "x", 1, 0, f.to);
    out_result(RAW(SYS_recvfrom, f.peer, buffer, sizeof buffer, MSG_DONTWAIT, &from.storage, &from.len));
    out(" ");
    out_address(&from);
}

static void unix_record_end(void)
{
    struct fixture f = fixture_make(&unix_seqpacket, PAIR, false);

    step_send(f.fd, "abc", 3, MSG_EOR);
    step_send(f.fd, "def", 3, 0);
    out_rights(f.peer, 0);
    out_rights(f.peer, 0);
}

static void unix_wrong_type(void)
{
    struct fixture stream = fresh(&unix_stream);

    step_connect(kind_open(&unix_seqpacket), stream.to); /* EPROTOTYPE: unix(7) */
}

static void unix_wrong_type_dgram(void)
{
    struct fixture dgram = fresh(&unix_dgram);

    step_connect(kind_open(&unix_stream), dgram.to);
}

static void unix_backlog(void)
{
    struct fixture f = fixture_make(&unix_stream, BOUND, false);
    struct address own = name_of_socket(f.fd);

    MUST(listen(f.fd, 1));
    for (int i = 0; i < 4; i++) {
        int fd = kind_open(&unix_stream);
        set_nonblocking(fd);
        step_connect(fd, own);
    }
    int fd = kind_open(&unix_stream);
    set_timeout(fd, 60);
    step_connect(fd, own);
}

static void unix_no_permission(void)
{
    struct fixture f = fresh(&unix_stream);

    MUST(chmod("peer", 0));
    step_connect(f.fd, f.to); /* EACCES but for root */
}

static void unix_symbolic_link(void)
{
    struct fixture f = fresh(&unix_stream);

    MUST(symlink("peer", "own"));
    step_connect(f.fd, address_un("own"));
    struct address peer = {.len = sizeof peer.storage};
    MUST(getpeername(f.fd, address_of(&peer), &peer.len));
    out(" ");
    out_address(&peer);
}

static void unix_changed_directory(void)
{
    struct fixture f = fresh(&unix_stream);

    MUST(mkdir("below", 0700));
    MUST(chdir("below"));
    step_connect(f.fd, address_un("peer"));
    step_connect(f.fd, address_un("../peer"));
    MUST(chdir(".."));
    MUST(rmdir("below"));
}

/* ---- netlink ---- */

/* Dump the interfaces; whose port the answers carry. */
static void netlink_dump(int fd, uint32_t groups)
{
    struct {
        struct nlmsghdr head;
        unsigned char family, padding[15];
    } request = {.head = {.nlmsg_len = sizeof request, .nlmsg_type = 18, /* RTM_GETLINK */
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = 7}};
    static char buffer[65536];
    struct address to = address_netlink(0, groups);

    step_sendto(fd, &request, sizeof request, 0, to);
    struct address own = name_of_socket(fd);
    wait_for(fd, POLLIN, WAIT_MS);
    long n = RAW(SYS_recvfrom, fd, buffer, sizeof buffer, MSG_DONTWAIT, NULL, NULL);
    const struct nlmsghdr *answer = (const struct nlmsghdr *)(void *)buffer;
    uint32_t port = ((const struct sockaddr_nl *)&own.storage)->nl_pid;
    if (n > 0)
        out(" type=%d port=%s bound=%s", answer->nlmsg_type, answer->nlmsg_pid == port ? "own" : "other",
            port == (uint32_t)getpid() ? "pid" : "else");
    else
        out_result(n);
}

static void netlink_dump_unbound(void)
{
    netlink_dump(kind_open(&netlink), 0);
}

static void netlink_dump_bound(void)
{
    int fd = kind_open(&netlink);

    step_bind(fd, address_netlink(0, 0));
    netlink_dump(fd, 0);
}

static void netlink_second(void)
{
    int first = kind_open(&netlink), second = kind_open(&netlink);

    step_bind(first, address_netlink((uint32_t)getpid(), 0));
    step_bind(second, address_netlink((uint32_t)getpid(), 0));
    netlink_dump(second, 0);
}

static void netlink_connected(void)
{
    int fd = kind_open(&netlink);

    step_connect(fd, address_netlink(0, 0));
    step_connect(fd, address_unspec());
    step_connect(fd, address_netlink(4321, 0));
    netlink_dump(fd, 0);
}

#endif
