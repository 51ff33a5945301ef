/* signals_storm.h - rows of signals.c: signals in quick succession, of which no thread may see errno 512 */
#ifndef SIGNALS_STORM_H
#define SIGNALS_STORM_H

#include "signals_connect.h"

/* Threads that connect all the time, under signals to the process and to each of them. No answer may be one that only
 * the kernel knows (ERESTARTSYS is 512): only EINTR. */
enum { WAITERS = 8, SIGNALS = 2500, SIGNAL_PAUSE_US = 3000 };

static volatile bool leaving;

struct waiter {
    struct hole hole;
    pthread_t thread;
    long interrupted;
    long strange; /* the first answer that was none of those expected */
};

static void *waiter_run(void *argument)
{
    struct waiter *w = argument;

    while (!leaving) {
        long result = hole_connect(&w->hole);
        if (result == -EINTR)
            w->interrupted++;
        else if (!leaving && w->strange == 0)
            w->strange = result;
    }
    return NULL;
}

static void on_user_signal(int sig)
{
    (void)sig;
}

static void storm(int flags, bool leader_blocks, bool leader_waits)
{
    static struct waiter waiters[WAITERS];
    struct hole hole = hole_make();
    pid_t pid = getpid();
    sigset_t usr1;
    long interrupted_sum = 0;
    long strange = 0;

    handle(SIGUSR1, on_user_signal, flags);
    handle(SIGUSR2, on_user_signal, 0);
    for (int i = 0; i < WAITERS; i++) {
        waiters[i].hole = hole;
        waiters[i].hole.fd = open_stream();
        waiters[i].thread = start(waiter_run, &waiters[i]);
    }
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    if (leader_blocks)
        MUST(sigprocmask(SIG_BLOCK, &usr1, NULL));
    pid_t sender = (pid_t)MUST(fork());
    if (sender == 0) {
        for (long i = 0; i < SIGNALS / slower(slower(1)); i++) {
            kill(pid, SIGUSR1);
            usleep((useconds_t)slower(SIGNAL_PAUSE_US));
        }
        _exit(0);
    }
    struct waiter self = {.hole = hole};
    self.hole.fd = open_stream();
    for (int sent = 0; waitpid(sender, NULL, WNOHANG) == 0; sent++) {
        pthread_kill(waiters[sent % WAITERS].thread, SIGUSR1);
        if (leader_waits) {
            set_send_timeout(self.hole.fd, 20);
            long result = hole_connect(&self.hole);
            if (result != -EINTR && result != -EINPROGRESS && result != -EALREADY)
                strange = result;
        } else {
            usleep((useconds_t)slower(SIGNAL_PAUSE_US));
        }
    }
    leaving = true;
    for (int i = 0; i < WAITERS; i++) {
        while (pthread_tryjoin_np(waiters[i].thread, NULL) != 0) {
            pthread_kill(waiters[i].thread, SIGUSR2);
            usleep((useconds_t)slower(SIGNAL_PAUSE_US));
        }
        interrupted_sum += waiters[i].interrupted;
        strange = strange == 0 ? waiters[i].strange : strange;
    }
    out(" interrupted=%s strange=", interrupted_sum > 0 ? "yes" : "no");
    out_result(strange);
}

static void storm_interrupts(void)
{
    storm(0, false, false);
}

static void storm_restarts(void)
{
    storm(SA_RESTART, false, false);
}

static void storm_leader_blocks(void)
{
    storm(0, true, false);
}

static void storm_leader_waits(void)
{
    storm(0, false, true);
}

#endif
