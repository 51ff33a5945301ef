/* native - one list of socket calls, made in order, one line a call. The lines of a run outside and of a run inside the
 * sandbox must be the same: native.test compares them.
 *
 * usage: native [tcp] [threads] [port=N] [PATTERN]
 *     tcp: only what a policy of TCP rules leaves there (no UDP, ICMP and unix datagram sockets); threads: every row's
 *     process has a second thread; port=N: the rows of native_remap.h, too, with this port, which is free; PATTERN
 *     (glob(7)): only the rows whose names match
 *
 * A line is the row's name, what its calls answered, and then what can be seen afterwards: signals, poll's events, the
 * socket's names, SO_ERROR, O_NONBLOCK, and what came out at the other end. Each row has a process and sockets of its
 * own, a directory that all of them share, and loopback addresses only. */
#include "native_remap.h"
#include "native_rows.h"
#include "native_vector.h"

#include <dirent.h>
#include <fnmatch.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { ROW_SECONDS = 20, RECEIVED_MAX = 3, RECEIVE_WAIT_MS = 50 };

/* One call of the matrix, or with `single` a row of native_rows.h. */
struct row {
    const char *place, *call_name, *shape_name;
    const struct stage *stage;
    const struct not_socket *not_socket;
    long (*act)(struct fixture *f, const struct row *row);
    const void *call, *shape;
    void (*single)(void);
};

static struct {
    bool tcp, threads;
    const char *pattern;
    int rows;
} options;

static DIR *directory_stream;

/* ---- what can be seen afterwards ---- */

static volatile sig_atomic_t pipe_signals;

static void on_sigpipe(int sig)
{
    (void)sig;
    pipe_signals++;
}

static void out_events(short events)
{
    static const struct name_of names[] = {{POLLIN, "IN"},   {POLLOUT, "OUT"}, {POLLPRI, "PRI"},
                                           {POLLERR, "ERR"}, {POLLHUP, "HUP"}, {POLLRDHUP, "RDHUP"}};

    out(" poll=");
    for (size_t i = 0; i < COUNT(names); i++)
        if (events & names[i].value)
            out("%s,", names[i].name);
}

static void out_name(const char *label, long nr, int fd)
{
    struct address address = {.len = sizeof address.storage};
    long result = RAW(nr, fd, &address.storage, &address.len);

    out(" %s=", label);
    if (result < 0)
        out("%s", errno_name((int)-result));
    else
        out_address(&address);
}

/* What MSG_MORE held back goes out: tcp(7), udp(7). */
static void uncork(const struct fixture *f)
{
    int one = 1, zero = 0;

    if (f->kind->family != AF_UNIX && f->kind->type == SOCK_STREAM)
        setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    else if (f->kind->family != AF_UNIX)
        setsockopt(f->fd, IPPROTO_UDP, UDP_CORK, &zero, sizeof zero);
}

/* What the peer got: length, a sum of the bytes and the sender, of the first few messages. */
static void out_received(const struct fixture *f, long result)
{
    static char buffer[131072];

    uncork(f);
    if (result > 0)
        wait_for(f->peer, POLLIN, RECEIVE_WAIT_MS);
    for (int i = 0; i < RECEIVED_MAX; i++) {
        struct address from = {.len = sizeof from.storage};
        ssize_t n = recvfrom(f->peer, buffer, sizeof buffer, MSG_DONTWAIT, address_of(&from), &from.len);
        unsigned sum = 0;

        if (n < 0)
            return;
        for (ssize_t j = 0; j < n; j++)
            sum = sum * 31 + (unsigned char)buffer[j];
        out(" got=%zd:%x", n, sum);
        if (kind_is_datagram(f->kind)) {
            out("<");
            out_address(&from);
        }
    }
}

static void out_aftermath(const struct fixture *f, long result)
{
    int error = 0, type = 0;
    socklen_t len = sizeof error, type_len = sizeof type;

    if (pipe_signals)
        out(" SIGPIPE=%d", (int)pipe_signals);
    if (getsockopt(f->fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0)
        return;
    if (result == -EINPROGRESS && !f->no_answer)
        wait_for(f->fd, POLLOUT, WAIT_MS);
    out_events(wait_for(f->fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0));
    out_name("name", SYS_getsockname, f->fd);
    out_name("peer", SYS_getpeername, f->fd);
    MUST(getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &len));
    if (error != 0)
        out(" error=%s", errno_name(error));
    if (fcntl(f->fd, F_GETFL) & O_NONBLOCK)
        out(" nonblocking");
    if (f->peer >= 0)
        out_received(f, result);
}

/* ---- one row ---- */

static void *second_thread(void *unused)
{
    (void)unused;
    for (;;)
        pause();
    return NULL;
}

/* The row's own process; `name` is printed by the parent. */
__attribute__((noreturn)) static void row_process(const struct row *row)
{
    struct sigaction action = {.sa_handler = on_sigpipe};
    struct fixture f = {.kind = &udp4, .fd = -1, .peer = -1, .to = address_in("127.0.0.1", 9)};
    pthread_t thread;

    alarm(ROW_SECONDS);
    MUST(sigaction(SIGPIPE, &action, NULL));
    if (options.threads && pthread_create(&thread, NULL, second_thread, NULL) != 0)
        MUST(-1);
    if (row->single != NULL) {
        row->single();
        if (pipe_signals)
            out(" SIGPIPE=%d", (int)pipe_signals);
        _exit(0);
    }
    if (row->stage != NULL)
        f = fixture_make(row->stage->kind, row->stage->state, row->stage->nonblocking);
    else
        f.fd = row->not_socket->open();
    long result = row->act(&f, row);
    out_result(result);
    out(" |");
    out_aftermath(&f, result);
    _exit(0);
}

/* The directory is empty again for the next row. */
static void empty_directory(void)
{
    struct dirent *entry;

    rewinddir(directory_stream);
    while ((entry = readdir(directory_stream)) != NULL)
        if (entry->d_name[0] != '.')
            unlink(entry->d_name);
}

static void run_row(const struct row *row)
{
    char name[128];
    int status;

    snprintf(name, sizeof name, "%s/%s%s%s", row->place, row->call_name, row->shape_name ? "/" : "",
             row->shape_name ? row->shape_name : "");
    if (options.pattern != NULL && fnmatch(options.pattern, name, 0) != 0)
        return;
    options.rows++;
    line->len = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        perror("native: fork");
        exit(1);
    }
    if (pid == 0)
        row_process(row);
    waitpid(pid, &status, 0);
    printf("%s:%.*s", name, (int)line->len, line->text);
    if (WIFSIGNALED(status))
        printf(" killed by signal %d", WTERMSIG(status));
    putchar('\n');
    empty_directory();
}

/* ---- the matrix ---- */

static long act_address(struct fixture *f, const struct row *row)
{
    const struct address_shape *shape = row->shape;

    return ((const struct address_call *)row->call)->call(f, shape->make(f));
}

static long act_payload(struct fixture *f, const struct row *row)
{
    const struct payload_shape *shape = row->shape;

    return ((const struct payload_call *)row->call)->call(f, shape->make(), 0);
}

static long act_flags(struct fixture *f, const struct row *row)
{
    const struct flag_shape *shape = row->shape;

    return ((const struct payload_call *)row->call)->call(f, bytes_good(), shape->flags);
}

static long act_plain(struct fixture *f, const struct row *row)
{
    return ((const struct plain_act *)row->shape)->act(f);
}

static void run_addresses(struct row row, bool wide)
{
    row.act = act_address;
    for (size_t c = 0; c < COUNT(address_calls); c++)
        for (size_t s = 0; s < COUNT(address_shapes); s++) {
            row.call = &address_calls[c];
            row.call_name = address_calls[c].name;
            row.shape = &address_shapes[s];
            row.shape_name = address_shapes[s].name;
            if (wide || !address_shapes[s].wide)
                run_row(&row);
        }
}

static void run_payloads(struct row row, bool wide)
{
    for (size_t c = 0; c < COUNT(payload_calls); c++) {
        if (payload_calls[c].wide && !wide)
            continue;
        row.call = &payload_calls[c];
        row.call_name = payload_calls[c].name;
        row.act = act_payload;
        for (size_t s = 0; s < COUNT(payload_shapes); s++) {
            char name[64];
            snprintf(name, sizeof name, "bytes-%s", payload_shapes[s].name);
            row.shape = &payload_shapes[s];
            row.shape_name = name;
            if (wide || !payload_shapes[s].wide)
                run_row(&row);
        }
        row.act = act_flags;
        for (size_t s = 0; s < COUNT(flag_shapes); s++) {
            char name[64];
            snprintf(name, sizeof name, "flag-%s", flag_shapes[s].name);
            row.shape = &flag_shapes[s];
            row.shape_name = name;
            if (wide || !flag_shapes[s].wide)
                run_row(&row);
        }
    }
}

static void run_plain(struct row row, const char *call, const struct plain_act *acts, size_t n, bool wide)
{
    row.act = act_plain;
    for (size_t i = 0; i < n; i++) {
        row.shape = &acts[i];
        row.call_name = call == NULL ? acts[i].name : call;
        row.shape_name = call == NULL ? NULL : acts[i].name;
        if (wide || !acts[i].wide)
            run_row(&row);
    }
}

static void run_place(struct row row, bool wide)
{
    run_addresses(row, wide);
    run_payloads(row, wide);
    run_plain(row, NULL, plain_acts, COUNT(plain_acts), wide);
    run_plain(row, "header", header_acts, COUNT(header_acts), wide);
    run_plain(row, "control", control_acts, COUNT(control_acts), wide);
    run_plain(row, "vector", vector_acts, COUNT(vector_acts), wide);
}

/* A policy of TCP rules has no UDP, no ICMP and no unix datagram sockets. */
static bool left_out(const struct kind *kind)
{
    return options.tcp && kind->type == SOCK_DGRAM;
}

static void run_all(void)
{
    for (size_t i = 0; i < COUNT(stages); i++)
        if (!left_out(stages[i].kind))
            run_place((struct row){.place = stages[i].name, .stage = &stages[i]}, stages[i].wide);
    for (size_t i = 0; i < COUNT(not_sockets); i++)
        run_place((struct row){.place = not_sockets[i].name, .not_socket = &not_sockets[i]}, i == 0);
    for (size_t i = 0; i < COUNT(single_rows); i++)
        if (!options.tcp || !single_rows[i].datagram)
            run_row(&(struct row){
                .place = single_rows[i].group, .call_name = single_rows[i].name, .single = single_rows[i].run});
    for (size_t i = 0; i < COUNT(remap_rows) && asked_port != 0; i++)
        if (!options.tcp || !remap_rows[i].datagram)
            run_row(&(struct row){.place = "remap", .call_name = remap_rows[i].name, .single = remap_rows[i].run});
}

int main(int argc, char **argv)
{
    char directory[] = "/tmp/native.XXXXXX";

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "tcp") == 0)
            options.tcp = true;
        else if (strcmp(argv[i], "threads") == 0)
            options.threads = true;
        else if (strncmp(argv[i], "port=", 5) == 0)
            asked_port = (uint16_t)atoi(argv[i] + 5);
        else
            options.pattern = argv[i];
    line = mmap(NULL, sizeof *line, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (line == MAP_FAILED || mkdtemp(directory) == NULL || chdir(directory) < 0 ||
        (directory_stream = opendir(".")) == NULL) {
        perror("native: cannot make a directory below /tmp");
        return 1;
    }
    snprintf(abstract_prefix, sizeof abstract_prefix, "native%08d", getpid());
    run_all();
    printf("%d rows\n", options.rows);
    if (chdir("/") < 0 || rmdir(directory) < 0) {
        perror("native: cannot remove its directory");
        return 1;
    }
    return 0;
}
