/* tls.h - the ClientHello that begins a TLS connection: the name that it asks for (RFC 8446, 4.1.2; RFC 6066, 3) */
#ifndef TLS_H
#define TLS_H

#include "base.h"
#include "dns.h"

enum tls_content { TLS_CHANGE_CIPHER_SPEC = 20, TLS_ALERT = 21, TLS_HANDSHAKE = 22, TLS_APPLICATION_DATA = 23 };

enum {
    TLS_RECORD_HEADER = 5,
    TLS_MESSAGE_HEADER = 4,
    TLS_HELLO_MAX = 16384,   /* the message; with the headers of its records: */
    TLS_BYTES_MAX = 20480,   /* a caller's buffer: what takes more is refused */
    TLS_RECORD_MAX = 16384,
    TLS_NAME_MAX = 255,
    TLS_ALERT_LEN = 7,
};

enum tls_alert {
    TLS_ILLEGAL_PARAMETER = 47,
    TLS_ACCESS_DENIED = 49,
    TLS_DECODE_ERROR = 50,
    TLS_INTERNAL_ERROR = 80,
    TLS_UNRECOGNIZED_NAME = 112,
};

struct tls_hello {
    char name[TLS_NAME_MAX + 1]; /* of the server, a host name in any case; empty: none is given. Of an
                                  * encrypted one (draft-ietf-tls-esni) the outer name */
    size_t name_len;
    size_t size;                 /* bytes of its records, and of those before it */
};

static uint8_t tls_read_u8(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 1);

    return p ? p[0] : 0;
}

/* A vector: its length in one byte or two, then its bytes, as a cursor over them alone. */
static struct cursor tls_read_vector(struct cursor *c, unsigned width)
{
    size_t len = width == 1 ? tls_read_u8(c) : cursor_u16(c);
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
    enum { SERVER_NAME = 0 };
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
        uint16_t type = cursor_u16(&extensions);
        struct cursor extension = tls_read_vector(&extensions, 2);

        if (extensions.bad)
            break;
        if (type != SERVER_NAME)
            continue;
        bad = named;
        named = true;
        tls_read_name(extension, hello, &bad);
    }
    return bad || extensions.bad ? -EBADMSG : 0;
}

/* Where the first record of a second ClientHello begins: a ChangeCipherSpec may come before it, and early data, which
 * the server doesn't read (RFC 8446, 4.2.10 and D.4). That may be beyond the bytes. */
static size_t tls_find_second(const uint8_t *bytes, size_t len)
{
    size_t at = 0;

    while (at < len && (bytes[at] == TLS_CHANGE_CIPHER_SPEC || bytes[at] == TLS_APPLICATION_DATA))
        at += len - at < TLS_RECORD_HEADER ? len : TLS_RECORD_HEADER + (size_t)(bytes[at + 3] << 8 | bytes[at + 4]);
    return at;
}

/* Read what a client sends first, or (second) when it was asked for another, from one record or several. 1; 0: more is
 * needed; -EBADMSG: no ClientHello, or one of more than TLS_HELLO_MAX. */
static int tls_parse_hello(const uint8_t *bytes, size_t len, bool second, struct tls_hello *hello)
{
    enum { CLIENT_HELLO = 1 };
    static uint8_t message[TLS_MESSAGE_HEADER + TLS_HELLO_MAX]; /* the records' content, put together */
    size_t used = 0, whole = TLS_MESSAGE_HEADER, at = second ? tls_find_second(bytes, len) : 0;

    *hello = (struct tls_hello){.name_len = 0};
    while (used < whole) {
        size_t left = len > at ? len - at : 0;

        if ((left > 0 && bytes[at] != TLS_HANDSHAKE) || (left > 1 && bytes[at + 1] != 3))
            return -EBADMSG;
        if (left < TLS_RECORD_HEADER)
            return 0;
        size_t record = (size_t)(bytes[at + 3] << 8 | bytes[at + 4]);
        if (record == 0 || record > TLS_RECORD_MAX)
            return -EBADMSG;
        at += TLS_RECORD_HEADER;
        size_t here = record < len - at ? record : len - at;
        if (used + here > sizeof message)
            return -EBADMSG;
        memcpy(message + used, bytes + at, here);
        used += here;
        at += here;
        if (used >= 1 && message[0] != CLIENT_HELLO)
            return -EBADMSG;
        if (used >= TLS_MESSAGE_HEADER)
            whole = TLS_MESSAGE_HEADER + ((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
        if (whole > sizeof message)
            return -EBADMSG;
        if (here < record)
            return 0;
    }
    if (used != whole) /* nothing may follow it in its record */
        return -EBADMSG;
    hello->size = at;
    struct cursor body = {.p = message + TLS_MESSAGE_HEADER, .len = whole - TLS_MESSAGE_HEADER};
    int result = tls_read_hello(body, hello);
    return result < 0 ? result : 1;
}

/* Is what a server sends first a HelloRetryRequest (RFC 8446, 4.1.3), which has the client send another ClientHello?
 * 1 or 0; -EAGAIN: more is needed. */
static int tls_is_retry(const uint8_t *bytes, size_t len)
{
    enum { SERVER_HELLO = 2, RANDOM_AT = TLS_RECORD_HEADER + TLS_MESSAGE_HEADER + 2 };
    static const uint8_t random[32] = {
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
        0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    };

    if (len > 0 && bytes[0] != TLS_HANDSHAKE)
        return 0;
    if (len < RANDOM_AT + sizeof random)
        return -EAGAIN;
    return bytes[TLS_RECORD_HEADER] == SERVER_HELLO && memcmp(bytes + RANDOM_AT, random, sizeof random) == 0;
}

/* A fatal alert as it goes out. */
static void tls_write_alert(uint8_t to[TLS_ALERT_LEN], enum tls_alert alert)
{
    const uint8_t bytes[TLS_ALERT_LEN] = {TLS_ALERT, 3, 3, 0, 2, 2, (uint8_t)alert};

    memcpy(to, bytes, sizeof bytes);
}

#endif
