/* addrconfig - fetch a page from a host by name, as a program linked with musl does that asks getaddrinfo(3) for
 * AI_ADDRCONFIG: addrconfig HOST PORT */
#define _GNU_SOURCE
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WRONG_USE = 2, ANSWER_MAX = 4096 };

static const char request[] = "GET / HTTP/1.0\r\n\r\n";

/* Send the request, print the last line of the answer. 0, or 1 when nothing came. */
static int fetch(int fd)
{
    char answer[ANSWER_MAX + 1];
    size_t len = 0;
    ssize_t n;

    if (send(fd, request, sizeof request - 1, 0) < 0)
        return 1;
    while ((n = recv(fd, answer + len, ANSWER_MAX - len, 0)) > 0)
        len += (size_t)n;
    while (len > 0 && answer[len - 1] == '\n')
        len--;
    answer[len] = 0;
    const char *line = memrchr(answer, '\n', len);
    puts(line ? line + 1 : answer);
    return len == 0;
}

int main(int argc, char **argv)
{
    struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM}, *found;

    if (argc != 3) {
        fprintf(stderr, "usage: addrconfig HOST PORT\n");
        return WRONG_USE;
    }
    int error = getaddrinfo(argv[1], argv[2], &hints, &found);
    if (error != 0) {
        printf("getaddrinfo: %s\n", error == EAI_SYSTEM ? "EAI_SYSTEM" : gai_strerror(error));
        return 1;
    }
    for (const struct addrinfo *to = found; to != NULL; to = to->ai_next) {
        int fd = socket(to->ai_family, to->ai_socktype, to->ai_protocol);

        if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
            return fetch(fd);
        perror("connect");
        close(fd);
    }
    return 1;
}
