/* impostor - listen in the place of a control socket, and answer who asks there (threats row 53)
 *
 * usage: impostor PATH ended | threads | FROM. `sandlock restrict` would believe it: who listened has ended, or is a
 * process with threads, for which the supervisor listens. FROM, a path: nobody is accepted, and everybody would wait;
 * it listens there first, since who is inside can't connect to a control socket. */
#include "attack.h"

#include <pthread.h>

/* Listen, and be connected to until the next one would wait. */
static void wait_full(int s, const struct sockaddr_un *at, socklen_t len, const char *path)
{
    if (listen(s, 0) < 0)
        broken("cannot listen: %s", strerror(errno));
    while (connect(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), (const struct sockaddr *)at, len) == 0)
        ;
    if (errno != EAGAIN || rename(at->sun_path, path) < 0)
        broken("%s: %s", path, strerror(errno));
    puts("listens");
    fflush(stdout);
    pause();
}

int main(int argc, char **argv)
{
    static const char answer_all[] = "sandlock 1 ok\n\n";
    char request[4096];
    struct sockaddr_un at;
    pthread_t thread;

    if (argc != 3)
        broken("usage: impostor PATH HOW");
    bool full = argv[2][0] == '/';
    socklen_t len = at_unix(&at, argv[full ? 2 : 1]);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (s < 0 || (unlink(argv[1]) < 0 && errno != ENOENT) || bind(s, (struct sockaddr *)&at, len) < 0)
        broken("%s: %s", argv[1], strerror(errno));
    if (full)
        wait_full(s, &at, len, argv[1]);
    if (strcmp(argv[2], "threads") == 0)
        pthread_create(&thread, NULL, wait_for_ever, NULL);
    else if (fork() == 0)
        _exit(listen(s, 64) < 0);
    if (strcmp(argv[2], "threads") == 0 ? listen(s, 64) < 0 : wait(NULL) < 0)
        broken("cannot listen: %s", strerror(errno));
    puts("listens");
    fflush(stdout);
    signal(SIGPIPE, SIG_IGN);
    for (int c; (c = accept(s, NULL, NULL)) >= 0; close(c))
        if (read(c, request, sizeof request) > 0 && write(c, answer_all, sizeof answer_all - 1) < 0)
            continue;
    return 0;
}
