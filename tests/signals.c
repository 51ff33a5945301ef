/* signals - calls that wait, and what happens to them meanwhile: signals, stops, forks, ends. One line a row, the same
 * inside and outside: signals.test compares them (signal(7), connect(2), send(2), socket(7)).
 *
 * usage: signals [PATTERN]    PATTERN (glob(7)): only the rows whose names match
 *
 * A row is a process of its own. All of them start together and are told in order. What waits is mostly a connect to a
 * listener whose queue is full: no answer comes until somebody accepts, and then within a second or three. */
#include "native_base.h"

#include <fnmatch.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>


enum { ROW_SECONDS = 120, SIGNAL_EVERY_MS = 150, SETTLE_MS = 100 };

/* ---- steps ---- */

/* A listener whose queue is full, and a blocking socket to connect to it. */
struct hole {
    int listener, fd;
    struct sockaddr_in to;
};

static void sleep_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&left, &left) < 0)
        continue;
}

static int open_stream(void)
{
    return (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
}

static struct hole hole_make(void)
{
    struct hole hole = {.listener = open_stream(), .fd = open_stream()};
    struct sockaddr_in *to = &hole.to;
    socklen_t len = sizeof *to;
    int first = open_stream();

    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    MUST(bind(hole.listener, (struct sockaddr *)to, sizeof *to));
    MUST(getsockname(hole.listener, (struct sockaddr *)to, &len));
    MUST(listen(hole.listener, 0));
    MUST(connect(first, (struct sockaddr *)to, sizeof *to));
    return hole;
}

/* Wait until somebody's connect on it waits. */
static void hole_waits(const struct hole *hole)
{
    struct tcp_info info;

    do {
        socklen_t len = sizeof info;

        sleep_ms(SETTLE_MS);
        MUST(getsockopt(hole->fd, IPPROTO_TCP, TCP_INFO, &info, &len));
    } while (info.tcpi_state != TCP_SYN_SENT);
}

/* Make room in the queue: the connect that waits is answered when its next SYN comes. */
static void hole_open(const struct hole *hole)
{
    MUST(listen(hole->listener, 8));
    MUST(accept(hole->listener, NULL, NULL));
}

static long hole_connect(const struct hole *hole)
{
    return RAW(SYS_connect, hole->fd, &hole->to, sizeof hole->to);
}

/* What a connect says that may not wait. */
static void step_look(const struct hole *hole)
{
    MUST(fcntl(hole->fd, F_SETFL, O_NONBLOCK));
    out_result(hole_connect(hole));
}

/* A connected pair of TCP sockets. */
static void stream_pair(int ends[2])
{
    struct hole hole = hole_make();

    MUST(close(MUST(accept(hole.listener, NULL, NULL)) >= 0 ? hole.fd : -1));
    MUST(listen(hole.listener, 8));
    ends[0] = open_stream();
    MUST(connect(ends[0], (struct sockaddr *)&hole.to, sizeof hole.to));
    ends[1] = (int)MUST(accept(hole.listener, NULL, NULL));
}

static volatile sig_atomic_t handled;
static struct hole interrupted; /* what the handlers act on */

static void on_signal(int sig)
{
    (void)sig;
    handled++;
}

static void handle(int sig, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    MUST(sigaction(sig, &action, NULL));
}

/* SIGALRM again and again: the first may come before the call that it is to interrupt. */
static void tick(long ms)
{
    struct itimerval every = {{ms / 1000, ms % 1000 * 1000}, {ms / 1000, ms % 1000 * 1000}};

    MUST(setitimer(ITIMER_REAL, &every, NULL));
}

static void set_send_timeout(int fd, long ms)
{
    struct timeval timeout = {ms / 1000, ms % 1000 * 1000};

    MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout));
}

/* ---- a connect that waits, and a signal ---- */

static void connect_interrupted(void)
{
    struct hole hole = hole_make();

    handle(SIGALRM, on_signal, 0);
    tick(SIGNAL_EVERY_MS);
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
    tick(SIGNAL_EVERY_MS);
    out_result(hole_connect(&interrupted));
    tick(0);
    out_result(hole_connect(&interrupted));
    out(" handled=%s", handled >= 3 ? "yes" : "no");
}

/* With a time limit it isn't restarted: signal(7). */
static void connect_limited_interrupted(void)
{
    struct hole hole = hole_make();

    handle(SIGALRM, on_signal, SA_RESTART);
    set_send_timeout(hole.fd, 20000);
    tick(SIGNAL_EVERY_MS);
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
        sleep_ms(SETTLE_MS);
        for (size_t i = 0; i < COUNT(signals); i++)
            kill(parent, signals[i]);
        sleep_ms(3 * SETTLE_MS);
        _exit(0); /* SIGCHLD */
    }
    set_send_timeout(hole.fd, 800);
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
    tick(3 * SIGNAL_EVERY_MS);
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
        tick(3 * SIGNAL_EVERY_MS);
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
    struct hole hole = hole_make();
    int status;
    pid_t pid = (pid_t)MUST(fork());

    if (pid == 0) {
        hole_connect(&hole);
        _exit(1);
    }
    sleep_ms(SETTLE_MS);
    MUST(kill(pid, SIGTERM));
    MUST(waitpid(pid, &status, 0));
    out(" status=%x", (unsigned)status);
    pid = (pid_t)MUST(fork());
    if (pid == 0) {
        hole_connect(&hole);
        _exit(1);
    }
    sleep_ms(SETTLE_MS);
    MUST(kill(pid, SIGKILL));
    MUST(waitpid(pid, &status, 0));
    out(" status=%x", (unsigned)status);
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
    sleep_ms(SETTLE_MS);
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

static void connect_shut_meanwhile(void)
{
    struct hole hole = hole_make();
    pthread_t thread = start(connect_thread, &hole);

    hole_waits(&hole);
    out_result(RAW(SYS_shutdown, hole.fd, SHUT_RDWR));
    out_result(end_of(thread));
}

static void connect_undone_meanwhile(void)
{
    struct hole hole = hole_make();
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    pthread_t thread = start(connect_thread, &hole);

    hole_waits(&hole);
    out_result(RAW(SYS_connect, hole.fd, &nowhere, sizeof nowhere));
    out_result(end_of(thread));
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
        sleep_ms(SETTLE_MS);
        rest();
        _exit(1);
    }
    MUST(waitpid(pid, &status, 0));
    out(" status=%x", (unsigned)status);
    hole_open(&hole); /* and nobody is left over whose connection would come */
    out(" came=%d", wait_for(hole.listener, POLLIN, 300));
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
    sleep_ms(SETTLE_MS);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        pthread_kill(thread, SIGUSR1);
        sleep_ms(SIGNAL_EVERY_MS);
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
        sleep_ms(SETTLE_MS);
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

/* ---- errno 512 ---- */

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
        for (int i = 0; i < SIGNALS; i++) {
            kill(pid, SIGUSR1);
            usleep(SIGNAL_PAUSE_US);
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
            usleep(SIGNAL_PAUSE_US);
        }
    }
    leaving = true;
    for (int i = 0; i < WAITERS; i++) {
        while (pthread_tryjoin_np(waiters[i].thread, NULL) != 0) {
            pthread_kill(waiters[i].thread, SIGUSR2);
            usleep(SIGNAL_PAUSE_US);
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

/* ---- sends ---- */

enum { MEBIBYTE = 1 << 20 };

static char *map_bytes(size_t n)
{
    return map_pages(n / PAGE, PROT_READ | PROT_WRITE);
}

static long send_all(int fd, const char *bytes, size_t n, int flags)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, n};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    return RAW(SYS_sendmsg, fd, &message, flags);
}

/* How much, in a word: what exactly fits differs by a few pages. */
static void out_amount(long sent, long n)
{
    if (sent < 0)
        out_result(sent);
    else
        out(" %s", sent == n ? "all" : sent == 0 ? "nothing" : "a part");
}

/* Nobody reads: a signal ends the send with what was taken, and one that took nothing with EINTR. */
static void send_interrupted(int ends[2], int flags)
{
    size_t n = 64 * MEBIBYTE;
    const char *bytes = map_bytes(n);

    handle(SIGALRM, on_signal, flags);
    tick(3 * SIGNAL_EVERY_MS);
    out_amount(send_all(ends[0], bytes, n, 0), (long)n);
    while (send_all(ends[0], bytes, n, MSG_DONTWAIT) > 0)
        continue;
    if (!(flags & SA_RESTART))
        out_amount(send_all(ends[0], bytes, n, 0), (long)n);
    tick(0);
}

static void unix_pair(int type, int ends[2])
{
    MUST(socketpair(AF_UNIX, type, 0, ends));
}

static void send_interrupted_tcp(void)
{
    int ends[2];

    stream_pair(ends);
    send_interrupted(ends, 0);
}

static void send_interrupted_tcp_restart(void)
{
    int ends[2];

    stream_pair(ends);
    send_interrupted(ends, SA_RESTART);
}

static void send_interrupted_unix(void)
{
    int ends[2];

    unix_pair(SOCK_STREAM, ends);
    send_interrupted(ends, 0);
}

struct reader {
    int fd;
    long sum;
};

static void *reader_run(void *argument)
{
    struct reader *r = argument;
    static char piece[256 * 1024];
    ssize_t n;

    while ((n = recv(r->fd, piece, sizeof piece, 0)) > 0)
        for (ssize_t i = 0; i < n; i += 4096)
            r->sum += piece[i] == (char)0x5a ? 4096 : 0;
    return NULL;
}

/* 100 MiB in one call to a reader in another thread, under signals that restart. */
static void send_100m(int ends[2])
{
    size_t n = 100 * (size_t)MEBIBYTE;
    char *bytes = map_bytes(n);
    struct reader reader = {.fd = ends[1]};

    memset(bytes, 0x5a, n);
    pthread_t thread = start(reader_run, &reader);
    out_result(send_all(ends[0], bytes, n, 0));
    MUST(close(ends[0]));
    end_of(thread);
}

static void send_100m_tcp(void)
{
    int ends[2];

    stream_pair(ends);
    send_100m(ends);
}

static void send_100m_unix(void)
{
    int ends[2];

    unix_pair(SOCK_STREAM, ends);
    send_100m(ends);
}

static void *send_mebibyte(void *ends)
{
    static char bytes[MEBIBYTE];

    long sent = send_all(((int *)ends)[0], bytes, sizeof bytes, 0);
    MUST(close(((int *)ends)[0]));
    return (void *)sent;
}

static void send_many(void)
{
    int ends[MANY][2], whole = 0;
    pthread_t threads[MANY];

    for (size_t i = 0; i < MANY; i++) {
        unix_pair(SOCK_STREAM, ends[i]);
        threads[i] = start(send_mebibyte, ends[i]);
    }
    sleep_ms(SETTLE_MS);
    for (size_t i = 0; i < MANY; i++) {
        struct reader reader = {.fd = ends[i][1]};

        reader_run(&reader);
        whole += end_of(threads[i]) == MEBIBYTE;
    }
    out(" %d", whole);
}

static void *drain_late(void *argument)
{
    sleep_ms(2 * SETTLE_MS);
    return reader_run(argument);
}

/* Stopped while it waits for room, a send goes on afterwards. */
static void send_stopped(void)
{
    int ends[2], status;
    size_t n = 16 * MEBIBYTE;

    stream_pair(ends);
    pid_t pid = (pid_t)MUST(fork());
    if (pid == 0) {
        alarm(ROW_SECONDS);
        close(ends[1]);
        _exit(send_all(ends[0], map_bytes(n), n, 0) == (long)n ? 0 : 1);
    }
    MUST(close(ends[0]));
    sleep_ms(SETTLE_MS);
    MUST(kill(pid, SIGSTOP));
    MUST(waitpid(pid, &status, WUNTRACED));
    out(" %s", WIFSTOPPED(status) ? "stopped" : "not stopped");
    MUST(kill(pid, SIGCONT));
    drain_late(&(struct reader){.fd = ends[1]});
    MUST(waitpid(pid, &status, 0));
    out(" status=%x", (unsigned)status);
}

/* A page in the middle that can't be read: what was before it has gone out, or part of that. */
static void send_fault(int ends[2])
{
    size_t n = 4 * MEBIBYTE;
    char *bytes = map_bytes(n);
    struct reader reader = {.fd = ends[1]};

    MUST(mprotect(bytes + 2 * MEBIBYTE, 4096, PROT_NONE));
    pthread_t thread = start(reader_run, &reader);
    long sent = send_all(ends[0], bytes, n, 0);
    out_amount(sent, (long)n);
    out(" %s", sent <= 2 * MEBIBYTE ? "before the fault" : "beyond it");
    out_amount(send_all(ends[0], bytes + 2 * MEBIBYTE, 4096, 0), 4096);
    MUST(close(ends[0]));
    end_of(thread);
}

static void send_fault_tcp(void)
{
    int ends[2];

    stream_pair(ends);
    send_fault(ends);
}

static void send_fault_unix(void)
{
    int ends[2];

    unix_pair(SOCK_STREAM, ends);
    send_fault(ends);
}

static void *close_late(void *fd)
{
    sleep_ms(2 * SETTLE_MS);
    close((int)(intptr_t)fd);
    return NULL;
}

/* The peer goes away while a send waits: part of it was taken; then EPIPE and its signal. */
static void send_abandoned(int ends[2], int flags)
{
    size_t n = 64 * MEBIBYTE;
    const char *bytes = map_bytes(n);

    handle(SIGPIPE, on_signal, 0);
    pthread_t thread = start(close_late, (void *)(intptr_t)ends[1]);
    out_amount(send_all(ends[0], bytes, n, flags), (long)n);
    end_of(thread);
    out(" signals=%d", (int)handled);
    for (int i = 0; i < 2; i++)
        out_result(send_all(ends[0], bytes, 1, flags));
    out(" signals=%d", (int)handled);
}

static void send_abandoned_tcp(void)
{
    int ends[2];

    stream_pair(ends);
    send_abandoned(ends, 0);
}

static void send_abandoned_unix(void)
{
    int ends[2];

    unix_pair(SOCK_STREAM, ends);
    send_abandoned(ends, 0);
}

static void send_abandoned_quiet(void)
{
    int ends[2];

    unix_pair(SOCK_STREAM, ends);
    send_abandoned(ends, MSG_NOSIGNAL);
}

/* Which kinds of sockets signal, and which thread it is that gets it: the one that sent. */
static pthread_t sender_thread;
static volatile bool signal_elsewhere;

static void on_pipe(int sig)
{
    (void)sig;
    handled++;
    signal_elsewhere = !pthread_equal(pthread_self(), sender_thread);
}

static void pipe_signal(int ends[2])
{
    handled = 0;
    MUST(close(ends[1]));
    out_result(send_all(ends[0], "x", 1, 0));
    out(" signals=%d%s", (int)handled, signal_elsewhere ? " elsewhere" : "");
    out_result(send_all(ends[0], "x", 1, MSG_NOSIGNAL));
    out(" signals=%d", (int)handled);
}

static void *pipe_signals_run(void *unused)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    int ends[2];

    sender_thread = pthread_self();
    for (size_t i = 0; i < COUNT(types); i++) {
        unix_pair(types[i], ends);
        pipe_signal(ends);
    }
    stream_pair(ends);
    MUST(shutdown(ends[0], SHUT_WR));
    pipe_signal(ends);
    return unused;
}

static void pipe_signals(void)
{
    handle(SIGPIPE, on_pipe, 0);
    pipe_signals_run(NULL);
}

static void pipe_signals_thread(void)
{
    handle(SIGPIPE, on_pipe, 0);
    end_of(start(pipe_signals_run, NULL));
}

/* A unix datagram socket whose peer doesn't read waits until there is room again, or a signal comes. */
static void *read_late(void *fd)
{
    char byte;

    sleep_ms(2 * SETTLE_MS);
    while (recv((int)(intptr_t)fd, &byte, 1, MSG_DONTWAIT) == 1)
        continue;
    return NULL;
}

static void fill(int fd)
{
    while (send_all(fd, "x", 1, MSG_DONTWAIT) == 1)
        continue;
}

static void datagram_waits(void)
{
    int ends[2];

    unix_pair(SOCK_DGRAM, ends);
    fill(ends[0]);
    pthread_t thread = start(read_late, (void *)(intptr_t)ends[1]);
    out_result(send_all(ends[0], "y", 1, 0));
    end_of(thread);
    fill(ends[0]);
    handle(SIGALRM, on_signal, 0);
    tick(SIGNAL_EVERY_MS);
    out_result(send_all(ends[0], "z", 1, 0));
    tick(0);
}

/* ---- the rows ---- */

static const struct row {
    const char *name;
    void (*run)(void);
    bool heavy; /* not together with others */
} rows[] = {
    {"connect/interrupted", connect_interrupted, false},
    {"connect/restarted", connect_restarted, false},
    {"connect/limited-interrupted", connect_limited_interrupted, false},
    {"connect/limited", connect_limited, false},
    {"connect/uninterested", connect_uninterested, false},
    {"connect/nested", connect_nested, false},
    {"connect/jumped-out", connect_jumped_out, false},
    {"connect/ended-by-signal", connect_ended_by_signal, false},
    {"connect/by-two", connect_by_two, false},
    {"connect/many", connect_many, false},
    {"connect/closed-meanwhile", connect_closed_meanwhile, false},
    {"connect/shut-meanwhile", connect_shut_meanwhile, false},
    {"connect/undone-meanwhile", connect_undone_meanwhile, false},
    {"meanwhile/fork", fork_meanwhile, false},
    {"meanwhile/exit", exit_meanwhile, false},
    {"meanwhile/exec", exec_meanwhile, false},
    {"thread/signalled", thread_signalled, false},
    {"stop/stop", stopped_by_stop, false},
    {"stop/stop-threads", stopped_by_stop_threads, false},
    {"stop/tstp", stopped_by_tstp, false},
    {"stop/tstp-threads", stopped_by_tstp_threads, false},
    {"send/interrupted-tcp", send_interrupted_tcp, false},
    {"send/interrupted-tcp-restart", send_interrupted_tcp_restart, false},
    {"send/interrupted-unix", send_interrupted_unix, false},
    {"send/stopped", send_stopped, false},
    {"send/fault-tcp", send_fault_tcp, false},
    {"send/fault-unix", send_fault_unix, false},
    {"send/abandoned-tcp", send_abandoned_tcp, false},
    {"send/abandoned-unix", send_abandoned_unix, false},
    {"send/abandoned-quiet", send_abandoned_quiet, false},
    {"send/datagram-waits", datagram_waits, false},
    {"sigpipe/kinds", pipe_signals, false},
    {"sigpipe/thread", pipe_signals_thread, false},
    {"send/many", send_many, false},
    {"send/100m-tcp", send_100m_tcp, true},
    {"send/100m-unix", send_100m_unix, true},
    {"storm/interrupts", storm_interrupts, false},
    {"storm/restarts", storm_restarts, false},
    {"storm/leader-blocks", storm_leader_blocks, false},
    {"storm/leader-waits", storm_leader_waits, false},
};

/* Each running row's process and line. */
static struct {
    pid_t pid;
    struct row_line *line;
} running[COUNT(rows)];

static void row_start(size_t i)
{
    line = running[i].line = mmap(NULL, sizeof *line, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (line == MAP_FAILED || (running[i].pid = fork()) < 0) {
        perror("signals");
        exit(1);
    }
    if (running[i].pid > 0)
        return;
    struct timespec limit = {ROW_SECONDS, 0};
    pid_t pid = fork(); /* the alarm is the row's own: someone else watches the time */
    if (pid == 0) {
        rows[i].run();
        _exit(0);
    }
    sigset_t child;
    int status = 0;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    if (waitpid(pid, &status, WNOHANG) == 0 && sigtimedwait(&child, NULL, &limit) < 0)
        kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        out(" killed by signal %d", WTERMSIG(status));
    _exit(0);
}

static void row_end(size_t i)
{
    waitpid(running[i].pid, NULL, 0);
    printf("%s:%.*s\n", rows[i].name, (int)running[i].line->len, running[i].line->text);
}

int main(int argc, char **argv)
{
    const char *pattern = argc > 1 ? argv[1] : "*";

    if (strcmp(pattern, "--exit-8") == 0)
        return 8;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!rows[i].heavy && fnmatch(pattern, rows[i].name, 0) == 0)
            row_start(i);
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].heavy && fnmatch(pattern, rows[i].name, 0) == 0)
            row_start(i);
        if (running[i].pid > 0)
            row_end(i);
    }
    return 0;
}
