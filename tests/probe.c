/* probe - one socket call made by hand, for the .test files: prints "ok", the value, or the errno's name.
 *
 * Exit status 0 whatever the call answers, 2 when the command line is wrong. The usage text says what there is. */
#include "probe_words.h"

static void do_socket(void)
{
    int family = number("a family"), type = number("a type"), protocol = number("a protocol");

    done(socket(family, type, protocol), false);
}

static void do_socketpair(void)
{
    int family = number("a family"), type = number("a type"), protocol = number("a protocol"), ends[2];

    done(socketpair(family, type, protocol, ends), false);
}

static void do_connect(void)
{
    struct address address;
    int fd = take_socket(&address);

    connect_or_fail(fd, &address);
    done(0, false);
}

static void do_sendto(void)
{
    struct address address;
    int fd = take_socket(&address);
    const char *text = word("a text");

    done(sendto(fd, text, strlen(text), number_or(0), (struct sockaddr *)&address.storage, address.len), true);
}

static void do_send(void)
{
    struct address address;
    int fd = take_socket(&address);
    const char *text = word("a text");

    connect_or_fail(fd, &address);
    done(send(fd, text, strlen(text), number_or(0)), true);
}

static void do_sendmsg(void)
{
    struct address address;
    int fd = take_socket(&address);
    char *text = word("a text");
    _Alignas(struct cmsghdr) unsigned char control[1024] = {0};
    struct iovec iov = {text, strlen(text)};
    struct msghdr message = {
        .msg_name = &address.storage, .msg_namelen = address.len, .msg_iov = &iov, .msg_iovlen = 1};
    int flags = number_or(0);

    if (*words != NULL) {
        struct cmsghdr *head = (struct cmsghdr *)control;
        head->cmsg_level = number("a level");
        head->cmsg_type = number("a type");
        size_t n = hex_bytes(word("the control data"), CMSG_DATA(head), sizeof control - CMSG_LEN(0));
        head->cmsg_len = (socklen_t)CMSG_LEN(n);
        message.msg_control = control;
        message.msg_controllen = (socklen_t)CMSG_SPACE(n);
    }
    done(sendmsg(fd, &message, flags), true);
}

static void do_sendmmsg(void)
{
    struct address address;
    int fd = take_socket(&address);
    char *text = word("a text");
    int count = number("a count");
    struct iovec iov = {text, strlen(text)};
    struct mmsghdr vector[COUNT_MAX];

    if (count < 0 || count > COUNT_MAX)
        usage("at most 64 messages");
    for (int i = 0; i < count; i++)
        vector[i] = (struct mmsghdr){.msg_hdr = {
            .msg_name = &address.storage, .msg_namelen = address.len, .msg_iov = &iov, .msg_iovlen = 1}};
    done(syscall(SYS_sendmmsg, fd, vector, count, number_or(0)), true); /* musl's sendmmsg is a loop of sendmsg */
}

static void do_ask(void)
{
    struct address address;
    int fd = take_socket(&address);
    const char *text = word("a text");
    static char answer[TEXT_MAX];
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    connect_or_fail(fd, &address);
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        failed();
    if (poll(&ready, 1, 5000) == 0) {
        errno = ETIMEDOUT;
        failed();
    }
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    if (n < 0)
        failed();
    printf("%.*s\n", (int)n, answer);
}

static void do_bind(void)
{
    struct address address;
    int fd = take_socket(&address);

    bind_or_fail(fd, &address);
    done(0, false);
}

static void do_listen(void)
{
    struct kind kind = kind_named(word("a socket"));
    int fd;

    if (*words == NULL) {
        fd = open_socket(kind, NULL);
    } else {
        struct address address = take_address(kind);
        fd = open_socket(kind, &address);
        bind_or_fail(fd, &address);
    }
    done(listen(fd, 16), false);
}

/* The port a bound IP socket has, in host order; 0 for others. */
static int bound_port(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        failed();
    if (name.ss_family != AF_INET && name.ss_family != AF_INET6)
        return 0;
    return ntohs(((struct sockaddr_in *)&name)->sin_port); /* sin6_port stands at the same place */
}

static void do_port(void)
{
    struct address address;
    int fd = take_socket(&address);

    bind_or_fail(fd, &address);
    done(bound_port(fd), true);
}

/* One peer's first piece goes back to it: a connection's, or a datagram. */
static void answer_one(int fd, bool stream)
{
    static char text[TEXT_MAX];
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int from = stream ? accept(fd, NULL, NULL) : fd;

    if (from < 0)
        failed();
    ssize_t n = recvfrom(from, text, sizeof text, 0, (struct sockaddr *)&peer, &len);
    if (n >= 0 && (stream ? send(from, text, (size_t)n, MSG_NOSIGNAL)
                          : sendto(from, text, (size_t)n, 0, (struct sockaddr *)&peer, len)) < 0)
        failed();
    if (stream)
        close(from);
}

static void do_serve(void)
{
    struct address address;
    int fd = take_socket(&address), type = 0;
    socklen_t len = sizeof type;

    bind_or_fail(fd, &address);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || (type != SOCK_DGRAM && listen(fd, 128) < 0))
        failed();
    printf("ready %d\n", bound_port(fd));
    fflush(stdout);
    for (int left = number_or(1); left > 0; left--)
        answer_one(fd, type != SOCK_DGRAM);
}

static void do_hold(void)
{
    struct address address;
    int fd = take_socket(&address), one = 1;

    if (address.storage.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&address.storage, address.len) < 0)
        failed();
    execvp(*words, words);
    failed();
}

static void do_setsockopt(void)
{
    int fd = open_socket(kind_named(word("a socket")), NULL);
    int level = number("a level"), option = number("an option"), value = 1;
    unsigned char bytes[1024];
    size_t len = sizeof value;
    char *text = *words;

    if (text != NULL && strncmp(text, "hex:", 4) == 0) {
        len = hex_bytes(text + 4, bytes, sizeof bytes);
    } else {
        value = number_or(1);
        memcpy(bytes, &value, sizeof value);
    }
    done(setsockopt(fd, level, option, bytes, (socklen_t)len), false);
}

static void do_getsockopt(void)
{
    int fd = open_socket(kind_named(word("a socket")), NULL);
    int level = number("a level"), option = number("an option"), value = 0;
    socklen_t len = sizeof value;

    if (getsockopt(fd, level, option, &value, &len) < 0)
        failed();
    done(value, true);
}

static void do_ioctl(void)
{
    int fd = open_socket(kind_named(word("a socket")), NULL);
    unsigned long request = (unsigned long)number_of(word("a request"));
    static char buffer[256];
    long argument = *words == NULL ? (long)(intptr_t)buffer : number_of(word("a number"));
    long result = syscall(SYS_ioctl, fd, request, argument);

    done(result, result != 0);
}

static void do_syscall(void)
{
    long nr = number_of(word("a number")), argument[6] = {0};

    for (int i = 0; i < 6 && *words != NULL; i++) {
        char *text = word("an argument"), *end;
        argument[i] = (long)strtoul(text, &end, 0);
        if (*text == '\0' || *end != '\0')
            argument[i] = (long)(intptr_t)text;
    }
    done(syscall(nr, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]), true);
}

static const struct command {
    const char *name;
    void (*run)(void);
} commands[] = {
    {"socket", do_socket},         {"socketpair", do_socketpair}, {"connect", do_connect}, {"sendto", do_sendto},
    {"sendmsg", do_sendmsg},       {"sendmmsg", do_sendmmsg},     {"send", do_send},       {"ask", do_ask},
    {"bind", do_bind},             {"listen", do_listen},         {"port", do_port},       {"serve", do_serve},
    {"hold", do_hold},
    {"setsockopt", do_setsockopt}, {"getsockopt", do_getsockopt}, {"ioctl", do_ioctl},     {"syscall", do_syscall},
};

int main(int argc, char **argv)
{
    if (argc < 2)
        usage("what call?");
    words = argv + 2;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, argv[1]) == 0) {
            commands[i].run();
            return 0;
        }
    usage(argv[1]);
}
