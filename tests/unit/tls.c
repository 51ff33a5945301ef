/* unit test of sys/tls.h: the name in a ClientHello, however it is cut, and what isn't one */
#include "unit.h"

#include "../../sys/tls.h"

/* A ClientHello that is being written. */
static uint8_t hello[40000];
static size_t hello_len;

static void put(const void *bytes, size_t len)
{
    memcpy(hello + hello_len, bytes, len);
    hello_len += len;
}

static void put_u16(size_t value)
{
    put((uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put_name(const char *name, size_t len)
{
    put_u16(0);
    put_u16(len + 5);
    put_u16(len + 3);
    put("", 1);
    put_u16(len);
    put(name, len);
}

/* The message's head, up to its extensions; message_end fills in the lengths. */
static void message_begin(void)
{
    static const uint8_t random[32];

    hello_len = 0;
    put("\1\0\0\0\3\3", 6);
    put(random, 32);
    put("\0\0\2\x13\1\1\0\0\0", 9);
}

static void message_end(void)
{
    size_t body = hello_len - 4, extensions = hello_len - 47;

    memcpy(hello + 1, (uint8_t[]){(uint8_t)(body >> 16), (uint8_t)(body >> 8), (uint8_t)body}, 3);
    memcpy(hello + 45, (uint8_t[]){(uint8_t)(extensions >> 8), (uint8_t)extensions}, 2);
}

/* What the message is read as in records of `step` bytes: the parser's result. Each shorter part of it must ask for
 * more. */
static int parse(size_t step, struct tls_hello *out)
{
    static uint8_t bytes[400000];
    size_t len = 0;

    for (size_t at = 0; at < hello_len; at += step) {
        size_t n = hello_len - at < step ? hello_len - at : step;

        memcpy(bytes + len, (uint8_t[]){22, 3, 1, (uint8_t)(n >> 8), (uint8_t)n}, 5);
        memcpy(bytes + len + 5, hello + at, n);
        len += n + 5;
    }
    int whole = tls_parse_hello(unit_flush(bytes, len), len, false, out);
    for (size_t i = 0; whole == 1 && i < len && len < 2000; i++) {
        struct tls_hello part;

        if (tls_parse_hello(unit_flush(bytes, i), i, false, &part) != 0)
            return -EDOM;
    }
    return whole;
}

static void test_names(void)
{
    struct tls_hello got;

    for (size_t step = 1; step < 300; step += step < 10 ? 1 : 97) {
        message_begin();
        put("\0\x17\0\0", 4);
        put_name("www.Example.com", 15);
        message_end();
        EXPECT(parse(step, &got) == 1 && strcmp(got.name, "www.Example.com") == 0);
    }
    message_begin();
    put_name("a.example.", 10);
    put("\xfe\x0d\0\1\0", 5);
    message_end();
    EXPECT(parse(500, &got) == 1 && strcmp(got.name, "a.example") == 0 && got.name_len == 9);
    message_begin();
    put("\0\x17\0\0", 4);
    message_end();
    EXPECT(parse(500, &got) == 1 && got.name_len == 0);
    message_begin();
    hello_len -= 2; /* no extensions at all */
    hello[3] = (uint8_t)(hello_len - 4);
    EXPECT(parse(500, &got) == 1 && got.name_len == 0);
}

/* Large ones: 16 KiB is the most. */
static void test_large(void)
{
    static const uint8_t padding[20000];
    struct tls_hello got;

    for (size_t more = 16000; more < 17000; more += 10) {
        message_begin();
        put_name("a.example", 9);
        put_u16(21);
        put_u16(more);
        put(padding, more);
        message_end();
        int expected = hello_len - 4 <= TLS_HELLO_MAX ? 1 : -EBADMSG;
        if (parse(4000, &got) != expected)
            EXPECT(more == 0);
    }
    message_begin();
    put("\0\x15\x3a\x98", 4);
    put(padding, 15000);
    put_name("a.example", 9);
    message_end();
    EXPECT(parse(16384, &got) == 1 && strcmp(got.name, "a.example") == 0);
}

static void test_malformed(void)
{
    static const char *const firsts[] = {"G", "\x15", "\x80", "\x16\x02", "\x16\x03\x01\x00\x00",
                                         "\x16\x03\x01\x50\x00", "\x16\x03\x01\x00\x01\x02"};
    static const size_t lens[] = {1, 1, 1, 2, 5, 5, 6};
    static const struct {
        const char *name;
        size_t len;
    } names[] = {{"a\0b", 3}, {"", 0}, {"a..b", 4}, {"-a b", 4}, {"a/b", 3}};
    struct tls_hello got;

    for (size_t i = 0; i < ARRAY_LEN(firsts); i++)
        EXPECT(tls_parse_hello(unit_flush(firsts[i], lens[i]), lens[i], false, &got) == -EBADMSG);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        message_begin();
        put_name(names[i].name, names[i].len);
        message_end();
        EXPECT(parse(500, &got) == -EBADMSG);
    }
    message_begin(); /* twice */
    put_name("a", 1);
    put_name("b", 1);
    message_end();
    EXPECT(parse(500, &got) == -EBADMSG);
    message_begin(); /* two names in one */
    put("\0\0\0\x0a\0\x08\0\0\1a\0\0\1b", 14);
    message_end();
    EXPECT(parse(500, &got) == -EBADMSG);
    message_begin(); /* another kind of name */
    put("\0\0\0\6\0\4\1\0\1a", 10);
    message_end();
    EXPECT(parse(500, &got) == -EBADMSG);
    message_begin(); /* something behind it in the record */
    put_name("a", 1);
    message_end();
    put("x", 1);
    EXPECT(parse(500, &got) == -EBADMSG);
    message_begin(); /* extensions that end too late, or too soon */
    put_name("a", 1);
    message_end();
    hello[46]++;
    EXPECT(parse(500, &got) == -EBADMSG);
    hello[46] = (uint8_t)(hello[46] - 2);
    EXPECT(parse(500, &got) == -EBADMSG);
}

static void test_alert(void)
{
    uint8_t alert[TLS_ALERT_LEN];

    tls_write_alert(alert, TLS_UNRECOGNIZED_NAME);
    EXPECT(memcmp(alert, "\x15\3\3\0\2\2\x70", sizeof alert) == 0);
}

/* Behind a HelloRetryRequest: other records may come first. */
static void test_second(void)
{
    static const char *const before[] = {"", "\x14\3\3\0\1\1", "\x14\3\3\0\1\1\x17\3\3\0\3abc\x17\3\3\0\1x"};
    static const size_t lens[] = {0, 6, 6 + 8 + 6};
    static uint8_t bytes[1000];
    struct tls_hello got;

    message_begin();
    put_name("a.example", 9);
    message_end();
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        size_t len = lens[i] + 5 + hello_len;

        memcpy(bytes, before[i], lens[i]);
        memcpy(bytes + lens[i], (uint8_t[]){22, 3, 3, (uint8_t)(hello_len >> 8), (uint8_t)hello_len}, 5);
        memcpy(bytes + lens[i] + 5, hello, hello_len);
        memcpy(bytes + len, "more", 4);
        for (size_t n = 0; n < len; n++)
            EXPECT(tls_parse_hello(unit_flush(bytes, n), n, true, &got) == 0);
        EXPECT(tls_parse_hello(unit_flush(bytes, len + 4), len + 4, true, &got) == 1 && got.size == len);
        EXPECT(strcmp(got.name, "a.example") == 0);
        EXPECT(tls_parse_hello(unit_flush(bytes, len), len, false, &got) == (i == 0 ? 1 : -EBADMSG));
    }
    EXPECT(tls_parse_hello(unit_flush("\x15\3\3\0\2\1\0", 7), 7, true, &got) == -EBADMSG);
}

/* SHA-256 of "HelloRetryRequest" in the place of the random bytes is what makes one (RFC 8446, 4.1.3). */
static void test_retry(void)
{
    uint8_t bytes[43] = {22, 3, 3, 0, 88, 2, 0, 0, 84, 3, 3, 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe,
                         0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07,
                         0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

    for (size_t n = 0; n < sizeof bytes; n++)
        EXPECT(tls_is_retry(unit_flush(bytes, n), n) == -EAGAIN);
    EXPECT(tls_is_retry(unit_flush(bytes, sizeof bytes), sizeof bytes) == 1);
    bytes[42]++;
    EXPECT(tls_is_retry(unit_flush(bytes, sizeof bytes), sizeof bytes) == 0);
    EXPECT(tls_is_retry(unit_flush("\x15", 1), 1) == 0 && tls_is_retry(unit_flush("HTTP", 4), 4) == 0);
}

int main(void)
{
    test_names();
    test_large();
    test_malformed();
    test_second();
    test_retry();
    test_alert();
    return unit_done();
}
