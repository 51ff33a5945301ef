/* http.h - heads of HTTP/1 requests and responses, and where bodies end (RFC 9112, RFC 9110; RFC 6455 for upgrades) */
#ifndef HTTP_H
#define HTTP_H

#include "addr.h"
#include "base.h"

#include <strings.h>

enum {
    HTTP_HEAD_MAX = 16384, /* a caller's buffer: a longer head is refused */
    HTTP_METHOD_MAX = 32,
    HTTP_HOST_MAX = 255,
    HTTP_CHUNK_LINE_MAX = 256, /* a chunk's size with its extensions */
    HTTP_CHUNK_DIGITS_MAX = 16,
    HTTP_TRAILER_MAX = 8192,
};

/* Where a body ends. */
enum http_body { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED, HTTP_BODY_UNTIL_CLOSE };

/* What a head's fields say of the message and of the connection. */
struct http_fields {
    unsigned minor; /* of HTTP/1.minor: 0 or 1 */
    bool has_host, has_length, chunked;
    bool closes, keeps;   /* Connection: close, keep-alive */
    bool hops;            /* Connection: upgrade */
    bool upgrades;        /* Upgrade: websocket */
    bool contradicts;     /* two lengths, a length and chunks: lenient readers go on */
    uint64_t length;
    struct slice host;    /* as it is written */
};

/* A request's head. The slices point into the caller's bytes. */
struct http_request {
    struct http_fields fields;
    struct slice method, target; /* target: a path with its query, or * */
    struct slice host;           /* without brackets, port and final dot; empty: none was given (HTTP/1.0) */
    uint16_t port;               /* 0: none was given */
    enum http_body body;
};

struct http_response {
    struct http_fields fields;
    unsigned status;
    enum http_body body;
};

static bool http_is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool http_is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!http_is_token_char((unsigned char)text.p[i]))
            return false;
    return text.len > 0;
}

/* Field names and many values don't care about case. */
static bool http_word_is(struct slice text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.p, word, text.len) == 0;
}

/* May this byte stand within a line? No control character may, but the tab; what isn't ASCII may. */
static bool http_is_text_char(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* Take the next line off *rest, without its end. 1; 0: the line isn't whole yet; -EBADMSG. Strict: it ends with CR LF
 * and holds no control character, which is seen as soon as it is there. */
static int http_line(struct slice *rest, bool strict, struct slice *line)
{
    for (size_t i = 0; i < rest->len; i++) {
        unsigned char c = (unsigned char)rest->p[i];
        size_t end = i + 1;

        if (c == '\r' && end == rest->len)
            return 0;
        if (c == '\r' && rest->p[end] == '\n')
            end++;
        else if (c == '\n' ? strict : c == '\r' || (strict && !http_is_text_char(c)))
            return -EBADMSG;
        else if (c != '\n')
            continue;
        *line = (struct slice){rest->p, i};
        *rest = (struct slice){rest->p + end, rest->len - end};
        return 1;
    }
    return 0;
}

/* ---- fields ---- */

/* Content-Length: one number, once. */
static int http_take_length(struct http_fields *fields, struct slice value)
{
    uint64_t length;

    if (parse_uint(value, INT64_MAX, &length) < 0)
        return -EBADMSG;
    fields->contradicts = fields->contradicts || fields->chunked || fields->has_length;
    fields->has_length = true;
    fields->length = length;
    return 0;
}

/* Transfer-Encoding: what isn't chunked alone has an end that we can't tell. */
static int http_take_coding(struct http_fields *fields, struct slice value)
{
    fields->contradicts = fields->contradicts || fields->chunked || fields->has_length;
    fields->chunked = http_word_is(value, "chunked");
    return fields->chunked ? 0 : -EBADMSG;
}

/* Connection: its words are options, or fields for the next hop alone; what frames a message can't be one of those. */
static int http_take_connection(struct http_fields *fields, struct slice value)
{
    while (value.p != NULL) {
        struct slice word = slice_trim(slice_split(&value, ','));

        fields->closes = fields->closes || http_word_is(word, "close");
        fields->keeps = fields->keeps || http_word_is(word, "keep-alive");
        fields->hops = fields->hops || http_word_is(word, "upgrade");
        if (http_word_is(word, "host") || http_word_is(word, "content-length") ||
            http_word_is(word, "transfer-encoding"))
            return -EBADMSG;
    }
    return 0;
}

/* One field of a request's head. 0 or -EBADMSG. */
static int http_take_field(struct http_fields *fields, struct slice name, struct slice value)
{
    if (http_word_is(name, "host")) {
        bool again = fields->has_host;

        fields->has_host = true;
        fields->host = value;
        return again ? -EBADMSG : 0;
    }
    if (http_word_is(name, "content-length"))
        return http_take_length(fields, value);
    if (http_word_is(name, "transfer-encoding"))
        return http_take_coding(fields, value);
    if (http_word_is(name, "connection"))
        return http_take_connection(fields, value);
    if (http_word_is(name, "http2-settings")) /* of an upgrade to h2c */
        return -EBADMSG;
    if (http_word_is(name, "content_length") || http_word_is(name, "transfer_encoding")) /* what CGI makes the same */
        return -EBADMSG;
    if (http_word_is(name, "upgrade")) { /* to anything else requests would follow that nobody checks */
        bool again = fields->upgrades;

        fields->upgrades = http_word_is(value, "websocket");
        return again || !fields->upgrades ? -EBADMSG : 0;
    }
    return 0;
}

/* NAME: VALUE. 0 or -EBADMSG: a name that is none, white space before the colon, a line that goes on with the last. */
static int http_split_field(struct slice line, struct slice *name, struct slice *value)
{
    const char *colon = memchr(line.p, ':', line.len);

    if (colon == NULL)
        return -EBADMSG;
    *name = (struct slice){line.p, (size_t)(colon - line.p)};
    *value = slice_trim((struct slice){colon + 1, line.len - name->len - 1});
    return http_is_token(*name) ? 0 : -EBADMSG;
}

/* ---- requests ---- */

/* METHOD SP TARGET SP HTTP/1.x. The target is a path, or * for OPTIONS: other forms and CONNECT are for proxies, which
 * we aren't to the program. */
static int http_take_request_line(struct slice line, struct http_request *request)
{
    struct slice version;

    request->method = slice_split(&line, ' ');
    request->target = slice_split(&line, ' ');
    version = line;
    if (!http_is_token(request->method) || request->method.len > HTTP_METHOD_MAX || version.p == NULL ||
        http_word_is(request->method, "CONNECT"))
        return -EBADMSG;
    if (slice_is(version, "HTTP/1.1"))
        request->fields.minor = 1;
    else if (!slice_is(version, "HTTP/1.0"))
        return -EBADMSG;
    bool asterisk = slice_is(request->target, "*") && slice_is(request->method, "OPTIONS");
    if (!asterisk && (request->target.len == 0 || request->target.p[0] != '/'))
        return -EBADMSG;
    for (size_t i = 0; i < request->target.len; i++)
        if (request->target.p[i] == '\t' || request->target.p[i] == '#')
            return -EBADMSG;
    return 0;
}

/* HOST[:PORT], where HOST is a name, an IPv4 address or an IPv6 address in brackets. 0 or -EBADMSG. */
static int http_split_host(struct slice text, struct slice *host, uint16_t *port)
{
    struct slice rest = text;
    uint64_t number;

    if (text.len > 0 && text.p[0] == '[') {
        const char *close = memchr(text.p, ']', text.len);
        struct ip_addr addr;

        if (close == NULL)
            return -EBADMSG;
        *host = (struct slice){text.p + 1, (size_t)(close - text.p) - 1};
        rest = (struct slice){close + 1, text.len - host->len - 2};
        if (ip_addr_parse(*host, &addr) < 0 || addr.version != 6 || (rest.len > 0 && rest.p[0] != ':'))
            return -EBADMSG;
        rest = rest.len > 0 ? (struct slice){rest.p + 1, rest.len - 1} : (struct slice){NULL, 0};
    } else {
        *host = slice_split(&rest, ':');
        if (host->len > 0 && host->p[host->len - 1] == '.')
            host->len--;
        for (size_t i = 0; i < host->len; i++)
            if (!http_is_token_char((unsigned char)host->p[i]) || strchr("!#$%&'*+^`|~", host->p[i]) != NULL ||
                (host->p[i] == '.' && (i == 0 || host->p[i - 1] == '.' || i + 1 == host->len)))
                return -EBADMSG;
    }
    *port = 0;
    if (host->len == 0 || host->len > HTTP_HOST_MAX)
        return -EBADMSG;
    if (rest.p == NULL)
        return 0;
    if (parse_uint(rest, UINT16_MAX, &number) < 0 || number == 0)
        return -EBADMSG;
    *port = (uint16_t)number;
    return 0;
}

/* Do the fields make one request, whose end everyone sees in the same place? */
static int http_finish_request(struct http_request *request)
{
    const struct http_fields *fields = &request->fields;

    request->host = (struct slice){"", 0};
    request->port = 0;
    request->body = fields->chunked ? HTTP_BODY_CHUNKED : fields->length > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    if (fields->contradicts || (fields->chunked && fields->minor == 0) || (!fields->has_host && fields->minor > 0))
        return -EBADMSG;
    if (fields->upgrades && (!fields->hops || request->body != HTTP_BODY_NONE || fields->minor == 0 ||
                             !slice_is(request->method, "GET")))
        return -EBADMSG;
    return fields->has_host ? http_split_host(fields->host, &request->host, &request->port) : 0;
}

/* Read a request's head: strictly, since whoever reads it after us must understand the same. Its length; 0: more is
 * needed; -EBADMSG: it is malformed, or refused as smuggling is (threats: two lengths, other codings, h2c, CONNECT). */
static int64_t http_parse_request(struct slice bytes, struct http_request *request)
{
    struct slice rest = bytes, line, name, value;
    int result = http_line(&rest, true, &line);

    *request = (struct http_request){.body = HTTP_BODY_NONE};
    if (result == 1)
        result = http_take_request_line(line, request) < 0 ? -EBADMSG : 1;
    while (result == 1) {
        result = http_line(&rest, true, &line);
        if (result == 1 && line.len == 0) {
            result = http_finish_request(request);
            return result < 0 ? result : (int64_t)(bytes.len - rest.len);
        }
        if (result == 1 && (http_split_field(line, &name, &value) < 0 ||
                            http_take_field(&request->fields, name, value) < 0))
            result = -EBADMSG;
    }
    return result;
}

/* Will the connection carry another request behind this message? */
static bool http_persists(const struct http_fields *fields)
{
    return !fields->closes && (fields->minor > 0 || fields->keeps);
}

/* ---- responses ---- */

/* HTTP/1.x SP 3DIGIT [SP REASON] */
static int http_take_status_line(struct slice line, struct http_response *response)
{
    uint64_t status;

    if (line.len < 12 || (memcmp(line.p, "HTTP/1.0 ", 9) != 0 && memcmp(line.p, "HTTP/1.1 ", 9) != 0))
        return -EBADMSG;
    if (parse_uint((struct slice){line.p + 9, 3}, 999, &status) < 0 || status < 100 ||
        (line.len > 12 && line.p[12] != ' '))
        return -EBADMSG;
    response->fields.minor = (unsigned)(line.p[7] - '0');
    response->status = (unsigned)status;
    return 0;
}

/* Read the head of a response to a request (head: by HEAD). What servers get wrong is let pass: who reads it is the
 * program, which gains nothing by misreading it. Its length; 0: more is needed; -EBADMSG: it is none. */
static int64_t http_parse_response(struct slice bytes, bool head, struct http_response *response)
{
    struct slice rest = bytes, line, name, value;
    bool unframed = false;
    int result = http_line(&rest, false, &line);

    *response = (struct http_response){.body = HTTP_BODY_NONE};
    if (result == 1)
        result = http_take_status_line(line, response) < 0 ? -EBADMSG : 1;
    while (result == 1) {
        result = http_line(&rest, false, &line);
        if (result != 1 || line.len == 0)
            break;
        if (http_split_field(line, &name, &value) < 0)
            continue;
        if (http_word_is(name, "transfer-encoding") || http_word_is(name, "content-length") ||
            http_word_is(name, "connection"))
            unframed = http_take_field(&response->fields, name, value) < 0 || unframed;
        if (http_word_is(name, "upgrade"))
            response->fields.upgrades = http_word_is(value, "websocket");
    }
    if (result != 1)
        return result;
    if (head || response->status < 200 || response->status == 204 || response->status == 304)
        response->body = HTTP_BODY_NONE;
    else if (unframed || response->fields.contradicts)
        response->body = HTTP_BODY_UNTIL_CLOSE;
    else if (response->fields.chunked)
        response->body = HTTP_BODY_CHUNKED;
    else if (response->fields.has_length)
        response->body = response->fields.length > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    else
        response->body = HTTP_BODY_UNTIL_CLOSE;
    return (int64_t)(bytes.len - rest.len);
}

/* ---- chunked bodies (RFC 9112, 7.1) ---- */

/* How far a body of chunks has come. All zero: at its beginning. */
struct http_chunks {
    enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER, CHUNK_DONE } state;
    bool lenient;    /* extensions and bare LFs pass */
    bool cr;         /* the last byte was a CR */
    bool empty;      /* nothing of this line has come yet: of a trailer */
    bool named;      /* the trailer's line has its colon */
    unsigned digits; /* of the size */
    size_t line;     /* bytes of the line, or of the trailer */
    uint64_t left;   /* bytes of data that follow; whoever moves them himself subtracts them (http_chunks_skip) */
};

/* A chunk's line has ended. */
static int http_chunk_line_end(struct http_chunks *c)
{
    if (c->digits == 0)
        return -EBADMSG;
    c->state = c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
    c->digits = 0;
    c->line = 0;
    c->empty = true;
    return 0;
}

/* One byte of a size, its extension, or the line end behind data. */
static int http_chunk_size_byte(struct http_chunks *c, unsigned char byte)
{
    bool hex = (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');

    if (++c->line > HTTP_CHUNK_LINE_MAX)
        return -EBADMSG;
    if (c->state == CHUNK_SIZE && hex) {
        if (c->left >> 59 != 0 || c->digits == HTTP_CHUNK_DIGITS_MAX)
            return -EBADMSG;
        c->left = c->left << 4 | (unsigned)(byte <= '9' ? byte - '0' : (byte | 0x20) - 'a' + 10);
        c->digits++;
        return 0;
    }
    c->state = CHUNK_EXTENSION;
    return c->lenient && c->digits > 0 && http_is_text_char(byte) ? 0 : -EBADMSG;
}

/* One byte of the trailer: fields up to an empty line. Nothing is read from them, but each must be one: a server that
 * expects none would take the line for the next request. */
static int http_chunk_trailer_byte(struct http_chunks *c, unsigned char byte)
{
    bool ends_name = byte == ':' && !c->empty;

    if (++c->line > HTTP_TRAILER_MAX || (!c->lenient && !http_is_text_char(byte)) ||
        (!c->lenient && !c->named && !ends_name && !http_is_token_char(byte)))
        return -EBADMSG;
    c->named = c->named || ends_name;
    c->empty = false;
    return 0;
}

/* A line of the trailer has ended, and with an empty one the body. */
static int http_chunk_trailer_end(struct http_chunks *c)
{
    if (c->empty)
        c->state = CHUNK_DONE;
    else if (!c->named && !c->lenient)
        return -EBADMSG;
    c->empty = true;
    c->named = false;
    return 0;
}

static int http_chunk_byte(struct http_chunks *c, unsigned char byte)
{
    bool ends = byte == '\n' && (c->cr || c->lenient);

    if (!ends && (c->cr || byte == '\n'))
        return -EBADMSG;
    c->cr = byte == '\r';
    if (c->cr)
        return 0;
    switch (c->state) {
    case CHUNK_SIZE:
    case CHUNK_EXTENSION:
        return ends ? http_chunk_line_end(c) : http_chunk_size_byte(c, byte);
    case CHUNK_DATA_END:
        if (!ends)
            return -EBADMSG;
        c->state = CHUNK_SIZE;
        return 0;
    case CHUNK_TRAILER:
        return ends ? http_chunk_trailer_end(c) : http_chunk_trailer_byte(c, byte);
    case CHUNK_DATA:
    case CHUNK_DONE:
        break;
    }
    return -EBADMSG;
}

/* n bytes of data went past. */
static void http_chunks_skip(struct http_chunks *c, uint64_t n)
{
    c->left -= n;
    if (c->left == 0)
        c->state = CHUNK_DATA_END;
}

/* The next bytes of the body. How many of them belong to it (all, unless it ends among them: CHUNK_DONE); -EBADMSG. */
static int64_t http_chunks_take(struct http_chunks *c, struct slice bytes)
{
    size_t at = 0;

    while (at < bytes.len && c->state != CHUNK_DONE) {
        if (c->state == CHUNK_DATA) {
            uint64_t n = bytes.len - at < c->left ? bytes.len - at : c->left;

            http_chunks_skip(c, n);
            at += n;
        } else if (http_chunk_byte(c, (unsigned char)bytes.p[at++]) < 0) {
            return -EBADMSG;
        }
    }
    return (int64_t)at;
}

#endif
