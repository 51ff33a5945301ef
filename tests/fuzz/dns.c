/* fuzzer of sys/dns.h: whatever comes as a message or as a name, what is read can be written and read again, and no
 * name is longer than a name may be. */
#include "../../sys/dns.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Labels that add up to len, the last of them the root's. */
static void fuzz_name(const struct dns_name *name)
{
    size_t at = 0;

    assert(name->len > 0);
    while (name->wire[at] != 0) {
        assert(name->wire[at] <= DNS_LABEL_MAX);
        at += 1u + name->wire[at];
        assert(at < name->len);
    }
    assert(at + 1 == name->len);
}

static bool fuzz_same_name(const struct dns_name *a, const struct dns_name *b)
{
    return a->len == b->len && memcmp(a->wire, b->wire, a->len) == 0;
}

/* Do two readings of a record agree? */
static bool fuzz_same_record(const struct dns_record *a, const struct dns_record *b)
{
    if (a->section != b->section || !fuzz_same_name(&a->name, &b->name) || a->type != b->type || a->class != b->class ||
        a->ttl != b->ttl)
        return false;
    fuzz_name(&a->name);
    if (a->class == DNS_CLASS_IN && (a->type == DNS_A || a->type == DNS_AAAA))
        return memcmp(a->address, b->address, sizeof a->address) == 0;
    if (a->class == DNS_CLASS_IN && a->type == DNS_CNAME) {
        fuzz_name(&a->target);
        return fuzz_same_name(&a->target, &b->target);
    }
    if (a->class == DNS_CLASS_IN && a->type == DNS_SOA) {
        fuzz_name(&a->soa.mname);
        fuzz_name(&a->soa.rname);
        return fuzz_same_name(&a->soa.mname, &b->soa.mname) && fuzz_same_name(&a->soa.rname, &b->soa.rname) &&
               a->soa.serial == b->soa.serial && a->soa.refresh == b->soa.refresh && a->soa.retry == b->soa.retry &&
               a->soa.expire == b->soa.expire && a->soa.minimum == b->soa.minimum;
    }
    return a->data.len == b->data.len && (a->data.len == 0 || memcmp(a->data.p, b->data.p, a->data.len) == 0);
}

/* Read a message that is well formed and write it again. Returns its length; 0 when it no longer fits, as names lose
 * their compression. */
static size_t fuzz_rewrite(struct dns_reader reader, uint8_t *out)
{
    struct dns_writer writer;
    struct dns_record record;

    dns_write_start(&writer, out, DNS_MESSAGE_MAX, reader.id, reader.flags,
                    reader.has_question ? &reader.question : NULL);
    while (dns_read_record(&reader, &record) > 0)
        dns_write_record(&writer, &record);
    return writer.full ? 0 : writer.len;
}

static void fuzz_message(const uint8_t *data, size_t size)
{
    static uint8_t again[DNS_MESSAGE_MAX];
    struct dns_reader reader, first, second;
    struct dns_record a, b;
    uint8_t addrs[4][16];
    uint32_t ttl;
    int status;

    if (dns_read_start(&reader, data, size) < 0)
        return;
    if (reader.has_question) {
        fuzz_name(&reader.question.name);
        status = dns_answer_addrs(&reader, addrs, ARRAY_LEN(addrs), &ttl);
        assert(status <= (int)ARRAY_LEN(addrs) && ttl <= INT32_MAX);
    }
    first = reader;
    while ((status = dns_read_record(&first, &a)) > 0)
        ;
    size_t len = status == 0 ? fuzz_rewrite(reader, again) : 0;
    if (len == 0)
        return;
    status = dns_read_start(&second, again, len);
    assert(status == 0 && second.id == reader.id && second.flags == reader.flags);
    assert(second.has_question == reader.has_question);
    if (reader.has_question)
        assert(fuzz_same_name(&second.question.name, &reader.question.name) &&
               second.question.type == reader.question.type && second.question.class == reader.question.class);
    for (first = reader; (status = dns_read_record(&first, &a)) > 0;) {
        status = dns_read_record(&second, &b);
        assert(status == 1 && fuzz_same_record(&a, &b));
    }
    status = dns_read_record(&second, &b);
    assert(status == 0);
}

/* A text that is a host name makes a query that asks for it. */
static void fuzz_text(const uint8_t *data, size_t size)
{
    uint8_t bytes[DNS_QUERY_MAX];
    struct dns_reader reader;
    struct dns_record record;
    struct dns_name name;

    if (dns_name_parse((struct slice){(const char *)data, size}, &name) < 0)
        return;
    fuzz_name(&name);
    size_t len = dns_write_query(bytes, 0x1234, &name, DNS_AAAA, size % 2);
    int status = dns_read_start(&reader, bytes, len);
    assert(status == 0 && reader.has_question && fuzz_same_name(&reader.question.name, &name));
    for (size_t i = 0; i < size % 2; i++) {
        status = dns_read_record(&reader, &record);
        assert(status == 1 && record.type == DNS_OPT && record.class == DNS_EDNS_PAYLOAD);
    }
    status = dns_read_record(&reader, &record);
    assert(status == 0);
}

/* The text of a name that was asked for is a host name, and means the same. */
static void fuzz_query(const uint8_t *data, size_t size)
{
    char text[DNS_NAME_MAX + 1];
    struct dns_question question;
    struct dns_name again;

    if (dns_read_query(data, size, &question) < 0 || !dns_name_text(&question.name, text))
        return;
    int status = dns_name_parse(slice_of(text), &again);
    assert(status == 0 && dns_name_equal(&again, &question.name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_query(data, size);
    fuzz_message(data, size);
    fuzz_text(data, size);
    return 0;
}

#include "replay.h"
