/* The second wall: what a domain that handles all and permits one port refuses, by what this kernel's ABI knows. */
#include "unit.h"

#include "../../sys/features.h"
#include "../../sys/landlock.h"
#include "../../sys/landlockscope.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static int loopback(int type, struct sockaddr_in *to)
{
    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return socket(AF_INET, type, 0);
}

static int error_of(int result)
{
    return result < 0 ? errno : 0;
}

/* In the domain. */
static void try_calls(int abi, const struct sockaddr_un *outside)
{
    struct sockaddr_in to, any = {.sin_family = AF_INET};
    int tcp = loopback(SOCK_STREAM, &to), udp = loopback(SOCK_DGRAM, &to), local = socket(AF_UNIX, SOCK_STREAM, 0);

    EXPECT((error_of(connect(tcp, (struct sockaddr *)&to, sizeof to)) == EACCES) == (abi >= LANDLOCK_ABI_NET));
    to.sin_port = htons(10);
    EXPECT(error_of(connect(tcp, (struct sockaddr *)&to, sizeof to)) == ECONNREFUSED); /* it is permitted */
    EXPECT((error_of(bind(udp, (struct sockaddr *)&any, sizeof any)) == EACCES) == (abi >= LANDLOCK_ABI_UDP));
    EXPECT((error_of((int)sendto(udp, "x", 1, 0, (struct sockaddr *)&to, sizeof to)) == EACCES) ==
           (abi >= LANDLOCK_ABI_UDP));
    EXPECT((error_of(connect(udp, (struct sockaddr *)&to, sizeof to)) == EACCES) == (abi >= LANDLOCK_ABI_UDP));
    EXPECT((error_of(connect(local, (const struct sockaddr *)outside, sizeof *outside)) == EACCES) ==
           (abi >= LANDLOCK_ABI_UNIX));
    EXPECT((error_of(kill(getppid(), 0)) == EPERM) == (abi >= LANDLOCK_ABI_SCOPE));
}

/* Where the version spares the trial, that would have said the same. */
static void test_scope(int abi)
{
    struct features f = features_ask(false);

    EXPECT(landlock_scope_is_mended(6, 18, 44) && landlock_scope_is_mended(7, 3, 0) &&
           landlock_scope_is_mended(8, 0, 0));
    EXPECT(!landlock_scope_is_mended(6, 12, 95) && !landlock_scope_is_mended(6, 18, 43) &&
           !landlock_scope_is_mended(6, 19, 99) && !landlock_scope_is_mended(7, 2, 99));
    if (abi >= LANDLOCK_ABI_SCOPE && landlock_scope_is_mended(f.major, f.minor, f.patch))
        EXPECT(landlock_scope_holds(abi));
    EXPECT(!landlock_scope_holds(LANDLOCK_ABI_SCOPE - 1));
}

int main(void)
{
    struct landlock_domain all = {LANDLOCK_RESOLVE_UNIX | LANDLOCK_REFER, LANDLOCK_OF_TCP | LANDLOCK_OF_UDP,
                                  LANDLOCK_SCOPE_ABSTRACT | LANDLOCK_SCOPE_SIGNAL};
    struct sockaddr_un outside = {.sun_family = AF_UNIX};
    char directory[] = "/tmp/landlock.XXXXXX";
    int abi = landlock_abi(), ruleset = abi < 0 ? abi : landlock_create(abi, all);

    test_scope(abi);
    EXPECT(abi == -ENOSYS || abi == -EOPNOTSUPP || abi >= 1);
    EXPECT(ruleset >= 0 || abi < LANDLOCK_ABI_REFER);
    if (ruleset < 0 || mkdtemp(directory) == NULL)
        return unit_done();
    EXPECT(landlock_permit_port(ruleset, 10, LANDLOCK_CONNECT_TCP) == (abi >= LANDLOCK_ABI_NET ? 0 : -EINVAL));
    snprintf(outside.sun_path, sizeof outside.sun_path, "%s/s", directory);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(bind(server, (struct sockaddr *)&outside, sizeof outside) == 0 && listen(server, 1) == 0);
    fflush(stdout);
    pid_t inside = fork();
    if (inside == 0) {
        EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && landlock_enter(ruleset) == 0);
        try_calls(abi, &outside);
        exit(unit_failed > 0);
    }
    int status = -1;
    EXPECT(waitpid(inside, &status, 0) == inside && status == 0);
    unlink(outside.sun_path);
    rmdir(directory);
    return unit_done();
}
