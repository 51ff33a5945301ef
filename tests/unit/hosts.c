/* unit test of sys/hosts.h: what a hosts file says, what a sandbox gets to see of it, what an image can't do with it */
#include "unit.h"

#include "../../sys/hosts.h"

static struct slice flush(const char *text)
{
    return (struct slice){unit_flush(text, strlen(text)), strlen(text)};
}

/* The composed file for an image's and a real file (NULL: none) and one entry or none. Never freed. */
static const char *compose(const char *image, const char *real, const char *entry)
{
    struct growing out = {0};
    struct ip_addr addr = {0, 0x0a000001, 4};

    hosts_compose_base(&out, image ? flush(image) : (struct slice){NULL, 0});
    if (real != NULL)
        hosts_compose_machine(&out, flush(real), slice_of("box"));
    if (entry != NULL)
        hosts_compose_entry(&out, addr, slice_of(entry));
    growing_append(&out, (struct slice){"", 1});
    EXPECT(!out.failed);
    return out.p;
}

static bool composes(const char *image, const char *real, const char *entry, const char *expected)
{
    const char *got = compose(image, real, entry);

    if (strcmp(got, expected) != 0)
        printf("composed:\n%s", got);
    return strcmp(got, expected) == 0;
}

#define LOOPBACK "127.0.0.1 localhost\n::1 localhost\n"

static void test_compose(void)
{
    EXPECT(composes(NULL, NULL, NULL, LOOPBACK));
    EXPECT(composes(NULL, NULL, "api", LOOPBACK "10.0.0.1 api\n"));
    EXPECT(composes(NULL, NULL, "api.example.com.", LOOPBACK "10.0.0.1 api.example.com\n"));
    /* An image's file is kept, and what it lacks of localhost is added. */
    EXPECT(composes("10.0.0.5 myimage.local\n", NULL, NULL, "10.0.0.5 myimage.local\n" LOOPBACK));
    EXPECT(composes(LOOPBACK "10.0.0.5 myimage.local\n", NULL, NULL, LOOPBACK "10.0.0.5 myimage.local\n"));
    EXPECT(composes("127.0.0.1 localhost myimage\n", NULL, NULL, "127.0.0.1 localhost myimage\n::1 localhost\n"));
    EXPECT(composes("::1 ip6-localhost localhost\n", NULL, NULL, "::1 ip6-localhost localhost\n127.0.0.1 localhost\n"));
    EXPECT(composes("", NULL, "api", LOOPBACK "10.0.0.1 api\n"));
    /* A comment is no entry, and the last line may lack its end. */
    EXPECT(composes("127.0.0.1 # localhost", NULL, "api", "127.0.0.1 # localhost\n" LOOPBACK "10.0.0.1 api\n"));
    EXPECT(composes("127.0.0.1 localhost.localdomain mylocalhost", NULL, NULL,
                    "127.0.0.1 localhost.localdomain mylocalhost\n" LOOPBACK));
    EXPECT(composes("127.0.0.2 localhost\n", NULL, NULL, "127.0.0.2 localhost\n" LOOPBACK));
}

/* gethostbyname(gethostname()) works where it worked: the lines that name the machine are kept, as they are. */
static void test_machine(void)
{
    EXPECT(composes(NULL, "127.0.0.1\tlocalhost\n127.0.1.1\tbox.example.com\tbox\n10.1.1.1 other\n", NULL,
                    LOOPBACK "127.0.1.1 box.example.com box\n"));
    EXPECT(composes(NULL, "127.0.0.1 localhost BOX # box\n", NULL, LOOPBACK "127.0.0.1 BOX\n"));
    EXPECT(composes(NULL, "10.1.1.1 boxes xbox box.example\n", NULL, LOOPBACK));
    EXPECT(composes(NULL, "10.1.1.1 box\nfd00::1 box\n", "api", LOOPBACK "10.1.1.1 box\nfd00::1 box\n10.0.0.1 api\n"));
}

static void test_lines(void)
{
    struct slice rest = flush("\n# all\n  10.0.0.1 \t a.b  c\r\n10.0.0.2\nfe80::1%lo d\nnonsense e\n2001:db8::1 f#g\n"
                              "10.0.0.3 h");
    struct hosts_line line;

    EXPECT(hosts_next(&rest, &line) && line.addr.lo == 0x0a000001 && hosts_line_has(line, slice_of("C")));
    EXPECT(hosts_line_has(line, slice_of("a.b.")) && !hosts_line_has(line, slice_of("a")));
    EXPECT(slice_is(hosts_word(&line.names), "a.b") && slice_is(hosts_word(&line.names), "c"));
    EXPECT(hosts_word(&line.names).len == 0 && hosts_word(&line.names).len == 0);
    EXPECT(hosts_next(&rest, &line) && line.addr.lo == 0x0a000002 && hosts_word(&line.names).len == 0);
    EXPECT(hosts_next(&rest, &line) && line.addr.version == 6 && slice_is(hosts_word(&line.names), "f"));
    EXPECT(hosts_next(&rest, &line) && hosts_line_has(line, slice_of("h")) && !hosts_next(&rest, &line));
    rest = (struct slice){NULL, 0};
    EXPECT(!hosts_next(&rest, &line));
    EXPECT(!hosts_name_equal(slice_of("."), slice_of("")) && !hosts_name_equal(slice_of(""), slice_of("")));
}

static void make(const char *root, const char *name, const char *content)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(content, file) < 0 || fclose(file) != 0)
        abort();
}

static void make_link(const char *root, const char *name, const char *target)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", root, name);
    if (symlink(target, path) < 0)
        abort();
}

/* What /etc/hosts of an image, or of the machine for root NULL, loads as; or the error. */
static int load(const char *root, const char *path, const char *expected)
{
    struct growing text = {0};
    int status = hosts_load(&text, root, path);

    EXPECT(status != 0 || (text.len == strlen(expected) && memcmp(text.p, expected, text.len) == 0));
    free(text.p);
    return status;
}

/* A link out of the image must not show what is outside: its file goes to a program that may not see that. */
static void test_load(void)
{
    char dir[] = "/tmp/hosts-test.XXXXXX", image[64], path[128];

    if (mkdtemp(dir) == NULL)
        abort();
    snprintf(image, sizeof image, "%s/image", dir);
    mkdir(image, 0700);
    snprintf(path, sizeof path, "%s/etc", image);
    mkdir(path, 0700);
    make(dir, "secret", "outside\n");
    make(image, "inside", "inside\n");
    snprintf(path, sizeof path, "%s/secret", dir);

    EXPECT(load(NULL, path, "outside\n") == 0);
    EXPECT(load(NULL, dir, "") == -EISDIR && load(image, "/etc/hosts", "") == -ENOENT);
    make_link(image, "etc/hosts", "/inside");
    EXPECT(load(image, "/etc/hosts", "inside\n") == 0);
    make_link(image, "etc/up", "../../secret");
    EXPECT(load(image, "/etc/up", "") == -ENOENT);
    make_link(image, "etc/absolute", path);
    EXPECT(load(image, "/etc/absolute", "") == -ENOENT);
    EXPECT(load("/", "/proc/self/root/etc/passwd", "") < 0);
    snprintf(path, sizeof path, "%s/etc/fifo", image);
    EXPECT(mkfifo(path, 0600) == 0 && load(image, "/etc/fifo", "") == -EINVAL); /* and nobody waits for its writer */
    EXPECT(load(image, "/etc", "") == -EINVAL);

    char *large = malloc(HOSTS_FILE_MAX + 2);
    memset(large, '#', HOSTS_FILE_MAX + 1);
    large[HOSTS_FILE_MAX + 1] = 0;
    make(dir, "large", large);
    snprintf(path, sizeof path, "%s/large", dir);
    EXPECT(load(NULL, path, "") == -EFBIG);
    large[HOSTS_FILE_MAX] = 0;
    make(dir, "large", large);
    EXPECT(load(NULL, path, large) == 0);
    free(large);

    char command[256];
    snprintf(command, sizeof command, "rm -r %s", dir);
    EXPECT(system(command) == 0);
}

int main(void)
{
    test_compose();
    test_machine();
    test_lines();
    test_load();
    return unit_done();
}
