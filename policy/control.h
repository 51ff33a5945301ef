/* control.h - control: the connections of those who ask a running sandbox */
#ifndef POLICY_CONTROL_H
#define POLICY_CONTROL_H

#include "types.h"
#include "answers.h"
#include "call.h"
#include "events.h"
#include "live.h"
#include "match.h"
#include "options.h"
#include "../sys/base.h"
#include "../sys/clock.h"
#include "../sys/control.h"
#include "../sys/controlsock.h"
#include "../sys/growing.h"
#include "../sys/limits.h"
#include "../sys/log.h"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void client_watch(struct client *c, uint32_t events, int operation)
{
    watch(operation, c->fd, events, EVENT_CLIENT + (uint64_t)(c - server.clients));
}

static void client_set_waiting(struct client *c, bool waits)
{
    server.n_waiting += (size_t)waits - (size_t)c->waits;
    c->waits = waits;
}

static void client_close(struct client *c)
{
    follower_remove(c->fd);
    client_set_waiting(c, false);
    close(c->fd);
    free(c->in.p);
    free(c->out.p);
    *c = (struct client){.fd = -1};
}

/* Take connections. Where there are too many, the one that has been silent for longest makes room. */
static void clients_accept(void)
{
    int fd = controlsock_accept(server.listener, geteuid());
    struct client *c = &server.clients[0];

    if (fd < 0)
        return;
    for (size_t i = 0; i < CLIENTS_MAX && c->fd >= 0; i++)
        if (server.clients[i].fd < 0 || server.clients[i].active < c->active)
            c = &server.clients[i];
    if (c->fd >= 0)
        client_close(c);
    *c = (struct client){.fd = fd, .active = clock_ms()};
    client_watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

/* Send what there is to send, as far as it goes without waiting; then requests are read again. */
static void client_send(struct client *c)
{
    if (c->out.len == 0 && c->lists)
        list_more(c);
    if (c->out.len == 0 && c->follows)
        list_lines(c);
    ssize_t n = c->out.failed ? -1 : send(c->fd, c->out.p + c->sent, c->out.len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (c->out.failed || errno != EAGAIN)) {
        client_close(c);
        return;
    }
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->sent == c->out.len) {
        free(c->out.p);
        c->out = (struct growing){.p = NULL};
        c->sent = 0;
    }
    bool more = c->out.len > 0 || c->lists || (c->follows && c->next_line < n_kept_lines);
    if (!more && c->closes) {
        client_close(c);
        return;
    }
    if (!more && c->follows)
        followers[n_followers++] = (struct log_file){.fd = c->fd};
    if (more != c->writes)
        client_watch(c, more ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    c->writes = more;
}

/* A request's turn: one of each client, so that calls have theirs as well. */
static void client_take_turn(struct client *c)
{
    size_t len = control_length(growing_slice(&c->in), c->scanned);

    client_set_waiting(c, false);
    c->scanned = c->in.len;
    if (len > 0) {
        client_answer(c, (struct slice){c->in.p, len});
        memmove(c->in.p, c->in.p + len, c->in.len - len);
        c->in.len -= len;
        c->scanned = 0;
        client_set_waiting(c, c->in.len > 0 && !c->follows);
    } else if (c->in.len > CONTROL_REQUEST_MAX) {
        growing_add(&c->out, "sandlock %d error a message of more than %d bytes\n\n", CONTROL_VERSION,
                    CONTROL_REQUEST_MAX);
        c->closes = true;
    } else {
        c->closes = c->closes || c->ended;
    }
    if (c->out.len > 0 || c->closes || c->lists || c->follows)
        client_send(c);
}

/* Something happened to a connection. */
static void client_event(struct client *c)
{
    if (c->writes) {
        client_send(c);
        return;
    }
    if (c->follows || !growing_reserve(&c->in, 4096)) { /* who follows has nothing to say but that it is gone */
        client_close(c);
        return;
    }
    ssize_t n = recv(c->fd, c->in.p + c->in.len, c->in.room - c->in.len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0) {
        client_close(c);
        return;
    }
    c->in.len += (size_t)n;
    c->ended = n == 0;
    c->active = clock_ms();
    client_set_waiting(c, true);
}

/* One request of each client that has one. */
static void clients_turn(void)
{
    for (size_t i = 0; i < CLIENTS_MAX && server.n_waiting > 0; i++)
        if (server.clients[i].fd >= 0 && server.clients[i].waits && !server.clients[i].writes)
            client_take_turn(&server.clients[i]);
}

/* Nobody finds us any more. */
static void server_end(void)
{
    controlsock_remove(server.directory, settings.name, control_place.device, control_place.inode);
}

/* --name and --live: be there for those who want to control what is run. */
static void server_start(char **argv)
{
    static char number[16];
    const char *option = settings.name ? "--name" : "--live", *path = control_directory();
    struct stat status;

    prctl(PR_SET_NAME, "sandlock"); /* for clients, who look whether it is one of its own command's that answers */
    control_place.directories[0] = path ? realpath(path, NULL) : NULL;
    control_place.directories[1] = realpath("/run/sandlock", NULL);
    if (settings.name == NULL && !settings.live)
        return;
    snprintf(number, sizeof number, "%d", getpid());
    settings.name = settings.name ? settings.name : number;
    if (path == NULL)
        die("%s: XDG_RUNTIME_DIR isn't set; --control DIR would be right", option);
    server.directory = controlsock_open_directory(path, true);
    if (server.directory < 0)
        die("%s: %s: %s; a directory of your own with mode 0700 would be right, by --control DIR", option, path,
            server.directory == -EPERM ? "others can look or write there" : strerror(-server.directory));
    server.listener = controlsock_listen(server.directory, path, settings.name);
    if (server.listener == -EADDRINUSE)
        die("%s '%s': a sandbox of this name runs; another name would be right", option, settings.name);
    if (server.listener < 0 || fstatat(server.directory, settings.name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        die("%s '%s': cannot listen in %s: %s", option, settings.name, path,
            strerror(server.listener < 0 ? -server.listener : errno));
    control_place.device = status.st_dev;
    control_place.inode = status.st_ino;
    control_place.directories[0] = realpath(path, NULL);
    atexit(server_end);
    server.arguments = argv;
    server.started = time(NULL);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        server.clients[i].fd = -1;
}

static void server_watch(void)
{
    int result = watch(EPOLL_CTL_ADD, server.listener, EPOLLIN, EVENT_CONTROL);

    if (result < 0)
        die("cannot prepare to be controlled: %s", strerror(-result));
}

#endif
