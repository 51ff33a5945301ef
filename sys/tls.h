/* tls.h - the ClientHello that begins a TLS connection: the name that it asks for (RFC 8446, 4.1.2; RFC 6066, 3) */
#ifndef TLS_H
#define TLS_H

#include "base.h"
#include "dns.h"

enum {
    TLS_HELLO_MAX = 16384,   /* the message; with the headers of its records: */
    TLS_BYTES_MAX = 20480,   /* a caller's buffer: what takes more is refused */
    TLS_RECORD_MAX = 16384,
    TLS_NAME_MAX = 255,
    TLS_ALERT_LEN = 7,
};

enum tls_alert {
    TLS_ACCESS_DENIED = 49,
    TLS_DECODE_ERROR = 50,
    TLS_INTERNAL_ERROR = 80,
    TLS_UNRECOGNIZED_NAME = 112,
};

struct tls_hello {
    char name[TLS_NAME_MAX + 1]; /* of the server, a host name in any case; empty: none is given */
    size_t name_len;
    bool ech;                    /* the true name is hidden: this is the outer one (draft-ietf-tls-esni) */
};

static uint16_t tls_read_u16(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 2);

    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static uint8_t tls_read_u8(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 1);

    return p ? p[0] : 0;
}

/* A vector: its length in one byte or two, then its bytes, as a cursor over them alone. */
static struct cursor tls_read_vector(struct cursor *c, unsigned width)
{
    size_t len = width == 1 ? tls_read_u8(c) : tls_read_u16(c);
    const uint8_t *p = cursor_take(c, len);

    return (struct cursor){.p = p, .len = p ? len : 0};
}

/* server_name: one host name. */
static void tls_read_name(struct cursor extension, struct tls_hello *hello, bool *bad)
{
    struct cursor list = tls_read_vector(&extension, 2);
    uint8_t type = tls_read_u8(&list);
    struct cursor name = tls_read_vector(&list, 2);
    struct slice text = {(const char *)name.p, name.len};

    if (extension.bad || list.bad || extension.pos != extension.len || list.pos != list.len || type != 0 ||
        name.len > TLS_NAME_MAX || !dns_name_valid(text)) {
        *bad = true;
        return;
    }
    memcpy(hello->name, text.p, text.len);
    hello->name_len = text.len - (text.p[text.len - 1] == '.');
    hello->name[hello->name_len] = 0;
}

/* The message's body. 0 or -EBADMSG. */
static int tls_read_hello(struct cursor c, struct tls_hello *hello)
{
    enum { SERVER_NAME = 0, ECH = 0xfe0d, ESNI = 0xffce };
    bool bad = false, named = false;

    cursor_take(&c, 2 + 32); /* legacy_version, random */
    bad = tls_read_vector(&c, 1).len > 32; /* session id */
    size_t suites = tls_read_vector(&c, 2).len;
    size_t compressions = tls_read_vector(&c, 1).len;
    if (c.bad || bad || suites < 2 || suites % 2 != 0 || compressions < 1)
        return -EBADMSG;
    if (c.pos == c.len) /* older than extensions */
        return 0;
    struct cursor extensions = tls_read_vector(&c, 2);
    if (c.bad || c.pos != c.len)
        return -EBADMSG;
    while (extensions.pos < extensions.len && !extensions.bad && !bad) {
        uint16_t type = tls_read_u16(&extensions);
        struct cursor extension = tls_read_vector(&extensions, 2);

        if (extensions.bad)
            break;
        hello->ech = hello->ech || type == ECH || type == ESNI;
        if (type != SERVER_NAME)
            continue;
        bad = named;
        named = true;
        tls_read_name(extension, hello, &bad);
    }
    return bad || extensions.bad ? -EBADMSG : 0;
}

/* Read what a client sends first, from one record or several. 1; 0: more is needed; -EBADMSG: no ClientHello, or one of
 * more than TLS_HELLO_MAX. */
static int tls_parse_hello(const uint8_t *bytes, size_t len, struct tls_hello *hello)
{
    enum { HANDSHAKE = 22, CLIENT_HELLO = 1, RECORD_HEADER = 5, MESSAGE_HEADER = 4 };
    static uint8_t message[MESSAGE_HEADER + TLS_HELLO_MAX]; /* the records' content, put together */
    size_t used = 0, whole = MESSAGE_HEADER;

    *hello = (struct tls_hello){.name_len = 0};
    for (size_t at = 0; used < whole;) {
        size_t left = len - at;

        if ((left > 0 && bytes[at] != HANDSHAKE) || (left > 1 && bytes[at + 1] != 3))
            return -EBADMSG;
        if (left < RECORD_HEADER)
            return 0;
        size_t record = (size_t)(bytes[at + 3] << 8 | bytes[at + 4]);
        if (record == 0 || record > TLS_RECORD_MAX)
            return -EBADMSG;
        at += RECORD_HEADER;
        size_t here = record < len - at ? record : len - at;
        if (used + here > sizeof message)
            return -EBADMSG;
        memcpy(message + used, bytes + at, here);
        used += here;
        at += here;
        if (used >= 1 && message[0] != CLIENT_HELLO)
            return -EBADMSG;
        if (used >= MESSAGE_HEADER)
            whole = MESSAGE_HEADER + ((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
        if (whole > sizeof message)
            return -EBADMSG;
        if (here < record)
            return 0;
    }
    if (used != whole) /* nothing may follow it in its record */
        return -EBADMSG;
    int result = tls_read_hello((struct cursor){.p = message + MESSAGE_HEADER, .len = whole - MESSAGE_HEADER}, hello);
    return result < 0 ? result : 1;
}

/* A fatal alert as it goes out. */
static void tls_write_alert(uint8_t to[TLS_ALERT_LEN], enum tls_alert alert)
{
    const uint8_t bytes[TLS_ALERT_LEN] = {21, 3, 3, 0, 2, 2, (uint8_t)alert};

    memcpy(to, bytes, sizeof bytes);
}

#endif
