/* urlpath.h - paths of URLs: one normal form, what servers may make of it, and patterns with * (RFC 3986, 6.2.2) */
#ifndef URLPATH_H
#define URLPATH_H

#include "base.h"

enum { URLPATH_MAX = 16640 }; /* of one segment: a longer one is refused */

static int urlpath_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986, 2.3: what means the same with and without escaping. */
static bool urlpath_is_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

/* Take one byte, escaped or not, off *text. Or -EBADMSG: no escape; a NUL. */
static int urlpath_take(struct slice *text, bool *escaped)
{
    int byte = (unsigned char)text->p[0];
    size_t len = 1;

    *escaped = byte == '%';
    if (*escaped) {
        int high = text->len < 3 ? -1 : urlpath_hex(text->p[1]), low = text->len < 3 ? -1 : urlpath_hex(text->p[2]);

        if (high < 0 || low < 0)
            return -EBADMSG;
        byte = high << 4 | low;
        len = 3;
    }
    *text = (struct slice){text->p + len, text->len - len};
    return byte == 0 ? -EBADMSG : byte;
}

/* Append a byte to what is being decoded until nothing in it is escaped: some servers decode twice, and some take
 * overlong forms of UTF-8 (RFC 3629, 10) for the character. The new length. */
static size_t urlpath_append(unsigned char *to, size_t len, unsigned char byte)
{
    to[len++] = byte;
    for (;;) {
        const unsigned char *end = to + len;

        if (len >= 3 && end[-3] == '%' && urlpath_hex((char)end[-2]) >= 0 && urlpath_hex((char)end[-1]) >= 0) {
            to[len - 3] = (unsigned char)(urlpath_hex((char)end[-2]) << 4 | urlpath_hex((char)end[-1]));
            len -= 2;
        } else if (len >= 2 && (end[-2] & 0xfe) == 0xc0 && (end[-1] & 0xc0) == 0x80) {
            to[len - 2] = (unsigned char)((end[-2] & 1) << 6 | (end[-1] & 0x3f));
            len--;
        } else if (len >= 3 && end[-3] == 0xe0 && (end[-2] & 0xfe) == 0x80 && (end[-1] & 0xc0) == 0x80) {
            to[len - 3] = (unsigned char)((end[-2] & 1) << 6 | (end[-1] & 0x3f));
            len -= 2;
        } else {
            return len;
        }
    }
}

/* Decode all of a text in normal form. The length in to, which has room for as much as there is. */
static size_t urlpath_decode(struct slice text, unsigned char *to)
{
    size_t len = 0;
    bool escaped;

    while (text.len > 0)
        len = urlpath_append(to, len, (unsigned char)urlpath_take(&text, &escaped));
    return len;
}

/* Does the segment, decoded, hide a NUL, or . or .. behind an escaped slash, a backslash or parameters (..;x)? Some
 * servers would find them. */
static bool urlpath_hides_dots(struct slice segment)
{
    static unsigned char text[URLPATH_MAX];
    size_t n = segment.len <= sizeof text ? urlpath_decode(segment, text) : 0;
    size_t len = 0; /* of the piece, up to a slash of any kind, without parameters */
    bool dots = true, parameters = false;

    if (n == 0 || memchr(text, 0, n) != NULL)
        return true;
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = text[i];

        if (byte == '/' || byte == '\\') {
            if (dots && (len == 1 || len == 2))
                return true;
            len = 0;
            dots = true;
            parameters = false;
            continue;
        }
        parameters = parameters || byte == ';';
        dots = dots && (parameters || byte == '.');
        len += !parameters;
    }
    return dots && (len == 1 || len == 2);
}

/* Is there an escaped slash or backslash in a segment? */
static bool urlpath_hides_slash(struct slice segment)
{
    static unsigned char text[URLPATH_MAX];
    size_t n = segment.len <= sizeof text ? urlpath_decode(segment, text) : 0;

    return segment.len > sizeof text || memchr(text, '/', n) != NULL || memchr(text, '\\', n) != NULL;
}

/* A segment ends at to[len): /, /. and /.. go. The path's new length; -EBADMSG: what a server could read otherwise, as
 * /a%2Fb/.., which is /a/ for those that decode first. */
static int64_t urlpath_end_segment(char *to, size_t len, bool last)
{
    size_t begin = len;

    while (to[begin - 1] != '/')
        begin--;
    struct slice segment = {to + begin, len - begin};
    if (segment.len == 0)
        return (int64_t)len;
    if (slice_is(segment, "."))
        return (int64_t)begin;
    if (slice_is(segment, "..")) {
        if (begin == 1)
            return 1;
        size_t end = --begin;
        while (to[begin - 1] != '/')
            begin--;
        return urlpath_hides_slash((struct slice){to + begin, end - begin}) ? -EBADMSG : (int64_t)begin;
    }
    if ((memchr(segment.p, '%', segment.len) || memchr(segment.p, ';', segment.len)) &&
        urlpath_hides_dots(segment))
        return -EBADMSG;
    if (!last)
        to[len++] = '/';
    return (int64_t)len;
}

/* Bring a path to its normal form: unreserved characters bare, what may not stand there escaped in capitals, no . and
 * .. segments, no doubled slashes; a final slash stays. text begins with a slash and ends before the query. Its length
 * in to, or -EBADMSG: a bad escape, a NUL, dots in disguise, or longer than room. */
static int64_t urlpath_normalize(struct slice text, char *to, size_t room)
{
    static const char digits[] = "0123456789ABCDEF";
    int64_t len = 1;

    if (text.len == 0 || text.p[0] != '/' || room < 1)
        return -EBADMSG;
    to[0] = '/';
    for (text = (struct slice){text.p + 1, text.len - 1}; text.len > 0;) {
        bool escaped;
        int byte = urlpath_take(&text, &escaped);

        if (byte < 0 || len + 4 > (int64_t)room)
            return -EBADMSG;
        if (byte == '/' && !escaped) {
            len = urlpath_end_segment(to, (size_t)len, false);
            if (len < 0)
                return len;
        } else if (urlpath_is_unreserved((unsigned char)byte) ||
                   (!escaped && byte > 0x20 && byte < 0x7f && byte != '\\')) {
            to[len++] = (char)byte;
        } else {
            to[len++] = '%';
            to[len++] = digits[byte >> 4];
            to[len++] = digits[byte & 15];
        }
    }
    return urlpath_end_segment(to, (size_t)len, true);
}

/* The loosest reading of a path in normal form: all is decoded, as often as it can be, \ is /, capitals are small,
 * parameters (;x) go, and so do white space and dots at the end. What any server may take for the same path is the same
 * here. A pattern keeps what stands for anything. The length in to, which has room for as much as there is. */
static size_t urlpath_loosen(struct slice text, bool pattern, char *to)
{
    size_t n = urlpath_decode(text, (unsigned char *)to), len = 0;
    bool parameters = false;

    for (size_t i = 0; i < n; i++) {
        char c = to[i];
        bool slash = c == '/' || c == '\\', again = slash && len > 0 && to[len - 1] == '/';

        parameters = !slash && (parameters || c == ';');
        if (!again && (!parameters || (pattern && c == '*')))
            to[len++] = slash ? '/' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    while (len > 1 && strchr(" .\t\r\n\v\f\x85\xa0", to[len - 1]) != NULL) /* as Latin-1 has it */
        len--;
    return len;
}

/* Does a path match a pattern, in which * stands for any characters? Both are in normal form. Takes the product of both
 * lengths at most. */
static bool urlpath_matches(struct slice pattern, struct slice path)
{
    size_t p = 0, t = 0, star = SIZE_MAX, again = 0;

    while (t < path.len) {
        if (p < pattern.len && pattern.p[p] == '*') {
            star = p++;
            again = t;
        } else if (p < pattern.len && pattern.p[p] == path.p[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++again;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.p[p] == '*')
        p++;
    return p == pattern.len;
}

#endif
