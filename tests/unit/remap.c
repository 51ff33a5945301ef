/* unit test of sys/remap.h: what is found by which number, and whose place another entry gets */
#include "unit.h"

#include "../../sys/remap.h"

static struct remap remap;

static struct ip_addr addr(const char *text)
{
    struct ip_addr a = {0, 0, 0};

    ip_addr_parse(slice_of(text), &a);
    return a;
}

static int add(uint64_t cookie, int protocol, const char *at, uint16_t asked, uint16_t real)
{
    return remap_add(&remap, &(struct remap_port){.cookie = cookie, .protocol = protocol, .addr = addr(at),
                                                  .asked = asked, .real = real, .dual = strcmp(at, "::") == 0});
}

static uint16_t asked(int protocol, const char *at, uint16_t real)
{
    return remap_asked(&remap, protocol, addr(at), real);
}

static void test_numbers(void)
{
    remap = (struct remap){.pins = NULL};
    EXPECT(asked(IPPROTO_TCP, "127.0.0.1", 40000) == 40000);
    EXPECT(add(1, IPPROTO_TCP, "127.0.0.1", 80, 40000) == 0);
    EXPECT(asked(IPPROTO_TCP, "127.0.0.1", 40000) == 80);
    EXPECT(asked(IPPROTO_UDP, "127.0.0.1", 40000) == 40000);
    EXPECT(asked(IPPROTO_TCP, "127.0.0.2", 40000) == 40000);
    EXPECT(asked(IPPROTO_TCP, "::1", 40000) == 40000);
    EXPECT(asked(IPPROTO_TCP, "127.0.0.1", 80) == 80);
    EXPECT(add(2, IPPROTO_UDP, "::", 53, 40000) == 0);
    EXPECT(asked(IPPROTO_UDP, "127.0.0.9", 40000) == 53);
    EXPECT(asked(IPPROTO_UDP, "2001:db8::1", 40000) == 53);
    EXPECT(asked(IPPROTO_TCP, "127.0.0.1", 40000) == 80);
    EXPECT(remap_of(&remap, 2)->asked == 53 && remap_of(&remap, 3) == NULL);
    EXPECT(remap.n_moved == 2);
}

/* The kernel gave the port of a socket that was closed to another. */
static void test_supersedes(void)
{
    remap = (struct remap){.pins = NULL};
    add(1, IPPROTO_TCP, "127.0.0.1", 80, 40000);
    add(2, IPPROTO_TCP, "127.0.0.1", 80, 40000); /* SO_REUSEPORT: both have it */
    EXPECT(remap.n_moved == 2);
    add(3, IPPROTO_TCP, "127.0.0.2", 40000, 40000);
    EXPECT(remap.n_moved == 2);
    add(4, IPPROTO_TCP, "0.0.0.0", 40000, 40000);
    EXPECT(remap.n_moved == 0 && asked(IPPROTO_TCP, "127.0.0.1", 40000) == 40000);
    add(4, IPPROTO_TCP, "127.0.0.1", 81, 40001); /* the same socket, bound anew */
    EXPECT(remap.n_moved == 1 && asked(IPPROTO_TCP, "127.0.0.1", 40001) == 81);
}

static void test_overlaps(void)
{
    static const struct {
        const char *bound, *at;
        bool bound_dual, dual, overlaps;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", false, false, true}, {"127.0.0.1", "127.0.0.2", false, false, false},
        {"0.0.0.0", "127.0.0.2", false, false, true},   {"127.0.0.1", "0.0.0.0", false, false, true},
        {"0.0.0.0", "::1", false, false, false},        {"::", "127.0.0.1", true, false, true},
        {"::", "127.0.0.1", false, false, false},       {"::", "::1", false, false, true},
        {"127.0.0.1", "::", false, true, true},         {"127.0.0.1", "::", false, false, false},
        {"::1", "127.0.0.1", false, false, false},      {"0.0.0.0", "::", false, true, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct remap_port port = {.addr = addr(cases[i].bound), .dual = cases[i].bound_dual};

        EXPECT(remap_overlaps(&port, addr(cases[i].at), cases[i].dual) == cases[i].overlaps);
    }
}

/* A full table gives up what is gone, then ports with the number that was asked for, and no others. */
static void test_full(void)
{
    remap = (struct remap){.pins = NULL};
    for (unsigned i = 0; i < REMAP_MAX; i++) {
        uint16_t wanted = (uint16_t)(1000 + i), real = (uint16_t)(i < 3 ? wanted : 30000 + i);

        EXPECT(add(100 + i, IPPROTO_TCP, "127.0.0.1", wanted, real) == 0);
    }
    EXPECT(remap.n_moved == REMAP_MAX - 3);
    remap_of(&remap, 500)->gone = true;
    EXPECT(add(1, IPPROTO_TCP, "127.0.0.1", 1, 20001) == 0 && remap_of(&remap, 500) == NULL);
    for (unsigned i = 0; i < 3; i++)
        EXPECT(add(2 + i, IPPROTO_TCP, "127.0.0.1", 2, (uint16_t)(20002 + i)) == 0);
    EXPECT(remap_of(&remap, 100) == NULL && remap_of(&remap, 102) == NULL && remap_of(&remap, 103) != NULL);
    EXPECT(remap_place(&remap) == NULL);
    EXPECT(add(9, IPPROTO_TCP, "127.0.0.1", 2, 20009) == -ENOBUFS && remap.n_moved == REMAP_MAX);
}

int main(void)
{
    test_numbers();
    test_supersedes();
    test_overlaps();
    test_full();
    return unit_done();
}
