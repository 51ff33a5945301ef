/* native_shapes.h - the shapes a call's arguments can have: addresses, payloads, flags */
#ifndef NATIVE_SHAPES_H
#define NATIVE_SHAPES_H

#include "native_fixture.h"

#include <limits.h>

/* What the shapes without an interest of their own send. */
static char payload[] = "payload!";

enum { PAYLOAD_LEN = sizeof payload - 1 };

/* ---- addresses ---- */

/* A pointer and a length as the call gets them. */
struct raw_address {
    void *p;
    long len;
};

static struct raw_address as_given(struct address address)
{
    return (struct raw_address){fenced(&address.storage, address.len), address.len};
}

/* The good address with another length; 128 readable bytes behind the pointer. */
static struct raw_address good_but(const struct fixture *f, long len)
{
    return (struct raw_address){fenced(&f->to.storage, sizeof f->to.storage), len};
}

static struct raw_address shape_good(const struct fixture *f)
{
    return as_given(f->to);
}

static struct raw_address shape_null_empty(const struct fixture *f)
{
    (void)f;
    return (struct raw_address){NULL, 0};
}

static struct raw_address shape_null(const struct fixture *f)
{
    return (struct raw_address){NULL, f->to.len};
}

static struct raw_address shape_bad_pointer(const struct fixture *f)
{
    return (struct raw_address){BAD_POINTER, f->to.len};
}

static struct raw_address shape_kernel_pointer(const struct fixture *f)
{
    return (struct raw_address){(void *)(LONG_MIN + (1L << 47)), f->to.len};
}

static struct raw_address shape_past_fence(const struct fixture *f)
{
    return (struct raw_address){fenced(&f->to.storage, f->to.len - 1), f->to.len};
}

static struct raw_address shape_empty(const struct fixture *f)
{
    return good_but(f, 0);
}

static struct raw_address shape_one(const struct fixture *f)
{
    return good_but(f, 1);
}

static struct raw_address shape_family_only(const struct fixture *f)
{
    return good_but(f, sizeof(sa_family_t));
}

static struct raw_address shape_short(const struct fixture *f)
{
    return good_but(f, f->kind->family == AF_INET6 ? 23 : f->to.len - 1);
}

static struct raw_address shape_old_in6(const struct fixture *f)
{
    return good_but(f, 24); /* SIN6_LEN_RFC2133: without the scope */
}

static struct raw_address shape_longer(const struct fixture *f)
{
    return good_but(f, f->to.len + 1);
}

static struct raw_address shape_longest(const struct fixture *f)
{
    return good_but(f, sizeof f->to.storage);
}

static struct raw_address shape_too_long(const struct fixture *f)
{
    return good_but(f, sizeof f->to.storage + 1);
}

static struct raw_address shape_negative(const struct fixture *f)
{
    return good_but(f, -1);
}

static struct raw_address shape_least(const struct fixture *f)
{
    return good_but(f, INT_MIN);
}

static struct raw_address shape_high_half(const struct fixture *f)
{
    return good_but(f, (long)(0xdeadbeefUL << 32 | f->to.len));
}

static struct raw_address shape_unspec(const struct fixture *f)
{
    (void)f;
    return as_given(address_unspec());
}

static struct raw_address shape_unspec_family_only(const struct fixture *f)
{
    (void)f;
    return (struct raw_address){fenced(NULL, 16), sizeof(sa_family_t)};
}

/* The good address under another family's number. */
static struct raw_address good_as(const struct fixture *f, sa_family_t family)
{
    struct address address = f->to;

    address.storage.ss_family = family;
    return as_given(address);
}

static struct raw_address shape_as_unspec(const struct fixture *f)
{
    return good_as(f, AF_UNSPEC);
}

static struct raw_address shape_as_in(const struct fixture *f)
{
    return good_as(f, AF_INET);
}

static struct raw_address shape_as_in6(const struct fixture *f)
{
    return good_as(f, AF_INET6);
}

static struct raw_address shape_as_unix(const struct fixture *f)
{
    return good_as(f, AF_UNIX);
}

static struct raw_address shape_family_255(const struct fixture *f)
{
    return good_as(f, 255);
}

static struct raw_address shape_in(const struct fixture *f)
{
    return as_given(address_in("127.0.0.1", address_port(&f->to)));
}

static struct raw_address shape_in6(const struct fixture *f)
{
    return as_given(address_in6("::1", address_port(&f->to)));
}

static struct raw_address shape_mapped(const struct fixture *f)
{
    return as_given(address_in6("::ffff:127.0.0.1", address_port(&f->to)));
}

static struct raw_address shape_any(const struct fixture *f)
{
    return as_given(address_in("0.0.0.0", address_port(&f->to)));
}

static struct raw_address shape_any6(const struct fixture *f)
{
    return as_given(address_in6("::", address_port(&f->to)));
}

static struct raw_address shape_any_mapped(const struct fixture *f)
{
    return as_given(address_in6("::ffff:0.0.0.0", address_port(&f->to)));
}

static struct raw_address shape_port_0(const struct fixture *f)
{
    return as_given(f->kind->family == AF_INET6 ? address_in6("::1", 0) : address_in("127.0.0.1", 0));
}

static struct raw_address shape_broadcast(const struct fixture *f)
{
    return as_given(address_in("127.255.255.255", address_port(&f->to)));
}

static struct raw_address shape_any_port_0(const struct fixture *f)
{
    struct address name = name_of_socket((int)MUST(socket(AF_INET, SOCK_STREAM, 0)));

    (void)f;
    return as_given(name);
}

static struct raw_address shape_nobody(const struct fixture *f)
{
    (void)f;
    return as_given(address_un("nobody"));
}

static struct raw_address shape_nobody_abstract(const struct fixture *f)
{
    (void)f;
    return as_given(address_un("@nobody"));
}

static struct raw_address shape_directory(const struct fixture *f)
{
    (void)f;
    return as_given(address_un("."));
}

static struct raw_address shape_under_a_file(const struct fixture *f)
{
    (void)f;
    close(not_file());
    return as_given(address_un("file/peer"));
}

static struct raw_address shape_file(const struct fixture *f)
{
    (void)f;
    close(not_file());
    return as_given(address_un("file"));
}

static struct raw_address shape_path_not_ended(const struct fixture *f)
{
    struct address address = f->to;

    address.len--;
    return as_given(address);
}

static struct raw_address shape_path_108(const struct fixture *f)
{
    struct address address = {.storage = {.ss_family = AF_UNIX}, .len = sizeof(struct sockaddr_un)};

    (void)f;
    memset((char *)&address.storage + NAME_OFFSET, 'x', address.len - NAME_OFFSET);
    return as_given(address);
}

static struct raw_address shape_netlink(const struct fixture *f)
{
    (void)f;
    return as_given(address_netlink(0, 0));
}

static struct raw_address shape_netlink_group(const struct fixture *f)
{
    (void)f;
    return as_given(address_netlink(0, 1));
}

/* `wide`: only for the stages that meet every shape. */
static const struct address_shape {
    const char *name;
    struct raw_address (*make)(const struct fixture *f);
    bool wide;
} address_shapes[] = {
    {"good", shape_good, false},
    {"null-empty", shape_null_empty, false},
    {"null", shape_null, false},
    {"bad-pointer", shape_bad_pointer, false},
    {"kernel-pointer", shape_kernel_pointer, true},
    {"past-fence", shape_past_fence, true},
    {"empty", shape_empty, false},
    {"one-byte", shape_one, true},
    {"family-only", shape_family_only, false},
    {"short", shape_short, false},
    {"24-bytes", shape_old_in6, true},
    {"longer", shape_longer, true},
    {"longest", shape_longest, true},
    {"too-long", shape_too_long, false},
    {"negative", shape_negative, false},
    {"least", shape_least, true},
    {"high-half", shape_high_half, true},
    {"unspec", shape_unspec, false},
    {"unspec-family-only", shape_unspec_family_only, true},
    {"as-unspec", shape_as_unspec, false},
    {"as-in", shape_as_in, true},
    {"as-in6", shape_as_in6, true},
    {"as-unix", shape_as_unix, false},
    {"family-255", shape_family_255, true},
    {"in", shape_in, false},
    {"in6", shape_in6, false},
    {"mapped", shape_mapped, false},
    {"any", shape_any, false},
    {"any6", shape_any6, false},
    {"any-mapped", shape_any_mapped, true},
    {"port-0", shape_port_0, true},
    {"broadcast", shape_broadcast, true},
    {"any-port-0", shape_any_port_0, true},
    {"nobody", shape_nobody, true},
    {"nobody-abstract", shape_nobody_abstract, true},
    {"directory", shape_directory, true},
    {"file", shape_file, true},
    {"under-a-file", shape_under_a_file, true},
    {"path-not-ended", shape_path_not_ended, true},
    {"path-108", shape_path_108, true},
    {"netlink", shape_netlink, true},
    {"netlink-group", shape_netlink_group, true},
};

/* ---- payloads ---- */

struct raw_payload {
    void *p;
    size_t len;
};

static struct raw_payload bytes_good(void)
{
    return (struct raw_payload){fenced(payload, PAYLOAD_LEN), PAYLOAD_LEN};
}

static struct raw_payload bytes_empty(void)
{
    return (struct raw_payload){payload, 0};
}

static struct raw_payload bytes_bad_empty(void)
{
    return (struct raw_payload){BAD_POINTER, 0};
}

static struct raw_payload bytes_null(void)
{
    return (struct raw_payload){NULL, PAYLOAD_LEN};
}

static struct raw_payload bytes_bad(void)
{
    return (struct raw_payload){BAD_POINTER, PAYLOAD_LEN};
}

static struct raw_payload bytes_kernel(void)
{
    return (struct raw_payload){(void *)(LONG_MIN + (1L << 47)), PAYLOAD_LEN};
}

static struct raw_payload bytes_past_fence(void)
{
    return (struct raw_payload){fenced(payload, PAYLOAD_LEN), PAYLOAD_LEN + 1};
}

static struct raw_payload bytes_page(void)
{
    return (struct raw_payload){fenced(NULL, PAGE), PAGE};
}

static struct raw_payload bytes_page_of_two(void)
{
    return (struct raw_payload){fenced(NULL, PAGE), 2 * PAGE};
}

static struct raw_payload bytes_64k(void)
{
    return (struct raw_payload){fenced(NULL, 65536), 65536};
}

static struct raw_payload bytes_negative(void)
{
    return (struct raw_payload){fenced(payload, PAYLOAD_LEN), SIZE_MAX};
}

static struct raw_payload bytes_int_max(void)
{
    return (struct raw_payload){fenced(payload, PAYLOAD_LEN), INT_MAX};
}

static struct raw_payload bytes_int_max_fenced_first(void)
{
    return (struct raw_payload){BAD_POINTER, INT_MAX};
}

static const struct payload_shape {
    const char *name;
    struct raw_payload (*make)(void);
    bool wide;
} payload_shapes[] = {
    {"good", bytes_good, false},
    {"empty", bytes_empty, false},
    {"bad-pointer-empty", bytes_bad_empty, true},
    {"null", bytes_null, true},
    {"bad-pointer", bytes_bad, false},
    {"kernel-pointer", bytes_kernel, true},
    {"past-fence", bytes_past_fence, false},
    {"page", bytes_page, true},
    {"page-of-two", bytes_page_of_two, true},
    {"64k", bytes_64k, true},
    {"negative", bytes_negative, true},
    {"int-max", bytes_int_max, true},
    {"int-max-unreadable", bytes_int_max_fenced_first, true},
};

/* ---- flags ---- */

static const struct flag_shape {
    const char *name;
    unsigned flags;
    bool wide;
} flag_shapes[] = {
    {"dontwait", MSG_DONTWAIT, false},
    {"nosignal", MSG_NOSIGNAL, false},
    {"oob", MSG_OOB, false},
    {"peek", MSG_PEEK, true},
    {"dontroute", MSG_DONTROUTE, true},
    {"ctrunc", MSG_CTRUNC, true},
    {"proxy", 0x10, true},
    {"trunc", MSG_TRUNC, true},
    {"eor", MSG_EOR, true},
    {"waitall", MSG_WAITALL, true},
    {"fin", 0x200, true},
    {"syn", 0x400, true},
    {"confirm", MSG_CONFIRM, false},
    {"rst", 0x1000, true},
    {"errqueue", MSG_ERRQUEUE, true},
    {"more", MSG_MORE, false},
    {"waitforone", 0x10000, true},
    {"internal-no-frags", 0x80000, true},
    {"batch", 0x40000, true},
    {"splice-pages", 0x8000000, true},
    {"cmsg-cloexec", 0x40000000, true},
    {"compat", 0x80000000, false},
    {"all-but-fastopen", 0xdfffffff, true},
};

#endif
