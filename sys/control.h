/* control.h - the control protocol of a running sandbox: messages of lines of text over a unix stream socket (unix(7))
 *
 *     sandlock 1 VERB [TEXT]
 *     FIELD [VALUE]              any number of these lines
 *                                an empty line ends the message
 *
 * 1 is the version: a message of another is not understood. VERB and FIELD are lower-case letters and dashes. TEXT and
 * VALUE are any bytes but control characters (below 32, and 127). Lines end with a newline alone. Requests and answers
 * look the same; an answer's verb is `ok` or `error`, whose text says what is wrong. After an error in a message itself
 * the connection is closed, since nobody knows where the next one begins. */
#ifndef CONTROL_H
#define CONTROL_H

#include "base.h"

enum { CONTROL_VERSION = 1, CONTROL_REQUEST_MAX = 1024 * 1024, CONTROL_WORD_MAX = 32 };

/* What a message says. Everything points into its bytes. */
struct control_message {
    struct slice verb, text;
    struct slice fields; /* the lines, for control_next */
};

struct control_field {
    struct slice name, value;
};

/* The length of the message that these bytes begin with; 0: its end isn't there yet. from: what is before was looked at
 * without finding it. */
static size_t control_length(struct slice bytes, size_t from)
{
    from = from > 0 ? from - 1 : 0; /* the newline before the empty line */
    if (bytes.len > 0 && bytes.p[0] == '\n')
        return 1;
    const char *end = bytes.len > from ? memmem(bytes.p + from, bytes.len - from, "\n\n", 2) : NULL;
    return end == NULL ? 0 : (size_t)(end + 2 - bytes.p);
}

static bool control_is_word(struct slice word)
{
    for (size_t i = 0; i < word.len; i++)
        if ((word.p[i] < 'a' || word.p[i] > 'z') && word.p[i] != '-')
            return false;
    return word.len > 0 && word.len <= CONTROL_WORD_MAX;
}

/* "WORD" or "WORD VALUE". */
static bool control_split(struct slice line, struct slice *word, struct slice *value)
{
    *word = slice_split(&line, ' ');
    *value = line;
    return control_is_word(*word) && (value->p == NULL || value->len > 0);
}

/* Take a whole message apart, with all of its fields looked at. 0; -EBADMSG: it is none; -EPROTONOSUPPORT: one of
 * another version. */
static int control_parse(struct slice bytes, struct control_message *message)
{
    static const char begin[] = "sandlock ";
    struct slice word, value;
    uint64_t version;

    if (bytes.len < 2 || bytes.p[bytes.len - 1] != '\n' || bytes.p[bytes.len - 2] != '\n')
        return -EBADMSG;
    for (size_t i = 0; i < bytes.len; i++)
        if (((unsigned char)bytes.p[i] < 0x20 && bytes.p[i] != '\n') || bytes.p[i] == 0x7f)
            return -EBADMSG;
    bytes.len -= 2; /* the last line's newline, and the empty line */
    struct slice first = slice_split(&bytes, '\n');
    if (first.len < sizeof begin - 1 || memcmp(first.p, begin, sizeof begin - 1) != 0)
        return -EBADMSG;
    first = (struct slice){first.p + sizeof begin - 1, first.len - (sizeof begin - 1)};
    if (parse_uint(slice_split(&first, ' '), UINT32_MAX, &version) < 0)
        return -EBADMSG;
    if (version != CONTROL_VERSION)
        return -EPROTONOSUPPORT;
    if (!control_split(first, &message->verb, &message->text))
        return -EBADMSG;
    message->fields = bytes;
    for (struct slice rest = bytes; rest.p != NULL;)
        if (!control_split(slice_split(&rest, '\n'), &word, &value))
            return -EBADMSG;
    return 0;
}

/* Take the next field off a parsed message's; false: there is none. */
static bool control_next(struct slice *fields, struct control_field *field)
{
    if (fields->p == NULL)
        return false;
    return control_split(slice_split(fields, '\n'), &field->name, &field->value);
}

#endif
