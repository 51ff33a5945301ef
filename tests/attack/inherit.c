/* inherit - use sockets that were open before the sandbox was (threats row 16)
 *
 * usage: inherit leaked | stdin, under outside -i and outside -s KIND. */
#include "attack.h"

static void use(const char *name, int fd)
{
    struct sockaddr_in to = at4(VICTIM, PORT);
    struct sockaddr_un unix_to;

    tried(name, sendto(fd, name, strlen(name), MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to));
    tried(name, write(fd, name, strlen(name)));
    for (int i = 0; i < 2; i++) {
        const char *victim = i ? "@" VICTIM_UNIX ".stream" : "@" VICTIM_UNIX ".dgram";
        socklen_t len = at_unix(&unix_to, victim);

        tried(name, sendto(fd, name, strlen(name), MSG_NOSIGNAL, (struct sockaddr *)&unix_to, len));
        tried(name, connect(fd, (struct sockaddr *)&unix_to, len));
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "leaked") == 0) {
        use("a UDP socket", LEAKED_UDP);
        use("a connection", LEAKED_TCP);
        use("a unix socket", LEAKED_UNIX);
        for (int fd = 3; fd < 1024; fd++)
            if (fcntl(fd, F_GETFD) >= 0)
                escape("descriptor %d is open", fd);
    } else if (argc == 2 && strcmp(argv[1], "stdin") == 0)
        use("stdin", STDIN_FILENO);
    else
        broken("usage: inherit leaked | stdin");
    return attack_done();
}
