/* dns.h - DNS messages, read and written (RFC 1035; RFC 2308 negative answers, RFC 3596 AAAA, RFC 6891 EDNS0) */
#ifndef DNS_H
#define DNS_H

#include "base.h"

enum {
    DNS_PORT = 53,
    DNS_LABEL_MAX = 63,
    DNS_NAME_MAX = 255,       /* bytes on the wire, the root's zero included */
    DNS_HEADER_LEN = 12,
    DNS_QUERY_MAX = DNS_HEADER_LEN + DNS_NAME_MAX + 4 + 11, /* one question and an OPT record */
    DNS_MESSAGE_MAX = 65535,
    DNS_EDNS_PAYLOAD = 1232,  /* what crosses every path unfragmented (DNS flag day 2020) */
    DNS_CHAIN_MAX = 16,       /* CNAMEs followed in one answer */
    DNS_POINTER = 0xc0,       /* the two bits that make a length byte a compression pointer */
    DNS_CLASS_IN = 1,
};

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_SOA = 6, DNS_AAAA = 28, DNS_OPT = 41 };

enum dns_rcode { DNS_NOERROR, DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP, DNS_REFUSED };

enum dns_flag {
    DNS_RESPONSE = 0x8000,
    DNS_OPCODE = 0x7800, /* a mask; 0 is a standard query */
    DNS_AUTHORITATIVE = 0x0400,
    DNS_TRUNCATED = 0x0200,
    DNS_RECURSION_DESIRED = 0x0100,
    DNS_RECURSION_AVAILABLE = 0x0080,
    DNS_RCODE = 0x000f, /* a mask */
};

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

/* A name as it stands on the wire without compression: labels, each after its length, then a zero. */
struct dns_name {
    uint8_t len; /* the zero included; 0: no name */
    uint8_t wire[DNS_NAME_MAX];
};

struct dns_question {
    struct dns_name name;
    uint16_t type, class;
};

struct dns_soa {
    struct dns_name mname, rname;
    uint32_t serial, refresh, retry, expire, minimum; /* seconds, but the first */
};

struct dns_record {
    enum dns_section section;
    struct dns_name name;
    uint16_t type, class;
    uint32_t ttl; /* seconds */
    union {
        uint8_t address[16];    /* DNS_A: the first four bytes; DNS_AAAA */
        struct dns_name target; /* DNS_CNAME */
        struct dns_soa soa;
        struct slice data;      /* every other type or class; points into the message */
    };
};

/* A message that is being read: its head, and what is left of each section. */
struct dns_reader {
    struct cursor at;
    uint16_t id, flags;
    bool has_question;
    struct dns_question question;
    uint16_t left[DNS_SECTIONS];
};

/* A message that is being written. */
struct dns_writer {
    uint8_t *p; /* the caller's */
    size_t room, len;
    bool full; /* it did not fit, or its parts came out of order */
    uint8_t question_len;
    enum dns_section section;
};

/* ---- names ---- */

/* Letters, digits, hyphens within (RFC 1123), and the underscore that many a real name has. */
static bool dns_label_valid(struct slice label)
{
    if (label.len == 0 || label.len > DNS_LABEL_MAX || label.p[0] == '-' || label.p[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        char byte = label.p[i];
        if (!((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
              byte == '-' || byte == '_'))
            return false;
    }
    return true;
}

/* A host name as people write it, with or without the root's dot. 0, or -EINVAL when it is none. A last label of digits
 * alone is refused: programs take such a text for an IPv4 address. */
static int dns_name_parse(struct slice text, struct dns_name *name)
{
    struct slice label, rest = text;
    uint64_t number;

    if (rest.len > 0 && rest.p[rest.len - 1] == '.')
        rest.len--;
    name->len = 0;
    do {
        label = slice_split(&rest, '.');
        if (!dns_label_valid(label) || name->len + 1 + label.len + 1 > DNS_NAME_MAX)
            return -EINVAL;
        name->wire[name->len] = (uint8_t)label.len;
        memcpy(name->wire + name->len + 1, label.p, label.len);
        name->len = (uint8_t)(name->len + 1 + label.len);
    } while (rest.p != NULL);
    if (parse_uint(label, UINT64_MAX, &number) != -EINVAL)
        return -EINVAL;
    name->wire[name->len++] = 0;
    return 0;
}

static bool dns_name_valid(struct slice text)
{
    struct dns_name name;

    return dns_name_parse(text, &name) == 0;
}

static uint8_t dns_lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

/* Case doesn't count (RFC 4343). A length byte is at most 63 and so never taken for a letter. */
static bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++)
        if (dns_lower(a->wire[i]) != dns_lower(b->wire[i]))
            return false;
    return true;
}

/* A name's text, in lower case and without the root's dot. false: it is no host name. */
static bool dns_name_text(const struct dns_name *name, char to[DNS_NAME_MAX + 1])
{
    size_t len = 0;

    for (size_t at = 0; at < name->len && name->wire[at] != 0; at += 1u + name->wire[at]) {
        struct slice label = {(const char *)name->wire + at + 1, name->wire[at]};

        if (!dns_label_valid(label))
            return false;
        if (len > 0)
            to[len++] = '.';
        for (size_t i = 0; i < label.len; i++)
            to[len++] = (char)dns_lower((uint8_t)label.p[i]);
    }
    to[len] = 0;
    return dns_name_valid(slice_of(to));
}

/* ---- reading ---- */

static uint32_t dns_read_u32(struct cursor *c)
{
    uint32_t high = cursor_u16(c);

    return high << 16 | cursor_u16(c);
}

/* The name at the cursor, which moves past it. A pointer must lead to before the labels that it ends: then it can
 * neither loop nor lead forward. There are no more pointers than labels can be. */
static void dns_read_name(struct cursor *c, struct dns_name *name)
{
    struct cursor walk = *c;
    size_t start = c->pos; /* of the labels being read */
    unsigned jumps = 0;
    uint8_t len;

    name->len = 0;
    do {
        const uint8_t *p = cursor_take(&walk, 1);
        len = p ? *p : 0;
        if (p != NULL && len >= DNS_POINTER) {
            p = cursor_take(&walk, 1);
            size_t target = p ? (size_t)(len & ~DNS_POINTER) << 8 | *p : 0;
            if (jumps++ == 0)
                *c = walk;
            walk.bad = walk.bad || target < DNS_HEADER_LEN || target >= start || jumps > DNS_NAME_MAX / 2;
            start = walk.pos = target;
            continue;
        }
        p = cursor_take(&walk, len);
        if (p == NULL || len > DNS_LABEL_MAX || name->len + 1u + len > DNS_NAME_MAX) {
            walk.bad = true;
            break;
        }
        name->wire[name->len] = len;
        memcpy(name->wire + name->len + 1, p, len);
        name->len = (uint8_t)(name->len + 1u + len);
    } while (len != 0 && !walk.bad);
    if (jumps == 0)
        *c = walk;
    c->bad = walk.bad;
}

/* The head of a message and its question, if it has one. 0, or -EBADMSG. The bytes must stay while it is read. */
static int dns_read_start(struct dns_reader *reader, const uint8_t *bytes, size_t len)
{
    *reader = (struct dns_reader){.at = {.p = bytes, .len = len}};
    reader->id = cursor_u16(&reader->at);
    reader->flags = cursor_u16(&reader->at);
    uint16_t questions = cursor_u16(&reader->at);
    for (size_t i = 0; i < DNS_SECTIONS; i++)
        reader->left[i] = cursor_u16(&reader->at);
    if (questions > 1)
        return -EBADMSG;
    reader->has_question = questions == 1;
    if (reader->has_question) {
        dns_read_name(&reader->at, &reader->question.name);
        reader->question.type = cursor_u16(&reader->at);
        reader->question.class = cursor_u16(&reader->at);
    }
    return reader->at.bad ? -EBADMSG : 0;
}

/* The question of a standard query. 0, or -EBADMSG: it is none. */
static int dns_read_query(const uint8_t *bytes, size_t len, struct dns_question *question)
{
    struct dns_reader reader;

    if (dns_read_start(&reader, bytes, len) < 0 || !reader.has_question || reader.flags & (DNS_RESPONSE | DNS_OPCODE) ||
        reader.question.class != DNS_CLASS_IN)
        return -EBADMSG;
    *question = reader.question;
    return 0;
}

static void dns_read_data(struct cursor *c, struct dns_record *record)
{
    const uint8_t *p;

    if (record->class == DNS_CLASS_IN)
        switch (record->type) {
        case DNS_A:
        case DNS_AAAA:
            p = cursor_take(c, record->type == DNS_A ? 4 : 16);
            if (p != NULL)
                memcpy(record->address, p, record->type == DNS_A ? 4 : 16);
            return;
        case DNS_CNAME:
            dns_read_name(c, &record->target);
            return;
        case DNS_SOA:
            dns_read_name(c, &record->soa.mname);
            dns_read_name(c, &record->soa.rname);
            record->soa.serial = dns_read_u32(c);
            record->soa.refresh = dns_read_u32(c);
            record->soa.retry = dns_read_u32(c);
            record->soa.expire = dns_read_u32(c);
            record->soa.minimum = dns_read_u32(c);
            return;
        }
    record->data = (struct slice){(const char *)c->p + c->pos, c->len - c->pos};
    c->pos = c->len;
}

/* The next record of the answer, authority and additional sections: 1, or 0 at the end, or -EBADMSG; also when the
 * counts in the head don't cover all the bytes. */
static int dns_read_record(struct dns_reader *reader, struct dns_record *record)
{
    struct cursor *c = &reader->at;
    unsigned section = DNS_ANSWER;

    while (section < DNS_SECTIONS && reader->left[section] == 0)
        section++;
    if (c->bad || section == DNS_SECTIONS)
        return c->bad || c->pos != c->len ? -EBADMSG : 0;
    reader->left[section]--;
    *record = (struct dns_record){.section = (enum dns_section)section};
    dns_read_name(c, &record->name);
    record->type = cursor_u16(c);
    record->class = cursor_u16(c);
    record->ttl = dns_read_u32(c);
    if (record->type != DNS_OPT && record->ttl > INT32_MAX)
        record->ttl = 0; /* RFC 2181, 8 */

    size_t len = cursor_u16(c), end = c->pos + len;
    if (cursor_take(c, len) == NULL)
        return -EBADMSG;
    struct cursor data = {.p = c->p, .len = end, .pos = end - len};
    dns_read_data(&data, record);
    c->bad = data.bad || data.pos != end;
    return c->bad ? -EBADMSG : 1;
}

static unsigned dns_rcode(uint16_t flags)
{
    return flags & DNS_RCODE;
}

/* One pass over an answer's records for `owner`. Addresses of the question's type that belong to it are added to
 * addresses, without repetition; *next is where its CNAME leads, len 0 if it has none. *ttl is lowered to that of each
 * record used, *negative_ttl set from an SOA (RFC 2308, 5). Returns the number of addresses, or -EBADMSG; -EPROTO when
 * the OPT record holds an error. */
static int dns_answer_pass(struct dns_reader reader, const struct dns_name *owner, uint8_t (*addresses)[16], size_t max,
                           struct dns_name *next, uint32_t *ttl, uint32_t *negative_ttl)
{
    struct dns_record record;
    size_t n = 0, same;
    int status;

    next->len = 0;
    while ((status = dns_read_record(&reader, &record)) > 0) {
        if (record.type == DNS_OPT && record.ttl >> 24 != 0)
            return -EPROTO;
        if (record.class != DNS_CLASS_IN)
            continue;
        if (record.section == DNS_AUTHORITY && record.type == DNS_SOA)
            *negative_ttl = record.ttl < record.soa.minimum ? record.ttl : record.soa.minimum;
        if (record.section != DNS_ANSWER || !dns_name_equal(&record.name, owner))
            continue;
        if (record.type == reader.question.type) {
            for (same = 0; same < n && memcmp(addresses[same], record.address, 16) != 0; same++)
                ;
            if (same == n && n < max)
                memcpy(addresses[n++], record.address, 16);
        } else if (record.type == DNS_CNAME && next->len == 0) {
            *next = record.target;
        } else {
            continue;
        }
        *ttl = record.ttl < *ttl ? record.ttl : *ttl;
    }
    return status < 0 ? status : (int)n;
}

/* What an answer to a question for DNS_A or DNS_AAAA says: at most max distinct addresses (an IPv4 one in the first
 * four bytes, the rest zero) of the name asked for or of the end of its chain of CNAMEs. What the chain doesn't reach
 * is passed over. Returns their number; 0: none, and *ttl says for how long (seconds; 0: unknown). -EBADMSG: malformed;
 * -EPROTO: an extended error; -ELOOP: the chain has no end within DNS_CHAIN_MAX. */
static int dns_answer_addrs(const struct dns_reader *reader, uint8_t (*addresses)[16], size_t max, uint32_t *ttl)
{
    struct dns_name owner = reader->question.name, next;
    uint32_t negative_ttl = 0;

    *ttl = INT32_MAX;
    for (size_t hops = 0; hops <= DNS_CHAIN_MAX; hops++) {
        int n = dns_answer_pass(*reader, &owner, addresses, max, &next, ttl, &negative_ttl);

        if (n == 0 && next.len == 0)
            *ttl = negative_ttl;
        if (n != 0 || next.len == 0)
            return n;
        owner = next;
    }
    return -ELOOP;
}

/* ---- writing ---- */

static void dns_write(struct dns_writer *writer, const void *bytes, size_t len)
{
    if (writer->full || len > writer->room - writer->len) {
        writer->full = true;
        return;
    }
    if (len > 0)
        memcpy(writer->p + writer->len, bytes, len);
    writer->len += len;
}

static void dns_write_u16(struct dns_writer *writer, uint16_t value)
{
    dns_write(writer, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void dns_write_u32(struct dns_writer *writer, uint32_t value)
{
    dns_write_u16(writer, (uint16_t)(value >> 16));
    dns_write_u16(writer, (uint16_t)value);
}

/* A name that is the question's, to the letter, becomes a pointer to it. */
static void dns_write_name(struct dns_writer *writer, const struct dns_name *name)
{
    if (writer->question_len > 1 && writer->question_len == name->len &&
        memcmp(writer->p + DNS_HEADER_LEN, name->wire, name->len) == 0)
        dns_write_u16(writer, DNS_POINTER << 8 | DNS_HEADER_LEN);
    else
        dns_write(writer, name->wire, name->len);
}

/* Begin a message in the caller's room, at most DNS_MESSAGE_MAX: its head and one question (NULL: none). */
static void dns_write_start(struct dns_writer *writer, uint8_t *p, size_t room, uint16_t id, uint16_t flags,
                            const struct dns_question *question)
{
    *writer = (struct dns_writer){.p = p, .room = room};
    dns_write_u16(writer, id);
    dns_write_u16(writer, flags);
    dns_write_u16(writer, question != NULL);
    dns_write(writer, (uint8_t[2 * DNS_SECTIONS]){0}, 2 * DNS_SECTIONS);
    if (question == NULL)
        return;
    dns_write_name(writer, &question->name);
    dns_write_u16(writer, question->type);
    dns_write_u16(writer, question->class);
    writer->question_len = question->name.len;
}

static void dns_write_data(struct dns_writer *writer, const struct dns_record *record)
{
    if (record->class == DNS_CLASS_IN)
        switch (record->type) {
        case DNS_A:
        case DNS_AAAA:
            dns_write(writer, record->address, record->type == DNS_A ? 4 : 16);
            return;
        case DNS_CNAME:
            dns_write_name(writer, &record->target);
            return;
        case DNS_SOA:
            dns_write_name(writer, &record->soa.mname);
            dns_write_name(writer, &record->soa.rname);
            dns_write_u32(writer, record->soa.serial);
            dns_write_u32(writer, record->soa.refresh);
            dns_write_u32(writer, record->soa.retry);
            dns_write_u32(writer, record->soa.expire);
            dns_write_u32(writer, record->soa.minimum);
            return;
        }
    dns_write(writer, record->data.p, record->data.len);
}

/* Add a record. Sections come in the order of enum dns_section; one that doesn't fit leaves the writer full. */
static void dns_write_record(struct dns_writer *writer, const struct dns_record *record)
{
    writer->full = writer->full || record->section < writer->section;
    writer->section = record->section;
    dns_write_name(writer, &record->name);
    dns_write_u16(writer, record->type);
    dns_write_u16(writer, record->class);
    dns_write_u32(writer, record->ttl);
    size_t length_at = writer->len;
    dns_write_u16(writer, 0);
    dns_write_data(writer, record);
    if (writer->full)
        return;
    size_t len = writer->len - length_at - 2;
    uint8_t *count = writer->p + 6 + 2 * record->section;
    writer->p[length_at] = (uint8_t)(len >> 8);
    writer->p[length_at + 1] = (uint8_t)len;
    count[1]++;
    count[0] = (uint8_t)(count[0] + (count[1] == 0));
}

/* A recursive query for one name and type. Returns its length. */
static size_t dns_write_query(uint8_t bytes[DNS_QUERY_MAX], uint16_t id, const struct dns_name *name,
                              enum dns_type type, bool edns)
{
    struct dns_question question = {.name = *name, .type = (uint16_t)type, .class = DNS_CLASS_IN};
    struct dns_record opt = {.section = DNS_ADDITIONAL, .name = {.len = 1}, .type = DNS_OPT, .class = DNS_EDNS_PAYLOAD};
    struct dns_writer writer;

    dns_write_start(&writer, bytes, DNS_QUERY_MAX, id, DNS_RECURSION_DESIRED, &question);
    if (edns)
        dns_write_record(&writer, &opt);
    return writer.len;
}

#endif
