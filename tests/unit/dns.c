/* unit test of sys/dns.h: names, messages written and read again, hostile bytes, chains of CNAMEs; and the fuzzer's
 * corpus, as it is and damaged, flush against an unreadable page */
#include "unit.h"

#include "../fuzz/dns.c"

#include <dirent.h>

enum { ROUNDS = 300 }; /* damaged copies of each file of the corpus */

static const char corpus[] = "tests/fuzz/corpus/dns";

static struct dns_name name(const char *text)
{
    struct dns_name out = {0};
    size_t len = strlen(text);

    EXPECT(dns_name_parse((struct slice){unit_flush(text, len), len}, &out) == 0);
    return out;
}

/* `len` times the same letter, then `more`. Never freed. */
static char *repeat(size_t len, const char *more)
{
    char *text = malloc(len + strlen(more) + 1);

    memset(text, 'a', len);
    strcpy(text + len, more);
    return text;
}

static bool valid(const char *text)
{
    size_t len = strlen(text);

    return dns_name_valid((struct slice){unit_flush(text, len), len});
}

static void test_names(void)
{
    static const char *const good[] = {
        "example.com", "EXAMPLE.com", "example.com.", "a", "xn--bcher-kva.example", "a-b.c", "my_service",
        "_tcp.example", "1.2.3.4.in-addr.arpa", "4chan.org", "x.1a",
    };
    static const char *const bad[] = {
        "", ".", "..", ".a", "a..b", "a..", "-a", "a-", "a.-b", "a b", "a/b", "a:b", "a@b", "b\303\274cher.example",
        "*.example.com", "1.2.3.4", "1.2.3", "999", "a.1", "a\n",
    };
    char *label = repeat(63, "."), text[300];

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        EXPECT(valid(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        EXPECT(!valid(bad[i]));
    EXPECT(!dns_name_valid((struct slice){"a\0b", 3}) && !dns_name_valid((struct slice){"a.com\0", 6}));
    EXPECT(valid(repeat(63, ".com")) && !valid(repeat(64, ".com")));
    snprintf(text, sizeof text, "%s%s%s%s", label, label, label, repeat(61, ""));
    EXPECT(strlen(text) == 253 && valid(text) && name(text).len == 255);
    EXPECT(valid(strcat(text, ".")));
    snprintf(text, sizeof text, "%s%s%s%s", label, label, label, repeat(62, ""));
    EXPECT(!valid(text));
}

static void test_equal(void)
{
    struct dns_name a = name("Example.COM"), b = name("example.com."), longer = name("evilexample.com");
    struct dns_name dotted = {.len = 13, .wire = "\013example.com"};

    EXPECT(a.len == 13 && memcmp(a.wire, "\7Example\3COM", 13) == 0);
    EXPECT(dns_name_equal(&a, &b));
    EXPECT(!dns_name_equal(&a, &longer));
    EXPECT(!dns_name_equal(&b, &dotted)); /* a dot within a label is no border */
}

/* The message for the tests below: head, question for example.com, A; then what the test adds. */
struct message {
    uint8_t bytes[1024];
    size_t len;
};

static void add(struct message *message, const void *bytes, size_t len)
{
    memcpy(message->bytes + message->len, bytes, len);
    message->len += len;
}

#define ADD(message, literal) add(message, literal, sizeof(literal) - 1)

static struct message answer(unsigned flags, uint8_t answers, uint8_t authorities)
{
    struct message message = {.len = 0};
    uint8_t head[] = {0x12, 0x34, (uint8_t)(flags >> 8), (uint8_t)flags, 0, 1, 0, answers, 0, authorities, 0, 0};

    add(&message, head, sizeof head);
    ADD(&message, "\7example\3com\0\0\1\0\1");
    return message;
}

/* Read a message to its end: how many records, or the error. */
static int count(const struct message *message)
{
    struct dns_reader reader;
    struct dns_record record;
    int n = 0, status = dns_read_start(&reader, unit_flush(message->bytes, message->len), message->len);

    while (status == 0 && (status = dns_read_record(&reader, &record)) > 0)
        n += status--;
    return status < 0 ? status : n;
}

/* The addresses an answer gives, at most 8. */
static int addrs(const struct message *message, uint8_t (*out)[16], uint32_t *ttl)
{
    struct dns_reader reader;
    int status = dns_read_start(&reader, unit_flush(message->bytes, message->len), message->len);

    return status < 0 ? status : dns_answer_addrs(&reader, out, 8, ttl);
}

static void test_query(void)
{
    struct dns_name asked = name("example.com");
    static const char wire[] = "\x12\x34\1\0\0\1\0\0\0\0\0\1\7example\3com\0\0\x1c\0\1\0\0\x29\x04\xd0\0\0\0\0\0\0";
    uint8_t bytes[DNS_QUERY_MAX];

    size_t len = dns_write_query(bytes, 0x1234, &asked, DNS_AAAA, true);
    EXPECT(len == sizeof wire - 1 && memcmp(bytes, wire, len) == 0);
    len = dns_write_query(bytes, 0x1234, &asked, DNS_A, false);
    EXPECT(len == 12 + 13 + 4 && bytes[11] == 0 && bytes[26] == DNS_A);
}

static struct dns_reader reader_of(const struct message *message)
{
    struct dns_reader reader = {0};

    EXPECT(dns_read_start(&reader, unit_flush(message->bytes, message->len), message->len) == 0);
    return reader;
}

/* Every kind of record and every field comes back. */
static void test_round_trip(void)
{
    struct message message;
    struct dns_question question = {.name = name("Example.com"), .type = DNS_A, .class = DNS_CLASS_IN};
    struct dns_soa soa = {name("ns.example.com"), name("admin.example.com"), 1, 2, 3, 4, 5};
    struct dns_record records[] = {
        {.section = DNS_ANSWER, .name = question.name, .type = DNS_CNAME, .class = 1, .ttl = 60,
         .target = name("b.org")},
        {.section = DNS_ANSWER, .name = name("b.org"), .type = DNS_A, .class = 1, .ttl = 61, .address = {192, 0, 2, 1}},
        {.section = DNS_ANSWER, .name = name("b.org"), .type = DNS_AAAA, .class = 1, .ttl = 0,
         .address = {32, 1, 13, 184}},
        {.section = DNS_AUTHORITY, .name = name("example.com"), .type = DNS_SOA, .class = 1, .ttl = 900, .soa = soa},
        {.section = DNS_ADDITIONAL, .name = question.name, .type = 16, .class = 1, .ttl = 1, .data = {"\4text", 5}},
        {.section = DNS_ADDITIONAL, .name = {.len = 1}, .type = DNS_OPT, .class = 4096, .ttl = 0x8000},
    };
    struct dns_writer writer;
    struct dns_record back;

    dns_write_start(&writer, message.bytes, sizeof message.bytes, 7, DNS_RESPONSE | DNS_AUTHORITATIVE, &question);
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        dns_write_record(&writer, &records[i]);
    message.len = writer.len;
    EXPECT(!writer.full);
    EXPECT(message.bytes[29] == 0xc0 && message.bytes[30] == 12); /* the question's name is not repeated */

    struct dns_reader reader = reader_of(&message);
    EXPECT(reader.id == 7 && reader.flags == (DNS_RESPONSE | DNS_AUTHORITATIVE) && reader.has_question);
    EXPECT(fuzz_same_name(&reader.question.name, &question.name) && reader.question.type == DNS_A);
    EXPECT(reader.question.class == DNS_CLASS_IN);
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        EXPECT(dns_read_record(&reader, &back) == 1 && fuzz_same_record(&records[i], &back));
    EXPECT(dns_read_record(&reader, &back) == 0);

    dns_write_start(&writer, message.bytes, 100, 7, 0, &question);
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        dns_write_record(&writer, &records[i]);
    EXPECT(writer.full && writer.len <= 100);
    dns_write_start(&writer, message.bytes, sizeof message.bytes, 7, 0, &question);
    dns_write_record(&writer, &records[5]);
    dns_write_record(&writer, &records[0]);
    EXPECT(writer.full); /* an answer after an additional record would be counted wrongly */
}

static void test_malformed(void)
{
    struct message message = answer(0x8180, 1, 0);

    EXPECT(count(&message) == -EBADMSG); /* a record less than was said */
    ADD(&message, "\xc0\x0c\0\1\0\1\0\0\0\1\0\4\300\0\2\1");
    EXPECT(count(&message) == 1);
    for (size_t len = 0; len < message.len; len++) {
        struct message cut = message;
        cut.len = len;
        EXPECT(count(&cut) == -EBADMSG);
    }
    ADD(&message, "x");
    EXPECT(count(&message) == -EBADMSG); /* bytes that no count covers */

    static const struct {
        const char *what, *record;
        size_t len;
    } rows[] = {
#define ROW(what, record) {what, record, sizeof(record) - 1}
        ROW("a pointer to itself", "\xc0\x1d\0\1\0\1\0\0\0\1\0\4\300\0\2\1"),
        ROW("a pointer to labels that lead back to it", "\1a\xc0\x1d\0\1\0\1\0\0\0\1\0\4\300\0\2\1"),
        ROW("a pointer forward", "\xc0\x1f\0\1\0\1\0\0\0\1\0\4\300\0\2\1"),
        ROW("a pointer past the end", "\xff\xff\0\1\0\1\0\0\0\1\0\4\300\0\2\1"),
        ROW("a pointer to a zero in the head", "\xc0\4\0\1\0\1\0\0\0\1\0\4\300\0\2\1"),
        ROW("a label of no known kind", "\x40\0\0\1\0\1\0\0\0\1\0\4\300\0\2\1"),
        ROW("an A record of three bytes", "\xc0\x0c\0\1\0\1\0\0\0\1\0\3\300\0\2"),
        ROW("an A record of five bytes", "\xc0\x0c\0\1\0\1\0\0\0\1\0\5\300\0\2\1\1"),
        ROW("an AAAA record of four bytes", "\xc0\x0c\0\x1c\0\1\0\0\0\1\0\4\300\0\2\1"),
        ROW("a CNAME that ends before its data", "\xc0\x0c\0\5\0\1\0\0\0\1\0\3\xc0\x0c\0"),
        ROW("a CNAME that ends behind its data", "\xc0\x0c\0\5\0\1\0\0\0\1\0\1\xc0\x0c"),
        ROW("data longer than the message", "\xc0\x0c\0\1\0\1\0\0\0\1\xff\xff\300\0\2\1"),
        ROW("an SOA without its numbers", "\xc0\x0c\0\6\0\1\0\0\0\1\0\4\xc0\x0c\xc0\x0c"),
#undef ROW
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        message = answer(0x8180, 1, 0);
        add(&message, rows[i].record, rows[i].len);
        if (count(&message) != -EBADMSG)
            printf("read: %s\n", rows[i].what);
        EXPECT(count(&message) == -EBADMSG);
    }
    message = answer(0x8180, 0, 0);
    message.bytes[5] = 2;
    EXPECT(count(&message) == -EBADMSG); /* two questions */
}

/* 255 bytes by way of pointers are a name, 256 are none. */
static void test_long_names(void)
{
    for (size_t last = 60; last <= 62; last++) {
        struct message message = {.len = 0};
        ADD(&message, "\0\0\x81\x80\0\1\0\1\0\0\0\0");
        for (size_t i = 0; i < 3; i++) {
            ADD(&message, "\x3f");
            add(&message, repeat(63, ""), 63);
        }
        ADD(&message, "\0\0\1\0\1"); /* 193 bytes */
        add(&message, &(uint8_t){(uint8_t)last}, 1);
        add(&message, repeat(last, ""), last);
        ADD(&message, "\xc0\x0c\0\1\0\1\0\0\0\1\0\4\300\0\2\1");
        EXPECT(count(&message) == (last <= 61 ? 1 : -EBADMSG));
    }
}

/* Pointers that lead to pointers: a few are odd, thousands are an attack on our time. */
static void test_pointer_chain(void)
{
    for (size_t n = 126; n <= 128; n++) {
        struct message message = answer(0x8180, 2, 0);

        ADD(&message, "\xc0\x0c\0\x10\0\1\0\0\0\1"); /* TXT, whose data nobody reads */
        add(&message, (uint8_t[]){(uint8_t)((2 * n - 2) >> 8), (uint8_t)(2 * n - 2)}, 2);
        size_t at = DNS_HEADER_LEN;
        for (size_t i = 1; i < n; i++) {
            size_t next = message.len;
            add(&message, (uint8_t[]){(uint8_t)(0xc0 | at >> 8), (uint8_t)at}, 2);
            at = next;
        }
        add(&message, (uint8_t[]){(uint8_t)(0xc0 | at >> 8), (uint8_t)at}, 2);
        ADD(&message, "\0\1\0\1\0\0\0\1\0\4\300\0\2\1");
        EXPECT(count(&message) == (n <= DNS_NAME_MAX / 2 ? 2 : -EBADMSG));
    }
}

static void test_answers(void)
{
    uint8_t out[8][16];
    uint32_t ttl;
    struct message message = answer(0x8180, 4, 0);

    ADD(&message, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\300\0\2\1");      /* an address */
    ADD(&message, "\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\300\0\2\2");      /* another, for half the time */
    ADD(&message, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\300\0\2\1");      /* the first again */
    ADD(&message, "\4evil\xc0\x0c\0\1\0\1\0\0\0\1\0\4\306\x33\x64\1"); /* of another name */
    EXPECT(addrs(&message, out, &ttl) == 2 && ttl == 30);
    EXPECT(memcmp(out[0], "\300\0\2\1\0\0\0\0\0\0\0\0\0\0\0\0", 16) == 0 && out[1][3] == 2);

    message = answer(0x8180, 3, 0);
    ADD(&message, "\1a\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\300\0\2\7");         /* before the CNAME that leads to it */
    ADD(&message, "\7EXAMPLE\3com\0\0\5\0\1\0\0\0\5\0\4\1A\xc0\x0c");     /* in another case */
    ADD(&message, "\1b\xc0\x0c\0\1\0\1\0\0\0\1\0\4\306\x33\x64\1");       /* out of the chain */
    EXPECT(addrs(&message, out, &ttl) == 1 && out[0][3] == 7 && ttl == 5);

    message = answer(0x8180, 1, 0);
    ADD(&message, "\xc0\x0c\0\5\0\1\0\0\0\5\0\2\xc0\x0c"); /* to itself */
    EXPECT(addrs(&message, out, &ttl) == -ELOOP);

    message = answer(0x8180, 1, 0);
    ADD(&message, "\xc0\x0c\0\1\0\1\xff\xff\xff\xff\0\4\300\0\2\1");
    EXPECT(addrs(&message, out, &ttl) == 1 && ttl == 0); /* RFC 2181: a TTL with the high bit set is zero */
}

/* A chain of n CNAMEs, an address at its end. */
static int chain(unsigned n)
{
    struct message message = answer(0x8180, (uint8_t)(n + 1), 0);
    uint8_t out[8][16];
    uint32_t ttl;

    for (unsigned i = 0; i <= n; i++) {
        uint8_t owner[] = {1, (uint8_t)('a' + i), 0xc0, 0x0c}, target[] = {0, 4, 1, (uint8_t)('b' + i), 0xc0, 0x0c};

        if (i == 0)
            ADD(&message, "\xc0\x0c");
        else
            add(&message, owner, sizeof owner);
        if (i == n) {
            ADD(&message, "\0\1\0\1\0\0\0\1\0\4\300\0\2\1");
        } else {
            ADD(&message, "\0\5\0\1\0\0\0\1");
            add(&message, target, sizeof target);
        }
    }
    return addrs(&message, out, &ttl);
}

static void test_chains(void)
{
    EXPECT(chain(0) == 1 && chain(1) == 1 && chain(10) == 1);
    EXPECT(chain(DNS_CHAIN_MAX) == 1);
    EXPECT(chain(DNS_CHAIN_MAX + 1) == -ELOOP);
}

static void test_negative(void)
{
    uint8_t out[8][16];
    uint32_t ttl;
    struct message message = answer(0x8180, 0, 1);

    EXPECT(addrs(&message, out, &ttl) == -EBADMSG);
    ADD(&message, "\xc0\x0c\0\6\0\1\0\0\3\x84\0\x18\xc0\x0c\xc0\x0c\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x3c");
    EXPECT(addrs(&message, out, &ttl) == 0 && ttl == 60); /* the SOA's minimum, which is less than its own TTL, 900 */
    message.bytes[message.len - 2] = 0xff;
    EXPECT(addrs(&message, out, &ttl) == 0 && ttl == 900);
    message = answer(0x8180, 0, 0);
    EXPECT(addrs(&message, out, &ttl) == 0 && ttl == 0);
    ADD(&message, "\0\0\x29\4\xd0\1\0\0\0\0\0"); /* BADVERS */
    message.bytes[11] = 1;
    EXPECT(addrs(&message, out, &ttl) == -EPROTO);
}

/* The corpus through the fuzzer's invariants, which abort; then with bytes changed, dropped or cut off. The same in
 * every run. */
static void test_corpus(void)
{
    static uint8_t bytes[DNS_MESSAGE_MAX];
    DIR *dir = opendir(corpus);
    struct dirent *entry;
    char path[512];
    unsigned files = 0;

    srand(1);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", corpus, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (file == NULL)
            continue;
        size_t len = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        void *copy = unit_flush(bytes, len);
        LLVMFuzzerTestOneInput(copy, len);
        for (unsigned i = 0; i < ROUNDS; i++) {
            size_t cut = (size_t)rand() % (len + 1);
            uint8_t *damaged = (uint8_t *)copy + (i % 3 == 0 ? cut : 0);
            memcpy(copy, bytes, len);
            for (unsigned n = 0; n <= i % 4 && len > 0; n++)
                ((uint8_t *)copy)[(size_t)rand() % len] = (uint8_t)rand();
            LLVMFuzzerTestOneInput(damaged, len - (size_t)(damaged - (uint8_t *)copy));
        }
        files++;
    }
    if (dir != NULL)
        closedir(dir);
    EXPECT(files >= 20);
}

/* What a program sends to a nameserver, and the text of what it asks for. */
static void test_questions(void)
{
    uint8_t query[DNS_QUERY_MAX];
    struct dns_question question;
    struct dns_name name;
    char text[DNS_NAME_MAX + 1];

    EXPECT(dns_name_parse(slice_of("WWW.Example.com."), &name) == 0);
    size_t len = dns_write_query(query, 7, &name, DNS_AAAA, true);
    EXPECT(dns_read_query(unit_flush(query, len), len, &question) == 0 && question.type == DNS_AAAA);
    EXPECT(dns_name_text(&question.name, text) && strcmp(text, "www.example.com") == 0);
    for (size_t cut = 0; cut < DNS_HEADER_LEN + 17 + 4; cut++)
        EXPECT(dns_read_query(unit_flush(query, cut), cut, &question) < 0);
    query[2] |= 0x80; /* an answer */
    EXPECT(dns_read_query(query, len, &question) < 0);
    query[2] = 0x08; /* another operation */
    EXPECT(dns_read_query(query, len, &question) < 0);
    query[2] = 0;
    query[5] = 0; /* no question */
    EXPECT(dns_read_query(query, len, &question) < 0);

    EXPECT(!dns_name_text(&(struct dns_name){1, {0}}, text));                          /* the root */
    EXPECT(!dns_name_text(&(struct dns_name){6, "\004a b\n"}, text));                  /* no host name's bytes */
    EXPECT(!dns_name_text(&(struct dns_name){5, {3, 'a', 0, 'b', 0}}, text));          /* a NUL */
    EXPECT(!dns_name_text(&(struct dns_name){5, {3, 'a', '.', 'b', 0}}, text));          /* a dot within */
    EXPECT(!dns_name_text(&(struct dns_name){9, {1, '1', 1, '2', 1, '3', 1, '4', 0}}, text)); /* an address */
}

int main(void)
{
    test_questions();
    test_names();
    test_equal();
    test_query();
    test_round_trip();
    test_malformed();
    test_long_names();
    test_pointer_chain();
    test_answers();
    test_chains();
    test_negative();
    test_corpus();
    return unit_done();
}
