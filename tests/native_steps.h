/* native_steps.h - the steps of a row with a story of its own: a call, and its answer in the line */
#ifndef NATIVE_STEPS_H
#define NATIVE_STEPS_H

#include "native_control.h"

/* ---- steps ---- */

static long step_connect(int fd, struct address to)
{
    long result = RAW(SYS_connect, fd, &to.storage, to.len);

    out_result(result);
    return result;
}

static long step_bind(int fd, struct address to)
{
    long result = RAW(SYS_bind, fd, &to.storage, to.len);

    out_result(result);
    return result;
}

static void step_send(int fd, const void *p, size_t n, int flags)
{
    out_result(RAW(SYS_sendto, fd, p, n, flags, NULL, 0));
}

static void step_sendto(int fd, const void *p, size_t n, int flags, struct address to)
{
    out_result(RAW(SYS_sendto, fd, p, n, flags, &to.storage, to.len));
}

/* SO_ERROR's name, which takes it. */
static void step_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
    out(" error=%s", error == 0 ? "0" : errno_name(error));
}

static void step_poll(int fd)
{
    short events = wait_for(fd, POLLIN | POLLOUT | POLLRDHUP, WAIT_MS);

    out(" poll=%x", (unsigned)events);
}

/* The length and the text of the next message, up to what a line bears. */
static void step_recv(int fd, int flags)
{
    char buffer[256];

    wait_for(fd, POLLIN, WAIT_MS);
    long n = RAW(SYS_recvfrom, fd, buffer, sizeof buffer, flags | MSG_DONTWAIT, NULL, NULL);
    out_result(n);
    if (n > 0)
        out("'%.*s'", n > 32 ? 32 : (int)n, buffer);
}

static void step_recv_length(int fd)
{
    static char buffer[131072];

    wait_for(fd, POLLIN, WAIT_MS);
    out(" got");
    out_result(RAW(SYS_recvfrom, fd, buffer, sizeof buffer, MSG_DONTWAIT, NULL, NULL));
}

static void out_own_name(int fd)
{
    struct address name = name_of_socket(fd);

    out(" ");
    out_address(&name);
}

static uint16_t port_of(int fd)
{
    struct address name = name_of_socket(fd);

    return address_port(&name);
}

static void out_ports_equal(int a, int b)
{
    out(" ports %s", port_of(a) == port_of(b) ? "equal" : "differ");
}

static struct fixture fresh(const struct kind *kind)
{
    return fixture_make(kind, FRESH, false);
}

/* A port that answers nobody, of the kind. */
static struct address refusing(const struct kind *kind)
{
    return fixture_make(kind, REFUSED, false).to;
}

#endif
