/* fastopen - connect by a send, which names its destination itself (threats row 9)
 *
 * usage: fastopen. Every call that takes flags, IPv4 and IPv6, with garbage in the flags' high half; and the socket
 * options by which a later send connects. */
#include "attack.h"

#include <netinet/tcp.h>

enum { FASTOPEN = 0x20000000, CONNECT_OPTION = 30 /* TCP_FASTOPEN_CONNECT */, REPAIR_OPTION = 19, ULP_OPTION = 31 };

/* The victim, as each family writes it. */
static struct to {
    int family;
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } a;
} tos[3];

static void by_flag(struct to *to, const char *name, uint64_t flags)
{
    for (int call = 0; call < 3; call++) {
        static const char *const calls[] = {"sendto", "sendmsg", "sendmmsg"};
        char text[64];
        int s = socket(to->family, SOCK_STREAM, 0);
        struct iovec payload = {text, (size_t)snprintf(text, sizeof text, "%s %s", name, calls[call])};
        struct mmsghdr m = {.msg_hdr = {.msg_name = &to->a, .msg_namelen = to->len, .msg_iov = &payload}};

        m.msg_hdr.msg_iovlen = 1;
        if (call == 0)
            tried(text, syscall(__NR_sendto, s, text, payload.iov_len, flags, &to->a, to->len));
        else if (call == 1)
            tried(text, syscall(__NR_sendmsg, s, &m.msg_hdr, flags));
        else
            tried(text, syscall(__NR_sendmmsg, s, &m, 1, flags));
        close(s);
    }
}

/* connect() to the permitted destination waits for a send; that one names another, or a disconnect comes first. */
static void by_deferred_connect(bool disconnect)
{
    static const char text[] = "deferred connect";
    struct sockaddr_in good = at4(PERMITTED, PORT);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct iovec payload = {(void *)(uintptr_t)text, sizeof text - 1};
    struct msghdr m = {.msg_name = &tos[0].a, .msg_namelen = tos[0].len, .msg_iov = &payload, .msg_iovlen = 1};

    tried("TCP_FASTOPEN_CONNECT", setsockopt(s, IPPROTO_TCP, CONNECT_OPTION, &one, sizeof one));
    connect(s, (struct sockaddr *)&good, sizeof good);
    if (disconnect)
        tried("disconnect", connect(s, &none, sizeof none));
    tried(text, sendto(s, text, sizeof text - 1, MSG_NOSIGNAL, &tos[0].a.any, tos[0].len));
    tried(text, sendmsg(s, &m, MSG_NOSIGNAL));
    tried(text, connect(s, &tos[0].a.any, tos[0].len));
    tried(text, send(s, text, sizeof text - 1, MSG_NOSIGNAL));
    close(s);
}

/* Into the middle of a connection that was never made. */
static void by_repair(void)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1, off = 0;

    if (forbidden("TCP_REPAIR", setsockopt(s, IPPROTO_TCP, REPAIR_OPTION, &one, sizeof one)) == 0) {
        connect(s, &tos[0].a.any, tos[0].len); /* established at once, without a packet */
        setsockopt(s, IPPROTO_TCP, REPAIR_OPTION, &off, sizeof off);
        send(s, "repair", 6, MSG_NOSIGNAL);
    }
    close(s);
}

/* Upper layer protocols that turn a TCP socket into another kind. */
static void by_upper_layer(void)
{
    static const char *const names[] = {"smc", "mptcp", "espintcp"};

    for (size_t i = 0; i < COUNT(names); i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);

        forbidden(names[i], setsockopt(s, IPPROTO_TCP, ULP_OPTION, names[i], (socklen_t)strlen(names[i])));
        close(s);
    }
}

int main(void)
{
    tos[0] = (struct to){.family = AF_INET, .len = sizeof tos[0].a.four, .a.four = at4(VICTIM, PORT)};
    tos[1] = (struct to){.family = AF_INET6, .len = sizeof tos[1].a.six, .a.six = at6(VICTIM6, PORT)};
    tos[2] = (struct to){.family = AF_INET6, .len = sizeof tos[2].a.six, .a.six = at6("::ffff:" VICTIM, PORT)};
    for (size_t i = 0; i < COUNT(tos); i++) {
        by_flag(&tos[i], "flag", FASTOPEN);
        by_flag(&tos[i], "flag and others", FASTOPEN | MSG_NOSIGNAL | MSG_MORE | MSG_DONTWAIT);
        by_flag(&tos[i], "flag and garbage", FASTOPEN | 0xdeadbeef00000000);
    }
    permitted_works();
    by_deferred_connect(false);
    by_deferred_connect(true);
    by_repair();
    by_upper_layer();
    return attack_done();
}
