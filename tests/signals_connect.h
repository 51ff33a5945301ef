/* signals_connect.h - rows of signals.c: connects that wait, one or many, and signals, forks and stops meanwhile */
#ifndef SIGNALS_CONNECT_H
#define SIGNALS_CONNECT_H

#include "signals_steps.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- a connect that waits, and a signal ---- */

static void connect_interrupted(void)
{
    struct hole hole = hole_make();

    handle(SIGALRM, on_signal, 0);
    tick(slower(SIGNAL_EVERY_MS));
    out_result(hole_connect(&hole));
    out_result(hole_connect(&hole)); /* and joined, interrupted again */
    tick(0);
    step_look(&hole);
}

static void on_third_signal(int sig)
{
    (void)sig;
    if (++handled == 3)
        hole_open(&interrupted);
}

static void connect_restarted(void)
{
    interrupted = hole_make();
    handle(SIGALRM, on_third_signal, SA_RESTART);
    tick(slower(SIGNAL_EVERY_MS));
    out_result(hole_connect(&interrupted));
    tick(0);
    out_result(hole_connect(&interrupted));
    out(" handled=%s", handled >= 3 ? "yes" : "no");
}

static void on_some_signals(int sig)
{
    (void)sig;
    if (++handled == 3)
        tick(0);
}

/* With a time limit it isn't restarted: signal(7). */
static void connect_limited_interrupted(void)
{
    struct hole hole = hole_make();

    handle(SIGALRM, on_some_signals, SA_RESTART);
    set_send_timeout(hole.fd, slower(3000));
    tick(slower(SIGNAL_EVERY_MS));
    out_result(hole_connect(&hole));
    tick(0);
    step_look(&hole);
}

static void connect_limited(void)
{
    struct hole hole = hole_make();

    set_send_timeout(hole.fd, 100);
    out_result(hole_connect(&hole));
    out_result(hole_connect(&hole));
    set_send_timeout(hole.fd, 0);
    hole_open(&hole);
    out_result(hole_connect(&hole));
}

/* Signals that nobody handles and that do nothing, or that are blocked, don't end the wait. */
static void connect_uninterested(void)
{
    struct hole hole = hole_make();
    pid_t parent = getpid();
    sigset_t blocked;

    handle(SIGUSR1, on_signal, 0);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    MUST(sigprocmask(SIG_BLOCK, &blocked, NULL));
    signal(SIGUSR2, SIG_IGN);
    pid_t sender = (pid_t)MUST(fork());
    if (sender == 0) {
        static const int signals[] = {SIGWINCH, SIGURG, SIGCONT, SIGUSR1, SIGUSR2};
        sleep_ms(slower(SETTLE_MS));
        for (size_t i = 0; i < COUNT(signals); i++)
            kill(parent, signals[i]);
        sleep_ms(slower(3 * SETTLE_MS));
        _exit(0); /* SIGCHLD */
    }
    set_send_timeout(hole.fd, slower(800));
    out_result(hole_connect(&hole));
    out(" handled=%d", (int)handled);
    MUST(sigprocmask(SIG_UNBLOCK, &blocked, NULL));
    out(" then=%d", (int)handled);
}

/* The handler connects too, elsewhere. */
static void on_signal_connect(int sig)
{
    struct hole other = interrupted;

    (void)sig;
    other.fd = open_stream();
    set_send_timeout(other.fd, 20);
    if (handled++ == 0)
        out(" inner"), out_result(hole_connect(&other));
}

static void connect_nested(void)
{
    interrupted = hole_make();
    handle(SIGALRM, on_signal_connect, 0);
    tick(slower(3 * SIGNAL_EVERY_MS));
    long result = hole_connect(&interrupted);
    tick(0);
    out_result(result);
    step_look(&interrupted);
}

static sigjmp_buf away;

static void on_signal_jump(int sig)
{
    (void)sig;
    siglongjmp(away, 1);
}

static void connect_jumped_out(void)
{
    struct hole hole = hole_make();

    handle(SIGALRM, on_signal_jump, 0);
    if (sigsetjmp(away, 1) == 0) {
        tick(slower(3 * SIGNAL_EVERY_MS));
        hole_connect(&hole);
        out(" returned");
    }
    tick(0);
    step_look(&hole);
    hole_open(&hole);
    wait_for(hole.fd, POLLOUT, 8000);
    out_result(hole_connect(&hole));
}

static void connect_ended_by_signal(void)
{
    static const int signals[] = {SIGTERM, SIGKILL};
    struct hole hole = hole_make();
    int status;

    for (size_t i = 0; i < COUNT(signals); i++) {
        pid_t pid = (pid_t)MUST(fork());

        if (pid == 0) {
            hole_connect(&hole);
            _exit(1);
        }
        sleep_ms(slower(SETTLE_MS));
        MUST(kill(pid, signals[i]));
        MUST(waitpid(pid, &status, 0));
        out(" status=%x", (unsigned)status);
    }
}

/* ---- several threads ---- */

static void *connect_thread(void *hole)
{
    return (void *)hole_connect(hole);
}

static pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run, argument) != 0)
        MUST(-1);
    return thread;
}

static long end_of(pthread_t thread)
{
    void *result;

    pthread_join(thread, &result);
    return (intptr_t)result;
}

static void connect_by_two(void)
{
    struct hole hole = hole_make();
    pthread_t first = start(connect_thread, &hole);

    hole_waits(&hole);
    pthread_t second = start(connect_thread, &hole);
    hole_waits(&hole);
    hole_open(&hole);
    out_result(end_of(first));
    out_result(end_of(second));
    out_result(hole_connect(&hole));
}

enum { MANY = 100 };

/* More than one turn's worth of them wait at once, and each gets its answer. */
static void connect_many(void)
{
    struct hole holes[MANY], *last = &holes[MANY - 1];
    pthread_t threads[MANY];
    int connected = 0;

    *last = hole_make();
    for (size_t i = 0; i < MANY; i++) {
        holes[i] = *last;
        holes[i].fd = i + 1 < MANY ? open_stream() : last->fd;
        threads[i] = start(connect_thread, &holes[i]);
    }
    sleep_ms(slower(SETTLE_MS));
    MUST(listen(last->listener, 2 * MANY));
    MUST(accept(last->listener, NULL, NULL));
    for (size_t i = 0; i < MANY; i++)
        connected += end_of(threads[i]) == 0;
    out(" %d", connected);
}

static void connect_closed_meanwhile(void)
{
    struct hole hole = hole_make(), other = hole;

    other.fd = (int)MUST(dup(hole.fd));
    pthread_t thread = start(connect_thread, &hole);
    hole_waits(&hole);
    MUST(close(hole.fd));
    hole_open(&hole);
    out_result(end_of(thread));
    out_result(hole_connect(&other));
}

/* The end of a connect that was given up. Linux 5.10 answers EBUSY to that, and goes on connecting. */
static void given_up(const struct hole *hole, pthread_t thread, long result)
{
    out_result(result);
    if (result == -EBUSY)
        hole_open(hole);
    out_result(end_of(thread));
}

static void connect_shut_meanwhile(void)
{
    struct hole hole = hole_make();
    pthread_t thread = start(connect_thread, &hole);

    hole_waits(&hole);
    given_up(&hole, thread, RAW(SYS_shutdown, hole.fd, SHUT_RDWR));
}

static void connect_undone_meanwhile(void)
{
    struct hole hole = hole_make();
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    pthread_t thread = start(connect_thread, &hole);

    hole_waits(&hole);
    given_up(&hole, thread, RAW(SYS_connect, hole.fd, &nowhere, sizeof nowhere));
}

/* ---- the end of a connection ---- */

enum { ENDS = 20, ENDS_MS = 10000 };

static long clock_of_row(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Who closes a connection that a non-blocking connect began is seen to have done so: at once, not when somebody looks
 * around for what is closed, which takes a second each time. */
static void ends_seen(int family, const void *to, socklen_t len, int listener)
{
    long began = clock_of_row();
    int seen = 0;

    for (int i = 0; i < ENDS; i++) {
        int fd = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
        long result = RAW(SYS_connect, fd, to, len);

        if (result != 0 && result != -EINPROGRESS)
            out_result(result);
        wait_for(fd, POLLOUT, ENDS_MS);
        int accepted = (int)MUST(accept(listener, NULL, NULL));
        MUST(close(fd));
        seen += (wait_for(accepted, POLLIN, ENDS_MS) & POLLIN) != 0;
        MUST(close(accepted));
    }
    out(" seen=%d %s", seen, clock_of_row() - began < slower(ENDS_MS) ? "at once" : "late");
}

static void connect_ends(void)
{
    struct hole hole = hole_make();

    hole_open(&hole);
    ends_seen(AF_INET, &hole.to, sizeof hole.to, hole.listener);
}

static void connect_ends_unix(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    socklen_t len = sizeof to;
    int listener = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));

    MUST(bind(listener, (struct sockaddr *)&to, sizeof to.sun_family)); /* a name of the kernel's choice */
    MUST(getsockname(listener, (struct sockaddr *)&to, &len));
    MUST(listen(listener, ENDS));
    ends_seen(AF_UNIX, &to, len, listener);
}

/* What a non-blocking connect says later: once that it is there, and then that it was. */
static void connect_told(void)
{
    struct hole hole = hole_make();

    hole_open(&hole);
    MUST(fcntl(hole.fd, F_SETFL, O_NONBLOCK));
    out_result(hole_connect(&hole));
    wait_for(hole.fd, POLLOUT, 8000);
    sleep_ms(slower(SETTLE_MS));
    out_result(hole_connect(&hole));
    out_result(hole_connect(&hole));
}

static void fork_meanwhile(void)
{
    struct hole hole = hole_make();
    pthread_t thread = start(connect_thread, &hole);
    int status;

    hole_waits(&hole);
    pid_t pid = (pid_t)MUST(fork());
    if (pid == 0)
        _exit(0);
    MUST(waitpid(pid, &status, 0));
    out(" child=%x", (unsigned)status);
    hole_open(&hole);
    out_result(end_of(thread));
}

/* A child whose first thread does `rest` while its second one waits. */
static void end_meanwhile(void (*rest)(void))
{
    struct hole hole = hole_make();
    int status;
    pid_t pid = (pid_t)MUST(fork());

    if (pid == 0) {
        for (int i = 0; i < 4; i++)
            start(connect_thread, &hole);
        sleep_ms(slower(SETTLE_MS));
        rest();
        _exit(1);
    }
    MUST(waitpid(pid, &status, 0));
    out(" status=%x", (unsigned)status);
    hole_open(&hole); /* and nobody is left over whose connection would come */
    out(" came=%d", wait_for(hole.listener, POLLIN, (int)slower(slower(300))));
}

static void rest_exit(void)
{
    _exit(7);
}

static void rest_exec(void)
{
    execl("/proc/self/exe", "signals", "--exit-8", NULL);
}

static void exit_meanwhile(void)
{
    end_meanwhile(rest_exit);
}

static void exec_meanwhile(void)
{
    end_meanwhile(rest_exec);
}

/* A signal for the process goes to a thread that doesn't wait; one for the waiting thread ends its wait. */
static void thread_signalled(void)
{
    struct hole hole = hole_make();

    handle(SIGUSR1, on_signal, 0);
    pthread_t thread = start(connect_thread, &hole);
    hole_waits(&hole);
    MUST(kill(getpid(), SIGUSR1)); /* taken by the caller: it is the first of those that can */
    while (handled == 0)
        sleep_ms(10);
    out(" first=%d", (int)handled);
    sleep_ms(slower(SETTLE_MS));
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        pthread_kill(thread, SIGUSR1);
        sleep_ms(slower(SIGNAL_EVERY_MS));
    }
    step_look(&hole);
}

/* ---- stops ---- */

/* A process with a pending connect, and a second thread if it is to have one, stops and goes on. */
static void stopped(int sig, bool threads)
{
    struct hole hole = hole_make();
    int status;
    pid_t pid = (pid_t)MUST(fork());

    if (pid == 0) {
        alarm(ROW_SECONDS);
        if (threads) {
            pthread_t thread = start(connect_thread, &hole);
            _exit((int)-end_of(thread));
        }
        _exit((int)-hole_connect(&hole));
    }
    for (int i = 0; i < 3; i++) {
        sleep_ms(slower(SETTLE_MS));
        MUST(kill(pid, sig));
        MUST(waitpid(pid, &status, WUNTRACED));
        out(" %s", WIFSTOPPED(status) ? "stopped" : "not stopped");
        MUST(kill(pid, SIGCONT));
        MUST(waitpid(pid, &status, WCONTINUED));
        out(" %s", WIFCONTINUED(status) ? "continued" : "not continued");
    }
    hole_open(&hole);
    MUST(waitpid(pid, &status, 0));
    out(" status=%x", (unsigned)status);
}

static void stopped_by_stop(void)
{
    stopped(SIGSTOP, false);
}

static void stopped_by_stop_threads(void)
{
    stopped(SIGSTOP, true);
}

static void stopped_by_tstp(void)
{
    MUST(setpgid(0, 0));
    stopped(SIGTSTP, false);
}

static void stopped_by_tstp_threads(void)
{
    MUST(setpgid(0, 0));
    stopped(SIGTSTP, true);
}

#endif
