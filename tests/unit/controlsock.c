/* unit test of sys/controlsock.h: names, whose the directory has to be, and who holds a name */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "unit.h"

#include "../../sys/controlsock.h"

static char base[] = "/tmp/controlsock.XXXXXX", directory[64];

static void test_names(void)
{
    char longest[CONTROLSOCK_NAME_MAX + 2];

    EXPECT(controlsock_name_valid("web") && controlsock_name_valid("A-1_b.c") && controlsock_name_valid("_"));
    EXPECT(!controlsock_name_valid("") && !controlsock_name_valid(".") && !controlsock_name_valid(".."));
    EXPECT(!controlsock_name_valid(".hidden") && !controlsock_name_valid("-f") && !controlsock_name_valid("a/b"));
    EXPECT(!controlsock_name_valid("a b") && !controlsock_name_valid("a\n") && !controlsock_name_valid("\xc3\xa9"));
    memset(longest, 'x', sizeof longest);
    longest[CONTROLSOCK_NAME_MAX + 1] = 0;
    EXPECT(!controlsock_name_valid(longest));
    longest[CONTROLSOCK_NAME_MAX] = 0;
    EXPECT(controlsock_name_valid(longest));
}

static void test_directory(void)
{
    char link[80];

    EXPECT(controlsock_open_directory(directory, false) == -ENOENT);
    int fd = controlsock_open_directory(directory, true);
    EXPECT(fd >= 0);
    close(fd);
    chmod(directory, 0710);
    EXPECT(controlsock_open_directory(directory, true) == -EPERM);
    chmod(directory, 0701);
    EXPECT(controlsock_open_directory(directory, false) == -EPERM);
    chmod(directory, 0700);
    snprintf(link, sizeof link, "%s/link", base);
    EXPECT(symlink(directory, link) == 0 && controlsock_open_directory(link, true) < 0);
    unlink(link);
    if (geteuid() == 0) { /* another user's, however closed */
        EXPECT(chown(directory, 65534, 65534) == 0 && controlsock_open_directory(directory, true) == -EPERM);
        EXPECT(chown(directory, 0, 0) == 0);
    }
}

static void test_holding(void)
{
    struct stat status;
    char at[128];
    int fd = controlsock_open_directory(directory, true);

    EXPECT(controlsock_connect(directory, "web") == -ENOENT);
    int listener = controlsock_listen(fd, directory, "web");
    EXPECT(listener >= 0 && fstatat(fd, "web", &status, 0) == 0 && (status.st_mode & 077) == 0);
    EXPECT(controlsock_accept(listener, geteuid()) == -EAGAIN);
    EXPECT(controlsock_listen(fd, directory, "web") == -EADDRINUSE);
    close(controlsock_accept(listener, geteuid())); /* which looked whether somebody is there */
    int client = controlsock_connect(directory, "web"), served = controlsock_accept(listener, geteuid());
    EXPECT(client >= 0 && served >= 0 && controlsock_holder(client, geteuid(), "web") == getpid());
    close(client);
    close(served);
    client = controlsock_connect(directory, "web");
    int strange = controlsock_accept(listener, geteuid() + 1); /* ours, for another user's listener */
    EXPECT(geteuid() == 0 ? strange >= 0 : strange == -EPERM);
    EXPECT(geteuid() == 0 || controlsock_holder(client, geteuid() + 1, "web") == -EPERM);
    EXPECT(controlsock_holder(client, geteuid(), "eb") == -EBADMSG);
    close(client);
    controlsock_remove(fd, "web", status.st_dev, status.st_ino + 1); /* another's, by now */
    EXPECT(faccessat(fd, "web", F_OK, 0) == 0);
    controlsock_remove_stale(fd, directory, "web");
    EXPECT(faccessat(fd, "web", F_OK, 0) == 0);
    close(listener);
    EXPECT(controlsock_connect(directory, "web") == -ECONNREFUSED);
    listener = controlsock_listen(fd, directory, "web"); /* in the place of one that ended */
    EXPECT(listener >= 0 && fstatat(fd, "web", &status, 0) == 0);
    controlsock_remove(fd, "web", status.st_dev, status.st_ino);
    EXPECT(faccessat(fd, "web", F_OK, 0) < 0);
    snprintf(at, sizeof at, "%0*d", (int)sizeof at - 1, 0);
    EXPECT(controlsock_listen(fd, at, "web") == -ENAMETOOLONG && controlsock_connect(at, "web") == -ENAMETOOLONG);
    close(listener);
    close(fd);
}

int main(void)
{
    if (mkdtemp(base) == NULL)
        abort();
    snprintf(directory, sizeof directory, "%s/control", base);
    test_names();
    test_directory();
    test_holding();
    rmdir(directory);
    rmdir(base);
    return unit_done();
}
