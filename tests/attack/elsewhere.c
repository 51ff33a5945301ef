/* elsewhere - through /proc/PID/root of a process that sees other files, where the command can't go (threats row 55)
 *
 * usage: elsewhere PID DIRECTORY: of a process of the same user outside, which has files of its own at DIRECTORY and
 * listens there as "victim". A rule names that path, as it is here. */
#include "attack.h"

#include <pthread.h>

int main(int argc, char **argv)
{
    char there[100], path[200];
    struct sockaddr_un at;
    pthread_t thread;

    if (argc != 3)
        broken("usage: elsewhere PID DIRECTORY");
    snprintf(there, sizeof there, "/proc/%s/root%s", argv[1], argv[2]);
    forbidden("to look there", access(there, R_OK));
    snprintf(path, sizeof path, "/proc/self/root%s/victim", there);
    socklen_t len = at_unix(&at, path);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    forbidden("connect", connect(s, (struct sockaddr *)&at, len));
    pthread_create(&thread, NULL, wait_for_ever, NULL); /* what a process with threads binds is bound for it */
    snprintf(path, sizeof path, "%s/own", there);
    len = at_unix(&at, path);
    forbidden("bind", bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&at, len));
    return attack_done();
}
