/* fuzzer of sys/control.h: a message's end is its first empty line, what is taken has a verb and whole fields, and says
 * the same when it is written down again. */
#include "../../sys/control.h"
#include "../../sys/growing.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fuzz_same(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Wherever the bytes are cut, the end is found once it is there, and nowhere else. */
static void fuzz_length(struct slice bytes, size_t len)
{
    for (size_t cut = 0; cut <= bytes.len && cut <= len + 2; cut++) {
        size_t from = cut > 3 ? cut - 3 : 0, found = control_length((struct slice){bytes.p, cut}, 0);

        assert(found == (len > 0 && cut >= len ? len : 0));
        if (control_length((struct slice){bytes.p, from}, 0) == 0)
            assert(control_length((struct slice){bytes.p, cut}, from) == found);
    }
}

static void fuzz_message(struct slice bytes)
{
    struct control_message message, again;
    struct control_field field, other;
    struct growing text = {.p = NULL};

    if (control_parse(bytes, &message) < 0)
        return;
    assert(control_is_word(message.verb) && message.verb.p > bytes.p);
    growing_add(&text, "sandlock %d %.*s%s%.*s\n", CONTROL_VERSION, (int)message.verb.len, message.verb.p,
                message.text.len ? " " : "", (int)message.text.len, message.text.p ? message.text.p : "");
    for (struct slice fields = message.fields; control_next(&fields, &field);) {
        assert(control_is_word(field.name));
        assert(field.name.p >= bytes.p && field.name.p + field.name.len <= bytes.p + bytes.len);
        for (size_t i = 0; i < field.value.len; i++)
            assert((unsigned char)field.value.p[i] >= 0x20 && field.value.p[i] != 0x7f);
        growing_add(&text, "%.*s%s%.*s\n", (int)field.name.len, field.name.p, field.value.len ? " " : "",
                    (int)field.value.len, field.value.p ? field.value.p : "");
    }
    growing_append(&text, slice_of("\n"));
    assert(!text.failed && control_length(growing_slice(&text), 0) == text.len);
    assert(control_parse(growing_slice(&text), &again) == 0 && fuzz_same(again.verb, message.verb) &&
           fuzz_same(again.text, message.text));
    while (control_next(&message.fields, &field))
        assert(control_next(&again.fields, &other) && fuzz_same(field.name, other.name) &&
               fuzz_same(field.value, other.value));
    assert(!control_next(&again.fields, &other));
    free(text.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {(const char *)data, size};
    size_t len = control_length(bytes, 0);

    assert(len <= size);
    fuzz_length(bytes, len);
    fuzz_message(bytes);
    if (len > 0)
        fuzz_message((struct slice){bytes.p, len});
    return 0;
}

#include "replay.h"
