/* listen - be reachable without leave (threats row 15)
 *
 * usage: listen. listen() without bind() takes a port by itself; so does connect(). */
#include "attack.h"

static void listen_on(const char *what, int family, const void *address, socklen_t len, bool connect_first)
{
    struct sockaddr_in good = at4(PERMITTED, PORT);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    int s = socket(family, SOCK_STREAM, 0);

    if (connect_first) { /* a port of its own, and no peer */
        tried(what, connect(s, (struct sockaddr *)&good, sizeof good));
        tried(what, connect(s, &none, sizeof none));
    }
    if (len > 0)
        tried(what, bind(s, address, len));
    forbidden(what, listen(s, 5));
    close(s);
}

static void bind_to(const char *what, int family, int type, const void *address, socklen_t len)
{
    int s = socket(family, type, 0);

    if (s < 0)
        answer("%s: socket: %s", what, strerror(errno));
    else
        forbidden(what, bind(s, address, len));
    close(s);
}

int main(void)
{
    struct sockaddr_in any = at4("0.0.0.0", 0), some = at4(PERMITTED, 7410), all = at4("0.0.0.0", 7410);
    struct sockaddr_in6 any6 = at6("::", 0), some6 = at6("::", 7410), mapped = at6("::ffff:" PERMITTED, 7410);
    struct sockaddr_in unspecified = all;

    unspecified.sin_family = AF_UNSPEC; /* AF_INET to bind(), if the address is zero */
    listen_on("listen without bind", AF_INET, NULL, 0, false);
    listen_on("listen without bind, v6", AF_INET6, NULL, 0, false);
    listen_on("listen on port 0", AF_INET, &any, sizeof any, false);
    listen_on("listen on port 0, v6", AF_INET6, &any6, sizeof any6, false);
    listen_on("listen after connect", AF_INET, NULL, 0, true);
    listen_on("listen on a port", AF_INET, &some, sizeof some, false);
    bind_to("bind", AF_INET, SOCK_STREAM, &some, sizeof some);
    bind_to("bind to all", AF_INET, SOCK_STREAM, &all, sizeof all);
    bind_to("bind unspecified", AF_INET, SOCK_STREAM, &unspecified, sizeof unspecified);
    bind_to("bind v6", AF_INET6, SOCK_STREAM, &some6, sizeof some6);
    bind_to("bind mapped", AF_INET6, SOCK_STREAM, &mapped, sizeof mapped);
    bind_to("bind UDP", AF_INET, SOCK_DGRAM, &some, sizeof some);
    bind_to("bind UDP v6", AF_INET6, SOCK_DGRAM, &some6, sizeof some6);
    permitted_works();
    return attack_done();
}
